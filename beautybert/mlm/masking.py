"""Masked language modelling: which tokens are hidden, with what, and what the model must say.

`mask_tokens` is the whole of it; `mask_units` only decides which neighbours are hidden together. Both are numpy on
the host and keyed by the caller's generator: the same key gives the same mask, whatever ran before.

Letters: N tokens in the micro-batch, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from beautybert.tokenizer import special_ids, token_list

IGNORED = -100  # the label of a token that is not predicted: torch's ignore_index
UNITS = ("token", "word", "ingredient")


@dataclass(frozen=True)
class Vocabulary:
    """What masking must know of each token: (V,) bool tables, and the id of [MASK]."""

    mask_id: int
    is_special: np.ndarray
    is_continuation: np.ndarray  # ##pieces
    is_separator: np.ndarray  # , and ;
    ends_in_separator: np.ndarray  # a name with its comma, one token (tokenizer.add_names)
    starts_with_digit: np.ndarray

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Vocabulary:
        special = special_ids(tokenizer)
        tokens = [
            "[PAD]" if token is None else token for token in token_list(tokenizer)
        ]  # an id without a token is never drawn
        return cls(
            special["[MASK]"],
            np.array([token in special for token in tokens]),
            np.array([token.startswith("##") for token in tokens]),
            np.array([token in (",", ";") for token in tokens]),
            np.array([len(token) > 1 and token.endswith(",") for token in tokens]),
            np.array([token[:1].isdigit() for token in tokens]),
        )


def mask_units(input_ids: np.ndarray, unit: str, vocabulary: Vocabulary) -> np.ndarray:
    """(N,) ids -> (N,) int: tokens with the same number are masked together.

    token: each alone. word: a word's pieces. ingredient: what stands between two separators, with
    the comma of a name that is one token with it; a comma between digits ("1,2-hexanediol") separates nothing. A special token ends
    every unit, so no unit reaches into another document.
    """
    special = vocabulary.is_special[input_ids]
    after_special = np.concatenate([[True], special[:-1]])
    if unit == "token":
        begins = np.ones(len(input_ids), dtype=bool)
    elif unit == "word":
        begins = ~vocabulary.is_continuation[input_ids] | after_special
    else:
        digit = vocabulary.starts_with_digit[input_ids]
        between_digits = np.concatenate([[False], digit[:-1]]) & np.concatenate(
            [digit[1:], [False]]
        )
        separator = vocabulary.is_separator[input_ids] & ~between_digits
        ends = separator | vocabulary.ends_in_separator[input_ids]
        begins = separator | np.concatenate([[True], ends[:-1]]) | special | after_special
    return begins.cumsum() - 1


def mask_tokens(
    input_ids: np.ndarray,
    units: np.ndarray,
    vocabulary: Vocabulary,
    mask_prob: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) ids and their units (N,) -> the ids as the model sees them (N,), and its labels (N,).

    A share `mask_prob` of the tokens that are not special is selected, whole units in random order until the share is
    met to within half a unit, and at least one unit. Of the selected, each on its own, 80 % become [MASK], 10 % a random token of the whole
    vocabulary that is not special, 10 % stay (Devlin et al. 2019, section 3.1). Labels are IGNORED where nothing was
    selected. Neither input is changed.
    """
    maskable = ~vocabulary.is_special[input_ids]
    sizes = np.bincount(units, weights=maskable, minlength=units[-1] + 1).astype(
        np.int64
    )  # maskable tokens of each unit
    order = rng.permutation(np.flatnonzero(sizes))
    middle = sizes[order].cumsum() - sizes[order] / 2
    count = max(1, np.searchsorted(middle, max(1, round(mask_prob * maskable.sum()))))
    chosen = np.zeros(len(sizes), dtype=bool)
    chosen[order[:count]] = True
    selected = maskable & chosen[units]

    labels = np.where(selected, input_ids, IGNORED)
    draw = rng.random(len(input_ids))
    random_ids = rng.choice(np.flatnonzero(~vocabulary.is_special), len(input_ids))
    masked = np.where(selected & (draw < 0.8), vocabulary.mask_id, input_ids)
    masked = np.where(selected & (draw >= 0.8) & (draw < 0.9), random_ids, masked)
    return masked, labels
