import math

import pytest
import torch
import torch.nn.functional as F

from beautybert.training.metrics import (
    classification_metrics,
    confusion_matrix,
    coverage,
    expected_calibration_error,
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


def test_what_is_not_answered_is_wrong_and_no_part_of_loss_and_calibration():
    """Only the answered products, all scores over all: like an answer that is no label."""
    logits, label_ids = classified(count=60)
    answered = torch.arange(60) % 4 > 0
    names = [f"class {i}" for i in range(7)]
    report = classification_metrics(logits, label_ids, names, answered)
    part = classification_metrics(logits[answered], label_ids[answered], names)
    assert report["accuracy"] == pytest.approx(part["accuracy"] * 45 / 60)
    assert report["top3"] == pytest.approx(part["top3"] * 45 / 60)
    assert report["loss"] == part["loss"] and report["ece"] == part["ece"]
    predicted = torch.where(answered, logits.argmax(-1), 7)
    f1 = []
    for i, name in enumerate(names):
        support = (label_ids == i).sum().item()
        num_given = (predicted == i).sum().item()
        num_correct = ((predicted == i) & (label_ids == i)).sum().item()
        f1.append(2 * num_correct / max(support + num_given, 1))
        scores = report["per_class"][name]
        assert scores["support"] == support and scores["f1"] == pytest.approx(f1[-1])
        assert scores["recall"] == pytest.approx(num_correct / max(support, 1))
    num_labels = len({*label_ids.tolist(), *predicted[answered].tolist()})
    assert report["macro_f1"] == pytest.approx(sum(f1) / num_labels)


def test_coverage_withholds_answers_below_each_probability():
    probabilities = torch.tensor([0.95, 0.8, 0.7, 0.6, 0.9])
    logits = torch.stack([probabilities, 1 - probabilities], -1).log()
    label_ids = torch.tensor([0, 1, 0, 1, 0])
    answered = torch.tensor([True, True, True, True, False])
    rows = coverage(logits, label_ids, answered, (0.0, 0.65, 0.75, 0.99))
    assert [row["min_probability"] for row in rows] == [0.0, 0.65, 0.75, 0.99]
    assert [row["answered"] for row in rows] == pytest.approx([0.8, 0.6, 0.4, 0.0])
    assert [row["correct"] for row in rows] == pytest.approx([0.5, 2 / 3, 0.5, 0.0])
