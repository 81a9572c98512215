import gzip
import json

import pytest

from beautybert.mlm import corpus
from beautybert.mlm.corpus import TEXT_FIELDS, Corpus, document_text
from tests.conftest import product_texts


@pytest.mark.parametrize(
    "record, text",
    [
        (
            {"title": "Rose Water", "description": ["A toner.", "", "Use daily"], "feature": []},
            "Rose Water. A toner. Use daily.",
        ),
        (
            {"title": "Rose Water", "features": ["100 ml"], "description": [], "store": "Acme"},
            "Rose Water. 100 ml.",
        ),
        ({"title": "Rose Water", "description": []}, "Rose Water"),
        ({"title": None, "description": "One text"}, "One text"),
        ({"title": ""}, ""),
        (
            {"title": "Rose", "description": ["soft", None, ["pink", [7, True]]]},
            "Rose. soft. pink. 7.",
        ),
        ({"title": 4711, "description": "cologne"}, "4711. cologne."),
        ({"title": "Rose", "description": float("nan")}, "Rose"),
        (
            {"title": "Rose", "features": "['soft', \"it's \\\\ pink\"]"},
            "Rose. soft. it's \\ pink.",
        ),
        ({"title": "Rose", "features": "['soft'\n 'pink', None]"}, "Rose. soft. pink."),
        ({"title": "[New] Rose", "features": "[]"}, "[New] Rose"),
        ({"title": "['New'] Rose"}, "['New'] Rose"),
    ],
)
def test_amazon_2018_and_2023_records_become_one_text(record, text):
    assert document_text(json.dumps(record).encode(), ".json", TEXT_FIELDS) == text


@pytest.mark.parametrize("printed", [False, True])
def test_details_are_text_but_for_codes_sizes_and_trade(printed):
    details = {
        "Item Form": "Cream",
        "Scent: ": ["Rose", "Mint"],
        "Is Discontinued By Manufacturer": "No",
        "Package Dimensions": "5.2 x 2 inches; 4 Ounces",
        "UPC": "123456789012",
        "Date First Available": "May 1, 2019",
        "Best Sellers Rank": {"Beauty": 12},
        "Cruelty": True,
    }
    for value in (details, json.dumps(details), str(details))[printed:]:
        row = json.dumps({"title": "Rose Cream", "details": value}).encode()
        text = document_text(row, ".json", TEXT_FIELDS)
        assert text == "Rose Cream. Item Form: Cream. Scent: Rose, Mint."


@pytest.mark.parametrize(
    "line, text",
    [
        ("{'title': 'Rose', 'description': \"It's soft\"}", "Rose. It's soft."),
        ("{'title': 'Rose', 'price': nan, 'x': None}", "Rose"),
        ("{'title': 'l\\xe8vres', 'related': {'also_bought': ['B1']}}", "lèvres"),
    ],
)
def test_a_python_dict_is_a_record_as_in_amazon_2014(line, text):
    assert document_text(line.encode(), ".json", TEXT_FIELDS) == text


DEEP = "[" * 100_000
MALFORMED = [
    ('{"title": "a", "x": ' + DEEP + "]" * 100_000 + "}", "nested too deep"),
    ("{'title': 'a', 'x': " + DEEP, "neither JSON nor a Python dict"),
    ("{'title': " + "-" * 100_000 + "1}", "neither JSON nor a Python dict"),
    ("{'title': " + "1+" * 100_000 + "1}", "neither JSON nor a Python dict"),
    ("{'title': __import__('os').getcwd()}", "neither JSON nor a Python dict"),
    ("{'title': [{}: 1]}", "neither JSON nor a Python dict"),
    ("{'title': '" + "a" * (1 << 20) + "'}", "a Python value of over 1,048,576 characters"),
    ('{"title": {"en": "Rose"}}', "'title' holds neither a text nor a list of texts"),
    ("{'title': b'Rose'}", "'title' holds neither a text nor a list of texts"),
    ("{'title': {'Rose'}}", "'title' holds neither a text nor a list of texts"),
    ('{"title": "a\0b"}', "NUL characters"),
]


@pytest.mark.parametrize("line, problem", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_row_costs_no_other(tmp_path, line, problem):
    with pytest.raises(ValueError, match=problem):
        document_text(line.encode(), ".json", TEXT_FIELDS)
    path = tmp_path / "x.json"
    path.write_text(f'{line}\n{{"title": "Rose"}}\n')
    corpus = Corpus((str(path),))
    corpus.check_fields()
    assert list(corpus.texts()) == ["Rose"]


def test_every_format_gives_the_same_texts(tmp_path):
    texts = product_texts(30)
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"title": text, "description": []}) + "\n" for text in texts)
    rows = [f'"{text}",{i}\n' for i, text in enumerate(texts)]
    (tmp_path / "c.csv").write_text("\ufefftext,id\n" + "".join(rows), encoding="utf-8")
    for name in ("a.txt", "b.jsonl.gz", "c.csv"):
        assert list(Corpus((str(tmp_path / name),)).texts()) == texts


def test_csv_cells_may_hold_line_breaks_and_commas(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('name,text\na,"water,\nglycerin"\nb,oil\n')
    assert list(Corpus((str(path),), ("text",)).texts()) == ["water, glycerin", "oil"]


def test_texts_leave_out_malformed_rows_and_those_without_text(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"title": "rose"}\n{"title"\n{"title": ""}\n[1]\n{"title": "oil"}\n')
    assert list(Corpus((str(path),)).texts()) == ["rose", "oil"]


def test_fingerprint_changes_with_content_order_fields_and_cleaning(tmp_path, monkeypatch):
    for name, text in (("a.txt", "water"), ("b.txt", "oil")):
        (tmp_path / name).write_text(text)
    a, b = str(tmp_path / "a.txt"), str(tmp_path / "b.txt")
    fingerprints = [
        Corpus((a, b)).fingerprint,
        Corpus((b, a)).fingerprint,
        Corpus((a, b), ("title",)).fingerprint,
    ]
    assert Corpus((a, b), max_bad_rows=0.5).fingerprint == fingerprints[0]
    monkeypatch.setattr(corpus, "CLEANING_VERSION", corpus.CLEANING_VERSION + 1)
    fingerprints.append(Corpus((a, b)).fingerprint)
    (tmp_path / "a.txt").write_text("Water")
    fingerprints.append(Corpus((a, b)).fingerprint)
    assert len(set(fingerprints)) == 5


def test_fingerprint_is_of_files_that_can_be_read(tmp_path):
    with pytest.raises(ValueError, match="missing.json: no such file"):
        _ = Corpus((str(tmp_path / "missing.json"),)).fingerprint


def test_fields_are_checked_in_the_first_records_of_each_file(tmp_path):
    (tmp_path / "a.json").write_text('{"title": "x"}\n')
    (tmp_path / "b.csv").write_text("name,price\na,1\n")
    a, b = str(tmp_path / "a.json"), str(tmp_path / "b.csv")
    Corpus((a,)).check_fields()
    Corpus((a, b), ("title", "name")).check_fields()
    with pytest.raises(ValueError, match="b.csv has none of the text fields .*has name, price"):
        Corpus((a, b)).check_fields()
    (tmp_path / "a.json").write_text('{"name": "x"}\n[1]\n{"title": "y"}\n')
    Corpus((a,)).check_fields()
