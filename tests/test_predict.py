import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import train_cls
from beautybert import Classifier, predict
from beautybert.cls import classifier as classifiers
from beautybert.cls import scoring
from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.labels import synonyms
from beautybert.cls.pool import BALANCED, CASES
from beautybert.cls.products import INPUTS
from beautybert.predict import PredictConfig
from beautybert.training import options as option_types
from beautybert.training import sample
from tests.conftest import KINDS, ROOT, product_tables, record

FIFTY_PRODUCTS = ROOT / "tests" / "cls" / "fifty_products.csv"
LABEL_TABLE = "beautybert/cls/tables/labels.csv"
LISTS = {"Serum": "Water, Retinol, Mint", "Lipstick": "Rose, Wax", "Shampoo": "Water, Betaine"}
NAMES = {"Serum": "Velvet Drops", "Lipstick": "Moon Stick", "Shampoo": "Silk Wash"}


def train(folder, **changes) -> train_cls.ClsConfig:
    """A finished run with three labels."""
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
    config = replace(config, **changes)
    train_cls.main(config)
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> train_cls.ClsConfig:
    """A run of names and lists that has learned what tells the labels apart."""
    return train(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module", params=INPUTS)
def run_of_one_input(request, tmp_path_factory) -> train_cls.ClsConfig:
    """A run that reads one input, and has learned little."""
    return train(tmp_path_factory.mktemp("classifier"), inputs=(request.param,), max_steps=3)


@pytest.fixture(scope="module")
def classifier(run) -> Classifier:
    return Classifier.load(run.out)


def with_config(run, folder, **changes) -> train_cls.ClsConfig:
    """The run in another folder, with another config.json."""
    shutil.copytree(run.out, folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return replace(run, out=str(folder))


def pool_of(weight, log_prior=(0.0, 0.0, 0.0)):
    """For config.json: a pool that gives every document the same weight."""
    weights = {
        case: {**dict.fromkeys(parts, weight), BALANCED: -1.0} for case, parts in CASES.items()
    }
    return {"weights": weights, "log_prior": list(log_prior)}


@pytest.fixture(scope="module")
def unsure_run(run, tmp_path_factory) -> train_cls.ClsConfig:
    """The run with probabilities that are far from 1."""
    return with_config(run, tmp_path_factory.mktemp("unsure") / "run", pool=pool_of(0.1))


@pytest.fixture(scope="module")
def catalogue() -> pd.DataFrame:
    """Products with a name, a list or both, and rows that cannot be answered."""
    rows = [(label, NAMES[label], LISTS[label]) for label in KINDS]
    rows += [(label, NAMES[label], "") for label in KINDS]
    rows += [(label, "", LISTS[label]) for label in KINDS]
    rows += [
        ("Serum", "Café Drops", "Water,\nRetinol"),
        ("Serum", "", "unknown"),
        ("Serum", "Xqzvw Kjhgt", "-Mint: Cools your skin and helps it to rest."),
        ("Shampoo", "Xqzvw Kjhgt", LISTS["Shampoo"]),
    ]
    table = pd.DataFrame(rows, columns=["category", "name", "ingredients"])
    table.insert(0, "my id", [f"{i:03}" for i in range(len(rows))])
    return table


LEFT_OUT = {12: "hardly any word of the name is known"}  # of an answer from the list
REASONS = {
    10: "no name; no list given",
    11: "hardly any word of the name is known; text without a list",
}


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "beautybert.predict", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "data, expected", [(["data/sample/cosmetics.csv"], 1), (["data/a.csv"], 0), (3, 0), (None, 0)]
)
def test_a_model_of_the_generated_sample_says_so(
    run, tmp_path, monkeypatch, capsys, data, expected
):
    folder = tmp_path / "run"
    shutil.copytree(run.out, folder)
    contents = json.loads((folder / "run.json").read_text())
    contents["config"]["data"] = data
    (folder / "run.json").write_text(json.dumps(contents))
    assert exit_code(monkeypatch, folder, "--name", NAMES["Serum"]) == 0
    assert capsys.readouterr().err.count(sample.NOTE) == expected


def exit_code(monkeypatch, *arguments):
    """The exit code of the command line, run in this process: imports cost no time."""
    monkeypatch.setattr("sys.argv", ["predict", *map(str, arguments)])
    return option_types.run_command(PredictConfig, None, predict.main)


def ask(run, table, tmp_path, **options) -> pd.DataFrame:
    """The answers to a table or to the file of one, as text."""
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    if isinstance(table, pd.DataFrame):
        table.to_csv(source, index=False)
    else:
        source = table
    config = PredictConfig(model=run.out, input=str(source), output=str(output), force=True)
    predict.main(replace(config, **options))
    return read_text(output)


def read_text(path, separator=",") -> pd.DataFrame:
    return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)


def numbers(column) -> list[float | None]:
    """A column of probabilities; None where there is none."""
    return [float(cell) if cell else None for cell in column]


# ---- real models -------------------------------------------------------------------------------


@pytest.mark.skipif(
    "BEAUTYBERT_GROUP_MODEL" not in os.environ,
    reason="BEAUTYBERT_GROUP_MODEL names no run folder of train_cls.py --labels group",
)
@pytest.mark.parametrize(
    "read, at_least", [(["name", "ingredients"], 48), (["ingredients"], 45)], ids=["both", "list"]
)
def test_a_real_model_knows_the_family_of_fifty_common_products(tmp_path, read, at_least):
    table = read_text(FIFTY_PRODUCTS)
    table[read].to_csv(tmp_path / "in.csv", index=False)
    config = PredictConfig(
        model=os.environ["BEAUTYBERT_GROUP_MODEL"],
        input=str(tmp_path / "in.csv"),
        output=str(tmp_path / "out.csv"),
    )
    predict.main(config)
    answers = read_text(tmp_path / "out.csv")
    assert len(answers) == 50
    answers.insert(0, "group", table["group"])
    wrong = answers[answers["group"] != answers["prediction"]]
    columns = ["group", *read[:1], "prediction", "probability"]
    assert 50 - len(wrong) >= at_least, wrong[columns].to_string()


# ---- one product -------------------------------------------------------------------------------


def without_each(units):
    return [units[:i] + units[i + 1 :] for i in range(len(units))]


def test_one_product_is_answered_with_ranked_probabilities_and_an_explanation(
    run, classifier, monkeypatch, capsys
):
    """The drops that --explain shows are those of asking again without the word or ingredient."""
    words, listed = ["Velvet", "Drops", "Daily"], ["Water", "Glycerin", "Sulfate", "Mint"]
    name, cell = " ".join(words), ", ".join(listed)
    given = ("--name", name, "--ingredients", cell)
    assert exit_code(monkeypatch, run.out, *given, "--top-k", 9, "--explain") == 0
    answers, _, explanation = capsys.readouterr().out.partition("\n\n")

    (expected,) = classifier.predict([cell], [name], top_k=3)
    found = {}
    for line in answers.strip().splitlines():
        percentage, label = line.strip().split("  ", 1)
        found[label] = float(percentage.strip(" %"))
    assert list(found) == list(expected.labels)
    assert set(found) == set(KINDS)
    assert list(found.values()) == pytest.approx(
        [100 * p for p in expected.probabilities], abs=0.06
    )

    asked = [(" ".join(rest), cell) for rest in without_each(words)]
    asked += [(name, ", ".join(rest)) for rest in without_each(listed)]
    again = classifier.predict([cell for _, cell in asked], [name for name, _ in asked], top_k=3)
    drops = {}
    for unit, answer in zip([f"{word} (name)" for word in words] + listed, again, strict=True):
        left = dict(zip(answer.labels, answer.probabilities, strict=True))[expected.labels[0]]
        drops[unit] = 100 * (expected.probabilities[0] - left)
    title, *lines = explanation.strip().splitlines()
    assert title.endswith("falls by (points):")
    explained = {}
    for line in lines:
        points, unit = line.split(None, 1)
        explained[unit] = float(points)
    assert explained == pytest.approx(drops, abs=0.06)
    assert list(explained.values()) == sorted(explained.values(), reverse=True)
    assert max(drops.values()) > 1


def test_a_name_or_a_list_alone_is_answered(run, classifier, capsys):
    for part, cell in [("name", "Velvet Drops"), ("ingredients", "Water, Retinol, Mint")]:
        predict.main(PredictConfig(model=run.out, **{part: cell}))
        given = "names" if part == "name" else part
        (answer,) = classifier.predict(**{given: [cell]})
        line = f"{answer.probabilities[0]:6.1%}  {answer.labels[0]}\n"
        assert capsys.readouterr() == (line, "")


@pytest.mark.parametrize(
    "given, reason",
    [
        ({"ingredients": "No Info"}, "no list given"),
        ({"ingredients": " "}, "no list"),
        ({"name": "N/A"}, "no name"),
        ({"name": "Xqzvw Kjhgt"}, "hardly any word of the name is known"),
        ({"name": "", "ingredients": "水、甘油"}, "no name; not in Latin letters"),
    ],
)
def test_a_product_that_cannot_be_answered_is_an_error_with_the_reason(run, given, reason):
    with pytest.raises(ValueError) as raised:
        predict.main(PredictConfig(model=run.out, **given, explain=True))
    assert str(raised.value) == f"no answer: {reason}"


def test_an_unsure_answer_is_told_apart_from_none(unsure_run, capsys):
    asked = PredictConfig(model=unsure_run.out, name="Velvet Drops", min_probability=0.99)
    predict.main(asked)
    assert capsys.readouterr().out == "no answer: probability below 0.99\n"
    predict.main(replace(asked, family=True))
    out = capsys.readouterr().out
    assert out == "probability below 0.99\n100.0%  all (family)\n"


def test_a_list_of_ten_thousand_ingredients_is_answered_and_not_explained(
    run, classifier, tmp_path
):
    long = ", ".join(["Sulfate", *(f"Water {i}" for i in range(10_000))])
    assert len(parse_ingredients(long).names) == 10_001
    with pytest.raises(ValueError, match="--explain .* takes at most 300, not 10,001"):
        predict.main(PredictConfig(model=run.out, ingredients=long, explain=True))
    table = pd.DataFrame({"ingredients": [long, "Water, Sulfate"]})
    found = ask(run, table, tmp_path, explain=True)
    assert found["prediction"][0] == classifier.predict([long])[0].labels[0]
    assert found["explanation"][0] == "not explained: more than 300 ingredients and words"
    assert found["explanation"][1].startswith("Sulfate (+")


# ---- a table -----------------------------------------------------------------------------------


def raw_cells(run, products) -> pd.DataFrame:
    """Name and list of products of the run's tables, as its files have them."""
    tables = {Path(path).stem: read_text(path) for path in run.data}
    columns = {"cosmetics": ["Name", "Ingredients"], "sephora": ["name", "ingredients"]}
    cells = [
        tables[source].loc[int(row), columns[source]].tolist()
        for source, row in zip(products["source"], products["row"], strict=True)
    ]
    return pd.DataFrame(cells, columns=["title", "inci"])


def test_the_command_gives_the_test_predictions_again_from_raw_names_and_lists(run, tmp_path):
    expected = read_text(Path(run.out) / "predictions_test.csv")
    table = raw_cells(run, expected)
    assert table.map(bool).drop_duplicates().shape == (3, 2)  # both, names and lists
    table.insert(0, "my id", range(len(table)))
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    table.to_csv(source, index=False)
    done = command(run.out, "--input", source, "--output", output)
    assert done.returncode == 0, done.stderr
    num_unanswered = (expected["prediction"] == "").sum()
    start = f"{len(expected)} rows, {num_unanswered} of them without an answer"
    assert done.stderr.splitlines()[0] == start
    assert done.stdout == ""
    found = read_text(output)
    added = ["prediction", "probability", "reason"]
    assert list(found.columns) == ["my id", "title", "inci", *added]
    assert list(found["my id"]) == [str(i) for i in range(len(expected))]
    assert list(found["prediction"]) == list(expected["prediction"])
    pairs = zip(numbers(found["probability"]), numbers(expected["probability"]), strict=True)
    assert all(one == pytest.approx(other, abs=2e-6) for one, other in pairs if one is not None)


def test_every_row_is_a_row_of_the_answer_with_a_label_or_a_reason(
    run, classifier, catalogue, tmp_path, capsys
):
    header = pd.DataFrame([list(catalogue)], columns=list(catalogue))
    table = pd.concat([catalogue[:5], header, catalogue[5:]])
    found = ask(run, table, tmp_path, top_k=2)
    assert found[list(table)].values.tolist() == table.values.tolist()
    answer = ["prediction", "probability", "prediction_2", "probability_2", "reason"]
    assert list(found.columns) == [*table, *answer]
    assert found.loc[5, answer].tolist() == ["", "", "", "", "header again"]
    rest = found.drop(5).reset_index(drop=True)
    expected = classifier.predict(list(rest["ingredients"]), list(rest["name"]), top_k=2)
    for i, one in enumerate(expected):
        row = rest.loc[i]
        assert row["reason"] == (REASONS | LEFT_OUT).get(i, "")
        assert one.reason == row["reason"]
        assert [row["prediction"], row["prediction_2"]] == list(one.labels or ("", ""))
        values = [row["probability"], row["probability_2"]]
        assert numbers(values) == pytest.approx(list(one.probabilities or (None, None)), abs=1e-6)
    assert sum(rest["prediction"] == rest["category"]) >= 9  # the run has learned something
    printed = capsys.readouterr()
    assert printed.out == ""
    *said, last = printed.err.splitlines()
    assert re.fullmatch(rf"{tmp_path / 'out.csv'}: \d+ s, [\d,]+ rows a second", last)
    assert sorted(said) == sorted(
        [f"{len(table)} rows, 3 of them without an answer"]
        + [f"  1 {reason}" for reason in ["header again", *REASONS.values()]]
        + ["read: name from 'name', ingredients from 'ingredients'"]
    )


@pytest.mark.parametrize("part", INPUTS)
def test_a_table_of_names_or_of_lists_alone_is_answered(run, classifier, catalogue, tmp_path, part):
    found = ask(run, catalogue[["my id", part]], tmp_path)
    cells = {"names" if part == "name" else part: list(catalogue[part])}
    expected = classifier.predict(**cells)
    assert list(found["prediction"]) == ["".join(answer.labels) for answer in expected]
    assert list(found["reason"]) == [answer.reason for answer in expected]
    assert "no name" in set(found["reason"]) or "no list" in set(found["reason"])


def test_parts_of_a_table_and_of_a_batch_change_nothing(run, catalogue, tmp_path, monkeypatch):
    table = pd.concat([catalogue] * 3, ignore_index=True)
    at_once = ask(run, table, tmp_path)
    monkeypatch.setattr(predict, "ROWS", 7)
    monkeypatch.setattr(classifiers, "BATCH", 3)
    calls = []
    original = Classifier.predict

    def counted(self, *cells, **options):
        calls.append(len(cells[0]))
        return original(self, *cells, **options)

    monkeypatch.setattr(Classifier, "predict", counted)
    in_parts = ask(run, table, tmp_path)
    assert calls == [7, 7, 7, 7, 7, 4]
    kept = [column for column in at_once if column != "probability"]
    assert at_once[kept].equals(in_parts[kept])
    one, other = numbers(at_once["probability"]), numbers(in_parts["probability"])
    assert [p for p in one if p is not None] == pytest.approx(
        [p for p in other if p is not None], abs=1e-5
    )


def test_an_empty_line_of_a_table_with_one_column_is_a_row(run, tmp_path):
    path = tmp_path / "lists.csv"
    path.write_text('ingredients\n\n"Water, Wax"\n\n\n"Mint, Betaine"\n')
    found = ask(run, path, tmp_path)
    assert list(found["ingredients"]) == ["", "Water, Wax", "", "", "Mint, Betaine"]
    assert list(found["reason"]) == ["no list", "", "no list", "no list", ""]


def test_a_table_without_rows_is_a_table_without_answers(run, tmp_path):
    found = ask(run, pd.DataFrame({"ingredients": []}), tmp_path)
    assert list(found.columns) == ["ingredients", "prediction", "probability", "reason"]
    assert len(found) == 0


def test_rows_say_what_carried_their_answer(run, classifier, catalogue, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "IN_EXPLANATION", 2)
    table = catalogue[["name", "ingredients"]].copy()
    table.loc[len(table)] = ["Velvet Garden Drops", "Water, Retinol, Niacinamide, Mint, Rose"]
    found = ask(run, table, tmp_path, explain=True)
    assert list(found.columns[-2:]) == ["explanation", "reason"]
    num_carrying = []
    for i, (name, cell) in enumerate(table.values.tolist()):
        drops = [(unit, drop) for _, unit, drop in classifier.explain(cell, name) if drop > 0]
        num_carrying.append(len(drops))
        expected = "; ".join(f"{unit} ({100 * drop:+.1f})" for unit, drop in drops[:2])
        assert found["explanation"][i] == expected
        assert bool(expected) == (i not in REASONS)
    assert max(num_carrying) > 2
    assert found["explanation"][7].startswith("Wax (+")


def test_a_run_that_is_not_finished_is_no_model_to_trust(run, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run.out, folder)
    flags = (folder, "--name", NAMES["Serum"])
    assert exit_code(monkeypatch, *flags) == 0
    assert "not finished" not in capsys.readouterr().err
    (folder / "report.json").unlink()
    assert exit_code(monkeypatch, *flags) == 0
    assert "is not finished: these are the best weights so far" in capsys.readouterr().err
    (folder / "model.safetensors").unlink()
    assert exit_code(monkeypatch, *flags) == 2
    assert "is a run that is not finished; continue it with --resume" in capsys.readouterr().err


@pytest.mark.parametrize("asked, chosen", [(None, 1), (3, 3)])
def test_a_small_model_answers_with_one_thread(run, monkeypatch, asked, chosen):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    set_to = []
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    predict.main(PredictConfig(model=run.out, name=NAMES["Serum"], threads=asked))
    assert set_to == [chosen]


def test_the_header_once_more_is_not_asked(run, tmp_path):
    table = pd.DataFrame({"Velvet Drops": ["Moon Stick", "Velvet Drops"]})
    found = ask(run, table, tmp_path, columns=("name=Velvet Drops",))
    assert list(found["prediction"]) == ["Lipstick", ""]
    assert list(found["reason"]) == ["", "header again"]


# ---- forms of tables ---------------------------------------------------------------------------


def csv_text(table, separator=",", line_end="\n") -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, lineterminator=line_end)
    writer.writerow(table.columns)
    writer.writerows(table.values.tolist())
    return file.getvalue()


def json_text(table) -> str:
    rows = table.to_dict("records")
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


FORMS = {
    "semicolons.csv": lambda table: csv_text(table, ";", "\r\n").encode("utf-8-sig"),
    "cp1252.csv": lambda table: csv_text(table).encode("cp1252"),
    "utf-16.txt": lambda table: csv_text(table, "\t", "\r\n").encode("utf-16"),
    "tabs.tsv": lambda table: csv_text(table, "\t").encode(),
    "headers.csv": lambda table: csv_text(
        table.rename(columns={"name": " PRODUCT_NAME ", "ingredients": "Ingredients List"})
    ).encode(),
    "lines.jsonl": lambda table: json_text(table).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_in_another_form_has_the_answers_of_a_plain_one(run, catalogue, tmp_path, form):
    expected = ask(run, catalogue, tmp_path)
    path = tmp_path / form
    path.write_bytes(FORMS[form](catalogue))
    ask(run, path, tmp_path)
    is_marked = any(name in form for name in ("cp1252", "utf-16", "semicolons"))
    text = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert text.startswith("\ufeff") == is_marked
    separator = ";" if text.removeprefix("\ufeff").startswith("my id;category;") else ","
    assert (separator == ";") == (form == "semicolons.csv")
    found = read_text(tmp_path / "out.csv", separator)
    assert found.values.tolist() == expected.values.tolist()
    names = expected.columns
    if form == "headers.csv":
        names = ["my id", "category", " PRODUCT_NAME ", "Ingredients List", *names[4:]]
    assert list(found.columns) == list(names)


def test_answers_are_written_in_the_form_that_the_ending_says(run, catalogue, tmp_path):
    expected = ask(run, catalogue, tmp_path, top_k=2, explain=True)
    source = str(tmp_path / "in.csv")
    for ending, separator in [(".csv", ","), (".TSV", "\t"), (".txt", ","), (".tsv", "\t")]:
        output = tmp_path / f"answers{ending}"
        predict.main(
            PredictConfig(
                model=run.out, input=source, output=str(output), top_k=2, explain=True, force=True
            )
        )
        assert read_text(output, separator).equals(expected), ending
        assert output.read_text(encoding="utf-8").startswith(separator.join(["my id", "category"]))
    output = tmp_path / "answers.jsonl"
    predict.main(
        PredictConfig(model=run.out, input=source, output=str(output), top_k=2, explain=True)
    )
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert "Café" in output.read_text(encoding="utf-8")
    assert [list(row) for row in rows] == [list(expected.columns)] * len(expected)
    for row, plain in zip(rows, expected.to_dict("records"), strict=True):
        for column, value in row.items():
            if value is None:
                assert plain[column] == "" and column in expected.columns[4:]
                continue
            is_number = column.startswith("probability")
            assert isinstance(value, float if is_number else str)
            assert (float(plain[column]) if is_number else plain[column]) == value


def test_rows_with_fewer_cells_are_answered_and_counted(run, tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("name,id\nMoon Stick\nVelvet Drops,2\nSilk Wash\n")
    found = ask(run, path, tmp_path)
    assert list(found["prediction"]) == ["Lipstick", "Serum", "Shampoo"]
    assert list(found["id"]) == ["", "2", ""]
    assert "  2 rows have fewer cells than the header" in capsys.readouterr().err.splitlines()


def test_without_output_the_table_is_printed_alone(run, catalogue, tmp_path, capsys):
    expected = ask(run, catalogue, tmp_path)
    capsys.readouterr()
    predict.main(PredictConfig(model=run.out, input=str(tmp_path / "in.csv")))
    printed = capsys.readouterr()
    assert read_text(io.StringIO(printed.out)).equals(expected)
    assert printed.err.startswith(f"{len(catalogue)} rows, 2 of them without an answer\n")


def test_a_cell_with_line_breaks_of_any_kind_stays_one_cell(run, tmp_path):
    path = tmp_path / "table.csv"
    notes = ["one\rtwo", "one\ntwo", "one\r\ntwo"]
    rows = [f'"{note}","Water, Wax"\n' for note in notes]
    path.write_bytes(("note,ingredients\n" + "".join(rows)).encode())
    predict.main(PredictConfig(model=run.out, input=str(path), output=str(tmp_path / "out.csv")))
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["note"] for row in found] == notes
    assert {row["prediction"] for row in found} == {"Lipstick"}


# ---- files -------------------------------------------------------------------------------------


def test_the_output_may_be_the_input_and_a_comma_at_the_end_of_rows_moves_nothing(
    run, classifier, tmp_path, monkeypatch
):
    monkeypatch.setattr(predict, "ROWS", 3)
    cells = [f"Water, {'Betaine' if i % 2 else 'Wax'}, Acid {i}" for i in range(10)]
    rows = [f'{i},"{cell}",\n' for i, cell in enumerate(cells)]
    path = tmp_path / "table.csv"
    path.write_text("id,ingredients\n" + "".join(rows))
    expected = classifier.predict(cells)
    predict.main(PredictConfig(model=run.out, input=str(path), output=str(path), force=True))
    found = read_text(path)
    assert list(found.columns) == ["id", "ingredients", "prediction", "probability", "reason"]
    assert list(found["id"]) == [str(i) for i in range(10)]
    assert list(found["prediction"]) == [answer.labels[0] for answer in expected]
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    message = (
        "already has columns that the answers would take, 'prediction', 'probability', 'reason'"
    )
    with pytest.raises(ValueError, match=message):
        predict.main(PredictConfig(model=run.out, input=str(path)))


def test_after_a_failure_in_the_middle_nothing_is_left_and_nothing_is_lost(
    run, catalogue, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "table.csv"
    catalogue.to_csv(path, index=False)
    before = path.read_bytes()
    monkeypatch.setattr(predict, "ROWS", 4)
    original, calls = Classifier.predict, []

    def failing(self, *cells, **options):
        calls.append(cells)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return original(self, *cells, **options)

    monkeypatch.setattr(Classifier, "predict", failing)
    for output in ("answers.csv", "table.csv"):
        calls.clear()
        flags = ("--input", path, "--output", tmp_path / output, "--force")
        assert exit_code(monkeypatch, run.out, *flags) == 2
        assert len(calls) == 3
        said = f"error: [Errno 28] No space left on device: '{tmp_path / output}'\n"
        assert capsys.readouterr().err == said
        assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,b\n1,2\n", "has no column that is known to hold what the model reads; name one with "),
        ('ingredients\n"Water, Wax"\n"Wax, Mint"\n1,2\n', "line 4: 2 cells, but the header has 1"),
        ("ingredients,NAME,Name\n1,2,3\n", "has more than one column 'name'"),
        ("ingredients,ingredients\n1,2\n", "has columns of the same name: 'ingredients'"),
        ("ingredients,Reason\n1,2\n", "already has columns that the answers would take, 'reason'"),
        ("", "is empty"),
        ("PK\x03\x04", "is an Excel workbook or another zip archive, no CSV; open it and save it"),
    ],
)
def test_a_table_that_is_refused_leaves_nothing(run, tmp_path, monkeypatch, capsys, text, message):
    (tmp_path / "in.csv").write_text(text)
    flags = ("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    assert exit_code(monkeypatch, run.out, *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_folder_is_no_output(run, tmp_path):
    output = tmp_path / "answers.csv"
    output.mkdir()
    asked = PredictConfig(model=run.out, input=LABEL_TABLE, output=str(output), force=True)
    with pytest.raises(ValueError, match=f"--output {output} is a folder"):
        predict.main(asked)


def test_a_column_that_is_not_there_is_named_with_those_that_there_are(run, tmp_path):
    message = "has no column 'inci' for ingredients; it has 'id', 'composition'"
    table = pd.DataFrame({"id": [1], "composition": ["Water, Wax"]})
    with pytest.raises(ValueError, match=message):
        ask(run, table, tmp_path, columns=("ingredients=inci",))
    found = ask(run, table, tmp_path, columns=("ingredients=Composition",))
    assert found["prediction"][0] in KINDS


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "give --input, or --ingredients, --name or both"),
        (
            {"name": "Rose Cream", "input": "x.csv"},
            "give --input, or --ingredients, --name or both",
        ),
        (
            {"ingredients": "Water, Oil", "model": "nowhere"},
            "nowhere: no such folder; name the run folder of train_cls.py",
        ),
        (
            {"ingredients": "Water, Oil", "output": "x.csv", "top_k": 0},
            "--top-k must be at least 1, not 0; --output is for --input",
        ),
        ({"name": "Rose", "columns": ("name=title",)}, "--columns is for --input"),
        (
            {"input": LABEL_TABLE, "columns": ("name=label", "brand=group")},
            "--columns brand=...: predict reads name, ingredients, label",
        ),
        ({"name": "Rose", "min_probability": 1.5}, "--min-probability must be at least 0 and at"),
        ({"input": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"input": "tests"}, "tests is a folder, no table"),
        (
            {"input": LABEL_TABLE, "columns": ("list=label",)},
            "--columns 'list=label': the roles are",
        ),
        (
            {"input": LABEL_TABLE},
            f"--input {LABEL_TABLE} has no column that is known to hold what the model reads; name "
            "one with --columns name=COLUMN ingredients=COLUMN. It has 'label', 'canonical', "
            "'group', 'dropped'",
        ),
        (
            {"input": LABEL_TABLE, "output": "README.md"},
            "--output README.md: the ending must be one of .csv, .txt, .tsv, .jsonl; --output "
            "README.md exists; add --force",
        ),
        (
            {"input": LABEL_TABLE, "output": "answers.csv.gz"},
            "--output answers.csv.gz: the ending must be one of .csv, .txt, .tsv, .jsonl",
        ),
        (
            {"input": LABEL_TABLE, "output": "answers.xlsx"},
            "--output answers.xlsx: the ending must be one of .csv, .txt, .tsv, .jsonl",
        ),
        (
            {"input": LABEL_TABLE, "output": "nowhere/out.csv"},
            "--output nowhere/out.csv: there is no folder nowhere",
        ),
    ],
)
def test_mistakes_are_named(run, monkeypatch, options, message):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError) as raised:
        predict.main(replace(PredictConfig(model=run.out), **options))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not Path("answers.csv.gz").exists() and not Path("answers.xlsx").exists()


# ---- less of an answer -------------------------------------------------------------------------


def test_below_the_minimum_probability_rows_are_left_unanswered(
    unsure_run, catalogue, tmp_path, capsys
):
    full = ask(unsure_run, catalogue, tmp_path)
    capsys.readouterr()
    values = sorted(p for p in numbers(full["probability"]) if p is not None)
    gaps = [after - before for before, after in pairwise(values)]
    num_unsure = gaps.index(max(gaps)) + 1
    threshold = round((values[num_unsure - 1] + values[num_unsure]) / 2, 6)
    found = ask(unsure_run, catalogue, tmp_path, min_probability=threshold)
    unsure = [p is not None and p < threshold for p in numbers(full["probability"])]
    assert sum(unsure) == num_unsure
    assert found[[not left for left in unsure]].equals(full[[not left for left in unsure]])
    columns = ["prediction", "probability", "reason"]
    expected = ["", "", f"probability below {threshold:g}"]
    assert found[unsure][columns].values.tolist() == [expected] * num_unsure
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{len(catalogue)} rows, {num_unsure + 2} of them without an answer"
    assert f"  {num_unsure} probability below {threshold:g}" in lines[1:3]


def test_what_is_not_answered_is_not_explained(unsure_run, catalogue, tmp_path, capsys):
    found = ask(unsure_run, catalogue, tmp_path, min_probability=1.0, explain=True)
    assert set(found["prediction"]) == {""} and set(found["explanation"]) == {""}
    predict_one = PredictConfig(
        str(unsure_run.out), name="Velvet Serum", min_probability=1.0, explain=True
    )
    capsys.readouterr()
    predict.main(predict_one)
    assert capsys.readouterr().out == "no answer: probability below 1\n"


def test_families_are_answered_where_no_label_has_half_of_the_probability(
    run, catalogue, tmp_path, capsys
):
    families = {"Serum": "care", "Shampoo": "care", "Lipstick": "makeup"}
    other = with_config(run, tmp_path / "run", families=families, pool=pool_of(0.01))
    full = ask(other, catalogue, tmp_path, top_k=3)
    assert max(p for p in numbers(full["probability"]) if p is not None) < 0.5
    capsys.readouterr()
    found = ask(other, catalogue, tmp_path, family=True, columns=("label=category",))
    for i in range(len(catalogue)):
        if i in REASONS:
            assert found["prediction"][i] == ""
            continue
        ranks = ["", "_2", "_3"]
        of = {full[f"prediction{rank}"][i]: full[f"probability{rank}"][i] for rank in ranks}
        care = float(of["Serum"]) + float(of["Shampoo"])
        assert found["prediction"][i] == "care"
        assert float(found["probability"][i]) == pytest.approx(care, abs=3e-6)
        assert found["reason"][i] == "probability below 0.5"
    kinds = [kind for i, kind in enumerate(catalogue["category"]) if i not in REASONS]
    lines = capsys.readouterr().err.splitlines()
    num_right = sum(kind != "Lipstick" for kind in kinds)
    line = f"  {len(kinds)} answered by family, {num_right} of them right"
    (at,) = [i for i, text in enumerate(lines) if text.startswith(line)]
    assert lines[at + 1].startswith(f"  all: {len(catalogue)} rows, accuracy 0.0%, top 3 0.0%")


def test_answers_as_if_all_labels_were_equally_frequent(run, catalogue, tmp_path, capsys):
    """And explanations of them."""
    labels = json.loads((Path(run.out) / "labels.json").read_text())
    pool = pool_of(0.1, log_prior=(-3.0, -0.1, -3.0))
    other = with_config(run, tmp_path / "run", pool=pool)
    classifier = Classifier.load(other.out)
    cells = list(catalogue["ingredients"]), list(catalogue["name"])
    expected = classifier.predict(*cells, prior="balanced")
    found = ask(other, catalogue, tmp_path, prior="balanced", explain=True)
    assert list(found["prediction"]) == ["".join(answer.labels) for answer in expected]
    assert labels[1] not in set(found["prediction"])
    for i, (cell, name) in enumerate(zip(*cells, strict=True)):
        drops = classifier.explain(cell, name, "balanced")[:1]
        first = [f"{unit} ({100 * drop:+.1f})" for _, unit, drop in drops if drop > 0]
        assert found["explanation"][i].split("; ")[:1] == (first or [""])
    capsys.readouterr()
    name, cell = NAMES["Lipstick"], LISTS["Lipstick"]
    predict.main(PredictConfig(other.out, cell, name, prior="balanced", explain=True))
    _, unit, drop = classifier.explain(cell, name, "balanced")[0]
    assert f"{100 * drop:+6.1f}  {unit}" in capsys.readouterr().out


# ---- how good it was ---------------------------------------------------------------------------


def expected_scores(labels, answers) -> str:
    """What scikit-learn says of first answers, and in how many of three the label is."""
    scores = pytest.importorskip("sklearn.metrics")
    first = [answer[0] for answer in answers]
    accuracy = scores.accuracy_score(labels, first)
    occurring = sorted({*labels, *first} - {""})
    macro_f1 = scores.f1_score(labels, first, average="macro", labels=occurring, zero_division=0)
    num_top3 = sum(label in answer for label, answer in zip(labels, answers, strict=True))
    return (
        f"{len(labels):,} rows, accuracy {accuracy:.1%}, top 3 {num_top3 / len(labels):.1%}, "
        f"macro-F1 {macro_f1:.3f} over {len(occurring)} labels"
    )


@pytest.mark.parametrize("top_k, is_unsure", [(3, False), (1, False), (3, True)])
def test_with_labels_the_scores_are_those_of_scikit_learn(
    unsure_run, catalogue, tmp_path, capsys, top_k, is_unsure
):
    table = pd.concat([catalogue] * 2, ignore_index=True)
    kinds = list(KINDS)
    table["category"] = [
        kinds[(i * i) % 3] if i % 4 else kind for i, kind in enumerate(table["category"])
    ]
    written = table.copy()
    written["category"] = [
        f" {kind.upper()}" if i % 2 else kind for i, kind in enumerate(table["category"])
    ]
    written.loc[[0, 5], "category"] = ["", "Mascara"]  # nothing, and what the model cannot answer
    classifier = Classifier.load(unsure_run.out)
    answers = classifier.predict(list(table["ingredients"]), list(table["name"]))
    values = sorted(answer.probabilities[0] for answer in answers if answer.labels)
    options = {"top_k": top_k, "min_probability": values[len(values) // 2] if is_unsure else 0.0}
    found = ask(unsure_run, written, tmp_path, columns=("label=category",), **options)
    lines = capsys.readouterr().err.splitlines()
    assert "  labels that the model does not know, not scored: 'Mascara' (1)" in lines
    in_top3 = classifier.predict(
        list(table["ingredients"]),
        list(table["name"]),
        top_k=3,
        min_probability=options["min_probability"],
    )
    cases = {("name",): "name", ("ingredients",): "ingredients", INPUTS: "both"}
    scored = [i for i in range(len(table)) if i not in (0, 5)]
    for case in ("all", *cases.values()):
        rows = [i for i in scored if case in ("all", cases.get(answers[i].inputs))]
        labels = [table["category"][i] for i in rows]
        expected = expected_scores(labels, [in_top3[i].labels or ("",) for i in rows])
        assert f"  {case}: {expected}" in lines
    num_unanswered = sum(found["prediction"] == "")
    assert num_unanswered >= len(values) // 3 if is_unsure else num_unanswered == 2 * len(REASONS)


@pytest.mark.parametrize(
    "renamed, asked",
    [
        # labels.csv says that Face Serums are a Face Serum
        ({"Serum": "Face Serum"}, {"Face Serums": "Serum", "face serum": "Serum"}),
        # a model that has a label in both spellings, or that of labels.csv and what it merges into
        (
            {"Serum": "Eye Cream", "Shampoo": "Eye cream"},
            {"Eye Cream": "Serum", "Eye cream": "Shampoo"},
        ),
        ({"Serum": "Face Serums", "Shampoo": "Face Serum"}, {"face serums": "Serum"}),
    ],
)
def test_labels_are_scored_as_the_models_own_or_as_the_label_table_merges_them(
    run, tmp_path, capsys, renamed, asked
):
    folder = tmp_path / "run"
    shutil.copytree(run.out, folder)
    config = json.loads((folder / "config.json").read_text())
    labels = {i: renamed.get(label, label) for i, label in config["id2label"].items()}
    config |= {"id2label": labels, "label_synonyms": synonyms(list(labels.values()))}
    (folder / "config.json").write_text(json.dumps(config))
    rows = [(label, LISTS[kind]) for label, kind in asked.items()]
    written = pd.DataFrame([*rows, ("Nail Polish", "Water, Mint")], columns=["kind", "ingredients"])
    found = ask(replace(run, out=str(folder)), written, tmp_path, columns=("label=kind",))
    assert list(found["prediction"][:-1]) == [renamed[kind] for kind in asked.values()]
    err = capsys.readouterr().err
    assert "not scored: 'Nail Polish' (1)" in err
    assert f"all: {len(rows)} rows, accuracy 100.0%" in err


def test_labels_are_scored_as_the_label_table_of_the_run_merges_them(tmp_path, capsys):
    (tmp_path / "tables").mkdir()
    run = train(tmp_path / "tables", labels="canonical", max_steps=3)
    rows = [(label, LISTS[label]) for label in KINDS]
    table = pd.DataFrame(rows, columns=["kind", "ingredients"])
    found = ask(run, table, tmp_path, columns=("label=kind",))
    assert set(found["prediction"]) <= {"Hair", "Makeup"}
    targets = ["Hair" if label == "Shampoo" else "Makeup" for label in KINDS]
    accuracy = np.mean(found["prediction"] == targets)
    err = capsys.readouterr().err
    assert f"all: 3 rows, accuracy {accuracy:.1%}" in err and "not scored" not in err


# ---- models ------------------------------------------------------------------------------------


def test_what_a_model_was_not_trained_to_read_is_said_and_not_read(
    run_of_one_input, catalogue, tmp_path, capsys
):
    part = run_of_one_input.inputs[0]
    other = next(name for name in INPUTS if name != part)
    expected = ask(run_of_one_input, catalogue[[part]], tmp_path)
    assert "warning" not in capsys.readouterr().err
    found = ask(run_of_one_input, catalogue, tmp_path, explain=True)
    assert f"warning: the model was trained without {other}: the column '{other}' is not read" in (
        capsys.readouterr().err
    )
    columns = ["prediction", "probability", "reason"]
    assert found[columns].equals(expected[columns])
    assert found["explanation"][0] != ""
    message = f"known to hold what the model reads; name one with --columns {part}=COLUMN"
    with pytest.raises(ValueError, match=message):
        ask(run_of_one_input, catalogue[["my id", other]], tmp_path)

    one = PredictConfig(model=run_of_one_input.out, name=NAMES["Serum"], explain=True)
    capsys.readouterr()
    predict.main(replace(one, ingredients=LISTS["Serum"]))
    printed = capsys.readouterr()
    assert printed.err == (
        f"warning: the model was trained without {other}: --{other} is not read\n"
    )
    assert ("Velvet" in printed.out, "Retinol" in printed.out) == (part == "name", part != "name")
    alone = replace(one, ingredients=None, name=None)
    alone = replace(alone, **{other: NAMES["Serum"] if other == "name" else LISTS["Serum"]})
    with pytest.raises(ValueError, match="no answer: no input that the model reads"):
        predict.main(alone)


def test_a_folder_that_is_no_classifier_is_named(checkpoint):
    done = command(checkpoint, "--ingredients", "Water, Oil")
    assert done.returncode == 2
    assert "holds no classifier" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_run_of_an_older_version_is_named_in_one_line(run, tmp_path, monkeypatch, capsys):
    older = with_config(run, tmp_path / "older", head="wide", temperature=1.2)
    config = json.loads((tmp_path / "older" / "config.json").read_text())
    del config["pool"]
    (tmp_path / "older" / "config.json").write_text(json.dumps(config))
    assert exit_code(monkeypatch, older.out, "--name", "Rose Cream") == 2
    assert capsys.readouterr().err == (
        f"error: {older.out} holds a classifier of another version of beautybert (head wide); "
        "train it again\n"
    )


def test_a_run_without_its_word_models_is_named_in_one_line(run, tmp_path, monkeypatch, capsys):
    other = with_config(run, tmp_path / "other")
    (tmp_path / "other" / "words.json").unlink()
    assert exit_code(monkeypatch, other.out, "--name", "Rose Cream") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {other.out}: the word models (words.json, words.safetensors)")


def test_a_model_of_another_reader_is_used_with_a_warning(run, tmp_path, capsys):
    asked = PredictConfig(model=run.out, ingredients="Water, Glycerin, Mint")
    predict.main(asked)
    assert "warning" not in capsys.readouterr().err
    other = with_config(run, tmp_path / "older", reader_tables="other")
    predict.main(replace(asked, model=other.out))
    assert "was trained on lists read with other tables" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_named(run, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="--device cuda: torch sees no GPU here"):
        predict.main(PredictConfig(model=run.out, name="Rose Cream", device="cuda"))


def test_unnamed_columns_are_all_there_in_json_lines(run, tmp_path):
    table = tmp_path / "in.csv"
    table.write_text(",name, ,Unnamed: 0\n7,Velvet Drops,8,9\n")
    output = tmp_path / "out.jsonl"
    predict.main(PredictConfig(model=run.out, input=str(table), output=str(output)))
    found = json.loads(output.read_text())
    assert list(found)[:4] == ["Unnamed: 0'", "name", "Unnamed: 2", "Unnamed: 0"]
    assert list(found.values())[:4] == ["7", "Velvet Drops", "8", "9"]


def test_a_file_that_is_named_like_the_unfinished_output_is_left_alone(run, catalogue, tmp_path):
    for name in ("out.csv.tmp", f"out.csv.{os.getpid()}.tmp"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError):
        ask(run, catalogue, tmp_path)
    assert (tmp_path / f"out.csv.{os.getpid()}.tmp").read_text() == "mine"
    (tmp_path / f"out.csv.{os.getpid()}.tmp").unlink()
    ask(run, catalogue, tmp_path)
    assert (tmp_path / "out.csv.tmp").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv", "out.csv.tmp"]


def test_a_table_in_an_old_encoding_is_read_and_said(run, tmp_path, capsys):
    table = tmp_path / "old.csv"
    table.write_bytes("name\nCafé Drops\n".encode("cp1252"))
    found = ask(run, table, tmp_path)
    assert found["name"][0] == "Café Drops"
    assert f"warning: {table} is not in UTF-8; it is read as cp1252" in capsys.readouterr().err


def test_scores_of_products_of_training_are_said_to_promise_too_much(run, tmp_path, capsys):
    products = pd.read_csv(run.data[0], dtype=str, keep_default_na=False)
    splits = pd.read_csv(Path(run.out) / "splits.csv")
    splits = splits[splits["source"] == Path(run.data[0]).stem]
    is_trained = products.index.isin(splits["row"][splits["split"] == "train"])
    is_used = products.index.isin(splits["row"])
    columns = ("label=Label", "name=Name", "ingredients=Ingredients")
    ask(run, products[is_used], tmp_path, columns=columns)
    err = capsys.readouterr().err
    assert f"  {is_trained.sum():,} of those scored share a name or list with what" in err
    ask(run, products[is_used & ~is_trained], tmp_path, columns=columns)
    assert "of those scored share" not in capsys.readouterr().err


def test_training_texts_are_read_for_labelled_rows_alone(run, catalogue, tmp_path, monkeypatch):
    calls = record(monkeypatch, scoring, "text_keys")
    ask(run, catalogue.drop(columns="category"), tmp_path)
    assert not calls
    ask(run, catalogue, tmp_path, columns=("label=category",))
    assert len(calls) == 1


def test_columns_that_training_was_given_are_read_in_other_tables_too(tmp_path, capsys):
    run = train(tmp_path, inputs=("name",), max_steps=1)
    trained = json.loads((Path(run.out) / "run.json").read_text())
    trained["config"]["columns"] = ["label=x", "name=Bezeichnung", "ingredients=Stoffe"]
    (Path(run.out) / "run.json").write_text(json.dumps(trained))
    table = pd.DataFrame({"title": ["Moon Stick"], "bezeichnung": ["Velvet Drops"]})
    classifier = Classifier.load(run.out)
    drops, stick = classifier.predict(names=["Velvet Drops", "Moon Stick"])
    assert drops != stick
    assert ask(run, table, tmp_path)["probability"][0] == f"{drops.probabilities[0]:.6g}"
    found = ask(run, table, tmp_path, columns=("name=title",))
    assert found["probability"][0] == f"{stick.probabilities[0]:.6g}"
    # a column that is now said to hold something else is not read as a name as well
    found = ask(run, table, tmp_path, columns=("label=bezeichnung",))
    assert found["probability"][0] == f"{stick.probabilities[0]:.6g}"


def test_an_input_that_the_table_has_not_is_said(run, tmp_path, capsys):
    ask(run, pd.DataFrame({"title": ["Moon Stick"], "Stoffe": ["Water"]}), tmp_path)
    assert "warning: no column is known to hold the ingredients" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, start, separator",
    [
        ("name;x\nVelvet Drops;é\n".encode("cp1252"), b"\xef\xbb\xbfname", ";"),
        ("name;x\nVelvet Drops;é\n".encode("utf-8-sig"), b"\xef\xbb\xbfname", ";"),
        (b"name,x\nVelvet Drops,e\n", b"name", ","),
    ],
    ids=["cp1252", "mark", "plain"],
)
def test_answers_open_in_the_spreadsheet_that_the_table_is_from(
    run, tmp_path, text, start, separator
):
    (tmp_path / "table.csv").write_bytes(text)
    ask(run, tmp_path / "table.csv", tmp_path)
    written = (tmp_path / "out.csv").read_bytes()
    assert written.startswith(start + separator.encode() + b"x" + separator.encode())
    assert "é".encode() in written or b"e" in written


def test_json_lines_have_null_where_there_is_no_answer(run, tmp_path):
    (tmp_path / "table.csv").write_text("name,x\nVelvet Drops,\nname,x\n")
    output = tmp_path / "out.jsonl"
    source = str(tmp_path / "table.csv")
    predict.main(PredictConfig(model=run.out, input=source, output=str(output)))
    first, second = map(json.loads, output.read_text().splitlines())
    assert first["reason"] is None and isinstance(first["probability"], float)
    assert second["prediction"] is None and second["probability"] is None
    assert second["reason"] == "header again"


# ---- odd inputs --------------------------------------------------------------------------------


ODD_CELLS = ["", "a\rb", "\x1b[31mred\x07", "\u202eb", '"', "=1+1", " ", "'", "é", "\u2028"]


def test_every_row_of_odd_cells_is_a_row_of_the_answer_as_it_was(run, tmp_path):
    cells = ODD_CELLS * 2
    with open(tmp_path / "in.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["name", ""], *([cell, "x"] for cell in cells)])
    config = PredictConfig(model=run.out, input=str(tmp_path / "in.csv"))
    for name in ("out.csv", "out.tsv", "out.jsonl"):
        predict.main(replace(config, output=str(tmp_path / name)))
    for name, separator in (("out.csv", ","), ("out.tsv", "\t")):
        with open(tmp_path / name, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file, delimiter=separator)
        assert header[:2] == ["name", ""]
        assert [row[0] for row in rows] == cells
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["name"] for line in lines[:-1]] == cells


def test_columns_that_json_lines_must_name_are_said(run, tmp_path, capsys):
    (tmp_path / "in.csv").write_text("name,\nVelvet Drops,x\n")
    config = PredictConfig(model=run.out, input=str(tmp_path / "in.csv"))
    predict.main(replace(config, output=str(tmp_path / "out.csv")))
    assert "without a name" not in capsys.readouterr().err
    predict.main(replace(config, output=str(tmp_path / "out.jsonl")))
    assert "warning: columns without a name are called 'Unnamed: 1' in" in capsys.readouterr().err


@pytest.fixture(scope="module")
def formula_run(run, tmp_path_factory) -> train_cls.ClsConfig:
    """The run with labels that a spreadsheet would run and a terminal act on."""
    labels = {"0": "=cmd|'/C calc'!A0", "1": "@\x1b[31mSUM(1)\u202e", "2": "-Serum\x07"}
    return with_config(run, tmp_path_factory.mktemp("odd") / "run", id2label=labels)


def test_no_cell_of_the_answer_is_a_formula_and_the_tables_are_as_they_were(formula_run, tmp_path):
    table = pd.DataFrame(
        {"name": ["=Velvet", "+Silk Wash", "-Moon Stick"], "=x": ["=1", "@", "\t"]}
    )
    found = ask(formula_run, table, tmp_path, top_k=3, explain=True)
    assert found[list(table)].values.tolist() == table.values.tolist()
    answers = set(found["prediction"]) | set(found["prediction_2"]) | set(found["prediction_3"])
    assert answers == {"'=cmd|'/C calc'!A0", "'@[31mSUM(1)", "'-Serum"}
    assert found["explanation"][0].startswith("'=Velvet (+")
    ask(formula_run, table, tmp_path, output=str(tmp_path / "out.csv"))
    config = PredictConfig(model=formula_run.out, input=str(tmp_path / "in.csv"))
    predict.main(replace(config, output=str(tmp_path / "out.jsonl")))
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert {json.loads(line)["prediction"][0] for line in lines} <= {"=", "@", "-"}


ESCAPES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_nothing_that_predict_says_acts_on_a_terminal(formula_run, tmp_path, monkeypatch, capsys):
    sign = "\x1b[2J\x07\u202e"
    path = tmp_path / "in.csv"
    path.write_text(f"{sign}id,name,ingredients,{sign}kind\n1,Velvet{sign} Drops,x,a{sign}\n")
    asked = [
        ("--name", f"Velvet{sign} Drops", "--ingredients", f"Water{sign}, Wax", "--explain"),
        ("--name", "Velvet Drops", "--columns", f"name={sign}"),
        ("--input", path, "--columns", f"name={sign}no"),
        ("--input", path, "--columns", f"label={sign}kind", "--output", tmp_path / "out.csv"),
        ("--input", path, "--columns", f"name={sign}id", "--output", tmp_path / f"{sign}.csv"),
        ("--input", tmp_path / f"{sign}.csv"),
    ]
    for arguments in asked:
        assert exit_code(monkeypatch, formula_run.out, *arguments) in (0, 2)
        printed = capsys.readouterr()
        assert printed.out + printed.err
        assert not ESCAPES.search(printed.out + printed.err), printed


def test_a_table_on_a_terminal_is_shown_without_what_it_acts_on(run, tmp_path, monkeypatch, capsys):
    """And is not changed on its way into another program."""
    path = tmp_path / "in.csv"
    path.write_text('name,x\nVelvet\x1b[31m Drops,"one\rtwo\u202e"\n')
    config = PredictConfig(model=run.out, input=str(path))
    predict.main(config)
    assert "\x1b[31m" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    predict.main(config)
    shown = capsys.readouterr().out
    assert not ESCAPES.search(shown)
    assert "Velvet\\x1b[31m Drops" in shown and "one\\rtwo\\u202e" in shown


def test_bytes_of_the_command_line_that_are_no_text_are_no_traceback(run, monkeypatch, capsys):
    bad = os.fsdecode(b"\xff\xfe")
    for flags in (["--name", f"Velvet {bad}Drops"], ["--ingredients", f"Water, {bad}Retinol"]):
        assert exit_code(monkeypatch, run.out, *flags, "--explain") == 0
        assert capsys.readouterr().err == ""


def test_ctrl_c_leaves_nothing_and_is_one_line(run, catalogue, tmp_path, monkeypatch, capsys):
    catalogue.to_csv(tmp_path / "in.csv", index=False)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Classifier, "predict", interrupted)
    flags = ("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    assert exit_code(monkeypatch, run.out, *flags) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "is a list, must be an object"),
        ('{"config": 5}', "config is 5, must be an object"),
        ('{"config": {"columns": "name=x"}}', 'columns is "name=x", must be a list'),
        ('{"config": {"columns": [5]}}', "columns must be a list of texts"),
        ('{"config": {"columns": ["x"]}}', "--columns 'x': give role=COLUMN"),
    ],
)
def test_a_run_json_that_makes_no_sense_is_named(run, tmp_path, monkeypatch, capsys, text, message):
    other = with_config(run, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(text)
    (tmp_path / "in.csv").write_text("name\nVelvet Drops\n")
    assert exit_code(monkeypatch, other.out, "--input", tmp_path / "in.csv") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/run/run.json") and message in line
    (tmp_path / "run" / "run.json").unlink()
    assert exit_code(monkeypatch, other.out, "--input", tmp_path / "in.csv") == 0


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("x.jsonl", b'{"name": "' + b"x" * 100_000 + b"\n", "line 1 is no JSON"),
        ("x.jsonl", b"x" * 100_000, "line 1 is no JSON"),
        ("x.json", b'[{"name": "a"}]', "a JSON array, but a table has an object a line"),
        ("x.xlsx", b"PK\x03\x04\x00", "is an Excel workbook"),
        ("x.csv", b"name\na,b\n", "line 2: 2 cells, but the header has 1"),
        ("x.csv", b'name,x\n"a,b\n' + b"c,d\n" * 9, "line 2: a quote is opened and never"),
        ("x.csv", "name,x\na,b\n".encode("utf-16-le"), "has a NUL character"),
    ],
)
def test_a_table_that_makes_no_sense_is_one_short_line(
    run, tmp_path, monkeypatch, capsys, name, data, message
):
    (tmp_path / name).write_bytes(data)
    flags = ("--input", tmp_path / name, "--output", tmp_path / "out.csv")
    assert exit_code(monkeypatch, run.out, *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and len(line) < 400 + len(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name, data", [("x.jsonl", b'{"name": NaN}\n{"name": "Velvet Drops"}\n')])
def test_nan_of_json_lines_is_no_name(run, tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert list(ask(run, tmp_path / name, tmp_path)["reason"]) == ["no name", ""]


def test_a_classifier_of_transformers_answers_a_table(checkpoint, tokenizer, tmp_path, capsys):
    """By the softmax of its two labels, of cells as they are."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), intermediate_size=64, initializer_range=0.5, **sizes
    )
    theirs = transformers.BertForSequenceClassification(config).eval()
    folder = tmp_path / "model"
    theirs.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(checkpoint / name, folder)
    texts = ["Gentle rose, cream.", "No Info", "Sun (lip) balm &c"]
    (tmp_path / "in.csv").write_text("title\n" + "".join(f'"{text}"\n' for text in texts))
    predict.main(
        PredictConfig(str(folder), input=str(tmp_path / "in.csv"), output=str(tmp_path / "out.csv"))
    )
    assert "a classifier of transformers, which reads texts as they are" in capsys.readouterr().err
    found = read_text(tmp_path / "out.csv")
    for text, label, probability in zip(
        texts, found["prediction"], found["probability"], strict=True
    ):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            expected = theirs(input_ids=ids).logits[0].softmax(-1)
        assert label == f"LABEL_{expected.argmax()}"
        assert float(probability) == pytest.approx(float(expected.max()), abs=1e-5)
