import json
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest

from beautybert.cls.products import Product
from beautybert.cls.splits import check_no_leakage, check_no_overlap, fingerprint, split_products


@pytest.mark.parametrize("by", ["list", "brand"])
def test_no_list_and_no_brand_is_in_two_splits_for_twenty_seeds(sample_products, by):
    for seed in range(20):
        splits = split_products(sample_products[0], by, seed)
        keys, brands, labels = {}, {}, {}
        for split, products in splits.items():
            keys[split] = {product.key for product in products}
            brands[split] = {product.brand for product in products}
            labels[split] = {product.label for product in products}
        for one, other in combinations(splits, 2):
            assert not keys[one] & keys[other]
            assert by == "list" or not brands[one] & brands[other]
        assert labels["valid"] | labels["test"] <= labels["train"]
        text = check_no_overlap(splits, by)
        assert "lists in two splits 0, labels without training 0" in text
        assert ("brands in two splits 0" in text) == (by == "brand")


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


def test_a_list_in_two_splits_is_an_assertion(sample_products):
    splits = split_products(sample_products[0], "list", 0)
    splits["test"] = splits["test"] + splits["train"][:1]
    with pytest.raises(AssertionError):
        check_no_overlap(splits, "list")


def test_a_brand_in_two_splits_is_an_assertion_where_brands_are_kept_apart(sample_products):
    """A new list of a brand of training, which a split by list may have in test."""
    splits = split_products(sample_products[0], "brand", 0)
    splits["test"] = [*splits["test"], replace(splits["train"][0], key="new list")]
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
        {**splits, "valid": [replace(first, text="other"), *others]},
        {**splits, "valid": [replace(first, label="other"), *others]},
        {**splits, "train": [*splits["train"], first], "valid": others},  # in the same order
        {**splits, "valid": others},
    ]
    fingerprints = [fingerprint(each) for each in [splits, *changed]]
    assert len(set(fingerprints)) == 5
    assert fingerprint(split_products(sample_products[0], "list", 0)) == fingerprints[0]


# ---- leaks from a model of before --------------------------------------------------------------


HELD_OUT = Product("sephora", 0, "", "water,  OIL.", "", "a")


def write_run(folder, **config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"config": config}))


@pytest.fixture
def pretrained(tmp_path):
    """A run that was trained on two lists, one of them the one that is held out."""
    lists = tmp_path / "train_lists.txt"
    lists.write_text("Water, Oil\nTalc, Mica\n")
    write_run(tmp_path, data=["gone.txt", "products.json.gz", str(lists)])
    return tmp_path


def test_a_model_that_was_pretrained_on_held_out_lists_is_refused(pretrained):
    message = (
        "was trained on .*train_lists.txt, which holds 1 lists of this run's validation and test "
        "splits; use the --split and --split-seed"
    )
    with pytest.raises(ValueError, match=message):
        check_no_leakage(pretrained, [HELD_OUT])
    check_no_leakage(
        pretrained, [replace(HELD_OUT, text="Water"), replace(HELD_OUT, text="Oil, Water")]
    )


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
    for foreign in ("[1]", '{"config": 3}', "{"):
        (pretrained / "run.json").write_text(foreign)
        check_no_leakage(pretrained, [HELD_OUT])
