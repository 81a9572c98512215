"""metrics.jsonl is read whatever is in it."""

import json

import pytest

from beautybert.training.metrics_file import read_metrics, truncate_metrics

GOOD = [{"step": step, "split": "train", "loss": 1.0, "lr": 0.1} for step in (1, 2, 3)]
BAD = [
    "5",
    "null",
    "[]",
    "",
    "{",
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"step": "1", "split": "train", "loss": 1}',
    '{"step": -1, "split": "train", "loss": 1}',
    '{"step": 1.5, "split": "train", "loss": 1}',
    '{"step": 1, "split": 3, "loss": 1}',
    '{"step": 1, "split": "train"}',
    '{"step": 1, "split": "train", "loss": NaN}',
    '{"step": 1, "split": "train", "loss": null}',
    '{"step": 1, "split": "train", "loss": 1, "lr": "x"}',
    '{"step": 1, "split": "train", "loss": 1, "lr": [1]}',
    '{"step": 1, "split": "train", "loss": 1, "lr": true}',
    '{"split": "train", "loss": 1}',
    "\xff\x00",
]


@pytest.mark.parametrize("bad", BAD)
def test_lines_that_are_none_of_ours_are_left_out(tmp_path, bad):
    path = tmp_path / "metrics.jsonl"
    lines = [bad, json.dumps(GOOD[0]), bad, json.dumps(GOOD[1]), json.dumps(GOOD[2]), bad]
    path.write_bytes(("\n".join(lines) + "\n").encode("latin-1"))
    assert read_metrics(tmp_path, "train") == GOOD
    truncate_metrics(tmp_path, 2)
    assert path.read_text() == "".join(json.dumps(row) + "\n" for row in GOOD[:2])


def test_a_gradient_that_overflowed_is_kept(tmp_path):
    line = '{"step": 1, "split": "train", "loss": 1.0, "grad_norm": Infinity}\n'
    (tmp_path / "metrics.jsonl").write_text(line)
    truncate_metrics(tmp_path, 1)
    assert (tmp_path / "metrics.jsonl").read_text() == line


def test_without_the_file_there_are_no_lines(tmp_path):
    assert read_metrics(tmp_path, "train") == []
    truncate_metrics(tmp_path, 2)
    assert not list(tmp_path.iterdir())
