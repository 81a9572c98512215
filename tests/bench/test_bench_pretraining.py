"""What the trial of pretraining lets a model read, and how it counts."""

import json
from collections import Counter

import pandas as pd
import pytest

from beautybert.cls.names import name_key
from beautybert.cls.products import Product
from tests.bench.bench_pretraining import clean_texts, difference, held_out_phrases, label_subset

LIST = "water, glycerin, squalane, niacinamide, panthenol, allantoin, tocopherol, citric acid, salt"


def product(name="", ingredients="", label="hair", row=0):
    return Product("shop", row, label, "", name, ingredients, "", name_key(name), str(row))


def test_pretraining_reads_nothing_of_the_products_held_out(tmp_path):
    path = tmp_path / "products.jsonl"
    records = [
        {"title": "Velvet Hour", "description": "A name alone."},
        {"title": "ACME velvet hour™ Lip Tint", "description": "In the title."},
        {"title": "Other", "description": "Goes well with our Velvet-Hour."},
        {"title": "A cream", "description": f"Ingredients: {LIST}, and more."},
        {"title": "Dusk", "description": "One word, as it is held out."},
        {"title": "Silk at dusk", "description": "One word among others says little."},
        {"title": "Velvet", "description": "Hour by hour: over a full stop."},
        {"title": "", "description": "No title, and dusk in it."},
        {"title": "Last", "description": "Water and glycerin and squalane."},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + "{broken\n")
    held_out = [product("Velvet Hour", LIST), product("DUSK")]
    kept = list(clean_texts(str(path), held_out))
    starts = [text.split(".")[0] for text in kept]
    assert starts == ["Silk at dusk", "No title, and dusk in it", "Last"]


def test_the_longest_phrase_is_found_too(tmp_path):
    name = " ".join(f"word{i}" for i in range(30))
    path = tmp_path / "products.jsonl"
    path.write_text(json.dumps({"title": f"before {name} after"}) + "\n")
    assert not list(clean_texts(str(path), [product(name)]))
    assert list(clean_texts(str(path), [product(name + " more")]))


def test_phrases_of_missing_texts_are_none():
    assert held_out_phrases([product("Silk"), product("", "water")]) == {("silk",), ("water",)}


@pytest.mark.parametrize("size", [4, 10, 50])
def test_a_subset_has_every_label_and_its_size(size):
    products = [product(f"p{i}", label="rare" if i == 7 else f"l{i % 3}", row=i) for i in range(99)]
    subset = label_subset(products, size, seed=1)
    assert len(subset) == size == len({p.row for p in subset})
    assert set(Counter(p.label for p in subset)) == {"l0", "l1", "l2", "rare"}
    assert [p.row for p in subset] == sorted(p.row for p in subset)
    assert label_subset(products, size, seed=1) == subset != label_subset(products, size, seed=2)
    assert label_subset(products, 0, seed=1) == label_subset(products, 500, seed=1) == products


def test_a_difference_is_paired_and_its_error_joins_products_and_seeds():
    products = [("a", "0"), ("a", "1"), ("b", "0"), ("b", "1")]
    correct = [[1, 1, 0, 1], [1, 0, 0, 1]]  # by seed and product
    rows = [
        (*key, seed, value)
        for seed, values in enumerate(correct)
        for key, value in zip(products, values, strict=True)
    ]
    one = pd.DataFrame(rows, columns=["source", "row", "seed", "encoder correct"])
    other = one.sample(frac=1, random_state=0).assign(**{"encoder correct": 0.0})
    value, error = difference(one, other, "encoder")
    over_products = 100 * (4 / 3 * (0.375**2 + 0.125**2 + 0.625**2 + 0.375**2)) ** 0.5 / 4
    over_seeds = 12.5
    assert value == pytest.approx(62.5)
    assert error == pytest.approx((over_products**2 + over_seeds**2) ** 0.5)
    assert difference(one, one, "encoder") == (0.0, 0.0)
