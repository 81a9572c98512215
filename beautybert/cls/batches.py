"""Which products form which micro-batch, and what a micro-batch is.

The training examples of an epoch are shuffled by (seed, epoch); those of all epochs form one
endless sequence, so step and index say everything: there is no state that a checkpoint would hold.
Every document is packed with its label.

Letters: N tokens in the micro-batch, B documents, T length of a document, C classes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from beautybert.bert.attention import PackedLengths, to_device
from beautybert.bert.token_units import Vocabulary, unit_indices
from beautybert.bert.wordpiece import fingerprint, special_ids
from beautybert.cls import splits
from beautybert.cls.products import Product, ProductCounts, label_list, texts
from beautybert.training.distributed import Ranks
from beautybert.training.seeding import INGREDIENTS, ORDER, generator_of

EVALUATION_BATCH = 32  # examples; fixed, so that neither flags nor ranks change a logit


@dataclass(frozen=True)
class Example:
    """A labelled document: ids (T,) with [CLS] and [SEP], and its class."""

    ids: np.ndarray
    label_id: int


@dataclass(frozen=True)
class ClsBatch:
    """What a classifier is given, and what it must predict.

    input_ids, position_ids: (N,), positions in their documents. lengths: of the packed documents.
    target_ids: (B,), the class of each document. weights: (B,), of each document in the loss.
    index: of the micro-batch in its step.
    """

    input_ids: Tensor
    position_ids: Tensor
    lengths: PackedLengths
    target_ids: Tensor
    weights: Tensor
    index: int = 0

    @property
    def inputs(self) -> tuple[Tensor, Tensor, PackedLengths]:
        """The arguments of BertForSequenceClassification."""
        return self.input_ids, self.position_ids, self.lengths

    @property
    def num_targets(self) -> float:
        """The sum of the documents' weights: B, unless classes are weighed."""
        return self.weights.sum().item()

    @property
    def num_tokens(self) -> int:
        """N."""
        return len(self.input_ids)

    def to(self, device: torch.device) -> ClsBatch:
        """The same micro-batch on `device`."""
        return replace(
            self,
            input_ids=to_device(self.input_ids, device),
            position_ids=to_device(self.position_ids, device),
            lengths=self.lengths.to(device),
            target_ids=to_device(self.target_ids, device),
            weights=to_device(self.weights, device),
        )


class ClsBatches:
    """The micro-batches of a run: for training as functions of (seed, step), for evaluation fixed.

    by_split: products by split. batch_size, micro_batch_size: examples of a
    step over all ranks, and of one forward pass. max_length: tokens of the longest list, [CLS] and
    [SEP] included. ingredient_dropout: share of a training list's ingredients that are left out.
    class_weights: whether labels weigh by the inverse of their frequency.
    """

    def __init__(
        self,
        by_split: dict[str, list[Product]],
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        micro_batch_size: int,
        max_length: int,
        ingredient_dropout: float,
        class_weights: bool,
        seed: int,
    ):
        self.by_split = by_split
        self.labels = label_list(by_split)
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.max_length = max_length
        self.ingredient_dropout = ingredient_dropout
        self.seed = seed
        self.vocabulary = Vocabulary.of(tokenizer)
        self.micro_batches_per_step = batch_size // micro_batch_size
        self.lengths: list[int] = []  # tokens of each list before it is truncated
        self.examples = {split: self._encode(products) for split, products in by_split.items()}
        self.num_train = len(self.examples["train"])
        self.label_weights = torch.ones(len(self.labels))  # (C,)
        if class_weights:
            frequency = Counter(example.label_id for example in self.examples["train"])
            num_labels = len(self.labels)
            weights = [self.num_train / (num_labels * frequency[i]) for i in range(num_labels)]
            self.label_weights = torch.tensor(weights)
        self.signature = {
            "data": splits.fingerprint(by_split),
            "labels": self.labels,
            "tokenizer": fingerprint(tokenizer),
            "seed": seed,
            "batch_size": batch_size,
            "micro_batch_size": micro_batch_size,
            "max_length": max_length,
            "ingredient_dropout": ingredient_dropout,
        }

    def _encode(self, products: Sequence[Product]) -> list[Example]:
        label_ids = {label: i for i, label in enumerate(self.labels)}
        documents, lengths = encode_documents(texts(products), self.tokenizer, self.max_length)
        self.lengths += lengths
        labelled = zip(documents, products, strict=True)
        return [Example(ids, label_ids[product.label]) for ids, product in labelled]

    def train_batch(self, step: int, i: int) -> ClsBatch:
        """Micro-batch i (0 ... micro_batches_per_step - 1) of a step (1 ...)."""
        start = (step - 1) * self.batch_size + i * self.micro_batch_size
        indices = shuffled_indices(start, self.micro_batch_size, self.num_train, self.seed)
        chosen = [self.examples["train"][index] for index in indices]
        if self.ingredient_dropout:
            rng = generator_of(self.seed, INGREDIENTS, step, i)
            share = self.ingredient_dropout
            chosen = [
                replace(example, ids=drop_ingredients(example.ids, share, self.vocabulary, rng))
                for example in chosen
            ]
        chosen.sort(key=lambda example: len(example.ids))
        return replace(pack_examples(chosen, self.label_weights), index=i)

    def eval_batches(self, split: str, ranks: Ranks) -> Iterator[tuple[list[int], ClsBatch]]:
        """This rank's share of a split's batches, each after the indices of its examples."""
        examples = self.examples[split]
        by_length = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
        starts = range(0, len(by_length), EVALUATION_BATCH)
        for n in ranks.share(len(starts)):
            indices = by_length[starts[n] : starts[n] + EVALUATION_BATCH]
            yield indices, pack_examples([examples[i] for i in indices], self.label_weights)

    def target_ids(self, split: str) -> Tensor:
        """The class of each example of a split, (examples,)."""
        return torch.tensor([example.label_id for example in self.examples[split]])

    def steps(self, epochs: float) -> int:
        """Optimizer steps of so many passes over the training examples."""
        return math.ceil(epochs * self.num_train / self.batch_size)

    def epoch_at(self, step: int) -> float:
        """Passes over the training examples until the end of a step."""
        return step * self.batch_size / self.num_train

    def metadata(self, counts: ProductCounts) -> dict[str, Any]:
        """What run.json says of the data; counts: what became of the rows."""
        return {
            "fingerprint": self.signature["data"],
            "rows": counts.rows,
            "dropped": counts.dropped,
            "labels_left_out": counts.rare,
        }

    def summary(self, world_size: int, total_steps: int) -> str:
        """Lengths, the batch as arithmetic, and two examples as the model sees them, for people."""
        num_truncated = sum(length > self.max_length for length in self.lengths)
        mean_length = sum(self.lengths) / len(self.lengths)
        lines = [
            f"lists: {mean_length:.0f} tokens on average, {num_truncated:,} of "
            f"{len(self.lengths):,} are longer than {self.max_length} and keep head and tail",
            f"batch: {self.batch_size} lists = {self.micro_batch_size} "
            f"x {self.micro_batches_per_step // world_size} micro-batch(es) x {world_size} "
            f"rank(s); {total_steps:,} steps = {self.epoch_at(total_steps):.2f} epochs",
        ]
        first_two = zip(self.by_split["train"][:2], self.examples["train"], strict=False)
        for product, example in first_two:
            ids = example.ids[:40].tolist()
            tokens = " ".join(str(self.tokenizer.id_to_token(token_id)) for token_id in ids)
            source = f"({product.source}, row {product.row})"
            lines.append(f"  {tokens} ... → {self.labels[example.label_id]}  {source}")
        return "\n".join(lines)


# ---- documents ---------------------------------------------------------------------------------


def encode_documents(
    texts: Sequence[str], tokenizer: Tokenizer, max_length: int
) -> tuple[list[np.ndarray], list[int]]:
    """Texts -> [CLS] ids [SEP], each (T,) of at most max_length tokens, and the T before that."""
    special = special_ids(tokenizer)
    documents, lengths = [], []
    for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        ids = truncate_head_and_tail(encoding.ids, max_length - 2)
        documents.append(np.array([special["[CLS]"], *ids, special["[SEP]"]]))
        lengths.append(len(encoding.ids) + 2)
    return documents, lengths


def truncate_head_and_tail(ids: Sequence[int], max_tokens: int) -> list[int]:
    """At most `max_tokens` ids: two thirds of them from the head, a third from the tail.

    In an ingredient list the first are the most, the last the colorants.
    """
    if len(ids) <= max_tokens:
        return list(ids)
    tail = max_tokens // 3
    return [*ids[: max_tokens - tail], *ids[len(ids) - tail :]]


def drop_ingredients(
    ids: np.ndarray, share: float, vocabulary: Vocabulary, rng: np.random.Generator
) -> np.ndarray:
    """A list's ids (T,) without about a `share` of its ingredients, never without all.

    Each is left out or not on its own: word dropout (Iyyer et al. 2015, Deep Unordered Composition
    Rivals Syntactic Methods, section 3.2), a whole ingredient at a time. A separator that is a
    token of its own counts as an ingredient; special tokens stay.
    """
    units = unit_indices(ids, "ingredient", vocabulary, rng)
    is_special = vocabulary.is_special[ids]
    kept = is_special | (rng.random(units[-1] + 1) >= share)[units]
    is_name = ~is_special & ~vocabulary.is_separator[ids]
    return ids[kept] if (kept & is_name).any() else ids


def pack_examples(examples: Sequence[Example], label_weights: Tensor | None = None) -> ClsBatch:
    """Join examples, in the order given; neighbours of one length make the fastest CPU step.

    label_weights: (C,), the weight of each class in the loss; without them every document weighs 1.
    """
    seqlens = [len(example.ids) for example in examples]
    target_ids = torch.tensor([example.label_id for example in examples])
    weights = torch.ones(len(examples)) if label_weights is None else label_weights[target_ids]
    return ClsBatch(
        input_ids=torch.from_numpy(np.concatenate([example.ids for example in examples])),
        position_ids=torch.cat([torch.arange(length) for length in seqlens]),
        lengths=PackedLengths.of(seqlens),
        target_ids=target_ids,
        weights=weights,
    )


def shuffled_indices(start: int, count: int, total: int, seed: int) -> np.ndarray:
    """Which of `total` examples are at `count` positions from `start` on: (count,).

    Positions are of an endless sequence: one shuffled epoch after another.
    """
    positions = np.arange(start, start + count)
    orders = {
        epoch: generator_of(seed, ORDER, int(epoch)).permutation(total)
        for epoch in np.unique(positions // total)
    }
    return np.array([orders[position // total][position % total] for position in positions])
