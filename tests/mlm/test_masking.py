import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beautybert.bert.token_units import UNITS, Vocabulary, unit_indices
from beautybert.mlm.masking import IGNORED, mask_tokens
from tests.bert.test_token_units import IDS, TOKENS, VOCABULARY, ids_of


def masked_with(tokens, unit, mask_prob, seed, vocabulary=VOCABULARY):
    rng = np.random.default_rng(seed)
    units = unit_indices(tokens, unit, vocabulary, rng)
    return units, *mask_tokens(tokens, units, vocabulary, mask_prob, rng)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(0, len(TOKENS) - 1), min_size=1, max_size=300),
    st.sampled_from(sorted(UNITS)),
    st.floats(0.01, 0.9),
    st.integers(0, 2**32),
)
def test_masking_keeps_its_promises_for_any_text(tokens, unit, mask_prob, seed):
    tokens = np.array(tokens)
    before = tokens.copy()
    units, masked, labels = masked_with(tokens, unit, mask_prob, seed)
    selected = labels != IGNORED
    special = VOCABULARY.is_special[tokens]
    assert (tokens == before).all(), "the input was changed"
    assert not (selected & special).any(), "a special token was selected"
    assert (labels[selected] == tokens[selected]).all()
    assert (labels[~selected] == IGNORED).all()
    assert (masked[~selected] == tokens[~selected]).all(), "an unselected token was changed"
    drawn = masked[selected & (masked != IDS["[MASK]"])]
    assert not VOCABULARY.is_special[drawn].any(), "a special token was put in"
    for unit_index in np.unique(units):
        inside = selected[(units == unit_index) & ~special]
        assert inside.all() or not inside.any(), "a unit was split"
    if not special.all():
        largest = np.bincount(units, weights=~special).max()
        budget = max(1, round(mask_prob * (~special).sum()))
        num_touched = len(np.unique(units[selected]))
        assert num_touched >= 1, "nothing was selected"
        assert abs(selected.sum() - budget) <= largest / 2 + 0.5 or num_touched == 1
    _, again, labels_again = masked_with(tokens, unit, mask_prob, seed)
    assert (again == masked).all(), "the same key gave another mask"
    assert (labels_again == labels).all(), "the same key gave other targets"


def within_binomial(count, trials, probability):
    deviation = (trials * probability * (1 - probability)) ** 0.5
    return abs(count - trials * probability) < 5 * deviation


@pytest.mark.parametrize("unit", UNITS)
def test_shares_and_random_ids_are_as_published(unit):
    rng = np.random.default_rng(0)
    size = 5000
    vocabulary = Vocabulary(
        mask_id=4,
        is_special=np.arange(size) < 5,
        is_continuation=rng.random(size) < 0.3,
        is_separator=rng.random(size) < 0.15,
        ends_in_separator=rng.random(size) < 0.05,
        starts_with_digit=np.zeros(size, dtype=bool),
    )
    tokens = rng.integers(5, size, 400_000)
    _, masked, labels = masked_with(tokens, unit, 0.15, 1, vocabulary)
    selected = labels != IGNORED
    assert abs(selected.mean() - 0.15) < 1e-3
    num_selected = int(selected.sum())
    seen, original = masked[selected], tokens[selected]
    assert within_binomial((seen == 4).sum(), num_selected, 0.8)
    assert within_binomial((seen == original).sum(), num_selected, 0.1 + 0.1 / (size - 5))
    drawn = seen[(seen != 4) & (seen != original)]
    assert within_binomial(len(drawn), num_selected, 0.1)
    quarters, _ = np.histogram(drawn, bins=4, range=(5, size))
    for count in quarters:
        assert within_binomial(count, len(drawn), 0.25), "a part of the vocabulary is favoured"


def test_a_text_of_special_tokens_alone_has_no_target():
    tokens = ids_of("[CLS] [SEP] [CLS] [UNK] [SEP]")
    _, masked, labels = masked_with(tokens, "word", 0.5, 0)
    assert (masked == tokens).all()
    assert (labels == IGNORED).all()
