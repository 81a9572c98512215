"""What the report says of answers that are known beforehand; test_train_cls.py has whole runs."""

import csv
import dataclasses
import json
import re

import pytest
import torch

from beautybert.cls import baselines, plots, report
from beautybert.cls.batches import ClsBatches
from beautybert.cls.classifier import Classifier
from beautybert.cls.labels import redundant
from beautybert.cls.pool import Pool
from beautybert.cls.products import INPUTS, Product
from beautybert.training.distributed import Ranks
from tests.cls.example_tables import write_run_json
from tests.conftest import curves

TEST = [("Cream", "one", "x"), ("Gel", "two", ""), ("Gel", "", "y"), ("Oil", "three", "z")]
# which label the name and the list of each test product speak for, and how strongly
NAMES_SAY = [("Cream", 2), ("Oil", 3), None, ("Cream", 0.3)]
LISTS_SAY = [("Gel", 1), None, ("Gel", 4), ("Oil", 3)]
LABELS = ["Cream", "Gel", "Oil"]


def product_of(row, label, name, ingredients):
    return Product("table", row, label, "", name, ingredients, ingredients, name, f"g {row}")


def logits_of(said):
    logits = torch.zeros(len(said), len(LABELS), dtype=torch.float64)
    for row, found in enumerate(said):
        if found:
            logits[row, LABELS.index(found[0])] = found[1]
    return logits


def judge(data):
    """The report of a pool that adds logits up."""
    pool = Pool.unfitted(data.log_prior)
    families = {"Cream": "face", "Gel": "face"}
    classifier = Classifier(None, data.tokenizer, LABELS, pool, {}, INPUTS, 16, families=families)
    logits = dict(zip(INPUTS, (logits_of(NAMES_SAY), logits_of(LISTS_SAY)), strict=True))
    return report.judge(
        data,
        classifier,
        logits,
        {"best": {"step": 7}, "labels": "full", "command": "train_cls.py"},
        True,
    )


@pytest.fixture(autouse=True)
def run_json(tmp_path):
    write_run_json(tmp_path)


@pytest.fixture
def judged(tokenizer, monkeypatch):
    """The data and its report, without baselines."""
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: None)
    train = [product_of(i, label, f"{label} {i}", "") for i, label in enumerate(["Cream", *LABELS])]
    test = [product_of(10 + i, *row) for i, row in enumerate(TEST)]
    by_split = {"train": train, "valid": train[1:], "test": test}
    data = ClsBatches(
        by_split,
        tokenizer,
        batch_size=2,
        micro_batch_size=2,
        max_length=16,
        ingredient_dropout=0.0,
        seed=0,
    )
    return data, judge(data)


def test_each_case_is_judged_by_its_documents_alone(judged):
    _, found = judged
    answers = {}
    for index, case, answer, *_ in found.answers:
        answers.setdefault(case, {})[index] = answer
    assert answers == {
        "all": {0: "Cream", 1: "Oil", 2: "Gel", 3: "Oil"},
        "name": {0: "Cream", 1: "Oil", 3: "Cream"},
        "ingredients": {0: "Gel", 2: "Gel", 3: "Oil"},
        "both": {0: "Cream", 3: "Oil"},
    }
    accuracies = {case: scores["accuracy"] for case, scores in found.scores["by_input"].items()}
    assert accuracies == pytest.approx({"name": 1 / 3, "ingredients": 2 / 3, "both": 1.0})
    assert found.scores["accuracy"] == 0.75
    assert found.scores["majority_accuracy"] == 0.25, "of training"
    assert found.scores["sizes"] == {"train": 4, "valid": 3, "test": 4}
    assert found.scores["best"]["step"] == 7 and found.scores["labels"] == "full"
    assert set(found.scores["per_class"]) == set(LABELS)


def test_probabilities_are_of_the_pool_and_balanced_answers_are_without_the_prior(judged):
    data, found = judged
    by_key = {(case, index): values for index, case, *values in found.answers}
    exponents = torch.tensor([0.3, 0.0, 3.0]).exp()
    _, probability, balanced, *_ = by_key["all", 3]
    assert probability == pytest.approx((exponents[2] / exponents.sum()).item())
    assert balanced == "Oil"
    # Cream is twice as frequent in training: without that it loses its lead of 0.3
    answer, _, balanced, *_ = by_key["name", 3]
    assert (answer, balanced) == ("Cream", "Gel")
    assert data.log_prior.exp().tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_files_and_text_say_the_same(judged, tmp_path):
    data, found = judged
    text = report.write(tmp_path, data, found)
    assert json.loads((tmp_path / "report.json").read_text()) == found.scores
    rows = (tmp_path / "predictions_test.csv").read_text().splitlines()
    assert rows[0] == "source,row,name,ingredients,label,prediction,probability"
    assert [row.split(",")[:6] for row in rows[1:]] == [
        ["table", "10", "one", "x", "Cream", "Cream"],
        ["table", "11", "two", "", "Gel", "Oil"],
        ["table", "12", "", "y", "Gel", "Gel"],
        ["table", "13", "three", "z", "Oil", "Oil"],
    ]
    assert re.search("as they are +4 +75.0%", text)
    assert re.search("list alone +3 +66.7%", text)
    assert "LinearSVC" not in text
    assert "weights are those of step 7" in text


def test_the_pictures_are_of_the_same_answers(judged, tmp_path, drawn, monkeypatch):
    data, found = judged
    monkeypatch.setattr(plots, "can_draw", lambda: True)
    report.write(tmp_path, data, found)
    assert list(drawn) == list(plots.PICTURES)
    titles = {name: figure.axes[0].get_title() for name, figure in drawn.items()}
    assert titles["confusion.png"] == "4 test products, 75.0% right"
    assert titles["families.png"] == "4 test products, 75.0% with the right family"
    found = curves(drawn["coverage.png"].axes[0])
    ends = {name: points[-1] for name, points in found.items() if points}
    assert ends["as they are (4 products)"] == (1.0, 0.75)
    assert ends["name alone (3 products)"] == pytest.approx((1.0, 1 / 3))
    assert ends["list alone (3 products)"] == pytest.approx((1.0, 2 / 3))
    report.write_splits(tmp_path, data.by_split, [], Ranks(0, 0, 1, torch.device("cpu")))
    assert not list(tmp_path.glob("*.png")), "a new start removes them"


def test_an_untrained_model_has_no_pictures(judged, tmp_path, drawn, monkeypatch):
    data, found = judged
    monkeypatch.setattr(plots, "can_draw", lambda: True)
    untrained = dataclasses.replace(found, scores={**found.scores, "best": {"step": 0}})
    report.write(tmp_path, data, untrained)
    assert not drawn


def test_the_next_command_asks_for_a_product_that_the_model_gets_right(judged, tmp_path):
    data, found = judged
    command = f"python -m beautybert.predict {tmp_path} "
    assert report.command(tmp_path, data, found) == command + "--name three --ingredients z"
    without_three = [answer for answer in found.answers if answer[0] != 3]
    found = dataclasses.replace(found, answers=[(3, "all", "Gel", 0.99), *without_three])
    assert report.command(tmp_path, data, found) == command + "--name one --ingredients x"
    by_list = [answer for answer in judged[1].answers if answer[:2] == (2, "all")]
    found = dataclasses.replace(found, answers=by_list)
    assert report.command(tmp_path, data, found) == command + "--ingredients y"


def test_labels_that_others_stand_for_are_counted_and_named(judged, tmp_path):
    data, found = judged
    assert "canonical" not in report.write(tmp_path, data, found)
    assert redundant(["Moisturizers", "Moisturizer", "Cream", "of no table"]) == 1


def test_the_baseline_is_judged_by_the_documents_of_each_case_too(judged, monkeypatch):
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    data, _ = judged
    svc = {
        "name": ["Cream", "Gel", "Oil", "Cream"],
        "ingredients": ["Oil", "Oil", "Gel", "Oil"],
        "both": ["Oil", "Cream", "Cream", "Oil"],
    }
    for_macro_f1 = {case: labels[::-1] for case, labels in svc.items()}
    answers_of = {"accuracy": svc, "macro_f1": for_macro_f1}
    chosen = {case: {"accuracy": "words, C 1", "macro_f1": f"{case}, C 3"} for case in svc}
    linear = baselines.LinearSvc(answers_of, chosen)
    monkeypatch.setattr(baselines, "linear_svc", lambda data: linear)
    found = judge(data)
    answers, others = {}, {}
    for index, case, *_, answer, other in found.answers:
        answers.setdefault(case, {})[index] = answer
        others.setdefault(case, {})[index] = other
    assert others["both"] == {0: "Oil", 3: "Oil"} and others["name"][1] == "Oil"
    assert answers == {
        "all": {0: "Oil", 1: "Gel", 2: "Gel", 3: "Oil"},
        "name": {0: "Cream", 1: "Gel", 3: "Cream"},
        "ingredients": {0: "Oil", 2: "Gel", 3: "Oil"},
        "both": {0: "Oil", 3: "Oil"},
    }
    assert found.scores["tfidf_linear_svc"]["accuracy"] == 0.75
    assert found.scores["by_input"]["both"]["tfidf_linear_svc"]["accuracy"] == 0.5
    assert found.scores["by_input"]["both"]["linear_svc"] == chosen["both"]
    of_names = found.scores["by_input"]["name"]["tfidf_linear_svc"]
    labels = [TEST[i][0] for i in (0, 1, 3)]
    assert of_names["accuracy"] == 2 / 3
    macro_f1 = f1_score(labels, list(others["name"].values()), average="macro", zero_division=0)
    assert of_names["macro_f1"] == pytest.approx(macro_f1)


def test_a_report_without_any_answer_is_json_that_anybody_reads(judged, tmp_path, monkeypatch):
    """Here every text is of unknown words."""
    data, _ = judged
    nothing = torch.zeros(2, len(TEST), dtype=torch.bool)
    monkeypatch.setattr(Classifier, "readable", lambda self, texts, logits: nothing)
    found = judge(data)
    assert found.scores["accuracy"] == 0 and found.scores["unanswered"] == 4
    assert {answer for _, _, answer, *_ in found.answers} == {""}
    report.write(tmp_path, data, found)

    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)


def test_a_new_start_removes_what_an_earlier_one_wrote_at_its_end(judged, tmp_path):
    data, found = judged
    report.write(tmp_path, data, found)
    ranks = [Ranks(rank, rank, 2, torch.device("cpu")) for rank in (1, 0)]
    report.write_splits(tmp_path, data.by_split, data.by_split["train"], ranks[0])
    assert (tmp_path / "report.json").exists(), "rank 0 alone writes"
    report.write_splits(tmp_path, data.by_split, data.by_split["train"], ranks[1])
    names = {path.name for path in tmp_path.iterdir()}
    assert not names & {"report.json", "predictions_test.csv", "predictions_by_input.csv"}
    assert {"splits.csv", "labels.json", "train_lists.txt"} <= names
    lines = (tmp_path / "train_lists.txt").read_text().splitlines()
    assert lines == ["Cream 0", "Cream 1", "Gel 2", "Oil 3"]


def test_files_are_whole_or_those_of_before(judged, tmp_path, monkeypatch):
    data, found = judged
    report.write(tmp_path, data, found)
    monkeypatch.setattr(report, "WRITTEN_AT_THE_END", ())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    found.scores["ece"] = 0.5
    for write in (
        lambda: report.write(tmp_path, data, found),
        lambda: report.write_csv(tmp_path / "confusion.csv", [("a",)]),
    ):
        with pytest.raises(OSError, match="No space"):
            write()
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_cell_of_a_runs_tables_is_a_formula(tmp_path):
    report.write_csv(tmp_path / "x.csv", [("a", "b"), ("=1+1", -0.5), ("@x, y", "-z")])
    with open(tmp_path / "x.csv", newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["'=1+1", "-0.5"], ["'@x, y", "'-z"]]
