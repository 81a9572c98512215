"""Randomness as a function of (seed, purpose, step, ...), so that nothing random is state.

A checkpoint holds no random state, a resume draws what the unbroken run would have drawn, and what
is drawn does not depend on the number of ranks.
"""

from __future__ import annotations

import hashlib

import numpy as np

# The purpose follows the seed in every key, so that no two purposes ever share one.
ORDER, MASK, DROPOUT, VALIDATION, SPLIT, PROMPTS, INGREDIENTS = range(7)


def generator_of(*key: int) -> np.random.Generator:
    """A numpy generator that is a function of the key alone, e.g. (seed, MASK, step, index)."""
    return np.random.default_rng(_digest(key))


def seed_of(*key: int) -> int:
    """A seed of 63 bits for torch.manual_seed that is a function of the key alone."""
    return _digest(key) >> 65


def _digest(key: tuple[int, ...]) -> int:
    """128 bits. numpy's own seeding by a tuple takes (1, 0) for (1,)."""
    text = repr([int(part) for part in key])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
