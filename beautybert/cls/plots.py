"""Pictures of a classifier's answers to the test products, in the style of training/plots.py.

Letters: C classes, F families, K rows of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beautybert.cls.model_card import CASE_NAMES, wilson_interval
from beautybert.training.plots import (
    BLUE,
    COLORS,
    RED,
    as_count,
    as_percent,
    can_draw,
    picture,
    shortened,
)

PICTURES = ("confusion.png", "families.png", "classes.png", "reliability.png", "coverage.png")
MOST_SHOWN = 30  # labels or families of a picture of confusion
MOST_BARS = 60  # in a row; there are at most two rows
LONGEST = 24  # letters of a label
BINS = 15  # as metrics.expected_calibration_error has them
FEWEST = 20  # products of which a share is drawn
LINES = {"all": "-", "name": "--", "ingredients": "-.", "both": ":"}


def draw(
    folder: Path,
    scores: Mapping[str, Any],
    confusion: np.ndarray,
    families: Mapping[str, str],
    outcomes: Mapping[str, Sequence[tuple[float, bool]]],
) -> list[Path]:
    """Draw `PICTURES` into a run folder and return their paths; none without matplotlib.

    That of families only if there are families of several labels, the last two only if there is an
    answer. scores: what report.json holds. confusion: counts (C, C + 1), a row a label in id order
    and a column a prediction, the last for no answer. families: label -> family, of those that have
    one. outcomes: by input, or "all", the probability of each product's answer and whether it is
    right; (0, False) for no answer.
    """
    if not can_draw():
        return []
    labels = list(scores["per_class"])
    paths = [plot_confusion(folder, confusion, labels)]
    if len({families.get(label, label) for label in labels}) < len(labels):
        paths.append(plot_families(folder, confusion, labels, families))
    paths.append(plot_classes(folder, confusion, scores))
    if any(probability for probability, _ in outcomes["all"]):
        paths.append(plot_reliability(folder, outcomes["all"], scores["ece"]))
        paths.append(plot_coverage(folder, outcomes, scores["coverage"]))
    return paths


# ---- which labels are told apart ---------------------------------------------------------------


def plot_confusion(folder: Path, confusion: np.ndarray, labels: Sequence[str]) -> Path:
    """Draw the confusion of the commonest labels, rows and columns as for `draw`."""
    title = f"{confusion.sum():,} test products, {_accuracy(confusion):.1%} right"
    return _plot_counts(folder / "confusion.png", confusion, labels, "label", title)


def plot_families(
    folder: Path, confusion: np.ndarray, labels: Sequence[str], families: Mapping[str, str]
) -> Path:
    """Draw the confusion of the commonest families; a label without one is its own."""
    family_of = [families.get(label, label) for label in labels]
    names = sorted(set(family_of))
    index = [names.index(family) for family in family_of]
    counts = np.zeros((len(names), len(names) + 1), dtype=int)  # (F, F + 1)
    np.add.at(counts, np.ix_(index, [*index, len(names)]), confusion)
    title = f"{counts.sum():,} test products, {_accuracy(counts):.1%} with the right family"
    return _plot_counts(folder / "families.png", counts, names, "family", title)


def _accuracy(counts: np.ndarray) -> float:
    """The share of counts (K, K + 1) that is on the diagonal."""
    return counts.trace() / max(counts.sum(), 1)


def _plot_counts(
    path: Path, counts: np.ndarray, names: Sequence[str], what: str, title: str
) -> Path:
    """Draw the commonest rows of counts (K, K + 1) as shares of a row, with the counts.

    Predictions of the others are one column, and no answer is one.
    """
    support = counts.sum(1)  # (K,)
    order = np.argsort(-support, kind="stable")
    shown, others = order[:MOST_SHOWN], order[MOST_SHOWN:]
    extra = {f"another {what}": counts[shown][:, others].sum(1), "no answer": counts[shown, -1]}
    extra = {name: column for name, column in extra.items() if column.any()}
    cells = np.column_stack([counts[shown][:, shown], *extra.values()])
    shares = cells / support[shown, None].clip(min=1)
    if len(others):
        count = support[shown].sum()
        share = cells.trace() / max(count, 1)
        plural = "families" if what == "family" else "labels"
        title += (
            f"\nhere the {len(shown)} commonest of {len(names)} {plural}: {count:,} products, "
            f"{share:.1%} right"
        )
    size = 9 if len(shown) <= 20 else 7
    with picture(path) as figure:
        axes = figure.add_subplot(title=title, xlabel="prediction")
        axes.set_ylabel(f"{what} (test products)")
        axes.grid(False)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30)
        bar.set_label(f"share of the {what}'s products")
        as_percent(bar.ax.yaxis)
        columns = [*(shortened(names[i], LONGEST) for i in shown), *extra]
        rows = [f"{shortened(names[i], LONGEST)} ({support[i]:,})" for i in shown]
        tilted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(columns)), columns, fontsize=size + 1, **tilted)
        axes.set_yticks(range(len(rows)), rows, fontsize=size + 1)
        axes.axvline(len(shown) - 0.5, color="gray", linewidth=1 if extra else 0)
        for (row, column), number in np.ndenumerate(cells):
            color = "white" if shares[row, column] > 0.5 else "black"
            if number:
                place = {"ha": "center", "va": "center"}
                axes.text(column, row, f"{number}", color=color, fontsize=size, **place)
    return path


def plot_classes(folder: Path, confusion: np.ndarray, scores: Mapping[str, Any]) -> Path:
    """Draw the F1 of each label that occurs in the test split or its answers, commonest first.

    confusion, scores: as for `draw`.
    """
    occurs = confusion.sum(1) + confusion.sum(0)[:-1] > 0  # (C,)
    classes = list(scores["per_class"].items())
    found = sorted((classes[i] for i in occurs.nonzero()[0]), key=lambda row: -row[1]["support"])
    shown = found[: MOST_BARS * 2]
    title = f"F1 of {len(found)} labels; dashed their mean, macro-F1 {scores['macro_f1']:.3f}"
    if len(shown) < len(found):
        title += f"; here the {len(shown)} commonest"
    num_rows = 1 + (len(shown) > MOST_BARS)
    path = folder / "classes.png"
    with picture(path) as figure:
        figure.suptitle(title, fontsize=13)
        for row, axes in enumerate(figure.subplots(num_rows, squeeze=False).flat):
            start, end = (len(shown) * k // num_rows for k in (row, row + 1))
            rows = shown[start:end]
            axes.bar(range(len(rows)), [row["f1"] for _, row in rows], color=BLUE)
            names = [f"{shortened(label, LONGEST)} ({row['support']:,})" for label, row in rows]
            tilted = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
            size = 10 if len(rows) <= MOST_SHOWN else 8
            axes.set_xticks(range(len(rows)), names, fontsize=size, **tilted)
            axes.axhline(scores["macro_f1"], color=RED, linestyle="--")
            axes.set(ylabel="F1", ylim=(0, 1), xlim=(-0.6, len(rows) - 0.4))
            axes.grid(False, axis="x")
        axes.set_xlabel("label (test products)")
    return path


# ---- what a probability means ------------------------------------------------------------------


def plot_reliability(folder: Path, outcomes: Sequence[tuple[float, bool]], error: float) -> Path:
    """Draw accuracy by probability, in bins of equal width, and how many answers each bin has.

    outcomes: as for `draw`, of all products. error: the expected calibration error.
    """
    answered = np.array([outcome for outcome in outcomes if outcome[0]])  # (answers, 2)
    bin_of = np.ceil(answered[:, 0] * BINS).clip(1, BINS).astype(int) - 1
    counts = np.bincount(bin_of, minlength=BINS)
    filled = counts.nonzero()[0]
    confidence, accuracy = (
        np.bincount(bin_of, answered[:, i], BINS)[filled] / counts[filled] for i in (0, 1)
    )
    pairs = zip(accuracy, counts[filled], strict=True)
    reach = np.abs(np.array([wilson_interval(*pair) for pair in pairs]).T - accuracy)  # (2, bins)
    path = folder / "reliability.png"
    with picture(path) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        top.set_title(
            f"{len(answered):,} answers to {len(outcomes):,} test products: calibration error "
            f"{error:.3f} (ECE, {BINS} bins)"
        )
        top.plot([0, 1], [0, 1], "--", color="gray", label="as often right as the probability says")
        top.errorbar(
            confidence,
            accuracy,
            reach,
            fmt="o",
            color=BLUE,
            capsize=3,
            label="answers of a bin, with the 95 % interval",
        )
        top.set(ylabel="share that is right", ylim=(-0.02, 1.02))
        top.legend(loc="lower right")
        as_percent(top.yaxis)
        bars = bottom.bar((np.arange(BINS) + 0.5) / BINS, counts, 0.9 / BINS, color=BLUE)
        bottom.bar_label(bars, [f"{count:,}" if count else "" for count in counts], fontsize=9)
        bottom.set(xlabel="probability of the answer", ylabel="answers", xlim=(0, 1))
        bottom.margins(y=0.2)
        as_percent(bottom.xaxis)
        as_count(bottom.yaxis)
    return path


def plot_coverage(
    folder: Path,
    outcomes: Mapping[str, Sequence[tuple[float, bool]]],
    coverage: Sequence[Mapping[str, float]],
) -> Path:
    """Draw how many answers are right where only the most probable ones are given, by input.

    outcomes: as for `draw`. coverage: that of report.json for all products, whose probabilities are
    marked.
    """
    path = folder / "coverage.png"
    with picture(path) as figure:
        axes = figure.add_subplot(title="accuracy of the most probable answers, by what is read")
        for color, (case, line) in zip(COLORS, LINES.items(), strict=False):
            if case in outcomes:
                label = f"{CASE_NAMES.get(case, 'as they are')} ({len(outcomes[case]):,} products)"
                axes.plot(*covered(outcomes[case]), line, color=color, label=label)
        for level in coverage:
            if level["answered"] and level["min_probability"]:
                point = (level["answered"], level["correct"])
                axes.plot(*point, "o", color=COLORS[0])
                axes.annotate(
                    f"{level['min_probability']:g}", point, (4, 6), textcoords="offset points"
                )
        axes.plot([], [], "o", color=COLORS[0], label="answers of at least this probability")
        axes.set(xlabel="share of the products that is answered", ylabel="share of answers right")
        axes.set_xlim(0, 1.02)
        as_percent(axes.xaxis)
        as_percent(axes.yaxis)
        axes.legend()
    return path


def covered(outcomes: Sequence[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    """At each probability from the highest on: the share answered, and that of answers right.

    From `FEWEST` answers on, for a share of fewer says little.
    """
    ranked = np.array(sorted(outcomes, reverse=True))  # (P, 2)
    probability, is_correct = ranked[ranked[:, 0] > 0].T
    ends = np.append(np.flatnonzero(np.diff(probability)), len(probability) - 1)
    ends = ends[ends + 1 >= min(FEWEST, len(probability))]
    return (ends + 1) / len(outcomes), is_correct.cumsum()[ends] / (ends + 1)
