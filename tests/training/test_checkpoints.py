import json
import os
import resource
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from beautybert.training import checkpoints
from beautybert.training.checkpoints import Saver, list_checkpoints
from beautybert.training.distributed import Ranks
from beautybert.training.optim import ChainedOptimizer, make_optimizer, optimizer_state

ONE_RANK = Ranks(0, 0, 1, torch.device("cpu"))
NO_SCALER = torch.amp.GradScaler("cpu", enabled=False)


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0


@dataclass
class ProgressWithBest(Progress):
    best: dict = field(default_factory=dict)


def saver_of(folder, model, optimizer, *, keep=5, signature=None, ranks=ONE_RANK, best=None):
    signature = signature or {"seed": 1}
    return Saver(folder, signature, model, optimizer, NO_SCALER, keep, ranks, best)


def save(folder, step, size=1000, extra=None, **options):
    """Save a model of which every weight is `step`; returns the checkpoint's folder."""
    model = nn.Linear(size, 1, bias=False)
    nn.init.constant_(model.weight, float(step))
    optimizer = make_optimizer(model, 1e-3, 0.01)
    optimizer.state[model.weight] = {"exp_avg": torch.arange(float(size))[None]}
    saver = saver_of(folder, model, optimizer, **options)
    saver.save({"step": step, "tokens": 10 * step, **(extra or {})})
    assert saver.last_saved == step
    return folder / "checkpoints" / f"step-{step:08d}"


def names_of(folder):
    return [path.name for path in list_checkpoints(folder)]


def test_what_is_saved_is_read_back_and_only_the_last_are_kept(tmp_path):
    for step in (5, 10, 100):
        save(tmp_path, step, keep=2)
    assert names_of(tmp_path) == ["step-00000010", "step-00000100"]
    model, optimizer, state = checkpoints.read(checkpoints.newest_complete(tmp_path))
    assert (model["weight"] == 100).all()
    assert torch.equal(optimizer["exp_avg/weight"], torch.arange(1000.0)[None])
    assert state["progress"] == {"step": 100, "tokens": 1000}
    assert state["signature"] == {"seed": 1, "optimizer": "AdamW"}
    assert not list(tmp_path.rglob("*.tmp"))


def resume_with_best(folder, best, rank=0):
    model = nn.Linear(1000, 1, bias=False)
    ranks = Ranks(rank, rank, 1, torch.device("cpu"))
    saver = saver_of(folder, model, adamw(model), best=best, ranks=ranks)
    return saver.resume(ProgressWithBest(), 9).best


@pytest.mark.parametrize("can_link", [True, False])
@pytest.mark.parametrize("now", [b"best", b"other", None])
def test_the_best_weights_are_put_back_as_they_were(tmp_path, monkeypatch, can_link, now):
    """Whatever was written in the place of the loop's file, or into it."""
    if not can_link:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links")))
    best = tmp_path / "model.safetensors"
    best.write_bytes(b"best")
    kept = [save(tmp_path, step, best=best, extra={"best": {"step": 1}}) for step in (4, 5)]
    copies = [checkpoint / checkpoints.BEST for checkpoint in kept]
    assert os.path.samefile(*copies) == can_link
    if now:
        best.write_bytes(now)  # into the same file
    else:
        best.unlink()
    for rank in (1, 0):  # rank 0 writes
        assert resume_with_best(tmp_path, best, rank) == {"step": 1}
        assert (best.read_bytes() if best.exists() else None) == (now if rank else b"best")
    assert [path.read_bytes() for path in copies] == [b"best", b"best"]


def test_a_damaged_copy_of_the_best_weights_is_not_handed_on(tmp_path):
    best = tmp_path / "model.safetensors"
    best.write_bytes(b"best")
    (save(tmp_path, 4, best=best) / checkpoints.BEST).write_bytes(b"bust")
    assert (save(tmp_path, 5, best=best) / checkpoints.BEST).read_bytes() == b"best"


@pytest.mark.parametrize("lost", ["file", "copy", "both", "never saved"])
def test_best_weights_are_lost_only_with_both_copies(tmp_path, capsys, lost):
    best = tmp_path / "model.safetensors"
    best.write_bytes(b"best")
    saved = None if lost == "never saved" else best
    checkpoint = save(tmp_path, 5, best=saved, extra={"best": {"step": 1}})
    if lost in ("file", "both"):
        best.write_bytes(b"bust")
    if lost in ("copy", "both"):
        (checkpoint / checkpoints.BEST).write_bytes(b"bust")
    found = resume_with_best(tmp_path, best)
    is_lost = lost in ("both", "never saved")
    assert found == ({} if is_lost else {"step": 1})
    assert ("best weights until step-00000005 are lost" in capsys.readouterr().out) == is_lost
    if not is_lost:
        assert best.read_bytes() == b"best"


def test_other_ranks_write_nothing_and_know_what_is_saved(tmp_path):
    save(tmp_path, 5, ranks=Ranks(1, 1, 2, torch.device("cpu")))
    assert not list(tmp_path.iterdir())


# ---- resume ------------------------------------------------------------------------------------


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))


def sgd(model):
    return torch.optim.SGD(model.parameters(), 0.1)


def sgd_with_momentum(model):
    return torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)


def adamw(model):
    return make_optimizer(model, 1e-2, 0.01)


def sgd_and_adamw(model):
    first = torch.optim.SGD(model[0].parameters(), 0.1, momentum=0.9)
    return ChainedOptimizer(first, torch.optim.AdamW(model[1].parameters(), 1e-2))


def make_step(model, optimizer, seed):
    torch.manual_seed(seed)
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("make", [sgd, sgd_with_momentum, adamw, sgd_and_adamw])
def test_a_resumed_run_makes_the_same_next_step_bit_for_bit(tmp_path, make):
    model = two_layers()
    optimizer = make(model)
    for step in (1, 2):
        make_step(model, optimizer, seed=step)
    saver_of(tmp_path, model, optimizer).save({"step": 2, "tokens": 0})
    at_save = [p.clone() for p in model.parameters()]
    make_step(model, optimizer, seed=3)

    resumed = two_layers()
    its_optimizer = make(resumed)
    saver = saver_of(tmp_path, resumed, its_optimizer)
    assert saver.resume(Progress(), 9) == Progress(2)
    assert saver.last_saved == 2
    for p, expected in zip(resumed.parameters(), at_save, strict=True):
        assert torch.equal(p, expected)
    make_step(resumed, its_optimizer, seed=3)
    for p, expected in zip(resumed.parameters(), model.parameters(), strict=True):
        assert torch.equal(p, expected)
    state = optimizer_state(resumed, its_optimizer)
    expected_state = optimizer_state(model, optimizer)
    assert state.keys() == expected_state.keys()
    assert all(torch.equal(state[key], expected_state[key]) for key in state)


def test_nothing_saved_is_an_empty_progress(tmp_path, capsys):
    model = two_layers()
    saver = saver_of(tmp_path, model, sgd(model))
    assert saver.resume(Progress(), 9) == Progress()
    assert saver.last_saved == 0
    assert "starting at step 0" in capsys.readouterr().out


def test_a_checkpoint_beyond_the_end_of_the_run_is_refused(tmp_path):
    model = two_layers()
    saver_of(tmp_path, model, sgd(model)).save({"step": 2, "tokens": 0})
    saver = saver_of(tmp_path, model, sgd(model))
    assert saver.resume(Progress(), 2).step == 2
    with pytest.raises(ValueError, match="is after step 2, this run would end after 1; ask for"):
        saver.resume(Progress(), 1)


def with_state(folder, change):
    """Write another state.json into a checkpoint, with its checksum."""
    path = folder / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps(change(state)))
    sums = json.loads((folder / "checksums.json").read_text())
    sums["state.json"] = checkpoints.file_checksum(path)
    (folder / "checksums.json").write_text(json.dumps(sums))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"progress": {"step": "7", "tokens": 0}}, 'step is "7", must be a whole number'),
        ({"progress": {"step": -1, "tokens": 0}}, "step is -1, must be a whole number of at least"),
        ({"progress": {"step": 10**30, "tokens": 0}}, "step is 1000"),
        ({"progress": {"step": 7}}, "has no tokens, which must be a whole number"),
        ({"progress": [7]}, "progress is a list of 1, must be an object"),
        ({"scaler": [1]}, "scaler is a list of 1, must be an object"),
        ({"signature": "x"}, 'signature is "x", must be an object'),
    ],
)
def test_a_state_of_other_types_is_named(tmp_path, change, message):
    with_state(save(tmp_path, 7), lambda state: state | change)
    model = nn.Linear(1000, 1, bias=False)
    saver = saver_of(tmp_path, model, make_optimizer(model, 1e-3, 0.01))
    with pytest.raises(ValueError, match=message) as caught:
        saver.resume(Progress(), 9)
    assert "state.json" in str(caught.value)


@pytest.mark.parametrize(
    "sums",
    ["{}", "[]", "5", "", "null", '{"model.safetensors": 5}', "[" * 100_000, '{"../x": "y"}'],
)
def test_a_checkpoint_without_the_checksums_of_its_three_files_is_corrupt(tmp_path, sums):
    older = save(tmp_path, 5)
    (save(tmp_path, 7) / "checksums.json").write_text(sums)
    warnings = []
    assert checkpoints.newest_complete(tmp_path, warnings.append) == older
    assert len(warnings) == 1 and "step-00000007" in warnings[0]


@pytest.mark.parametrize("name", [*checkpoints.FILES, "checksums.json"])
@pytest.mark.parametrize("damage", ["flipped", "missing", "empty"])
def test_damage_to_any_file_of_a_checkpoint_is_noticed(tmp_path, name, damage):
    older, newer = save(tmp_path, 5), save(tmp_path, 7)
    path = newer / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else bytes(data))
    assert checkpoints.newest_complete(tmp_path, lambda text: None) == older


def test_another_runs_checkpoint_is_not_resumed_from(tmp_path):
    model = two_layers()
    saver_of(tmp_path, model, sgd(model)).save({"step": 2, "tokens": 0})
    saver = saver_of(tmp_path, model, sgd(model), signature={"seed": 2})
    with pytest.raises(ValueError, match="step-00000002 .* another run: seed was 1, is now 2"):
        saver.resume(Progress(), 9)


def test_another_kind_of_optimizer_does_not_resume(tmp_path):
    model = two_layers()
    saver_of(tmp_path, model, sgd_and_adamw(model)).save({"step": 2, "tokens": 0})
    with pytest.raises(ValueError, match=r"optimizer was SGD \+ AdamW, is now AdamW$"):
        saver_of(tmp_path, model, adamw(model)).resume(Progress(), 9)


def test_ranks_that_find_different_checkpoints_do_not_resume(tmp_path, monkeypatch):
    model = two_layers()
    saver_of(tmp_path, model, sgd(model)).save({"step": 2, "tokens": 0})
    monkeypatch.setattr(Ranks, "sum_counts", lambda self, *counts: counts)  # the other's are 0
    saver = saver_of(tmp_path, model, sgd(model), ranks=Ranks(0, 0, 2, torch.device("cpu")))
    with pytest.raises(ValueError, match="different checkpoints .* this one that of step 2"):
        saver.resume(Progress(), 9)


@pytest.mark.parametrize(
    "saved, current, message",
    [
        (
            {"model": {"layers": 2, "dropout": 0.1}},
            {"model": {"layers": 2, "dropout": 0}},
            r"another run: model\.dropout was 0\.1, is now 0$",
        ),
        (
            {"seed": 1, "corpus": "a"},
            {"seed": 1, "labels": [], "head": "mlp"},
            r"another program or version, .* \(corpus, head, labels\); train again",
        ),
        (
            {"seed": 1, "corpus": "a", "x": 0},
            {"seed": 2, "corpus": "b", "x": 0},
            "--resume: .* seed was 1, is now 2; corpus was a, is now b",
        ),
    ],
)
def test_every_change_of_the_signature_is_named(tmp_path, saved, current, message):
    checkpoints.check_signature(saved, dict(saved), tmp_path)
    with pytest.raises(ValueError, match=message):
        checkpoints.check_signature(saved, current, tmp_path)


# ---- corrupt checkpoints -----------------------------------------------------------------------


def cut(folder):
    data = (folder / "optimizer.safetensors").read_bytes()
    (folder / "optimizer.safetensors").write_bytes(data[:-100])


def flip(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def lose_state(folder):
    (folder / "state.json").unlink()


def lose_checksums(folder):
    (folder / "checksums.json").unlink()


def break_checksums(folder):
    (folder / "checksums.json").write_text("{")


@pytest.mark.parametrize("corrupt", [cut, flip, lose_state, lose_checksums, break_checksums])
def test_a_corrupt_checkpoint_is_skipped_with_a_warning(tmp_path, capsys, corrupt):
    complete = save(tmp_path, 1)
    newer = save(tmp_path, 2)
    corrupt(newer)
    assert checkpoints.find_corruption(complete) is None
    assert checkpoints.newest_complete(tmp_path) == complete
    assert f"warning: skipping {newer}" in capsys.readouterr().out
    again = save(tmp_path, 2)
    assert again == newer
    assert checkpoints.find_corruption(again) is None, "saved again over a corrupt one"


def test_what_is_after_the_saved_step_goes_before_anything_older(tmp_path):
    for step in (10, 20):
        save(tmp_path, step)
    cut(tmp_path / "checkpoints" / "step-00000020")
    save(tmp_path, 15, keep=1)
    assert names_of(tmp_path) == ["step-00000015"]


def test_none_at_all_is_none_and_none_complete_is_an_error(tmp_path):
    assert checkpoints.newest_complete(tmp_path) is None
    cut(save(tmp_path, 1))
    with pytest.raises(ValueError, match="none of the 1 checkpoints in .* is complete"):
        checkpoints.newest_complete(tmp_path)


def test_a_full_disk_leaves_the_previous_checkpoint_complete(tmp_path):
    complete = save(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # no file may grow beyond it, so writes fail in the middle
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    message = "could not save .*step-00000002: .*step-00000001 is complete: make room and --resume"
    try:
        with pytest.raises(ValueError, match=message):
            save(tmp_path, 2, keep=1, size=100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoints.newest_complete(tmp_path) == complete
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]


def test_a_checkpoint_of_an_older_version_is_refused_in_words(tmp_path):
    with_state(save(tmp_path, 1), lambda state: {"identity": {}, "step": 1})
    model = nn.Linear(1000, 1, bias=False)
    saver = saver_of(tmp_path, model, make_optimizer(model, 1e-3, 0.01))
    with pytest.raises(ValueError, match="was saved by another program or version"):
        saver.resume(Progress(), 9)
