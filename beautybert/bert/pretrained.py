"""Weights in and out: Hugging Face BERT folders and hub names, safetensors only, strict, reported.

`canonical_keys` settles what the key names of older files mean, `load_weights` whether they fit the
model. Tokenizer files are read in wordpiece.py, training checkpoints in training/checkpoints.py.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from beautybert.bert.model import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    config_of_size,
)
from beautybert.bert.wordpiece import token_list

HUB_FILES = [
    "config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
]
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
CONVERT = (
    'python -c "from transformers import BertForMaskedLM as M; '
    "M.from_pretrained('NAME').save_pretrained('FOLDER')\""
)
ENCODER_PARTS = ("embeddings.", "encoder.", "pooler.")
TIED_COPIES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


# ---- where a model comes from ------------------------------------------------------------------


def resolve(name: str) -> Path | None:
    """The local folder of --init `name`: None for "scratch", a folder as it is, else a hub
    download.

    ValueError if it is none of these. The hub is that of the environment variable HF_ENDPOINT;
    huggingface_hub caches downloads.
    """
    if name == "scratch":
        return None
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"--init {name}: is a file; name its folder")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ValueError(f"--init {name}: no such folder")
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


def config_for(
    checkpoint: Path | None, size: str, tokenizer: Tokenizer, max_length: int
) -> BertConfig:
    """The shape of the model to train: that of `checkpoint`, else the `size` of model.SIZES.

    ValueError if the tokenizer or `max_length` (tokens) does not fit the checkpoint, or its weights
    cannot be opened.
    """
    num_tokens = len(token_list(tokenizer))
    if checkpoint is None:
        return config_of_size(size, num_tokens, max(512, max_length))
    config = read_config(checkpoint)
    check_weights(checkpoint)
    if num_tokens > config.vocab_size:
        raise ValueError(
            f"{checkpoint}: the tokenizer has {num_tokens:,} ids, the word embeddings of "
            f"config.json only {config.vocab_size:,}"
        )
    if max_length > config.max_position_embeddings:
        raise ValueError(
            f"--max-length {max_length} is over the {config.max_position_embeddings} positions of "
            f"--init {checkpoint}"
        )
    return config


# ---- weights in --------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors.

    loaded, initialised: names in the model. unused: names in the file.
    """

    loaded: tuple[str, ...]
    initialised: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"weights: {len(self.loaded)} loaded"]
        for kind, keys in (("newly initialised", self.initialised), ("unused", self.unused)):
            names = f" ({', '.join(keys)})" if keys else ""
            parts.append(f"{len(keys)} {kind}{names}")
        return ", ".join(parts)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of model.safetensors, or of the files that model.safetensors.index.json names.

    ValueError for missing, truncated or other files; for pickled weights it says how to convert
    them.
    """
    weights: dict[str, Tensor] = {}

    def read(file: Any) -> None:
        names = file.keys()
        weights.update((name, file.get_tensor(name)) for name in names)

    _open_weights(folder, read)
    return weights


def check_weights(folder: Path) -> None:
    """ValueError as of `read_weights`, for what can be known without reading a tensor."""
    _open_weights(folder, lambda file: None)


def _open_weights(folder: Path, use: Callable[[Any], None]) -> None:
    """Open each weight file of a folder and `use` it; what is wrong becomes a ValueError."""
    index = folder / "model.safetensors.index.json"
    for path in _weight_files(folder, index):
        try:
            with safe_open(path, framework="pt") as file:
                use(file)
        except FileNotFoundError:
            raise ValueError(f"{path} is missing, though {index.name} names it") from None
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is no complete safetensors file: {error}") from None


def _weight_files(folder: Path, index: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder."""
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if index.is_file():
        try:
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            return [folder / name for name in sorted(set(shards))]
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"{index}: broken ({error!r})") from None
    pickles = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    only = f", only {pickles[0]}" if pickles else ""
    raise ValueError(
        f"{folder} has no model.safetensors{only}. Pickled weights (.bin, .pt) are not read, as "
        f"they can run code when opened. Convert them where you trust them: {CONVERT}"
    )


def canonical_keys(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename to today's key names; the second value names what BERT files have and no model uses.

    Renamed are old layer norms (gamma, beta), names without the prefix `bert.` and a decoder under
    its second name. Unused are position numbers, the next-sentence head and tied decoder copies.
    ValueError for a decoder that is not tied.
    """
    renamed, unused = {}, []
    for key, tensor in weights.items():
        name = key.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        if name.startswith(ENCODER_PARTS):
            name = "bert." + name
        if name.endswith("embeddings.position_ids") or name.startswith("cls.seq_relationship."):
            unused.append(key)
        else:
            renamed[name] = tensor
    for copy, original in TIED_COPIES.items():
        if copy not in renamed:
            continue
        tensor = renamed.pop(copy)
        if original not in renamed:
            renamed[original] = tensor
        elif torch.equal(tensor, renamed[original]):
            unused.append(copy)
        else:
            raise ValueError(
                f"{copy} differs from {original}: a decoder that is not tied to the embeddings is "
                "not supported"
            )
    return renamed, unused


def load_weights(
    model: nn.Module,
    weights: dict[str, Tensor],
    may_be_new: tuple[str, ...] = (),
    unused: Sequence[str] = (),
) -> LoadReport:
    """Copy canonical weights into the model, in fp32.

    Only names that begin with one of `may_be_new` may be missing; `unused` is passed on to the
    report. ValueError names every tensor that is unexpected, missing or of another shape than the
    model's.
    """
    expected = model.state_dict()
    unexpected = [key for key in weights if key not in expected]
    initialised = [key for key in expected if key not in weights]
    missing = [key for key in initialised if not key.startswith(may_be_new)]
    problems = []
    if unexpected:
        problems.append(f"{len(unexpected)} unexpected tensors: {first_few(unexpected)}")
    if missing:
        problems.append(f"{len(missing)} tensors are missing: {first_few(missing)}")
    loaded = [key for key in expected if key in weights]
    misshapen = [key for key in loaded if weights[key].shape != expected[key].shape]
    for key in misshapen[:3]:
        problems.append(
            f"{key} has shape {tuple(weights[key].shape)}, config.json asks for "
            f"{tuple(expected[key].shape)}"
        )
    if problems:
        raise ValueError("the weights do not fit: " + "; ".join(problems))
    with torch.no_grad():
        for key, tensor in weights.items():
            expected[key].copy_(tensor)
    return LoadReport(tuple(loaded), tuple(initialised), tuple(unused))


def load_masked_lm(checkpoint: Path | None, config: BertConfig) -> tuple[BertForMaskedLM, str]:
    """BERT with the masked-LM head and what was loaded; without a checkpoint all weights are new.

    A head that the checkpoint lacks is newly initialised, a pooler that it has is kept.
    """
    if checkpoint is None:
        return BertForMaskedLM(config), "weights: all newly initialised"
    weights, unused = canonical_keys(read_weights(checkpoint))
    has_pooler = any(key.startswith("bert.pooler.") for key in weights)
    model = BertForMaskedLM(config, pooler=has_pooler)
    try:
        report = load_weights(model, weights, may_be_new=("cls.",), unused=unused)
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from None
    return model, f"{checkpoint}: {report}"


# ---- weights out -------------------------------------------------------------------------------


def save(
    folder: Path,
    model: BertForMaskedLM | BertForSequenceClassification,
    metadata: dict | None = None,
) -> None:
    """Write model.safetensors (fp32) and config.json, which transformers and `read_weights` open.

    metadata: fields of config.json beyond the model's own, or instead of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config_dict = {"architectures": [type(model).__name__], **model.config.to_dict()}
    text = json.dumps(config_dict | (metadata or {}), indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    temporary = folder / "model.safetensors.tmp"
    save_file(tensors, temporary, metadata={"format": "pt"})
    shutil.copymode(folder / "config.json", temporary)  # safetensors' files are their owner's alone
    os.replace(temporary, folder / "model.safetensors")


def first_few(keys: Sequence[str]) -> str:
    """The first five names, for a message."""
    return ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
