"""Product metadata and other texts -> clean documents.

`Corpus` is the files that a run was given, `document_text` makes one clean text of a row. Rows come
from corpus_files.py, markup is taken off in markup.py, tokens are token_cache.py's work.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from beautybert.mlm.corpus_files import HAS_NUL, MAX_ROW_BYTES, file_kind, read_chunks
from beautybert.mlm.markup import clean_text
from beautybert.training import progress

CLEANING_VERSION = 4  # part of the cache's key; raise it when a file would give other documents
# Amazon's fields of 2018 and 2023, and what a .csv may call its text
TEXT_FIELDS = ("title", "description", "feature", "features", "details", "text")
PRINTED = ("[", "{")  # with which a value begins that may be a printed list or dict


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
        sizes = self.file_sizes()
        with progress.bar(what="reading texts", total=sum(sizes.values()), unit="B") as bar:
            before = 0  # bytes of the files before this one
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
                    bar.update(before + chunk.position - bar.n)
                before += sizes[path]

    def check_fields(self) -> None:
        """ValueError if none of a file's first records has one of the text fields.

        It lists the fields of the first.
        """
        for path in self.paths:
            kind = file_kind(Path(path))
            chunk = next(read_chunks(path), None)
            if kind == ".txt" or chunk is None:
                continue
            records = []
            for row in chunk.rows:
                try:
                    record = row if isinstance(row, dict) else parse_record(row.decode("utf-8"))
                except ValueError:
                    continue
                records += [record] if record else []
            if records and not any(set(self.text_fields) & set(record) for record in records):
                fields = [clean_text(str(name))[:40] for name in list(records[0])[:20]]
                raise ValueError(
                    f"{path} has none of the text fields {', '.join(self.text_fields)}; it has "
                    f"{', '.join(fields)}. Name one with --text-fields"
                )


# ---- one document ------------------------------------------------------------------------------


def document_text(row: bytes | dict, kind: str, text_fields: tuple[str, ...]) -> str:
    """The text of one row as read, which may be empty.

    Of a .txt the line, else the text fields that the row has, each cleaned, joined as sentences.
    ValueError says what is wrong with the row: not UTF-8, not JSON, no object, a field without
    text.
    """
    if isinstance(row, dict):
        _check_cells(row)
        return record_text(row, text_fields)
    if len(row) > MAX_ROW_BYTES:
        raise ValueError(f"longer than {MAX_ROW_BYTES:,} bytes")
    if b"\0" in row:
        raise ValueError(HAS_NUL)
    try:
        line = row.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = row[error.start]
        raise ValueError(f"not UTF-8 (byte {error.start} is 0x{byte:02x})") from None
    if kind == ".txt":
        return clean_text(line)
    record = parse_record(line)
    return record_text(record, text_fields) if record else ""


def parse_record(line: str) -> dict[str, Any]:
    """The object in a line of JSON, or of Python as in Amazon's files of 2014; {} if it is blank.

    Numbers of JSON are as they are written there, NaN is None. ValueError for anything else.
    """
    if not line.strip():
        return {}
    try:
        record = _JSON.decode(line)
    except (ValueError, RecursionError) as error:
        if not _PYTHON_DICT.match(line):
            reason = "nested too deep" if isinstance(error, RecursionError) else error
            raise ValueError(f"not JSON ({reason})") from None
        record = _python_value(line)
    if not isinstance(record, dict):
        raise ValueError(f"a JSON {type(record).__name__}, not an object")
    return record


def record_text(record: dict, text_fields: tuple[str, ...]) -> str:
    """The text of one parsed record. ValueError for a field that holds no text."""
    # A script of the shop's page, not a product: the authors of Amazon 2018 drop these rows too.
    title = record.get("title")
    if isinstance(title, str) and "getTime" in title:
        return ""
    parts = []
    for name in text_fields:
        value = record.get(name)
        if isinstance(value, str) and value[:1] not in PRINTED:
            parts.append(clean_text(value).rstrip(". "))
        elif value:
            texts = _details(value) if name == "details" else _texts(value, name)
            parts += [clean_text(text).rstrip(". ") for text in texts]
    parts = [part for part in parts if part]
    text = ". ".join(parts) + "." if len(parts) > 1 else "".join(parts)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a character (a lone surrogate)") from None
    return text


def _texts(value: Any, name: str) -> list[str]:
    """The texts in a field: of a list, however nested, all. Numbers are texts; nothing else is.

    None, true and false say nothing. ValueError for an object, which only `details` may be.
    """
    found: list[str] = []
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            items = _printed_items(value) if value[:1] == "[" else None
            found += [value] if items is None else items
        elif isinstance(value, list | tuple):
            stack += reversed(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(str(value))
        elif value is not None and not isinstance(value, bool):
            raise ValueError(f"{name!r} holds neither a text nor a list of texts")
    return found


# Keys of `details`, Amazon 2023, with any of these words: codes, sizes and trade, not the product.
NO_TEXT = (
    "date|dimensions?|l x w x h|weight|upc|asin|ean|gtin|isbn|sku|identification number"
    "|model number|part number|manufacturer|brand|importer|packer|discontinued|rank|reviews?|rating"
    "|batter(?:y|ies)|shipping|warranty|country|disclaimer|units?|number of|quantity"
)
_NO_TEXT = re.compile(rf"\b(?:{NO_TEXT})\b", re.IGNORECASE)


def _details(value: Any) -> list[str]:
    """The texts of Amazon's details, an object or one printed as a text: "Item Form: Cream"."""
    if isinstance(value, str) and value[:1] == "{":
        try:
            value = parse_record(value)
        except ValueError:  # a text that begins with a brace
            return [value]
    if not isinstance(value, dict):
        return _texts(value, "details")
    texts = []
    for key, item in value.items():
        if isinstance(item, dict) or _NO_TEXT.search(str(key)[:200]):
            continue
        try:
            words = ", ".join(_texts(item, "details"))
        except ValueError:  # objects in a list
            continue
        if words:
            texts.append(f"{clean_text(str(key)).strip(' :')}: {words}")
    return texts


def _check_cells(row: dict) -> None:
    """ValueError for a row of a .csv with too many cells, or bytes that are no UTF-8."""
    if None in row:
        raise ValueError(f"{len(row[None])} more cells than the header has columns")
    try:
        cells = "".join(row.values()).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("not UTF-8; save the file as CSV (UTF-8)") from None
    if b"\0" in cells:
        raise ValueError(HAS_NUL)


# ---- values that Python printed ----------------------------------------------------------------

MAX_PRINTED = 1 << 20  # characters of a value; its syntax tree takes a hundred times as many bytes
_JSON = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=lambda name: None, strict=False
)
_PYTHON_DICT = re.compile(r"\s*\{\s*u?'")
# a text, closed or not, which stays, or what pandas prints for a missing value
_NAN = re.compile(
    r"""('(?:[^'\\]|\\.)*+'?|"(?:[^"\\]|\\.)*+"?)|(?<=[:,\[] )nan(?=[,}\]])""", re.DOTALL
)
_ITEM = re.compile(
    r"""u?('(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")|[\s,\[\]]++|(?:None|nan|null)\b""", re.DOTALL
)


def _python_value(text: str) -> Any:
    """The value of a Python literal. ValueError for any other text, or a very long one."""
    if len(text) > MAX_PRINTED:
        raise ValueError(f"a Python value of over {MAX_PRINTED:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes
            return ast.literal_eval(_NAN.sub(lambda found: found[1] or "None", text.strip()))
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise ValueError("neither JSON nor a Python dict") from None


def _printed_items(text: str) -> list[str] | None:
    """The texts of a list that was printed: ['a', "b"], also without commas, as numpy does.

    None if the text is no such list.
    """
    if len(text) > MAX_PRINTED or not text.rstrip().endswith("]"):
        return None
    items: list[str] = []
    position = 0
    while position < len(text):
        item = _ITEM.match(text, position)
        if item is None:
            return None
        quoted, position = item[1], item.end()
        if quoted is None:
            continue
        if "\\" not in quoted:
            items.append(quoted[1:-1])
            continue
        try:
            items.append(str(_JSON.decode(quoted)))
        except ValueError:  # in Python's quotes
            try:
                items.append(str(_python_value(quoted)))
            except ValueError:
                return None
    return items
