import os
import signal
import threading
import time

import pytest
import torch

from beautybert.training.distributed import Ranks, deferred_signals, entry_point, once_per_node
from beautybert.training.precision import amp_dtype

CPU = torch.device("cpu")


def test_without_torchrun_there_is_one_rank():
    ranks = Ranks.from_environment()
    assert (ranks.rank, ranks.world_size, ranks.first) == (0, 1, True)
    assert Ranks(torch.tensor([2.0])).item() == 2.0


def test_torchruns_variables_are_read(monkeypatch):
    for name, value in (("RANK", "5"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "8")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Ranks.from_environment() == Ranks(5, 1, 8, torch.device("cuda", 1))
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(
        ValueError, match="local rank 2 has no GPU: torchrun --nproc-per-node may be at most 2 here"
    ):
        Ranks.from_environment()


def test_one_rank_of_a_machine_builds_and_the_others_wait(tmp_path):
    built, seen = [], []

    def build(folder):
        built.append(folder)
        time.sleep(0.3)
        (folder / "file").write_text("whole")

    def rank(local_rank):
        folder = once_per_node(tmp_path / "x", build, Ranks(local_rank, local_rank, 3, CPU))
        seen.append((folder / "file").read_text())

    threads = [threading.Thread(target=rank, args=(i,)) for i in (2, 1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and seen == ["whole"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["x"], "the unfinished folder was left"


def test_a_build_that_fails_leaves_nothing_and_a_lost_race_is_no_error(tmp_path):
    def fail(folder):
        (folder / "half").write_text("")
        raise ValueError("bad data")

    def lose(folder):
        (folder / "mine").write_text("")
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "theirs").write_text("")

    one = Ranks(0, 0, 1, CPU)
    with pytest.raises(ValueError, match="bad data"):
        once_per_node(tmp_path / "x", fail, one)
    assert not list(tmp_path.iterdir())
    assert [path.name for path in once_per_node(tmp_path / "x", lose, one).iterdir()] == ["theirs"]


def test_a_full_gpu_becomes_advice_and_other_errors_stay(capsys):
    def fail_with(error):
        @entry_point("lower --micro-batch-size")
        def main(config):
            raise error

        return main

    with pytest.raises(ValueError, match="GPU's memory does not suffice: lower --micro-batch-size"):
        fail_with(torch.OutOfMemoryError("CUDA out of memory"))(None)
    with pytest.raises(KeyError):
        fail_with(KeyError("bug"))(None)
    assert entry_point("")(lambda config: config + 1)(1) == 2


def test_signals_are_collected_and_the_second_acts():
    with deferred_signals() as received:
        os.kill(os.getpid(), signal.SIGINT)
        assert received == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_autocast_dtype_for_each_device():
    assert [amp_dtype(name, CPU) for name in ("auto", "none", "bf16")] == [
        None,
        None,
        torch.bfloat16,
    ]
    assert amp_dtype("fp16", torch.device("cuda")) == torch.float16
    with pytest.raises(ValueError, match="--amp fp16 needs a GPU"):
        amp_dtype("fp16", CPU)
