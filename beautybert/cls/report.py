"""How good a classifier is: the test report, what it must beat, and the files about them.

What it must beat on the same split: the most common label, and linear models on TF-IDF.
"""

from __future__ import annotations

import csv
import importlib.util
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from beautybert.cls.batches import ClsBatches
from beautybert.cls.products import Product, texts
from beautybert.training import metrics, plots
from beautybert.training.distributed import Ranks

WRITTEN_AT_THE_END = ("report.json", "predictions_test.csv")


# ---- the report --------------------------------------------------------------------------------


def judge(
    data: ClsBatches, valid_logits: Tensor, test_logits: Tensor, best: dict[str, Any], ranks: Ranks
) -> dict[str, Any]:
    """The metrics of test logits (examples, C), calibrated on validation, and of the baselines.

    best: step and value of the evaluation that picked the weights. The linear model is fitted on
    rank 0 alone.
    """
    train, test = data.by_split["train"], data.by_split["test"]
    train_labels = [product.label for product in train]
    test_labels = [product.label for product in test]
    temperature = metrics.fit_temperature(valid_logits, data.target_ids("valid"))
    target_ids = data.target_ids("test")
    report = {
        "sizes": {split: len(products) for split, products in data.by_split.items()},
        "best_step": best["step"],
        "best_valid": best["value"],
        "majority_accuracy": majority_accuracy(train_labels, test_labels),
        **metrics.classification_metrics(test_logits, target_ids, data.labels, temperature),
    }
    if ranks.is_main:
        report["tfidf_linear_svc"] = tfidf_linear_svc(
            texts(train), train_labels, texts(test), test_labels
        )
    return report


def write(folder: Path, data: ClsBatches, report: dict[str, Any], logits: Tensor) -> str:
    """Write report.json, predictions_test.csv, confusion.csv and, with matplotlib, confusion.png.

    logits: (examples, C) of the test split. Returns the scores and five test lists, for people.
    """
    test, labels = data.by_split["test"], data.labels
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    probabilities, predicted = (logits / report["temperature"]).softmax(-1).max(-1)
    rows: list[tuple] = [("source", "row", "label", "prediction", "probability")]
    answers = zip(test, predicted.tolist(), probabilities.tolist(), strict=True)
    for product, label_id, probability in answers:
        given = (product.source, product.row, product.label)
        rows.append((*given, labels[label_id], f"{probability:.6f}"))
    write_csv(folder / "predictions_test.csv", rows)
    target_ids = data.target_ids("test")
    confusion = metrics.confusion_matrix(predicted, target_ids, len(labels)).numpy()
    table = pd.DataFrame(confusion, index=labels, columns=labels)
    table.rename_axis("label \\ prediction").to_csv(folder / "confusion.csv")
    plots.plot_confusion(folder, confusion, labels)
    lines = [_scores_text(report, len(labels))]
    for n in range(min(5, len(test))):  # from all over the test split
        i = n * len(test) // 5
        answer = f"{labels[int(predicted[i])]} ({probabilities[i]:.0%})"
        lines.append(f"  {test[i].text[:90]} ...\n    is {test[i].label}, predicted {answer}")
    lines.append(
        f"weights are those of step {report['best_step']}; what pretraining may read of the lists "
        f"is {folder / 'train_lists.txt'}"
    )
    if report["best_step"]:
        start = ", ".join(test[0].text.split(", ")[:4])
        lines.append(f'try: python -m beautybert.predict {folder} --ingredients "{start}"')
    return "\n".join(lines)


def _scores_text(report: dict[str, Any], num_labels: int) -> str:
    svc = report["tfidf_linear_svc"]
    svc_text = "not run, it needs scikit-learn (pip install -e '.[test]')"
    if svc:
        svc_text = f"{svc['accuracy']:.1%}, macro-F1 {svc['macro_f1']:.3f}"
    return (
        f"test, {report['sizes']['test']:,} lists, {num_labels} labels: accuracy "
        f"{report['accuracy']:.1%}, top 3 {report['top3']:.1%}, macro-F1 {report['macro_f1']:.3f}, "
        f"calibration error {report['ece']:.3f} ({report['ece_uncalibrated']:.3f} before the "
        f"logits are divided by {report['temperature']:.2f})\n"
        f"  baselines: majority {report['majority_accuracy']:.1%}; TF-IDF + LinearSVC {svc_text}"
    )


# ---- the splits --------------------------------------------------------------------------------


def write_splits(
    folder: Path,
    splits: dict[str, list[Product]],
    labels: Sequence[str],
    pretraining_lists: Iterable[Product],
) -> None:
    """Write labels.json, splits.csv and train_lists.txt (the lists that pretraining may read).

    What an earlier start wrote at its end is removed.
    """
    for name in WRITTEN_AT_THE_END:
        (folder / name).unlink(missing_ok=True)
    text = json.dumps(labels, indent=1, ensure_ascii=False)
    (folder / "labels.json").write_text(text + "\n", encoding="utf-8")
    lists = dict.fromkeys(texts(pretraining_lists))
    lines = "".join(text + "\n" for text in lists)
    (folder / "train_lists.txt").write_text(lines, encoding="utf-8")
    rows: list[tuple] = [("source", "row", "label", "split")]
    for split, products in splits.items():
        rows += [(p.source, p.row, p.label, split) for p in products]
    write_csv(folder / "splits.csv", rows)


def write_csv(path: Path, rows: Iterable[Sequence]) -> None:
    """Write rows, the first of them the header."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


# ---- baselines ---------------------------------------------------------------------------------


def majority_accuracy(train_labels: Sequence[str], test_labels: Sequence[str]) -> float:
    """The accuracy on the test labels of always predicting the most common training label."""
    most_common = Counter(train_labels).most_common(1)[0][0]
    return sum(label == most_common for label in test_labels) / len(test_labels)


def tfidf_linear_svc(
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    test_texts: Sequence[str],
    test_labels: Sequence[str],
) -> dict[str, float] | None:
    """accuracy and macro_f1 of LinearSVC on TF-IDF of words and word pairs.

    None without scikit-learn (the `test` extra).
    """
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.metrics import f1_score
    from sklearn.svm import LinearSVC

    model = _on_tfidf(LinearSVC(random_state=0)).fit(train_texts, train_labels)
    predicted = model.predict(test_texts)
    macro_f1 = f1_score(test_labels, predicted, average="macro", zero_division=0)
    return {"accuracy": float((predicted == test_labels).mean()), "macro_f1": float(macro_f1)}


def tfidf_logistic_regression(
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    test_texts: Sequence[str],
    test_labels: Sequence[str],
) -> dict[str, Any]:
    """The `classification_metrics` of logistic regression on the same features.

    It needs scikit-learn. ValueError for a test label without training.
    """
    from sklearn.linear_model import LogisticRegression

    model = _on_tfidf(LogisticRegression(C=10.0, max_iter=200)).fit(train_texts, train_labels)
    labels = model.classes_.tolist()
    log_probabilities = torch.from_numpy(model.predict_log_proba(test_texts))
    target_ids = torch.tensor([labels.index(label) for label in test_labels])
    return metrics.classification_metrics(log_probabilities, target_ids, labels)


def _on_tfidf(classifier):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    return make_pipeline(features, classifier)
