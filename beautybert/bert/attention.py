"""Attention over flat tokens: the only place that knows where documents begin and end.

The documents of a micro-batch lie one after another in a flat row of tokens. `Segments` says where,
`attend` lets the tokens of each document see one another and nothing else. On CUDA in half precision the
variable-length flash kernel of torch does this; everywhere else each run of equally long neighbours
becomes one batch of `scaled_dot_product_attention`, so nothing is ever padded or masked. Neither way has
dropout on the attention weights: the kernel has none, and both must compute the same model.

Letters: N tokens in the micro-batch, B documents, T length of a document, H heads, K head size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

try:  # torch >= 2.10; its keyword arguments moved between releases, its seven positional ones did not
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on `device`. The copy to a GPU takes its place among the GPU's work, and the host does not wait for it."""
    return (
        tensor.pin_memory().to(device, non_blocking=True)
        if device.type == "cuda"
        else tensor.to(device)
    )


# Not frozen: of a frozen one torch.compile of 2.6 and 2.11 guards the number of documents, and compiles again for each other one. 2.13 does not.
@dataclass
class Segments:
    """Where the documents of a micro-batch lie.

    lengths: tokens of each document, in order, on the host. offsets: (B + 1,) int32, the first token of
    each document and, last, N. longest: max(lengths). flash: whether the device of `offsets` has the kernel
    (compute capability 8.0). Documents sorted by length make the fewest runs, so the fastest CPU step.
    """

    lengths: tuple[int, ...]
    offsets: Tensor
    longest: int
    flash: bool = False

    @classmethod
    def from_lengths(cls, lengths, device: torch.device | str = "cpu") -> Segments:
        lengths = tuple(int(length) for length in lengths)
        offsets = torch.zeros(len(lengths) + 1, dtype=torch.int32)
        offsets[1:] = torch.tensor(lengths).cumsum(0)
        return cls(lengths, offsets, max(lengths)).to(torch.device(device))

    def to(self, device: torch.device) -> Segments:
        """The same segments with `offsets` on `device`."""
        return Segments(
            self.lengths, to_device(self.offsets, device), self.longest, has_flash(device)
        )


def has_flash(device: torch.device) -> bool:
    """Whether this torch and this device have the kernel."""
    return (
        varlen_attn is not None
        and device.type == "cuda"
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def suits_flash(dtype: torch.dtype | None, head_size: int) -> bool:
    """Whether the kernel takes queries of this dtype and size; None, no autocast, is fp32."""
    return dtype in (torch.float16, torch.bfloat16) and head_size % 8 == 0 and head_size <= 256


def attention_path(device: torch.device, dtype: torch.dtype | None, head_size: int) -> str:
    """Which way `attend` will go, for people to read."""
    return (
        "the flash kernel"
        if has_flash(device) and suits_flash(dtype, head_size)
        else "runs of equal length"
    )


def attend(q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
    """Scaled dot-product attention inside each document: (N, H, K) x 3 -> (N, H, K)."""
    if segments.flash and suits_flash(q.dtype, q.shape[-1]):
        return varlen_attn(
            q, k, v, segments.offsets, segments.offsets, segments.longest, segments.longest
        )
    return _attend_by_runs(q, k, v, segments)


@torch.compiler.disable  # the runs differ from one micro-batch to the next: tracing them would recompile each time
def _attend_by_runs(q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
    H, K = q.shape[1:]
    runs = [(length, sum(1 for _ in run)) for length, run in groupby(segments.lengths)]
    tokens = [length * count for length, count in runs]
    outputs = []
    for (T, B), *qkv in zip(runs, q.split(tokens), k.split(tokens), v.split(tokens)):
        q_, k_, v_ = (x.view(B, T, H, K).transpose(1, 2) for x in qkv)  # (B, H, T, K)
        outputs.append(
            F.scaled_dot_product_attention(q_, k_, v_).transpose(1, 2).reshape(B * T, H, K)
        )
    return torch.cat(outputs)
