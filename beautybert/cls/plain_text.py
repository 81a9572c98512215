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
# what has no shape: controls that are no spaces, halves of surrogate pairs, marks of direction
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
FOOTNOTE_SIGNS = re.compile("[⁰¹²³⁴-⁹₀-₉†‡™®©℗]")
BLOCK_TAGS = re.compile(
    r"</?(?:br|p|li|div|tr|ul|ol|td|th|dt|dd|h[1-6]|section|option)\b[^<>]{0,200}>"
    r"|</span>\s?<span\b[^<>]{0,200}>",
    re.IGNORECASE,
)
SUPERSCRIPT = re.compile(r"<sup\b[^<>]{0,200}>[^<>]{0,20}</sup>", re.IGNORECASE)
TAGS = re.compile(r"<(?:/?[a-z]|!--)[^<>\n]{0,200}>|<[^<>\s]{1,40}>", re.IGNORECASE)
NUMBER = r"\d{1,9}(?:[.,]\d{1,9}){0,3}"
QUANTITY = (
    rf"[<>≤≥~]? ?(?<![\w.,])\.?{NUMBER}\s?(?:-\s?{NUMBER}\s?)?"
    r"(?:%(?:\s?vol\b\.?)?|ppm|ppb|mg|mcg|[µμ]g|ml|iu|g|(?:fl\.?\s?)?oz)(?!\w)"
    r"(?:\s?\(?[wv]/[wv]\)?)?"
)
AMOUNT = re.compile(
    rf"[\[(] ?{QUANTITY} ?[\])]|{QUANTITY}|\bq\.\s?s\b\.?",
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
    text = BLOCK_TAGS.sub("\n", SUPERSCRIPT.sub(" ", text))
    text = TAGS.sub(" ", text)
    text = _without_piled_accents(FOOTNOTE_SIGNS.sub(" ", text))
    text = unicodedata.normalize("NFKC", text)
    text = INVISIBLE.sub("", text.replace("\x00", " ")).translate(PLAIN_SIGNS).replace("\\", "/")
    text = re.sub("\r\n?|[\u2028\u2029\x85\x0b\x0c]", "\n", text)
    text = re.sub(r"(?<=[\w)%])\t(?=[\w(])", " | ", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub("(?<=%)(?=[A-Z])", ", ", text)
    text = re.sub(r"(?<![\d.,])0 ?% ?(?=[^\W\d_])", "no ", text)
    text = AND.sub(", ", FORMULA_CODE.sub(" ", AMOUNT.sub(" ", AMOUNT_BEHIND_COLON.sub(" ", text))))
    text = HEXANEDIOL.sub("1,2-", BROKEN_LOCANTS.sub(r"\1,", text))
    text = re.sub(r"(?<=[(\[]) +", "", re.sub(r" +", " ", text))
    return BROKEN_COLOR.sub(r"\1 ", re.sub(r" ?\n ?", "\n", text)).strip()


def _without_piled_accents(text: str) -> str:
    """At most three accents on a letter: normalize() takes quadratic time for many."""
    if text.isascii():
        return text
    kept, num_accents = [], 0
    for character in text:
        num_accents = num_accents + 1 if unicodedata.combining(character) else 0
        if num_accents < 4:
            kept.append(character)
    return "".join(kept)


def _open_printed_list(text: str) -> str:
    """The items of a printed Python or JSON list, on lines of their own; of an object, the values.

    A text with anything else outside quotes stays as it is.
    """
    if not re.match(r"\s*[\[{]{1,3}\s*['\"]", text) or text.rstrip()[-1] not in "]}":
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
        elif re.fullmatch(r"[\s,:\[\]{}]*", token) is None:
            return text
        elif token.lstrip().startswith(":") and items:  # what is before is a key
            items.pop()
    return "\n\n".join("".join(item) for item in items)
