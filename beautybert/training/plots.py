"""Pictures of a run, with the `plots` extra (matplotlib); without it nothing is drawn."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beautybert.training.metrics_file import read_metrics

MOST_NUMBERED = 40  # labels up to which the picture of confusion has numbers
STYLES: dict[str, dict[str, Any]] = {
    "train": {"linewidth": 0.8, "alpha": 0.7},
    "valid": {"marker": "o", "markersize": 4},
}


def plot_losses(folder: Path) -> Path | None:
    """Draw the losses of metrics.jsonl, and validation accuracy, into loss.png.

    None without matplotlib, or without a step of training.
    """
    rows = {split: read_metrics(folder, split) for split in STYLES}
    if importlib.util.find_spec("matplotlib") is None or not rows["train"]:
        return None
    from matplotlib.figure import Figure  # no pyplot: it would choose a window system
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss (nats a target)")
    for split, style in STYLES.items():
        points = [(row["step"], row["loss"]) for row in rows[split]]
        if points:
            steps, losses = zip(*points, strict=True)
            axes.plot(steps, losses, label=f"{split} loss", **style)
    valid = [row for row in rows["valid"] if "accuracy" in row]
    if valid:
        right = axes.twinx()
        right.set(ylabel="valid accuracy", ylim=(0, 1))
        right.yaxis.set_major_formatter(PercentFormatter(1))
        points = [(row["step"], row["accuracy"]) for row in valid]
        right.plot(
            *zip(*points, strict=True), label="valid accuracy", color="tab:green", linestyle="--"
        )
        last = valid[-1]
        axes.set_title(
            f"{folder.name}: validation loss {last['loss']:.2f}, accuracy {last['accuracy']:.1%} "
            f"after {last['step']:,} steps"
        )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3)
    figure.savefig(folder / "loss.png", dpi=120)
    return folder / "loss.png"


def plot_confusion(folder: Path, confusion: np.ndarray, labels: Sequence[str]) -> Path | None:
    """Draw counts (C, C + 1), a row a label and a column a prediction, into confusion.png.

    The last column is for products without an answer. Each row is drawn as shares, with its counts
    if there are few labels. None without matplotlib.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    inches = max(6.0, 0.16 * len(labels) + 3)
    figure = Figure(figsize=(inches, inches), layout="constrained")
    axes = figure.add_subplot(xlabel="prediction", ylabel="label")
    counts = confusion.sum(1)  # (C,)
    columns = [*labels, "no answer"]
    if not confusion[:, -1].any():
        columns.pop()
        confusion = confusion[:, :-1]
    shares = confusion / counts[:, None].clip(min=1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, format=PercentFormatter(1))
    bar.set_label("share of the label's products")
    names = [f"{label} ({count})" for label, count in zip(labels, counts, strict=True)]
    size = 9 if len(labels) < 40 else 6
    plain: dict[str, Any] = {"fontsize": size, "parse_math": False}  # a label may have dollar signs
    axes.set_xticks(range(len(columns)), columns, rotation=90, **plain)
    axes.set_yticks(range(len(labels)), names, **plain)
    if len(labels) <= MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(confusion):
            color = "white" if shares[row, column] > 0.5 else "black"
            text = f"{count}" if count else ""
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    accuracy = confusion.trace() / max(counts.sum(), 1)
    axes.set_title(
        f"{int(counts.sum()):,} test products, {accuracy:.1%} right\n"
        "in brackets those of each label"
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # labels of other scripts are boxes
        figure.savefig(folder / "confusion.png", dpi=130, bbox_inches="tight")
    return folder / "confusion.png"
