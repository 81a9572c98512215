"""What the model cards of all runs say alike: header, data, how it was trained, whose it is.

All of it is read from the run folder, in Markdown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beautybert.training import sample
from beautybert.training.metrics_file import read_metrics

LICENCE = """\
## Licence

The program is under the MIT licence. The weights are made of the files above{init}; what may be
done with them is for the licences of these to say, which the program does not know. Before you
share this folder, read them and write `license:` into the header.
"""
SAMPLE_LICENCE = f"""\
## Licence

MIT, as the program: {sample.NOTE}.
"""


def header(
    run: Mapping[str, Any],
    *,
    library: str,
    task: str,
    name: str = "",
    scores: Mapping[tuple[str, str], float] | None = None,
) -> str:
    """The YAML that the hub reads (its page "Model Cards"), between lines of ---.

    run: what run.json holds. library, task: in the hub's terms. scores: on the test products, by
    the hub's name of the metric and ours.
    """
    from huggingface_hub import EvalResult, ModelCardData  # half a second

    config = run["config"]
    results = [
        EvalResult(
            task_type=task,
            dataset_type="products",
            dataset_name=", ".join(Path(path).name for path in config["data"]),
            dataset_split="test",
            metric_type=metric,
            metric_name=name_of_metric,
            metric_value=round(value, 4),
        )
        for (metric, name_of_metric), value in (scores or {}).items()
    ]
    data = ModelCardData(
        license="mit" if is_ours(run) else None,
        library_name=library,
        pipeline_tag=task,
        tags=["beautybert", "bert", "cosmetics"],
        base_model=hub_name(config["init"]),
        metrics=[metric for metric, _ in scores] if scores else None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def is_ours(run: Mapping[str, Any]) -> bool:
    """Whether nothing but the generated sample is in the weights."""
    return run["config"]["init"] == "scratch" and sample.is_sample(run["config"]["data"])


def hub_name(init: str) -> str | None:
    """What --init names on the hub, OWNER/NAME; None for a folder and for "scratch"."""
    is_hub_name = re.fullmatch(r"[\w-]+[\w.-]*/[\w.-]+", init) and not Path(init).exists()
    return init if is_hub_name else None


def start_of(run: Mapping[str, Any]) -> str:
    """What the weights were before, for a sentence."""
    init = run["config"]["init"]
    if init == "scratch":
        return "random weights"
    return f"`{hub_name(init) or Path(init).resolve().name}`"


def data_section(run: Mapping[str, Any], facts: Sequence[str]) -> str:
    """The files by name, with their sizes if these are known, and what was counted in them."""
    sizes = run["data"].get("files") or dict.fromkeys(run["config"]["data"])
    lines = ["## Data", ""]
    for path, size in sizes.items():
        lines.append(f"- `{Path(path).name}`" + (f", {size:,} bytes" if size else ""))
    if sample.is_sample(run["config"]["data"]):
        lines += ["", "This is the generated sample of beautybert: no product in it is real."]
    lines += ["", *facts, f"Fingerprint of what was read: `{run['data']['fingerprint']}`.", ""]
    return "\n".join(lines)


def training_section(folder: Path, run: Mapping[str, Any], best_step: int | None = None) -> str:
    """The command, and how far it went, on what.

    best_step: of the evaluation that picked the weights, if one did.
    """
    facts = []
    rows = read_metrics(folder, "train")
    if rows:
        facts.append(f"{rows[-1]['step']:,} steps, {rows[-1]['tokens']:,} tokens")
    facts.append(f"on {run['device']}")
    versions = [f"{name} {version}" for name, version in run["versions"].items()]
    lines = [
        "## How it was trained",
        "",
        f"From {start_of(run)}, by",
        "",
        f"    {_start(run['ranks'])} {run['command']}",
        "",
        f"{', '.join(facts)}; {', '.join(versions)}. What is not in the command is as",
        "beautybert has it by default: `run.json` lists all options.",
    ]
    if best_step == 0:
        lines.append(
            "**The encoder is not trained**: no later weights were better than those of the start."
        )
    elif best_step:
        lines.append(f"The weights are those of step {best_step:,}.")
    return "\n".join([*lines, ""])


def _start(world_size: int) -> str:
    """What runs a module with as many ranks as this start has."""
    if world_size == 1:
        return "python"
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    nodes = f"--nnodes {world_size // local} " if local < world_size else ""
    return f"torchrun {nodes}--nproc-per-node {local}"


def licence_section(run: Mapping[str, Any]) -> str:
    """Whose the weights are, as far as the program knows."""
    if is_ours(run):
        return SAMPLE_LICENCE
    is_scratch = run["config"]["init"] == "scratch"
    return LICENCE.format(init="" if is_scratch else f" and of {start_of(run)}")


def read_run(folder: Path) -> dict[str, Any]:
    """What run.json holds, as this start wrote it."""
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
