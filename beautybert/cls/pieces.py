"""Plain text -> pieces: cut at every mark outside brackets that could separate names or sentences.

Which pieces are the list is settled in best_path.py, which marks separate names in ingredients.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

from beautybert.cls.spellings import is_spelled
from beautybert.cls.words import WORD, headings, word_score

MAY_BEGIN, MAY_END, ITEM = "\x1d", "\x1c", "\x1f"
MARK = re.compile(
    r"(?P<line>\n)|(?P<comma>[,;])|(?P<bullet>\s?[•●▪◦‣⁃∙・■□◆★✓✔·]\s?)|(?P<bar>\s?[|¦]\s?)"
    r"|(?P<star>(?:(?<=\s)|^)\*\s?|\*(?=\w))|(?P<slash>\s/\s)"
    r"|(?P<dash>\s[-–]\s?|(?<=\S)[-–]\s|(?:(?<=\n)|^)[-–]\s?)"
    r"|(?P<colon>:(?!\d))|(?P<stop>[.!?](?=[\s)\]*]|$|[A-Z][a-z]|-\s?[A-Z])|(?<=\))\.(?=[A-Za-z])"
    r"|(?<=[A-Z]{3})\.(?=[A-Z]{3}))"
    rf"|(?P<item>{ITEM})|(?P<may>{MAY_BEGIN})|(?P<end>{MAY_END})"
)
ABBREVIATION = re.compile(
    "(?:alc|alt|bis|ci|col|conc|cv|dr|ext|exp|fd|fil|lat|nat|no|nr|rec|spp?|ssp|st|subsp|syn|var"
    "|veg|vit|vol)",
    re.IGNORECASE,
)
OTHER_SEPARATOR = re.compile(r"[,;\n•●▪·|]|[-–/*]\s")
OPENING, CLOSING = "([{", ")]}"
SENTENCE_MARKS = ("begin", "stop", "colon", "line", "end of cell")
NUMBERING = re.compile(r"(?<![^\s,;])(\d{1,3})[.)]\s?(?=\S)")
LOCANT = r"(?:\d{1,2}[a-z]?'?|[NOSP]'?)"
LOCANTS = re.compile(rf"(?<!\w){LOCANT}(?:,{LOCANT}){{1,6}}(?=-\s?\w)")


@dataclass
class Piece:
    """What is between two marks.

    before, after: the kinds of the marks. mark: the first signs of the one before it.
    """

    text: str
    before: str
    after: str
    mark: str = ""
    score: float = 0.0
    is_list: bool = False


def cut(text: str) -> list[Piece]:
    """Cut a plain text at every mark outside brackets that could separate."""
    if text.count("/") > 4 and not OTHER_SEPARATOR.search(text):
        text = text.replace("/", " / ")  # "Aqua/Glycerin/Talc/Mica/Parfum/Limonene"
    text = _open_bracketed_lists(_mark_may_contain(_mark_numbering(text)))
    outside = outside_brackets(text)
    locant_commas = _locant_commas(text)
    pieces = []
    start, before, mark = 0, "begin", ""
    for match in MARK.finditer(text):
        position, kind = match.start(), str(match.lastgroup)
        if position < start or not outside[position] or position in locant_commas:
            continue
        if kind == "stop" and _ends_abbreviation(text, position):
            continue
        piece = Piece(text[start:position].strip(), before, kind, mark)
        start = match.end()
        if piece.text or before in ("may", "end") or kind in ("may", "end"):
            pieces.append(piece)
            before, mark = kind, match[0]
        elif before == "begin" or kind in ("stop", "colon") or before in ("line", "star"):
            is_line_of_list = before == "line" and kind == "dash"  # "\n- Glycerin\n- Talc"
            mark = (mark + match[0])[:20] if before == kind or is_line_of_list else match[0]
            before = kind
            if pieces and not is_line_of_list:
                pieces[-1].after = kind
        else:  # a comma at the end of a line is a comma
            mark = (mark + match[0])[:20]
    pieces.append(Piece(text[start:].strip(), before, "end of cell", mark))
    kept = [piece for piece in pieces if piece.text or piece.before in ("may", "end")]
    return [part for piece in kept for part in _split_glued(piece)]


def _split_glued(piece: Piece) -> list[Piece]:
    """Cut a name off the start or end of prose that follows or precedes it without a mark.

    "Glycerin, Phenoxyethanol Please be aware that ...": where the sum of word scores is highest
    from either end, if what is left is clearly prose and the list goes on at the other side.
    """
    if not 4 <= piece.text.count(" ") < 400:
        return [piece]
    outside = outside_brackets(piece.text)
    words = [word for word in WORD.finditer(piece.text) if outside[word.start()]]
    if not 5 <= len(words) <= 200 or "/" in piece.text:
        return [piece]
    sums = list(accumulate((word_score(word[0]) for word in words), initial=0.0))
    starts = [k for k in range(1, 5) if is_spelled(piece.text[: words[k].start()])]
    start = max([0, *starts]) or max(range(5), key=lambda k: sums[k])
    end = min(range(len(words) - 4, len(words) + 1), key=lambda k: sums[k])
    is_head = (starts or sums[start] > 2.0) and sums[-1] - sums[start] < -8.0
    is_tail = sums[-1] - sums[end] > 2.0 and sums[end] < -8.0
    if start and is_head and piece.before not in SENTENCE_MARKS:
        cut_at = words[start].start()
    elif end < len(words) and is_tail and piece.after not in SENTENCE_MARKS:
        cut_at = words[end].start()
    else:
        return [piece]
    closing = next((c for o, c in matching_brackets(piece.text).items() if o < cut_at <= c), -1)
    first, second = piece.text[: max(cut_at, closing + 1)], piece.text[max(cut_at, closing + 1) :]
    first, second = first.strip(), second.strip()
    if not second or second[0].islower():
        return [piece]
    return [
        Piece(first, piece.before, "glue", piece.mark),
        Piece(second, "glue", piece.after),
    ]


def matching_brackets(text: str) -> dict[int, int]:
    """From the position of each opening bracket to that of its closing one, where it has one."""
    open_positions: list[int] = []
    closing: dict[int, int] = {}
    for match in re.finditer(r"[()\[\]{}]", text):
        bracket = match[0]
        if bracket in OPENING:
            open_positions.append(match.start())
        elif open_positions and OPENING.index(text[open_positions[-1]]) == CLOSING.index(bracket):
            closing[open_positions.pop()] = match.start()
    return closing


def outside_brackets(text: str) -> bytearray:
    """For each character, whether it is outside of all brackets that close."""
    outside = bytearray(b"\1") * len(text)
    last = -1
    for opening, closing in sorted(matching_brackets(text).items()):
        if opening > last:
            last = closing
            outside[opening : closing + 1] = bytes(closing + 1 - opening)
    return outside


def _open_bracketed_lists(text: str) -> str:
    """The text without brackets around a whole list: "Ingredients: [Water, Glycerin, Mica]"."""
    characters = list(text)
    for opening, closing in matching_brackets(text).items():
        is_first = text[max(opening - 2, 0) : opening].strip(" ")[-1:] in ("", ":", "\n")
        is_last = text[closing + 1 : closing + 4].strip(" .")[:1] in ("", "\n")
        if is_first and is_last and text.count(",", opening, closing) > 1:
            characters[opening] = characters[closing] = " "
    return "".join(characters)


def _mark_numbering(text: str) -> str:
    """1. 2. 3. or 1) 2) 3) at the start of items, if they count up from 1, become marks."""
    found: list[re.Match] = []
    outside = outside_brackets(text)
    for match in NUMBERING.finditer(text):
        if int(match[1]) != len(found) + 1 or not outside[match.start()]:
            continue
        is_start = (
            text[max(match.start() - 2, 0) : match.start()].strip(" ")[-1:] if not found else ""
        )
        if is_start in ("", "\n", ":", ",", "."):
            found.append(match)
    if len(found) < 2:
        return text
    parts, start = [], 0
    for match in found:
        parts += [text[start : match.start()], ITEM]
        start = match.end()
    return "".join(parts) + text[start:]


def _mark_may_contain(text: str) -> str:
    """A sign or words for may contain become a mark, and so does the end of a bracket around the
    block: "[+/- Mica, ...]" and "+/- [Mica, ...]".
    """
    characters = list(text)
    closing = matching_brackets(text)
    for match in headings()["may contain"].finditer(text):
        start, end = match.span()
        opening = start if text[start] in OPENING else start - 1
        behind = end + text[end : end + 1].isspace()
        if closing.get(opening, -1) >= end:
            characters[closing[opening]] = MAY_END
            start = opening
        elif "," in text[behind : closing.get(behind, behind)]:
            characters[closing[behind]] = MAY_END
            end = behind + 1
        characters[start:end] = [MAY_BEGIN, *[""] * (end - start - 1)]
    return "".join(characters)


def _locant_commas(text: str) -> set[int]:
    """Positions of commas inside chemical names: 1,2-Hexanediol, N,N-Dimethylacetamide.

    Locants ascend. In "Polysorbate 20,1,2-Hexanediol" they begin after the first comma.
    """
    positions = set()
    for match in LOCANTS.finditer(text):
        position = match.start()
        locants = match[0].split(",")
        after_word = text[max(position - 2, 0) : position].strip().isalpha()
        for locant, following in zip(locants, locants[1:], strict=False):
            position += len(locant)
            numbers = [int(number) for number in re.findall(r"\d+", f"{locant} {following}")]
            descends = len(numbers) == 2 and numbers[0] > numbers[1]
            if not (after_word and descends):
                positions.add(position)
            position += 1
    return positions


def _ends_abbreviation(text: str, stop: int) -> bool:
    """Whether a full stop belongs to an abbreviation: Vit. E, D&C Red No. 33, Rec. Extract."""
    following = text[stop + 1 : stop + 3].strip()
    word = re.search(r"(?<![^\W\d_])[^\W\d_]{1,6}$", text[max(stop - 8, 0) : stop])
    if not word or not following:
        return False
    return following[0] in "(0123456789" or bool(ABBREVIATION.fullmatch(word[0]))
