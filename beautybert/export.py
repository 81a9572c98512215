"""A model for elsewhere: `python -m beautybert.export RUN`.

    python -m beautybert.export runs/categories --onnx served/model.onnx --int8
    python -m beautybert.export runs/categories --transformers listed --input ingredients
    python -m beautybert.export runs/beauty --sentence-transformers embedder

RUN is the run folder of train_mlm.py or train_cls.py. --onnx writes what onnxruntime serves, and
beside it the tokenizer and the word models: docs/export.md has the lines that ask them. A run
folder opens in transformers as it is; --transformers is for a classifier of --head pooler, to have
its probabilities calibrated.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import Tokenizer

from beautybert import __version__, export_folders, files, onnx_check, onnx_file
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertForMaskedLM, BertForSequenceClassification, BertModel
from beautybert.cls.batches import encode_documents
from beautybert.cls.classifier import Classifier
from beautybert.cls.products import INPUTS
from beautybert.training import hardware, options
from beautybert.training.options import option


@dataclass(frozen=True)
class ExportConfig:
    """The options of export."""

    run: str = option("", "run folder of train_mlm.py or train_cls.py", positional=True)
    onnx: str | None = option(None, "file to write for onnxruntime, .onnx", group="what to write")
    int8: bool = option(False, "beside --onnx FILE.onnx also FILE.int8.onnx, smaller and faster")
    encoder: bool = option(False, "--onnx without the head: the last hidden states")
    transformers: str | None = option(
        None, "folder to write for transformers: a classifier of --head pooler, calibrated"
    )
    input: str | None = option(None, "what --transformers is to read alone", choices=INPUTS)
    sentence_transformers: str | None = option(
        None, "folder to write for sentence-transformers: the mean of the last hidden states"
    )
    force: bool = option(False, "overwrite what is there")


@dataclass(frozen=True)
class Run:
    """What is in a run folder.

    model: with its head; of a folder without one, the encoder. max_length: tokens of a document.
    classifier: if it is one.
    """

    folder: Path
    model: BertForMaskedLM | BertForSequenceClassification | BertModel
    tokenizer: Tokenizer
    max_length: int
    classifier: Classifier | None = None

    @property
    def encoder(self) -> BertModel:
        """The model without its head."""
        return self.model if isinstance(self.model, BertModel) else self.model.bert


def conflicts(config: ExportConfig) -> list[str]:
    """What is wrong between options, and with the files that they name."""
    problems = []
    if not (config.onnx or config.transformers or config.sentence_transformers):
        problems.append("give --onnx, --transformers or --sentence-transformers")
    if (config.int8 or config.encoder) and not config.onnx:
        problems.append(f"{'--int8' if config.int8 else '--encoder'} is for --onnx")
    if config.input and not config.transformers:
        problems.append("--input is for --transformers")
    if not Path(config.run).is_dir():
        problems.append(
            f"{config.run}: no such folder; name the run folder of train_mlm.py or train_cls.py"
        )
    if config.onnx:
        problems += _file_problems(Path(config.onnx), config)
    folders = {name: getattr(config, name) for name in ("transformers", "sentence_transformers")}
    for name, folder in folders.items():
        if folder:
            problems += _folder_problems(options.flag(name), Path(folder), config)
    paths = [Path(folder).resolve() for folder in folders.values() if folder]
    if len(set(paths)) < len(paths):
        problems.append("--transformers and --sentence-transformers need a folder each")
    return problems


def _file_problems(path: Path, config: ExportConfig) -> list[str]:
    """What is wrong with --onnx."""
    problems = []
    missing = onnx_file.missing_packages()
    if missing:
        names = " and ".join(missing)
        problems.append(f"--onnx needs the packages {names}: pip install -e '.[onnx]'")
    if path.suffix != ".onnx":
        problems.append(f"--onnx {path}: the ending must be .onnx")
    if not path.absolute().parent.is_dir():
        problems.append(f"--onnx {path}: there is no folder {path.parent}")
    for written in (path, int8_path(path)) if config.int8 else (path,):
        if written.is_dir():
            problems.append(f"--onnx {written} is a folder")
        elif written.exists() and not config.force:
            problems.append(f"--onnx {written} exists; add --force to overwrite it")
    return problems


def _folder_problems(flag: str, folder: Path, config: ExportConfig) -> list[str]:
    """What is wrong with a folder that is to be written."""
    if folder.exists() and not folder.is_dir():
        return [f"{flag} {folder} is a file; name a folder"]
    if not folder.absolute().parent.is_dir():
        return [f"{flag} {folder}: there is no folder {folder.parent}"]
    if folder.is_dir() and Path(config.run).is_dir() and folder.samefile(config.run):
        return [f"{flag} {folder} is the run itself; name another folder"]
    if folder.is_dir() and any(folder.iterdir()) and not config.force:
        return [f"{flag} {folder} has files in it; add --force to overwrite those of a model"]
    return []


def int8_path(path: Path) -> Path:
    """Where the 8-bit integers go: model.onnx -> model.int8.onnx."""
    return path.with_suffix(".int8.onnx")


def main(config: ExportConfig) -> None:
    """Write what `config` asks for and say what it is worth."""
    options.raise_problems(options.out_of_range(config) + conflicts(config))
    run = open_run(Path(config.run))
    torch.set_num_threads(hardware.threads_for(run.encoder))
    part = transformers_input(run, config.input) if config.transformers else ""
    if config.onnx:
        export_onnx(run, config)
    if config.transformers:
        assert run.classifier is not None
        export_folders.write_transformers(Path(config.transformers), run.classifier, part)
        print(f"{config.transformers}: transformers' text-classification, of the {part} alone")
        print(f"next: the lines in {Path(config.transformers) / 'README.md'}")
    if config.sentence_transformers:
        export_folders.write_sentence_transformers(
            Path(config.sentence_transformers), run.encoder, run.tokenizer, run.max_length
        )
        print(f"{config.sentence_transformers}: a model of sentence-transformers")
        print(f"next: the lines in {Path(config.sentence_transformers) / 'README.md'}")


# ---- the run -----------------------------------------------------------------------------------


def open_run(folder: Path) -> Run:
    """The model of a run folder, or of another with a BERT in it.

    ValueError for a folder without one, and for a classifier that train_cls.py has not made.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} holds no model, for it has no config.json; name the run folder of "
            "train_mlm.py or train_cls.py"
        )
    contents = files.read_json(folder / "config.json")
    is_classifier = contents.get("architectures") == [BertForSequenceClassification.__name__]
    if "head" in contents or is_classifier:
        classifier = Classifier.load(folder)
        if not classifier.is_ours:
            raise ValueError(f"{folder} is a classifier of transformers, no run of train_cls.py")
        tokenizer, max_length = classifier.tokenizer, classifier.max_length
        return Run(folder, classifier.model, tokenizer, max_length, classifier)
    tokenizer = wordpiece.read(folder)
    config = pretrained.read_config(folder)
    pretrained.check_shapes(folder, config)
    masked_lm, _ = pretrained.load_masked_lm(folder, config)
    saved, _ = pretrained.canonical_weights(folder)
    max_length = trained_length(folder, config.max_position_embeddings)
    has_head = all(key in saved for key in masked_lm.state_dict() if key.startswith("cls."))
    model = masked_lm.eval() if has_head else masked_lm.bert.eval()
    return Run(folder, model, tokenizer, max_length)


def trained_length(folder: Path, positions: int) -> int:
    """Tokens of the longest document, as tokenizer_config.json says; else all positions."""
    path = folder / "tokenizer_config.json"
    length = files.read_json(path).get("model_max_length") if path.is_file() else None
    return length if isinstance(length, int) and 2 < length < positions else positions


def transformers_input(run: Run, part: str | None) -> str:
    """The input that --transformers is for; ValueError if the run has no such classifier."""
    classifier = run.classifier
    if classifier is None:
        raise ValueError(
            f"--transformers is for classifiers; {run.folder} opens in transformers as it is"
        )
    if classifier.model.head != "pooler":
        raise ValueError(
            f"transformers has no head like {classifier.model.head}, that of {run.folder}: train "
            "with --head pooler, or write --onnx"
        )
    if classifier.encoder_pool is None:
        raise ValueError(
            f"{run.folder}: the encoder alone is not calibrated, as in a run that has not finished "
            "and in those of older versions; --resume it, or train it again"
        )
    if part is None and len(classifier.inputs) > 1:
        raise ValueError(
            "--transformers reads one text at a time: add --input name or --input ingredients"
        )
    part = part or classifier.inputs[0]
    if part not in classifier.inputs:
        raise ValueError(f"--input {part}: {run.folder} was trained without it")
    return part


# ---- ONNX --------------------------------------------------------------------------------------


def export_onnx(run: Run, config: ExportConfig) -> None:
    """Write the ONNX files and what belongs beside them; print how they answer.

    A file that answers otherwise than torch is not left behind.
    """
    assert config.onnx is not None
    start = time.perf_counter()
    path = Path(config.onnx)
    model = run.encoder if config.encoder else run.model
    classifier = None if config.encoder else run.classifier
    check_beside(path.parent, run.tokenizer, classifier, config.force)
    with TemporaryDirectory(prefix=".", dir=path.parent) as temporary:
        made = Path(temporary) / path.name
        graph = onnx_file.PaddedGraph(model)
        onnx_file.write(made, graph, run.max_length, metadata(run, classifier))
        paths = [made]
        if config.int8:
            paths.append(int8_path(made))
            onnx_file.write_int8(paths[1], made)
        shown = compare(run, model, classifier, paths, path)
        paths += write_beside(made.parent, run.tokenizer, classifier)
        if config.force:
            int8_path(path).unlink(missing_ok=True)  # of an earlier model
        for written in paths:
            written.replace(path.parent / written.name)
    names = ", ".join(str(path.parent / written.name) for written in paths)
    print(shown)
    print(f"wrote {names} in {time.perf_counter() - start:.0f} s")
    print("next: the lines of docs/export.md, which serve them without torch")


def compare(
    run: Run, model: Any, classifier: Classifier | None, paths: Sequence[Path], path: Path
) -> str:
    """How the files answer beside torch, for people. ValueError if the first one does otherwise.

    path: what it is to be.
    """
    products = onnx_check.held_out_products(run.folder) if classifier else []
    texts = [text for product in products for text in product.texts.values() if text]
    texts = list(dict.fromkeys(texts or onnx_check.prompts(run.folder)))
    ids, _ = encode_documents(texts, run.tokenizer, run.max_length)
    rows = onnx_check.compare(
        model, paths, dict(zip(texts, ids, strict=True)), classifier, products
    )
    if not rows[1].difference <= onnx_check.MOST_DIFFERENT:
        raise ValueError(
            f"--onnx {path}: onnxruntime gives other numbers than torch, by "
            f"{rows[1].difference:.1e} of the largest; the file is not kept"
        )
    return onnx_check.table(rows, len(texts), len(products))


def check_beside(
    folder: Path, tokenizer: Tokenizer, classifier: Classifier | None, force: bool
) -> None:
    """ValueError if what `write_beside` writes would take the place of others, without `force`."""
    path = folder / "tokenizer.json"
    text = tokenizer.to_str(pretty=True)
    is_same = path.is_file() and path.read_bytes() == text.encode()
    taken = [path] if path.exists() and not is_same else []
    if classifier and (folder / "words.npz").exists():
        taken.append(folder / "words.npz")
    if taken and not force:
        raise ValueError(
            f"{taken[0]} would be overwritten; name another folder for --onnx, or add --force"
        )


def write_beside(folder: Path, tokenizer: Tokenizer, classifier: Classifier | None) -> list[Path]:
    """Write tokenizer.json and a classifier's words.npz; returns their paths."""
    paths = [folder / "tokenizer.json"]
    files.write_text(paths[0], tokenizer.to_str(pretty=True))
    if classifier:
        paths.append(folder / "words.npz")
        onnx_file.write_words(paths[1], classifier.word_models)
    return paths


def metadata(run: Run, classifier: Classifier | None) -> dict[str, Any]:
    """What the ONNX file says of itself; classifier: if the graph is that of one."""
    found: dict[str, Any] = {"made_by": f"beautybert {__version__}"}
    found["max_document_length"] = run.max_length
    for token, token_id in wordpiece.special_ids(run.tokenizer).items():
        found[f"{token[1:-1].lower()}_id"] = token_id
    if classifier:
        found["output"] = (
            "the encoder's logits of one document; a product's answer is the softmax of the pool's "
            "sum, which has terms of the word models in words.npz too"
        )
        found["labels"] = classifier.labels
        found["inputs"] = list(classifier.inputs)
        found["pool"] = classifier.pool.to_dict()
        if classifier.encoder_pool:
            found["encoder_pool"] = classifier.encoder_pool.to_dict()
    return found


if __name__ == "__main__":
    sys.exit(options.run_command(ExportConfig, __doc__, main))
