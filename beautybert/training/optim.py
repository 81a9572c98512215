"""Which parameters decay, the optimizer and its state by name, the learning rate at a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

SCHEDULES = ("linear", "cosine", "wsd", "constant")
WSD_DECAY = 0.2  # share of the steps over which wsd falls: Hägele et al. 2024, arXiv:2405.18392


def make_optimizer(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    lr_factor: Callable[[str], float] = lambda name: 1.0,
) -> Any:
    """The optimizer of a run: AdamW over the parameters that need a gradient.

    Matrices and embeddings decay, biases and layer norms do not. lr_factor: from a parameter's name
    to the factor on its learning rate, which is in its group as "lr_factor".
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        factor = lr_factor(name)
        decay = weight_decay if p.ndim >= 2 else 0.0
        group = {"params": [], "lr_factor": factor, "weight_decay": decay}
        groups.setdefault((factor, decay), group)["params"].append(p)
    return torch.optim.AdamW(list(groups.values()), lr, betas=(0.9, 0.98), eps=1e-6, fused=True)


class ChainedOptimizer:
    """Several optimizers as one, say Muon and AdamW (docs/editing.md).

    Each has its own parameters.
    """

    def __init__(self, *optimizers: torch.optim.Optimizer):
        self.optimizers = optimizers
        self.param_groups = [group for each in optimizers for group in each.param_groups]
        self.state = optimizers[0].state
        for optimizer in optimizers[1:]:
            optimizer.state = self.state  # by parameter, so one dictionary serves all

    def step(self) -> None:
        """One update by each optimizer."""
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none)


def kind_of(optimizer: Any) -> str:
    """The name of an optimizer's class, of a chained one those of its parts."""
    parts = optimizer.optimizers if isinstance(optimizer, ChainedOptimizer) else [optimizer]
    return " + ".join(type(part).__name__ for part in parts)


def learning_rate(step: int, total_steps: int, peak: float, warmup: float, schedule: str) -> float:
    """The rate of optimizer step `step` (1 ... total_steps), one of `SCHEDULES`.

    It rises linearly over the share `warmup` of the steps. Then linear and cosine fall to 0 at the
    end; wsd stays at the peak and falls to 0 linearly over the last fifth; constant stays.
    """
    warmup_steps = math.ceil(warmup * total_steps)
    if step <= warmup_steps:
        return peak * step / warmup_steps
    left = (total_steps - step) / max(total_steps - warmup_steps, 1)  # from 1 to 0 at the last step
    if schedule == "linear":
        return peak * left
    if schedule == "cosine":
        return peak * (1 + math.cos(math.pi * (1 - left))) / 2
    if schedule == "wsd":
        return peak * min(1.0, (total_steps - step) / max(WSD_DECAY * total_steps, 1))
    assert schedule == "constant"
    return peak


def set_learning_rate(optimizer: Any, lr: float) -> None:
    """Give each group the rate `lr` times its "lr_factor", if it has one."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_factor", 1.0)


def optimizer_state(model: nn.Module, optimizer: Any) -> dict[str, Tensor]:
    """The optimizer's state as named tensors; AdamW's: 'exp_avg/PARAMETER', 'step/PARAMETER' ..."""
    tensors = {}
    for name, p in model.named_parameters():
        for part, value in optimizer.state.get(p, {}).items():
            if value is None:  # an empty buffer, as SGD without momentum has in some releases
                continue
            if not isinstance(value, Tensor):
                raise ValueError(
                    f"the optimizer's {part} of {name} is a {type(value).__name__}, not a tensor: "
                    "a checkpoint cannot hold it"
                )
            tensors[f"{part}/{name}"] = value
    return tensors


def load_optimizer_state(model: nn.Module, optimizer: Any, tensors: dict[str, Tensor]) -> None:
    """The reverse of `optimizer_state`.

    torch keeps the step of optimizers that are neither fused nor capturable on the CPU.
    """
    parameters = dict(model.named_parameters())
    on_device = {
        p
        for group in optimizer.param_groups
        if group.get("fused") or group.get("capturable")
        for p in group["params"]
    }
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        p = parameters[name]
        stays_on_cpu = part == "step" and p not in on_device
        optimizer.state[p][part] = tensor if stays_on_cpu else tensor.to(p.device)
