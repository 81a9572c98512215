"""The linear models that a classifier must beat, beside the same in scikit-learn's own words."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from beautybert.cls import baselines
from beautybert.cls.baselines import CHOICES, linear_svc, majority_accuracy
from beautybert.cls.batches import ClsBatches
from beautybert.cls.pool import CASES
from beautybert.cls.products import INPUTS, Product

SYLLABLES = ("ba", "co", "du", "fe", "gi", "ha")
WORDS = [one + other for one in SYLLABLES for other in SYLLABLES]


def batches_of(by_split, tokenizer):
    return ClsBatches(
        by_split,
        tokenizer,
        batch_size=4,
        micro_batch_size=4,
        max_length=64,
        ingredient_dropout=0.0,
        seed=0,
    )


def some_words(rng, label, count):
    """Words of which each label has some more often than others."""
    shares = np.roll(np.linspace(1.0, 3.0, len(WORDS)) ** 3, 9 * label)
    return [str(word) for word in rng.choice(WORDS, count, p=shares / shares.sum())]


@pytest.fixture(scope="module")
def data(tokenizer):
    """Products that are hard to tell apart; of each five, two have a name and two a list alone."""
    rng = np.random.default_rng(7)
    products = []
    for row in range(360):
        label = min(row % 7, 3)  # the last one is more frequent than the others together
        name = "" if row % 5 in (1, 3) else " ".join(some_words(rng, label, 4))
        ingredients = "" if row % 5 in (2, 4) else ", ".join(some_words(rng, label, 6))
        keys = (ingredients, name, f"group {row}")
        products.append(Product("t", row, f"label {label}", "", name, ingredients, *keys))
    by_split = {"train": products[:100], "valid": products[100:160], "test": products[160:]}
    return batches_of(by_split, tokenizer)


def with_texts(data, **changes):
    """The same products, with every text of a split replaced: train_name=function of (text, i)."""
    by_split = {}
    for split, products in data.by_split.items():
        by_split[split] = products
        for part in INPUTS:
            change = changes.get(f"{split}_{part}", lambda text, i: text)
            by_split[split] = [
                replace(product, **{part: change(getattr(product, part), i)})
                for i, product in enumerate(by_split[split])
            ]
    return batches_of(by_split, data.tokenizer)


def given_in(data, split):
    """Which documents the products of a split have, (INPUTS, P)."""
    texts = data.texts(split)
    return torch.tensor([[bool(text) for text in texts[part]] for part in INPUTS])


def test_majority_is_that_of_training():
    assert majority_accuracy(["a", "a", "b"], ["b", "a", "b", "b"]) == 0.25


def pipeline_of(parts, letters, C, class_weight=None):
    """TF-IDF of each part side by side and LinearSVC, as scikit-learn puts them together."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    vectorizers = []
    for part in parts:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        vectorizers.append((f"{part} words", words, part))
        if letters:
            runs = TfidfVectorizer(
                analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=3
            )
            vectorizers.append((f"{part} letters", runs, part))
    return make_pipeline(
        ColumnTransformer(vectorizers), LinearSVC(C=C, class_weight=class_weight, random_state=0)
    )


def frame_of(products, parts, all_parts):
    """Those with all parts, or with any; and their labels."""
    wanted = all if all_parts else any
    rows = [p for p in products if wanted(getattr(p, part) for part in parts)]
    frame = pd.DataFrame({part: [getattr(p, part) for p in rows] for part in parts})
    return frame, [p.label for p in rows]


def test_predictions_are_those_of_scikit_learn_on_the_same_rows_with_the_best_settings(data):
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    result = linear_svc(data)
    assert list(result.chosen) == list(CASES)
    assert result.chosen["name"]["accuracy"] != result.chosen["name"]["macro_f1"]
    given = given_in(data, "test")
    for case in ("name", "ingredients"):
        parts = CASES[case]
        train, train_labels = frame_of(data.by_split["train"], parts, all_parts=True)
        valid, valid_labels = frame_of(data.by_split["valid"], parts, all_parts=True)
        test, _ = frame_of(data.by_split["test"], parts, all_parts=True)
        scores, answers = {"accuracy": {}, "macro_f1": {}}, {}
        for features, C, class_weight in CHOICES:
            model = pipeline_of(parts, "letters" in features, C, class_weight)
            model.fit(train, train_labels)
            setting = f"{features}, C {C:g}" + (", balanced" if class_weight else "")
            of_valid = model.predict(valid)
            scores["accuracy"][setting] = (of_valid == np.array(valid_labels)).mean()
            macro_f1 = f1_score(valid_labels, of_valid, average="macro", zero_division=0)
            scores["macro_f1"][setting] = macro_f1
            answers[setting] = model.predict(test).tolist()
        complete = given[INPUTS.index(case)]
        found = result.predictions(case, given, complete)
        for criterion, of_settings in scores.items():
            chosen = max(of_settings, key=of_settings.get)
            assert result.chosen[case][criterion] == chosen
            assert found[criterion] == answers[chosen]
    check_both(data, result, given)


def check_both(data, result, given):
    """Features by hand: each part's own, fitted where the part is there, 0 where it is not."""
    from scipy.sparse import hstack
    from sklearn.svm import LinearSVC

    features, C, *balanced = result.chosen["both"]["accuracy"].split(", ")
    C = float(C.removeprefix("C "))
    blocks = {"train": [], "test": []}
    for part in INPUTS:
        model = pipeline_of((part,), "letters" in features, 1.0)[:-1]
        model.fit(frame_of(data.by_split["train"], (part,), all_parts=True)[0])
        for split, matrices in blocks.items():
            frame, _ = frame_of(data.by_split[split], INPUTS, all_parts=False)
            matrices.append(model.transform(frame[[part]]))
    train, test = (hstack(matrices).tocsr() for matrices in blocks.values())
    labels = [product.label for product in data.by_split["train"]]
    class_weight = balanced[0] if balanced else None
    model = LinearSVC(C=C, class_weight=class_weight, random_state=0)
    expected = model.fit(train, labels).predict(test)
    complete = given.all(0)
    found = result.predictions("both", given, complete)["accuracy"]
    assert found == expected[complete.numpy()].tolist()


def test_products_as_they_are_have_the_answer_of_their_own_case(data):
    pytest.importorskip("sklearn")
    result = linear_svc(data)
    given = given_in(data, "test")
    everything = result.predictions("all", given, torch.ones(given.shape[1], dtype=torch.bool))
    cases = {(True, False): "name", (False, True): "ingredients", (True, True): "both"}
    for criterion, answers in everything.items():
        for i, answer in enumerate(answers):
            case = cases[tuple(given[:, i].tolist())]
            assert answer == result.answers[criterion][case][i]
        assert len(answers) == len(data.by_split["test"])


def test_test_products_are_no_part_of_what_is_fitted(data):
    """Their labels and texts may be anything: the answers to the others stay."""
    pytest.importorskip("sklearn")
    expected = linear_svc(data)
    by_split = {**data.by_split}
    first, *others = by_split["test"]
    by_split["test"] = [replace(first, label="label 3", name="baba coco " * 50), *others]
    found = linear_svc(batches_of(by_split, data.tokenizer))
    assert found.chosen == expected.chosen
    for case in CASES:
        for criterion, answers in expected.answers.items():
            assert found.answers[criterion][case][1:] == answers[case][1:]


def test_only_cases_of_the_test_products_are_fitted(data):
    pytest.importorskip("sklearn")
    lists_alone = with_texts(data, test_name=lambda text, i: "")
    assert list(linear_svc(lists_alone).chosen) == ["ingredients"]


def test_the_plan_says_whether_there_is_a_baseline_and_why_not(monkeypatch):
    assert "LinearSVC" not in baselines.plan(False)
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: object())
    assert baselines.plan(True).endswith("the pool is fitted, and LinearSVC to compare with")
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: None)
    assert baselines.plan(True).endswith("scikit-learn is not installed")


def test_without_scikit_learn_there_are_no_answers(data, monkeypatch):
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: None)
    result = linear_svc(data)
    assert result.chosen == {}
    given = given_in(data, "test")
    for case in ("all", "both"):
        complete = given.all(0)
        for answers in result.predictions(case, given, complete).values():
            assert set(answers) == {""}


@pytest.mark.parametrize(
    "changes",
    [
        {"train_ingredients": lambda text, i: ""},
        {"train_ingredients": lambda text, i: text and chr(0x4E00 + i)},
        {"train_ingredients": lambda text, i: text if i % 7 == 0 else ""},
    ],
    ids=["no list in training", "no feature twice", "lists of one label"],
)
def test_texts_from_which_nothing_can_be_learned_have_answers_all_the_same(data, changes):
    """A run must not fail at its very end for want of a baseline."""
    pytest.importorskip("sklearn")
    result = linear_svc(with_texts(data, **changes))
    given = given_in(data, "test")
    answers = result.predictions("ingredients", given, given[1])["accuracy"]
    assert len(answers) == given[1].sum() and set(answers) <= set(data.labels)


def test_of_many_products_no_letters_are_looked_at(data, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(baselines, "MOST_LETTERED", len(data.by_split["train"]) - 1)
    without = str(linear_svc(data).chosen)
    assert "words, C" in without and "letters" not in without
    monkeypatch.setattr(baselines, "MOST_LETTERED", len(data.by_split["train"]))
    assert "letters" in str(linear_svc(data).chosen)
