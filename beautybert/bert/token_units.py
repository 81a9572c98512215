"""Which neighbouring tokens belong together: units of tokens, words or ingredients.

Masking hides whole units, ingredient dropout leaves out whole units. A unit is an entry of `UNITS`:
a function that says at which tokens a unit starts. Everything is numpy on the CPU.

Letters: N tokens in the micro-batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from beautybert.bert.wordpiece import special_ids, token_list


@dataclass(frozen=True)
class Vocabulary:
    """What units and masking must know of each token: bool tables (V,), and the id of [MASK]."""

    mask_id: int
    is_special: np.ndarray
    is_continuation: np.ndarray  # ##pieces
    is_separator: np.ndarray  # , and ;
    ends_in_separator: np.ndarray  # a name with its comma as one token (mlm/added_tokens.py)
    starts_with_digit: np.ndarray

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Vocabulary:
        """The tables of a tokenizer.

        An id without a token counts as special, so it is never drawn.
        """
        special = special_ids(tokenizer)
        tokens = ["[PAD]" if token is None else token for token in token_list(tokenizer)]

        def table(holds: Callable[[str], bool]) -> np.ndarray:
            return np.array([holds(token) for token in tokens])

        return cls(
            mask_id=special["[MASK]"],
            is_special=table(lambda token: token in special),
            is_continuation=table(lambda token: token.startswith("##")),
            is_separator=table(lambda token: token in (",", ";")),
            ends_in_separator=table(lambda token: len(token) > 1 and token.endswith(",")),
            starts_with_digit=table(lambda token: token[:1].isdigit()),
        )


def token_starts(ids: np.ndarray, vocabulary: Vocabulary, rng: np.random.Generator) -> np.ndarray:
    """Each token is a unit: (N,) ids -> (N,) bool."""
    return np.ones(len(ids), dtype=bool)


def word_starts(ids: np.ndarray, vocabulary: Vocabulary, rng: np.random.Generator) -> np.ndarray:
    """A word with its ##pieces is a unit: (N,) ids -> (N,) bool."""
    return ~vocabulary.is_continuation[ids]


def ingredient_starts(
    ids: np.ndarray, vocabulary: Vocabulary, rng: np.random.Generator
) -> np.ndarray:
    """What is between two separators is a unit, and so is each separator: (N,) ids -> (N,) bool.

    A name that is one token includes its comma. A comma between digits, as in "1,2-hexanediol",
    separates nothing.
    """
    digit = vocabulary.starts_with_digit[ids]
    digit_before = np.concatenate([[False], digit[:-1]])
    digit_after = np.concatenate([digit[1:], [False]])
    separator = vocabulary.is_separator[ids] & ~(digit_before & digit_after)
    ends = separator | vocabulary.ends_in_separator[ids]
    after_end = np.concatenate([[True], ends[:-1]])
    return separator | after_end


UNITS: dict[str, Callable[[np.ndarray, Vocabulary, np.random.Generator], np.ndarray]] = {
    "token": token_starts,
    "word": word_starts,
    "ingredient": ingredient_starts,
}


def unit_indices(
    ids: np.ndarray, unit: str, vocabulary: Vocabulary, rng: np.random.Generator
) -> np.ndarray:
    """(N,) ids -> (N,) int: tokens with the same index form one unit of the kind `unit`.

    A special token is a unit of its own, so no unit reaches into another document. A kind that
    draws its units at random draws them from `rng`.
    """
    special = vocabulary.is_special[ids]
    after_special = np.concatenate([[True], special[:-1]])
    starts = UNITS[unit](ids, vocabulary, rng) | special | after_special
    return starts.cumsum() - 1
