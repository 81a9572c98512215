"""How many answers of a classifier change with what pages print around and between ingredients.

    python -m tests.bench.bench_pages runs/categories \\
        --data cosmetics.csv sephora_website_dataset.csv

The cells are those of the run's test products (predictions_test.csv) that have a list, as they are
in the tables; the model is asked without names. What stands around a list is added to the whole
cell; what stands between ingredients is put between those that the reader finds, and compared with
commas there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from beautybert.cls.classifier import Classifier
from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import source_names
from tests.bench.bench_labels import list_cells

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
    parser.add_argument("--data", required=True, nargs="+", help="the tables of the run")
    args = parser.parse_args()
    sources = source_names(args.data)
    tables = {source: list_cells(path) for source, path in zip(sources, args.data, strict=True)}
    products = pd.read_csv(args.model / "predictions_test.csv", keep_default_na=False)
    products = products[products["ingredients"] != ""]
    rows = zip(products["source"], products["row"], strict=True)
    cells = [tables[source][row] for source, row in rows]
    classifier = Classifier.load(args.model)

    def answers(cells: list[str]) -> list[str]:
        found = classifier.predict(ingredients=cells)
        return [answer.labels[0] if answer.labels else "" for answer in found]

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
