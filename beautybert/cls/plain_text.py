"""A raw ingredient cell -> plain text: entities, tags, odd signs and amounts taken off.

Line breaks are kept. Every repetition in the regular expressions is bounded, so the time is linear
in the length of the cell.
"""

from __future__ import annotations

import html
import re
import unicodedata

SAYS_NOTHING = re.compile(
    r"\W*(?:unknown|no info\w*|n/?a|none|nan|#name\??|visit the .{1,60} boutique)?\W*",
    re.IGNORECASE,
)
PLAIN_SIGNS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2212\ufe63\uff0d"), "-")
PLAIN_SIGNS |= dict.fromkeys(map(ord, "\u2014\u2015"), "\u2013")  # dashes
PLAIN_SIGNS |= dict.fromkeys(map(ord, "\x1c\x1d\x1e\x1f"), " ")  # used as marks below
PLAIN_SIGNS |= {ord("\u3001"): ", ", ord("\u3002"): ". "}
INVISIBLE = re.compile("[\ud800-\udfff\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")
FOOTNOTE_SIGNS = re.compile("[⁰¹²³⁴-⁹₀-₉†‡™®©℗]")
# normalize() takes quadratic time for a long run of accents
ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u064b-\u065f\u1ab0-\u1aff\u20d0-\u20ff]{4,}"
)
NUMBER = r"\d{1,9}(?:[.,]\d{1,9}){0,3}"
AMOUNT = re.compile(
    rf"[\[(]? ?[<>≤≥~]? ?(?<![\w.,])\.?{NUMBER}\s?(?:-\s?{NUMBER}\s?)?"
    r"(?:%|ppm|ppb|mg|mcg|[µμ]g|ml|iu|g)(?!\w)(?:\s?\(?[wv]/[wv]\)?)? ?[\])]?|\bq\.\s?s\b\.?",
    re.IGNORECASE,
)
AMOUNT_BEHIND_COLON = re.compile(rf" ?: ?(?:{AMOUNT.pattern})(?= ?(?:[,;\n]|$))", re.IGNORECASE)
FORMULA_CODE = re.compile(r"\(?\bF\.\s?I\.\s?L\.[^()\n]{0,40}\)?")
AND = re.compile(r"\((?:and|&)\)", re.IGNORECASE)
BROKEN_LOCANTS = re.compile(
    r"(?<![^\s,;(])(\d{1,2}(?:,\d{1,2}){0,4}), (?=\d{1,2}-\s?[a-z])", re.IGNORECASE
)
BROKEN_COLOR = re.compile(r"\b(C\.?I\.?)\n(?=\d{5}\b)", re.IGNORECASE)
HEXANEDIOL = re.compile(r"\b1\s?[-–,]\s?2\s?[- ]\s?(?=hexanediol)", re.IGNORECASE)


def says_nothing(text: str) -> bool:
    """Whether a text is a placeholder, such as "No Info", or has no words."""
    return not re.search(r"\w", text) or (len(text) < 200 and bool(SAYS_NOTHING.fullmatch(text)))


def plain_text(cell: str) -> str:
    """The cell without entities, tags, odd signs, amounts; "Water\\Aqua" is "Water/Aqua"."""
    text = re.sub("&(?:amp;)+", "&", cell)  # escaped many times
    # no character has such a number
    text = re.sub(r"&#x?[\da-f]{8,}", " ", text, flags=re.IGNORECASE)
    text = html.unescape(html.unescape(text))
    text = _open_printed_list(text)
    text = re.sub(r"</?(?:br|p|li|div|tr|ul)\b[^<>]{0,200}>", "\n", text, flags=re.IGNORECASE)
    text = re.sub(r"<[^<>\n]{1,200}>", " ", text)
    text = ACCENTS.sub("", FOOTNOTE_SIGNS.sub(" ", text))
    text = unicodedata.normalize("NFKC", text)
    text = INVISIBLE.sub("", text).translate(PLAIN_SIGNS).replace("\\", "/").replace("\x00", " ")
    text = re.sub("\r\n?|[\u2028\u2029\x85\x0b\x0c]", "\n", text)
    text = re.sub(r"(?<=[\w)%])\t(?=[\w(])", " | ", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub("(?<=%)(?=[A-Z])", ", ", text)
    text = AND.sub(", ", FORMULA_CODE.sub(" ", AMOUNT.sub(" ", AMOUNT_BEHIND_COLON.sub(" ", text))))
    text = HEXANEDIOL.sub("1,2-", BROKEN_LOCANTS.sub(r"\1,", text))
    text = re.sub(r" +", " ", text)
    return BROKEN_COLOR.sub(r"\1 ", re.sub(r" ?\n ?", "\n", text)).strip()


def _open_printed_list(text: str) -> str:
    """The items of a printed Python or JSON list, on lines of their own."""
    if not re.match(r"\s*\[\s*['\"]", text) or not text.rstrip().endswith("]"):
        return text
    items: list[list[str]] = []
    quote = ""
    for token in re.findall(r"\\u[\da-fA-F]{4}|\\.|['\"]|[^\\'\"]+", text, flags=re.DOTALL):
        if not quote and token in ("'", '"'):
            quote = token
            items.append([])
        elif token == quote:
            quote = ""
        elif quote and token[0] == "\\":
            sign = {"n": "\n", "t": " "}.get(token[1], token[1])
            items[-1].append(sign if len(token) == 2 else chr(int(token[2:], 16)))
        elif quote:
            items[-1].append(token)
    return "\n\n".join("".join(item) for item in items)
