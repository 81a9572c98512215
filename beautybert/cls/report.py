"""How good a classifier is: the test report, what it must beat, and the files about them.

What it must beat on the same products and inputs: the most common label, and a linear model on
TF-IDF (baselines.py).

Letters: P products, C classes.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from beautybert import files
from beautybert.cls import baselines, description, plots, word_model
from beautybert.cls import pool as pools
from beautybert.cls.batches import ClsBatches
from beautybert.cls.classifier import Classifier
from beautybert.cls.documents import given
from beautybert.cls.labels import label_list, redundant
from beautybert.cls.model_card import model_card, scores_by_input
from beautybert.cls.pool import CASES
from beautybert.cls.products import Product
from beautybert.table_files import no_formula
from beautybert.training import metrics
from beautybert.training.distributed import Ranks

WRITTEN_AT_THE_END = (
    "report.json",
    "README.md",
    "predictions_test.csv",
    "predictions_by_input.csv",
    "confusion.csv",
    *plots.PICTURES,
)
MIN_PROBABILITIES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass
class Report:
    """What is known of the test products.

    scores: what report.json holds. answers: a row for every product as it is, `input` "all", and
    for each case of which it has the documents: index of the product, `input`, prediction,
    probability, balanced prediction, LinearSVC's, and that of LinearSVC chosen for macro-F1.
    families: of the labels that have one.
    """

    scores: dict[str, Any]
    answers: list[tuple]
    families: Mapping[str, str] = field(default_factory=dict)


# ---- the report --------------------------------------------------------------------------------


def judge(
    data: ClsBatches,
    classifier: Classifier,
    document_logits: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    baseline: bool,
) -> Report:
    """The test products, by all documents that they have and by each case alone.

    document_logits: the encoder's, by input, (P, C). A product without an answer counts as wrong.
    facts: of the run, for report.json; "best" is the evaluation that picked its weights. baseline:
    whether LinearSVC is fitted.
    """
    texts, target_ids = data.texts("test"), data.target_ids("test")
    has = given(texts)
    logits = {**document_logits, **word_model.logits(classifier.word_models, texts)}
    readable = classifier.readable(texts, logits)
    linear = baselines.linear_svc(data) if baseline else baselines.LinearSvc()
    weights = {case: dict(terms) for case, terms in classifier.pool.weights.items()}
    sizes = {split: len(products) for split, products in data.by_split.items()}
    report = Report(
        {**facts, "sizes": sizes, "pool": weights, "by_input": {}}, [], classifier.families
    )
    report.scores["inputs"] = list(classifier.inputs)
    report.scores["merged_labels"] = _merged(classifier)
    everything = (product for products in data.by_split.values() for product in products)
    report.scores["sources"] = sorted({product.source for product in everything})
    for case in ("all", *CASES):
        complete, looked_at = pools.only(has, case)
        if not complete.any():
            continue
        looked_at = (looked_at & readable)[:, complete]
        part = {term: tensor[complete] for term, tensor in logits.items()}
        pooled = {
            balanced: classifier.pool(part, looked_at, balanced) for balanced in (False, True)
        }
        answered = looked_at.any(0)
        svc = linear.predictions(case, has, complete)
        scores = _scores(data, pooled, answered, target_ids[complete], svc)
        if case == "all":
            report.scores.update(scores)
        else:
            del scores["per_class"]
            report.scores["by_input"][case] = {"linear_svc": linear.chosen.get(case), **scores}
        indices = complete.nonzero().flatten().tolist()
        probabilities = (pooled[False].softmax(-1).amax(-1) * answered).tolist()
        labels = [_names(data.labels, pooled[balanced], answered) for balanced in (False, True)]
        columns = (indices, [case] * len(indices), labels[0], probabilities, labels[1])
        report.answers.extend(zip(*columns, *svc.values(), strict=True))
    return report


def _scores(
    data: ClsBatches,
    pooled: Mapping[bool, Tensor],
    answered: Tensor,
    target_ids: Tensor,
    svc: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """The scores of some products, (P,), beside the baselines on them.

    pooled: logits (P, C) as they are (False) and balanced (True). svc: LinearSVC's answers by what
    it was chosen for, '' if it was not fitted.
    """
    labels = data.labels
    targets = [labels[i] for i in target_ids.tolist()]
    train_labels = [product.label for product in data.by_split["train"]]
    balanced = metrics.classification_metrics(pooled[True], target_ids, labels, answered)
    return {
        "products": len(targets),
        **metrics.classification_metrics(pooled[False], target_ids, labels, answered),
        "balanced": {name: balanced[name] for name in ("accuracy", "macro_f1")},
        "unanswered": int((~answered).sum()),
        "majority_accuracy": baselines.majority_accuracy(train_labels, targets),
        "tfidf_linear_svc": baselines.scores(targets, svc) if svc["accuracy"][0] else None,
        "coverage": metrics.coverage(pooled[False], target_ids, answered, MIN_PROBABILITIES),
    }


def _merged(classifier: Classifier) -> dict[str, list[str]]:
    """The other labels, in lower case, that each label of the model stands for, if any."""
    merged: dict[str, list[str]] = {}
    for other, label in sorted(classifier.synonyms.items()):
        merged.setdefault(label, []).append(other)
    return merged


def _names(labels: Sequence[str], logits: Tensor, answered: Tensor) -> list[str]:
    """The labels that logits (P, C) predict, '' where there is no answer."""
    pairs = zip(logits.argmax(-1).tolist(), answered.tolist(), strict=True)
    return [labels[label_id] if is_answered else "" for label_id, is_answered in pairs]


# ---- its files ---------------------------------------------------------------------------------


def write(folder: Path, data: ClsBatches, report: Report) -> str:
    """Write report.json, README.md, predictions, confusion.csv and, with matplotlib, pictures.

    Returns the scores and five test products, for people.
    """
    test, labels = data.by_split["test"], data.labels
    text = json.dumps(report.scores, indent=1, ensure_ascii=False)
    files.write_text(folder / "report.json", text + "\n")
    card = model_card(folder, report.scores, labels, command(folder, data, report))
    files.write_text(folder / "README.md", card)
    rows: list[tuple] = [
        ("source", "row", "name", "ingredients", "label", "prediction", "probability")
    ]
    by_input: list[tuple] = [
        (
            "source",
            "row",
            "label",
            "input",
            "prediction",
            "probability",
            "balanced",
            "linear_svc",
            "linear_svc_macro_f1",
        )
    ]
    confusion = torch.zeros(len(labels), len(labels) + 1, dtype=torch.long)  # the last: no answer
    outcomes: dict[str, list[tuple[float, bool]]] = {}
    shown = []
    step = max(1, len(test) // 5)  # five from all over the test split
    for index, case, answer, probability, *others in report.answers:
        product = test[index]
        outcomes.setdefault(case, []).append((probability, answer == product.label))
        row = (product.source, product.row)
        values = (answer, f"{probability:.6f}")
        if case != "all":
            by_input.append((*row, product.label, case, *values, *others))
            continue
        rows.append((*row, product.name, product.ingredients, product.label, *values))
        predicted_id = labels.index(answer) if answer else len(labels)
        confusion[labels.index(product.label), predicted_id] += 1
        if index % step == 0:
            shown.append(f"  {product.name or product.ingredients[:90]}")
            predicted = f"{answer} ({probability:.0%})" if answer else "nothing"
            shown.append(f"    is {product.label}, predicted {predicted}")
    write_csv(folder / "predictions_test.csv", rows)
    write_csv(folder / "predictions_by_input.csv", by_input)
    counts = zip(labels, confusion[:, :-1].tolist(), strict=True)
    write_csv(
        folder / "confusion.csv",
        [("label \\ prediction", *labels), *((label, *row) for label, row in counts)],
    )
    best_step = report.scores["best"]["step"]
    if best_step:
        plots.draw(folder, report.scores, confusion.numpy(), report.families, outcomes)
    shown = [scores_text(report.scores, len(labels)), *shown[:10]]
    num_redundant = redundant(labels) if report.scores["labels"] == "full" else 0
    if num_redundant:
        shown.append(
            f"{num_redundant} of the labels are other words for others of them: --labels canonical "
            "merges them"
        )
    return "\n".join([*shown, f"weights are those of step {best_step}"])


def command(folder: Path, data: ClsBatches, report: Report) -> str:
    """One that asks the model in `folder` for a product of the test split, for a shell.

    It is the surest of those that it gets right and of which it read all, if there is one.
    """
    test = data.by_split["test"]
    best, product = (False, False, 0.0), test[0]
    for index, case, answer, probability, *_ in report.answers:
        found = test[index]
        is_correct = case == "all" and answer == found.label
        rank = (is_correct, bool(found.name and found.ingredients), probability)
        if rank > best:
            best, product = rank, found
    return f"python -m beautybert.predict {shlex.quote(str(folder))} {_example_flags(product)}"


def _example_flags(product: Product) -> str:
    """Flags of predict that ask for a product, shortened."""
    start = ", ".join(product.ingredients.split(", ")[:6])
    flags = {"--name": product.name, "--ingredients": start}
    return " ".join(f"{flag} {shlex.quote(text)}" for flag, text in flags.items() if text)


def scores_text(report: dict[str, Any], num_labels: int) -> str:
    """The scores by input beside the baselines, a table for people."""
    lines = [
        f"test, {report['sizes']['test']:,} products, {num_labels} labels, calibration error "
        f"{report['ece']:.3f}; accuracy, top 3, macro-F1:"
    ]
    for name, scores in scores_by_input(report).items():
        svc = scores["tfidf_linear_svc"]
        beside = f"LinearSVC {svc['accuracy']:6.1%}        {svc['macro_f1']:.3f}   " if svc else ""
        lines.append(
            f"  {name:<14}{scores['products']:>6,} {scores['accuracy']:7.1%} {scores['top3']:6.1%} "
            f"{scores['macro_f1']:.3f}   {beside}majority {scores['majority_accuracy']:.1%}"
        )
    left = [
        f"{row['min_probability']:g}: {row['answered']:.1%} answered, {row['correct']:.1%} right"
        for row in report["coverage"][1::2]
    ]
    lines.append(f"  with --min-probability {'; '.join(left)}")
    return "\n".join(lines)


# ---- the splits --------------------------------------------------------------------------------


def write_splits(
    folder: Path,
    splits: dict[str, list[Product]],
    pretraining_products: Iterable[Product],
    ranks: Ranks,
    describe: bool = False,
) -> dict[str, Any]:
    """Write labels.json, splits.csv and train_lists.txt (what pretraining may read), on rank 0.

    train_lists.txt has the lists and then the names of the training products, a text a line. What
    an earlier start wrote at its end is removed. describe: whether to print what is in the tables.
    """
    if not ranks.is_main:
        return {}
    if describe:
        if (folder / "model.safetensors").exists():
            raise ValueError(f"--describe: {folder} holds a run; name another folder with --out")
        print(description.describe(splits))
    folder.mkdir(parents=True, exist_ok=True)
    for name in WRITTEN_AT_THE_END:
        (folder / name).unlink(missing_ok=True)
    text = json.dumps(label_list(splits), indent=1, ensure_ascii=False)
    files.write_text(folder / "labels.json", text + "\n")
    products = list(pretraining_products)
    texts = [product.ingredients for product in products] + [product.name for product in products]
    lines = "".join(text + "\n" for text in dict.fromkeys(texts) if text)
    files.write_text(folder / "train_lists.txt", lines)
    rows: list[tuple] = [("source", "row", "label", "split")]
    for split, members in splits.items():
        rows += [(p.source, p.row, p.label, split) for p in members]
    write_csv(folder / "splits.csv", rows)
    return {}


def write_csv(path: Path, rows: Iterable[Sequence]) -> None:
    """Write rows, the first of them the header, completely or not at all.

    Texts that a spreadsheet would run as formulas are written so that it does not.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows(map(no_formula, row) for row in rows)
    files.write_text(path, text.getvalue())
