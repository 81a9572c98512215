"""The files of a corpus -> rows, as they are in the file.

`read_chunks` streams a file and knows its layout: a row a line, one JSON array, CSV, parquet. What
a row says is settled in corpus.py. This module and all that the tokenising processes import do
without torch and pandas, so that they start fast.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from beautybert.table_files import (
    NOT_TEXT,
    PARQUET_NEEDS,
    SEPARATORS,
    csv_records,
    is_blank,
    names_separator,
)

# ending -> what is in the file
KINDS = {".json": ".json", ".jsonl": ".json", ".ndjson": ".json", ".txt": ".txt"}
KINDS |= {".csv": ".csv", ".tsv": ".csv", ".parquet": ".parquet"}
CHUNK_ROWS = 1024
CHUNK_BYTES = 1 << 20
PIECE_BYTES = 1 << 20  # that a line is read in
MAX_ROW_BYTES = 1 << 24  # a longer row is malformed; what a parser makes of one fits in memory
HAS_NUL = "NUL characters, which no text has; save the file as UTF-8"
HEADER_LINES = 100  # in which a CSV's header must be, and by which the layout of JSON is known
HEADER_BYTES = 1 << 16


@dataclass
class Chunk:
    """Rows of one file, as read. A row of a .csv is a dict, of any other file a line's bytes.

    line_numbers: the line that each row begins in; of a .parquet the number of the row.
    """

    path: str
    rows: list
    line_numbers: list[int]
    position: int  # bytes of the file consumed so far, for the progress bar


def read_chunks(path: str | Path) -> Iterator[Chunk]:
    """Stream a file in chunks of rows; each kind of `KINDS`, plain or gzipped, UTF-8 or UTF-16.

    ValueError for what is no readable file, an unknown ending, a broken gzip, a JSON array that is
    never closed, a .csv without a header or with a quote that is never closed.
    """
    path = Path(path)
    kind = file_kind(path)
    if not path.is_file():
        what = "no such file"
        if path.exists():
            what = "is a folder" if path.is_dir() else "is no file that can be read twice"
        raise ValueError(f"{path}: {what}")
    number = 0
    try:
        with open(path, "rb") as file:
            numbered: Iterator[tuple[int, Any]] = (
                _parquet_rows(path) if kind == ".parquet" else _text_rows(path, kind, file)
            )
            chunk, size = Chunk(str(path), [], [], 0), 0
            for number, row in numbered:
                chunk.rows.append(row)
                chunk.line_numbers.append(number)
                size += sum(map(len, row.values())) if isinstance(row, dict) else len(row)
                if len(chunk.rows) == CHUNK_ROWS or size >= CHUNK_BYTES:
                    chunk.position = file.tell()
                    yield chunk
                    chunk, size = Chunk(str(path), [], [], 0), 0
            if chunk.rows:
                chunk.position = path.stat().st_size
                yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path}: broken gzip after line {number:,} ({error}); fetch the file again"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: broken UTF-16 after line {number:,}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def file_kind(path: Path) -> str:
    """What `KINDS` says of the file's ending, .gz left aside. ValueError for another ending."""
    endings = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    kind = KINDS.get(endings[-1] if endings else "")
    if kind is None:
        *most, last = KINDS
        raise ValueError(
            f"{path}: cannot tell what it is; known endings are {', '.join(most)} and {last}, all "
            "but the last also with .gz"
        )
    return kind


def _unzipped(path: Path, file: io.BufferedReader) -> io.BufferedReader:
    """The bytes of a file or of what is zipped in it."""
    zipped = file.peek(2)[:2] == b"\x1f\x8b"
    if path.suffix.lower() == ".gz" and not zipped and path.stat().st_size:
        raise ValueError(f"{path}: is named .gz but is no gzip file")
    stream: Any = gzip.GzipFile(fileobj=file) if zipped else file
    return io.BufferedReader(stream) if zipped else stream


def _text_rows(
    path: Path, kind: str, file: io.BufferedReader
) -> Iterator[tuple[int, bytes]] | Iterator[tuple[int, dict]]:
    """The numbered rows of a file that is text, plain or zipped."""
    stream = _unzipped(path, file)
    start = stream.peek(4)[:4]
    for magic, what in NOT_TEXT.items():
        if start.startswith(magic):
            raise ValueError(f"{path} is {what}, no text")
    is_utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in start and (not is_utf16 or start[2:] == b"\0\0"):
        raise ValueError(f"{path}: {HAS_NUL}")
    pieces = _utf16_pieces(stream) if is_utf16 else _pieces(stream, start)
    if kind == ".csv":
        return _csv_rows(path, _lines(pieces))
    return _json_rows(path, pieces) if kind == ".json" else _lines(pieces)


# ---- lines -------------------------------------------------------------------------------------


def _pieces(stream: io.BufferedReader, start: bytes) -> Iterator[bytes]:
    """The lines without a byte-order mark, long ones in pieces. start: the first bytes."""
    if start.startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    yield from iter(partial(stream.readline, PIECE_BYTES), b"")


def _utf16_pieces(stream: io.BufferedReader) -> Iterator[bytes]:
    """The same of UTF-16, in UTF-8."""
    text = io.TextIOWrapper(stream, "utf-16", newline="\n")
    try:
        while piece := text.readline(PIECE_BYTES):
            yield piece.encode()
    finally:
        text.detach()  # it would close the file


def _lines(pieces: Iterable[bytes], number: int = 1) -> Iterator[tuple[int, bytes]]:
    """Lines, numbered from `number`. Of one that is too long, a byte more than a row may have."""
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        if not parts and piece[-1] == 10:  # a line end
            yield number, piece
            number += 1
            continue
        parts.append(piece[: MAX_ROW_BYTES + 1 - size])
        size += len(parts[-1])
        if piece[-1] == 10:
            yield number, b"".join(parts)
            number += 1
            parts, size = [], 0
    if parts:
        yield number, b"".join(parts)


# ---- JSON --------------------------------------------------------------------------------------

_BETWEEN_RECORDS = re.compile(rb'"[^"\\]*+"?|[{}\[\],]')
_IN_RECORD = re.compile(rb'"[^"\\]*+"?|[{}\[\]]')  # a string without backslashes at once
_IN_STRING = re.compile(rb'["\\]')


def _json_rows(path: Path, pieces: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """The records of a file: one a line, an array of them, or records over several lines."""
    ahead: list[bytes] = []
    for piece in islice(pieces, HEADER_LINES):
        ahead.append(piece)
        if sum(map(len, ahead)) >= HEADER_BYTES:
            break
    pieces = chain(ahead, pieces)
    starts = [True, *(piece.endswith(b"\n") for piece in ahead)]
    # the lines of which all is known
    lines = [
        piece
        for piece, is_start in zip(ahead, starts, strict=False)
        if is_start and piece.endswith(b"\n") and not piece.isspace()
    ]
    first = next((piece for piece in ahead if not piece.isspace()), b"").lstrip()
    if first.startswith(b"["):
        return _json_records(path, pieces, in_array=True)
    # an object that goes on in the next line, unless it is damaged: then others begin there
    is_open = len(lines) > 1 and first == lines[0].lstrip() and not _ends_record(first)
    if is_open and first.startswith(b"{") and not any(map(_is_record, lines[1:])):
        return _json_records(path, pieces, in_array=False)
    return _lines(pieces)


def _is_record(line: bytes) -> bool:
    """Whether a line looks like a whole record."""
    return line.startswith(b"{") and _ends_record(line)


def _ends_record(line: bytes) -> bool:
    return line.rstrip().endswith((b"}", b"},"))


def _json_records(
    path: Path, pieces: Iterator[bytes], in_array: bool
) -> Iterator[tuple[int, bytes]]:
    """The items of one array, or objects one after another, each with the line it begins in.

    Only quotes and brackets are looked at, so that no more than one record is held and a malformed
    one costs no other. What follows an array is read as lines.
    """
    base = 1 if in_array else 0  # brackets that are open between two records
    depth, in_string, position = 0, False, 0
    record = _Record()
    for line, piece in enumerate(pieces, start=1):
        start = 0  # of the record in this piece
        while True:
            marks = _BETWEEN_RECORDS if depth <= base else _IN_RECORD
            found = (_IN_STRING if in_string else marks).search(piece, position)
            if found is None:
                break
            mark, position = found[0], found.end()
            if mark == b"\\":
                position += 1
            elif mark[0] == 34:  # a quote
                in_string = not in_string and (len(mark) == 1 or mark[-1] != 34)
            elif mark == b"," and depth == base:
                record.add(piece[start : found.start()], line)
                yield from record.taken()
                start = position
            elif mark in b"{[":
                depth += 1
                if depth == base == 1:
                    start = position
            elif mark in b"}]":
                depth = max(depth - 1, 0)
                if depth == 0:
                    record.add(piece[start : position - base], line)
                    yield from record.taken()
                    start = position
                    if in_array:
                        rest = [piece[start:]] if piece[start:].strip() else []
                        yield from _lines(chain(rest, pieces), line if rest else line + 1)
                        return
        record.add(piece[start:], line)
        position = max(position - len(piece), 0)  # 1 behind a backslash at the end
    if depth or in_string:
        raise ValueError(
            f"{path}: {'the array' if in_array else 'the object'} is never closed: what begins in "
            f"line {record.line:,} does not end; the file is cut off or lacks a quote or a bracket"
        )
    yield from record.taken()


class _Record:
    """A record while it is read: its parts, and the line it begins in."""

    def __init__(self):
        self.parts: list[bytes] = []
        self.size = 0
        self.line = 1

    def add(self, part: bytes, line: int) -> None:
        """Add a part; of a record that is too long, a byte more than a row may have is kept."""
        if not self.size:
            part = part.lstrip()
            self.line = line
        part = part[: MAX_ROW_BYTES + 1 - self.size]
        if part:
            self.parts.append(part)
            self.size += len(part)

    def taken(self) -> Iterator[tuple[int, bytes]]:
        """The numbered record, unless it is blank; another begins."""
        if self.size:
            yield self.line, b"".join(self.parts)
        self.parts, self.size = [], 0


# ---- tables ------------------------------------------------------------------------------------


def _csv_rows(path: Path, numbered: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, dict]]:
    """Numbered rows as dictionaries; cells beyond the header's under the key None.

    Bytes that are no UTF-8 become surrogates, for later.
    """
    lines = _csv_lines(path, numbered)
    head = list(islice(lines, HEADER_LINES))
    headers = {separator: _header(path, head, separator) for separator in SEPARATORS}
    separator = max(SEPARATORS, key=lambda separator: len(headers[separator]))
    header = [name.strip() for name in headers[separator]]
    if not header:
        raise ValueError(f"{path}: empty, not even a header")
    twice = [name for name in dict.fromkeys(header) if name and header.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has two columns named {twice[0][:40]!r}")
    width = len(header)
    records = csv_records(path, chain(head, lines), separator, MAX_ROW_BYTES)
    for _, cells in records:
        if not is_blank(cells):
            break  # the header
    for line, cells in records:
        if not is_blank(cells):
            row: dict = dict(zip(header, cells, strict=False))
            if any(map(str.strip, cells[width:])):
                row[None] = cells[width:]
            yield line, row


def _csv_lines(path: Path, numbered: Iterator[tuple[int, bytes]]) -> Iterator[str]:
    """The lines of a CSV, also those that end with a lone carriage return."""
    for number, line in numbered:
        if len(line) > MAX_ROW_BYTES:
            raise ValueError(f"{path}, line {number:,} is longer than {MAX_ROW_BYTES:,} bytes")
        text = line.decode("utf-8", "surrogateescape")
        if "\r" in text[:-2]:
            yield from io.StringIO(text, newline="")
        else:
            yield text


def _header(path: Path, head: list[str], separator: str) -> list[str]:
    """The first record that is not blank."""
    csv.field_size_limit(MAX_ROW_BYTES)
    try:
        rows = csv.reader(head, delimiter=separator)
        return next((row for row in rows if not (is_blank(row) or names_separator(row))), [])
    except csv.Error as error:
        raise ValueError(f"{path}: the header cannot be read: {error}") from None


def _parquet_rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered rows as JSON, a batch of them in memory."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError(f"{path}: {PARQUET_NEEDS}") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as table:
            columns = [
                field.name
                for field in table.schema_arrow
                if field.type not in (pyarrow.binary(), pyarrow.large_binary())  # images
            ]
            for batch in table.iter_batches(CHUNK_ROWS, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield number, json.dumps(row, default=str).encode()
    except Exception as error:  # a damaged file makes the library raise errors of many kinds
        what = type(error).__name__
        raise ValueError(
            f"{path}: broken parquet after row {number:,} ({what}); write it again"
        ) from None
