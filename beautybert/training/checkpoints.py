"""Training checkpoints: folders that are complete or not there.

A checkpoint `checkpoints/step-00000070` has model.safetensors, optimizer.safetensors, state.json
and checksums.json over the three. It is written under another name, flushed to the disk and
renamed; the last few are kept. No random state and no loader state is in it: both are functions of
seed and step. Where a loop keeps its best weights, each checkpoint has a copy of them too; those
with the same share one file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from beautybert import files
from beautybert.training.distributed import Ranks
from beautybert.training.optim import kind_of, load_optimizer_state, optimizer_state

FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
BEST = "best.safetensors"


class Saver:
    """Saves the checkpoints of one run and resumes from them.

    signature: what a run that resumes must have in common with this one. keep: checkpoints that are
    kept. best: where the loop writes its best weights, if it does. last_saved: step of the newest
    checkpoint, 0 without one.
    """

    def __init__(
        self,
        run_folder: Path,
        signature: dict[str, Any],
        model: nn.Module,
        optimizer: Any,
        scaler: torch.amp.GradScaler,
        keep: int,
        ranks: Ranks,
        best: Path | None = None,
    ):
        self.run_folder = run_folder
        self.signature = {**signature, "optimizer": kind_of(optimizer)}
        self.model = model
        self.optimizer = optimizer
        self.scaler = scaler
        self.keep = keep
        self.ranks = ranks
        self.best = best
        self.last_saved = 0

    def save(self, progress: dict[str, Any]) -> None:
        """Write a checkpoint (rank 0 does), then remove all but the newest.

        progress: what else the loop changes, as JSON, with its "step". ValueError if it cannot be
        written, for instance on a full disk; the checkpoints before it are then as they were.
        """
        if self.ranks.is_main:
            self._save(progress)
        self.last_saved = progress["step"]

    def _save(self, progress: dict[str, Any]) -> None:
        folder = self.run_folder / "checkpoints" / f"step-{progress['step']:08d}"
        temporary = folder.with_name(folder.name + ".tmp")
        tensors = {
            "model": self.model.state_dict(),
            "optimizer": optimizer_state(self.model, self.optimizer),
        }
        state = {
            "signature": self.signature,
            "scaler": self.scaler.state_dict(),
            "progress": progress,
        }
        try:
            _write(temporary, tensors, state, self.best, list_checkpoints(self.run_folder))
            shutil.rmtree(folder, ignore_errors=True)  # a corrupt one, skipped when resuming
            temporary.rename(folder)
            files.flush(folder.parent)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            older = [old for old in list_checkpoints(self.run_folder) if not find_corruption(old)]
            advice = "There is none before it"
            if older:
                advice = f"{older[-1].name} is complete: make room and --resume"
            raise ValueError(f"could not save {folder}: {error}. {advice}") from None
        for path in list_checkpoints(self.run_folder):
            if path.name > folder.name:  # corrupt, or this run would have gone on from it
                shutil.rmtree(path)
        for path in list_checkpoints(self.run_folder)[: -self.keep]:
            shutil.rmtree(path)

    def resume(self, progress: Any, total_steps: int) -> Any:
        """Load the newest complete checkpoint; returns its progress, `progress` if there is none.

        progress: a dataclass of the loop's at step 0. The best weights are put back where the loop
        has them; where they are lost, progress.best is empty and that is said. ValueError if the
        checkpoint was saved by another run or after more than total_steps, and if the ranks found
        different ones.
        """
        folder = newest_complete(self.run_folder, self.ranks.print0)
        if folder:
            weights, tensors, state = read(folder)
            check_signature(state.get("signature", {}), self.signature, folder)
            progress = _progress_of(state, progress, folder / "state.json")
            if progress.step > total_steps:
                raise ValueError(
                    f"--resume: {folder} is after step {progress.step:,}, this run would end after "
                    f"{total_steps:,}; ask for more steps, or train anew with another --out"
                )
            self.model.load_state_dict(weights)
            load_optimizer_state(self.model, self.optimizer, tensors)
            if state["scaler"]:
                self.scaler.load_state_dict(state["scaler"])
        is_lost = False
        if folder and self.best and self.ranks.is_main:
            is_lost = not _restore(folder, self.best, self.ranks.print0)
        step = progress.step
        sum_of_steps, num_lost = self.ranks.sum_counts(step, is_lost)
        if num_lost:
            progress.best = {}
        if sum_of_steps != step * self.ranks.world_size:
            raise ValueError(
                f"--resume: the ranks found different checkpoints in {self.run_folder}, this one "
                f"that of step {step}; all nodes must see the same --out"
            )
        if folder:
            self.ranks.print0(f"resuming from {folder}, step {step}")
        else:
            self.ranks.print0(f"no checkpoint in {self.run_folder}: starting at step 0")
        self.last_saved = step
        return progress


def _write(
    folder: Path,
    tensors: dict[str, dict[str, Tensor]],
    state: dict[str, Any],
    best: Path | None,
    older: list[Path],
) -> None:
    """The files of a checkpoint, flushed to the disk. older: those before it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files.write_json(folder / "state.json", state)
    for name, named in tensors.items():
        path = folder / f"{name}.safetensors"
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in named.items()}, path)
        shutil.copymode(folder / "state.json", path)  # safetensors' files are their owner's alone
    sums = {path.name: file_checksum(path) for path in sorted(folder.iterdir())}
    if best:
        sums[BEST] = file_checksum(best)
        _copy_best(best, folder, sums[BEST], older)
    files.write_json(folder / "checksums.json", sums)
    for path in [*folder.iterdir(), folder]:
        files.flush(path)


def _copy_best(best: Path, folder: Path, checksum: str, older: list[Path]) -> None:
    """Copy the best weights into a checkpoint; a link to an older one's, if they are the same.

    Never a link to the file of the loop, which anybody may write to.
    """
    for path in reversed(older):
        with suppress(OSError):
            if file_checksum(path / BEST) == checksum:
                os.link(path / BEST, folder / BEST)
                return
    shutil.copy(best, folder / BEST)


def _restore(folder: Path, best: Path, print0: Callable[[str], None]) -> bool:
    """Make the loop's best weights what they were at a checkpoint; False if they are lost."""
    checksum = files.read_json(folder / "checksums.json").get(BEST)
    for path in (best, folder / BEST):
        if checksum and path.is_file() and file_checksum(path) == checksum:
            if path != best:
                with files.replacing(best) as temporary:
                    shutil.copy(path, temporary)
            return True
    print0(
        f"warning: the best weights until {folder.name} are lost, of {best} and of the checkpoint; "
        "the best of the evaluations from here on are taken"
    )
    return False


def _progress_of(state: dict[str, Any], default: Any, path: Path) -> Any:
    """The progress of a state.json, as a dataclass like `default`. ValueError if it is none."""
    found = files.value_of(state, "progress", dict, path)
    values = {}
    for field in dataclasses.fields(default):
        kind = type(getattr(default, field.name))
        least = 0 if kind is int else None
        values[field.name] = files.value_of(found, field.name, kind, path, at_least=least)
    return dataclasses.replace(default, **values)


# ---- checkpoints on the disk -------------------------------------------------------------------


def newest_complete(run_folder: Path, warn: Callable[[str], None] = print) -> Path | None:
    """The newest complete checkpoint; others are skipped, with a warning. None if there is none.

    ValueError if there are checkpoints, but not one is complete.
    """
    found = list_checkpoints(run_folder)
    for folder in reversed(found):
        problem = find_corruption(folder)
        if problem is None:
            return folder
        warn(f"warning: skipping {folder}: {problem}")
    if found:
        raise ValueError(
            f"none of the {len(found)} checkpoints in {run_folder / 'checkpoints'} is complete; "
            "start afresh with another --out"
        )
    return None


def list_checkpoints(run_folder: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first, complete or corrupt."""
    found = (run_folder / "checkpoints").glob("step-*")
    return sorted(path for path in found if path.name.removeprefix("step-").isdigit())


def find_corruption(folder: Path) -> str | None:
    """Why a checkpoint is corrupt or incomplete; None if every file has its checksum."""
    try:
        sums = files.read_json(folder / "checksums.json")
        wrong = [name for name in FILES if file_checksum(folder / name) != sums.get(name)]
    except (OSError, ValueError) as error:
        return str(error)
    return f"{', '.join(wrong)} does not have its checksum" if wrong else None


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict]:
    """Model weights, optimizer state and loop state of a complete checkpoint."""
    weights = load_file(folder / "model.safetensors")
    tensors = load_file(folder / "optimizer.safetensors")
    state = files.read_json(folder / "state.json")
    for name in ("signature", "scaler"):
        state[name] = files.value_of(state, name, dict, folder / "state.json", default={})
    return weights, tensors, state


def check_signature(saved: dict, current: dict, folder: Path) -> None:
    """ValueError that names all in which the run to resume differs from the one that saved."""
    if saved.keys() != current.keys():
        differing = ", ".join(sorted(saved.keys() ^ current.keys()))
        raise ValueError(
            f"--resume: {folder} was saved by another program or version, which this one cannot "
            f"continue ({differing}); train again with another --out"
        )
    before, now = _flatten(saved), _flatten(current)
    changed = [
        f"{key} was {before.get(key)}, is now {now.get(key)}"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise ValueError(f"--resume: {folder} was saved by another run: " + "; ".join(changed))


def _flatten(signature: dict) -> dict:
    """The signature with the entries of its dictionaries as values: "model.hidden_size"."""
    flat: dict[str, Any] = {}
    for key, value in signature.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": part for name, part in value.items()}
        else:
            flat[key] = value
    return flat


# ---- files -------------------------------------------------------------------------------------


def file_checksum(path: Path) -> str:
    """The BLAKE2b hash of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
