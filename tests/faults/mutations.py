"""Random damage to files, and what a program may do with a damaged one."""

from __future__ import annotations

import copy
import json
import random
import resource
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
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
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b"[" * 50_000,
    b'{"a":' * 50_000,
    b"," * 50_000,
    b'"' * 50_001,
    b"&amp;" * 20_000,
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
        at, length = rng.randrange(len(data) + 1), rng.choice([1, 2, 8, 60])
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
        self.memory = _most_memory()

    def attempt(self, name: str, where: str, use: Callable[..., None], *given: Any) -> None:
        """Use a damaged file: a result, or a ValueError of one short line that names `where`."""
        try:
            with _time_limit(SECONDS):
                use(*given)
            self.counts[f"{name} read"] += 1
        except ValueError as error:
            text = str(error)
            assert "\n" not in text and len(text) < 1500, text[:3000]
            assert where in text, text
            self.counts[f"{name} refused"] += 1
        assert _most_memory() - self.memory < MEMORY

    def summary(self) -> str:
        """What was tried, for people."""
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(self.counts.items()))
        return f"{self.counts.total():,} damaged files: {kinds}; nothing else happened"


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
