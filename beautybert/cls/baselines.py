"""What a classifier must beat on the same products and inputs: linear models on TF-IDF.

They need scikit-learn (the `test` extra).
"""

from __future__ import annotations

import importlib.util
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from beautybert.cls.batches import ClsBatches
from beautybert.cls.pool import CASE_OF, CASES
from beautybert.cls.products import INPUTS, Product
from beautybert.training import progress

CRITERIA = ("accuracy", "macro_f1")
FEATURES = {"words": ("words",), "words and letters": ("words", "letters")}
# settings of LinearSVC among which the validation products choose: features, C, class weight
CHOICES = list(itertools.product(FEATURES, (0.3, 1.0), (None, "balanced")))
MOST_LETTERED = 30_000  # training products; of more, runs of letters would take many minutes


def plan(wanted: bool) -> str:
    """What the end of a run will fit, for people."""
    text = (
        "validation above is of the encoder's summed logits, the training loss with label "
        "smoothing; now the pool is fitted"
    )
    if not wanted:
        return text
    if importlib.util.find_spec("sklearn") is None:
        return f"{text}. No LinearSVC to compare with: scikit-learn is not installed"
    return f"{text}, and LinearSVC to compare with"


def majority_accuracy(train_labels: Sequence[str], test_labels: Sequence[str]) -> float:
    """The accuracy on the test labels of always predicting the most common training label."""
    most_common = Counter(train_labels).most_common(1)[0][0]
    return sum(label == most_common for label in test_labels) / len(test_labels)


def scores(labels: Sequence[str], answers: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Each of `CRITERIA` of the answers that were chosen for it."""
    found = {}
    for criterion in CRITERIA:
        found[criterion] = _score(criterion, labels, answers[criterion])
    return found


def _score(criterion: str, labels: Sequence[str], answers: Sequence[str]) -> float:
    """One of `CRITERIA`; 0 without products."""
    from sklearn.metrics import f1_score

    if not len(labels):
        return 0.0
    if criterion == "macro_f1":
        return float(f1_score(labels, answers, average="macro", zero_division=0))
    return sum(one == other for one, other in zip(labels, answers, strict=True)) / len(labels)


@dataclass(frozen=True)
class LinearSvc:
    """LinearSVC's answers to the test products, by the documents of each case alone.

    answers: criterion -> case -> the label of every test product; those without the documents have
    an answer that means nothing. chosen: case -> criterion -> settings. Both are empty without
    scikit-learn.
    """

    answers: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    chosen: dict[str, dict[str, str]] = field(default_factory=dict)

    def predictions(self, case: str, given: Tensor, rows: Tensor) -> dict[str, list[str]]:
        """For each of `CRITERIA` the answers to the test products `rows` (P,) bool.

        '' without scikit-learn. case: of `CASES`, or "all", by the documents that each has. given:
        (INPUTS, P).
        """
        found: dict[str, list[str]] = {criterion: [] for criterion in CRITERIA}
        for i in rows.nonzero().flatten().tolist():
            has = tuple(
                part for part, is_there in zip(INPUTS, given[:, i], strict=True) if is_there
            )
            asked = CASE_OF[has] if case == "all" else case
            for criterion, labels in found.items():
                labels.append(self.answers[criterion][asked][i] if self.answers else "")
        return found


def linear_svc(data: ClsBatches) -> LinearSvc:
    """LinearSVC on TF-IDF, fitted on the training products for each case that the test has.

    Each text has features of its own: words and pairs of neighbours, with or without runs of two to
    five letters (without, if there are more than `MOST_LETTERED` training products). Of `CHOICES`
    the best on validation is taken, once for each of `CRITERIA`. For a case with two documents all
    training products with any of them count, as they do for the classifier.
    """
    if importlib.util.find_spec("sklearn") is None:
        return LinearSvc()
    from scipy.sparse import hstack

    is_lettered = len(data.by_split["train"]) <= MOST_LETTERED
    choices = [choice for choice in CHOICES if is_lettered or "letters" not in FEATURES[choice[0]]]
    valid_products = data.by_split["valid"]
    result = LinearSvc({criterion: {} for criterion in CRITERIA})
    matrices: dict[tuple[str, str], list[Any]] = {}  # of a part and a kind of feature
    for case, parts in CASES.items():
        if not any(all(getattr(p, part) for part in parts) for p in data.by_split["test"]):
            continue
        complete = [i for i, p in enumerate(valid_products) if all(getattr(p, q) for q in parts)]
        valid_labels = [valid_products[i].label for i in complete]
        best = dict.fromkeys(CRITERIA, -1.0)
        chosen_models: dict[str, tuple[Any, Any]] = {}  # with the matrix of the test products
        result.chosen[case] = {}
        for features, C, class_weight in progress.bar(choices, f"LinearSVC, {case}", unit="fit"):
            pairs = list(itertools.product(parts, FEATURES[features]))
            for pair in pairs:
                if pair not in matrices:
                    matrices[pair] = _matrices(data, *pair)
            blocks = zip(*(matrices[pair] for pair in pairs), strict=True)
            train, valid, test = (hstack(block).tocsr() for block in blocks)
            model = _fit(train, data.by_split["train"], parts, C, class_weight)
            answers = model.predict(valid[complete]).tolist() if complete else []
            for criterion in CRITERIA:
                score = _score(criterion, valid_labels, answers)
                if score > best[criterion]:
                    best[criterion] = score
                    chosen_models[criterion] = (model, test)
                    weighed = f", {class_weight}" if class_weight else ""
                    result.chosen[case][criterion] = f"{features}, C {C:g}{weighed}"
        for criterion, (model, test) in chosen_models.items():
            result.answers[criterion][case] = model.predict(test).tolist()
    return result


def _fit(
    matrix: Any,
    products: Sequence[Product],
    parts: Sequence[str],
    C: float,
    class_weight: str | None,
) -> Any:
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
    return LinearSVC(C=C, class_weight=class_weight, random_state=0).fit(matrix[rows], labels)


def _matrices(data: ClsBatches, part: str, kind: str) -> list[Any]:
    """TF-IDF of a text of all products, a matrix for each split. Missing texts are rows of 0.

    kind: "words", with pairs of neighbours, or "letters", runs of two to five of them in a word.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    if kind == "letters":
        vectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=3
        )
    try:
        vectorizer.fit([text for text in data.texts("train")[part] if text])
    except ValueError:  # no feature is frequent enough
        return [csr_matrix((len(products), 0)) for products in data.by_split.values()]
    return [vectorizer.transform(data.texts(split)[part]) for split in data.by_split]
