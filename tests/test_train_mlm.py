"""train_mlm.py from end to end, as a function and as a command."""

import json
import math
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import train_mlm
from beautybert import runlog
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.pretrained import read_config
from tests.conftest import metrics, product_texts, run_script


def losses(folder) -> dict[int, float]:
    rows = metrics(folder)
    assert len({row["step"] for row in rows}) == len(rows), "a step stands twice"
    return {row["step"]: row["loss"] for row in rows}


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def same_weights(one, other) -> bool:
    one, other = weights(one), weights(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# ---------------------------------------------------------------------------------------------- what it is for


def test_it_learns_and_leaves_a_whole_run_folder(config, tmp_path):
    """From scratch, on sentences whose every second word follows from the first."""
    pairs = [
        f"{a} {b}"
        for a, b in zip(
            ("water", "shea", "rose", "sun", "lip", "hair"),
            ("gel", "butter", "oil", "cream", "balm", "mask"),
        )
    ]
    data = tmp_path / "pairs.txt"
    data.write_text(
        "\n".join(
            " ".join(pairs[(i * k) % 6] for k in range(1, 5)) + f" number{i}" for i in range(600)
        )
    )
    result = train_mlm.main(
        replace(
            config,
            data=(str(data),),
            init="scratch",
            vocab_size=200,
            max_steps=120,
            batch_tokens=1024,
            micro_batch_tokens=512,
            lr=3e-3,
            eval_interval=40,
            mask_prob=0.3,
        )
    )
    assert (
        result["valid"]["loss"] < 0.6 * result["initial_loss"] and result["valid"]["accuracy"] > 0.4
    )
    out = Path(config.out)
    assert {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "vocab.txt",
        "run.json",
        "metrics.jsonl",
        "fill_mask.json",
        "checkpoints",
    } <= {p.name for p in out.iterdir()}
    assert [row["step"] for row in metrics(out, "valid")] == [0, 40, 80, 120]
    assert {
        "step",
        "split",
        "loss",
        "lr",
        "tokens",
        "tokens_per_second",
        "grad_norm",
        "epoch",
    } <= set(metrics(out)[-1])
    run = json.loads((out / "run.json").read_text())
    assert (
        run["config"]["lr"] == 3e-3
        and run["versions"]["torch"] == torch.__version__
        and run["data"]["documents"] == 600
    )
    guesses = json.loads((out / "fill_mask.json").read_text())["guesses"]
    assert len(guesses) == 5 and all(g["before"] != g["after"] for g in guesses)


def test_zero_steps_evaluate_and_export_the_same_model(config, checkpoint):
    result = train_mlm.main(replace(config, max_steps=0))
    assert (
        result["step"] == 0
        and result["valid"]["loss"] == result["initial_loss"]
        and same_weights(config.out, checkpoint)
    )


def test_training_changes_every_weight_but_the_pooler(config, checkpoint):
    train_mlm.main(config)
    before, after = weights(checkpoint), weights(config.out)
    unchanged = {key for key in before if torch.equal(before[key], after[key])}
    no_gradient = {
        key for key in before if key.endswith("key.bias")
    }  # but for rounding: it adds the same to all scores of a query
    assert unchanged - no_gradient == {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}


def test_the_first_loss_is_the_models_own_on_its_masked_targets(config, checkpoint, monkeypatch):
    """Sum over all targets of the step over their number, computed again from the micro-batches
    that the loop was given.
    """
    made = []
    make = train_mlm.masked_micro_batch
    monkeypatch.setattr(
        train_mlm,
        "masked_micro_batch",
        lambda *arguments: made.append((arguments[3], make(*arguments))) or made[-1][1],
    )
    train_mlm.main(replace(config, max_steps=1, dropout=0.0, mask_prob=0.3))
    shown, *of_the_step = [batch for mask_prob, batch in made if mask_prob == 0.3]
    assert len(of_the_step) == 4 and torch.equal(shown.input_ids, of_the_step[0].input_ids)
    model = pretrained.load_masked_lm(
        checkpoint, replace(read_config(checkpoint), hidden_dropout_prob=0.0)
    )[0]
    total = targets = 0.0
    for batch in of_the_step:
        logits = model(batch.input_ids, batch.position_ids, batch.lengths, batch.target_positions)
        total += torch.nn.functional.cross_entropy(logits, batch.target_ids, reduction="sum").item()
        targets += len(batch.target_ids)
    row = metrics(config.out)[0]
    assert row["targets"] == targets and math.isclose(row["loss"], total / targets, rel_tol=1e-5)


@pytest.mark.parametrize(
    "option", [{"amp": "bf16"}, {"gradient_checkpointing": True}, {"compile": True}]
)
def test_ways_of_computing_give_the_plain_losses(config, option):
    config = replace(config, dropout=0.0)  # compiled kernels draw their own random numbers
    train_mlm.main(replace(config, out=config.out + "-plain"))
    train_mlm.main(replace(config, **option))
    assert losses(config.out) == pytest.approx(
        losses(config.out + "-plain"), rel=0.01 if "amp" in option else 1e-5
    )


def test_profiling_leaves_a_trace_and_names_what_takes_longest(config, capsys):
    train_mlm.main(replace(config, profile=True, max_steps=7, eval_interval=0))
    events = json.loads((Path(config.out) / "profile.json").read_text())["traceEvents"]
    assert (
        sum(
            "ProfilerStep" in event["name"]
            for event in events
            if event.get("cat") == "user_annotation"
        )
        == 3
    )
    lines = capsys.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(lines) if "time of a step" in line)
    shares = [float(line.split("%")[0].split()[-1]) for line in lines[first + 1 : first + 11]]
    assert shares == sorted(shares, reverse=True) and 40 < sum(shares) <= 100.5
    assert torch.cuda.is_available() or any(
        "addmm" in line or "scaled_dot_product" in line for line in lines[first + 1 : first + 11]
    )
    train_mlm.main(replace(config, profile=True, max_steps=9, eval_interval=0, resume=True))
    assert (
        "no trace" in capsys.readouterr().out and not (Path(config.out) / "profile.json").exists()
    )


@pytest.mark.parametrize("schedule", ["wsd", "cosine"])
def test_schedule_warmup_and_part_of_an_epoch_decide_rates_and_steps(config, schedule):
    result = train_mlm.main(
        replace(config, schedule=schedule, warmup=0.2, epochs=0.5, max_steps=None)
    )
    rows, steps = metrics(config.out), result["step"]
    assert 9 < steps < 15 and rows[-1]["epoch"] == 0, (
        "294 documents of 35 tokens in batches of 512 are about 25 steps an epoch"
    )
    assert [row["lr"] for row in rows] == [
        train_mlm.learning_rate(step, steps, 1e-3, 0.2, schedule) for step in range(1, steps + 1)
    ]


def test_clipping_bounds_the_gradient_that_the_optimizer_sees(config):
    train_mlm.main(replace(config, max_steps=1, clip=0.01))
    moments = load_file(
        Path(config.out) / "checkpoints" / "step-00000001" / "optimizer.safetensors"
    )
    norm = math.sqrt(
        sum(
            (moment / 0.1).square().sum().item()
            for key, moment in moments.items()
            if key.startswith("exp_avg/")
        )
    )
    assert metrics(config.out)[0]["grad_norm"] > 0.1 and math.isclose(norm, 0.01, rel_tol=1e-3)


def test_masking_options_reach_the_training_batches_and_not_the_validation(config, monkeypatch):
    asked = []
    make = train_mlm.masked_micro_batch
    monkeypatch.setattr(
        train_mlm,
        "masked_micro_batch",
        lambda *arguments: asked.append(arguments[3:5]) or make(*arguments),
    )
    train_mlm.main(replace(config, mask_unit="word", mask_prob=0.4))
    assert set(asked) == {(0.4, "word"), (0.15, "token")}


def test_validation_does_not_depend_on_how_training_is_cut(config):
    results = [
        train_mlm.main(
            replace(config, max_steps=0, micro_batch_tokens=size, out=config.out + str(size))
        )
        for size in (64, 256)
    ]
    assert results[0]["valid"] == results[1]["valid"]


def test_tensorboard_gets_the_losses(config):
    pytest.importorskip("tensorboard")
    train_mlm.main(replace(config, tensorboard=True))
    assert list((Path(config.out) / "tensorboard").glob("events*"))


def test_bf16_trains_like_fp32(config):
    finals = []
    for amp in ("none", "bf16"):
        train_mlm.main(
            replace(config, amp=amp, out=config.out + amp, max_steps=100, lr=3e-3, log_interval=5)
        )
        finals.append(sum(loss for step, loss in losses(config.out + amp).items() if step > 80) / 4)
    assert (
        0 < abs(finals[1] / finals[0] - 1) < 0.02
        and finals[0] < 0.92 * losses(config.out + "none")[5]
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 with a GradScaler needs a GPU")
def test_fp16_trains_with_its_scaler_and_resumes(config):
    whole = replace(config, amp="fp16", max_steps=12, out=config.out + "whole")
    result = train_mlm.main(whole)
    state = json.loads(next((Path(whole.out) / "checkpoints").glob("*/state.json")).read_text())
    assert math.isfinite(result["valid"]["loss"]) and state["scaler"]["scale"] > 1
    train_mlm.main(replace(config, amp="fp16", max_steps=6))
    resumed = train_mlm.main(replace(config, amp="fp16", max_steps=12, resume=True))
    assert math.isclose(resumed["valid"]["loss"], result["valid"]["loss"], rel_tol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU works while the host goes on")
def test_between_log_lines_the_host_never_waits_for_the_gpu(config, monkeypatch):
    rate = train_mlm.learning_rate

    def forbid(
        step, *arguments
    ):  # it is called inside each step; the last one logs, evaluates and saves
        torch.cuda.set_sync_debug_mode("error" if step < 8 else "default")
        return rate(step, *arguments)

    monkeypatch.setattr(train_mlm, "learning_rate", forbid)
    try:
        result = train_mlm.main(
            replace(
                config, amp="bf16", max_steps=8, log_interval=100, eval_interval=0, save_interval=0
            )
        )
        assert result["step"] == 8, "a wait raises inside the loop"
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_compiling_pads_to_one_number_of_tokens_and_is_over_after_three_steps(config, monkeypatch):
    graphs, tokens, rate, torch_compile = {}, set(), train_mlm.learning_rate, torch.compile

    def count(step, *arguments):
        graphs[step] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        return rate(step, *arguments)

    def watched(model):
        compiled = torch_compile(model)
        return lambda input_ids, *rest: tokens.add(len(input_ids)) or compiled(input_ids, *rest)

    monkeypatch.setattr(train_mlm, "learning_rate", count)
    monkeypatch.setattr(torch, "compile", watched)
    train_mlm.main(replace(config, compile=True, amp="auto", max_steps=10, batch_tokens=128))
    assert graphs[1] < graphs[4] == graphs[10] and tokens == {128}, (graphs, tokens)


# ---------------------------------------------------------------------------------------------- the batch is a promise


def run_on_two_machines(config, tmp_path) -> subprocess.CompletedProcess:
    """What two machines would run: two torchrun agents, here on one, that find each other at a
    port, with a process each.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    launcher = (
        "--nnodes=2",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint=localhost:{port}",
        "--rdzv-id=test",
        "--local-addr=localhost",
    )
    agents = [run_script(config, tmp_path, 1, wait=False, launcher=launcher) for _ in range(2)]
    try:
        outputs = [agent.communicate(timeout=300) for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    return subprocess.CompletedProcess(
        agents[0].args, max(abs(agent.returncode) for agent in agents), *map("".join, zip(*outputs))
    )


def test_micro_batches_and_ranks_do_not_change_the_gradient(config, tmp_path):
    """1 rank x 4 micro-batches = 2 machines x 1 rank x 2 = 4 ranks x 1, dropout on.

    Read off AdamW's first moment, 0.1 x the gradient after one step.
    """
    gradients = []
    for ranks in (1, 2, 4):
        run = replace(config, max_steps=1, clip=0.0, out=str(tmp_path / f"ranks{ranks}"))
        done = (
            run_on_two_machines(run, tmp_path)
            if ranks == 2
            else run_script(run, tmp_path, ranks if ranks > 1 else 0)
        )
        assert done.returncode == 0, done.stderr
        assert f"128 x {4 // ranks} micro-batch(es) x {ranks} rank(s)" in done.stdout
        moments = load_file(
            Path(run.out) / "checkpoints" / "step-00000001" / "optimizer.safetensors"
        )
        gradients.append(
            {key: moment / 0.1 for key, moment in moments.items() if key.startswith("exp_avg/")}
        )
    assert max(g.abs().max() for g in gradients[0].values()) > 1e-3
    for other in gradients[1:]:
        assert gradients[0].keys() == other.keys()
        assert max((gradients[0][key] - other[key]).abs().max() for key in other) < 1e-6


# ---------------------------------------------------------------------------------------------- stopping and going on


class Crash(Exception):
    pass


@pytest.mark.parametrize("crash_at", [1, 5, 8])
def test_a_crash_at_any_step_resumes_bit_for_bit(config, monkeypatch, capsys, crash_at):
    config = replace(config, max_steps=12, save_interval=5, eval_interval=4)
    whole = replace(config, out=config.out + "-whole")
    result = train_mlm.main(whole)

    def crash(log, step, *values):
        if step == crash_at:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(runlog.RunLog, "show_step", crash)
        with pytest.raises(Crash):
            train_mlm.main(config)
    resumed = train_mlm.main(replace(config, resume=True))
    assert losses(config.out) == losses(whole.out) and same_weights(config.out, whole.out)
    assert resumed == result
    assert [row["step"] for row in metrics(config.out, "valid")] == [0, 4, 8, 12]
    assert (
        "step-00000005, step 5"
        if crash_at > 5
        else f"no checkpoint in {config.out}: starting at step 0"
    ) in capsys.readouterr().out


def test_a_resume_names_the_options_that_it_changes(config, capsys):
    train_mlm.main(config)
    capsys.readouterr()
    train_mlm.main(replace(config, resume=True, max_steps=4, lr=5e-4))
    assert [line for line in capsys.readouterr().out.splitlines() if "other than" in line] == [
        "  other than before: --max-steps 4 (was 3)",
        "  other than before: --lr 0.0005 (was 0.001)",
    ]


def test_a_run_is_evaluated_ten_times_unless_told(config):
    train_mlm.main(replace(config, max_steps=20))
    assert [row["step"] for row in metrics(config.out, "valid")] == list(range(0, 21, 2))
    train_mlm.main(replace(config, max_steps=20, eval_interval=0, out=config.out + "-0"))
    assert [row["step"] for row in metrics(config.out + "-0", "valid")] == [0, 20]


def test_everyone_may_read_what_others_may_read(config):
    train_mlm.main(config)
    modes = {
        str(path.relative_to(config.out)): path.stat().st_mode & 0o777
        for path in Path(config.out).rglob("*")
        if path.is_file()
    }
    assert set(modes.values()) == {modes["run.json"]}, modes


def test_a_torn_checkpoint_is_passed_over(config, capsys):
    config = replace(config, max_steps=4, save_interval=2)
    train_mlm.main(config)
    expected = losses(config.out)
    torn = Path(config.out) / "checkpoints" / "step-00000004" / "model.safetensors"
    torn.write_bytes(torn.read_bytes()[:-10])
    train_mlm.main(replace(config, resume=True))
    assert (
        "step-00000004: model.safetensors does not have its checksum" in capsys.readouterr().out
        and losses(config.out) == expected
    )


def test_a_finished_run_resumes_to_itself_and_can_be_prolonged(config):
    constant = replace(config, schedule="constant", warmup=0.0)
    whole = train_mlm.main(replace(constant, max_steps=6, out=config.out + "-whole"))
    first = train_mlm.main(constant)
    assert train_mlm.main(replace(constant, resume=True)) == first
    assert train_mlm.main(replace(constant, resume=True, max_steps=6))["valid"] == whole["valid"]
    assert losses(config.out) == losses(config.out + "-whole")


@pytest.mark.parametrize("ranks", [0, 2])
def test_sigterm_finishes_the_step_saves_and_the_resume_goes_on(config, tmp_path, ranks):
    config = replace(config, max_steps=4000)
    process = run_script(config, tmp_path, ranks, wait=False)
    log, deadline = Path(config.out) / "metrics.jsonl", time.time() + 120
    while time.time() < deadline and not (log.exists() and '"train"' in log.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    last = max(losses(config.out))
    assert (
        0 < last < 4000 and f"stopped by a signal after step {last} and saved a checkpoint" in out
    )
    if not ranks:
        assert process.returncode == 128 + signal.SIGTERM
    assert (Path(config.out) / "checkpoints" / f"step-{last:08d}").is_dir()
    done = run_script(replace(config, resume=True, max_steps=last + 2), tmp_path, ranks)
    assert (
        done.returncode == 0
        and f"step-{last:08d}, step {last}" in done.stdout
        and max(losses(config.out)) == last + 2
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"batch_tokens": 1024}, "batch_tokens was 512, is now 1024"),
        ({"micro_batch_tokens": 256}, "micro_batch_tokens was 128, is now 256"),
        ({"max_length": 32}, "max_length was 64, is now 32"),
        ({"mask_unit": "word"}, "mask_unit was token, is now word"),
        ("data", "corpus was [0-9a-f]{16}, is now"),
        ("tokenizer", "tokenizer was [0-9a-f]{16}, is now"),
        ({"seed": 1, "max_length": 32}, "seed was 0, is now 1; max_length was 64"),
    ],
)
def test_a_resume_that_would_be_another_run_is_refused_by_name(
    config, tmp_path, checkpoint, change, message
):
    train_mlm.main(config)
    before = (Path(config.out) / "metrics.jsonl").read_text()
    if change == "data":
        (tmp_path / "other.txt").write_text("\n".join(product_texts(200, seed=9)))
        change = {"data": (str(tmp_path / "other.txt"),)}
    elif change == "tokenizer":
        other = tmp_path / "other"
        other.mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (other / name).write_bytes(
                (checkpoint / name)
                .read_bytes()
                .replace(b'"lowercase": true', b'"lowercase": false')
                .replace(b'"lowercase":true', b'"lowercase":false')
            )
        change = {"init": str(other)}
    with pytest.raises(ValueError, match=message):
        train_mlm.main(replace(config, resume=True, **change))
    assert (Path(config.out) / "metrics.jsonl").read_text() == before, (
        "a refused resume must leave the run as it was"
    )


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"batch_tokens": 300},
            r"--batch-tokens 300 is no multiple of --micro-batch-tokens 128 x 1 rank\(s\) = 128; the nearest are 256 and 384",
        ),
        ({"batch_tokens": 100}, "the nearest are 128"),
        ({"max_length": 65, "micro_batch_tokens": 128}, "--max-length 65 is over the 64 positions"),
        ({"max_length": 200}, "--micro-batch-tokens 128 is below --max-length 200"),
        (
            {"mask_prob": 0.0, "lr": -1.0, "epochs": 0.0, "warmup": 1.5},
            "--epochs must be above 0.*--warmup must lie between.*--mask-prob must lie.*--lr must be above 0",
        ),
        (
            {"max_steps": -1, "seed": -2},
            "--max-steps must not be negative.*--seed must not be negative",
        ),
        ({"amp": "fp16"}, "--amp fp16 needs a GPU"),
        (
            {"init": "scratch", "add_vocab": 5},
            "--add-vocab and --add-names need the vocabulary of an --init checkpoint",
        ),
        ({"data": ("nowhere.json",)}, "nowhere.json: no such file"),
        ({"init": "./nowhere"}, "--init ./nowhere: no such folder"),
    ],
)
def test_wrong_flags_are_named_before_anything_is_written(config, change, message):
    if torch.cuda.is_available() and "amp" in change:
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match=message):
        train_mlm.main(replace(config, **change))
    assert not Path(config.out).exists()


def test_a_run_folder_that_is_not_empty_is_refused(config):
    Path(config.out).mkdir()
    (Path(config.out) / "notes.txt").write_text("mine")
    with pytest.raises(
        ValueError,
        match="--out .*run is not empty: choose another, or continue that run with --resume",
    ):
        train_mlm.main(config)
    with pytest.raises(ValueError, match="is not empty and no run folder"):
        train_mlm.main(replace(config, resume=True))
    assert [path.name for path in Path(config.out).iterdir()] == ["notes.txt"]


def test_a_vocabulary_larger_than_the_embedding_is_refused(config, checkpoint, tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((checkpoint / name).read_bytes())
    (folder / "vocab.txt").write_text(
        (checkpoint / "vocab.txt").read_text() + "".join(f"extra{i}\n" for i in range(200))
    )
    with pytest.raises(
        ValueError, match=r"the tokenizer has \d+ ids, the word embeddings of config.json only \d+"
    ):
        train_mlm.main(replace(config, init=str(folder)))


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(config):
    with pytest.raises(
        ValueError,
        match=r"step [1-9]\d*: loss (nan|inf).*the weights are still those of step \d+, the last checkpoint is of step \d+",
    ):
        train_mlm.main(
            replace(config, lr=1e30, max_steps=30, clip=0.0, save_interval=1, warmup=0.0)
        )
    saved = weights(sorted((Path(config.out) / "checkpoints").iterdir())[-1])
    assert all(tensor.isfinite().all() for tensor in saved.values())


def test_a_loss_that_is_not_finite_is_named_though_it_is_read_back_later(config):
    with pytest.raises(
        ValueError, match=r"step ([2-9]|1\d): loss (nan|inf).*the last checkpoint is of step 0"
    ):
        train_mlm.main(
            replace(
                config,
                lr=1e30,
                max_steps=30,
                clip=0.0,
                warmup=0.0,
                log_interval=20,
                save_interval=0,
                eval_interval=0,
            )
        )
    assert not metrics(config.out), "no step of a run that has failed is logged"


def test_ranks_stop_together_on_a_loss_that_is_not_finite_and_their_processes_end(config, tmp_path):
    done = run_script(
        replace(config, lr=1e30, max_steps=30, clip=0.0, warmup=0.0), tmp_path, ranks=2
    )
    assert (
        done.returncode == 1
        and done.stderr.count("error: step") == 2
        and "Signal 6" not in done.stderr
    )  # torchrun itself may send the slower one 15


def test_ranks_that_find_different_checkpoints_refuse_to_go_on(config, monkeypatch):
    """As on two machines without a shared --out.

    The sum over ranks is stood in for, as the tests have one machine.
    """
    train_mlm.main(config)
    monkeypatch.setattr(train_mlm, "sum_over_ranks", lambda tensor: tensor / 2)
    with pytest.raises(
        ValueError,
        match="the ranks found different checkpoints .* all machines must see the same --out",
    ):
        train_mlm.main(replace(config, resume=True))


def test_added_words_and_names_shorten_the_texts_are_trained_and_go_with_the_model(
    config, tmp_path, capsys
):
    """The new rows start as the mean of their pieces, learn like the others, survive a resume, and
    transformers reads the longer vocabulary.
    """
    transformers = pytest.importorskip("transformers")
    texts = tmp_path / "new.txt"
    texts.write_text(
        "\n".join(
            f"{text} cyclopentasiloxane, phenoxyethanol {i}, zinc oxide, {i}"
            for i, text in enumerate(product_texts(300))
        )
    )
    config = replace(config, data=(str(texts),))
    train_mlm.main(replace(config, out=config.out + "-plain", max_steps=0))
    longer = replace(config, add_vocab=2, add_names=1, schedule="constant")
    train_mlm.main(replace(longer, out=config.out + "-zero", max_steps=0))
    train_mlm.main(replace(longer, max_steps=2))
    train_mlm.main(replace(longer, resume=True))
    train_mlm.main(replace(longer, out=config.out + "-whole"))
    assert (
        "3 tokens more, words and names, first those that cost the most pieces: 'cyclopentasiloxane', 'phenoxyethanol', 'zinc oxide,'"
        in capsys.readouterr().out
    )
    size = read_config(Path(config.init)).vocab_size
    zero, whole, resumed = (
        load_file(Path(config.out + end) / "model.safetensors") for end in ("-zero", "-whole", "")
    )
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    rows = "bert.embeddings.word_embeddings.weight"
    pieces = wordpiece.read(config.init).encode("cyclopentasiloxane", add_special_tokens=False).ids
    assert len(pieces) > 2 and torch.equal(
        zero[rows][:size], load_file(Path(config.init) / "model.safetensors")[rows]
    )
    torch.testing.assert_close(zero[rows][size], zero[rows][pieces].mean(0))
    name = wordpiece.read(config.init).encode("zinc oxide", add_special_tokens=False).ids
    torch.testing.assert_close(
        zero[rows][size + 2],
        zero[rows][name].mean(0),
        msg="the comma is no part of what a name means",
    )
    assert len(zero[rows]) == size + 3 and (whole[rows][size:] != zero[rows][size:]).any(1).all()
    tokens = [
        json.loads((Path(config.out + end) / "run.json").read_text())["data"]["tokens"]
        for end in ("-plain", "-zero")
    ]
    assert tokens[1] < tokens[0] - 4 * 300
    tokenizer = wordpiece.read(config.out)
    assert tokenizer.encode("Phenoxyethanol", add_special_tokens=False).ids == [size + 1]
    assert (
        tokenizer.encode("water, Zinc oxide, oil", add_special_tokens=False).ids.count(size + 2)
        == 1
    )
    model = transformers.BertForMaskedLM.from_pretrained(config.out)
    assert model.config.vocab_size == size + 3 and torch.equal(
        model.get_input_embeddings().weight, whole[rows]
    )


def test_a_run_from_scratch_keeps_its_vocabulary_beside_its_checkpoints(config, tmp_path):
    scratch = replace(config, init="scratch", vocab_size=250)
    train_mlm.main(scratch)
    whole = train_mlm.main(
        replace(scratch, max_steps=5, schedule="constant", out=config.out + "-whole")
    )
    train_mlm.main(replace(scratch, schedule="constant", out=config.out + "-cut"))
    resumed = train_mlm.main(
        replace(
            scratch,
            schedule="constant",
            out=config.out + "-cut",
            max_steps=5,
            resume=True,
            cache_dir=str(tmp_path / "elsewhere"),
        )
    )
    assert resumed["valid"] == whole["valid"] and not list(
        (tmp_path / "elsewhere").glob("vocabulary-*")
    )


def test_as_a_command_a_mistake_is_one_line_and_code_2(config, tmp_path):
    done = run_script(replace(config, data=(str(tmp_path / "nowhere.json"),)), tmp_path)
    assert done.returncode == 2 and done.stderr.strip().splitlines() == [
        f"error: {tmp_path}/nowhere.json: no such file"
    ]
