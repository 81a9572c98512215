import fcntl
import json
import math
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from beautybert.training import hardware, options, plots, runlog, sample
from beautybert.training.distributed import Ranks, entry_point
from beautybert.training.runlog import RunLog, every, truncate_metrics
from tests.conftest import ROOT

CPU = torch.device("cpu")
MAIN = Ranks(0, 0, 1, CPU)


@dataclass(frozen=True)
class Options:
    lr: float | None = options.option(None, "rate")


OPTIONS = Options(lr=0.1)
OTHER = Ranks(1, 1, 2, CPU)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def open_log(folder, start_step=0, total_steps=4, tensorboard=False, ranks=MAIN):
    return RunLog(folder, start_step, total_steps, tensorboard, ranks)


def log_step(log, step, loss=0.5, tokens_seen=1000, epoch=0.5, **more):
    log.train_step(step, torch.tensor(loss), 1e-3, torch.tensor(2.0), tokens_seen, epoch, **more)


class Clock:
    """Stands in for the module `time`; a test sets what it shows."""

    def __init__(self):
        self.seconds = 0.0

    def perf_counter(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(runlog, "time", clock)
    return clock


# ---- lines -------------------------------------------------------------------------------------


def test_lines_are_written_at_once_and_exactly(tmp_path):
    log = open_log(tmp_path)
    loss = 0.1 + 0.2
    log.write(1, "train", loss=loss)
    assert rows_of(tmp_path) == [{"step": 1, "split": "train", "loss": loss}]
    log.close()


def test_a_training_line_has_speed_and_the_time_left(tmp_path, capsys, clock):
    log = open_log(tmp_path)
    clock.seconds = 2.0
    log_step(log, 1, loss=0.25, tokens_seen=2469, epoch=0)
    log.close()
    memory = hardware.peak_memory(CPU) / 2**20
    expected = r"step 1/4  loss 0\.2500  lr 1\.00e-03  1,234 tokens/s  ([\d,]+) MiB  00:06 left\n"
    shown = re.fullmatch(expected, capsys.readouterr().out)
    assert abs(int(shown[1].replace(",", "")) - memory) < 50
    assert rows_of(tmp_path)[0].pop("peak_memory_mib") == pytest.approx(memory, abs=50)
    row = {"step": 1, "split": "train", "loss": 0.25, "lr": 1e-3, "grad_norm": 2.0}
    row |= {"tokens": 2469, "tokens_per_second": 1234.5, "epoch": 0}
    written = rows_of(tmp_path)[0]
    del written["peak_memory_mib"]
    assert written == row


def test_a_gpu_whose_peak_is_known_shows_the_share_of_it(tmp_path, clock, monkeypatch, capsys):
    monkeypatch.setattr(hardware, "peak_flops", lambda device, dtype: 1e6)
    log = open_log(tmp_path, ranks=Ranks(0, 0, 2, CPU))
    log.start_clock(0, flops_per_token=500.0, dtype=torch.bfloat16)
    clock.seconds = 2.0
    log_step(log, 1, tokens_seen=2000)  # 1,000 tokens/s x 500 FLOPs on 2 x 1e6 FLOP/s
    log.close()
    assert rows_of(tmp_path)[0]["mfu"] == 0.25
    assert "MFU 25.0%" in capsys.readouterr().out


def test_speed_is_of_the_steps_since_the_last_line_and_not_of_an_evaluation(tmp_path, clock):
    log = open_log(tmp_path, start_step=10, total_steps=14)
    clock.seconds = 3.0
    log.start_clock(tokens_seen=500)
    clock.seconds = 4.0
    log_step(log, 11, tokens_seen=600)
    with log.clock_stopped():
        clock.seconds = 100.0
    clock.seconds = 102.0
    log_step(log, 12, tokens_seen=1000)
    log.close()
    assert [row["tokens_per_second"] for row in rows_of(tmp_path)] == [100.0, 200.0]


def test_a_terminal_gets_a_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log = open_log(tmp_path, start_step=2)
    log_step(log, 4, loss=0.5)
    log.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "4/4" in captured.err
    assert "loss 0.5000" in captured.err


def test_other_ranks_write_nothing(tmp_path, capsys):
    log = open_log(tmp_path / "run", ranks=OTHER)
    log.write(1, "train", loss=1.0)
    log_step(log, 1)
    log.validation({"step": 1, "loss": 1.0})
    log.test(1, {"loss": 1.0})
    log.write_run_json(OPTIONS, {})
    log.info("a line")
    log.results("a result", trained=True)
    log.finish(["data.csv"], "a command")
    assert not list(tmp_path.iterdir())
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_validation_is_written_and_shown(tmp_path, capsys):
    log = open_log(tmp_path)
    metrics = {"step": 1000, "loss": 1.25, "perplexity": 3.49, "accuracy": 0.5, "targets": 2000}
    log.validation(metrics)
    log.close()
    assert rows_of(tmp_path) == [{"split": "valid", **metrics}]
    expected = "validation at step 1,000: loss 1.2500, perplexity 3.5, accuracy 50.0%"
    assert capsys.readouterr().out.startswith(expected)


def test_a_metric_that_nobody_foresaw_is_shown_too(tmp_path, capsys):
    log = open_log(tmp_path)
    log.validation({"step": 1, "loss": 1.0, "brier": 0.123456})
    log.close()
    assert "brier 0.1235" in capsys.readouterr().out


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("ranks", [MAIN, OTHER], ids=["main", "other"])
def test_a_validation_loss_that_is_not_finite_is_an_error_on_every_rank(tmp_path, ranks, loss):
    log = open_log(tmp_path, ranks=ranks)
    with pytest.raises(ValueError, match=f"step 3: the validation loss is {loss}"):
        log.validation({"step": 3, "loss": loss})
    log.close()
    assert not any(path.read_text() for path in tmp_path.iterdir()), "it is not written"


def test_of_the_test_split_only_scores_are_written(tmp_path):
    log = open_log(tmp_path)
    log.test(4, {"loss": 1.0, "ece": 0.1, "temperature": 1.5, "per_class": {}})
    log.close()
    assert rows_of(tmp_path) == [{"step": 4, "split": "test", "loss": 1.0, "ece": 0.1}]


def test_tensorboard_gets_every_number(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = open_log(tmp_path, tensorboard=True)
    log.write(1, "train", loss=3.0, lr=0.5)
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.value for event in events.Scalars("train/loss")] == [3.0]
    assert [(event.step, event.value) for event in events.Scalars("train/lr")] == [(1, 0.5)]


def test_tensorboard_gets_the_test_scores_by_input_and_by_label(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = open_log(tmp_path, tensorboard=True)
    by_input = {"name": {"accuracy": 0.5, "macro_f1": 0.25, "products": 8, "coverage": []}}
    per_class = {"Mist & Essence": {"f1": 0.75, "support": 4}}
    log.test(7, {"loss": 1.0, "by_input": by_input, "per_class": per_class, "pool": {"name": {}}})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        found[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
    assert found == {
        "test/loss": [(7, 1.0)],
        "test_by_input_accuracy/name": [(7, 0.5)],
        "test_by_input_macro_f1/name": [(7, 0.25)],
        "test_per_class_f1/Mist & Essence": [(7, 0.75)],
    }


def test_the_end_draws_the_losses_and_knows_first_last_and_best(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    log = open_log(tmp_path, total_steps=2)
    log_step(log, 1)
    for step, loss in enumerate((3.0, 1.0, 2.0)):
        log.validation({"step": step, "loss": loss, "accuracy": step / 4})
    log.finish(["products.json"], "a command")
    expected = "validation loss: 3.0000 at the start, 2.0000 at the end, 1.0000 at best; 50.0% of"
    assert log.validation_losses().startswith(expected)
    told = f"the losses in {tmp_path / 'loss.png'}, 1 more beside it"
    assert told in capsys.readouterr().out
    (tmp_path / "metrics.jsonl").write_text("")
    assert "no validation loss" in log.validation_losses()
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_the_end_says_what_the_run_took_and_left_and_what_to_type(
    tmp_path, clock, capsys, monkeypatch
):
    monkeypatch.setattr(plots, "can_draw", lambda: False)  # pictures weigh something too
    log = open_log(tmp_path, start_step=2, total_steps=4)
    log.start_clock(1000)
    for step in (3, 4):
        clock.seconds += 30.0
        log_step(log, step, tokens_seen=1000 * step - 1000)
        with log.clock_stopped():
            clock.seconds += 500.0
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "weights").write_bytes(bytes(3 * 2**20))
    (tmp_path / "model").write_bytes(bytes(2**20))
    log.results("it learned this", trained=True)
    capsys.readouterr()
    log.finish(["products.json"], next_command="python next.py")
    effort, left, command = capsys.readouterr().out.splitlines()
    assert effort.startswith("2 steps, 2,000 tokens in 01:00 of training, 33 tokens/s, at most ")
    assert f"{tmp_path}, 4.0 MiB (3.0 MiB of it in checkpoints/, which may go)" in left
    assert command == "next: python next.py"


def test_a_run_without_steps_shows_no_results_and_draws_nothing(tmp_path, capsys):
    log = open_log(tmp_path, total_steps=0)
    log.validation({"step": 0, "loss": 3.0})
    log.results("accuracy 3 %", trained=False)
    log.finish(["data/sample/cosmetics.csv"], "a command")
    shown = capsys.readouterr().out
    assert "accuracy 3 %" not in shown and "a command" not in shown and "not trained" in shown
    assert not (tmp_path / "loss.png").exists()


def test_what_is_trained_on_the_generated_sample_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data, expected in (
        (["data/sample/cosmetics.csv"], True),
        (["other.csv", "data/sample/cosmetics.csv"], False),
    ):
        log = open_log(tmp_path / str(len(data)), total_steps=1)
        log.finish(data, "a command")
        assert (sample.NOTE in capsys.readouterr().out) == expected


# ---- resuming ----------------------------------------------------------------------------------


def test_a_resume_drops_later_steps_and_half_a_line(tmp_path):
    lines = [json.dumps({"step": step, "split": "train", "loss": 1.0}) for step in (1, 2, 3, 2)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 2, "lo')
    truncate_metrics(tmp_path, 2)
    assert [row["step"] for row in rows_of(tmp_path)] == [1, 2, 2]
    truncate_metrics(tmp_path, 0)
    assert rows_of(tmp_path) == []
    truncate_metrics(tmp_path / "nowhere", 0)


@pytest.mark.parametrize("start_step, kept", [(2, [0, 1, 2]), (0, [])])
def test_a_log_goes_on_after_the_step_that_is_resumed(tmp_path, start_step, kept):
    log = open_log(tmp_path)
    for step in range(5):
        log.write(step, "valid", loss=1.0)
    log.write(2, "test", loss=1.0)
    log.close()
    open_log(tmp_path, start_step=start_step).close()
    assert [row["step"] for row in rows_of(tmp_path)] == kept


def test_run_json_says_what_ran_and_what_changed(tmp_path, capsys):
    log = open_log(tmp_path)
    log.write_run_json(OPTIONS, {"fingerprint": "a"})
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["config"] == written["used"] == {"lr": 0.1}
    assert written["command"] == "-m test_runlog --lr 0.1"
    assert written["threads"] == torch.get_num_threads()
    assert written["data"] == {"fingerprint": "a"}
    assert written["versions"]["torch"] == torch.__version__
    assert written["ranks"] == 1
    assert capsys.readouterr().out == ""
    log.write_run_json(Options(lr=0.2), {})
    assert "other than before: --lr 0.2 (was 0.1)" in capsys.readouterr().out
    log.close()


def test_a_run_folder_is_taken_only_by_its_own_resume(tmp_path):
    runlog.check_folder(tmp_path / "new", False, MAIN)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match="is not empty: choose another"):
        runlog.check_folder(tmp_path, False, MAIN)
    with pytest.raises(ValueError, match="is not empty and no run folder"):
        runlog.check_folder(tmp_path, True, MAIN)
    (tmp_path / "run.json").write_text("{}")
    runlog.check_folder(tmp_path, True, MAIN)
    runlog.check_folder(tmp_path, False, OTHER)


def test_a_folder_of_a_start_that_was_killed_early_counts_as_empty(tmp_path):
    for name in (runlog.LOCK, "metrics.jsonl", "run.json.123.tmp"):
        (tmp_path / name).write_text(runlog.LOCKED_BY)
    runlog.check_folder(tmp_path, False, MAIN)
    (tmp_path / "splits.csv").write_text("")  # a moment later
    with pytest.raises(ValueError, match="is not empty: choose another"):
        runlog.check_folder(tmp_path, False, MAIN)
    runlog.check_folder(tmp_path, True, MAIN)


def test_the_curves_of_another_run_are_not_taken_for_those_of_a_start_that_was_killed(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("{}")
    with pytest.raises(ValueError, match="is not empty: choose another"):
        runlog.check_folder(tmp_path, False, MAIN)


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    (tmp_path / "checkpoints" / "step-00000005.tmp").mkdir(parents=True)
    for name in (
        "run.json",
        "run.json.9.tmp",
        ".tmpAenNjX",
        "checkpoints/step-00000005.tmp/model.safetensors",
    ):
        (tmp_path / name).write_text("")
    runlog.check_folder(tmp_path, True, MAIN)
    assert not [path for path in tmp_path.rglob("*") if ".tmp" in path.name]


def test_a_start_that_failed_before_run_json_may_be_tried_again(tmp_path):
    @entry_point("")
    def main(config):
        runlog.check_folder(tmp_path / "run", False, MAIN)
        (tmp_path / "run" / "tensorboard").mkdir(exist_ok=True)
        (tmp_path / "run" / "metrics.jsonl").write_text("")
        raise OSError("No space left on device")

    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            main(None)


def test_a_run_folder_is_locked_for_one_process_until_it_ends(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from beautybert.training import runlog\n"
        "from beautybert.training.distributed import Ranks\n"
        "runlog.check_folder(Path(sys.argv[1]), False, Ranks.from_environment())\n"
        "print('taken', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    other = subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True)
    assert other.stdout.readline() == "taken\n"
    with pytest.raises(ValueError, match="run is in use by another process"):
        runlog.check_folder(tmp_path / "run", False, MAIN)
    with pytest.raises(ValueError, match="run is in use by another process"):
        runlog.check_folder(tmp_path / "run", True, MAIN)
    other.kill()
    other.wait()
    runlog.check_folder(tmp_path / "run", False, MAIN)


def test_a_lock_that_another_process_removes_is_not_taken(tmp_path, monkeypatch):
    """Between opening and locking it: a third could then take the same folder."""
    path = tmp_path / runlog.LOCK
    path.write_text(runlog.LOCKED_BY)
    lockf, locked = fcntl.lockf, []

    def lock_late(file, how):
        if not locked:
            path.unlink()
        locked.append(os.fstat(file.fileno()).st_ino)
        return lockf(file, how)

    monkeypatch.setattr(fcntl, "lockf", lock_late)
    assert not runlog.lock(path)
    assert locked[-1] == path.stat().st_ino and len(locked) == 2


def test_a_disk_on_which_no_two_looks_at_a_file_agree_is_no_endless_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "samestat", lambda *_: False)
    assert not runlog.lock(tmp_path / runlog.LOCK)


def test_somebody_elses_lock_does_not_make_a_folder_ours(tmp_path):
    (tmp_path / runlog.LOCK).write_text("1234\n")
    (tmp_path / "draft.tmp").write_text("mine")
    for resume in (False, True):
        with pytest.raises(ValueError, match="has a .lock of another program"):
            runlog.check_folder(tmp_path, resume, MAIN)
    assert (tmp_path / "draft.tmp").read_text() == "mine"
    assert (tmp_path / runlog.LOCK).read_text() == "1234\n"


def test_windows_closes_the_lock_before_it_removes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(runlog, "fcntl", None)
    path = tmp_path / runlog.LOCK
    runlog.lock(path)
    file, unlink = runlog._locks[path][0], Path.unlink

    def unlink_closed(self, **options):
        assert file.closed
        unlink(self, **options)

    monkeypatch.setattr(Path, "unlink", unlink_closed)
    runlog._unlock(path)
    assert not path.exists()


def test_a_folder_that_is_refused_is_left_as_it_was(tmp_path):
    @entry_point("")
    def main(config):
        runlog.check_folder(tmp_path, False, MAIN)

    (tmp_path / "notes.txt").write_text("x")
    for _ in range(2):
        with pytest.raises(ValueError, match="is not empty: choose another"):
            main(None)
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_is_named_by_the_file_that_it_met(tmp_path):
    log = RunLog(tmp_path, 0, 1, False, MAIN)
    log.file.close()
    log.file = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115
    with pytest.raises(OSError, match="No space left on device: '.*metrics.jsonl'"):
        log.write(1, "train", loss=1.0)
    with suppress(OSError):
        log.file.close()


def test_a_corrupt_tokenizer_of_an_earlier_start_is_made_again(tmp_path, capsys):
    def read(folder):
        if (folder / "tokenizer.json").read_text() != "good":
            raise ValueError("tokenizer.json is bad")

    assert runlog.resumed(tmp_path, True, read) is None
    path = tmp_path / "tokenizer.json"
    path.write_text("good")
    assert runlog.resumed(tmp_path, True, read) == tmp_path
    assert runlog.resumed(tmp_path, False, read) is None
    assert runlog.resumed(tmp_path / "new", True, read) is None
    path.write_text("")
    assert runlog.resumed(tmp_path, True, read) is None
    assert "tokenizer.json is bad; the tokenizer is made" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "5", "[]", "{}", '{"config": 5}', "[" * 100_000])
def test_a_corrupt_run_json_is_written_again(tmp_path, capsys, content):
    (tmp_path / "run.json").write_text(content)
    open_log(tmp_path).write_run_json(OPTIONS, {})
    assert json.loads((tmp_path / "run.json").read_text())["config"] == {"lr": 0.1}
    assert "run.json" in capsys.readouterr().err


@pytest.mark.parametrize("signals, code", [([2], 130), ([15], 143), ([], 143)])
def test_a_signal_ends_the_run_with_its_exit_code(tmp_path, capsys, signals, code):
    log = open_log(tmp_path)
    assert log.stopped_by_signal(3, signals) == code
    assert "after step 3 and saved a checkpoint" in capsys.readouterr().out
    assert log.file.closed


# ---- intervals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "interval, total_steps, expected",
    [
        (None, 100, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
        (None, 25, [3, 6, 9, 12, 15, 18, 21, 24, 25]),
        (None, 3, [1, 2, 3]),
        (0, 7, [7]),
        (3, 7, [3, 6, 7]),
        (7, 7, [7]),
        (100, 7, [7]),
    ],
)
def test_something_is_due_each_interval_and_at_the_end(interval, total_steps, expected):
    steps = range(1, total_steps + 1)
    assert [step for step in steps if every(interval, step, total_steps)] == expected


def test_the_profiler_runs_on_rank_0_alone(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        runlog, "profiler", lambda folder, enabled, info: asked.append(enabled) or SimpleNamespace()
    )
    for ranks in (MAIN, OTHER):
        open_log(tmp_path, ranks=ranks).profiler(True)
    assert asked == [True, False]


@pytest.mark.parametrize(
    "content, message", [("file", "is a file"), ("empty checkpoints", "no run folder")]
)
def test_what_is_no_run_folder_is_not_resumed(tmp_path, content, message):
    out = tmp_path / "out"
    if content == "file":
        out.write_text("mine")
    else:
        (out / "checkpoints").mkdir(parents=True)
        (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=message):
        runlog.check_folder(out, resume=True, ranks=MAIN)
