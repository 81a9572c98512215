"""What the reader of ingredient cells knows: how names differ from prose, headings with a meaning.

The tables in tables/ are made by data/make_ingredient_words.py (words.csv, trigrams.csv) or written
by hand (headings.csv, spellings.csv).
"""

from __future__ import annotations

import csv
import hashlib
import re
from functools import lru_cache
from pathlib import Path

from beautybert.cls.spellings import spelled_words

TABLES = Path(__file__).parent / "tables"
READER_TABLES = ("words.csv", "trigrams.csv", "headings.csv", "spellings.csv")
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@lru_cache(1)
def tables_fingerprint() -> str:
    """A short hash of all tables that decide what is read in a cell."""
    digest = hashlib.blake2b(digest_size=8)
    for name in READER_TABLES:
        digest.update((TABLES / name).read_bytes())
    return digest.hexdigest()


@lru_cache(1)
def word_table() -> dict[str, tuple[float, str]]:
    """Words -> log-odds between names and prose, and whether a name starts (s) or ends (e) so."""
    with open(TABLES / "words.csv", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        table = {row["word"]: (int(row["score"]) / 10, row["position"]) for row in rows}
    for word in spelled_words():
        score, position = table.get(word, (0.0, "se"))
        table[word] = (max(score, 1.5), position)
    return table


@lru_cache(1)
def trigram_table() -> dict[str, float]:
    """Trigrams of words -> log-odds between names and prose."""
    with open(TABLES / "trigrams.csv", encoding="utf-8") as file:
        return {row["trigram"]: int(row["score"]) / 10 for row in csv.DictReader(file)}


@lru_cache(1)
def headings() -> dict[str, re.Pattern]:
    """Meaning -> its phrases in any language (tables/headings.csv), as a pattern."""
    phrases: dict[str, list[str]] = {}
    with open(TABLES / "headings.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            phrases.setdefault(row["meaning"], []).append(
                re.escape(row["phrase"]).replace(r"\ ", r"\s?")
            )
    longest_first = {meaning: sorted(found, key=len)[::-1] for meaning, found in phrases.items()}
    patterns = {meaning: "|".join(found) for meaning, found in longest_first.items()}
    sign = r"\+\s?/\s?[-–]|±|(?<=\[)\+/(?=:)|(?<=[(\[])\+[-–](?=[)\]:\s])"
    sign = rf"[(\[{{]?\s?(?:{sign})\s?[)\]}}]?\s?:?"
    words = rf"[(\[]?\s?(?<!\w)(?:{patterns['may contain']})(?!\w)\s?[)\]]?\s?:?"
    may_contain = rf"{sign}|{words}"
    return {
        "may contain": re.compile(
            rf"(?:{may_contain})(?:\s?/?\s?(?:{may_contain})){{0,6}}", re.IGNORECASE
        ),
        "list": re.compile(rf"(?:{patterns['list']})(?!\w)[\s:.\-]{{0,3}}(?=\S|$)", re.IGNORECASE),
        "quality": re.compile(rf"(?<!\w)(?:{patterns['quality']})(?!\w)", re.IGNORECASE),
        "key": re.compile(rf"(?<!\w)(?:{patterns['key']})(?!\w)", re.IGNORECASE),
        "without": re.compile(rf"(?<![\w-])(?:{patterns['without']})(?!\w)", re.IGNORECASE),
    }


@lru_cache(1 << 16)
def word_score(word: str) -> float:
    """The log-odds of a word between names and prose; by its trigrams if it was never seen."""
    word = word.casefold()
    if len(word) == 1:
        return 0.0
    if word in word_table():
        return word_table()[word][0]
    padded = f"^{word[:40]}$"
    table = trigram_table()
    trigrams = [padded[i : i + 3] for i in range(len(padded) - 2)]
    scores = [table[trigram] for trigram in trigrams if trigram in table]
    if not scores:  # another script
        return -2.0
    return max(-3.0, min(3.0, 2 * sum(scores) / len(trigrams)))
