"""Labelled tables -> products with a name, an ingredient list or both; label schemes.

Texts and label of a product are in one record from the row on. How files are read is settled in
table_files.py, what a list cell means in ingredients.py, which labels mean the same in
tables/labels.csv, who is in which split in splits.py.
"""

from __future__ import annotations

import html
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beautybert.cls.ingredients import Ingredients, parse_ingredients
from beautybert.cls.plain_text import INVISIBLE
from beautybert.cls.spellings import normalize_key
from beautybert.cls.table_files import TableFile, find_columns, first_cell, listed, table_name

LABEL_TABLE = Path(__file__).parent / "tables" / "labels.csv"
INPUTS = ("name", "ingredients")  # what a model can read of a product, in the order of documents
SCHEMES = ("full", "canonical", "group")
SPLITS = {"train": 0.8, "valid": 0.1, "test": 0.1}
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# a name or label that is none
SAYS_NOTHING = {"nan", "null", "none", "n/a", "na", "<na>", "unknown", "#name?"}
MAX_LISTED = 60  # labels in a message
MAX_NAME = 1000  # characters; the longest real names have 200
TRADE_SIGNS = str.maketrans("", "", "™®©°℠℗")
# reasons why a row is dropped; for a row without any text the list reader has others
NO_NAME, NO_LIST = "no name", "no ingredient list"
REPEATED = "same name, list and label again"
OTHER_BRAND = "name or list that training has under another brand"


@dataclass(frozen=True)
class Product:
    """One usable row.

    source: name of its table. row: 0-based in it. label: as in the table. brand: in lower case.
    name, ingredients: what the model reads, '' if missing. list_key, name_key: equal for the same
    list or name in another spelling, '' if missing. group: equal for products that a list or a name
    links, directly or through others. split: what the table says, '' if nothing.
    """

    source: str
    row: int
    label: str
    brand: str
    name: str
    ingredients: str
    list_key: str
    name_key: str
    group: str
    split: str = ""


@dataclass
class ProductCounts:
    """What became of the rows.

    rows: of each source. dropped: by reason. rare: products of each label that has too few.
    untrained: of each label without training. unknown: of each that the label table does not know.
    parts: how many products have a name alone, a list alone, or both. notes: what may be wrong with
    the tables.
    """

    rows: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    rare: dict[str, int] = field(default_factory=dict)
    untrained: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    parts: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        used = self.rows.total() - self.dropped.total()
        sources = ", ".join(f"{n:,} {source}" for source, n in self.rows.items())
        dropped = ", ".join(f"{n:,} {reason}" for reason, n in self.dropped.most_common() if n)
        lines = [f"{self.rows.total():,} rows ({sources}), {used:,} used"]
        lines[0] += f"; dropped: {dropped}" if dropped else ""
        if self.parts:
            parts = ", ".join(f"{n:,} with {part}" for part, n in self.parts.most_common())
            lines.append(f"  {parts}")
        if self.rare:
            lines.append(f"  {len(self.rare)} labels with too few products: {_listed(self.rare)}")
        if self.untrained:
            labels = _listed(self.untrained)
            lines.append(
                f"  {len(self.untrained)} labels of validation and test without training: {labels}"
            )
        if self.unknown:
            lines.append(
                f"  {len(self.unknown)} labels that the label table does not know: "
                f"{_listed(self.unknown)}; to use them, add a line for each to a copy of "
                f"{LABEL_TABLE.name} that --label-table names, or give --labels full"
            )
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def _listed(counts: Mapping[str, int]) -> str:
    """Labels and their numbers for people, no more than fit some lines."""
    shown = [f"{label[:40]} ({n:,})" for label, n in sorted(counts.items())[:MAX_LISTED]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


# ---- reading -----------------------------------------------------------------------------------


def read_products(
    paths: Sequence[str | Path], columns: Mapping[str, str] | None = None
) -> tuple[list[Product], ProductCounts]:
    """The products of some tables: rows with a label and at least one of name and list.

    columns: the column of a role, as `table_files.parse_columns` gives them, in one table or more;
    else the headers decide. Of products with the same name, list and label the first is kept.
    ValueError for a table that cannot be read or has no usable row, a column that is in no table,
    labels of one table that differ in case alone, and a split of another name than `SPLIT_NAMES`.
    """
    sources = source_names(paths)
    tables = [TableFile(path) for path in paths]
    given = _columns_of_each(tables, columns or {})
    counts = ProductCounts()
    products: list[Product] = []
    list_links: list[tuple[str, ...]] = []
    for table, source, given_here in zip(tables, sources, given, strict=True):
        indices = find_columns(table, given_here, needed=["label"])
        read = _read_table(table, source, indices, counts)
        products += [product for product, _ in read]
        list_links += [links for _, links in read]
    counts.notes += _other_case_notes(products)
    list_keys = duplicate_groups(list_links)
    groups = duplicate_groups(
        (*links, "name " + product.name_key) if product.name_key else links
        for product, links in zip(products, list_links, strict=True)
    )
    linked = [
        replace(product, list_key=list_key, group=group)
        for product, list_key, group in zip(products, list_keys, groups, strict=True)
    ]
    kept = without_repeats(linked)
    counts.dropped[REPEATED] = len(linked) - len(kept)
    counts.parts = _count_parts(kept)
    return kept, counts


def source_names(paths: Sequence[str | Path]) -> list[str]:
    """The name of each table: its file's without ending, with the folder where two are equal."""
    names = [table_name(path) for path in paths]
    repeated = {name for name, n in Counter(names).items() if n > 1}
    for i, path in enumerate(paths):
        if names[i] in repeated:
            names[i] = f"{Path(path).resolve().parent.name}/{names[i]}"
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ValueError(f"--data: two tables have the name {listed(twice)}; rename one")
    return names


def _columns_of_each(
    tables: Sequence[TableFile], columns: Mapping[str, str]
) -> list[dict[str, str]]:
    """For each table, the given columns that it has; ValueError for one that no table has."""
    given: list[dict[str, str]] = [{} for _ in tables]
    for role, column in columns.items():
        having = [i for i, table in enumerate(tables) if table.index_of(column) is not None]
        if not having:
            there = "; ".join(f"{table.path} has {listed(table.columns)}" for table in tables)
            raise ValueError(f"--columns {role}={column}: no table has that column; {there}")
        for i in having:
            given[i][role] = column
    return given


def _read_table(
    table: TableFile, source: str, indices: Mapping[str, Sequence[int]], counts: ProductCounts
) -> list[tuple[Product, tuple[str, ...]]]:
    """The products of a table, each with the keys of its list that link it to others.

    Counts the rows and what is dropped, and notes what may be wrong.
    """
    if "name" not in indices and "ingredients" not in indices:
        raise ValueError(
            f"{table.path} has neither a name nor an ingredients column that is known; name one "
            f"with --columns name=COLUMN ingredients=COLUMN. It has {listed(table.columns)}"
        )
    read = []
    dropped: Counter = Counter()
    num_rows = 0
    for row, cells in enumerate(table):
        num_rows += 1
        if table.is_header(cells):
            dropped["header again"] += 1
            continue
        label = _label(cells, indices["label"])
        if not label:
            dropped["no label"] += 1
            continue
        name = clean_name(first_cell(cells, indices.get("name", ())))
        list_cell = first_cell(cells, indices.get("ingredients", ()))
        ingredients = parse_ingredients(list_cell)
        if not name and ingredients.reason:
            dropped[ingredients.reason if "ingredients" in indices else NO_NAME] += 1
            continue
        product = Product(
            source=source,
            row=row,
            label=label,
            brand=" ".join(first_cell(cells, indices.get("brand", ())).casefold().split()),
            name=name,
            ingredients=str(ingredients),
            list_key="",  # what links lists and products is settled over all tables
            name_key=name_key(name),
            group="",
            split=_split(first_cell(cells, indices.get("split", ())), table, row),
        )
        read.append((product, _list_links(list_cell, ingredients)))
    if not num_rows:
        raise ValueError(f"{table.path} has a header and no rows")
    if not read:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.most_common())
        used = {role: listed(table.columns[i] for i in indices[role]) for role in indices}
        columns = ", ".join(f"{role} {names}" for role, names in used.items())
        raise ValueError(f"{table.path}: no row can be used ({reasons}); columns: {columns}")
    counts.rows[source] += num_rows
    counts.dropped += dropped
    products = [product for product, _ in read]
    _check_case(products, table)
    counts.notes += _table_notes(products, table, indices)
    return read


def clean_name(cell: str) -> str:
    """What the model reads of a name: without entities and invisible signs, on one line, NFC.

    '' for a cell that says that there is none.
    """
    text = INVISIBLE.sub("", html.unescape(html.unescape(cell[:MAX_NAME])))
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    is_missing = text.casefold() in SAYS_NOTHING or not any(map(str.isalnum, text))
    return "" if is_missing else text


def name_key(name: str) -> str:
    """Equal for names that differ in case, punctuation, accents and trade signs alone.

    It is `normalize_key` with the letters of all scripts.
    """
    plain = unicodedata.normalize("NFKD", name.translate(TRADE_SIGNS)).casefold()
    if plain.isascii():
        return normalize_key(plain)
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    # marks that are no accents, as the vowel signs of Thai and Hindi, are letters
    kept = (c if unicodedata.category(c)[0] in "LNM" else " " for c in letters)
    return " ".join("".join(kept).split()) or name.casefold()


def _label(cells: Sequence[str], indices: Sequence[int]) -> str:
    """The first label that says something, trimmed."""
    labels = (" ".join(cells[index].split()) for index in indices)
    return next((label for label in labels if label.casefold() not in {"", *SAYS_NOTHING}), "")


def _split(cell: str, table: TableFile, row: int) -> str:
    value = cell.strip()
    if value and value.casefold() not in SPLIT_NAMES:
        raise ValueError(
            f"{table.path}, row {row:,}: split {value[:40]!r} is none of {', '.join(SPLIT_NAMES)}"
        )
    return SPLIT_NAMES[value.casefold()] if value else ""


def _list_links(cell: str, ingredients: Ingredients) -> tuple[str, ...]:
    """What the same list in another spelling has in common with it; nothing without a list.

    The same cell with other line breaks or separators may be read a little differently, and is the
    same list all the same.
    """
    if ingredients.reason:
        return ()
    raw_key = normalize_key(cell) or cell
    return "cell " + raw_key, "list " + (ingredients.key or str(ingredients))


def duplicate_groups(links: Iterable[Sequence[str]]) -> list[str]:
    """For each product's keys: the name of its group; '' if it has none.

    A group is all that a key links, directly or through others. Its name is the first of its keys
    in alphabetical order, whatever the order of the products (union-find with path halving).
    """
    links = list(links)
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for keys in links:
        for key in keys:
            one, other = sorted((root(keys[0]), root(key)))
            parent[other] = one
    return [root(keys[0]) if keys else "" for keys in links]


def without_repeats(products: Iterable[Product]) -> list[Product]:
    """The first of the products that are equal in name, list, label and split of their own."""
    first: dict[tuple[str, ...], Product] = {}
    for product in products:
        key = (product.name_key, product.list_key, product.label, product.split)
        first.setdefault(key, product)
    return list(first.values())


def _count_parts(products: Iterable[Product]) -> Counter:
    """How many products have which of the texts."""
    kinds = {(True, True): "name and list", (True, False): "name only", (False, True): "list only"}
    return Counter(kinds[bool(product.name), bool(product.ingredients)] for product in products)


# ---- what may be wrong with tables -------------------------------------------------------------


def _check_case(products: Sequence[Product], table: TableFile) -> None:
    """ValueError for labels of a table that differ in case alone."""
    spellings = _spellings(product.label for product in products)
    if spellings:
        examples = "; ".join(listed(sorted(names)) for names in spellings[:10])
        raise ValueError(
            f"{table.path} has labels that differ in case alone: {examples}; write each one way"
        )


def _spellings(labels: Iterable[str]) -> list[set[str]]:
    """Labels that are the same but for case, together."""
    by_key: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        by_key[label.casefold()].add(label)
    return [names for names in by_key.values() if len(names) > 1]


def _other_case_notes(products: Sequence[Product]) -> list[str]:
    """A note where labels of different tables differ in case alone."""
    return [
        f"{listed(sorted(names))} are labels of different tables; --labels full keeps them apart"
        for names in _spellings(product.label for product in products)
    ]


def _table_notes(
    products: Sequence[Product], table: TableFile, indices: Mapping[str, Sequence[int]]
) -> list[str]:
    """Notes on rows with too few cells, and on a column that is there and gives nothing."""
    notes = []
    if table.num_short:
        notes.append(
            f"{table.path}: {table.num_short:,} rows have fewer cells than the header; the missing "
            "ones are read as empty"
        )
    for part, what in (("name", "a name"), ("ingredients", "an ingredient list")):
        if part in indices and not texts(products, [part]):
            column = listed(table.columns[i] for i in indices[part])
            notes.append(f"{table.path}: no row with a label has {what} in the column {column}")
    return notes


# ---- what the model reads ----------------------------------------------------------------------


def choose_inputs(products: Sequence[Product], asked: Sequence[str] | None) -> tuple[str, ...]:
    """The parts that a model reads, in the order of `INPUTS`: as asked, else all that there are.

    ValueError for a part that is none of `INPUTS`, or that no product has.
    """
    there = [part for part in INPUTS if texts(products, [part])]
    for part in asked or ():
        if part not in INPUTS:
            raise ValueError(f"--inputs {part}: a product has {' and '.join(INPUTS)}")
        if part not in there:
            raise ValueError(
                f"--inputs {part}: no row of the tables has it; they have {', '.join(there)}. Is "
                f"it in another column? Name it with --columns {part}=COLUMN"
            )
    return tuple(part for part in there if not asked or part in asked)


def select_inputs(
    splits: dict[str, list[Product]], inputs: Sequence[str], counts: ProductCounts
) -> tuple[dict[str, list[Product]], ProductCounts]:
    """The products with nothing but what a model reads of them, and what that drops.

    Left out are those that have none of it, and what is now the same twice in a split.
    """
    assert set(inputs) <= set(INPUTS) and inputs
    dropped = _drop_other_brands(splits, counts)
    no_name: dict[str, Any] = {} if "name" in inputs else {"name": "", "name_key": ""}
    no_list: dict[str, Any] = {} if "ingredients" in inputs else {"ingredients": "", "list_key": ""}
    reason = NO_LIST if no_name else NO_NAME
    kept = {}
    for split, products in splits.items():
        blanked = [replace(product, **no_name, **no_list) for product in products]
        readable = [product for product in blanked if product.name or product.ingredients]
        kept[split] = without_repeats(readable)
        dropped[reason] += len(products) - len(readable)
        dropped[REPEATED] += len(readable) - len(kept[split])
    parts = _count_parts(product for products in kept.values() for product in products)
    return kept, replace(counts, dropped=dropped, parts=parts)


def texts(products: Iterable[Product], parts: Sequence[str] = INPUTS) -> list[str]:
    """Some of `INPUTS` of the products that have them, one of them after the other."""
    products = list(products)
    return [text for part in parts for p in products if (text := getattr(p, part))]


def select(
    splits: dict[str, list[Product]],
    inputs: Sequence[str],
    scheme: str,
    label_table: str | Path | None,
    min_per_label: int,
    counts: ProductCounts,
) -> tuple[dict[str, list[Product]], ProductCounts]:
    """The products of a run: with the texts of --inputs, under the names of --labels.

    It is `select_inputs` and then `apply_label_scheme`; their errors are its own.
    """
    everything = [product for products in splits.values() for product in products]
    splits, counts = select_inputs(splits, choose_inputs(everything, inputs), counts)
    names = label_names(everything, label_table, scheme)
    return apply_label_scheme(splits, names, min_per_label, counts)


# ---- label schemes -----------------------------------------------------------------------------


def read_label_table(path: str | Path | None = None) -> dict[str, tuple[str, str]]:
    """labels.csv -> the canonical name and the group of each label, '' if it is no product type.

    ValueError for a label that is there twice, and a missing column.
    """
    table = TableFile(path or LABEL_TABLE)
    columns = []
    for column in ("label", "canonical", "group"):
        index = table.index_of(column)
        if index is None:
            raise ValueError(f"{table.path} has no column {column}; it has {listed(table.columns)}")
        columns.append(index)
    labels: dict[str, tuple[str, str]] = {}
    for row in table:
        label, canonical, group = (row[index].strip() for index in columns)
        if not label:
            continue
        if label in labels:
            raise ValueError(f"{table.path}: label {label!r} is there twice")
        labels[label] = (canonical, group)
    return labels


def label_names(
    products: Iterable[Product], path: str | Path | None, scheme: str
) -> dict[str, str | None]:
    """What each label of the products is called in one of `SCHEMES`.

    '' if the label table (`path`, or ours) says that it is no product type, None if it does not
    know it. A label that it has in another case only is known. "full" keeps all labels. ValueError
    if it knows none.
    """
    labels = sorted({product.label for product in products})
    if scheme == "full":
        return {label: label for label in labels}
    index = SCHEMES.index(scheme) - 1
    table = read_label_table(path)
    by_key = {label.casefold(): names for label, names in reversed(table.items())}
    found = {label: table.get(label) or by_key.get(label.casefold()) for label in labels}
    if not any(found.values()):
        raise ValueError(
            f"{path or LABEL_TABLE} knows no label of the tables ({listed(labels)}): use --labels "
            "full, or name a label table of your own with --label-table"
        )
    return {label: names and names[index] for label, names in found.items()}


def family_of(labels: Iterable[str], path: str | Path | None = None) -> dict[str, str]:
    """The group of labels, of their own or of canonical names; '' for those that are not known.

    A group is its own.
    """
    table = read_label_table(path)
    groups = {group.casefold(): group for _, group in table.values()}
    groups |= {label.casefold(): group for label, (_, group) in table.items()}
    groups |= {canonical.casefold(): group for canonical, group in table.values() if canonical}
    return {label: groups.get(label.casefold(), "") for label in labels}


def apply_label_scheme(
    splits: dict[str, list[Product]],
    names: Mapping[str, str | None],
    min_per_label: int,
    counts: ProductCounts,
) -> tuple[dict[str, list[Product]], ProductCounts]:
    """The products under the `names` of their labels (`label_names`), and what that drops.

    Left out are products without a name for their label, and labels with fewer than `min_per_label`
    products in all splits together or none in training. ValueError for fewer than two labels, a
    label with fewer products than there are splits, and a split that would be empty.
    """
    dropped = _drop_other_brands(splits, counts)
    unknown: Counter = Counter()
    unique: dict[str, list[Product]] = {}
    for split, products in splits.items():
        unknown.update(product.label for product in products if names[product.label] is None)
        named = [replace(p, label=name) for p in products if (name := names[p.label])]
        unique[split] = without_repeats(named)  # two labels of a product may now be one
        dropped["label is no product type"] += sum(names[p.label] == "" for p in products)
        dropped[REPEATED] += len(named) - len(unique[split])
    dropped["label unknown to the label table"] += unknown.total()

    everything = [product for products in unique.values() for product in products]
    sizes = Counter(product.label for product in everything)
    trained = {product.label for product in unique["train"]}
    untrained = {label: n for label, n in sizes.items() if label not in trained}
    rare = {label: n for label, n in sizes.items() if n < min_per_label and label in trained}
    dropped["label with too few products"] += sum(rare.values())
    dropped["label without a product in training"] += sum(untrained.values())
    has_own_splits = any(product.split for product in everything)
    of_training = Counter({label: n for label, n in sizes.items() if label in trained})
    _check_labels(of_training, min_per_label, has_own_splits)
    kept = {
        split: [p for p in products if p.label not in rare and p.label not in untrained]
        for split, products in unique.items()
    }
    _check_not_empty(kept, has_own_splits)
    counts = replace(
        counts,
        dropped=dropped,
        rare=rare,
        untrained=untrained,
        unknown=dict(unknown),
        parts=_count_parts(product for products in kept.values() for product in products),
        notes=counts.notes + _overlap_notes(everything),
    )
    return kept, counts


def _drop_other_brands(splits: dict[str, list[Product]], counts: ProductCounts) -> Counter:
    """What was dropped so far, with what a split by brand has left out since."""
    dropped = Counter(counts.dropped)
    num_before = counts.rows.total() - dropped.total()
    dropped[OTHER_BRAND] += num_before - sum(map(len, splits.values()))
    return dropped


def _check_labels(sizes: Counter, min_per_label: int, has_own_splits: bool) -> None:
    """ValueError for fewer than two labels, and for a label with fewer products than splits.

    A table that says itself who is in which split is not asked for the latter.
    """
    num_labels = sum(n >= min_per_label for n in sizes.values())
    if num_labels < 2:
        raise ValueError(
            f"only {num_labels} label(s) with at least --min-per-label {min_per_label} products: "
            "nothing to tell apart"
        )
    few = sorted((label, n) for label, n in sizes.items() if min_per_label <= n < len(SPLITS))
    if few and not has_own_splits:
        examples = ", ".join(f"{label!r} ({n})" for label, n in few[:5])
        raise ValueError(
            f"too few products for {len(SPLITS)} splits: {examples}; raise --min-per-label to "
            f"{len(SPLITS)}"
        )


def _check_not_empty(splits: dict[str, list[Product]], has_own_splits: bool) -> None:
    """ValueError for a split without products."""
    empty = " and ".join(split for split, products in splits.items() if not products)
    if empty:
        num_products = sum(map(len, splits.values()))
        what = "more products are needed, with --split brand more brands"
        if has_own_splits:
            what = "the split column gives them none that can be used"
        raise ValueError(f"{num_products} products leave {empty} empty: {what}")


def _overlap_notes(products: Iterable[Product]) -> list[str]:
    """A note on tables that have no label in common with another one."""
    labels: dict[str, set[str]] = defaultdict(set)
    for product in products:
        labels[product.source].add(product.label)
    tables_with = Counter(label for own in labels.values() for label in own)
    apart = [name for name, own in labels.items() if all(tables_with[label] == 1 for label in own)]
    if len(labels) < 2 or not apart:
        return []
    return [f"no label of {listed(apart)} is in another table"]


def label_list(splits: dict[str, list[Product]]) -> list[str]:
    """The labels in id order: sorted by name."""
    return sorted({product.label for products in splits.values() for product in products})
