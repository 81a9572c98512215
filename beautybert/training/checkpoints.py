"""Training checkpoints: folders that are whole or not there.

A checkpoint `checkpoints/step-00000070` holds model.safetensors and optimizer.safetensors, state.json, and checksums.json over
the three. It is written under another name, flushed to the disk and renamed; the last few are kept. No random state and no loader
state is in it: both are functions of seed and step.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def save_checkpoint(
    run_folder: Path,
    step: int,
    model: dict[str, Tensor],
    optimizer: dict[str, Tensor],
    state: dict,
    keep: int,
) -> Path:
    """Write the checkpoint of `step`, then remove all but the newest `keep`. Returns its folder.

    ValueError if it cannot be written, a full disk for instance; the checkpoints before it are then as they were.
    """
    folder = run_folder / "checkpoints" / f"step-{step:08d}"
    unfinished = folder.with_name(folder.name + ".unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for name, tensors in (("model", model), ("optimizer", optimizer)):
            save_file(
                {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()},
                unfinished / f"{name}.safetensors",
            )
        (unfinished / "state.json").write_text(
            json.dumps({"step": step, **state}, indent=1), encoding="utf-8"
        )
        for name in ("model", "optimizer"):
            shutil.copymode(
                unfinished / "state.json", unfinished / f"{name}.safetensors"
            )  # safetensors makes files that only their owner can read
        sums = {path.name: file_checksum(path) for path in sorted(unfinished.iterdir())}
        (unfinished / "checksums.json").write_text(json.dumps(sums, indent=1), encoding="utf-8")
        for path in [*unfinished.iterdir(), unfinished]:
            _flush(path)
        shutil.rmtree(
            folder, ignore_errors=True
        )  # a torn one of the same step, passed over when resuming
        unfinished.rename(folder)
        _flush(folder.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        older = [path.name for path in list_checkpoints(run_folder)]
        raise ValueError(
            f"could not save {folder}: {error}. "
            + (
                f"{older[-1]} is whole: make room and --resume"
                if older
                else "There is none before it"
            )
        ) from None
    for path in list_checkpoints(run_folder):
        if path.name > folder.name:  # torn, or this run would have gone on from it
            shutil.rmtree(path)
    for path in list_checkpoints(run_folder)[:-keep]:
        shutil.rmtree(path)
    return folder


def list_checkpoints(run_folder: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first, whole or torn."""
    return sorted(
        path
        for path in (run_folder / "checkpoints").glob("step-*")
        if path.name.removeprefix("step-").isdigit()
    )


def newest_checkpoint(run_folder: Path, show: Callable[[str], None] = print) -> Path | None:
    """The newest whole checkpoint; torn ones are passed over, and named by `show`. None if there is no checkpoint at all.

    ValueError if there are checkpoints, but not one is whole.
    """
    found = list_checkpoints(run_folder)
    for folder in reversed(found):
        problem = what_is_torn(folder)
        if problem is None:
            return folder
        show(f"warning: skipping {folder}: {problem}")
    if found:
        raise ValueError(
            f"none of the {len(found)} checkpoints in {run_folder / 'checkpoints'} is whole; start afresh with another --out"
        )
    return None


def what_is_torn(folder: Path) -> str | None:
    """Why a checkpoint is not whole, or None if every file has its checksum."""
    try:
        sums = json.loads((folder / "checksums.json").read_text(encoding="utf-8"))
        wrong = [
            name for name, checksum in sums.items() if file_checksum(folder / name) != checksum
        ]
    except (OSError, ValueError, AttributeError) as error:
        return str(error)
    return f"{', '.join(wrong)} does not have its checksum" if wrong else None


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict]:
    """Model tensors, optimizer tensors and state of a whole checkpoint."""
    return (
        load_file(folder / "model.safetensors"),
        load_file(folder / "optimizer.safetensors"),
        json.loads((folder / "state.json").read_text(encoding="utf-8")),
    )


def check_identity(saved: dict, current: dict, folder: Path) -> None:
    """ValueError naming everything in which a run that wants to resume differs from the one that saved; of a dictionary only the entries that differ."""
    if saved.keys() != current.keys():
        raise ValueError(
            f"--resume: {folder} was saved by another program or version: "
            f"only there {', '.join(sorted(saved.keys() - current.keys())) or 'nothing'}, "
            f"only here {', '.join(sorted(current.keys() - saved.keys())) or 'nothing'}"
        )
    saved, current = _entries(saved), _entries(current)
    changed = [
        f"{key} was {saved.get(key)}, is now {current.get(key)}"
        for key in {**saved, **current}
        if saved.get(key) != current.get(key)
    ]
    if changed:
        raise ValueError(f"--resume: {folder} was saved by another run: " + "; ".join(changed))


def _entries(identity: dict) -> dict:
    """The identity with a dictionary's entries beside its other values, as "model.hidden_size"."""
    entries = {}
    for key, value in identity.items():
        entries |= (
            {f"{key}.{name}": part for name, part in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
    return entries


def file_checksum(path: Path) -> str:
    """The BLAKE2b hash of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _flush(path: Path) -> None:
    """Force a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
