"""What a run writes down and shows: metrics.jsonl, a progress bar or plain lines, TensorBoard, a profile, plots."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm import tqdm


class RunLog:
    """The log of one run, kept by rank 0; on the other ranks `enabled=False` makes every call do nothing.

    On a terminal there is a progress bar, elsewhere a plain line for each `step` call.
    """

    def __init__(
        self,
        folder: Path,
        first_step: int,
        total_steps: int,
        enabled: bool = True,
        tensorboard: bool = False,
    ):
        self.enabled = enabled
        if not enabled:
            return
        self.total_steps, self.first_step, self.began = total_steps, first_step, time.perf_counter()
        self.file = open(folder / "metrics.jsonl", "a", encoding="utf-8")
        self.bar = tqdm(
            total=total_steps,
            initial=first_step,
            unit="step",
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )
        self.board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)

    def write(self, step: int, split: str, **values) -> None:
        """Append one line to metrics.jsonl, and to TensorBoard."""
        if not self.enabled:
            return
        self.file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        self.file.flush()
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(f"{split}/{name}", value, step)

    def show_step(self, step: int, loss: float, lr: float, tokens_per_second: float) -> None:
        """Advance the bar to `step`, or print a line with the time that is left."""
        if not self.enabled:
            return
        text = f"loss {loss:.4f}  lr {lr:.2e}  {tokens_per_second:,.0f} tokens/s"
        if not self.bar.disable:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(step - self.bar.n)
            return
        left = (
            (time.perf_counter() - self.began)
            / (step - self.first_step)
            * (self.total_steps - step)
        )
        print(
            f"step {step}/{self.total_steps}  {text}  {tqdm.format_interval(left)} left", flush=True
        )

    def say(self, text: str) -> None:
        """Print without disturbing the bar."""
        if self.enabled:
            tqdm.write(text) if not self.bar.disable else print(text, flush=True)

    def close(self) -> None:
        """Close files and bar."""
        if self.enabled:
            self.bar.close()
            self.file.close()
            if self.board:
                self.board.close()


def cut_back(folder: Path, step: int) -> None:
    """Drop from metrics.jsonl what was written after `step`, a half-written last line and the final test line, so that a resume writes each once."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            row = json.loads(line)
            if row["step"] <= step and row["split"] != "test" and line.endswith("\n"):
                kept.append(line)
        except ValueError:
            continue
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("".join(kept), encoding="utf-8")
    os.replace(unfinished, path)


UNPROFILED_STEPS, PROFILED_STEPS = 3, 3


def largest_items(
    averages: Sequence, on_gpu: bool, count: int = 10
) -> tuple[float, list[tuple[float, str]]]:
    """Of torch.profiler's averages the microseconds in all, and (microseconds, name) of the `count` items that take the most.

    On a GPU only its kernels and copies count: the operations that launched them carry the same time once more.
    """
    if on_gpu:
        times = [
            (item.self_device_time_total, item.key)
            for item in averages
            if item.device_type != torch.autograd.DeviceType.CPU and not item.is_user_annotation
        ]
    else:
        times = [
            (item.self_cpu_time_total, item.key)
            for item in averages
            if not item.key.startswith("ProfilerStep")
        ]
    return sum(microseconds for microseconds, _ in times), sorted(times, reverse=True)[:count]


@contextmanager
def profiler(log: RunLog, folder: Path, enabled: bool) -> Iterator[torch.profiler.profile | None]:
    """With `enabled`, yields a torch.profiler, whose `step()` the loop calls after each step; else None.

    The fourth to sixth step of the process go into profile.json, for chrome://tracing or ui.perfetto.dev, and the ten largest items are
    printed: milliseconds a step on the GPU, without one on the CPU.
    """
    if not enabled:
        yield None
        return
    (folder / "profile.json").unlink(missing_ok=True)  # of an earlier start

    def report(profile: torch.profiler.profile) -> None:
        if profile.step_num < UNPROFILED_STEPS + PROFILED_STEPS:
            return
        profile.export_chrome_trace(str(folder / "profile.json"))
        on_gpu = torch.cuda.is_available()
        total, items = largest_items(profile.key_averages(), on_gpu)
        log.say(
            f"{'GPU' if on_gpu else 'CPU'} time of a step, {total / PROFILED_STEPS / 1e3:,.1f} ms in all; the trace is {folder / 'profile.json'}"
        )
        for microseconds, name in items:
            log.say(
                f"  {microseconds / PROFILED_STEPS / 1e3:10,.1f} ms {microseconds / total:6.1%}  {name[:100]}"
            )

    activities = [torch.profiler.ProfilerActivity.CPU] + [
        torch.profiler.ProfilerActivity.CUDA
    ] * torch.cuda.is_available()
    schedule = torch.profiler.schedule(
        wait=UNPROFILED_STEPS - 1, warmup=1, active=PROFILED_STEPS, repeat=1
    )
    with torch.profiler.profile(
        activities=activities, schedule=schedule, on_trace_ready=report
    ) as profile:
        yield profile
    if profile.step_num < UNPROFILED_STEPS + PROFILED_STEPS:
        log.say("--profile: no trace, as it takes six steps and this start made fewer")


def need_extra(package: str, flag: str, extra: str) -> None:
    """ValueError that says what to install if `package`, which `flag` needs, is not there."""
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"{flag} needs the package {package}: pip install -e '.[{extra}]'")


def plot_confusion(folder: Path, confusion, labels: Sequence[str]) -> Path | None:
    """Draw counts (C, C), rows right and columns predicted, into confusion.png, each row as shares; None without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure

    inches = max(6.0, 0.16 * len(labels) + 3)
    figure = Figure(figsize=(inches, inches), layout="constrained")
    axes = figure.add_subplot(xlabel="prediction", ylabel="label")
    axes.imshow(
        confusion / confusion.sum(1, keepdims=True).clip(min=1), cmap="Blues", vmin=0, vmax=1
    )
    names = [f"{label} ({count})" for label, count in zip(labels, confusion.sum(1))]
    size = 9 if len(labels) < 40 else 6
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=size)
    axes.set_yticks(range(len(labels)), names, fontsize=size)
    axes.set_title(f"where the {int(confusion.sum()):,} test lists of each label went")
    figure.savefig(folder / "confusion.png", dpi=130)
    return folder / "confusion.png"


def plot_losses(folder: Path) -> Path | None:
    """Draw the losses of metrics.jsonl into loss.png; None, and nothing drawn, without matplotlib (the `plots` extra)."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import (
        Figure,
    )  # no pyplot: it would choose a window system for the whole process

    rows = [
        json.loads(line)
        for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss (nats a target)")
    for split, style in (
        ("train", {"linewidth": 0.8, "alpha": 0.7}),
        ("valid", {"marker": "o", "markersize": 4}),
    ):
        points = [(row["step"], row["loss"]) for row in rows if row["split"] == split]
        if points:
            axes.plot(*zip(*points), label=split, **style)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "loss.png", dpi=120)
    return folder / "loss.png"
