import csv
from collections import Counter

import pytest

from beautybert.cls.csv_files import read_table
from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import (
    LABEL_TABLE,
    SCHEMES,
    SPLITS,
    Product,
    ProductCounts,
    apply_label_scheme,
    duplicate_groups,
    label_list,
    read_label_map,
    read_products,
)
from beautybert.cls.splits import split_products
from tests.conftest import SAMPLE


def write(path, rows, encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


SOME_LABELS = (
    ("serum", "Serum", "care"),
    ("soap", "Soap", "wash"),
    ("Soap", "Soap", "wash"),
    ("small", "", ""),
)


def tables(folder, cosmetics, sephora):
    """The two tables, from (label, brand, list) rows, and a label table of `SOME_LABELS`."""
    cosmetics_rows = [(label, brand, "1", cell) for label, brand, cell in cosmetics]
    sephora_rows = [("7", brand, label, cell) for label, brand, cell in sephora]
    return (
        write(
            folder / "cosmetics.csv", [("Label", "Brand", "Price", "Ingredients"), *cosmetics_rows]
        ),
        write(folder / "sephora.csv", [("id", "brand", "category", "ingredients"), *sephora_rows]),
        write(folder / "labels.csv", [("label", "canonical", "group"), *SOME_LABELS]),
    )


def some_lists(count, start=0):
    return [f"Water, Oil {i}, Acid {i}" for i in range(start, start + count)]


def apply_scheme(products, counts, scheme, label_table=LABEL_TABLE, by="list"):
    """The products of a run with --labels `scheme`, as train_cls.py makes them."""
    splits = split_products(products, by, 0)
    return apply_label_scheme(splits, read_label_map(label_table, scheme), 5, counts)


# ---- reading -----------------------------------------------------------------------------------


def test_text_and_label_of_a_record_are_those_of_its_row_in_the_file(sample_products):
    """Read again by hand: no list may ever be beside the label of another row."""
    columns = {
        "cosmetics": ("cosmetics.csv", "Label", "Ingredients"),
        "sephora": ("sephora_website_dataset.csv", "category", "ingredients"),
    }
    rows = {}
    for source, (name, _, _) in columns.items():
        with open(SAMPLE / name, encoding="utf-8-sig", newline="") as file:
            rows[source] = list(csv.DictReader(file))
    splits = split_products(sample_products[0], "list", 0)
    products = [product for split in splits.values() for product in split]
    assert len(products) == len(sample_products[0]) > 600
    for product in products:
        _, label_column, list_column = columns[product.source]
        row = rows[product.source][product.row]
        assert row[label_column] == product.label
        assert str(parse_ingredients(row[list_column])) == product.text


@pytest.mark.parametrize("by", ["list", "brand"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_row_is_used_or_counted(sample_products, scheme, by):
    splits, counts = apply_scheme(*sample_products, scheme, by=by)
    num_used = sum(map(len, splits.values()))
    assert counts.rows.total() == 240 + 755 == num_used + counts.dropped.total()
    assert min(counts.dropped.values()) >= 0
    assert f"995 rows (240 cosmetics, 755 sephora), {num_used} used" in str(counts)


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

    # soap and Soap become one label, and a list of both one product
    splits, canonical_counts = apply_scheme(products, counts, "canonical", files[2])
    assert canonical_counts.dropped == {
        "no list given": 1,
        "same list and label again": 3,
        "label is no product type": 1,
        "empty": 1,
        "label with too few lists": 0,
        "list that training has under another brand": 0,
    }
    assert ", 0 " not in str(canonical_counts)
    labels = Counter(product.label for products in splits.values() for product in products)
    assert labels == {"Serum": 20, "Soap": 20}

    splits, full_counts = apply_scheme(products, counts, "full", files[2])
    assert full_counts.rare == {"soap": 2, "small": 1}
    assert label_list(splits) == ["Soap", "serum"]
    assert "soap (2)" in str(full_counts)


def test_the_same_cell_in_other_lines_or_separators_is_the_same_list(tmp_path):
    """Whatever is read from each: linked directly, or through a third."""
    linked = duplicate_groups([("a", "1"), ("a", "2"), ("b", "2"), ("b", "3")])
    assert len(set(linked)) == 1
    apart = duplicate_groups([("a", "1"), ("b", "2")])
    assert len(set(apart)) == 2

    cells = ["Orion:\nTalc, Mica, Silica", "Orion:Talc, Mica, Silica", "Orion Talc - Mica - Silica"]
    assert parse_ingredients("Orion Talc, Mica").key != parse_ingredients("Orion:\nTalc, Mica").key
    cosmetics = [("serum", "a", cell) for cell in some_lists(6)]
    sephora = [("Soap", "a", cell) for cell in some_lists(6, 10)]
    for label, cell in zip(("Soap", "serum", "soap"), cells, strict=True):
        sephora.append((label, "a", cell))
    products, _ = read_products(*tables(tmp_path, cosmetics, sephora))
    with_talc = [product for product in products if "Talc" in product.text]
    assert len(with_talc) == 3
    assert len({product.key for product in with_talc}) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1"])
def test_tables_are_read_in_the_encodings_of_the_wild(tmp_path, encoding):
    rows = [["crème", "line one\nline two, Crème"], ["NA", ""]]
    path = write(tmp_path / "x.csv", [("Label", "text"), *rows], encoding)
    assert read_table(path, ("Label", "text")).to_numpy().tolist() == rows


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
            "cosmetics.csv: label 'cream' is not in .*labels.csv; add a line with its canonical "
            "name and group there",
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
    _, sephora, labels = tables(tmp_path, *GOOD)
    message = (
        "sephora.csv has no column Label, Brand, Ingredients; it has id, brand, category, "
        "ingredients"
    )
    with pytest.raises(ValueError, match=message):
        read_products(sephora, sephora, labels)
    with pytest.raises(ValueError, match="nowhere.csv: no such file"):
        read_products(tmp_path / "nowhere.csv", sephora, labels)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="empty.csv is no readable CSV"):
        read_table(tmp_path / "empty.csv", ())
    rows = [("label", "canonical", "group"), ("a", "A", "x"), ("a", "B", "x")]
    twice = write(tmp_path / "twice.csv", rows)
    with pytest.raises(ValueError, match="label 'a' is there twice"):
        read_label_map(twice, "full")


# ---- label schemes -----------------------------------------------------------------------------


def test_a_split_by_brand_counts_the_lists_that_it_leaves_out():
    """One list that every brand sells: it stays in training alone."""
    products = []
    for i in range(80):
        key = "common" if i % 4 == 0 else f"list {i}"
        products.append(Product("cosmetics", i, f"brand {i // 4}", "", key, "ab"[i % 2]))
    splits = split_products(products, "brand", 0)
    num_left_out = 80 - sum(map(len, splits.values()))
    num_common = sum(product.key == "common" for product in products)
    num_trained = sum(product.key == "common" for product in splits["train"])
    assert num_left_out == num_common - num_trained > 0
    counts = ProductCounts(rows=Counter(cosmetics=80))
    _, counts = apply_label_scheme(splits, {"a": "a", "b": "b"}, 5, counts)
    assert +counts.dropped == {
        "list that training has under another brand": num_left_out,
        "same list and label again": num_trained - 1,
    }


def test_a_list_is_in_the_same_split_under_every_scheme(sample_products):
    by_scheme = {scheme: apply_scheme(*sample_products, scheme)[0] for scheme in SCHEMES}
    in_all = {split: [] for split in SPLITS}  # the rows of each scheme
    keys = {split: set() for split in SPLITS}  # of all schemes together
    for splits in by_scheme.values():
        for split, products in splits.items():
            in_all[split].append({(product.source, product.row) for product in products})
            keys[split] |= {product.key for product in products}
    for split in SPLITS:
        assert len(set.intersection(*in_all[split])) > 40
        for other in SPLITS:
            assert split == other or not keys[split] & keys[other]


def test_the_label_table_knows_every_label_once_and_says_why_one_is_dropped():
    maps = {scheme: read_label_map(LABEL_TABLE, scheme) for scheme in SCHEMES}
    assert all(len(labels) == 149 for labels in maps.values())
    assert all(label == name for label, name in maps["full"].items())
    assert 60 < len(set(maps["canonical"].values()) - {""}) < 100
    assert 10 <= len(set(maps["group"].values()) - {""}) <= 16
    table = read_table(LABEL_TABLE, ("label", "canonical", "dropped"))
    has_reason = table["dropped"] != ""
    assert ((table["canonical"] == "") == has_reason).all(), "a reason for each that is dropped"


@pytest.mark.parametrize(
    "label, other",
    [
        ("Moisturizer", "Moisturizers"),
        ("Eye cream", "Eye Creams & Treatments"),
        ("Makeup & Travel Cases", "Makeup Bags & Travel Cases"),
    ],
)
def test_labels_of_one_meaning_have_one_canonical_name(label, other):
    names = read_label_map(LABEL_TABLE, "canonical")
    assert names[label] == names[other]


@pytest.mark.parametrize("label", ["Mini Size", "Value & Gift Sets", "no category"])
def test_labels_that_are_no_product_type_have_no_canonical_name(label):
    assert read_label_map(LABEL_TABLE, "canonical")[label] == ""


def test_a_canonical_name_belongs_to_one_group():
    canonical, group = (read_label_map(LABEL_TABLE, scheme) for scheme in ("canonical", "group"))
    group_of = {}
    for label, name in canonical.items():
        if name:
            assert group_of.setdefault(name, group[label]) == group[label], name


def numbered(labels):
    """A product of one brand for each letter, each with its own list."""
    return [
        Product("cosmetics", i, "", f"text {i}", f"text {i}", label)
        for i, label in enumerate(labels)
    ]


@pytest.mark.parametrize(
    "labels, by, min_per_label, message",
    [
        (
            "ab" * 20,
            "brand",
            5,
            "40 products leave valid and test empty: more lists are needed, with --split brand "
            "more brands",
        ),
        (
            "ab" * 3,
            "list",
            3,
            "6 products leave (valid|test|valid and test) empty: more lists are needed",
        ),
        (
            "a" * 9 + "b" * 2,
            "list",
            1,
            r"too few lists for 3 splits: 'b' \(2\); raise --min-per-label to 3",
        ),
        (
            "a" * 9 + "b" * 2,
            "list",
            3,
            r"only 1 label\(s\) with at least --min-per-label 3 lists",
        ),
    ],
)
def test_labels_and_splits_that_are_too_small_are_named(labels, by, min_per_label, message):
    splits = split_products(numbered(labels), by, 0)
    with pytest.raises(ValueError, match=message):
        apply_label_scheme(splits, {"a": "a", "b": "b"}, min_per_label, ProductCounts())
