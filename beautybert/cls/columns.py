"""Which columns of a table hold the label, the name, the ingredient list: by header or as named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from beautybert.table_files import TableFile, header_key, listed, shown

# what each column may be called; the first that a table has is taken
HEADERS = {
    "label": ("label", "category"),
    "ingredients": ("ingredients", "inci", "ingredient list", "ingredients list", "inci list"),
    "name": ("name", "product name", "title", "product title", "product"),
    "brand": ("brand", "brand name", "maker", "manufacturer"),
    "split": (),  # never found by its header
}
ROLES = tuple(HEADERS)
# of product_info.csv, where there is no other label: the finest level that a row has
LABEL_LEVELS = ("tertiary category", "secondary category", "primary category")


def parse_columns(options: Sequence[str]) -> dict[str, str]:
    """--columns label=category name=title -> {"label": "category", "name": "title"}.

    ValueError for a role that is none of `ROLES` or is given twice, and a column given twice.
    """
    columns: dict[str, str] = {}
    for option in options:
        role, equals, column = (part.strip() for part in option.partition("="))
        if not equals or not column:
            raise ValueError(f"--columns {shown(option)}: give role=COLUMN, as label=category")
        if role not in ROLES:
            raise ValueError(f"--columns {shown(option)}: the roles are {', '.join(ROLES)}")
        if role in columns:
            raise ValueError(f"--columns names the {role} column twice")
        if header_key(column) in map(header_key, columns.values()):
            raise ValueError(f"--columns gives two roles to the column {shown(column)}")
        columns[role] = column
    return columns


def find_columns(
    table: TableFile, given: Mapping[str, str], needed: Sequence[str] = ()
) -> dict[str, tuple[int, ...]]:
    """The column of each of `ROLES` that the table has: as given, else by `HEADERS`.

    A label may have several columns, the finest first (`first_cell`). ValueError for a given column
    that is not there, and for a needed role without a column.
    """
    found: dict[str, tuple[int, ...]] = {}
    for role, column in given.items():
        index = table.index_of(column)
        if index is None:
            raise ValueError(
                f"{table.path} has no column {shown(column)} for {role}; it has "
                f"{listed(table.columns)}"
            )
        found[role] = (index,)
    taken = [index for indices in found.values() for index in indices]
    for role, headers in HEADERS.items():
        if role not in found:
            indices = _indices(table, headers, taken)[:1]
            if role == "label" and not indices:
                indices = _indices(table, LABEL_LEVELS, taken)
            if indices:
                found[role] = tuple(indices)
    for role in needed:
        if role not in found:
            raise ValueError(
                f"{table.path} has no column that is known to hold the {role}; name one with "
                f"--columns {role}=COLUMN. It has {listed(table.columns)}"
            )
    return found


def first_cell(row: Sequence[str], indices: Iterable[int]) -> str:
    """The first of some cells of a row that is not blank; '' if none is."""
    return next((row[index] for index in indices if row[index].strip()), "")


def _indices(table: TableFile, headers: Sequence[str], taken: Sequence[int]) -> list[int]:
    """The columns with some headers, in their order, without those that are taken."""
    indices = [table.index_of(header) for header in headers]
    return [index for index in indices if index is not None and index not in taken]
