"""README.md of a run folder: what the classifier is, how good, and when to believe it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from beautybert.cls.pool import CASES

CASE_NAMES = {"name": "name alone", "ingredients": "list alone", "both": "name and list"}
CARD = """\
---
library_name: beautybert
pipeline_tag: text-classification
---

# What kind of product a cosmetic is

A classifier of beautybert that tells {num_labels} labels apart, by {inputs}. It was trained on
{train:,} products of {sources}; what follows was counted on {test:,} others, the test split.
`report.json` has all of it, label by label; `run.json` the options.

There is no answer "none of these": of a garden hose it names the likeliest label. Nothing but a
text of which it knows hardly a word is left without an answer ({unanswered:,} of the test products,
which count as wrong). Probabilities are calibrated on {valid:,} products of its tables and promise
nothing for products unlike them.

## How good it is

{scores}

In brackets the 95 % interval of the accuracy (Wilson 1927). LinearSVC on TF-IDF reads the same
products and inputs; majority is always answering the commonest label of training.

## When to believe it

Of the products whose answer has at least the probability on the left (`--min-probability`): how
many there are, and how many of these are right. The first row has all that are answered.

{coverage}

## How to ask it

    {command}

## How an answer is made

The answer is the softmax of a sum: the encoder's logits of each document, those of a linear model
over its words (`words.safetensors`), and the logarithm of the labels' shares in training
(`log_prior` in `config.json`), each times a weight. With `--prior balanced` the weight of
`balanced prior` takes the place of that of `prior`.

{pool}

## Labels

{labels}
"""
INPUT_NAMES = {"name": "name", "ingredients": "ingredient list"}


def model_card(scores: Mapping[str, Any], labels: Sequence[str], command: str) -> str:
    """Markdown, from what report.json holds. command: one that asks the model, for a shell."""
    by_input = scores_by_input(scores)
    inputs = [name for part, name in INPUT_NAMES.items() if part in scores["inputs"]]
    read = {case: weights for case, weights in scores["pool"].items() if _reads(scores, case)}
    return CARD.format(
        num_labels=len(labels),
        inputs=" or ".join(inputs),
        **scores["sizes"],
        sources=", ".join(scores["sources"]),
        scores=_score_table(by_input),
        coverage=_coverage_table(by_input),
        command=command,
        pool=_pool_table(read),
        labels="\n".join(_label_line(label, scores["merged_labels"]) for label in labels),
        unanswered=scores["unanswered"],
    )


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


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
    return _table([*own, "LinearSVC accuracy", "LinearSVC macro-F1", "majority"], rows)


def _coverage_table(by_input: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a minimum probability: the shares of products answered, and of these right."""
    rows = []
    for levels in zip(*(found["coverage"] for found in by_input.values()), strict=True):
        cells = []
        for level in levels:
            text = f"{level['answered']:.1%}, {level['correct']:.1%} right"
            cells.append(text if level["answered"] else "none")
        rows.append([f"{levels[0]['min_probability']:g}", *cells])
    return _table(["at least", *by_input], rows)


def _pool_table(weights: Mapping[str, Mapping[str, float]]) -> str:
    """The weights of each case, a column a term."""
    terms = list(dict.fromkeys(term for of_case in weights.values() for term in of_case))
    rows = []
    for case, of_case in weights.items():
        rows.append([CASE_NAMES[case], *(f"{of_case.get(term, 0):.3f}" for term in terms)])
    return _table(["", *terms], rows)
