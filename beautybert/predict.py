"""Say what kind of product a cosmetic is: `python -m beautybert.predict MODEL_DIR`.

    python -m beautybert.predict runs/categories --name "Midnight Repair" \\
        --ingredients "Water, Glycerin, Retinol" --explain
    python -m beautybert.predict runs/categories --input products.csv --output answers.csv --top-k 3

MODEL_DIR is the run folder of train_cls.py. A table keeps its columns and every row, and gains
prediction, probability (calibrated: cls/pool.py), with --top-k also prediction_2, probability_2
..., with --explain what carried the answer, and the reason where there is no answer. From Python:
beautybert.Classifier.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from tqdm import tqdm

from beautybert import files
from beautybert.cls.answer_files import (
    SEPARATOR_OF,
    output_encoding,
    output_file,
    renamed_columns,
    row_writer,
)
from beautybert.cls.classifier import PRIORS, Answer, Classifier
from beautybert.cls.columns import find_columns, first_cell, parse_columns
from beautybert.cls.products import INPUTS
from beautybert.cls.scoring import Score
from beautybert.table_files import TableFile, encoding_note, header_key, listed, shown
from beautybert.training import hardware, options, sample
from beautybert.training.options import option

ROWS = 1024  # of a table that are in memory at a time
MAX_EXPLAINED = 300  # ingredients and words; the longest real lists have fewer
IN_EXPLANATION = 3  # of a table's row
M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


@dataclass(frozen=True)
class PredictConfig:
    """The options of predict."""

    model: str = option("", "run folder of train_cls.py", positional=True)
    ingredients: str | None = option(None, "one list, as printed on a label", group="input")
    name: str | None = option(None, "one product's name")
    input: str | None = option(None, "table: csv, tsv, jsonl, parquet; .gz too")
    columns: tuple[str, ...] = option(
        (), "ingredients=COL name=COL, where headers do not tell; label=COL to be scored"
    )
    top_k: int = option(1, "number of labels to name", ge=1, group="answer")
    min_probability: float = option(0.0, "below it there is no answer", ge=0, le=1)
    family: bool = option(
        False, "below --min-probability [then 0.5] the family of labels, if that is probable enough"
    )
    prior: str = option(
        "data",
        "label frequencies of training, or all labels as if equally frequent",
        choices=PRIORS,
    )
    explain: bool = option(False, "what the probability loses without each ingredient and word")
    output: str | None = option(
        None, "table to write, .csv, .tsv or .jsonl; without it it is printed", group="output"
    )
    force: bool = option(False, "overwrite --output")
    device: str = option("auto", "where the model runs", choices=("auto", "cpu", "cuda"))
    threads: int | None = option(None, "CPU threads [one for a small model]", gt=0, le=1024)


def conflicts(config: PredictConfig) -> list[str]:
    """What is wrong between options, and with the files that they name."""
    problems = []
    has_one = config.ingredients is not None or config.name is not None
    if has_one == (config.input is not None):
        problems.append("give --input, or --ingredients, --name or both")
    if config.output and config.input is None:
        problems.append("--output is for --input")
    if config.columns and config.input is None:
        problems.append("--columns is for --input")
    if config.output:
        path = Path(config.output)
        if path.suffix.lower() not in SEPARATOR_OF:
            endings = ", ".join(SEPARATOR_OF)
            problems.append(f"--output {path}: the ending must be one of {endings}")
        if path.is_dir():
            problems.append(f"--output {path} is a folder")
        elif path.exists() and not config.force:
            problems.append(f"--output {path} exists; add --force to overwrite it")
        if not path.absolute().parent.is_dir():
            problems.append(f"--output {path}: there is no folder {path.parent}")
    if not Path(config.model).is_dir():
        problems.append(f"{config.model}: no such folder; name the run folder of train_cls.py")
    if config.device == "cuda" and not torch.cuda.is_available():
        problems.append("--device cuda: torch sees no GPU here")
    return problems


def main(config: PredictConfig) -> None:
    """Predict as `config` asks."""
    options.raise_problems(options.out_of_range(config) + conflicts(config))
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    classifier = Classifier.load(config.model, device)
    torch.set_num_threads(config.threads or hardware.threads_for(classifier.model.bert.encoder))
    folder = Path(config.model)
    if (folder / "run.json").is_file() and not (folder / "report.json").is_file():
        warn(
            f"{folder} is not finished: these are the best weights so far, and their probabilities "
            "are not calibrated; continue the run with --resume"
        )
    if not classifier.same_reader:
        warn(
            f"{config.model} was trained on lists read with other tables of words; its answers may "
            "be worse than its report says"
        )
    if not classifier.is_ours:
        warn(
            f"{config.model} is a classifier of transformers, which reads texts as they are; of a "
            "product with a name and a list the logits of both are added"
        )
    if sample.is_sample(_trained_files(Path(config.model))):
        warn(f"this model was {sample.NOTE}")
    if config.input is None:
        predict_one(classifier, config)
        return
    keep_memory_flat()
    catalogue = open_catalogue(config, classifier)
    began = time.perf_counter()
    with output_file(config.output, output_encoding(config.output, catalogue.table)) as file:
        score = predict_table(catalogue, classifier, config, file)
    seconds = time.perf_counter() - began
    speed = f"{seconds:.0f} s, {catalogue.num_rows / seconds:,.0f} rows a second"
    done = files.printable(f"{config.output or 'all'}: {speed}")
    print(score, catalogue.reads(), done, sep="\n", file=sys.stderr)


def warn(text: str) -> None:
    """One line on stderr."""
    print(f"warning: {text}", file=sys.stderr)


def ask(
    classifier: Classifier,
    config: PredictConfig,
    columns: Mapping[str, Sequence[str]],
    top_k: int,
) -> list[Answer]:
    """The answers to products, from their cells by input, as the options want them."""
    return classifier.predict(
        columns.get("ingredients"),
        columns.get("name"),
        top_k=min(top_k, len(classifier.labels)),
        min_probability=config.min_probability,
        prior=config.prior,
        family=config.family,
    )


# ---- one product -------------------------------------------------------------------------------


def predict_one(classifier: Classifier, config: PredictConfig) -> None:
    """Print the answer to one product and, to explain it, what each part of it does to it.

    ValueError for a product without an answer, and for one that is too long to explain.
    """
    given = {"name": config.name, "ingredients": config.ingredients}
    columns = {part: [cell] for part, cell in given.items() if cell is not None}
    for part in columns:
        if part not in classifier.inputs:
            warn(f"the model was trained without {part}: --{part} is not read")
    (answer,) = ask(classifier, config, columns, config.top_k)
    if not answer.inputs:
        raise ValueError(f"no answer: {answer.reason}")
    if answer.reason:
        print(answer.reason if answer.labels else f"no answer: {answer.reason}")
    for label, probability in zip(answer.labels, answer.probabilities, strict=True):
        print(f"{probability:6.1%}  {label}{' (family)' if answer.is_family else ''}")
    if config.explain and answer.labels:
        drops = explain(classifier, columns, 0, config.prior)
        print("\nWithout it, the probability of the most probable label falls by (points):")
        for part, unit, drop in drops:
            print(f"{100 * drop:+6.1f}  {unit}{' (name)' if part == 'name' else ''}")


def explain(
    classifier: Classifier, columns: Mapping[str, Sequence[str]], i: int, prior: str
) -> list[tuple[str, str, float]]:
    """Classifier.explain of product i; ValueError for one that is too long."""
    name, ingredients = (columns[part][i] if part in columns else None for part in INPUTS)
    num_units = classifier.num_units(ingredients, name)
    if num_units > MAX_EXPLAINED:
        raise ValueError(
            "--explain leaves out each ingredient and word in turn and takes at most "
            f"{MAX_EXPLAINED}, not {num_units:,}"
        )
    return classifier.explain(ingredients, name, prior)


# ---- a table -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Catalogue:
    """A table to be answered.

    indices: role -> columns. num_rows: counted, so that the whole file has been read once. added:
    the columns that the answers add.
    """

    table: TableFile
    indices: Mapping[str, Sequence[int]]
    num_rows: int
    added: list[str]

    def reads(self) -> str:
        """Which column is read as what, for people."""
        columns = self.table.columns
        found = []
        for role, indices in self.indices.items():
            headers = " or ".join(shown(columns[index]) for index in indices)
            found.append(f"{role} from {headers}")
        return f"read: {', '.join(found)}"

    def parts(self) -> Iterator[list[list[str]]]:
        """The rows, at most `ROWS` at a time."""
        part = []
        for row in self.table:
            part.append(row)
            if len(part) == ROWS:
                yield part
                part = []
        if part:
            yield part


def open_catalogue(config: PredictConfig, classifier: Classifier) -> Catalogue:
    """The table of --input.

    ValueError for what is no table, lacks the columns, or already has those that are added.
    """
    assert config.input is not None
    table = TableFile(config.input)
    if note := encoding_note(table):
        warn(note)
    asked = parse_columns(config.columns)
    taken_columns = {header_key(column) for column in asked.values()}
    trained = _trained_columns(Path(config.model), table)
    free = {part: name for part, name in trained.items() if header_key(name) not in taken_columns}
    given = free | asked
    unread_roles = sorted(set(given) - {"label", *INPUTS})
    if unread_roles:
        raise ValueError(f"--columns {unread_roles[0]}=...: predict reads name, ingredients, label")
    found = find_columns(table, given)
    indices = {part: found[part] for part in INPUTS if part in found}
    unread = [part for part in indices if part not in classifier.inputs]
    for part in unread:
        column = table.columns[indices[part][0]]
        warn(f"the model was trained without {part}: the column {shown(column)} is not read")
        del indices[part]
    if not indices:
        wanted = " ".join(f"{part}=COLUMN" for part in classifier.inputs)
        raise ValueError(
            f"--input {table.path} has no column that is known to hold what the model reads; name "
            f"one with --columns {wanted}. It has {listed(table.columns)}"
        )
    if "label" in given:
        indices["label"] = found["label"]
    top_k = min(config.top_k, len(classifier.labels))
    added = answer_columns(top_k, config.explain)
    taken = [name for name in added if table.index_of(name) is not None]
    if taken:
        raise ValueError(
            f"--input {table.path} already has columns that the answers would take, "
            f"{listed(taken)}; rename them"
        )
    catalogue = Catalogue(table, indices, sum(1 for _ in table), added)
    for part in classifier.inputs:
        if part not in indices:
            warn(f"no column is known to hold the {part}: answers are without it; see --columns")
    return catalogue


def _trained_columns(folder: Path, table: TableFile) -> dict[str, str]:
    """The columns of name and list that training was given, as far as the table has them."""
    path = folder / "run.json"
    columns = files.value_of(_run_options(folder), "columns", list, path, default=[])
    if not all(isinstance(column, str) for column in columns):
        raise ValueError(f"{path}: columns must be a list of texts, as name=title")
    try:
        given = parse_columns(columns)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    columns = {part: given[part] for part in INPUTS if part in given}
    return {part: name for part, name in columns.items() if table.index_of(name) is not None}


def _trained_files(folder: Path) -> list[str]:
    """The files that training read; none if run.json does not say."""
    files = _run_options(folder).get("data")
    return [str(file) for file in files] if isinstance(files, list) else []


def _run_options(folder: Path) -> dict[str, Any]:
    """The options of the run in the folder; nothing if there is no run.json."""
    path = folder / "run.json"
    try:
        return files.value_of(files.read_json(path), "config", dict, path, default={})
    except FileNotFoundError:
        return {}


def answer_columns(top_k: int, explained: bool) -> list[str]:
    """The columns that answers add to a table."""
    columns = []
    for ending in ["", *(f"_{rank}" for rank in range(2, top_k + 1))]:
        columns += [f"prediction{ending}", f"probability{ending}"]
    return [*columns, *(["explanation"] if explained else []), "reason"]


def predict_table(
    catalogue: Catalogue, classifier: Classifier, config: PredictConfig, file: TextIO
) -> str:
    """Write a table and its answers to an open file; returns how it went, for people."""
    table = catalogue.table
    write = row_writer(file, config.output, table, catalogue.added)
    if renamed := renamed_columns(config.output, table):
        warn(f"columns without a name are called {listed(renamed)} in {config.output}")
    score = Score(classifier, Path(config.model))
    is_hidden = not sys.stderr.isatty()
    with tqdm(total=catalogue.num_rows, unit="row", disable=is_hidden) as bar:
        for rows in catalogue.parts():
            answers = answer_rows(catalogue, classifier, config, rows, score, bar)
            for row, added in zip(rows, answers, strict=True):
                write(row, added)
    score.num_short = table.num_short
    return score.text("label" in catalogue.indices)


def keep_memory_flat() -> None:
    """Let glibc ask the system for each large block of memory, and return it.

    It would keep them, and what tensors of changing sizes leave between small objects grows: 1.1
    GiB after 24,000 rows of a table with long cells, so 0.5 GiB, at 9 % more time.
    """
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)


def answer_rows(
    catalogue: Catalogue,
    classifier: Classifier,
    config: PredictConfig,
    rows: Sequence[Sequence[str]],
    score: Score,
    bar: tqdm[Any],
) -> list[list[Any]]:
    """What each row gains, in the order of `catalogue.added`; `score` counts it, `bar` shows it."""
    is_header = [catalogue.table.is_header(row) for row in rows]
    cells = {role: [first_cell(row, i) for row in rows] for role, i in catalogue.indices.items()}
    labels = cells.pop("label", None)
    for part in cells:
        pairs = zip(cells[part], is_header, strict=True)
        cells[part] = ["" if is_repeated else cell for cell, is_repeated in pairs]
    answers = ask(classifier, config, cells, max(config.top_k, 3) if labels else config.top_k)
    added = []
    for i, answer in enumerate(answers):
        reason = "header again" if is_header[i] else answer.reason
        values: list[Any] = []
        for rank in range(min(config.top_k, len(classifier.labels))):
            is_there = rank < len(answer.labels)
            values.append(answer.labels[rank] if is_there else "")
            values.append(round(answer.probabilities[rank], 6) if is_there else "")
        if config.explain:
            is_explained = bool(answer.labels)
            values.append(_explanation(classifier, cells, i, config.prior) if is_explained else "")
        added.append([*values, reason])
        label = labels[i] if labels and not is_header[i] else None
        bar.update()  # here, as explaining a row takes longer than answering it
        score.count(answer, reason, label, {part: column[i] for part, column in cells.items()})
    return added


def _explanation(
    classifier: Classifier, cells: Mapping[str, Sequence[str]], i: int, prior: str
) -> str:
    """What carried the answer to a row, with the points that it loses without each."""
    try:
        drops = explain(classifier, cells, i, prior)
    except ValueError:
        return f"not explained: more than {MAX_EXPLAINED} ingredients and words"
    carried = [(unit, drop) for _, unit, drop in drops[:IN_EXPLANATION] if drop > 0]
    return "; ".join(f"{unit} ({100 * drop:+.1f})" for unit, drop in carried)


if __name__ == "__main__":
    sys.exit(options.run_command(PredictConfig, __doc__, main))
