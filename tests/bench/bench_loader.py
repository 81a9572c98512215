"""What feeding the model costs: speed and memory of the loader, and memory of training.

    python -m tests.bench.bench_loader --data products.json.gz
    python -m tests.bench.bench_loader --data products.json.gz --train-steps 20000
        also trains a tiny BERT for as many steps

The loader makes --batches micro-batches in the order of train_mlm.py, joined and masked, on one
core and without a model. Copies to a GPU are not in it. Training is train_mlm.py itself with
evaluations and checkpoints, and small batches to get through many steps. Memory is this process's
own (anonymous resident memory; the token cache is mapped from disk and not counted), read at five
points on the way.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
from tokenizers import Tokenizer

import train_mlm
from beautybert.bert.token_units import Vocabulary
from beautybert.bert.wordpiece import special_ids
from beautybert.mlm import token_cache
from beautybert.mlm.batches import MicroBatchOrder, Windows, join_windows, masked_micro_batch
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.token_cache import TokenCache
from beautybert.training import optim
from beautybert.training.seeding import MASK, generator_of
from tests.bench.bench_mlm import read_or_learn_tokenizer


def own_memory() -> float:
    """MiB of anonymous resident memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def five_points(count: int) -> set[int]:
    """The counts at which memory is read."""
    return {round(count * part) for part in (0.05, 0.25, 0.5, 0.75, 1)}


def measure_loader(
    cache: TokenCache, tokenizer: Tokenizer, args: argparse.Namespace
) -> tuple[float, dict[int, float]]:
    """Tokens a second, and MiB after so many micro-batches."""
    special = special_ids(tokenizer)
    vocabulary = Vocabulary.of(tokenizer)
    windows = Windows.cut(cache, np.arange(len(cache)), args.max_length)
    order = MicroBatchOrder(windows, args.micro_batch_tokens, 0)
    points = five_points(args.batches)
    memory = {}
    num_tokens = 0
    began = time.perf_counter()
    for i in range(args.batches):
        ids, lengths = join_windows(cache, windows, order[i], special["[CLS]"], special["[SEP]"])
        rng = generator_of(0, MASK, i, 0)
        batch = masked_micro_batch(ids, lengths, vocabulary, 0.15, "token", rng)
        num_tokens += len(batch.input_ids)
        if i + 1 in points:
            memory[i + 1] = own_memory()
    return num_tokens / (time.perf_counter() - began), memory


def measure_training(work: Path, args: argparse.Namespace) -> dict[int, float]:
    """MiB after so many steps of train_mlm.py."""
    points = five_points(args.train_steps)
    memory = {}
    learning_rate = optim.learning_rate

    def watched(step: int, *arguments) -> float:
        if step in points:
            memory[step] = own_memory()
        return learning_rate(step, *arguments)

    config = train_mlm.MlmConfig(
        data=tuple(args.data),
        out=str(work / "run"),
        cache_dir=str(work / "cache"),
        max_steps=args.train_steps,
        batch_tokens=256,
        micro_batch_tokens=128,
        log_interval=1000,
        save_interval=1000,
    )
    with patch.object(optim, "learning_rate", watched):  # the loop asks for it once a step
        train_mlm.main(config)
    return memory


def show(what: str, memory: dict[int, float]) -> None:
    """One line of MiB and the count after which they were read."""
    readings = [f"{mib:,.1f} MiB after {count:,}" for count, mib in memory.items()]
    print(f"{what}: {', '.join(readings)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["data/sample/meta_All_Beauty.json.gz"])
    parser.add_argument(
        "--tokenizer",
        help="folder of a checkpoint whose vocabulary is used; without it one is learned from the "
        "data",
    )
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--batches", type=int, default=20000)
    parser.add_argument("--train-steps", type=int, default=0)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as work:
        corpus = Corpus(tuple(args.data))
        tokenizer = read_or_learn_tokenizer(args.tokenizer, corpus)
        folder = Path(work) / "tokens"
        folder.mkdir()
        with contextlib.redirect_stdout(sys.stderr):
            token_cache.build(folder, corpus, tokenizer)
        speed, memory = measure_loader(TokenCache(folder, corpus), tokenizer, args)
        print(
            f"{args.batches:,} micro-batches of {args.micro_batch_tokens:,} tokens: "
            f"{speed:,.0f} tokens/s on one core"
        )
        show("loader", memory)
        if args.train_steps:
            show("training", measure_training(Path(work), args))


if __name__ == "__main__":
    main()
