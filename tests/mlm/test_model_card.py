"""The card of a run of train_mlm.py says what its files say, and what it says to type works."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from transformers import pipeline

import train_mlm
from beautybert.training import options
from beautybert.training.metrics_file import read_metrics
from tests.conftest import SAMPLE


@pytest.fixture
def trained(config):
    """A run in a folder whose name a shell and Python must quote."""
    trained = replace(config, out=config.out + " it's")
    train_mlm.main(trained)
    return trained


def test_a_run_leaves_a_card_with_its_scores_and_its_command(trained):
    card = (Path(trained.out) / "README.md").read_text(encoding="utf-8")
    header = ModelCard(card).data
    assert header.library_name == "transformers" and header.pipeline_tag == "fill-mask"
    first, *_, last = read_metrics(Path(trained.out), "valid")
    (before,) = re.findall(r"^\| before \|(.*)\|$", card, re.MULTILINE)
    (after,) = re.findall(r"^\| these weights \|(.*)\|$", card, re.MULTILINE)
    assert before.split("|")[1].strip() == f"{first['loss']:.3f}"
    assert after.split("|")[-1].strip() == f"{last['accuracy']:.1%}"
    (command,) = re.findall(r"^    python (-m train_mlm .*--max-steps.*)$", card, re.MULTILINE)
    assert command == options.command_line(trained)
    run = json.loads((Path(trained.out) / "run.json").read_text())
    assert f"{run['data']['documents']:,} documents" in card
    assert run["data"]["fingerprint"] in card
    for prompt in json.loads((Path(trained.out) / "fill_mask.json").read_text())["prompts"]:
        assert prompt["after"] in card


def test_the_lines_for_transformers_fill_a_mask(trained):
    card = (Path(trained.out) / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    print\((pipeline\(.*)\)$", card, re.MULTILINE)
    answers = eval(line, {"pipeline": pipeline})
    prompts = json.loads((Path(trained.out) / "fill_mask.json").read_text())["prompts"]
    word = prompts[0]["text"].partition("[MASK]")[0].split()[-1]
    assert len(answers) == 5 and word in answers[0]["sequence"]


def test_the_sample_may_be_given_on(config):
    data = (str(SAMPLE / "meta_All_Beauty.json.gz"),)
    config = replace(config, data=data, init="scratch", max_steps=1)
    train_mlm.main(config)
    card = (Path(config.out) / "README.md").read_text(encoding="utf-8")
    assert ModelCard(card).data.license == "mit"
