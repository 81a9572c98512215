"""One markdown table of what the stages of run.sh printed, for docs/results.md.

    python -m tests.gpu.summary FOLDER

FOLDER has stages.tsv, a line for each stage (name, outcome, seconds), and NAME.log, what it
printed. Written is results.md: each stage in a row, and below it the rows of the table that it
printed, all under one header.
"""

from __future__ import annotations

import platform
import re
import sys
import time
from pathlib import Path

import torch


def printed_rows(text: str) -> list[dict[str, str]]:
    """The rows of all markdown tables in a text, by the names of their columns."""
    rows = []
    header: list[str] = []
    for line in text.splitlines():
        if not (line.startswith("| ") and line.endswith(" |")):
            if not line.startswith("|---"):
                header = []
            continue
        cells = [cell.strip() for cell in line[1:-1].split("|")]
        if not header:
            header = cells
        else:
            rows.append(dict(zip(header, cells, strict=False)))
    return rows


def counts_of_pytest(text: str) -> str:
    """Its last line, without the time: "3 failed, 20 passed"; "" if there is none."""
    found = re.findall(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s", text, re.MULTILINE)
    return found[-1] if found else ""


def table(stages: list[tuple[str, str, str]], logs: dict[str, str]) -> str:
    """The table. stages: name, outcome, seconds. logs: by name, what a stage printed."""
    found = {name: printed_rows(logs.get(name, "")) for name, _, _ in stages}
    columns = dict.fromkeys(name for rows in found.values() for row in rows for name in row)
    lines = [["stage", "outcome", "seconds of the stage", *columns]]
    lines.append(["---"] * len(lines[0]))
    for name, outcome, seconds in stages:
        counts = counts_of_pytest(logs.get(name, ""))
        outcome = f"{outcome}: {counts}" if counts else outcome
        lines.append([name, outcome, seconds, *("" for _ in columns)])
        for row in found[name]:
            lines.append(["", "", "", *(row.get(column, "") for column in columns)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Write results.md and print it."""
    folder = Path(sys.argv[1])
    stages = []
    for line in (folder / "stages.tsv").read_text(encoding="utf-8").splitlines():
        name, outcome, seconds = line.split("\t")
        stages.append((name, outcome, seconds))
    logs = {}
    for name, _, _ in stages:
        path = folder / f"{name}.log"
        if path.exists():
            logs[name] = path.read_text(encoding="utf-8", errors="replace")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    heading = f"`tests/gpu/run.sh`, {device}, torch {torch.__version__}, {time.strftime('%F')}:"
    contents = f"{heading}\n\n{table(stages, logs)}\n"
    (folder / "results.md").write_text(contents, encoding="utf-8")
    print(contents)


if __name__ == "__main__":
    main()
