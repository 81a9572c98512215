import gzip
import json

import pytest

from beautybert.mlm import corpus, corpus_files
from beautybert.mlm.corpus import TEXT_FIELDS, Corpus, document_text
from beautybert.mlm.corpus_files import read_chunks
from beautybert.mlm.markup import clean_text
from tests.conftest import product_texts


@pytest.mark.parametrize(
    "raw, clean",
    [
        ("A&nbsp;cr&egrave;me &amp; more", "A crème & more"),
        ("twice &amp;lt;b&amp;gt;bold&amp;lt;/b&amp;gt;", "twice bold"),
        ("under < 5 oz and > 3", "under < 5 oz and > 3"),
        ("<p class='x'>one</p><br/>two<!-- no -->", "one two"),
        ("<script>var a = '<b>';</script>kept<style>p {}</style>", "kept"),
        ("  zero\u200bwidth \n\t folded\u00a0", "zero width folded"),
        ("I <3 this", "I <3 this"),
        ("SPF&#8203;50", "SPF 50"),
        ("mois&shy;turizer", "moisturizer"),
        ("a\x07b\u2028c", "a b c"),
    ],
)
def test_a_clean_text_is_one_line_without_markup(raw, clean):
    assert clean_text(raw) == clean


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
    ],
)
def test_amazon_2018_and_2023_records_become_one_text(record, text):
    assert document_text(json.dumps(record).encode(), ".json", TEXT_FIELDS) == text


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


def test_chunks_are_numbered_bounded_and_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "CHUNK_ROWS", 7)
    texts = product_texts(30)
    path = tmp_path / "x.txt"
    path.write_text("\n".join(texts) + "\n")
    chunks = list(read_chunks(path))
    assert [len(chunk.rows) for chunk in chunks] == [7, 7, 7, 7, 2]
    rows = [row.decode().strip() for chunk in chunks for row in chunk.rows]
    assert rows == texts
    assert [n for chunk in chunks for n in chunk.line_numbers] == list(range(1, 31))
    assert chunks[-1].position == path.stat().st_size


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


def test_fields_are_checked_in_the_first_record_of_each_file(tmp_path):
    (tmp_path / "a.json").write_text('{"title": "x"}\n')
    (tmp_path / "b.csv").write_text("name,price\na,1\n")
    a, b = str(tmp_path / "a.json"), str(tmp_path / "b.csv")
    Corpus((a,)).check_fields()
    Corpus((a, b), ("title", "name")).check_fields()
    with pytest.raises(ValueError, match="b.csv has none of the text fields .*has name, price"):
        Corpus((a, b)).check_fields()
