import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from beautybert.runlog import need_extra

from beautybert.training.plots import plot_confusion, plot_losses
from beautybert.training.profiling import largest_items
from beautybert.training.runlog import RunLog, truncate_metrics


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_lines_are_written_at_once_and_exactly(tmp_path, capsys):
    log = RunLog(tmp_path, first_step=0, total_steps=4)
    loss = 0.1 + 0.2
    log.write(1, "train", loss=loss)
    assert rows(tmp_path) == [{"step": 1, "split": "train", "loss": loss}]
    log.show_step(1, loss, 1e-3, 1234.5)
    log.close()
    assert (
        "step 1/4  loss 0.3000  lr 1.00e-03  1,234 tokens/s  00:00 left" in capsys.readouterr().out
    )


def test_a_terminal_gets_a_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log = RunLog(tmp_path, first_step=2, total_steps=4)
    log.show_step(4, 0.5, 1e-3, 100)
    log.close()
    captured = capsys.readouterr()
    assert captured.out == "" and "4/4" in captured.err and "loss 0.5000" in captured.err


def test_other_ranks_write_nothing(tmp_path):
    log = RunLog(tmp_path, 0, 4, enabled=False)
    log.write(1, "train", loss=1.0)
    log.show_step(1, 1.0, 1e-3, 1.0)
    log.close()
    assert not list(tmp_path.iterdir())


def test_cutting_back_drops_later_steps_and_half_a_line(tmp_path):
    lines = [json.dumps({"step": step, "split": "train", "loss": 1.0}) for step in (1, 2, 3, 2)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 2, "lo')
    truncate_metrics(tmp_path, 2)
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 2]
    truncate_metrics(tmp_path, 0)
    assert rows(tmp_path) == []
    truncate_metrics(tmp_path / "nowhere", 0)


def test_plot_is_a_picture_of_both_splits(tmp_path):
    pytest.importorskip("matplotlib")
    log = RunLog(tmp_path, 0, 2)
    for step in (1, 2):
        log.write(step, "train", loss=3.0 / step)
    log.write(2, "valid", loss=2.0)
    log.close()
    assert plot_losses(tmp_path).read_bytes().startswith(b"\x89PNG")


def test_confusion_picture_shows_each_row_as_shares(tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    (tmp_path / "even").mkdir()
    path = plot_confusion(tmp_path, np.diag([1, 50, 7]), ["a", "b", "c"])
    even = plot_confusion(tmp_path / "even", np.diag([9, 9, 9]), ["a", "b", "c"])
    blues = [
        (imread(picture)[..., 2] - imread(picture)[..., 0] > 0.3).sum() for picture in (path, even)
    ]  # a full share is dark blue, however rare the label
    assert path.read_bytes().startswith(b"\x89PNG") and abs(blues[0] / blues[1] - 1) < 0.1


def test_tensorboard_gets_every_number(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, 0, 2, tensorboard=True)
    log.write(1, "train", loss=3.0, lr=0.5)
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.value for event in events.Scalars("train/loss")] == [3.0] and events.Scalars(
        "train/lr"
    )[0].step == 1


def test_a_missing_extra_says_what_to_install():
    with pytest.raises(
        ValueError, match=r"--plots needs the package no_such_package: pip install -e '.\[plots\]'"
    ):
        need_extra("no_such_package", "--plots", "plots")


def test_a_profile_of_a_gpu_counts_each_kernel_once_and_one_of_a_cpu_its_operations():
    def item(key, device, cpu, gpu, annotation=False):
        return SimpleNamespace(
            key=key,
            device_type=device,
            self_cpu_time_total=cpu,
            self_device_time_total=gpu,
            is_user_annotation=annotation,
        )

    CPU, CUDA = torch.autograd.DeviceType.CPU, torch.autograd.DeviceType.CUDA
    averages = [
        item("aten::mm", CPU, 5, 90),
        item("gemm", CUDA, 0, 90),
        item("gelu_kernel", CUDA, 0, 10),
        item("aten::gelu", CPU, 7, 10),
        item("ProfilerStep*", CPU, 70, 0),
        item("ProfilerStep*", CUDA, 0, 100, annotation=True),
    ]
    assert largest_items(averages, on_gpu=True) == (100, [(90, "gemm"), (10, "gelu_kernel")])
    assert largest_items(averages, on_gpu=True, count=1) == (100, [(90, "gemm")])
    total, items = largest_items(averages, on_gpu=False)
    assert total == 12 and items[:2] == [(7, "aten::gelu"), (5, "aten::mm")]
