"""Cells written here in the conventions of the real tables, each beside what a chemist would read
in it.
"""

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beautybert.cls.ingredients import parse_ingredients

LISTS = [
    # separators
    ("Water, Glycerin, Cetyl Alcohol.", "Water|Glycerin|Cetyl Alcohol"),
    (
        "Water- Glycerin- Peg-100 Stearate- Bis-Diglyceryl Polyacyladipate-2- Silica",
        "Water|Glycerin|Peg-100 Stearate|Bis-Diglyceryl Polyacyladipate-2|Silica",
    ),
    (
        "Water - Squalane - C12-15 Alkyl Benzoate - Iron Oxides (Ci 77491- Ci 77492)",
        "Water|Squalane|C12-15 Alkyl Benzoate|Iron Oxides (Ci 77491- Ci 77492)",
    ),
    ("Aqua; Parfum; Limonene", "Aqua|Parfum|Limonene"),
    ("Water • Kaolin • Talc", "Water|Kaolin|Talc"),
    (
        "Water\nGlycerin\nDimethicone\nCarbomer\nTocopherol",
        "Water|Glycerin|Dimethicone|Carbomer|Tocopherol",
    ),
    ("Water (and) Glycerin (and) Squalane", "Water|Glycerin|Squalane"),
    # names that hold separators
    (
        "1,2-Hexanediol, Caprylic/Capric Triglyceride, PEG-100 Stearate, "
        "Iron Oxides (CI 77491, CI 77492)",
        "1,2-Hexanediol|Caprylic/Capric Triglyceride|PEG-100 Stearate|"
        "Iron Oxides (CI 77491, CI 77492)",
    ),
    (
        "Water- Caprylyl Glycol- 1-2-Hexanediol- Carbomer",
        "Water|Caprylyl Glycol|1,2-Hexanediol|Carbomer",
    ),
    (
        "Alcohol Denat., Water\\Aqua\\Eau, Ext. Violet 2 (Ci 60730)",
        "Alcohol Denat|Water/Aqua/Eau|Ext. Violet 2 (Ci 60730)",
    ),
    (
        "Water, Vitis Vinif- era (Grape) Seed Oil, Tocopheryl Ac- etate",
        "Water|Vitis Vinifera (Grape) Seed Oil|Tocopheryl Acetate",
    ),
    (
        "Water, Pyrus Malus (Apple Fruit Extract, Citric Acid",
        "Water|Pyrus Malus Apple Fruit Extract|Citric Acid",
    ),
    # call-outs, headings, notices
    (
        "-Argan Oil: Softens the look of dry hair.\n"
        "-Vitamin E: Helps to protect your scalp, lips, and skin.\n\n"
        "Water, Cetearyl Alcohol, Panthenol",
        "Water|Cetearyl Alcohol|Panthenol",
    ),
    (
        " -Green Clay: Soothes and detoxifies. Water- Kaolin- Talc- Steareth-2",
        "Water|Kaolin|Talc|Steareth-2",
    ),
    (
        "-Rose, Apricot, and Lemon Oils: Deliver hydration to the skin.\r\n\r\n"
        "Squalane, Rosa Canina Fruit Oil",
        "Squalane|Rosa Canina Fruit Oil",
    ),
    ("Shade 1: Mica- Talc- Dimethicone.Shade 2:Mica- Silica- Talc", "Mica|Talc|Dimethicone|Silica"),
    (
        "Eau de Parfum:\nAlcohol, Parfum, Linalool.\nBody Lotion:\nWater, Glycerin, Parfum",
        "Alcohol|Parfum|Linalool|Water|Glycerin",
    ),
    (
        "Active Ingredients: Zinc Oxide 7.00% (Sunscreen), Titanium Dioxide 3.2%\n\n"
        "Inactive Ingredients: Water, Silica",
        "Zinc Oxide (Sunscreen)|Titanium Dioxide|Water|Silica",
    ),
    (
        "Titanium Dioxide 6.3% , Zinc Oxide 4.0%Water , Dimethicone",
        "Titanium Dioxide|Zinc Oxide|Water|Dimethicone",
    ),
    ("Octocrylene 5%: Sunscreen, Water, Alcohol", "Octocrylene|Water|Alcohol"),
    (
        "Water, Squalane*, Aloe Barbadensis Leaf Juice**. *Organic. **From a fair source.",
        "Water|Squalane|Aloe Barbadensis Leaf Juice",
    ),
    (
        "Water - Talc - Mica Please be aware that ingredient lists may change from time to time.",
        "Water|Talc|Mica",
    ),
    (
        "Water, Glycerin, Silica.\n\nClean at Sephora products are formulated without:\n\n"
        "Sulfates, Parabens, Phthalates",
        "Water|Glycerin|Silica",
    ),
    ("Argania Spinosa Kernel Oil.", "Argania Spinosa Kernel Oil"),
    ("Water, Talc &amp; Mica, Cr&egrave;me Base", "Water|Talc & Mica|Crème Base"),
]


@pytest.mark.parametrize("cell, names", LISTS)
def test_a_list_is_read_completely_in_order_and_without_the_rest(cell, names):
    ingredients = parse_ingredients(cell)
    assert "|".join(ingredients.names) == names
    assert not ingredients.may_contain
    assert not ingredients.reason


@pytest.mark.parametrize(
    "block",
    [
        ". May Contain (+/-): {}",
        ", May Contain: (+/-), {}",
        ", [+/-: {}]",
        " [May Contain (+/-): {}]",
        " (+/-) {}",
        ". +/- May Contain: {}",
        " [+/- (May Contain): {}].",
        ", may contain/peut contenir: {}",
        ". Peut Contenir / +/- : {}",
    ],
)
def test_what_a_shade_may_contain_is_kept_apart(block):
    """Mica is in both parts, so it is certain."""
    optional = "Iron Oxides (CI 77491, CI 77499), CI 75470 (Carmine)"
    cell = "Talc, Mica, Silica" + block.format(f"Mica, {optional}")
    ingredients = parse_ingredients(cell)
    assert ingredients.names == ("Talc", "Mica", "Silica")
    assert ingredients.may_contain == ("Iron Oxides (CI 77491, CI 77499)", "CI 75470 (Carmine)")
    assert str(ingredients).endswith(f". may contain: {optional}")


@pytest.mark.parametrize(
    "cell, reason",
    [
        (None, "empty"),
        (float("nan"), "empty"),
        (pd.NA, "empty"),
        (7, "empty"),
        ("  \n", "empty"),
        ("unknown", "no list given"),
        ("No Info", "no list given"),
        ("#NAME?", "no list given"),
        ("Visit the Some Brand boutique", "no list given"),
        ("100% Cotton Fiber.", "text without a list"),
        ("*Ingredients from organic farming. **Essential oils.", "text without a list"),
        (
            "-Retinol: Smooths the look of lines, and softens.\n-Peptides: Help to firm your skin.",
            "text without a list",
        ),
        (
            "More than a line of creams, we are a part of your life. Through years of research, "
            "our founder, Dr. Who, has come to see what skin needs, and how to care for it.",
            "text without a list",
        ),
    ],
)
def test_a_cell_without_a_list_gives_the_reason(cell, reason):
    ingredients = parse_ingredients(cell)
    assert ingredients.reason == reason
    assert not ingredients.names
    assert not ingredients.may_contain


def test_key_ignores_spelling_and_nothing_else():
    key = parse_ingredients("Water, PEG-8, Mica").key
    for same in ("WATER , Peg-8,mica.", "water - Peg-8 - Mica"):
        assert parse_ingredients(same).key == key
    others = ("PEG-8, Water, Mica", "Water, PEG-8", "Water, PEG-8 [+/- Mica]")
    assert len({key, *(parse_ingredients(other).key for other in others)}) == 4


@given(st.text(max_size=300))
@example("Water, \x005\x00, Oil")
def test_any_text_gives_names_or_a_reason(cell):
    ingredients = parse_ingredients(cell)
    assert bool(ingredients.names) != bool(ingredients.reason)
    for name in ingredients.names + ingredients.may_contain:
        assert name and name == name.strip()


def test_reading_what_was_read_changes_nothing():
    for cell, _ in LISTS:
        once = parse_ingredients(cell)
        assert parse_ingredients(str(once)).names == once.names, cell
