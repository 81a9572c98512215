import math
import re

import pytest
import torch
from torch import nn

from beautybert.training.optim import ChainedOptimizer, make_optimizer
from beautybert.training.precision import Amp, FiniteGuard, amp_dtype, require_finite

CPU = torch.device("cpu")


def test_autocast_dtype_for_each_device():
    dtypes = [amp_dtype(mode, CPU) for mode in ("auto", "none", "bf16")]
    assert dtypes == [None, None, torch.bfloat16]
    assert amp_dtype("fp16", torch.device("cuda")) == torch.float16
    with pytest.raises(ValueError, match="--amp fp16 needs a GPU"):
        amp_dtype("fp16", CPU)


@pytest.mark.parametrize("mode, expected", [("none", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_is_of_the_dtype_asked_for_and_only_fp16_is_scaled(mode, expected):
    amp = Amp(mode, CPU)
    layer = nn.Linear(3, 2)
    with amp.autocast():
        assert layer(torch.ones(1, 3)).dtype == expected
    assert layer(torch.ones(1, 3)).dtype == torch.float32
    assert not amp.grad_scaler().is_enabled()


# ---- the guard ---------------------------------------------------------------------------------


def fused_adamw(model):
    return make_optimizer(model, 1e-2, 0.01)


def plain_adamw(model):
    return torch.optim.AdamW(model.parameters(), 1e-2, fused=False)


def sgd(model):
    return torch.optim.SGD(model.parameters(), 1e-2)


def sgd_with_momentum(model):
    return torch.optim.SGD(model.parameters(), 1e-2, momentum=0.9)


def chained(model):
    first = torch.optim.SGD([model.weight], 1e-2, momentum=0.9)
    return ChainedOptimizer(first, fused_adamw_of_bias(model))


def fused_adamw_of_bias(model):
    return torch.optim.AdamW([model.bias], 1e-2, fused=True)


OPTIMIZERS = [fused_adamw, plain_adamw, sgd, sgd_with_momentum, chained]


class Loop:
    """The steps of a training loop, with losses and gradients as the test gives them."""

    def __init__(self, make):
        torch.manual_seed(0)
        self.model = nn.Linear(3, 2)
        self.optimizer = make(self.model)
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.guard = FiniteGuard(self.optimizer, self.scaler)

    def step(self, step, loss, gradient, last_saved=0):
        for parameter in self.model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        grad_norm = nn.utils.clip_grad_norm_(self.model.parameters(), math.inf)
        step_loss = torch.tensor(loss, dtype=torch.float64)
        self.guard.watch(step, step_loss, grad_norm, last_saved)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def tensors(self):
        """Weights and moments, copied."""
        found = [p.detach().clone() for p in self.model.parameters()]
        for p in self.model.parameters():
            values = self.optimizer.state.get(p, {}).values()
            found += [value.clone() for value in values if value is not None]
        return found


def all_equal(tensors, others):
    return all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True))


def test_a_bad_step_and_all_after_it_change_nothing_and_it_is_named_later():
    loop = Loop(fused_adamw)
    loop.step(1, 1.0, 1.0)
    after_first = loop.tensors()
    loop.step(2, 1.0, 0.5)
    after_second = loop.tensors()
    loop.guard.check()
    assert not torch.equal(after_first[0], after_second[0])
    for step, loss, gradient in ((3, 1.0, math.nan), (4, 1.0, 1.0), (5, math.inf, 1.0)):
        loop.step(step, loss, gradient, last_saved=1)
        assert all_equal(loop.tensors(), after_second)
    message = (
        "step 3: loss 1.0, gradient norm nan; the weights are still those of step 2, the last "
        "checkpoint is of step 1"
    )
    with pytest.raises(ValueError, match=message):
        loop.guard.check()


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_finite_steps_update_what_they_would_without_a_guard(make):
    loop, unguarded = Loop(make), Loop(make)
    unguarded.guard.watch = lambda *arguments: None
    for step, gradient in enumerate((1.0, -0.5, 2.0), start=1):
        before = loop.tensors()[0]
        loop.step(step, 1.0, gradient)
        unguarded.step(step, 1.0, gradient)
        loop.guard.check()
        assert not torch.equal(loop.tensors()[0], before)
        assert all_equal(loop.tensors(), unguarded.tensors())


@pytest.mark.parametrize("loss, gradient", [(1.0, math.nan), (1.0, -math.inf), (math.nan, 1.0)])
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_step_that_is_not_finite_is_an_error_and_no_update_by_any_optimizer(make, loss, gradient):
    loop = Loop(make)
    loop.step(1, 1.0, 1.0)
    before = loop.tensors()
    with pytest.raises(ValueError, match=r"step 2: loss .*still those of step 1") as raised:
        loop.step(2, loss, gradient)
        loop.guard.check()
    assert all_equal(loop.tensors(), before)
    found_loss = float(re.search(r"loss (\S+),", str(raised.value))[1])
    assert str(found_loss) == str(loss)


def test_the_guard_of_a_fused_optimizer_does_not_read_the_device_in_a_step(monkeypatch):
    loop = Loop(fused_adamw)
    monkeypatch.setattr(loop.guard, "check", None)  # it must not be called
    loop.step(1, 1.0, math.nan)


class StubScaler:
    """Stands in for a scaler of fp16 gradients at some scale."""

    def __init__(self, scale):
        self.scale = scale

    def is_enabled(self):
        return True

    def get_scale(self):
        return self.scale


def test_a_scaler_that_can_lower_its_scale_deals_with_gradients_alone():
    model = nn.Linear(3, 2)
    one, nan = torch.tensor(1.0), torch.tensor(math.nan)
    FiniteGuard(sgd(model), StubScaler(2.0)).watch(1, one, nan, 0)
    with pytest.raises(ValueError, match="step 1: loss 1.0, gradient norm nan"):
        FiniteGuard(sgd(model), StubScaler(1.0)).watch(1, one, nan, 0)
    with pytest.raises(ValueError, match="step 1: loss nan, gradient norm 1.0"):
        FiniteGuard(sgd(model), StubScaler(2.0)).watch(1, nan, one, 0)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_validation_loss_must_be_finite(loss):
    require_finite(7, 1.5)
    with pytest.raises(ValueError, match=f"step 7: the validation loss is {loss}"):
        require_finite(7, loss)
