"""What the config.json of a classifier says beyond its encoder, read with types and ranges checked.

The encoder's fields are BertConfig's work. `read` takes folders of train_cls.py and of
transformers' BertForSequenceClassification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from beautybert import files
from beautybert.bert import pretrained
from beautybert.bert.model import HEADS, BertConfig, BertForSequenceClassification
from beautybert.cls.names import clean_label
from beautybert.cls.pool import BALANCED, CASES, Pool
from beautybert.cls.products import INPUTS

SINGLE_LABEL = "single_label_classification"
# What older versions wrote and nothing here reads: their answers would be others.
OLD_FIELDS = ("calibration_temperature", "max_list_length")
SHORTEST = 5  # tokens of a document, as --max-length has it
MAX_LABELS = 1_000_000
OUTPUTS = ("classifier.out_proj.bias", "classifier.bias")  # (C,), by head


@dataclass(frozen=True)
class Metadata:
    """The fields of a config.json that make a classifier; see `Classifier` for most of them.

    config: the encoder's. is_ours: whether train_cls.py has made it.
    """

    config: BertConfig
    is_ours: bool
    labels: list[str]
    head: str
    inputs: tuple[str, ...]
    vetted: tuple[str, ...]
    max_length: int
    pool: Pool
    encoder_pool: Pool | None
    families: dict[str, str]
    synonyms: dict[str, str]
    reader_tables: str


def read(folder: Path) -> Metadata:
    """The metadata of a classifier's folder.

    ValueError that names config.json and the field for a value of another type or out of its range,
    for a model that does not choose one of several labels, and for another version of this project.
    """
    config = pretrained.read_config(folder)
    path = folder / "config.json"
    contents = files.read_json(path)
    is_ours = "head" in contents
    if is_ours:
        _check_version(folder, contents)
    elif contents.get("architectures") != [BertForSequenceClassification.__name__]:
        there = contents.get("architectures")
        is_plain = isinstance(there, list) and all(isinstance(name, str) for name in there)
        shown = f"{there[:3]!r:.80}" if is_plain else files.shown(there)
        raise ValueError(
            f"{folder} holds no classifier (architectures {shown}); name the folder of a "
            "train_cls.py run"
        )
    for field in OLD_FIELDS:
        if field in contents:
            raise ValueError(
                f"{path} has {field}, of another version of beautybert, which would answer "
                "otherwise; train it again"
            )
    problem_type = files.value_of(contents, "problem_type", str, path, default=SINGLE_LABEL)
    if problem_type != SINGLE_LABEL:
        raise ValueError(
            f"{path}: problem_type is {files.shown(problem_type)}, must be {SINGLE_LABEL}: only "
            "models that choose one of several labels are read"
        )
    labels = _labels(contents, path, is_ours)
    pool = files.value_of(contents, "pool", dict, path, default=None)
    alone = files.value_of(contents, "encoder_pool", dict, path, default=None)
    encoder_pool = None
    if alone is not None:
        encoder_pool = Pool.from_dict(alone, len(labels), f"{path}: encoder_pool")
    positions = config.max_position_embeddings
    for field in ("inputs", "max_document_length") if is_ours else ():
        if field not in contents:
            raise ValueError(f"{path} has no {field}; train it again")
    return Metadata(
        config=config,
        is_ours=is_ours,
        labels=labels,
        head=contents["head"] if is_ours else "pooler",
        inputs=_inputs(contents, "inputs", path, default=INPUTS),
        vetted=_inputs(contents, "vetted_inputs", path, default=()),
        max_length=files.value_of(
            contents,
            "max_document_length",
            int,
            path,
            default=positions,
            at_least=min(SHORTEST, positions),
            at_most=positions,
        ),
        pool=Pool.from_dict(pool, len(labels), f"{path}: pool"),
        encoder_pool=encoder_pool,
        families=_texts(contents, "families", path),
        synonyms=_texts(contents, "label_synonyms", path),
        reader_tables=files.value_of(contents, "reader_tables", str, path, default=""),
    )


def check_outputs(folder: Path, num_labels: int, weights: Mapping[str, Tensor]) -> None:
    """ValueError if canonical weights are for another number of labels."""
    for name in OUTPUTS:
        if name in weights and weights[name].shape != (num_labels,):
            raise ValueError(
                f"{folder / 'config.json'}: id2label has {num_labels:,} labels, but in the weights "
                f"{name} has shape {tuple(weights[name].shape)}"
            )


def _check_version(folder: Path, contents: Mapping[str, Any]) -> None:
    """ValueError for a classifier that another version of this project wrote."""
    path = folder / "config.json"
    head = files.value_of(contents, "head", str, path)
    pool = files.value_of(contents, "pool", dict, path, default={})
    weights = files.value_of(pool, "weights", dict, f"{path}: pool", default={})
    cases = [files.value_of(weights, case, dict, path, default={}) for case in CASES]
    is_balanced = all(BALANCED in terms for terms in cases)
    if head not in HEADS or "label_synonyms" not in contents or not is_balanced:
        shown = files.shown(head).strip('"')
        raise ValueError(
            f"{folder} holds a classifier of another version of beautybert (head {shown}); train "
            "it again"
        )


def _labels(contents: Mapping[str, Any], path: Path, is_ours: bool) -> list[str]:
    """The labels in id order, without odd spaces and invisible signs.

    transformers writes none for its default, LABEL_0 and LABEL_1.
    """
    names = files.value_of(contents, "id2label", dict, path, default=None)
    if names is None:
        if is_ours:
            raise ValueError(f"{path} has no id2label, which must be an object of labels by id")
        count = files.value_of(
            contents, "num_labels", int, path, default=2, at_least=1, at_most=MAX_LABELS
        )
        labels = [f"LABEL_{i}" for i in range(count)]
    else:
        labels = []
        for i in range(len(names)):
            if str(i) not in names:
                raise ValueError(
                    f"{path}: id2label has no {i}, must have the ids 0 to {len(names) - 1:,}"
                )
            labels.append(clean_label(files.value_of(names, str(i), str, f"{path}: id2label")))
    seen: set[str] = set()
    for i, label in enumerate(labels):
        if not label or label in seen:
            what = f"is {files.shown(label)} once more" if label else "is blank"
            raise ValueError(f"{path}: id2label {i} {what}; every label must be another text")
        seen.add(label)
    if len(labels) < 2:
        raise ValueError(
            f"{path}: id2label has {len(labels)} labels, must have two or more: a model with one "
            "output chooses no label"
        )
    return labels


def _inputs(
    contents: Mapping[str, Any], key: str, path: Path, default: tuple[str, ...]
) -> tuple[str, ...]:
    """Some of `INPUTS`."""
    found = files.value_of(contents, key, list, path, default=list(default))
    known = [part for part in INPUTS if part in found]
    if len(found) != len(known) or (default and not known):
        some = " and ".join(INPUTS)
        raise ValueError(f"{path}: {key} is {files.shown(found)}, must be a list of {some} at most")
    return tuple(known)


def _texts(contents: Mapping[str, Any], key: str, path: Path) -> dict[str, str]:
    """An object of texts by texts, both as labels are read."""
    found = files.value_of(contents, key, dict, path, default={})
    for name in found:
        if not isinstance(found[name], str):
            raise ValueError(
                f"{path}: {key} has {files.shown(found[name])} for {files.shown(name)}, must be a "
                "text"
            )
    return {clean_label(name): clean_label(text) for name, text in found.items()}
