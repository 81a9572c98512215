"""A run that is killed at any instant and resumed is the run that was not killed, bit for bit."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import contents, product_tables
from tests.faults.conftest import instants
from train_cls import ClsConfig
from train_mlm import MlmConfig

SCRIPTS = ("train_mlm", "train_cls")
TIMES = ("tokens_per_second", "peak_memory_mib", "mfu")
ONE_OF = {"train_mlm": ("fill_mask.json",), "train_cls": ("report.json", "predictions_test.csv")}
NUM_KILLS = 15
NUM_SIGNALS = 4
AT_ONCE = (4, 11)  # the kills that belong to the ordinary tests


@pytest.fixture(scope="module")
def configs(texts, tmp_path_factory):
    """Runs of a second or two that save, evaluate and export."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        "train_mlm": MlmConfig(
            data=(str(texts),),
            max_steps=40,
            max_length=32,
            vocab_size=200,
            eval_interval=10,
            save_interval=7,
            log_interval=1,
            cache_dir=str(folder / "cache"),
            out=str(folder / "mlm"),
        ),
        "train_cls": ClsConfig(
            **product_tables(folder),
            max_steps=30,
            max_length=32,
            vocab_size=200,
            eval_interval=6,
            save_interval=5,
            log_interval=1,
            min_per_label=1,
            baseline=False,
            out=str(folder / "cls"),
        ),
    }


@pytest.fixture(scope="module")
def whole(configs, runner):
    """Each script's unbroken run: its traces and its seconds."""
    found = {}
    for script, config in configs.items():
        first = replace(config, out=config.out + "-first")  # what is slow only once, is so here
        code, text, _ = runner.run(first)
        assert code == 0, text
        shutil.rmtree(getattr(config, "cache_dir", ""), ignore_errors=True)
        code, text, seconds = runner.run(config)
        assert code == 0, text
        assert trace(first.out, script) == trace(config.out, script)
        found[script] = (trace(config.out, script), seconds)
    return found


def trace(folder, script):
    """All that must be equal in two runs: curves without times, the model, what it answers."""
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    rows = [{key: row[key] for key in row if key not in TIMES} for row in rows]
    files = {name: (Path(folder) / name).read_bytes() for name in ONE_OF[script]}
    return rows, (Path(folder) / "model.safetensors").read_bytes(), files


def broken_and_resumed(config, runner, tmp_path, kill_after, number):
    """Run with the signal, then with --resume to the end; the first one's exit code."""
    config = replace(config, out=str(tmp_path / "out"))
    if hasattr(config, "cache_dir"):
        config = replace(config, cache_dir=str(tmp_path / "cache"))
    code, text, _ = runner.run(config, kill_after, number)
    assert code in (0, -number, 128 + number), text
    again, text, _ = runner.run(replace(config, resume=True))
    assert again == 0, text
    left = [name for name in contents(tmp_path) if ".tmp" in name or name.endswith(".lock")]
    assert not left, "something temporary is left after the end"
    return code, config.out


def check_kills(script, indices, configs, whole, runner, tmp_path, tried):
    expected, seconds = whole[script]
    shares = instants(NUM_KILLS, seed=len(script))
    num_killed = 0
    for i in indices:
        folder = tmp_path / str(i)
        folder.mkdir()
        kill_after = shares[i] * seconds
        arguments = (configs[script], runner, folder, kill_after, signal.SIGKILL)
        code, out = broken_and_resumed(*arguments)
        num_killed += code == -signal.SIGKILL
        assert trace(out, script) == expected, f"killed after {kill_after:.2f} s"
    assert num_killed >= len(indices) / 2, "most runs ended before they were killed"
    tried(f"{script}: {num_killed} of {len(indices)} runs killed, all resumed to the same end")


@pytest.mark.parametrize("script", SCRIPTS)
def test_two_kills(script, configs, whole, runner, tmp_path, tried):
    check_kills(script, AT_ONCE, configs, whole, runner, tmp_path, tried)


@pytest.mark.faults
@pytest.mark.parametrize("script", SCRIPTS)
def test_kills_at_random_instants(script, configs, whole, runner, tmp_path, tried):
    check_kills(script, range(NUM_KILLS), configs, whole, runner, tmp_path, tried)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("script", SCRIPTS)
def test_signals_at_random_instants(script, number, configs, whole, runner, tmp_path, tried):
    expected, seconds = whole[script]
    codes = []
    for i, share in enumerate(instants(NUM_SIGNALS, seed=number)):
        folder = tmp_path / str(i)
        folder.mkdir()
        arguments = (configs[script], runner, folder, share * seconds, number)
        code, out = broken_and_resumed(*arguments)
        codes.append(code)
        assert trace(out, script) == expected
    tried(f"{script}: {number.name} at {NUM_SIGNALS} instants, exit codes {codes}, all resumed")
