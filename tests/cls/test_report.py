import math

import pytest

from beautybert.cls.report import majority_accuracy, tfidf_linear_svc, tfidf_logistic_regression


def test_majority_is_that_of_training():
    assert majority_accuracy(["a", "a", "b"], ["b", "a", "b", "b"]) == 0.25


def test_the_linear_model_learns_from_training_and_is_judged_on_test():
    pytest.importorskip("sklearn")
    texts, labels = ["water, sulfate", "wax, carmine"] * 20, ["shampoo", "lipstick"] * 20
    assert tfidf_linear_svc(
        texts, labels, ["sulfate, mint", "carmine"], ["shampoo", "lipstick"]
    ) == {"accuracy": 1.0, "macro_f1": 1.0}
    assert (
        tfidf_linear_svc(texts, labels, ["sulfate", "carmine"], ["lipstick", "lipstick"])[
            "accuracy"
        ]
        == 0.5
    )


def test_logistic_regression_is_judged_by_its_probabilities():
    pytest.importorskip("sklearn")
    marks = {
        "shampoo": "sulfate",
        "lipstick": "carmine",
        "perfume": "linalool",
        "sunscreen": "avobenzone",
    }
    texts, labels = [f"water, {mark}" for mark in marks.values()] * 20, list(marks) * 20
    report = tfidf_logistic_regression(
        texts,
        labels,
        ["sulfate", "carmine", "linalool", "avobenzone"],
        ["shampoo", "lipstick", "perfume", "shampoo"],
    )
    assert (
        report["accuracy"] == 0.75
        and report["per_class"]["shampoo"]["recall"] == 0.5
        and report["per_class"]["sunscreen"]["precision"] == 0.0
    )
    sure = tfidf_logistic_regression(texts, labels, ["sulfate", "carmine"], ["shampoo", "lipstick"])
    assert (
        sure["accuracy"] == 1.0
        and sure["loss"] < 0.3
        and abs(sure["ece"] - (1 - math.exp(-sure["loss"]))) < 0.05
    ), "log-probabilities are logits"
