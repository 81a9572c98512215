import csv
import os
import random
import re
from collections import defaultdict

import pytest

from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import INPUTS, REPEATED, duplicate_groups, read_products, texts
from beautybert.cls.selection import choose_inputs
from beautybert.cls.splits import split_products
from tests.cls.example_tables import HEADER, keys, read, some_lists, write
from tests.conftest import SAMPLE


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
    assert "name from 'Product_Title'" in counts.columns["x"]
    assert "  x: label from" in str(counts) and "ingredients from 'INCI'" in str(counts)
    *notes_on_encoding, note = counts.notes
    assert "x.csv: 1 rows have fewer cells than the header" in note
    is_old = encoding == "cp1252"
    assert len(notes_on_encoding) == is_old
    assert not is_old or f"{path} is not in UTF-8; it is read as cp1252" in notes_on_encoding[0]


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
    products, _ = read_products([one, two], ["label=KIND"])
    assert keys(products, "label") == ["serum", "soap"]
    message = "--columns name=text: no table has that column; .*'kind', .*; .*'title'"
    with pytest.raises(ValueError, match=message):
        read_products([one, two], ["name=text"])


def test_a_table_says_itself_who_is_in_which_split(tmp_path):
    values = ["Train", "training", "valid", "validation", "VAL", "dev", " test ", ""]
    rows = [("serum", f"Serum {i}", "", value) for i, value in enumerate(values)]
    header = (*HEADER, "fold")
    products, _ = read(tmp_path, *rows, header=header, columns=["split=fold"])
    assert keys(products, "split") == ["train"] * 2 + ["valid"] * 4 + ["test", ""]
    assert keys(read(tmp_path, *rows, header=header)[0], "split") == [""] * 8
    rows.append(("serum", "A", "", "holdout"))
    with pytest.raises(ValueError, match="table.csv, row 8: split 'holdout' is none of train, "):
        read(tmp_path, *rows, header=header, columns=["split=fold"])


def test_the_same_product_in_two_splits_of_the_table_stays_in_both(tmp_path):
    """It is no repeat but a leak, which splits.py is to see."""
    rows = [("serum", "A", "", split) for split in ("train", "test", "test")]
    products, counts = read(tmp_path, *rows, header=(*HEADER, "x"), columns=["split=x"])
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
        ("i", "Shea Butter, Water", ""),  # a text is in one split, whether it is a name or a list
        ("j", "", "Shea Butter, Water"),
    ]
    paths = [write(tmp_path / "x.csv", [HEADER, *rows]), write(tmp_path / "y.csv", [HEADER, *rows])]
    products, counts = read_products(paths)
    assert len(products) == 10 and counts.dropped[REPEATED] == 10
    groups = keys(products, "group")
    assert len(set(groups[:4])) == 1 and len({*groups[3:8]}) == 5
    assert groups[8] == groups[9] not in groups[:8]
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


def test_rows_without_a_label_and_the_header_once_more_are_dropped_and_counted(tmp_path):
    rows = [(f"label {i % 3}", f"Cream {i}", "") for i in range(50)]
    rows[7] = (" ", "Cream 7", "")
    rows[9] = ("label", "name", "ingredients")
    products, counts = read(tmp_path, *rows)
    assert [product.row for product in products] == [i for i in range(50) if i not in (7, 9)]
    assert counts.dropped["no label"] == counts.dropped["header again"] == 1


def test_labels_and_brands_are_one_line_without_signs_that_act_on_a_terminal(tmp_path):
    header = ("label", "brand", "name")
    rows = [("\x1b[31mface\n cream\u202e", "\x07Acme", "Rose"), ("face cream", "acme", "Mint")]
    products, counts = read(tmp_path, *rows, header=header)
    assert keys(products, "label") == ["[31mface cream", "face cream"]
    assert keys(products, "brand") == ["acme", "acme"]
    assert str(counts).replace("\n", "").isprintable()


def test_cells_that_a_data_frame_has_printed_as_lists_are_read_as_their_texts(tmp_path):
    rows = [("['serum']", "['Rose Drops']", "['Water, Glycerin', 'Mica']"), ("gel", "Mint", "")]
    products, _ = read(tmp_path, *rows)
    assert keys(products, "label") == ["serum", "gel"]
    assert keys(products, "name") == ["Rose Drops", "Mint"]
    assert products[0].ingredients == "Water, Glycerin, Mica"
