import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import train_cls
from beautybert import predict
from beautybert.bert import wordpiece
from beautybert.cls import classifier as classifiers
from beautybert.cls.ingredients import parse_ingredients
from beautybert.predict import PredictConfig
from tests.conftest import KINDS, ROOT, product_tables


@pytest.fixture(scope="module")
def run(tmp_path_factory, checkpoint) -> train_cls.ClsConfig:
    """A finished run with three labels."""
    folder = tmp_path_factory.mktemp("classifier")
    config = train_cls.ClsConfig(
        **product_tables(folder),
        init="scratch",
        vocab_size=150,
        out=str(folder / "run"),
        max_steps=60,
        batch_size=16,
        micro_batch_size=16,
        max_length=64,
        lr=3e-3,
        amp="none",
    )
    train_cls.main(config)
    return config


@pytest.fixture
def model(run):
    """Classifier and tokenizer of the run."""
    return classifiers.load(Path(run.out)), wordpiece.read(run.out)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "beautybert.predict", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def ask(run, table: pd.DataFrame, tmp_path, **options) -> pd.DataFrame:
    """The answers to a table."""
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    table.to_csv(source, index=False)
    config = PredictConfig(model=run.out, input=str(source), output=str(output), force=True)
    predict.main(replace(config, **options))
    return pd.read_csv(output, keep_default_na=False)


@pytest.mark.skipif(
    "BEAUTYBERT_GROUP_MODEL" not in os.environ,
    reason="BEAUTYBERT_GROUP_MODEL names no run folder of train_cls.py --labels group",
)
def test_a_real_model_knows_the_family_of_fifty_common_products(tmp_path):
    config = PredictConfig(
        model=os.environ["BEAUTYBERT_GROUP_MODEL"],
        input=str(ROOT / "tests" / "cls" / "fifty_products.csv"),
        output=str(tmp_path / "out.csv"),
    )
    predict.main(config)
    answers = pd.read_csv(tmp_path / "out.csv")
    wrong = answers[answers["group"] != answers["prediction"]]
    assert len(answers) == 50
    columns = ["product", "group", "prediction", "probability"]
    assert len(wrong) <= 5, wrong[columns].to_string()


def test_the_command_gives_the_test_predictions_again_from_the_raw_lists(run, tmp_path):
    expected = pd.read_csv(Path(run.out) / "predictions_test.csv")
    raw = {
        "cosmetics": pd.read_csv(run.cosmetics)["Ingredients"],
        "sephora": pd.read_csv(run.sephora)["ingredients"],
    }
    places = zip(expected["source"], expected["row"], strict=True)
    cells = [raw[source][row] for source, row in places]
    table = pd.DataFrame({"my id": range(len(expected)), "list": cells})
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    table.to_csv(source, index=False)
    done = command(run.out, "--input", source, "--column", "list", "--output", output)
    assert done.returncode == 0, done.stderr
    assert f"{len(expected)} rows, 0 of them without an ingredient list" in done.stderr
    found = pd.read_csv(output)
    assert list(found.columns) == ["my id", "list", "prediction", "probability", "reason"]
    assert list(found["my id"]) == list(table["my id"])
    assert list(found["prediction"]) == list(expected["prediction"])
    assert (found["probability"] - expected["probability"]).abs().max() < 1e-5


def test_one_list_is_answered_with_ranked_probabilities_and_an_explanation(run, model):
    """The falls that --explain shows are those of asking again without the ingredient."""
    names = ["Water", "Glycerin", "Sulfate", "Mint"]
    done = command(run.out, "--ingredients", ", ".join(names), "--top-k", 9, "--explain")
    assert done.returncode == 0, done.stderr
    answers, _, explanation = done.stdout.partition("\n\n")

    labels, percentages = [], []
    for line in answers.strip().splitlines():
        percentage, label = line.strip().split("  ", 1)
        labels.append(label.strip())
        percentages.append(float(percentage.strip(" %")))
    assert set(labels) == set(KINDS)
    assert percentages == sorted(percentages, reverse=True)
    assert sum(percentages) == pytest.approx(100, abs=0.3)

    classifier, tokenizer = model
    texts = [", ".join(names)]
    texts += [", ".join(names[:i] + names[i + 1 :]) for i in range(4)]
    probabilities, *without = predict.predict_probabilities(classifier, tokenizer, texts)
    predicted = probabilities.argmax()
    assert classifier.labels[predicted] == labels[0]
    assert 100 * probabilities[predicted] == pytest.approx(percentages[0], abs=0.06)
    falls = {}
    for name, others in zip(names, without, strict=True):
        falls[name] = 100 * (probabilities[predicted] - others[predicted])

    _, _, lines = explanation.partition("falls by (points):\n")
    explained = {}
    for line in lines.strip().splitlines():
        points, name = line.split()
        explained[name] = float(points)
    assert list(explained) == sorted(falls, key=falls.get, reverse=True)
    assert explained == pytest.approx(falls, abs=0.06)


def test_cells_without_a_list_keep_their_row_and_say_why(run, tmp_path):
    cells = ["Water, Carmine, Wax", "unknown", "", "-Mint: Cools your skin and helps it to rest."]
    table = pd.DataFrame({"ingredients": cells, "n": [1, 2, 3, 4]})
    found = ask(run, table, tmp_path, top_k=2)
    assert list(found["reason"]) == ["", "no list given", "empty", "text without a list"]
    assert list(found["n"]) == [1, 2, 3, 4]
    answer = ["prediction", "probability", "prediction_2", "probability_2", "reason"]
    assert list(found.columns[2:]) == answer
    assert {found["prediction"][0], found["prediction_2"][0]} < set(KINDS)
    for column in answer[:-1]:
        assert list(found[column][1:]) == [""] * 3


def test_parts_of_a_table_and_of_a_batch_change_nothing(run, tmp_path, monkeypatch):
    cells = []
    for i in range(20):
        for mark in ("Retinol", "Wax", "Betaine"):
            cells.append(f"Water, {mark}, Acid {i}" + ", Rose" * (i % 4))
    table = pd.DataFrame({"ingredients": cells})
    at_once = ask(run, table, tmp_path)
    monkeypatch.setattr(predict, "ROWS", 7)
    monkeypatch.setattr(predict, "BATCH", 3)
    in_parts = ask(run, table, tmp_path)
    assert len(in_parts) == 60
    assert list(at_once["prediction"]) == list(in_parts["prediction"])
    assert (at_once["probability"] - in_parts["probability"]).abs().max() < 1e-5


def test_the_output_may_be_the_input_and_a_comma_at_the_end_of_rows_moves_nothing(
    run, model, tmp_path, monkeypatch
):
    monkeypatch.setattr(predict, "ROWS", 3)
    cells = [f"Water, {'Betaine' if i % 2 else 'Wax'}, Acid {i}" for i in range(10)]
    rows = [f'{i},"{cell}",\n' for i, cell in enumerate(cells)]
    path = tmp_path / "table.csv"
    path.write_text("id,ingredients\n" + "".join(rows))
    expected = predict.predict_cells(*model, cells, top_k=1)
    predict.main(PredictConfig(model=run.out, input=str(path), output=str(path), force=True))
    found = pd.read_csv(path)
    assert list(found.columns) == ["id", "ingredients", "prediction", "probability", "reason"]
    assert list(found["id"]) == list(range(10))
    assert list(found["prediction"]) == [answer["prediction"] for answer in expected]
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    message = "already has the column prediction, probability, reason, which the answers would take"
    with pytest.raises(ValueError, match=message):
        predict.main(PredictConfig(model=run.out, input=str(path)))


def test_a_table_without_rows_is_a_table_without_answers(run, tmp_path):
    found = ask(run, pd.DataFrame({"ingredients": []}), tmp_path)
    assert list(found.columns) == ["ingredients", "prediction", "probability", "reason"]
    assert len(found) == 0


def test_a_list_of_ten_thousand_ingredients_is_answered_and_not_explained(run, model):
    long = ", ".join(["Sulfate", *(f"Extract {i}" for i in range(10_000))])
    assert len(parse_ingredients(long).names) == 10_001
    (answer,) = predict.predict_cells(*model, [long], top_k=1)
    assert answer["prediction"] in KINDS
    with pytest.raises(ValueError, match="--explain .* takes at most 300, not 10,001"):
        predict.main(PredictConfig(model=run.out, ingredients=long, explain=True))


LABEL_TABLE = "beautybert/cls/tables/labels.csv"


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "give one of --ingredients and --input"),
        ({"ingredients": "No Info"}, "--ingredients holds no ingredient list: no list given"),
        ({"ingredients": " "}, "--ingredients holds no ingredient list: empty"),
        (
            {"ingredients": "Water, Oil", "model": "nowhere"},
            "nowhere: no such folder; name the run folder of train_cls.py",
        ),
        (
            {"ingredients": "Water, Oil", "output": "x.csv", "top_k": 0},
            "--top-k must be at least 1, not 0; --output is for --input",
        ),
        ({"input": "nowhere.csv"}, "--input nowhere.csv: no such file"),
        ({"input": LABEL_TABLE, "explain": True}, "--explain is for --ingredients"),
        (
            {"input": LABEL_TABLE},
            f"--input {LABEL_TABLE} has no column 'ingredients'; it has label, canonical, group, "
            "dropped. Name one with --column",
        ),
        (
            {"input": LABEL_TABLE, "output": "README.md"},
            "--output README.md exists; add --force",
        ),
        (
            {"input": LABEL_TABLE, "output": "nowhere/out.csv"},
            "--output nowhere/out.csv: there is no folder nowhere",
        ),
    ],
)
def test_mistakes_are_named(run, monkeypatch, options, message):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match=message):
        predict.main(replace(PredictConfig(model=run.out), **options))


def test_a_folder_that_is_no_classifier_is_named(checkpoint):
    done = command(checkpoint, "--ingredients", "Water, Oil")
    assert done.returncode == 2
    assert "holds no classifier" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_model_of_another_reader_is_used_with_a_warning(run, tmp_path, capsys):
    folder = tmp_path / "older"
    shutil.copytree(run.out, folder)
    arguments = {"model": str(folder), "ingredients": "Water, Glycerin, Mica"}
    predict.main(predict.PredictConfig(**arguments))
    assert "warning" not in capsys.readouterr().err
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"reader_tables": "other"}))
    predict.main(predict.PredictConfig(**arguments))
    assert "was trained on lists read with other tables" in capsys.readouterr().err
