"""Which parameters decay, AdamW and its state as named tensors, and the learning rate at a step."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SCHEDULES = ("linear", "cosine", "wsd", "constant")
WSD_DECAY = 0.2  # the share of the steps over which wsd falls to 0 (Hägele et al. 2024, arXiv:2405.18392, find 0.2 enough)


def make_adamw(model: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.98), eps: float = 1e-6) -> torch.optim.AdamW:
    """AdamW with bias correction; matrices and embeddings decay, biases and layer norms do not. Frozen parameters are left out."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [{"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
              {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=True)


def learning_rate(step: int, total_steps: int, peak: float, warmup: float, schedule: str) -> float:
    """The rate of optimizer step `step` (1 ... total_steps): a linear rise over the fraction `warmup`, then the schedule.

    linear and cosine fall to 0 at the end; wsd stays at the peak and falls to 0 linearly over the last fifth; constant stays.
    """
    warmup_steps = math.ceil(warmup * total_steps)
    if step <= warmup_steps:
        return peak * step / warmup_steps
    left = (total_steps - step) / max(total_steps - warmup_steps, 1)  # 1 after the warm-up, 0 at the last step
    if schedule == "linear":
        return peak * left
    if schedule == "cosine":
        return peak * (1 + math.cos(math.pi * (1 - left))) / 2
    if schedule == "wsd":
        return peak * min(1.0, (total_steps - step) / max(WSD_DECAY * total_steps, 1))
    assert schedule == "constant"
    return peak


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's state as 'exp_avg/PARAMETER', 'exp_avg_sq/PARAMETER', 'step/PARAMETER'."""
    return {f"{part}/{name}": tensor for name, p in model.named_parameters() if p in optimizer.state for part, tensor in optimizer.state[p].items()}


def load_optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The reverse of `optimizer_tensors`."""
    parameters = dict(model.named_parameters())
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        optimizer.state[parameters[name]][part] = tensor.to(parameters[name].device)
