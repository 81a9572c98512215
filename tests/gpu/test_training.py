"""Both scripts on a GPU: who waits for whom, compilation, fp16, resuming, memory, NCCL."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import train_cls
import train_mlm
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import HEADS, BertConfig, BertForMaskedLM
from beautybert.training import optim
from beautybert.training.checkpoints import read as read_checkpoint
from beautybert.training.precision import Amp
from tests.conftest import ROOT, crash_at, losses, same_weights, weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def config(config) -> train_mlm.MlmConfig:
    """Two micro-batches of more tokens than torch's kernel for few embeddings takes (4,096)."""
    return replace(config, amp="bf16", batch_tokens=12288, micro_batch_tokens=6144, eval_interval=0)


def checkpoint_of(config, step: int):
    """Weights, optimizer state and loop state that a run saved after a step."""
    return read_checkpoint(Path(config.out) / "checkpoints" / f"step-{step:08d}")


# ---- who waits for whom ------------------------------------------------------------------------


def forbid_waiting(monkeypatch, first: int, last: int) -> None:
    """From the middle of step `first` to that of step `last` a wait for the GPU raises."""
    learning_rate = optim.learning_rate

    def in_each_step(step, *arguments):
        torch.cuda.set_sync_debug_mode("error" if first <= step < last else "default")
        return learning_rate(step, *arguments)

    monkeypatch.setattr(optim, "learning_rate", in_each_step)


@pytest.fixture
def waiting_allowed_again():
    yield
    torch.cuda.set_sync_debug_mode("default")


def test_a_wait_is_noticed(config, monkeypatch, waiting_allowed_again):
    """A line of the log reads the loss: with one in each step the tests below would fail."""
    forbid_waiting(monkeypatch, first=2, last=5)
    with pytest.raises(RuntimeError, match="synchroniz"):
        train_mlm.main(replace(config, max_steps=5, log_interval=1))


@pytest.mark.parametrize(
    "options", [{}, {"gradient_checkpointing": True}, {"compile": True}, {"clip": 0.0}], ids=str
)
def test_between_log_lines_of_masked_lm_the_host_never_waits(
    config, monkeypatch, waiting_allowed_again, options
):
    """The last step logs, evaluates and saves. The first four compile."""
    forbid_waiting(monkeypatch, first=5, last=10)
    config = replace(config, max_steps=10, log_interval=100, save_interval=0, **options)
    assert train_mlm.main(config)["step"] == 10


@pytest.mark.parametrize("head", HEADS)
def test_between_log_lines_of_a_classifier_the_host_never_waits(
    cls_config, monkeypatch, waiting_allowed_again, head
):
    forbid_waiting(monkeypatch, first=2, last=8)
    config = replace(cls_config, amp="bf16", head=head, max_steps=8, micro_batch_size=8)
    config = replace(config, log_interval=100, eval_interval=100, save_interval=0)
    train_cls.main(config)
    assert checkpoint_of(config, 8)


def test_compiling_is_over_after_three_steps(config, monkeypatch):
    graphs = {}
    learning_rate = optim.learning_rate

    def count_graphs(step, *arguments):
        graphs[step] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        return learning_rate(step, *arguments)

    monkeypatch.setattr(optim, "learning_rate", count_graphs)
    torch._dynamo.reset()  # what another test compiled would serve here too
    train_mlm.main(replace(config, compile=True, max_steps=12))
    assert graphs[1] < graphs[4] == graphs[12], graphs


# ---- fp16 --------------------------------------------------------------------------------------


def test_fp16_trains_with_its_scaler_and_resumes(config):
    config = replace(config, amp="fp16", max_steps=12)
    unbroken = replace(config, out=config.out + "-unbroken")
    result = train_mlm.main(unbroken)
    _, _, state = checkpoint_of(unbroken, 12)
    assert math.isfinite(result["valid"]["loss"])
    assert state["scaler"]["scale"] > 1
    train_mlm.main(replace(config, max_steps=6))
    resumed = train_mlm.main(replace(config, resume=True))
    assert math.isclose(resumed["valid"]["loss"], result["valid"]["loss"], rel_tol=0.05)


def test_an_overflow_in_fp16_lowers_the_scale_and_touches_nothing_else(
    config, checkpoint, monkeypatch
):
    """Gradients of 2^40 times a loss are beyond fp16, of 2^37 times one too."""
    scale = 2.0**40
    monkeypatch.setattr(
        Amp, "grad_scaler", lambda self: torch.amp.GradScaler("cuda", init_scale=scale)
    )
    train_mlm.main(replace(config, amp="fp16", max_steps=3))
    _, optimizer_state, state = checkpoint_of(config, 3)
    assert state["scaler"]["scale"] == scale / 2**3
    assert same_weights(config.out, checkpoint)
    assert not any(tensor.any() for tensor in optimizer_state.values())


# ---- resuming ----------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [train_mlm, train_cls], ids=lambda script: script.__name__)
def test_a_crash_resumes_on_the_way_of_the_unbroken_run(script, config, cls_config, checkpoint):
    """Not bit for bit: on a GPU sums of gradients of embeddings are added in any order."""
    if script is train_cls:
        config = replace(cls_config, amp="bf16")
    config = replace(config, max_steps=12, save_interval=5)
    unbroken = replace(config, out=config.out + "-unbroken")
    script.main(unbroken)
    with crash_at(8):
        script.main(config)
    script.main(replace(config, resume=True))
    assert losses(config.out).keys() == losses(unbroken.out).keys()
    assert losses(config.out) == pytest.approx(losses(unbroken.out), rel=5e-3)
    before = weights(checkpoint)
    after, optimizer_state, _ = checkpoint_of(config, 12)
    expected, _, _ = checkpoint_of(unbroken, 12)
    counts = {tensor.item() for key, tensor in optimizer_state.items() if key.startswith("step/")}
    assert counts == {12}, "the optimizer began anew"
    moved = sum((expected[key] - before[key]).square().sum() for key in expected if key in before)
    apart = sum((expected[key] - after[key]).square().sum() for key in expected if key in before)
    assert moved > 0 and (apart / moved).sqrt() < 0.2


# ---- memory ------------------------------------------------------------------------------------


def test_gradient_checkpointing_computes_the_same_in_less_memory():
    """With dropout: the second forward pass of a layer draws what the first drew."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=1000,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
    )
    model = BertForMaskedLM(config).cuda().train()
    seqlens = [128] * 128
    N = sum(seqlens)
    ids = torch.randint(0, 1000, (N,), device="cuda")
    positions = torch.arange(N, device="cuda") % 128
    inputs = (ids, positions, PackedLengths.of(seqlens, "cuda"), torch.arange(0, N, 8).cuda())
    found, peaks = [], []
    for checkpointing in (False, True):
        model.bert.encoder.gradient_checkpointing = checkpointing
        model.zero_grad()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        torch.manual_seed(1)
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(*inputs)
            loss = F.cross_entropy(logits.float(), ids[::8])
        loss.backward()
        peaks.append(torch.cuda.max_memory_allocated() - held)
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        found.append((loss.detach().clone(), gradient))
        del logits, loss
    (plain_loss, plain), (again_loss, again) = found
    torch.testing.assert_close(again_loss, plain_loss, rtol=1e-5, atol=0)
    assert (again - plain).norm() < 1e-3 * plain.norm()
    assert peaks[1] < 0.6 * peaks[0], peaks


# ---- NCCL --------------------------------------------------------------------------------------

# One rank that does all that several do: the process group, DistributedDataParallel, the sums.
ONE_AS_SEVERAL = """
import sys
sys.path.insert(0, {root!r})
import train_mlm
from beautybert.training import distributed, options
class One(int):
    def __gt__(self, other):
        return True
from_environment = distributed.Ranks.from_environment
def as_several():
    ranks = from_environment()
    return distributed.Ranks(ranks.rank, ranks.local_rank, One(1), ranks.device)
distributed.Ranks.from_environment = as_several
DDP = train_mlm.DDP
def shown(model, **options):
    print("DistributedDataParallel on", next(model.parameters()).device)
    return DDP(model, **options)
train_mlm.DDP = shown
sys.exit(options.run_command(train_mlm.MlmConfig, None, train_mlm.main))
"""


def test_one_rank_through_nccl_gives_the_losses_of_none(config, tmp_path):
    config = replace(config, max_steps=4)
    plain = replace(config, out=config.out + "-plain")
    train_mlm.main(plain)
    script, options = tmp_path / "one.py", tmp_path / "options.json"
    script.write_text(ONE_AS_SEVERAL.format(root=str(ROOT)))
    options.write_text(json.dumps(vars(config)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    local = {"NCCL_SOCKET_IFNAME": "lo", "GLOO_SOCKET_IFNAME": "lo", "NCCL_DEBUG": "VERSION"}
    done = subprocess.run(
        [*command, str(script), "--config", str(options)],
        cwd=ROOT,
        env={**os.environ, **local},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "NCCL version" in done.stdout + done.stderr
    assert "DistributedDataParallel on cuda" in done.stdout
    assert losses(config.out) == pytest.approx(losses(plain.out), rel=2e-3)
