import math

import pytest
import torch
import torch.nn.functional as F

from beautybert.training.metrics import (
    classification_metrics,
    confusion_matrix,
    expected_calibration_error,
    fit_temperature,
    mlm_metrics,
    mlm_sums,
)


def test_sums_over_parts_give_the_metrics_of_the_whole():
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 9), torch.randint(0, 9, (50,))
    parts = sum(mlm_sums(logits[a:b], targets[a:b]) for a, b in ((0, 1), (1, 1), (1, 40), (40, 50)))
    metrics = mlm_metrics(parts)
    assert metrics["targets"] == 50
    assert math.isclose(metrics["loss"], F.cross_entropy(logits, targets).item(), rel_tol=1e-6)
    assert math.isclose(metrics["perplexity"], math.exp(metrics["loss"])) and math.isclose(
        metrics["accuracy"], (logits.argmax(1) == targets).float().mean().item(), rel_tol=1e-6
    )


def classified(seed=0, count=400, classes=7):
    """Logits that are right about half of the time and too sure of it, and the right classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(
        0, classes - 1, (count,), generator=generator
    )  # the last class never occurs
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), labels] += 1
    return 4 * logits, labels


def test_report_equals_scikit_learns():
    sklearn = pytest.importorskip("sklearn.metrics")
    logits, labels = classified()
    logits[:, 5] -= (
        100  # never predicted, and the last one never right: now a class that does not occur at all
    )
    labels[labels == 5] = 4
    names = [f"class {i}" for i in range(7)]
    report = classification_metrics(logits, labels, names)
    predicted = logits.argmax(-1)
    assert math.isclose(report["accuracy"], sklearn.accuracy_score(labels, predicted))
    assert math.isclose(
        report["macro_f1"], sklearn.f1_score(labels, predicted, average="macro", zero_division=0)
    )
    assert math.isclose(
        report["top3"], sklearn.top_k_accuracy_score(labels, logits.numpy(), k=3, labels=range(7))
    )
    theirs = sklearn.classification_report(
        labels, predicted, labels=range(7), target_names=names, output_dict=True, zero_division=0
    )
    for name in names:
        ours, expected = report["per_class"][name], theirs[name]
        assert (ours["precision"], ours["recall"], ours["f1"], ours["support"]) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"], expected["support"])
        )
    assert (
        confusion_matrix(predicted, labels, 7).numpy()
        == sklearn.confusion_matrix(labels, predicted, labels=range(7))
    ).all()


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    logits = torch.tensor([0.8, 0.2]).log().repeat(10, 1)  # 0.8 sure of class 0, every time
    assert expected_calibration_error(logits, torch.tensor([0] * 8 + [1] * 2)) == pytest.approx(
        0, abs=1e-6
    )
    assert expected_calibration_error(logits, torch.tensor([0] * 5 + [1] * 5)) == pytest.approx(
        0.3, abs=1e-6
    )
    two_bins = torch.tensor(
        [[0.9, 0.1], [0.6, 0.4]]
    ).log()  # one wrong by 0.1 too little, the other by 0.6 too much
    assert expected_calibration_error(two_bins, torch.tensor([0, 1])) == pytest.approx(
        (0.1 + 0.6) / 2, abs=1e-6
    )


def test_temperature_makes_the_loss_smallest_and_calibrates():
    logits, labels = classified()
    temperature = fit_temperature(logits, labels)
    losses = [
        F.cross_entropy(logits / t, labels).item()
        for t in (temperature, 0.9 * temperature, 1.1 * temperature)
    ]
    assert losses[0] == min(losses) and temperature > 2
    report = classification_metrics(logits, labels, range(7), temperature)
    assert report["ece"] < 0.5 * report["ece_uncalibrated"] and math.isclose(
        report["loss"], losses[0], rel_tol=1e-6
    )
    assert classification_metrics(logits, labels, range(7))["accuracy"] == report["accuracy"]
