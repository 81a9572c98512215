"""Progress bars with the time that is left, of all but training itself (runlog.py)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

DELAY = 1.0  # seconds; what is done sooner shows no bar


def bar(
    items: Iterable | None = None,
    what: str = "",
    total: float | None = None,
    unit: str = "it",
) -> tqdm[Any]:
    """A bar around `items`, or one of `total` units to be updated; it is gone when it is done.

    unit: what is counted; "B" for bytes. Nothing is shown if stderr is no terminal, and by ranks
    other than 0.
    """
    return tqdm(
        items,
        desc=what,
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        disable=os.environ.get("RANK", "0") != "0" or None,
        leave=False,
        delay=DELAY,
        dynamic_ncols=True,
    )
