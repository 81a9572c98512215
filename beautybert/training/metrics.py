"""What is measured: sums over micro-batches and ranks first, divisions last.

Letters: M targets, V vocabulary, B documents, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CLASSIFICATION_SCORES = ("loss", "accuracy", "top3", "macro_f1")  # shown in training


def mlm_sums(logits: Tensor, target_ids: Tensor) -> Tensor:
    """Logits (M, V), target ids (M,) -> (3,) float64: loss in nats, correct ones, targets."""
    loss = F.cross_entropy(logits.float(), target_ids, reduction="sum")
    correct = (logits.argmax(-1) == target_ids).sum()
    count = torch.tensor(len(target_ids), dtype=torch.float64, device=logits.device)
    return torch.stack([loss.double(), correct.double(), count])


def mlm_metrics(sums: Tensor) -> dict[str, float]:
    """Summed `mlm_sums` -> loss (nats a target), perplexity, accuracy, targets."""
    loss, correct, targets = sums.tolist()
    return {
        "loss": loss / targets,
        "perplexity": math.exp(min(loss / targets, 700)),
        "accuracy": correct / targets,
        "targets": int(targets),
    }


def classification_metrics(
    logits: Tensor, label_ids: Tensor, labels: Sequence[str], temperature: float = 1.0
) -> dict[str, Any]:
    """Logits (B, C), target classes (B,) -> what a report says of them.

    accuracy, top3, macro_f1, loss (nats), ece (of logits / temperature), ece_uncalibrated,
    temperature and per_class, in which a label has precision, recall, f1 and support. macro_f1 is
    the mean over the classes that occur among targets or predictions, as in scikit-learn; a ratio
    without a denominator is 0.
    """
    logits = logits.double()
    predicted = logits.argmax(-1)
    confusion = confusion_matrix(predicted, label_ids, len(labels))
    correct = confusion.diagonal().double()  # (C,)
    support = confusion.sum(1).double()
    given = confusion.sum(0).double()
    precision = correct / given.clamp(min=1)
    recall = correct / support.clamp(min=1)
    f1 = 2 * correct / (support + given).clamp(min=1)
    occurs = (support + given) > 0
    per_class = {
        label: {
            "precision": precision[i].item(),
            "recall": recall[i].item(),
            "f1": f1[i].item(),
            "support": int(support[i]),
        }
        for i, label in enumerate(labels)
    }
    top3 = logits.topk(min(3, len(labels)), -1).indices  # (B, 3)
    calibrated = logits / temperature
    return {
        "accuracy": correct.sum().item() / len(label_ids),
        "top3": (top3 == label_ids[:, None]).any(-1).double().mean().item(),
        "macro_f1": f1[occurs].mean().item(),
        "loss": F.cross_entropy(calibrated, label_ids).item(),
        "ece": expected_calibration_error(calibrated, label_ids),
        "ece_uncalibrated": expected_calibration_error(logits, label_ids),
        "temperature": temperature,
        "per_class": per_class,
    }


def confusion_matrix(predicted: Tensor, label_ids: Tensor, classes: int) -> Tensor:
    """Predicted and target classes (B,) -> counts (C, C): a row a target, a column a prediction."""
    counts = torch.bincount(label_ids * classes + predicted, minlength=classes * classes)
    return counts.view(classes, classes)


def expected_calibration_error(logits: Tensor, label_ids: Tensor, bins: int = 15) -> float:
    """The mean gap between confidence and accuracy over bins of confidence, weighted by their size.

    Guo et al. 2017, arXiv:1706.04599, with `bins` bins of equal width.
    """
    confidence, predicted = logits.softmax(-1).max(-1)
    correct = (predicted == label_ids).double()
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64)
    gaps = gaps.index_add(0, bin_of, confidence.double() - correct)
    return (gaps.abs().sum() / len(label_ids)).item()


def fit_temperature(logits: Tensor, label_ids: Tensor) -> float:
    """The temperature in 0.05 ... 20 that makes the loss of logits / temperature smallest.

    Guo et al. 2017. Logits (B, C), target classes (B,). Found by golden-section search on its
    logarithm: in 1 / temperature the loss is convex.
    """
    logits = logits.double()
    golden = (math.sqrt(5) - 1) / 2
    low, high = math.log(0.05), math.log(20.0)

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits / math.exp(log_temperature), label_ids).item()

    while high - low > 1e-4:
        left = high - golden * (high - low)
        right = low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)
