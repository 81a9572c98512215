import csv
import os
import random
import re
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import (
    INPUTS,
    LABEL_TABLE,
    OTHER_BRAND,
    REPEATED,
    SCHEMES,
    SPLITS,
    Product,
    ProductCounts,
    apply_label_scheme,
    choose_inputs,
    clean_name,
    duplicate_groups,
    family_of,
    label_list,
    label_names,
    name_key,
    read_label_table,
    read_products,
    select_inputs,
    texts,
)
from beautybert.cls.splits import split_products
from tests.conftest import SAMPLE


def write(path, rows, encoding="utf-8", separator=","):
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


SOME_LABELS = (
    ("label", "canonical", "group"),
    ("serum", "Serum", "care"),
    ("soap", "Soap", "wash"),
    ("Soap", "Soap", "wash"),
    ("small", "", ""),
)
HEADER = ("label", "name", "ingredients")


def some_lists(count, start=0):
    return [f"Water, Oil {i}, Acid {i}" for i in range(start, start + count)]


def read(folder, *rows, header=HEADER, columns=None):
    """The products of one table, table.csv, and what became of its rows."""
    return read_products([write(folder / "table.csv", [header, *rows])], columns)


def apply_scheme(products, counts, scheme, label_table=None, by="list", inputs=INPUTS):
    """The products of a run with --labels `scheme`, as train_cls.py makes them."""
    splits, counts = select_inputs(split_products(products, by, 0), inputs, counts)
    names = label_names(products, label_table, scheme)
    return apply_label_scheme(splits, names, 5, counts)


def keys(products, part):
    """One field of each product, in order."""
    return [getattr(product, part) for product in products]


def labelled(labels):
    """A product of each label, or letter of a string, with its own list."""
    return [
        Product("table", i, label, "", "", f"text {i}", f"text {i}", "", f"text {i}")
        for i, label in enumerate(labels)
    ]


# ---- reading -----------------------------------------------------------------------------------


def test_texts_and_label_of_a_record_are_those_of_its_row_in_the_file(sample_products):
    """Read again by hand: no text may ever be beside the label of another row."""
    columns = {
        "cosmetics": ("Label", "Name", "Ingredients"),
        "sephora_website_dataset": ("category", "name", "ingredients"),
    }
    rows = {}
    for source in columns:
        with open(SAMPLE / f"{source}.csv", encoding="utf-8-sig", newline="") as file:
            rows[source] = list(csv.DictReader(file))
    splits = split_products(sample_products[0], "list", 0)
    products = [product for split in splits.values() for product in split]
    assert len(products) == len(sample_products[0]) > 900
    for product in products:
        label, name, ingredients = columns[product.source]
        row = rows[product.source][product.row]
        assert row[label] == product.label
        assert row[name] == product.name
        assert str(parse_ingredients(row[ingredients])) == product.ingredients


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


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_table_from_excel_is_read_as_if_it_were_plain(tmp_path, separator, encoding):
    rows = [
        ("", "INCI", "Product_Title", " Label ", "Maker"),
        ("0", "Water,\nOil 1", " Crème  de\nla Mer ", " eye cream ", " ACME "),
        ("1", "Water; Oil", "B&amp;B &eacute;clat", "serum"),
    ]
    path = write(tmp_path / "x.csv", rows, encoding, separator)
    [first, second], counts = read_products([path])
    assert (first.label, first.name, first.brand) == ("eye cream", "Crème de la Mer", "acme")
    assert (second.label, second.name, second.brand) == ("serum", "B&B éclat", "")
    assert first.ingredients == "Water, Oil 1" and second.ingredients == "Water, Oil"
    assert [first.row, second.row] == [0, 1]
    [note] = counts.notes
    assert "x.csv: 1 rows have fewer cells than the header" in note


def test_the_public_layout_with_levels_of_categories_needs_no_options(tmp_path):
    rng = random.Random(0)
    header = ["product_id", "product_name", "brand_id", "brand_name", "ingredients"]
    header += ["primary_category", "secondary_category", "tertiary_category"]
    rows, labels, lists = [], [], []
    for i in range(50):
        levels = ["Skincare", "Treatments", "Face Serums"][: rng.randint(1, 3)]
        names = ["Water", "Glycerin", f"Extract {i}", "Mica"][: rng.randint(3, 4)]
        printed = str([", ".join(names[:2]), *names[2:]])  # as the file has them
        labels.append(levels[-1])
        lists.append(", ".join(names))
        levels += [""] * (3 - len(levels))
        rows.append([f"P{i}", f"Serum no. {i}", i % 7, f"Brand {i % 7}", printed, *levels])
    products, counts = read(tmp_path, *rows, header=header)
    assert keys(products, "label") == labels and len(set(labels)) == 3
    assert keys(products, "ingredients") == lists
    assert keys(products, "name") == [f"Serum no. {i}" for i in range(50)]
    assert keys(products, "brand") == [f"brand {i % 7}" for i in range(50)]
    assert counts.parts == {"name and list": 50} and not counts.notes


def test_tables_of_names_or_of_lists_alone_work(tmp_path):
    rows = [("serum", f"Serum {i}") for i in range(6)] + [("soap", " ")]
    products, counts = read(tmp_path, *rows, header=("category", "title"))
    assert counts.parts == {"name only": 6} and counts.dropped["no name"] == 1
    assert choose_inputs(products, None) == ("name",)
    assert texts(products, ["ingredients"]) == [] and keys(products, "list_key") == [""] * 6

    rows = [("serum", cell) for cell in [*some_lists(6), ""]]
    products, counts = read(tmp_path, *rows, header=("category", "inci"))
    assert counts.parts == {"list only": 6} and counts.dropped["empty"] == 1
    assert choose_inputs(products, None) == ("ingredients",)
    assert texts(products, ["name"]) == [] and keys(products, "name_key") == [""] * 6


def test_a_column_that_gives_nothing_is_noted(tmp_path):
    _, counts = read(tmp_path, ("serum", "", "Water, Mica"), ("soap", "none", "Water, Talc"))
    assert counts.notes == [
        f"{tmp_path}/table.csv: no row with a label has a name in the column 'name'"
    ]
    _, counts = read(tmp_path, ("serum", "a", "x"), ("soap", "b", ""))
    assert "no row with a label has an ingredient list in the column 'ingredients'" in str(counts)


def test_given_columns_are_taken_where_they_are(tmp_path):
    one = write(tmp_path / "one.csv", [("kind", "category", "name"), ("serum", "x", "A")])
    two = write(tmp_path / "two.csv", [("category", "title"), ("soap", "B")])
    products, _ = read_products([one, two], {"label": "KIND"})
    assert keys(products, "label") == ["serum", "soap"]
    message = "--columns name=text: no table has that column; .*'kind', .*; .*'title'"
    with pytest.raises(ValueError, match=message):
        read_products([one, two], {"name": "text"})


def test_a_table_says_itself_who_is_in_which_split(tmp_path):
    values = ["Train", "training", "valid", "validation", "VAL", "dev", " test ", ""]
    rows = [("serum", f"Serum {i}", "", value) for i, value in enumerate(values)]
    header = (*HEADER, "fold")
    products, _ = read(tmp_path, *rows, header=header, columns={"split": "fold"})
    assert keys(products, "split") == ["train"] * 2 + ["valid"] * 4 + ["test", ""]
    assert keys(read(tmp_path, *rows, header=header)[0], "split") == [""] * 8
    rows.append(("serum", "A", "", "holdout"))
    with pytest.raises(ValueError, match="table.csv, row 8: split 'holdout' is none of train, "):
        read(tmp_path, *rows, header=header, columns={"split": "fold"})


def test_the_same_product_in_two_splits_of_the_table_stays_in_both(tmp_path):
    """It is no repeat but a leak, which splits.py is to see."""
    rows = [("serum", "A", "", split) for split in ("train", "test", "test")]
    products, counts = read(tmp_path, *rows, header=(*HEADER, "x"), columns={"split": "x"})
    assert keys(products, "split") == ["train", "test"] and counts.dropped[REPEATED] == 1


def test_a_source_is_named_by_its_folder_where_two_files_are_equal(tmp_path):
    paths = [
        write(tmp_path / folder / name, [("label", "name"), ("serum", f"{folder} {name}")])
        for folder, name in (("a", "x.csv"), ("b", "x.txt"), ("b", "y.csv"))
    ]
    products, counts = read_products(paths)
    assert keys(products, "source") == ["a/x", "b/x", "y"] == list(counts.rows)
    with pytest.raises(ValueError, match="two tables have the name 'b/y'"):
        read_products([paths[2], os.path.relpath(paths[2])])


# ---- the same list, the same name --------------------------------------------------------------


def test_a_group_is_all_that_keys_link_whatever_the_order():
    links = [("a", "1"), ("a", "2"), (), ("b", "2"), ("c",), ("b", "3"), ("d", "c")]
    groups = duplicate_groups(links)
    assert groups == ["1", "1", "", "1", "c", "1", "c"]
    order = [4, 1, 6, 5, 0, 3, 2]
    assert duplicate_groups([links[i] for i in order]) == [groups[i] for i in order]


def test_chains_of_links_take_linear_time():
    """A product that shares its list with the next one, and its name with the one before."""
    count = 100_000
    chain = [(f"list {i // 2}", f"name {(i + 1) // 2}") for i in range(count)]
    assert len(set(duplicate_groups(chain))) == 1
    assert len(set(duplicate_groups(chain[::-1]))) == 1


def test_the_same_cell_in_other_lines_or_separators_is_the_same_list(tmp_path):
    """Whatever is read from each: linked directly, or through a third."""
    cells = ["Orion:\nTalc, Mica, Silica", "Orion:Talc, Mica, Silica", "Orion Talc - Mica - Silica"]
    assert parse_ingredients("Orion Talc, Mica").key != parse_ingredients("Orion:\nTalc, Mica").key
    rows = [(label, "", cell) for label, cell in zip("abc", cells, strict=True)]
    products, _ = read(tmp_path, *rows, ("a", "", "Talc, Silica"))
    *same, other = products
    assert len(set(keys(same, "list_key"))) == len(set(keys(same, "group"))) == 1
    assert other.list_key != same[0].list_key and other.group != same[0].group


def test_a_list_with_amounts_is_the_list_without(tmp_path):
    plain = "Water, Niacinamide, Glycerin"
    amounts = "Water (500,000 ppm), Niacinamide (50,000 ppm), Glycerin (1,000 ppm)"
    one, other = read(tmp_path, ("a", "One", plain), ("b", "Other", amounts))[0]
    assert one.list_key == other.list_key and one.group == other.group


@pytest.mark.parametrize(
    "one, other",
    [
        ("Protini™ Polypeptide Cream", "protini polypeptide CREAM"),
        ("Crème de la Mer®", "Creme-de-la-Mer"),
        ("L'Eau &amp; Co.", "L’eau, co"),
        ("クリーム 1", " クリーム  1"),
        ("КРЕМ", "крем."),
    ],
)
def test_one_name_in_two_spellings_has_one_key(one, other):
    assert name_key(clean_name(one)) == name_key(clean_name(other)) != ""


@pytest.mark.parametrize(
    "one, other", [("クリーム 1", "リップ 1"), ("крем", "мыло"), ("Serum 1", "Serum 2"), ("ﾞ", "ﾟ")]
)
def test_names_of_any_script_are_told_apart(one, other):
    assert "" != name_key(one) != name_key(other) != ""


@pytest.mark.parametrize(
    "cell", ["", " ", "nan", "NULL", "None", "n/a", "N/A", "unknown", "-", "...", "\u200b", "™"]
)
def test_a_cell_that_says_that_there_is_no_name_is_none(cell):
    assert clean_name(cell) == ""


def test_a_name_of_megabytes_takes_no_time_and_has_a_key():
    for cell in ("&#" + "9" * 1_000_000, "a" + "\u0301\u0316" * 1_000_000, "&amp;" * 1_000_000):
        name = clean_name(cell)
        assert len(name) <= 1000 and bool(name) == bool(name_key(name))


def test_products_are_linked_by_names_and_lists_directly_or_through_others(tmp_path):
    rows = [
        ("a", "One", "Water, Mica"),
        ("b", "ONE!", "Water, Talc"),
        ("c", "Two", "WATER, TALC"),
        ("d", "Two", ""),
        ("e", "Three", "unknown"),
        ("f", "Four", "unknown"),  # no list, and no link
        ("g", "", "Water, Silica"),
        ("h", "n/a", "Water, Kaolin"),  # no name, and no link
    ]
    paths = [write(tmp_path / "x.csv", [HEADER, *rows]), write(tmp_path / "y.csv", [HEADER, *rows])]
    products, counts = read_products(paths)
    assert len(products) == 8 and counts.dropped[REPEATED] == 8
    groups = keys(products, "group")
    assert len(set(groups[:4])) == 1 and len({*groups[3:]}) == 5
    backward = read_products([write(tmp_path / "x.csv", [HEADER, *rows[::-1]])])[0]
    assert keys(backward, "group") == groups[::-1]
    assert keys(backward, "list_key") == keys(products, "list_key")[::-1]


def test_no_name_or_list_of_the_sample_is_in_two_groups(sample_products):
    """As somebody else would compare them: by letters and digits of the cells."""
    groups = defaultdict(set)
    for source, columns in (
        ("cosmetics", ("Name", "Ingredients")),
        ("sephora_website_dataset", ("name", "ingredients")),
    ):
        with open(SAMPLE / f"{source}.csv", encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        for product in sample_products[0]:
            if product.source != source:
                continue
            for column, part in zip(columns, INPUTS, strict=True):
                if getattr(product, part):
                    cell = rows[product.row][column]
                    groups[part, re.sub("[^a-z0-9]+", "", cell.lower())].add(product.group)
    assert len(groups) > 1500 and set(map(len, groups.values())) == {1}


# ---- tables that cannot be used ----------------------------------------------------------------


@pytest.mark.parametrize(
    "header, rows, message",
    [
        (HEADER, [], "table.csv has a header and no rows"),
        (HEADER, [("", "a", "Water, Mica")] * 3, r"no row can be used \(3 no label\); .*'label'"),
        (HEADER, [("serum", "", "No Info")], r"no row can be used \(1 no list given\)"),
        (("label", "name"), [("serum", "")], r"no row can be used \(1 no name\)"),
        (("label", "x"), [("serum", "a")], "neither a name nor an ingredients column .* has 'lab"),
        (("kind", "name"), [("serum", "a")], "hold the label; name one with --columns label="),
        (
            HEADER,
            [("moisturizer", "a", ""), (" Moisturizer", "b", ""), ("serum", "c", "")],
            "labels that differ in case alone: 'Moisturizer', 'moisturizer'; write each one way",
        ),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path, header, rows, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, *rows, header=header)


def test_labels_of_two_tables_that_differ_in_case_alone_are_noted(tmp_path):
    paths = [
        write(tmp_path / f"{label}.csv", [("label", "name"), (label, "a"), ("soap", "b")])
        for label in ("Eye cream", "Eye Cream")
    ]
    products, counts = read_products(paths)
    assert len(products) == 3  # the soap is once more the same
    assert "note: 'Eye Cream', 'Eye cream' are labels of different tables" in str(counts)


def test_tables_without_a_common_label_are_noted_under_the_scheme_that_keeps_them_apart():
    products = labelled("abcd" * 10)
    sources = {"a": "one", "b": "one", "c": "two", "d": "two"}
    products = [replace(product, source=sources[product.label]) for product in products]
    splits = split_products(products, "list", 0)
    _, counts = apply_label_scheme(splits, {name: name for name in "abcd"}, 5, ProductCounts())
    assert counts.notes == ["no label of 'one', 'two' is in another table"]
    merged = {"a": "a", "b": "both", "c": "both", "d": "d"}
    _, counts = apply_label_scheme(splits, merged, 5, ProductCounts())
    assert not counts.notes


# ---- what the model reads ----------------------------------------------------------------------


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


# ---- label schemes -----------------------------------------------------------------------------


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


def test_the_label_table_knows_every_label_once_and_says_why_one_is_dropped():
    table = read_label_table()
    assert len(table) == 149
    assert 60 < len({canonical for canonical, _ in table.values()} - {""}) < 100
    assert 10 <= len({group for _, group in table.values()} - {""}) <= 16
    with open(LABEL_TABLE, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert bool(row["canonical"]) != bool(row["dropped"]), "a reason for each dropped"


def test_a_label_table_with_a_label_twice_or_without_a_column_is_named(tmp_path):
    rows = [("label", "canonical", "group"), ("a", "A", "x"), ("a", "B", "x")]
    with pytest.raises(ValueError, match="twice.csv: label 'a' is there twice"):
        read_label_table(write(tmp_path / "twice.csv", rows))
    rows = [("label", "group")]
    with pytest.raises(ValueError, match="no column canonical; it has 'label', 'group'"):
        read_label_table(write(tmp_path / "short.csv", rows))


@pytest.mark.parametrize(
    "label, other",
    [
        ("Moisturizer", "Moisturizers"),
        ("Eye cream", "Eye Creams & Treatments"),
        ("Makeup & Travel Cases", "Makeup Bags & Travel Cases"),
        ("MOISTURIZER", "moisturizers"),  # in no table so
    ],
)
def test_labels_of_one_meaning_have_one_canonical_name(label, other):
    names = label_names(labelled([label, other]), None, "canonical")
    assert names[label] == names[other] != ""


@pytest.mark.parametrize("label", ["Mini Size", "Value & Gift Sets", "no category"])
def test_labels_that_are_no_product_type_have_no_canonical_name(label):
    assert label_names(labelled([label]), None, "canonical") == {label: ""}


def test_labels_that_the_table_does_not_know_are_none_or_all_that_there_are():
    products = labelled(["Kitchen roll", "Eye Cream", "Teapot"])
    expected = {"Eye Cream": "eye care", "Kitchen roll": None, "Teapot": None}
    assert label_names(products, None, "group") == expected
    assert label_names(products[::2], None, "full") == {
        "Kitchen roll": "Kitchen roll",
        "Teapot": "Teapot",
    }
    message = r"knows no label of the tables \('Kitchen roll', 'Teapot'\): use --labels full"
    with pytest.raises(ValueError, match=message):
        label_names(products[::2], None, "canonical")


def test_a_canonical_name_belongs_to_one_group():
    group_of = {}
    for label, (canonical, group) in read_label_table().items():
        if canonical:
            assert group_of.setdefault(canonical, group) == group, label


def test_a_family_is_the_same_for_a_label_its_canonical_name_and_itself():
    for label, (canonical, group) in read_label_table().items():
        if canonical:
            families = family_of([label, canonical, group, "Teapot"])
            assert families == {label: group, canonical: group, group: group, "Teapot": ""}


@pytest.mark.parametrize(
    "labels, by, min_per_label, message",
    [
        (
            "ab" * 20,
            "brand",
            5,
            "40 products leave valid and test empty: more products are needed, with --split brand "
            "more brands",
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
    header, columns = (*HEADER, "fold"), {"split": "fold"}
    products, counts = read(tmp_path, *rows, header=header, columns=columns)
    names = label_names(products, None, "full")
    splits, _ = apply_label_scheme(split_products(products, "list", 0), names, 1, counts)
    assert label_list(splits) == ["a", "b"]
    products, counts = read(tmp_path, *rows[:-1], header=header, columns=columns)
    with pytest.raises(ValueError, match="leave test empty: the split column gives them none"):
        apply_label_scheme(split_products(products, "list", 0), names, 1, counts)
