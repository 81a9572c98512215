"""How much of what `parse_ingredients` reads in real cells is an ingredient: the share of names
that the CosIng inventory knows.

    python -m tests.bench.bench_ingredients --sephora sephora_website_dataset.csv --cosing cosing.csv.gz

Before is the cell split at commas, after is the parser; both on the same 200 random cells that hold
text. A name counts as known if it stands in the inventory whole, without its brackets, or as one of
the names that slashes or brackets in it separate.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter

import pandas as pd

from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import read_table


def plain(name: str) -> str:
    """Letters and digits in lower case."""
    return re.sub(r"[^a-z0-9]+", " ", name.casefold()).strip()


def is_known(name: str, inventory: set[str]) -> bool:
    """Whether the inventory has the name or one of its parts."""
    parts = [part for part in re.split(r"\s*/\s*|[()]", name) if len(part) > 3]
    return any(
        plain(part) in inventory for part in (name, re.sub(r"\([^()]*\)", " ", name), *parts)
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sephora", required=True)
    parser.add_argument("--cosing", required=True, help="CSV with a column inci_name")
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    inventory = {
        plain(name) for name in pd.read_csv(args.cosing, keep_default_na=False)["inci_name"]
    }
    cells = read_table(args.sephora, ["ingredients"])["ingredients"]
    cells = cells[(cells != "unknown") & (cells != "")].sample(args.cells, random_state=args.seed)
    lists = [parse_ingredients(cell) for cell in cells]
    sides = {
        "split at commas": [part for cell in cells for part in cell.split(",")],
        "parse_ingredients": [name for found in lists for name in found.names + found.may_contain],
    }
    for side, names in sides.items():
        known = sum(is_known(name, inventory) for name in names)
        print(f"{side:<18} {known:>6,} of {len(names):>6,} names known: {known / len(names):.1%}")
    unknown = Counter(name for name in sides["parse_ingredients"] if not is_known(name, inventory))
    print("commonest unknown: " + ", ".join(f"{name} ({n})" for name, n in unknown.most_common(12)))
    print(
        "cells without a list: "
        + (
            ", ".join(
                f"{n} {reason}"
                for reason, n in Counter(found.reason for found in lists if found.reason).items()
            )
            or "none"
        )
    )


if __name__ == "__main__":
    main()
