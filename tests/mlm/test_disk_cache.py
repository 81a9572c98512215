"""What is kept on disk is what was written, or it is made again."""

import os
import platform
import subprocess
import sys
from dataclasses import replace
from threading import Thread

import pytest
import torch

from beautybert.mlm import disk_cache
from beautybert.training.distributed import Ranks

FIRST = Ranks(0, 0, 2, torch.device("cpu"))
SECOND = replace(FIRST, rank=1, local_rank=1)


def make(folder):
    (folder / "a.txt").write_text("rose")


def load(folder):
    return (folder / "a.txt").read_text()


def test_other_ranks_wait_while_the_first_makes_a_corrupt_folder_again(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    assert disk_cache.load_or_make(folder, make, load, FIRST) == "rose"
    (folder / "a.txt").write_text("mint")
    loaded = []
    waiting = Thread(
        target=lambda: loaded.append(disk_cache.load_or_make(folder, make, load, SECOND))
    )
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    assert load(folder) == "mint"
    assert disk_cache.load_or_make(folder, make, load, FIRST) == "rose"
    waiting.join(10)
    assert loaded == ["rose"]


def test_what_the_system_leaves_in_a_folder_is_none_of_its_files(tmp_path):
    folder = tmp_path / "cache"
    made = []

    def note(temporary):
        made.append(temporary)
        make(temporary)

    for name in (None, ".DS_Store", ".nfs0001", "b.txt"):
        if name:
            (folder / name).write_text("")
        assert disk_cache.load_or_make(folder, note, load, FIRST) == "rose"
        assert len(made) == (2 if name == "b.txt" else 1)


def test_a_corrupt_folder_whose_removal_was_cut_short_is_removed_next_time(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = [tmp_path / f"cache.{what}-{platform.node()}-{dead.pid}" for what in ("corrupt", "tmp")]
    kept = tmp_path / f"cache.corrupt-{platform.node()}-{os.getppid()}"
    for path in (*left, kept):
        path.mkdir()
    disk_cache.load_or_make(folder, make, load, FIRST)
    assert {path.name for path in tmp_path.iterdir()} == {"cache", kept.name}


def test_what_was_just_made_and_cannot_be_read_is_an_error(tmp_path):
    made = []

    def refuse(folder):
        raise ValueError("no")

    with pytest.raises(ValueError, match="cache is corrupt: no"):
        disk_cache.load_or_make(tmp_path / "cache", made.append, refuse, FIRST)
    assert len(made) == 1


def test_a_rank_that_waits_in_vain_ends(tmp_path, monkeypatch):
    disk_cache.load_or_make(tmp_path / "cache", make, load, FIRST)
    (tmp_path / "cache" / "a.txt").unlink()
    monkeypatch.setattr(disk_cache, "WAIT", 0)
    with pytest.raises(ValueError, match="cache is corrupt: a.txt is missing"):
        disk_cache.load_or_make(tmp_path / "cache", make, load, SECOND)


@pytest.mark.parametrize("size", [64, 65, 1000])
def test_the_checksum_of_a_long_file_sees_its_size_its_ends_and_zeros(tmp_path, monkeypatch, size):
    monkeypatch.setattr(disk_cache, "HASHED_BYTES", 64)
    monkeypatch.setattr(disk_cache, "HASHED_BLOCKS", 8)
    path = tmp_path / "x"
    content = bytes(range(1, 256)) * 4
    content = content[:size]
    others = [
        content[:-1],
        content + b"a",
        b"a" + content[1:],
        content[:-1] + b"a",
        content[: size // 2] + bytes(size - size // 2),
        content[: size // 3] + bytes(size // 3) + content[size // 3 * 2 :],
    ]
    checksums = set()
    for written in (content, content, *others):
        path.write_bytes(written)
        checksums.add(disk_cache.checksum(path))
    assert len(checksums) == len(others) + 1
    (tmp_path / "long").write_bytes(bytes(size + 1))
    path.write_bytes(bytes(size))
    assert disk_cache.checksum(path) != disk_cache.checksum(tmp_path / "long")
