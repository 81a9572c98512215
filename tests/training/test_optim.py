import math

import pytest
import torch

from beautybert.bert.model import BertForMaskedLM, BertForSequenceClassification
from beautybert.cls.classifier import LrFactor
from beautybert.training.optim import (
    SCHEDULES,
    learning_rate,
    load_optimizer_state,
    make_optimizer,
    optimizer_state,
)
from beautybert.training.precision import FiniteGuard
from tests.conftest import TINY


def rates(schedule, total=100, warmup=0.1):
    return [learning_rate(step, total, 1.0, warmup, schedule) for step in range(1, total + 1)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_rises_to_its_peak_and_never_rises_again(schedule):
    r = rates(schedule)
    assert r[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert r[9] == max(r) == 1.0 and all(a >= b for a, b in zip(r[9:], r[10:]))


def test_schedules_have_their_shapes():
    linear, cosine, wsd, constant = (rates(s) for s in ("linear", "cosine", "wsd", "constant"))
    assert (
        linear[54] == pytest.approx(0.5)
        and cosine[54] == pytest.approx(0.5)
        and linear[-1] == cosine[-1] == wsd[-1] == 0
    )
    assert cosine[31] > linear[31] and cosine[80] < linear[80]
    assert wsd[79] == 1.0 and wsd[89] == pytest.approx(0.5) and constant[-1] == 1.0


@pytest.mark.parametrize("total, warmup", [(1, 0.0), (1, 1.0), (3, 0.5), (2, 0.06)])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_short_runs_have_finite_rates_within_the_peak(schedule, total, warmup):
    assert all(0 <= rate <= 1 for rate in rates(schedule, total, warmup))


def test_matrices_decay_biases_and_norms_do_not_and_the_frozen_pooler_is_left_out():
    model = BertForMaskedLM(TINY, pooler=True)
    decayed, kept = make_optimizer(model, 1e-3, 0.01).param_groups
    name_of = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.01 and kept["weight_decay"] == 0
    assert all(
        name_of[id(p)].endswith("weight") and "LayerNorm" not in name_of[id(p)]
        for p in decayed["params"]
    )
    assert all(
        name_of[id(p)].endswith("bias") or "LayerNorm" in name_of[id(p)] for p in kept["params"]
    )
    assert (
        len(decayed["params"]) + len(kept["params"])
        == sum(p.requires_grad for p in model.parameters())
        == len(name_of) - 2
    )


def test_optimizer_state_goes_through_named_tensors_bit_for_bit():
    def step(model, optimizer, seed):
        torch.manual_seed(seed)
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        optimizer.step()

    torch.manual_seed(0)
    model = BertForMaskedLM(TINY)
    optimizer = make_optimizer(model, 1e-3, 0.01)
    step(model, optimizer, 1)
    copy = BertForMaskedLM(TINY)
    copy.load_state_dict(model.state_dict())
    copied = make_optimizer(copy, 1e-3, 0.01)
    load_optimizer_state(
        copy,
        copied,
        {key: tensor.clone() for key, tensor in optimizer_state(model, optimizer).items()},
    )
    for pair in ((model, optimizer), (copy, copied)):
        step(*pair, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), copy.parameters()))


@pytest.mark.parametrize("head", ["pooler", "wide"])
def test_rates_fall_layer_by_layer_and_every_parameter_has_one(head):
    model = BertForSequenceClassification(TINY, 3, head)
    optimizer = make_optimizer(
        model, 1e-3, 0.01, factor_of=lambda name: LrFactor(name, 2, 0.5, 10.0)
    )
    factor = {
        id(p): group["lr_factor"] for group in optimizer.param_groups for p in group["params"]
    }
    assert len(factor) == len(list(model.parameters()))
    for name, p in model.named_parameters():
        expected = next(
            value
            for start, value in (
                ("bert.embeddings", 0.25),
                ("bert.encoder.layer.0", 0.5),
                ("bert.encoder.layer.1", 1.0),
                ("bert.pooler", 1.0),
                ("classifier.wide", 100.0),
                ("classifier", 10.0),
            )
            if name.startswith(start)
        )
        assert factor[id(p)] == expected, name
    assert {
        group["weight_decay"]
        for group in optimizer.param_groups
        for p in group["params"]
        if p.ndim < 2
    } == {0.0}


def test_a_step_that_is_not_finite_and_all_after_it_leave_weights_and_moments_alone_and_it_is_named_later():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = make_optimizer(model, 1e-2, 0.01)
    guard, scaler = (
        FiniteGuard(optimizer, torch.device("cpu")),
        torch.amp.GradScaler("cpu", enabled=False),
    )
    seen = []
    for step, (loss, grad) in enumerate(
        [(1.0, 1.0), (1.0, 0.5), (1.0, math.nan), (1.0, 1.0), (math.inf, 1.0)], start=1
    ):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, grad)
        guard.watch(
            step,
            torch.tensor(loss, dtype=torch.float64),
            torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf),
            scaler,
        )
        optimizer.step()
        seen.append(
            [
                tensor.clone()
                for tensor in (*model.parameters(), *optimizer.state[model.weight].values())
            ]
        )
        if step < 3:
            guard.check(saved_at=0)
    assert not torch.equal(seen[0][0], seen[1][0])
    assert all(torch.equal(one, other) for later in seen[2:] for one, other in zip(seen[1], later))
    with pytest.raises(
        ValueError,
        match="step 3: loss 1.0, gradient norm nan; the weights are still those of step 2, the last checkpoint is of step 1",
    ):
        guard.check(saved_at=1)
