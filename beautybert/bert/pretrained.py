"""Weights in and out: Hugging Face BERT folders, safetensors only, strict, reported.

Where a folder comes from is in model_folder.py. `canonical_keys` settles what the key names of
older files mean, `load_weights` whether they fit the model. Tokenizer files are read in
wordpiece.py, training checkpoints in training/checkpoints.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from beautybert import files
from beautybert.bert.model import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    config_of_size,
)
from beautybert.bert.wordpiece import token_list

INDEX = "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
CONVERT = (
    'python -c "from transformers import BertForMaskedLM as M; '
    "M.from_pretrained('NAME').save_pretrained('FOLDER')\""
)
ENCODER_PARTS = ("embeddings.", "encoder.", "pooler.")
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
TIED_COPIES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


# ---- the shape of a model ----------------------------------------------------------------------


def read_config(folder: Path) -> BertConfig:
    """config.json of a checkpoint folder.

    ValueError if it is absent, broken, not a BERT's, or not of the size of the weights beside it.
    """
    path = folder / "config.json"
    try:
        config = BertConfig.from_dict(files.read_json(path), str(path))
    except FileNotFoundError:
        raise ValueError(f"{folder} has no config.json") from None
    if (folder / "model.safetensors").exists() or (folder / INDEX).exists():
        check_shapes(folder, config)
    return config


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
    check_shapes(checkpoint, config)
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
        for name in file.keys():  # noqa: SIM118  (it is no dict)
            if name in weights:
                raise ValueError(f"{folder} has the tensor {name} in two files")
            weights[name] = file.get_tensor(name)

    _open_weights(folder, read)
    return weights


def check_shapes(folder: Path, config: BertConfig) -> None:
    """ValueError as of `read_weights`, and if the embeddings or layers are not those of `config`.

    Nothing but headers is read, and no model is built: config.json may ask for one that fits no
    memory.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def read(file: Any) -> None:
        names = file.keys()
        shapes.update((name, tuple(file.get_slice(name).get_shape())) for name in names)

    _open_weights(folder, read)
    shapes = {plain_key(name): shape for name, shape in shapes.items()}
    expected = {
        "word_embeddings": (config.vocab_size, config.hidden_size),
        "position_embeddings": (config.max_position_embeddings, config.hidden_size),
        "token_type_embeddings": (config.type_vocab_size, config.hidden_size),
    }
    for name, shape in expected.items():
        found = shapes.get(f"bert.embeddings.{name}.weight", shape)
        if found != shape:
            raise ValueError(f"{folder}: {name} has shape {found}, config.json asks for {shape}")
    top = f"bert.encoder.layer.{config.num_hidden_layers - 1}.output.dense.weight"
    found = shapes.get(top, ())
    asked = (config.hidden_size, config.intermediate_size)
    if found != asked:
        others = first_few(list(shapes))
        what = f"has shape {found}" if found else f"is missing (there are {others})"
        raise ValueError(
            f"{folder}: {top} {what}; config.json asks for {config.num_hidden_layers} layers with "
            f"{asked}"
        )


def _open_weights(folder: Path, use: Callable[[Any], None]) -> None:
    """Open each weight file of a folder and `use` it; what is wrong becomes a ValueError."""
    index = folder / INDEX
    for path in _weight_files(folder, index):
        try:
            with safe_open(path, framework="pt") as file:
                use(file)
        except FileNotFoundError:
            raise ValueError(f"{path} is missing, though {index.name} names it") from None
        except (SafetensorError, OSError) as error:
            said = files.reason(error)
            raise ValueError(f"{path} is no complete safetensors file: {said}") from None


def _weight_files(folder: Path, index: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder."""
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if index.is_file():
        shards = files.value_of(files.read_json(index), "weight_map", dict, index)
        for tensor in shards:
            files.inside(files.value_of(shards, tensor, str, index), index)
        if not shards:
            raise ValueError(f"{index}: weight_map is empty")
        return [folder / name for name in sorted(set(shards.values()))]
    pickles = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    only = f", only {pickles[0]}" if pickles else ""
    raise ValueError(
        f"{folder} has no model.safetensors{only}. Pickled weights (.bin, .pt) are not read, as "
        f"they can run code when opened. Convert them where you trust them: {CONVERT}"
    )


def canonical_keys(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename to today's key names; the second value names what BERT files have and no model uses.

    Unused are position and token-type numbers, the next-sentence head and tied decoder copies. A
    decoder that is not tied stays under its own name, for `check_tied`. ValueError for two names
    that mean the same.
    """
    renamed: dict[str, Tensor] = {}
    unused = []
    for key, tensor in weights.items():
        name = plain_key(key)
        if name.endswith(BUFFERS) or name.startswith("cls.seq_relationship."):
            unused.append(key)
        elif name in renamed:
            raise ValueError(f"the weights have {name} under two names, one of them {key}")
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
            renamed[copy] = tensor
    return renamed, unused


def plain_key(key: str) -> str:
    """A tensor's name as BERT checkpoints of today have it.

    Without what DistributedDataParallel and torch.compile put before it, with today's names of
    layer norms (gamma and beta before) and the prefix `bert.`.
    """
    key = key.replace("_orig_mod.", "")
    while key.startswith("module."):
        key = key.removeprefix("module.")
    key = key.replace("LayerNorm.gamma", "LayerNorm.weight")
    key = key.replace("LayerNorm.beta", "LayerNorm.bias")
    return "bert." + key if key.startswith(ENCODER_PARTS) else key


def check_tied(weights: dict[str, Tensor], checkpoint: Path) -> None:
    """ValueError if canonical weights have a decoder of their own: the MLM head here has none."""
    for copy, original in TIED_COPIES.items():
        if copy in weights:
            raise ValueError(
                f"{checkpoint}: {copy} differs from {original}: a decoder that is not tied to the "
                "embeddings is not supported"
            )


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
    for key, tensor in weights.items():
        if tensor.dtype not in FLOATS:
            problems.append(f"{key} is of {tensor.dtype}, which is not read")
            break
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


def canonical_weights(checkpoint: Path) -> tuple[dict[str, Tensor], list[str]]:
    """`canonical_keys` of a folder's weights; its errors name the folder."""
    weights = read_weights(checkpoint)
    try:
        return canonical_keys(weights)
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from None


def load_masked_lm(checkpoint: Path | None, config: BertConfig) -> tuple[BertForMaskedLM, str]:
    """BERT with the masked-LM head and what was loaded; without a checkpoint all weights are new.

    A head that the checkpoint lacks is newly initialised, a pooler that it has is kept.
    """
    if checkpoint is None:
        return BertForMaskedLM(config), "weights: all newly initialised"
    weights, unused = canonical_weights(checkpoint)
    check_tied(weights, checkpoint)
    if any(key.startswith("classifier.") for key in weights):
        raise ValueError(
            f"{checkpoint} holds a classifier, which is not pretrained further; name the model "
            "that it was trained from"
        )
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
    model: BertForMaskedLM | BertForSequenceClassification | BertModel,
    metadata: dict | None = None,
) -> None:
    """Write model.safetensors (fp32) and config.json, which transformers and `read_weights` open.

    metadata: fields of config.json beyond the model's own, or instead of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config_dict = {"architectures": [type(model).__name__], **model.config.to_dict()}
    files.write_json(folder / "config.json", config_dict | (metadata or {}))
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    temporary = folder / "model.safetensors.tmp"
    try:
        save_file(tensors, temporary, metadata={"format": "pt"})
        shutil.copymode(folder / "config.json", temporary)  # safetensors' are their owner's alone
        files.flush(temporary)
        os.replace(temporary, folder / "model.safetensors")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def first_few(keys: Sequence[str]) -> str:
    """The first five names, for a message."""
    return ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
