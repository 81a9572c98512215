"""A linear model over the words of a text: logistic regression on TF-IDF, fitted on its own.

It joins the pool (pool.py) beside the encoder, which sees the order of a text and what it was
pretrained on, but learns rare words slowly. Features are words and pairs of neighbours, weighed by
TF-IDF with logarithmic counts and scaled to length 1 (Salton & Buckley 1988, Term-weighting
approaches in automatic text retrieval).

Letters: P texts, W features, C classes.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from beautybert import files
from beautybert.cls.products import INPUTS
from beautybert.training import progress

WORD = re.compile(r"\w\w+")
FILES = ("words.json", "words.safetensors")
MIN_TEXTS = 2  # that a feature must occur in
# of the squared weights, in nats; chosen on the validation products of the real tables
RIDGE = 0.05
ITERATIONS = 100
MAX_FEATURES = 50_000  # the real lists have 29,000; each costs a weight for every class


@dataclass(frozen=True)
class WordModel:
    """feature_ids: feature -> row. idf: (W,). weight: (W, C). bias: (C,)."""

    feature_ids: dict[str, int]
    idf: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Logits (P, C) of texts, float64."""
        return _logits(
            _features(texts, self.feature_ids, self.idf), self.weight, self.bias
        ).double()

    def known_share(self, text: str, is_known: Callable[[str], bool] | None = None) -> float:
        """The share of a text's words that are in `MIN_TEXTS` training texts or `is_known`.

        0 for a text without words.
        """
        words = WORD.findall(text.casefold())
        num_known = sum(
            word in self.feature_ids or (is_known is not None and is_known(word)) for word in words
        )
        return num_known / max(len(words), 1)


def fit(texts: Sequence[str], label_ids: Tensor, num_labels: int) -> WordModel:
    """The model that makes the loss on the texts small, with a penalty on squared weights.

    label_ids: (P,). The loss is convex, and nothing is random: at most `ITERATIONS` from 0.
    """
    document_counts = Counter(
        feature for text in texts for feature in dict.fromkeys(features_of(text))
    )
    common = [name for name, n in document_counts.most_common(MAX_FEATURES) if n >= MIN_TEXTS]
    frequent = sorted(common)
    feature_ids = {name: i for i, name in enumerate(frequent)}
    idf = torch.tensor(
        [math.log((1 + len(texts)) / (1 + document_counts[name])) + 1 for name in frequent]
    )
    rows = _features(texts, feature_ids, idf)
    weight = torch.zeros(len(frequent), num_labels, requires_grad=True)
    bias = torch.zeros(num_labels, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    bar = progress.bar(what="linear model over words", total=ITERATIONS)

    def closure() -> Tensor:
        bar.update()
        optimizer.zero_grad()
        loss = F.cross_entropy(_logits(rows, weight, bias), label_ids, reduction="sum")
        loss = loss + RIDGE / 2 * weight.square().sum()
        loss.backward()
        return loss

    with bar:
        optimizer.step(closure)
    return WordModel(feature_ids, idf, weight.detach(), bias.detach())


# ---- the models of each input ------------------------------------------------------------------


def fit_each(
    texts: Mapping[str, Sequence[str]], label_ids: Tensor, labels: Sequence[str]
) -> dict[str, WordModel]:
    """A model for each input that has texts; '' is no text. label_ids: (P,), of `labels`."""
    models = {}
    for part, all_texts in texts.items():
        indices = [i for i, text in enumerate(all_texts) if text]
        if indices:
            models[part] = fit([all_texts[i] for i in indices], label_ids[indices], len(labels))
    return models


def logits(
    models: Mapping[str, WordModel], texts: Mapping[str, Sequence[str]]
) -> dict[str, Tensor]:
    """The terms of the pool (pool.py) that the models give, each (P, C)."""
    return {f"{part} words": model(texts[part]) for part, model in models.items()}


def write(folder: Path, models: Mapping[str, WordModel]) -> None:
    """Write words.json, the features of each input, and words.safetensors, their weights."""
    features = {part: list(model.feature_ids) for part, model in models.items()}
    tensors = {}
    for part, model in models.items():
        tensors[f"{part}.idf"] = model.idf
        tensors[f"{part}.weight"] = model.weight
        tensors[f"{part}.bias"] = model.bias
    files.write_text(folder / FILES[0], json.dumps(features, ensure_ascii=False) + "\n")
    with files.replacing(folder / FILES[1]) as temporary:
        temporary.write_bytes(serialize(tensors))


def read(folder: Path, num_labels: int | None = None) -> dict[str, WordModel]:
    """The models that `write` has written.

    num_labels: C, if it is known. ValueError if a file is missing or does not fit.
    """
    try:
        features = files.read_json(folder / FILES[0])
        with safe_open(folder / FILES[1], framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        return {part: _from_files(part, features, tensors, num_labels) for part in features}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ValueError(
            f"{folder}: the word models ({', '.join(FILES)}) cannot be read: {error}"
        ) from None


def _from_files(
    part: str, features: Mapping[str, Any], tensors: Mapping[str, Tensor], num_labels: int | None
) -> WordModel:
    """The model of one input; ValueError if its features and weights do not fit one another."""
    if part not in INPUTS:
        raise ValueError(f"{FILES[0]} has {files.shown(part)}, must have {' or '.join(INPUTS)}")
    names = files.value_of(features, part, list, FILES[0])
    feature_ids = {name: i for i, name in enumerate(names) if isinstance(name, str)}
    if len(feature_ids) != len(names):
        raise ValueError(f"{FILES[0]}: the features of {part} must be different texts")
    idf, weight, bias = (tensors[f"{part}.{name}"] for name in ("idf", "weight", "bias"))
    num_features = len(names)
    C = num_labels or len(bias)
    shapes = {"idf": (num_features,), "weight": (num_features, C), "bias": (C,)}
    for (name, shape), tensor in zip(shapes.items(), (idf, weight, bias), strict=True):
        if tensor.shape != shape:
            raise ValueError(
                f"{num_features} features of {part}, {C} labels; {part}.{name} of "
                f"{FILES[1]} has shape {tuple(tensor.shape)}"
            )
        if tensor.dtype != torch.float32 or not tensor.isfinite().all():
            raise ValueError(f"{part}.{name} of {FILES[1]} must be of finite float32 numbers")
    return WordModel(feature_ids, idf, weight, bias)


# ---- features ----------------------------------------------------------------------------------


def features_of(text: str) -> list[str]:
    """Words of two characters or more in lower case, and pairs of neighbours."""
    words = WORD.findall(text.casefold())
    return words + [f"{one} {other}" for one, other in zip(words, words[1:], strict=False)]


def _features(
    texts: Sequence[str], feature_ids: dict[str, int], idf: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Texts as rows of a sparse matrix: ids and values (nonzero,), starts of texts (P,)."""
    ids: list[int] = []
    counts: list[int] = []
    starts: list[int] = []
    for text in texts:
        starts.append(len(ids))
        found = Counter(feature_ids[name] for name in features_of(text) if name in feature_ids)
        ids += found.keys()
        counts += found.values()
    flat_ids = torch.tensor(ids, dtype=torch.long)
    values = (1 + torch.tensor(counts, dtype=torch.float32).log()) * idf[flat_ids]
    flat_starts = torch.tensor(starts, dtype=torch.long)
    ends = torch.tensor([*starts[1:], len(ids)], dtype=torch.long)
    owner = torch.repeat_interleave(torch.arange(len(texts)), ends - flat_starts)
    squares = torch.zeros(len(texts)).index_add(0, owner, values.square())
    return flat_ids, values / squares.sqrt()[owner], flat_starts


def _logits(rows: tuple[Tensor, Tensor, Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """Sparse rows of P texts, (W, C), (C,) -> (P, C); without features a row has the bias."""
    ids, values, starts = rows
    if not len(weight):  # embedding_bag takes no empty table
        return bias.expand(len(starts), -1)
    return F.embedding_bag(ids, weight, starts, mode="sum", per_sample_weights=values) + bias
