"""Which products form which micro-batch, and what a micro-batch is.

A product is one or two documents, its name and its ingredient list; each passes through the encoder
on its own. The training examples of an epoch are shuffled by (seed, epoch); those of all epochs
form one endless sequence, so step and index say everything: there is no state that a checkpoint
would hold. Every document is packed with its label.

Letters: N tokens in the micro-batch, B documents, P products with two of them, M = B + P targets, T
length of a document, C classes. Padding makes N and B larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from beautybert.bert.attention import PackedLengths, padding_seqlens, to_device
from beautybert.bert.token_units import Vocabulary, unit_indices
from beautybert.bert.wordpiece import fingerprint, special_ids
from beautybert.cls import splits
from beautybert.cls.labels import label_list
from beautybert.cls.products import INPUTS, Product, ProductCounts
from beautybert.training import progress
from beautybert.training.distributed import Ranks
from beautybert.training.seeding import INGREDIENTS, ORDER, generator_of

EVALUATION_BATCH = 32  # documents; fixed, so that neither flags nor ranks change a logit
IGNORED = -100  # the target of padding: what CrossEntropyLoss leaves out
EVALUATIONS = {"valid": "validation", "test": "test"}  # what a bar calls them


@dataclass(frozen=True)
class Example:
    """A labelled product.

    documents: input -> ids (T,) with [CLS] and [SEP], for each of `INPUTS` that the product has.
    label_id: its class.
    """

    documents: dict[str, np.ndarray]
    label_id: int


class Packed(NamedTuple):
    """Documents in a row: the arguments of BertForSequenceClassification.

    input_ids, position_ids: (N,), positions in their documents. lengths: of the documents.
    """

    input_ids: Tensor
    position_ids: Tensor
    lengths: PackedLengths

    def to(self, device: torch.device) -> Packed:
        """The same documents on `device`."""
        return Packed(
            to_device(self.input_ids, device),
            to_device(self.position_ids, device),
            self.lengths.to(device),
        )


@dataclass(frozen=True)
class ClsBatch:
    """What a classifier is given, and what it must predict.

    inputs: the packed documents. pairs: (P, 2), which two documents are one product; the sum of
    their logits is its answer. target_ids: (M,), the class of each document, then of each pair.
    num_tokens, num_targets: without padding. index: of the micro-batch in its step.
    """

    inputs: Packed
    pairs: Tensor
    target_ids: Tensor
    num_tokens: int
    num_targets: int
    index: int = 0

    def padded_to(self, num_tokens: int, pad_id: int) -> ClsBatch:
        """The same documents among exactly `num_tokens` tokens, the rest documents of [PAD].

        No other token sees them, and they have no target.
        """
        inputs = self.inputs
        seqlens = padding_seqlens(num_tokens - len(inputs.input_ids), inputs.lengths.max_seqlen)
        documents = [torch.full((length,), pad_id) for length in seqlens]
        positions = [torch.arange(length) for length in seqlens]
        B = len(inputs.lengths.seqlens)
        ignored = torch.full((len(seqlens),), IGNORED)
        return replace(
            self,
            inputs=Packed(
                torch.cat([inputs.input_ids, *documents]),
                torch.cat([inputs.position_ids, *positions]),
                PackedLengths.of([*inputs.lengths.seqlens, *seqlens]),
            ),
            target_ids=torch.cat([self.target_ids[:B], ignored, self.target_ids[B:]]),
        )

    def to(self, device: torch.device) -> ClsBatch:
        """The same micro-batch on `device`."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            pairs=to_device(self.pairs, device),
            target_ids=to_device(self.target_ids, device),
        )


class ClsBatches:
    """The micro-batches of a run: for training as functions of (seed, step), for evaluation fixed.

    by_split: products by split. batch_size, micro_batch_size: products of a step over all ranks,
    and of one forward pass. max_length: tokens of the longest document, [CLS] and [SEP] included.
    ingredient_dropout: share of a training list's ingredients that are left out. padded_tokens: to
    which each training micro-batch is padded; 0 for none (`pad_micro_batches`).
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
        self.padded_tokens = 0
        self.vocabulary = Vocabulary.of(tokenizer)
        self.micro_batches_per_step = batch_size // micro_batch_size
        # tokens of each document before it is truncated, by input
        self.seqlens: dict[str, list[int]] = {part: [] for part in INPUTS}
        self.examples = {split: self._encode(products) for split, products in by_split.items()}
        self.num_train = len(self.examples["train"])
        frequency = self.target_ids("train").bincount(minlength=len(self.labels))
        self.log_prior = (frequency.double() / self.num_train).log()  # (C,)
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

    @property
    def inputs(self) -> list[str]:
        """Those of `INPUTS` that any product has."""
        return [part for part in INPUTS if self.seqlens[part]]

    def _encode(self, products: Sequence[Product]) -> list[Example]:
        documents: list[dict[str, np.ndarray]] = [{} for _ in products]
        for part in INPUTS:
            indices = [i for i, product in enumerate(products) if getattr(product, part)]
            texts = [getattr(products[i], part) for i in indices]
            encoded, seqlens = encode_documents(texts, self.tokenizer, self.max_length)
            self.seqlens[part] += seqlens
            for i, ids in zip(indices, encoded, strict=True):
                documents[i][part] = ids
        label_ids = {label: i for i, label in enumerate(self.labels)}
        labelled = zip(documents, products, strict=True)
        return [Example(parts, label_ids[product.label]) for parts, product in labelled]

    def train_batch(self, step: int, i: int) -> ClsBatch:
        """Micro-batch i (0 ... micro_batches_per_step - 1) of a step (1 ...)."""
        start = (step - 1) * self.batch_size + i * self.micro_batch_size
        indices = shuffled_indices(start, self.micro_batch_size, self.num_train, self.seed)
        rng = generator_of(self.seed, INGREDIENTS, step, i)
        chosen = []
        for index in indices:
            example = self.examples["train"][index]
            ids = example.documents.get("ingredients")
            if ids is not None and self.ingredient_dropout:
                ids = drop_ingredients(ids, self.ingredient_dropout, self.vocabulary, rng)
                example = replace(example, documents=example.documents | {"ingredients": ids})
            chosen.append(example)
        batch = replace(pack_examples(chosen), index=i)
        if self.padded_tokens:
            batch = batch.padded_to(self.padded_tokens, special_ids(self.tokenizer)["[PAD]"])
        return batch

    def pad_micro_batches(self, total_steps: int) -> None:
        """Pad the training micro-batches of so many steps to the tokens of the largest of them.

        torch.compile, which compiles for each number of tokens until it gives up, so meets only
        one. Their order is known, and ingredients that are left out only make them smaller.
        """
        if not total_steps:
            return
        tokens = self._train_tokens()
        num_epochs = math.ceil(total_steps * self.batch_size / self.num_train)
        orders = [
            generator_of(self.seed, ORDER, epoch).permutation(self.num_train)
            for epoch in range(num_epochs)
        ]
        in_order = tokens[np.concatenate(orders)][: total_steps * self.batch_size]
        self.padded_tokens = int(in_order.reshape(-1, self.micro_batch_size).sum(1).max())

    def _train_tokens(self) -> np.ndarray:
        """The tokens of all documents of each training example, (num_train,)."""
        examples = self.examples["train"]
        return np.array([sum(map(len, example.documents.values())) for example in examples])

    def eval_batches(
        self, split: str, ranks: Ranks
    ) -> Iterator[tuple[list[int], list[int], Packed]]:
        """This rank's share of the documents of a split.

        With each batch the input of its documents, by its index in `INPUTS`, and the examples that
        they are of, by theirs in the split.
        """
        documents = []
        for index, example in enumerate(self.examples[split]):
            for part, ids in example.documents.items():
                documents.append((len(ids), INPUTS.index(part), index, ids))
        documents.sort(key=lambda document: document[:3])
        starts = range(0, len(documents), EVALUATION_BATCH)
        mine = ranks.share(len(starts))
        for n in progress.bar(mine, EVALUATIONS[split], unit="batch"):
            _, parts, indices, ids = zip(
                *documents[starts[n] : starts[n] + EVALUATION_BATCH], strict=True
            )
            yield list(parts), list(indices), pack_documents(ids)

    def texts(self, split: str) -> dict[str, list[str]]:
        """Each of `INPUTS` of the products of a split, '' where it is missing."""
        return {part: [getattr(p, part) for p in self.by_split[split]] for part in INPUTS}

    def target_ids(self, split: str) -> Tensor:
        """The class of each example of a split, (examples,)."""
        return torch.tensor([example.label_id for example in self.examples[split]])

    def steps(self, epochs: float) -> int:
        """Optimizer steps of so many passes over the training examples, at least one."""
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
            "labels_left_out": counts.rare | counts.untrained,
        }

    def summary(self, world_size: int, total_steps: int) -> str:
        """Lengths, the batch as arithmetic, and two examples as the model sees them, for people."""
        lines = []
        for part, seqlens in self.seqlens.items():
            if not seqlens:
                continue
            num_truncated = sum(length > self.max_length for length in seqlens)
            lines.append(
                f"{part}: {len(seqlens):,} documents of {sum(seqlens) / len(seqlens):.0f} tokens "
                f"on average, {num_truncated:,} of them longer than {self.max_length}, which keep "
                "head and tail"
            )
        lines.append(
            f"batch: {self.batch_size} products = {self.micro_batch_size} "
            f"x {self.micro_batches_per_step // world_size} micro-batch(es) x {world_size} "
            f"rank(s); {total_steps:,} steps = {self.epoch_at(total_steps):.2f} epochs"
        )
        if self.padded_tokens:
            mean = self._train_tokens().mean() * self.micro_batch_size
            lines.append(
                f"micro-batches are padded for torch.compile to {self.padded_tokens:,} tokens, "
                f"from {mean:,.0f} on average; the first steps take much longer than the rest"
            )
        first_two = zip(self.by_split["train"][:2], self.examples["train"], strict=False)
        for product, example in first_two:
            lines.append(f"  {product.source}, row {product.row}: {self.labels[example.label_id]}")
            for part, ids in example.documents.items():
                tokens = " ".join(self.tokenizer.id_to_token(i) or "?" for i in ids[:40].tolist())
                lines.append(f"    {part}: {tokens}{' ...' if len(ids) > 40 else ''}")
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


def pack_documents(documents: Sequence[np.ndarray]) -> Packed:
    """Join documents, each (T,), in the order given.

    Neighbours of one length make the fastest step on a CPU.
    """
    seqlens = [len(ids) for ids in documents]
    return Packed(
        input_ids=torch.from_numpy(np.concatenate(documents)),
        position_ids=torch.cat([torch.arange(length) for length in seqlens]),
        lengths=PackedLengths.of(seqlens),
    )


def pack_examples(examples: Sequence[Example]) -> ClsBatch:
    """Join all documents of examples, the shortest first."""
    documents = [
        (n, ids) for n, example in enumerate(examples) for ids in example.documents.values()
    ]
    documents.sort(key=lambda document: len(document[1]))
    indices_of: dict[int, list[int]] = {}  # the documents of each example
    for index, (n, _) in enumerate(documents):
        indices_of.setdefault(n, []).append(index)
    pairs = {n: indices for n, indices in indices_of.items() if len(indices) == 2}
    owners = [*(n for n, _ in documents), *pairs]  # the example of each target
    target_ids = torch.tensor([examples[n].label_id for n in owners])
    return ClsBatch(
        inputs=pack_documents([ids for _, ids in documents]),
        pairs=torch.tensor(list(pairs.values()), dtype=torch.long).view(-1, 2),
        target_ids=target_ids,
        num_tokens=sum(len(ids) for _, ids in documents),
        num_targets=len(target_ids),
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
