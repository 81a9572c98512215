"""Product metadata and other texts -> clean documents.

`read_chunks` streams the files, `document_text` makes one clean text of a record, `Corpus` is the
files that a run was given. Tokens are token_cache.py's work. This module and token_cache.py do
without torch, so that the processes that tokenise start fast.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

CLEANING_VERSION = 3  # part of the cache's key; raise it when a file would give other documents
# Amazon's fields of 2018 and 2023, and what a .csv may call its text
TEXT_FIELDS = ("title", "description", "feature", "features", "text")
KINDS = (".json", ".jsonl", ".txt", ".csv")
CHUNK_ROWS = 1024
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Corpus:
    """The files of a run and how texts are made of them. ValueError for a file that cannot be read.

    text_fields: fields of a record that are joined. max_bad_rows: largest share of malformed rows
    that is skipped instead of being an error.
    """

    paths: tuple[str, ...]
    text_fields: tuple[str, ...] = TEXT_FIELDS
    max_bad_rows: float = 0.01

    def __post_init__(self):
        self.fingerprint  # noqa: B018  (raises what is wrong with the files)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the files' contents, in order, and of all that decides what their texts are."""
        options = json.dumps([CLEANING_VERSION, self.text_fields])
        digest = hashlib.blake2b(options.encode(), digest_size=8)
        for path in self.paths:
            next(read_chunks(path), None)  # raises what is wrong with the file
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
            digest.update(file_kind(Path(path)).encode())
        return digest.hexdigest()

    def file_sizes(self) -> dict[str, int]:
        """The bytes of each file."""
        return {path: os.path.getsize(path) for path in self.paths}

    def texts(self) -> Iterator[str]:
        """The non-empty texts, in order.

        Malformed rows are skipped (token_cache.py counts them).
        """
        for path in self.paths:
            kind = file_kind(Path(path))
            for chunk in read_chunks(path):
                for row in chunk.rows:
                    try:
                        text = document_text(row, kind, self.text_fields)
                    except ValueError:
                        continue
                    if text:
                        yield text

    def check_fields(self) -> None:
        """ValueError if the first record of a .json or .csv file has none of the text fields.

        It lists the fields that are there.
        """
        for path in self.paths:
            kind = file_kind(Path(path))
            first = next(read_chunks(path), None)
            if kind == ".txt" or first is None:
                continue
            try:
                record = first.rows[0] if kind == ".csv" else json.loads(first.rows[0])
            except ValueError:
                continue
            if isinstance(record, dict) and not set(self.text_fields) & set(record):
                raise ValueError(
                    f"{path} has none of the text fields {', '.join(self.text_fields)}; it has "
                    f"{', '.join(map(str, record))}. Name one with --text-fields"
                )


# ---- reading -----------------------------------------------------------------------------------


@dataclass
class Chunk:
    """Rows of one file, as read. A row of a .csv is a dict, of any other file the line's bytes."""

    path: str
    rows: list
    line_numbers: list[int]
    position: int  # bytes of the file consumed so far, for the progress bar


def read_chunks(path: str | Path) -> Iterator[Chunk]:
    """Stream a file in chunks of rows: .json/.jsonl (an object a line), .txt (a document a line),
    .csv.

    Each plain or gzipped. ValueError for a missing file, an unknown ending, a broken gzip, or a
    .csv without a header.
    """
    path = Path(path)
    kind = file_kind(path)
    if not path.is_file():
        raise ValueError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        if path.suffix == ".gz" and not zipped and path.stat().st_size:
            raise ValueError(f"{path}: is named .gz but is no gzip file")
        file.seek(0)
        stream: Any = gzip.GzipFile(fileobj=file) if zipped else file
        numbered = _csv_rows(path, stream) if kind == ".csv" else _lines(stream)
        chunk, size, number = Chunk(str(path), [], [], 0), 0, 0
        try:
            for number, row in numbered:
                chunk.rows.append(row)
                chunk.line_numbers.append(number)
                size += sum(map(len, row.values())) if isinstance(row, dict) else len(row)
                if len(chunk.rows) == CHUNK_ROWS or size >= CHUNK_BYTES:
                    chunk.position = file.tell()
                    yield chunk
                    chunk, size = Chunk(str(path), [], [], 0), 0
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{path}: broken gzip after line {number:,} ({error}); fetch the file again"
            ) from None
        if chunk.rows:
            chunk.position = file.tell()
            yield chunk


def file_kind(path: Path) -> str:
    """One of `KINDS` by the file's ending, .gz left aside. ValueError for another ending."""
    endings = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = endings[-1].lower() if endings else ""
    if kind not in KINDS:
        raise ValueError(
            f"{path}: cannot tell what it is; known endings are .json, .jsonl, .txt and .csv, each "
            "also with .gz"
        )
    return kind


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, without a byte order mark at the start."""
    for number, line in enumerate(stream, start=1):
        yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _csv_rows(path: Path, stream: IO[bytes]) -> Iterator[tuple[int, dict]]:
    """Numbered rows as dictionaries. Bytes that are no UTF-8 become surrogates, for later."""
    csv.field_size_limit(1 << 30)
    reader = csv.DictReader(line.decode("utf-8", "surrogateescape") for _, line in _lines(stream))
    try:
        if not reader.fieldnames:
            raise ValueError(f"{path}: empty, not even a header")
        for row in reader:
            yield reader.line_num, {key: value or "" for key, value in row.items()}
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None


# ---- one document ------------------------------------------------------------------------------

_SCRIPT = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->|<!\[CDATA\[|\]\]>", re.DOTALL)
# soft hyphens, joiners, direction marks
_INSIDE_WORDS = re.compile("[\u00ad\u200c-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+")
# control characters, zero-width spaces, separators
_BETWEEN_WORDS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2028\u2029]+")


def clean_text(text: str) -> str:
    """Plain text on one line: entities resolved, tags taken out, white space folded.

    Invisible characters are removed, or become a space where they part words. A "<" that opens no
    tag stays ("under < 5 oz"). Entities are resolved twice, for data that was escaped twice.
    """
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = _TAG.sub(" ", _SCRIPT.sub(" ", text))
    return " ".join(_BETWEEN_WORDS.sub(" ", _INSIDE_WORDS.sub("", text)).split())


def document_text(row: bytes | dict, kind: str, text_fields: tuple[str, ...]) -> str:
    """The text of one row as read, which may be empty.

    Of a .txt the line, else the text fields that the row has, each cleaned, joined as sentences.
    ValueError says what is wrong with the row: not UTF-8, not JSON, no object, a field without
    text.
    """
    if isinstance(row, dict):
        _check_cells(row)
        return record_text(row, text_fields)
    try:
        line = row.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = row[error.start]
        raise ValueError(f"not UTF-8 (byte {error.start} is 0x{byte:02x})") from None
    if kind == ".txt":
        return clean_text(line)
    if not line.strip():
        return ""
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(record, dict):
        raise ValueError(f"a JSON {type(record).__name__}, not an object")
    return record_text(record, text_fields)


def record_text(record: dict, text_fields: tuple[str, ...]) -> str:
    """The text of one parsed record. ValueError for a field that holds no text."""
    # A script of the shop's page, not a product: the authors of Amazon 2018 drop these rows too.
    if "getTime" in str(record.get("title")):
        return ""
    parts = []
    for name in text_fields:
        values = record.get(name) or []
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"{name!r} holds neither a text nor a list of texts")
        parts += [clean_text(value).rstrip(". ") for value in values]
    parts = [part for part in parts if part]
    text = ". ".join(parts) + "." if len(parts) > 1 else "".join(parts)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half a character (a lone surrogate)")
    return text


def _check_cells(row: dict) -> None:
    """ValueError for a row of a .csv with too many cells, or bytes that are no UTF-8."""
    if None in row:
        raise ValueError(f"{len(row[None])} more cells than the header has columns")
    try:
        "".join(row.values()).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("not UTF-8") from None
