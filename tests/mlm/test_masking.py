import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beautybert.bert.token_units import UNITS, Vocabulary, unit_indices
from beautybert.mlm.added_tokens import add_names
from beautybert.mlm.masking import IGNORED, mask_tokens

TOKENS = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", ";", "1", "2", "-"]
    + [f"w{i}" for i in range(20)]
    + [f"##p{i}" for i in range(10)]
)
ID = {token: i for i, token in enumerate(TOKENS)}
VOCABULARY = Vocabulary(
    ID["[MASK]"],
    np.arange(len(TOKENS)) < 5,
    np.array([t.startswith("##") for t in TOKENS]),
    np.array([t in ",;" for t in TOKENS]),
    np.zeros(len(TOKENS), dtype=bool),
    np.array([t[0].isdigit() for t in TOKENS]),
)


def ids(text: str) -> np.ndarray:
    return np.array([ID[token] for token in text.split()])


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(0, len(TOKENS) - 1), min_size=1, max_size=300),
    st.sampled_from(UNITS),
    st.floats(0.01, 0.9),
    st.integers(0, 2**32),
)
def test_masking_keeps_its_promises_for_any_text(tokens, unit, mask_prob, key):
    tokens = np.array(tokens)
    before, units = tokens.copy(), unit_indices(tokens, unit, VOCABULARY)
    masked, labels = mask_tokens(tokens, units, VOCABULARY, mask_prob, np.random.default_rng(key))
    selected, special = labels != IGNORED, VOCABULARY.is_special[tokens]
    assert (tokens == before).all(), "the input was changed"
    assert not (selected & special).any(), "a special token was selected"
    assert (labels[selected] == tokens[selected]).all() and (labels[~selected] == IGNORED).all()
    assert (masked[~selected] == tokens[~selected]).all(), "an unselected token was changed"
    assert not VOCABULARY.is_special[masked[selected & (masked != ID["[MASK]"])]].any(), (
        "a special token was put in"
    )
    for unit_number in np.unique(units):
        inside = selected[(units == unit_number) & ~special]
        assert inside.all() or not inside.any(), "a unit was split"
    sizes = np.bincount(units, weights=~special)
    budget, touched = max(1, round(mask_prob * (~special).sum())), len(np.unique(units[selected]))
    assert touched >= 1 or special.all(), "nothing was selected"
    assert abs(selected.sum() - budget) <= sizes.max() / 2 + 0.5 or touched == 1 or special.all()
    again = mask_tokens(tokens, units, VOCABULARY, mask_prob, np.random.default_rng(key))
    assert (again[0] == masked).all() and (again[1] == labels).all(), (
        "the same key gave another mask"
    )


def within_binomial(count: int, trials: int, probability: float) -> bool:
    return abs(count - trials * probability) < 5 * (trials * probability * (1 - probability)) ** 0.5


@pytest.mark.parametrize("unit", UNITS)
def test_shares_and_random_ids_are_as_published(unit):
    rng = np.random.default_rng(0)
    size = 5000
    vocabulary = Vocabulary(
        4,
        np.arange(size) < 5,
        rng.random(size) < 0.3,
        rng.random(size) < 0.15,
        rng.random(size) < 0.05,
        np.zeros(size, dtype=bool),
    )
    tokens = rng.integers(5, size, 400_000)
    masked, labels = mask_tokens(
        tokens, unit_indices(tokens, unit, vocabulary), vocabulary, 0.15, np.random.default_rng(1)
    )
    selected = labels != IGNORED
    assert abs(selected.mean() - 0.15) < 1e-3
    seen, original, n = masked[selected], tokens[selected], int(selected.sum())
    assert within_binomial((seen == 4).sum(), n, 0.8)
    assert within_binomial((seen == original).sum(), n, 0.1 + 0.1 / (size - 5))
    random = seen[(seen != 4) & (seen != original)]
    assert within_binomial(len(random), n, 0.1)
    quarters = np.histogram(random, bins=4, range=(5, size))[0]
    assert all(within_binomial(count, len(random), 0.25) for count in quarters), (
        "random ids favour a part of the vocabulary"
    )


@pytest.mark.parametrize(
    "unit, text, expected",
    [
        ("token", "[CLS] w1 ##p1 , w2 [SEP]", [0, 1, 2, 3, 4, 5]),
        ("word", "[CLS] w1 ##p1 ##p2 w2 [SEP] [CLS] ##p1 w3 [SEP]", [0, 1, 1, 1, 2, 3, 4, 5, 6, 7]),
        ("ingredient", "[CLS] w1 w2 ##p1 , w3 w4 ; w5 [SEP]", [0, 1, 1, 1, 2, 3, 3, 4, 5, 6]),
        (
            "ingredient",
            "[CLS] 1 , 2 - w1 ##p1 , w2 [SEP] [CLS] w3 [SEP]",
            [0, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7],
        ),
    ],
)
def test_units_group_what_belongs_together(unit, text, expected):
    assert unit_indices(ids(text), unit, VOCABULARY).tolist() == expected


def test_a_text_of_special_tokens_alone_has_no_target():
    tokens = ids("[CLS] [SEP] [CLS] [UNK] [SEP]")
    masked, labels = mask_tokens(
        tokens, unit_indices(tokens, "word", VOCABULARY), VOCABULARY, 0.5, np.random.default_rng(0)
    )
    assert (masked == tokens).all() and (labels == IGNORED).all()


def test_vocabulary_tables_follow_the_tokenizer(tokenizer):
    vocabulary = Vocabulary.of(tokenizer)
    special = [i for i, flag in enumerate(vocabulary.is_special) if flag]
    assert {tokenizer.id_to_token(i) for i in special} == {
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
    }
    encoded = np.array(tokenizer.encode("1,2-hexanediol, water", add_special_tokens=False).ids)
    assert [tokenizer.id_to_token(i) for i in encoded[vocabulary.is_separator[encoded]]] == [
        ",",
        ",",
    ]
    units = unit_indices(encoded, "ingredient", vocabulary)
    assert units.max() == 2, "the list '1,2-hexanediol' ',' 'water' has three units"


def test_a_name_with_its_comma_ends_an_ingredient(tokenizer):
    longer = add_names(
        tokenizer, ["water, citric acid, water, citric acid, 1,2-hexa, 1,2-hexa,"], 9
    )
    text = "glycerin water, citric acid, 1,2-hexa, 1,2-hexa, 1,2-cream, cream"
    encoded = np.array(longer.encode(text, add_special_tokens=False).ids)
    units, tokens = (
        unit_indices(encoded, "ingredient", Vocabulary.of(longer)),
        [longer.id_to_token(id) for id in encoded],
    )
    assert {"water,", "citric acid,", "1,2-hexa,"} <= set(tokens)
    found = [
        " ".join(token for token, of in zip(tokens, units) if of == unit)
        for unit in range(units[-1] + 1)
    ]
    assert (
        found[:4] == ["glycerin water,", "citric acid,", "1,2-hexa,", "1,2-hexa,"]
        and found[5] == ","
        and len(found) == 7
    )
