import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import (
    SCHEMES,
    SPLITS,
    Product,
    ProductCounts,
    apply_label_scheme,
    duplicate_groups,
    label_list,
    read_label_map,
    read_products,
    read_table,
)
from beautybert.cls.splits import check_no_leakage, check_no_overlap, split_products
from tests.conftest import ROOT

SAMPLE = ROOT / "data" / "sample"
LABELS = ROOT / "data" / "labels.csv"


def write(path, rows, encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


def tables(
    folder,
    cosmetics,
    sephora,
    labels=(
        ("serum", "Serum", "care"),
        ("soap", "Soap", "wash"),
        ("Soap", "Soap", "wash"),
        ("small", "", ""),
    ),
):
    """The two tables and a label table from (label, brand, list) rows."""
    return (
        write(
            folder / "cosmetics.csv",
            [
                ("Label", "Brand", "Price", "Ingredients"),
                *((label, brand, "1", cell) for label, brand, cell in cosmetics),
            ],
        ),
        write(
            folder / "sephora.csv",
            [
                ("id", "brand", "category", "ingredients"),
                *(("7", brand, label, cell) for label, brand, cell in sephora),
            ],
        ),
        write(folder / "labels.csv", [("label", "canonical", "group"), *labels]),
    )


def some_lists(count, start=0):
    return [f"Water, Oil {i}, Acid {i}" for i in range(start, start + count)]


@pytest.fixture
def sample():
    return read_products(SAMPLE / "cosmetics.csv", SAMPLE / "sephora_website_dataset.csv", LABELS)


def relabelled(products, counts, scheme, label_table=LABELS, min_per_label=5, by="list", seed=0):
    """As train_cls.py does it."""
    return apply_label_scheme(
        split_products(products, by, np.random.default_rng(seed)),
        read_label_map(label_table, scheme),
        min_per_label,
        counts,
    )


def test_text_and_label_of_a_record_are_those_of_its_row_in_the_file(sample):
    """Read again by hand: no list may ever stand beside the label of another row."""
    raw = {
        "cosmetics": ("cosmetics.csv", "Label", "Ingredients"),
        "sephora": ("sephora_website_dataset.csv", "category", "ingredients"),
    }
    rows = {
        source: list(csv.DictReader(open(SAMPLE / name, encoding="utf-8-sig", newline="")))
        for source, (name, _, _) in raw.items()
    }
    sides = split_products(sample[0], "list", np.random.default_rng(0))
    products = [product for side in sides.values() for product in side]
    assert len(products) == len(sample[0]) > 600
    for product in products:
        _, label, cell = raw[product.source]
        assert rows[product.source][product.row][label] == product.label
        assert str(parse_ingredients(rows[product.source][product.row][cell])) == product.text


@pytest.mark.parametrize("by", ["list", "brand"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_row_is_used_or_counted(sample, scheme, by):
    sides, counts = relabelled(*sample, scheme, by=by)
    assert (
        sum(counts.rows.values())
        == 240 + 755
        == sum(map(len, sides.values())) + sum(counts.dropped.values())
        and min(counts.dropped.values()) >= 0
    )
    assert f"995 rows (240 cosmetics, 755 sephora), {sum(map(len, sides.values()))} used" in str(
        counts
    )


def test_a_split_by_brand_counts_the_lists_that_it_leaves_out():
    """One list that every brand sells: it stays in training alone."""
    products = [
        Product(
            "cosmetics",
            i,
            f"brand {i // 4}",
            "",
            "common" if i % 4 == 0 else f"list {i}",
            "ab"[i % 2],
        )
        for i in range(80)
    ]
    sides = split_products(products, "brand", np.random.default_rng(0))
    left_out = 80 - sum(map(len, sides.values()))
    assert (
        left_out
        == sum(p.key == "common" for p in products) - sum(p.key == "common" for p in sides["train"])
        > 0
    )
    _, counts = apply_label_scheme(
        sides, {"a": "a", "b": "b"}, 5, ProductCounts(rows=Counter(cosmetics=80))
    )
    repeats = sum(p.key == "common" for p in sides["train"]) - 1
    assert +counts.dropped == Counter(
        {
            "list that training has under another brand": left_out,
            "same list and label again": repeats,
        }
    )


def test_a_list_is_on_the_same_side_under_every_scheme(sample):
    sides = {scheme: relabelled(*sample, scheme)[0] for scheme in SCHEMES}
    for side in SPLITS:
        full, canonical, group = (
            {(p.source, p.row) for p in sides[scheme][side]} for scheme in SCHEMES
        )
        keys = {
            key
            for scheme in SCHEMES
            for other in SPLITS
            if other != side
            for key in (p.key for p in sides[scheme][other])
        }
        assert (
            len(full & canonical & group) > 40
            and not {p.key for scheme in SCHEMES for p in sides[scheme][side]} & keys
        )


def test_drops_are_what_they_are_called(tmp_path):
    cosmetics = [("serum", "a", cell) for cell in some_lists(20)] + [
        ("serum", "b", "No Info"),
        ("serum", "b", "WATER, OIL 0, ACID 0."),
        ("soap", "b", "Water, Oil 30, Acid 30"),
        ("soap", "b", "Water, Oil 40, Acid 40"),
    ]
    sephora = [("Soap", "a", cell) for cell in some_lists(20, 30)] + [
        ("small", "a", "Water, Silica"),
        ("Soap", "a", ""),
    ]
    files = tables(tmp_path, cosmetics, sephora)
    products, counts = read_products(*files)
    assert counts.dropped == {"no list given": 1, "same list and label again": 1, "empty": 1}
    sides, counts = relabelled(
        products, counts, "canonical", files[2]
    )  # soap and Soap have become one label, and their list one product
    assert counts.dropped == {
        "no list given": 1,
        "same list and label again": 3,
        "label is no product type": 1,
        "empty": 1,
        "label with too few lists": 0,
        "list that training has under another brand": 0,
    }
    assert ", 0 " not in str(counts)
    assert Counter(product.label for products in sides.values() for product in products) == {
        "Serum": 20,
        "Soap": 20,
    }
    products, counts = read_products(*files)
    sides, counts = relabelled(products, counts, "full", files[2])
    assert (
        counts.rare == {"soap": 2, "small": 1}
        and label_list(sides) == ["Soap", "serum"]
        and "soap (2)" in str(counts)
    )


def test_the_same_cell_in_other_lines_or_separators_is_the_same_list(tmp_path):
    """Whatever is read from each: linked directly, or through a third."""
    assert (
        len(set(duplicate_groups([("a", "1"), ("a", "2"), ("b", "2"), ("b", "3")]))) == 1
        and len(set(duplicate_groups([("a", "1"), ("b", "2")]))) == 2
    )
    one, other = "Orion:\nTalc, Mica, Silica", "Orion:Talc, Mica, Silica"
    assert parse_ingredients("Orion Talc, Mica").key != parse_ingredients("Orion:\nTalc, Mica").key
    cells = [one, other, "Orion Talc - Mica - Silica"]
    products, _ = read_products(
        *tables(
            tmp_path,
            [("serum", "a", cell) for cell in some_lists(6)],
            [("Soap", "a", cell) for cell in some_lists(6, 10)]
            + [(label, "a", cell) for label, cell in zip(("Soap", "serum", "soap"), cells)],
        )
    )
    assert len({product.key for product in products if "Talc" in product.text}) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1"])
def test_tables_are_read_in_the_encodings_of_the_wild(tmp_path, encoding):
    path = write(
        tmp_path / "x.csv",
        [("Label", "text"), ("crème", "line one\nline two, Crème"), ("NA", "")],
        encoding,
    )
    table = read_table(path, ("Label", "text"))
    assert table.to_numpy().tolist() == [["crème", "line one\nline two, Crème"], ["NA", ""]]


@pytest.mark.parametrize("by", ["list", "brand"])
def test_no_list_and_no_brand_stands_on_two_sides_for_twenty_seeds(sample, by):
    for seed in range(20):
        sides = split_products(sample[0], by, np.random.default_rng(seed))
        for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
            assert not {p.key for p in sides[one]} & {p.key for p in sides[other]}
            assert by == "list" or not {p.brand for p in sides[one]} & {
                p.brand for p in sides[other]
            }
        assert {p.label for p in sides["valid"]} | {p.label for p in sides["test"]} <= {
            p.label for p in sides["train"]
        }
        assert "lists on two sides 0, labels without training 0" in check_no_overlap(sides, by)


def test_a_split_is_seeded_stratified_and_near_its_shares(sample):
    one, same, other = (
        split_products(sample[0], "list", np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one == same and {p.row for p in one["test"]} != {p.row for p in other["test"]}
    total = len(sample[0])
    assert [len(one[side]) / total for side in ("train", "valid", "test")] == pytest.approx(
        [0.8, 0.1, 0.1], abs=0.01
    )
    assert sum(map(len, one.values())) == total
    for label, n in Counter(p.label for p in sample[0]).items():
        assert abs(sum(p.label == label for p in one["test"]) - 0.1 * n) <= 1.5


def test_a_leak_is_an_assertion(sample):
    sides = split_products(sample[0], "list", np.random.default_rng(0))
    sides["test"] = sides["test"] + sides["train"][:1]
    with pytest.raises(AssertionError):
        check_no_overlap(sides, "list")


def test_the_label_table_knows_every_label_once_and_says_why_one_is_dropped():
    maps = {scheme: read_label_map(LABELS, scheme) for scheme in SCHEMES}
    assert all(len(labels) == 149 for labels in maps.values()) and all(
        label == name for label, name in maps["full"].items()
    )
    canonical, group = (
        {name for name in maps[scheme].values() if name} for scheme in ("canonical", "group")
    )
    assert 60 < len(canonical) < 100 and 10 <= len(group) <= 16
    table = read_table(LABELS, ("label", "canonical", "dropped"))
    assert ((table["canonical"] == "") == (table["dropped"] != "")).all(), (
        "a reason for each dropped label and for no other"
    )
    for one, other in (
        ("Moisturizer", "Moisturizers"),
        ("Eye cream", "Eye Creams & Treatments"),
        ("Makeup & Travel Cases", "Makeup Bags & Travel Cases"),
    ):
        assert maps["canonical"][one] == maps["canonical"][other]
    assert not any(
        maps["canonical"][label] for label in ("Mini Size", "Value & Gift Sets", "no category")
    )
    families = {}
    for label, name in maps["canonical"].items():
        assert (
            not name or families.setdefault(name, maps["group"][label]) == maps["group"][label]
        ), f"{name} in two groups"


GOOD = (
    [("serum", "a", cell) for cell in some_lists(6)],
    [("Soap", "a", cell) for cell in some_lists(6, 10)],
)


@pytest.mark.parametrize(
    "cosmetics, sephora, message",
    [
        (
            [("cream", "a", "Water, Oil")],
            GOOD[1],
            "cosmetics.csv: label 'cream' is not in .*labels.csv; add a line with its canonical name and group there",
        ),
        (
            [("serum", "a", "No Info")],
            GOOD[1],
            "cosmetics.csv: no row has an ingredient list in 'Ingredients'",
        ),
        (GOOD[0], [], "sephora.csv: no row has an ingredient list in 'ingredients'"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path, cosmetics, sephora, message):
    with pytest.raises(ValueError, match=message):
        read_products(*tables(tmp_path, cosmetics, sephora))


def test_missing_broken_and_foreign_files_are_named(tmp_path):
    cosmetics, sephora, labels = tables(tmp_path, *GOOD)
    with pytest.raises(
        ValueError,
        match="sephora.csv has no column Label, Brand, Ingredients; it has id, brand, category, ingredients",
    ):
        read_products(sephora, sephora, labels)
    with pytest.raises(ValueError, match="nowhere.csv: no such file"):
        read_products(tmp_path / "nowhere.csv", sephora, labels)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="empty.csv is no readable CSV"):
        read_table(tmp_path / "empty.csv", ())
    twice = write(
        tmp_path / "twice.csv", [("label", "canonical", "group"), ("a", "A", "x"), ("a", "B", "x")]
    )
    with pytest.raises(ValueError, match="label 'a' stands there twice"):
        read_label_map(twice, "full")


def test_a_model_that_was_pretrained_on_held_out_lists_is_refused(tmp_path):
    lists = tmp_path / "train_lists.txt"
    lists.write_text("Water, Oil\nTalc, Mica\n")
    (tmp_path / "run.json").write_text(
        json.dumps({"config": {"data": ["gone.txt", "products.json.gz", str(lists)]}})
    )
    product = Product("sephora", 0, "", "water,  OIL.", "", "a")
    check_no_leakage(
        tmp_path, [replace(product, text="Water"), replace(product, text="Oil, Water")]
    )
    with pytest.raises(
        ValueError,
        match="was trained on .*train_lists.txt, which holds 1 lists of this run's validation and test sides; use the --split and --split-seed",
    ):
        check_no_leakage(tmp_path, [product])
    later = tmp_path / "later" / "still"
    later.mkdir(parents=True)
    (later.parent / "run.json").write_text(
        json.dumps({"config": {"data": [], "init": str(tmp_path)}})
    )
    (later / "run.json").write_text(json.dumps({"config": {"init": str(later.parent)}}))
    with pytest.raises(ValueError, match=f"^{tmp_path} was trained on"):  # a model of a model
        check_no_leakage(later, [product])
    (tmp_path / "run.json").write_text(json.dumps({"config": {"init": str(later)}}))
    lists.unlink()
    check_no_leakage(later, [product])
    check_no_leakage(tmp_path / "no-run", [product])
    for foreign in ("[1]", '{"config": 3}', "{"):
        (tmp_path / "run.json").write_text(foreign)
        check_no_leakage(tmp_path, [product])


def numbered(*labels):
    return [
        Product("cosmetics", i, "", f"text {i}", f"text {i}", label)
        for i, label in enumerate(labels)
    ]


@pytest.mark.parametrize(
    "products, by, min_per_label, message",
    [
        (
            numbered(*["a", "b"] * 20),
            "brand",
            5,
            "40 products leave valid and test empty: more lists are needed, with --split brand more brands",
        ),
        (
            numbered(*["a", "b"] * 3),
            "list",
            3,
            "6 products leave (valid|test|valid and test) empty: more lists are needed",
        ),
        (
            numbered(*["a"] * 9, *["b"] * 2),
            "list",
            1,
            r"too few lists for 3 sides: 'b' \(2\); raise --min-per-label to 3",
        ),
        (
            numbered(*["a"] * 9, *["b"] * 2),
            "list",
            3,
            r"only 1 label\(s\) with at least --min-per-label 3 lists",
        ),
    ],
)
def test_labels_and_sides_that_are_too_small_are_named(products, by, min_per_label, message):
    sides = split_products(products, by, np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        apply_label_scheme(sides, {"a": "a", "b": "b"}, min_per_label, ProductCounts())
