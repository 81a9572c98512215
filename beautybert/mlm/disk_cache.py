"""Folders of what was computed from a corpus: made once, checked when opened, remade if corrupt."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from beautybert.files import read_json, write_json

if TYPE_CHECKING:  # it imports torch, which the processes that tokenise do without
    from beautybert.training.distributed import Ranks

T = TypeVar("T")
CHECKSUMS = "checksums.json"
HASHED_BYTES = 64 << 20  # of a file; of a longer one, as many in blocks over all of it
HASHED_BLOCKS = 64
WAIT = 60  # seconds that a rank gives its node's first to see that a folder is corrupt


def load_or_make(
    folder: Path, make: Callable[[Path], object], load: Callable[[Path], T], ranks: Ranks
) -> T:
    """What `load` reads in `folder`, which `make` fills if it is not there or is corrupt.

    Corrupt is what differs from its checksums, or `load` refuses. One rank of each node makes it,
    says so and the others wait. ValueError if what was just made is corrupt.
    """
    is_new = False

    def make_with_checksums(temporary: Path) -> None:
        nonlocal is_new
        make(temporary)
        write_json(temporary / CHECKSUMS, checksums_of(temporary))
        is_new = True

    give_up = math.inf
    while True:
        ranks.once_per_node(folder, make_with_checksums)
        give_up = min(give_up, time.monotonic() + WAIT)
        try:
            check(folder)
            return load(folder)
        except (ValueError, OSError) as error:
            if is_new or time.monotonic() > give_up:
                raise ValueError(f"{folder} is corrupt: {error}; is the disk full?") from None
            if ranks.local_rank == 0:
                print(f"{folder} is corrupt ({error}); it is made again", flush=True)
                _discard(folder)
            else:
                time.sleep(0.2)


def _discard(folder: Path) -> None:
    """Remove a folder; its name is free at once."""
    corrupt = folder.with_name(f"{folder.name}.corrupt-{platform.node()}-{os.getpid()}")
    try:
        folder.rename(corrupt)
    except FileNotFoundError:  # another node was faster
        return
    except OSError as error:
        raise ValueError(f"{folder} is corrupt, remove it: {error.strerror or error}") from None
    shutil.rmtree(corrupt, ignore_errors=True)


def check(folder: Path) -> None:
    """ValueError if a file of a folder is missing, new, or not what was written."""
    expected = read_json(folder / CHECKSUMS)
    found = checksums_of(folder)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise ValueError(f"{name} is missing")
        if expected.get(name) != found[name]:
            raise ValueError(f"{name} is not what was written")


def checksums_of(folder: Path) -> dict[str, str]:
    """The checksum of each file in a folder but for the list of them."""
    paths = [path for path in folder.iterdir() if path.name != CHECKSUMS]
    return {path.name: checksum(path) for path in sorted(paths)}


def checksum(path: Path) -> str:
    """A hash of a file's size and contents; of a very long file, of blocks from its start to its
    end.

    So a start of training waits 0.1 s for it; hashing all of it takes 2 s a GB. What happens to
    files is seen: one that is cut off, has zeros where a crash came before the disk, is of another
    run. A single bit in between is the disk's to notice.
    """
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        if size <= HASHED_BYTES:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
        else:
            block = HASHED_BYTES // HASHED_BLOCKS
            for i in range(HASHED_BLOCKS):
                file.seek((size - block) * i // (HASHED_BLOCKS - 1))
                digest.update(file.read(block))
    return digest.hexdigest()
