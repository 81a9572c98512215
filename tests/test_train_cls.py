"""train_cls.py from end to end, as a function and as a command."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import train_cls
import train_mlm
from beautybert import runlog
from beautybert.bert import wordpiece
from beautybert.bert.model import BertForSequenceClassification
from beautybert.cls import classifier
from beautybert.cls.batches import drop_ingredients, pack_examples
from beautybert.training.distributed import Ranks
from beautybert.training.options import parse
from tests.bench.bench_accuracy import MORE, ROWS
from tests.conftest import KINDS, metrics, product_tables, run_script


def losses(folder) -> dict[int, float]:
    rows = metrics(folder)
    assert len({row["step"] for row in rows}) == len(rows), "a step stands twice"
    return {row["step"]: row["loss"] for row in rows}


def marked_label(text: str) -> str:
    """The label that a list of `product_tables` was written for."""
    found = [label for label, marks in KINDS.items() if any(mark in text for mark in marks)]
    assert len(found) == 1, text
    return found[0]


# ---------------------------------------------------------------------------------------------- what it is for


def test_it_learns_and_leaves_a_whole_run_folder(cls_config):
    report = train_cls.main(
        replace(
            cls_config,
            init="scratch",
            vocab_size=150,
            max_steps=150,
            lr=1e-3,
            micro_batch_size=16,
            eval_interval=50,
        )
    )
    out = Path(cls_config.out)
    assert report["accuracy"] > 0.9 and report["majority_accuracy"] < 0.5 and report["top3"] == 1.0
    assert {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "vocab.txt",
        "run.json",
        "labels.json",
        "report.json",
        "splits.csv",
        "predictions_test.csv",
        "confusion.csv",
        "metrics.jsonl",
        "checkpoints",
    } <= {path.name for path in out.iterdir()}
    assert json.loads((out / "labels.json").read_text()) == sorted(KINDS)
    assert [row["step"] for row in metrics(out, "valid")] == [0, 50, 100, 150] and metrics(
        out, "test"
    )[0]["accuracy"] == report["accuracy"]
    saved = json.loads((out / "report.json").read_text())
    assert {
        "accuracy",
        "top3",
        "macro_f1",
        "ece",
        "ece_uncalibrated",
        "temperature",
        "majority_accuracy",
        "tfidf_linear_svc",
        "per_class",
        "sizes",
    } <= set(saved)
    assert saved["sizes"] == {"train": 96, "valid": 12, "test": 12}


def test_text_and_label_never_come_apart_between_the_files_and_the_loss(cls_config, monkeypatch):
    """Every document of every batch of training, validation and test stands beside the label that
    its own text was written for.
    """
    seen = []
    monkeypatch.setattr(
        train_cls,
        "labelled_batch",
        lambda examples: seen.append(pack_examples(examples)) or seen[-1],
    )
    train_cls.main(
        replace(cls_config, init="scratch", vocab_size=300, max_steps=8, ingredient_dropout=0.0)
    )
    tokenizer, labels = wordpiece.read(cls_config.out), sorted(KINDS)
    texts = [
        (tokenizer.decode(ids.tolist()), labels[label])
        for batch in seen
        for ids, label in zip(
            batch.input_ids.split(batch.lengths.seqlens), batch.target_ids.tolist()
        )
    ]
    assert len(texts) > 8 * 16 + 2 * 12 and {label for _, label in texts} == set(KINDS)
    assert all(marked_label(text) == label for text, label in texts)

    raw = {
        "cosmetics": pd.read_csv(cls_config.cosmetics, dtype=str),
        "sephora": pd.read_csv(cls_config.sephora, dtype=str),
    }
    lists = {"cosmetics": raw["cosmetics"]["Ingredients"], "sephora": raw["sephora"]["ingredients"]}
    for name, share in (("splits.csv", 1.0), ("predictions_test.csv", 0.1)):
        table = pd.read_csv(Path(cls_config.out) / name)
        assert len(table) == round(120 * share)
        assert all(
            marked_label(lists[source][row]) == label
            for source, row, label in zip(table.source, table.row, table.label)
        )


def test_the_defaults_are_the_row_wide_head_of_the_measurements(cls_config):
    row = parse(train_cls.ClsConfig, "", [*ROWS["wide head"][1].split(), *MORE.split()])
    assert row == replace(train_cls.ClsConfig(), lr=row.lr)
    train_cls.main(replace(cls_config, max_steps=1, lr=None, schedule="constant", warmup=0.0))
    assert metrics(cls_config.out, "train")[0]["lr"] == row.lr


def test_training_alone_drops_hidden_states(cls_config, monkeypatch):
    seen, forward = set(), BertForSequenceClassification.forward
    monkeypatch.setattr(
        BertForSequenceClassification,
        "forward",
        lambda model, *inputs: (
            seen.add((torch.is_grad_enabled(), model.training)) or forward(model, *inputs)
        ),
    )
    train_cls.main(replace(cls_config, max_steps=4, eval_interval=2))
    assert seen == {(True, True), (False, False)}


def test_training_alone_leaves_out_ingredients_and_others_in_each_epoch(cls_config, monkeypatch):
    seen, draws = [], []
    monkeypatch.setattr(
        train_cls,
        "without_ingredients",
        lambda ids, share, vocabulary, rng: (
            draws.append(rng.bit_generator.state["state"]["state"])
            or drop_ingredients(ids, share, vocabulary, rng)
        ),
    )
    monkeypatch.setattr(
        train_cls,
        "labelled_batch",
        lambda examples: (
            seen.append([tuple(example.ids.tolist()) for example in examples])
            or pack_examples(examples)
        ),
    )
    run = replace(
        cls_config, max_steps=12, ingredient_dropout=0.4
    )  # two epochs of 96 lists; micro-batches of 4
    train_cls.main(run)
    dropped, seen[:] = list(seen), []
    train_cls.main(replace(run, out=run.out + "-whole", ingredient_dropout=0.0))

    def lists(batches, size):
        return [ids for batch in batches if len(batch) == size for ids in batch]

    shorter, whole = lists(dropped, 4), lists(seen, 4)
    assert len(shorter) == len(whole) == 12 * 16 and lists(dropped, 12) == lists(seen, 12), (
        "validation and test lists stay whole"
    )
    assert (
        len(set(whole)) == 96 and len(set(shorter)) > 150 and len(set(draws)) == len(draws) == 192
    ), "the epochs leave out the same"
    assert 0.5 < sum(map(len, shorter)) / sum(map(len, whole)) < 0.75


def test_the_report_is_that_of_the_exported_weights_and_of_its_own_predictions(cls_config):
    report = train_cls.main(replace(cls_config, max_steps=24, eval_interval=4))
    table = pd.read_csv(Path(cls_config.out) / "predictions_test.csv")
    assert math.isclose((table.label == table.prediction).mean(), report["accuracy"])
    assert report["best_valid"] == max(row["accuracy"] for row in metrics(cls_config.out, "valid"))
    best = next(
        row for row in metrics(cls_config.out, "valid") if row["accuracy"] == report["best_valid"]
    )
    assert report["best_step"] == best["step"]
    again = train_cls.main(
        replace(cls_config, init=cls_config.out, max_steps=0, out=cls_config.out + "-again")
    )
    assert again["accuracy"] == report["accuracy"] and math.isclose(
        again["loss"], report["loss"], rel_tol=1e-6
    )


def test_the_first_loss_is_the_weighted_smoothed_mean_over_the_batch(cls_config):
    rare = pd.read_csv(cls_config.cosmetics, dtype=str)
    rare[(rare.Label != "Serum") | (rare.index % 3 == 0)].to_csv(cls_config.cosmetics, index=False)
    config = replace(
        cls_config,
        dropout=0.0,
        ingredient_dropout=0.0,
        max_steps=1,
        class_weights=True,
        label_smoothing=0.2,
    )
    train_cls.main(replace(config, max_steps=0, out=config.out + "-zero"))
    train_cls.main(config)
    batches = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            train_cls,
            "labelled_batch",
            lambda examples: batches.append(pack_examples(examples)) or batches[-1],
        )
        train_cls.main(replace(config, out=config.out + "-spied"))
    model = classifier.load(Path(config.out + "-zero")).model
    splits = pd.read_csv(Path(config.out) / "splits.csv")
    counts = splits[splits.split == "train"].label.value_counts()
    weights = torch.tensor(
        [counts.sum() / (3 * counts[label]) for label in sorted(KINDS)], dtype=torch.float32
    )
    assert weights.max() > 1.2 * weights.min()
    step = [batch for batch in batches if len(batch.target_ids) == 4][:4]
    logits, targets = (
        torch.cat([model(b.input_ids, b.position_ids, b.lengths) for b in step]),
        torch.cat([b.target_ids for b in step]),
    )
    expected = (
        F.cross_entropy(logits, targets, weight=None, reduction="none", label_smoothing=0.2)
        * weights[targets]
    )
    assert math.isclose(
        losses(config.out)[1], (expected.sum() / weights[targets].sum()).item(), rel_tol=1e-5
    )


@pytest.mark.parametrize(
    "option",
    [
        {"head": "mlp"},
        {"head": "wide"},
        {"head": "mlm-logits"},
        {"amp": "bf16"},
        {"labels": "canonical"},
        {"split": "brand"},
    ],
)
def test_options_change_the_run_and_are_kept_with_it(cls_config, option):
    train_cls.main(replace(cls_config, out=cls_config.out + "-plain"))
    report = train_cls.main(replace(cls_config, **option))
    ((name, value),) = option.items()
    assert json.loads((Path(cls_config.out) / "run.json").read_text())["config"][
        name
    ] == value and math.isfinite(report["loss"])
    if name in ("head", "amp"):
        assert losses(cls_config.out) != losses(cls_config.out + "-plain")
        assert classifier.load(Path(cls_config.out)).model.head == option.get("head", "pooler")
        opened_by_transformers = json.loads((Path(cls_config.out) / "config.json").read_text())[
            "architectures"
        ]
        assert opened_by_transformers == [
            "BertModel" if name == "head" else "BertForSequenceClassification"
        ]
    if name == "labels":
        assert json.loads((Path(cls_config.out) / "labels.json").read_text()) == ["Hair", "Makeup"]
    if name == "split":
        table = pd.read_csv(Path(cls_config.out) / "splits.csv")
        brands = {
            "cosmetics": pd.read_csv(cls_config.cosmetics).Brand,
            "sephora": pd.read_csv(cls_config.sephora).brand,
        }
        sides = {}
        for source, row, side in zip(table.source, table.row, table.split):
            sides.setdefault(brands[source][row], set()).add(side)
        assert all(len(side) == 1 for side in sides.values())


def test_what_pretraining_may_read_is_the_training_side_whatever_the_labels_and_the_seed(
    cls_config,
):
    """train_lists.txt: all training lists, those of labels that a run leaves out too, and no list
    of validation or test, under any scheme.
    """
    table = pd.read_csv(cls_config.label_table, keep_default_na=False)
    table.loc[table.label == "Serum", "canonical"] = ""
    pd.concat(
        [table, pd.DataFrame([("Bandage", "Lipstick", "all", "")], columns=table.columns)]
    ).to_csv(cls_config.label_table, index=False)
    sephora = pd.read_csv(cls_config.sephora, dtype=str)
    sephora.loc[sephora.index[:2], "category"] = (
        "Bandage"  # rare under full, a Lipstick under canonical
    )
    sephora.to_csv(cls_config.sephora, index=False)
    raw = {
        "cosmetics": pd.read_csv(cls_config.cosmetics, dtype=str)["Ingredients"],
        "sephora": sephora["ingredients"],
    }
    written, sides = {}, {}
    for name, change in (
        ("full", {}),
        ("canonical", {"labels": "canonical", "seed": 3}),
        ("other", {"split_seed": 1}),
    ):
        train_cls.main(replace(cls_config, max_steps=0, out=f"{cls_config.out}-{name}", **change))
        written[name] = (
            (Path(f"{cls_config.out}-{name}") / "train_lists.txt")
            .read_text(encoding="utf-8")
            .splitlines()
        )
        splits = pd.read_csv(Path(f"{cls_config.out}-{name}") / "splits.csv")
        sides[name] = {
            side: {raw[source][row] for source, row in zip(rows.source, rows.row)}
            for side, rows in splits.groupby("split")
        }
    assert (
        written["full"] == written["canonical"]
        and set(written["full"]) != set(written["other"])
        and len(set(written["full"])) == 96
    )
    for name in ("full", "canonical"):
        assert sides[name]["train"] < set(written["full"]) and not set(written["full"]) & (
            sides[name]["valid"] | sides[name]["test"]
        )


def test_a_model_that_read_the_test_lists_is_refused(cls_config, tmp_path):
    """The same adapted model is good for the split whose lists it read and no other."""
    train_cls.main(replace(cls_config, max_steps=0))
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
    report = train_cls.main(
        replace(
            cls_config, init=adapted.out, out=f"{cls_config.out}-same", seed=5, labels="canonical"
        )
    )
    assert math.isfinite(report["loss"])
    with pytest.raises(
        ValueError,
        match=r"was trained on .*train_lists.txt, which holds \d+ lists of this run's validation and test sides",
    ):
        train_cls.main(
            replace(cls_config, init=adapted.out, out=f"{cls_config.out}-other", split_seed=1)
        )
    with pytest.raises(
        ValueError, match="-same/train_lists.txt, which holds"
    ):  # nor the classifier that was made of it
        train_cls.main(
            replace(
                cls_config,
                init=f"{cls_config.out}-same",
                out=f"{cls_config.out}-other",
                split_seed=1,
                labels="canonical",
            )
        )


@pytest.mark.parametrize("select_by", ["accuracy", "macro_f1"])
def test_the_weights_of_the_best_evaluation_are_exported_and_not_the_last(
    cls_config, monkeypatch, select_by
):
    scores = iter([0.1, 0.2, 0.5, 0.5, 0.4, 0.3])
    judge = train_cls.classification_report
    monkeypatch.setattr(
        train_cls,
        "classification_report",
        lambda *arguments: judge(*arguments) | {select_by: next(scores, 0.0)},
    )
    report = train_cls.main(
        replace(
            cls_config, max_steps=5, eval_interval=1, save_interval=1, keep=9, select_by=select_by
        )
    )
    assert report["best_valid"] == 0.5 and report["best_step"] == 2
    exported, best = (
        load_file(Path(cls_config.out) / path)
        for path in ("model.safetensors", "checkpoints/step-00000002/model.safetensors")
    )
    assert all(torch.equal(exported[key], best[key]) for key in best)


def test_layers_and_head_have_their_own_rates(cls_config):
    train_cls.main(
        replace(
            cls_config,
            max_steps=1,
            layer_decay=0.5,
            head_factor=10.0,
            warmup=0.0,
            schedule="constant",
            weight_decay=0.0,
            dropout=0.0,
        )
    )
    train_cls.main(replace(cls_config, max_steps=0, out=cls_config.out + "-zero"))
    before, after = (
        load_file(Path(folder) / "model.safetensors")
        for folder in (cls_config.init, Path(cls_config.out) / "checkpoints" / "step-00000001")
    )
    moved = {
        key: (after[key] - before[key]).abs().max().item() for key in before if key in after
    }  # AdamW's first step is the rate, whatever the gradient
    assert moved["bert.encoder.layer.1.output.dense.weight"] == pytest.approx(1e-3, rel=0.02)
    assert moved["bert.encoder.layer.0.output.dense.weight"] == pytest.approx(5e-4, rel=0.02)
    assert moved["bert.embeddings.position_embeddings.weight"] == pytest.approx(2.5e-4, rel=0.02)
    assert moved["bert.pooler.dense.weight"] == pytest.approx(1e-3, rel=0.02)
    first = load_file(Path(cls_config.out + "-zero") / "model.safetensors")
    assert (after["classifier.weight"] - first["classifier.weight"]).abs().max() == pytest.approx(
        1e-2, rel=0.02
    )


# ---------------------------------------------------------------------------------------------- ranks, stopping, going on


def test_two_ranks_give_the_losses_and_the_report_of_one(cls_config, tmp_path):
    product_tables(tmp_path, count=150)  # 45 test lists: an evaluation batch for each rank
    reports = []
    for ranks in (0, 2):
        run = replace(cls_config, max_steps=6, head="wide", out=f"{cls_config.out}-{ranks}")
        done = run_script(run, tmp_path, ranks)
        assert done.returncode == 0, done.stderr
        reports.append(json.loads((Path(run.out) / "report.json").read_text()))
    one, two = (losses(f"{cls_config.out}-{ranks}") for ranks in (0, 2))
    assert one.keys() == two.keys() and max(abs(one[step] - two[step]) for step in one) < 1e-5
    assert (
        reports[0]["per_class"] == reports[1]["per_class"]
        and reports[0]["accuracy"] == reports[1]["accuracy"]
    )
    predictions = [
        pd.read_csv(Path(f"{cls_config.out}-{ranks}") / "predictions_test.csv") for ranks in (0, 2)
    ]
    assert (predictions[0].probability - predictions[1].probability).abs().max() < 1e-4
    assert (
        predictions[0]
        .drop(columns="probability")
        .equals(predictions[1].drop(columns="probability"))
    ), "a row was lost, counted twice or moved"


class Crash(Exception):
    pass


@pytest.mark.parametrize("crash_at", [1, 5, 11])
def test_a_crash_at_any_step_resumes_bit_for_bit(cls_config, monkeypatch, crash_at):
    config = replace(cls_config, max_steps=12, head="wide", save_interval=4, eval_interval=3)
    whole = replace(config, out=config.out + "-whole")
    expected = train_cls.main(whole)

    def crash(log, step, *values):
        if step == crash_at:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(runlog.RunLog, "show_step", crash)
        with pytest.raises(Crash):
            train_cls.main(config)
    assert train_cls.main(replace(config, resume=True)) == expected
    assert losses(config.out) == losses(whole.out) and [
        row["step"] for row in metrics(config.out, "valid")
    ] == [0, 3, 6, 9, 12]
    one, other = (
        load_file(Path(folder) / "model.safetensors") for folder in (config.out, whole.out)
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"ingredient_dropout": 0.3}, "ingredient_dropout was 0.2, is now 0.3"),
        ({"head": "mlp"}, "head was pooler, is now mlp"),
        ({"batch_size": 32}, "batch_size was 16, is now 32"),
        ({"split": "brand"}, "data was [0-9a-f]{16}, is now .*split was list, is now brand"),
        ({"split_seed": 1}, "split_seed was 0, is now 1"),
    ],
)
def test_a_resume_that_would_be_another_run_is_refused_by_name(cls_config, change, message):
    train_cls.main(cls_config)
    with pytest.raises(ValueError, match=message):
        train_cls.main(replace(cls_config, resume=True, **change))


# ---------------------------------------------------------------------------------------------- what is refused


def test_with_several_ranks_the_error_says_how_to_keep_the_batch(cls_config):
    with pytest.raises(
        ValueError,
        match=r"x 2 rank\(s\) = 32; multiples are 32, or keep the batch with --micro-batch-size 8$",
    ):
        train_cls.check(
            replace(cls_config, batch_size=16, micro_batch_size=16),
            replace(Ranks.from_environment(), world_size=2),
        )


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"batch_size": 30},
            r"--batch-size 30 is no multiple of --micro-batch-size 4 x 1 rank\(s\) = 4; multiples are 28 and 32, or keep the batch with --micro-batch-size 30",
        ),
        ({"sephora": train_cls.ClsConfig.sephora}, "--cosmetics and --sephora go together"),
        ({"max_length": 65}, "--max-length 65 is over the 64 positions"),
        (
            {"layer_decay": 0.0, "label_smoothing": 2.0, "head_factor": -1.0},
            "--head-factor must be above 0.*--label-smoothing must lie.*--layer-decay must be above 0",
        ),
        (
            {"ingredient_dropout": 1.0},
            "--ingredient-dropout must be at least 0 and below 1, not 1.0",
        ),
        ({"cosmetics": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"init": "./nowhere"}, "--init ./nowhere: no such folder"),
        ({"min_per_label": 41}, r"only 0 label\(s\) with at least --min-per-label 41"),
    ],
)
def test_wrong_flags_are_named_before_anything_is_written(cls_config, change, message):
    with pytest.raises(ValueError, match=message):
        train_cls.main(replace(cls_config, **change))
    assert not Path(cls_config.out).exists()


def test_as_a_command_a_mistake_in_the_tables_is_one_line_and_code_2(cls_config, tmp_path):
    pd.read_csv(cls_config.sephora, dtype=str).rename(columns={"ingredients": "list"}).to_csv(
        cls_config.sephora, index=False
    )
    done = run_script(cls_config, tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        f"error: {cls_config.sephora} has no column ingredients; it has category, brand, list, id"
    ]


def test_a_resume_after_better_weights_took_the_place_of_the_best_judges_its_own(
    cls_config, monkeypatch
):
    """Checkpoint at 4 with the best of 4; the branch that is abandoned exports at 6.

    The run that goes on differently must not claim those weights.
    """
    config = replace(
        cls_config,
        max_steps=12,
        save_interval=4,
        eval_interval=2,
        schedule="constant",
        select_by="accuracy",
    )
    scores = iter([0.1, 0.2, 0.3, 0.9] + [0.2, 0.25, 0.21, 0.22] + [0.5] * 9)
    judge = train_cls.classification_report
    monkeypatch.setattr(
        train_cls,
        "classification_report",
        lambda *arguments: judge(*arguments) | {"accuracy": next(scores)},
    )

    def crash(log, step, *values):
        if step == 7:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(runlog.RunLog, "show_step", crash)
        with pytest.raises(Crash):
            train_cls.main(config)
    report = train_cls.main(replace(config, resume=True, lr=5e-4))
    assert report["best_step"] == 8 and report["best_valid"] == 0.25
    saved, exported = (
        load_file(Path(config.out) / path)
        for path in ("checkpoints/step-00000012/model.safetensors", "model.safetensors")
    )
    assert not all(torch.equal(saved[key], exported[key]) for key in saved)


def test_a_prolonged_run_is_judged_once(cls_config):
    train_cls.main(cls_config)
    report = train_cls.main(replace(cls_config, resume=True, max_steps=5))
    assert [row["step"] for row in metrics(cls_config.out, "test")] == [5] and metrics(
        cls_config.out, "test"
    )[0]["accuracy"] == report["accuracy"]


def test_new_lists_in_the_tables_are_new_data(cls_config, tmp_path):
    train_cls.main(cls_config)
    product_tables(tmp_path, seed=1)
    with pytest.raises(ValueError, match="data was [0-9a-f]{16}, is now"):
        train_cls.main(replace(cls_config, resume=True))
