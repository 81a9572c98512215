"""The two labelled tables -> products with an ingredient list and a label; label schemes.

Text and label of a product are in one record from the row on. What a cell means is settled in
ingredients.py, which labels mean the same in tables/labels.csv, who is in which split in splits.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from beautybert.cls.csv_files import read_table
from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.spellings import normalize_key

LABEL_TABLE = Path(__file__).parent / "tables" / "labels.csv"
# columns of each source: label, brand, list
SOURCES = {
    "cosmetics": ("Label", "Brand", "Ingredients"),
    "sephora": ("category", "brand", "ingredients"),
}
SCHEMES = ("full", "canonical", "group")
SPLITS = {"train": 0.8, "valid": 0.1, "test": 0.1}


@dataclass(frozen=True)
class Product:
    """One usable row.

    row: 0-based in its source file. text: what the model reads. key: equal for the same list in
    another spelling.
    """

    source: str
    row: int
    brand: str
    text: str
    key: str
    label: str


@dataclass
class ProductCounts:
    """What became of the rows.

    rows: of each source. dropped: by reason. rare: lists of each label that has too few.
    """

    rows: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    rare: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        used = self.rows.total() - self.dropped.total()
        sources = ", ".join(f"{n:,} {source}" for source, n in self.rows.items())
        dropped = ", ".join(f"{n:,} {reason}" for reason, n in self.dropped.most_common() if n)
        lines = [f"{self.rows.total():,} rows ({sources}), {used:,} used; dropped: {dropped}"]
        if self.rare:
            rare = ", ".join(f"{label} ({n})" for label, n in sorted(self.rare.items()))
            lines.append(f"  {len(self.rare)} labels with too few lists: {rare}")
        return "\n".join(lines)


# ---- reading -----------------------------------------------------------------------------------


def read_products(
    cosmetics: str | Path, sephora: str | Path, label_table: str | Path | None = None
) -> tuple[list[Product], ProductCounts]:
    """Every list once for each label that the files give it.

    ValueError for an unreadable table, a label that `label_table` does not know, a table without
    lists.
    """
    label_table = label_table or LABEL_TABLE
    known = read_label_map(label_table, "full")
    counts = ProductCounts()
    products: list[Product] = []
    cells: list[str] = []
    for source, path in (("cosmetics", cosmetics), ("sephora", sephora)):
        table = read_table(path, SOURCES[source])
        label_column, brand_column, list_column = SOURCES[source]
        unknown = sorted(set(table[label_column]) - set(known))
        if unknown:
            labels = ", ".join(map(repr, unknown[:5]))
            raise ValueError(
                f"{path}: label {labels} is not in {label_table}; add a line with its canonical "
                "name and group there, or to a copy that --label-table names"
            )
        num_before = len(products)
        rows = zip(table[label_column], table[brand_column], table[list_column], strict=True)
        for row, (label, brand, cell) in enumerate(rows):
            counts.rows[source] += 1
            ingredients = parse_ingredients(cell)
            if ingredients.reason:
                counts.dropped[ingredients.reason] += 1
                continue
            brand = brand.casefold().strip()
            products.append(Product(source, row, brand, str(ingredients), ingredients.key, label))
            cells.append(cell)
        if len(products) == num_before:
            raise ValueError(f"{path}: no row has an ingredient list in {list_column!r}")
    pairs = [
        (normalize_key(cell), product.key) for cell, product in zip(cells, products, strict=True)
    ]
    keyed = zip(products, duplicate_groups(pairs), strict=True)
    kept = without_repeats(replace(product, key=key) for product, key in keyed)
    counts.dropped["same list and label again"] = len(products) - len(kept)
    return kept, counts


def without_repeats(products: Iterable[Product]) -> list[Product]:
    """The first of those that have both list and label in common."""
    first: dict[tuple[str, str], Product] = {}
    for product in products:
        first.setdefault((product.key, product.label), product)
    return list(first.values())


def duplicate_groups(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """For each (key of the raw cell, key of the list read from it): the name of its group.

    A group is all that either key links, directly or through others: the same cell with other line
    breaks or separators may be read a little differently, and is the same list all the same.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for raw, clean in pairs:
        parent[root("cell " + raw)] = root("list " + clean)
    return [root("list " + clean) for _, clean in pairs]


# ---- label schemes -----------------------------------------------------------------------------


def read_label_map(path: str | Path | None, scheme: str) -> dict[str, str]:
    """labels.csv -> what each label of the files is called in one of `SCHEMES`.

    '' if it is no type.

    ValueError for a label that is there twice.
    """
    path = path or LABEL_TABLE
    table = read_table(path, ("label", "canonical", "group"))
    repeated = table["label"][table["label"].duplicated()]
    if len(repeated):
        raise ValueError(f"{path}: label {repeated.iloc[0]!r} is there twice")
    names = table["label" if scheme == "full" else scheme]
    return dict(zip(table["label"], names, strict=True))


def apply_label_scheme(
    splits: dict[str, list[Product]],
    names: dict[str, str],
    min_per_label: int,
    counts: ProductCounts,
) -> tuple[dict[str, list[Product]], ProductCounts]:
    """The products under the `names` of their labels (`read_label_map`), and what that drops.

    Left out are products without a name, and labels with fewer than `min_per_label` lists in all
    splits together. ValueError for fewer than two labels, a label with fewer lists than there are
    splits, and a split that would be empty.
    """
    named: dict[str, list[Product]] = {}
    unique: dict[str, list[Product]] = {}
    for split, products in splits.items():
        renamed = [replace(product, label=names[product.label]) for product in products]
        named[split] = [product for product in renamed if product.label]
        unique[split] = without_repeats(named[split])  # two labels of a list may now be one
    lists = Counter(product.label for products in unique.values() for product in products)
    rare = {label: n for label, n in lists.items() if n < min_per_label}
    kept = {
        split: [product for product in products if product.label not in rare]
        for split, products in unique.items()
    }

    num_given, num_named = _count(splits), _count(named)
    dropped = Counter(counts.dropped)
    num_before = counts.rows.total() - dropped.total()
    dropped["list that training has under another brand"] += num_before - num_given
    dropped["label is no product type"] += num_given - num_named
    dropped["same list and label again"] += num_named - lists.total()
    dropped["label with too few lists"] += sum(rare.values())

    _check_labels(lists, rare, min_per_label)
    empty = [split for split, products in kept.items() if not products]
    if empty:
        raise ValueError(
            f"{_count(kept)} products leave {' and '.join(empty)} empty: more lists are needed, "
            "with --split brand more brands"
        )
    return kept, ProductCounts(counts.rows, dropped, rare)


def _count(splits: dict[str, list[Product]]) -> int:
    return sum(map(len, splits.values()))


def _check_labels(lists: Counter, rare: dict[str, int], min_per_label: int) -> None:
    """ValueError for fewer than two labels, and for a label with fewer lists than splits."""
    num_labels = len(lists) - len(rare)
    if num_labels < 2:
        raise ValueError(
            f"only {num_labels} label(s) with at least --min-per-label {min_per_label} lists: "
            "nothing to tell apart"
        )
    few = sorted((label, n) for label, n in lists.items() if min_per_label <= n < len(SPLITS))
    if few:
        examples = ", ".join(f"{label!r} ({n})" for label, n in few[:5])
        raise ValueError(
            f"too few lists for {len(SPLITS)} splits: {examples}; raise --min-per-label to "
            f"{len(SPLITS)}"
        )


def texts(products: Iterable[Product]) -> list[str]:
    """What the model reads of each product."""
    return [product.text for product in products]


def label_list(splits: dict[str, list[Product]]) -> list[str]:
    """The labels in id order: sorted by name."""
    return sorted({product.label for products in splits.values() for product in products})
