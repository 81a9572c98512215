import json
import warnings

import pytest

from beautybert.training import plots
from beautybert.training.plots import plot_losses, plot_speed
from tests.conftest import curves, pixels

ROWS = [
    {"step": 0, "split": "valid", "loss": 4.0, "accuracy": 0.25},
    {"step": 1, "split": "train", "loss": 3.0, "lr": 0.5, "grad_norm": 2, "tokens_per_second": 10},
    {"step": 2, "split": "train", "loss": 1.5, "lr": 0.1, "grad_norm": 5, "tokens_per_second": 30},
    {"step": 3, "split": "train", "loss": 1.0, "lr": 0.0, "grad_norm": 1, "tokens_per_second": 90},
    {"step": 3, "split": "valid", "loss": 2.0, "accuracy": 0.75},
    {"step": 3, "split": "test", "loss": 9.0},
]


def write_metrics(folder, rows=ROWS):
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def points(axes):
    """The points of the one line."""
    (line,) = axes.get_lines()
    return [tuple(point) for point in line.get_xydata()]


def test_the_losses_have_a_curve_for_each_split_and_the_learning_rate_below(tmp_path, drawn):
    path = plot_losses(write_metrics(tmp_path / "run"))
    assert path == tmp_path / "run" / "loss.png"
    losses, rates, accuracy = drawn["loss.png"].axes
    assert curves(losses) == {
        "training loss": [(1, 3.0), (2, 1.5), (3, 1.0)],
        "validation loss": [(0, 4.0), (3, 2.0)],
    }
    assert curves(accuracy) == {"validation accuracy": [(0, 0.25), (3, 0.75)]}
    assert points(rates) == [(1, 0.5), (2, 0.1), (3, 0.0)]
    assert losses.get_xlim() == rates.get_xlim(), "one below the other"
    assert losses.get_title() == "run: validation loss 2.00, accuracy 75.0% after 3 steps"
    assert losses.get_ylabel() == "loss (nats a target)"
    assert (rates.get_xlabel(), rates.get_ylabel()) == ("step", "learning rate")


def test_the_speed_has_the_gradient_norm_below_and_its_median_in_the_title(tmp_path, drawn):
    plot_speed(write_metrics(tmp_path / "run"))
    speed, norm = drawn["speed.png"].axes
    assert points(speed) == [(1, 10), (2, 30), (3, 90)]
    assert points(norm) == [(1, 2), (2, 5), (3, 1)]
    assert speed.get_title() == "run: 30 tokens/s in the median"
    assert (speed.get_ylabel(), norm.get_xlabel()) == ("tokens/s in training", "step")
    assert speed.get_ylim()[0] == 0 == norm.get_ylim()[0], "heights can be compared"
    plot_speed(write_metrics(tmp_path / "gpu", [{**row, "mfu": 0.5} for row in ROWS]))
    assert drawn["speed.png"].axes[0].get_title().endswith("median, 50.0% of the GPUs' peak")


def test_lines_without_some_number_leave_out_that_point_alone(tmp_path, drawn):
    rows = [dict(row) for row in ROWS]
    del rows[0]["accuracy"], rows[1]["lr"], rows[2]["grad_norm"]
    plot_losses(write_metrics(tmp_path, rows))
    plot_speed(tmp_path)
    losses, rates, accuracy = drawn["loss.png"].axes
    assert points(rates) == [(2, 0.1), (3, 0.0)]
    assert curves(accuracy) == {"validation accuracy": [(3, 0.75)]}
    assert len(curves(losses)["training loss"]) == 3
    assert points(drawn["speed.png"].axes[1]) == [(1, 2), (3, 1)]


def test_pictures_are_1200_by_700_pixels_whatever_style_the_user_has(tmp_path, drawn):
    import matplotlib

    mine = {"figure.dpi": 40, "savefig.dpi": 30, "savefig.bbox": "tight", "font.size": 40}
    write_metrics(tmp_path)
    with matplotlib.rc_context(mine):
        assert pixels(plot_losses(tmp_path)) == pixels(plot_speed(tmp_path)) == (1200, 700)
        assert matplotlib.rcParams["font.size"] == 40, "which it gets back"
    title = drawn["loss.png"].axes[0].title
    assert title.get_fontsize() == plots.STYLE["axes.titlesize"]


def test_without_matplotlib_or_a_step_of_training_nothing_is_drawn(tmp_path, monkeypatch):
    untrained = write_metrics(tmp_path / "untrained", ROWS[:1])
    assert plot_losses(untrained) is None and plot_speed(untrained) is None
    monkeypatch.setattr(plots.importlib.util, "find_spec", lambda name: None)
    write_metrics(tmp_path)
    assert plot_losses(tmp_path) is None and plot_speed(tmp_path) is None
    assert not list(tmp_path.rglob("*.png"))


def test_a_folder_is_called_as_it_is_and_without_a_warning(tmp_path, drawn):
    """Dollar signs are no formulas; fonts have not all letters."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_losses(write_metrics(tmp_path / r"$\frac$ 口紅"))
    title = drawn["loss.png"].axes[0].title
    assert title.get_text().startswith(r"$\frac$ 口紅: ") and not title.get_parse_math()


@pytest.mark.parametrize(
    ("last", "shown"), [(3, "3"), (20_000, "20,000"), (5_000_000, "5M"), (20_000_000_000, "20G")]
)
def test_counts_on_an_axis_are_short(tmp_path, last, shown):
    pytest.importorskip("matplotlib")
    with plots.picture(tmp_path / "x.png") as figure:
        axes = figure.add_subplot(xlim=(0, last))
        plots.as_count(axes.xaxis)
        assert axes.xaxis.get_major_formatter()(last) == shown
        assert all(tick % 1 == 0 for tick in axes.get_xticks())
