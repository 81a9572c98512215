"""Which parameters decay, AdamW and its state as named tensors, and the learning rate at a step."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

SCHEDULES = ("linear", "cosine", "wsd", "constant")
WSD_DECAY = 0.2  # the share of the steps over which wsd falls to 0 (Hägele et al. 2024, arXiv:2405.18392, find 0.2 enough)


def make_adamw(model: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.98), eps: float = 1e-6,
               factor_of: Callable[[str], float] = lambda name: 1.0) -> torch.optim.AdamW:
    """AdamW with bias correction; matrices and embeddings decay, biases and layer norms do not. Frozen parameters are left out.

    `factor_of` gives for a parameter's name the factor by which the loop multiplies the rate; it stands in each group as "lr_factor".
    """
    groups: dict[tuple, dict] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            key = factor_of(name), weight_decay if p.ndim >= 2 else 0.0
            groups.setdefault(key, {"params": [], "lr_factor": key[0], "weight_decay": key[1]})["params"].append(p)
    return torch.optim.AdamW(list(groups.values()), lr=lr, betas=betas, eps=eps, fused=True)


def layerwise_factor(name: str, layers: int, layer_decay: float, head_factor: float) -> float:
    """The rate of a classifier's parameter, relative to the top encoder layer: `layer_decay` less for each layer below (Howard & Ruder
    2018, arXiv:1801.06146, 2.6 times), the embeddings below the lowest; `head_factor` for the classifier, 1 for pooler and vocabulary head."""
    if name.startswith("bert.encoder.layer."):
        return layer_decay ** (layers - 1 - int(name.split(".")[3]))
    if name.startswith("bert.embeddings."):
        return layer_decay ** layers
    return head_factor if name.startswith("classifier.") else 1.0


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
