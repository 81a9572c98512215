"""What a CPU can say of the way over a GPU: the kernel's shapes and dtypes, and who waits for whom.

The numbers of the kernel, and all that only CUDA knows, are in tests/gpu/.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import train_cls
import train_mlm
from beautybert.bert import attention
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import HEADS, BertForMaskedLM, BertForSequenceClassification
from beautybert.training import optim, runlog
from beautybert.training.metrics import mlm_sums
from tests.conftest import TINY, metrics, record

SEQLENS = (3, 3, 8, 21)


# ---- the kernel's shapes and dtypes ------------------------------------------------------------


@pytest.fixture
def kernel_calls(monkeypatch):
    """The calls of torch's varlen attention by models that are made and run in the test.

    Fake tensors have shapes, dtypes and a graph of gradients, but no numbers. They are on the CPU:
    torch without CUDA ends the process over fake tensors "on a GPU" that need a gradient.
    """
    if attention.varlen_attn is None:
        pytest.skip("varlen attention is in torch 2.10 or newer")
    monkeypatch.setattr(attention, "has_flash", lambda device: True)
    calls = record(monkeypatch, attention, "varlen_attn")
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield calls


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize("head", [None, *HEADS])
def test_forward_and_backward_pass_through_the_kernel_in_bf16(kernel_calls, head, checkpointing):
    """Each layer calls it once, with gradient checkpointing a second time in the backward pass."""
    config = replace(TINY, vocab_size=120)
    N, B, H, K, C = sum(SEQLENS), len(SEQLENS), config.num_attention_heads, config.head_size, 5
    ids = torch.zeros(N, dtype=torch.long)
    inputs = [ids, ids, PackedLengths.of(SEQLENS)]
    if head is None:
        model = BertForMaskedLM(config)
        inputs.append(torch.arange(6))
        shape = (6, config.vocab_size)
    else:
        model = BertForSequenceClassification(config, C, head)
        shape = (B, C)
    model.bert.encoder.gradient_checkpointing = checkpointing
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(*inputs)
        loss = F.cross_entropy(logits.float(), torch.zeros(len(logits), dtype=torch.long))
    loss.backward()

    assert logits.shape == shape and logits.dtype == torch.bfloat16
    assert len(kernel_calls) == config.num_hidden_layers * (1 + checkpointing)
    for (q, k, v, cu_seqlens, _, longest, _), attended in kernel_calls:
        for tensor in (q, k, v, attended):
            assert tensor.shape == (N, H, K) and tensor.dtype == torch.bfloat16
        assert cu_seqlens.shape == (B + 1,) and cu_seqlens.dtype == torch.int32
        assert longest == max(SEQLENS)
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        assert gradient is not None, name
        assert gradient.shape == parameter.shape and gradient.dtype == torch.float32, name


# ---- who waits for whom ------------------------------------------------------------------------

# By these the host reads numbers, or shapes that depend on numbers, from the GPU: it waits for it.
READING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim")
# Of these torch's dispatcher is not told; torch.tensor copies to the GPU, and waits.
READING_IN_PYTHON = (torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu, torch.tensor)


class NoReadingOperator(TorchDispatchMode):
    """Fails where an operator would have the host wait for a GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in READING, f"the host would wait for {name}"
        if name == "repeat_interleave":
            assert (kwargs or {}).get("output_size") is not None, "the host would wait for a length"
        if name in ("index", "index_put_", "_index_put_impl_"):
            masks = [i for i in args[1] if i is not None and i.dtype == torch.bool]
            assert not masks, "the host would wait for the length of what a mask selects"
        return func(*args, **(kwargs or {}))


class NoReadingCall(TorchFunctionMode):
    """Fails where Python itself would have the host wait for a GPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert func not in READING_IN_PYTHON, f"the host would wait for {func.__name__}"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("script", [train_mlm, train_cls])
def test_from_forward_pass_to_update_a_step_reads_nothing_that_is_on_the_gpu(
    script, config, cls_config, monkeypatch
):
    """From the learning rate to the end of the step, all tensors are those of the GPU."""
    modes = []
    steps = []
    set_learning_rate, every = optim.set_learning_rate, runlog.every

    def begin(optimizer, lr):
        set_learning_rate(optimizer, lr)
        modes.extend([NoReadingOperator(), NoReadingCall()])
        for mode in modes:
            mode.__enter__()

    def end(interval, step, total_steps):  # called three times after each step
        while modes:
            modes.pop().__exit__(None, None, None)
            steps.append(step)
        return every(interval, step, total_steps)

    monkeypatch.setattr(optim, "set_learning_rate", begin)
    monkeypatch.setattr(runlog, "every", end)
    config = config if script is train_mlm else replace(cls_config, head="mlp")
    try:
        script.main(replace(config, amp="bf16", max_steps=3))
    finally:
        while modes:
            modes.pop().__exit__(None, None, None)
    assert steps == [1, 1, 2, 2, 3, 3]
    assert [row["step"] for row in metrics(config.out)] == [1, 2, 3]


def test_what_an_evaluation_sums_up_is_not_read_for_each_batch():
    logits, target_ids = torch.eye(6, 9), torch.tensor([0, 1, 2, 3, 8, 8])
    with NoReadingOperator(), NoReadingCall():
        sums = mlm_sums(logits, target_ids)
    assert sums.tolist()[1:] == [4, 6]
