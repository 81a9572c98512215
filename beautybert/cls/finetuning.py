"""Fine-tuning: a classifier from any BERT checkpoint, its learning rates.

What a finished classifier is, and its files, are in classifier.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beautybert.bert import pretrained
from beautybert.bert.model import BertConfig, BertForSequenceClassification
from beautybert.bert.pretrained import first_few
from beautybert.cls import metadata
from beautybert.training.checkpoints import file_checksum


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
    weights, unused = pretrained.canonical_weights(checkpoint)
    if head == "mlm-logits":
        pretrained.check_tied(weights, checkpoint)
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
    found = metadata.read(checkpoint)
    theirs = found.labels
    if theirs != list(labels):
        only_there = first_few(sorted(set(theirs) - set(labels)))
        only_here = first_few(sorted(set(labels) - set(theirs)))
        raise ValueError(
            f"{checkpoint} holds a classifier for other labels (only there: {only_there}; only "
            f"here: {only_here}); start from the model that it was trained from"
        )
    if found.head != head:
        raise ValueError(
            f"{checkpoint} holds a classifier with the head {found.head}, not {head}; give --head "
            f"{found.head}, or start from the model that it was trained from"
        )


def is_exported(folder: Path, best: Mapping[str, Any], print0: Callable[[str], None]) -> bool:
    """Whether model.safetensors is the best model so far; if it is another, that is said."""
    path = folder / "model.safetensors"
    if path.is_file() and file_checksum(path) == best["checksum"]:
        return True
    print0(
        f"{path} does not hold the best weights, of step {best['step']}: either better ones took "
        "their place, which the run will come to again, or they are lost and later ones are taken"
    )
    return False


@dataclass(frozen=True)
class LrFactor:
    """From a parameter's name to its learning rate, relative to the top encoder layer's.

    layer_decay: factor for each layer further down (Howard & Ruder 2018, arXiv:1801.06146, use 1 /
    2.6); the embeddings are below the lowest. head_factor: of the classifier. Pooler and vocabulary
    head have 1.
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
        return self.head_factor if name.startswith("classifier.") else 1.0
