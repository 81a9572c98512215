import json
import warnings

import numpy as np
import pytest

from beautybert.training import plots
from beautybert.training.plots import plot_confusion, plot_losses


def answered(counts):
    """Counts of labels by predictions (C, C) -> with a column of no answer, (C, C + 1)."""
    return np.pad(counts, ((0, 0), (0, 1)))


def test_the_picture_of_losses_has_a_curve_for_each_split(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.axes import Axes

    drawn = {}

    def remember(self, steps, losses, label, **style):
        drawn[label] = (tuple(steps), tuple(losses))
        return plot(self, steps, losses, label=label, **style)

    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", remember)
    rows = [
        {"step": 1, "split": "train", "loss": 3.0},
        {"step": 2, "split": "train", "loss": 1.5},
        {"step": 2, "split": "valid", "loss": 2.0, "accuracy": 0.75},
        {"step": 2, "split": "test", "loss": 9.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert plot_losses(tmp_path).read_bytes().startswith(b"\x89PNG")
    assert drawn == {
        "train loss": ((1, 2), (3.0, 1.5)),
        "valid loss": ((2,), (2.0,)),
        "valid accuracy": ((2,), (0.75,)),
    }


def test_the_picture_of_confusion_shows_each_row_as_shares(tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    num_dark = []
    for name, counts in (("uneven", [1, 50, 7]), ("even", [9, 9, 9])):
        (tmp_path / name).mkdir()
        path = plot_confusion(tmp_path / name, answered(np.diag(counts)), ["a", "b", "c"])
        assert path.read_bytes().startswith(b"\x89PNG")
        picture = imread(path)
        num_dark.append((picture[..., 2] - picture[..., 0] > 0.3).sum())
    # a full share is dark blue, however rare the label
    assert num_dark[1] and abs(num_dark[0] / num_dark[1] - 1) < 0.1


def test_without_matplotlib_nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(plots.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "split": "train", "loss": 3.0}\n')
    assert plot_losses(tmp_path) is None
    assert plot_confusion(tmp_path, answered(np.diag([1, 2])), ["a", "b"]) is None
    assert not list(tmp_path.glob("*.png"))


def test_labels_are_drawn_as_they_are_and_without_a_warning(tmp_path):
    """Dollar signs are no formulas; fonts have not all letters."""
    pytest.importorskip("matplotlib")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = plot_confusion(tmp_path, answered(np.eye(3, dtype=int)), [r"$\frac$", "口紅", "a"])
    assert path.read_bytes().startswith(b"\x89PNG")


def drawn_texts(folder, counts, labels, monkeypatch):
    """The titles and numbers that the picture of confusion gets."""
    from matplotlib.axes import Axes

    texts, numbers = [], []
    set_title, text = Axes.set_title, Axes.text

    monkeypatch.setattr(Axes, "set_title", lambda self, t: (texts.append(t), set_title(self, t)))

    def remember(self, x, y, number, **style):
        numbers.append((y, x, number))
        return text(self, x, y, number, **style)

    monkeypatch.setattr(Axes, "text", remember)
    plot_confusion(folder, counts, labels)
    return texts, [number for number in numbers if number[2]]


def test_the_picture_of_confusion_says_how_many_and_how_many_are_right(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    counts = answered(np.array([[3, 1], [0, 4]]))
    (title,), numbers = drawn_texts(tmp_path, counts, ["a", "b"], monkeypatch)
    assert title.startswith("8 test products, 87.5% right")
    assert numbers == [(0, 0, "3"), (0, 1, "1"), (1, 1, "4")]


def test_products_without_an_answer_count_as_wrong_in_the_picture_too(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    counts = np.array([[3, 1, 2], [0, 4, 0]])
    (title,), numbers = drawn_texts(tmp_path, counts, ["a", "b"], monkeypatch)
    assert title.startswith("10 test products, 70.0% right")
    assert numbers == [(0, 0, "3"), (0, 1, "1"), (0, 2, "2"), (1, 1, "4")]


def test_many_labels_have_no_numbers(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    labels = [f"label {i}" for i in range(plots.MOST_NUMBERED + 1)]
    counts = answered(np.eye(len(labels), dtype=int))
    assert drawn_texts(tmp_path, counts, labels, monkeypatch)[1] == []
