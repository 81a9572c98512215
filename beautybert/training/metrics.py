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
    count = torch.full((), len(target_ids), dtype=torch.float64, device=logits.device)
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
    logits: Tensor, label_ids: Tensor, labels: Sequence[str], answered: Tensor | None = None
) -> dict[str, Any]:
    """Logits (B, C), target classes (B,) -> what a report says of them.

    accuracy, top3, macro_f1, loss (nats), ece and per_class, in which a label has precision,
    recall, f1 and support. macro_f1 is the mean over the classes that occur among targets or
    predictions, as in scikit-learn; a ratio without a denominator is 0. answered: (B,); those that
    are not count as wrong, and not for loss and ece.
    """
    logits = logits.double()
    if answered is None:
        answered = torch.ones(len(label_ids), dtype=torch.bool)
    confusion = confusion_matrix(logits[answered].argmax(-1), label_ids[answered], len(labels))
    correct = confusion.diagonal().double()  # (C,)
    support = label_ids.bincount(minlength=len(labels)).double()
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
    in_top3 = (top3 == label_ids[:, None]).any(-1) & answered
    return {
        "accuracy": correct.sum().item() / len(label_ids),
        "top3": in_top3.double().mean().item(),
        "macro_f1": f1[occurs].mean().item(),
        "loss": F.cross_entropy(logits[answered], label_ids[answered], reduction="sum").item()
        / max(int(answered.sum()), 1),
        "ece": expected_calibration_error(logits[answered], label_ids[answered]),
        "per_class": per_class,
    }


def coverage(
    logits: Tensor, label_ids: Tensor, answered: Tensor, min_probabilities: Sequence[float]
) -> list[dict[str, float]]:
    """What is left when answers below a probability are withheld, for each of the probabilities.

    Logits (B, C), target classes (B,), answered (B,). min_probability, answered: share of all that
    is left. correct: share of these that is right, 0 if none is left.
    """
    confidence, predicted = logits.softmax(-1).max(-1)
    is_correct = predicted == label_ids
    rows = []
    for min_probability in min_probabilities:
        left = answered & (confidence >= min_probability)
        correct = (is_correct & left).sum().item() / max(int(left.sum()), 1)
        rows.append(
            {
                "min_probability": min_probability,
                "answered": left.double().mean().item(),
                "correct": correct,
            }
        )
    return rows


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
    return (gaps.abs().sum() / max(len(label_ids), 1)).item()
