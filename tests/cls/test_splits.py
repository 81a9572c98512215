import csv
import json
import re
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest

from beautybert.cls.products import INPUTS, SPLITS, Product
from beautybert.cls.selection import SCHEMES, select
from beautybert.cls.splits import check_no_leakage, check_no_overlap, fingerprint, split_products
from tests.conftest import SAMPLE


@pytest.fixture(scope="module")
def cells_of():
    """(source, row) of the sample -> the letters and digits of its name and list cells."""
    columns = {
        "cosmetics": ("Name", "Ingredients"),
        "sephora_website_dataset": ("name", "ingredients"),
    }
    cells = {}
    for source, names in columns.items():
        with open(SAMPLE / f"{source}.csv", encoding="utf-8-sig", newline="") as file:
            for row, record in enumerate(csv.DictReader(file)):
                texts = [re.sub("[^a-z0-9]+", "", record[name].lower()) for name in names]
                cells[source, row] = dict(zip(INPUTS, texts, strict=True))
    return cells


def characters_of(products, cells_of):
    """What somebody else would compare of the names and lists of some products."""
    return {
        (part, cells_of[product.source, product.row][part])
        for product in products
        for part in INPUTS
        if getattr(product, part)
    }


@pytest.mark.parametrize("by", ["list", "brand"])
def test_no_list_no_name_and_no_brand_is_in_two_splits_for_twenty_seeds(
    sample_products, cells_of, by
):
    for seed in range(20):
        splits = split_products(sample_products[0], by, seed)
        texts, brands, labels = {}, {}, {}
        for split, products in splits.items():
            texts[split] = characters_of(products, cells_of)
            brands[split] = {product.brand for product in products}
            labels[split] = {product.label for product in products}
        for one, other in combinations(splits, 2):
            assert not texts[one] & texts[other]
            assert by == "list" or not brands[one] & brands[other]
        assert len(texts["train"]) > 1000 and len(texts["test"]) > 50
        assert labels["valid"] | labels["test"] <= labels["train"]
        text = check_no_overlap(splits, by)
        assert "lists or names in two splits 0, labels without training 0" in text
        assert ("brands in two splits 0" in text) == (by == "brand")


@pytest.mark.parametrize("by", ["list", "brand"])
def test_a_product_is_in_the_same_split_under_all_inputs_and_labels(sample_products, cells_of, by):
    """And no text that one of the runs trains on is a test text of another."""
    products, counts = sample_products
    splits = split_products(products, by, 0)
    split_of = {}
    for split, members in splits.items():
        split_of |= {(product.source, product.row): split for product in members}
    texts = {split: characters_of(members, cells_of) for split, members in splits.items()}
    for inputs in ((), ("name",), ("ingredients",)):
        for scheme in SCHEMES:
            selected, _ = select(splits, inputs, scheme, None, 5, counts)
            for split, members in selected.items():
                assert len(members) > 40
                assert {split_of[product.source, product.row] for product in members} == {split}
                assert characters_of(members, cells_of) <= texts[split]


# ---- a table's own splits ----------------------------------------------------------------------


def owning(*splits):
    """Products with these splits of their own and one and the same name."""
    return [
        Product("t", row, "ab"[row % 2], "", "One", "", "", "one", "name one", split)
        for row, split in enumerate(splits)
    ]


def test_products_with_a_split_of_their_own_keep_it_whatever_it_shares():
    products = owning("test", "train", "valid", "train", "train")
    for by in ("list", "brand"):
        for seed in range(3):
            splits = split_products(products, by, seed)
            assert list(splits) == list(SPLITS)
            rows = {split: [product.row for product in ps] for split, ps in splits.items()}
            assert rows == {"train": [1, 3, 4], "valid": [2], "test": [0]}
    text = check_no_overlap(splits, "list")
    assert text.startswith("split of the table: train 3 (60.0%), valid 1 (20.0%), test 1 (20.0%)")
    assert "lists or names in two splits 3" in text, "what is shared is said"


def test_products_without_a_split_beside_others_that_have_one_are_refused():
    message = "2 products have no split of their own, t row 1 is the first; give every table"
    with pytest.raises(ValueError, match=message):
        split_products(owning("train", "", "test", ""), "list", 0)


# ---- shares and checks -------------------------------------------------------------------------


def test_a_split_is_seeded_stratified_and_near_its_shares(sample_products):
    products, _ = sample_products
    splits, same, other = (split_products(products, "list", seed) for seed in (1, 1, 2))
    assert splits == same
    assert {product.row for product in splits["test"]} != {product.row for product in other["test"]}
    sizes = {split: len(members) for split, members in splits.items()}
    assert sum(sizes.values()) == len(products)
    shares = {split: size / len(products) for split, size in sizes.items()}
    assert shares == pytest.approx({"train": 0.8, "valid": 0.1, "test": 0.1}, abs=0.01)
    in_test = Counter(product.label for product in splits["test"])
    for label, count in Counter(product.label for product in products).items():
        assert abs(in_test[label] - 0.1 * count) <= 1.5


def test_a_list_or_name_in_two_splits_is_an_assertion(sample_products):
    splits = split_products(sample_products[0], "list", 0)
    splits["test"] = splits["test"] + splits["train"][:1]
    with pytest.raises(AssertionError):
        check_no_overlap(splits, "list")


def test_a_brand_in_two_splits_is_an_assertion_where_brands_are_kept_apart(sample_products):
    """A new list of a brand of training, which a split by list may have in test."""
    splits = split_products(sample_products[0], "brand", 0)
    splits["test"] = [*splits["test"], replace(splits["train"][0], group="new")]
    with pytest.raises(AssertionError):
        check_no_overlap(splits, "brand")
    check_no_overlap(splits, "list")


def test_a_label_without_training_is_an_assertion(sample_products):
    splits = split_products(sample_products[0], "list", 0)
    splits["valid"] = [*splits["valid"], replace(splits["valid"][0], label="new")]
    with pytest.raises(AssertionError):
        check_no_overlap(splits, "list")


def test_the_fingerprint_changes_with_every_text_label_and_split(sample_products):
    splits = split_products(sample_products[0], "list", 0)
    first, *others = splits["valid"]
    changed = [
        {**splits, "valid": [replace(first, name="other"), *others]},
        {**splits, "valid": [replace(first, ingredients="other"), *others]},
        {**splits, "valid": [replace(first, label="other"), *others]},
        {**splits, "train": [*splits["train"], first], "valid": others},  # in the same order
        {**splits, "valid": others},
    ]
    fingerprints = [fingerprint(each) for each in [splits, *changed]]
    assert len(set(fingerprints)) == 6
    assert fingerprint(split_products(sample_products[0], "list", 0)) == fingerprints[0]


# ---- leaks from a model of before --------------------------------------------------------------

NAME, LIST = "Moon-Cream  No. 5!", "water,  OIL."
HELD_OUT = Product("sephora", 0, "a", "", NAME, LIST, "water oil", "moon cream no 5", "g")


def write_run(folder, **config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"config": config}))


@pytest.fixture
def pretrained(tmp_path):
    """A run that was trained on two lists and two names, one of each of a product held out."""
    texts = tmp_path / "train_lists.txt"
    texts.write_text("Water, Oil\nTalc, Mica\nSun Stick\nmoon cream no 5\n")
    write_run(tmp_path, data=["gone.txt", "products.json.gz", str(texts)])
    return tmp_path


@pytest.mark.parametrize("name, ingredients, num", [(NAME, LIST, 2), (NAME, "", 1), ("", LIST, 1)])
def test_a_model_that_was_pretrained_on_held_out_texts_is_refused(
    pretrained, name, ingredients, num
):
    message = (
        f"was trained on .*train_lists.txt, which holds {num} lists or names of this run's "
        "validation and test splits; use the --split and --split-seed"
    )
    held_out = replace(HELD_OUT, name=name, ingredients=ingredients)
    with pytest.raises(ValueError, match=message):
        check_no_leakage(pretrained, [replace(HELD_OUT, name="", ingredients=""), held_out])


def test_a_model_that_has_read_other_texts_alone_is_not_refused(pretrained):
    for name, ingredients in (("Moon", "Water"), ("", "Oil, Water"), ("Cream No. 5", ""), ("", "")):
        check_no_leakage(pretrained, [replace(HELD_OUT, name=name, ingredients=ingredients)])


def test_names_of_any_script_leak_and_are_told_apart(pretrained):
    (pretrained / "train_lists.txt").write_text("クリーム 1\nкрем\n", encoding="utf-8")
    for name in ("クリーム  1", "Крем."):
        with pytest.raises(ValueError, match="which holds 1 lists or names"):
            check_no_leakage(pretrained, [replace(HELD_OUT, name=name)])
    check_no_leakage(pretrained, [replace(HELD_OUT, name="リップ 1")])


def test_a_model_made_of_a_model_that_read_held_out_lists_is_refused(pretrained):
    later, latest = pretrained / "later", pretrained / "later" / "still"
    write_run(later, data=[], init=str(pretrained))
    write_run(latest, init=str(later))
    with pytest.raises(ValueError, match=f"^{pretrained} was trained on"):
        check_no_leakage(latest, [HELD_OUT])


def test_runs_in_a_circle_without_their_lists_and_what_is_no_run_are_not_refused(pretrained):
    later = pretrained / "later"
    write_run(later, init=str(pretrained))
    write_run(pretrained, init=str(later))
    (pretrained / "train_lists.txt").unlink()
    check_no_leakage(later, [HELD_OUT])
    check_no_leakage(None, [HELD_OUT])
    check_no_leakage(pretrained / "no-run", [HELD_OUT])
    for foreign in FOREIGN:
        (pretrained / "run.json").write_text(foreign)
        check_no_leakage(pretrained, [HELD_OUT])


FOREIGN = [
    "[1]",
    '{"config": 3}',
    "{",
    '{"config": {"data": 5}}',
    '{"config": {"data": [5, null, "\\u0000.txt"], "init": ["x"]}}',
    json.dumps({"config": {"data": ["x" * 5000 + ".txt"]}}),
    '{"config": ' + "[" * 100_000,
]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_the_lists_of_a_run_count_whatever_its_run_json_says(pretrained, foreign):
    (pretrained / "run.json").write_text(foreign)
    with pytest.raises(ValueError, match="train_lists.txt, which holds 2 lists or names"):
        check_no_leakage(pretrained, [HELD_OUT])


def test_a_run_that_names_no_model_began_from_none(pretrained, monkeypatch):
    """Not from the folder that the program is started in."""
    other = pretrained / "other"
    write_run(other)
    monkeypatch.chdir(pretrained)
    check_no_leakage(other, [HELD_OUT])
