"""Pictures of a run, with the `plots` extra (matplotlib); without it nothing is drawn."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

STYLES: dict[str, dict[str, Any]] = {
    "train": {"linewidth": 0.8, "alpha": 0.7},
    "valid": {"marker": "o", "markersize": 4},
}


def plot_losses(folder: Path) -> Path | None:
    """Draw the losses of metrics.jsonl into loss.png; None without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure  # no pyplot: it would choose a window system

    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss (nats a target)")
    for split, style in STYLES.items():
        points = [(row["step"], row["loss"]) for row in rows if row["split"] == split]
        if points:
            steps, losses = zip(*points, strict=True)
            axes.plot(steps, losses, label=split, **style)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "loss.png", dpi=120)
    return folder / "loss.png"


def plot_confusion(folder: Path, confusion: np.ndarray, labels: Sequence[str]) -> Path | None:
    """Draw counts (C, C), a row a label and a column a prediction, into confusion.png.

    Each row is drawn as shares. None without matplotlib.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure

    inches = max(6.0, 0.16 * len(labels) + 3)
    figure = Figure(figsize=(inches, inches), layout="constrained")
    axes = figure.add_subplot(xlabel="prediction", ylabel="label")
    counts = confusion.sum(1)  # (C,)
    axes.imshow(confusion / counts[:, None].clip(min=1), cmap="Blues", vmin=0, vmax=1)
    names = [f"{label} ({count})" for label, count in zip(labels, counts, strict=True)]
    size = 9 if len(labels) < 40 else 6
    plain: dict[str, Any] = {"fontsize": size, "parse_math": False}  # a label may have dollar signs
    axes.set_xticks(range(len(labels)), labels, rotation=90, **plain)
    axes.set_yticks(range(len(labels)), names, **plain)
    axes.set_title(f"predictions of the {int(counts.sum()):,} test lists, as shares of each label")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # labels of other scripts are boxes
        figure.savefig(folder / "confusion.png", dpi=130)
    return folder / "confusion.png"
