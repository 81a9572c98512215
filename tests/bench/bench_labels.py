"""How far the labels of the tables agree with each other.

    python -m tests.bench.bench_labels --data cosmetics.csv sephora_website_dataset.csv

It looks at pairs of products with different lists, by how many of their ingredients they share
(Jaccard index: shared / all of both, order aside). It says how often both have the same label: over
all pairs, and over pairs from one table, each product counting once. That describes the tables and
bounds nothing. What several labels of the very same list cost whoever knows all lists by heart is
said first. Lists that are the same up to spelling are one list.

Last comes the accuracy of LinearSVC on the test split. It is shown the cells as they are, the lists
read from them, or the names of the products, the last two also with a word that says which table
the product is from: how much of its error comes from what a list does not say. Products without a
list are left out.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from beautybert.cls.columns import find_columns, first_cell
from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import Product, read_products, source_names
from beautybert.cls.selection import SCHEMES, select
from beautybert.cls.splits import split_products
from beautybert.table_files import TableFile

BANDS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0 + 1e-9)


def similar_pairs(products: list[Product]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of products whose lists are not the same and share at least half.

    First product, second product, Jaccard index, each (pairs,).
    """
    from scipy.sparse import csr_matrix

    column_of: dict[str, int] = {}  # of each ingredient
    columns: list[list[int]] = []  # of each product's ingredients
    for product in products:
        names = {name.casefold() for name in parse_ingredients(product.ingredients).names}
        columns.append([column_of.setdefault(name, len(column_of)) for name in sorted(names)])
    sizes = np.array([len(of_product) for of_product in columns])
    ones = np.ones(sizes.sum(), dtype=np.float32)
    row_starts = np.concatenate([[0], sizes.cumsum()])
    shape = (len(products), len(column_of))
    matrix = csr_matrix((ones, np.concatenate(columns), row_starts), shape=shape)

    shared = (matrix @ matrix.T).tocoo()
    first, second = shared.row, shared.col
    jaccard = shared.data / (sizes[first] + sizes[second] - shared.data)
    list_of = ids_of([product.list_key for product in products])
    is_other_list = list_of[first] != list_of[second]
    chosen = (first != second) & (jaccard >= BANDS[0]) & is_other_list
    return first[chosen], second[chosen], jaccard[chosen]


def ids_of(values: Sequence[str]) -> np.ndarray:
    """An id for each value, the same for equal values."""
    return np.unique(values, return_inverse=True)[1]


def agreement(first: np.ndarray, same: np.ndarray) -> float:
    """The mean over products of the share of their pairs that agree."""
    if not len(first):
        return float("nan")
    pairs = np.bincount(first)
    agreeing = np.bincount(first, weights=same)
    has_pairs = pairs > 0
    return float((agreeing[has_pairs] / pairs[has_pairs]).mean())


def list_cells(path: str) -> list[str]:
    """The cells of a table's ingredients column, as they are."""
    table = TableFile(path)
    indices = find_columns(table, {}, needed=["ingredients"])["ingredients"]
    return [first_cell(row, indices) for row in table]


def shown_of(product: Product, cell: str, name: str) -> dict[str, str]:
    """Each thing that LinearSVC may be shown of a product."""
    source = f"table_{product.source}"
    return {
        "raw cells": cell,
        "lists": product.ingredients,
        "lists and the table": f"{product.ingredients} {source}",
        "names": name,
        "names and the table": f"{name} {source}",
    }


def svc_accuracies(
    splits: dict[str, list[Product]],
    cells: dict[str, list[str]],
    names: dict[tuple[str, int], str],
) -> dict[str, float]:
    """Accuracy of TF-IDF + LinearSVC on the test split, for each thing that it may be shown.

    cells: of each table. names: of each source and row. Features are words and pairs of neighbours,
    and C is 1, whatever is shown.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    def shown_in(split: str) -> list[dict[str, str]]:
        return [shown_of(p, cells[p.source][p.row], names[p.source, p.row]) for p in splits[split]]

    train, test = shown_in("train"), shown_in("test")
    train_labels = [product.label for product in splits["train"]]
    test_labels = [product.label for product in splits["test"]]
    accuracies = {}
    for what in train[0]:
        train_texts = [shown[what] for shown in train]
        test_texts = [shown[what] for shown in test]
        features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        model = make_pipeline(features, LinearSVC(random_state=0)).fit(train_texts, train_labels)
        accuracies[what] = model.score(test_texts, test_labels)
    return accuracies


def print_agreement(products: list[Product]) -> None:
    """The table of one label scheme: a line for each band of similarity."""
    print("| shared ingredients | products | pairs agree | pairs of one table agree |")
    print("|---|---|---|---|")
    all_first, all_second, jaccard = similar_pairs(products)
    label = ids_of([product.label for product in products])
    source = ids_of([product.source for product in products])
    for low, high in pairwise(BANDS):
        inside = (jaccard >= low) & (jaccard < high)
        first, second = all_first[inside], all_second[inside]
        same_label = label[first] == label[second]
        one_table = source[first] == source[second]
        agree = agreement(first, same_label)
        agree_in_table = agreement(first[one_table], same_label[one_table])
        print(
            f"| {low:.0%} to {min(high, 1):.0%} | {len(np.unique(first)):,} | {agree:.1%} "
            f"| {agree_in_table:.1%} |"
        )


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, nargs="+", help="tables with names and lists")
    args = parser.parse_args()

    all_products, counts = read_products(args.data)
    all_splits = split_products(all_products, "list", seed=0)
    sources = source_names(args.data)
    cells = {source: list_cells(path) for source, path in zip(sources, args.data, strict=True)}
    names = {(product.source, product.row): product.name for product in all_products}
    for scheme in SCHEMES:
        splits, _ = select(all_splits, ["ingredients"], scheme, None, 5, counts)
        products = [product for members in splits.values() for product in members]
        labels_of = defaultdict(set)
        for product in products:
            labels_of[product.list_key].add(product.label)
        several = sum(len(labels) > 1 for labels in labels_of.values())
        at_most = len(labels_of) / len(products)
        print(
            f"\n`{scheme}`: {len(products):,} products with {len(labels_of):,} lists, {several:,} "
            "of which have several labels: knowing every list, at most "
            f"{at_most:.1%} could be correct\n"
        )
        print_agreement(products)
        accuracies = svc_accuracies(splits, cells, names)
        shown = [f"{what} {accuracy:.1%}" for what, accuracy in accuracies.items()]
        print(f"\nTF-IDF + LinearSVC on {', '.join(shown)}")


if __name__ == "__main__":
    main()
