"""How far the labels of the tables agree with each other.

    python -m tests.bench.bench_labels --cosmetics cosmetics.csv --sephora sephora_website_dataset.csv

Pairs of products with different lists, by how many of their ingredients they share (Jaccard index:
shared / all of both, order aside), and how often both have the same label: over all pairs, and over
pairs from one table, each product counting once. It describes the tables and bounds nothing; what
several labels of the very same list cost whoever knows all lists by heart is said first. Lists that
are the same up to spelling are one list. Last, LinearSVC on the test side, shown the cells as they
are, the lists read from them, or the names of the products, the last two also with a word that says
which table it is from: how much of its error comes from what a list does not say. Both tables need
a column for the name (Name, name).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pandas as pd

from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import (
    SCHEMES,
    SOURCES,
    Product,
    apply_label_scheme,
    read_label_map,
    read_products,
    read_table,
)
from beautybert.cls.report import tfidf_linear_svc
from beautybert.cls.splits import split_products
from beautybert.training.seeding import SPLIT, generator_of

NAMES = {"cosmetics": "Name", "sephora": "name"}  # columns
BANDS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0 + 1e-9)


def similar_pairs(products: list[Product]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of products whose lists are not the same and share at least half: first, second,
    Jaccard index, each (pairs,).
    """
    from scipy.sparse import csr_matrix

    number: dict[str, int] = {}
    sets = [
        sorted(
            {
                number.setdefault(name.casefold(), len(number))
                for name in parse_ingredients(product.text).names
            }
        )
        for product in products
    ]
    sizes = np.array([len(names) for names in sets])
    matrix = csr_matrix(
        (
            np.ones(sizes.sum(), dtype=np.float32),
            np.concatenate(sets),
            np.concatenate([[0], sizes.cumsum()]),
        ),
        shape=(len(sets), len(number)),
    )
    shared = (matrix @ matrix.T).tocoo()
    index = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    list_of = np.unique([product.key for product in products], return_inverse=True)[1]
    chosen = (
        (shared.row != shared.col)
        & (index >= BANDS[0])
        & (list_of[shared.row] != list_of[shared.col])
    )
    return shared.row[chosen], shared.col[chosen], index[chosen]


def agreement(first: np.ndarray, same: np.ndarray) -> float:
    """The mean over products of the share of their pairs that agree."""
    pairs = np.bincount(first)
    return (
        float((np.bincount(first, weights=same)[pairs > 0] / pairs[pairs > 0]).mean())
        if len(first)
        else float("nan")
    )


def svc_accuracies(
    sides: dict[str, list[Product]], tables: dict[str, pd.DataFrame]
) -> dict[str, float]:
    """Accuracy of TF-IDF + LinearSVC on the test side, for each thing that it may be shown of a
    product.
    """
    shown: dict[str, Callable[[Product], str]] = {
        "raw cells": lambda p: tables[p.source][SOURCES[p.source][2]][p.row],
        "lists": lambda p: p.text,
        "lists and the table": lambda p: f"{p.text} table_{p.source}",
        "names": lambda p: tables[p.source][NAMES[p.source]][p.row],
        "names and the table": lambda p: (
            f"{tables[p.source][NAMES[p.source]][p.row]} table_{p.source}"
        ),
    }
    answers, accuracies = {side: [p.label for p in sides[side]] for side in ("train", "test")}, {}
    for what, show in shown.items():
        texts = {side: [show(p) for p in sides[side]] for side in answers}
        accuracies[what] = tfidf_linear_svc(
            texts["train"], answers["train"], texts["test"], answers["test"]
        )["accuracy"]
    return accuracies


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cosmetics", default="data/cosmetics.csv")
    parser.add_argument("--sephora", default="data/sephora_website_dataset.csv")
    args = parser.parse_args()
    everything, counts = read_products(
        args.cosmetics, args.sephora, "beautybert/cls/tables/labels.csv"
    )
    tables = {
        source: read_table(path, [NAMES[source]])
        for source, path in (("cosmetics", args.cosmetics), ("sephora", args.sephora))
    }
    for scheme in SCHEMES:
        sides, _ = apply_label_scheme(
            split_products(everything, "list", generator_of(0, SPLIT)),
            read_label_map("beautybert/cls/tables/labels.csv", scheme),
            5,
            counts,
        )
        products = [product for side in sides.values() for product in side]
        labels_of = defaultdict(set)
        for product in products:
            labels_of[product.key].add(product.label)
        several = sum(len(labels) > 1 for labels in labels_of.values())
        print(
            f"\n`{scheme}`: {len(products):,} products with {len(labels_of):,} lists, {several:,} of which have several labels: knowing every list, at most "
            f"{len(labels_of) / len(products):.1%} could be right\n\n"
            "| shared ingredients | products | pairs agree | pairs of one table agree |\n|---|---|---|---|"
        )
        first, second, index = similar_pairs(products)
        label, source = (
            np.unique([getattr(product, name) for product in products], return_inverse=True)[1]
            for name in ("label", "source")
        )
        for low, high in zip(BANDS, BANDS[1:]):
            inside = (index >= low) & (index < high)
            f, s = first[inside], second[inside]
            one = source[f] == source[s]
            same = label[f] == label[s]
            print(
                f"| {low:.0%} to {min(high, 1):.0%} | {len(np.unique(f)):,} | {agreement(f, same):.1%} | {agreement(f[one], same[one]):.1%} |"
            )
        print(
            "\nTF-IDF + LinearSVC on "
            + ", ".join(
                f"{what} {accuracy:.1%}" for what, accuracy in svc_accuracies(sides, tables).items()
            )
        )


if __name__ == "__main__":
    main()
