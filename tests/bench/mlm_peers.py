"""What users of `transformers` run to pretrain a BERT: the peers of bench_mlm.

A peer makes batches from texts and the loss of a batch; `measure` is the loop around them, the same
for all, that a careful user writes.

Letters: N tokens in a batch, M targets in it, V vocabulary.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from beautybert.bert import wordpiece
from beautybert.bert.wordpiece import special_ids
from beautybert.mlm.corpus import Corpus

FLAT_TEXTS_ON_CPU = 16  # of 8, 16, 32, 64 and 116 the fastest, together with 32


@dataclass(frozen=True)
class Stock:
    """How a user of run_mlm feeds BertForMaskedLM.

    in_blocks: all texts in blocks of --max-length tokens. by_length: texts of like length in a
    batch. to_max_length: each padded to --max-length. masked: with an attention mask. compiled: by
    torch.compile, for one shape.
    """

    in_blocks: bool = False
    by_length: bool = False
    to_max_length: bool = False
    masked: bool = True
    compiled: bool = False


STOCK = {
    "dynamic": Stock(),
    "sorted": Stock(by_length=True),
    "grouped": Stock(in_blocks=True),
    "unmasked": Stock(in_blocks=True, masked=False),
    # Traced, transformers cannot see that the mask is all ones, and keeps it. So it is left out.
    "compiled": Stock(in_blocks=True, masked=False, compiled=True),
    "padded": Stock(to_max_length=True),
}
PEERS = (*STOCK, "flattened")


@dataclass
class PeerBatch:
    """Arguments of a peer's loss, its real tokens, and its tokens with padding."""

    inputs: dict[str, Any]
    num_tokens: int
    num_with_padding: int


# ---- texts -> batches --------------------------------------------------------------------------


def peer_rows(in_blocks: bool, tokenizer: Tokenizer, args: argparse.Namespace) -> list[np.ndarray]:
    """The texts as a peer cuts them: each alone, or all in blocks."""
    special = special_ids(tokenizer)
    texts = list(Corpus(tuple(args.data)).texts())
    rows = []
    for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        ids = [special["[CLS]"], *encoding.ids[: args.max_length - 2], special["[SEP]"]]
        rows.append(np.array(ids, dtype=np.int32))
    if not in_blocks:
        return rows
    joined = np.concatenate(rows)
    num_blocks = len(joined) // args.max_length
    return list(joined[: num_blocks * args.max_length].reshape(num_blocks, args.max_length))


def shuffled_batches(
    lengths: Sequence[int], size: int, by_length: bool, seed: int
) -> Iterator[np.ndarray]:
    """The indices of `size` texts at a time in shuffled order, (size,), without end.

    lengths: of the texts. `by_length` sorts each 50 batches, as the Trainer does.
    """
    if len(lengths) < size:
        raise ValueError(f"only {len(lengths)} texts for a batch of {size}")
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(lengths))
        if by_length:
            order = sorted_in_parts(order, lengths, part_size=50 * size)
        starts = np.arange(0, len(order) - size + 1, size)
        if by_length:
            starts = rng.permutation(starts)
        for start in starts:
            yield order[start : start + size]


def sorted_in_parts(order: np.ndarray, lengths: Sequence[int], part_size: int) -> np.ndarray:
    """The indices in `order`, each `part_size` of them sorted with the longest text first."""
    parts = []
    for start in range(0, len(order), part_size):
        part = order[start : start + part_size]
        parts.append(sorted(part, key=lambda i: -lengths[i]))
    return np.concatenate(parts)


def pad_document(ids: list[int], length: int) -> dict[str, list[int]]:
    """What the collator takes: `length` ids and attention mask, 0 where nothing is.

    [PAD] has the id 0 in BERT's vocabularies.
    """
    missing = [0] * (length - len(ids))
    return {"input_ids": ids + missing, "attention_mask": [1] * len(ids) + missing}


# ---- the peers ---------------------------------------------------------------------------------


def load_model(folder: Path, attention: str, device: torch.device) -> Any:
    """transformers' BertForMaskedLM, ready for training."""
    import transformers

    transformers.logging.set_verbosity_error()
    model = transformers.BertForMaskedLM.from_pretrained(folder, attn_implementation=attention)
    model.to(device).train()
    if device.type == "cuda":
        model.resize_token_embeddings(pad_to_multiple_of=64)
    return model


def mlm_collator(folder: Path, pad_to_multiple_of: int | None) -> Any:
    """transformers' collator, which pads and masks."""
    import transformers

    return transformers.DataCollatorForLanguageModeling(
        transformers.BertTokenizerFast.from_pretrained(folder),
        mlm_probability=0.15,
        pad_to_multiple_of=pad_to_multiple_of,
    )


class StockPeer:
    """BertForMaskedLM as run_mlm calls it: padded batches or blocks, the head on all tokens."""

    def __init__(self, kind: Stock, folder: Path, args: argparse.Namespace):
        device = torch.device(args.device)
        self.kind = kind
        self.max_length = args.max_length
        self.model = load_model(folder, "sdpa", device)
        self.collate = mlm_collator(folder, 8 if device.type == "cuda" else None)
        self.called = self.model
        if kind.compiled:
            self.called = torch.compile(self.model, dynamic=False)
        of_one_size = kind.in_blocks or kind.to_max_length
        size = args.peer_blocks if of_one_size else args.peer_texts
        self.rows = peer_rows(kind.in_blocks, wordpiece.read(folder), args)
        lengths = [len(ids) for ids in self.rows]
        self.order = shuffled_batches(lengths, size, kind.by_length, args.seed)

    def next_batch(self) -> PeerBatch:
        """The next texts or blocks, padded and masked, on the CPU."""
        documents = []
        for index in next(self.order):
            ids = self.rows[index]
            length = self.max_length if self.kind.to_max_length else len(ids)
            documents.append(pad_document(ids.tolist(), length))
        inputs = dict(self.collate(documents))
        num_tokens = int(inputs["attention_mask"].sum())
        if not self.kind.masked:
            del inputs["attention_mask"]
        return PeerBatch(inputs, num_tokens, inputs["input_ids"].numel())

    def loss(self, inputs: dict[str, Any]) -> Tensor:
        """The mean over targets."""
        return self.called(**inputs).loss


class FlattenedPeer:
    """BertForMaskedLM over texts in one row, without padding, the head on targets alone.

    Positions restart with each text. In transformers 5 that alone does not keep BERT's texts
    apart: only flash_attention_2 reads it, and where the lengths are given, reads those. For flex
    and sdpa the mask of four dimensions says which tokens are of one text. The model's own forward
    has its head on all tokens, so its two parts are called one after the other.
    """

    def __init__(self, folder: Path, args: argparse.Namespace):
        device = torch.device(args.device)
        self.device = device
        self.attention = best_flat_attention(device, args.amp)
        self.model = load_model(folder, self.attention, device)
        self.collate = mlm_collator(folder, None)
        size = args.flat_texts
        if size is None:
            size = args.peer_texts if device.type == "cuda" else FLAT_TEXTS_ON_CPU
        self.rows = peer_rows(False, wordpiece.read(folder), args)
        lengths = [len(ids) for ids in self.rows]
        self.order = shuffled_batches(lengths, size, by_length=False, seed=args.seed)

    def next_batch(self) -> PeerBatch:
        """The next texts in one row, masked, on the CPU."""
        documents = [self.rows[index] for index in next(self.order)]
        row = np.concatenate(documents).tolist()
        masked = self.collate([pad_document(row, len(row))])
        labels = masked["labels"][0]  # (N,)
        targets = (labels != -100).nonzero()[:, 0]  # (M,)
        inputs = flat_inputs(masked["input_ids"], [len(ids) for ids in documents], self.attention)
        inputs |= {"targets": targets, "target_ids": labels[targets]}
        return PeerBatch(inputs, len(labels), len(labels))

    def loss(self, inputs: dict[str, Any]) -> Tensor:
        """The mean over targets."""
        inputs = dict(inputs)
        targets, target_ids = inputs.pop("targets"), inputs.pop("target_ids")
        return cross_entropy(self.logits(inputs, targets), target_ids)

    def logits(self, inputs: dict[str, Any], targets: Tensor) -> Tensor:
        """Those of some tokens of the row, (M, V)."""
        if self.attention == "flex_attention":
            text_numbers = inputs["text_numbers"]
            rest = {name: x for name, x in inputs.items() if name != "text_numbers"}
            inputs = rest | {"attention_mask": flex_mask(text_numbers)}
        hidden = self.model.bert(**inputs).last_hidden_state[0]  # (N, D)
        return self.model.cls(hidden[targets])


def best_flat_attention(device: torch.device, amp: str) -> str:
    """The fastest attention of transformers for texts in one row that trains here.

    FlashAttention needs its package, a GPU and half precision; flex has no backward on a CPU.
    """
    from transformers.utils import is_flash_attn_2_available

    if device.type != "cuda":
        return "sdpa"
    has_flash = is_flash_attn_2_available() and amp == "bf16"
    return "flash_attention_2" if has_flash else "flex_attention"


def flat_inputs(input_ids: Tensor, seqlens: list[int], attention: str) -> dict[str, Any]:
    """Arguments of BertModel for texts of these lengths in one row, (1, N).

    For flex_attention `text_numbers` are in the place of its mask, which is made on the device.
    """
    positions = torch.cat([torch.arange(length) for length in seqlens])
    inputs: dict[str, Any] = {"input_ids": input_ids, "position_ids": positions[None]}
    text_numbers = torch.arange(len(seqlens)).repeat_interleave(torch.tensor(seqlens))  # (N,)
    if attention == "flex_attention":
        return inputs | {"text_numbers": text_numbers}
    if attention == "sdpa":
        is_same_text = text_numbers[:, None] == text_numbers  # (N, N)
        return inputs | {"attention_mask": is_same_text[None, None]}
    cu_seqlens = torch.tensor([0, *seqlens]).cumsum(0).to(torch.int32)
    longest = max(seqlens)
    lengths = {"cu_seq_lens_q": cu_seqlens, "cu_seq_lens_k": cu_seqlens}
    return inputs | lengths | {"max_length_q": longest, "max_length_k": longest}


def flex_mask(text_numbers: Tensor) -> Any:
    """The block mask of tokens that see those of their own text, from the text of each, (N,)."""
    from torch.nn.attention.flex_attention import create_block_mask

    def is_same_text(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return text_numbers[query] == text_numbers[key]

    N = len(text_numbers)
    device = text_numbers.device
    is_gpu = device.type == "cuda"  # as transformers does, so that there is no (N, N) matrix
    return create_block_mask(is_same_text, None, None, N, N, device=device, _compile=is_gpu)


def make_peer(name: str, folder: Path, args: argparse.Namespace) -> StockPeer | FlattenedPeer:
    """One of `PEERS` with the model of a folder."""
    if name == "flattened":
        return FlattenedPeer(folder, args)
    return StockPeer(STOCK[name], folder, args)


# ---- the loop ----------------------------------------------------------------------------------


def measure(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Tokens and seconds of each step of a peer, and its share of padding."""
    device = torch.device(args.device)
    torch.set_float32_matmul_precision("high")
    peer = make_peer(name, folder, args)
    parameters = list(peer.model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True)
    tokens, seconds = [], []
    num_with_padding = 0
    for step in range(args.warmup + args.steps):
        began = time.perf_counter()
        step_tokens = step_with_padding = 0
        while step_tokens < args.batch_tokens:
            batch = peer.next_batch()
            step_tokens += batch.num_tokens
            step_with_padding += batch.num_with_padding
            inputs = on_device(batch.inputs, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=args.amp == "bf16"):
                loss = peer.loss(inputs)
            loss.backward()
        clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        if step >= args.warmup:
            tokens.append(step_tokens)
            seconds.append(time.perf_counter() - began)
            num_with_padding += step_with_padding
    padding = 1 - sum(tokens) / num_with_padding
    return {"tokens": tokens, "seconds": seconds, "padding": padding}


def on_device(inputs: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The tensors among a model's arguments on a device, the rest as they are."""
    moved = {}
    for name, value in inputs.items():
        is_tensor = isinstance(value, Tensor)
        moved[name] = value.to(device, non_blocking=True) if is_tensor else value
    return moved
