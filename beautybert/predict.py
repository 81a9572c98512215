"""Say what kind of product an ingredient list belongs to: `python -m beautybert.predict MODEL_DIR`.

    python -m beautybert.predict runs/categories --ingredients "Water, Glycerin, Mica" --explain
    python -m beautybert.predict runs/categories --input products.csv --output answers.csv --top-k 3

MODEL_DIR is the run folder of train_cls.py. A table keeps its columns and gains prediction,
probability (calibrated: metrics.fit_temperature), with --top-k also prediction_2, probability_2
..., and the reason where a cell has no list.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer

from beautybert.bert import wordpiece
from beautybert.cls import classifier as classifiers
from beautybert.cls.batches import Example, encode_documents, pack_examples
from beautybert.cls.classifier import Classifier
from beautybert.cls.csv_files import ENCODINGS
from beautybert.cls.ingredients import Ingredients, parse_ingredients
from beautybert.training import options
from beautybert.training.options import option

BATCH = 32  # lists of one forward pass
ROWS = 4096  # of a table that are in memory at a time
MAX_EXPLAINED = 300  # ingredients; the longest real lists have fewer


@dataclass(frozen=True)
class PredictConfig:
    """The options of predict."""

    model: str = option("", "run folder of train_cls.py", positional=True)
    ingredients: str | None = option(None, "one list, as printed on a label", group="input")
    input: str | None = option(None, "CSV table with a list in each row", instead_of="ingredients")
    column: str = option("ingredients", "the column of --input with the lists")
    output: str | None = option(
        None, "CSV to write; without it the table is printed", group="output"
    )
    top_k: int = option(1, "number of labels to name", ge=1)
    explain: bool = option(False, "for --ingredients: drop of the probability without each name")
    force: bool = option(False, "overwrite --output")


def conflicts(config: PredictConfig) -> list[str]:
    """What is wrong between options, and with the files that they name."""
    problems = []
    if (config.ingredients is None) == (config.input is None):
        problems.append("give one of --ingredients and --input")
    if config.explain and config.ingredients is None:
        problems.append("--explain is for --ingredients")
    if config.output and config.input is None:
        problems.append("--output is for --input")
    if config.output and Path(config.output).exists() and not config.force:
        problems.append(f"--output {config.output} exists; add --force to overwrite it")
    if config.output and not Path(config.output).absolute().parent.is_dir():
        parent = Path(config.output).parent
        problems.append(f"--output {config.output}: there is no folder {parent}")
    if not Path(config.model).is_dir():
        problems.append(f"{config.model}: no such folder; name the run folder of train_cls.py")
    return problems


def main(config: PredictConfig) -> None:
    """Predict as `config` asks."""
    options.raise_problems(options.out_of_range(config) + conflicts(config))
    classifier = classifiers.load(Path(config.model))
    tokenizer = wordpiece.read(config.model)
    if not classifier.same_reader:
        print(
            f"warning: {config.model} was trained on lists read with other tables of words; its "
            "answers may be worse than its report says",
            file=sys.stderr,
        )
    top_k = min(config.top_k, len(classifier.labels))
    if config.ingredients is not None:
        predict_one(config.ingredients, classifier, tokenizer, top_k, config.explain)
        return
    assert config.input is not None  # conflicts() has seen to it
    source = Path(config.input)
    if config.output:  # written under another name until it is complete: it may be --input itself
        temporary = Path(config.output + ".tmp")
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            counts = predict_table(source, config.column, classifier, tokenizer, top_k, file)
        os.replace(temporary, config.output)
    else:
        counts = predict_table(source, config.column, classifier, tokenizer, top_k, sys.stdout)
    num_rows, num_unanswered = counts
    print(
        f"{num_rows:,} rows, {num_unanswered:,} of them without an ingredient list", file=sys.stderr
    )


# ---- predictions -------------------------------------------------------------------------------


@torch.no_grad()
def predict_probabilities(
    classifier: Classifier, tokenizer: Tokenizer, texts: Sequence[str]
) -> np.ndarray:
    """Calibrated probabilities (texts, C) of clean lists.

    Which texts share a batch changes nothing but rounding.
    """
    documents, _ = encode_documents(texts, tokenizer, classifier.max_length)
    examples = [Example(ids, 0) for ids in documents]
    by_length = sorted(range(len(texts)), key=lambda i: len(documents[i]))
    probabilities = np.zeros((len(texts), len(classifier.labels)))
    for start in range(0, len(by_length), BATCH):
        indices = by_length[start : start + BATCH]
        batch = pack_examples([examples[i] for i in indices])
        logits = classifier.model(*batch.inputs).double()
        probabilities[indices] = (logits / classifier.temperature).softmax(-1).numpy()
    return probabilities


def predict_cells(
    classifier: Classifier, tokenizer: Tokenizer, cells: Sequence[object], top_k: int
) -> list[dict]:
    """For each raw cell: prediction, probability, prediction_2 ..., reason.

    Without a list the predictions are empty and the reason says why.
    """
    lists = [parse_ingredients(cell) for cell in cells]
    rows = [_empty_answer(top_k, ingredients.reason) for ingredients in lists]
    usable = [i for i, ingredients in enumerate(lists) if not ingredients.reason]
    texts = [str(lists[i]) for i in usable]
    probabilities = predict_probabilities(classifier, tokenizer, texts)
    for i, row in zip(usable, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[:top_k]
        for ending, label_id in zip(_endings(top_k), best, strict=True):
            rows[i][f"prediction{ending}"] = classifier.labels[label_id]
            rows[i][f"probability{ending}"] = round(float(row[label_id]), 6)
    return rows


def occlusion_scores(
    classifier: Classifier, tokenizer: Tokenizer, ingredients: Ingredients
) -> list[tuple[str, float]]:
    """Ingredients, each with the drop of the predicted label's probability without it, largest
    first.

    Each ingredient is left out in turn (occlusion; Li, Monroe & Jurafsky 2016, arXiv:1612.08220).
    """
    names = ingredients.names
    texts = [str(ingredients)]
    for i in range(len(names)):
        without = Ingredients(names[:i] + names[i + 1 :], ingredients.may_contain)
        texts.append(str(without))
    probabilities = predict_probabilities(classifier, tokenizer, texts)
    predicted = probabilities[0].argmax()
    drops = probabilities[0, predicted] - probabilities[1:, predicted]
    return sorted(zip(names, drops.tolist(), strict=True), key=lambda pair: -pair[1])


def _endings(top_k: int) -> list[str]:
    """What the columns of the first, second ... prediction end in."""
    return ["", *(f"_{rank}" for rank in range(2, top_k + 1))]


def _empty_answer(top_k: int, reason: str) -> dict:
    answer: dict = {}
    for ending in _endings(top_k):
        answer |= {f"prediction{ending}": "", f"probability{ending}": ""}
    return answer | {"reason": reason}


# ---- one list, or a table ----------------------------------------------------------------------


def predict_one(
    cell: str, classifier: Classifier, tokenizer: Tokenizer, top_k: int, explain: bool
) -> None:
    """Print the predictions for one list and, to explain them, what each ingredient does to them.

    ValueError for a cell without a list, and for one that is too long to explain.
    """
    ingredients = parse_ingredients(cell)
    if ingredients.reason:
        raise ValueError(f"--ingredients holds no ingredient list: {ingredients.reason}")
    if explain and len(ingredients.names) > MAX_EXPLAINED:
        raise ValueError(
            f"--explain leaves out each ingredient in turn and takes at most {MAX_EXPLAINED}, not "
            f"{len(ingredients.names):,}"
        )
    answer = predict_cells(classifier, tokenizer, [cell], top_k)[0]
    for ending in _endings(top_k):
        print(f"{answer[f'probability{ending}']:6.1%}  {answer[f'prediction{ending}']}")
    if explain:
        print(f"\nWithout it, the probability of {answer['prediction']} falls by (points):")
        for name, drop in occlusion_scores(classifier, tokenizer, ingredients):
            print(f"{100 * drop:+6.1f}  {name}")


def predict_table(
    source: Path,
    column: str,
    classifier: Classifier,
    tokenizer: Tokenizer,
    top_k: int,
    file: TextIO,
) -> tuple[int, int]:
    """Write a table and its predictions to an open file.

    Returns the rows and those without a list.
    """
    num_rows = num_unanswered = 0
    columns = list(_empty_answer(top_k, ""))
    for index, part in enumerate(read_rows(source, column, columns)):
        answers = predict_cells(classifier, tokenizer, part[column].tolist(), top_k)
        found = pd.DataFrame(answers, index=part.index, columns=columns)
        num_rows += len(part)
        num_unanswered += int((found["reason"] != "").sum())
        pd.concat([part, found], axis=1).to_csv(file, index=False, header=index == 0)
    return num_rows, num_unanswered


def read_rows(path: Path, column: str, added: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The table in parts of `ROWS` rows, at least one part.

    ValueError for a file that is no CSV, lacks the column (it names those that are there) or
    already has one of those that are `added`.
    """
    keywords: dict = {"dtype": str, "keep_default_na": False, "index_col": False}
    for encoding in ENCODINGS:
        try:  # to the end, as the encoding may fail anywhere
            with pd.read_csv(path, encoding=encoding, chunksize=ROWS, **keywords) as parts:
                columns = [list(part.columns) for part in parts][0]
            break
        except UnicodeDecodeError:
            continue
        except FileNotFoundError:
            raise ValueError(f"--input {path}: no such file") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, IsADirectoryError) as error:
            raise ValueError(f"--input {path} is no readable CSV: {error}") from None
    if column not in columns:
        raise ValueError(
            f"--input {path} has no column {column!r}; it has {', '.join(columns)}. Name one with "
            "--column"
        )
    taken = [name for name in added if name in columns]
    if taken:
        raise ValueError(
            f"--input {path} already has the column {', '.join(taken)}, which the answers would "
            "take; rename it"
        )
    with pd.read_csv(path, encoding=encoding, chunksize=ROWS, **keywords) as parts:
        yield from parts


if __name__ == "__main__":
    sys.exit(options.run_command(PredictConfig, __doc__, main))
