"""What the trial of pretraining lets a model read, what it runs, and how it counts."""

import argparse
import json
from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

import train_cls
from beautybert.cls.classifier import Classifier
from beautybert.cls.names import name_key
from beautybert.cls.products import Product, read_products
from tests.bench import bench_pretraining
from tests.bench.bench_pretraining import (
    ALL,
    Budget,
    clean_texts,
    difference,
    held_out_phrases,
    label_subset,
)
from tests.conftest import product_tables

LIST = "water, glycerin, squalane, niacinamide, panthenol, allantoin, tocopherol, citric acid, salt"


def product(name="", ingredients="", label="hair", row=0):
    return Product("shop", row, label, "", name, ingredients, "", name_key(name), str(row))


def test_pretraining_reads_nothing_of_the_products_held_out(tmp_path):
    path = tmp_path / "products.jsonl"
    records = [
        {"title": "Velvet Hour", "description": "A name alone."},
        {"title": "ACME velvet hour™ Lip Tint", "description": "In the title."},
        {"title": "Other", "description": "Goes well with our Velvet-Hour."},
        {"title": "A cream", "description": f"Ingredients: {LIST}, and more."},
        {"title": "Dusk", "description": "One word, as it is held out."},
        {"title": "Silk at dusk", "description": "One word among others says little."},
        {"title": "Velvet", "description": "Hour by hour: over a full stop."},
        {"title": "", "description": "No title, and dusk in it."},
        {"title": "Last", "description": "Water and glycerin and squalane."},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + "{broken\n")
    held_out = [product("Velvet Hour", LIST), product("DUSK")]
    kept = list(clean_texts(str(path), held_out))
    starts = [text.split(".")[0] for text in kept]
    assert starts == ["Silk at dusk", "No title, and dusk in it", "Last"]


def test_the_longest_phrase_is_found_too(tmp_path):
    name = " ".join(f"word{i}" for i in range(30))
    path = tmp_path / "products.jsonl"
    path.write_text(json.dumps({"title": f"before {name} after"}) + "\n")
    assert not list(clean_texts(str(path), [product(name)]))
    assert list(clean_texts(str(path), [product(name + " more")]))


def test_phrases_of_missing_texts_are_none():
    assert held_out_phrases([product("Silk"), product("", "water")]) == {("silk",), ("water",)}


@pytest.mark.parametrize("size", [4, 10, 50])
def test_a_subset_has_every_label_and_its_size(size):
    products = [product(f"p{i}", label="rare" if i == 7 else f"l{i % 3}", row=i) for i in range(99)]
    subset = label_subset(products, size, seed=1)
    assert len(subset) == size == len({p.row for p in subset})
    assert set(Counter(p.label for p in subset)) == {"l0", "l1", "l2", "rare"}
    assert [p.row for p in subset] == sorted(p.row for p in subset)
    assert label_subset(products, size, seed=1) == subset != label_subset(products, size, seed=2)
    assert label_subset(products, 0, seed=1) == label_subset(products, 500, seed=1) == products


def test_a_difference_is_paired_and_its_error_joins_products_and_seeds():
    products = [("a", "0"), ("a", "1"), ("b", "0"), ("b", "1")]
    correct = [[1, 1, 0, 1], [1, 0, 0, 1]]  # by seed and product
    rows = [
        (*key, seed, value)
        for seed, values in enumerate(correct)
        for key, value in zip(products, values, strict=True)
    ]
    one = pd.DataFrame(rows, columns=["source", "row", "seed", "encoder correct"])
    other = one.sample(frac=1, random_state=0).assign(**{"encoder correct": 0.0})
    value, error = difference(one, other, "encoder")
    over_products = 100 * (4 / 3 * (0.375**2 + 0.125**2 + 0.625**2 + 0.375**2)) ** 0.5 / 4
    over_seeds = 12.5
    assert value == pytest.approx(62.5)
    assert error == pytest.approx((over_products**2 + over_seeds**2) ** 0.5)
    assert difference(one, one, "encoder") == (0.0, 0.0)


def test_a_product_is_one_product_in_the_tables_of_all_seeds(tmp_path):
    (tmp_path / "judged").mkdir()
    for number, mark in enumerate(["init-n50-s0", "init-n50-s1", "init-mlm-all-s0"]):
        (tmp_path / "judged" / mark).write_text(f"run{number}")
        (tmp_path / f"run{number}").mkdir()
        first = 900 if "all" in mark else 50
        rows = [(f"table{number}", first + n, "hair", "name", "hair", "lip") for n in (2, 0, 5)]
        columns = ["source", "row", "label", "input", "prediction", "encoder"]
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / f"run{number}" / "encoder.csv")
    found = bench_pretraining.collect(argparse.Namespace(runs=tmp_path))
    assert set(found["start"]) == {"init", "init-mlm"} and set(found["size"]) == {50, ALL}
    assert len(found) == 9 and len(found.groupby(["source", "row"])) == 3
    assert set(found["prediction correct"]) == {1} and set(found["encoder correct"]) == {0}


def test_the_encoder_alone_is_asked_about_the_test_products(tmp_path):
    tables = product_tables(tmp_path)
    found, _ = read_products(tables["data"])
    by_split = {"train": found[:60], "valid": found[60:90], "test": found[90:]}
    table = tmp_path / "tables" / "n60.csv"
    bench_pretraining.write_table(table, by_split)
    config = train_cls.ClsConfig(
        data=(str(table),), columns=("split=split",), min_per_label=1, max_steps=3, vocab_size=300,
        baseline=False, save_interval=0, out=str(tmp_path / "run"),
    )  # fmt: skip
    train_cls.main(config)
    bench_pretraining.write_encoder_answers(tmp_path / "run", table)

    model = Classifier.load(tmp_path / "run")
    encoder = replace(model, pool=model.encoder_pool, word_models={}, vetted=())
    answers = pd.read_csv(tmp_path / "run" / "encoder.csv", dtype=str, keep_default_na=False)
    products = {str(p.row): p for p in read_products([table], ["split=split"])[0]}
    assert set(answers["input"]) == {"name", "ingredients", "both"}
    for case, rows in answers.groupby("input"):
        asked = [products[row] for row in rows["row"]]
        assert all(product.split == "test" for product in asked)
        names = [p.name for p in asked] if case != "ingredients" else None
        lists = [p.ingredients for p in asked] if case != "name" else None
        expected = [answer.labels[0] for answer in encoder.predict(lists, names)]
        assert rows["encoder"].tolist() == expected, case
    assert (answers["encoder"] != answers["prediction"]).any()


def test_a_setting_is_scored_by_all_sizes_and_seeds(monkeypatch):
    losses = {(200, 0): 1.0, (200, 1): 2.0, (1000, 0): 4.0, (1000, 1): 7.0}

    def fine_tune(start, size, seed, args, rate):
        assert (start.name, rate) == ("random", 5e-4)
        return losses[size, seed]

    monkeypatch.setattr(bench_pretraining, "fine_tune", fine_tune)
    monkeypatch.setattr(bench_pretraining, "validation_loss", lambda loss: loss)
    args = argparse.Namespace(budget=bench_pretraining.FULL, seeds=[0, 1])
    assert bench_pretraining.score(bench_pretraining.Start("random"), args, 5e-4) == 3.5


@pytest.mark.parametrize("best", bench_pretraining.FULL.random_rates)
def test_random_weights_are_pretrained_at_the_best_rate(monkeypatch, best):
    monkeypatch.setattr(bench_pretraining, "score", lambda start, args: abs(start.rate - best))
    args = argparse.Namespace(budget=bench_pretraining.FULL)
    start = bench_pretraining.Start("random", best, bench_pretraining.FULL.random_epochs)
    assert bench_pretraining.best_of_random(args) == start


def test_settings_are_chosen_one_after_the_other(monkeypatch, tmp_path):
    asked = []

    def score(start, args):
        asked.append((start.rate, start.unit, start.epochs))
        return abs(start.rate - 1e-4) + (start.unit == "word") + (start.epochs == 3)

    monkeypatch.setattr(bench_pretraining, "score", score)
    args = argparse.Namespace(budget=bench_pretraining.FULL)
    best = bench_pretraining.best_pretraining(args)
    assert best == bench_pretraining.Start("init", 1e-4, 1, "ingredient")
    assert asked[:3] == [(rate, "word", 1) for rate in (1e-4, 3e-4, 5e-5)]
    assert asked[3:5] == [(1e-4, "word", 1), (1e-4, "ingredient", 1)]
    assert asked[5:] == [(1e-4, "ingredient", 1), (1e-4, "ingredient", 3)]


def test_choices_are_means_over_seeds_of_starts_that_have_all(tmp_path, capsys):
    losses = {"init-n200": (1.0, 2.0), "init-n1000": (0.5, 0.7), "random-lr0.001-n200": (3.0,)}
    for name, by_seed in losses.items():
        for seed, loss in enumerate(by_seed):
            folder = tmp_path / f"{name}-s{seed}"
            folder.mkdir()
            (folder / "report.json").write_text(json.dumps({"best": {"value": loss}}))
    budget = bench_pretraining.FULL
    bench_pretraining.print_choices(argparse.Namespace(runs=tmp_path, seeds=[0, 1], budget=budget))
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[2:] == ["| init | 1.500 | 0.600 | 1.050 |"]


def test_a_start_is_judged_by_runs_of_its_own_rate_alone(monkeypatch, tmp_path):
    judged = tmp_path / "judged"
    judged.mkdir()
    of_others = {"random-all-s2": "random-lr0.001-all-s2", "random-mlm-all-s2": "random-mlm-x"}
    for mark, name in {**of_others, "random-n50-s2": "random-lr0.0002-n50-s2"}.items():
        (judged / mark).write_text(name)

    def fine_tune(start, size, seed, args, rate):
        return tmp_path / f"random-lr{rate:g}-{bench_pretraining.size_name(size)}-s{seed}"

    monkeypatch.setattr(bench_pretraining, "fine_tune", fine_tune)
    args = argparse.Namespace(
        runs=tmp_path, seeds=[0], seeds_of_all=[], budget=bench_pretraining.FULL
    )
    bench_pretraining.judge("random", bench_pretraining.Start("random"), args, 2e-4)
    expected = {"random-mlm-all-s2", "random-n50-s2", "random-n50-s0", "random-n200-s0"}
    assert {mark.name for mark in judged.iterdir()} == expected | {"random-n1000-s0"}


@pytest.mark.slow
def test_a_small_trial_runs_to_its_table_and_goes_on(monkeypatch, tmp_path, capsys, checkpoint):
    tables = product_tables(tmp_path)
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"title": f"soft cream {i}"}) + "\n" for i in range(80)))
    budget = Budget(
        steps={40: 4, ALL: 4}, chosen_by=(40,), rates=(1e-4, 3e-4), epochs=(1,), units=("word",),
        random_rates=(1e-3,), random_epochs=1, fine_tuning_rates=(1e-3,),
        add_tokens="--add-vocab 5 --add-names 5",
        pretraining="--batch-tokens 512 --micro-batch-tokens 512 --max-length 64",
        fine_tuning="--max-length 64",
    )  # fmt: skip
    monkeypatch.setattr(bench_pretraining, "FULL", budget)
    command = ["bench", "--data", *tables["data"], "--products", str(texts), "--seeds", "0"]
    command += ["--init", str(checkpoint), "--runs", str(tmp_path / "runs")]
    command += ["--picture", str(tmp_path / "picture.png")]
    monkeypatch.setattr("sys.argv", command)
    bench_pretraining.main()
    table = capsys.readouterr().out
    choices, results = table.split("\n\n")
    starts = [line.split(" | ")[0].removeprefix("| ") for line in choices.splitlines()[2:]]
    of_init = ["init-mlm-0.0001-1-word", "init-mlm-0.0003-1-word", "init"]
    assert starts == [*of_init, "random-lr0.001", "random-mlm-0.001-1-word"]
    lines = [line.split(" | ") for line in results.splitlines()[2:]]
    assert len(lines) == 3 * 2 * 4  # inputs, sizes, starts
    assert {line[2] for line in lines} == set(bench_pretraining.NAMES.values())
    assert all(("±" in line[5]) == ("pretrained" in line[2]) for line in lines)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    read = (tmp_path / "runs" / "tables" / "texts.txt").read_text(encoding="utf-8").splitlines()
    products, _ = read_products([tmp_path / "runs" / "tables" / "all-s0.csv"], ["split=split"])
    for product in products:
        is_train = product.split == "train"
        assert (product.name in read) == (is_train and product.name != "")
        assert (product.ingredients in read) == (is_train and product.ingredients != "")
    assert "soft cream 7" in read

    def started(*args, **kwargs):
        raise AssertionError("a process was started again")

    monkeypatch.setattr("subprocess.run", started)
    bench_pretraining.main()
    assert capsys.readouterr().out == table
