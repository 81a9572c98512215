"""The linear model over words equals scikit-learn's, and is the same after it was written."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from beautybert.cls import word_model
from beautybert.cls.word_model import RIDGE, WordModel
from tests.conftest import product_texts, random_states

LABELS = ["balm", "cream", "gel"]
ODD_TEXTS = [
    "Crème à l'huile 1,2-Hexanediol",
    "CRÈME à l'huile",
    "a b c",
    "No. 5",
    "",
    "no 5 (gel)",
]


@pytest.fixture(scope="module")
def training():
    """Texts and the class of each: of most by a word that they have."""
    texts = [*product_texts(150), *ODD_TEXTS, *ODD_TEXTS[:2]]
    rng = np.random.default_rng(0)
    ids = [next((i for i, label in enumerate(LABELS) if label in text), 0) for text in texts]
    ids = [i if rng.random() < 0.8 else int(rng.integers(3)) for i in ids]
    return texts, torch.tensor(ids)


@pytest.fixture(scope="module")
def model(training):
    return word_model.fit(*training, len(LABELS))


def vectorizer():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    return text.TfidfVectorizer(
        token_pattern=r"\w\w+", ngram_range=(1, 2), sublinear_tf=True, min_df=word_model.MIN_TEXTS
    )


def features(model, texts):
    """The features (P, W) that a model weighs: its logits when it passes them on."""
    W = len(model.feature_ids)
    return replace(model, weight=torch.eye(W), bias=torch.zeros(W))(texts)


def loss_of(rows, weight, bias, label_ids):
    """What is minimised, of rows (P, W), (W, C), (C,), in float64."""
    logits = rows @ weight + bias
    nll = torch.nn.functional.cross_entropy(logits, label_ids, reduction="sum")
    return float(nll + RIDGE / 2 * weight.square().sum())


# ---- against scikit-learn ----------------------------------------------------------------------


def test_features_are_those_of_scikit_learn(training, model):
    theirs = vectorizer().fit(training[0])
    assert list(model.feature_ids) == theirs.get_feature_names_out().tolist()
    assert list(model.feature_ids.values()) == list(range(len(model.feature_ids)))
    texts = [
        *training[0],
        *product_texts(30, seed=5),
        "water water WATER glycerin",
        "unknown words",
    ]
    expected = torch.from_numpy(theirs.transform(texts).toarray())
    assert (features(model, texts) - expected).abs().max() < 1e-6


def test_the_weights_are_the_optimum_of_scikit_learns_logistic_regression(training, model):
    linear_model = pytest.importorskip("sklearn.linear_model")
    texts, label_ids = training
    rows = torch.from_numpy(vectorizer().fit_transform(texts).toarray())
    theirs = linear_model.LogisticRegression(C=1 / RIDGE, tol=1e-8, max_iter=5000)
    theirs.fit(rows.numpy(), label_ids.numpy())
    weight, bias = torch.from_numpy(theirs.coef_.T), torch.from_numpy(theirs.intercept_)
    lowest = loss_of(rows, weight, bias, label_ids)
    found = loss_of(rows, model.weight.double(), model.bias.double(), label_ids)
    assert lowest < 0.9 * len(texts) * math.log(3)
    assert found == pytest.approx(lowest, rel=1e-3)
    new_texts = product_texts(30, seed=5)
    ours = model(new_texts).softmax(-1)
    expected = theirs.predict_proba(vectorizer().fit(texts).transform(new_texts).toarray())
    assert (ours - torch.from_numpy(expected)).abs().max() < 0.01


# ---- texts -------------------------------------------------------------------------------------


def test_words_are_counted_without_case_and_pairs_are_neighbours():
    found = word_model.features_of("Aloe-Vera, 1 ALOE")
    assert found == ["aloe", "vera", "aloe", "aloe vera", "vera aloe"]


def test_words_are_known_that_training_has(model):
    assert "shea" in model.feature_ids and "shea butter" in model.feature_ids
    for text, share in [
        ("Shea", 1),
        ("shea foo bar", 1 / 3),
        ("shea foo bar 1 a", 1 / 3),  # what is no word does not count
        ("shea butter foo bar", 1 / 2),  # a pair is no third word
        ("foo bar baz", 0),
        ("化粧水", 0),
        ("1 2 3", 0),
        ("", 0),
    ]:
        assert model.known_share(text) == share
    assert model.known_share("shea Foo bar baz", lambda word: word == "foo") == 1 / 2


def test_a_text_without_known_words_has_the_bias(model):
    logits = model(["foo bar", "", "shea"])
    assert torch.equal(logits[0], model.bias.double())
    assert torch.equal(logits[1], model.bias.double())
    assert not torch.equal(logits[2], logits[0])
    assert model([]).shape == (0, 3)


def test_a_text_has_the_same_logits_whatever_is_beside_it(training, model):
    together = model(training[0])
    for i in (0, 7, 150, len(training[0]) - 1):
        assert torch.allclose(model([training[0][i]])[0], together[i], atol=1e-5)


# ---- fitting -----------------------------------------------------------------------------------


def test_fitting_has_nothing_random(training, model):
    for seed in (5, 6):
        torch.manual_seed(seed)
        state = random_states()
        again = word_model.fit(*training, len(LABELS))
        assert random_states() == state
        assert torch.equal(again.weight, model.weight) and torch.equal(again.bias, model.bias)
        assert again.feature_ids == model.feature_ids


def test_of_too_many_features_the_most_frequent_are_kept_and_of_equal_ones_the_first(monkeypatch):
    """Which of equal ones does not depend on how Python orders a set."""
    words = [f"w{i:02}" for i in reversed(range(60))]
    texts = [words[30], *words, *words]
    monkeypatch.setattr(word_model, "MAX_FEATURES", 20)
    model = word_model.fit([" . ".join(words), *texts], torch.arange(122) % 2, 2)
    assert list(model.feature_ids) == sorted([*words[:19], words[30]])
    assert len(model.weight) == len(model.idf) == 20


def test_without_a_frequent_word_a_model_knows_the_frequencies_of_the_labels(tmp_path):
    """Every text is of words of its own."""
    texts = [f"aa{i} bb{i}" for i in range(10)]
    model = word_model.fit(texts, torch.tensor([0] * 6 + [1] * 3 + [2]), 3)
    assert not model.feature_ids
    expected = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    assert torch.allclose(model([texts[0], ""]).softmax(-1), expected, atol=1e-3)
    assert model.known_share(texts[0]) == 0
    word_model.write(tmp_path, {"name": model})
    again = word_model.read(tmp_path)["name"]
    assert torch.equal(again(texts), model(texts))


def test_each_input_has_a_model_of_its_texts_and_their_labels(training, model):
    texts, label_ids = training
    n = len(texts)
    models = word_model.fit_each(
        {"name": [*[""] * n, *texts], "ingredients": [""] * (2 * n)},
        torch.cat([torch.zeros_like(label_ids), label_ids]),
        LABELS,
    )
    assert models.keys() == {"name"}
    without_empty = [i for i, text in enumerate(texts) if text]
    expected = word_model.fit([texts[i] for i in without_empty], label_ids[without_empty], 3)
    assert torch.equal(models["name"].weight, expected.weight)


def test_the_terms_of_the_pool_are_named_by_input(model):
    texts = {"name": ["shea"], "ingredients": ["water"]}
    terms = word_model.logits({"name": model}, texts)
    assert terms.keys() == {"name words"}
    assert torch.equal(terms["name words"], model(["shea"]))


# ---- files -------------------------------------------------------------------------------------


def test_models_are_the_same_after_they_were_written(training, model, tmp_path):
    other = WordModel({"crème": 0}, torch.ones(1), torch.randn(1, 3), torch.randn(3))
    word_model.write(tmp_path, {"name": model, "ingredients": other})
    again = word_model.read(tmp_path)
    assert list(again) == ["name", "ingredients"]
    assert again["name"].feature_ids == model.feature_ids
    assert torch.equal(again["name"](training[0]), model(training[0]))
    assert torch.equal(again["ingredients"](["Crème"]), other(["Crème"]))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(word_model.FILES)


def test_no_models_are_none_after_they_were_written(tmp_path):
    word_model.write(tmp_path, {})
    assert word_model.read(tmp_path) == {}


@pytest.mark.parametrize(
    "name, contents, message",
    [
        ("words.json", None, "No such file"),
        ("words.safetensors", None, "No such file"),
        ("words.json", b"{", "Expecting"),
        ("words.json", b'{"name": ["one"]}', "1 features of name, "),
        ("words.json", b'{"other": ["one"]}', 'has "other", must have name or ingredients'),
        ("words.json", b"[1]", "is a list, must be an object"),
        ("words.safetensors", b"\x00" * 20, "deserializing"),
    ],
)
def test_files_that_do_not_fit_are_named_in_one_line(model, tmp_path, name, contents, message):
    word_model.write(tmp_path, {"name": model})
    (tmp_path / name).unlink()
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(ValueError, match=message) as raised:
        word_model.read(tmp_path)
    expected = f"{tmp_path}: the word models (words.json, words.safetensors) cannot be read: "
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)


def other_tensors(model, **changes):
    tensors = {"name.idf": model.idf, "name.weight": model.weight, "name.bias": model.bias}
    return tensors | {f"name.{key}": value for key, value in changes.items()}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"bias": torch.zeros(2)}, "name.weight of words.safetensors has shape"),
        ({"bias": torch.zeros(3, 1)}, "name.bias of words.safetensors has shape"),
        ({"idf": torch.zeros(1)}, "name.idf of words.safetensors has shape"),
        ({"bias": torch.zeros(3, dtype=torch.int64)}, "must be of finite float32 numbers"),
        ({"bias": torch.tensor([0.0, torch.nan, 0.0])}, "must be of finite float32 numbers"),
    ],
)
def test_weights_of_other_shapes_or_types_are_refused(model, tmp_path, changes, message):
    word_model.write(tmp_path, {"name": model})
    save_file(other_tensors(model, **changes), tmp_path / "words.safetensors")
    with pytest.raises(ValueError, match=message):
        word_model.read(tmp_path)
    save_file(other_tensors(model), tmp_path / "words.safetensors")
    word_model.read(tmp_path, 3)
    with pytest.raises(ValueError, match="4 labels; name.weight of words.safetensors has shape"):
        word_model.read(tmp_path, 4)


@pytest.mark.parametrize("names", [["a", 5], ["a", ["b"]], ["a", "a"], [None]])
def test_features_that_are_no_different_texts_are_refused(model, tmp_path, names):
    word_model.write(tmp_path, {"name": model})
    (tmp_path / "words.json").write_text(json.dumps({"name": names}))
    with pytest.raises(ValueError, match="the features of name must be different texts"):
        word_model.read(tmp_path)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("num_calls", [1, 2])
def test_a_write_that_fails_leaves_each_file_as_it_was_or_whole(
    model, tmp_path, monkeypatch, failing, num_calls
):
    """The first call is for words.json, the second for words.safetensors."""
    word_model.write(tmp_path, {"name": model})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real, calls = getattr(os, failing), []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == num_calls:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space"):
        word_model.write(tmp_path, {"ingredients": model})
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    features = json.loads(after.pop("words.json"))
    assert list(features) == ["name" if num_calls == 1 else "ingredients"]
    assert after == {"words.safetensors": before["words.safetensors"]}
