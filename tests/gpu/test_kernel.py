"""The varlen kernel beside SDPA over groups of equal length, in attention and in whole models."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from beautybert.bert import attention
from beautybert.bert.attention import PackedLengths, attend
from beautybert.bert.model import HEADS, BertConfig, BertForMaskedLM, BertForSequenceClassification
from tests.conftest import masked_attention

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or attention.varlen_attn is None,
    reason="needs a GPU and torch with varlen attention",
)
SEQLENS = [1, 1, 3, 40, 40, 127, 512]
SMALL = BertConfig(
    vocab_size=1001,  # no multiple of 64, so that the head pads it
    hidden_size=256,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=1024,
    hidden_dropout_prob=0.0,
)


def relative_error(values: torch.Tensor, exact: torch.Tensor) -> float:
    """The norm of the difference over that of the exact values."""
    return ((values.double() - exact.double()).norm() / exact.double().norm()).item()


def lengths_on_gpu(use_kernel: bool) -> PackedLengths:
    """The lengths of `SEQLENS`, for the kernel or for SDPA."""
    lengths = PackedLengths.of(SEQLENS, "cuda")
    assert lengths.use_flash, "this GPU is older than the kernel"
    return replace(lengths, use_flash=use_kernel)


@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 2e-2), (torch.float16, 4e-3)])
@pytest.mark.parametrize("head_size", [8, 32, 64, 128])
def test_kernel_and_sdpa_are_exact_attention_and_its_gradients_but_for_rounding(
    dtype, tolerance, head_size
):
    torch.manual_seed(0)
    shape = (sum(SEQLENS), 4, head_size)
    qkv = [torch.randn(shape, device="cuda", dtype=dtype, requires_grad=True) for _ in range(3)]
    upstream = torch.randn(shape, device="cuda", dtype=dtype)
    exact_qkv = [x.detach().double().requires_grad_() for x in qkv]
    document = torch.repeat_interleave(torch.arange(len(SEQLENS)), torch.tensor(SEQLENS)).cuda()
    exact = masked_attention(*exact_qkv, document[:, None] != document[None, :])
    expected = [exact, *torch.autograd.grad(exact, exact_qkv, upstream.double())]
    for use_kernel in (True, False):
        out = attend(*qkv, lengths_on_gpu(use_kernel))
        found = [out, *torch.autograd.grad(out, qkv, upstream)]
        assert out.dtype == dtype
        errors = [relative_error(*pair) for pair in zip(found, expected, strict=True)]
        assert max(errors) < tolerance, (use_kernel, errors)


@pytest.mark.parametrize("head", [None, *HEADS])
def test_a_model_is_as_near_to_fp32_with_the_kernel_as_with_sdpa(head):
    torch.manual_seed(0)
    ids = torch.randint(5, 1001, (sum(SEQLENS),), device="cuda")
    positions = torch.cat([torch.arange(length) for length in SEQLENS]).cuda()
    if head is None:
        model = BertForMaskedLM(SMALL).cuda()
        more = (torch.arange(0, sum(SEQLENS), 7, device="cuda"),)
        classes = SMALL.vocab_size
    else:
        model = BertForSequenceClassification(SMALL, 9, head).cuda()
        more = ()
        classes = 9

    def loss_and_gradient(dtype, use_kernel):
        model.zero_grad()
        with torch.autocast("cuda", dtype, enabled=dtype is not None):
            logits = model(ids, positions, lengths_on_gpu(use_kernel), *more)
            targets = torch.arange(len(logits), device="cuda") % classes
            loss = F.cross_entropy(logits.float(), targets)
        loss.backward()
        return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])

    exact = loss_and_gradient(None, use_kernel=False)
    kernel = loss_and_gradient(torch.bfloat16, use_kernel=True)
    groups = loss_and_gradient(torch.bfloat16, use_kernel=False)
    assert relative_error(kernel[0], exact[0]) < 1e-2
    errors = [relative_error(found[1], exact[1]) for found in (kernel, groups)]
    assert 0 < errors[0] < 1.5 * errors[1] < 0.15, errors
