"""A raw ingredient cell, as pages print it -> a clean list of ingredient names.

    python -m beautybert.cls.ingredients --input products.csv

shows what is read in each cell, and what is left out as no ingredient. The column is found by its
header, or named as `--columns ingredients=COLUMN`. Without --input it reads standard input, a cell
a line.

The cell is cut at every mark that could separate (pieces.py). Each piece is scored by its words:
how much likelier they are in a name of the CosIng inventory than in ordinary prose (words.py). The
best path through two states, list and other, says which pieces are the list (best_path.py); here
they become names. Only headings with a meaning, such as "may contain", are told by their phrases
(tables/headings.csv). The time is linear in the length of the cell.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

import pandas as pd

from beautybert.cls.best_path import HARD, find_list
from beautybert.cls.columns import find_columns, first_cell, parse_columns
from beautybert.cls.pieces import OPENING, Piece, cut, matching_brackets, outside_brackets
from beautybert.cls.plain_text import plain_text, says_nothing
from beautybert.cls.spellings import canonical_name, is_spelled, normalize_key
from beautybert.cls.words import WORD, headings, word_score, word_table
from beautybert.table_files import TableFile
from beautybert.training import options
from beautybert.training.options import option

MAX_CELL_LENGTH = 200_000  # characters; the longest real cells have 20,000
MAX_NAME_LENGTH = 500  # characters; a longer piece is no name
BROKEN_WORD = re.compile(r"(?<![a-z])([a-z]{2,40})- ([a-z]{2,40})(?![a-z])", re.IGNORECASE)
MAX_NAME_WORDS = 15  # without what is in brackets; 0.5 % of CosIng's names have more


@dataclass(frozen=True)
class Ingredients:
    """What a cell says.

    names: as printed, in order, each once. may_contain: those of a may-contain block that are not
    among the names. reason: why there is no list, empty if there is one. dropped: texts that are no
    ingredients of the product: prose, headings, key ingredients before the whole list, and what it
    is said to be free of.
    """

    names: tuple[str, ...]
    may_contain: tuple[str, ...] = ()
    reason: str = ""
    dropped: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        """The text that the model reads."""
        text = ", ".join(self.names)
        return f"{text}. may contain: {', '.join(self.may_contain)}" if self.may_contain else text

    @property
    def key(self) -> str:
        """Equal for lists that differ in case, punctuation and the spelling of names alone."""
        parts = [self.names, ("may contain", *self.may_contain) if self.may_contain else ()]
        names = [canonical_name(name) for part in parts for name in part]
        return normalize_key(", ".join(dict.fromkeys(names)))


def parse_ingredients(cell: object) -> Ingredients:
    """Names in order, the may-contain block apart, or the reason why the cell holds no list."""
    if not isinstance(cell, str):
        is_missing = cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell)
        return Ingredients((), reason="empty" if is_missing else "not text")
    if len(cell) > MAX_CELL_LENGTH:
        return Ingredients((), reason="longer than any list")
    text = plain_text(cell)
    if says_nothing(text):
        return Ingredients((), reason="no list given" if re.search(r"\w", text) else "empty")
    names, may_contain, dropped = _read(text)
    if not names and headings()["quality"].search(text):  # "Organic Shea Butter, Raw Honey"
        names, may_contain, dropped = _read(headings()["quality"].sub(" ", text))
    if not names or (len(names) == 1 and not _is_sure(names[0])):
        reason = "text without a list" if _is_latin(text) else "not in Latin letters"
        return Ingredients((), reason=reason, dropped=tuple(dropped))
    may_contain = [name for name in may_contain if name not in names]
    return Ingredients(tuple(names), tuple(may_contain), dropped=tuple(dropped))


def _read(text: str) -> tuple[list[str], list[str], list[str]]:
    """Names, may contain and what is neither, in a plain text."""
    pieces = cut(text)
    find_list(pieces)
    names, may_contain, dropped = collect_names(pieces)
    if not names:
        names, may_contain = may_contain or _only_ingredient(pieces), []
    return names, may_contain, dropped


def _is_latin(text: str) -> bool:
    """Whether at least half of the letters are Latin."""
    if text.isascii():
        return True
    letters = [ord(character) for character in text if character.isalpha()]
    latin = sum(letter < 0x250 or 0x1E00 <= letter < 0x1F00 for letter in letters)
    return 2 * latin >= len(letters)


def _only_ingredient(pieces: list[Piece]) -> list[str]:
    """The one ingredient of a cell without a list: "100 % unrefined marula kernel oil."."""
    if any(headings()["without"].search(piece.text) for piece in pieces):
        return []
    alone = [
        piece
        for i, piece in enumerate(pieces)
        if (piece.before in HARD or i == 0 or piece.mark[:1] in (".", "\n"))
        and piece.after in HARD - {"colon"}
    ]
    names = [clean_name(piece.text) for piece in alone]
    return [name for name in names if _is_sure(name)][:1]


def _is_sure(name: str) -> bool:
    """Whether a name that is alone in its cell is an ingredient: by its words, or the last ones.

    A single word must be one that names have.
    """
    name = headings()["quality"].sub(" ", name).strip(" -")
    words = WORD.findall(name)
    if len(words) == 1 and words[0].casefold() not in word_table():
        return False
    sums = accumulate(word_score(word) for word in reversed(words))  # "unrefined marula kernel oil"
    return is_spelled(name) or (0 < len(words) < 8 and max([*sums][len(words) > 1 :]) > 2.0)


# ---- the list -> names -------------------------------------------------------------------------


def collect_names(pieces: list[Piece]) -> tuple[list[str], list[str], list[str]]:
    """Names, names of may-contain blocks, and what is neither, each once and in order.

    Left out are names that the product is said to be without, and a block of key ingredients if the
    cell has another list.
    """
    separators = _separators(pieces)
    run = 0
    found: dict[str, list[str]] = defaultdict(list)
    dropped: list[str] = []
    meaning = "list"
    parts: list[str] = []

    def end_name() -> None:
        text = "".join(parts)
        name = clean_name(text)
        if name:
            found[meaning].append(name)
        elif text:
            dropped.append(text)
        parts.clear()

    for before, piece in zip([None, *pieces], pieces, strict=False):
        run += not piece.is_list
        joint = _joint(parts, piece, separators.get(run, set()))
        if joint is None or not piece.is_list or piece.before in ("may", "end"):
            end_name()
        meaning = _meaning(meaning, before, piece)
        if piece.is_list:
            parts += [joint or "", piece.text] if parts else [piece.text]
        else:
            dropped.append(piece.text)
    end_name()
    if len(set(found["list"])) < 2:
        found["list"] = found.pop("key", []) + found["list"]
    dropped += found["without"] + found["without block"] + found["key"]
    dropped = [" ".join(text.split()) for text in dropped if re.search(r"\w", text)]
    names, optional, rest = (
        list(dict.fromkeys(texts)) for texts in (found["list"], found["may contain"], dropped)
    )
    return names, optional, rest


def _meaning(meaning: str, before: Piece | None, piece: Piece) -> str:
    """What the names from a piece on are: of the list, may contain, key ingredients, or without.

    After "free from parabens, ..." they are "without" until a full stop or line break. After
    "Formulated without:" they are a "without block" until a full stop or a paragraph, or the end of
    a line of several names.
    """
    if piece.before in ("may", "end"):
        return "may contain" if piece.before == "may" else "list"
    without = headings()["without"].search(piece.text)
    if meaning == "without block" and before and piece.before != "stop":
        is_first = before.after == "colon"
        is_over = "\n\n" in piece.mark or (piece.before == "line" and before.before == "comma")
        if (is_first or not is_over) and not headings()["list"].match(piece.text):
            return meaning
    elif piece.is_list and not (without and without.start() == 0 and piece.after != "colon"):
        ends = {"without": ("stop", "line"), "without block": ("stop",), "key": ("stop", "line")}
        return "list" if piece.before in ends.get(meaning, ()) else meaning
    if piece.is_list and meaning == "without block":
        return "list"
    if without and (piece.is_list or piece.after in ("comma", "dash")):
        return "without"
    is_at_end = without and not WORD.search(piece.text[without.end() :])
    if without and piece.after == "colon" and (is_at_end or " " in without[0]):
        return "without block"  # not "Sin City Blue: Mica, Talc"
    if piece.after in ("colon", "line"):
        return "key" if headings()["key"].search(piece.text) else "list"
    keeps = meaning == "may contain" or (meaning == "without" and piece.before in ("comma", "dash"))
    return meaning if keeps else "list"


def _separators(pieces: list[Piece]) -> dict[int, set[str]]:
    """For each run of the list, the kinds of marks that separate names in it.

    Slashes, dashes and stars do if there are many more of them than of the others: else a slash is
    between synonyms. Line breaks do unless they fall inside names (`_joint`); where some come after
    a comma, the list is wrapped ("wrap"), and others are inside names. A run is counted by the
    pieces before it that are no list.
    """
    counts: dict[int, Counter] = {}
    run = 0
    for piece in pieces:
        run += not piece.is_list
        if piece.is_list:
            is_wrap = piece.before == "comma" and "\n" in piece.mark
            counts.setdefault(run, Counter())["wrap" if is_wrap else piece.before] += 1
    others = ("comma", "wrap", "dash", "bullet", "bar", "item", "line")
    total: Counter = sum(counts.values(), Counter())
    separators = {}
    for run, marks in counts.items():
        firm = sum(marks[kind] for kind in ("comma", "wrap", "bullet", "bar", "item"))
        found = {kind for kind in ("dash", "star") if marks[kind] > 2 * firm}
        if total["slash"] > 2 * max(total[kind] for kind in others):
            found.add("slash")
        if marks["wrap"]:
            found.add("wrap")
        elif marks["line"] > marks["comma"]:
            found.add("line")
        separators[run] = found
    return separators


def _joint(parts: list[str], piece: Piece, separators: set[str]) -> str | None:
    """What joins a piece to the parts of a name before it; None if it is a name of its own."""
    kind, is_bracket = piece.before, piece.text[:1] in OPENING
    if not parts or not parts[-1]:
        return None
    before = parts[-1]
    if kind in ("comma", "line", "dash") and parts[0][:1] not in OPENING:
        closing = re.search(r"[)\]}]", piece.text) if is_bracket else None
        is_alone = closing and not re.search(r"\w", piece.text[closing.end() :])
        if is_alone and not _are_two(before, piece.text):
            return " "  # "Shea Butter, (Butyrospermum Parkii)"
    if kind == "dash" and piece.text.isdecimal():
        return "-"  # "Steareth- 20"
    if kind == "dash" and _is_broken_word(before, piece.text):
        return ""
    if kind in separators:
        return None
    if kind == "line" and piece.mark == "\n":
        return " " if "wrap" in separators or _breaks_name(before, piece.text) else None
    if is_bracket and (kind == "line" or (kind == "comma" and not _can_end(before))):
        return " "  # "Oenothera Biennis, (Evening Primrose) Oil", but "Water, (Mel) Honey"
    if kind == "dash" and piece.mark[0] != "\n":
        is_lower = before[-1].islower() and piece.text[:1].islower()
        if piece.mark[0] == "-" and (is_lower or _is_broken_word(before, piece.text, sure=False)):
            return ""  # "Vitis Vinif- era", "Pheno- Xyethanol"
        if piece.mark == " - " or _breaks_name(before, piece.text):
            return piece.mark
        return None
    return {"slash": " / ", "star": " ", "glue": " "}.get(kind)


def _are_two(before: str, bracket: str) -> bool:
    """Whether a bracket behind a name holds another ingredient: "Glycerin, (Fragrance)"."""
    inside = bracket.strip("()[]{} .")
    is_known = is_spelled(inside) and not any(map(str.isdigit, inside))  # "Red 7, (CI 15850)"
    return is_known and canonical_name(inside) != canonical_name(before)


def _is_broken_word(before: str, after: str, sure: bool = True) -> bool:
    """Whether a hyphen breaks a word of the table, as in "Diso- Dium Edta".

    Where sure is False, two parts that the table does not know are enough.
    """
    last = re.search(r"[^\W\d_]+$", before[-40:])  # the search is quadratic in what it is given
    first = re.match(r"[^\W\d_]+", after[:40])
    if not last or not first:
        return False
    table = word_table()
    if last[0].casefold() in table:
        return False
    is_word = (last[0] + first[0]).casefold() in table
    return is_word or (not sure and first[0].casefold() not in table)


def _breaks_name(before: str, after: str) -> bool:
    """Whether a line break between two texts is inside a name, by the words at its sides."""
    first = WORD.findall(after)[:1]
    if not WORD.search(before) or not first:
        return False
    can_start = "s" in word_table().get(first[0].casefold(), (0.0, "se"))[1]
    return not _can_end(before) or not can_start


def _can_end(name: str) -> bool:
    """Whether names end with the last word of a text, as far as the table knows it."""
    last = WORD.findall(name)[-1:]
    return not last or "e" in word_table().get(last[0].casefold(), (0.0, "se"))[1]


@lru_cache(1 << 14)
def clean_name(name: str) -> str:
    """One name without heading, footnote marks and stray signs; empty if it is no name."""
    name = headings()["list"].sub("", name, count=1) if headings()["list"].match(name) else name
    name = re.sub(
        r"\((?:organic|certified organic|non-gmo|vegan)\)|[*°]", " ", name, flags=re.IGNORECASE
    )
    name = BROKEN_WORD.sub(lambda m: m[1] + m[2] if _is_broken_word(m[1], m[2]) else m[0], name)
    name = _drop_lone_brackets(name)
    name = re.sub(r"\(\s?\)|\[\s?\]", " ", name)
    name = re.sub(r"\s+", " ", name).strip(" .,:;-–•·'\"/+_=")
    name = re.sub(r"^(?:and|&|organic)\s", "", name, flags=re.IGNORECASE)
    num_letters = len(re.findall(r"[^\W\d_]", name))
    outside = outside_brackets(name)
    num_words = sum(outside[word.start()] for word in WORD.finditer(name))
    if (
        len(name) > MAX_NAME_LENGTH
        or num_letters < 2
        or num_words > MAX_NAME_WORDS
        or says_nothing(name)
        or re.search(r"^no\s|[\s-]free$", name, re.IGNORECASE)  # "no parabens", "BHT-free"
    ):
        return ""
    return name


def _drop_lone_brackets(name: str) -> str:
    """The name without brackets that have no partner."""
    closing = matching_brackets(name)
    paired = {*closing, *closing.values()}
    kept = [" " if c in "()[]{}" and i not in paired else c for i, c in enumerate(name)]
    return "".join(kept)


# ---- what is read, for people ------------------------------------------------------------------


@dataclass(frozen=True)
class ReadConfig:
    """The options of python -m beautybert.cls.ingredients."""

    input: str | None = option(None, "table; without it, standard input, a cell a line")
    columns: tuple[str, ...] = option((), "column of --input with the cells, as ingredients=inci")


def main(config: ReadConfig) -> None:
    """Print what is read in each cell: names, may contain, what was dropped, or the reason."""
    if config.input is None:
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        cells: Iterable[object] = (line.rstrip("\n") for line in sys.stdin)
    else:
        table = TableFile(config.input)
        found_columns = find_columns(table, parse_columns(config.columns), ["ingredients"])
        cells = (first_cell(row, found_columns["ingredients"]) for row in table)
    number = 0
    for number, cell in enumerate(cells, start=1):
        found = parse_ingredients(cell)
        print(f"{number}: {found.reason or f'{len(found.names)} names'}")
        parts = {"name": found.names, "may contain": found.may_contain, "dropped": found.dropped}
        for kind, texts in parts.items():
            for text in texts:
                print(f"  {kind:<12} {text}")
    if not number:
        print("no cells", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(options.run_command(ReadConfig, __doc__, main))
