"""What torchrun tells a process, and the few things that ranks do together.

Without torchrun everything here is that of one rank and costs nothing.
"""

from __future__ import annotations

import gc
import glob
import os
import platform
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from traceback import clear_frames
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

NO_CPU_MEMORY = "DefaultCPUAllocator: "  # begins what torch says where there is not enough


@dataclass(frozen=True)
class Ranks:
    """This process among all: `rank` of `world_size`, `local_rank` on its node, and its device."""

    rank: int
    local_rank: int
    world_size: int
    device: torch.device

    @classmethod
    def from_environment(cls) -> Ranks:
        """From torchrun's variables; a GPU for each local rank if the node has any, else the CPU.

        ValueError if there are fewer GPUs than local ranks.
        """
        rank = int(os.environ.get("RANK", 0))
        local_rank = int(os.environ.get("LOCAL_RANK", 0))
        world_size = int(os.environ.get("WORLD_SIZE", 1))
        if not torch.cuda.is_available():
            return cls(rank, local_rank, world_size, torch.device("cpu"))
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"local rank {local_rank} has no GPU: torchrun --nproc-per-node may be at most "
                f"{torch.cuda.device_count()} here"
            )
        return cls(rank, local_rank, world_size, torch.device("cuda", local_rank))

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which alone prints and writes."""
        return self.rank == 0

    def print0(self, *lines: object) -> None:
        """Print on rank 0, a line for each argument."""
        if self.is_main:
            print(*lines, sep="\n", flush=True)

    def share(self, count: int) -> range:
        """This rank's part of `count` equal pieces of work: rank, rank + world_size, ..."""
        return range(self.rank, count, self.world_size)

    def init_process_group(self) -> None:
        """Join the other ranks: NCCL for tensors on GPUs, gloo for those on the CPU.

        So a sum of numbers that are on the CPU never waits for a GPU.
        """
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world_size > 1:
            on_gpu = self.device.type == "cuda"
            backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
            dist.init_process_group(
                backend, store=_store(), rank=self.rank, world_size=self.world_size
            )

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, in place and returned."""
        if dist.is_initialized():
            dist.all_reduce(tensor)
        return tensor

    def sum_counts(self, *counts: float) -> list[float]:
        """Each count summed over all ranks, on the CPU: no GPU is waited for."""
        return self.sum(torch.tensor(counts, dtype=torch.float64)).tolist()

    def barrier(self) -> None:
        """Return when every rank has come here."""
        if dist.is_initialized():
            dist.barrier()

    def sync_gradients(self, ddp_model: Any, when: bool) -> None:
        """Have the next backward pass average gradients over ranks, or only add them up here.

        What DistributedDataParallel.no_sync() does, without a block around it.
        """
        if self.world_size > 1:
            ddp_model.require_backward_grad_sync = when

    def once_per_node(self, folder: Path, build: Callable[[Path], None]) -> Path:
        """Have one rank of each node fill `folder` by `build(temporary folder)`; returns `folder`.

        The others wait. It runs before `init_process_group`, so that no collective can time out
        over a long build. The folder appears under its name only when it is complete. Where nodes
        share the disk, the first to finish wins.
        """
        if folder.is_dir():
            return folder
        if self.local_rank != 0:
            while not folder.is_dir():  # if the builder fails, torchrun ends this process too
                time.sleep(0.2)
            return folder
        temporary = folder.with_name(f"{folder.name}.tmp-{platform.node()}-{os.getpid()}")
        for kind in ("tmp", "corrupt"):
            prefix = f"{folder.name}.{kind}-{platform.node()}-"
            for left in folder.parent.glob(f"{glob.escape(prefix)}*"):
                if left == temporary or not _is_running(left.name.removeprefix(prefix)):
                    shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
        temporary.mkdir(parents=True)
        try:
            build(temporary)
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder


def _store() -> dist.Store:
    """Where ranks find each other, apart from what those before a restart of torchrun left there.

    Its agent keeps one store over restarts (torch 2.11 and 2.13), in which new ranks would find the
    addresses of dead ones. Only on a single node is the number of restarts the same for all ranks;
    with several, TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 gives each start a store of its own.
    """
    store, _, _ = next(dist.rendezvous("env://"))
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE"):
        store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    return store


def _is_running(pid: str) -> bool:
    """Whether a process of this node has the number."""
    if os.name == "nt" or not pid.isdigit():  # os.kill would end it there
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


_at_end: list[Callable[[], None]] = []


def at_end(action: Callable[[], None]) -> None:
    """Have `entry_point` call it when `main` ends, however that is."""
    _at_end.append(action)


def entry_point(oom_hint: str) -> Callable[[Callable], Callable]:
    """Decorate a script's `main`: leave the process group at its end, explain a lack of memory.

    oom_hint: what to do about the latter.

    Whoever frees a gloo group joins its threads, one of which may still wait for the interpreter
    lock to drop a tensor. The group itself gives up the lock for that. DistributedDataParallel does
    not, and hangs (pytorch/pytorch#56297); the end of the process comes too late, and aborts
    (pytorch/pytorch#179291). So main's frame, with DistributedDataParallel in it, goes first. NCCL
    is left only if all ranks leave together.
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
                    raise ValueError(f"the GPU's memory does not suffice: {oom_hint}") from None
                if isinstance(error, MemoryError) or NO_CPU_MEMORY in str(error):
                    raise ValueError(f"the memory does not suffice: {oom_hint}") from None
                raise
            finally:
                while _at_end:
                    _at_end.pop()()
                gc.collect()  # DistributedDataParallel is in a circle of references
                if dist.is_initialized() and not (failed and torch.cuda.is_available()):
                    dist.destroy_process_group()

        return guarded

    return decorate


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT in a list, for the loop to look at; a second one acts at once."""
    received: list[int] = []

    def remember(number: int, frame) -> None:
        received.append(number)
        signal.signal(number, before[number])

    before: dict[int, Any] = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.signal(number, remember)
    try:
        yield received
    finally:
        for handled, handler in before.items():
            signal.signal(handled, handler)
