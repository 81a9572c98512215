"""train_cls.py from end to end, as a function and as a command."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

import train_cls
import train_mlm
from beautybert.bert import wordpiece
from beautybert.bert.model import BertForSequenceClassification
from beautybert.cls import batches, classifier, products, splits
from beautybert.cls.batches import ClsBatch, ClsBatches
from beautybert.training import metrics as training_metrics
from beautybert.training.checkpoints import read as read_checkpoint
from beautybert.training.distributed import Ranks
from beautybert.training.options import parse
from tests.bench.bench_accuracy import MORE, ROWS
from tests.conftest import (
    FORBIDDEN_NUMBERS,
    KINDS,
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


def batches_of(config: train_cls.ClsConfig) -> ClsBatches:
    """The micro-batches of a run that starts from a checkpoint, made as train_cls.py makes them."""
    table, counts = products.read_products(config.cosmetics, config.sephora, config.label_table)
    by_split = splits.split_products(table, config.split, config.split_seed)
    names = products.read_label_map(config.label_table, config.labels)
    by_split, _ = products.apply_label_scheme(by_split, names, config.min_per_label, counts)
    return ClsBatches(
        by_split,
        wordpiece.read(config.init),
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size,
        max_length=config.max_length,
        ingredient_dropout=config.ingredient_dropout,
        class_weights=config.class_weights,
        seed=config.seed,
    )


def documents(batch: ClsBatch) -> list[tuple[int, ...]]:
    """The ids of each document of a micro-batch."""
    parts = batch.input_ids.split(batch.lengths.seqlens)
    return [tuple(ids.tolist()) for ids in parts]


def marked_label(text: str) -> str:
    """The label that a list of `product_tables` was written for."""
    found = [label for label, marks in KINDS.items() if any(mark in text for mark in marks)]
    assert len(found) == 1, text
    return found[0]


def raw_lists(config: train_cls.ClsConfig) -> dict[str, pd.Series]:
    """The cells with ingredients of each source's table."""
    return {
        "cosmetics": pd.read_csv(config.cosmetics, dtype=str)["Ingredients"],
        "sephora": pd.read_csv(config.sephora, dtype=str)["ingredients"],
    }


# ---- what it is for ----------------------------------------------------------------------------


def test_it_learns_and_leaves_a_complete_run_folder(cls_config):
    config = replace(
        cls_config,
        init="scratch",
        vocab_size=150,
        max_steps=150,
        lr=1e-3,
        micro_batch_size=16,
        eval_interval=50,
    )
    report = train_cls.main(config)
    out = Path(config.out)
    assert report["accuracy"] > 0.9
    assert report["majority_accuracy"] < 0.5
    assert report["top3"] == 1.0
    assert json.loads((out / "labels.json").read_text()) == sorted(KINDS)
    assert [row["step"] for row in metrics(out, "valid")] == [0, 50, 100, 150]
    assert metrics(out, "test")[0]["accuracy"] == report["accuracy"]
    written = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "vocab.txt"} <= written
    assert {"labels.json", "splits.csv", "run.json", "metrics.jsonl", "checkpoints"} <= written
    assert {"report.json", "predictions_test.csv", "confusion.csv"} <= written
    saved = json.loads((out / "report.json").read_text())
    assert {"accuracy", "top3", "macro_f1", "ece", "ece_uncalibrated", "temperature"} <= set(saved)
    assert {"majority_accuracy", "tfidf_linear_svc", "per_class"} <= set(saved)
    assert saved["sizes"] == {"train": 96, "valid": 12, "test": 12}


def test_text_and_label_never_come_apart_between_the_files_and_the_loss(cls_config, monkeypatch):
    """Every document of every batch of training, validation and test is beside the label that its
    own text was written for.
    """
    trained = record(monkeypatch, ClsBatches, "train_batch")
    evaluated = record(monkeypatch, ClsBatches, "eval_batches")
    config = replace(
        cls_config, init="scratch", vocab_size=300, max_steps=8, ingredient_dropout=0.0
    )
    train_cls.main(config)
    seen = [batch for _, batch in trained]
    for _, given in evaluated:
        seen += [batch for _, batch in given]
    assert {arguments[1] for arguments, _ in evaluated} == {"valid", "test"}

    tokenizer, labels = wordpiece.read(config.out), sorted(KINDS)
    num_documents = 0
    found = set()
    for batch in seen:
        for ids, label_id in zip(documents(batch), batch.target_ids.tolist(), strict=True):
            assert marked_label(tokenizer.decode(list(ids))) == labels[label_id]
            num_documents += 1
            found.add(labels[label_id])
    assert num_documents > 8 * 16 + 2 * 12
    assert found == set(KINDS)

    lists = raw_lists(config)
    for name, share in (("splits.csv", 1.0), ("predictions_test.csv", 0.1)):
        table = pd.read_csv(Path(config.out) / name)
        assert len(table) == round(120 * share)
        for source, row, label in zip(table["source"], table["row"], table["label"], strict=True):
            assert marked_label(lists[source][row]) == label


def test_the_defaults_are_the_row_wide_head_of_the_measurements(cls_config):
    row = parse(train_cls.ClsConfig, "", [*ROWS["wide head"][1].split(), *MORE.split()])
    assert row == replace(train_cls.ClsConfig(), lr=row.lr)
    train_cls.main(replace(cls_config, max_steps=1, lr=None, schedule="constant", warmup=0.0))
    assert metrics(cls_config.out)[0]["lr"] == row.lr


def test_training_alone_drops_hidden_states(cls_config, monkeypatch):
    seen = set()
    forward = BertForSequenceClassification.forward

    def watched_forward(model, *inputs):
        seen.add((torch.is_grad_enabled(), model.training))
        return forward(model, *inputs)

    monkeypatch.setattr(BertForSequenceClassification, "forward", watched_forward)
    train_cls.main(replace(cls_config, max_steps=4, eval_interval=2))
    assert seen == {(True, True), (False, False)}


def test_training_alone_leaves_out_ingredients_and_others_in_each_epoch(cls_config, monkeypatch):
    """Two epochs of 96 lists, in micro-batches of 4, each list with random numbers of its own."""
    draws = []
    drop_ingredients = batches.drop_ingredients

    def watched_drop(ids, share, vocabulary, rng):
        draws.append(rng.bit_generator.state["state"]["state"])
        return drop_ingredients(ids, share, vocabulary, rng)

    monkeypatch.setattr(batches, "drop_ingredients", watched_drop)
    trained, evaluated = {}, {}
    for share in (0.4, 0.0):
        with monkeypatch.context() as patch:
            train_calls = record(patch, ClsBatches, "train_batch")
            eval_calls = record(patch, ClsBatches, "eval_batches")
            run = replace(
                cls_config,
                max_steps=12,
                ingredient_dropout=share,
                out=f"{cls_config.out}-{share}",
            )
            train_cls.main(run)
        trained[share] = []
        for _, batch in train_calls:
            trained[share] += documents(batch)
        evaluated[share] = []
        for _, given in eval_calls:
            for indices, batch in given:
                evaluated[share] += zip(indices, documents(batch), strict=True)
    shorter, complete = trained[0.4], trained[0.0]
    assert len(shorter) == len(complete) == 12 * 16
    assert evaluated[0.4] == evaluated[0.0], "validation and test lists stay complete"
    assert len(set(complete)) == 96
    assert len(set(shorter)) > 150, "both epochs leave out the same"
    assert len(set(draws)) == len(draws) == 192
    assert 0.5 < sum(map(len, shorter)) / sum(map(len, complete)) < 0.75


def test_the_report_is_that_of_the_exported_weights_and_of_its_own_predictions(cls_config):
    config = replace(cls_config, max_steps=24, eval_interval=4)
    report = train_cls.main(config)
    table = pd.read_csv(Path(config.out) / "predictions_test.csv")
    assert math.isclose((table["label"] == table["prediction"]).mean(), report["accuracy"])
    accuracies = {row["step"]: row["accuracy"] for row in metrics(config.out, "valid")}
    assert report["best_valid"] == max(accuracies.values())
    assert report["best_step"] == max(accuracies, key=accuracies.get)
    again = replace(config, init=config.out, max_steps=0, out=config.out + "-again")
    report_again = train_cls.main(again)
    assert report_again["accuracy"] == report["accuracy"]
    assert math.isclose(report_again["loss"], report["loss"], rel_tol=1e-6)


def test_the_first_loss_is_the_weighted_smoothed_mean_over_the_batch(cls_config, monkeypatch):
    """Computed again from the micro-batches that the loop was given and the labels of splits.csv,
    with fewer Serums than other products.
    """
    table = pd.read_csv(cls_config.cosmetics, dtype=str)
    kept = (table["Label"] != "Serum") | (table.index % 3 == 0)
    table[kept].to_csv(cls_config.cosmetics, index=False)
    config = replace(
        cls_config,
        dropout=0.0,
        ingredient_dropout=0.0,
        max_steps=1,
        class_weights=True,
        label_smoothing=0.2,
    )
    untrained = replace(config, max_steps=0, out=config.out + "-zero")
    train_cls.main(untrained)
    calls = record(monkeypatch, ClsBatches, "train_batch")
    train_cls.main(config)
    assert [arguments[1:] for arguments, _ in calls] == [(1, 0), (1, 1), (1, 2), (1, 3)]

    written = pd.read_csv(Path(config.out) / "splits.csv")
    counts = written[written["split"] == "train"]["label"].value_counts()
    label_weights = torch.tensor([counts.sum() / (3 * counts[label]) for label in sorted(KINDS)])
    assert label_weights.max() > 1.2 * label_weights.min()
    model = classifier.load(Path(untrained.out)).model
    total = total_weight = 0.0
    for _, batch in calls:
        logits, targets = model(*batch.inputs), batch.target_ids
        each = F.cross_entropy(logits, targets, reduction="none", label_smoothing=0.2)
        total += (each * label_weights[targets]).sum().item()
        total_weight += label_weights[targets].sum().item()
    assert math.isclose(losses(config.out)[1], total / total_weight, rel_tol=1e-5)


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
    plain, config = (
        replace(cls_config, out=cls_config.out + "-plain"),
        replace(cls_config, **option),
    )
    train_cls.main(plain)
    report = train_cls.main(config)
    out = Path(config.out)
    assert math.isfinite(report["loss"])
    ((name, value),) = option.items()
    assert json.loads((out / "run.json").read_text())["config"][name] == value
    if name in ("head", "amp"):
        assert losses(config.out) != losses(plain.out)
        assert classifier.load(out).model.head == config.head
        opened_by_transformers = json.loads((out / "config.json").read_text())["architectures"]
        has_pooler = config.head == "pooler"
        expected = "BertForSequenceClassification" if has_pooler else "BertModel"
        assert opened_by_transformers == [expected]
    if name == "labels":
        assert json.loads((out / "labels.json").read_text()) == ["Hair", "Makeup"]
    if name == "split":
        table = pd.read_csv(out / "splits.csv")
        brands = {
            "cosmetics": pd.read_csv(config.cosmetics)["Brand"],
            "sephora": pd.read_csv(config.sephora)["brand"],
        }
        split_of = {}
        for source, row, split in zip(table["source"], table["row"], table["split"], strict=True):
            assert split_of.setdefault(brands[source][row], split) == split


def test_what_pretraining_may_read_is_the_training_split_whatever_the_labels_and_the_seed(
    cls_config,
):
    """train_lists.txt: all training lists, those of labels that a run leaves out too, and no list
    of validation or test, under any scheme.
    """
    table = pd.read_csv(cls_config.label_table, keep_default_na=False)
    table.loc[table["label"] == "Serum", "canonical"] = ""
    bandage = pd.DataFrame([("Bandage", "Lipstick", "all", "")], columns=table.columns)
    pd.concat([table, bandage]).to_csv(cls_config.label_table, index=False)
    sephora = pd.read_csv(cls_config.sephora, dtype=str)
    # rare under full, a Lipstick under canonical
    sephora.loc[sephora.index[:2], "category"] = "Bandage"
    sephora.to_csv(cls_config.sephora, index=False)

    raw = raw_lists(cls_config)
    changes = {
        "full": {},
        "canonical": {"labels": "canonical", "seed": 3},
        "other": {"split_seed": 1},
    }
    written, lists = {}, {}
    for name, change in changes.items():
        out = Path(f"{cls_config.out}-{name}")
        train_cls.main(replace(cls_config, max_steps=0, out=str(out), **change))
        written[name] = (out / "train_lists.txt").read_text(encoding="utf-8").splitlines()
        lists[name] = {}
        for split, rows in pd.read_csv(out / "splits.csv").groupby("split"):
            places = zip(rows["source"], rows["row"], strict=True)
            lists[name][split] = {raw[source][row] for source, row in places}
    assert written["full"] == written["canonical"]
    assert set(written["full"]) != set(written["other"])
    assert len(set(written["full"])) == 96
    for name in ("full", "canonical"):
        assert lists[name]["train"] < set(written["full"])
        assert not set(written["full"]) & (lists[name]["valid"] | lists[name]["test"])


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
    same = replace(
        cls_config, init=adapted.out, out=f"{cls_config.out}-same", seed=5, labels="canonical"
    )
    assert math.isfinite(train_cls.main(same)["loss"])
    other = replace(cls_config, init=adapted.out, out=f"{cls_config.out}-other", split_seed=1)
    message = (
        r"was trained on .*train_lists.txt, which holds \d+ lists of this run's validation and "
        "test splits"
    )
    with pytest.raises(ValueError, match=message):
        train_cls.main(other)
    # nor the classifier that was made of it
    with pytest.raises(ValueError, match="-same/train_lists.txt, which holds"):
        train_cls.main(replace(other, init=same.out, labels="canonical"))
    assert not Path(other.out).exists()


def give_scores(monkeypatch, name: str, *scores: float) -> None:
    """Let evaluations to come find these values of a score, and after them 0."""
    remaining = iter(scores)
    judge = training_metrics.classification_metrics

    def judge_otherwise(*arguments):
        return judge(*arguments) | {name: next(remaining, 0.0)}

    monkeypatch.setattr(training_metrics, "classification_metrics", judge_otherwise)


@pytest.mark.parametrize("select_by", ["accuracy", "macro_f1"])
def test_the_weights_of_the_best_evaluation_are_exported_and_not_the_last(
    cls_config, monkeypatch, select_by
):
    give_scores(monkeypatch, select_by, 0.1, 0.2, 0.5, 0.5, 0.4, 0.3)
    config = replace(
        cls_config, max_steps=5, eval_interval=1, save_interval=1, keep=9, select_by=select_by
    )
    report = train_cls.main(config)
    assert report["best_valid"] == 0.5
    assert report["best_step"] == 2
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
    model = classifier.load(Path(config.out)).model.train()
    ranks, data = Ranks.from_environment(), batches_of(config)
    files = contents(Path(config.out).parent)
    model_before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    states = random_states()
    next_batch = data.train_batch(5, 0)

    best_step = report["best_step"]
    evaluations = [train_cls.evaluate(model, data, ranks, best_step) for _ in range(2)]
    logits = [train_cls.compute_logits(model, data, "test", ranks) for _ in range(2)]

    (logged,) = [row for row in metrics(config.out, "valid") if row["step"] == best_step]
    del logged["split"]
    assert evaluations == [logged, logged]
    assert torch.equal(*logits)
    assert contents(Path(config.out).parent) == files
    assert are_equal(model.state_dict(), model_before)
    assert all(p.grad is None for p in model.parameters())
    assert all(module.training for module in model.modules())
    assert random_states() == states
    assert torch.equal(data.train_batch(5, 0).input_ids, next_batch.input_ids)


# ---- ranks, stopping, going on -----------------------------------------------------------------


def test_two_ranks_give_the_losses_and_the_report_of_one(cls_config, tmp_path):
    product_tables(tmp_path, count=150)  # 45 test lists: an evaluation batch for each rank
    reports, run_losses, predictions = [], [], []
    for ranks in (0, 2):
        run = replace(cls_config, max_steps=6, head="wide", out=f"{cls_config.out}-{ranks}")
        done = run_script(run, tmp_path, ranks)
        assert done.returncode == 0, done.stderr
        reports.append(json.loads((Path(run.out) / "report.json").read_text()))
        run_losses.append(losses(run.out))
        predictions.append(pd.read_csv(Path(run.out) / "predictions_test.csv"))
    assert run_losses[0] == pytest.approx(run_losses[1], abs=1e-5)
    assert reports[0]["per_class"] == reports[1]["per_class"]
    assert reports[0]["accuracy"] == reports[1]["accuracy"]
    one, two = predictions
    assert (one.pop("probability") - two.pop("probability")).abs().max() < 1e-4
    assert one.equals(two), "a row was lost, counted twice or moved"


@pytest.mark.parametrize("step", [1, 5, 11])
def test_a_crash_at_any_step_resumes_bit_for_bit(cls_config, step):
    config = replace(cls_config, max_steps=12, head="wide", save_interval=4, eval_interval=3)
    unbroken = replace(config, out=config.out + "-unbroken")
    expected = train_cls.main(unbroken)
    with crash_at(step):
        train_cls.main(config)
    assert train_cls.main(replace(config, resume=True)) == expected
    assert losses(config.out) == losses(unbroken.out)
    assert [row["step"] for row in metrics(config.out, "valid")] == [0, 3, 6, 9, 12]
    assert same_weights(config.out, unbroken.out)


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


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"ingredient_dropout": 0.3}, "ingredient_dropout was 0.2, is now 0.3"),
        ({"head": "mlp"}, "head was pooler, is now mlp"),
        ({"batch_size": 32}, "batch_size was 16, is now 32"),
        ({"micro_batch_size": 8}, "micro_batch_size was 4, is now 8"),
        ({"max_length": 32}, "max_length was 64, is now 32"),
        ({"select_by": "macro_f1"}, "select_by was accuracy, is now macro_f1"),
        ({"split": "brand"}, "data was [0-9a-f]{16}, is now .*split was list, is now brand"),
        ({"split_seed": 1}, "data was .*split_seed was 0, is now 1"),
    ],
)
def test_a_resume_that_would_be_another_run_is_refused_by_name(cls_config, change, message):
    train_cls.main(cls_config)
    before = contents(cls_config.out)
    with pytest.raises(ValueError, match=message):
        train_cls.main(replace(cls_config, resume=True, **change))
    assert contents(cls_config.out) == before, "a refused resume must leave the run as it was"


def test_new_lists_in_the_tables_are_new_data(cls_config, tmp_path):
    train_cls.main(cls_config)
    product_tables(tmp_path, seed=1)
    with pytest.raises(ValueError, match="data was [0-9a-f]{16}, is now"):
        train_cls.main(replace(cls_config, resume=True))


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
    abandoned = (0.1, 0.2, 0.3, 0.9)
    resumed = (0.2, 0.25, 0.21, 0.22)
    give_scores(monkeypatch, "accuracy", *abandoned, *resumed)
    with crash_at(7):
        train_cls.main(config)
    report = train_cls.main(replace(config, resume=True, lr=5e-4))
    assert report["best_step"] == 8
    assert report["best_valid"] == 0.25
    last = Path(config.out) / "checkpoints" / "step-00000012"
    assert not same_weights(config.out, last)


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
        ({"sephora": train_cls.ClsConfig.sephora}, "--cosmetics and --sephora go together"),
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
        ({"cosmetics": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"init": "./nowhere"}, "--init ./nowhere: no such folder"),
        ({"min_per_label": 41}, r"only 0 label\(s\) with at least --min-per-label 41"),
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
    """The tables do not exist; were they looked for first, the message would be about that."""
    tables = ["--cosmetics", str(tmp_path / "nowhere.csv"), "--sephora", str(tmp_path / "no.csv")]
    code = exit_code_of("train_cls.py", *tables, "--out", str(tmp_path / "run"), option, value)
    assert code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not list(tmp_path.iterdir())


def test_as_a_command_a_mistake_in_the_tables_is_one_line_and_code_2(cls_config, tmp_path):
    table = pd.read_csv(cls_config.sephora, dtype=str)
    table.rename(columns={"ingredients": "list"}).to_csv(cls_config.sephora, index=False)
    done = run_script(cls_config, tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        f"error: {cls_config.sephora} has no column ingredients; it has category, brand, list, id"
    ]
