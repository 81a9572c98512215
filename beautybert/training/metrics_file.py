"""metrics.jsonl, a run's curves: an object a line with its step, its split and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beautybert import files


def read_metrics(folder: Path, split: str) -> list[dict[str, Any]]:
    """The lines of a split in metrics.jsonl, in order of steps; none without the file.

    Lines that are none of ours are left out: no object, no step, no loss, what is no number.
    """
    return [row for _, row in _rows(folder / "metrics.jsonl") if row["split"] == split]


def truncate_metrics(folder: Path, step: int) -> None:
    """Drop from metrics.jsonl what came after `step`, so that a resume writes each line once.

    The test line, an incomplete last line and lines that are none of ours are dropped too.
    """
    path = folder / "metrics.jsonl"
    kept = []
    for line, row in _rows(path):
        if row["step"] <= step and row["split"] != "test" and line.endswith("\n"):
            kept.append(line)
    if path.exists():
        files.write_text(path, "".join(kept))


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line that is one of ours, as it is and what it says."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            row = files.parse_json(line, "a line")
            files.value_of(row, "step", int, "a line", at_least=0)
            files.value_of(row, "split", str, "a line")
            files.value_of(row, "loss", float, "a line")
        except ValueError:
            continue
        values = [value for name, value in row.items() if name != "split"]
        if all(_is_number(value) for value in values):
            yield line, row


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
