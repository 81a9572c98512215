import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import train_cls
from beautybert import predict
from beautybert.bert import wordpiece
from beautybert.cls import classifier
from beautybert.cls.ingredients import parse_ingredients
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


@pytest.mark.skipif(
    "BEAUTYBERT_GROUP_MODEL" not in os.environ,
    reason="BEAUTYBERT_GROUP_MODEL names no run folder of train_cls.py --labels group",
)
def test_a_real_model_knows_the_family_of_fifty_common_products(tmp_path):
    predict.main(
        predict.Config(
            model=os.environ["BEAUTYBERT_GROUP_MODEL"],
            input=str(ROOT / "tests" / "fifty_products.csv"),
            output=str(tmp_path / "out.csv"),
        )
    )
    answers = pd.read_csv(tmp_path / "out.csv")
    wrong = answers[answers["group"] != answers["prediction"]]
    assert len(answers) == 50 and len(wrong) <= 5, wrong[
        ["product", "group", "prediction", "probability"]
    ].to_string()


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "beautybert.predict", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def ask(run, table: pd.DataFrame, tmp_path, **options) -> pd.DataFrame:
    table.to_csv(tmp_path / "in.csv", index=False)
    predict.main(
        predict.Config(
            model=run.out,
            input=str(tmp_path / "in.csv"),
            output=str(tmp_path / "out.csv"),
            force=True,
            **options,
        )
    )
    return pd.read_csv(tmp_path / "out.csv", keep_default_na=False)


def test_the_command_gives_the_test_predictions_again_from_the_raw_lists(run, tmp_path):
    expected = pd.read_csv(Path(run.out) / "predictions_test.csv")
    raw = {
        "cosmetics": pd.read_csv(run.cosmetics).Ingredients,
        "sephora": pd.read_csv(run.sephora).ingredients,
    }
    pd.DataFrame(
        {
            "my id": range(len(expected)),
            "list": [raw[s][r] for s, r in zip(expected.source, expected.row)],
        }
    ).to_csv(tmp_path / "in.csv", index=False)
    done = command(
        run.out,
        "--input",
        tmp_path / "in.csv",
        "--column",
        "list",
        "--output",
        tmp_path / "out.csv",
    )
    assert (
        done.returncode == 0
        and f"{len(expected)} rows, 0 of them without an ingredient list" in done.stderr
    ), done.stderr
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found.columns) == ["my id", "list", "prediction", "probability", "reason"] and list(
        found["my id"]
    ) == list(range(len(expected)))
    assert (
        list(found.prediction) == list(expected.prediction)
        and (found.probability - expected.probability).abs().max() < 1e-5
    )


def test_one_list_is_answered_with_ranked_probabilities_and_an_explanation(run):
    """The falls that --explain shows are those of asking again without the ingredient."""
    names = ["Water", "Glycerin", "Sulfate", "Mint"]
    done = command(run.out, "--ingredients", ", ".join(names), "--top-k", 9, "--explain")
    assert done.returncode == 0, done.stderr
    ranked = [
        line.strip().split("  ", 1) for line in done.stdout.split("\n\n")[0].strip().splitlines()
    ]
    shares = [float(share.strip(" %")) for share, _ in ranked]
    assert (
        {label.strip() for _, label in ranked} == set(KINDS)
        and shares == sorted(shares, reverse=True)
        and sum(shares) == pytest.approx(100, abs=0.3)
    )
    classifier, tokenizer = classifier.load(Path(run.out)), wordpiece.read(run.out)
    whole, *without = predict.probabilities_of(
        classifier,
        tokenizer,
        [", ".join(names), *(", ".join(names[:i] + names[i + 1 :]) for i in range(4))],
    )
    assert classifier.labels[whole.argmax()] == ranked[0][
        1
    ].strip() and 100 * whole.max() == pytest.approx(shares[0], abs=0.06)
    falls = {name: whole.max() - row[whole.argmax()] for name, row in zip(names, without)}
    explained = [
        line.split() for line in done.stdout.split("falls by (points):\n")[1].strip().splitlines()
    ]
    assert [name for _, name in explained] == sorted(falls, key=falls.get, reverse=True)
    assert [float(points) for points, _ in explained] == pytest.approx(
        [100 * falls[name] for _, name in explained], abs=0.06
    )


def test_cells_without_a_list_keep_their_row_and_say_why(run, tmp_path):
    table = pd.DataFrame(
        {
            "ingredients": [
                "Water, Carmine, Wax",
                "unknown",
                "",
                "-Mint: Cools your skin and helps it to rest.",
            ],
            "n": [1, 2, 3, 4],
        }
    )
    found = ask(run, table, tmp_path, top_k=2)
    assert list(found.reason) == ["", "no list given", "empty", "text without a list"] and list(
        found.n
    ) == [1, 2, 3, 4]
    assert (
        found.prediction[0] in KINDS
        and found.prediction_2[0] in KINDS
        and list(found.prediction[1:]) == [""] * 3
        and list(found.columns[2:])
        == ["prediction", "probability", "prediction_2", "probability_2", "reason"]
    )


def test_parts_of_a_table_and_of_a_batch_change_nothing(run, tmp_path, monkeypatch):
    table = pd.DataFrame(
        {
            "ingredients": [
                f"Water, {mark}, Acid {i}" + ", Rose" * (i % 4)
                for i in range(20)
                for mark in ("Retinol", "Wax", "Betaine")
            ]
        }
    )
    whole = ask(run, table, tmp_path)
    monkeypatch.setattr(predict, "ROWS", 7)
    monkeypatch.setattr(predict, "BATCH", 3)
    parts = ask(run, table, tmp_path)
    assert (
        list(whole.prediction) == list(parts.prediction)
        and (whole.probability - parts.probability).abs().max() < 1e-5
        and len(parts) == 60
    )


def test_the_output_may_be_the_input_and_a_comma_at_the_end_of_rows_moves_nothing(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(predict, "ROWS", 3)
    path = tmp_path / "table.csv"
    cells = [f"Water, {'Betaine' if i % 2 else 'Wax'}, Acid {i}" for i in range(10)]
    path.write_text(
        "id,ingredients\n" + "".join(f'{i},"{cell}",\n' for i, cell in enumerate(cells))
    )
    expected = predict.answers(classifier.load(Path(run.out)), wordpiece.read(run.out), cells, 1)
    predict.main(predict.Config(model=run.out, input=str(path), output=str(path), force=True))
    found = pd.read_csv(path)
    assert (
        list(found.columns) == ["id", "ingredients", "prediction", "probability", "reason"]
        and list(found.id) == list(range(10))
        and list(found.prediction) == [answer["prediction"] for answer in expected]
    )
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    with pytest.raises(
        ValueError,
        match="already has the column prediction, probability, reason, which the answers would take",
    ):
        predict.main(predict.Config(model=run.out, input=str(path)))


def test_a_table_without_rows_is_a_table_without_answers(run, tmp_path):
    assert list(ask(run, pd.DataFrame({"ingredients": []}), tmp_path).columns) == [
        "ingredients",
        "prediction",
        "probability",
        "reason",
    ]


def test_a_list_of_ten_thousand_ingredients_is_answered_and_not_explained(run):
    long = ", ".join(["Sulfate", *(f"Extract {i}" for i in range(10_000))])
    classifier, tokenizer = classifier.load(Path(run.out)), wordpiece.read(run.out)
    assert (
        predict.answers(classifier, tokenizer, [long], 1)[0]["prediction"] in classifier.labels
        and len(parse_ingredients(long).names) == 10_001
    )
    with pytest.raises(ValueError, match="--explain .* takes at most 300, not 10,001"):
        predict.main(predict.Config(model=run.out, ingredients=long, explain=True))


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
            "--output goes with --input; --top-k must be at least 1",
        ),
        ({"input": "nowhere.csv"}, "--input nowhere.csv: no such file"),
        ({"input": "setup.cfg", "explain": True}, "--explain goes with --ingredients"),
        (
            {"input": "beautybert/cls/tables/labels.csv"},
            "--input beautybert/cls/tables/labels.csv has no column 'ingredients'; it has label, canonical, group, dropped. Name one with --column",
        ),
        (
            {"input": "beautybert/cls/tables/labels.csv", "output": "README.md"},
            "--output README.md exists; add --force",
        ),
        (
            {"input": "beautybert/cls/tables/labels.csv", "output": "nowhere/out.csv"},
            "--output nowhere/out.csv: there is no folder nowhere",
        ),
    ],
)
def test_mistakes_are_named(run, monkeypatch, options, message):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match=message):
        predict.main(replace(predict.Config(model=run.out), **options))


def test_a_folder_that_is_no_classifier_is_named(checkpoint):
    done = command(checkpoint, "--ingredients", "Water, Oil")
    assert (
        done.returncode == 2
        and "holds no classifier" in done.stderr
        and len(done.stderr.strip().splitlines()) == 1
    )
