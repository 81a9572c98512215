import resource

import pytest
import torch

from beautybert.training import checkpoints
from beautybert.training.checkpoints import list_checkpoints


def save(folder, step, keep=5, size=1000):
    return checkpoints.Saver(
        folder,
        step,
        {"w": torch.full((size,), float(step))},
        {"exp_avg/w": torch.arange(float(size))},
        {"tokens": 10 * step},
        keep,
    )


def test_what_is_saved_is_read_back_and_only_the_last_are_kept(tmp_path):
    for step in (5, 10, 100):
        save(tmp_path, step, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000010", "step-00000100"]
    model, optimizer, state = checkpoints.read(checkpoints.newest_complete(tmp_path))
    assert (
        (model["w"] == 100).all()
        and torch.equal(optimizer["exp_avg/w"], torch.arange(1000.0))
        and state == {"step": 100, "tokens": 1000}
    )
    assert not list(tmp_path.rglob("*.unfinished"))


def cut(folder):
    data = (folder / "optimizer.safetensors").read_bytes()
    (folder / "optimizer.safetensors").write_bytes(data[:-100])


def flip(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (folder / "model.safetensors").write_bytes(data)


@pytest.mark.parametrize(
    "tear",
    [
        cut,
        flip,
        lambda f: (f / "state.json").unlink(),
        lambda f: (f / "checksums.json").unlink(),
        lambda f: (f / "checksums.json").write_text("{"),
    ],
)
def test_a_torn_checkpoint_is_skipped_with_a_warning(tmp_path, capsys, tear):
    whole, torn = save(tmp_path, 1), save(tmp_path, 2)
    tear(torn)
    assert (
        checkpoints.find_corruption(whole) is None
        and checkpoints.newest_complete(tmp_path) == whole
    )
    assert f"warning: skipping {torn}" in capsys.readouterr().out
    assert checkpoints.find_corruption(save(tmp_path, 2)) is None, (
        "the same step can be saved again over a torn one"
    )


def test_what_lies_after_the_saved_step_goes_before_anything_older(tmp_path):
    for step in (10, 20):
        save(tmp_path, step)
    cut(tmp_path / "checkpoints" / "step-00000020")
    save(tmp_path, 15, keep=1)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000015"]


def test_none_at_all_is_none_and_none_whole_is_an_error(tmp_path):
    assert checkpoints.newest_complete(tmp_path) is None
    cut(save(tmp_path, 1))
    with pytest.raises(ValueError, match="none of the 1 checkpoints in .* is whole"):
        checkpoints.newest_complete(tmp_path)


def test_a_full_disk_leaves_the_previous_checkpoint_whole(tmp_path):
    whole = save(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (64 << 10, hard)
    )  # no file may grow beyond it: writes fail in the middle
    try:
        with pytest.raises(
            ValueError,
            match="could not save .*step-00000002: .*step-00000001 is whole: make room and --resume",
        ):
            save(tmp_path, 2, keep=1, size=100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoints.newest_complete(tmp_path) == whole and [
        path.name for path in (tmp_path / "checkpoints").iterdir()
    ] == ["step-00000001"]


def test_every_change_of_identity_is_named(tmp_path):
    checkpoints.check_signature({"seed": 1, "corpus": "a"}, {"seed": 1, "corpus": "a"}, tmp_path)
    with pytest.raises(ValueError, match=r"another run: model\.dropout was 0\.1, is now 0$"):
        checkpoints.check_signature(
            {"model": {"layers": 2, "dropout": 0.1}},
            {"model": {"layers": 2, "dropout": 0}},
            tmp_path,
        )
    with pytest.raises(
        ValueError, match="another program or version: only there corpus, only here head, labels"
    ):
        checkpoints.check_signature(
            {"seed": 1, "corpus": "a"}, {"seed": 1, "labels": [], "head": "mlp"}, tmp_path
        )
    with pytest.raises(
        ValueError, match="--resume: .* seed was 1, is now 2; corpus was a, is now b"
    ):
        checkpoints.check_signature(
            {"seed": 1, "corpus": "a", "x": 0}, {"seed": 2, "corpus": "b", "x": 0}, tmp_path
        )
