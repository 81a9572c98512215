import pytest
import torch

from beautybert.bert import attention
from beautybert.bert.attention import PackedLengths, attend
from tests.conftest import masked_attention


def reference(q, k, v, seqlens):
    """One full attention matrix over all tokens, other documents masked out by hand."""
    document = torch.repeat_interleave(torch.arange(len(seqlens)), torch.tensor(seqlens))
    return masked_attention(q, k, v, document[:, None] != document[None, :])


@pytest.mark.parametrize("seqlens", [[7], [1, 1, 1], [3, 3, 8, 8, 8, 2], [5, 1, 9, 1, 5]])
def test_attend_equals_block_diagonal_attention_with_its_gradients(seqlens):
    torch.manual_seed(0)
    shape = (sum(seqlens), 3, 8)
    qkv = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    upstream = torch.randn(shape, dtype=torch.float64)
    results = []
    for out in (attend(*qkv, PackedLengths.of(seqlens)), reference(*qkv, seqlens)):
        results.append((out, *torch.autograd.grad(out, qkv, upstream)))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-12, rtol=0)


def test_packed_lengths_hold_the_boundaries_of_the_documents():
    lengths = PackedLengths.of([2, 5, 1])
    assert lengths.cu_seqlens.tolist() == [0, 2, 7, 8]
    assert lengths.cu_seqlens.dtype == torch.int32
    assert lengths.seqlens == (2, 5, 1)
    assert lengths.max_seqlen == 5


@pytest.mark.parametrize(
    "dtype, head_size, suits",
    [
        (torch.bfloat16, 64, True),
        (torch.bfloat16, 36, False),
        (torch.float32, 64, False),
        (torch.float16, 512, False),
    ],
)
def test_the_backend_is_named_as_attend_takes_it(monkeypatch, dtype, head_size, suits):
    monkeypatch.setattr(attention, "has_flash", lambda device: True)
    monkeypatch.setattr(attention, "varlen_attn", lambda q, *rest: q)
    q = torch.randn(5, 2, head_size).to(dtype)
    took_kernel = attend(q, q, q, PackedLengths.of([2, 3])) is q
    name = attention.backend_name(torch.device("cpu"), dtype, head_size)
    assert took_kernel == suits
    assert name == ("the varlen flash kernel" if suits else "SDPA over same-length groups")


def test_the_backend_without_autocast_is_sdpa(monkeypatch):
    monkeypatch.setattr(attention, "has_flash", lambda device: True)
    name = attention.backend_name(torch.device("cuda"), None, 64)
    assert name == "SDPA over same-length groups"


def test_padded_documents_stay_so_on_another_device():
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    lengths = PackedLengths.padded(mask).to(torch.device("cpu"))
    assert lengths.mask is not None and torch.equal(lengths.mask, mask.bool())
    assert lengths.cu_seqlens.tolist() == [0, 3, 6]


@pytest.mark.parametrize("is_autocast", [False, True])
def test_on_a_cpu_attention_in_bf16_is_computed_in_fp32(is_autocast):
    lengths = PackedLengths.of([3, 3, 5])
    q, k, v = (torch.randn(11, 2, 8).bfloat16().requires_grad_() for _ in range(3))
    with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
        attended = attend(q, k, v, lengths)
    expected = attend(q.float(), k.float(), v.float(), lengths)
    assert attended.dtype == torch.bfloat16 and torch.equal(attended, expected.bfloat16())
    attended.float().sum().backward()
    assert q.grad is not None and q.grad.dtype == torch.bfloat16
