import csv

import pytest

from beautybert.cls.labels import LABEL_TABLE, family_of, label_names, read_label_table, synonyms
from tests.cls.example_tables import labelled, write


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


def test_a_wrong_label_table_is_told_whatever_the_scheme(tmp_path):
    for scheme in ("full", "canonical", "group"):
        with pytest.raises(ValueError, match="labels.csv: no such file"):
            label_names(labelled("ab"), tmp_path / "labels.csv", scheme)


def test_synonyms_are_what_the_table_merges_into_labels_of_the_model(tmp_path):
    rows = [
        ("label", "canonical", "group"),
        ("Face Serums", "Serum", "care"),
        ("Serums", "Serum", "care"),
        ("serums", "Soap", "wash"),  # of two spellings the first counts
        ("Toner", "Toner", "care"),
        ("Minis", "", ""),
        ("Soap", "Soap", "wash"),
        ("Care Sets", "", "care"),  # of no canonical label
    ]
    path = write(tmp_path / "labels.csv", rows)
    assert synonyms(["Serum", "Soap"], path) == {
        "face serums": "Serum",
        "serums": "Serum",
    }
    assert synonyms(["care", "Soap"], path) == {
        "care sets": "care",
        "face serums": "care",
        "serum": "care",
        "serums": "care",
        "toner": "care",
    }
    own = ["Serum", "Face Serums"]  # both are labels of their own
    assert synonyms(own, path) == {"serums": "Serum"}


def test_a_label_table_and_a_table_have_the_same_label_in_other_spaces(tmp_path):
    rows = [("label", "canonical", "group"), ("eye\u00a0 cream\u200b", "Eye", "face")]
    table = write(tmp_path / "labels.csv", rows)
    assert label_names(labelled(["eye cream"]), table, "canonical") == {"eye cream": "Eye"}
