import pytest

from beautybert.cls.names import clean_name, name_key


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
