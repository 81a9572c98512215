"""What is measured, as sums that can be added over micro-batches and ranks before anything is divided.

Letters: M targets, V vocabulary, B documents, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def mlm_sums(logits: Tensor, target_ids: Tensor) -> Tensor:
    """Logits (M, V) and the right ids (M,) -> (3,) float64: summed loss (nats), right predictions, targets."""
    loss = F.cross_entropy(logits.float(), target_ids, reduction="sum")
    right = (logits.argmax(-1) == target_ids).sum()
    return torch.stack(
        [
            loss.double(),
            right.double(),
            torch.tensor(float(len(target_ids)), dtype=torch.float64, device=logits.device),
        ]
    )


def mlm_metrics(sums: Tensor) -> dict[str, float]:
    """Summed `mlm_sums` -> loss (nats a target), perplexity and accuracy on the selected positions."""
    loss, right, targets = sums.tolist()
    return {
        "loss": loss / targets,
        "perplexity": math.exp(min(loss / targets, 700)),
        "accuracy": right / targets,
        "targets": int(targets),
    }


def classification_report(
    logits: Tensor, label_ids: Tensor, labels: Sequence[str], temperature: float = 1.0
) -> dict:
    """Logits (B, C) and the right classes (B,) -> accuracy, top3, macro_f1, loss (nats), ece, ece_uncalibrated and per_class.

    macro_f1 is the mean over the classes that occur among the right or the predicted ones, as in scikit-learn. per_class[label] holds
    precision, recall, f1 and support; a ratio without a denominator is 0.
    """
    logits, classes = logits.double(), len(labels)
    predicted = logits.argmax(-1)
    confusion = confusion_matrix(predicted, label_ids, classes)
    right, support, given = (
        confusion.diagonal().double(),
        confusion.sum(1).double(),
        confusion.sum(0).double(),
    )
    precision, recall = right / given.clamp(min=1), right / support.clamp(min=1)
    f1 = 2 * right / (support + given).clamp(min=1)
    occurs = (support + given) > 0
    best3 = logits.topk(min(3, classes), -1).indices
    return {
        "accuracy": right.sum().item() / len(label_ids),
        "top3": (best3 == label_ids[:, None]).any(-1).double().mean().item(),
        "macro_f1": f1[occurs].mean().item(),
        "loss": F.cross_entropy(logits / temperature, label_ids).item(),
        "ece": expected_calibration_error(logits / temperature, label_ids),
        "ece_uncalibrated": expected_calibration_error(logits, label_ids),
        "temperature": temperature,
        "per_class": {
            label: {
                "precision": precision[i].item(),
                "recall": recall[i].item(),
                "f1": f1[i].item(),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
    }


def confusion_matrix(predicted: Tensor, label_ids: Tensor, classes: int) -> Tensor:
    """(B,), (B,) -> counts (C, C): row = right class, column = predicted class."""
    return torch.bincount(label_ids * classes + predicted, minlength=classes * classes).view(
        classes, classes
    )


def expected_calibration_error(logits: Tensor, label_ids: Tensor, bins: int = 15) -> float:
    """The mean gap between confidence and accuracy over `bins` equally wide bins of confidence, weighted by size (Guo et al. 2017, arXiv:1706.04599)."""
    confidence, predicted = logits.softmax(-1).max(-1)
    right = (predicted == label_ids).double()
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, bin_of, confidence.double() - right)
    return (gaps.abs().sum() / len(label_ids)).item()


def fit_temperature(logits: Tensor, label_ids: Tensor) -> float:
    """The temperature between 0.05 and 20 by which dividing the logits (B, C) makes their loss smallest (Guo et al. 2017).

    Found by golden-section search on its logarithm: in 1 / temperature the loss is convex.
    """
    logits = logits.double()
    low, high, golden = math.log(0.05), math.log(20.0), (math.sqrt(5) - 1) / 2

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits / math.exp(log_temperature), label_ids).item()

    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)
