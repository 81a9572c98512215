"""Small tables of products for the tests of this folder."""

import csv

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
