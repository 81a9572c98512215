"""What a classifier must beat on the same products and inputs: linear models on TF-IDF.

They need scikit-learn (the `test` extra).
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from beautybert.cls.batches import ClsBatches
from beautybert.cls.pool import CASE_OF, CASES
from beautybert.cls.products import INPUTS, Product

# Settings of LinearSVC among which the validation products choose, for each case
CHOICES = [(features, C) for features in ("words", "words and letters") for C in (0.3, 1.0)]


def majority_accuracy(train_labels: Sequence[str], test_labels: Sequence[str]) -> float:
    """The accuracy on the test labels of always predicting the most common training label."""
    most_common = Counter(train_labels).most_common(1)[0][0]
    return sum(label == most_common for label in test_labels) / len(test_labels)


def scores(labels: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """accuracy and macro_f1 of predictions."""
    from sklearn.metrics import f1_score

    macro_f1 = f1_score(labels, predictions, average="macro", zero_division=0)
    correct = sum(one == other for one, other in zip(labels, predictions, strict=True))
    return {"accuracy": correct / len(labels), "macro_f1": float(macro_f1)}


@dataclass(frozen=True)
class LinearSvc:
    """LinearSVC's answers to the test products, by the documents of each case alone.

    answers: case -> the label of every test product; those without the documents have an answer
    that means nothing. chosen: case -> its settings. Both are empty without scikit-learn.
    """

    answers: dict[str, list[str]] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)

    def predictions(self, case: str, given: Tensor, rows: Tensor) -> list[str]:
        """The answers to the test products `rows` (P,) bool; '' without scikit-learn.

        case: of `CASES`, or "all", by the documents that each has. given: (INPUTS, P).
        """
        found = []
        for i in rows.nonzero().flatten().tolist():
            has = tuple(
                part for part, is_there in zip(INPUTS, given[:, i], strict=True) if is_there
            )
            asked = CASE_OF[has] if case == "all" else case
            found.append(self.answers[asked][i] if self.answers else "")
        return found


def linear_svc(data: ClsBatches) -> LinearSvc:
    """LinearSVC on TF-IDF, fitted on the training products for each case that the test has.

    Each text has features of its own: words and pairs of neighbours, with or without runs of two to
    five letters. Those and C are the best of `CHOICES` on validation. For a case with two
    documents all training products with any of them count, as they do for the classifier.
    """
    if importlib.util.find_spec("sklearn") is None:
        return LinearSvc()
    result = LinearSvc()
    for case, parts in CASES.items():
        if not any(all(getattr(p, part) for part in parts) for p in data.by_split["test"]):
            continue
        best: tuple[float, Any] | None = None
        for features in dict.fromkeys(name for name, _ in CHOICES):
            train, valid, test = _matrices(data, parts, features)
            for C in [C for name, C in CHOICES if name == features]:
                model = _fit(train, data.by_split["train"], parts, C)
                accuracy = _accuracy(model, valid, data.by_split["valid"], parts)
                if best is None or accuracy > best[0]:
                    best = (accuracy, model.predict(test).tolist())
                    result.chosen[case] = f"{features}, C {C:g}"
        assert best is not None
        result.answers[case] = best[1]
    return result


def _fit(matrix: Any, products: Sequence[Product], parts: Sequence[str], C: float) -> Any:
    """LinearSVC on the training products that have any of the parts.

    Where these teach nothing, their most common label, or that of all products.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.svm import LinearSVC

    rows = [i for i, product in enumerate(products) if any(getattr(product, p) for p in parts)]
    rows = rows or list(range(len(products)))
    labels = [products[i].label for i in rows]
    if len(set(labels)) < 2 or not matrix.shape[1]:
        return DummyClassifier(strategy="most_frequent").fit(matrix[rows], labels)
    return LinearSVC(C=C, random_state=0).fit(matrix[rows], labels)


def _accuracy(model: Any, matrix: Any, products: Sequence[Product], parts: Sequence[str]) -> float:
    """On the products that have all parts; 0 without any."""
    rows = [i for i, product in enumerate(products) if all(getattr(product, p) for p in parts)]
    if not rows:
        return 0.0
    labels = np.array([products[i].label for i in rows])
    return float((model.predict(matrix[rows]) == labels).mean())


def _matrices(data: ClsBatches, parts: Sequence[str], features: str) -> list[Any]:
    """TF-IDF of the parts side by side, a matrix for each split. Missing texts are rows of 0."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    blocks: list[list[Any]] = [[] for _ in data.by_split]
    for part in parts:
        vectorizers = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)]
        if features == "words and letters":
            vectorizers.append(
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=3)
            )
        train = [text for text in data.texts("train")[part] if text]
        for vectorizer in vectorizers:
            try:
                vectorizer.fit(train)
            except ValueError:  # no feature is frequent enough
                continue
            for block, split in zip(blocks, data.by_split, strict=True):
                block.append(vectorizer.transform(data.texts(split)[part]))
    empty = [csr_matrix((len(products), 0)) for products in data.by_split.values()]
    return [hstack([none, *block]).tocsr() for none, block in zip(empty, blocks, strict=True)]
