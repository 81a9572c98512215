"""What a run takes of its machine: CPU threads, memory, and the share of a GPU's peak."""

from __future__ import annotations

import functools
import os
import re
import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

import torch
from torch import nn

from beautybert import files

# Parameters of an encoder from which on several threads pay. A tiny BERT's operations are so short
# that threads mostly wait for each other, on a busy machine tenfold.
MANY_PARAMETERS = 1_000_000
# Dense FLOP/s in bf16 or fp16 by words of the GPU's name, the first that is in it; NVIDIA's data
# sheets.
PEAK_FLOPS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "V100-SXM2": 125e12,
    "T4": 65e12,
}


@functools.cache
def default_threads() -> int:
    """Torch's own number of threads, before it is first set here: the cores, or OMP_NUM_THREADS."""
    return torch.get_num_threads()


def set_threads(
    threads: int, encoder: nn.Module, folder: Path, resume: bool, world_size: int
) -> None:
    """Set the number of threads that operations on the CPU use.

    threads: as the user says; 0: OMP_NUM_THREADS, else what the run in `folder` had if this is its
    `resume` on as many ranks, else one for an encoder of few parameters and one a core for any
    other. It does not depend on how busy the machine is, as sums in another order are other sums.
    """
    chosen = threads
    if not chosen and "OMP_NUM_THREADS" not in os.environ and resume:
        chosen = _threads_before(folder, world_size)
    default_threads()  # remembered before it is set
    torch.set_num_threads(chosen or threads_for(encoder))


def threads_for(encoder: nn.Module) -> int:
    """OMP_NUM_THREADS, else one for an encoder of few parameters and one a core for any other."""
    parameters = sum(p.numel() for p in encoder.parameters())
    if parameters < MANY_PARAMETERS and "OMP_NUM_THREADS" not in os.environ:
        return 1
    return default_threads()


def _threads_before(folder: Path, world_size: int) -> int:
    """The threads of an earlier start in its run.json; 0 if there is none on so many ranks."""
    try:
        contents = files.read_json(folder / "run.json")
        threads = files.value_of(contents, "threads", int, "run.json", at_least=1, at_most=1024)
        return threads if contents.get("ranks") == world_size else 0
    except (OSError, ValueError):
        return 0


def peak_memory(device: torch.device) -> int:
    """The most memory in bytes: of a GPU what tensors took, of a CPU what the process took."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")  # where there is none, getrusage(2), which a child inherits
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_flops(device: torch.device, dtype: torch.dtype | None) -> float | None:
    """FLOP/s that a GPU is made for in this dtype of autocast; None if that is not known.

    Nor is it of a part of a GPU (MIG).
    """
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return None
    name = torch.cuda.get_device_name(device)
    if "MIG" in name:
        return None
    known = (peak for words, peak in PEAK_FLOPS.items() if re.search(rf"\b{words}\b", name))
    return next(known, None)
