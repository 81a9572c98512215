"""A classifier's folder, labels, head and temperature around a BERT: start, load, save."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from beautybert.bert import pretrained
from beautybert.bert.model import BertConfig, BertForSequenceClassification
from beautybert.bert.pretrained import first_few
from beautybert.cls.words import tables_fingerprint
from beautybert.training.checkpoints import file_checksum

# Factor on the rate of the wide head's token weights: few steps meet a rare token. At --lr 2e-4
# that is 0.02; not tuned together with the deep head.
WIDE_FACTOR = 100.0


@dataclass(frozen=True)
class Classifier:
    """A fine-tuned model with all that is needed to use it.

    labels: in id order. same_reader: whether lists are read by the tables that it was trained with.
    temperature: what logits are divided by. max_length: tokens of a list,
    [CLS] and [SEP] included.
    """

    model: BertForSequenceClassification
    labels: list[str]
    temperature: float
    max_length: int
    same_reader: bool = True


def start(
    checkpoint: Path | None, config: BertConfig, labels: Sequence[str], head: str
) -> tuple[BertForSequenceClassification, str]:
    """A classifier from any BERT checkpoint folder, and what was loaded.

    What its head needs and the checkpoint lacks is new; without a checkpoint everything is. A
    masked-LM head or pooler that this head does not use is reported as unused. ValueError for a
    classifier with other labels or another head.
    """
    if checkpoint is None:
        model = BertForSequenceClassification(config, len(labels), head)
        return model, "weights: all newly initialised"
    weights, unused = pretrained.canonical_keys(pretrained.read_weights(checkpoint))
    if any(key.startswith("classifier.") for key in weights):
        _check_same_task(checkpoint, labels, head)
    model = BertForSequenceClassification(config, len(labels), head)
    expected = model.state_dict()
    for key in list(weights):
        if key not in expected and key.startswith(("cls.", "bert.pooler.")):
            unused.append(key)
            del weights[key]
    may_be_new = ("classifier.", "cls.", "bert.pooler.")
    try:
        report = pretrained.load_weights(model, weights, may_be_new, unused)
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from None
    return model, f"{checkpoint}: {report}"


def _check_same_task(checkpoint: Path, labels: Sequence[str], head: str) -> None:
    """ValueError if the classifier in a folder has other labels or another head."""
    metadata = _read_metadata(checkpoint)
    theirs = _labels_of(metadata)
    if theirs != list(labels):
        only_there = first_few(sorted(set(theirs) - set(labels)))
        only_here = first_few(sorted(set(labels) - set(theirs)))
        raise ValueError(
            f"{checkpoint} holds a classifier for other labels (only there: {only_there}; only "
            f"here: {only_here}); start from the model that it was trained from"
        )
    their_head = metadata.get("head", "pooler")
    if their_head != head:
        raise ValueError(
            f"{checkpoint} holds a classifier with the head {their_head}, not {head}; give --head "
            f"{their_head}, or start from the model that it was trained from"
        )


def load(folder: Path) -> Classifier:
    """The classifier of a train_cls.py run. ValueError for a folder without one."""
    config = pretrained.read_config(folder)
    metadata = _read_metadata(folder)
    labels = _labels_of(metadata)
    architectures = metadata.get("architectures")
    is_ours = "head" in metadata
    if not labels or not (is_ours or architectures == [BertForSequenceClassification.__name__]):
        raise ValueError(
            f"{folder} holds no classifier (architectures {architectures}); name the folder of a "
            "train_cls.py run"
        )
    head = metadata.get("head", "pooler")
    model = BertForSequenceClassification(config, len(labels), head)
    weights, _ = pretrained.canonical_keys(pretrained.read_weights(folder))
    try:
        pretrained.load_weights(model, weights)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    temperature = metadata.get("calibration_temperature", 1.0)
    max_length = metadata.get("max_list_length", config.max_position_embeddings)
    same_reader = metadata.get("reader_tables", "") in ("", tables_fingerprint())
    return Classifier(model.eval(), labels, temperature, max_length, same_reader)


def save(
    folder: Path,
    model: BertForSequenceClassification,
    labels: Sequence[str],
    temperature: float,
    max_length: int,
) -> str:
    """Write the classifier so that `load` opens it; returns the checksum of model.safetensors.

    config.json says beyond its encoder what it classifies. `architectures` is what transformers
    makes of the folder: with another head than the pooler, the encoder alone. "temperature" and
    "max_length" would be generation settings to transformers, so they have other names.
    """
    metadata = {
        "architectures": [type(model).__name__ if model.head == "pooler" else "BertModel"],
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": "single_label_classification",
        "head": model.head,
        "calibration_temperature": temperature,
        "max_list_length": max_length,
        "reader_tables": tables_fingerprint(),
    }
    pretrained.save(folder, model, metadata)
    return file_checksum(folder / "model.safetensors")


def load_exported(model: nn.Module, folder: Path) -> None:
    """Put the weights of model.safetensors into the model."""
    weights, _ = pretrained.canonical_keys(pretrained.read_weights(folder))
    pretrained.load_weights(model, weights)


def is_exported(folder: Path, checksum: str) -> bool:
    """Whether model.safetensors is the one with this checksum."""
    path = folder / "model.safetensors"
    return path.is_file() and file_checksum(path) == checksum


@dataclass(frozen=True)
class LrFactor:
    """From a parameter's name to its learning rate, relative to the top encoder layer's.

    layer_decay: factor for each layer further down (Howard & Ruder 2018, arXiv:1801.06146, use 1 /
    2.6); the embeddings are below the lowest. head_factor: of the classifier, but `WIDE_FACTOR` for
    its weights for each token. Pooler and vocabulary head have 1.
    """

    bert_config: BertConfig
    layer_decay: float
    head_factor: float

    def __call__(self, name: str) -> float:
        num_layers = self.bert_config.num_hidden_layers
        if name.startswith("bert.encoder.layer."):
            return self.layer_decay ** (num_layers - 1 - int(name.split(".")[3]))
        if name.startswith("bert.embeddings."):
            return self.layer_decay**num_layers
        if name.startswith("classifier.wide."):
            return WIDE_FACTOR
        return self.head_factor if name.startswith("classifier.") else 1.0


def _read_metadata(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def _labels_of(metadata: dict) -> list[str]:
    """The labels of a config.json in id order; none if it has none."""
    names = metadata.get("id2label")
    return [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else []
