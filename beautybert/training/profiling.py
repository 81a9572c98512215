"""--profile: a torch.profiler trace of a few steps, and what takes longest in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

UNPROFILED_STEPS = 3
PROFILED_STEPS = 3


class NoProfiler:
    """Stands in for torch.profiler's profile where nothing is profiled."""

    def step(self) -> None:
        """Do nothing."""


@contextmanager
def profiler(
    folder: Path, enabled: bool, info: Callable[[str], None]
) -> Iterator[torch.profiler.profile | NoProfiler]:
    """Yields a profiler whose `step()` the loop calls after each step.

    With `enabled`, the fourth to sixth step of the process go to profile.json, for chrome://tracing
    or ui.perfetto.dev, and `info` is told the ten largest items in milliseconds a step: on the GPU
    if there is one, else on the CPU.
    """
    if not enabled:
        yield NoProfiler()
        return
    (folder / "profile.json").unlink(missing_ok=True)  # of an earlier start
    on_gpu = torch.cuda.is_available()

    def report(profile: torch.profiler.profile) -> None:
        if profile.step_num < UNPROFILED_STEPS + PROFILED_STEPS:
            return
        profile.export_chrome_trace(str(folder / "profile.json"))
        total, items = largest_items(profile.key_averages(), on_gpu)
        info(
            f"{'GPU' if on_gpu else 'CPU'} time of a step, {total / PROFILED_STEPS / 1e3:,.1f} ms "
            f"in all; the trace is {folder / 'profile.json'}"
        )
        for microseconds, name in items:
            milliseconds = microseconds / PROFILED_STEPS / 1e3
            info(f"  {milliseconds:10,.1f} ms {microseconds / total:6.1%}  {name[:100]}")

    activities = [torch.profiler.ProfilerActivity.CPU]
    if on_gpu:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    schedule = torch.profiler.schedule(
        wait=UNPROFILED_STEPS - 1, warmup=1, active=PROFILED_STEPS, repeat=1
    )
    with torch.profiler.profile(
        activities=activities, schedule=schedule, on_trace_ready=report
    ) as profile:
        yield profile
    if profile.step_num < UNPROFILED_STEPS + PROFILED_STEPS:
        info("--profile: no trace, as it takes six steps and this start made fewer")


def largest_items(
    averages: Sequence[Any], on_gpu: bool, count: int = 10
) -> tuple[float, list[tuple[float, str]]]:
    """Of torch.profiler's averages: microseconds in all, and (microseconds, name) of the largest.

    On a GPU only its kernels and copies count: the operations that launched them have the same time
    once more.
    """
    times = []
    for item in averages:
        if on_gpu:
            on_device = item.device_type != torch.autograd.DeviceType.CPU
            if on_device and not item.is_user_annotation:
                times.append((item.self_device_time_total, item.key))
        elif not item.key.startswith("ProfilerStep"):
            times.append((item.self_cpu_time_total, item.key))
    total = sum(microseconds for microseconds, _ in times)
    return total, sorted(times, reverse=True)[:count]
