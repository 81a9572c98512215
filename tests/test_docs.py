"""What the pages quote is in the code; the worked edits apply to it and do what they say."""

import json
import math
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch

import train_cls
import train_mlm
from beautybert import export, predict
from beautybert.training import options
from tests.conftest import ROOT, product_tables, product_texts

README = (ROOT / "README.md").read_text("utf-8")
EDITS = re.findall(
    r"```diff\n(.*?)```", (ROOT / "docs" / "editing.md").read_text("utf-8"), re.DOTALL
)


@pytest.fixture
def edited(tmp_path):
    """Makes a copy of the code with the edit that contains a text, and runs a script of it."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "beautybert", copy / "beautybert")
    for script in ("train_mlm.py", "train_cls.py"):
        shutil.copy(ROOT / script, copy)
    (tmp_path / "texts.txt").write_text("\n".join(product_texts(60)), encoding="utf-8")
    out = tmp_path / "run"
    mlm = ["train_mlm.py", "--data", tmp_path / "texts.txt", "--cache-dir", tmp_path / "cache"]
    mlm += ["--vocab-size", 200, "--batch-tokens", 512, "--micro-batch-tokens", 256]
    tables = product_tables(tmp_path)
    cls = ["train_cls.py", "--data", *tables["data"], "--label-table", tables["label_table"]]
    cls += ["--vocab-size", 150]
    commands = {"mlm": mlm, "cls": cls}

    def run(text, script, *flags):
        (patch,) = [edit for edit in EDITS if text in edit]
        added = [line for line in patch.splitlines() if re.match(r"\+(?!\+)", line)]
        assert len(added) < 10
        subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=copy, check=True)
        command = [*commands[script], "--out", out, "--max-steps", 3, "--log-interval", 1, *flags]
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=copy, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["split"] == "train"]
        return done.stdout, rows, out

    return run


def test_the_readme_quotes_the_optimizer_step_as_it_is():
    (quote,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = (ROOT / "train_mlm.py").read_text("utf-8")
    quoted = textwrap.indent(quote, " " * 12, lambda line: line.strip())
    assert quoted in script and "optimizer.zero_grad" in quote.splitlines()[-1]


def test_the_readme_is_short_enough_to_be_read_to_the_end():
    assert len(README.split()) <= 900


def fenced_commands():
    """The commands in the pages' code blocks: their words, their script, and the flags for it."""
    modules = {"train_mlm.py": train_mlm, "train_cls.py": train_cls}
    modules |= {"beautybert.predict": predict, "beautybert.export": export}
    for page in (ROOT / "README.md", ROOT / "data" / "README.md", *(ROOT / "docs").glob("*.md")):
        blocks = re.findall(r"^```\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        for line in "".join(blocks).replace("\\\n", " ").splitlines():
            command = line.removeprefix("$ ")
            if not command.startswith(("python ", "torchrun ")):
                continue
            words = shlex.split(command, comments=True)
            script = next((word for word in words if word in modules), None)
            if script and "..." not in words:
                yield words, modules[script], words[words.index(script) + 1 :]


COMMANDS = list(fenced_commands())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[0])[:70])
def test_commands_of_the_pages_are_accepted(command, tmp_path):
    """Their flags are parsed, and the rules between them hold for their number of ranks."""
    words, module, flags = command
    classes = {train_mlm: "MlmConfig", train_cls: "ClsConfig"}
    classes |= {predict: "PredictConfig", export: "ExportConfig"}
    config = options.parse(getattr(module, classes[module]), None, flags)
    problems = options.out_of_range(config)
    if module is predict:
        problems += predict.conflicts(replace(config, model=str(tmp_path)))
    elif module is export:  # its other rules are about files
        assert config.onnx or config.transformers or config.sentence_transformers
    else:
        torchruns = ("--nnodes", "--nproc-per-node")
        counts = [int(words[words.index(flag) + 1]) for flag in torchruns if flag in words]
        if module is train_mlm:
            config = train_mlm.with_defaults(config, math.prod(counts))
        problems += module.conflicts(config, math.prod(counts))
    assert problems == []


def test_the_pages_have_the_commands_that_were_looked_for():
    assert {module for _, module, _ in COMMANDS} == {train_mlm, train_cls, predict, export}
    assert len(COMMANDS) >= 12


def test_links_between_pages_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for page in [*pages, ROOT / "data" / "README.md"]:
        prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)]+)\)", prose):
            path, _, anchor = link.partition("#")
            if "://" in link:
                continue
            target = (page.parent / path) if path else page
            assert target.exists(), f"{page.name}: {link}"
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M) if anchor else []
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert not anchor or anchor in anchors, f"{page.name}: {link}"


def test_every_edit_of_the_page_is_tested_here():
    assert len(EDITS) == 6


@pytest.mark.slow
def test_an_inverse_square_root_schedule(edited):
    _, rows, _ = edited(
        "inverse-sqrt", "mlm", "--schedule", "inverse-sqrt", "--lr", 1e-3, "--warmup", 0.3
    )
    assert [row["lr"] for row in rows] == pytest.approx([1e-3 / step**0.5 for step in (1, 2, 3)])


@pytest.mark.slow
def test_sgd(edited):
    _, rows, out = edited("optim.SGD", "mlm", "--lr", 0.1)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert (
        b"momentum_buffer/bert."
        in (out / "checkpoints/step-00000003/optimizer.safetensors").read_bytes()
    )


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon is in torch 2.9 or newer"
)
def test_muon_beside_adamw(edited):
    _, rows, out = edited("optim.Muon", "mlm")
    assert rows[-1]["loss"] < rows[0]["loss"]
    state = (out / "checkpoints/step-00000003/optimizer.safetensors").read_bytes()
    assert b"momentum_buffer/bert.encoder.layer.0.attention.self.query.weight" in state
    assert b"exp_avg/bert.embeddings.word_embeddings.weight" in state


@pytest.mark.slow
def test_span_masking(edited):
    """Of single tokens at 15 %, about 28 % of the masked ones would have a masked neighbour."""
    out, _, _ = edited("span_starts", "mlm", "--mask-unit", "span", "--mask-prob", 0.15)
    shown = [line.split() for line in out.splitlines() if line.startswith("  [CLS]")]
    num_masked = num_with_neighbour = 0
    for words in shown:
        masked = ["→" in word for word in words]
        for i, is_masked in enumerate(masked):
            num_masked += is_masked
            num_with_neighbour += is_masked and (masked[i - 1] or masked[i + 1])
    assert num_masked >= 5 and num_with_neighbour > 0.6 * num_masked


def test_a_mean_head(edited):
    _, _, out = edited('"mean"', "cls", "--head", "mean")
    config = json.loads((out / "config.json").read_text("utf-8"))
    assert config["head"] == "mean" and (out / "report.json").is_file()


def test_the_gradient_norm_of_each_layer(edited):
    _, rows, _ = edited("layer_norms", "mlm")
    for row in rows:
        layers = [value for name, value in row.items() if re.match(r"grad_norm_\d", name)]
        assert len(layers) == 2 and 0 < max(layers) < row["grad_norm"]
