"""What torchrun tells a process, and the few things that ranks do together.

Without torchrun everything here is that of one rank and costs nothing.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from traceback import clear_frames

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process among all: `rank` of `world_size`, `local_rank` on its machine, and its device."""

    rank: int
    local_rank: int
    world_size: int
    device: torch.device

    @classmethod
    def from_environment(cls) -> Ranks:
        """From torchrun's variables; a GPU for each local rank if the machine has any, else the CPU.

        ValueError if there are fewer GPUs than local ranks.
        """
        rank, local_rank, world_size = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1))
        )
        if not torch.cuda.is_available():
            return cls(rank, local_rank, world_size, torch.device("cpu"))
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"local rank {local_rank} has no GPU: torchrun --nproc-per-node may be at most {torch.cuda.device_count()} here"
            )
        return cls(rank, local_rank, world_size, torch.device("cuda", local_rank))

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone prints and writes."""
        return self.rank == 0

    def connect(self) -> None:
        """Join the other ranks: NCCL for tensors on GPUs, gloo for those on the host, which so never wait for a GPU."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world_size > 1:
            dist.init_process_group("cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo")


def disconnects(when_memory_is_short: str) -> Callable[[Callable], Callable]:
    """Decorate a script's `main`: leave the group of ranks when it ends, and say what to do `when_memory_is_short` on the GPU.

    Whoever frees a gloo group joins its threads, one of which may still wait for the interpreter lock to drop a tensor. The group
    itself gives up the lock for that; DistributedDataParallel does not, and hangs (pytorch/pytorch#56297); the end of the process
    comes too late, and aborts (pytorch/pytorch#179291). So main's frame, with DistributedDataParallel in it, goes first. NCCL is
    left only when all ranks leave together.
    """

    def decorate(main: Callable) -> Callable:
        @wraps(main)
        def guarded(config):
            failed = False
            try:
                return main(config)
            except BaseException as error:
                failed = not isinstance(error, SystemExit)
                clear_frames(error.__traceback__)
                if isinstance(error, torch.OutOfMemoryError):
                    raise ValueError(
                        f"the GPU's memory does not suffice: {when_memory_is_short}"
                    ) from None
                raise
            finally:
                gc.collect()  # DistributedDataParallel stands in a circle of references
                if dist.is_initialized() and not (failed and torch.cuda.is_available()):
                    dist.destroy_process_group()

        return guarded

    return decorate


def wait_for_ranks() -> None:
    """Return when every rank has come here."""
    if dist.is_initialized():
        dist.barrier()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum over all ranks, in place and returned."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def once_per_machine(folder: Path, build: Callable[[Path], None], ranks: Ranks) -> Path:
    """Have one rank of each machine fill `folder` by `build(unfinished folder)`; the others wait. Returns the folder.

    It runs before the ranks are connected, so that no collective can time out over a long build. The folder appears under
    its name only when it is whole; where machines share the disk, the first to finish wins.
    """
    if folder.is_dir():
        return folder
    if ranks.local_rank != 0:
        while not folder.is_dir():  # should the builder fail, torchrun ends this process too
            time.sleep(0.2)
        return folder
    unfinished = folder.with_name(f"{folder.name}.unfinished-{os.uname().nodename}-{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        build(unfinished)
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT in the list it yields, for the loop to look at; a second one of a kind acts at once."""
    received: list[int] = []

    def remember(number: int, frame) -> None:
        received.append(number)
        signal.signal(number, before[number])

    before = {number: signal.signal(number, remember) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def amp_dtype(amp: str, device: torch.device) -> torch.dtype | None:
    """The dtype of autocast for --amp on this device; None for plain fp32.

    auto is bf16 on a GPU that has it and fp16 on one that has not, fp32 on a CPU. ValueError for fp16 on a CPU.
    """
    if amp == "auto":
        if device.type != "cuda":
            return None
        return (
            torch.bfloat16
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else torch.float16
        )
    if amp == "fp16" and device.type != "cuda":
        raise ValueError("--amp fp16 needs a GPU; on a CPU choose --amp none or bf16")
    return {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]
