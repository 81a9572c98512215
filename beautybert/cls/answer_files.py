"""Where the answers to a table go: a file that appears whole or not at all, or standard output."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from beautybert import files
from beautybert.table_files import TableFile, encoding_note, no_formula

SEPARATOR_OF = {".csv": ",", ".txt": ",", ".tsv": "\t", ".jsonl": None}  # by the file's ending


@contextmanager
def output_file(path: str | None, encoding: str = "utf-8") -> Iterator[TextIO]:
    """An open file that becomes `path` when all is written, for it may be the table that is read.

    Nothing is left of it if something fails. Without a path, standard output; a terminal is shown
    no character that it would act on.
    """
    if path is None:
        if sys.stdout.isatty():
            yield _Terminal(sys.stdout)
            return
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="strict")  # a table with other letters is another table
        yield sys.stdout
        return
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    file = open(temporary, "x", newline="", encoding=encoding)  # noqa: SIM115  (nobody else's)
    try:
        with file:
            yield file
        files.flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class _Terminal(io.StringIO):
    """What is written to it goes to a terminal, without characters that it would act on."""

    def __init__(self, terminal: TextIO):
        super().__init__()
        self.terminal = terminal

    def write(self, text: str) -> int:
        lines = text.replace("\r\n", "\n").split("\n")
        return self.terminal.write("\n".join(map(files.printable, lines)))


def output_encoding(path: str | None, table: TableFile) -> str:
    """UTF-8, with a mark where the table has one or is older: spreadsheets do not see it else."""
    is_csv = SEPARATOR_OF.get(Path(path or "").suffix.lower()) is not None
    return "utf-8-sig" if is_csv and (table.has_mark or encoding_note(table)) else "utf-8"


def row_writer(
    file: TextIO, path: str | None, table: TableFile, added: Sequence[str]
) -> Callable[[Sequence[str], Sequence[Any]], None]:
    """A function that writes a row of the table with the cells of the columns that are `added`.

    The table's cells stay as they are; no spreadsheet runs one of the others as a formula. An empty
    one of the others is null in JSON lines.
    """
    separator = SEPARATOR_OF.get(Path(path or "").suffix.lower(), ",")
    if separator is None:
        keys = _different_names([*table.columns, *added])

        def write_object(row: Sequence[str], more: Sequence[Any]) -> None:
            nulls = [None if value == "" else value for value in more]
            values = dict(zip(keys, [*row, *nulls], strict=True))
            file.write(json.dumps(values, ensure_ascii=False) + "\n")

        return write_object
    if separator == "," and table.separator == ";":
        separator = ";"  # as the spreadsheet that wrote the table wants it
    writer = csv.writer(file, delimiter=separator)  # a lone \r is quoted, as CRLF ends rows
    writer.writerow([*table.columns, *added])
    return lambda row, more: writer.writerow([*row, *map(no_formula, more)])


def renamed_columns(path: str | None, table: TableFile) -> list[str]:
    """What columns without a name are called in JSON lines; none in CSV."""
    if SEPARATOR_OF.get(Path(path or "").suffix.lower(), ",") is not None:
        return []
    names = zip(table.columns, _different_names(table.columns), strict=True)
    return [key for column, key in names if key != column]


def _different_names(columns: Sequence[str]) -> list[str]:
    """The columns as keys of one object: those without a name are called after their index."""
    names = [column for column in columns if column.strip()]
    keys = []
    for i, column in enumerate(columns):
        key = column if column.strip() else f"Unnamed: {i}"
        while not column.strip() and key in names:
            key += "'"
        keys.append(key)
    return keys
