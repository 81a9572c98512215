"""Attention over flat tokens: the only module that knows where documents begin and end.

The documents of a micro-batch are packed one after another into one row of tokens. `PackedLengths`
says how long each is; `attend` lets the tokens of a document see one another and nothing else. On
CUDA in half precision torch's variable-length flash kernel does this. Elsewhere each group of
neighbours of the same length is one batch of `scaled_dot_product_attention`, so nothing is padded
or masked. Documents that come padded, as to an exported model, are masked. No backend has dropout
on the attention weights: the kernel has none, and all must compute one model.

Letters: N tokens in the micro-batch, B documents, T length of a document (or of all padded ones),
H heads, K head size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

try:  # torch >= 2.10. Its keyword arguments moved between releases, its seven positional ones not.
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None  # type: ignore[assignment]


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on `device`.

    A copy to a GPU is queued there, and the CPU does not wait for it.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


# Not frozen: for a frozen dataclass torch.compile of 2.6 and 2.11 guards the number of documents
# and recompiles for every other number. 2.13 does not.
@dataclass
class PackedLengths:
    """The lengths of the documents packed in a micro-batch.

    seqlens: tokens of each document, in order, on the CPU. cu_seqlens: (B + 1,), int32 (int64 where
    all are padded), their cumulative sum: the start of each document and, last, N. max_seqlen: the
    longest. use_flash: whether the device of `cu_seqlens` has the kernel. mask: (B, T), True at
    real tokens, where all documents are padded to T tokens; `seqlens` is then empty. Documents
    sorted by length make the fewest groups, and so the fastest step on a CPU.
    """

    seqlens: tuple[int, ...]
    cu_seqlens: Tensor
    max_seqlen: int
    use_flash: bool = False
    mask: Tensor | None = None

    @classmethod
    def of(cls, seqlens: Iterable[int], device: torch.device | str = "cpu") -> PackedLengths:
        """From the length of each document."""
        seqlens = tuple(int(length) for length in seqlens)
        cu_seqlens = torch.zeros(len(seqlens) + 1, dtype=torch.int32)
        cu_seqlens[1:] = torch.tensor(seqlens).cumsum(0)
        return cls(seqlens, cu_seqlens, max(seqlens)).to(torch.device(device))

    @classmethod
    def padded(cls, mask: Tensor) -> PackedLengths:
        """Of documents that are padded to one length, from their mask (B, T).

        All is computed by operations on tensors, so that the model can be traced for export.
        """
        B, T = mask.shape
        starts = torch.arange(B + 1, device=mask.device) * T
        return cls((), starts, T, mask=mask.bool())

    def to(self, device: torch.device) -> PackedLengths:
        """The same lengths with `cu_seqlens` on `device`."""
        cu_seqlens = to_device(self.cu_seqlens, device)
        mask = self.mask if self.mask is None else self.mask.to(device)
        return PackedLengths(self.seqlens, cu_seqlens, self.max_seqlen, has_flash(device), mask)


def has_flash(device: torch.device) -> bool:
    """Whether this torch and this device have the kernel (compute capability 8.0 or newer)."""
    if varlen_attn is None or device.type != "cuda":
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def suits_flash(dtype: torch.dtype | None, head_size: int) -> bool:
    """Whether the kernel takes queries of this dtype and head size; None, no autocast, is fp32."""
    return dtype in (torch.float16, torch.bfloat16) and head_size % 8 == 0 and head_size <= 256


def padding_seqlens(num_tokens: int, longest: int) -> list[int]:
    """The lengths of documents of [PAD] that fill `num_tokens`, none over `longest`."""
    return [min(longest, num_tokens - start) for start in range(0, num_tokens, longest)]


def backend_name(device: torch.device, dtype: torch.dtype | None, head_size: int) -> str:
    """The backend that `attend` will take, for people to read."""
    if has_flash(device) and suits_flash(dtype, head_size):
        return "the varlen flash kernel"
    return "SDPA over same-length groups"


def attend(q: Tensor, k: Tensor, v: Tensor, lengths: PackedLengths) -> Tensor:
    """Scaled dot-product attention inside each document: (N, H, K) x 3 -> (N, H, K)."""
    if lengths.mask is not None:
        return _sdpa_with_mask(q, k, v, lengths.mask)
    if lengths.use_flash and suits_flash(q.dtype, q.shape[-1]):
        cu_seqlens, max_seqlen = lengths.cu_seqlens, lengths.max_seqlen
        attended = varlen_attn(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)
        return attended  # type: ignore[return-value]  # a tuple only if asked for more
    return _sdpa_over_groups(q, k, v, lengths)


def _sdpa_with_mask(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """(B T, H, K) x 3 -> (B T, H, K); no token attends to one where the mask (B, T) is False."""
    B, T = mask.shape
    H, K = q.shape[1:]
    q_, k_, v_ = (x.view(B, T, H, K).transpose(1, 2) for x in (q, k, v))  # (B, H, T, K)
    attended = F.scaled_dot_product_attention(q_, k_, v_, attn_mask=mask[:, None, None, :])
    return attended.transpose(1, 2).reshape(B * T, H, K)


@torch.compiler.disable  # groups differ between micro-batches: tracing would recompile for each
def _sdpa_over_groups(q: Tensor, k: Tensor, v: Tensor, lengths: PackedLengths) -> Tensor:
    """(N, H, K) x 3 -> (N, H, K), one SDPA call for each group of neighbours of the same length.

    On a CPU always in fp32: torch's backward pass in bf16 takes four times as long (2.13).
    """
    dtype = q.dtype
    if q.device.type == "cpu" and dtype.itemsize < 4:
        q, k, v = q.float(), k.float(), v.float()
    with torch.autocast(q.device.type, enabled=False):
        return _sdpa(q, k, v, lengths).to(dtype)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, lengths: PackedLengths) -> Tensor:
    """The same in the dtype given."""
    H, K = q.shape[1:]
    groups = [(T, len(list(group))) for T, group in groupby(lengths.seqlens)]
    tokens = [T * B for T, B in groups]
    outputs = []
    for (T, B), *qkv in zip(groups, q.split(tokens), k.split(tokens), v.split(tokens), strict=True):
        q_, k_, v_ = (x.view(B, T, H, K).transpose(1, 2) for x in qkv)  # (B, H, T, K)
        attended = F.scaled_dot_product_attention(q_, k_, v_)  # (B, H, T, K)
        outputs.append(attended.transpose(1, 2).reshape(B * T, H, K))
    return torch.cat(outputs)
