"""Ranks that die: the others end too, and torchrun starts them again where they were."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

import train_mlm
from tests.conftest import losses, run_script, same_weights

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def config(checkpoint, texts, tmp_path_factory) -> train_mlm.MlmConfig:
    """An unbroken run of two ranks that saves after every fifth step."""
    folder = tmp_path_factory.mktemp("whole")
    config = train_mlm.MlmConfig(
        data=(str(texts),),
        init=str(checkpoint),
        max_length=32,
        batch_tokens=128,
        micro_batch_tokens=64,
        max_steps=400,
        log_interval=1,
        save_interval=5,
        eval_interval=0,
        cache_dir=str(folder / "cache"),
        out=str(folder / "run"),
    )
    done = run_script(config, folder, ranks=2)
    assert done.returncode == 0, done.stderr
    return config


def kill_a_rank(agent: int, out: Path, after_step: int) -> None:
    """SIGKILL rank 1 of a torchrun agent once there is a checkpoint of `after_step` or later."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.02)
        saved = sorted(out.glob("checkpoints/step-????????"))
        if not saved or int(saved[-1].name[-8:]) < after_step:
            continue
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
                environment = (status.parent / "environ").read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            if parent == agent and b"RANK=1" in environment:
                os.kill(int(status.parent.name), signal.SIGKILL)
                return
    raise AssertionError("there was no rank to kill")


def test_when_a_rank_dies_the_others_end_within_a_minute(config, tmp_path, tried):
    other = replace(config, out=str(tmp_path / "run"))
    agent = run_script(other, tmp_path, ranks=2, wait=False)
    kill_a_rank(agent.pid, Path(other.out), 50)
    killed = time.monotonic()
    agent.communicate(timeout=60)
    seconds = time.monotonic() - killed
    assert agent.returncode == 1
    done = run_script(replace(other, resume=True), tmp_path, ranks=2)
    assert done.returncode == 0, done.stderr
    assert same_weights(other.out, config.out) and losses(other.out) == losses(config.out)
    tried(f"train_mlm: one of two ranks killed; the other ended after {seconds:.0f} s; resumed")


def test_torchrun_starts_them_again_where_they_were(config, tmp_path, tried):
    other = replace(config, out=str(tmp_path / "run"), resume=True)
    launcher = ("--standalone", "--max-restarts=1")
    agent = run_script(other, tmp_path, ranks=2, wait=False, launcher=launcher)
    kill_a_rank(agent.pid, Path(other.out), 50)
    _, err = agent.communicate(timeout=120)
    assert agent.returncode == 0, err
    assert same_weights(other.out, config.out) and losses(other.out) == losses(config.out)
    tried("train_mlm: one of two ranks killed; --max-restarts 1 and --resume came to the same end")
