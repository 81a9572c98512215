"""Numbers that are not finite stop all ranks together, before the weights change."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import train_mlm
from beautybert.bert.model import BertForMaskedLM
from tests.conftest import ROOT, run_script, same_weights

BAD_STEP = 3
# Runs train_mlm.py with a gradient that is NaN on rank 1 in one step.
POISONED = """
import os, sys
sys.path.insert(0, {root!r})
import torch
import train_mlm
from beautybert.training import optim, options
steps = []
set_learning_rate = optim.set_learning_rate
def at_each_step(optimizer, lr):
    steps.append(lr)
    set_learning_rate(optimizer, lr)
optim.set_learning_rate = at_each_step
make_optimizer = optim.make_optimizer
def with_hook(model, *arguments):
    p = model.bert.encoder.layer[1].output.dense.weight
    def poison(gradient):
        bad = len(steps) == {step} and os.environ["RANK"] == "1"
        return gradient.index_fill(0, torch.tensor([3]), float("nan")) if bad else gradient
    p.register_hook(poison)
    return make_optimizer(model, *arguments)
optim.make_optimizer = with_hook
sys.exit(options.run_command(train_mlm.MlmConfig, None, train_mlm.main))
"""


@pytest.fixture
def config(checkpoint, texts, tmp_path) -> train_mlm.MlmConfig:
    return train_mlm.MlmConfig(
        data=(str(texts),),
        init=str(checkpoint),
        max_length=32,
        batch_tokens=256,
        micro_batch_tokens=64,
        max_steps=6,
        log_interval=1,
        save_interval=1,
        keep=9,
        eval_interval=0,
        cache_dir=str(tmp_path / "cache"),
        out=str(tmp_path / "run"),
    )


def check_weights_are_those_before(config, tmp_path, ranks=0):
    """The newest checkpoint is that of a run that ends before the bad step."""
    short = replace(config, out=str(tmp_path / "short"), max_steps=BAD_STEP - 1)
    done = run_script(short, tmp_path, ranks)
    assert done.returncode == 0, done.stderr
    saved = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert saved[-1].name == f"step-{BAD_STEP - 1:08d}"
    assert same_weights(saved[-1], short.out)


@pytest.mark.parametrize("what", ["loss", pytest.param("embedding", marks=pytest.mark.faults)])
def test_one_bad_number_is_named_with_its_step_and_micro_batch(config, tmp_path, what, monkeypatch):
    config = replace(config, schedule="constant")
    forward, calls = BertForMaskedLM.forward, []

    def poisoned(self, *arguments):
        if not self.training:
            return forward(self, *arguments)
        calls.append(1)
        logits = forward(self, *arguments)
        if len(calls) != 4 * (BAD_STEP - 1) + 3:  # the third of four micro-batches
            return logits
        if what == "loss":
            return logits * math.nan
        with torch.no_grad():
            before = self.bert.embeddings.word_embeddings.weight[7].clone()
            self.bert.embeddings.word_embeddings.weight[7] = math.inf
            logits = forward(self, *arguments)  # the decoder has these rows too
            self.bert.embeddings.word_embeddings.weight[7] = before
        return logits.requires_grad_()

    monkeypatch.setattr(BertForMaskedLM, "forward", poisoned)
    message = rf"step {BAD_STEP}: loss (nan|inf) \(micro-batch 2\), gradient norm .*those of step 2"
    with pytest.raises(ValueError, match=message):
        train_mlm.main(config)
    monkeypatch.undo()
    check_weights_are_those_before(config, tmp_path)


@pytest.mark.faults
def test_a_bad_gradient_of_one_rank_stops_all_before_the_weights_change(config, tmp_path, tried):
    config = replace(config, schedule="constant")
    script = tmp_path / "poisoned.py"
    script.write_text(POISONED.format(root=str(ROOT), step=BAD_STEP))
    done = run_script(config, tmp_path, ranks=2, script=str(script))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "gradient norm nan" in line]
    assert len(lines) == 2, "both ranks say so"
    assert all("the weights are still those of step 2" in line for line in lines)
    check_weights_are_those_before(config, tmp_path, ranks=2)
    tried("train_mlm: a NaN in one gradient of one of two ranks; both stopped before the update")
