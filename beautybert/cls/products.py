"""Labelled tables -> products with a name, an ingredient list or both.

Texts and label of a product are in one record from the row on. How files are read is settled in
table_files.py, what a cell means in ingredients.py and names.py, which products a run uses in
selection.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from beautybert.cls.columns import find_columns, first_cell, parse_columns
from beautybert.cls.ingredients import Ingredients, parse_ingredients
from beautybert.cls.names import SAYS_NOTHING, clean_label, clean_name, name_key, printed_list
from beautybert.cls.spellings import normalize_key
from beautybert.table_files import TableFile, encoding_note, listed, table_name
from beautybert.training import progress

INPUTS = ("name", "ingredients")  # what a model can read of a product, in the order of documents
SPLITS = {"train": 0.8, "valid": 0.1, "test": 0.1}
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
MAX_LISTED = 60  # labels in a message
# reasons why a row is dropped; for a row without any text the list reader has others
NO_NAME, NO_LIST = "no name", "no ingredient list"
REPEATED = "same name, list and label again"


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
    parts: how many products have a name alone, a list alone, or both. columns: what is read of each
    source. notes: what may be wrong with the tables.
    """

    rows: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    rare: dict[str, int] = field(default_factory=dict)
    untrained: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    parts: Counter = field(default_factory=Counter)
    columns: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        used = self.rows.total() - self.dropped.total()
        sources = ", ".join(f"{n:,} {source}" for source, n in self.rows.items())
        dropped = ", ".join(f"{n:,} {reason}" for reason, n in self.dropped.most_common() if n)
        lines = [f"{self.rows.total():,} rows ({sources}), {used:,} used"]
        lines[0] += f"; dropped: {dropped}" if dropped else ""
        lines += [f"  {source}: {columns}" for source, columns in self.columns.items()]
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
                "labels.csv that --label-table names, or give --labels full"
            )
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def _listed(counts: Mapping[str, int]) -> str:
    """Labels and their numbers for people, no more than fit some lines."""
    shown = [f"{label[:40]} ({n:,})" for label, n in sorted(counts.items())[:MAX_LISTED]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


# ---- reading -----------------------------------------------------------------------------------


def read_products(
    paths: Sequence[str | Path], columns: Sequence[str] = ()
) -> tuple[list[Product], ProductCounts]:
    """The products of some tables: rows with a label and at least one of name and list.

    columns: as --columns has them, "label=category", each in one table or more; else the headers
    decide. Of products with the same name, list and label the first is kept.
    ValueError for a table that cannot be read or has no usable row, a column that is in no table,
    labels of one table that differ in case alone, and a split of another name than `SPLIT_NAMES`.
    """
    sources = source_names(paths)
    tables = [TableFile(path) for path in paths]
    given = _columns_of_each(tables, parse_columns(columns))
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
        (*links, product.name_key) if product.name_key else links
        for product, links in zip(products, list_links, strict=True)
    )
    linked = [
        replace(product, list_key=list_key, group=group)
        for product, list_key, group in zip(products, list_keys, groups, strict=True)
    ]
    kept = without_repeats(linked)
    counts.dropped[REPEATED] = len(linked) - len(kept)
    counts.parts = count_parts(kept)
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
    bar = progress.bar(table, f"reading {source}", total=sum(1 for _ in table), unit="row")
    for row, cells in enumerate(bar):
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
            brand=clean_label(first_cell(cells, indices.get("brand", ()))).casefold(),
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
    used = {role: " or ".join(table.columns[i] for i in found) for role, found in indices.items()}
    counts.columns[source] = ", ".join(f"{role} from {names!r}" for role, names in used.items())
    counts.dropped += dropped
    products = [product for product, _ in read]
    _check_case(products, table)
    counts.notes += _table_notes(products, table, indices)
    return read


def _label(cells: Sequence[str], indices: Sequence[int]) -> str:
    """The first label that says something, trimmed."""
    labels = (clean_label(printed_list(cells[index])) for index in indices)
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
    return raw_key, ingredients.key or str(ingredients)


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


def count_parts(products: Iterable[Product]) -> Counter:
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
    notes = [encoding_note(table)] if encoding_note(table) else []
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


def texts(products: Iterable[Product], parts: Sequence[str] = INPUTS) -> list[str]:
    """Some of `INPUTS` of the products that have them, one of them after the other."""
    products = list(products)
    return [text for part in parts for p in products if (text := getattr(p, part))]
