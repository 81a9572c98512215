"""Products -> training, validation and test, and the checks that nothing leaks between them."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from beautybert import files
from beautybert.cls.names import name_key
from beautybert.cls.products import INPUTS, SPLITS, Product
from beautybert.training.seeding import SPLIT, generator_of

SPLIT_BY = ("list", "brand")


def split_products(products: Sequence[Product], by: str, seed: int) -> dict[str, list[Product]]:
    """Training, validation and test in the shares of `SPLITS`, stratified by label.

    No list and no name (by "list"), or no brand (by "brand"), is in two splits. Every label is in
    training. Splitting by brand, a product of validation or test whose list or name is also in
    training is left out. The labels are those of the files; a run merges or drops labels later
    (selection.py), so a product is in the same split under every scheme. Products
    with a split of their own keep it, whatever it shares.

    ValueError if some products have a split of their own and others have none.
    """
    assert by in SPLIT_BY
    splits: dict[str, list[Product]] = {split: [] for split in SPLITS}
    if any(product.split for product in products):
        _check_own_splits(products)
        for product in products:
            splits[product.split].append(product)
        return splits
    groups: dict[str, list[Product]] = defaultdict(list)
    for product in products:
        groups[_group_of(product, by)].append(product)
    split_of = _assign_splits(groups, generator_of(seed, SPLIT))
    for product in products:
        splits[split_of[_group_of(product, by)]].append(product)
    if by == "brand":
        seen: set[str] = set()
        for split, members in splits.items():
            splits[split] = [product for product in members if product.group not in seen]
            seen |= {product.group for product in splits[split]}
    check_no_overlap(splits, by)
    return splits


def _group_of(product: Product, by: str) -> str:
    """What must not be in two splits."""
    return product.brand if by == "brand" and product.brand else product.group


def _check_own_splits(products: Sequence[Product]) -> None:
    """ValueError for products without a split beside others that have one."""
    without = [product for product in products if not product.split]
    if without:
        first = without[0]
        raise ValueError(
            f"{len(without):,} products have no split of their own, {first.source} row {first.row} "
            "is the first; give every table its column of splits, or none"
        )


def _assign_splits(groups: dict[str, list[Product]], rng: np.random.Generator) -> dict[str, str]:
    """Group -> split, by iterative stratification (Sechidis et al. 2011).

    The rarest label comes first; each of its groups goes to the split that still lacks most of it.
    """
    names = sorted(groups)
    names = [names[i] for i in rng.permutation(len(names))]
    groups_with: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for label in dict.fromkeys(product.label for product in groups[name]):
            groups_with[label].append(name)
    totals = Counter(product.label for group in groups.values() for product in group)
    lacking = {
        label: {split: share * n for split, share in SPLITS.items()} for label, n in totals.items()
    }
    capacity = {split: share * totals.total() for split, share in SPLITS.items()}
    split_of: dict[str, str] = {}
    for label in sorted(totals, key=lambda label: (totals[label], label)):
        for name in groups_with[label]:
            if name in split_of:
                continue
            chosen = _neediest_split(lacking[label], capacity)
            split_of[name] = chosen
            capacity[chosen] -= len(groups[name])
            for product in groups[name]:
                lacking[product.label][chosen] -= 1
    # a label whose groups all went elsewhere for the sake of another label
    for members in groups_with.values():
        if not any(split_of[name] == "train" for name in members):
            split_of[members[0]] = "train"
    return split_of


def _neediest_split(lacking: dict[str, float], capacity: dict[str, float]) -> str:
    return max(SPLITS, key=lambda split: (lacking[split], capacity[split]))


# ---- checks ------------------------------------------------------------------------------------


def check_no_overlap(splits: dict[str, list[Product]], by: str) -> str:
    """What is printed at every start: sizes, shares, labels, overlap.

    An AssertionError if a list, name or brand is in two splits or a label has no training, unless
    the splits are the table's own.
    """
    sizes = {split: len(products) for split, products in splits.items()}
    labels = {split: {p.label for p in products} for split, products in splits.items()}
    shared_groups = _shared({split: {p.group for p in ps} for split, ps in splits.items()})
    shared_brands = _shared(
        {split: {p.brand for p in ps if p.brand} for split, ps in splits.items()}
    )
    untrained = (labels["valid"] | labels["test"]) - labels["train"]
    is_given = any(product.split for products in splits.values() for product in products)
    assert is_given or not (shared_groups or untrained or (by == "brand" and shared_brands))
    total = sum(sizes.values())
    parts = [f"{split} {n:,} ({n / total:.1%})" for split, n in sizes.items()]
    text = (
        f"split{' of the table' if is_given else ''}: {', '.join(parts)}; {len(labels['train'])} "
        f"labels, {len(labels['test'])} of them in test; lists or names in two splits "
        f"{shared_groups}, labels without training {len(untrained)}"
    )
    if by == "brand":
        text += f", brands in two splits {shared_brands}"
    return text


def _shared(values: dict[str, set[str]]) -> int:
    """How many values two splits have in common, over all pairs of splits."""
    return sum(len(one & other) for one, other in combinations(values.values(), 2))


def check_no_leakage(checkpoint: Path | None, held_out: Iterable[Product]) -> None:
    """ValueError if the model of a run was trained on a list or name of products held out.

    It looks at the train_lists.txt of a train_cls.py run and the .txt files that a train_mlm.py run
    was given, of this run and of those that it began from (--init), as far as they are still there.
    """
    keys = {name_key(getattr(product, part)) for product in held_out for part in INPUTS}
    keys.discard("")
    folder, seen = checkpoint, set()
    while folder is not None and folder not in seen:
        seen.add(folder)
        paths, init = _trained_on(folder)
        for path in [*paths, str(folder / "train_lists.txt")]:
            num_leaked = len(keys & text_keys(path))
            if num_leaked:
                raise ValueError(
                    f"{folder} was trained on {path}, which holds {num_leaked:,} lists or names of "
                    "this run's validation and test splits; use the --split and --split-seed of "
                    "the run that wrote it or, where another version did, pretrain again"
                )
        folder = init


def _trained_on(folder: Path) -> tuple[list[str], Path | None]:
    """The data and the model that a run began from; nothing if its run.json is none of ours."""
    path = folder / "run.json"
    try:
        config = files.value_of(files.read_json(path), "config", dict, path)
        data = files.value_of(config, "data", list, path, default=[])
        init = files.value_of(config, "init", str, path, default="")
    except (OSError, ValueError):
        return [], None
    return [name for name in data if isinstance(name, str)], Path(init) if init else None


def text_keys(path: str | Path) -> set[str]:
    """The key of each line of a .txt file; none for another file or a missing one."""
    if Path(path).suffix != ".txt" or not os.path.isfile(path):
        return set()
    with open(path, encoding="utf-8", errors="replace") as file:
        return set(map(name_key, file))


def fingerprint(splits: dict[str, list[Product]]) -> str:
    """A hash of each product's texts, label and split: of all that files and reading decide."""
    rows = [
        (split, p.source, p.row, p.label, p.name, p.ingredients)
        for split, products in splits.items()
        for p in products
    ]
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()
