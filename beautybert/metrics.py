"""What is measured, as sums that can be added over micro-batches and ranks before anything is divided.

Letters: M targets, V vocabulary.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def mlm_sums(logits: Tensor, target_ids: Tensor) -> Tensor:
    """Logits (M, V) and the right ids (M,) -> (3,) float64: summed loss (nats), right predictions, targets."""
    loss = F.cross_entropy(logits.float(), target_ids, reduction="sum")
    right = (logits.argmax(-1) == target_ids).sum()
    return torch.stack([loss.double(), right.double(), torch.tensor(float(len(target_ids)), dtype=torch.float64, device=logits.device)])


def mlm_metrics(sums: Tensor) -> dict[str, float]:
    """Summed `mlm_sums` -> loss (nats a target), perplexity and accuracy on the selected positions."""
    loss, right, targets = sums.tolist()
    return {"loss": loss / targets, "perplexity": math.exp(min(loss / targets, 700)), "accuracy": right / targets, "targets": int(targets)}
