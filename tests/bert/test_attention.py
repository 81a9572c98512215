import pytest
import torch

from beautybert import attention
from beautybert.bert.attention import PackedLengths, attend
from tests.conftest import masked_attention


def reference(q, k, v, lengths):
    """One full attention matrix over all tokens, other documents masked out by hand."""
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return masked_attention(q, k, v, document[:, None] != document[None, :])


@pytest.mark.parametrize("lengths", [[7], [1, 1, 1], [3, 3, 8, 8, 8, 2], [5, 1, 9, 1, 5]])
def test_attend_equals_block_diagonal_attention_with_its_gradients(lengths):
    torch.manual_seed(0)
    q, k, v = (
        torch.randn(sum(lengths), 3, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)
    )
    upstream = torch.randn(sum(lengths), 3, 8, dtype=torch.float64)
    gradients = []
    for out in (attend(q, k, v, PackedLengths.of(lengths)), reference(q, k, v, lengths)):
        gradients.append((out, *torch.autograd.grad(out, (q, k, v), upstream)))
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_segments_hold_the_boundaries_of_the_documents():
    lengths = PackedLengths.of([2, 5, 1])
    assert lengths.cu_seqlens.tolist() == [0, 2, 7, 8] and lengths.cu_seqlens.dtype == torch.int32


def test_the_path_is_named_as_attend_takes_it(monkeypatch):
    monkeypatch.setattr(attention, "has_flash", lambda device: True)
    monkeypatch.setattr(attention, "varlen_attn", lambda q, *rest: q)
    for dtype, K in (
        (torch.bfloat16, 64),
        (torch.bfloat16, 36),
        (torch.float32, 64),
        (torch.float16, 512),
    ):
        q, device = torch.randn(5, 2, K).to(dtype), torch.device("cpu")
        taken = attend(q, q, q, PackedLengths.of([2, 3])) is q
        assert (
            taken
            == (attention.attention_path(device, dtype, K) == "the flash kernel")
            == (dtype == torch.bfloat16 and K == 64)
        )
    assert attention.attention_path(torch.device("cuda"), None, 64) == "runs of equal length"


@pytest.mark.skipif(
    not torch.cuda.is_available() or attention.varlen_attn is None,
    reason="needs a GPU and torch with varlen attention",
)
def test_flash_kernel_equals_attention_by_runs():
    torch.manual_seed(0)
    lengths = [3, 3, 40, 127, 1]
    q, k, v = (
        torch.randn(sum(lengths), 4, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    )
    upstream = torch.randn_like(q)
    lengths = PackedLengths.of(lengths, "cuda")
    results = []
    for out in (attend(q, k, v, lengths), attention._attend_by_runs(q, k, v, lengths)):
        results.append((out, *torch.autograd.grad(out, (q, k, v), upstream)))
    for kernel, runs in zip(*results):
        torch.testing.assert_close(kernel, runs, atol=3e-2, rtol=3e-2)
