"""Disks that are full, read-only or damaged: one line, nothing lost, and the run goes on later."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import train_mlm
from beautybert.bert import pretrained
from beautybert.training import checkpoints
from tests.conftest import crash_at, losses, same_weights

# What may fail when something is written: the object that has it, and its name there.
WRITES = {
    "fsync": [(os, "fsync")],
    "rename": [(os, "replace"), (Path, "rename")],
    "write": [(checkpoints, "save_file"), (pretrained, "save_file")],
}


@pytest.fixture(scope="module")
def config(checkpoint, texts, tmp_path_factory) -> train_mlm.MlmConfig:
    """An unbroken run of half a second."""
    folder = tmp_path_factory.mktemp("whole")
    config = train_mlm.MlmConfig(
        data=(str(texts),),
        init=str(checkpoint),
        max_length=32,
        batch_tokens=128,
        micro_batch_tokens=128,
        max_steps=6,
        log_interval=1,
        save_interval=2,
        eval_interval=3,
        cache_dir=str(folder / "cache"),
        out=str(folder / "run"),
    )
    train_mlm.main(config)
    return config


class Failing:
    """Counts the calls of some functions and has one of them, or all from it on, fail."""

    def __init__(self, functions, at, for_good):
        self.calls = 0
        self.at = at
        self.for_good = for_good
        self.patch = pytest.MonkeyPatch()
        for owner, name in functions:
            self.patch.setattr(owner, name, self.instead_of(getattr(owner, name)))

    def instead_of(self, original):
        def called(*arguments, **keywords):
            self.calls += 1
            if self.calls == self.at or (self.for_good and self.calls > self.at):
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(*arguments, **keywords)

        return called


def run_failing(config, functions, at, for_good):
    """Run a config while a call fails; the message, None if it did not come to that call."""
    failing = Failing(functions, at, for_good)
    try:
        train_mlm.main(config)
    except (ValueError, OSError) as error:
        return str(error)
    finally:
        failing.patch.undo()
    return None


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize(
    "share",
    [0.5, *(pytest.param(i / 10, marks=pytest.mark.faults) for i in (0, 1, 2, 3, 4, 6, 7, 8, 9))],
)
@pytest.mark.parametrize("for_good", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_a_disk_that_gets_full_costs_nothing(config, tmp_path, kind, share, for_good, tried):
    counted = Failing(WRITES[kind], at=None, for_good=False)
    train_mlm.main(replace(config, out=str(tmp_path / "counted")))
    counted.patch.undo()
    at = 1 + int(share * counted.calls)
    other = replace(config, out=str(tmp_path / "run"))
    message = run_failing(other, WRITES[kind], at, for_good)
    assert message and "No space" in message and "\n" not in message
    assert train_mlm.main(replace(other, resume=True))["step"] == 6
    assert same_weights(other.out, config.out)
    assert losses(other.out) == losses(config.out)
    assert not [path for path in Path(other.out).rglob("*.tmp*")]
    tried(f"train_mlm: {kind} {at} of {counted.calls} failed{', for good' * for_good}; resumed")


@pytest.mark.faults
@pytest.mark.parametrize("size", [20_000, 60_000, 100_000])
def test_files_may_not_grow_over_a_limit_of_the_system(config, runner, tmp_path, size, tried):
    other = replace(config, out=str(tmp_path / "run"))
    code, text, _ = runner.run(other, file_size=size)
    assert code == 2 and "error: " in text.splitlines()[-1], text
    assert "Traceback" not in text
    code, text, _ = runner.run(replace(other, resume=True))
    assert code == 0, text
    assert same_weights(other.out, config.out)
    tried(f"train_mlm: files of at most {size:,} bytes; refused in a line, then resumed")


@pytest.mark.faults
def test_a_small_file_system_that_is_full(config, tmp_path, tried):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        other = replace(config, out=str(disk / "run"))
        with pytest.raises((ValueError, OSError), match="(?i)no space"):
            train_mlm.main(other)
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        assert train_mlm.main(replace(other, resume=True))["step"] == 6
        assert same_weights(other.out, config.out)
    finally:
        subprocess.run(["umount", str(disk)], check=False)
    tried("train_mlm: a file system of 600 KiB; refused in a line, resumed when it had grown")


@pytest.mark.parametrize("out", ["file/run", "/proc/nowhere/run", "/dev/null/run"])
def test_a_folder_that_cannot_be_made_is_one_line(config, runner, tmp_path, out):
    (tmp_path / "file").write_text("")
    code, text, _ = runner.run(replace(config, out=str(tmp_path / out)))
    assert code == 2 and text.splitlines()[-1].startswith("error: "), text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", [*checkpoints.FILES, "checksums.json"])
@pytest.mark.parametrize("damage", ["flipped", pytest.param("missing", marks=pytest.mark.faults)])
def test_a_damaged_checkpoint_is_skipped_and_the_run_still_the_same(
    config, tmp_path, name, damage, capsys, tried
):
    other = replace(config, out=str(tmp_path / "run"))
    with crash_at(5):
        train_mlm.main(other)
    path = Path(other.out) / "checkpoints" / "step-00000004" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.unlink()
    if damage == "flipped":
        path.write_bytes(bytes(content))
    capsys.readouterr()
    assert train_mlm.main(replace(other, resume=True))["step"] == 6
    printed = capsys.readouterr().out
    assert "warning: skipping" in printed and "step-00000002, step 2" in printed
    assert same_weights(other.out, config.out)
    assert losses(other.out) == losses(config.out)
    tried(f"train_mlm: {name} of the newest checkpoint {damage}; the one before was taken")
