"""Which documents go into which micro-batch, and what a micro-batch is.

Documents are cut into windows, the windows of an epoch are shuffled by (seed, epoch) and filled, in that order, into
micro-batches of at most a fixed number of tokens. The micro-batches of all epochs form one endless numbered sequence,
so that step and position say everything: nothing here has a state that a checkpoint would have to hold. Labelled documents are
numbered the same way, and each travels with its label.

Letters: N tokens in the micro-batch, B documents, W windows, M targets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from beautybert.attention import Segments, to_device
from beautybert.corpus import TokenCache
from beautybert.masking import IGNORED, Vocabulary, mask_tokens, mask_units

# the first number of every random key, so that no two purposes ever share one
ORDER, MASK, DROPOUT, VALIDATION, SPLIT, GUESSES, INGREDIENTS = range(7)


def keyed_generator(*key: int) -> np.random.Generator:
    """A numpy generator that is a function of the key alone, e.g. (seed, MASK, step, micro-batch)."""
    return np.random.default_rng(_digest(key))


def keyed_seed(*key: int) -> int:
    """A seed for torch.manual_seed that is a function of the key alone."""
    return _digest(key) >> 65


def _digest(key: tuple[int, ...]) -> int:
    """128 bits. numpy's own seeding by a tuple takes (1, 0) for (1,)."""
    return int.from_bytes(
        hashlib.blake2b(repr([int(part) for part in key]).encode(), digest_size=16).digest(), "big"
    )


def split_documents(count: int, valid_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The documents 0 ... count - 1 -> (training, validation), each sorted; at least one on either side.

    ValueError if there are fewer than two documents.
    """
    if count < 2:
        raise ValueError(
            f"a corpus of {count} document(s) cannot be split into training and validation"
        )
    valid = min(max(1, round(valid_fraction * count)), count - 1)
    order = keyed_generator(seed, SPLIT).permutation(count)
    return np.sort(order[valid:]), np.sort(order[:valid])


@dataclass(frozen=True)
class Windows:
    """Pieces of documents that fit the model: (W,) first token in the cache, and (W,) length without [CLS] and [SEP]."""

    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def cut(cls, cache: TokenCache, documents: np.ndarray, max_length: int) -> Windows:
        """Cut each document into as few windows of at most `max_length` tokens ([CLS] and [SEP] counted) as hold it all.

        The windows of a document are equally long to within one token, and together are the document.
        """
        begins = np.asarray(cache.offsets)[documents]
        lengths = np.asarray(cache.offsets)[documents + 1] - begins
        pieces = -(-lengths // (max_length - 2))
        piece = np.arange(pieces.sum()) - np.repeat(
            pieces.cumsum() - pieces, pieces
        )  # number of the window in its document
        length, of = np.repeat(lengths, pieces), np.repeat(pieces, pieces)
        first, last = piece * length // of, (piece + 1) * length // of
        return cls(np.repeat(begins, pieces) + first, last - first)

    def __len__(self) -> int:
        return len(self.starts)


def pack(lengths: np.ndarray, order: np.ndarray, budget: int) -> list[np.ndarray]:
    """Fill the windows, in the order given, into micro-batches of at most `budget` tokens; [CLS] and [SEP] counted.

    Returns the window numbers of each micro-batch. No window may be longer than `budget`.
    """
    ends = (lengths[order] + 2).cumsum()
    packed, start, used = [], 0, 0
    while start < len(order):
        stop = int(np.searchsorted(ends, used + budget, side="right"))
        packed.append(order[start:stop])
        start, used = stop, ends[stop - 1]
    return packed


class MicroBatchOrder:
    """The endless sequence of micro-batches: number -> the windows it holds. A pure function of (windows, budget, seed)."""

    def __init__(self, windows: Windows, micro_batch_tokens: int, seed: int):
        assert windows.lengths.max() + 2 <= micro_batch_tokens
        self.windows, self.micro_batch_tokens, self.seed = windows, micro_batch_tokens, seed
        self.begins = [0]  # number of the first micro-batch of each epoch reached so far
        self.current: tuple[int, list[np.ndarray]] = (-1, [])

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        if self.current[0] != epoch:
            order = keyed_generator(self.seed, ORDER, epoch).permutation(len(self.windows))
            self.current = epoch, pack(self.windows.lengths, order, self.micro_batch_tokens)
        return self.current[1]

    def first_of_epoch(self, epoch: int) -> int:
        """The number of the first micro-batch of an epoch; epochs differ by a few, as their order packs better or worse."""
        while len(self.begins) <= epoch:
            self.begins.append(self.begins[-1] + len(self._epoch(len(self.begins) - 1)))
        return self.begins[epoch]

    def count(self, epochs: float) -> int:
        """How many micro-batches `epochs` hold; a part of an epoch counts in proportion."""
        whole = int(epochs)
        first = self.first_of_epoch(whole)
        return (
            first + round((epochs - whole) * (self.first_of_epoch(whole + 1) - first))
            if epochs > whole
            else first
        )

    def epoch_of(self, number: int) -> int:
        """The epoch in which a micro-batch stands."""
        while self.begins[-1] <= number:
            self.first_of_epoch(len(self.begins))
        return int(np.searchsorted(self.begins, number, side="right")) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        epoch = self.epoch_of(number)
        return self._epoch(epoch)[number - self.begins[epoch]]


@dataclass(frozen=True)
class MicroBatch:
    """What the MLM model is given: ids (N,), positions in their documents (N,), segments, where and what the targets are (M,)."""

    input_ids: Tensor
    position_ids: Tensor
    segments: Segments
    target_positions: Tensor
    target_ids: Tensor

    def padded_to(self, tokens: int, pad_id: int) -> MicroBatch:
        """The same targets among exactly `tokens` tokens: documents of [PAD], which no other token sees, take up the rest.

        So that torch.compile, which compiles once for each number of tokens until it gives up, meets only one.
        """
        missing, longest = tokens - len(self.input_ids), self.segments.longest
        lengths = [min(longest, missing - first) for first in range(0, missing, longest)]
        return replace(
            self,
            input_ids=torch.cat([self.input_ids, torch.full((missing,), pad_id)]),
            position_ids=torch.cat(
                [self.position_ids, *(torch.arange(length) for length in lengths)]
            ),
            segments=Segments.from_lengths([*self.segments.lengths, *lengths]),
        )

    def to(self, device: torch.device) -> MicroBatch:
        """The same micro-batch on `device`."""
        return MicroBatch(
            to_device(self.input_ids, device),
            to_device(self.position_ids, device),
            self.segments.to(device),
            to_device(self.target_positions, device),
            to_device(self.target_ids, device),
        )


def join_windows(
    cache: TokenCache, windows: Windows, chosen: np.ndarray, cls_id: int, sep_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """[CLS] window [SEP] after [CLS] window [SEP]: ids (N,) and the length of each document (B,), shortest first."""
    chosen = chosen[
        np.argsort(windows.lengths[chosen], kind="stable")
    ]  # equal lengths side by side: see attention.py
    lengths = windows.lengths[chosen] + 2
    begins = lengths.cumsum() - lengths
    ids = np.empty(lengths.sum(), dtype=np.int64)
    ids[begins], ids[begins + lengths - 1] = cls_id, sep_id
    inside = np.ones(len(ids), dtype=bool)
    inside[begins] = inside[begins + lengths - 1] = False
    source = np.repeat(windows.starts[chosen] - begins - 1, lengths) + np.arange(len(ids))
    ids[inside] = cache.tokens[source[inside]]
    return ids, lengths


def masked_micro_batch(
    ids: np.ndarray,
    lengths: np.ndarray,
    vocabulary: Vocabulary,
    mask_prob: float,
    mask_unit: str,
    rng: np.random.Generator,
) -> MicroBatch:
    """Mask the documents of `join_windows` and make tensors of them."""
    masked, labels = mask_tokens(
        ids, mask_units(ids, mask_unit, vocabulary), vocabulary, mask_prob, rng
    )
    targets = np.flatnonzero(labels != IGNORED)
    positions = np.arange(len(ids)) - np.repeat(lengths.cumsum() - lengths, lengths)
    return MicroBatch(
        torch.from_numpy(masked),
        torch.from_numpy(positions),
        Segments.from_lengths(lengths),
        torch.from_numpy(targets),
        torch.from_numpy(labels[targets]),
    )


# ---------------------------------------------------------------------------------------------- labelled documents


@dataclass(frozen=True)
class Example:
    """A labelled document: ids (T,) with [CLS] and [SEP], and its class."""

    ids: np.ndarray
    label_id: int


@dataclass(frozen=True)
class LabelledBatch:
    """What a classifier is given: ids (N,), positions in their documents (N,), segments, and the class of each document (B,)."""

    input_ids: Tensor
    position_ids: Tensor
    segments: Segments
    label_ids: Tensor

    def to(self, device: torch.device) -> LabelledBatch:
        """The same micro-batch on `device`."""
        return LabelledBatch(
            to_device(self.input_ids, device),
            to_device(self.position_ids, device),
            self.segments.to(device),
            to_device(self.label_ids, device),
        )


def cut_head_and_tail(ids: Sequence[int], room: int) -> list[int]:
    """At most `room` ids: the first two thirds and the last third of it. In an ingredient list the first are the most, the last the colorants."""
    if len(ids) <= room:
        return list(ids)
    tail = room // 3
    return [*ids[: room - tail], *ids[len(ids) - tail :]]


def without_ingredients(
    ids: np.ndarray, share: float, vocabulary: Vocabulary, rng: np.random.Generator
) -> np.ndarray:
    """A list's ids (T,) without about a `share` of its ingredients, each left out or not on its own; all of them if none would be left.

    Word dropout (Iyyer et al. 2015, Deep Unordered Composition Rivals Syntactic Methods, section 3.2), a whole ingredient at a time; a separator
    that is a token of its own counts as one, special tokens stay.
    """
    units = mask_units(ids, "ingredient", vocabulary)
    kept = vocabulary.is_special[ids] | (rng.random(units[-1] + 1) >= share)[units]
    return (
        ids[kept]
        if (kept & ~vocabulary.is_special[ids] & ~vocabulary.is_separator[ids]).any()
        else ids
    )


def labelled_batch(examples: Sequence[Example]) -> LabelledBatch:
    """Join examples, in the order given; equally long neighbours make the fastest CPU step (attention.py)."""
    lengths = [len(example.ids) for example in examples]
    return LabelledBatch(
        torch.from_numpy(np.concatenate([example.ids for example in examples])),
        torch.cat([torch.arange(length) for length in lengths]),
        Segments.from_lengths(lengths),
        torch.tensor([example.label_id for example in examples]),
    )


def shuffled_numbers(first: int, count: int, total: int, seed: int) -> np.ndarray:
    """Which of `total` examples stand at places first ... first + count - 1 of the endless sequence of shuffled epochs: (count,)."""
    places = np.arange(first, first + count)
    orders = {
        epoch: keyed_generator(seed, ORDER, int(epoch)).permutation(total)
        for epoch in np.unique(places // total)
    }
    return np.array([orders[place // total][place % total] for place in places])
