import numpy as np
import pytest

from beautybert.bert import token_units
from beautybert.bert.token_units import UNITS, Vocabulary, unit_indices
from beautybert.mlm.added_tokens import add_names

TOKENS = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", ";", "1", "2", "-"]
    + [f"w{i}" for i in range(20)]
    + [f"##p{i}" for i in range(10)]
)
IDS = {token: i for i, token in enumerate(TOKENS)}
VOCABULARY = Vocabulary(
    mask_id=IDS["[MASK]"],
    is_special=np.arange(len(TOKENS)) < 5,
    is_continuation=np.array([token.startswith("##") for token in TOKENS]),
    is_separator=np.array([token in (",", ";") for token in TOKENS]),
    ends_in_separator=np.zeros(len(TOKENS), dtype=bool),
    starts_with_digit=np.array([token[0].isdigit() for token in TOKENS]),
)


def ids_of(text):
    return np.array([IDS[token] for token in text.split()])


def units_of(ids, unit, vocabulary=VOCABULARY, seed=0):
    return unit_indices(ids, unit, vocabulary, np.random.default_rng(seed))


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
    assert units_of(ids_of(text), unit).tolist() == expected


@pytest.mark.parametrize("unit", UNITS)
def test_units_that_draw_nothing_leave_the_generator_alone(unit):
    rng = np.random.default_rng(0)
    unit_indices(ids_of("[CLS] w1 ##p1 , w2 [SEP]"), unit, VOCABULARY, rng)
    assert rng.random() == np.random.default_rng(0).random()


def random_span_starts(ids, vocabulary, rng):
    """Spans of three tokens on average, as SpanBERT's are random."""
    return rng.random(len(ids)) < 1 / 3


def test_a_random_unit_can_be_registered_and_never_crosses_a_special_token(monkeypatch):
    monkeypatch.setitem(token_units.UNITS, "span", random_span_starts)
    ids = ids_of(" ".join(["[CLS] w1 w2 w3 ##p1 , w4 w5 w6 w7 [SEP]"] * 50))
    units = units_of(ids, "span")
    assert set(np.diff(units)) == {0, 1}, "neighbours, in order"
    assert units[0] == 0
    for position in np.flatnonzero(VOCABULARY.is_special[ids]):
        assert (units == units[position]).sum() == 1, "a special token is a unit of its own"
    sizes = np.bincount(units)
    assert len(set(sizes)) > 3, "spans differ in length"
    assert np.array_equal(units, units_of(ids, "span")), "a function of the generator"
    assert not np.array_equal(units, units_of(ids, "span", seed=1)), "drawn from the generator"


def test_a_unit_that_starts_nowhere_is_still_cut_at_special_tokens(monkeypatch):
    monkeypatch.setitem(
        token_units.UNITS, "document", lambda ids, vocabulary, rng: np.zeros(len(ids), dtype=bool)
    )
    ids = ids_of("[CLS] w1 w2 [SEP] [CLS] w3 w4 w5 [SEP]")
    assert units_of(ids, "document").tolist() == [0, 1, 1, 2, 3, 4, 4, 4, 5]


def test_vocabulary_tables_follow_the_tokenizer(tokenizer):
    vocabulary = Vocabulary.of(tokenizer)
    special = {tokenizer.id_to_token(int(i)) for i in np.flatnonzero(vocabulary.is_special)}
    assert special == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert vocabulary.mask_id == tokenizer.token_to_id("[MASK]")
    ids = np.array(tokenizer.encode("1,2-hexanediol, water", add_special_tokens=False).ids)
    separators = [tokenizer.id_to_token(int(i)) for i in ids[vocabulary.is_separator[ids]]]
    assert separators == [",", ","]
    units = units_of(ids, "ingredient", vocabulary)
    assert units.max() == 2, "the list '1,2-hexanediol' ',' 'water' has three units"


def test_a_name_with_its_comma_ends_an_ingredient(tokenizer):
    names = ["water, citric acid, water, citric acid, 1,2-hexa, 1,2-hexa,"]
    longer = add_names(tokenizer, names, 9)
    text = "glycerin water, citric acid, 1,2-hexa, 1,2-hexa, 1,2-cream, cream"
    encoded = longer.encode(text, add_special_tokens=False).ids
    tokens = [longer.id_to_token(token_id) for token_id in encoded]
    assert {"water,", "citric acid,", "1,2-hexa,"} <= set(tokens)
    units = units_of(np.array(encoded), "ingredient", Vocabulary.of(longer))
    found = [[] for _ in range(units[-1] + 1)]
    for token, unit in zip(tokens, units, strict=True):
        found[unit].append(token)
    joined = [" ".join(parts) for parts in found]
    assert joined[:4] == ["glycerin water,", "citric acid,", "1,2-hexa,", "1,2-hexa,"]
    assert joined[5] == ","
    assert len(joined) == 7
