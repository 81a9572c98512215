"""Autocast and gradient scaler for --amp, and the guard against steps that are not finite."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

AMP_MODES = ("none", "bf16", "fp16", "auto")


class Amp:
    """Mixed precision as --amp asks for it. dtype: that of autocast, None for plain fp32.

    ValueError for fp16 on a CPU.
    """

    def __init__(self, mode: str, device: torch.device):
        self.device = device
        self.dtype = amp_dtype(mode, device)

    def autocast(self) -> AbstractContextManager:
        """The context of a forward pass and its loss."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def grad_scaler(self) -> torch.amp.GradScaler:
        """The loss scaler that fp16 needs; for other dtypes it does nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)


def amp_dtype(mode: str, device: torch.device) -> torch.dtype | None:
    """The dtype of autocast for one of `AMP_MODES` on this device; None for plain fp32.

    auto is bf16 on a GPU that has it, fp16 on one that has not, fp32 on a CPU. ValueError for fp16
    on a CPU.
    """
    if mode == "auto":
        if device.type != "cuda":
            return None
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bf16 else torch.float16
    if mode == "fp16" and device.type != "cuda":
        raise ValueError("--amp fp16 needs a GPU; on a CPU choose --amp none or bf16")
    return {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}[mode]


class FiniteGuard:
    """Keeps an optimizer from every update from the first loss or gradient on that is not finite.

    Fused optimizers skip an update where their `found_inf` is 1 (torch's own GradScaler works by
    that). It is set on the device in each step and read back only by `check`, so no step waits for
    the device, and the weights stay those before the first bad step, however late it is noticed.
    With any other optimizer, or a scaler, `watch` checks at once, which waits for the device in
    each step.
    """

    def __init__(self, optimizer: Any, scaler: torch.amp.GradScaler):
        self.optimizer = optimizer
        self.scaler = scaler
        self.last_saved = 0
        device = optimizer.param_groups[0]["params"][0].device
        # step (0: none yet), loss and gradient norm of the first bad step
        self.bad = torch.zeros(3, dtype=torch.float64, device=device)
        self.bad_micro_batch = torch.full((), -1, device=device)  # the first, of this rank

    def note(self, loss: Tensor, index: int) -> Tensor:
        """The loss of a micro-batch, detached; the first that is not finite is remembered."""
        loss = loss.detach()
        is_first = (self.bad_micro_batch < 0) & (self.bad[0] == 0) & ~loss.isfinite()
        self.bad_micro_batch = torch.where(is_first, index, self.bad_micro_batch)
        return loss

    def watch(self, step: int, loss: Tensor, grad_norm: Tensor, last_saved: int) -> None:
        """Look at a step between its gradients and its update. last_saved: step of a checkpoint.

        A scaler that can still lower its scale deals with gradients alone.
        """
        self.last_saved = last_saved
        scaled = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        finite = loss.isfinite() if scaled else loss.isfinite() & grad_norm.isfinite()
        this = torch.stack([torch.full_like(loss, step), loss, grad_norm.to(loss.dtype)])
        self.bad = torch.where((self.bad[0] > 0) | finite, self.bad, this)
        is_fused = getattr(self.optimizer, "_step_supports_amp_scaling", False)
        if is_fused and not self.scaler.is_enabled():
            self.optimizer.found_inf = (self.bad[0] > 0).float()
        else:
            self.check()

    def check(self) -> None:
        """ValueError that names the first bad step, if there was one. It waits for the device."""
        step, loss, grad_norm = self.bad.tolist()
        if step:
            if dist.is_initialized():  # all ranks are here: the loss and norm are those of all
                dist.all_reduce(self.bad_micro_batch, dist.ReduceOp.MAX)
            index = int(self.bad_micro_batch)
            where = f" (micro-batch {index})" if index >= 0 else ""
            raise ValueError(
                f"step {step:.0f}: loss {loss}{where}, gradient norm {grad_norm}; the weights are "
                f"still those of step {step - 1:.0f}, the last checkpoint is of step "
                f"{self.last_saved}. A lower --lr or --amp none may help"
            )


def require_finite(step: int, validation_loss: float) -> None:
    """ValueError if the loss of an evaluation is not finite."""
    if not math.isfinite(validation_loss):
        raise ValueError(f"step {step}: the validation loss is {validation_loss}")
