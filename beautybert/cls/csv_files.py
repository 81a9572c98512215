"""A CSV file, in whatever encoding -> a table of text cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")  # the last one reads anything


def read_table(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV file as text cells, in the first of `ENCODINGS` that reads it. Empty cells are ''.

    ValueError for a missing, empty or broken file, and for missing columns, with those that are
    there.
    """
    for encoding in ENCODINGS:
        try:
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, encoding=encoding, index_col=False
            )
            break
        except UnicodeDecodeError:
            continue
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, IsADirectoryError) as error:
            raise ValueError(f"{path} is no readable CSV: {error}") from None
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(table.columns)}"
        )
    return table
