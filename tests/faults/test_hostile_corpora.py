"""Corpus files and caches with random damage: a right result or one line that names the file."""

from __future__ import annotations

import gzip
import json
import random
from importlib.util import find_spec

import pytest
import torch

from beautybert.mlm import token_cache
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.token_cache import TokenCache
from beautybert.training.distributed import Ranks
from tests.conftest import product_texts
from tests.faults.mutations import Tally, damaged_bytes

pytestmark = pytest.mark.faults

ONE_RANK = Ranks(0, 0, 1, torch.device("cpu"))
MUTANTS = 80  # of each kind of file
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


def use_corpus(path, folder, tokenizer, max_bad_rows) -> None:
    """The rows are counted, and their texts are clean."""
    corpus = Corpus((str(path),), max_bad_rows=max_bad_rows)
    token_cache.build(folder, corpus, tokenizer)
    counts = TokenCache(folder, corpus).counts
    texts = list(corpus.texts())
    assert counts.bad + counts.empty + counts.duplicates + counts.documents == counts.rows
    assert len(texts) >= counts.documents > 0
    assert "".join(texts).encode()
    assert not any(set(text) & set("\0\n\r\x1b") for text in texts)


def test_a_damaged_corpus_gives_clean_texts_or_one_line(tmp_path, tokenizer, tried):
    originals = dict(ORIGINALS)
    if find_spec("pyarrow"):
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(RECORDS), tmp_path / "x.parquet")
        originals["table.parquet"] = (tmp_path / "x.parquet").read_bytes()
    tally = Tally()
    for name, original in originals.items():
        for seed in range(MUTANTS):
            rng = random.Random(f"{name} {seed}")
            path = tmp_path / f"{seed}-{name}"
            if name.endswith(".gz") and seed % 2:
                data = damaged_bytes(gzip.compress(original, mtime=0), rng)
            else:
                data = damaged_bytes(original, rng)
                data = gzip.compress(data) if name.endswith(".gz") else data
            path.write_bytes(data)
            folder = tmp_path / f"cache-{seed}-{name}"
            folder.mkdir()
            max_bad_rows = rng.choice([0.01, 1.0])
            tally.attempt(name, str(path), use_corpus, path, folder, tokenizer, max_bad_rows)
            path.unlink()
    tried(tally.summary())


def test_a_damaged_cache_is_made_again(tmp_path, tokenizer, tried):
    (tmp_path / "x.txt").write_text("\n".join(product_texts(20)))
    corpus = Corpus((str(tmp_path / "x.txt"),))
    caches = tmp_path / "caches"

    def load():
        return token_cache.load_or_build(corpus, tokenizer, 1, str(caches), ONE_RANK)

    def load_again() -> None:
        cache = load()
        assert cache.tokens.tolist() == tokens
        assert cache.counts.documents == 20

    tokens = load().tokens.tolist()
    [folder] = caches.iterdir()
    originals = {path.name: path.read_bytes() for path in folder.iterdir()}
    tally = Tally()
    for name, original in originals.items():
        for seed in range(MUTANTS // 2):
            damaged = damaged_bytes(original, random.Random(f"{name} {seed}"))
            if damaged != original:
                (folder / name).write_bytes(damaged)
                tally.attempt(name, str(folder), load_again)
    assert not tally.outcomes["refused"]
    tried(tally.summary(least=0))
