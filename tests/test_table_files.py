"""Tables in the forms that people have, each read as if it were plain."""

import gzip
import json
import time
from importlib.util import find_spec

import pandas as pd
import pytest

from beautybert import table_files
from beautybert.cls.columns import find_columns, first_cell, parse_columns
from beautybert.cls.ingredients import parse_ingredients
from beautybert.table_files import TableFile, table_name
from tests.conftest import SAMPLE

HEADER = ["label", "ingredients"]
ROWS = [
    ["crème", "line one\nline two, Crème"],
    ["NA", ""],
    ["serum", 'Water; "Mica", Talc\tSilica'],
]


def write(path, text, encoding="utf-8"):
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def csv_text(rows, separator=",", line_end="\r\n"):
    lines = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    return "".join(line + line_end for line in lines)


def plain(path):
    """Columns and rows."""
    table = TableFile(path)
    return table.columns, list(table)


# ---- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt", ".csv.gz", ".CSV"])
def test_the_header_says_what_separates_cells_whatever_the_ending(tmp_path, ending, separator):
    path = write(tmp_path / f"x{ending}", csv_text([HEADER, *ROWS], separator))
    assert plain(path) == (HEADER, ROWS)


def test_separators_in_quoted_headers_do_not_count(tmp_path):
    path = write(tmp_path / "x.csv", '"a, b, c, d";e\n1;2\n')
    assert plain(path) == (["a, b, c, d", "e"], [["1", "2"]])


@pytest.mark.parametrize(
    "encoding, mark",
    [
        ("utf-8", b""),
        ("utf-8-sig", b""),
        ("utf-16", b""),  # with a mark of its own
        ("cp1252", b""),
        ("cp1252", b"\xef\xbb\xbf"),  # a mark that does not hold
        ("latin-1", b""),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_tables_are_read_in_the_encodings_of_the_wild(tmp_path, encoding, mark, line_end):
    data = mark + csv_text([HEADER, *ROWS], ";", line_end).encode(encoding)
    (tmp_path / "x.csv").write_bytes(data)
    assert plain(tmp_path / "x.csv") == (HEADER, ROWS)


def test_the_encoding_is_that_of_the_whole_file(tmp_path):
    """One character of another code page behind two megabytes of plain text."""
    text = "name\n" + "plain\n" * 400_000 + "Crème\n"
    path = write(tmp_path / "x.csv", text, "cp1252")
    *_, last = TableFile(path)
    assert last == ["Crème"]


@pytest.mark.parametrize("name", ["cosmetics.csv", "sephora_website_dataset.csv"])
def test_rows_are_those_of_pandas(name):
    """splits.csv counts rows, and people look them up with pandas."""
    frame = pd.read_csv(SAMPLE / name, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    columns, rows = plain(SAMPLE / name)
    assert columns == list(frame.columns)
    assert rows == frame.to_numpy().tolist()


def test_a_table_can_be_read_again(tmp_path):
    table = TableFile(write(tmp_path / "x.csv", csv_text([HEADER, ["a"], *ROWS])))
    first = list(table)
    assert list(table) == first and table.num_short == 1


def test_rows_with_fewer_cells_are_filled_and_counted(tmp_path, capfd):
    path = write(tmp_path / "x.csv", "a,b,c\n1\n1,2\n1,2,3\n")
    table = TableFile(path)
    assert list(table) == [["1", "", ""], ["1", "2", ""], ["1", "2", "3"]]
    assert table.num_short == 2
    assert capfd.readouterr() == ("", "")


def test_more_cells_are_taken_only_where_they_are_empty(tmp_path):
    path = write(tmp_path / "x.csv", 'a,b\n1,2,,  ,\n"3\n4",5\n6,7,8\n')
    rows = iter(TableFile(path))
    assert [next(rows), next(rows)] == [["1", "2"], ["3\n4", "5"]]
    with pytest.raises(ValueError, match=r"x.csv, line 5: 3 cells, but the header has 2; .*quotes"):
        next(rows)


def test_an_empty_line_is_a_row_of_one_column_and_none_of_more(tmp_path):
    path = write(tmp_path / "one.csv", "\n\ninci\nWater\n\n\nMica\n\n")
    assert plain(path) == (["inci"], [["Water"], [""], [""], ["Mica"], [""]])
    path = write(tmp_path / "two.csv", "\na,b\n1,2\n\n   \n,\n3,4\n\n")
    assert plain(path) == (["a", "b"], [["1", "2"], ["", ""], ["3", "4"]])


def test_the_header_once_more_is_told_from_a_product(tmp_path):
    path = write(tmp_path / "x.csv", " Label ,Name\nserum,a\nLabel, Name\nLabel,b\n")
    table = TableFile(path)
    assert [table.is_header(row) for row in table] == [False, True, False]


def test_objects_of_json_lines_become_rows(tmp_path):
    long_list = ", ".join(["Water"] * 100_000)
    objects = [
        {"title": "A", "price": 1.50, "n": None},
        {"inci": ["Water, Glycerin", "Mica"], "title": "B"},
        {"title": ["C"], "inci": [], "ok": True},
        {"inci": long_list},
    ]
    lines = [json.dumps(found) for found in objects]
    lines[0] = lines[0].replace("1.5", "1.50")
    path = write(tmp_path / "x.jsonl.gz", "\n".join([*lines[:2], "", *lines[2:]]))
    columns, rows = plain(path)
    assert columns == ["title", "price", "n", "inci", "ok"]
    assert rows[0] == ["A", "1.50", "", "", ""]
    assert parse_ingredients(rows[1][3]).names == ("Water", "Glycerin", "Mica")
    assert rows[2] == ["C", "", "", "", "True"]
    assert rows[3] == ["", "", "", long_list, ""]


def test_half_of_a_surrogate_pair_can_be_written_again(tmp_path):
    path = write(tmp_path / "x.jsonl", '{"a": "x\\ud83d", "b": "\\ud83d\\ude00"}\n')
    _, [row] = plain(path)
    assert row == ["x?", "\U0001f600"]


@pytest.mark.skipif(not find_spec("pyarrow"), reason="pandas reads parquet with pyarrow")
def test_parquet_is_read_as_text(tmp_path):
    frame = pd.DataFrame({"a": ["x", None], "b": [["Water", "Mica"], None], "n": [1, 2]})
    frame.to_parquet(tmp_path / "x.parquet")
    assert plain(tmp_path / "x.parquet") == (
        ["a", "b", "n"],
        [["x", '["Water", "Mica"]', "1"], ["", "", "2"]],
    )


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is there")
def test_parquet_without_its_package_says_which(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="x.parquet: parquet needs the package pyarrow"):
        TableFile(tmp_path / "x.parquet")


# ---- what is not -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("x.csv", b"PK\x03\x04\x14\x00\x06", "is an Excel workbook .*; open it and save it as CSV"),
        ("x.xlsx", b"PK\x03\x04\x14\x00\x06", "is an Excel workbook .* save it as CSV"),
        ("x.csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "is an Excel workbook, .* save it as CSV"),
        ("x.csv", b"%PDF-1.4", "is a PDF, .* save it as CSV"),
        ("x.csv", gzip.compress(b"a\n1\n", mtime=0), "is gzip under another ending than .gz"),
        ("x.csv", b"label,name\na,\x00b\n", "has a NUL character"),
        ("x.csv", "label,name\n".encode("utf-16-le"), "has a NUL character.* save it as CSV"),
        ("x.csv", b"\xff\xfea\x00,", "is no text; save it as CSV"),
        ("x.csv.gz", b"label,name\n", "is no complete gzip file"),
        ("x.csv.gz", gzip.compress(b"a\n1\n" * 999, mtime=0)[:-9], "is no complete gzip file"),
        ("x.csv", b"", "is empty"),
        ("x.csv", b"\xef\xbb\xbf\r\n\r\n", "is empty"),
        ("x.jsonl", b"\n", "is empty"),
        ("x.csv", b"a," * 20_001, "is no table: over 20,000 columns"),
        ("x.csv", b"a," * 9_000_000, "is no table: a line of over 16,777,216 characters"),
        ("x.jsonl", b'{"a":"' + b"x" * 17_000_000, "is no table: a line of over 16,777,216 char"),
        ("x.csv", b"label,name,label ,name\n", "has columns of the same name: 'label', 'name'$"),
    ],
)
def test_files_that_are_no_table_are_named_in_one_line(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"{name} {message}") as error:
        TableFile(tmp_path / name)
    text = str(error.value)
    assert text.isprintable() and len(text) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    "line, message",
    [
        ("x" * 5_000_000, "is no JSON: Expecting value"),
        ('{"a": "' + "x" * 5_000_000, "is no JSON: Unterminated string"),
        ('{"a": ' + "[" * 1_000_000, "is no JSON: nested too deep"),
        ('["a"]', ": a JSON object was expected there"),
        ('{"a": 1} {"a": 2}', "is no JSON: Extra data"),
    ],
)
def test_a_line_that_is_no_object_is_named_and_not_printed(tmp_path, line, message):
    path = write(tmp_path / "x.jsonl", '{"a": "1"}\n\n' + line + "\n")
    with pytest.raises(ValueError, match=f"x.jsonl, line 3 ?{message}$") as error:
        TableFile(path)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": 2}]', '\n[\n  {\n    "a": 1\n  }\n]\n'])
def test_a_json_array_says_how_to_convert_it(tmp_path, text):
    path = write(tmp_path / "x.json", text)
    with pytest.raises(ValueError, match=r"a JSON array.* convert it: jq -c '\.\[\]' x.json > x.j"):
        TableFile(path)


def test_nan_is_no_text_of_json_lines(tmp_path):
    path = write(tmp_path / "x.jsonl", '{"a": NaN, "b": "NaN"}\n{"a": -Infinity}\n')
    assert plain(path) == (["a", "b"], [["", "NaN"], ["", ""]])


def test_a_cell_that_a_spreadsheet_would_run_is_a_text():
    for cell in ("=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "＝1"):
        assert table_files.no_formula(cell) == f"'{cell}"
    for cell in ("a=1", "'=1", "", " 1", -0.5, None):
        assert table_files.no_formula(cell) == cell


def test_numbers_of_any_length_are_text(tmp_path):
    digits = "9" * 10_000
    assert plain(write(tmp_path / "x.jsonl", f'{{"a": {digits}}}'))[1] == [[digits]]


@pytest.mark.parametrize("text", ["a\nx,y\n", 'a;b\n1;2\n"3;4";5;6\n'])
def test_a_row_is_never_cut_to_the_header(tmp_path, text):
    """Neither the first one nor another."""
    with pytest.raises(ValueError, match="x.csv, line [23]: . cells, but the header has"):
        list(TableFile(write(tmp_path / "x.csv", text)))


def test_a_quote_that_is_never_closed_hides_no_rows(tmp_path):
    path = write(tmp_path / "x.csv", 'a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(ValueError, match="x.csv, line 3: a quote is opened and never closed"):
        list(TableFile(path))


def test_folders_and_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="is a folder, no table"):
        TableFile(tmp_path)
    with pytest.raises(ValueError, match="nowhere.csv: no such file"):
        TableFile(tmp_path / "nowhere.csv")


def test_a_cell_of_five_megabytes_is_read(tmp_path):
    cell = "Water, " * 750_000
    path = write(tmp_path / "x.csv", csv_text([HEADER, ["a", cell], ["b", "c"]]))
    assert plain(path)[1] == [["a", cell], ["b", "c"]]


def test_time_is_linear_in_the_number_of_rows(tmp_path):
    seconds = []
    for num_rows in (50_000, 400_000):
        path = write(tmp_path / "x.csv", "label,name\n" + ",\n" * num_rows)
        start = time.process_time()
        assert sum(1 for _ in TableFile(path)) == num_rows
        seconds.append(time.process_time() - start)
    assert seconds[1] < 8 * 4 * seconds[0] + 1  # 8 times the rows, and room for a busy machine


# ---- columns -----------------------------------------------------------------------------------


def columns_of(folder, header, given=(), needed=()):
    """Role -> names of its columns, in a table with this header."""
    table = TableFile(write(folder / "x.csv", csv_text([header])))
    found = find_columns(table, dict(given), needed)
    return {role: [header[i] for i in indices] for role, indices in found.items()}


@pytest.mark.parametrize(
    "header, expected",
    [
        (
            ["Label", "Brand", "Name", "Price", "Rank", "Ingredients", "Dry"],
            {"label": "Label", "ingredients": "Ingredients", "name": "Name", "brand": "Brand"},
        ),
        (
            ["id", "brand", "category", "name", "URL", "details", "ingredients"],
            {"label": "category", "ingredients": "ingredients", "name": "name", "brand": "brand"},
        ),
        (
            ["Unnamed: 0", " INGREDIENTS ", "Product_Name", "BRAND-NAME", "LABEL"],
            {
                "label": "LABEL",
                "ingredients": " INGREDIENTS ",
                "name": "Product_Name",
                "brand": "BRAND-NAME",
            },
        ),
        (
            ["", "category", "label", "title", "name", "split"],
            {"label": "label", "name": "name"},  # the better known; no split unless it is given
        ),
    ],
)
def test_columns_are_found_by_their_headers(tmp_path, header, expected):
    assert columns_of(tmp_path, header) == {role: [name] for role, name in expected.items()}


def test_a_label_of_product_info_is_of_the_finest_level_that_a_row_has(tmp_path):
    levels = ["primary_category", "secondary_category", "tertiary_category"]
    found = columns_of(tmp_path, ["product_id", *levels, "product_name"])
    assert found["label"] == levels[::-1]
    rows = [["Skincare", "Eye Care", "Eye Masks"], ["Skincare", "Eye Care", " "], ["Skincare"]]
    table = TableFile(write(tmp_path / "x.csv", csv_text([levels, *rows])))
    indices = find_columns(table, {})["label"]
    assert [first_cell(row, indices) for row in table] == ["Eye Masks", "Eye Care", "Skincare"]
    assert columns_of(tmp_path, [*levels, "category"])["label"] == ["category"]


def test_a_given_column_goes_before_headers_and_has_one_role(tmp_path):
    given = {"label": "product", "split": "FOLD"}
    found = columns_of(tmp_path, ["product", "category", "fold"], given)
    assert found == {"label": ["product"], "split": ["fold"]}  # product would else be the name


def test_missing_columns_are_named_with_those_that_there_are(tmp_path):
    with pytest.raises(ValueError, match="no column 'kind' for label; it has 'a b', 'c'"):
        columns_of(tmp_path, ["a b", "c"], {"label": "kind"})
    with pytest.raises(ValueError, match="hold the label; name one with --columns label=COLUMN"):
        columns_of(tmp_path, ["a", "ingredients"], needed=["ingredients", "label"])
    with pytest.raises(ValueError) as error:
        columns_of(tmp_path, ["x" * 9999, *(f"column {i}" for i in range(9999))], needed=["name"])
    assert len(str(error.value)) < 1000 and "and 9,980 more" in str(error.value)


def test_columns_that_are_one_but_for_case_must_be_spelled_just_so(tmp_path):
    header = ["Brand", "brand ", "name"]
    with pytest.raises(ValueError, match="more than one column 'BRAND': 'Brand', 'brand'"):
        columns_of(tmp_path, header, {"brand": "BRAND"})
    assert columns_of(tmp_path, header, {"brand": "Brand"})["brand"] == ["Brand"]
    assert columns_of(tmp_path, ["", "", "name"]) == {"name": ["name"]}


@pytest.mark.parametrize(
    "options, message",
    [
        (["label"], "--columns 'label': give role=COLUMN"),
        (["label="], "--columns 'label=': give role=COLUMN"),
        (["kind=a"], "the roles are label, ingredients, name, brand, split"),
        (["label=a", "label=b"], "names the label column twice"),
        (["label=a b", "name=A_B"], "gives two roles to the column 'A_B'"),
    ],
)
def test_columns_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        parse_columns(options)


def test_a_column_may_have_an_equals_sign():
    assert parse_columns([" label = a=b ", "name=c"]) == {"label": "a=b", "name": "c"}


@pytest.mark.parametrize(
    "name, expected",
    [
        ("a/sephora_website_dataset.csv", "sephora_website_dataset"),
        ("products.v2.JSONL.GZ", "products.v2"),
        ("no ending", "no ending"),
        ("table.v2", "table.v2"),
    ],
)
def test_the_name_of_a_table_is_that_of_its_file(name, expected):
    assert table_name(name) == expected


def test_json_lines_with_too_many_different_keys_are_no_table(tmp_path, monkeypatch):
    """A row has a cell for each of them, so that time and memory would not be linear."""
    monkeypatch.setattr(table_files, "MAX_KEYS", 3)
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1, "b": 2}\n{"c": 3, "a": 1}\n')
    assert TableFile(path).columns == ["a", "b", "c"]
    path.write_text(path.read_text() + '{"d": 4}\n')
    with pytest.raises(ValueError, match="x.jsonl is no table: over 3 different keys"):
        TableFile(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_excels_line_that_names_the_separator_is_no_row(tmp_path, separator, encoding):
    lines = [f"sep={separator}", separator.join(["label", "name"]), separator.join(["a", "sep="])]
    path = tmp_path / "x.csv"
    path.write_text("\r\n".join(lines), encoding=encoding, newline="")
    table = TableFile(path)
    assert (table.columns, list(table)) == (["label", "name"], [["a", "sep="]])
    (tmp_path / "y.csv").write_text(f"sep=\nsep={separator}\n", encoding=encoding)
    assert list(TableFile(tmp_path / "y.csv").columns)[0].startswith("sep=")
