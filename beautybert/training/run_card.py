"""What the model cards of all runs say alike: header, data, how it was trained, whose it is.

All of it is read from the run folder, in Markdown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beautybert.training.metrics_file import read_metrics
from beautybert.training.runlog import SAMPLE_NOTE, is_sample

LICENCE = """\
## Licence

The program is under the MIT licence. The weights are made of the files above{init}; what may be
done with them is for the licences of these to say, which the program does not know. Before you
share this folder, read them and write `license:` into the header.
"""
SAMPLE_LICENCE = f"""\
## Licence

MIT, as the program: {SAMPLE_NOTE}.
"""


def header(
    run: Mapping[str, Any],
    *,
    library: str,
    task: str,
    name: str,
    scores: Mapping[str, float] | None = None,
) -> str:
    """The YAML that the hub reads (its page "Model Cards"), between lines of ---.

    run: what run.json holds. library, task: in the hub's terms. scores: on the test products.
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
            metric_value=round(value, 4),
        )
        for metric, value in (scores or {}).items()
    ]
    data = ModelCardData(
        language="en",
        license="mit" if is_sample(config["data"]) else None,
        library_name=library,
        pipeline_tag=task,
        tags=["beautybert", "bert", "cosmetics"],
        base_model=hub_name(config["init"]),
        metrics=list(scores) if scores else None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def hub_name(init: str) -> str | None:
    """What --init names on the hub; None for a folder and for "scratch"."""
    is_path = init == "scratch" or init.count("/") > 1 or init[:1] in "./~" or Path(init).exists()
    return None if is_path else init


def start_of(run: Mapping[str, Any]) -> str:
    """What the weights were before, for a sentence."""
    init = run["config"]["init"]
    if init == "scratch":
        return "random weights"
    return f"`{hub_name(init) or Path(init).resolve().name}`"


def data_section(run: Mapping[str, Any], facts: Sequence[str]) -> str:
    """The files by name, with their sizes if these are known, and what was counted in them."""
    sizes = {Path(path).name: size for path, size in run["data"].get("files", {}).items()}
    lines = ["## Data", ""]
    for path in run["config"]["data"]:
        size = sizes.get(Path(path).name)
        lines.append(f"- `{Path(path).name}`" + (f", {size:,} bytes" if size else ""))
    lines += ["", *facts, f"Fingerprint of what was read: `{run['data']['fingerprint']}`.", ""]
    return "\n".join(lines)


def training_section(folder: Path, run: Mapping[str, Any], command: str) -> str:
    """The command, and how far it went, on what. command: script and flags, for a shell."""
    facts = []
    rows = read_metrics(folder, "train")
    if rows:
        last = rows[-1]
        facts.append(f"{last['step']:,} steps, {last['tokens']:,} tokens")
    ranks = run["ranks"]
    start = f"torchrun --nproc-per-node {ranks}" if ranks > 1 else "python"
    facts.append(f"on {run['device']}")
    versions = [f"{name} {version}" for name, version in run["versions"].items()]
    return "\n".join(
        [
            "## How it was trained",
            "",
            f"From {start_of(run)}, by",
            "",
            f"    {start} {command}",
            "",
            f"{', '.join(facts)}; {', '.join(versions)}. What is not in the command is as",
            "beautybert has it by default: `run.json` lists all options.",
            "",
        ]
    )


def licence_section(run: Mapping[str, Any]) -> str:
    """Whose the weights are, as far as the program knows."""
    if is_sample(run["config"]["data"]):
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
