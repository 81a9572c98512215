"""Which products a run uses: with the texts of --inputs, under the names of --labels.

What is left out is counted by reason. How products are read is settled in products.py, what labels
are called in labels.py, who is in which split in splits.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from beautybert.cls.labels import MERGING, label_names
from beautybert.cls.products import (
    INPUTS,
    NO_LIST,
    NO_NAME,
    REPEATED,
    SPLITS,
    Product,
    ProductCounts,
    count_parts,
    texts,
    without_repeats,
)
from beautybert.table_files import listed

SCHEMES = ("full", *MERGING)  # of --labels
OTHER_BRAND = "name or list that training has under another brand"


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
    parts = count_parts(product for products in kept.values() for product in products)
    return kept, replace(counts, dropped=dropped, parts=parts)


# ---- labels ------------------------------------------------------------------------------------


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
        parts=count_parts(product for products in kept.values() for product in products),
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
            f"only {num_labels} label(s) with at least --min-per-label {min_per_label} products, "
            "one of them in training: nothing to tell apart"
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
        everything = [product for products in splits.values() for product in products]
        what = "more products are needed, with --split brand more brands"
        of_groups = Counter(product.group for product in everything)
        largest = max(of_groups.values())
        if largest > len(everything) / 2:
            what += f" ({largest} of them share a name or list, and stay in one split)"
        if has_own_splits:
            what = "the split column gives them none that can be used"
        raise ValueError(f"{len(everything)} products leave {empty} empty: {what}")


def _overlap_notes(products: Iterable[Product]) -> list[str]:
    """A note on tables that have no label in common with another one."""
    labels: dict[str, set[str]] = defaultdict(set)
    for product in products:
        labels[product.source].add(product.label)
    tables_with = Counter(label for own in labels.values() for label in own)
    apart = [name for name, own in labels.items() if all(tables_with[label] == 1 for label in own)]
    if len(labels) < 2 or not apart:
        return []
    return [f"tables that have no label in common with another: {listed(apart)}"]
