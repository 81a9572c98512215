import itertools

import pytest
import torch
from torch import nn

from beautybert.bert.model import BertForMaskedLM
from beautybert.training.optim import (
    SCHEDULES,
    ChainedOptimizer,
    learning_rate,
    load_optimizer_state,
    make_optimizer,
    optimizer_state,
    set_learning_rate,
)
from tests.conftest import TINY

# ---- the learning rate -------------------------------------------------------------------------


def rates_of(schedule, total_steps=100, warmup=0.1):
    steps = range(1, total_steps + 1)
    return [learning_rate(step, total_steps, 1.0, warmup, schedule) for step in steps]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_rises_to_its_peak_and_never_rises_again(schedule):
    rates = rates_of(schedule)
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[9] == max(rates) == 1.0
    assert all(rate >= following for rate, following in itertools.pairwise(rates[9:]))


def test_schedules_have_their_shapes():
    linear, cosine, wsd, constant = map(rates_of, ("linear", "cosine", "wsd", "constant"))
    assert linear[54] == pytest.approx(0.5)
    assert cosine[54] == pytest.approx(0.5)
    assert linear[-1] == cosine[-1] == wsd[-1] == 0
    assert cosine[31] > linear[31]
    assert cosine[80] < linear[80]
    assert wsd[79] == 1.0
    assert wsd[89] == pytest.approx(0.5)
    assert constant[-1] == 1.0


@pytest.mark.parametrize("total_steps, warmup", [(1, 0.0), (1, 1.0), (3, 0.5), (2, 0.06)])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_short_runs_have_finite_rates_within_the_peak(schedule, total_steps, warmup):
    assert all(0 <= rate <= 1 for rate in rates_of(schedule, total_steps, warmup))


def test_each_group_gets_its_factor_of_the_rate():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    factors = {"0": 0.5, "1": 1.0}
    first = make_optimizer(model[:2], 1.0, 0.01, lambda name: factors[name[0]])
    second = torch.optim.SGD(model[2].parameters(), 1.0)  # its group has no factor
    optimizer = ChainedOptimizer(first, second)
    set_learning_rate(optimizer, 0.2)
    rate_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for layer, expected in zip(model, (0.1, 0.2, 0.2), strict=True):
        assert all(rate_of[id(p)] == expected for p in layer.parameters())
    assert second.param_groups[0]["lr"] == 0.2, "the optimizers themselves have it"


# ---- the optimizer and its state ---------------------------------------------------------------


def test_matrices_decay_biases_and_norms_do_not_and_the_frozen_pooler_is_left_out():
    model = BertForMaskedLM(TINY, pooler=True)
    optimizer = make_optimizer(model, 1e-3, 0.01)
    decay_of = {}
    for group in optimizer.param_groups:
        decay_of |= {id(p): group["weight_decay"] for p in group["params"]}
    assert len(optimizer.param_groups) == 2
    for name, p in model.named_parameters():
        if "pooler" in name:
            assert id(p) not in decay_of
        elif name.endswith("bias") or "LayerNorm" in name:
            assert decay_of.pop(id(p)) == 0, name
        else:
            assert decay_of.pop(id(p)) == 0.01, name
    assert not decay_of


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))


def tiny_bert():
    torch.manual_seed(0)
    return BertForMaskedLM(TINY)


def adamw(model):
    return make_optimizer(model, 1e-3, 0.01)


def sgd(model):
    return torch.optim.SGD(model.parameters(), 0.1)


def sgd_and_adamw(model):
    first = torch.optim.SGD(model[0].parameters(), 0.1, momentum=0.9)
    return ChainedOptimizer(first, torch.optim.AdamW(model[1].parameters(), 1e-2))


def make_step(model, optimizer, seed):
    torch.manual_seed(seed)
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()


@pytest.mark.parametrize(
    "make_model, make, num_tensors",
    [(tiny_bert, adamw, 3 * 42), (two_layers, sgd, 0), (two_layers, sgd_and_adamw, 2 + 2 * 3)],
)
def test_optimizer_state_goes_through_named_tensors_bit_for_bit(make_model, make, num_tensors):
    model = make_model()
    optimizer = make(model)
    make_step(model, optimizer, seed=1)
    state = optimizer_state(model, optimizer)
    assert len(state) == num_tensors
    saved = {key: tensor.clone() for key, tensor in state.items()}

    copy = make_model()
    copy.load_state_dict(model.state_dict())
    its_optimizer = make(copy)
    load_optimizer_state(copy, its_optimizer, saved)
    make_step(model, optimizer, seed=2)
    make_step(copy, its_optimizer, seed=2)
    for p, expected in zip(copy.parameters(), model.parameters(), strict=True):
        assert torch.equal(p, expected)


def test_an_empty_momentum_buffer_is_no_tensor():
    model = two_layers()
    optimizer = sgd(model)
    for p in model.parameters():
        optimizer.state[p]["momentum_buffer"] = None  # as SGD of torch 2.5 keeps it
    assert optimizer_state(model, optimizer) == {}


def test_a_chain_does_what_its_optimizers_do():
    model, expected = two_layers(), two_layers()
    optimizer = sgd_and_adamw(model)
    first = torch.optim.SGD(expected[0].parameters(), 0.1, momentum=0.9)
    second = torch.optim.AdamW(expected[1].parameters(), 1e-2)
    for seed in (1, 2):
        make_step(model, optimizer, seed)
        make_step(expected, first, seed)
        second.step()
    for p, other in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(p, other)
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_state_that_is_no_tensor_is_named_before_it_is_lost():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    name, parameter = next(iter(model.named_parameters()))
    optimizer.state[parameter]["step"] = 3
    with pytest.raises(ValueError, match=f"step of {name} is a int, not a tensor"):
        optimizer_state(model, optimizer)


@pytest.mark.parametrize("fused", [True, False])
def test_the_step_of_an_optimizer_that_is_not_fused_stays_on_the_cpu(fused):
    """As torch keeps it: on a GPU it would be read back in each step. `meta` stands for a GPU."""
    model = nn.Linear(2, 2).to("meta")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for group in optimizer.param_groups:
        group["fused"] = fused
    name, parameter = next(iter(model.named_parameters()))
    tensors = {f"step/{name}": torch.tensor(3.0), f"exp_avg/{name}": torch.zeros(2)}
    load_optimizer_state(model, optimizer, tensors)
    devices = {part: tensor.device.type for part, tensor in optimizer.state[parameter].items()}
    assert devices == {"step": "meta" if fused else "cpu", "exp_avg": "meta"}
