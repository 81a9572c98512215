"""Which parameters decay, AdamW and its state as named tensors, the learning rate at a step, and when to stop updating."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

SCHEDULES = ("linear", "cosine", "wsd", "constant")
WSD_DECAY = 0.2  # the share of the steps over which wsd falls to 0 (Hägele et al. 2024, arXiv:2405.18392, find 0.2 enough)

WIDE_FACTOR = 100.0  # of the wide head's token weights: few steps meet a rare token. At --lr 2e-4 that is 0.02; not tuned beside the deep head


def make_adamw(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-6,
    factor_of: Callable[[str], float] = lambda name: 1.0,
) -> torch.optim.AdamW:
    """AdamW with bias correction; matrices and embeddings decay, biases and layer norms do not. Frozen parameters are left out.

    `factor_of` gives for a parameter's name the factor by which the loop multiplies the rate; it stands in each group as "lr_factor".
    """
    groups: dict[tuple, dict] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            key = factor_of(name), weight_decay if p.ndim >= 2 else 0.0
            groups.setdefault(key, {"params": [], "lr_factor": key[0], "weight_decay": key[1]})[
                "params"
            ].append(p)
    return torch.optim.AdamW(list(groups.values()), lr=lr, betas=betas, eps=eps, fused=True)


def layerwise_factor(name: str, layers: int, layer_decay: float, head_factor: float) -> float:
    """The rate of a classifier's parameter, relative to the top encoder layer: `layer_decay` less for each layer below (Howard & Ruder
    2018, arXiv:1801.06146, 2.6 times), the embeddings below the lowest; `head_factor` for the classifier, `WIDE_FACTOR`
    for its weights for each token, 1 for pooler and vocabulary head."""
    if name.startswith("bert.encoder.layer."):
        return layer_decay ** (layers - 1 - int(name.split(".")[3]))
    if name.startswith("bert.embeddings."):
        return layer_decay**layers
    if name.startswith("classifier.wide."):
        return WIDE_FACTOR
    return head_factor if name.startswith("classifier.") else 1.0


class FiniteGuard:
    """Keeps an optimizer from every update from the first loss or gradient on that is not finite, without waiting for the device.

    Fused optimizers skip an update where their `found_inf` is 1 (torch's own GradScaler works by that); it is set on the device in each
    step and read back only by `check`. So the weights stay those before the first bad step, however much later it is noticed.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device):
        self.optimizer = optimizer
        self.bad = torch.zeros(
            3, dtype=torch.float64, device=device
        )  # step (0: none yet), loss, gradient norm

    def watch(
        self, step: int, loss: Tensor, grad_norm: Tensor, scaler: torch.amp.GradScaler
    ) -> None:
        """Look at a step between its gradients and its update. A scaler that can still lower its scale deals with gradients alone."""
        scaled = scaler.is_enabled() and scaler.get_scale() > 1
        finite = loss.isfinite() if scaled else loss.isfinite() & grad_norm.isfinite()
        this = torch.stack([torch.full_like(loss, step), loss, grad_norm.to(loss.dtype)])
        self.bad = torch.where((self.bad[0] > 0) | finite, self.bad, this)
        if not scaler.is_enabled():
            self.optimizer.found_inf = (self.bad[0] > 0).float()

    def check(self, saved_at: int) -> None:
        """ValueError that names the first bad step, if there was one. It waits for the device."""
        step, loss, grad_norm = self.bad.tolist()
        if step:
            raise ValueError(
                f"step {step:.0f}: loss {loss}, gradient norm {grad_norm}; the weights are still those of step {step - 1:.0f}, "
                f"the last checkpoint is of step {saved_at}. A lower --lr or --amp none may help"
            )


def learning_rate(step: int, total_steps: int, peak: float, warmup: float, schedule: str) -> float:
    """The rate of optimizer step `step` (1 ... total_steps): a linear rise over the fraction `warmup`, then the schedule.

    linear and cosine fall to 0 at the end; wsd stays at the peak and falls to 0 linearly over the last fifth; constant stays.
    """
    warmup_steps = math.ceil(warmup * total_steps)
    if step <= warmup_steps:
        return peak * step / warmup_steps
    left = (total_steps - step) / max(
        total_steps - warmup_steps, 1
    )  # 1 after the warm-up, 0 at the last step
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
    return {
        f"{part}/{name}": tensor
        for name, p in model.named_parameters()
        if p in optimizer.state
        for part, tensor in optimizer.state[p].items()
    }


def load_optimizer_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    """The reverse of `optimizer_tensors`."""
    parameters = dict(model.named_parameters())
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        optimizer.state[parameters[name]][part] = tensor.to(parameters[name].device)
