"""Tables with random damage: all their rows, or one line that names the file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from contextlib import redirect_stderr

import pytest

from beautybert import Classifier, predict
from beautybert.cls import answer_files
from beautybert.cls.description import describe
from beautybert.cls.labels import LABEL_TABLE, label_names, read_label_table, synonyms
from beautybert.cls.products import read_products
from beautybert.cls.splits import split_products
from beautybert.predict import PredictConfig
from beautybert.table_files import TableFile
from tests.cls.example_tables import labelled
from tests.conftest import KINDS
from tests.faults.mutations import Tally, damaged_bytes, damaged_json
from tests.test_predict import ESCAPES, LISTS, NAMES, train

MUTANTS = 70  # of each form of table
HEADER = ["category", "name", "ingredients", "note"]
ROWS = [
    [kind, f"{NAMES[kind]} {i}", f"{LISTS[kind]}, Acid {i}", f'"Crème"; {i}\n\tsoft']
    for i in range(4)
    for kind in KINDS
]


def csv_bytes(separator: str, encoding: str, line_end: str = "\r\n") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=line_end).writerows([HEADER, *ROWS])
    return text.getvalue().encode(encoding)


def json_lines(rows) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


OBJECTS = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
FORMS = {
    "comma.csv": csv_bytes(",", "utf-8"),
    "semicolon.csv": csv_bytes(";", "utf-8-sig"),
    "tab.tsv": csv_bytes("\t", "utf-16"),
    "old.txt": csv_bytes(",", "cp1252", "\r"),
    "zipped.csv.gz": gzip.compress(csv_bytes(",", "utf-8"), mtime=0),
    "later.csv.gz": csv_bytes(",", "utf-8"),  # zipped after it was damaged
    "objects.jsonl": json_lines(json.dumps(row) for row in OBJECTS),
    "objects.json.gz": json_lines(json.dumps(row, ensure_ascii=False) for row in OBJECTS),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("classifier"), max_steps=3)


def damaged(name: str, rng: random.Random) -> bytes:
    """A damaged table, by its bytes or, of JSON lines, by a value."""
    if name.startswith("objects") and rng.random() < 0.5:
        rows = [json.dumps(row) for row in OBJECTS]
        index = rng.randrange(len(rows))
        rows[index] = damaged_json(OBJECTS[index], rng)
        return json_lines(rows)
    return damaged_bytes(FORMS[name], rng)


def zipped(name: str, data: bytes) -> bytes:
    """The bytes of a file that is zipped after it was damaged, if its name says so."""
    is_gzip = name.endswith(".gz") and not name.startswith("zipped")
    return gzip.compress(data, mtime=0) if is_gzip else data


def answer_each_row(path, classifier, run) -> None:
    """Every row of the table is a row of the answer, with the cells that it had."""
    table = TableFile(path)
    rows = list(table)
    assert all(len(row) == len(table.columns) for row in rows)
    output = path.with_name("answers.csv")
    config = PredictConfig(model=run.out, input=str(path), output=str(output))
    said = io.StringIO()
    with redirect_stderr(said):
        catalogue = predict.open_catalogue(config, classifier)
        encoding = answer_files.output_encoding(config.output, table)
        with answer_files.output_file(config.output, encoding) as file:
            predict.predict_table(catalogue, classifier, config, file)
    assert not ESCAPES.search(said.getvalue())
    separator = ";" if table.separator == ";" else ","
    with open(output, newline="", encoding=encoding) as file:
        csv.field_size_limit(1 << 24)
        header, *found = csv.reader(file, delimiter=separator)
    width = len(table.columns)
    assert header == [*table.columns, "prediction", "probability", "reason"]
    assert [row[:width] for row in found] == rows
    for row in found:
        label, probability, reason = row[width:]
        assert (label in KINDS and 0 <= float(probability) <= 1) or (not label and reason)
    output.unlink()


def train_on(path) -> None:
    """What train_cls.py does with a table before it makes a model of it."""
    products, counts = read_products([path])
    splits = split_products(products, "list", 0)
    assert sum(map(len, splits.values())) == len(products)
    label_names(products, None, "full")
    for text in (str(counts), describe(splits)):
        assert not ESCAPES.search(text), text


@pytest.mark.faults
def test_a_damaged_table_is_answered_row_by_row_or_named(run, tmp_path, tried):
    rng, tally = random.Random(12), Tally()
    classifier = Classifier.load(run.out)
    for name, data in FORMS.items():
        path = tmp_path / name
        path.write_bytes(zipped(name, data))
        answer_each_row(path, classifier, run)
        train_on(path)
        for _ in range(MUTANTS):
            path.write_bytes(zipped(name, damaged(name, rng)))
            tally.attempt(name, str(tmp_path), answer_each_row, path, classifier, run)
            tally.attempt(f"{name} in training", str(tmp_path), train_on, path)
            assert [found.name for found in tmp_path.iterdir()] == [name]
        path.unlink()
    tried(tally.summary())


@pytest.mark.faults
def test_a_damaged_table_of_labels_or_of_splits_is_used_or_named(tmp_path, tried):
    rng, tally = random.Random(7), Tally()
    data = LABEL_TABLE.read_bytes()
    path = tmp_path / "labels.csv"
    labels = [label for label, _ in read_label_table().values() if label][:50]

    def use() -> None:
        synonyms(labels, path)
        label_names(labelled(labels), path, "canonical")

    for _ in range(150):
        path.write_bytes(damaged_bytes(data, rng))
        tally.attempt("labels.csv", str(path), use)
    path = tmp_path / "splits.csv"
    names = ["train", "valid", "test"]
    rows = [[*row, names[i % 3]] for i, row in enumerate(ROWS)]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([[*HEADER, "split"], *rows])

    def train_with_splits() -> None:
        products, _ = read_products([path], ["split=split"])
        splits = split_products(products, "list", 0)
        assert sum(map(len, splits.values())) == len(products)

    for _ in range(150):
        path.write_bytes(damaged_bytes(text.getvalue().encode(), rng))
        tally.attempt("a column of splits", "splits", train_with_splits)
    tried(tally.summary())
