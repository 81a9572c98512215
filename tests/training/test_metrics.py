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


def test_sums_over_parts_give_the_metrics_of_all():
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 9), torch.randint(0, 9, (50,))
    sums = torch.zeros(3, dtype=torch.float64)
    for start, end in ((0, 1), (1, 1), (1, 40), (40, 50)):
        sums += mlm_sums(logits[start:end], targets[start:end])
    metrics = mlm_metrics(sums)
    loss = F.cross_entropy(logits, targets).item()
    accuracy = (logits.argmax(1) == targets).float().mean().item()
    assert metrics["targets"] == 50
    assert math.isclose(metrics["loss"], loss, rel_tol=1e-6)
    assert math.isclose(metrics["perplexity"], math.exp(metrics["loss"]))
    assert math.isclose(metrics["accuracy"], accuracy, rel_tol=1e-6)


def classified(seed=0, count=400, classes=7):
    """Logits that are correct about half of the time and too sure of it, and the target classes.

    The last class is no target.
    """
    generator = torch.Generator().manual_seed(seed)
    label_ids = torch.randint(0, classes - 1, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), label_ids] += 1
    return 4 * logits, label_ids


def test_report_equals_scikit_learns():
    sklearn = pytest.importorskip("sklearn.metrics")
    logits, label_ids = classified()
    # Class 6 is never correct; class 5 is never predicted and no target either
    logits[:, 5] -= 100
    label_ids[label_ids == 5] = 4
    names = [f"class {i}" for i in range(7)]
    report = classification_metrics(logits, label_ids, names)
    predicted = logits.argmax(-1)
    macro_f1 = sklearn.f1_score(label_ids, predicted, average="macro", zero_division=0)
    top3 = sklearn.top_k_accuracy_score(label_ids, logits.numpy(), k=3, labels=range(7))
    assert math.isclose(report["accuracy"], sklearn.accuracy_score(label_ids, predicted))
    assert math.isclose(report["macro_f1"], macro_f1)
    assert math.isclose(report["top3"], top3)
    theirs = sklearn.classification_report(
        label_ids,
        predicted,
        labels=range(7),
        target_names=names,
        output_dict=True,
        zero_division=0,
    )
    for name in names:
        expected = theirs[name]
        expected["f1"] = expected.pop("f1-score")
        assert report["per_class"][name] == pytest.approx(expected), name
    counts = confusion_matrix(predicted, label_ids, 7).numpy()
    assert (counts == sklearn.confusion_matrix(label_ids, predicted, labels=range(7))).all()


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    logits = torch.tensor([0.8, 0.2]).log().repeat(10, 1)  # 0.8 sure of class 0, every time
    as_sure = torch.tensor([0] * 8 + [1] * 2)
    too_sure = torch.tensor([0] * 5 + [1] * 5)
    assert expected_calibration_error(logits, as_sure) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(logits, too_sure) == pytest.approx(0.3, abs=1e-6)
    # the first 0.1 too little sure, the second 0.6 too much
    two_bins = torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log()
    error = expected_calibration_error(two_bins, torch.tensor([0, 1]))
    assert error == pytest.approx((0.1 + 0.6) / 2, abs=1e-6)


def test_temperature_makes_the_loss_smallest_and_calibrates():
    logits, label_ids = classified()
    temperature = fit_temperature(logits, label_ids)
    assert temperature > 2
    loss = F.cross_entropy(logits / temperature, label_ids).item()
    for factor in (0.9, 1.1):
        assert F.cross_entropy(logits / (factor * temperature), label_ids).item() > loss
    report = classification_metrics(logits, label_ids, range(7), temperature)
    assert report["ece"] < 0.5 * report["ece_uncalibrated"]
    assert math.isclose(report["loss"], loss, rel_tol=1e-6)
    uncalibrated = classification_metrics(logits, label_ids, range(7))
    assert uncalibrated["accuracy"] == report["accuracy"]
