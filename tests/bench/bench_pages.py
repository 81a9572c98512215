"""How many answers of a classifier change with what pages print around and between ingredients.

    python -m tests.bench.bench_pages runs/categories --cosmetics cosmetics.csv \\
        --sephora sephora_website_dataset.csv

The cells are those of the run's test products (predictions_test.csv), as they are in the tables.
What stands around a list is added to the whole cell; what stands between names is put between those
that the reader finds, and compared with commas there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from beautybert.bert import wordpiece
from beautybert.cls import classifier
from beautybert.cls.csv_files import read_table
from beautybert.cls.ingredients import parse_ingredients
from beautybert.predict import predict_cells

AROUND = {
    "two English warnings": "{}. For external use only. Keep out of reach of children.",
    "a German warning": "{}. Kontakt mit den Augen vermeiden. Von Kindern fernhalten.",
    "a French warning": "{}. Éviter le contact avec les yeux. Tenir hors de portée des enfants.",
    "an address": "{}. Made by Example Ltd, 12 High Street, London W1.",
    "share of natural origin": "{}. 98% of ingredients are of natural origin.",
    "a heading on its own line": "Ingredients\n{}",
    "a heading": "Ingredients: {}",
    "directions before": "Directions: Apply to damp hair and rinse.\n\n{}",
    "tags": "<p>{}</p>",
}
BETWEEN = {"amounts in ppm": ", ", "slashes": " / ", "bullets": " • ", "lines": "\n"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--cosmetics", required=True)
    parser.add_argument("--sephora", required=True)
    args = parser.parse_args()
    tables = {
        "cosmetics": read_table(args.cosmetics, ["Ingredients"])["Ingredients"],
        "sephora": read_table(args.sephora, ["ingredients"])["ingredients"],
    }
    products = pd.read_csv(args.model / "predictions_test.csv", keep_default_na=False)
    rows = zip(products["source"], products["row"], strict=True)
    cells = [tables[source][row] for source, row in rows]
    model, tokenizer = classifier.load(args.model), wordpiece.read(args.model)

    def answers(cells: list[str]) -> list[str]:
        return [row["prediction"] for row in predict_cells(model, tokenizer, cells, 1)]

    names = [parse_ingredients(cell).names for cell in cells]
    printed, plain = answers(cells), answers([", ".join(found) for found in names])
    print(f"{len(cells)} cells; changed answers:")
    for what, page in AROUND.items():
        found = answers([page.format(cell.rstrip(" .")) for cell in cells])
        report(what, printed, found)
    for what, separator in BETWEEN.items():
        amount = " (900 ppm)" if "ppm" in what else ""
        report(what, plain, answers([separator.join(n + amount for n in found) for found in names]))


def report(what: str, before: list[str], after: list[str]) -> None:
    """Print the share of answers that are not the same."""
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    print(f"{what:<28}{changed / len(before):6.1%}")


if __name__ == "__main__":
    main()
