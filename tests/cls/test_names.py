import time

import pytest

from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.names import clean_label, clean_name, name_key, printed_list


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


@pytest.mark.parametrize(
    "sign", ["\x1b", "\x07", "\x08", "\x7f", "\x9b", "\u202e", "\u2066", "\udc80", "\u200b"]
)
def test_nothing_that_is_read_acts_on_a_terminal(sign):
    """Nor does it change what is read: signs without a shape are left out."""
    assert clean_name(f"Ro{sign}se {sign}Cream{sign}") == "Rose Cream"
    assert clean_label(f" face{sign}\n cream ") == "face cream"
    assert parse_ingredients(f"Wa{sign}ter, {sign}Glycerin").names == ("Water", "Glycerin")
    assert name_key(clean_name(f"{sign}Rose")) == "rose"


@pytest.mark.parametrize(
    "cell, expected",
    [
        ("['Rose Cream']", "Rose Cream"),
        (' ["Rose Cream", "50 ml"] ', "Rose Cream, 50 ml"),
        ("""["L'Eau", 'Rose "x"']""", 'L\'Eau, Rose "x"'),
        ("[Rose Cream]", "[Rose Cream]"),
        ("Rose ['x']", "Rose ['x']"),
        ("['a', b]", "['a', b]"),
    ],
)
def test_a_list_that_a_program_has_printed_is_read_as_its_texts(cell, expected):
    assert clean_name(cell) == expected
    assert printed_list(cell).strip() == expected


def test_a_printed_list_takes_linear_time():
    start = time.process_time()
    for part in ("'a', ", "'", "['", " ", "' , ", '"', "'a'", "],"):
        printed_list("['a', " + part * 200_000)
    assert time.process_time() - start < 2
