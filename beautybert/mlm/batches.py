"""Which texts form which micro-batch, and what a micro-batch is.

Documents are cut into windows. The windows of an epoch are shuffled by (seed, epoch) and packed, in
that order, into micro-batches of at most a fixed number of tokens. The micro-batches of all epochs
form one endless sequence, so step and index say everything: there is no state that a checkpoint
would hold.

Letters: N tokens in the micro-batch, B documents, W windows, M targets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from beautybert.bert.attention import PackedLengths, padding_seqlens, to_device
from beautybert.bert.token_units import Vocabulary, unit_indices
from beautybert.bert.wordpiece import fingerprint, special_ids
from beautybert.mlm.masking import IGNORED, mask_tokens
from beautybert.mlm.token_cache import TokenCache
from beautybert.training import progress
from beautybert.training.distributed import Ranks
from beautybert.training.seeding import MASK, ORDER, SPLIT, VALIDATION, generator_of

# Whatever --mask-prob and --micro-batch-tokens are, so that runs can be compared
VALIDATION_MASK_PROB = 0.15
VALIDATION_TOKENS = 4096
CUT_AT_ONCE = 1 << 20  # documents


@dataclass(frozen=True)
class MlmBatch:
    """What the MLM model is given, and what it must predict.

    input_ids, position_ids: (N,), positions in their documents. lengths: of the packed documents.
    target_positions, target_ids: (M,), where the targets are among the N and what they are.
    num_tokens: N without padding. index: of the micro-batch in its step.
    """

    input_ids: Tensor
    position_ids: Tensor
    lengths: PackedLengths
    target_positions: Tensor
    target_ids: Tensor
    num_tokens: int
    index: int = 0

    @property
    def inputs(self) -> tuple[Tensor, Tensor, PackedLengths, Tensor]:
        """The arguments of BertForMaskedLM."""
        return self.input_ids, self.position_ids, self.lengths, self.target_positions

    @property
    def num_targets(self) -> int:
        """M."""
        return len(self.target_ids)

    def padded_to(self, num_tokens: int, pad_id: int) -> MlmBatch:
        """The same targets among exactly `num_tokens` tokens, the rest documents of [PAD].

        No other token sees them. torch.compile, which compiles for each number of tokens until it
        gives up, so meets only one.
        """
        missing = num_tokens - len(self.input_ids)
        seqlens = padding_seqlens(missing, self.lengths.max_seqlen)
        padding = torch.full((missing,), pad_id)
        positions = [torch.arange(length) for length in seqlens]
        return replace(
            self,
            input_ids=torch.cat([self.input_ids, padding]),
            position_ids=torch.cat([self.position_ids, *positions]),
            lengths=PackedLengths.of([*self.lengths.seqlens, *seqlens]),
        )

    def to(self, device: torch.device) -> MlmBatch:
        """The same micro-batch on `device`."""
        return replace(
            self,
            input_ids=to_device(self.input_ids, device),
            position_ids=to_device(self.position_ids, device),
            lengths=self.lengths.to(device),
            target_positions=to_device(self.target_positions, device),
            target_ids=to_device(self.target_ids, device),
        )


class MlmBatches:
    """The micro-batches of a run: for training as functions of (seed, step), for validation fixed.

    batch_tokens, micro_batch_tokens: tokens of a step over all ranks, and of one forward pass.
    max_length: tokens of the longest window, [CLS] and [SEP] included. mask_prob, mask_unit: share
    of the tokens and kind of units (token_units.UNITS) that are masked in training. valid_fraction:
    share of the documents held out. pad_micro_batches: whether each has exactly micro_batch_tokens
    tokens.
    """

    def __init__(
        self,
        cache: TokenCache,
        tokenizer: Tokenizer,
        *,
        batch_tokens: int,
        micro_batch_tokens: int,
        max_length: int,
        mask_prob: float,
        mask_unit: str,
        valid_fraction: float,
        pad_micro_batches: bool,
        seed: int,
    ):
        self.cache = cache
        self.special = special_ids(tokenizer)
        self.vocabulary = Vocabulary.of(tokenizer)
        self.micro_batch_tokens = micro_batch_tokens
        self.max_length = max_length
        self.mask_prob = mask_prob
        self.mask_unit = mask_unit
        self.pad_micro_batches = pad_micro_batches
        self.seed = seed
        self.micro_batches_per_step = batch_tokens // micro_batch_tokens
        self.train_documents, self.valid_documents = split_documents(
            len(cache), valid_fraction, seed
        )
        self.train_windows = Windows.cut(cache, self.train_documents, max_length)
        self.valid_windows = Windows.cut(cache, self.valid_documents, max_length)
        self.order = MicroBatchOrder(self.train_windows, micro_batch_tokens, seed)
        self.signature = {
            "corpus": cache.corpus.fingerprint,
            "tokenizer": fingerprint(tokenizer),
            "seed": seed,
            "batch_tokens": batch_tokens,
            "micro_batch_tokens": micro_batch_tokens,
            "max_length": max_length,
            "valid_fraction": valid_fraction,
            "mask_prob": mask_prob,
            "mask_unit": mask_unit,
        }

    def train_batch(self, step: int, i: int) -> MlmBatch:
        """Micro-batch i (0 ... micro_batches_per_step - 1) of a step (1 ...)."""
        windows = self.order[(step - 1) * self.micro_batches_per_step + i]
        rng = generator_of(self.seed, MASK, step, i)
        batch = self._masked(self.train_windows, windows, self.mask_prob, self.mask_unit, rng)
        if self.pad_micro_batches:
            batch = batch.padded_to(self.micro_batch_tokens, self.special["[PAD]"])
        return replace(batch, index=i)

    def valid_batches(self, ranks: Ranks) -> Iterator[MlmBatch]:
        """This rank's share of the validation micro-batches, always masked the same way."""
        windows = np.arange(len(self.valid_windows))
        budget = max(VALIDATION_TOKENS, self.max_length)
        packed = pack(self.valid_windows.lengths, windows, budget)
        mine = ranks.share(len(packed))
        for i in progress.bar(mine, "validation", unit="batch"):
            rng = generator_of(self.seed, VALIDATION, i)
            yield self._masked(self.valid_windows, packed[i], VALIDATION_MASK_PROB, "token", rng)

    def steps(self, epochs: float) -> int:
        """Optimizer steps of so many passes over the training documents, at least one."""
        return max(1, math.ceil(self.order.count(epochs) / self.micro_batches_per_step))

    def epoch_at(self, step: int) -> int:
        """The epoch, from 0, of a step's last micro-batch."""
        return self.order.epoch_of(step * self.micro_batches_per_step - 1)

    def summary(self, world_size: int, total_steps: int) -> str:
        """The split and the batch as arithmetic, for people."""
        per_epoch = self.order.count(1)
        batch_tokens = self.micro_batch_tokens * self.micro_batches_per_step
        filled = (self.train_windows.lengths + 2).sum() / (per_epoch * self.micro_batch_tokens)
        epochs = total_steps * self.micro_batches_per_step / per_epoch
        padded = ""
        if self.pad_micro_batches:
            padded = "; padded for torch.compile: the first steps take much longer than the rest"
        return (
            f"split: {len(self.train_documents):,} documents ({len(self.train_windows):,} windows "
            f"of at most {self.max_length} tokens) for training, {len(self.valid_documents):,} "
            f"({len(self.valid_windows):,}) for validation\n"
            f"batch: {batch_tokens:,} tokens = {self.micro_batch_tokens:,} "
            f"x {self.micro_batches_per_step // world_size} micro-batch(es) x {world_size} "
            f"rank(s), {filled:.1%} full; {total_steps:,} steps = {epochs:.2f} epochs{padded}"
        )

    def _masked(
        self,
        windows: Windows,
        chosen: np.ndarray,
        mask_prob: float,
        mask_unit: str,
        rng: np.random.Generator,
    ) -> MlmBatch:
        """The chosen windows as a masked micro-batch."""
        ids, seqlens = join_windows(
            self.cache, windows, chosen, self.special["[CLS]"], self.special["[SEP]"]
        )
        return masked_micro_batch(ids, seqlens, self.vocabulary, mask_prob, mask_unit, rng)


# ---- windows and their order -------------------------------------------------------------------


def fill_sizes(
    batch_tokens: int | None,
    micro_batch_tokens: int | None,
    defaults: Sequence[int],
    max_length: int,
    world_size: int,
) -> tuple[int, int]:
    """Tokens of a batch and of a micro-batch; what is None is filled in so that it fits the rest.

    defaults: of both. A micro-batch holds the longest window and is no more than a rank's share of
    the batch; a batch is a multiple of the ranks' micro-batches.
    """
    batch, micro_batch = defaults
    if micro_batch_tokens is None:
        share = (batch_tokens or batch) // world_size
        micro_batch_tokens = max(max_length, min(micro_batch, share))
    if batch_tokens is None:
        at_once = micro_batch_tokens * world_size
        batch_tokens = math.ceil(batch / at_once) * at_once
    return batch_tokens, micro_batch_tokens


def split_documents(count: int, valid_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The documents 0 ... count - 1 -> (training, validation), each sorted and not empty.

    ValueError if there are fewer than two documents.
    """
    if count < 2:
        raise ValueError(
            f"a corpus of {count} document(s) cannot be split into training and validation"
        )
    num_valid = min(max(1, round(valid_fraction * count)), count - 1)
    order = generator_of(seed, SPLIT).permutation(count)
    return np.sort(order[num_valid:]), np.sort(order[:num_valid])


@dataclass(frozen=True)
class Windows:
    """Pieces of documents that fit the model.

    starts: (W,) int64, first token in the cache. lengths: (W,) int32, without [CLS] and [SEP].
    """

    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def cut(cls, cache: TokenCache, documents: np.ndarray, max_length: int) -> Windows:
        """Cut each document into as few windows of at most `max_length` tokens as hold it all.

        [CLS] and [SEP] are counted. The windows of a document are equally long to within one token,
        and together are the document. Memory beyond the result is that of a block of documents.
        """
        blocks = [
            _cut(cache.offsets, documents[start : start + CUT_AT_ONCE], max_length)
            for start in range(0, len(documents), CUT_AT_ONCE)
        ]
        starts, lengths = zip(*blocks, strict=True)
        return cls(np.concatenate(starts), np.concatenate(lengths))

    def __len__(self) -> int:
        return len(self.starts)


def _cut(
    offsets: np.ndarray, documents: np.ndarray, max_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of the windows of some documents."""
    document_starts = offsets[documents]
    document_lengths = offsets[documents + 1] - document_starts
    counts = -(-document_lengths // (max_length - 2))  # windows of each document
    index = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    length = np.repeat(document_lengths, counts)
    count = np.repeat(counts, counts)
    start = index * length // count
    end = (index + 1) * length // count
    return np.repeat(document_starts, counts) + start, (end - start).astype(np.int32)


def pack(lengths: np.ndarray, order: np.ndarray, budget: int) -> list[np.ndarray]:
    """Fill the windows, in the order given, into micro-batches of at most `budget` tokens.

    [CLS] and [SEP] are counted. Returns the window indices of each micro-batch. No window may be
    longer than `budget`.
    """
    ends = (lengths[order] + 2).cumsum()
    packed, start, used = [], 0, 0
    while start < len(order):
        stop = int(np.searchsorted(ends, used + budget, side="right"))
        packed.append(order[start:stop])
        start, used = stop, ends[stop - 1]
    return packed


class MicroBatchOrder:
    """The endless sequence of micro-batches: index -> the windows of one.

    A pure function of (windows, micro_batch_tokens, seed).
    """

    def __init__(self, windows: Windows, micro_batch_tokens: int, seed: int):
        assert windows.lengths.max() + 2 <= micro_batch_tokens
        self.windows = windows
        self.micro_batch_tokens = micro_batch_tokens
        self.seed = seed
        self.starts = [0]  # index of the first micro-batch of each epoch reached so far
        self.current: tuple[int, list[np.ndarray]] = (-1, [])

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        if self.current[0] != epoch:
            order = generator_of(self.seed, ORDER, epoch).permutation(len(self.windows))
            self.current = epoch, pack(self.windows.lengths, order, self.micro_batch_tokens)
        return self.current[1]

    def start_of_epoch(self, epoch: int) -> int:
        """The index of an epoch's first micro-batch.

        Epochs differ by a few micro-batches, as their order packs better or worse.
        """
        while len(self.starts) <= epoch:
            self.starts.append(self.starts[-1] + len(self._epoch(len(self.starts) - 1)))
        return self.starts[epoch]

    def count(self, epochs: float) -> int:
        """How many micro-batches `epochs` have; a part of an epoch counts in proportion."""
        complete = int(epochs)
        start = self.start_of_epoch(complete)
        if epochs == complete:
            return start
        return start + round((epochs - complete) * (self.start_of_epoch(complete + 1) - start))

    def epoch_of(self, index: int) -> int:
        """The epoch that a micro-batch belongs to."""
        while self.starts[-1] <= index:
            self.start_of_epoch(len(self.starts))
        return int(np.searchsorted(self.starts, index, side="right")) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        epoch = self.epoch_of(index)
        return self._epoch(epoch)[index - self.starts[epoch]]


# ---- one micro-batch ---------------------------------------------------------------------------


def join_windows(
    cache: TokenCache, windows: Windows, chosen: np.ndarray, cls_id: int, sep_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """[CLS] window [SEP] after [CLS] window [SEP], shortest first: ids (N,) and lengths (B,)."""
    by_length = np.argsort(windows.lengths[chosen], kind="stable")  # equal ones together, for SDPA
    chosen = chosen[by_length]
    lengths = windows.lengths[chosen] + 2
    starts = lengths.cumsum() - lengths
    ends = starts + lengths - 1
    ids = np.empty(lengths.sum(), dtype=np.int64)
    ids[starts] = cls_id
    ids[ends] = sep_id
    is_text = np.ones(len(ids), dtype=bool)
    is_text[starts] = is_text[ends] = False
    source = np.repeat(windows.starts[chosen] - starts - 1, lengths) + np.arange(len(ids))
    ids[is_text] = cache.tokens[source[is_text]]
    return ids, lengths


def masked_micro_batch(
    ids: np.ndarray,
    lengths: np.ndarray,
    vocabulary: Vocabulary,
    mask_prob: float,
    mask_unit: str,
    rng: np.random.Generator,
) -> MlmBatch:
    """Mask the documents of `join_windows` and make tensors of them."""
    units = unit_indices(ids, mask_unit, vocabulary, rng)
    masked, labels = mask_tokens(ids, units, vocabulary, mask_prob, rng)
    targets = np.flatnonzero(labels != IGNORED)
    starts = lengths.cumsum() - lengths
    return MlmBatch(
        input_ids=torch.from_numpy(masked),
        position_ids=torch.from_numpy(np.arange(len(ids)) - np.repeat(starts, lengths)),
        lengths=PackedLengths.of(lengths),
        target_positions=torch.from_numpy(targets),
        target_ids=torch.from_numpy(labels[targets]),
        num_tokens=len(ids),
    )
