"""A model as an ONNX file: its graph over padded documents, with integers of 8 bits too.

A graph takes `input_ids` and `attention_mask`, both (B, T), padded on the right. It gives the
logits (B, C) of a classifier's head for each document, the logits (B, T, V) of a masked language
model, or the `last_hidden_state` (B, T, D) of an encoder. The pool, the labels and the word models
of a classifier are no part of it: they are in its metadata and beside it, for a few lines of numpy
(docs/export.md). How the files answer is in onnx_check.py.

Letters: B documents, T length, D hidden, V vocabulary, C classes.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from beautybert import files
from beautybert.bert.model import (
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    encode_padded,
    flatten_padded,
)
from beautybert.cls.word_model import WordModel

PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # the extra `onnx`
METADATA_KEY = "beautybert"
INPUT_NAMES = ("input_ids", "attention_mask")
LARGEST = 1536 * 2**20  # bytes of weights; from there on torch writes them to another file


class PaddedGraph(nn.Module):
    """A model over padded documents, as it is exported."""

    def __init__(self, model: BertForMaskedLM | BertForSequenceClassification | BertModel):
        super().__init__()
        self.model = model.eval()
        is_encoder = isinstance(model, BertModel)
        self.output_name = "last_hidden_state" if is_encoder else "logits"

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T), (B, T) -> (B, C), (B, T, V) or (B, T, D)."""
        if isinstance(self.model, BertModel):
            return encode_padded(self.model, input_ids, attention_mask)
        inputs = flatten_padded(input_ids, attention_mask)
        if isinstance(self.model, BertForSequenceClassification):
            return self.model(*inputs)
        hidden = self.model.bert(*inputs)  # (B T, D)
        word_embeddings = self.model.bert.embeddings.word_embeddings.weight
        logits = self.model.cls["predictions"](hidden, word_embeddings)  # (B T, V)
        return logits.view(*input_ids.shape, -1)


def missing_packages() -> list[str]:
    """Those of `PACKAGES` that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def write(path: Path, graph: PaddedGraph, max_length: int, metadata: Mapping[str, Any]) -> None:
    """Write the graph, for any number of documents of up to max_length tokens.

    metadata: what the file's own metadata has as JSON under `METADATA_KEY`. ValueError for a model
    that is too large for one file, and for one that torch cannot export.
    """
    size = sum(parameter.nbytes for parameter in graph.parameters())
    if size >= LARGEST:
        raise ValueError(
            f"{path}: the model has {size / 2**30:.1f} GiB of weights, an ONNX file of this kind "
            f"takes less than {LARGEST / 2**30:.1f}"
        )
    batch = torch.export.Dim("batch", min=1)
    length = torch.export.Dim("length", min=1, max=max_length)
    axes = {name: {0: batch, 1: length} for name in INPUT_NAMES}
    # two tensors: what is one tensor here would be one input there
    example = tuple(torch.ones(2, 3, dtype=torch.long) for _ in INPUT_NAMES)
    with _quiet():
        try:
            program: Any = torch.onnx.export(
                graph,
                example,
                input_names=list(INPUT_NAMES),
                output_names=[graph.output_name],
                dynamic_shapes=axes,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = files.reason(error)
            raise ValueError(f"{path}: torch {torch.__version__} cannot export: {reason}") from None
        for node in program.model.graph:
            node.metadata_props.clear()  # the lines of code, by the paths of this machine
        program.model.metadata_props[METADATA_KEY] = json.dumps(metadata, ensure_ascii=False)
        with files.replacing(path) as temporary:
            program.save(temporary)


def write_int8(path: Path, source: Path) -> None:
    """Write an ONNX file with the matrices of another as 8-bit integers.

    onnxruntime's dynamic quantization: a scale for each column of a matrix, and activations rounded
    as they come. Integers of 7 bits keep processors without VNNI from overflowing.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet(), files.replacing(path) as temporary:
        quantize_dynamic(
            source,
            temporary,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )


def write_words(path: Path, word_models: Mapping[str, WordModel]) -> None:
    """Write the word models as arrays of numpy: of each input features (a line each), idf, weight
    and bias."""
    arrays: dict[str, Any] = {}
    for part, model in word_models.items():
        arrays[f"{part}.features"] = np.array("\n".join(model.feature_ids))
        arrays[f"{part}.idf"] = model.idf.numpy()
        arrays[f"{part}.weight"] = model.weight.numpy()
        arrays[f"{part}.bias"] = model.bias.numpy()
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters say of their own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
