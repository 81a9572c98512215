"""Random damage to files, and what a program may do with a damaged one."""

from __future__ import annotations

import copy
import json
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SECONDS = 20  # for one damaged file
MEMORY = 1 << 30  # bytes more than before
BYTES = [
    b"\0",
    b'"',
    b"'",
    b"\n",
    b"\r",
    b",",
    b";",
    b"\t",
    b"{",
    b"]",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\x1b[31m\x07",
    "\u202e".encode(),
    b"=1+1",
    b"\\",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 50_000,
    b'{"a":' * 50_000,
    b"," * 50_000,
    b'"' * 50_001,
    b"&amp;" * 20_000,
    b"&#" + b"9" * 20_000,
    b"<script" * 20_000,
    b"<!--" * 20_000,
    b"-" * 50_000,
    b'{"title": 5}\n',
    b"(" * 20_000,
    b"Water, " * 20_000,
    b"PK\x03\x04",
    b"\x1f\x8b",
]
DEEP = "nested deep"  # what it is replaced by
VALUES = [
    DEEP,
    None,
    True,
    False,
    0,
    1,
    -1,
    2.5,
    10**30,
    -(10**400),
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "0",
    "../../etc/passwd",
    "/etc/passwd",
    "\x1b[31m\x07\u202e",
    "\ud800",
    "=1+1",
    "x" * 100_000,
    [],
    [1],
    ["name"],
    [None, "x", {}],
    {},
    {"a": "b"},
    {"0": "a"},
    {"name": {}},
]


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """The file with one to three changes at random places."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, length = rng.randrange(len(data) + 1), rng.choice([1, 2, 8, 60, 1000])
        kind = rng.choice(["flip", "cut", "insert", "insert", "insert", "end", "twice", "swap"])
        part = data[at : at + length]
        if kind == "flip" and part:
            data = data[:at] + bytes([part[0] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + length :]
        elif kind == "insert":
            data = data[:at] + rng.choice(BYTES) + data[at:]
        elif kind == "end":
            data = data[:at]
        elif kind == "twice":
            data = data[:at] + part + data[at:]
        elif kind == "swap":
            data = data[:at] + part[::-1] + data[at + length :]
    return data


def damaged_json(contents: Any, rng: random.Random) -> str:
    """JSON with a value, a key or the number of items changed at a random place."""
    contents = copy.deepcopy(contents)
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict | list):
            for key in list(value) if isinstance(value, dict) else range(min(len(value), 5)):
                places.append((value, key))
                collect(value[key])

    collect(contents)
    if not places or rng.random() < 0.05:
        return json.dumps(rng.choice(VALUES))
    parent, key = rng.choice(places)
    kind = rng.choice(["value", "value", "value", "value", "gone", "name", "wrapped"])
    if kind == "gone":
        del parent[key]
    elif kind == "name" and isinstance(parent, dict):
        parent[rng.choice(["", "x", "0", "7", "\x1b[31m", str(key) + " "])] = parent.pop(key)
    elif kind == "wrapped":
        parent[key] = [parent[key]]
    else:
        parent[key] = rng.choice(VALUES)
    return json.dumps(contents).replace(json.dumps(DEEP), "[" * 100_000)


class Tally:
    """How damaged files were taken."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.longest = 0.0

    def attempt(self, name: str, where: str, use: Callable[..., None], *given: Any) -> None:
        """Use a damaged file: a result, or a ValueError of one line that names `where`.

        In `SECONDS`, with no more than `MEMORY`.
        """
        before = peak_memory()
        began = time.monotonic()
        outcome = "read"
        try:
            with _time_limit(SECONDS):
                use(*given)
        except ValueError as error:
            text = str(error)
            assert text.isprintable() and len(text) < 1500, (
                f"{name}, number {self.counts[name]}: {text[:3000]!r}"
            )
            assert where in text, f"{name}, number {self.counts[name]}: {text}"
            outcome = "refused"
        except BaseException as error:
            error.add_note(f"damaged: {name}, number {self.counts[name]}")
            raise
        assert peak_memory() - before < MEMORY, name
        self.longest = max(self.longest, time.monotonic() - began)
        self.counts[name] += 1
        self.outcomes[outcome] += 1

    def summary(self, least: float = 0.1) -> str:
        """What was tried, for people. least: share that must have been read, and refused."""
        total = self.counts.total()
        for outcome in ("read", "refused"):
            assert self.outcomes[outcome] >= least * total, self.outcomes
        kinds = ", ".join(f"{n:,} {name}" for name, n in sorted(self.counts.items()))
        return (
            f"{total:,} damaged files: {self.outcomes['read']:,} read, {self.outcomes['refused']:,}"
            f" refused in a line, nothing else; at most {self.longest:.1f} s ({kinds})"
        )


def peak_memory() -> int:
    """The most bytes of memory since the last call where the system can say so, else ever."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        (kib,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (man proc)
        return int(kib) * 1024
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def _time_limit(seconds: int):
    def fail(*_):
        pytest.fail(f"no end after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
