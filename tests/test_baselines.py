import pytest

from beautybert.baselines import majority_accuracy, tfidf_linear_svc, tfidf_logistic_regression


def test_majority_is_that_of_training():
    assert majority_accuracy(["a", "a", "b"], ["b", "a", "b", "b"]) == 0.25


def test_the_linear_model_learns_from_training_and_is_judged_on_test():
    pytest.importorskip("sklearn")
    texts, labels = ["water, sulfate", "wax, carmine"] * 20, ["shampoo", "lipstick"] * 20
    assert tfidf_linear_svc(texts, labels, ["sulfate, mint", "carmine"], ["shampoo", "lipstick"]) == {"accuracy": 1.0, "macro_f1": 1.0}
    assert tfidf_linear_svc(texts, labels, ["sulfate", "carmine"], ["lipstick", "lipstick"])["accuracy"] == 0.5
    report = tfidf_logistic_regression(texts, labels, ["sulfate", "carmine", "sulfate"], ["shampoo", "lipstick", "lipstick"])
    assert abs(report["accuracy"] - 2 / 3) < 1e-9 and report["top3"] == 1.0 and report["per_class"]["shampoo"]["recall"] == 1.0 and 0 < report["loss"] < 2
