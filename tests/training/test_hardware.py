import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from beautybert.training import hardware

CPU = torch.device("cpu")
SMALL, LARGE = nn.Linear(10, 10), nn.Linear(1000, 1001)


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(hardware, "default_threads", lambda: 4)
    yield
    torch.set_num_threads(before)


def threads_of(threads, model, folder, resume=False, world_size=1):
    hardware.set_threads(threads, model, folder, resume, world_size)
    return torch.get_num_threads()


def test_threads_are_one_for_a_small_model_and_all_cores_for_a_large_one(tmp_path):
    assert threads_of(0, SMALL, tmp_path) == 1
    assert threads_of(0, LARGE, tmp_path) == 4


def test_what_the_user_says_comes_before_the_models_size(tmp_path, monkeypatch):
    assert threads_of(3, SMALL, tmp_path) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_of(0, SMALL, tmp_path) == 4
    assert threads_of(2, SMALL, tmp_path) == 2


def test_a_resume_computes_with_the_threads_of_the_first_start(tmp_path, monkeypatch):
    (tmp_path / "run.json").write_text(json.dumps({"threads": 3, "ranks": 1}))
    assert threads_of(0, SMALL, tmp_path, resume=True) == 3
    assert threads_of(0, SMALL, tmp_path, resume=False) == 1
    assert threads_of(0, SMALL, tmp_path, resume=True, world_size=2) == 1
    assert threads_of(2, SMALL, tmp_path, resume=True) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_of(0, SMALL, tmp_path, resume=True) == 4


@pytest.mark.parametrize("text", ["", "5", "{}", '{"threads": null, "ranks": 1}'])
def test_a_run_json_without_threads_is_as_if_there_were_none(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert threads_of(0, SMALL, tmp_path, resume=True) == 1


def test_peak_memory_is_that_of_the_process_in_bytes_and_stays_when_it_is_freed():
    held = torch.ones(2**28)  # a parent of one GiB more than the child
    code = (
        "import torch; from beautybert.training.hardware import peak_memory; "
        "cpu = torch.device('cpu'); before = peak_memory(cpu); "
        "held = torch.ones(2**26); del held; print(before, peak_memory(cpu))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert 2**26 < before < held.nbytes
    assert after - before == pytest.approx(2**28, rel=0.05)


@pytest.mark.parametrize(
    "name, dtype, expected",
    [
        ("NVIDIA H100 80GB HBM3", torch.bfloat16, 989e12),
        ("NVIDIA H100 PCIe", torch.bfloat16, 756e12),
        ("NVIDIA L40S", torch.float16, 362e12),
        ("NVIDIA H100 80GB HBM3", None, None),
        ("NVIDIA A100-SXM4-80GB", torch.bfloat16, 312e12),
        ("NVIDIA RTX A1000", torch.bfloat16, None),
        ("NVIDIA L40", torch.bfloat16, None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", torch.bfloat16, None),
    ],
)
def test_the_peak_of_a_gpu(monkeypatch, name, dtype, expected):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert hardware.peak_flops(torch.device("cuda"), dtype) == expected
    assert hardware.peak_flops(CPU, dtype) is None
