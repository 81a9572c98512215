from beautybert.cls.description import describe
from beautybert.cls.products import Product


def product_of(row, label, name, ingredients):
    return Product("table", row, label, "", name, ingredients, ingredients, name, f"g {row}")


def test_labels_lengths_and_examples_are_those_of_the_products():
    train = [product_of(i, "Cream", "Day Cream", "Water, Oil, Wax") for i in range(30)]
    train += [product_of(30 + i, "Gel", "", "Water") for i in range(6)]
    splits = {
        "train": train,
        "valid": [product_of(90, "Gel", "x " * 100, "")],
        "test": [product_of(91, "Cream", "Soft", ""), product_of(92, "Gel", "Gel", "")],
    }
    lines = describe(splits).splitlines()
    assert lines[0] == "39 products; by label (training, validation, test):"
    assert lines[1].split() == ["Cream", "30", "0", "1", "#" * 40]
    assert lines[2].split() == ["Gel", "6", "1", "1", "#" * 10]
    names = lines.index("name: 33 texts, 4.9 words on average")  # (60 + 100 + 2) / 33
    assert [line.split()[1:] for line in lines[names + 1 : names + 4]] == [
        ["1", "words", "2", "###"],
        ["2", "words", "30", "#" * 40],
        ["64", "words", "1", "#"],
    ]
    lists = lines.index("ingredients: 36 texts, 2.7 words on average")
    assert [line.split()[1:4] for line in lines[lists + 1 : lists + 3]] == [
        ["1", "words", "6"],
        ["2", "words", "30"],
    ]
    examples = lines[lines.index("examples:") + 1 :]
    rows = [line for line in examples if "table, row" in line]
    assert len(rows) == 10
    assert rows[0] == "  table, row 0: Cream" and rows[-1] == "  table, row 35: Gel"
    assert examples[1:3] == ["    name: Day Cream", "    ingredients: Water, Oil, Wax"]
    assert max(map(len, lines)) <= 100


def test_parts_that_no_product_has_are_not_there_and_long_texts_are_cut():
    products = [product_of(i, "ab"[i % 2], "", "Water, " * 30) for i in range(4)]
    lines = describe({"train": products[:2], "valid": products[2:], "test": []}).splitlines()
    assert not any("name:" in line for line in lines)
    texts = [line for line in lines if line.startswith("    ingredients: ")]
    assert len(texts) == 4 and all(line.endswith(" ...") and len(line) < 110 for line in texts)


def test_labels_are_cut_and_nothing_is_obeyed_by_a_terminal():
    products = [product_of(i, "\x1b[31m" + "ab"[i % 2] * 900, "x\x07", "") for i in range(4)]
    lines = describe({"train": products[:2], "valid": products[2:], "test": []}).splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines[1]) < 140 and lines[1].startswith("  \\x1b[31maaa")
