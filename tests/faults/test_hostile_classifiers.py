"""Folders of classifiers with random damage: an answer, or one line that names the folder."""

from __future__ import annotations

import io
import json
import math
import random
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

import pandas as pd
import pytest
from safetensors.torch import load_file, save

from beautybert import Classifier, predict
from beautybert.predict import PredictConfig
from tests.faults.mutations import Tally, damaged_bytes, damaged_json
from tests.test_predict import ESCAPES, LISTS, NAMES, train

JSON_FILES = {"config.json": 260, "words.json": 60, "run.json": 60, "labels.json": 15}
OTHER_FILES = {
    "config.json": 40,
    "words.json": 30,
    "words.safetensors": 80,
    "model.safetensors": 80,
    "run.json": 30,
    "labels.json": 5,
    "report.json": 5,
    "splits.csv": 10,
    "train_lists.txt": 20,
}
TENSORS = 80  # word models whose tensors are of other names, shapes or types


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("classifier"), max_steps=3)


def answers(folder, table) -> None:
    """One product and a table are answered by finite probabilities, and nothing odd is printed."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        one = PredictConfig(str(folder), LISTS["Serum"], NAMES["Serum"], top_k=3, explain=True)
        predict.main(one)
        classifier = Classifier.load(folder)
        (answer,) = classifier.predict([LISTS["Serum"]], [NAMES["Serum"]], top_k=99)
        output = folder / "out.csv"
        predict.main(
            replace(
                one, ingredients=None, name=None, input=str(table), output=str(output), force=True
            )
        )
    assert not ESCAPES.search(printed.getvalue())
    assert answer.reason or sum(answer.probabilities) == pytest.approx(1)
    assert all(math.isfinite(p) and 0 <= p <= 1 for p in answer.probabilities)
    assert len(set(answer.labels)) == len(answer.labels)
    found = pd.read_csv(output, dtype=str, keep_default_na=False)
    assert len(found) == 2 and list(found["name"]) == ["Velvet Drops", ""]


@pytest.mark.faults
def test_a_damaged_classifier_answers_or_is_named(run, tmp_path, tried):
    rng, tally = random.Random(22), Tally()
    folder, table = tmp_path / "run", tmp_path / "in.csv"
    shutil.copytree(run.out, folder, ignore=shutil.ignore_patterns("checkpoints", "*.png"))
    table.write_text('name,ingredients\nVelvet Drops,\n,"Water, Wax"\n')
    originals = {path.name: path.read_bytes() for path in folder.iterdir()}
    answers(folder, table)

    def attempt(name: str, damaged: bytes) -> None:
        (folder / name).write_bytes(damaged)
        # a name in words.json or config.json is one of a file's
        tally.attempt(name, str(folder), answers, folder, table)
        (folder / name).write_bytes(originals[name])

    for name, number in JSON_FILES.items():
        contents = json.loads(originals[name])
        for _ in range(number):
            attempt(name, damaged_json(contents, rng).encode())
    for name, number in OTHER_FILES.items():
        for _ in range(number):
            attempt(name, damaged_bytes(originals[name], rng))
    tensors = load_file(folder / "words.safetensors")
    for _ in range(TENSORS):
        attempt("words.safetensors", save(other_tensors(tensors, rng)))
    answers(folder, table)
    assert {path.name for path in folder.iterdir()} == {*originals, "out.csv"}
    tried(tally.summary())


def other_tensors(tensors, rng):
    """One of the tensors is gone, or has another name, shape, type or number in it."""
    changed = {name: tensor.clone() for name, tensor in tensors.items()}
    name = rng.choice(sorted(changed))
    tensor = changed[name]
    kind = rng.choice(["gone", "name", "flat", "half", "whole", "short", "nan", "large"])
    if kind in ("gone", "name"):
        del changed[name]
    if kind == "name":
        changed[rng.choice(["", "x.idf", "\x1b[31m.weight", name + "s"])] = tensor
    elif kind == "flat":
        changed[name] = tensor.flatten()[None]
    elif kind in ("half", "whole"):
        changed[name] = tensor.half() if kind == "half" else tensor.long()
    elif kind == "short":
        changed[name] = tensor[:-1].clone()
    elif kind in ("nan", "large"):
        tensor.view(-1)[0] = math.nan if kind == "nan" else 3e38
    return changed
