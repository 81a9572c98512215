"""README.md of a run folder: what the classifier is, how good, and when to believe it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beautybert.cls.pool import CASES
from beautybert.training import run_card

CASE_NAMES = {"name": "name alone", "ingredients": "list alone", "both": "name and list"}
CARD = """\
{header}
# What kind of product a cosmetic is

A classifier of beautybert that tells {num_labels} labels apart, by {inputs}. It was trained on
{train:,} products of {sources}; what follows was counted on {test:,} others, the test split.
`report.json` has all of it, label by label; `run.json` the options.

## How good it is

{scores}

In brackets the 95 % interval of the accuracy (Wilson 1927). LinearSVC on TF-IDF reads the same
products and inputs; majority is always answering the commonest label of training.

## When to believe it

Of the products whose answer has at least the probability on the left (`--min-probability`): how
many there are, and how many of these are right. The first row has all that are answered.

{coverage}

## What it is not good for

There is no answer "none of these": of a garden hose it names the likeliest label. Nothing but a
text of which it knows hardly a word is left without an answer ({unanswered:,} of the test products,
which count as wrong). Probabilities are calibrated on {valid:,} products of its tables and promise
nothing for products unlike them. It says what kind of product a list is of, and nothing about
whether the product is safe, effective or allowed.

{data}
{training}
## How to open it

    {command}

In Python:

    from beautybert import Classifier
    Classifier.load({quoted}).predict(names=["Velvet Night Serum"])

In onnxruntime, with the word models and the pool beside it (docs/export.md):

    mkdir -p {served} && python -m beautybert.export {folder} --onnx {served}/model.onnx

{in_transformers}

## How an answer is made

The answer is the softmax of a sum: the encoder's logits of each document, those of a linear model
over its words (`words.safetensors`), and the logarithm of the labels' shares in training
(`log_prior` in `config.json`), each times a weight. With `--prior balanced` the weight of
`balanced prior` takes the place of that of `prior`. A negative weight takes off what the other
terms know of the shares already.

{pool}

## Labels

{labels}

{licence}"""
INPUT_NAMES = {"name": "name", "ingredients": "ingredient list"}
AS_ENCODER = """\
In `transformers` this folder opens as its encoder alone, without the head:

    from transformers import AutoModel
    AutoModel.from_pretrained({quoted})"""
AS_CLASSIFIER = """\
In `transformers` this folder opens as a classifier of one text at a time, without calibration and
word models; `export --transformers` writes it calibrated, for one of its inputs:

    from transformers import AutoModelForSequenceClassification
    AutoModelForSequenceClassification.from_pretrained({quoted})

    python -m beautybert.export {folder} --transformers calibrated --input {part}"""


def model_card(folder: Path, scores: Mapping[str, Any], labels: Sequence[str], command: str) -> str:
    """Markdown, from what report.json and the run folder hold.

    command: one that asks the model, for a shell.
    """
    run = run_card.read_run(folder)
    by_input = scores_by_input(scores)
    inputs = [name for part, name in INPUT_NAMES.items() if part in scores["inputs"]]
    read = {case: weights for case, weights in scores["pool"].items() if _reads(scores, case)}
    measured = {
        ("accuracy", "accuracy"): scores["accuracy"],
        ("f1", "macro-F1"): scores["macro_f1"],
    }
    is_pooler = run["config"]["head"] == "pooler"
    paths = {"folder": shlex.quote(str(folder)), "quoted": repr(str(folder))}
    paths["served"] = shlex.quote(str(folder / "served"))
    return CARD.format(
        header=run_card.header(
            run,
            library="beautybert",
            task="text-classification",
            name=folder.resolve().name,
            scores=measured,
        ),
        num_labels=len(labels),
        inputs=" or ".join(inputs),
        **scores["sizes"],
        sources=", ".join(scores["sources"]),
        scores=_score_table(by_input),
        coverage=_coverage_table(by_input),
        unanswered=scores["unanswered"],
        data=run_card.data_section(run, _counts(run["data"])),
        training=run_card.training_section(folder, run, scores["best"]["step"]),
        command=command,
        in_transformers=(AS_CLASSIFIER if is_pooler else AS_ENCODER).format(
            **paths, part=scores["inputs"][0]
        ),
        pool=_pool_table(read),
        labels="\n".join(_label_line(label, scores["merged_labels"]) for label in labels),
        licence=run_card.licence_section(run),
        **paths,
    )


def _counts(data: Mapping[str, Any]) -> list[str]:
    """What was read and what was left out of it."""
    dropped = [f"{count:,} {why}" for why, count in data["dropped"].items() if count]
    left_out = data["labels_left_out"]
    lines = [f"{sum(data['rows'].values()):,} rows" + (";" if dropped else ".")]
    if dropped:
        lines.append(f"left out: {', '.join(dropped)}.")
    if left_out:
        lines.append(f"{len(left_out):,} labels were left out, with too few products.")
    return lines


def _label_line(label: str, merged: Mapping[str, Sequence[str]]) -> str:
    """A label and the other labels of the tables that it stands for."""
    others = ", ".join(merged.get(label, ()))
    return f"- `{label}`: {others}" if others else f"- `{label}`"


def _reads(scores: Mapping[str, Any], case: str) -> bool:
    """Whether the model reads all documents of a case."""
    return set(CASES[case]) <= set(scores["inputs"])


def scores_by_input(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What is shown of a report: all products as they are, then by each input."""
    rows = {"as they are": scores}
    return rows | {CASE_NAMES[case]: found for case, found in scores["by_input"].items()}


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of independent trials (Wilson 1927)."""
    z = 1.96
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (middle - half) / scale, (middle + half) / scale


def _score_table(by_input: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy, top 3 and macro-F1 by input, beside the baselines."""
    rows = []
    for name, found in by_input.items():
        svc = found["tfidf_linear_svc"]
        of_svc = [f"{svc['accuracy']:.1%}", f"{svc['macro_f1']:.3f}"] if svc else ["not run"] * 2
        low, high = wilson_interval(found["accuracy"], found["products"])
        row = [name, f"{found['products']:,}", f"{found['accuracy']:.1%} ({low:.0%} to {high:.0%})"]
        row += [f"{found['top3']:.1%}", f"{found['macro_f1']:.3f}", *of_svc]
        row.append(f"{found['majority_accuracy']:.1%}")
        rows.append(row)
    own = ["input", "products", "accuracy", "top 3", "macro-F1"]
    return run_card.table([*own, "LinearSVC accuracy", "LinearSVC macro-F1", "majority"], rows)


def _coverage_table(by_input: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a minimum probability: the shares of products answered, and of these right."""
    rows = []
    for levels in zip(*(found["coverage"] for found in by_input.values()), strict=True):
        cells = []
        for level in levels:
            text = f"{level['answered']:.1%}, {level['correct']:.1%} right"
            cells.append(text if level["answered"] else "none")
        rows.append([f"{levels[0]['min_probability']:g}", *cells])
    return run_card.table(["at least", *by_input], rows)


def _pool_table(weights: Mapping[str, Mapping[str, float]]) -> str:
    """The weights of each case, a column a term."""
    terms = list(dict.fromkeys(term for of_case in weights.values() for term in of_case))
    rows = []
    for case, of_case in weights.items():
        rows.append([CASE_NAMES[case], *(f"{of_case.get(term, 0):.3f}" for term in terms)])
    return run_card.table(["", *terms], rows)
