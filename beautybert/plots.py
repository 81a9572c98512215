"""Compare runs in pictures: `python -m beautybert.plots RUN [RUN ...] --out FOLDER`.

    python -m beautybert.plots runs/scratch runs/adapted --out runs/compared

The runs are run folders of train_mlm.py, or all of train_cls.py. It writes to --out loss.png, the
losses over steps and over tokens, and of classifiers accuracy.png, the accuracy on the test
products by what is read, beside LinearSVC. It needs the `plots` extra (matplotlib).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beautybert.cls.model_card import CASE_NAMES, wilson_interval
from beautybert.files import read_json, value_of
from beautybert.training import options
from beautybert.training.metrics_file import read_metrics
from beautybert.training.options import option
from beautybert.training.plots import COLORS, as_count, as_percent, can_draw, column, picture

LINES, MARKERS = ("-", "--", ":"), ("o", "s", "^")  # when the colours are used up
MOST_RUNS = len(LINES) * len(COLORS)
MOST_NUMBERED = 4  # runs up to which accuracies are written at their points
LONGEST = 40  # letters of a run's name


@dataclass(frozen=True)
class PlotsConfig:
    """The options of plots."""

    runs: tuple[str, ...] = option((), "run folders to compare", positional=True)
    out: str = option("", "folder to make for the pictures")


class Accuracy(NamedTuple):
    """A classifier's on test products, and LinearSVC's on the same, None if it was not run."""

    share: float
    products: int
    linear_svc: float | None


@dataclass(frozen=True)
class Run:
    """What is drawn of a run.

    name: as no other run is called. train, valid: lines of metrics.jsonl. num_labels, accuracies:
    of a classifier that is finished; by input, the first of all products as they are.
    """

    name: str
    train: Sequence[Mapping[str, Any]]
    valid: Sequence[Mapping[str, Any]]
    num_labels: int
    accuracies: Mapping[str, Accuracy]


def main(config: PlotsConfig) -> None:
    """Draw the pictures, and print what the runs came to and where the pictures are."""
    problems = [] if can_draw() else ["matplotlib is missing: pip install -e '.[plots]'"]
    if not config.out:
        problems.append("--out FOLDER is missing: name one to make for the pictures")
    elif Path(config.out).exists():
        problems.append(f"--out {config.out} exists: name a new folder")
    folders = list(dict.fromkeys(Path(os.path.realpath(run)) for run in config.runs))
    if len(folders) > MOST_RUNS:
        problems.append(f"{len(folders)} runs: a picture has colours for {MOST_RUNS}")
    options.raise_problems(problems)
    is_classifier = {(folder / "labels.json").exists() for folder in folders}
    runs = [read_run(folder, name) for folder, name in zip(folders, names(folders), strict=True)]
    if len(is_classifier) > 1:
        raise ValueError(
            "these are runs of train_mlm.py and of train_cls.py, whose losses are not of the same "
            "thing: compare them apart"
        )
    out = Path(config.out)
    out.mkdir(parents=True)
    paths = [plot_losses(out, runs)]
    if any(run.accuracies for run in runs):
        paths.append(plot_accuracies(out, runs))
    print("\n".join(summary(run) for run in runs))
    print(f"pictures: {', '.join(map(str, paths))}")


# ---- what is in the folders --------------------------------------------------------------------


def names(folders: Sequence[Path]) -> list[str]:
    """What runs are called: by the last parts of their paths, as many as tell them apart."""
    num_parts = 1
    while len({folder.parts[-num_parts:] for folder in folders}) < len(folders):
        num_parts += 1
    found = ["/".join(folder.parts[-num_parts:]) for folder in folders]
    return [name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}" for name in found]


def read_run(folder: Path, name: str) -> Run:
    """Read a run folder. ValueError if it is none, or its report.json is not ours."""
    if not (folder / "metrics.jsonl").is_file():
        what = "has no metrics.jsonl" if folder.is_dir() else "is no folder"
        raise ValueError(f"{folder} {what}: name run folders of train_mlm.py or train_cls.py")
    train, valid = (read_metrics(folder, split) for split in ("train", "valid"))
    if not train and not valid:
        raise ValueError(f"{folder / 'metrics.jsonl'} has no loss in it: the run has not begun")
    path = folder / "report.json"
    try:
        report = read_json(path)
    except FileNotFoundError:  # of a run of train_mlm.py, or not finished
        return Run(name, train, valid, 0, {})
    by_input = value_of(report, "by_input", dict, path)
    scores = {"as they are": report}
    for case, case_name in CASE_NAMES.items():
        if case in by_input:
            scores[case_name] = value_of(by_input, case, dict, f"{path}: by_input")
    accuracies = {case: _accuracy(found, f"{path}, {case}") for case, found in scores.items()}
    return Run(name, train, valid, len(value_of(report, "per_class", dict, path)), accuracies)


def _accuracy(scores: Mapping[str, Any], where: str) -> Accuracy:
    """That of one input in report.json."""
    svc = value_of(scores, "tfidf_linear_svc", dict, where, default=None)
    unit: dict[str, Any] = {"at_least": 0, "at_most": 1}
    return Accuracy(
        value_of(scores, "accuracy", float, where, **unit),
        value_of(scores, "products", int, where, at_least=1),
        svc and value_of(svc, "accuracy", float, f"{where}: tfidf_linear_svc", **unit),
    )


def summary(run: Run) -> str:
    """A line on what a run came to."""
    if not run.valid:
        return f"{run.name}: training loss {run.train[-1]['loss']:.4f}, no validation"
    best = min(run.valid, key=lambda row: row["loss"])
    text = (
        f"{run.name}: validation loss {run.valid[-1]['loss']:.4f} at step "
        f"{run.valid[-1]['step']:,}, {best['loss']:.4f} at best"
    )
    for case, accuracy in run.accuracies.items():
        text += f"; {case} {accuracy.share:.1%} of {accuracy.products:,} right"
        if accuracy.linear_svc is not None:
            text += f", LinearSVC {accuracy.linear_svc:.1%}"
    return text


# ---- the pictures ------------------------------------------------------------------------------


def plot_losses(out: Path, runs: Sequence[Run]) -> Path:
    """Draw the losses over steps, and over the tokens trained on, into loss.png.

    An evaluation has no count of tokens; it gets that of its step between lines of training.
    """
    path = out / "loss.png"
    with picture(path) as figure:
        figure.suptitle("validation loss (marked) and training loss (thin)", fontsize=13)
        by_step, by_token = figure.subplots(1, 2, sharey=True)
        for i, run in enumerate(runs):
            color, line, marker = _look(i)
            thin = {"color": color, "alpha": 0.5, "linewidth": 0.7}
            thick = {"color": color, "linestyle": line, "marker": marker}
            logged, tokens = column(run.train, "tokens")
            for rows, look in ((run.train, thin), (run.valid, thick)):
                steps, losses = column(rows, "loss")
                by_step.plot(steps, losses, **look)
                if tokens:
                    by_token.plot(np.interp(steps, [0, *logged], [0, *tokens]), losses, **look)
            by_step.plot([], [], label=run.name, **thick)
        by_step.set(xlabel="step", ylabel="loss (nats a target)")
        by_token.set_xlabel("tokens trained on")
        as_count(by_step.xaxis)
        as_count(by_token.xaxis)
        figure.legend(loc="outside lower center", ncols=3)
    return path


def plot_accuracies(out: Path, runs: Sequence[Run]) -> Path:
    """Draw the accuracies of classifiers on their test products, by input, into accuracy.png."""
    path = out / "accuracy.png"
    cases = list(dict.fromkeys(case for run in runs for case in run.accuracies))
    finished = [(run, _look(i)) for i, run in enumerate(runs) if run.accuracies]
    room = 0.8 / len(finished)  # of a run, where an input has 1
    with picture(path) as figure:
        axes = figure.add_subplot(title="accuracy on each run's test products, with 95 % intervals")
        for i, (run, (color, _, marker)) in enumerate(finished):
            left = i * room - 0.4
            for case, (share, count, svc) in run.accuracies.items():
                x = cases.index(case) + left
                places = [(share, x + 0.35 * room, 1, {"fmt": marker})]
                if svc is not None:
                    places.append((svc, x + 0.65 * room, -1, {"fmt": "D", "mfc": "white"}))
                for value, place, up, style in places:
                    ends = _plot_share(axes, place, value, count, color=color, **style)
                    if len(finished) <= MOST_NUMBERED:
                        _write_share(axes, place, ends[up > 0], value, up)
            label = f"{run.name} ({run.num_labels} labels)"
            axes.plot([], [], marker, color=color, label=label)
        if any(accuracy.linear_svc for run in runs for accuracy in run.accuracies.values()):
            axes.plot([], [], "D", color="gray", mfc="white", label="LinearSVC beside it")
        axes.set_xticks(range(len(cases)), cases)
        axes.set(xlim=(-0.5, len(cases) - 0.5), ylabel="share of test products right")
        axes.grid(False, axis="x")
        as_percent(axes.yaxis)
        figure.legend(loc="outside lower center", ncols=3)
    return path


def _look(i: int) -> tuple[str, str, str]:
    """Colour, line and marker of run i."""
    cycle, place = divmod(i, len(COLORS))
    return COLORS[place], LINES[cycle], MARKERS[cycle]


def _plot_share(axes: Any, x: float, share: float, count: int, **style: Any) -> tuple[float, float]:
    """Draw a share of `count` products as a point with its 95 % interval, and return that."""
    low, high = wilson_interval(share, count)
    reach = [[max(share - low, 0)], [max(high - share, 0)]]  # 0 and 1 are ends, but for rounding
    axes.errorbar(x, share, reach, capsize=3, **style)
    return low, high


def _write_share(axes: Any, x: float, y: float, share: float, up: int) -> None:
    """Write a share in percent above (`up` is 1) or below (-1) a place."""
    align = {1: "bottom", -1: "top"}[up]
    style: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": align}
    axes.annotate(f"{100 * share:.1f}", (x, y), (0, 3 * up), fontsize=9, **style)


if __name__ == "__main__":
    sys.exit(options.run_command(PlotsConfig, __doc__, main))
