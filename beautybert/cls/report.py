"""What a classifier must beat on the same split: the most common label, and linear models on TF-IDF."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence

import torch

from beautybert.metrics import classification_report


def majority_accuracy(train_labels: Sequence[str], test_labels: Sequence[str]) -> float:
    """The accuracy on the test labels of always saying the most common training label."""
    most_common = Counter(train_labels).most_common(1)[0][0]
    return sum(label == most_common for label in test_labels) / len(test_labels)


def tfidf_linear_svc(
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    test_texts: Sequence[str],
    test_labels: Sequence[str],
) -> dict[str, float] | None:
    """accuracy and macro_f1 of LinearSVC on TF-IDF of words and word pairs; None without scikit-learn (the `test` extra)."""
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.metrics import f1_score
    from sklearn.svm import LinearSVC

    predicted = (
        _on_tfidf(LinearSVC(random_state=0)).fit(train_texts, train_labels).predict(test_texts)
    )
    return {
        "accuracy": float((predicted == test_labels).mean()),
        "macro_f1": float(f1_score(test_labels, predicted, average="macro", zero_division=0)),
    }


def tfidf_logistic_regression(
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    test_texts: Sequence[str],
    test_labels: Sequence[str],
) -> dict:
    """The `classification_report` of logistic regression on the same features; it needs scikit-learn. ValueError for a test label without training."""
    from sklearn.linear_model import LogisticRegression

    model = _on_tfidf(LogisticRegression(C=10.0, max_iter=200)).fit(train_texts, train_labels)
    labels = model.classes_.tolist()
    return classification_report(
        torch.from_numpy(model.predict_log_proba(test_texts)),
        torch.tensor([labels.index(label) for label in test_labels]),
        labels,
    )


def _on_tfidf(classifier):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), classifier
    )
