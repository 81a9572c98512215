import math

import pytest

from beautybert.cls.report import majority_accuracy, tfidf_linear_svc, tfidf_logistic_regression


def test_majority_is_that_of_training():
    assert majority_accuracy(["a", "a", "b"], ["b", "a", "b", "b"]) == 0.25


def test_the_linear_model_learns_from_training_and_is_judged_on_test():
    pytest.importorskip("sklearn")
    texts = ["water, sulfate", "wax, carmine"] * 20
    labels = ["shampoo", "lipstick"] * 20
    scores = tfidf_linear_svc(texts, labels, ["sulfate, mint", "carmine"], ["shampoo", "lipstick"])
    assert scores == {"accuracy": 1.0, "macro_f1": 1.0}
    scores = tfidf_linear_svc(texts, labels, ["sulfate", "carmine"], ["lipstick", "lipstick"])
    assert scores["accuracy"] == 0.5


MARKS = {
    "shampoo": "sulfate",
    "lipstick": "carmine",
    "perfume": "linalool",
    "sunscreen": "avobenzone",
}
TEXTS = [f"water, {mark}" for mark in MARKS.values()] * 20
LABELS = list(MARKS) * 20


def test_logistic_regression_is_judged_label_by_label():
    pytest.importorskip("sklearn")
    test_labels = ["shampoo", "lipstick", "perfume", "shampoo"]
    report = tfidf_logistic_regression(TEXTS, LABELS, list(MARKS.values()), test_labels)
    assert report["accuracy"] == 0.75
    assert report["per_class"]["shampoo"]["recall"] == 0.5
    assert report["per_class"]["sunscreen"]["precision"] == 0.0


def test_log_probabilities_of_logistic_regression_are_its_logits():
    pytest.importorskip("sklearn")
    test_labels = ["shampoo", "lipstick"]
    report = tfidf_logistic_regression(TEXTS, LABELS, ["sulfate", "carmine"], test_labels)
    assert report["accuracy"] == 1.0
    assert report["loss"] < 0.3
    confidence = math.exp(-report["loss"])
    assert abs(report["ece"] - (1 - confidence)) < 0.05
