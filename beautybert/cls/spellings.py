"""One spelling for each ingredient: tables/spellings.csv, and names in brackets.

EU and US names of one ingredient are one, so are a colorant's name and its number, and a plant's
Latin name with and without the common name in brackets. It serves the keys of lists and, if asked,
the text that the model reads; printed names stay as they are.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).parent / "tables" / "spellings.csv"
BRACKET = re.compile(r"\s?[(\[]([^()\[\]]{0,200})[)\]]")


def normalize_key(text: str) -> str:
    """Letters and digits in lower case without accents, single spaces between."""
    if not text.isascii():  # else it has no accents, and 2.4 times the speed
        plain = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in plain if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9]+", " ", text.casefold()).strip()


@lru_cache(1)
def spellings() -> dict[str, str]:
    """The key of each spelling -> the one name."""
    with open(TABLE, encoding="utf-8") as file:
        rows = [(row["spelling"], row["name"]) for row in csv.DictReader(file)]
    names = {normalize_key(name): name for _, name in rows}
    return names | {normalize_key(spelling): name for spelling, name in rows}


def spelled_words() -> set[str]:
    """The spellings of one word, such as aqua and parfum."""
    return {spelling for spelling in spellings() if spelling.isalpha()}


@lru_cache(1 << 14)
def is_spelled(text: str) -> bool:
    """Whether the table knows a text, apart from what is in its brackets."""
    return normalize_key(BRACKET.sub("", text)) in spellings()


@lru_cache(1 << 16)
def canonical_name(name: str) -> str:
    """The one spelling of a name; the name without its brackets if the table does not know it."""
    table = spellings()
    plain = BRACKET.sub("", name).strip() or name
    parts = [plain, *re.split(r"\s?/\s?", plain)]
    parts += [part for inside in BRACKET.findall(name) for part in re.split(r"\s?[,;/]\s?", inside)]
    known = [table[key] for key in map(normalize_key, parts) if key in table]
    if normalize_key(plain) in table:
        return table[normalize_key(plain)]
    is_synonyms = "/" in plain and all(normalize_key(part) in table for part in parts[1:])
    if known and (is_synonyms or COLOR_INDEX.search(name)) and len(set(known)) == 1:
        return known[0]
    return plain


COLOR_INDEX = re.compile(r"\bC\.?I\.?\s?#?\d{5}", re.IGNORECASE)
