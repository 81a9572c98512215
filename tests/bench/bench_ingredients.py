"""How much of what `parse_ingredients` reads in real cells is an ingredient.

That is the share of names that the CosIng inventory knows.

    python -m tests.bench.bench_ingredients --table sephora_website_dataset.csv \\
        --cosing cosing.csv.gz

Before is the cell split at commas, after is the parser. Both get the same 200 random cells that
hold text. A name counts as known if it stands in the inventory whole, without its brackets, or as
one of the names that slashes or brackets in it separate.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter

import pandas as pd

from beautybert.cls.ingredients import parse_ingredients
from tests.bench.bench_labels import list_cells


def plain(name: str) -> str:
    """Letters and digits in lower case."""
    return re.sub(r"[^a-z0-9]+", " ", name.casefold()).strip()


def is_known(name: str, inventory: set[str]) -> bool:
    """Whether the inventory has the name or one of its parts."""
    without_brackets = re.sub(r"\([^()]*\)", " ", name)
    parts = [part for part in re.split(r"\s*/\s*|[()]", name) if len(part) > 3]
    return any(plain(part) in inventory for part in (name, without_brackets, *parts))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", required=True, help="with a column of ingredient lists")
    parser.add_argument("--cosing", required=True, help="CSV with a column inci_name")
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    cosing = pd.read_csv(args.cosing, keep_default_na=False)
    inventory = {plain(name) for name in cosing["inci_name"]}
    cells = pd.Series(list_cells(args.table))
    cells = cells[(cells != "unknown") & (cells != "")]
    cells = cells.sample(args.cells, random_state=args.seed)

    lists = [parse_ingredients(cell) for cell in cells]
    split_at_commas = [part for cell in cells for part in cell.split(",")]
    parsed = [name for found in lists for name in found.names + found.may_contain]
    readings = {"split at commas": split_at_commas, "parse_ingredients": parsed}
    for how, names in readings.items():
        known = sum(is_known(name, inventory) for name in names)
        print(f"{how:<18} {known:>6,} of {len(names):>6,} names known: {known / len(names):.1%}")

    unknown = Counter(name for name in parsed if not is_known(name, inventory))
    commonest = [f"{name} ({n})" for name, n in unknown.most_common(12)]
    print(f"commonest unknown: {', '.join(commonest)}")
    reasons = Counter(found.reason for found in lists if found.reason)
    without_list = [f"{n} {reason}" for reason, n in reasons.items()]
    print(f"cells without a list: {', '.join(without_list) or 'none'}")


if __name__ == "__main__":
    main()
