"""Say what kind of product a list of ingredients belongs to: `python -m beautybert.predict MODEL_DIR`.

    python -m beautybert.predict runs/categories --ingredients "Water, Glycerin, Sodium Laureth Sulfate" --top-k 3 --explain
    python -m beautybert.predict runs/categories --input products.csv --column ingredients --output answers.csv

MODEL_DIR is the run folder of train_cls.py. A table keeps its columns and gains prediction, probability (calibrated; see
metrics.fit_temperature), with --top-k also prediction_2, probability_2 ..., and reason where a cell holds no list.
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

from beautybert.batching import Example, cut_head_and_tail, labelled_batch
from beautybert.config import option, raise_problems, run_command
from beautybert.ingredients import Ingredients, parse_ingredients
from beautybert.pretrained import Classifier, read_classifier
from beautybert.products import ENCODINGS
from beautybert.tokenizer import read_tokenizer, special_ids

BATCH = 32  # lists of one forward pass
ROWS = 4096  # of a table that are in memory at a time
MAX_EXPLAINED = 300  # ingredients; the longest real lists have fewer


@dataclass(frozen=True)
class Config:
    """The options of predict."""

    model: str = option("", "run folder of train_cls.py", positional=True)
    ingredients: str | None = option(None, "one list, as printed on a label")
    input: str | None = option(None, "CSV table with a list in each row", instead_of="ingredients")
    column: str = option("ingredients", "the column of --input that holds the lists")
    output: str | None = option(None, "CSV to write; without it the answers are printed")
    top_k: int = option(1, "how many labels to name")
    explain: bool = option(
        False,
        "of --ingredients: leave out each ingredient in turn and show what that does to the probability",
    )
    force: bool = option(False, "overwrite --output")


def probabilities_of(
    classifier: Classifier, tokenizer: Tokenizer, texts: Sequence[str]
) -> np.ndarray:
    """Calibrated probabilities (texts, C) of clean lists. Which texts share a batch changes nothing but rounding."""
    special, room = special_ids(tokenizer), classifier.max_length - 2
    ids = [
        cut_head_and_tail(encoding.ids, room)
        for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    ]
    examples = [Example(np.array([special["[CLS]"], *row, special["[SEP]"]]), 0) for row in ids]
    result = np.zeros((len(texts), len(classifier.labels)))
    by_length = sorted(range(len(texts)), key=lambda i: len(examples[i].ids))
    for start in range(0, len(by_length), BATCH):
        chosen = by_length[start : start + BATCH]
        batch = labelled_batch([examples[i] for i in chosen])
        with torch.no_grad():
            logits = classifier.model(batch.input_ids, batch.position_ids, batch.segments).double()
        result[chosen] = (logits / classifier.temperature).softmax(-1).numpy()
    return result


def answers(
    classifier: Classifier, tokenizer: Tokenizer, cells: Sequence[object], top_k: int
) -> list[dict]:
    """For each raw cell prediction, probability, prediction_2 ..., reason; without a list the first are empty and the reason says why."""
    lists = [parse_ingredients(cell) for cell in cells]
    usable = [i for i, ingredients in enumerate(lists) if not ingredients.reason]
    rows = [_empty_answer(top_k, ingredients.reason) for ingredients in lists]
    probabilities = probabilities_of(classifier, tokenizer, [str(lists[i]) for i in usable])
    for i, row in zip(usable, probabilities):
        for place, label_id in enumerate(np.argsort(-row, kind="stable")[:top_k], start=1):
            end = "" if place == 1 else f"_{place}"
            rows[i] |= {
                f"prediction{end}": classifier.labels[label_id],
                f"probability{end}": round(float(row[label_id]), 6),
            }
    return rows


def _empty_answer(top_k: int, reason: str) -> dict:
    names = [
        name + ("" if place == 1 else f"_{place}")
        for place in range(1, top_k + 1)
        for name in ("prediction", "probability")
    ]
    return {**dict.fromkeys(names, ""), "reason": reason}


def influences(
    classifier: Classifier, tokenizer: Tokenizer, ingredients: Ingredients
) -> list[tuple[str, float]]:
    """(ingredient, how much the probability of the predicted label falls without it), the largest fall first.

    Each ingredient is left out in turn (occlusion; Li, Monroe & Jurafsky 2016, arXiv:1612.08220).
    """
    names = ingredients.names
    texts = [str(ingredients)] + [
        str(Ingredients(names[:i] + names[i + 1 :], ingredients.may_contain))
        for i in range(len(names))
    ]
    probabilities = probabilities_of(classifier, tokenizer, texts)
    falls = probabilities[0].max() - probabilities[1:, probabilities[0].argmax()]
    return sorted(zip(names, falls.tolist()), key=lambda pair: -pair[1])


def read_rows(path: Path, column: str, added: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The table in parts of `ROWS` rows, at least one part.

    ValueError for a file that is no CSV, lacks the column (it names those there are) or already has one of those that are `added`.
    """
    options: dict = {"dtype": str, "keep_default_na": False, "index_col": False, "chunksize": ROWS}
    for encoding in ENCODINGS:
        try:
            with pd.read_csv(path, encoding=encoding, **options) as parts:
                columns = [list(part.columns) for part in parts][
                    0
                ]  # to the end, as the encoding may fail anywhere
            break
        except UnicodeDecodeError:
            continue
        except FileNotFoundError:
            raise ValueError(f"--input {path}: no such file") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, IsADirectoryError) as error:
            raise ValueError(f"--input {path} is no readable CSV: {error}") from None
    if column not in columns:
        raise ValueError(
            f"--input {path} has no column {column!r}; it has {', '.join(columns)}. Name one with --column"
        )
    taken = [name for name in added if name in columns]
    if taken:
        raise ValueError(
            f"--input {path} already has the column {', '.join(taken)}, which the answers would take; rename it"
        )
    with pd.read_csv(path, encoding=encoding, **options) as parts:
        yield from parts


def answer_table(
    config: Config, classifier: Classifier, tokenizer: Tokenizer, top_k: int, file: TextIO
) -> tuple[int, int]:
    """Write --input and its answers to an open file; returns the rows and those without a list."""
    total = unanswered = 0
    columns = list(_empty_answer(top_k, ""))
    for number, part in enumerate(read_rows(Path(config.input), config.column, columns)):
        found = pd.DataFrame(
            answers(classifier, tokenizer, part[config.column].tolist(), top_k),
            index=part.index,
            columns=columns,
        )
        total, unanswered = total + len(part), unanswered + int((found["reason"] != "").sum())
        pd.concat([part, found], axis=1).to_csv(file, index=False, header=number == 0)
    return total, unanswered


def main(config: Config) -> None:
    """Answer as `config` asks."""
    problems = []
    if (config.ingredients is None) == (config.input is None):
        problems.append("give one of --ingredients and --input")
    if config.explain and config.ingredients is None:
        problems.append("--explain goes with --ingredients")
    if config.output and config.input is None:
        problems.append("--output goes with --input")
    if config.output and Path(config.output).exists() and not config.force:
        problems.append(f"--output {config.output} exists; add --force to overwrite it")
    if config.output and not Path(config.output).absolute().parent.is_dir():
        problems.append(
            f"--output {config.output}: there is no folder {Path(config.output).parent}"
        )
    if config.top_k < 1:
        problems.append(f"--top-k must be at least 1, not {config.top_k}")
    if not Path(config.model).is_dir():
        problems.append(f"{config.model}: no such folder; name the run folder of train_cls.py")
    raise_problems(problems)
    classifier, tokenizer = read_classifier(Path(config.model)), read_tokenizer(config.model)
    top_k = min(config.top_k, len(classifier.labels))

    if config.ingredients is not None:
        ingredients = parse_ingredients(config.ingredients)
        if ingredients.reason:
            raise ValueError(f"--ingredients holds no ingredient list: {ingredients.reason}")
        if config.explain and len(ingredients.names) > MAX_EXPLAINED:
            raise ValueError(
                f"--explain leaves out each ingredient in turn and takes at most {MAX_EXPLAINED}, not {len(ingredients.names):,}"
            )
        answer = answers(classifier, tokenizer, [config.ingredients], top_k)[0]
        for end in ["", *(f"_{place}" for place in range(2, top_k + 1))]:
            print(f"{answer[f'probability{end}']:6.1%}  {answer[f'prediction{end}']}")
        if config.explain:
            print(f"\nWithout it, the probability of {answer['prediction']} falls by (points):")
            for name, fall in influences(classifier, tokenizer, ingredients):
                print(f"{100 * fall:+6.1f}  {name}")
        return

    if config.output:  # under another name until it is whole: it may be --input itself
        unfinished = Path(config.output + ".unfinished")
        with open(unfinished, "w", newline="", encoding="utf-8") as file:
            total, unanswered = answer_table(config, classifier, tokenizer, top_k, file)
        os.replace(unfinished, config.output)
    else:
        total, unanswered = answer_table(config, classifier, tokenizer, top_k, sys.stdout)
    print(f"{total:,} rows, {unanswered:,} of them without an ingredient list", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_command(Config, __doc__, main))
