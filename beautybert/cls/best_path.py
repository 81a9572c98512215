"""Pieces -> the list: the best path through two states, list and other.

Each piece has a score: how much likelier its words are in a name of an ingredient than in prose. A
change of state is cheap at a full stop, colon or line break and dear at a comma. The costs and
thresholds, in nats, were chosen by hand on real cells; tests/cls/test_ingredients.py and
tests/bench/bench_ingredients.py say whether others are better.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from beautybert.cls.pieces import Piece
from beautybert.cls.spellings import BRACKET, is_spelled
from beautybert.cls.words import WORD, word_score

# What it costs to change between list and other at each kind of mark, in nats.
COSTS = {
    "begin": 0.0,
    "stop": 0.5,
    "colon": 0.5,
    "line": 1.0,
    "may": 1.0,
    "end": 1.0,
    "star": 1.5,
    "glue": 3.0,
    "bullet": 3.0,
    "item": 3.0,
    "bar": 3.0,
    "dash": 3.0,
    "comma": 5.0,
    "slash": 6.0,
}
HARD = {"begin", "stop", "colon", "line", "may", "end", "star", "end of cell"}
MARKS_OF_ITEMS = {"dash", "bullet"}
COLOR = re.compile(r"\bC\.?I\.?\s?#?\d{5}\b|\bF?D&C\b", re.IGNORECASE)


def piece_score(piece: Piece, hard: set[str]) -> float:
    """How much likelier a piece is a name than something else, in nats. hard: sentence marks."""
    outside = BRACKET.sub(" ", piece.text)  # "(emollient - fatty acid from palm)" is no name
    words = (WORD.findall(outside) or WORD.findall(piece.text))[:60]
    if not words:
        return 0.0 if re.search(r"\d", piece.text) else -0.5
    is_lone = piece.before in hard and piece.after in hard
    score = max(-10.0, min(8.0, sum(map(word_score, words))), _sum_of_words(piece.text))
    if "/" in piece.text:  # synonyms: one is enough
        score = max(score, *(_sum_of_words(part) for part in piece.text[:300].split("/")))
    is_sure_prose = score < -9.0 and len(words) > 2 and piece.after != "glue"
    if not is_lone and len(words) <= 4 and piece.before != "glue" and not is_sure_prose:
        # between other names a short one needs little proof
        score = max(score, -2.0 if len(words) <= 3 else -4.0) + 0.7
    if COLOR.search(piece.text) or is_spelled(piece.text[:200]):
        score = max(score, 3.0)
    if is_lone and len(words) > 2:  # a list has neighbours
        score -= 2.0
    return score


def _lower_headings(pieces: list[Piece], hard: set[str]) -> None:
    """Lower the scores of what is before a colon: a heading, or a call-out before a sentence.

    Some headings are several names of shades: "Sienna, Lumino: Mica, Talc".
    """
    starts = hard | MARKS_OF_ITEMS
    first = 0  # of the pieces that look like a heading so far
    for i, (piece, behind) in enumerate(pairwise(pieces)):
        if piece.before in hard:
            first = i
        if piece.score >= 2.5:
            first = i + 1
        if piece.after != "colon":
            continue
        is_whole = behind.after in hard or len(WORD.findall(behind.text)) > 2
        is_sentence = is_whole and behind.score < -3.0
        is_call_out = is_sentence and behind.before == "colon"
        is_on_its_line = "\n" in behind.mark
        is_start = piece.before in starts or piece.mark[:1] in (";", "|")
        if is_start and (is_call_out or is_on_its_line or piece.score < 2.5):
            piece.score = min(piece.score, 0.0) - 5.0
        elif i - 20 < first < i and pieces[first].before in hard:
            for heading in pieces[first : i + 1]:
                heading.score = min(heading.score, 0.0) - 5.0


def _sum_of_words(text: str) -> float:
    return min(8.0, sum(map(word_score, WORD.findall(text)))) if len(text) > 3 else -10.0


def find_list(pieces: list[Piece]) -> None:
    """Set `is_list` of each piece: the best path through two states, in one pass and back."""
    counts = Counter(piece.before for piece in pieces)
    lines_separate = counts["line"] > 2 * counts["comma"] and counts["line"] > 2
    hard = HARD - {"line"} if lines_separate else HARD
    best = [0.0, 0.0]  # other, list
    came_from: list[tuple[int, int]] = []
    is_footnote = False
    for piece in pieces:
        piece.score = piece_score(piece, hard)
        if "*" in piece.mark and (is_footnote or piece.before == "stop"):
            piece.score -= 5.0  # ". *From farms **100 % natural fragrance"
        is_footnote = "*" in piece.mark and piece.score < -5.0
    _lower_headings(pieces, hard)
    for piece in pieces:
        cost = COSTS["comma" if lines_separate and piece.before == "line" else piece.before]
        if piece.before == "comma" and piece.after == "colon":
            cost = 2.0  # "Papain; Fats: Lipase": a heading
        change = [best[1] - cost, best[0] - cost]
        came_from.append((int(change[0] > best[0]), int(change[1] <= best[1])))
        best = [
            max(best[0], change[0]) - piece.score / 2,
            max(best[1], change[1]) + piece.score / 2,
        ]
    state = int(best[1] >= best[0])
    for piece, origins in zip(reversed(pieces), reversed(came_from), strict=True):
        piece.is_list = bool(state)
        state = origins[state]
    _drop_call_outs(pieces, hard)


def _drop_call_outs(pieces: list[Piece], hard: set[str]) -> None:
    """Unset `is_list` of names in front of sentences, and of names inside them.

    "-Rose, Apricot, and Lemon Oils: Deliver hydration": up to five pieces before a colon.
    "Softens skin with a blend of oat, rice bran, carrot root": names behind prose in one sentence,
    or between a colon and prose, if another list of the cell scores more than twice as much.
    """
    for i, (piece, behind) in enumerate(pairwise(pieces)):
        if piece.after != "colon" or behind.is_list:
            continue
        start = i
        while pieces[start].before in ("comma", "dash", "glue") and 0 < start > i - 5:
            if pieces[start].before == "dash" and not pieces[start - 1].is_list:
                break
            start -= 1
        is_first = start == 0 or pieces[start].before in hard or not pieces[start - 1].is_list
        is_sentence = start == i or len(WORD.findall(behind.text)) > 1
        if is_first and is_sentence:
            for call_out in pieces[start : i + 1]:
                call_out.is_list = False
    runs: list[list[Piece]] = []
    inside: list[list[Piece]] = []
    is_prose = False  # so far in the sentence
    for i, piece in enumerate(pieces):
        if piece.before in hard:
            is_prose = not piece.is_list
        if piece.is_list and (piece.before in hard or not i or not pieces[i - 1].is_list):
            runs.append([])
            if is_prose:
                inside.append(runs[-1])
            is_prose = False
        if piece.is_list:
            runs[-1].append(piece)
        elif piece.before == "comma" and i and pieces[i - 1].is_list:
            inside += runs[-1:] if runs[-1][0].before == "colon" else []
    totals = [sum(piece.score for piece in run) for run in runs]
    for run in inside:
        if 2 * sum(piece.score for piece in run) < max(totals):
            for piece in run:
                piece.is_list = False
