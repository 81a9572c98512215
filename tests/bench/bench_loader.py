"""What feeding the model costs: tokens a second of the loader alone, and the memory of loader and
of training over many steps.

    python -m tests.bench.bench_loader --data products.json.gz
    python -m tests.bench.bench_loader --data products.json.gz --train-steps 20000     also trains a tiny BERT for as many steps

The loader makes --batches micro-batches in the order of train_mlm.py, joined and masked, on one
core and without a model; copies to a GPU are not in it. Training is train_mlm.py itself with
evaluations and checkpoints, and small batches to get through many steps. Memory is this process's
own (anonymous resident memory; the token cache is mapped from disk and not counted), read at five
points on the way.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import train_mlm
from beautybert.bert import wordpiece
from beautybert.bert.token_units import Vocabulary
from beautybert.bert.wordpiece import special_ids
from beautybert.mlm import token_cache
from beautybert.mlm.batches import MicroBatchOrder, Windows, join_windows, masked_micro_batch
from beautybert.mlm.corpus import TEXT_FIELDS, Corpus
from beautybert.mlm.token_cache import TokenCache
from beautybert.training.seeding import MASK, generator_of


def own_memory() -> float:
    """MiB of anonymous resident memory."""
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1024


def measure_loader(
    cache: TokenCache, vocabulary: Vocabulary, special: dict[str, int], args: argparse.Namespace
) -> tuple[float, dict[int, float]]:
    """Tokens a second, and MiB after so many micro-batches."""
    windows = Windows.cut(cache, np.arange(len(cache)), args.max_length)
    order = MicroBatchOrder(windows, args.micro_batch_tokens, 0)
    points = {round(args.batches * part) for part in (0.05, 0.25, 0.5, 0.75, 1)}
    begin, tokens, memory = time.perf_counter(), 0, {}
    for i in range(args.batches):
        ids, lengths = join_windows(cache, windows, order[i], special["[CLS]"], special["[SEP]"])
        tokens += len(
            masked_micro_batch(
                ids, lengths, vocabulary, 0.15, "token", generator_of(0, MASK, i, 0)
            ).input_ids
        )
        if i + 1 in points:
            memory[i + 1] = own_memory()
    return tokens / (time.perf_counter() - begin), memory


def measure_training(work: Path, args: argparse.Namespace) -> dict[int, float]:
    """MiB after so many steps of train_mlm.py."""
    memory, rate = {}, train_mlm.learning_rate
    points = {round(args.train_steps * part) for part in (0.05, 0.25, 0.5, 0.75, 1)}

    def watched(step: int, *arguments) -> float:
        if step in points:
            memory[step] = own_memory()
        return rate(step, *arguments)

    train_mlm.learning_rate = watched
    train_mlm.main(
        train_mlm.MlmConfig(
            data=tuple(args.data),
            out=str(work / "run"),
            cache_dir=str(work / "cache"),
            max_steps=args.train_steps,
            batch_tokens=256,
            micro_batch_tokens=128,
            log_interval=1000,
            save_interval=1000,
        )
    )
    return memory


def show(what: str, memory: dict[int, float]) -> None:
    """One line of MiB and the count after which they were read."""
    print(
        f"{what}: " + ", ".join(f"{mib:,.1f} MiB after {count:,}" for count, mib in memory.items())
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["data/sample/meta_All_Beauty.json.gz"])
    parser.add_argument(
        "--tokenizer",
        help="folder of a checkpoint whose vocabulary is used; without it one is learned from the data",
    )
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--batches", type=int, default=20000)
    parser.add_argument("--train-steps", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        tokenizer = (
            wordpiece.read(args.tokenizer)
            if args.tokenizer
            else wordpiece.learn(lambda: Corpus(args.data, TEXT_FIELDS), 30522)
        )
        folder = Path(work) / "tokens"
        folder.mkdir()
        token_cache.build(folder, args.data, tokenizer, TEXT_FIELDS)
        speed, memory = measure_loader(
            TokenCache(folder), Vocabulary.of(tokenizer), special_ids(tokenizer), args
        )
        print(
            f"{args.batches:,} micro-batches of {args.micro_batch_tokens:,} tokens: {speed:,.0f} tokens/s on one core"
        )
        show("loader", memory)
        if args.train_steps:
            show("training", measure_training(Path(work), args))


if __name__ == "__main__":
    main()
