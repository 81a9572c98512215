"""What a finished classifier answers, and that its folder holds all of it."""

import copy
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

import beautybert
from beautybert.bert import wordpiece
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import HEADS, BertForSequenceClassification
from beautybert.bert.pretrained import read_config
from beautybert.cls import classifier as classifiers
from beautybert.cls import word_model
from beautybert.cls.batches import ClsBatches
from beautybert.cls.classifier import Answer, Classifier
from beautybert.cls.documents import given
from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.pool import BALANCED, CASES, PRIOR, Pool
from beautybert.cls.products import INPUTS, Product
from tests.conftest import product_texts

LABELS = ["cream", "gel", "lipstick", "mascara"]
FAMILIES = {"cream": "skin", "gel": "skin", "lipstick": "makeup"}  # none for mascara
LOG_PRIOR = torch.tensor([0.6, 0.25, 0.1, 0.05], dtype=torch.float64).log()
WEIGHTS = {
    "name": {"name": 0.05, "name words": 0.3, PRIOR: 0.5, BALANCED: -0.2},
    "ingredients": {"ingredients": 0.08, "ingredients words": 0.2, PRIOR: 0.25, BALANCED: -0.75},
    "both": {
        "name": 0.04,
        "name words": 0.2,
        "ingredients": 0.06,
        "ingredients words": 0.1,
        BALANCED: -0.7,
    },
}
NAMES = ["Gentle Rose Cream", "Daily Moisture Gel", None, "", "Sun Lip Balm", "Mint Face Wash"]
LISTS = ["Water, Glycerin, Mint", None, "Shea Butter, Dimethicone", "", "No Info", "Water, Retinol"]
INPUTS_OF = [INPUTS, INPUTS[:1], INPUTS[1:], (), INPUTS[:1], INPUTS]


def make_classifier(checkpoint, head="pooler", **changes) -> Classifier:
    """Random weights, word models of random labels, and weights of the pool that all matter."""
    torch.manual_seed(0)
    model = BertForSequenceClassification(read_config(checkpoint), len(LABELS), head)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    label_ids = torch.arange(200) % len(LABELS)
    fitted = [word_model.fit(product_texts(200, seed), label_ids, len(LABELS)) for seed in (0, 1)]
    made = Classifier(
        model=model.eval(),
        tokenizer=wordpiece.read(checkpoint),
        labels=LABELS,
        pool=Pool(WEIGHTS, LOG_PRIOR),
        word_models=dict(zip(INPUTS, fitted, strict=True)),
        inputs=INPUTS,
        max_length=64,
        vetted=INPUTS,
        families=FAMILIES,
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def classifier(checkpoint) -> Classifier:
    return make_classifier(checkpoint)


def saved(classifier, folder):
    """The folder as train_cls.py leaves it."""
    wordpiece.write(classifier.tokenizer, folder, classifier.max_length)
    classifier.save(folder)
    return folder


def probabilities_of(classifier, name, ingredients, balanced=False) -> dict[str, float]:
    """Label -> probability, a document at a time, with the pool written out."""
    texts = {"name": name, "ingredients": ingredients and str(parse_ingredients(ingredients))}
    parts = tuple(part for part in INPUTS if texts[part])
    (case,) = [case for case, of_case in CASES.items() if of_case == parts]
    weights = classifier.pool.weights[case]
    of_prior = weights.get(BALANCED if balanced else PRIOR, 0.0)
    pooled = of_prior * classifier.pool.log_prior
    for part in parts:
        ids = torch.tensor(classifier.tokenizer.encode(texts[part]).ids)
        lengths = PackedLengths.of([len(ids)])
        with torch.no_grad():
            logits = classifier.model(ids, torch.arange(len(ids)), lengths)[0]
        pooled = pooled + weights[part] * logits
        if part in classifier.word_models:
            of_words = classifier.word_models[part]([texts[part]])[0]
            pooled = pooled + weights[f"{part} words"] * of_words
    return dict(zip(classifier.labels, pooled.softmax(-1).tolist(), strict=True))


def by_label(answer: Answer) -> dict[str, float]:
    return dict(zip(answer.labels, answer.probabilities, strict=True))


# ---- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", ["data", "balanced"])
def test_answers_are_the_pool_of_what_each_document_says_the_most_probable_first(classifier, prior):
    answers = classifier.predict(LISTS, NAMES, top_k=4, prior=prior)
    assert [answer.inputs for answer in answers] == INPUTS_OF
    for answer, name, cell in zip(answers, NAMES, LISTS, strict=True):
        if not answer.inputs:
            continue
        unread = parse_ingredients(cell).reason if cell and len(answer.inputs) == 1 and name else ""
        cell = cell if "ingredients" in answer.inputs else ""
        expected = probabilities_of(classifier, name, cell, balanced=prior == "balanced")
        assert by_label(answer) == pytest.approx(expected, abs=1e-5)
        assert list(answer.labels) == sorted(expected, key=expected.get, reverse=True)
        assert (answer.reason, answer.is_family) == (unread, False)
        assert all(type(value) is float for value in answer.probabilities)
    first = [max(by_label(answer), key=by_label(answer).get) for answer in answers if answer.labels]
    assert len(set(first)) > 1


def test_priors_make_different_answers(classifier):
    as_trained, balanced = (
        classifier.predict(LISTS, NAMES, top_k=4, prior=prior) for prior in classifiers.PRIORS
    )
    for one, other in zip(as_trained, balanced, strict=True):
        if one.labels:
            assert by_label(one)["cream"] > by_label(other)["cream"]  # the most frequent
            assert by_label(one)["mascara"] < by_label(other)["mascara"]  # the rarest


def test_the_top_answers_are_the_first_of_all(classifier):
    everything = classifier.predict(LISTS, NAMES, top_k=99)
    for top_k in (1, 3):
        for answer, full in zip(
            classifier.predict(LISTS, NAMES, top_k=top_k), everything, strict=True
        ):
            assert answer.labels == full.labels[:top_k]
            assert answer.probabilities == full.probabilities[:top_k]
    assert [len(answer.labels) for answer in everything] == [4, 4, 4, 0, 4, 4]


def test_names_or_lists_may_be_given_alone(classifier):
    for alone, beside in [
        (classifier.predict(names=NAMES), classifier.predict([""] * 6, NAMES)),
        (classifier.predict(LISTS), classifier.predict(LISTS, [None] * 6)),
    ]:
        assert sum(bool(answer.labels) for answer in alone) >= 3
        for one, other in zip(alone, beside, strict=True):
            assert one == replace(other, reason=one.reason)  # which says what was given
    assert classifier.predict([]) == classifier.predict([], []) == []


def test_cells_may_come_from_pandas_with_what_it_puts_for_missing_ones(classifier):
    found = classifier.predict(pd.Series(LISTS), pd.Series(NAMES), top_k=2)
    assert found == classifier.predict(LISTS, NAMES, top_k=2)
    numbers = pd.Series([np.nan, pd.NA, 5.0])
    assert [answer.labels for answer in classifier.predict(names=numbers)] == [()] * 3


def test_which_products_are_asked_together_changes_nothing(classifier, monkeypatch):
    names = [text[:60] for text in product_texts(20, seed=3)]
    lists = [", ".join(text.title().split()[:9]) for text in product_texts(20, seed=4)]
    expected = [
        classifier.predict([cell], [name], top_k=4)[0]
        for cell, name in zip(lists, names, strict=True)
    ]
    for batch in (32, 3):
        monkeypatch.setattr(classifiers, "BATCH", batch)
        for one, other in zip(classifier.predict(lists, names, top_k=4), expected, strict=True):
            assert one.inputs == other.inputs
            assert by_label(one) == pytest.approx(by_label(other), abs=1e-5)


def test_a_document_longer_than_the_model_keeps_head_and_tail(classifier):
    words = ["rose", "mint", "cream", "gel", "oil", "water", "shea"]
    long = " ".join(words * 20)
    ids = classifier.tokenizer.encode(long, add_special_tokens=False).ids
    head_and_tail = classifier.tokenizer.decode(ids[:10] + ids[-4:])
    assert head_and_tail.split() == [*words, *words[:3], *words[-4:]]
    encoder_alone = Pool({"name": {"name": 1.0}, "ingredients": {}, "both": {}}, LOG_PRIOR)
    classifier = replace(classifier, pool=encoder_alone)
    (answer,) = replace(classifier, max_length=16).predict(names=[long], top_k=4)
    (expected,) = classifier.predict(names=[head_and_tail], top_k=4)
    assert by_label(answer) == pytest.approx(by_label(expected), abs=1e-5)
    (in_full,) = classifier.predict(names=[long[:150]], top_k=4)
    assert by_label(in_full) != pytest.approx(by_label(expected), abs=1e-3)


# ---- no answer, and less of one ----------------------------------------------------------------


@pytest.mark.parametrize(
    "name, cell, reason",
    [
        ("", "", "no name; no list"),
        (None, "No Info", "no name; no list given"),
        ("n/a", None, "no name; no list"),
        ("Xqzvw Kjhgt", None, "hardly any word of the name is known; no list"),
        ("化粧水", "", "hardly any word of the name is known; no list"),
        (
            "Xqzvw Kjhgt",
            "Unobtainium, Kryptonite, Vibranium Extract",
            "hardly any word of the name is known; hardly any word of the list is known",
        ),
        ("", "水、甘油、丁二醇", "no name; not in Latin letters"),
    ],
)
def test_a_product_that_nothing_is_known_of_is_not_answered_and_says_why(
    classifier, name, cell, reason
):
    known, unknown = classifier.predict(["Water, Mint", cell], ["Rose Cream", name])
    assert known.labels
    assert unknown == Answer(reason=reason)


@pytest.mark.parametrize(
    "text, is_unsure, is_read",
    [
        ("Rose", True, [True, True]),
        ("rose xqzvw kjhgt", True, [True, True]),
        ("rose xqzvw kjhgt zzyxw", False, [False, False]),
        ("glycerin xqzvw", False, [True, False]),  # a name of a word that the encoder knows
        ("glycerin xqzvw", True, [False, False]),
        ("waters xqzvw", False, [True, False]),  # two tokens, water ##s
        ("kryptonite xqzvw", False, [False, False]),  # eight
        ("", False, [False, False]),
    ],
)
def test_documents_count_of_whose_words_enough_are_known(classifier, text, is_unsure, is_read):
    """Of a name also words of one or two tokens are known, if the name is telling."""
    models = {part: word_model.fit(["rose mint"] * 2, torch.tensor([0, 1]), 4) for part in INPUTS}
    pool = Pool.unfitted(LOG_PRIOR)
    trained = replace(classifier, word_models=models, pool=pool, vetted=INPUTS)
    texts = dict.fromkeys(INPUTS, [text])
    logits = dict.fromkeys(INPUTS, torch.tensor([[0.0, 0.5 if is_unsure else 9.0, 0.0, 0.0]]))
    assert trained.readable(texts, logits).T.tolist() == [is_read]
    for other in (replace(trained, vetted=()), replace(trained, word_models={})):
        assert other.readable(texts, logits).T.tolist() == [[bool(text)] * 2]


def test_a_name_is_telling_by_itself_whatever_the_list_says(classifier):
    models = {"name": word_model.fit(["rose mint"] * 2, torch.tensor([0, 1]), 4)}
    trained = replace(classifier, word_models=models, pool=Pool.unfitted(LOG_PRIOR))
    texts = {"name": ["glycerin xqzvw"] * 2, "ingredients": ["rose"] * 2}
    unsure_and_sure = torch.tensor([[0.0, 0.5, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0]])
    logits = {"name": unsure_and_sure, "ingredients": unsure_and_sure.flip(0)}
    assert trained.readable(texts, logits).tolist() == [[False, True], [True, True]]


def test_a_document_of_unknown_words_leaves_the_answer_to_the_other(classifier):
    lists = ["Water, Mint"] * 2
    named, unnamed = classifier.predict(lists, ["Xqzvw Kjhgt", ""], top_k=4)
    assert named == replace(unnamed, reason="hardly any word of the name is known")
    assert named.inputs == ("ingredients",) and unnamed.reason == ""


def test_below_the_minimum_probability_there_is_no_answer(classifier):
    answers = classifier.predict(LISTS, NAMES)
    values = sorted(answer.probabilities[0] for answer in answers if answer.labels)
    threshold = values[2]
    found = classifier.predict(LISTS, NAMES, min_probability=threshold)
    for answer, full in zip(found, answers, strict=True):
        if full.labels and full.probabilities[0] < threshold:
            reason = f"probability below {threshold:g}"
            assert answer == Answer(inputs=full.inputs, reason=reason)
        else:
            assert answer == full  # at the minimum it is an answer
    assert sum(bool(answer.labels) for answer in found) == len(values) - 2


def test_an_unsure_answer_is_the_sum_of_its_family(classifier):
    everything = classifier.predict(LISTS, NAMES, top_k=4)
    threshold = 0.6
    found = classifier.predict(LISTS, NAMES, top_k=4, min_probability=threshold, family=True)
    kinds = set()
    for answer, full in zip(found, everything, strict=True):
        if not full.labels:
            continue
        of = by_label(full)
        sums = {"skin": of["cream"] + of["gel"], "makeup": of["lipstick"]}
        is_sure = full.probabilities[0] >= threshold
        kinds.add((is_sure, max(sums.values()) >= threshold))
        if is_sure:
            assert answer == full
        elif max(sums.values()) >= threshold:
            assert answer.is_family and answer.inputs == full.inputs
            assert by_label(answer) == pytest.approx(sums, abs=1e-9)
            assert list(answer.labels) == sorted(sums, key=sums.get, reverse=True)
            assert answer.reason == "probability below 0.6"
        else:
            assert answer == Answer(inputs=full.inputs, reason="probability below 0.6")
    assert {(False, True), (False, False)} <= kinds


def test_a_family_has_half_of_the_probability_unless_more_is_asked_for(classifier):
    found = classifier.predict(LISTS, NAMES, family=True)
    assert found == classifier.predict(LISTS, NAMES, family=True, min_probability=0.5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"top_k": 0}, "top_k is at least 1"),
        ({"min_probability": 1.5}, "min_probability between 0 and 1"),
        ({"family": True}, "the model knows no families"),
    ],
)
def test_what_cannot_be_asked_for_is_named(classifier, options, message):
    without = replace(classifier, families={})
    with pytest.raises(ValueError, match=message):
        without.predict(LISTS, NAMES, **options)


@pytest.mark.parametrize("part", INPUTS)
def test_a_model_of_one_input_reads_no_other(classifier, part):
    only = replace(classifier, inputs=(part,), word_models={part: classifier.word_models[part]})
    given = {"names": NAMES} if part == "name" else {"ingredients": LISTS}
    expected = classifier.predict(**given, top_k=4)
    assert only.predict(**given, top_k=4) == expected
    found = only.predict(LISTS, NAMES, top_k=4)
    for answer, alone in zip(found, expected, strict=True):
        assert by_label(answer) == pytest.approx(by_label(alone), abs=1e-12)
        assert answer.inputs == alone.inputs
    other = {"ingredients": LISTS} if part == "name" else {"names": NAMES}
    assert only.predict(**other) == [Answer(reason="no input that the model reads")] * 6


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "give ingredients, names, or as many of the one as of the other"),
        ({"names": ["a"], "ingredients": ["b", "c"]}, "as many of the one as of the other"),
        ({"names": "Rose Cream"}, "lists of cells, not one text"),
        ({"ingredients": "Water"}, "lists of cells, not one text"),
        ({"names": ["Rose Cream"], "prior": "even"}, "prior is one of data, balanced, not 'even'"),
    ],
)
def test_what_cannot_be_asked_is_named(classifier, arguments, message):
    with pytest.raises(ValueError, match=message):
        classifier.predict(**arguments)


# ---- explanations ------------------------------------------------------------------------------


def explained_by_asking_again(classifier, name_words, ingredients, prior):
    """(input, unit) -> what the top label loses without the unit."""

    def ask(words, names):
        given = {}
        if name_words:
            given["names"] = [" ".join(words)]
        if ingredients:
            given["ingredients"] = [", ".join(names)]
        (answer,) = classifier.predict(**given, top_k=4, prior=prior)
        return answer

    full = ask(name_words, ingredients)
    drops = {}
    for i, word in enumerate(name_words):
        other = ask(name_words[:i] + name_words[i + 1 :], ingredients)
        drops["name", word] = full.probabilities[0] - by_label(other)[full.labels[0]]
    for i, name in enumerate(ingredients):
        other = ask(name_words, ingredients[:i] + ingredients[i + 1 :])
        drops["ingredients", name] = full.probabilities[0] - by_label(other)[full.labels[0]]
    return drops


@pytest.mark.parametrize("prior", classifiers.PRIORS)
@pytest.mark.parametrize(
    "words, ingredients, inputs",
    [
        (["Gentle", "Rose", "Lip", "Balm"], ["Water", "Glycerin", "Shea Butter"], INPUTS),
        (["Gentle", "Rose", "Lip", "Balm"], [], INPUTS),
        ([], ["Water", "Glycerin", "Shea Butter"], INPUTS),
        (["Gentle", "Rose", "Lip", "Balm"], [], ("name",)),
        ([], ["Water", "Glycerin", "Shea Butter"], ("ingredients",)),
    ],
)
def test_an_explanation_is_asking_again_without_each_word_and_ingredient(
    classifier, words, ingredients, inputs, prior
):
    asked = replace(classifier, inputs=inputs)
    expected = explained_by_asking_again(asked, words, ingredients, prior)
    found = asked.explain(", ".join(ingredients) or None, " ".join(words) or None, prior)
    assert {(part, unit): drop for part, unit, drop in found} == pytest.approx(expected, abs=1e-5)
    drops = [drop for _, _, drop in found]
    assert drops == sorted(drops, reverse=True)
    assert max(map(abs, drops)) > 0.01
    num_units = asked.num_units(", ".join(ingredients) or None, " ".join(words) or None)
    assert num_units == len(found) == len(words) + len(ingredients)


def test_what_has_no_answer_has_no_explanation(classifier):
    assert classifier.explain() == []
    assert classifier.explain("No Info", "Xqzvw Kjhgt") == []


# ---- training ----------------------------------------------------------------------------------


def products_of(seed):
    """60 products with a name, a list or both."""
    made = []
    pairs = zip(product_texts(60, seed), product_texts(60, seed + 10), strict=True)
    for i, (name, cell) in enumerate(pairs):
        name, cell = [(name, cell), (name, ""), ("", cell)][i % 3]
        made.append(Product("table", i, LABELS[i % 4], "", name, cell, "", "", ""))
    return made


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


@pytest.fixture
def by_split():
    return {"train": products_of(0), "valid": products_of(1), "test": products_of(2)}


def finished(by_split, classifier):
    """What with_pool makes of some splits: all that it decides, as JSON."""
    data = batches_of(by_split, classifier.tokenizer)
    unfinished = Classifier.unfinished(classifier.model, data, "full", None)
    generator = torch.Generator().manual_seed(0)
    logits = {part: torch.randn(60, 4, generator=generator).double() for part in INPUTS}
    result = unfinished.with_pool(data, logits)
    words = {
        part: (list(model.feature_ids), model.weight.tolist())
        for part, model in result.word_models.items()
    }
    return {"pool": result.pool.to_dict()["weights"], "words": words}


def test_nothing_of_a_finished_classifier_depends_on_the_test_split(by_split, classifier):
    expected = finished(by_split, classifier)
    others = [replace(product, label=LABELS[0], name="other") for product in by_split["test"]]
    assert finished(by_split | {"test": others}, classifier) == expected
    others = [replace(product, label=LABELS[product.row % 3]) for product in by_split["valid"]]
    other = finished(by_split | {"valid": others}, classifier)
    assert other["words"] == expected["words"] and other["pool"] != expected["pool"]
    others = [replace(product, label=LABELS[product.row % 3]) for product in by_split["train"]]
    others[0] = by_split["train"][3]  # mascara stays in training
    other = finished(by_split | {"train": others}, classifier)
    assert other["words"] != expected["words"] and other["pool"] != expected["pool"]


def test_the_pool_of_the_encoder_alone_is_fitted_without_the_word_models(
    by_split, classifier, tmp_path
):
    data = batches_of(by_split, classifier.tokenizer)
    targets = data.target_ids("valid")
    noise = torch.Generator().manual_seed(0)
    logits = {
        part: 2.0 * F.one_hot(targets, 4) + torch.randn(60, 4, generator=noise).double()
        for part in INPUTS
    }
    unfinished = Classifier.unfinished(classifier.model, data, "full", None)
    result = unfinished.with_pool(data, logits)
    alone = result.encoder_pool
    assert not [term for case in CASES for term in alone.weights[case] if "words" in term]
    has = given(data.texts("valid"))
    losses = [float(F.cross_entropy(pool(logits, has), targets)) for pool in (alone, result.pool)]
    assert losses[0] < losses[1], "weights that were fitted beside word models are too small"
    assert Classifier.load(saved(result, tmp_path)).encoder_pool.to_dict() == alone.to_dict()


def with_other_names(products, num_other):
    """The first products that have a name have one of words that training has not."""
    named = [product for product in products if product.name]
    others = {product.row for product in named[:num_other]}
    return [
        replace(product, name="xqzvw kjhgt") if product.row in others else product
        for product in products
    ]


@pytest.mark.parametrize(
    "num_other, vetted", [(0, INPUTS), (1, ("ingredients",)), (40, ("ingredients",))]
)
def test_inputs_are_vetted_where_training_has_the_words_of_validation(
    by_split, classifier, num_other, vetted
):
    """One of the 40 names of validation is more than MOST_UNKNOWN; a missing one is none."""
    assert sum(bool(product.name) for product in by_split["valid"]) == 40
    by_split["valid"] = with_other_names(by_split["valid"], num_other)
    data = batches_of(by_split, classifier.tokenizer)
    logits = {part: torch.zeros(60, 4, dtype=torch.float64) for part in INPUTS}
    finished = Classifier.unfinished(classifier.model, data, "full", None).with_pool(data, logits)
    assert finished.vetted == vetted
    (answer,) = finished.predict(names=["xqzvw kjhgt"])
    assert bool(answer.labels) == ("name" not in vetted)


def test_a_model_in_training_answers_with_the_sum_of_the_encoders_logits(by_split, classifier):
    data = batches_of(by_split, classifier.tokenizer)
    unfinished = Classifier.unfinished(classifier.model, data, "full", None)
    (answer,) = unfinished.predict(["Water, Mint"], ["Xqzvw Kjhgt"], top_k=4)
    assert answer.inputs == INPUTS
    plain = {case: {**dict.fromkeys(parts, 1.0), PRIOR: 0.0} for case, parts in CASES.items()}
    summed = replace(classifier, pool=Pool(plain, LOG_PRIOR), word_models={})
    expected = probabilities_of(summed, "Xqzvw Kjhgt", "Water, Mint")
    assert by_label(answer) == pytest.approx(expected, abs=1e-5)
    assert unfinished.labels == sorted(LABELS)
    only_names = {
        split: [replace(product, ingredients="") for product in products if product.name]
        for split, products in by_split.items()
    }
    data = batches_of(only_names, classifier.tokenizer)
    assert Classifier.unfinished(classifier.model, data, "full", None).inputs == ("name",)


def test_the_families_of_a_run_are_those_of_its_label_table(by_split, classifier, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("label,canonical,group\nCREAM,Cream,skin\ngel,,\nx,Lipstick,lips\n")
    data = batches_of(by_split, classifier.tokenizer)
    found = Classifier.unfinished(classifier.model, data, "full", str(table)).families
    assert found == {"cream": "skin", "lipstick": "lips"}
    few = table.read_text().replace("Lipstick", "Pencil")  # one of four: by chance
    table.write_text(few)
    assert Classifier.unfinished(classifier.model, data, "full", str(table)).families == {}


def test_labels_are_merged_under_the_schemes_that_merge_them(classifier, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("label,canonical,group\nface cream,cream,skin\ncream,cream,skin\n")
    by_split = {
        "train": [
            Product("t", i, label, "", "a", "", "", "a", "g") for i, label in enumerate(LABELS)
        ]
    }
    data = batches_of(by_split | {"valid": [], "test": []}, classifier.tokenizer)
    for scheme, expected in (("full", {}), ("canonical", {"face cream": "cream"})):
        made = Classifier.unfinished(classifier.model, data, scheme, str(table))
        assert made.synonyms == expected


# ---- the folder --------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_a_written_classifier_gives_the_same_answers(checkpoint, tmp_path, head):
    made = make_classifier(checkpoint, head, max_length=48)
    again = beautybert.Classifier.load(saved(made, tmp_path))
    for options in ({"top_k": 4}, {"prior": "balanced"}, {"family": True, "min_probability": 0.6}):
        assert again.predict(LISTS, NAMES, **options) == made.predict(LISTS, NAMES, **options)
    assert (again.labels, again.inputs, again.families) == (LABELS, INPUTS, FAMILIES)
    assert (again.max_length, again.vetted) == (48, INPUTS)
    assert again.same_reader
    written = json.loads((tmp_path / "config.json").read_text())
    is_pooler = head == "pooler"
    expected = "BertForSequenceClassification" if is_pooler else "BertModel"
    assert written["architectures"] == [expected]


def test_the_inputs_of_a_model_are_written(checkpoint, tmp_path, classifier):
    only = replace(classifier, inputs=("ingredients",), word_models={})
    again = Classifier.load(saved(only, tmp_path))
    assert again.inputs == ("ingredients",) and again.word_models == {}
    assert again.predict(LISTS, NAMES) == only.predict(LISTS, NAMES)


def test_transformers_opens_the_encoder_with_its_labels_and_writes_it_again(classifier, tmp_path):
    """The word models are files of ours beside it, which must be carried along."""
    transformers = pytest.importorskip("transformers")
    folder = saved(classifier, tmp_path)
    theirs, info = transformers.BertForSequenceClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert [theirs.config.id2label[i] for i in range(4)] == LABELS
    ids = torch.arange(5, 25)
    with torch.no_grad():
        expected = classifier.model(ids, torch.arange(20), PackedLengths.of([20]))
        assert (theirs.eval()(input_ids=ids[None]).logits - expected).abs().max() < 1e-5

    copy = tmp_path / "theirs"
    theirs.save_pretrained(copy)
    wordpiece.write(classifier.tokenizer, copy, classifier.max_length)
    message = re.escape(f"{copy}: the word models (words.json, words.safetensors) cannot be read: ")
    with pytest.raises(ValueError, match=message) as raised:
        Classifier.load(copy)
    assert "\n" not in str(raised.value)
    for name in word_model.FILES:
        shutil.copy(folder / name, copy)
    back = Classifier.load(copy)
    assert back.predict(LISTS, NAMES, top_k=4) == classifier.predict(LISTS, NAMES, top_k=4)
    assert back.families == FAMILIES


def test_another_heads_encoder_is_one_to_transformers(checkpoint, tmp_path):
    transformers = pytest.importorskip("transformers")
    made = make_classifier(checkpoint, "mlp")
    theirs = transformers.AutoModel.from_pretrained(
        saved(made, tmp_path), add_pooling_layer=False
    ).eval()
    ids = torch.arange(5, 25)
    with torch.no_grad():
        expected = made.model.bert(ids, torch.arange(20), PackedLengths.of([20]))
        found = theirs(input_ids=ids[None]).last_hidden_state[0]
    expected = expected[0] if isinstance(expected, tuple) else expected
    assert (found - expected).abs().max() < 1e-4


def made_by_transformers(tokenizer, folder, **changes):
    """A tiny classifier with random weights, and its folder as transformers writes it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
        **changes,
    )
    theirs = transformers.BertForSequenceClassification(config).eval()
    theirs.save_pretrained(folder)
    wordpiece.write(tokenizer, folder, 64)
    return theirs


TEXT = "Rated 4/5 &amp; liked: Gentle (unknown) Cream... no list!"


@pytest.mark.parametrize("part", INPUTS)
@pytest.mark.parametrize(
    "changes, labels",
    [
        ({"id2label": dict(enumerate(LABELS))}, LABELS),
        ({}, ["LABEL_0", "LABEL_1"]),  # which are not written
        ({"num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({"problem_type": "single_label_classification"}, ["LABEL_0", "LABEL_1"]),
    ],
    ids=["named", "default", "three", "single"],
)
def test_a_classifier_of_transformers_answers_by_its_own_softmax_of_the_text_as_it_is(
    classifier, tmp_path, changes, labels, part
):
    theirs = made_by_transformers(classifier.tokenizer, tmp_path, **changes)
    loaded = Classifier.load(tmp_path)
    assert loaded.labels == labels
    cells = {"names" if part == "name" else part: [TEXT, ""]}
    answer, nothing = loaded.predict(**cells, top_k=4)
    ids = classifier.tokenizer.encode(TEXT).ids
    with torch.no_grad():
        expected = theirs(input_ids=torch.tensor([ids])).logits[0].softmax(-1).tolist()
    assert by_label(answer) == pytest.approx(dict(zip(labels, expected, strict=True)), abs=1e-5)
    assert nothing.labels == () and nothing.reason.startswith("no ")
    explained = loaded.explain(**{part: TEXT})
    assert sorted(unit for _, unit, _ in explained) == sorted(TEXT.split())


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"problem_type": "multi_label_classification"}, 'problem_type is "multi_label_class'),
        ({"problem_type": "regression", "num_labels": 1}, 'problem_type is "regression", must'),
        ({"num_labels": 1}, "id2label has 1 labels, must have two or more"),
    ],
)
def test_a_model_of_transformers_that_chooses_no_label_is_refused(
    classifier, tmp_path, changes, message
):
    made_by_transformers(classifier.tokenizer, tmp_path, **changes)
    with pytest.raises(ValueError, match=f"{tmp_path}/config.json: {message}"):
        Classifier.load(tmp_path)


NO_OBJECT = "must be an object"
BAD_FIELDS = [
    ("calibration_temperature", 0, "calibration_temperature"),
    ("calibration_temperature", -1, "calibration_temperature"),
    ("calibration_temperature", float("nan"), "calibration_temperature"),
    ("calibration_temperature", "x", "calibration_temperature"),
    ("max_list_length", 1, "max_list_length"),
    ("max_document_length", 1, "max_document_length is 1, must be a whole number of at least 5"),
    ("max_document_length", 65, "max_document_length is 65, must be .* and at most 64"),
    ("max_document_length", "64", "max_document_length is "),
    ("max_document_length", 10**30, "max_document_length is "),
    ("id2label", {"a": "b"}, "id2label has no 0, must have the ids 0 to 0"),
    ("id2label", {"0": "a", "1": "b", "2": "c", "4": "d"}, "id2label has no 3"),
    ("id2label", {"0": "a", "1": "b", "2": "c"}, "pool: .* 4 numbers for the 3 labels of id2label"),
    ("id2label", {str(i): str(i) for i in range(5)}, "pool: .* for the 5 labels of id2label"),
    ("id2label", {"0": "a", "1": "b", "2": "c", "3": 5}, "id2label: 3 is 5, must be a text"),
    ("id2label", {"0": "a", "1": "b", "2": "c", "3": " \x1b"}, "id2label 3 is blank"),
    ("id2label", {"0": "a", "1": "b", "2": "c", "3": "a "}, 'id2label 3 is "a" once more'),
    ("id2label", LABELS, f"id2label is a list of 4, {NO_OBJECT}"),
    ("id2label", None, "has no id2label"),
    ("label_synonyms", [], f"label_synonyms is \\[\\], {NO_OBJECT}"),
    ("label_synonyms", {"a": 1}, 'label_synonyms has 1 for "a", must be a text'),
    ("families", "x", f'families is "x", {NO_OBJECT}'),
    ("families", {"cream": ["skin"]}, 'families has a list of 1 for "cream"'),
    ("inputs", [], "inputs is \\[\\], must be a list of name and ingredients at most"),
    ("inputs", ["name", "brand"], "inputs is a list of 2, must be a list of name and ingredients"),
    ("inputs", ["name", "name"], "inputs is a list of 2"),
    ("inputs", "name", 'inputs is "name", must be a list'),
    ("vetted_inputs", [["name"]], "vetted_inputs is a list of 1"),
    ("reader_tables", 5, "reader_tables is 5, must be a text"),
    ("problem_type", ["x"], "problem_type is a list of 1"),
    ("head", 5, "head is 5, must be a text"),
    ("pool", [], f"pool is \\[\\], {NO_OBJECT}"),
]


@pytest.mark.parametrize("field, value, message", BAD_FIELDS)
def test_a_field_that_makes_no_sense_is_one_line_with_the_file_and_the_field(
    classifier, tmp_path, field, value, message
):
    saved(classifier, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {field: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"^{tmp_path}/config.json:? (has )?{message}") as raised:
        Classifier.load(tmp_path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300 + len(str(tmp_path))


def test_word_models_of_another_number_of_labels_are_named(classifier, tmp_path):
    fitted = word_model.fit(product_texts(50), torch.arange(50) % 3, 3)
    broken = replace(classifier, word_models={"name": fitted})
    with pytest.raises(ValueError, match="4 labels; name.weight of words.safetensors has shape"):
        Classifier.load(saved(broken, tmp_path))


def test_labels_and_families_act_on_no_terminal_and_still_belong_together(classifier, tmp_path):
    odd = [f"{label}\x1b[0m\u202e" for label in LABELS]
    pairs = zip(odd, LABELS, strict=True)
    families = {label: f"\x07{FAMILIES.get(plain, '')}" for label, plain in pairs}
    changed = replace(classifier, labels=odd, families=families, synonyms={"\x07other": odd[0]})
    again = Classifier.load(saved(changed, tmp_path))
    assert again.labels == [f"{label}[0m" for label in LABELS]
    assert again.families == {f"{label}[0m": FAMILIES.get(label, "") for label in LABELS}
    assert again.synonyms == {"other": "cream[0m"}


@pytest.mark.parametrize("field", ["inputs", "max_document_length"])
def test_a_field_that_answers_depend_on_is_never_guessed(classifier, tmp_path, field):
    saved(classifier, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config[field]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"config.json has no {field}; train it again"):
        Classifier.load(tmp_path)


def test_numbers_that_are_not_finite_are_told_before_any_answer(classifier, tmp_path):
    broken = make_classifier_with(classifier, float("nan"))
    with pytest.raises(ValueError, match="has numbers that are not finite"):
        Classifier.load(saved(broken, tmp_path))


def make_classifier_with(classifier, number) -> Classifier:
    """The classifier with a number among its weights."""
    model = copy.deepcopy(classifier.model)
    with torch.no_grad():
        model.classifier.weight[1] = number
    return replace(classifier, model=model)


def test_weights_that_overflow_give_no_answer(classifier):
    """Each is finite, and their sums are not."""
    with pytest.raises(ValueError, match="the weights of the model are too large"):
        make_classifier_with(classifier, 3e38).predict(names=NAMES)


@pytest.mark.parametrize("num_labels", [2, 4])
def test_labels_that_the_weights_have_no_output_for_are_told(classifier, tmp_path, num_labels):
    made_by_transformers(classifier.tokenizer, tmp_path, num_labels=3)
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {str(i): str(i) for i in range(num_labels)}
    (tmp_path / "config.json").write_text(json.dumps(config))
    message = rf"config.json: id2label has {num_labels} labels, but .* has shape \(3,\)"
    with pytest.raises(ValueError, match=message):
        Classifier.load(tmp_path)


def test_bytes_that_are_no_text_do_not_stop_an_answer(classifier, tmp_path):
    """As of a command line that is not UTF-8."""
    made_by_transformers(classifier.tokenizer, tmp_path)
    for each in (classifier, Classifier.load(tmp_path)):
        plain, odd = each.predict(names=["Rose Cream", "Rose\udcff Cream\udc80"])
        assert odd.probabilities == pytest.approx(plain.probabilities)
        plain, odd = each.predict(["Water, Mint", "Water\udcff, Mint"])
        assert odd.probabilities == pytest.approx(plain.probabilities)


def test_a_folder_without_a_classifier_is_named(checkpoint):
    message = (
        r"holds no classifier \(architectures \['BertForMaskedLM'\]\); name the folder of a "
        r"train_cls.py run"
    )
    with pytest.raises(ValueError, match=message):
        Classifier.load(checkpoint)


@pytest.mark.parametrize(
    "head, without",
    [("wide", ["pool"]), ("mlp", ["pool"]), ("wide", []), ("mlp", ["label_synonyms"])],
    ids=str,
)
def test_a_classifier_of_another_version_is_named_in_one_line(classifier, tmp_path, head, without):
    saved(classifier, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"head": head}
    config = {key: value for key, value in config.items() if key not in without}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError) as raised:
        Classifier.load(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path} holds a classifier of another version of beautybert (head {head}); train it "
        "again"
    )


def test_a_pool_without_balanced_weights_is_of_another_version(classifier, tmp_path):
    saved(classifier, tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace(BALANCED, "other"))
    with pytest.raises(ValueError, match="another version of beautybert"):
        Classifier.load(tmp_path)


def test_weights_that_do_not_fit_are_named(classifier, checkpoint, tmp_path):
    saved(classifier, tmp_path)
    shutil.copy(checkpoint / "model.safetensors", tmp_path)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: ")):
        Classifier.load(tmp_path)


def test_lists_that_were_read_with_other_tables_are_noticed(classifier, tmp_path, monkeypatch):
    saved(classifier, tmp_path)
    monkeypatch.setattr(classifiers, "tables_fingerprint", lambda: "other")
    assert not Classifier.load(tmp_path).same_reader
