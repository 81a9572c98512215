"""Masked language modelling: which tokens are hidden, with what, and what the model must predict.

`mask_tokens` is one pure function in numpy on the CPU, keyed by the caller's generator: the same
key gives the same mask, whatever ran before. Which tokens are hidden together is settled in
bert/token_units.py.

Letters: N tokens in the micro-batch, V vocabulary.
"""

from __future__ import annotations

import numpy as np

from beautybert.bert.token_units import Vocabulary

IGNORED = -100  # the label of a token that is not predicted: torch's ignore_index


def mask_tokens(
    input_ids: np.ndarray,
    units: np.ndarray,
    vocabulary: Vocabulary,
    mask_prob: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N,) and the index of each one's unit (N,) -> masked ids (N,) and labels (N,).

    Of the tokens that are not special a share `mask_prob` is selected: whole units in random order,
    until the share is met to within half a unit, and at least one. Of the selected, each on its
    own, 80 % become [MASK], 10 % a random token of the whole vocabulary that is not special, 10 %
    stay (Devlin et al. 2019, section 3.1). Labels are IGNORED elsewhere. Neither input is changed.
    """
    maskable = ~vocabulary.is_special[input_ids]
    # maskable tokens of a unit
    sizes = np.bincount(units, weights=maskable, minlength=units[-1] + 1)
    sizes = sizes.astype(np.int64)
    order = rng.permutation(np.flatnonzero(sizes))
    midpoints = sizes[order].cumsum() - sizes[order] / 2
    num_selected = max(1, round(mask_prob * maskable.sum()))
    num_units = max(1, np.searchsorted(midpoints, num_selected))
    is_chosen = np.zeros(len(sizes), dtype=bool)
    is_chosen[order[:num_units]] = True
    selected = maskable & is_chosen[units]

    labels = np.where(selected, input_ids, IGNORED)
    draw = rng.random(len(input_ids))
    random_ids = rng.choice(np.flatnonzero(~vocabulary.is_special), len(input_ids))
    masked = np.where(selected & (draw < 0.8), vocabulary.mask_id, input_ids)
    masked = np.where(selected & (draw >= 0.8) & (draw < 0.9), random_ids, masked)
    return masked, labels
