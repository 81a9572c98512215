"""Corpus files in the layouts that people have, each read as if it had a record a line."""

import gzip
import json
import sys
import tracemalloc
from importlib.util import find_spec

import pytest

from beautybert.mlm import corpus_files
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.corpus_files import read_chunks
from tests.conftest import product_texts

RECORDS = [
    {"title": 'Rose, 5" [', "description": ["soft]", None, "{"]},
    {"title": "crème \\", "description": []},
    {"title": "Lip\nBalm", "description": "x"},
]
TEXTS = ['Rose, 5" [. soft]. {.', "crème \\", "Lip Balm. x."]


def texts_of(path, content, encoding="utf-8", **options):
    data = content if isinstance(content, bytes) else content.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    corpus = Corpus((str(path),), **options)
    corpus.check_fields()
    return list(corpus.texts())


def rows_of(path):
    return [row for chunk in read_chunks(path) for row in chunk.rows]


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


# ---- JSON --------------------------------------------------------------------------------------

LAYOUTS = {
    "lines": "\n".join(map(json.dumps, RECORDS)),
    "array in a line": json.dumps(RECORDS),
    "array, pretty": json.dumps(RECORDS, indent=1, ensure_ascii=False),
    "array of lines": "[" + ",\n".join(map(json.dumps, RECORDS)) + "]\n",
    "objects, pretty": "\n".join(json.dumps(record, indent=2) for record in RECORDS),
    "objects, pretty, commas": ",\n".join(json.dumps(record, indent=2) for record in RECORDS),
    "Python dicts": "\n".join(map(str, RECORDS)),
}


@pytest.mark.parametrize("piece_bytes", [2, 7, 1 << 20])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_json_gives_the_same_texts(tmp_path, monkeypatch, layout, piece_bytes):
    monkeypatch.setattr(corpus_files, "PIECE_BYTES", piece_bytes)
    for ending in (".json", ".jsonl.gz", ".ndjson"):
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            assert texts_of(tmp_path / f"x{ending}", LAYOUTS[layout], encoding) == TEXTS


def test_one_object_over_several_lines_is_one_document(tmp_path):
    assert texts_of(tmp_path / "x.json", '{\n "title":\n "Rose"\n}') == ["Rose"]


@pytest.mark.parametrize("first", ['{"title": "a', '{"title": "a", "x": [', "{", '{"title": "a",'])
@pytest.mark.parametrize("second", ["", "\n", "lse}\n", '"b"}\n', '{"title": "b\n'])
def test_a_damaged_first_line_costs_no_other(tmp_path, first, second):
    content = f'{first}\n{second}{{"title": "one"}}\n{{"title": "two"}}\n'
    assert texts_of(tmp_path / "x.json", content) == ["one", "two"]


@pytest.mark.parametrize(
    "content",
    [
        '{"title": "one",\n "x": 1}\n{"title": "two",\n "x": {}}\n',
        '{"title":\n"one"}\n{"title":\n"two"}\n',
        '{"title": "one"\n}\n{"title": "two"\n}\n',
        '{\n"title": "one"\n,"x": 5\n}\n{\n"title": "two"\n,"x": 5\n}\n',
        '{"x": [\n  {"y": 1},\n  {"y": 2}\n ], "title": "one"}\n{\n"title": "two"}\n',
        "{\n'title': 'one'\n}\n{\n'title': 'two', 'x': True\n}\n",
    ],
)
def test_objects_over_several_lines_are_read_however_they_are_laid_out(tmp_path, content):
    assert texts_of(tmp_path / "x.json", content) == ["one", "two"]


def test_a_long_line_is_one_wherever_its_pieces_end(tmp_path, monkeypatch):
    for piece_bytes in range(2, 40):
        monkeypatch.setattr(corpus_files, "PIECE_BYTES", piece_bytes)
        content = '{"title": "one", "x": "y"}\n{"title": \n{"title": "two"}\n'
        assert texts_of(tmp_path / "x.json", content) == ["one", "two"]


def test_a_malformed_item_of_an_array_costs_no_other(tmp_path):
    deep = '{"title": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    items = ['{"title": "one"}', "5", '{"title" "b"}', deep, "null", '{"title": "two"}', ""]
    content = "[" + ",\n".join(items) + ']\n{"title": "three"}\n{"title"\n'
    assert texts_of(tmp_path / "x.json", content) == ["one", "two", "three"]
    numbers = [n for chunk in read_chunks(tmp_path / "x.json") for n in chunk.line_numbers]
    assert numbers == [1, 2, 3, 4, 5, 6, 8, 9]


@pytest.mark.parametrize(
    "content, problem",
    [
        ('[\n{"title": "a"},\n{"title": "b}\n', "array is never closed: what begins in line 3 "),
        ('{\n"title": "a"\n}\n{\n"title": [\n}\n', "object is never closed: .* line 4 "),
    ],
)
def test_what_is_never_closed_is_refused(tmp_path, content, problem):
    with pytest.raises(ValueError, match=f"x.json: the {problem}"):
        texts_of(tmp_path / "x.json", content)


@pytest.mark.parametrize("layout", ["line", "array"])
def test_memory_is_bounded_by_the_longest_row_that_is_allowed(tmp_path, monkeypatch, layout):
    """A row that is longer is malformed, however long, and not held."""
    monkeypatch.setattr(corpus_files, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr("beautybert.mlm.corpus.MAX_ROW_BYTES", 1000)
    long = '{"title": "' + "a" * 20_000_000 + '"}'
    rows = [long, '{"title": "Rose"}']
    path = tmp_path / "x.json"
    path.write_text("[" + ",".join(rows) + "]" if layout == "array" else "\n".join(rows))
    del long, rows
    tracemalloc.start()
    try:
        assert list(Corpus((str(path),)).texts()) == ["Rose"]
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


# ---- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_header_says_what_separates_cells(tmp_path, separator, line_end):
    rows = [["id", "text"], ["1", "water,\nglycerin; oil\tmint"], ["2", 'a "b"'], ["3", ""]]
    lines = [
        separator.join('"' + cell.replace('"', '""') + '"' for cell in row) + line_end
        for row in rows
    ]
    for name in ("x.csv", "x.tsv", "x.csv.gz"):
        for encoding in ("utf-8-sig", "utf-16"):
            texts = texts_of(tmp_path / name, "".join(lines), encoding)
            assert texts == ["water, glycerin; oil mint", 'a "b"']


def test_cells_that_a_data_frame_printed_are_lists(tmp_path):
    content = """text,details\n"['a', ""it's""]","{'Scent': 'Rose'}"\n"""
    assert texts_of(tmp_path / "x.csv", content) == ["Scent: Rose. a. it's."]


@pytest.mark.parametrize(
    "name, content, problem",
    [
        ("x.csv", 'text,id\n"rose,1\nlip,2\n', "line 2: a quote is opened and never closed"),
        ("x.csv", "text,text\nrose,lip\n", "has two columns named 'text'"),
        ("x.csv", b"PK\x03\x04abc", "is an Excel workbook or another zip archive, no text"),
        ("x.txt", "rose\n".encode("utf-16-le"), "NUL characters, which no text has"),
        ("x.json", '{"title": "a"}\n'.encode("utf-16-be"), "NUL characters"),
        ("x.txt", b"\xff\xfea\x00\xd8", "x.txt: broken UTF-16"),
        ("x.txt", b"%PDF-1.4", "x.txt is a PDF"),
    ],
)
def test_what_would_be_cut_or_misread_is_refused(tmp_path, name, content, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        texts_of(tmp_path / name, content)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_cell_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "MAX_ROW_BYTES", 1000)
    content = 'text\nrose\n"' + "lip balm\n" * 100_000
    with pytest.raises(ValueError, match="x.csv, line 3: a cell of over 1,000 characters"):
        texts_of(tmp_path / "x.csv", content)


def test_rows_with_more_cells_than_the_header_are_malformed_and_counted(tmp_path):
    texts = texts_of(tmp_path / "x.csv", "text,id\nwater, glycerin, oil\nrose,1,,\nlip\n")
    assert texts == ["rose", "lip"]


# ---- parquet -----------------------------------------------------------------------------------


@pytest.mark.skipif(not find_spec("pyarrow"), reason="needs pyarrow")
def test_parquet_is_read_with_lists_and_objects(tmp_path):
    import pyarrow
    from pyarrow import parquet

    other = {
        "description": [],
        "details": {"Scent": "Rose"},
        "image": b"\xff",
        "text": float("nan"),
    }
    rows = [{"title": None, **other}, {"title": "Rose", "description": ["soft", None]}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet")
    assert list(Corpus((str(tmp_path / "x.parquet"),)).texts()) == ["Scent: Rose", "Rose. soft."]
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:-9])
    with pytest.raises(ValueError, match="x.parquet: broken parquet after row 0"):
        rows_of(tmp_path / "x.parquet")


def test_without_pyarrow_parquet_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="x.parquet: parquet needs the package pyarrow: pip"):
        rows_of(tmp_path / "x.parquet")
