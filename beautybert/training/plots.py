"""Pictures of a run's curves, and the style that all pictures share.

They need the `plots` extra (matplotlib); without it nothing is drawn. Pictures of a classifier's
answers are in cls/plots.py, those that compare runs in beautybert/plots.py.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from beautybert.training.metrics_file import read_metrics

INCHES, DPI = (12, 7), 100  # 1,200 x 700 pixels
# Told apart by readers who see no red or no green (Okabe and Ito 2008, Color Universal Design).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, RED, GREEN = COLORS[:3]
LONGEST = 50  # letters of a folder's name in a title
STYLE: dict[str, Any] = {
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.markersize": 5,
    "text.parse_math": False,  # labels and folders may have dollar signs
}


# ---- the style ---------------------------------------------------------------------------------


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


@contextmanager
def picture(path: Path) -> Iterator[Any]:
    """A matplotlib figure to draw on, which becomes a PNG at the end of the block."""
    from matplotlib import style
    from matplotlib.figure import Figure  # no pyplot: it would choose a window system

    with style.context(STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # letters of other scripts are boxes
        figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
        yield figure
        figure.savefig(path)


def as_percent(axis: Any) -> None:
    """Show the shares on an axis as percent."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1))


def as_count(axis: Any) -> None:
    """Show whole numbers alone on an axis, with commas, large ones as 20k or 3M."""
    from matplotlib.ticker import EngFormatter

    axis.get_major_locator().set_params(integer=True)
    most = max(abs(end) for end in axis.get_view_interval())
    axis.set_major_formatter("{x:,.0f}" if most < 100_000 else EngFormatter(sep=""))


def shortened(text: str, longest: int) -> str:
    """A text that fits into a picture: at most so many letters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


# ---- one run -----------------------------------------------------------------------------------


def column(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """The steps of the lines of metrics.jsonl that have a number of this name, and the numbers."""
    found = [row for row in rows if name in row]
    return [row["step"] for row in found], [row[name] for row in found]


def plot_losses(folder: Path) -> Path | None:
    """Draw metrics.jsonl into loss.png: losses, validation accuracy; below the learning rate.

    None without matplotlib, or without a step of training.
    """
    train, valid = (read_metrics(folder, split) for split in ("train", "valid"))
    if not can_draw() or not train:
        return None
    path = folder / "loss.png"
    with picture(path) as figure:
        losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        name = shortened(folder.resolve().name, LONGEST)
        title = f"{name}: {train[-1]['step']:,} steps"
        losses.plot(*column(train, "loss"), label="training loss", color=BLUE, linewidth=1)
        losses.plot(*column(valid, "loss"), "o-", label="validation loss", color=RED)
        losses.set_ylabel("loss (nats a target)")
        steps, accuracies = column(valid, "accuracy")
        if steps:
            title = (
                f"{name}: validation loss {valid[-1]['loss']:.2f}, "
                f"accuracy {accuracies[-1]:.1%} after {steps[-1]:,} steps"
            )
            right = losses.twinx()
            right.plot(steps, accuracies, "s--", label="validation accuracy", color=GREEN)
            right.set(ylabel="validation accuracy", ylim=(0, 1))
            right.grid(False)
            as_percent(right.yaxis)
        losses.set_title(title)
        rates.plot(*column(train, "lr"), color=BLUE)
        rates.set(xlabel="step", ylabel="learning rate")
        rates.set_ylim(bottom=0)
        rates.yaxis.set_major_formatter("{x:.3g}")
        as_count(rates.xaxis)
        figure.legend(loc="outside lower center", ncols=3)
    return path


def plot_speed(folder: Path) -> Path | None:
    """Draw metrics.jsonl into speed.png: tokens a second; below the gradient norm.

    None without matplotlib, or without a step of training.
    """
    train = read_metrics(folder, "train")
    steps, speeds = column(train, "tokens_per_second")
    if not can_draw() or not steps:
        return None
    path = folder / "speed.png"
    with picture(path) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True)
        name = shortened(folder.resolve().name, LONGEST)
        title = f"{name}: {median(speeds):,.0f} tokens/s in the median"
        shares = column(train, "mfu")[1]
        if shares:
            title += f", {median(shares):.1%} of the GPUs' peak"
        top.set_title(title)
        top.plot(steps, speeds, color=BLUE)
        top.set_ylabel("tokens/s in training")
        top.set_ylim(bottom=0)
        as_count(top.yaxis)
        bottom.plot(*column(train, "grad_norm"), color=RED)
        bottom.set(xlabel="step", ylabel="gradient norm, before clipping")
        bottom.set_ylim(bottom=0)
        as_count(bottom.xaxis)
    return path
