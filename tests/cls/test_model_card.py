"""The card says what the report says."""

import json
import re

import pytest
from huggingface_hub import ModelCard

from beautybert.cls.model_card import model_card, wilson_interval
from tests.cls.example_tables import write_run_json
from tests.conftest import SAMPLE

CLASSIFIER = "AutoModelForSequenceClassification"


def scores_of(accuracy, svc, shares):
    """What report.json has of an input."""
    coverage = [
        {"min_probability": level, "answered": answered, "correct": correct}
        for level, answered, correct in shares
    ]
    return {
        "products": 1234,
        "accuracy": accuracy,
        "top3": 0.9,
        "macro_f1": 0.5,
        "majority_accuracy": 0.06,
        "tfidf_linear_svc": svc and {"accuracy": svc[0], "macro_f1": svc[1]},
        "coverage": coverage,
    }


@pytest.fixture
def folder(tmp_path):
    write_run_json(tmp_path)
    return tmp_path


@pytest.fixture
def report():
    name = scores_of(0.789, (0.77, 0.654), [(0.0, 1.0, 0.789), (0.9, 0.0, 0.0)])
    everything = scores_of(0.811, (0.75, 0.6), [(0.0, 0.99, 0.82), (0.9, 0.4, 0.97)])
    weights = {
        "name": {"name": 0.8, "prior": -0.25, "balanced prior": -1.1},
        "both": {"name": 0.7, "ingredients": 0.3},
    }
    return {
        **everything,
        "inputs": ["name", "ingredients"],
        "sources": ["shop", "sephora"],
        "sizes": {"train": 8000, "valid": 900, "test": 1234},
        "by_input": {"name": name},
        "pool": weights,
        "unanswered": 12,
        "best": {"step": 20},
        "merged_labels": {"Cream": ["day cream", "night cream"]},
    }


def tables_of(card):
    """The tables, each a list of rows of cells, without the line below the header."""
    tables = re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE)
    rows = [[line[2:-2].split(" | ") for line in table.splitlines()] for table in tables]
    return [[header, *others] for header, _, *others in rows]


def test_tables_have_the_scores_the_coverage_and_the_pool(report, folder):
    card = model_card(folder, report, ["Cream", "Gel"], "ask it")
    scores, coverage, pool = tables_of(card)
    assert "tells 2 labels apart, by name or ingredient list." in card
    assert "trained on\n8,000 products of shop, sephora;" in card
    assert "\n    ask it\n" in card
    assert "\n- `Cream`: day cream, night cream\n- `Gel`\n\n## Licence\n" in card
    assert "without an answer (12 of the test products,\n" in card
    assert scores[1:] == [
        ["as they are", "1,234", "81.1% (79% to 83%)", "90.0%", "0.500", "75.0%", "0.600", "6.0%"],
        ["name alone", "1,234", "78.9% (77% to 81%)", "90.0%", "0.500", "77.0%", "0.654", "6.0%"],
    ]
    assert coverage == [
        ["at least", "as they are", "name alone"],
        ["0", "99.0%, 82.0% right", "100.0%, 78.9% right"],
        ["0.9", "40.0%, 97.0% right", "none"],
    ]
    assert pool == [
        ["", "name", "prior", "balanced prior", "ingredients"],
        ["name alone", "0.800", "-0.250", "-1.100", "0.000"],
        ["name and list", "0.700", "0.000", "0.000", "0.300"],
    ]


def test_a_model_of_one_input_has_no_weights_of_others(report, folder):
    card = model_card(folder, {**report, "inputs": ["name"]}, ["Cream", "Gel"], "ask it")
    assert "apart, by name." in card
    assert tables_of(card)[2] == [
        ["", "name", "prior", "balanced prior"],
        ["name alone", "0.800", "-0.250", "-1.100"],
    ]


def test_the_header_is_what_the_hub_reads(report, folder):
    header = ModelCard(model_card(folder, report, ["Cream", "Gel"], "ask it")).data
    assert header.library_name == "beautybert" and header.pipeline_tag == "text-classification"
    assert header.license is None and header.base_model is None
    found = {result.metric_name: result.metric_value for result in header.eval_results}
    assert found == {"accuracy": 0.811, "macro-F1": 0.5}
    assert header.metrics == ["accuracy", "f1"]
    assert header.eval_results[0].dataset_name == "shop.csv, sephora.csv"


def test_the_data_and_the_way_to_train_are_said(report, folder):
    (folder / "metrics.jsonl").write_text(
        '{"step": 20, "split": "train", "loss": 1.0, "tokens": 12345}\n'
    )
    card = model_card(folder, report, ["Cream", "Gel"], "ask it")
    assert "- `shop.csv`\n- `sephora.csv`\n\n10,500 rows;\nleft out: 3 no name.\n" in card
    assert "Fingerprint of what was read: `0123456789abcdef`." in card
    assert "\nFrom random weights, by\n\n    python -m train_cls --data a/shop.csv" in card
    assert "\n20 steps, 12,345 tokens, on x86_64; torch 2.13.0." in card
    assert "made of the files above; what may" in card


@pytest.mark.parametrize("head, opened", [("mlp", "AutoModel"), ("pooler", CLASSIFIER)])
def test_what_opens_in_transformers_depends_on_the_head(report, folder, head, opened):
    run = json.loads((folder / "run.json").read_text())
    run["config"] |= {"head": head, "init": "some/bert"}
    (folder / "run.json").write_text(json.dumps(run | {"ranks": 8}))
    card = model_card(folder, report, ["Cream", "Gel"], "ask it")
    assert f"import {opened}\n" in card
    assert ("export --transformers" in card) == (head == "pooler")
    assert ModelCard(card).data.base_model == "some/bert"
    assert "\nFrom `some/bert`, by\n\n    torchrun --nproc-per-node 8 -m train_cls" in card
    assert "made of the files above and of `some/bert`; what" in card


@pytest.mark.parametrize(
    "step, said",
    [(0, "**The encoder is not trained**"), (1234, "weights are those of step 1,234.")],
)
def test_it_says_which_weights_were_picked(report, folder, step, said):
    assert said in model_card(folder, {**report, "best": {"step": step}}, ["Cream"], "ask it")


def test_ranks_on_two_nodes_are_started_on_two(report, folder, monkeypatch):
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | {"ranks": 16}))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    card = model_card(folder, report, ["Cream"], "ask it")
    assert "torchrun --nnodes 2 --nproc-per-node 8 -m train_cls" in card


@pytest.mark.parametrize(
    "init, data, is_ours",
    [
        ("scratch", ["cosmetics.csv"], True),
        ("scratch", ["cosmetics.csv", "/home/x/client.csv"], False),
        ("someone/bert", ["cosmetics.csv"], False),
    ],
)
def test_only_what_is_of_the_sample_alone_is_given_a_licence(report, folder, init, data, is_ours):
    run = json.loads((folder / "run.json").read_text())
    run["config"] |= {"data": [str(SAMPLE / name) for name in data], "init": init}
    (folder / "run.json").write_text(json.dumps(run))
    card = model_card(folder, report, ["Cream", "Gel"], "ask it")
    assert ModelCard(card).data.license == ("mit" if is_ours else None)
    assert ("MIT, as the program: trained on the generated sample" in card) == is_ours


def test_a_baseline_that_was_not_fitted_has_no_scores(report, folder):
    report["tfidf_linear_svc"] = None
    scores = tables_of(model_card(folder, report, ["Cream", "Gel"], "ask it"))[0]
    assert scores[1][5:7] == ["not run", "not run"]


def test_an_interval_of_few_products_is_wide():
    """Values of statsmodels.stats.proportion.proportion_confint(method="wilson")."""
    assert wilson_interval(1.0, 9) == pytest.approx((0.7008, 1.0), abs=1e-4)
    assert wilson_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
