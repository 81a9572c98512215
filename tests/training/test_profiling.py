import json
from types import SimpleNamespace

import pytest
import torch

from beautybert.training.profiling import NoProfiler, largest_items, profiler

CPU, CUDA = torch.autograd.DeviceType.CPU, torch.autograd.DeviceType.CUDA


def item(key, device, cpu_time, gpu_time, annotation=False):
    return SimpleNamespace(
        key=key,
        device_type=device,
        self_cpu_time_total=cpu_time,
        self_device_time_total=gpu_time,
        is_user_annotation=annotation,
    )


AVERAGES = [
    item("aten::mm", CPU, 5, 90),
    item("gemm", CUDA, 0, 90),
    item("gelu_kernel", CUDA, 0, 10),
    item("aten::gelu", CPU, 7, 10),
    item("ProfilerStep*", CPU, 70, 0),
    item("ProfilerStep*", CUDA, 0, 100, annotation=True),
]


def test_a_profile_of_a_gpu_counts_each_kernel_once():
    expected = [(90, "gemm"), (10, "gelu_kernel")]
    assert largest_items(AVERAGES, on_gpu=True) == (100, expected)
    assert largest_items(AVERAGES, on_gpu=True, count=1) == (100, expected[:1])


def test_a_profile_of_a_cpu_counts_its_operations():
    total, items = largest_items(AVERAGES, on_gpu=False)
    assert total == 12
    assert items[:2] == [(7, "aten::gelu"), (5, "aten::mm")]


def run_steps(folder, count, enabled=True):
    lines = []
    with profiler(folder, enabled, lines.append) as profile:
        for _ in range(count):
            torch.ones(50, 50) @ torch.ones(50, 50)
            profile.step()
    return profile, "\n".join(lines)


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells the times of a CPU")
def test_a_trace_is_written_and_told_after_six_steps(tmp_path):
    _, text = run_steps(tmp_path, 8)
    assert json.loads((tmp_path / "profile.json").read_text())["traceEvents"]
    assert text.startswith("CPU time of a step, ")
    assert text.count("CPU time of a step") == 1
    assert "aten::mm" in text


def test_too_few_steps_leave_no_trace_not_even_an_old_one(tmp_path):
    (tmp_path / "profile.json").write_text("of an earlier start")
    _, text = run_steps(tmp_path, 5)
    assert text == "--profile: no trace, as it takes six steps and this start made fewer"
    assert not list(tmp_path.iterdir())


def test_nothing_is_profiled_unless_asked(tmp_path):
    profile, text = run_steps(tmp_path, 8, enabled=False)
    assert isinstance(profile, NoProfiler)
    assert not text
    assert not list(tmp_path.iterdir())
