import warnings

import numpy as np
import pytest
import torch

from beautybert.cls import plots
from beautybert.cls.plots import plot_confusion, plot_coverage, plot_reliability
from beautybert.training import metrics
from beautybert.training import plots as style
from tests.conftest import curves, pixels

MINIMUMS = (0.0, 0.5, 0.7, 0.9)


def answered(counts):
    """Counts of labels by predictions (C, C) -> with a column of no answer, (C, C + 1)."""
    return np.pad(counts, ((0, 0), (0, 1)))


def numbers(axes):
    """The numbers in a picture of confusion, by row and column."""
    found = {}
    for text in axes.texts:
        column, row = text.get_position()
        found[row, column] = int(text.get_text())
    return found


def ticks(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


@pytest.fixture
def logits():
    """Logits, target classes of 300 products of 5 labels, and which of them have an answer."""
    generator = torch.Generator().manual_seed(0)
    label_ids = torch.randint(5, (300,), generator=generator)
    logits = 2 * torch.randn(300, 5, generator=generator, dtype=torch.float64)
    logits[torch.arange(300), label_ids] += 2
    return logits, label_ids, torch.rand(300, generator=generator) < 0.9


def outcomes_of(logits, label_ids, is_answered):
    """What `draw` takes: a probability and whether the answer is right for each product."""
    probability, predicted = logits.softmax(-1).max(-1)
    is_correct = (predicted == label_ids) & is_answered
    return list(zip((probability * is_answered).tolist(), is_correct.tolist(), strict=True))


def everything(logits):
    """The arguments of `draw` for these products, but for the folder and the families."""
    values, label_ids, is_answered = logits
    labels = list("abcde")
    scores = metrics.classification_metrics(values, label_ids, labels, is_answered)
    scores["coverage"] = metrics.coverage(values, label_ids, is_answered, MINIMUMS)
    predicted = torch.where(is_answered, values.argmax(-1), 5)
    confusion = np.zeros((5, 6), dtype=int)
    np.add.at(confusion, (label_ids.numpy(), predicted.numpy()), 1)
    outcomes = {"all": outcomes_of(*logits), "name": outcomes_of(*logits)[:100]}
    return {"scores": scores, "confusion": confusion, "outcomes": outcomes}


# ---- all of them -------------------------------------------------------------------------------


def test_each_picture_is_there_in_its_size(tmp_path, logits):
    pytest.importorskip("matplotlib")
    families = {"a": "x", "b": "x"}
    paths = plots.draw(tmp_path, **everything(logits), families=families)
    assert [path.name for path in paths] == list(plots.PICTURES)
    assert {pixels(path) for path in paths} == {(1200, 700)}


def test_labels_that_are_families_have_no_second_picture(tmp_path, logits):
    pytest.importorskip("matplotlib")
    families = dict(zip("abcd", "abcd", strict=True))  # e has none
    paths = plots.draw(tmp_path, **everything(logits), families=families)
    assert "families.png" not in [path.name for path in paths]


def test_without_any_answer_there_is_no_picture_of_probabilities(tmp_path, logits):
    pytest.importorskip("matplotlib")
    values, label_ids, is_answered = logits
    nothing = (values, label_ids, torch.zeros_like(is_answered))
    paths = plots.draw(tmp_path, **everything(nothing), families={})
    assert [path.name for path in paths] == ["confusion.png", "classes.png"]


def test_without_matplotlib_nothing_is_drawn(tmp_path, logits, monkeypatch):
    monkeypatch.setattr(style.importlib.util, "find_spec", lambda name: None)
    assert plots.draw(tmp_path, **everything(logits), families={"a": "x"}) == []
    assert not list(tmp_path.iterdir())


# ---- confusion ---------------------------------------------------------------------------------


def test_the_picture_of_confusion_shows_each_row_as_shares(tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    num_dark = []
    for name, counts in (("uneven", [1, 50, 7]), ("even", [9, 9, 9])):
        (tmp_path / name).mkdir()
        path = plot_confusion(tmp_path / name, answered(np.diag(counts)), ["a", "b", "c"])
        picture = imread(path)
        num_dark.append((picture[..., 2] - picture[..., 0] > 0.3).sum())
    # a full share is dark blue, however rare the label
    assert num_dark[1] and abs(num_dark[0] / num_dark[1] - 1) < 0.1


def test_labels_are_drawn_as_they_are_and_without_a_warning(tmp_path, drawn):
    """Dollar signs are no formulas; fonts have not all letters."""
    labels = [r"$\frac$", "口紅", "a"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_confusion(tmp_path, answered(np.eye(3, dtype=int)), labels)
    axes = drawn["confusion.png"].axes[0]
    assert ticks(axes.xaxis) == labels
    assert not any(tick.get_parse_math() for tick in axes.xaxis.get_ticklabels())


def test_the_picture_of_confusion_says_how_many_and_how_many_are_right(tmp_path, drawn):
    plot_confusion(tmp_path, answered(np.array([[3, 1], [0, 4]])), ["a", "b"])
    axes = drawn["confusion.png"].axes[0]
    assert axes.get_title() == "8 test products, 87.5% right"
    assert numbers(axes) == {(0, 0): 3, (0, 1): 1, (1, 1): 4}
    assert (ticks(axes.yaxis), ticks(axes.xaxis)) == (["a (4)", "b (4)"], ["a", "b"])


def test_products_without_an_answer_count_as_wrong_in_the_picture_too(tmp_path, drawn):
    plot_confusion(tmp_path, np.array([[3, 1, 2], [0, 4, 0]]), ["a", "b"])
    axes = drawn["confusion.png"].axes[0]
    assert axes.get_title() == "10 test products, 70.0% right"
    assert numbers(axes) == {(0, 0): 3, (0, 1): 1, (0, 2): 2, (1, 1): 4}
    assert ticks(axes.xaxis) == ["a", "b", "no answer"]


def test_of_many_labels_the_commonest_are_drawn_and_all_are_counted(tmp_path, drawn):
    num_labels = plots.MOST_SHOWN + 10
    counts = np.random.default_rng(0).integers(0, 3, (num_labels, num_labels + 1))
    counts[::-1] += np.diag(np.arange(num_labels), 1)[:num_labels]  # rows of unlike size
    labels = [f"label {i}" for i in range(num_labels)]
    plot_confusion(tmp_path, counts, labels)
    axes = drawn["confusion.png"].axes[0]
    support = counts.sum(1)
    first, second = axes.get_title().split("\n")
    assert first == f"{counts.sum():,} test products, {counts.trace() / counts.sum():.1%} right"
    assert second.startswith(f"here the {plots.MOST_SHOWN} commonest of {num_labels} labels: ")
    assert len(ticks(axes.yaxis)) == plots.MOST_SHOWN
    assert ticks(axes.xaxis)[-2:] == ["another label", "no answer"]
    shown = [int(name.split()[1]) for name in ticks(axes.yaxis)]
    assert sorted(support)[-plots.MOST_SHOWN :] == sorted(support[shown]), "the commonest"
    found = numbers(axes)
    for row, label_id in enumerate(shown):
        in_row = [number for (at, _), number in found.items() if at == row]
        assert sum(in_row) == support[label_id], "every product is in its row"
        assert found.get((row, row), 0) == counts[label_id, label_id]


def test_long_labels_leave_room_for_the_picture(tmp_path, drawn):
    plot_confusion(tmp_path, answered(np.eye(4, dtype=int)), [f"{i}" + "W" * 300 for i in range(4)])
    axes = drawn["confusion.png"].axes[0]
    assert all(tick.get_window_extent().x0 > 0 for tick in axes.yaxis.get_ticklabels())
    assert all(tick.get_window_extent().y0 > 0 for tick in axes.xaxis.get_ticklabels())
    assert axes.get_position().width > 0.5 and axes.get_position().height > 0.5


def test_families_add_up_their_labels_and_a_label_without_one_is_its_own(tmp_path, drawn):
    counts = np.array([[3, 1, 0, 0], [2, 1, 1, 1], [0, 1, 5, 0]])
    plots.plot_families(tmp_path, counts, ["a", "b", "c"], {"a": "x", "b": "x"})
    axes = drawn["families.png"].axes[0]
    assert ticks(axes.yaxis) == ["x (9)", "c (6)"]
    assert numbers(axes) == {(0, 0): 7, (0, 1): 1, (0, 2): 1, (1, 0): 1, (1, 1): 5}
    assert axes.get_title() == "15 test products, 80.0% with the right family"


# ---- labels ------------------------------------------------------------------------------------


def bars(axes):
    return [bar.get_height() for bar in axes.patches]


def test_the_bars_of_the_labels_are_f1_whose_mean_is_the_macro_f1_of_the_title(
    tmp_path, drawn, logits
):
    asked = everything(logits)
    scores = asked["scores"]
    scores["per_class"]["never"] = {"f1": 0.0, "support": 0}  # neither a target nor an answer
    confusion = np.insert(np.vstack([asked["confusion"], np.zeros((1, 6), int)]), 5, 0, axis=1)
    plots.plot_classes(tmp_path, confusion, scores)
    figure = drawn["classes.png"]
    (axes,) = figure.axes
    assert np.mean(bars(axes)) == pytest.approx(scores["macro_f1"])
    support = [int(name.split("(")[1].rstrip(")")) for name in ticks(axes.xaxis)]
    assert support == sorted(confusion.sum(1)[:5], reverse=True)
    assert f"F1 of 5 labels; dashed their mean, macro-F1 {scores['macro_f1']:.3f}" == (
        figure.get_suptitle()
    )


@pytest.mark.parametrize("num_labels", [plots.MOST_BARS, plots.MOST_BARS + 1])
def test_many_labels_stand_in_two_rows(tmp_path, drawn, num_labels):
    scores = {"macro_f1": 0.5, "per_class": {}}
    for i in range(num_labels):
        scores["per_class"][f"label {i}"] = {"f1": i / num_labels, "support": 1}
    plots.plot_classes(tmp_path, answered(np.eye(num_labels, dtype=int)), scores)
    rows = [bars(axes) for axes in drawn["classes.png"].axes]
    assert len(rows) == 1 + (num_labels > plots.MOST_BARS)
    assert sum(rows, []) == [i / num_labels for i in range(num_labels)]
    assert "here the" not in drawn["classes.png"].get_suptitle()


def test_more_labels_than_have_room_are_left_out_and_the_title_says_so(tmp_path, drawn):
    num_labels = 2 * plots.MOST_BARS + 5
    rare = {"f1": 0.0, "support": 1}
    per_class = {f"label {i}": rare for i in range(num_labels)} | {"label 122": {**rare, "f1": 0.5}}
    per_class["label 123"] = {"f1": 1.0, "support": 9}
    scores = {"macro_f1": 0.5, "per_class": per_class}
    plots.plot_classes(tmp_path, answered(np.eye(num_labels, dtype=int)), scores)
    rows = [bars(axes) for axes in drawn["classes.png"].axes]
    assert sum(map(len, rows)) == 120 and rows[0][0] == 1.0 and 0.5 not in rows[1]
    title = drawn["classes.png"].get_suptitle()
    assert title.startswith("F1 of 125 labels") and title.endswith("here the 120 commonest")


# ---- what a probability means ------------------------------------------------------------------


def test_the_gaps_of_the_reliability_diagram_add_up_to_the_calibration_error(
    tmp_path, drawn, logits
):
    values, label_ids, is_answered = logits
    error = metrics.expected_calibration_error(values[is_answered], label_ids[is_answered])
    outcomes = outcomes_of(*logits)
    plot_reliability(tmp_path, outcomes, error)
    top, bottom = drawn["reliability.png"].axes
    counts = [height for height in bars(bottom) if height]
    points = top.containers[0].lines[0].get_xydata()
    gaps = [abs(confidence - accuracy) for confidence, accuracy in points]
    assert sum(counts) == int(is_answered.sum()) < len(outcomes)
    assert np.average(gaps, weights=counts) == pytest.approx(error)
    shares = np.average(points[:, 1], weights=counts)
    assert shares == pytest.approx(sum(right for _, right in outcomes) / sum(counts))
    assert top.get_title() == (
        f"{sum(counts):,} answers to 300 test products: calibration error {error:.3f} "
        "(ECE, 15 bins)"
    )


def test_the_intervals_of_the_reliability_diagram_end_where_shares_do(tmp_path, drawn):
    plot_reliability(tmp_path, [(0.99, True)] * 3 + [(0.5, False)] * 2 + [(1.0, True)], 0.1)
    top, _ = drawn["reliability.png"].axes
    (segments,) = (lines.get_segments() for lines in top.containers[0].lines[2])
    (low, high), (low_of_sure, high_of_sure) = (segment[:, 1] for segment in segments)
    assert low == pytest.approx(0, abs=1e-9) and 0.5 < high < 0.8
    assert high_of_sure == pytest.approx(1) and 0.3 < low_of_sure < 0.6


def test_coverage_goes_through_the_points_of_the_report(tmp_path, drawn, logits):
    outcomes = outcomes_of(*logits)
    coverage = metrics.coverage(*logits, MINIMUMS)
    plot_coverage(tmp_path, {"all": outcomes, "both": outcomes[:40]}, coverage)
    (axes,) = drawn["coverage.png"].axes
    found = curves(axes)
    curve = np.array(found["as they are (300 products)"])
    for level in coverage:
        nearest = np.abs(curve[:, 0] - level["answered"]).argmin()
        assert curve[nearest] == pytest.approx([level["answered"], level["correct"]])
    assert curve[-1, 0] == pytest.approx(coverage[0]["answered"]) and coverage[0]["answered"] < 1
    marks = {text.get_text(): text.xy for text in axes.texts}
    assert marks == {
        f"{level['min_probability']:g}": (level["answered"], level["correct"])
        for level in coverage[1:]
    }
    assert "name and list (40 products)" in found


def test_equal_probabilities_are_answered_together_and_few_answers_are_not_drawn():
    outcomes = [(0.9, True)] * 30 + [(0.5, False)] * 10 + [(0.0, False)] * 10
    assert plots.covered(outcomes)[0].tolist() == [0.6, 0.8]
    assert plots.covered(outcomes)[1].tolist() == [1.0, 0.75]
    few = [(1 - i / 100, True) for i in range(50)]
    assert plots.covered(few)[0][0] == plots.FEWEST / 50
    assert plots.covered(few[:3])[0].tolist() == [1.0], "all of fewer"
