"""train_cls.py from end to end, as a function and as a command."""

import importlib.util
import json
import math
import os
import re
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

import train_cls
import train_mlm
from beautybert.bert import model as bert_model
from beautybert.bert import wordpiece
from beautybert.bert.model import BertForSequenceClassification
from beautybert.cls import (
    baselines,
    classifier,
    pool,
    products,
    report,
    selection,
    splits,
    word_model,
)
from beautybert.cls.batches import ClsBatches
from beautybert.training import metrics as training_metrics
from beautybert.training import optim
from beautybert.training.checkpoints import read as read_checkpoint
from beautybert.training.distributed import Ranks
from beautybert.training.runlog import RunLog
from tests.conftest import (
    FORBIDDEN_NUMBERS,
    KINDS,
    Crash,
    are_equal,
    contents,
    crash_at,
    exit_code_of,
    losses,
    metrics,
    product_tables,
    random_states,
    record,
    run_script,
    same_weights,
    weights,
)

# columns of name and list in the two tables
COLUMNS = {"cosmetics": ("Name", "Ingredients"), "sephora": ("name", "ingredients")}
CASES = {"name": ("name",), "ingredients": ("ingredients",), "both": ("name", "ingredients")}


@pytest.fixture
def extras():
    """Asked for by tests that want pictures and the baselines of scikit-learn."""


@pytest.fixture(autouse=True)
def without_extras(request, monkeypatch):
    """Both take most of the time of a tiny run, so other tests are of an install without them."""
    find_spec = importlib.util.find_spec

    def find_other(name, *package):
        return None if name in ("matplotlib", "sklearn") else find_spec(name, *package)

    if "extras" not in request.fixturenames:
        monkeypatch.setattr(importlib.util, "find_spec", find_other)


def batches_of(config: train_cls.ClsConfig) -> ClsBatches:
    """The micro-batches of a run that starts from a checkpoint, made as train_cls.py makes them."""
    table, counts = products.read_products(config.data, config.columns)
    by_split = splits.split_products(table, config.split, config.split_seed)
    wanted = (config.inputs, config.labels, config.label_table, config.min_per_label)
    by_split, _ = selection.select(by_split, *wanted, counts)
    return ClsBatches(
        by_split,
        wordpiece.read(config.init),
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size,
        max_length=config.max_length,
        ingredient_dropout=config.ingredient_dropout,
        seed=config.seed,
    )


def characters(text: str) -> str:
    """What two spellings of a text have in common, whoever cut it into tokens."""
    return re.sub("[^a-z0-9]+", "", text.lower())


def raw_tables(config: train_cls.ClsConfig) -> dict[str, pd.DataFrame]:
    """The cells of each table as they are in the file, missing ones ''."""
    return {Path(path).stem: pd.read_csv(path, dtype=str).fillna("") for path in config.data}


def raw_texts(config: train_cls.ClsConfig) -> dict[str, tuple[str, str, int, str]]:
    """The letters of each name and list -> its input, source, row and label."""
    found = {}
    for source, table in raw_tables(config).items():
        labels = table[{"cosmetics": "Label", "sephora": "category"}[source]]
        for part, column in zip(("name", "ingredients"), COLUMNS[source], strict=True):
            for row, (text, label) in enumerate(zip(table[column], labels, strict=True)):
                if text and text not in ("No Info", "unknown"):
                    assert characters(text) not in found, "a text that is there twice"
                    found[characters(text)] = (part, source, row, label)
    return found


def rows_by_split(folder: Path | str) -> dict[tuple[str, int], str]:
    """splits.csv: source and row -> split."""
    table = pd.read_csv(Path(folder) / "splits.csv")
    places = zip(table["source"], table["row"], strict=True)
    return dict(zip(places, table["split"], strict=True))


def saved_report(folder: Path | str) -> dict:
    """report.json."""
    return json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))


def set_table(config: train_cls.ClsConfig, path: Path, rows: list[dict]) -> train_cls.ClsConfig:
    """The same run on one table of these rows."""
    pd.DataFrame(rows).to_csv(path, index=False)
    return replace(config, data=(str(path),))


# ---- what it is for ----------------------------------------------------------------------------


def test_it_learns_and_leaves_a_complete_run_folder(cls_config, extras):
    """Validation judges the encoder alone; a list always tells its label, a name half the time."""
    config = replace(
        cls_config,
        init="scratch",
        head="mlp",
        vocab_size=150,
        max_steps=60,
        lr=3e-3,
        micro_batch_size=16,
        eval_interval=30,
    )
    scores = train_cls.main(config)
    out = Path(config.out)
    accuracies = {row["step"]: row["accuracy"] for row in metrics(out, "valid")}
    assert list(accuracies) == [0, 30, 60]
    assert accuracies[60] > 0.7 > 0.5 > accuracies[0]
    losses = {row["step"]: row["loss"] for row in metrics(out, "valid")}
    assert scores["best"]["value"] == min(losses.values())
    assert losses[scores["best"]["step"]] == scores["best"]["value"]
    assert scores["by_input"]["ingredients"]["accuracy"] > 0.8
    assert metrics(out, "test")[0]["accuracy"] == scores["accuracy"]
    written = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "vocab.txt"} <= written
    assert {"words.json", "words.safetensors", "labels.json", "run.json"} <= written
    assert {"splits.csv", "train_lists.txt", "metrics.jsonl", "checkpoints"} <= written
    assert {"report.json", "predictions_test.csv", "predictions_by_input.csv"} <= written
    assert {"confusion.csv", "confusion.png", "loss.png"} <= written
    assert json.loads((out / "labels.json").read_text()) == sorted(KINDS)
    run = json.loads((out / "run.json").read_text())["config"]
    assert run["inputs"] == ["name", "ingredients"], "those that the tables have"
    assert saved_report(out) == scores
    assert scores["sizes"] == {"train": 96, "valid": 12, "test": 12}


def test_an_untrained_classifier_shows_no_scores_and_draws_nothing(cls_config, extras, capsys):
    train_cls.main(replace(cls_config, max_steps=0, baseline=False))
    assert not list(Path(cls_config.out).glob("*.png"))
    shown = capsys.readouterr().out
    assert "not trained" in shown and "macro-F1:" not in shown and "next:" not in shown


def check_batch(batch, texts, tokenizer, labels) -> Counter:
    """Every document has the label of its own row, and pairs are the two documents of one row.

    Returns how many targets were seen of each kind.
    """
    rows = []
    for ids in batch.inputs.input_ids.split(batch.inputs.lengths.seqlens):
        rows.append(texts[characters(tokenizer.decode(ids.tolist()))])
    targets = [labels[i] for i in batch.target_ids.tolist()]
    assert targets[: len(rows)] == [label for _, _, _, label in rows]
    paired = set()
    for (one, other), target in zip(batch.pairs.tolist(), targets[len(rows) :], strict=True):
        assert {rows[one][0], rows[other][0]} == {"name", "ingredients"}
        assert rows[one][1:] == rows[other][1:], "a name beside the list of another product"
        assert target == rows[one][3]
        paired.add(rows[one][1:3])
    of_row = Counter(row[1:3] for row in rows)
    assert paired == {row for row, n in of_row.items() if n == 2}, "a product's two are a pair"
    assert batch.num_targets == len(rows) + len(batch.pairs)
    return Counter(part for part, *_ in rows) + Counter(both=len(paired))


def test_text_and_label_never_come_apart_between_the_files_and_the_loss(cls_config, monkeypatch):
    """Each document of each batch is read back, and found in the tables beside its label."""
    trained = record(monkeypatch, ClsBatches, "train_batch")
    evaluated = record(monkeypatch, ClsBatches, "eval_batches")
    config = replace(
        cls_config, init="scratch", vocab_size=300, max_steps=7, ingredient_dropout=0.0
    )
    train_cls.main(config)
    texts, labels = raw_texts(config), sorted(KINDS)
    tokenizer = wordpiece.read(config.out)
    seen = Counter()
    for _, batch in trained:
        seen += check_batch(batch, texts, tokenizer, labels)
    assert len(trained) == 7 * 4 and min(seen[case] for case in CASES) > 40

    split_of = rows_by_split(config.out)
    assert {arguments[1] for arguments, _ in evaluated} == {"valid", "test"}
    for (data, split, _), given in evaluated:
        for inputs, indices, packed in given:
            ids = packed.input_ids.split(packed.lengths.seqlens)
            for part, index, document in zip(inputs, indices, ids, strict=True):
                found = texts[characters(tokenizer.decode(document.tolist()))]
                assert found[0] == products.INPUTS[part]
                assert found[3] == labels[data.target_ids(split)[index]]
                assert split_of[found[1:3]] == split

    for name, count in (("splits.csv", 120), ("predictions_test.csv", 12)):
        table = pd.read_csv(Path(config.out) / name)
        assert len(table) == count
        label_of = {found[1:3]: found[3] for found in texts.values()}
        places = zip(table["source"], table["row"], strict=True)
        assert [label_of[place] for place in places] == list(table["label"])
    table = table.fillna("")
    for part in products.INPUTS:
        for source, row, text in zip(table["source"], table["row"], table[part], strict=True):
            assert not text or texts[characters(text)][:3] == (part, source, row)


def test_the_first_loss_is_the_smoothed_mean_over_documents_and_pairs_however_the_batch_is_cut(
    cls_config, monkeypatch
):
    """By a model that was not trained, from the examples of the batch one by one."""
    config = replace(
        cls_config,
        dropout=0.0,
        ingredient_dropout=0.0,
        max_steps=2,
        label_smoothing=0.2,
        schedule="constant",
        warmup=0.0,
        batch_size=12,
    )
    untrained = replace(config, max_steps=0, out=config.out + "-zero")
    train_cls.main(untrained)
    packed = record(monkeypatch, train_cls.batches, "pack_examples")
    runs = {}
    for size in (4, 12, 1):
        run = replace(config, micro_batch_size=size, out=f"{config.out}-{size}")
        train_cls.main(run)
        runs[size] = metrics(run.out)
    examples = [example for arguments, _ in packed[:3] for example in arguments[0]]
    assert len(examples) == 12

    model = classifier.Classifier.load(untrained.out).model
    each = []
    for example in examples:
        logits = []
        for ids in example.documents.values():
            logits.append(model(*train_cls.batches.pack_documents([ids]))[0])
        if len(logits) == 2:
            logits.append(logits[0] + logits[1])
        target = torch.tensor(example.label_id)
        each += [F.cross_entropy(row, target, label_smoothing=0.2).item() for row in logits]
    assert {len(example.documents) for example in examples} == {1, 2}
    assert math.isclose(runs[4][0]["loss"], sum(each) / len(each), rel_tol=1e-5)
    for size in (12, 1):
        for row, expected in zip(runs[size], runs[4], strict=True):
            assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)
            assert row["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-4)


def test_a_rate_is_higher_from_scratch_unless_it_is_given(cls_config):
    """And it is that of the top layer at its peak."""
    for change, lr in (({"lr": None}, 2e-4), ({"lr": None, "init": "scratch"}, 1e-3), ({}, 1e-3)):
        run = replace(cls_config, max_steps=1, schedule="constant", warmup=0.0, **change)
        run = replace(run, out=f"{run.out}-{len(change)}")
        train_cls.main(run)
        assert metrics(run.out)[0]["lr"] == lr


def test_training_alone_drops_hidden_states(cls_config, monkeypatch):
    seen = set()
    forward = BertForSequenceClassification.forward

    def watched_forward(model, *inputs):
        seen.add((torch.is_grad_enabled(), model.training))
        return forward(model, *inputs)

    monkeypatch.setattr(BertForSequenceClassification, "forward", watched_forward)
    train_cls.main(replace(cls_config, max_steps=2, eval_interval=1))
    assert seen == {(True, True), (False, False)}


# ---- the report --------------------------------------------------------------------------------


def test_the_report_is_that_of_its_own_predictions(cls_config, extras, monkeypatch):
    """Recomputed from the two files, with names of unknown words, which get no answer."""
    monkeypatch.setattr(classifier, "MOST_UNKNOWN", 1.0)
    table = pd.read_csv(cls_config.data[0], dtype=str, keep_default_na=False)
    is_lone = (table["Name"] != "") & (table["Ingredients"] == "")
    for i, row in enumerate(table.index[is_lone]):
        table.loc[row, "Name"] = f"Xqjv{chr(97 + i)} Zwkq{chr(97 + i)}"
    table.to_csv(cls_config.data[0], index=False)
    config = replace(cls_config, max_steps=12, eval_interval=4, min_per_label=3)
    scores = train_cls.main(config)
    answers = pd.read_csv(Path(config.out) / "predictions_test.csv").fillna("")
    by_input = pd.read_csv(Path(config.out) / "predictions_by_input.csv").fillna("")
    split_of = rows_by_split(config.out)
    places = list(zip(answers["source"], answers["row"], strict=True))
    assert places == [place for place, split in split_of.items() if split == "test"]
    check_scores(scores, answers)
    assert scores["unanswered"] > 0
    assert scores["majority_accuracy"] == pytest.approx(majority_of(config, answers))

    has = {part: answers[part] != "" for part in products.INPUTS}
    assert set(by_input["input"]) == set(scores["by_input"]) == set(CASES)
    own_svc = {}  # LinearSVC's answers to what each product has
    for case, parts in CASES.items():
        rows = by_input[by_input["input"] == case].reset_index()
        complete = answers[pd.concat([has[part] for part in parts], axis=1).all(axis=1)]
        assert list(rows["row"]) == list(complete["row"])
        check_scores(scores["by_input"][case], rows)
        assert scores["by_input"][case]["balanced"]["accuracy"] == pytest.approx(
            (rows["label"] == rows["balanced"]).mean()
        )
        assert scores["by_input"][case]["tfidf_linear_svc"] == pytest.approx(
            svc_scores(rows["label"], rows["linear_svc"], rows["linear_svc_macro_f1"])
        )
        columns = ["source", "row", "linear_svc", "linear_svc_macro_f1"]
        for source, row, *pair in rows[columns].itertuples(index=False):
            own_svc[source, row] = pair  # both comes last
    assert scores["tfidf_linear_svc"] == pytest.approx(
        svc_scores(answers["label"], *zip(*(own_svc[place] for place in places), strict=True))
    )

    confusion = pd.read_csv(Path(config.out) / "confusion.csv", index_col=0)
    assert confusion.to_numpy().sum() == (answers["prediction"] != "").sum()
    for label in KINDS:
        for prediction in KINDS:
            is_both = (answers["label"] == label) & (answers["prediction"] == prediction)
            assert confusion.loc[label, prediction] == is_both.sum()

    # and it is that of the exported classifier, which is given the cells of the tables
    cells = {part: [] for part in products.INPUTS}
    tables = raw_tables(config)
    for source, row in places:
        for part, column in zip(cells, COLUMNS[source], strict=True):
            cells[part].append(tables[source].loc[row, column])
    exported = classifier.Classifier.load(config.out)
    found = exported.predict(cells["ingredients"], cells["name"])
    assert [answer.labels[0] if answer.labels else "" for answer in found] == list(
        answers["prediction"]
    )
    probabilities = [sum(answer.probabilities) for answer in found]
    assert probabilities == pytest.approx(list(answers["probability"]), abs=1e-5)

    check_what_was_fitted(config, exported)

    # and of its weights
    again = replace(config, init=config.out, max_steps=0, out=config.out + "-again")
    scores_again = train_cls.main(again)
    assert scores_again["accuracy"] == scores["accuracy"]
    assert math.isclose(scores_again["loss"], scores["loss"], rel_tol=1e-5)


def check_what_was_fitted(config: train_cls.ClsConfig, exported: classifier.Classifier) -> None:
    """The pool is that of the validation products, the word models have words of training alone."""
    data = batches_of(config)
    texts = data.texts("valid")
    has = torch.tensor([[bool(text) for text in texts[part]] for part in products.INPUTS])
    logits = exported.document_logits(texts) | word_model.logits(exported.word_models, texts)
    fitted = pool.fit(logits, has, data.target_ids("valid"), data.log_prior)
    for case, weights_of_case in fitted.weights.items():
        assert exported.pool.weights[case] == pytest.approx(weights_of_case, abs=1e-3)
    for part, trained in data.texts("train").items():
        words = Counter(word for text in trained for word in {*re.findall(r"\w\w+", text.lower())})
        features = exported.word_models[part].feature_ids
        assert {name for name in features if " " not in name} == {
            word for word, n in words.items() if n > 1
        }


def check_scores(scores: dict, answers: pd.DataFrame) -> None:
    """Accuracy, macro-F1 and coverage of answers, of which '' are none."""
    from sklearn.metrics import f1_score

    is_answered = answers["prediction"] != ""
    is_correct = answers["label"] == answers["prediction"]
    assert scores["products"] == len(answers)
    assert scores["unanswered"] == (~is_answered).sum()
    assert scores["accuracy"] == pytest.approx(is_correct.mean())
    assert (answers["probability"][~is_answered] == 0).all()
    labels = sorted({*answers["label"], *answers["prediction"]} - {""})
    macro_f1 = f1_score(
        answers["label"], answers["prediction"], labels=labels, average="macro", zero_division=0
    )
    assert scores["macro_f1"] == pytest.approx(macro_f1)
    assert [row["min_probability"] for row in scores["coverage"]][:2] == [0.0, 0.5]
    for row in scores["coverage"]:
        left = is_answered & (answers["probability"] >= row["min_probability"])
        assert row["answered"] == pytest.approx(left.mean())
        expected = is_correct[left].mean() if left.any() else 0.0
        assert row["correct"] == pytest.approx(expected)


def svc_scores(labels, answers, answers_for_macro_f1) -> dict[str, float]:
    """As scikit-learn counts."""
    from sklearn.metrics import accuracy_score, f1_score

    macro_f1 = f1_score(labels, answers_for_macro_f1, average="macro", zero_division=0)
    return {"accuracy": accuracy_score(labels, answers), "macro_f1": macro_f1}


def majority_of(config: train_cls.ClsConfig, answers: pd.DataFrame) -> float:
    """How many test products have the label that most training products have."""
    table = pd.read_csv(Path(config.out) / "splits.csv")
    most_common = table["label"][table["split"] == "train"].mode()[0]
    return (answers["label"] == most_common).mean()


# ---- options -----------------------------------------------------------------------------------


def test_heads_and_precision_change_the_run_and_are_kept_with_it(cls_config):
    plain = replace(cls_config, max_steps=1)
    train_cls.main(plain)
    for option in ({"head": "mlp"}, {"head": "mlm-logits"}, {"amp": "bf16"}):
        ((name, value),) = option.items()
        config = replace(plain, **option, out=f"{plain.out}-{value}")
        assert math.isfinite(train_cls.main(config)["loss"])
        assert losses(config.out) != losses(plain.out)
        assert json.loads((Path(config.out) / "run.json").read_text())["config"][name] == value
        assert classifier.Classifier.load(config.out).model.head == config.head
        metadata = json.loads((Path(config.out) / "config.json").read_text())
        has_pooler = config.head == "pooler"
        expected = "BertForSequenceClassification" if has_pooler else "BertModel"
        assert metadata["architectures"] == [expected]


@pytest.mark.parametrize("head", ["pooler", "mlp"])
@pytest.mark.parametrize(
    "option", ["gradient_checkpointing", pytest.param("compile", marks=pytest.mark.slow)]
)
def test_ways_of_computing_give_the_plain_losses(cls_config, monkeypatch, option, head):
    plain = replace(cls_config, dropout=0.0, head=head)  # compiled kernels draw their own numbers
    train_cls.main(plain)
    config = replace(plain, out=plain.out + "-other", **{option: True})
    recomputed = record(monkeypatch, bert_model, "checkpoint")
    train_cls.main(config)
    assert bool(recomputed) == (option == "gradient_checkpointing")
    assert losses(config.out) == pytest.approx(losses(plain.out), rel=1e-5)
    tokens = [[row["tokens"] for row in metrics(out)] for out in (config.out, plain.out)]
    assert tokens[0] == tokens[1], "padding does not count"


@pytest.mark.slow
def test_compiling_pads_to_one_number_of_tokens_and_is_over_after_three_steps(
    cls_config, monkeypatch
):
    graphs, tokens = {}, set()
    learning_rate, torch_compile = optim.learning_rate, torch.compile

    def count_graphs(step, *arguments):
        graphs[step] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        return learning_rate(step, *arguments)

    def watched_compile(model):
        compiled = torch_compile(model)

        def forward(input_ids, *rest):
            tokens.add(len(input_ids))
            return compiled(input_ids, *rest)

        return forward

    monkeypatch.setattr(optim, "learning_rate", count_graphs)
    monkeypatch.setattr(torch, "compile", watched_compile)
    config = replace(cls_config, compile=True, max_steps=10, batch_size=8)
    train_cls.main(config)
    assert graphs[1] < graphs[4] == graphs[10], graphs
    assert len(tokens) == 1


@pytest.mark.parametrize("part, other", [("name", "ingredients"), ("ingredients", "name")])
def test_a_run_of_one_input_trains_and_reports_that_alone(cls_config, monkeypatch, part, other):
    """Names with products that have nothing else, and no product is in another split than ever."""
    train_cls.main(replace(cls_config, describe=True))
    trained = record(monkeypatch, ClsBatches, "train_batch")
    config = replace(
        cls_config, inputs=(part,), init="scratch", max_steps=7, ingredient_dropout=0.0
    )
    config = replace(config, out=config.out + "-one")
    scores = train_cls.main(config)
    assert list(scores["by_input"]) == [part]
    assert scores["by_input"][part]["accuracy"] == scores["accuracy"]
    assert scores["by_input"][part]["products"] == scores["products"]

    texts, tokenizer = raw_texts(config), wordpiece.read(config.out)
    seen = Counter()
    for _, batch in trained:
        assert len(batch.pairs) == 0
        seen += check_batch(batch, texts, tokenizer, sorted(KINDS))
    assert set(+seen) == {part} and seen[part] == 7 * 16
    split_of, of_all = rows_by_split(config.out), rows_by_split(cls_config.out)
    assert split_of.items() < of_all.items()
    num_with = sum(found[0] == part for found in texts.values())
    assert len(split_of) == num_with < 120
    assert classifier.Classifier.load(config.out).inputs == (part,)
    answers = pd.read_csv(Path(config.out) / "predictions_test.csv")
    assert answers[other].isna().all() and answers[part].notna().all()


def test_a_product_is_in_the_same_split_under_all_labels_and_brands_are_kept_apart(cls_config):
    runs = {}
    for labels, expected in (("full", sorted(KINDS)), ("canonical", ["Hair", "Makeup"])):
        for split in ("list", "brand"):
            out = f"{cls_config.out}-{labels}-{split}"
            config = replace(cls_config, describe=True, labels=labels, split=split, out=out)
            train_cls.main(config)
            runs[labels, split] = rows_by_split(out)
            assert json.loads((Path(out) / "labels.json").read_text()) == expected
    for split in ("list", "brand"):
        assert runs["canonical", split] == runs["full", split]
    tables = raw_tables(cls_config)
    brand_of = {"cosmetics": tables["cosmetics"]["Brand"], "sephora": tables["sephora"]["brand"]}
    split_of_brand = {}
    for (source, row), split in runs["full", "brand"].items():
        assert split_of_brand.setdefault(brand_of[source][row], split) == split
    assert set(split_of_brand.values()) == {"train", "valid", "test"}


def own_splits(letters: dict[str, str]) -> list[dict]:
    """Rows of a table with splits of its own: of each label one for each of its letters.

    T, t: training, t without a name. v: validation. e: test.
    """
    folds = {"T": "train", "t": "Train", "v": "validation", "e": "TEST"}
    rows = []
    for label, all_letters in letters.items():
        for letter in all_letters:
            i = len(rows)
            rows.append(
                {
                    "label": label,
                    "name": "" if letter == "t" else f"{label} Number {i}",
                    "ingredients": f"Water, {label} oil, Extract {i}",
                    "fold": folds[letter],
                }
            )
    return rows


def test_a_tables_own_splits_are_kept_and_labels_without_training_are_left_out(
    cls_config, tmp_path
):
    """`Soap` has training lists, but no training name; `Wax` has no training product at all."""
    rows = own_splits(
        {"Cream": "TTTTTTvvvee", "Gel": "TTTTvvee", "Soap": "tttttvvee", "Wax": "vvveee"}
    )
    config = set_table(cls_config, tmp_path / "own.csv", rows)
    config = replace(config, columns=("split=fold",), max_steps=1, seed=4)
    split_named = {"train": "train", "Train": "train", "validation": "valid", "TEST": "test"}
    for inputs, labels in (((), ["Cream", "Gel", "Soap"]), (("name",), ["Cream", "Gel"])):
        run = replace(config, inputs=inputs, out=f"{config.out}{len(inputs)}", split_seed=3)
        scores = train_cls.main(run)
        out = Path(run.out)
        assert json.loads((out / "labels.json").read_text()) == labels
        expected = {
            ("own", i): split_named[row["fold"]]
            for i, row in enumerate(rows)
            if row["label"] in labels
        }
        assert rows_by_split(out) == expected
        assert sum(scores["sizes"].values()) == len(expected)
        left_out = json.loads((out / "run.json").read_text())["data"]["labels_left_out"]
        assert left_out.keys() == {"Cream", "Gel", "Soap", "Wax"} - set(labels)


def test_one_label_with_training_products_is_nothing_to_tell_apart(cls_config, tmp_path):
    rows = own_splits({"Cream": "TTTTTTvvvee", "Wax": "vvveee"})
    config = set_table(cls_config, tmp_path / "own.csv", rows)
    with pytest.raises(ValueError, match=r"only 1 label\(s\) .*: nothing to tell apart"):
        train_cls.main(replace(config, columns=("split=fold",)))


# ---- --describe --------------------------------------------------------------------------------


def test_describe_writes_the_splits_of_the_run_that_follows_and_trains_nothing(cls_config, capsys):
    config = replace(cls_config, labels="canonical", inputs=("name",), describe=True)
    assert train_cls.main(config) == {}
    printed = capsys.readouterr().out
    assert "\n  97 with name only\n" in printed
    assert "\n97 products; by label" in printed and "\nexamples:\n" in printed
    described = contents(config.out)
    assert described.keys() == {"splits.csv", "labels.json", "train_lists.txt"}
    run = replace(config, describe=False, max_steps=0, out=cls_config.out + "-run")
    train_cls.main(run)
    assert described.items() <= contents(run.out).items()

    split_of, texts = rows_by_split(config.out), raw_texts(config)
    written = described["train_lists.txt"].decode().splitlines()
    found = [texts[characters(line)] for line in written]
    assert len(set(found)) == len(found) > 140
    assert [part for part, *_ in found] == sorted(part for part, *_ in found), "lists first"
    assert {split_of.get(place[1:3], "train") for place in found} == {"train"}
    of_training = {found for found in texts.values() if split_of.get(found[1:3]) == "train"}
    assert of_training < set(found), "lists too, of products without a name as well"


def test_what_pretraining_may_read_is_the_training_split_whatever_the_labels_and_the_seed(
    cls_config,
):
    """train_lists.txt: all training texts, those of labels that a run leaves out too, and no text
    of validation or test, under any scheme.
    """
    table = pd.read_csv(cls_config.label_table, keep_default_na=False)
    table.loc[table["label"] == "Serum", "canonical"] = ""
    bandage = pd.DataFrame([("Bandage", "Lipstick", "all", "")], columns=table.columns)
    pd.concat([table, bandage]).to_csv(cls_config.label_table, index=False)
    sephora = pd.read_csv(cls_config.data[1], dtype=str)
    # rare under full, a Lipstick under canonical
    sephora.loc[sephora.index[:2], "category"] = "Bandage"
    sephora.to_csv(cls_config.data[1], index=False)

    texts = raw_texts(cls_config)
    changes = {
        "full": {},
        "canonical": {"labels": "canonical", "seed": 3},
        "names": {"inputs": ("name",)},
        "other": {"split_seed": 1},
    }
    written, found = {}, {}
    for name, change in changes.items():
        out = Path(f"{cls_config.out}-{name}")
        train_cls.main(replace(cls_config, describe=True, out=str(out), **change))
        written[name] = (out / "train_lists.txt").read_text(encoding="utf-8").splitlines()
        split_of = rows_by_split(out)
        found[name] = {"train": set(), "valid": set(), "test": set()}
        for text, (_, source, row, _) in texts.items():
            if (source, row) in split_of:
                found[name][split_of[source, row]].add(text)
    assert written["full"] == written["canonical"] == written["names"]
    assert set(written["full"]) != set(written["other"])
    allowed = {characters(line) for line in written["full"]}
    for name in ("full", "canonical", "names"):
        assert found[name]["train"] < allowed
        assert found[name]["valid"] and not allowed & found[name]["valid"]
        assert found[name]["test"] and not allowed & found[name]["test"]


def test_a_model_that_read_the_test_texts_is_refused(cls_config, tmp_path):
    """The same adapted model is good for the split whose texts it read and no other."""
    train_cls.main(replace(cls_config, describe=True))
    adapted = train_mlm.MlmConfig(
        data=(f"{cls_config.out}/train_lists.txt",),
        init=cls_config.init,
        out=f"{cls_config.out}-mlm",
        cache_dir=str(tmp_path / "cache"),
        max_steps=1,
        batch_tokens=256,
        micro_batch_tokens=256,
        max_length=64,
        add_vocab=4,
    )
    train_mlm.main(adapted)
    same = replace(
        cls_config, init=adapted.out, out=f"{cls_config.out}-same", seed=5, labels="canonical"
    )
    assert math.isfinite(train_cls.main(same)["loss"])
    other = replace(cls_config, init=adapted.out, out=f"{cls_config.out}-other", split_seed=1)
    message = (
        r"was trained on .*train_lists.txt, which holds \d+ lists or names of this run's "
        "validation and test splits"
    )
    for inputs in ((), ("name",), ("ingredients",)):
        with pytest.raises(ValueError, match=message):
            train_cls.main(replace(other, inputs=inputs))
    # nor the classifier that was made of it
    with pytest.raises(ValueError, match="-same/train_lists.txt, which holds"):
        train_cls.main(replace(other, init=same.out, labels="canonical"))
    assert not Path(other.out).exists()


# ---- which weights, and their rates ------------------------------------------------------------


def give_scores(monkeypatch, name: str, *scores: float) -> None:
    """Let evaluations to come find these values of a score, and after them 0."""
    remaining = iter(scores)
    judge = training_metrics.classification_metrics

    def judge_otherwise(*arguments):
        return judge(*arguments) | {name: next(remaining, 0.0)}

    monkeypatch.setattr(training_metrics, "classification_metrics", judge_otherwise)


@pytest.mark.parametrize("select_by", ["loss", "accuracy", "macro_f1"])
def test_the_weights_of_the_best_evaluation_are_exported_and_not_the_last(
    cls_config, monkeypatch, select_by
):
    scores = [0.1, 0.2, 0.5, 0.5, 0.4, 0.3]
    if select_by == "loss":  # of which less is better
        scores = [1 - score for score in scores]
    give_scores(monkeypatch, select_by, *scores)
    config = replace(
        cls_config, max_steps=5, eval_interval=1, save_interval=1, keep=9, select_by=select_by
    )
    report = train_cls.main(config)
    assert report["best"]["value"] == 0.5
    assert report["best"]["step"] == 2
    checkpoints = Path(config.out) / "checkpoints"
    assert same_weights(config.out, checkpoints / "step-00000002")
    assert not same_weights(config.out, checkpoints / "step-00000003")


def test_layers_and_head_have_their_own_rates(cls_config):
    """AdamW's first step is the learning rate, whatever the gradient."""
    config = replace(
        cls_config,
        max_steps=1,
        layer_decay=0.5,
        head_factor=10.0,
        warmup=0.0,
        schedule="constant",
        weight_decay=0.0,
        dropout=0.0,
    )
    untrained = replace(config, max_steps=0, out=config.out + "-zero")
    train_cls.main(config)
    train_cls.main(untrained)
    before = weights(untrained.out)
    after = weights(Path(config.out) / "checkpoints" / "step-00000001")
    rates = {
        "bert.encoder.layer.1.output.dense.weight": 1e-3,
        "bert.encoder.layer.0.output.dense.weight": 5e-4,
        "bert.embeddings.position_embeddings.weight": 2.5e-4,
        "bert.pooler.dense.weight": 1e-3,
        "classifier.weight": 1e-2,
    }
    moved = {name: (after[name] - before[name]).abs().max().item() for name in rates}
    assert moved == pytest.approx(rates, rel=0.02)


def test_evaluating_changes_nothing_and_gives_the_same_numbers_again(cls_config):
    """Not a file, not a weight, not the random numbers that training would draw next."""
    config = replace(cls_config, dropout=0.3, max_steps=4, eval_interval=2)
    report = train_cls.main(config)
    model = classifier.Classifier.load(config.out).model.train()
    ranks, data = Ranks.from_environment(), batches_of(config)
    files = contents(Path(config.out).parent)
    model_before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    states = random_states()
    next_batch = data.train_batch(5, 0)

    best_step = report["best"]["step"]
    evaluations = [train_cls.evaluate(model, data, ranks, best_step) for _ in range(2)]
    logits = [train_cls.compute_logits(model, data, "test", ranks) for _ in range(2)]

    (logged,) = [row for row in metrics(config.out, "valid") if row["step"] == best_step]
    del logged["split"]
    assert evaluations == [logged, logged]
    assert are_equal(*logits)
    assert contents(Path(config.out).parent) == files
    assert are_equal(model.state_dict(), model_before)
    assert all(p.grad is None for p in model.parameters())
    assert all(module.training for module in model.modules())
    assert random_states() == states
    assert torch.equal(data.train_batch(5, 0).inputs.input_ids, next_batch.inputs.input_ids)


# ---- ranks, stopping, going on -----------------------------------------------------------------


def test_two_ranks_give_the_losses_and_the_report_of_one(cls_config, tmp_path):
    product_tables(tmp_path, count=150)  # 45 test products: an evaluation batch for each rank
    config = replace(cls_config, max_steps=4, head="mlp")
    train_cls.main(config)
    run = replace(config, out=f"{config.out}-2")
    done = run_script(run, tmp_path, ranks=2)
    assert done.returncode == 0, done.stderr
    assert losses(run.out) == pytest.approx(losses(config.out), abs=1e-5)
    one, two = saved_report(config.out), saved_report(run.out)
    assert one["per_class"] == two["per_class"]
    assert list(one["by_input"]) == list(CASES)
    for case, scores in one["by_input"].items():
        assert scores["accuracy"] == two["by_input"][case]["accuracy"]
    for name in ("predictions_test.csv", "predictions_by_input.csv"):
        tables = [pd.read_csv(Path(folder) / name) for folder in (config.out, run.out)]
        gap = tables[0].pop("probability") - tables[1].pop("probability")
        assert gap.abs().max() < 1e-4
        columns = ["source", "row", "prediction"]
        assert tables[0][columns].equals(tables[1][columns]), "a row was lost or moved"


def test_a_crash_at_any_step_a_signal_and_a_crash_at_the_end_resume_bit_for_bit(
    cls_config, monkeypatch
):
    config = replace(cls_config, max_steps=6, head="mlp", save_interval=2, eval_interval=3)
    unbroken = replace(config, out=config.out + "-unbroken")
    expected = train_cls.main(unbroken)

    def check_resumes(run):
        assert train_cls.main(replace(run, resume=True)) == expected
        assert losses(run.out) == losses(unbroken.out)
        assert [row["step"] for row in metrics(run.out, "valid")] == [0, 3, 6]
        left, expected_files = contents(run.out), contents(unbroken.out)
        assert left.keys() == expected_files.keys()
        for name, written in expected_files.items():
            is_its_own = name in ("run.json", "metrics.jsonl", "README.md")  # --out, and times
            assert is_its_own or left[name] == written, name

    for step in (1, 3, 5):
        run = replace(config, out=f"{config.out}-{step}")
        with crash_at(step):
            train_cls.main(run)
        check_resumes(run)

    run = replace(config, out=f"{config.out}-signal")
    show_progress = RunLog.show_progress

    def send_signal(log, current, text):
        show_progress(log, current, text)
        if current == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(RunLog, "show_progress", send_signal)
        train_cls.main(run)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert (Path(run.out) / "checkpoints" / "step-00000003").is_dir(), "it ends after its step"
    check_resumes(run)

    # between the last checkpoint and the end: the pool, its files, the report
    write_words = word_model.write

    def crash_with_words(folder, models):
        if models:
            raise Crash
        write_words(folder, models)

    def crash(*arguments):
        raise Crash

    for owner, name, fails in (
        (word_model, "write", crash_with_words),
        (report, "judge", crash),
        (report, "write", crash),
    ):
        run = replace(config, out=f"{config.out}-{owner.__name__}-{name}")
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(owner, name, fails)
            train_cls.main(run)
        check_resumes(run)


def test_any_optimizer_trains_and_resumes_bit_for_bit(cls_config, optimized_models):
    config = replace(cls_config, save_interval=2, lr=1e-2)
    unbroken = replace(config, out=config.out + "-unbroken")
    report = train_cls.main(unbroken)
    with crash_at(3):
        train_cls.main(config)
    assert train_cls.main(replace(config, resume=True)) == report
    assert len(optimized_models) == 3, "the runs have used AdamW"
    assert losses(config.out) == losses(unbroken.out)
    assert list(losses(config.out)) == [1, 2, 3]
    last = Path("checkpoints") / "step-00000003"
    trained, state, _ = read_checkpoint(config.out / last)
    unbroken_trained, unbroken_state, _ = read_checkpoint(unbroken.out / last)
    assert are_equal(trained, unbroken_trained)
    assert are_equal(state, unbroken_state)
    assert same_weights(config.out, unbroken.out)
    before = weights(config.init)["bert.pooler.dense.weight"]
    assert (trained["bert.pooler.dense.weight"] != before).any()


def test_with_any_optimizer_a_loss_that_is_not_finite_touches_no_weight(
    cls_config, optimized_models
):
    """The model in memory is, after the error, the one that the last good step has saved."""
    config = replace(cls_config, lr=1e30, max_steps=30, clip=0.0, save_interval=1, warmup=0.0)
    with pytest.raises(ValueError, match=r"step [1-9]\d*: loss .*the last checkpoint is of step"):
        train_cls.main(config)
    last = max((Path(config.out) / "checkpoints").iterdir())
    (model,) = optimized_models
    assert are_equal(model.state_dict(), weights(last))
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_a_resume_that_would_be_another_run_is_refused_by_name(cls_config, tmp_path):
    train_cls.main(replace(cls_config, max_steps=1))
    before = contents(cls_config.out)
    for change, message in (
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"ingredient_dropout": 0.3}, "ingredient_dropout was 0.2, is now 0.3"),
        ({"head": "mlp"}, "head was pooler, is now mlp"),
        ({"batch_size": 32}, "batch_size was 16, is now 32"),
        ({"micro_batch_size": 8}, "micro_batch_size was 4, is now 8"),
        ({"max_length": 32}, "max_length was 64, is now 32"),
        ({"select_by": "macro_f1"}, "select_by was loss, is now macro_f1"),
        ({"inputs": ("name",)}, "data was [0-9a-f]{16}, is now"),
        ({"split": "brand"}, "data was [0-9a-f]{16}, is now .*split was list, is now brand"),
        ({"split_seed": 1}, "data was .*split_seed was 0, is now 1"),
    ):
        with pytest.raises(ValueError, match=message):
            train_cls.main(replace(cls_config, resume=True, **change))
    for column in ("Name", "Ingredients"):
        product_tables(tmp_path)
        table = pd.read_csv(cls_config.data[0], dtype=str, keep_default_na=False)
        row = table.index[table[column] != ""][0]
        table.loc[row, column] = table.loc[row, column] + " more"
        table.to_csv(cls_config.data[0], index=False)
        with pytest.raises(ValueError, match="data was [0-9a-f]{16}, is now"):
            train_cls.main(replace(cls_config, resume=True))
    assert contents(cls_config.out) == before, "a refused resume must leave the run as it was"


@pytest.mark.parametrize("exported", ["better", "lost", "damaged"])
def test_a_resume_has_the_best_weights_of_its_checkpoint(cls_config, monkeypatch, exported):
    """Checkpoint at 4 with the best of 4; the branch that is abandoned exports at 6.

    The run that goes on differently must not claim those weights.
    """
    config = replace(
        cls_config,
        max_steps=12,
        save_interval=4,
        keep=9,
        eval_interval=2,
        schedule="constant",
        select_by="accuracy",
    )
    abandoned = (0.1, 0.2, 0.3, 0.9)
    resumed = (0.2, 0.25, 0.21, 0.22)
    give_scores(monkeypatch, "accuracy", *abandoned, *resumed)
    with crash_at(7):
        train_cls.main(config)
    path = Path(config.out) / "model.safetensors"
    if exported == "lost":
        path.unlink()
    elif exported == "damaged":
        path.write_bytes(path.read_bytes()[:-1])
    report = train_cls.main(replace(config, resume=True, lr=5e-4))
    assert report["best"] == {"step": 4, "value": 0.3}
    assert same_weights(config.out, Path(config.out) / "checkpoints" / "step-00000004")


def test_a_prolonged_run_is_judged_once(cls_config):
    train_cls.main(cls_config)
    report = train_cls.main(replace(cls_config, resume=True, max_steps=5))
    (row,) = metrics(cls_config.out, "test")
    assert row["step"] == 5
    assert row["accuracy"] == report["accuracy"]


# ---- what is refused ---------------------------------------------------------------------------


def test_with_several_ranks_the_error_says_how_to_keep_the_batch(cls_config):
    config = replace(cls_config, batch_size=16, micro_batch_size=16)
    assert train_cls.conflicts(config, world_size=1) == []
    assert train_cls.conflicts(config, world_size=2) == [
        "--batch-size 16 is no multiple of --micro-batch-size 16 x 2 rank(s) = 32; the nearest are "
        "32, or keep the batch with --micro-batch-size 8"
    ]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"batch_size": 30},
            r"--batch-size 30 is no multiple of --micro-batch-size 4 x 1 rank\(s\) = 4; the "
            "nearest are 28 and 32, or keep the batch with --micro-batch-size 30",
        ),
        ({"max_length": 65}, "--max-length 65 is over the 64 positions"),
        (
            {"layer_decay": 0.0, "label_smoothing": 2.0, "head_factor": -1.0},
            "--head-factor must be above 0, not -1.0; "
            "--layer-decay must be above 0 and at most 1, not 0.0; "
            "--label-smoothing must be at least 0 and at most 1, not 2.0",
        ),
        (
            {"ingredient_dropout": 1.0},
            "--ingredient-dropout must be at least 0 and below 1, not 1.0",
        ),
        ({"data": ("nowhere.csv",)}, "nowhere.csv: no such file"),
        ({"init": "./nowhere"}, "--init ./nowhere: no such folder"),
        ({"min_per_label": 41}, r"only 0 label\(s\) with at least --min-per-label 41"),
        ({"labels": "group"}, r"only 1 label\(s\) with at least"),
        ({"inputs": ("brand",)}, "--inputs brand: a product has name and ingredients"),
        ({"columns": ("kind=Label",)}, "--columns 'kind=Label': the roles are label, "),
        (
            {"columns": ("name=Title",)},
            "--columns name=Title: no table has that column; .*cosmetics.csv has 'Price', 'Label', "
            "'Brand', 'Name', 'Ingredients'; .*sephora.csv has 'category', ",
        ),
        ({"columns": ("split=Brand",)}, "cosmetics.csv, row 0: split 'brand .*' is none of train"),
    ],
)
def test_wrong_flags_are_named_before_anything_is_written(cls_config, tmp_path, change, message):
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        train_cls.main(replace(cls_config, **change))
    assert not Path(cls_config.out).exists()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "option, value, message",
    [
        *FORBIDDEN_NUMBERS,
        ("--head-factor", "nan", "--head-factor must be a finite number, not nan"),
        ("--head-factor", "inf", "--head-factor must be a finite number, not inf"),
    ],
)
def test_a_forbidden_number_ends_the_command_before_any_file_is_read(
    tmp_path, capsys, option, value, message
):
    """The table does not exist; were it looked for first, the message would be about that."""
    table = ["--data", str(tmp_path / "nowhere.csv")]
    code = exit_code_of("train_cls.py", *table, "--out", str(tmp_path / "run"), option, value)
    assert code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not list(tmp_path.iterdir())


def test_flags_of_before_get_a_line_that_names_those_of_now(tmp_path, capsys):
    old = ["--cosmetics", "a.csv", "--sephora=b.csv", "--out", str(tmp_path / "run")]
    new = train_cls.ClsConfig.RENAMED["cosmetics"]
    assert new.startswith("--data TABLE [TABLE ...]")
    assert exit_code_of("train_cls.py", *old) == 2
    expected = f"error: --cosmetics is now {new}; --sephora is now {new}\n"
    assert capsys.readouterr().err == expected
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"config": {"cosmetics": "a.csv", "head": "mlp"}}))
    assert exit_code_of("train_cls.py", "--config", str(path)) == 2
    assert capsys.readouterr().err == f"error: --config {path}: cosmetics is now {new}\n"


def some_rows(labels: str, header: str = "label,name,ingredients") -> str:
    """A table with a row for each letter, which is its label."""
    rows = [f'{label},Name {i},"Water, Oil {i}"' for i, label in enumerate(labels)]
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize(
    "table, flags, message",
    [
        (
            some_rows("ab" * 20),
            ["--columns", "ingredients=INCI list"],
            "--columns ingredients=INCI list: no table has that column; {table} has 'label', "
            "'name', 'ingredients'",
        ),
        (
            some_rows("ab" * 20, "kind,name,ingredients"),
            [],
            "{table} has no column that is known to hold the label; name one with --columns "
            "label=COLUMN. It has 'kind', 'name', 'ingredients'",
        ),
        (
            some_rows("ab" * 20, "label,title,list").replace("Name ", "").replace("Oil", ""),
            ["--inputs", "ingredients"],
            "--inputs ingredients: no row of the tables has it; they have name. Is it in another "
            "column? Name it with --columns ingredients=COLUMN",
        ),
        (
            some_rows("a" * 40),
            [],
            "only 1 label(s) with at least --min-per-label 5 products, one of them in training: "
            "nothing to tell apart",
        ),
        (
            some_rows("ab" * 20 + "cc"),
            ["--min-per-label", "2"],
            "too few products for 3 splits: 'c' (2); raise --min-per-label to 3",
        ),
        (
            some_rows("ab" * 20, "label,name,name"),
            [],
            "{table} has columns of the same name: 'name'",
        ),
        (
            some_rows("ab" * 20, "label,Name,NAME"),
            [],
            "{table} has more than one column 'name': 'Name', 'NAME'",
        ),
        (
            "label,name,ingredients\n" + 'a,,"Water, Oil"\nb,,"Water, Mica"\n' * 20,
            ["--inputs", "name"],
            "--inputs name: no row of the tables has it; they have ingredients. Is it in another "
            "column? Name it with --columns name=COLUMN",
        ),
    ],
)
def test_as_a_command_a_mistake_in_a_table_is_one_line_and_code_2(
    tmp_path, capsys, table, flags, message
):
    path = tmp_path / "products.csv"
    path.write_text(table)
    out = tmp_path / "run"
    code = exit_code_of("train_cls.py", "--data", str(path), "--out", str(out), *flags)
    assert code == 2
    assert capsys.readouterr().err == f"error: {message.format(table=path)}\n"
    assert not out.exists()


def test_what_may_be_wrong_with_tables_is_said_and_does_not_stop_a_run(tmp_path, capsys):
    """Labels that no other table has, and a name column that is empty everywhere."""
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    paths[0].write_text(some_rows("ab" * 20))
    paths[1].write_text(re.sub(r"Name \d+", "", some_rows("cd" * 20)).replace("Oil", "Wax"))
    out = tmp_path / "run"
    flags = ["--data", *map(str, paths), "--out", str(out), "--describe"]
    assert exit_code_of("train_cls.py", *flags) == 0
    printed = capsys.readouterr()
    assert "  note: tables that have no label in common with another: 'one', 'two'\n" in printed.out
    assert f"  note: {paths[1]}: no row with a label has a name in the column 'name'" in printed.out
    assert json.loads((out / "labels.json").read_text()) == list("abcd")
    assert not printed.err


def test_linear_svc_is_left_out_when_nobody_asks(cls_config, extras, monkeypatch):
    monkeypatch.setattr(baselines, "linear_svc", lambda data: pytest.fail("it was fitted"))
    report = train_cls.main(replace(cls_config, baseline=False, max_steps=1))
    assert report["tfidf_linear_svc"] is None
    assert {scores["linear_svc"] for scores in report["by_input"].values()} == {None}
