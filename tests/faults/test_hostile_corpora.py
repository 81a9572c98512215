"""Corpus files and caches with random damage: a right result or one line that names the file."""

from __future__ import annotations

import gzip
import json
import random
import resource
import signal
import time
from collections import Counter
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
import torch

from beautybert.mlm import token_cache
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.token_cache import TokenCache
from beautybert.training.distributed import Ranks
from tests.conftest import product_texts

pytestmark = pytest.mark.faults

ONE_RANK = Ranks(0, 0, 1, torch.device("cpu"))
MUTANTS = 80  # of each kind of file
SECONDS = 20  # for one
MEMORY = 1 << 30  # bytes more than before
TEXTS = ["text", *product_texts(40)]
RECORDS = [
    {
        "title": text[:40],
        "description": [text, None, "soft <b>cream</b>"],
        "details": {"Scent": "Rose", "UPC": "123"},
        "price": 4.5,
    }
    for text in product_texts(40)
]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)
ROWS = [f'{i},"{record["title"]}, ""rose"""\n' for i, record in enumerate(RECORDS)]
ORIGINALS = {
    "lines.json": LINES.encode(),
    "lines.jsonl.gz": LINES.encode(),
    "array.json": json.dumps(RECORDS, indent=1).encode(),
    "line.json": json.dumps(RECORDS).encode(),
    "objects.json": "\n".join(json.dumps(record, indent=1) for record in RECORDS).encode(),
    "dicts.json": "".join(f"{record}\n" for record in RECORDS).encode(),
    "wide.json": LINES.encode("utf-16"),
    "comma.csv": ("id,text\n" + "".join(ROWS)).encode(),
    "tab.tsv.gz": "\n".join(f"{i}\t{text}" for i, text in enumerate(TEXTS)).encode(),
    "texts.txt": "\n".join(product_texts(40)).encode(),
}
INSERTED = [
    b"\0",
    b'"',
    b"'",
    b"\\",
    b"\n",
    b"\r",
    b"{",
    b"]",
    b",",
    b"\t",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 50_000,
    b'{"a":' * 50_000,
    b"<script" * 20_000,
    b"&#" + b"9" * 20_000,
    b"<!--" * 20_000,
    b"-" * 50_000,
    b"null",
    b'{"title": 5}\n',
    b"\x1b[31m",
]


def mutant(data: bytes, rng: random.Random) -> bytes:
    """The data after one to three random changes."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice([1, 3, 50, 1000]))
        change = rng.randrange(6)
        if change == 0 and data:
            flipped = bytes(byte ^ 1 << rng.randrange(8) for byte in data[start:end])
            data = data[:start] + flipped + data[end:]
        elif change == 1:
            data = data[:start] + data[end:]
        elif change == 2:
            data = data[:end] + data[start:]
        elif change == 3:
            data = data[:start]
        else:
            data = data[:start] + rng.choice(INSERTED) + data[start:]
    return data


@contextmanager
def bounded():
    """What runs in this block ends in `SECONDS` and takes no more than `MEMORY`."""

    def stop(number, frame):
        raise AssertionError(f"over {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024 < MEMORY


def assert_one_line_that_names(error: ValueError, path) -> None:
    assert str(path) in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 2000
    assert "Traceback" not in str(error)


def test_a_damaged_corpus_gives_clean_texts_or_one_line(tmp_path, tokenizer, capsys):
    originals = dict(ORIGINALS)
    if find_spec("pyarrow"):
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(RECORDS), tmp_path / "x.parquet")
        originals["table.parquet"] = (tmp_path / "x.parquet").read_bytes()
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for name, original in originals.items():
        for seed in range(MUTANTS):
            rng = random.Random(f"{name} {seed}")
            path = tmp_path / f"{seed}-{name}"
            if name.endswith(".gz") and seed % 2:
                data = mutant(gzip.compress(original), rng)
            else:
                data = mutant(original, rng)
                data = gzip.compress(data) if name.endswith(".gz") else data
            path.write_bytes(data)
            folder = tmp_path / f"cache-{seed}-{name}"
            folder.mkdir()
            started = time.monotonic()
            with bounded():
                try:
                    corpus = Corpus((str(path),), max_bad_rows=rng.choice([0.01, 1.0]))
                    token_cache.build(folder, corpus, tokenizer)
                    counts = TokenCache(folder, corpus).counts
                    texts = list(corpus.texts())
                except ValueError as error:
                    assert_one_line_that_names(error, path)
                    outcomes["refused"] += 1
                else:
                    rows = counts.bad + counts.empty + counts.duplicates + counts.documents
                    assert rows == counts.rows
                    assert len(texts) >= counts.documents > 0
                    assert "".join(texts).encode()
                    assert not any(set(text) & set("\0\n\r\x1b") for text in texts)
                    outcomes["read"] += 1
            slowest = max(slowest, time.monotonic() - started)
            path.unlink()
    total = sum(outcomes.values())
    assert total >= 700 and min(outcomes["read"], outcomes["refused"]) > 50
    with capsys.disabled():
        print(
            f"\nhostile corpora: {total} mutants of {len(originals)} files: {outcomes['read']} "
            f"read, {outcomes['refused']} refused in one line, the slowest took {slowest:.1f} s"
        )


def test_a_damaged_cache_is_made_again(tmp_path, tokenizer, capsys):
    (tmp_path / "x.txt").write_text("\n".join(product_texts(20)))
    corpus = Corpus((str(tmp_path / "x.txt"),))
    caches = tmp_path / "caches"

    def load():
        return token_cache.load_or_build(corpus, tokenizer, 1, str(caches), ONE_RANK)

    tokens = load().tokens.tolist()
    [folder] = caches.iterdir()
    originals = {path.name: path.read_bytes() for path in folder.iterdir()}
    tried = 0
    for name, original in originals.items():
        for seed in range(MUTANTS // 2):
            damaged = mutant(original, random.Random(f"{name} {seed}"))
            if damaged == original:
                continue
            (folder / name).write_bytes(damaged)
            tried += 1
            with bounded():
                cache = load()
            assert cache.tokens.tolist() == tokens
            assert cache.counts.documents == 20
    with capsys.disabled():
        print(f"\nhostile caches: {tried} damaged files of a token cache, all noticed, none lost")
