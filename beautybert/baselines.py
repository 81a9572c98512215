"""What a classifier must beat on the same split: the most common label, and a linear model on TF-IDF."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence


def majority_accuracy(train_labels: Sequence[str], test_labels: Sequence[str]) -> float:
    """The accuracy on the test labels of always saying the most common training label."""
    most_common = Counter(train_labels).most_common(1)[0][0]
    return sum(label == most_common for label in test_labels) / len(test_labels)


def tfidf_linear_svc(train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], test_labels: Sequence[str]) -> dict[str, float] | None:
    """accuracy and macro_f1 of LinearSVC on TF-IDF of words and word pairs; None without scikit-learn (the `test` extra)."""
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LinearSVC())
    predicted = model.fit(train_texts, train_labels).predict(test_texts)
    return {"accuracy": float((predicted == test_labels).mean()), "macro_f1": float(f1_score(test_labels, predicted, average="macro", zero_division=0))}
