"""The pool of a product's documents: its weights are the best ones, its softmax is calibrated."""

import copy
import itertools
import json

import numpy as np
import pytest
import torch

from beautybert.cls import pool
from beautybert.cls.pool import BALANCED, CASES, DEFAULTS, PRIOR, Pool
from beautybert.cls.products import INPUTS
from beautybert.training.metrics import expected_calibration_error

TERMS = ("name", "ingredients", "name words", "ingredients words")
LOG_PRIOR = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64).log()
NAMED, LISTED = [True, False], [False, True]
NOTHING, WITH_BOTH = [False, False], [True, True]


def random_logits(num_products, seed=0, terms=TERMS):
    """(P, C) for each term, independent of one another."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(terms), num_products, len(LOG_PRIOR))
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
    return dict(zip(terms, 2 * drawn, strict=True))


def documents(*products):
    """(INPUTS, P) from a pair of each product."""
    return torch.tensor(products).T


def mixed_documents(num_products, seed=0):
    """Products of every case, and a few without a document."""
    kinds = [NAMED, LISTED, WITH_BOTH, WITH_BOTH, NOTHING]
    chosen = np.random.default_rng(seed).choice(
        len(kinds), num_products, p=[0.3, 0.3, 0.2, 0.1, 0.1]
    )
    return documents(*(kinds[i] for i in chosen))


def draw_targets(logits, seed=0):
    """A class of each product, (P,), with the probabilities of logits (P, C)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator).flatten()


def adjusted_defaults(case, terms):
    """The weights of a case without validation products."""
    weights = {term: DEFAULTS[case][term] for term in (*terms, PRIOR)}
    taken = pool.RARE_LABELS[case]
    return weights | {PRIOR: weights[PRIOR] - taken, BALANCED: weights[PRIOR] - 1}


def fit_with_scipy(case, logits, has, target_ids):
    """The weights of a case, in the order of `DEFAULTS`, by another optimizer and in numpy."""
    optimize = pytest.importorskip("scipy.optimize")
    parts = [INPUTS.index(part) for part in CASES[case]]
    chosen = has[parts].all(0)
    terms = [
        LOG_PRIOR.expand_as(logits["name"]) if term == PRIOR else logits[term]
        for term in DEFAULTS[case]
    ]
    stacked = torch.stack(terms)[:, chosen].numpy()
    targets = target_ids[chosen].numpy()

    def loss_of(weights, stacked, drawn_to):
        pooled = np.tensordot(weights, stacked, 1)
        own = pooled[np.arange(len(targets)), targets]
        penalty = pool.RIDGE / 2 * ((weights - drawn_to) ** 2).sum()
        return (np.log(np.exp(pooled).sum(-1)) - own).sum() + penalty

    default = np.array(list(DEFAULTS[case].values()))
    weights = optimize.minimize(loss_of, default, (stacked, default)).x
    weights[-1] -= pool.RARE_LABELS[case]
    pooled = np.tensordot(weights, stacked, 1)[None]
    return weights * optimize.minimize(loss_of, np.ones(1), (pooled, np.ones(1))).x


# ---- fitting -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validation():
    """Logits, documents and classes of products whose true weights are not the defaults."""
    logits, has = random_logits(150), mixed_documents(150)
    truth = Pool({case: dict.fromkeys((*TERMS, PRIOR), 0.9) for case in CASES}, LOG_PRIOR)
    return logits, has, draw_targets(truth(logits, has))


@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_those_that_scipy_finds(validation, case):
    fitted = pool.fit(*validation, LOG_PRIOR).weights[case]
    assert fitted.keys() == {*DEFAULTS[case], BALANCED}
    weights = [fitted[term] for term in DEFAULTS[case]]
    assert weights == pytest.approx(fit_with_scipy(case, *validation).tolist(), abs=1e-4)
    defaults = adjusted_defaults(case, list(DEFAULTS[case])[:-1])
    distances = np.array(weights) - [defaults[term] for term in DEFAULTS[case]]
    assert np.abs(distances).max() > 0.1


def draw_products(num_products, seed):
    """Logits that are three times too large, their documents and classes, for known weights."""
    logits = random_logits(num_products, seed, TERMS[:2])
    truth = 0.9 * logits["name"] + 0.4 * logits["ingredients"] + 0.7 * LOG_PRIOR
    given = {term: 3 * tensor for term, tensor in logits.items()}
    has = documents(WITH_BOTH).expand(2, num_products)
    return given, has, draw_targets(truth, seed)


def test_the_true_weights_are_found(monkeypatch):
    monkeypatch.setattr(pool, "RARE_LABELS", dict.fromkeys(CASES, 0.0))
    fitted = pool.fit(*draw_products(6000, 0), LOG_PRIOR).weights["both"]
    assert fitted["name"] == pytest.approx(0.3, abs=0.02)
    assert fitted["ingredients"] == pytest.approx(0.4 / 3, abs=0.02)
    assert fitted[PRIOR] == pytest.approx(0.7, abs=0.1)


def test_the_weights_are_those_of_a_search_on_a_grid(monkeypatch):
    monkeypatch.setattr(pool, "RARE_LABELS", dict.fromkeys(CASES, 0.0))
    logits, has, target_ids = draw_products(1000, 0)
    logits = {"name": logits["name"]}
    fitted = pool.fit(logits, has, target_ids, LOG_PRIOR).weights["name"]
    terms = torch.stack([logits["name"], LOG_PRIOR.expand(1000, -1)])
    losses = {}
    for pair in itertools.product(np.arange(0, 1, 0.02), np.arange(-1, 2, 0.1)):
        pooled = (torch.tensor(pair)[:, None, None] * terms).sum(0)
        losses[pair] = float(torch.nn.functional.cross_entropy(pooled, target_ids))
    best = min(losses, key=losses.get)
    assert fitted["name"] == pytest.approx(best[0], abs=0.02)
    assert fitted[PRIOR] == pytest.approx(best[1], abs=0.1)


def test_the_softmax_is_calibrated():
    fitted, unfitted = pool.fit(*draw_products(6000, 0), LOG_PRIOR), Pool.unfitted(LOG_PRIOR)
    given, has, target_ids = draw_products(6000, 1)
    for case in CASES:
        looked_at = pool.only(has, case)[1]
        assert expected_calibration_error(fitted(given, looked_at), target_ids) < 0.05
        assert expected_calibration_error(unfitted(given, looked_at), target_ids) > 0.15


def test_rare_labels_are_found_that_the_most_probable_label_would_hide(monkeypatch):
    given, has, target_ids = draw_products(6000, 1)
    recalls = []
    for rare_labels in (dict.fromkeys(CASES, 0.0), pool.RARE_LABELS):
        monkeypatch.setattr(pool, "RARE_LABELS", rare_labels)
        fitted = pool.fit(*draw_products(6000, 0), LOG_PRIOR)
        predicted = fitted(given, has).argmax(-1)
        recalls.append(float((predicted == target_ids)[target_ids == 3].double().mean()))
    assert recalls[1] > recalls[0] + 0.02


def test_a_case_without_validation_products_has_the_defaults():
    has = documents(*[NAMED] * 40)
    weights = pool.fit(random_logits(40), has, torch.zeros(40).long(), LOG_PRIOR).weights
    for case in ("ingredients", "both"):
        assert weights[case] == pytest.approx(adjusted_defaults(case, pool.terms_of(case, TERMS)))
    assert weights["name"] != pytest.approx(adjusted_defaults("name", TERMS[::2]), abs=0.1)
    only_names = {"name": random_logits(40)["name"]}
    weights = pool.fit(only_names, has, torch.zeros(40).long(), LOG_PRIOR).weights
    assert weights["both"] == pytest.approx(adjusted_defaults("both", ["name"]))


def test_few_validation_products_move_the_weights_little_and_many_move_them_far():
    """Classes that the logits are always right about: the larger the weight, the better."""
    distances = {}
    for num_products in (3, 1000):
        logits = random_logits(num_products, terms=TERMS[:1])
        target_ids = logits["name"].argmax(-1)
        has = documents(*[NAMED] * num_products)
        fitted = pool.fit(logits, has, target_ids, LOG_PRIOR).weights["name"]
        distances[num_products] = fitted["name"] - DEFAULTS["name"]["name"]
    assert 0 < distances[3] < 1
    assert distances[1000] > 10


def test_a_product_counts_for_every_case_whose_documents_it_has():
    logits, target_ids = random_logits(200), torch.arange(200) % 4
    of_both = pool.fit(logits, documents(*[WITH_BOTH] * 200), target_ids, LOG_PRIOR)
    of_names = pool.fit(logits, documents(*[NAMED] * 200), target_ids, LOG_PRIOR)
    assert of_both.weights["name"] == pytest.approx(of_names.weights["name"], abs=1e-6)
    defaults = adjusted_defaults("both", TERMS)
    assert of_names.weights["both"] == pytest.approx(defaults)
    assert of_both.weights["both"] != pytest.approx(defaults, abs=0.1)


def test_what_documents_that_are_missing_would_say_is_not_fitted_on(validation):
    logits, has, target_ids = validation
    expected = pool.fit(logits, has, target_ids, LOG_PRIOR).weights
    other = random_logits(150, seed=7)
    for term in TERMS:
        is_missing = ~has[INPUTS.index(term.removesuffix(" words"))]
        other[term] = torch.where(is_missing[:, None], 100 * other[term], logits[term])
    found = pool.fit(other, has, target_ids, LOG_PRIOR).weights
    for case in CASES:
        assert found[case] == pytest.approx(expected[case], abs=1e-6)


# ---- answering ---------------------------------------------------------------------------------

WEIGHTS = {
    "name": {"name": 0.5, "name words": 0.25, PRIOR: 0.1, BALANCED: -0.6},
    "ingredients": {"ingredients": 2.0, "ingredients words": 3.0, PRIOR: 0.0, BALANCED: -1.0},
    "both": {
        "name": 0.7,
        "name words": 0.1,
        "ingredients": 0.3,
        "ingredients words": 0.4,
        PRIOR: -1.0,
        BALANCED: -1.5,
    },
}
HAND_MADE = Pool(WEIGHTS, LOG_PRIOR)
ONE_OF_EACH = documents(NAMED, LISTED, WITH_BOTH, NOTHING)


def test_each_case_has_its_own_weights_and_a_product_without_documents_has_zeros():
    logits = random_logits(4)
    pooled = HAND_MADE(logits, ONE_OF_EACH)
    for i, case in enumerate(CASES):
        terms = logits | {PRIOR: LOG_PRIOR.expand(4, -1)}
        weights = {term: w for term, w in WEIGHTS[case].items() if term != BALANCED}
        expected = sum(weight * terms[term][i] for term, weight in weights.items())
        assert torch.allclose(pooled[i], expected, atol=1e-12)
    assert not pooled[3].any()


def test_a_product_is_not_influenced_by_the_logits_of_a_document_that_it_has_not():
    logits, other = random_logits(4), random_logits(4, seed=1)
    for i, parts in enumerate([*CASES.values(), ()]):
        for term in TERMS:
            if term.removesuffix(" words") in parts:
                other[term][i] = logits[term][i]
    one, another = HAND_MADE(logits, ONE_OF_EACH), HAND_MADE(other, ONE_OF_EACH)
    assert torch.equal(one, another)


def test_balanced_has_a_weight_of_the_prior_of_its_own():
    logits = random_logits(4)
    own = torch.tensor([[WEIGHTS[case][BALANCED] - WEIGHTS[case][PRIOR]] for case in CASES])
    change = torch.cat([own, torch.zeros(1, 1)]) * LOG_PRIOR  # none without documents
    found = HAND_MADE(logits, ONE_OF_EACH, balanced=True)
    assert torch.allclose(found, HAND_MADE(logits, ONE_OF_EACH) + change, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_balanced_takes_off_all_of_the_frequencies_of_training(validation, case, monkeypatch):
    """Whatever the answers have lost of them already, and however these were scaled."""
    fitted = pool.fit(*validation, LOG_PRIOR).weights[case]
    monkeypatch.setattr(pool, "RARE_LABELS", dict.fromkeys(CASES, 0.0))
    plain = pool.fit(*validation, LOG_PRIOR).weights[case]
    scale = fitted["name" if "name" in fitted else "ingredients"]
    scale /= plain["name" if "name" in plain else "ingredients"]
    assert plain[BALANCED] == pytest.approx(plain[PRIOR] - 1, abs=1e-9)
    assert fitted[BALANCED] == pytest.approx(scale * plain[PRIOR] - 1, abs=1e-5)


def test_before_it_is_fitted_a_pool_is_the_sum_of_the_encoders_logits():
    logits = random_logits(4)
    both = logits["name"] + logits["ingredients"]
    expected = torch.stack([logits["name"][0], logits["ingredients"][1], both[2], 0 * both[3]])
    assert torch.allclose(Pool.unfitted(LOG_PRIOR)(logits, ONE_OF_EACH), expected)
    without_prior = Pool.from_dict(None, len(LOG_PRIOR))
    assert torch.allclose(without_prior(logits, ONE_OF_EACH, balanced=True), expected)
    balanced = Pool.unfitted(LOG_PRIOR)(logits, ONE_OF_EACH, balanced=True)
    assert torch.allclose(balanced[:3], expected[:3] - LOG_PRIOR)  # all of it


def test_a_pool_is_the_same_after_json():
    written = json.loads(json.dumps(HAND_MADE.to_dict(), allow_nan=False))
    again = Pool.from_dict(written, len(LOG_PRIOR))
    logits = random_logits(4)
    for balanced in (False, True):
        expected = HAND_MADE(logits, ONE_OF_EACH, balanced)
        assert torch.equal(again(logits, ONE_OF_EACH, balanced), expected)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"weights": []}, "weights is \\[\\], must be an object"),
        ({"weights": {"name": {}, "both": {}}}, "weights: name is|weights of name"),
        ({"log_prior": [0.0]}, "log_prior has 1 numbers for the 4 labels"),
        ({"log_prior": ["a", 0.0, 0.0, 0.0]}, 'log_prior 0 is "a", must be a number'),
        ({"log_prior": [0.0, 0.0, float("nan"), 0.0]}, "log_prior 2 is NaN, must be a number"),
        ({"log_prior": None}, "log_prior is null, must be a list"),
    ],
)
def test_a_pool_of_another_shape_is_refused(change, message):
    written = HAND_MADE.to_dict() | change
    with pytest.raises(ValueError, match=f"^the pool.*({message})"):
        Pool.from_dict(written, len(LOG_PRIOR))


@pytest.mark.parametrize("weight", ["1", None, True, [1.0], float("inf"), 1e300, 10**400])
@pytest.mark.parametrize("case", pool.CASES)
def test_a_weight_that_is_no_number_of_use_is_refused(case, weight):
    written = copy.deepcopy(HAND_MADE.to_dict())
    term = next(iter(written["weights"][case]))
    written["weights"][case][term] = weight
    with pytest.raises(ValueError, match=f"weights of {case}: {term} is .*, must be a number"):
        Pool.from_dict(written, len(LOG_PRIOR))


def test_a_term_that_no_document_of_a_case_has_is_refused():
    written = copy.deepcopy(HAND_MADE.to_dict())
    written["weights"]["name"]["ingredients"] = 1.0
    with pytest.raises(ValueError, match='weights of name have the term "ingredients", must have'):
        Pool.from_dict(written, len(LOG_PRIOR))


@pytest.mark.parametrize(
    "case, complete, looked_at",
    [
        ("all", [True, True, True, True], [NAMED, LISTED, WITH_BOTH, NOTHING]),
        ("name", [True, False, True, False], [NAMED, NOTHING, NAMED, NOTHING]),
        ("ingredients", [False, True, True, False], [NOTHING, LISTED, LISTED, NOTHING]),
        ("both", [False, False, True, False], [NAMED, LISTED, WITH_BOTH, NOTHING]),
    ],
)
def test_products_are_judged_by_some_of_their_documents(case, complete, looked_at):
    found = pool.only(ONE_OF_EACH, case)
    assert found[0].tolist() == complete
    assert found[1].T.tolist() == looked_at


def test_the_terms_of_a_case_are_those_of_its_documents():
    assert pool.terms_of("name", TERMS) == ["name", "name words"]
    assert pool.terms_of("ingredients", TERMS) == ["ingredients", "ingredients words"]
    assert pool.terms_of("both", TERMS) == list(TERMS)
    assert pool.terms_of("both", ["ingredients"]) == ["ingredients"]
