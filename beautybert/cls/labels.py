"""What labels are called: the label table (tables/labels.csv) that merges and groups them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from beautybert.cls.names import clean_label
from beautybert.cls.products import Product
from beautybert.table_files import TableFile, listed, shown

LABEL_TABLE = Path(__file__).parent / "tables" / "labels.csv"
MERGING = ("canonical", "group")  # the schemes that merge labels: columns of the label table


def read_label_table(path: str | Path | None = None) -> dict[str, tuple[str, str]]:
    """labels.csv -> the canonical name and the group of each label, '' if it is no product type.

    ValueError for a label that is there twice, and a missing column.
    """
    table = TableFile(path or LABEL_TABLE)
    columns = []
    for column in ("label", *MERGING):
        index = table.index_of(column)
        if index is None:
            raise ValueError(f"{table.path} has no column {column}; it has {listed(table.columns)}")
        columns.append(index)
    labels: dict[str, tuple[str, str]] = {}
    for row in table:
        label, canonical, group = (clean_label(row[index]) for index in columns)
        if not label:
            continue
        if label in labels:
            raise ValueError(f"{table.path}: label {shown(label)} is there twice")
        labels[label] = (canonical, group)
    return labels


def label_names(
    products: Iterable[Product], path: str | Path | None, scheme: str
) -> dict[str, str | None]:
    """What each label of the products is called in a scheme, "full" or one of `MERGING`.

    '' if the label table (`path`, or ours) says that it is no product type, None if it does not
    know it. A label that it has in another case only is known. "full" keeps all labels. ValueError
    if it knows none.
    """
    labels = sorted({product.label for product in products})
    table = read_label_table(path)  # also for "full": a wrong --label-table is told at once
    if scheme == "full":
        return {label: label for label in labels}
    index = MERGING.index(scheme)
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


def synonyms(labels: Sequence[str], path: str | Path | None = None) -> dict[str, str]:
    """Other labels that the label table merges into these, or groups under them, in lower case."""
    own = {label.casefold() for label in labels}
    found: dict[str, str] = {}
    for label, names in read_label_table(path).items():
        merged = next((name for name in names if name in labels), "")
        for other in (label, names[0]):  # for families, canonical names too
            if merged and other and other.casefold() not in own:
                found.setdefault(other.casefold(), merged)
    return found


def redundant(labels: Sequence[str]) -> int:
    """How many of the labels `canonical` would merge into others of them."""
    table = read_label_table()
    canonical = [table.get(label, (label, ""))[0] for label in labels]
    return len(labels) - len({name or label for name, label in zip(canonical, labels, strict=True)})


def label_list(splits: dict[str, list[Product]]) -> list[str]:
    """The labels in id order: sorted by name."""
    return sorted({product.label for products in splits.values() for product in products})
