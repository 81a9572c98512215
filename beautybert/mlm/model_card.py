"""README.md of a run folder: what the masked language model is, how good, and how to open it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beautybert import files
from beautybert.bert.model import BertForMaskedLM, num_parameters
from beautybert.training import run_card
from beautybert.training.metrics_file import read_metrics

CARD = """\
{header}
# A masked language model for product texts

BERT with {layers} layers of {hidden} and {parameters:,} parameters, {vocab:,} tokens, documents of
at most {max_length} tokens at once. It completes texts like those below, and is a start for models
that read such texts.

{data}
{training}
## How good it is

The {share:g} % of the documents that training has not seen, 15 % of their tokens masked, always the
same:

{scores}

A model that knows nothing has a loss of {uniform:.2f}, the logarithm of {vocab:,}. Words that it
fills in, before training and after:

{examples}

## What it is not good for

It says which word is likely, not what is true: an ingredient, an effect or a warning that it fills
in is made up. Of texts of other kinds or languages than its data it knows no more than what it
started from, {start}.

## How to open it

For a classifier of products:

    python -m train_cls --init {folder}

In `transformers`, as it is:

    from transformers import pipeline
    print(pipeline("fill-mask", {quoted})({example!r}))

In onnxruntime and sentence-transformers, after one of

    mkdir -p {served} && python -m beautybert.export {folder} --onnx {served}/model.onnx
    python -m beautybert.export {folder} --sentence-transformers embedder

{licence}"""


def write(folder: Path, model: BertForMaskedLM) -> None:
    """Write the card of a finished run, from the files in its folder."""
    run = run_card.read_run(folder)
    options, config = run["used"], model.config
    prompts = files.read_json(folder / "fill_mask.json")["prompts"]
    text = CARD.format(
        header=run_card.header(run, library="transformers", task="fill-mask"),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        parameters=num_parameters(model),
        vocab=config.vocab_size,
        uniform=math.log(config.vocab_size),
        max_length=options["max_length"],
        share=100 * options["valid_fraction"],
        data=run_card.data_section(run, _counts(run["data"])),
        training=run_card.training_section(folder, run),
        scores=_scores(folder),
        examples=_examples(prompts),
        folder=shlex.quote(str(folder)),
        quoted=repr(str(folder)),
        example=_example(prompts),
        start=run_card.start_of(run),
        served=shlex.quote(str(folder / "served")),
        licence=run_card.licence_section(run),
    )
    files.write_text(folder / "README.md", text)


def _counts(data: dict[str, Any]) -> list[str]:
    """What was counted in the corpus."""
    unknown = data["unknown_tokens"] / max(data["tokens"], 1)
    return [
        f"{data['rows']:,} rows: {data['documents']:,} documents, "
        f"{data['duplicates']:,} duplicates,",
        f"{data['empty']:,} empty, {data['bad']:,} malformed. {data['tokens']:,} tokens, "
        f"{unknown:.2%} of them [UNK].",
    ]


def _scores(folder: Path) -> str:
    """The first, the best and the last evaluation."""
    rows = read_metrics(folder, "valid")
    named = {}
    if rows:
        best = min(rows, key=lambda row: row["loss"])
        named = {"before": rows[0], "at best": best, "these weights": rows[-1]}
    cells = [
        [name, f"{row['step']:,}", f"{row['loss']:.3f}", f"{row['perplexity']:,.1f}"]
        + [f"{row['accuracy']:.1%}"]
        for name, row in named.items()
    ]
    return run_card.table(["", "step", "loss", "perplexity", "right"], cells)


def _examples(prompts: Sequence[Mapping[str, str]]) -> str:
    """What was filled in before and after."""
    rows = [[_cell(prompt[key]) for key in ("text", "before", "after")] for prompt in prompts]
    return run_card.table(["text (and its word)", "before", "after"], rows)


def _example(prompts: Sequence[Mapping[str, str]]) -> str:
    """A text with a [MASK] that is like those of the run: its first prompt."""
    text = prompts[0]["text"].rpartition("  (")[0] if prompts else "a cream for dry [MASK]."
    return files.printable(text.removeprefix("... ").removesuffix(" ..."))


def _cell(text: str) -> str:
    """Text as it may stand in a table of Markdown."""
    return files.printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
