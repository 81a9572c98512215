from collections import Counter
from dataclasses import replace

import pytest

from beautybert.cls.labels import label_list, label_names
from beautybert.cls.products import INPUTS, REPEATED, SPLITS, Product, ProductCounts, read_products
from beautybert.cls.selection import (
    OTHER_BRAND,
    SCHEMES,
    apply_label_scheme,
    choose_inputs,
    select_inputs,
)
from beautybert.cls.splits import split_products
from tests.cls.example_tables import HEADER, keys, labelled, read, some_lists, write

SOME_LABELS = (
    ("label", "canonical", "group"),
    ("serum", "Serum", "care"),
    ("soap", "Soap", "wash"),
    ("Soap", "Soap", "wash"),
    ("small", "", ""),
)


def apply_scheme(products, counts, scheme, label_table=None, by="list", inputs=INPUTS):
    """The products of a run with --labels `scheme`, as train_cls.py makes them."""
    splits, counts = select_inputs(split_products(products, by, 0), inputs, counts)
    names = label_names(products, label_table, scheme)
    return apply_label_scheme(splits, names, 5, counts)


@pytest.mark.parametrize("inputs", [INPUTS, ("name",), ("ingredients",)])
@pytest.mark.parametrize("by", ["list", "brand"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_row_is_used_or_counted(sample_products, scheme, by, inputs):
    splits, counts = apply_scheme(*sample_products, scheme, by=by, inputs=inputs)
    num_used = sum(map(len, splits.values()))
    assert counts.rows.total() == 240 + 755 == num_used + counts.dropped.total()
    assert counts.parts.total() == num_used
    assert min(counts.dropped.values()) >= 0
    sources = "240 cosmetics, 755 sephora_website_dataset"
    assert f"995 rows ({sources}), {num_used} used" in str(counts)


def test_drops_are_what_they_are_called(tmp_path):
    first = [("serum", "", cell) for cell in some_lists(20)] + [
        ("serum", "", "No Info"),
        ("serum", "", "WATER, OIL 0, ACID 0."),
        ("soap", "", "Water, Oil 30, Acid 30"),
        ("soap", "Lone Soap", "unknown"),
        ("  ", "Soap", "Water, Oil 40, Acid 40"),
        ("NaN", "Soap", "Water, Oil 40, Acid 40"),
        HEADER,
    ]
    second = [("Soap", "", cell) for cell in some_lists(20, 30)] + [
        ("small", "-", "Water, Silica"),
        ("small", "n/a", "Read more about this set on our page."),
        ("odd", "Odd Soap", "Water, Talc"),
        ("Soap", "nan", ""),
    ]
    paths = [
        write(tmp_path / "first.csv", [HEADER, *first]),
        write(tmp_path / "second.csv", [HEADER, *second]),
    ]
    label_table = write(tmp_path / "labels.csv", SOME_LABELS)
    products, counts = read_products(paths)
    assert counts.rows == Counter(first=27, second=24)
    assert counts.dropped == {
        "no list given": 1,
        REPEATED: 1,
        "no label": 2,
        "header again": 1,
        "text without a list": 1,
        "empty": 1,
    }
    assert counts.parts == {"name and list": 1, "name only": 1, "list only": 42}

    # soap and Soap become one label, and a list of both one product
    splits, canonical_counts = apply_scheme(products, counts, "canonical", label_table)
    after = {
        "label is no product type": 1,
        "label unknown to the label table": 1,
        REPEATED: 2,
        "label with too few products": 0,
        "label without a product in training": 0,
        OTHER_BRAND: 0,
        "no name": 0,
    }
    assert canonical_counts.dropped == counts.dropped | after
    assert canonical_counts.unknown == {"odd": 1}
    assert "odd (1); to use them, add a line for each" in str(canonical_counts)
    assert ", 0 " not in str(canonical_counts)
    labels = Counter(product.label for products in splits.values() for product in products)
    assert labels == {"Serum": 20, "Soap": 21}

    splits, full_counts = apply_scheme(products, counts, "full", label_table)
    assert full_counts.rare == {"soap": 2, "small": 1, "odd": 1}
    assert not full_counts.unknown
    assert label_list(splits) == ["Soap", "serum"]
    assert "soap (2)" in str(full_counts)


def test_tables_without_a_common_label_are_noted_under_the_scheme_that_keeps_them_apart():
    products = labelled("abcd" * 10)
    sources = {"a": "one", "b": "one", "c": "two", "d": "two"}
    products = [replace(product, source=sources[product.label]) for product in products]
    splits = split_products(products, "list", 0)
    _, counts = apply_label_scheme(splits, {name: name for name in "abcd"}, 5, ProductCounts())
    assert counts.notes == ["tables that have no label in common with another: 'one', 'two'"]
    merged = {"a": "a", "b": "both", "c": "both", "d": "d"}
    _, counts = apply_label_scheme(splits, merged, 5, ProductCounts())
    assert not counts.notes


def test_a_model_sees_no_more_than_its_inputs_and_groups_stay(tmp_path):
    rows = [
        ("a", "One", "Water, Mica"),
        ("a", "Two", "Water, Mica"),
        ("a", "One", ""),
        ("b", "", "Water, Talc"),
    ]
    products, counts = read(tmp_path, *rows)
    splits = {"train": products}

    both, _ = select_inputs(splits, INPUTS, counts)
    assert both == splits
    names, name_counts = select_inputs(splits, ("name",), counts)
    assert keys(names["train"], "name") == ["One", "Two"]
    assert {p.ingredients + p.list_key for p in names["train"]} == {""}
    assert keys(names["train"], "group") == keys(products[:2], "group")
    assert +name_counts.dropped == {REPEATED: 1, "no name": 1}
    lists, list_counts = select_inputs(splits, ("ingredients",), counts)
    assert keys(lists["train"], "ingredients") == ["Water, Mica", "Water, Talc"]
    assert {p.name + p.name_key for p in lists["train"]} == {""}
    assert +list_counts.dropped == {REPEATED: 1, "no ingredient list": 1}
    assert counts.dropped == {REPEATED: 0}, "the counts that came in are as they were"


def test_inputs_are_those_asked_or_all_that_there_are(tmp_path):
    products, _ = read(tmp_path, ("a", "One", "Water, Mica"), ("b", "Two", ""))
    assert choose_inputs(products, None) == choose_inputs(products, INPUTS[::-1]) == INPUTS
    assert choose_inputs(products, ["name"]) == ("name",)
    with pytest.raises(ValueError, match="--inputs brand: a product has name and ingredients"):
        choose_inputs(products, ["brand"])
    with pytest.raises(ValueError, match="--inputs ingredients: no row of the tables has it"):
        choose_inputs(products[1:], ["ingredients"])


def test_a_split_by_brand_counts_the_products_that_it_leaves_out():
    """One list that every brand sells: it stays in training alone."""
    products = []
    for i in range(80):
        key = "common" if i % 4 == 0 else f"list {i}"
        products.append(
            Product("table", i, "ab"[i % 2], f"brand {i // 4}", "", "text", key, "", key)
        )
    splits = split_products(products, "brand", 0)
    num_left_out = 80 - sum(map(len, splits.values()))
    num_common = sum(product.list_key == "common" for product in products)
    num_trained = sum(product.list_key == "common" for product in splits["train"])
    assert num_left_out == num_common - num_trained > 0
    counts = ProductCounts(rows=Counter(table=80))
    expected = {OTHER_BRAND: num_left_out, REPEATED: num_trained - 1}
    _, direct = apply_label_scheme(splits, {"a": "a", "b": "b"}, 5, counts)
    assert +direct.dropped == expected
    selected, counts = select_inputs(splits, ("ingredients",), counts)
    _, after_selection = apply_label_scheme(selected, {"a": "a", "b": "b"}, 5, counts)
    assert +after_selection.dropped == expected


def test_a_product_is_in_the_same_split_under_every_scheme(sample_products):
    by_scheme = {scheme: apply_scheme(*sample_products, scheme)[0] for scheme in SCHEMES}
    in_all = {split: [] for split in SPLITS}  # the rows of each scheme
    found = {split: set() for split in SPLITS}  # names and lists of all schemes together
    for splits in by_scheme.values():
        for split, products in splits.items():
            in_all[split].append({(product.source, product.row) for product in products})
            found[split] |= {product.list_key for product in products if product.list_key}
            found[split] |= {product.name_key for product in products if product.name_key}
    for split in SPLITS:
        assert len(set.intersection(*in_all[split])) > 40
        for other in SPLITS:
            assert split == other or not found[split] & found[other]


@pytest.mark.parametrize(
    "labels, by, min_per_label, message",
    [
        (
            "ab" * 20,
            "brand",
            5,
            "40 products leave valid and test empty: more products are needed, with --split brand "
            "more brands$",
        ),
        (
            "ab" * 3,
            "list",
            3,
            "6 products leave (valid|test|valid and test) empty: more products are needed",
        ),
        (
            "a" * 9 + "b" * 2,
            "list",
            1,
            r"too few products for 3 splits: 'b' \(2\); raise --min-per-label to 3",
        ),
        (
            "a" * 9 + "b" * 2,
            "list",
            3,
            r"only 1 label\(s\) with at least --min-per-label 3 products",
        ),
    ],
)
def test_labels_and_splits_that_are_too_small_are_named(labels, by, min_per_label, message):
    products = [replace(product, brand="one") for product in labelled(labels)]
    splits = split_products(products, by, 0)
    with pytest.raises(ValueError, match=message):
        apply_label_scheme(splits, {"a": "a", "b": "b"}, min_per_label, ProductCounts())


def test_a_table_with_splits_of_its_own_may_have_a_label_with_fewer_products_than_splits(tmp_path):
    rows = [("ab"[i % 2], f"Name {i}", "", "train") for i in range(4)]
    rows += [("a", "Name 5", "", "valid"), ("a", "Name 6", "", "test")]
    header, columns = (*HEADER, "fold"), ["split=fold"]
    products, counts = read(tmp_path, *rows, header=header, columns=columns)
    names = label_names(products, None, "full")
    splits, _ = apply_label_scheme(split_products(products, "list", 0), names, 1, counts)
    assert label_list(splits) == ["a", "b"]
    products, counts = read(tmp_path, *rows[:-1], header=header, columns=columns)
    with pytest.raises(ValueError, match="leave test empty: the split column gives them none"):
        apply_label_scheme(split_products(products, "list", 0), names, 1, counts)


def test_a_name_that_all_products_share_is_why_splits_are_empty(tmp_path):
    rows = [("ab"[i % 2], "Product", cell) for i, cell in enumerate(some_lists(20))]
    products, counts = read(tmp_path, *rows)
    with pytest.raises(ValueError, match="20 of them share a name or list, and stay"):
        apply_scheme(products, counts, "full")
