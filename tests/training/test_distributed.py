import os
import platform
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch import nn

from beautybert.training.distributed import Ranks, at_end, deferred_signals, entry_point

CPU = torch.device("cpu")


def test_without_torchrun_there_is_one_rank():
    ranks = Ranks.from_environment()
    assert (ranks.rank, ranks.world_size) == (0, 1)
    assert ranks.is_main
    assert ranks.sum(torch.tensor([2.0])).item() == 2.0
    assert ranks.sum_counts(3, 0.5) == [3, 0.5]


def test_torchruns_variables_are_read(monkeypatch):
    for name, value in (("RANK", "5"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "8")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Ranks.from_environment() == Ranks(5, 1, 8, torch.device("cuda", 1))
    monkeypatch.setenv("LOCAL_RANK", "2")
    message = "local rank 2 has no GPU: torchrun --nproc-per-node may be at most 2 here"
    with pytest.raises(ValueError, match=message):
        Ranks.from_environment()


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_the_shares_of_all_ranks_are_all_the_work_once(world_size):
    shares = [Ranks(rank, rank, world_size, CPU).share(8) for rank in range(world_size)]
    assert sorted(piece for share in shares for piece in share) == list(range(8))


def test_only_rank_0_prints(capsys):
    Ranks(1, 1, 2, CPU).print0("from rank 1")
    Ranks(0, 0, 2, CPU).print0("from rank 0", 2)
    assert capsys.readouterr().out == "from rank 0\n2\n"


def test_gradients_are_averaged_when_asked_and_only_with_other_ranks():
    model = nn.Linear(2, 1)
    Ranks(0, 0, 1, CPU).sync_gradients(model, when=False)
    assert not hasattr(model, "require_backward_grad_sync")
    ranks = Ranks(0, 0, 2, CPU)
    for when in (False, True):
        ranks.sync_gradients(model, when=when)
        assert model.require_backward_grad_sync is when


# ---- built once --------------------------------------------------------------------------------


def test_one_rank_of_a_node_builds_and_the_others_wait(tmp_path):
    built, seen = [], []

    def build(folder):
        built.append(folder)
        time.sleep(0.3)
        (folder / "file").write_text("complete")

    def run_rank(local_rank):
        ranks = Ranks(local_rank, local_rank, 3, CPU)
        folder = ranks.once_per_node(tmp_path / "x", build)
        seen.append((folder / "file").read_text())

    threads = [threading.Thread(target=run_rank, args=(i,)) for i in (2, 1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert seen == ["complete"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["x"], "a temporary folder was left"


def test_a_build_that_fails_leaves_nothing_behind(tmp_path):
    def fail(folder):
        (folder / "half").write_text("")
        raise ValueError("bad data")

    with pytest.raises(ValueError, match="bad data"):
        Ranks(0, 0, 1, CPU).once_per_node(tmp_path / "x", fail)
    assert not list(tmp_path.iterdir())


def test_a_build_that_another_node_finished_first_is_no_error(tmp_path):
    def lose_the_race(folder):
        (folder / "mine").write_text("")
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "theirs").write_text("")

    folder = Ranks(0, 0, 1, CPU).once_per_node(tmp_path / "x", lose_the_race)
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"], "a temporary folder was left"


def test_what_dead_builders_left_is_removed_and_what_others_build_is_not(tmp_path):
    """A container's processes have the same few numbers again and again."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    prefix = f"x.tmp-{platform.node()}-"
    left = [tmp_path / f"{prefix}{pid}" for pid in (dead.pid, os.getpid(), 10**30)]
    others = [tmp_path / f"{prefix}{os.getppid()}", tmp_path / "x.tmp-another-node-1"]
    for folder in [*left, *others]:
        folder.mkdir()
        (folder / "half").write_text("")
    Ranks(0, 0, 1, CPU).once_per_node(tmp_path / "x", lambda folder: None)
    assert not list((tmp_path / "x").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"x", *(path.name for path in others)}


# ---- the ends of a run -------------------------------------------------------------------------


def main_that_raises(error):
    @entry_point("lower --micro-batch-size")
    def main(config):
        raise error

    return main


def test_a_full_gpu_becomes_advice_and_other_errors_stay():
    with pytest.raises(ValueError, match="GPU's memory does not suffice: lower --micro-batch-size"):
        main_that_raises(torch.OutOfMemoryError("CUDA out of memory"))(None)
    for error in (
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
    ):
        with pytest.raises(ValueError, match="the memory does not suffice: lower --micro-batch-s"):
            main_that_raises(error)(None)
    with pytest.raises(KeyError):
        main_that_raises(KeyError("bug"))(None)
    with pytest.raises(SystemExit):
        main_that_raises(SystemExit(143))(None)
    assert entry_point("")(lambda config: config + 1)(1) == 2


def test_what_is_to_happen_at_the_end_happens_also_after_a_failure():
    done = []

    @entry_point("")
    def main(config):
        at_end(lambda: done.append(config))
        if config:
            raise KeyError(config)

    main(0)
    with pytest.raises(KeyError):
        main(1)
    main(0)
    assert done == [0, 1, 0]


@pytest.fixture
def interruptible():
    """SIGINT acts as at a terminal, also where the suite is started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_signals_are_collected_and_the_second_acts(interruptible):
    with deferred_signals() as received:
        os.kill(os.getpid(), signal.SIGINT)
        assert received == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
