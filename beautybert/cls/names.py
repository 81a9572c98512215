"""A raw name cell -> what the model reads of it, and the key that the same name has elsewhere."""

from __future__ import annotations

import html
import re
import unicodedata

from beautybert.cls.plain_text import INVISIBLE
from beautybert.cls.spellings import normalize_key

# a name or label that is none
SAYS_NOTHING = {"nan", "null", "none", "n/a", "na", "<na>", "unknown", "#name?"}
PRINTED_TEXT = re.compile(r"""'([^']*)'|"([^"]*)\"""")
PRINTED_LIST = re.compile(r"""\s*\[\s*(?:'[^']*'|"[^"]*")(?:\s*,\s*(?:'[^']*'|"[^"]*"))*\s*\]\s*""")
MAX_NAME = 1000  # characters; the longest real names have 200
TRADE_SIGNS = str.maketrans("", "", "™®©°℠℗")


def clean_name(cell: str) -> str:
    """What the model reads of a name: without entities and invisible signs, on one line, NFC.

    '' for a cell that says that there is none.
    """
    text = INVISIBLE.sub("", html.unescape(html.unescape(printed_list(cell[:MAX_NAME]))))
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    is_missing = text.casefold() in SAYS_NOTHING or not any(map(str.isalnum, text))
    return "" if is_missing else text


def printed_list(cell: str) -> str:
    """The texts of a list that a program has printed, as "['a', 'b']"; any other cell as it is."""
    if not PRINTED_LIST.fullmatch(cell):
        return cell
    return ", ".join(one or other for one, other in PRINTED_TEXT.findall(cell))


def clean_label(cell: str) -> str:
    """A label, family or brand on one line, without invisible and control characters."""
    return " ".join(INVISIBLE.sub("", cell).split())


def name_key(name: str) -> str:
    """Equal for names that differ in case, punctuation, accents and trade signs alone.

    It is `normalize_key` with the letters of all scripts.
    """
    plain = unicodedata.normalize("NFKD", name.translate(TRADE_SIGNS)).casefold()
    if plain.isascii():
        return normalize_key(plain)
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    # marks that are no accents, as the vowel signs of Thai and Hindi, are letters
    kept = (c if unicodedata.category(c)[0] in "LNM" else " " for c in letters)
    return " ".join("".join(kept).split()) or name.casefold()
