"""Small tables of products for the tests of this folder."""

import csv
import json

from beautybert.cls.products import Product, read_products

HEADER = ("label", "name", "ingredients")


def write(path, rows, encoding="utf-8", separator=","):
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


def some_lists(count, start=0):
    return [f"Water, Oil {i}, Acid {i}" for i in range(start, start + count)]


def read(folder, *rows, header=HEADER, columns=()):
    """The products of one table, table.csv, and what became of its rows."""
    return read_products([write(folder / "table.csv", [header, *rows])], columns)


def keys(products, part):
    """One field of each product, in order."""
    return [getattr(product, part) for product in products]


def labelled(labels):
    """A product of each label, or letter of a string, with its own list."""
    return [
        Product("table", i, label, "", "", f"text {i}", f"text {i}", "", f"text {i}")
        for i, label in enumerate(labels)
    ]


def write_run_json(folder):
    """What a model card reads of run.json, for a run that tells products of two tables apart."""
    run = {
        "command": "-m train_cls --data a/shop.csv b/sephora.csv",
        "config": {"data": ["a/shop.csv", "b/sephora.csv"], "init": "scratch", "head": "mlp"},
        "data": {
            "fingerprint": "0123456789abcdef",
            "rows": {"shop": 1500, "sephora": 9000},
            "dropped": {"no name": 3, "label unknown": 0},
            "labels_left_out": {},
        },
        "versions": {"torch": "2.13.0"},
        "device": "x86_64",
        "ranks": 1,
    }
    (folder / "run.json").write_text(json.dumps(run))
