"""A table in a file -> rows of text cells.

Read are CSV (commas, semicolons or tabs), JSON lines (an object a line), both also gzipped, and
parquet. Rows come one at a time, so a table of any length needs no more memory than its longest
row; only parquet is read whole. Which columns hold what is settled in columns.py.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:  # only parquet needs it, and it takes most of a second to import
    import pandas as pd

SEPARATORS = (",", ";", "\t")
SEPARATOR_LINE = re.compile("\ufeff?sep=.?\r?\n?", re.IGNORECASE)
ENCODINGS = ("utf-8", "cp1252", "latin-1")  # the last one decodes anything
JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
ENDINGS = (".csv", ".tsv", ".txt", *JSON_ENDINGS, ".parquet")
MAX_KEYS = 1000  # of a table of JSON lines, which has a cell for each of them in every row
MAX_CELL = 1 << 24  # characters, also of a line; csv's own limit is 131,072
MAX_COLUMNS = 20_000  # spreadsheets have 16,384
CHUNK = 1 << 20  # bytes
NOT_TEXT = {
    b"PK\x03\x04": "an Excel workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
    b"PAR1": "parquet under another ending than .parquet",
    b"\x1f\x8b": "gzip under another ending than .gz",
}
PARQUET_NEEDS = "parquet needs the package pyarrow: pip install pyarrow"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
END = "\0"  # a line behind the last one; text with NUL characters is refused before


class TableFile:
    """A table: its `columns`, and when iterated, its rows as lists of as many text cells.

    A missing cell is ''. A row is what is between two line ends outside quotes. An empty line is a
    row with an empty cell in a table of one column, and no row in a wider one. num_short: how many
    rows of the last iteration had fewer cells than there are columns. encoding: of `ENCODINGS`, or
    utf-16; '' for parquet. separator: of CSV. has_mark: whether a byte-order mark is at its start.

    ValueError for a file that is missing, empty, no table, or has a column twice; when iterated,
    for a row with more cells than columns and for what is no CSV or JSON, with the line.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.num_short = 0
        self._ending = _ending(self.path)
        self.encoding, self.separator, self.has_mark = "", ",", False
        self._frame: pd.DataFrame | None = None
        with _errors_named(self.path):
            self.columns = self._open()
        if not self.columns:
            raise ValueError(f"{self.path} is empty")
        twice = [
            name for name, n in Counter(map(str.strip, self.columns)).items() if name and n > 1
        ]
        if twice:
            raise ValueError(f"{self.path} has columns of the same name: {listed(twice)}")
        self._indices: dict[str, list[int]] = defaultdict(list)  # of each header, however written
        for index, column in enumerate(self.columns):
            self._indices[header_key(column)].append(index)

    def _open(self) -> list[str]:
        """The columns; settles how the file is read."""
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder, no table")
        if not self.path.exists():
            raise ValueError(f"{self.path}: no such file")
        if not self.path.is_file():
            raise ValueError(f"{self.path} is no file that can be read twice; save it as one")
        if self._ending == ".parquet":
            self._frame = _read_parquet(self.path)
            return [str(column) for column in self._frame.columns]
        self.encoding = _find_encoding(self.path)
        with _opened(self.path) as file:  # which is then behind the mark
            self.has_mark = self.encoding == "utf-16" or file.tell() > 0
        if self._ending in JSON_ENDINGS:
            keys: dict[str, None] = {}
            for found in _json_lines(self.path, self.encoding):
                keys.update(dict.fromkeys(found))
                if len(keys) > MAX_KEYS:
                    raise ValueError(f"{self.path} is no table: over {MAX_KEYS:,} different keys")
            return list(keys)
        headers = {separator: self._header(separator) for separator in SEPARATORS}
        self.separator = max(SEPARATORS, key=lambda separator: len(headers[separator]))
        if len(headers[self.separator]) > MAX_COLUMNS:
            raise ValueError(f"{self.path} is no table: over {MAX_COLUMNS:,} columns")
        return headers[self.separator]

    def _header(self, separator: str) -> list[str]:
        """The first row that is not blank; empty if there is none."""
        records = self._csv_records(separator)
        return next((cells for _, cells in records if not is_blank(cells)), [])

    def _csv_records(self, separator: str) -> Iterator[tuple[int, list[str]]]:
        with _opened_text(self.path, self.encoding, newline="") as lines:
            yield from csv_records(self.path, lines, separator)

    def __iter__(self) -> Iterator[list[str]]:
        self.num_short = 0
        with _errors_named(self.path):
            if self._frame is not None:
                for values in self._frame.itertuples(index=False, name=None):
                    yield [_cell_text(value) for value in values]
            elif self._ending in JSON_ENDINGS:
                for found in _json_lines(self.path, self.encoding):
                    yield [_cell_text(found.get(column)) for column in self.columns]
            else:
                yield from self._csv_rows()

    def _csv_rows(self) -> Iterator[list[str]]:
        """The rows below the header, each with a cell for each column."""
        width = len(self.columns)
        records = self._csv_records(self.separator)
        for _, cells in records:
            if not is_blank(cells):
                break  # the header
        for line, cells in records:
            if len(cells) == width:
                yield cells
            elif len(cells) > width:
                if any(map(str.strip, cells[width:])):
                    raise ValueError(
                        f"{self.path}, line {line}: {len(cells):,} cells, but the header has "
                        f"{width:,}; a cell with {shown(self.separator)} in it must be in quotes"
                    )
                yield cells[:width]
            elif width == 1 or not is_blank(cells):
                self.num_short += width > 1
                yield cells + [""] * (width - len(cells))

    def is_header(self, row: Sequence[str]) -> bool:
        """Whether a row is the header once more, as where tables were put together."""
        if row[0].strip() != self.columns[0].strip():
            return False
        return [cell.strip() for cell in row] == [column.strip() for column in self.columns]

    def index_of(self, column: str) -> int | None:
        """The index of a column, without regard to case, spaces, hyphens and underscores.

        None if there is none, ValueError if there are two and neither is spelled just so.
        """
        indices = self._indices.get(header_key(column), [])
        exact = [index for index in indices if self.columns[index].strip() == column.strip()]
        found = exact or indices
        if len(found) > 1:
            names = listed(self.columns[i] for i in found)
            raise ValueError(f"{self.path} has more than one column {shown(column)}: {names}")
        return found[0] if found else None


# ---- files -------------------------------------------------------------------------------------


def _ending(path: Path) -> str:
    """The ending that says what is in a file: .jsonl of products.jsonl.gz."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def table_name(path: str | Path) -> str:
    """The file's name without its ending."""
    name = Path(path).name
    name = name[: -len(".gz")] if name.lower().endswith(".gz") else name
    return Path(name).stem if _ending(Path(path)) in ENDINGS else name


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    """What the system and the decoders refuse becomes a ValueError of one line with the path."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is no complete gzip file: {error}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, unzipped, behind the byte-order mark of UTF-8."""
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        yield file


@contextmanager
def _opened_text(path: Path, encoding: str, newline: str) -> Iterator[Iterator[str]]:
    """A file's lines; newline: as for `open`. ValueError at one of over `MAX_CELL` characters."""

    def lines() -> Iterator[str]:
        while line := text.readline(MAX_CELL):
            if len(line) == MAX_CELL:
                raise ValueError(f"{path} is no table: a line of over {MAX_CELL:,} characters")
            yield line

    with _opened(path) as file, io.TextIOWrapper(file, encoding, newline=newline) as text:
        yield lines()


def _find_encoding(path: Path) -> str:
    """UTF-16 where a mark says so, else the first of `ENCODINGS` that decodes the whole file.

    ValueError for a file that is no text.
    """
    with _opened(path) as file:
        start = file.read(4)
    for magic, kind in NOT_TEXT.items():
        if start.startswith(magic):
            raise ValueError(f"{path} is {kind}, no CSV; open it and save it as CSV (UTF-8)")
    is_utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ENCODINGS:
        try:
            has_nul = any("\0" in text for text in _decoded(path, encoding))
        except UnicodeDecodeError:
            continue
        if not has_nul:
            return encoding
        if encoding == "utf-8":
            raise ValueError(
                f"{path} has a NUL character, which no text has; remove it, or save it as CSV "
                "(UTF-8)"
            )
        break
    raise ValueError(f"{path} is no text; save it as CSV (UTF-8)")


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """A file's text, a chunk at a time."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with _opened(path) as file:
        while chunk := file.read(CHUNK):
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def csv_records(
    path: Path, lines: Iterable[str], separator: str, max_cell: int = MAX_CELL
) -> Iterator[tuple[int, list[str]]]:
    """Each record of a CSV's lines with the number of its first line, the header's too.

    ValueError for a quote that is never closed: it would hide the rest of the file. Also for a cell
    of over `max_cell` characters.
    """
    csv.field_size_limit(max_cell)
    reader = csv.reader(chain(lines, [END]), delimiter=separator)
    line = 1
    try:
        for cells in reader:
            if cells == [END]:
                return
            if cells and cells[-1].endswith(END):
                raise ValueError(f"{path}, line {line}: a quote is opened and never closed")
            if line > 1 or not names_separator(cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        if "field limit" in str(error):
            error = csv.Error(f"a cell of over {max_cell:,} characters; is a quote never closed?")
        raise ValueError(f"{path}, line {line}: {error}") from None


def names_separator(cells: Sequence[str]) -> bool:
    """Whether a first record is Excel's own line `sep=;`, which belongs to no table."""
    return bool(cells) and bool(SEPARATOR_LINE.fullmatch(cells[0])) and not any(cells[1:])


def is_blank(cells: Sequence[str]) -> bool:
    """Whether a record is a line with nothing in it, not even a separator."""
    return not cells or (len(cells) == 1 and not cells[0].strip())


def _json_lines(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    """The object of each line; numbers as they are printed. Blank lines are none."""
    decoder = json.JSONDecoder(
        parse_int=str, parse_float=str, parse_constant=lambda name: None, strict=False
    )
    with _opened_text(path, encoding, newline="\n") as file:
        is_first = True
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            if is_first and text.lstrip().startswith("["):
                raise ValueError(
                    f"{path}, line {line}: a JSON array, but a table has an object a line; convert "
                    f"it: jq -c '.[]' {path.name} > {path.stem}.jsonl"
                )
            is_first = False
            try:
                found = decoder.decode(text)
            except (ValueError, RecursionError) as error:
                what = getattr(error, "msg", "nested too deep").removesuffix(" starting at")
                raise ValueError(f"{path}, line {line} is no JSON: {what}") from None
            if not isinstance(found, dict):
                raise ValueError(f"{path}, line {line}: a JSON object was expected there")
            yield found


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except ImportError:
        raise ValueError(f"{path}: {PARQUET_NEEDS}") from None
    except (ValueError, TypeError):
        raise ValueError(f"{path} is no readable parquet file") from None


def _cell_text(value: Any) -> str:
    """A value of JSON or parquet as text: '' for null; a list as JSON, one of one text as this."""
    if isinstance(value, str):  # half of a surrogate pair could not be written again
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | dict | tuple):
        if len(value) == 1 and isinstance(value, list) and isinstance(value[0], str):
            return _cell_text(value[0])
        return _cell_text(json.dumps(value, ensure_ascii=False, default=str)) if value else ""
    if value is None or isinstance(value, bool):  # all that JSON has besides
        return "" if value is None else str(value)
    import pandas as pd

    return "" if pd.isna(value) else str(value)


# ---- messages and headers -----------------------------------------------------------------------


def encoding_note(table: TableFile) -> str:
    """A note on a table that is read as one of the older encodings, '' for others."""
    if table.encoding not in ENCODINGS[1:]:
        return ""
    return f"{table.path} is not in UTF-8; it is read as {table.encoding}, so look at its letters"


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names for a message, no more of them and no longer than fit a few lines."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def shown(text: str) -> str:
    """A text from a file, in quotes and short, without signs that a terminal would act on."""
    text = text.strip() or text
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def no_formula(cell: Any) -> Any:
    """A cell that a spreadsheet shows as a text also where it would run it as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def header_key(header: str) -> str:
    """Equal for headers that differ in case, spaces, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", header.casefold())
