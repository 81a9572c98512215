"""A raw ingredient cell, as shops print it, -> a clean list of ingredient names.

`parse_ingredients` is the whole of it, and serves training and predict alike. It works by cutting
the cell into segments (lines and sentences), telling prose from lists by their function words, and
only then splitting lists into names. No list of known ingredients is consulted, so a new name is as
good as an old one.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from itertools import pairwise

MAX_NAME_LENGTH = (
    110  # characters; the longest names of the CosIng inventory that occur on labels are below it
)


@dataclass(frozen=True)
class Ingredients:
    """names: in label order. may_contain: the colorants of the "may contain" block.

    Reason: why there is no list; empty if there is one.
    """

    names: tuple[str, ...]
    may_contain: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        """The text that the model reads."""
        return ", ".join(self.names) + (
            f". may contain: {', '.join(self.may_contain)}" if self.may_contain else ""
        )

    @property
    def key(self) -> str:
        """Equal for lists that differ in case, punctuation and spelling of separators alone."""
        return normalize_key(str(self))


def normalize_key(text: str) -> str:
    """Letters and digits in lower case, single spaces between."""
    return re.sub(r"[^a-z0-9]+", " ", text.casefold()).strip()


def parse_ingredients(cell: object) -> Ingredients:
    """Clean names in order, the "may contain" block apart, or the reason why the cell holds no
    list.
    """
    text = _plain(cell)
    if not text or _NO_LIST.fullmatch(text):
        return Ingredients((), reason="empty" if not text else "no list given")
    names: list[str] = []
    optional: list[str] = []
    for segment in _segments(text):
        segment, dropped_heading = _without_heading(segment)
        certain, _, possible = _split_at_may_contain(segment)
        names += _names(certain, dropped_heading)
        optional += _names(possible, dropped_heading)
    names, optional = list(dict.fromkeys(names)), list(dict.fromkeys(optional))
    found = len(names) + len(optional)
    is_one = found == 1 and any(_ONE_INGREDIENT.search(name) for name in names)
    covered = sum(map(len, names + optional)) / len(text)  # little in the story of a brand, say
    mostly_prose = covered < 1 / 3 and not text.startswith(("-", "*"))
    if (found < 2 and not is_one) or (found < 6 and mostly_prose):
        return Ingredients((), reason="text without a list")
    if not names:
        return Ingredients(tuple(optional))
    return Ingredients(tuple(names), tuple(name for name in optional if name not in names))


# ---- cell -> segments --------------------------------------------------------------------------

_NO_LIST = re.compile(
    r"unknown\W*|no info\w*\W*|n/?a\W*|none\W*|nan|#name\?|visit the .* boutique\W*|\W+",
    re.IGNORECASE | re.DOTALL,
)
# often without a full stop before it
_NOTICE = re.compile(
    r"(?:^|\s)(?:Please|Ingredients? lists?) "
    r"(?:be|refer|note|check|consult|see|visit|read|are|may)\b.*"
)
# the shop's list of what is not in its products
_SEAL = re.compile(r"(?:^|\n)[^\n]*\b(?:Clean at Sephora|clean seal)\b.*", re.DOTALL)
# what a list of ingredients hardly ever holds and a sentence hardly ever lacks
_FUNCTION_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        "a about all also an any are as at be been but by can do does for from has have help "
        "helps here how if in into is it its like made make makes more most no not of on our "
        "out over please provide provides so than that the their them these they this those to "
        "up use used we what when which while who will with without you your ",
    )
)
_ABBREVIATIONS = ("Denat", "Ext", "No", "St", "Var", "Sp", "L", "D", "Subsp")
_ABBREVIATION = "".join(rf"(?<!\b{word})" for word in _ABBREVIATIONS)
_ABBREVIATION += "".join(rf"(?<!\b{word})" for word in ("denat", "ext", "var", "sp", "subsp"))
_SENTENCE_END = re.compile(
    _ABBREVIATION + r"[.!?](?:\s+(?=[A-Z\[(*+\-])|(?=[A-Z][a-z])|(?=-[A-Z]))"
)
_CALL_OUT = re.compile(r"\s*[-–•]\s*[^:;]{2,140}:\s")
_HEADING = re.compile(r"\s*(?P<heading>[^,;:()\[\]+%]{2,70}):(?=\s|[A-Z\d]|$)\s*")
_SHADE_HEADING = re.compile(
    r"(?:\s|^)(?:shades?|phase|part|step)\s+[\w#,\- ]{1,25}:\s*", re.IGNORECASE
)


def _plain(cell: object) -> str:
    """The cell with entities resolved, "Water\\Aqua" as "Water/Aqua", odd spaces and dashes made
    plain; lines are kept.
    """
    if not isinstance(cell, str):
        return ""
    text = html.unescape(cell).replace("\x00", " ").replace("\\", "/")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"<[^<>\n]{1,200}>", "\n", text)
    text = re.sub("[\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\u00ad]", "", text)
    text = re.sub("[\u00a0\u2000-\u200a\u202f\u3000\t\x0b\x0c]", " ", text)
    text = re.sub(r"(?<=%)(?=[A-Z])", ", ", text)  # "Zinc Oxide 4.0%Water"
    return _NOTICE.sub("", _SEAL.sub("", text)).strip()


def _segments(text: str) -> list[str]:
    """The lines and sentences that are not prose.

    A line that was broken inside a list is joined again.
    """
    lines = [line.strip() for line in text.split("\n")]
    if _is_wrapped(lines):
        lines = [" ".join(lines)]
    if (
        sum(len(line) < 60 and "," not in line for line in lines if line) > 4
    ):  # one ingredient a line
        lines = [", ".join(line.strip(" -•*,") for line in lines if line and not _is_prose(line))]
    pieces = [
        piece
        for line in lines
        for piece in _SENTENCE_END.split(_SHADE_HEADING.sub(". ", line))
        if piece and piece.strip(" .")
    ]
    return [piece for piece in pieces if not _is_prose(piece)]


def _is_wrapped(lines: list[str]) -> bool:
    """Whether line breaks fall in the middle of one list.

    Then every line but the last ends in a comma or goes on in lower case.
    """
    pairs = list(pairwise(lines))
    return bool(pairs) and all(line.endswith(",") or then[:1].islower() for line, then in pairs)


def _is_prose(segment: str) -> bool:
    """Whether a segment is a call-out ("-Retinol: Smooths the look of lines") or another sentence
    about the product.
    """
    words = re.findall(r"[a-z']+", segment.casefold())
    function_words = sum(word in _FUNCTION_WORDS for word in words)
    if _CALL_OUT.match(segment):
        return len(re.findall(r",|\s-\s|-\s", segment)) < 6 or function_words >= 2
    if segment.lstrip().startswith("*") and segment.count(",") < 3:
        return True  # a footnote
    return function_words >= 2 and function_words / max(len(words), 1) > 0.08


def _without_heading(segment: str) -> tuple[str, bool]:
    """ "Phase One: Water, ..." -> "Water, ...". A "may contain" is no heading."""
    match = _HEADING.match(segment)
    if not match or _MAY_CONTAIN.search(match["heading"]):
        return segment, False
    return segment[match.end() :], True


# ---- list -> names -----------------------------------------------------------------------------

# the words, or the sign +/-
_MAY = r"(?:(?:may\s+contain|peut\s+contenir|puede\s+contener)|[(\[]?\s*\+\s*/\s*-+\s*[)\]]?)"
_MAY_CONTAIN = re.compile(rf"[\[({{]?\s*{_MAY}(?:[\s/:(\[]*{_MAY}[)\]]?)*\s*:?\s*", re.IGNORECASE)
_GROUP = re.compile(r"\([^()]{0,100}\)|\[[^\[\]]{0,100}\]")
_COMMA = re.compile(r"\s*(?:(?<!\d),|,(?!\d)|;|•|·|\||\n)\s*")
_DASH = re.compile(r"\s+[-–]\s*(?=\S)|(?<=\S)-\s+")
_ONE_INGREDIENT = re.compile(
    r"\b(?:acid|oil|butter|extract|wax|water|petrolatum|alcohol|glycol|oxide|squalane|niacinamide)\b",
    re.IGNORECASE,
)


def _split_at_may_contain(segment: str) -> tuple[str, str, str]:
    match = _MAY_CONTAIN.search(segment)
    if not match:
        return segment, "", ""
    return segment[: match.start()], match[0], segment[match.end() :]


def _names(text: str, after_heading: bool) -> list[str]:
    """Split at the separator that the list uses.

    Commas and dashes inside brackets or between digits separate nothing.
    """
    text = re.sub(r"\s*\((?:and|&)\)\s*", ", ", text, flags=re.IGNORECASE)
    text = re.sub(r"\b1\s?[-–,]\s?2\s?[- ]\s?(?=hexanediol)", "1,2-", text, flags=re.IGNORECASE)
    commas, dashes = len(_COMMA.findall(text)), len(_DASH.findall(text))
    separator = _DASH if dashes > 2 * commas and dashes > 0 else _COMMA
    if separator is _COMMA:
        text = re.sub(
            r"(?<=[a-z])-\s+(?=[a-z])", "", text
        )  # "Vitis Vinif- era": a word broken at the end of a printed line
    groups: list[str] = []

    def hide(match: re.Match) -> str:
        groups.append(match[0])
        return f"\x00{len(groups) - 1}\x00"

    parts = separator.split(_GROUP.sub(hide, text))
    parts = [re.sub("\x00(\\d+)\x00", lambda match: groups[int(match[1])], part) for part in parts]
    return [name for name in map(_clean_name, parts) if name]


def _clean_name(name: str) -> str:
    """One name without footnote marks, percentages and stray brackets; empty if it is no name."""
    name = re.sub(r"\(?\s*\d+(?:[.,]\d+)?\s*%\s*(?:w/w|w/v)?\s*\)?", " ", name)
    name = re.sub(
        r"[*†‡°®™]+|\((?:organic|certified organic|non-gmo|vegan)\)", " ", name, flags=re.IGNORECASE
    )
    name = re.sub(
        r"^.*:\s", "", re.sub(r"\s*:\s+\S+\s*$", "", name)
    )  # "Octocrylene: Sunscreen"; a heading inside a list
    name = re.sub(r"\s+", " ", name).strip(" .,:;-–•·'\"/+_")
    name = re.sub(r"^(?:and|&|organic)\s+", "", name, flags=re.IGNORECASE)
    for opening, closing in ("()", "[]", "{}"):
        if name.count(opening) != name.count(closing):
            name = name.replace(opening, " " if name.find(opening) > 0 else "").replace(closing, "")
    name = re.sub(r"\s+", " ", name).strip(" .,:;-–")
    words = name.split()
    if (
        len(name) > MAX_NAME_LENGTH
        or len(re.findall("[A-Za-z]", name)) < 2
        or _NO_LIST.fullmatch(name)
    ):
        return ""
    if sum(word.casefold() in _FUNCTION_WORDS for word in words) >= 2:
        return ""
    return name
