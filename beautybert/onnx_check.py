"""How an ONNX file answers in onnxruntime, beside the model in torch: numbers, speed, accuracy.

The texts are those of the run: the test products of a classifier, the fill-mask prompts of a masked
language model.

Letters: B documents, T length, D hidden, V vocabulary, C classes, P products.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from beautybert import files
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import BertForMaskedLM, BertForSequenceClassification, BertModel
from beautybert.cls import word_model
from beautybert.cls.classifier import Classifier
from beautybert.cls.products import INPUTS
from beautybert.table_files import TableFile

MOST_PRODUCTS = 300
SHORT_TEXTS = ("a cream for dry skin with shea butter", "shampoo")  # where the run has none
# of an output from torch's, as a share of the largest output: rounding is 1e-6 of it
MOST_DIFFERENT = 1e-3


@dataclass(frozen=True)
class Product:
    """A test product: its texts by input, '' where one is missing, and its label."""

    texts: Mapping[str, str]
    label: str


def held_out_products(folder: Path) -> list[Product]:
    """At most `MOST_PRODUCTS` of a run's predictions_test.csv, from all over it; none without."""
    path = folder / "predictions_test.csv"
    if not path.is_file():
        return []
    table = TableFile(path)
    indices = {column: table.index_of(column) for column in (*INPUTS, "label")}
    absent = [column for column, index in indices.items() if index is None]
    if absent:
        raise ValueError(f"{path} has no column {absent[0]}")
    rows = [{column: row[index or 0] for column, index in indices.items()} for row in table]
    rows = rows[:: -(-len(rows) // MOST_PRODUCTS) or 1]
    return [Product({part: row[part] for part in INPUTS}, row["label"]) for row in rows]


def prompts(folder: Path) -> list[str]:
    """The texts of a run's fill_mask.json, without their answers; `SHORT_TEXTS` without it."""
    path = folder / "fill_mask.json"
    if not path.is_file():
        return list(SHORT_TEXTS)
    found = files.value_of(files.read_json(path), "prompts", list, path, default=[])
    texts = [str(prompt.get("text", "")) for prompt in found if isinstance(prompt, dict)]
    return [text.rpartition("  (")[0] for text in texts] or list(SHORT_TEXTS)


# ---- two ways to compute -----------------------------------------------------------------------


def in_torch(
    model: BertForMaskedLM | BertForSequenceClassification | BertModel,
) -> Callable[[np.ndarray], Tensor]:
    """Token ids of a document (T,) -> what an exported graph gives for it, without padding."""

    @torch.no_grad()
    def compute(ids: np.ndarray) -> Tensor:
        T = len(ids)
        inputs = (torch.from_numpy(ids), torch.arange(T), PackedLengths.of([T]))
        if isinstance(model, BertForMaskedLM):
            return model(*inputs, torch.arange(T))  # (T, V)
        output = model(*inputs)
        return output if isinstance(model, BertModel) else output[0]  # (T, D), (C,)

    return compute


def in_onnxruntime(path: Path) -> Callable[[np.ndarray], Tensor]:
    """The same by an ONNX file, with as many threads as torch has."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, settings)

    def compute(ids: np.ndarray) -> Tensor:
        inputs = {"input_ids": ids[None], "attention_mask": np.ones_like(ids[None])}
        return torch.from_numpy(session.run(None, inputs)[0][0])

    return compute


def outputs_of(
    compute: Callable[[np.ndarray], Tensor], documents: Mapping[str, np.ndarray], title: str
) -> tuple[dict[str, Tensor], float]:
    """The outputs for documents by their texts, and the documents a second, one at a time."""
    longest = max(documents.values(), key=len)
    compute(longest)  # the first allocates
    outputs = {}
    start = time.perf_counter()
    for text, ids in tqdm(documents.items(), title, unit="text", leave=False, disable=None):
        outputs[text] = compute(ids)
    return outputs, len(documents) / (time.perf_counter() - start)


# ---- what is compared --------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """How one way to compute does.

    size: bytes of its weights or file. speed: documents a second, one at a time. difference: the
    largest of any number from torch's, as a share of torch's largest. agreement: the share of
    documents, or of their tokens, with the same most likely label or token; None of an encoder.
    accuracy: of a classifier on products, None without these.
    """

    name: str
    size: int
    speed: float
    difference: float
    agreement: float | None
    accuracy: float | None


def compare(
    model: BertForMaskedLM | BertForSequenceClassification | BertModel,
    paths: Sequence[Path],
    documents: Mapping[str, np.ndarray],
    classifier: Classifier | None,
    products: Sequence[Product],
) -> list[Row]:
    """A row for the model in torch and for each ONNX file of it.

    documents: token ids by text, with all texts of the products.
    """
    computers = {"torch": in_torch(model)}
    computers |= {path.name: in_onnxruntime(path) for path in paths}
    sizes = [sum(p.nbytes for p in model.parameters()), *(path.stat().st_size for path in paths)]
    rows: list[Row] = []
    expected: dict[str, Tensor] = {}
    for (name, compute), size in zip(computers.items(), sizes, strict=True):
        found, speed = outputs_of(compute, documents, name)
        expected = expected or found
        largest = max(float(output.abs().max()) for output in expected.values())
        differences = [(found[text] - expected[text]).abs().max() for text in documents]
        same = [found[text].argmax(-1) == expected[text].argmax(-1) for text in documents]
        shares = torch.cat([one.flatten() for one in same]).double().mean()
        row = Row(
            name=name,
            size=size,
            speed=speed,
            difference=float(torch.stack(differences).max()) / largest,
            agreement=None if isinstance(model, BertModel) else float(shares),
            accuracy=accuracy(classifier, products, found) if classifier and products else None,
        )
        rows.append(row)
    return rows


def accuracy(
    classifier: Classifier, products: Sequence[Product], logits_of: Mapping[str, Tensor]
) -> float:
    """The share of products whose label the classifier gives from these logits of documents."""
    texts = {part: [product.texts[part] for product in products] for part in INPUTS}
    nothing = torch.zeros(len(classifier.labels))
    terms = {
        part: torch.stack([logits_of.get(text, nothing) for text in texts[part]]) for part in INPUTS
    }
    terms |= word_model.logits(classifier.word_models, texts)
    has = classifier.readable(texts, terms)
    answers = [classifier.labels[i] for i in classifier.pool(terms, has).argmax(-1).tolist()]
    num_correct = 0
    for product, answer, is_answered in zip(products, answers, has.any(0).tolist(), strict=True):
        num_correct += is_answered and answer == product.label
    return num_correct / len(products)


def table(rows: Sequence[Row], num_texts: int, num_products: int) -> str:
    """The rows for people."""
    width = max(len(row.name) for row in rows)
    lines = [f"{num_texts:,} texts of the run, one at a time:"]
    for row in rows:
        line = f"  {row.name:{width}}  {row.size / 1e6:8,.1f} MB {row.speed:8,.0f} texts/s"
        if row is not rows[0]:
            line += f", numbers differ by {row.difference:.0e} of the largest"
            line += "" if row.agreement is None else f", {row.agreement:.1%} the same answers"
        if row.accuracy is not None:
            line += f"; {row.accuracy:.1%} of {num_products:,} test products right"
        lines.append(line)
    return "\n".join(lines)
