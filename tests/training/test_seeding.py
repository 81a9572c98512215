from beautybert.training import seeding
from beautybert.training.seeding import generator_of, seed_of

KEYS = [(0, 1, 2), (0, 2, 1), (1, 1, 2), (0, 1, 2, 0), (0, 12), (1,), (1, 0)]


def test_keys_are_independent():
    seeds = {seed_of(*key) for key in KEYS}
    draws = {generator_of(*key).random() for key in KEYS}
    assert len(seeds) == len(draws) == len(KEYS)


def test_the_same_key_gives_the_same_draws():
    assert seed_of(0, 1, 2) == seed_of(0, 1, 2)
    assert generator_of(0, 1, 2).random() == generator_of(0, 1, 2).random()


def test_every_seed_that_is_allowed_has_a_torch_seed():
    assert 0 <= seed_of(2**63 - 1, seeding.DROPOUT, 10**9, 10**6) < 2**63


def test_no_two_purposes_share_a_number():
    names = ("ORDER", "MASK", "DROPOUT", "VALIDATION", "SPLIT", "PROMPTS", "INGREDIENTS")
    assert len({getattr(seeding, name) for name in names}) == len(names)
