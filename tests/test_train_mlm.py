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
import torch.nn.functional as F

import train_mlm
from beautybert.bert import pretrained, wordpiece
from beautybert.mlm import batches, token_cache
from beautybert.mlm.batches import MlmBatches
from beautybert.mlm.corpus import Corpus
from beautybert.training import optim
from beautybert.training.checkpoints import read as read_checkpoint
from beautybert.training.distributed import Ranks
from beautybert.training.precision import Amp
from tests.conftest import (
    FORBIDDEN_NUMBERS,
    are_equal,
    contents,
    crash_at,
    exit_code_of,
    losses,
    metrics,
    product_texts,
    random_states,
    record,
    run_script,
    same_weights,
    weights,
)


def batches_of(config: train_mlm.MlmConfig) -> MlmBatches:
    """The micro-batches of a run that starts from a checkpoint, made as train_mlm.py makes them."""
    ranks = Ranks.from_environment()
    tokenizer = wordpiece.read(config.init)
    corpus = Corpus(config.data, config.text_fields, config.max_bad_rows)
    cache = token_cache.load_or_build(corpus, tokenizer, 1, config.cache_dir, ranks)
    return MlmBatches(
        cache,
        tokenizer,
        batch_tokens=config.batch_tokens,
        micro_batch_tokens=config.micro_batch_tokens,
        max_length=config.max_length,
        mask_prob=config.mask_prob,
        mask_unit=config.mask_unit,
        valid_fraction=config.valid_fraction,
        pad_micro_batches=config.compile,
        seed=config.seed,
    )


@pytest.mark.parametrize(
    "given, ranks, expected",
    [
        ({"init": "scratch"}, 1, (512, 512, 0.4, "token", 3e-3, 0.0)),
        ({"init": "scratch"}, 2, (512, 256, 0.4, "token", 3e-3, 0.0)),
        ({"init": "scratch"}, 8, (1024, 128, 0.4, "token", 3e-3, 0.0)),
        ({"init": "scratch", "max_length": 1000}, 1, (1000, 1000, 0.4, "token", 3e-3, 0.0)),
        ({"init": "scratch", "size": "base"}, 1, (8192, 2048, 0.15, "token", 3e-4, None)),
        ({"init": "dir"}, 8, (8192, 1024, 0.15, "word", 3e-4, None)),
        ({"init": "dir", "micro_batch_tokens": 500}, 1, (8500, 500, 0.15, "word", 3e-4, None)),
        ({"init": "dir", "mask_prob": 0.3, "lr": 1}, 1, (8192, 2048, 0.3, "word", 1, None)),
        ({"init": "dir", "mask_unit": "token"}, 1, (8192, 2048, 0.15, "token", 3e-4, None)),
    ],
)
def test_defaults_depend_on_where_the_weights_come_from(given, ranks, expected):
    filled = train_mlm.with_defaults(train_mlm.MlmConfig(**given), ranks)
    found = (filled.batch_tokens, filled.micro_batch_tokens, filled.mask_prob, filled.mask_unit)
    assert (*found, filled.lr, filled.dropout) == expected
    assert train_mlm.conflicts(filled, ranks) == []


def test_run_json_has_the_options_as_given_and_as_used(config):
    """So that --config does not carry what was filled in to another model."""
    train_mlm.main(replace(config, mask_prob=None, max_steps=0))
    contents = json.loads((Path(config.out) / "run.json").read_text())
    assert contents["config"]["mask_prob"] is None and contents["used"]["mask_prob"] == 0.15


def moments_after(config: train_mlm.MlmConfig, step: int) -> dict[str, torch.Tensor]:
    """AdamW's first moments in the checkpoint of a step; after one step 0.1 x the gradient."""
    _, optimizer_state, _ = read_checkpoint(Path(config.out) / "checkpoints" / f"step-{step:08d}")
    return {key: part for key, part in optimizer_state.items() if key.startswith("exp_avg/")}


# ---- what it is for ----------------------------------------------------------------------------


def test_it_learns_and_leaves_a_complete_run_folder(config, tmp_path):
    """From scratch, on sentences whose every second word follows from the first."""
    firsts = ("water", "shea", "rose", "sun", "lip", "hair")
    seconds = ("gel", "butter", "oil", "cream", "balm", "mask")
    pairs = [f"{first} {second}" for first, second in zip(firsts, seconds, strict=True)]
    sentences = []
    for i in range(600):
        chosen = " ".join(pairs[(i * k) % 6] for k in range(1, 5))
        sentences.append(f"{chosen} number{i}")
    data = tmp_path / "pairs.txt"
    data.write_text("\n".join(sentences))
    config = replace(
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
    result = train_mlm.main(config)
    out = Path(config.out)
    valid = metrics(out, "valid")
    assert result["valid"]["loss"] < 0.6 * valid[0]["loss"]
    assert result["valid"]["accuracy"] > 0.4
    assert result["step"] == 120
    assert [row["step"] for row in valid] == [0, 40, 80, 120]
    train = metrics(out)
    assert result["tokens"] == train[-1]["tokens"]
    logged = {"step", "split", "loss", "lr", "tokens", "tokens_per_second", "grad_norm", "epoch"}
    assert logged <= set(train[-1])
    written = {path.name for path in out.iterdir()}
    model_files = {"model.safetensors", "config.json", "tokenizer.json", "vocab.txt"}
    assert model_files | {"run.json", "metrics.jsonl", "fill_mask.json", "checkpoints"} <= written
    run = json.loads((out / "run.json").read_text())
    assert run["config"]["lr"] == 3e-3
    assert run["versions"]["torch"] == torch.__version__
    assert run["data"]["documents"] == 600
    fill_mask = json.loads((out / "fill_mask.json").read_text())
    prompts = fill_mask["prompts"]
    assert len(prompts) == 5
    assert all(prompt["text"].count("[MASK]") == 1 for prompt in prompts)
    assert [prompt["before"] for prompt in prompts] == fill_mask["before"]
    assert all(prompt["before"] != prompt["after"] for prompt in prompts)


def test_zero_steps_evaluate_and_export_the_same_model(config, checkpoint):
    result = train_mlm.main(replace(config, max_steps=0))
    valid = metrics(config.out, "valid")
    assert result["step"] == 0
    assert [row["loss"] for row in valid] == [result["valid"]["loss"]]
    assert same_weights(config.out, checkpoint)


def test_training_changes_every_weight_but_the_pooler(config, checkpoint):
    train_mlm.main(config)
    before, after = weights(checkpoint), weights(config.out)
    unchanged = {key for key in before if torch.equal(before[key], after[key])}
    # no gradient but for rounding: it adds the same to all scores of a query
    key_biases = {key for key in before if key.endswith("key.bias")}
    assert unchanged - key_biases == {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}


def test_the_first_loss_is_the_models_own_on_its_masked_targets(config, checkpoint, monkeypatch):
    """Sum over all targets of the step over their number, computed again from the micro-batches
    that the loop was given.
    """
    config = replace(config, max_steps=1, dropout=0.0, mask_prob=0.3)
    calls = record(monkeypatch, MlmBatches, "train_batch")
    train_mlm.main(config)
    shown, *of_the_step = [batch for _, batch in calls]
    assert [arguments[1:] for arguments, _ in calls] == [(1, 0), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert torch.equal(shown.input_ids, of_the_step[0].input_ids)
    shape = replace(pretrained.read_config(checkpoint), hidden_dropout_prob=0.0)
    model, _ = pretrained.load_masked_lm(checkpoint, shape)
    total = targets = 0
    for batch in of_the_step:
        total += F.cross_entropy(model(*batch.inputs), batch.target_ids, reduction="sum").item()
        targets += len(batch.target_ids)
    row = metrics(config.out)[0]
    assert row["targets"] == targets
    assert math.isclose(row["loss"], total / targets, rel_tol=1e-5)


@pytest.mark.parametrize(
    "option", [{"amp": "bf16"}, {"gradient_checkpointing": True}, {"compile": True}]
)
def test_ways_of_computing_give_the_plain_losses(config, option):
    config = replace(config, dropout=0.0)  # compiled kernels draw their own random numbers
    plain = replace(config, out=config.out + "-plain")
    train_mlm.main(plain)
    train_mlm.main(replace(config, **option))
    tolerance = 0.01 if "amp" in option else 1e-5
    assert losses(config.out) == pytest.approx(losses(plain.out), rel=tolerance)


def test_profiling_leaves_a_trace_and_names_what_takes_longest(config, capsys):
    config = replace(config, profile=True, max_steps=7, eval_interval=0)
    train_mlm.main(config)
    trace = Path(config.out) / "profile.json"
    events = json.loads(trace.read_text())["traceEvents"]
    annotations = [event for event in events if event.get("cat") == "user_annotation"]
    assert sum("ProfilerStep" in event["name"] for event in annotations) == 3
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if "time of a step" in line)
    items = lines[start + 1 : start + 11]
    shares = [float(line.split("%")[0].split()[-1]) for line in items]
    assert shares == sorted(shares, reverse=True)
    assert 40 < sum(shares) <= 100.5
    if not torch.cuda.is_available():
        assert any("addmm" in line or "scaled_dot_product" in line for line in items)
    train_mlm.main(replace(config, max_steps=9, resume=True))
    assert "no trace" in capsys.readouterr().out
    assert not trace.exists()


@pytest.mark.parametrize("schedule", ["wsd", "cosine"])
def test_schedule_warmup_and_part_of_an_epoch_decide_rates_and_steps(config, schedule):
    config = replace(config, schedule=schedule, warmup=0.2, epochs=0.5, max_steps=None)
    total = train_mlm.main(config)["step"]
    # 294 documents of 35 tokens in batches of 512 are about 25 steps an epoch
    assert 9 < total < 15
    rows = metrics(config.out)
    assert rows[-1]["epoch"] == 0
    steps = range(1, total + 1)
    expected = [optim.learning_rate(step, total, 1e-3, 0.2, schedule) for step in steps]
    assert [row["lr"] for row in rows] == expected


def test_clipping_bounds_the_gradient_that_the_optimizer_sees(config):
    config = replace(config, max_steps=1, clip=0.01)
    train_mlm.main(config)
    gradients = [moment / 0.1 for moment in moments_after(config, 1).values()]
    norm = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients))
    assert metrics(config.out)[0]["grad_norm"] > 0.1
    assert math.isclose(norm, 0.01, rel_tol=1e-3)


def test_masking_options_reach_the_training_batches_and_not_the_validation(config, monkeypatch):
    made = record(monkeypatch, batches, "masked_micro_batch")
    trained = record(monkeypatch, MlmBatches, "train_batch")
    evaluated = record(monkeypatch, MlmBatches, "valid_batches")
    train_mlm.main(replace(config, mask_unit="word", mask_prob=0.4))
    asked = [arguments[3:5] for arguments, _ in made]
    num_valid = sum(len(given) for _, given in evaluated)
    assert len(trained) > 12 and num_valid > 1
    assert asked.count((0.4, "word")) == len(trained)
    assert asked.count((0.15, "token")) == num_valid
    assert len(asked) == len(trained) + num_valid


def test_validation_does_not_depend_on_how_training_is_cut(config):
    results = []
    for size in (64, 256):
        run = replace(config, max_steps=0, micro_batch_tokens=size, out=f"{config.out}-{size}")
        results.append(train_mlm.main(run)["valid"])
    assert results[0] == results[1]


def test_evaluating_changes_nothing_and_gives_the_same_numbers_again(config):
    """Not a file, not a weight, not the random numbers that training would draw next."""
    config = replace(config, dropout=0.3)
    result = train_mlm.main(config)
    ranks = Ranks.from_environment()
    shape = pretrained.read_config(Path(config.out)).with_dropout(config.dropout)
    model, _ = pretrained.load_masked_lm(Path(config.out), shape)
    model.train()
    data, amp = batches_of(config), Amp(config.amp, ranks.device)
    files = contents(Path(config.out).parent)
    model_before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    states = random_states()
    next_batch = data.train_batch(4, 0)

    evaluations = [train_mlm.evaluate(model, data, amp, ranks, step=3) for _ in range(2)]

    assert evaluations[0] == evaluations[1] == result["valid"]
    assert contents(Path(config.out).parent) == files
    assert are_equal(model.state_dict(), model_before)
    assert all(p.grad is None for p in model.parameters())
    assert model.training and all(module.training for module in model.modules())
    assert random_states() == states
    assert torch.equal(data.train_batch(4, 0).input_ids, next_batch.input_ids)


def test_tensorboard_gets_the_losses(config):
    pytest.importorskip("tensorboard")
    train_mlm.main(replace(config, tensorboard=True))
    assert list((Path(config.out) / "tensorboard").glob("events*"))


def test_bf16_trains_like_fp32(config):
    config = replace(config, max_steps=100, lr=3e-3, log_interval=5)
    finals = {}
    for amp in ("none", "bf16"):
        train_mlm.main(replace(config, amp=amp, out=config.out + amp))
        last = [loss for step, loss in losses(config.out + amp).items() if step > 80]
        finals[amp] = sum(last) / 4
    assert 0 < abs(finals["bf16"] / finals["none"] - 1) < 0.02
    assert finals["none"] < 0.92 * losses(config.out + "none")[5]


def test_compiling_pads_to_one_number_of_tokens_and_is_over_after_three_steps(config, monkeypatch):
    graphs = {}
    tokens = set()
    learning_rate = optim.learning_rate
    torch_compile = torch.compile

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
    train_mlm.main(replace(config, compile=True, amp="auto", max_steps=10, batch_tokens=128))
    assert graphs[1] < graphs[4] == graphs[10], graphs
    assert tokens == {128}


# ---- the batch is a promise --------------------------------------------------------------------


def run_on_two_nodes(config, tmp_path) -> subprocess.CompletedProcess:
    """What two nodes would run: two torchrun agents, here on one machine, that find each other at a
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
    out, err = ("".join(texts) for texts in zip(*outputs, strict=True))
    code = max(abs(agent.returncode) for agent in agents)
    return subprocess.CompletedProcess(agents[0].args, code, out, err)


def test_micro_batches_and_ranks_do_not_change_the_gradient(config, tmp_path):
    """1 rank x 4 micro-batches = 2 nodes x 1 rank x 2 = 4 ranks x 1, dropout on."""
    gradients = []
    for ranks in (1, 2, 4):
        run = replace(config, max_steps=1, clip=0.0, out=str(tmp_path / f"ranks{ranks}"))
        if ranks == 2:
            done = run_on_two_nodes(run, tmp_path)
        else:
            done = run_script(run, tmp_path, ranks if ranks > 1 else 0)
        assert done.returncode == 0, done.stderr
        assert f"128 x {4 // ranks} micro-batch(es) x {ranks} rank(s)" in done.stdout
        gradients.append({key: part / 0.1 for key, part in moments_after(run, 1).items()})
    one_rank, *others = gradients
    assert max(gradient.abs().max() for gradient in one_rank.values()) > 1e-3
    for other in others:
        assert one_rank.keys() == other.keys()
        assert max((one_rank[key] - other[key]).abs().max() for key in other) < 1e-6


# ---- stopping and going on ---------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 5, 8])
def test_a_crash_at_any_step_resumes_bit_for_bit(config, capsys, step):
    config = replace(config, max_steps=12, save_interval=5, eval_interval=4)
    unbroken = replace(config, out=config.out + "-unbroken")
    result = train_mlm.main(unbroken)
    with crash_at(step):
        train_mlm.main(config)
    resumed = train_mlm.main(replace(config, resume=True))
    assert losses(config.out) == losses(unbroken.out)
    assert same_weights(config.out, unbroken.out)
    assert resumed == result
    assert [row["step"] for row in metrics(config.out, "valid")] == [0, 4, 8, 12]
    said = f"no checkpoint in {config.out}: starting at step 0"
    if step > 5:
        said = "step-00000005, step 5"
    assert said in capsys.readouterr().out


def test_any_optimizer_trains_and_resumes_bit_for_bit(config, optimized_models):
    config = replace(config, save_interval=2, lr=1e-2)
    unbroken = replace(config, out=config.out + "-unbroken")
    result = train_mlm.main(unbroken)
    with crash_at(3):
        train_mlm.main(config)
    assert train_mlm.main(replace(config, resume=True)) == result
    assert len(optimized_models) == 3, "the runs have used AdamW"
    assert result["step"] == 3
    assert losses(config.out) == losses(unbroken.out)
    assert same_weights(config.out, unbroken.out)
    last = [Path(folder) / "checkpoints" / "step-00000003" for folder in (config.out, unbroken.out)]
    _, state, _ = read_checkpoint(last[0])
    _, unbroken_state, _ = read_checkpoint(last[1])
    assert are_equal(state, unbroken_state)
    before, after = weights(config.init), weights(config.out)
    assert (before["cls.predictions.bias"] != after["cls.predictions.bias"]).any()


def test_with_any_optimizer_a_loss_that_is_not_finite_touches_no_weight(config, optimized_models):
    """The model in memory is, after the error, the one that the last good step has saved."""
    config = replace(config, lr=1e30, max_steps=30, clip=0.0, save_interval=1, warmup=0.0)
    with pytest.raises(ValueError, match=r"step [1-9]\d*: loss .*the last checkpoint is of step"):
        train_mlm.main(config)
    last = max((Path(config.out) / "checkpoints").iterdir())
    (model,) = optimized_models
    assert are_equal(model.state_dict(), weights(last))
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


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
    files = [path for path in Path(config.out).rglob("*") if path.is_file()]
    modes = {str(path.relative_to(config.out)): path.stat().st_mode & 0o777 for path in files}
    assert set(modes.values()) == {modes["run.json"]}, modes


def test_a_corrupt_checkpoint_is_skipped(config, capsys):
    config = replace(config, max_steps=4, save_interval=2)
    train_mlm.main(config)
    expected = losses(config.out)
    corrupt = Path(config.out) / "checkpoints" / "step-00000004" / "model.safetensors"
    corrupt.write_bytes(corrupt.read_bytes()[:-10])
    train_mlm.main(replace(config, resume=True))
    warning = "step-00000004: model.safetensors does not have its checksum"
    assert warning in capsys.readouterr().out
    assert losses(config.out) == expected


def test_a_finished_run_resumes_to_itself_and_can_be_prolonged(config):
    config = replace(config, schedule="constant", warmup=0.0)
    unbroken = replace(config, max_steps=6, out=config.out + "-unbroken")
    longest = train_mlm.main(unbroken)
    first = train_mlm.main(config)
    assert train_mlm.main(replace(config, resume=True)) == first
    prolonged = train_mlm.main(replace(config, resume=True, max_steps=6))
    assert prolonged["valid"] == longest["valid"]
    assert losses(config.out) == losses(unbroken.out)


@pytest.mark.parametrize("ranks", [0, 2])
def test_sigterm_finishes_the_step_saves_and_the_resume_goes_on(config, tmp_path, ranks):
    config = replace(config, max_steps=4000)
    process = run_script(config, tmp_path, ranks, wait=False)
    log = Path(config.out) / "metrics.jsonl"
    deadline = time.time() + 120
    while time.time() < deadline and not (log.exists() and '"train"' in log.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    last = max(losses(config.out))
    assert 0 < last < 4000
    assert f"stopped by a signal after step {last} and saved a checkpoint" in out
    if not ranks:
        assert process.returncode == 128 + signal.SIGTERM
    assert (Path(config.out) / "checkpoints" / f"step-{last:08d}").is_dir()
    done = run_script(replace(config, resume=True, max_steps=last + 2), tmp_path, ranks)
    assert done.returncode == 0, done.stderr
    assert f"step-{last:08d}, step {last}" in done.stdout
    assert max(losses(config.out)) == last + 2


def other_data(folder: Path) -> dict:
    """Options for a run on other texts."""
    (folder / "other.txt").write_text("\n".join(product_texts(200, seed=9)))
    return {"data": (str(folder / "other.txt"),)}


def other_tokenizer(folder: Path, checkpoint: Path) -> dict:
    """Options for a run from the same weights with a tokenizer that heeds case."""
    other = folder / "other"
    other.mkdir()
    for name in ("config.json", "model.safetensors"):
        (other / name).write_bytes((checkpoint / name).read_bytes())
    description = json.loads((checkpoint / "tokenizer.json").read_text())
    assert description["normalizer"]["lowercase"] is True
    description["normalizer"]["lowercase"] = False
    (other / "tokenizer.json").write_text(json.dumps(description))
    return {"init": str(other)}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"batch_tokens": 1024}, "batch_tokens was 512, is now 1024"),
        ({"micro_batch_tokens": 256}, "micro_batch_tokens was 128, is now 256"),
        ({"max_length": 32}, "max_length was 64, is now 32"),
        ({"mask_unit": "word"}, "mask_unit was token, is now word"),
        ({"mask_prob": 0.3}, "mask_prob was 0.15, is now 0.3"),
        ({"valid_fraction": 0.1}, "valid_fraction was 0.02, is now 0.1"),
        ("data", "corpus was [0-9a-f]{16}, is now"),
        ("tokenizer", "tokenizer was [0-9a-f]{16}, is now"),
        ({"seed": 1, "max_length": 32}, "seed was 0, is now 1; max_length was 64"),
    ],
)
def test_a_resume_that_would_be_another_run_is_refused_by_name(
    config, tmp_path, checkpoint, change, message
):
    train_mlm.main(config)
    before = contents(config.out)
    if change == "data":
        change = other_data(tmp_path)
    elif change == "tokenizer":
        change = other_tokenizer(tmp_path, checkpoint)
    with pytest.raises(ValueError, match=message):
        train_mlm.main(replace(config, resume=True, **change))
    assert contents(config.out) == before, "a refused resume must leave the run as it was"


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"batch_tokens": 300},
            r"--batch-tokens 300 is no multiple of --micro-batch-tokens 128 x 1 rank\(s\) = 128; "
            "the nearest are 256 and 384",
        ),
        ({"batch_tokens": 100}, "the nearest are 128"),
        ({"max_length": 65, "micro_batch_tokens": 128}, "--max-length 65 is over the 64 positions"),
        ({"max_length": 200}, "--micro-batch-tokens 128 is below --max-length 200"),
        (
            {"mask_prob": 0.0, "lr": -1.0, "epochs": 0.0, "warmup": 1.5},
            "--mask-prob must be above 0 and below 1, not 0.0; "
            "--epochs must be above 0 and at most 1,000,000.*, not 0.0; "
            "--lr must be above 0, not -1.0; "
            "--warmup must be at least 0 and at most 1, not 1.5",
        ),
        (
            {"max_steps": -1, "seed": -2},
            "--max-steps must be at least 0, not -1; --seed must be at least 0, not -2",
        ),
        ({"amp": "fp16"}, "--amp fp16 needs a GPU"),
        (
            {"init": "scratch", "add_vocab": 5},
            "--add-vocab and --add-names extend the vocabulary of an --init checkpoint",
        ),
        ({"data": ("nowhere.json",)}, "nowhere.json: no such file"),
        ({"init": "./nowhere"}, "--init ./nowhere: no such folder"),
    ],
)
def test_wrong_flags_are_named_before_anything_is_written(config, tmp_path, change, message):
    if torch.cuda.is_available() and "amp" in change:
        pytest.skip("this machine has a GPU")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        train_mlm.main(replace(config, **change))
    assert not Path(config.out).exists()
    assert contents(tmp_path) == before, "not even a cache is there"


@pytest.mark.parametrize("option, value, message", FORBIDDEN_NUMBERS)
def test_a_forbidden_number_ends_the_command_before_any_file_is_read(
    tmp_path, capsys, option, value, message
):
    """The data does not exist; were it looked for first, the message would be about that."""
    out = tmp_path / "run"
    data = str(tmp_path / "nowhere.txt")
    code = exit_code_of("train_mlm.py", "--data", data, "--out", str(out), option, value)
    assert code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not list(tmp_path.iterdir())


def test_a_part_of_an_epoch_is_at_least_a_step(config):
    assert train_mlm.main(replace(config, epochs=1e-6, max_steps=None))["step"] == 1


def test_a_resume_that_asks_for_less_than_is_done_is_refused(config):
    train_mlm.main(replace(config, max_steps=4, save_interval=2))
    before = contents(config.out)
    with pytest.raises(ValueError, match="is after step 4, this run would end after 3"):
        train_mlm.main(replace(config, max_steps=3, save_interval=2, resume=True))
    assert contents(config.out) == before


@pytest.mark.parametrize("damage", ["missing", "empty", "half", "null"])
def test_a_resume_needs_nothing_but_its_checkpoint(config, tmp_path, damage):
    """Whatever else the run folder holds is missing or damaged, all of it at once."""
    config = replace(config, max_steps=6, save_interval=2)
    train_mlm.main(config)
    other = replace(config, out=str(tmp_path / "other"))
    with crash_at(5):
        train_mlm.main(other)
    for path in Path(other.out).iterdir():
        if path.is_file():
            content = path.read_bytes()
            path.unlink()
            if damage != "missing":
                new = {"empty": b"", "half": content[: len(content) // 2], "null": b"null"}
                path.write_bytes(new[damage])
    assert train_mlm.main(replace(other, resume=True))["step"] == 6
    assert same_weights(other.out, config.out)
    assert losses(other.out)[6] == losses(config.out)[6]


def test_a_run_folder_that_is_not_empty_is_refused(config):
    Path(config.out).mkdir()
    (Path(config.out) / "notes.txt").write_text("mine")
    message = "--out .*run is not empty: choose another, or continue that run with --resume"
    with pytest.raises(ValueError, match=message):
        train_mlm.main(config)
    with pytest.raises(ValueError, match="is not empty and no run folder"):
        train_mlm.main(replace(config, resume=True))
    assert [path.name for path in Path(config.out).iterdir()] == ["notes.txt"]


def test_a_vocabulary_larger_than_the_embedding_is_refused(config, checkpoint, tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((checkpoint / name).read_bytes())
    extra = "".join(f"extra{i}\n" for i in range(200))
    (folder / "vocab.txt").write_text((checkpoint / "vocab.txt").read_text() + extra)
    message = r"the tokenizer has \d+ ids, the word embeddings of config.json only \d+"
    with pytest.raises(ValueError, match=message):
        train_mlm.main(replace(config, init=str(folder)))
    assert not Path(config.out).exists()


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(config):
    config = replace(config, lr=1e30, max_steps=30, clip=0.0, save_interval=1, warmup=0.0)
    message = (
        r"step [1-9]\d*: loss (nan|inf).*the weights are still those of step \d+, the last "
        r"checkpoint is of step \d+"
    )
    with pytest.raises(ValueError, match=message):
        train_mlm.main(config)
    saved = weights(max((Path(config.out) / "checkpoints").iterdir()))
    assert all(tensor.isfinite().all() for tensor in saved.values())


def test_a_loss_that_is_not_finite_is_named_though_it_is_read_back_later(config):
    config = replace(
        config,
        lr=1e30,
        max_steps=30,
        clip=0.0,
        warmup=0.0,
        log_interval=20,
        save_interval=0,
        eval_interval=0,
    )
    message = r"step ([2-9]|1\d): loss (nan|inf).*the last checkpoint is of step 0"
    with pytest.raises(ValueError, match=message):
        train_mlm.main(config)
    assert not metrics(config.out), "no step of a run that has failed is logged"


def test_ranks_stop_together_on_a_loss_that_is_not_finite_and_their_processes_end(config, tmp_path):
    diverging = replace(config, lr=1e30, max_steps=30, clip=0.0, warmup=0.0)
    done = run_script(diverging, tmp_path, ranks=2)
    assert done.returncode == 1
    assert done.stderr.count("error: step") == 2
    assert "Signal 6" not in done.stderr  # torchrun itself may send the slower one 15


def test_ranks_that_find_different_checkpoints_refuse_to_go_on(config, monkeypatch):
    """As on two nodes without a shared --out.

    The sum over ranks is stood in for, as the tests have one node.
    """
    train_mlm.main(config)
    before = contents(config.out)
    monkeypatch.setattr(Ranks, "sum_counts", lambda ranks, *counts: [n / 2 for n in counts])
    message = "the ranks found different checkpoints .* all nodes must see the same --out"
    with pytest.raises(ValueError, match=message):
        train_mlm.main(replace(config, resume=True))
    assert contents(config.out) == before


# ---- vocabularies ------------------------------------------------------------------------------


def test_added_words_and_names_shorten_the_texts_are_trained_and_go_with_the_model(
    config, tmp_path, capsys
):
    """The new rows start as the mean of their pieces, learn like the others, survive a resume, and
    transformers reads the longer vocabulary.
    """
    transformers = pytest.importorskip("transformers")
    texts = [
        f"{text} cyclopentasiloxane, phenoxyethanol {i}, zinc oxide, {i}"
        for i, text in enumerate(product_texts(300))
    ]
    data = tmp_path / "new.txt"
    data.write_text("\n".join(texts))
    config = replace(config, data=(str(data),))
    plain = replace(config, out=config.out + "-plain", max_steps=0)
    longer = replace(config, add_vocab=2, add_names=1, schedule="constant")
    untrained = replace(longer, out=config.out + "-zero", max_steps=0)
    unbroken = replace(longer, out=config.out + "-unbroken")
    train_mlm.main(plain)
    train_mlm.main(untrained)
    train_mlm.main(replace(longer, max_steps=2))
    train_mlm.main(replace(longer, resume=True))
    train_mlm.main(unbroken)
    assert (
        "3 tokens more, words and names, first those that cost the most pieces: "
        "'cyclopentasiloxane', 'phenoxyethanol', 'zinc oxide,'"
    ) in capsys.readouterr().out

    # the new rows: their start, their training, a resume
    size = pretrained.read_config(Path(config.init)).vocab_size
    key = "bert.embeddings.word_embeddings.weight"
    rows, trained_rows = weights(untrained.out)[key], weights(unbroken.out)[key]
    assert same_weights(unbroken.out, longer.out)
    assert torch.equal(rows[:size], weights(config.init)[key])
    assert len(rows) == size + 3
    old_tokenizer = wordpiece.read(config.init)
    pieces = old_tokenizer.encode("cyclopentasiloxane", add_special_tokens=False).ids
    assert len(pieces) > 2
    torch.testing.assert_close(rows[size], rows[pieces].mean(0))
    pieces = old_tokenizer.encode("zinc oxide", add_special_tokens=False).ids
    meaning = "the comma is no part of what a name means"
    torch.testing.assert_close(rows[size + 2], rows[pieces].mean(0), msg=meaning)
    assert (trained_rows[size:] != rows[size:]).any(1).all()

    # the new tokens: in the corpus, in the tokenizer, in transformers
    num_tokens = {}
    for run in (plain, untrained):
        run_json = json.loads((Path(run.out) / "run.json").read_text())
        num_tokens[run.out] = run_json["data"]["tokens"]
    assert num_tokens[untrained.out] < num_tokens[plain.out] - 4 * 300
    tokenizer = wordpiece.read(config.out)
    assert tokenizer.encode("Phenoxyethanol", add_special_tokens=False).ids == [size + 1]
    ids = tokenizer.encode("water, Zinc oxide, oil", add_special_tokens=False).ids
    assert ids.count(size + 2) == 1
    model = transformers.BertForMaskedLM.from_pretrained(config.out)
    assert model.config.vocab_size == size + 3
    assert torch.equal(model.get_input_embeddings().weight, trained_rows)


def test_a_run_from_scratch_keeps_its_vocabulary_beside_its_checkpoints(config, tmp_path):
    first = replace(config, init="scratch", vocab_size=250)
    train_mlm.main(first)
    scratch = replace(first, schedule="constant")
    unbroken = train_mlm.main(replace(scratch, max_steps=5, out=config.out + "-unbroken"))
    cut = replace(scratch, out=config.out + "-cut")
    train_mlm.main(cut)
    elsewhere = tmp_path / "elsewhere"
    resumed = train_mlm.main(replace(cut, max_steps=5, resume=True, cache_dir=str(elsewhere)))
    assert resumed["valid"] == unbroken["valid"]
    assert not list(elsewhere.glob("vocabulary-*"))


def test_as_a_command_a_mistake_is_one_line_and_code_2(config, tmp_path):
    done = run_script(replace(config, data=(str(tmp_path / "nowhere.json"),)), tmp_path)
    assert done.returncode == 2
    expected = [f"error: {tmp_path}/nowhere.json: no such file"]
    assert done.stderr.strip().splitlines() == expected
