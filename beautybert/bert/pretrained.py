"""Weights in and out: Hugging Face BERT folders and hub names, safetensors only, strictly checked and reported.

What the key names of older files mean is settled in `canonical_keys`; whether they fit the model in `load_weights`.
Tokenizer files are tokenizer.py's work, training checkpoints are checkpoint.py's.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from beautybert.model import BertConfig, BertForMaskedLM, BertForSequenceClassification

HUB_FILES = [
    "config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
]
CONVERT = "python -c \"from transformers import BertForMaskedLM as M; M.from_pretrained('NAME').save_pretrained('FOLDER')\""
ENCODER_PARTS = ("embeddings.", "encoder.", "pooler.")


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors: names in the model that were loaded or newly initialised, names in the file that were not used."""

    loaded: tuple[str, ...]
    initialised: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        def name(kind: str, keys: tuple[str, ...]) -> str:
            return f"{len(keys)} {kind}" + (f" ({', '.join(keys)})" if keys else "")

        return f"weights: {len(self.loaded)} loaded, {name('newly initialised', self.initialised)}, {name('unused', self.unused)}"


def resolve(name: str) -> Path:
    """The local folder of a checkpoint: `name` itself if it is a folder, else the download of the hub repository `name`.

    ValueError if it is neither. The hub is that of the environment variable HF_ENDPOINT; downloads are cached by huggingface_hub.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ValueError(
            f"--init {name}: {'is a file; name its folder' if folder.exists() else 'no such folder'}"
        )
    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES))
    except Exception as error:  # a library boundary: network, authorisation, name, disk
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(
            f"--init {name}: no such folder here, and the hub says: {reason}"
        ) from None


def read_config(folder: Path) -> BertConfig:
    """config.json of a checkpoint folder. ValueError if it is absent, broken or not a BERT's."""
    path = folder / "config.json"
    try:
        return BertConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ValueError(f"{folder} has no config.json") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from None


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of model.safetensors, or of the files that model.safetensors.index.json names.

    ValueError for missing, truncated or foreign files; for pickled weights it says how to convert them.
    """
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        paths = [folder / "model.safetensors"]
    elif index.is_file():
        try:
            paths = [
                folder / name
                for name in sorted(
                    set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
                )
            ]
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"{index}: broken ({error!r})") from None
    else:
        pickles = sorted(
            path.name
            for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt")
            for path in folder.glob(pattern)
        )
        raise ValueError(
            f"{folder} has no model.safetensors{', only ' + pickles[0] if pickles else ''}. "
            f"Pickled weights (.bin, .pt) are not read, as they can run code when opened. Convert them where you trust them: {CONVERT}"
        )
    weights: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, framework="pt") as file:
                weights |= {key: file.get_tensor(key) for key in file.keys()}
        except FileNotFoundError:
            raise ValueError(f"{path} is missing, though {index.name} names it") from None
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is no whole safetensors file: {error}") from None
    return weights


def canonical_keys(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename to today's key names, and set apart what BERT files carry that no model of ours needs.

    Old layer norms (gamma, beta), a missing `bert.` prefix and a decoder bias under its second name are renamed. Position
    numbers, the next-sentence head and tied decoder copies are set apart. ValueError for a decoder that is not tied.
    """
    renamed, unused = {}, []
    for key, tensor in weights.items():
        name = key.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
            "LayerNorm.beta", "LayerNorm.bias"
        )
        name = "bert." + name if name.startswith(ENCODER_PARTS) else name
        if name.endswith("embeddings.position_ids") or name.startswith("cls.seq_relationship."):
            unused.append(key)
        else:
            renamed[name] = tensor
    for copy, original in (
        ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ):
        if copy not in renamed:
            continue
        if original not in renamed:
            renamed[original] = renamed.pop(copy)
        elif not torch.equal(renamed[copy], renamed[original]):
            raise ValueError(
                f"{copy} differs from {original}: a decoder that is not tied to the embeddings is not supported"
            )
        else:
            del renamed[copy]
            unused.append(copy)
    return renamed, unused


def load_weights(
    model: nn.Module,
    weights: dict[str, Tensor],
    may_be_new: tuple[str, ...] = (),
    unused: tuple[str, ...] = (),
) -> LoadReport:
    """Copy canonical weights into the model, in fp32; only names that begin with `may_be_new` may be absent.

    ValueError names every tensor that is foreign, missing or of another shape than the model's.
    """
    wanted = model.state_dict()
    foreign = [key for key in weights if key not in wanted]
    missing = [key for key in wanted if key not in weights]
    lost = [key for key in missing if not key.startswith(may_be_new)] if may_be_new else missing
    problems = []
    if foreign:
        problems.append(f"{len(foreign)} tensors that this model does not have: {_some(foreign)}")
    if lost:
        problems.append(f"{len(lost)} tensors are missing: {_some(lost)}")
    problems += [
        f"{key} has shape {tuple(weights[key].shape)}, config.json asks for {tuple(wanted[key].shape)}"
        for key in wanted
        if key in weights and weights[key].shape != wanted[key].shape
    ][:3]
    if problems:
        raise ValueError("the weights do not fit: " + "; ".join(problems))
    with torch.no_grad():
        for key, tensor in weights.items():
            wanted[key].copy_(tensor)
    return LoadReport(tuple(key for key in wanted if key in weights), tuple(missing), tuple(unused))


def read_masked_lm(folder: Path, config: BertConfig) -> tuple[BertForMaskedLM, LoadReport]:
    """BERT with the masked-LM head from a checkpoint folder. A head that is not there is newly initialised; a pooler is carried along."""
    weights, unused = canonical_keys(read_weights(folder))
    model = BertForMaskedLM(config, pooler=any(key.startswith("bert.pooler.") for key in weights))
    try:
        return model, load_weights(model, weights, may_be_new=("cls.",), unused=tuple(unused))
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None


def add_word_embeddings(
    model: BertForMaskedLM, known_ids: int, pieces: Sequence[Sequence[int]]
) -> BertConfig:
    """Append a word for each entry of `pieces`, the ids of the tokens that it was cut into before; returns the config of the longer model.

    They follow the first `known_ids` ids, those that have a token; rows beyond, which some checkpoints are padded with, are given up.
    A new word begins as the mean of its pieces (as in Gee et al. 2022, arXiv:2402.09977), in the embeddings, which are the decoder too,
    and in the decoder's bias.
    """
    words, head = model.bert.embeddings.word_embeddings, model.cls["predictions"]
    with torch.no_grad():
        new_rows = torch.stack([words.weight[list(ids)].mean(0) for ids in pieces])  # (words, D)
        new_biases = torch.stack([head.bias[list(ids)].mean() for ids in pieces])  # (words,)
        weight = torch.cat([words.weight[:known_ids], new_rows])  # (V, D)
        bias = torch.cat([head.bias[:known_ids], new_biases])  # (V,)
    model.bert.embeddings.word_embeddings = nn.Embedding.from_pretrained(
        weight, freeze=False, padding_idx=words.padding_idx
    )
    head.bias = nn.Parameter(bias)
    model.config = replace(model.config, vocab_size=len(weight))
    return model.config


def start_classifier(
    folder: Path, config: BertConfig, labels: Sequence[str], head: str
) -> tuple[BertForSequenceClassification, LoadReport]:
    """A classifier from any BERT checkpoint folder: what its head needs and the checkpoint lacks is new.

    A masked-LM head or pooler that this head has no use for is reported as unused. ValueError for a classifier with other labels or another head.
    """
    weights, unused = canonical_keys(read_weights(folder))
    if any(key.startswith("classifier.") for key in weights):
        described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        theirs = _labels_of(described)
        if theirs != list(labels):
            raise ValueError(
                f"{folder} holds a classifier for other labels (only there: {_some(sorted(set(theirs) - set(labels)))}; only here: "
                f"{_some(sorted(set(labels) - set(theirs)))}); start from the model that it was trained from"
            )
        its_head = described.get("head", "pooler")
        if its_head != head:
            raise ValueError(
                f"{folder} holds a classifier with the head {its_head}, not {head}; "
                f"give --head {its_head}, or start from the model that it was trained from"
            )
    model = BertForSequenceClassification(config, len(labels), head)
    wanted = model.state_dict()
    idle = [
        key for key in weights if key not in wanted and key.startswith(("cls.", "bert.pooler."))
    ]
    kept = {key: tensor for key, tensor in weights.items() if key not in idle}
    try:
        return model, load_weights(
            model, kept, may_be_new=("classifier.", "cls.", "bert.pooler."), unused=(*unused, *idle)
        )
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None


def _labels_of(described: dict) -> list[str]:
    """The labels of a config.json in id order; none if it has none."""
    names = described.get("id2label")
    return [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else []


@dataclass(frozen=True)
class Classifier:
    """A fine-tuned model with all that is needed to use it. labels: in id order. max_length: tokens of a list, [CLS] and [SEP] counted."""

    model: BertForSequenceClassification
    labels: list[str]
    temperature: float
    max_length: int


def read_classifier(folder: Path) -> Classifier:
    """The classifier of a train_cls.py run. ValueError for a folder that holds none."""
    config = read_config(folder)
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    labels = _labels_of(described)
    if not labels or (
        "head" not in described
        and described.get("architectures") != [BertForSequenceClassification.__name__]
    ):
        raise ValueError(
            f"{folder} holds no classifier (architectures {described.get('architectures')}); name the folder of a train_cls.py run"
        )
    model = BertForSequenceClassification(config, len(labels), described.get("head", "pooler"))
    try:
        load_weights(model, canonical_keys(read_weights(folder))[0])
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    return Classifier(
        model.eval(),
        labels,
        described.get("calibration_temperature", 1.0),
        described.get("max_list_length", config.max_position_embeddings),
    )


def classifier_fields(
    labels: Sequence[str], head: str, temperature: float, max_length: int
) -> dict:
    """What config.json says of a classifier beyond its encoder; `temperature` and `max_length` would be generation settings to transformers.

    `architectures` is what transformers makes of the folder: with another head than the pooler the encoder alone.
    """
    return {
        "architectures": ["BertForSequenceClassification" if head == "pooler" else "BertModel"],
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": "single_label_classification",
        "head": head,
        "calibration_temperature": temperature,
        "max_list_length": max_length,
    }


def write_model(
    folder: Path, model: nn.Module, config: BertConfig, more: dict | None = None
) -> None:
    """Write model.safetensors (fp32) and config.json, with the fields `more`, so that transformers and `read_weights` open them."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {"architectures": [type(model).__name__], **config.to_dict(), **(more or {})}
    (folder / "config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    unfinished = folder / "model.safetensors.unfinished"
    save_file(
        {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()},
        unfinished,
        metadata={"format": "pt"},
    )
    shutil.copymode(
        folder / "config.json", unfinished
    )  # safetensors makes files that only their owner can read
    os.replace(unfinished, folder / "model.safetensors")


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
