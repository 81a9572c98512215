"""The two labelled tables -> products with a clean ingredient list and a label -> training, validation and test.

Text and label of a product travel in one record from the row on. What a cell means is settled in ingredients.py; which labels mean
the same in data/labels.csv.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from beautybert.ingredients import letters_of, parse_ingredients

SOURCES = {
    "cosmetics": ("Label", "Brand", "Ingredients"),
    "sephora": ("category", "brand", "ingredients"),
}  # columns: label, brand, list
SCHEMES = ("full", "canonical", "group")
SPLITS = {"train": 0.8, "valid": 0.1, "test": 0.1}
ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")  # the last one reads anything


@dataclass(frozen=True)
class Product:
    """One usable row. row: 0-based in its source file. text: what the model reads. key: equal for the same list in another spelling."""

    source: str
    row: int
    brand: str
    text: str
    key: str
    label: str


@dataclass
class ProductCounts:
    """What became of the rows: how many of each source, dropped[reason] and, of labels with too few lists, the number of lists of each."""

    rows: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    rare: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        read = sum(self.rows.values())
        lines = [
            f"{read:,} rows ({', '.join(f'{n:,} {source}' for source, n in self.rows.items())}), {read - sum(self.dropped.values()):,} used; dropped: "
            + ", ".join(f"{n:,} {reason}" for reason, n in self.dropped.most_common() if n)
        ]
        if self.rare:
            lines.append(
                f"  {len(self.rare)} labels with too few lists: "
                + ", ".join(f"{label} ({n})" for label, n in sorted(self.rare.items()))
            )
        return "\n".join(lines)


# ---------------------------------------------------------------------------------------------- reading


def read_table(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV file as text cells, in the first of `ENCODINGS` that reads it. Empty cells are ''.

    ValueError for a missing, empty or broken file, and for missing columns, with those that are there.
    """
    for encoding in ENCODINGS:
        try:
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, encoding=encoding, index_col=False
            )
            break
        except UnicodeDecodeError:
            continue
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, IsADirectoryError) as error:
            raise ValueError(f"{path} is no readable CSV: {error}") from None
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(table.columns)}"
        )
    return table


def read_label_map(path: str | Path, scheme: str) -> dict[str, str]:
    """data/labels.csv -> what each label of the files is called in a scheme of `SCHEMES`; '' where it is no product type.

    ValueError for a label that stands there twice.
    """
    table = read_table(path, ("label", "canonical", "group"))
    repeated = table["label"][table["label"].duplicated()]
    if len(repeated):
        raise ValueError(f"{path}: label {repeated.iloc[0]!r} stands there twice")
    return dict(zip(table["label"], table["label" if scheme == "full" else scheme]))


def read_products(
    cosmetics: str | Path, sephora: str | Path, label_table: str | Path
) -> tuple[list[Product], ProductCounts]:
    """Every list once for each label that the files give it.

    ValueError for an unreadable table, a label that `label_table` does not know, a table without any list.
    """
    known, counts, products, cells = read_label_map(label_table, "full"), ProductCounts(), [], []
    for (source, (label_column, brand_column, list_column)), path in zip(
        SOURCES.items(), (cosmetics, sephora)
    ):
        table = read_table(path, SOURCES[source])
        unknown = sorted(set(table[label_column]) - set(known))
        if unknown:
            raise ValueError(
                f"{path}: label {', '.join(map(repr, unknown[:5]))} is not in {label_table}; add a line with its canonical name and group there"
            )
        before = len(products)
        for row, (label, brand, cell) in enumerate(
            zip(table[label_column], table[brand_column], table[list_column])
        ):
            counts.rows[source] += 1
            ingredients = parse_ingredients(cell)
            if ingredients.reason:
                counts.dropped[ingredients.reason] += 1
                continue
            products.append(
                Product(
                    source, row, brand.casefold().strip(), str(ingredients), ingredients.key, label
                )
            )
            cells.append(cell)
        if len(products) == before:
            raise ValueError(f"{path}: no row has an ingredient list in {list_column!r}")
    keys = linked_keys([(letters_of(cell), product.key) for cell, product in zip(cells, products)])
    kept = without_repeats(replace(product, key=key) for product, key in zip(products, keys))
    counts.dropped["same list and label again"] = len(products) - len(kept)
    return kept, counts


def without_repeats(products: Iterable[Product]) -> list[Product]:
    """The first of those that have both list and label in common."""
    first: dict[tuple[str, str], Product] = {}
    for product in products:
        first.setdefault((product.key, product.label), product)
    return list(first.values())


def linked_keys(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """For (letters of the raw cell, key of the list read from it): one key for all that are linked by either, directly or through others.

    The same cell with other line breaks or separators may be read a little differently; it is the same list all the same.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for raw, clean in pairs:
        parent[root("cell " + raw)] = root("list " + clean)
    return [root("list " + clean) for _, clean in pairs]


# ---------------------------------------------------------------------------------------------- splitting


def split_products(
    products: Sequence[Product], by: str, rng: np.random.Generator
) -> dict[str, list[Product]]:
    """Training, validation and test in the shares of `SPLITS`, stratified by label, with no list (by 'list') or no brand ('brand') on two sides.

    Groups of products are dealt out by iterative stratification (Sechidis et al. 2011): the rarest label first, each group to the
    side that still wants that label most. Every label is in training. Splitting by brand, a product of validation or test whose list
    also stands in training is left out. The labels are those of the files: which of them a run merges or drops comes later
    (`relabel`), so that a list is on the same side under every scheme.
    """
    assert by in ("list", "brand")
    groups: dict[str, list[Product]] = defaultdict(list)
    for product in products:
        groups[product.key if by == "list" else product.brand].append(product)
    side_of = _deal(groups, rng)
    sides: dict[str, list[Product]] = {side: [] for side in SPLITS}
    for product in products:
        sides[side_of[product.key if by == "list" else product.brand]].append(product)
    if by == "brand":
        trained = {product.key for product in sides["train"]}
        sides["valid"] = [product for product in sides["valid"] if product.key not in trained]
        seen = trained | {product.key for product in sides["valid"]}
        sides["test"] = [product for product in sides["test"] if product.key not in seen]
    return sides


def _deal(groups: dict[str, list[Product]], rng: np.random.Generator) -> dict[str, str]:
    """Group name -> side."""
    names = sorted(groups)
    names = [names[i] for i in rng.permutation(len(names))]
    having: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for label in {product.label: None for product in groups[name]}:
            having[label].append(name)
    totals = Counter(product.label for group in groups.values() for product in group)
    wanted = {
        label: {side: share * n for side, share in SPLITS.items()} for label, n in totals.items()
    }
    room = {side: share * sum(totals.values()) for side, share in SPLITS.items()}
    side_of: dict[str, str] = {}
    for label in sorted(totals, key=lambda label: (totals[label], label)):
        for name in having[label]:
            if name in side_of:
                continue
            side = max(SPLITS, key=lambda side: (wanted[label][side], room[side]))
            side_of[name] = side
            room[side] -= len(groups[name])
            for product in groups[name]:
                wanted[product.label][side] -= 1
    for (
        label,
        members,
    ) in having.items():  # a label whose groups all went elsewhere for the sake of another label
        if not any(side_of[name] == "train" for name in members):
            side_of[members[0]] = "train"
    return side_of


def relabel(
    sides: dict[str, list[Product]],
    names: dict[str, str],
    min_per_label: int,
    counts: ProductCounts,
) -> tuple[dict[str, list[Product]], ProductCounts]:
    """The products under the `names` of their labels (`read_label_map`), and `counts` with what that costs: products without a name, and
    labels with fewer than `min_per_label` lists on all sides together, are left out.

    ValueError for fewer than two labels, a label with fewer lists than there are sides, and a side that would be empty.
    """
    given = sum(map(len, sides.values()))
    named = {
        side: [
            replace(product, label=names[product.label])
            for product in products
            if names[product.label]
        ]
        for side, products in sides.items()
    }
    unique = {
        side: without_repeats(products) for side, products in named.items()
    }  # two labels of one list may have got the same name
    lists = Counter(product.label for products in unique.values() for product in products)
    rare = {label: n for label, n in lists.items() if n < min_per_label}
    kept = {
        side: [product for product in products if product.label not in rare]
        for side, products in unique.items()
    }

    dropped = Counter(counts.dropped)
    dropped["list that training has under another brand"] += (
        counts.rows.total() - dropped.total() - given
    )
    dropped["label is no product type"] += given - sum(map(len, named.values()))
    dropped["same list and label again"] += sum(map(len, named.values())) - lists.total()
    dropped["label with too few lists"] += sum(rare.values())

    if len(lists) - len(rare) < 2:
        raise ValueError(
            f"only {len(lists) - len(rare)} label(s) with at least --min-per-label {min_per_label} lists: nothing to tell apart"
        )
    few = {label: n for label, n in lists.items() if min_per_label <= n < len(SPLITS)}
    if few:
        examples = ", ".join(f"{label!r} ({n})" for label, n in sorted(few.items())[:5])
        raise ValueError(
            f"too few lists for {len(SPLITS)} sides: {examples}; raise --min-per-label to {len(SPLITS)}"
        )
    empty = [side for side, products in kept.items() if not products]
    if empty:
        raise ValueError(
            f"{sum(map(len, kept.values()))} products leave {' and '.join(empty)} empty: more lists are needed, with --split brand more brands"
        )
    return kept, ProductCounts(counts.rows, dropped, rare)


def check_unread(run_folder: Path, products: Iterable[Product]) -> None:
    """ValueError if the model of a run was trained on a list of the `products`, which are to be held out.

    Looked at are the train_lists.txt of a train_cls.py run and the .txt files that a train_mlm.py run was given, of this run and of those that it
    began from (--init), as far as they are still there.
    """
    held_out, folder, seen = {letters_of(product.text) for product in products}, run_folder, set()
    while folder not in seen:
        seen.add(folder)
        try:
            config = json.loads((folder / "run.json").read_text(encoding="utf-8"))["config"]
            paths, before = config.get("data", []), Path(config.get("init", ""))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # no run of ours
        for path in (*paths, str(folder / "train_lists.txt")):
            if path.endswith(".txt") and Path(path).is_file():
                read = held_out.intersection(
                    map(
                        letters_of,
                        Path(path).read_text(encoding="utf-8", errors="replace").splitlines(),
                    )
                )
                if read:
                    raise ValueError(
                        f"{folder} was trained on {path}, which holds {len(read):,} lists of this run's validation and test sides; "
                        "use the --split and --split-seed of the run that wrote it"
                    )
        folder = before


def splits_fingerprint(sides: dict[str, list[Product]]) -> str:
    """A hash of every product, its text, label and side: of all that the files, the cleaning and the split decide."""
    rows = [
        (side, p.source, p.row, p.label, p.text)
        for side, products in sides.items()
        for p in products
    ]
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()


def check_splits(sides: dict[str, list[Product]], by: str) -> str:
    """What is printed at every start: sizes, shares, labels, overlap. An AssertionError if a list or brand stands on two sides or a label is untrained."""
    sizes = {side: len(products) for side, products in sides.items()}
    keys = {side: {product.key for product in products} for side, products in sides.items()}
    brands = {side: {product.brand for product in products} for side, products in sides.items()}
    labels = {side: {product.label for product in products} for side, products in sides.items()}
    pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
    overlap = sum(len(keys[one] & keys[other]) for one, other in pairs)
    shared_brands = sum(len(brands[one] & brands[other]) for one, other in pairs)
    untrained = (labels["valid"] | labels["test"]) - labels["train"]
    assert not overlap and not untrained and not (by == "brand" and shared_brands)
    total = sum(sizes.values())
    return (
        f"{', '.join(f'{side} {n:,} ({n / total:.1%})' for side, n in sizes.items())}; {len(labels['train'])} labels, "
        f"{len(labels['test'])} of them in test; "
        f"lists on two sides {overlap}, labels without training {len(untrained)}"
        + (f", brands on two sides {shared_brands}" if by == "brand" else "")
    )


def label_list(sides: dict[str, list[Product]]) -> list[str]:
    """The labels in id order: sorted by name."""
    return sorted({product.label for products in sides.values() for product in products})
