"""A run's folder and its log: run.json, metrics.jsonl, progress, TensorBoard, the clock."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

import torch
from torch import Tensor
from tqdm import tqdm

from beautybert import files
from beautybert.training import hardware, options, sample
from beautybert.training.checkpoints import list_checkpoints
from beautybert.training.distributed import Ranks, at_end
from beautybert.training.metrics_file import read_metrics, truncate_metrics
from beautybert.training.plots import plot_losses, plot_speed
from beautybert.training.precision import require_finite
from beautybert.training.profiling import profiler

# of what an evaluation shows, in Python's format language
FORMATS = {
    "loss": ".4f",
    "perplexity": ",.1f",
    "accuracy": ".1%",
    "top3": ".1%",
    "macro_f1": ".3f",
    "targets": ",",
}
TEST_SCORES = ("loss", "accuracy", "top3", "macro_f1", "ece")
BOARD_SCORES = {"accuracy", "macro_f1", "f1"}  # by input, by label
LOCK = ".lock"
LOCKED_BY = "beautybert\n"  # what is in it
LOCK_TRIES = 5
AT_START = (LOCK, "metrics.jsonl", "tensorboard")  # what a start writes before run.json
LIBRARIES = ("beautybert", "torch", "tokenizers", "safetensors", "numpy", "pandas")


def check_folder(folder: Path, resume: bool, ranks: Ranks) -> None:
    """Take --out for this process, until it ends.

    ValueError if it is not empty at a fresh start, no run folder at a resume, or taken by another
    process. A folder in which a start was killed before it wrote run.json counts as empty.
    """
    if not ranks.is_main:
        return
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder} is a file: name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    is_started = lock(folder / LOCK)  # the folder is one of ours
    names = {path.name for path in folder.iterdir()} - {LOCK}
    if is_started:
        names = {name for name in names if name not in AT_START and not name.endswith(".tmp")}
    if names and not resume:
        raise ValueError(
            f"--out {folder} is not empty: choose another, or continue that run with --resume"
        )
    is_run = is_started or (folder / "run.json").is_file() or list_checkpoints(folder)
    if names and not is_run:
        raise ValueError(f"--resume: {folder} is not empty and no run folder (it has no run.json)")
    # .tmp and six more are what safetensors writes into before it renames
    of_safetensors = folder.glob(".tmp??????")
    for left in (*folder.glob("*.tmp"), *folder.glob("checkpoints/*.tmp"), *of_safetensors):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink()  # of a process that was killed while it wrote


def resumed(folder: Path, resume: bool, read: Callable[[Path], object]) -> Path | None:
    """The run folder, if a resume finds a tokenizer of an earlier start in it; else None.

    read: reads the tokenizer of a folder; if it raises ValueError, there is none.
    """
    if not resume or not (folder / "tokenizer.json").is_file():
        return None
    try:
        read(folder)
    except ValueError as error:
        print(f"warning: {error}; the tokenizer is made again", file=sys.stderr)
        return None
    return folder


# open files, which the system unlocks however a process ends, and whether they were there before
_locks: dict[Path, tuple[Any, bool]] = {}


def lock(path: Path) -> bool:
    """Lock a file until `main` ends; returns whether one of ours was there before.

    ValueError if another process has it.
    """
    if path in _locks:
        return _locks[path][1]
    for attempt in range(LOCK_TRIES):
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            if fcntl:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ValueError(f"--out {path.parent} is in use by another process") from None
        except OSError:  # a file system without locks
            pass
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        if attempt < LOCK_TRIES - 1:  # some disks never agree
            file.close()  # another process has just removed it
    file.seek(0)
    content = file.read(len(LOCKED_BY))
    existed = content == LOCKED_BY
    if content and not existed:
        file.close()
        raise ValueError(f"--out {path.parent} has a {LOCK} of another program: choose another")
    if not existed:
        file.write(LOCKED_BY)
        file.flush()
    _locks[path] = file, existed
    at_end(lambda: _unlock(path))
    return existed


def _unlock(path: Path) -> None:
    """Remove the lock, and its folder if nothing else is in it.

    It stays beside what a start that failed has left: it says that the folder is ours.
    """
    if path not in _locks:
        return
    file, _ = _locks.pop(path)
    if fcntl is None:
        file.close()  # Windows removes no file that is open
    names = {found.name for found in path.parent.iterdir()} - {LOCK}
    if not names or names - set(AT_START):
        path.unlink(missing_ok=True)
    file.close()
    with suppress(OSError):
        path.parent.rmdir()


def every(interval: int | None, step: int, total_steps: int) -> bool:
    """Whether something is due after `step`: each `interval` steps, and at the end.

    An interval of 0 is never, None a tenth of the run.
    """
    if interval is None:
        interval = math.ceil(total_steps / 10)
    return step == total_steps or (interval > 0 and step % interval == 0)


class RunLog:
    """The log of one run, kept by rank 0; on other ranks every call does nothing.

    On a terminal there is a progress bar, elsewhere a plain line for each `train_step` call.
    """

    def __init__(
        self, folder: Path, start_step: int, total_steps: int, tensorboard: bool, ranks: Ranks
    ):
        """Open metrics.jsonl in the folder, without what came after start_step."""
        self.folder = folder
        self.ranks = ranks
        self.start_step = start_step
        self.total_steps = total_steps
        self.trained = total_steps > 0
        self.start_clock(0)
        if not ranks.is_main:
            return
        folder.mkdir(parents=True, exist_ok=True)
        truncate_metrics(folder, start_step or -1)
        self.file = open(folder / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        self.bar = tqdm(
            total=total_steps,
            initial=start_step,
            unit="step",
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )
        self.board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=start_step + 1)

    def write_run_json(self, config: Any, data: dict[str, Any], used: Any = None) -> None:
        """Write run.json: options, data, versions, device.

        config: the script's options as they were given, for --config. used: with what was filled
        in, if anything was. Prints the options that differ from those of an earlier start.
        """
        if not self.ranks.is_main:
            return
        path = self.folder / "run.json"
        named = options.to_dict(config)
        for changed in options.changed_options(named, path):
            self.info(f"  other than before: {changed}")
        device = platform.processor() or platform.machine()
        if self.ranks.device.type == "cuda":
            device = torch.cuda.get_device_name()
        contents = {
            "command": options.command_line(config),
            "config": named,
            "used": options.to_dict(used or config),
            "data": data,
            "versions": {"python": platform.python_version(), **_library_versions()},
            "device": device,
            "ranks": self.ranks.world_size,
            "threads": torch.get_num_threads(),
        }
        files.write_json(path, contents)

    def profiler(self, enabled: bool) -> AbstractContextManager:
        """The profiler of --profile, on rank 0 (profiling.py)."""
        return profiler(self.folder, enabled and self.ranks.is_main, self.info)

    # ---- the clock -----------------------------------------------------------------------------

    def start_clock(
        self, tokens_seen: int, flops_per_token: float = 0.0, dtype: torch.dtype | None = None
    ) -> None:
        """Count time and tokens from here on.

        flops_per_token, and the dtype of autocast: for the share of the GPUs' peak that is used.
        """
        self.began = time.perf_counter()
        self.clock = self.began
        self.training_seconds = 0.0
        self.first_tokens = tokens_seen
        self.tokens_at_log = tokens_seen
        peak = hardware.peak_flops(self.ranks.device, dtype)
        self.mfu_per_speed = flops_per_token / (peak * self.ranks.world_size) if peak else 0.0

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """What happens in this block does not count for the speed of training."""
        stopped = time.perf_counter()
        yield
        self.clock += time.perf_counter() - stopped

    # ---- what is logged ------------------------------------------------------------------------

    def train_step(
        self,
        step: int,
        loss: Tensor,
        lr: float,
        grad_norm: Tensor,
        tokens_seen: int,
        epoch: float,
        **more: float,
    ) -> None:
        """Write and show a training step. loss: nats a target. epoch: passes over the data so far.

        With the peak memory of rank 0 and, on a GPU whose peak is known, the share of that peak
        (MFU; Chowdhery et al. 2022, arXiv:2204.02311, appendix B): FLOPs a token x tokens/s / peak.
        more: further numbers for metrics.jsonl and TensorBoard.
        """
        now = time.perf_counter()  # what waits for the GPU from here on counts for the next line
        speed = (tokens_seen - self.tokens_at_log) / (now - self.clock)
        self.training_seconds += now - self.clock
        self.clock = now
        self.tokens_at_log = tokens_seen
        memory = hardware.peak_memory(self.ranks.device) / 2**20
        shown = f"loss {loss.item():.4f}  lr {lr:.2e}  {speed:,.0f} tokens/s  {memory:,.0f} MiB"
        if self.mfu_per_speed:
            more["mfu"] = round(speed * self.mfu_per_speed, 4)
            shown += f"  MFU {more['mfu']:.1%}"
        self.write(
            step,
            "train",
            loss=loss.item(),
            lr=lr,
            grad_norm=grad_norm.item(),
            tokens=tokens_seen,
            tokens_per_second=round(speed, 1),
            peak_memory_mib=round(memory, 1),
            epoch=epoch,
            **more,
        )
        self.show_progress(step, shown)

    def validation(self, metrics: dict[str, float]) -> None:
        """Write and show an evaluation: `metrics` with its "step".

        ValueError, on every rank, if its loss is not finite.
        """
        require_finite(int(metrics["step"]), metrics["loss"])
        scores = {name: value for name, value in metrics.items() if name != "step"}
        self.write(int(metrics["step"]), "valid", **scores)
        shown = [f"{name} {value:{FORMATS.get(name, '.4g')}}" for name, value in scores.items()]
        self.info(f"validation at step {metrics['step']:,}: {', '.join(shown)}")

    def test(self, step: int, metrics: dict[str, Any]) -> None:
        """Write the scores on the test split, to TensorBoard also those by input and by label."""
        numbers = {name: value for name, value in metrics.items() if name in TEST_SCORES}
        self.write(step, "test", **numbers)
        if self.ranks.is_main and self.board:
            for group in ("by_input", "per_class"):
                for name, scores in metrics.get(group, {}).items():
                    for score in BOARD_SCORES & scores.keys():
                        self.board.add_scalar(f"test_{group}_{score}/{name}", scores[score], step)

    def write(self, step: int, split: str, **values: float) -> None:
        """Append a line to metrics.jsonl, and to TensorBoard."""
        if not self.ranks.is_main:
            return
        try:
            self.file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
            self.file.flush()
        except OSError as error:
            files.name_file(error, self.folder / "metrics.jsonl")
            raise
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(f"{split}/{name}", value, step)

    def show_progress(self, step: int, text: str) -> None:
        """Advance the bar to `step`, or print a line with the time that is left."""
        if not self.ranks.is_main:
            return
        if not self.bar.disable:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(step - self.bar.n)
            return
        seconds_per_step = (time.perf_counter() - self.began) / (step - self.start_step)
        left = tqdm.format_interval(seconds_per_step * (self.total_steps - step))
        print(f"step {step}/{self.total_steps}  {text}  {left} left", flush=True)

    def info(self, *lines: object) -> None:
        """Print lines without disturbing the bar."""
        if not self.ranks.is_main:
            return
        for line in lines:
            if self.bar.disable:
                print(line, flush=True)
            else:
                tqdm.write(str(line))

    def stopped_by_signal(self, step: int, signals: Sequence[int]) -> int:
        """Say that the run can go on from `step`, and close; returns the exit code.

        signals: those that this rank received; without one, another rank was told to stop.
        """
        self.info(
            f"stopped by a signal after step {step} and saved a checkpoint; continue with the same "
            "command and --resume"
        )
        self.close()
        return 128 + (signals[0] if signals else signal.SIGTERM)

    def validation_losses(self) -> str:
        """The first, last and lowest validation loss of metrics.jsonl, for people."""
        rows = read_metrics(self.folder, "valid")
        if not rows:
            return "metrics.jsonl has no validation loss"
        losses = [row["loss"] for row in rows]
        return (
            f"validation loss: {losses[0]:.4f} at the start, {losses[-1]:.4f} at the end, "
            f"{min(losses):.4f} at best; {rows[-1]['accuracy']:.1%} of the masked tokens right"
        )

    def results(self, *lines: object, trained: object) -> None:
        """Print what was learned, or that nothing was."""
        self.trained = bool(trained)
        self.info(*lines if trained else ["not trained: what is new in the model is random"])

    def finish(self, data: Sequence[str], next_command: str) -> None:
        """Close, draw the curves, and say what the run took and left.

        data: the files that it read. next_command: what to type now with a trained model.
        """
        self.close()
        if not self.ranks.is_main:
            return
        picture = plot_losses(self.folder)
        plot_speed(self.folder)
        if self.training_seconds:
            self.info(self._effort())
        left = f"model and logs are in {self.folder}, {_mib(self.folder)}"
        checkpoints = self.folder / "checkpoints"
        if checkpoints.exists():
            left += f" ({_mib(checkpoints)} of it in checkpoints/, which may go)"
        if picture:
            num_others = len(list(self.folder.glob("*.png"))) - 1
            left += f", the losses in {picture}, {num_others} more beside it"
        self.info(left)
        if self.trained:
            if sample.is_sample(data):
                self.info(sample.NOTE)
            self.info(f"next: {next_command}")

    def _effort(self) -> str:
        """Steps, time and speed of this start, evaluations left out, and memory; for people."""
        tokens = self.tokens_at_log - self.first_tokens
        steps = self.total_steps - self.start_step
        memory = hardware.peak_memory(self.ranks.device)
        return (
            f"{steps:,} steps, {tokens:,} tokens in {tqdm.format_interval(self.training_seconds)} "
            f"of training, {tokens / self.training_seconds:,.0f} tokens/s, at most "
            f"{memory / 2**20:,.0f} MiB of {'GPU ' * (self.ranks.device.type == 'cuda')}memory"
        )

    def close(self) -> None:
        """Close files and bar."""
        if self.ranks.is_main:
            self.bar.close()
            self.file.close()
            if self.board:
                self.board.close()


def _mib(folder: Path) -> str:
    """The size of what is in a folder."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{size / 2**20:,.1f} MiB"


def _library_versions() -> dict[str, str]:
    """The version of each of `LIBRARIES` that is imported."""
    loaded = [name for name in LIBRARIES if name in sys.modules]
    return {name: sys.modules[name].__version__ for name in loaded}
