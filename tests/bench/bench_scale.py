"""What of pretraining grows with the corpus, before the first step: time, memory, disk.

    python -m tests.bench.bench_scale
        50 thousand and 1 million generated products, 2 processes, 5 minutes
    python -m tests.bench.bench_scale --products 10000000
        an hour, most of it for making the products

For each size, in processes of their own: `read`, the file to rows, which one process does for all
that tokenise; `cache`, the file to the token cache; `order`, the cache to the micro-batches of one
epoch, which every rank does for itself. Memory is the largest resident set of a process, of which
60 MiB are Python and numpy, and 250 more torch where `order` imports it; pages of the mapped cache
count in it. docs/training.md takes these figures for what cannot be run here.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from beautybert.bert import wordpiece
from beautybert.mlm import token_cache
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.corpus_files import read_chunks
from beautybert.mlm.token_cache import TokenCache, available_cores

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("read", "cache", "order")
MAX_LENGTH, MICRO_BATCH_TOKENS = 128, 32_768


def run_stage(stage: str, products: Path, work: Path, processes: int) -> dict:
    """Seconds, largest resident MiB and what was made."""
    corpus = Corpus((str(products),))
    folder = work / "cache"
    began = time.perf_counter()
    if stage == "read":
        made = {"rows": sum(len(chunk.rows) for chunk in read_chunks(products))}
    elif stage == "cache":
        folder.mkdir()
        token_cache.build(folder, corpus, wordpiece.read(work / "tokenizer"), workers=processes)
        size = sum(path.stat().st_size for path in folder.iterdir())
        made = {"tokens": len(TokenCache(folder, corpus).tokens), "bytes": size}
    else:
        from beautybert.mlm.batches import MicroBatchOrder, Windows

        began = time.perf_counter()
        cache = TokenCache(folder, corpus)
        windows = Windows.cut(cache, np.arange(len(cache)), MAX_LENGTH)
        made = {"batches": MicroBatchOrder(windows, MICRO_BATCH_TOKENS, 0).count(1)}
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "mib": peak, **made}


def main() -> None:
    """Generate, measure, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, nargs="+", default=[50_000, 1_000_000])
    parser.add_argument("--processes", type=int, default=2)
    # what the processes are started with
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        print(json.dumps(run_stage(args.stage, args.file, args.work, args.processes)))
        return
    print(f"{platform.machine()}, {available_cores()} cores, {args.processes} processes\n")
    print("| products | stage | seconds | largest process, MiB | made |\n|---|---|---|---|---|")
    for size in args.products:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            sample = Corpus((str(ROOT / "data" / "sample" / "meta_All_Beauty.json.gz"),))
            wordpiece.write(wordpiece.learn(sample.texts, 4000), work / "tokenizer", 512)
            products = work / "products.json.gz"
            command = [sys.executable, str(ROOT / "data" / "make_sample.py")]
            command += ["--products", str(size), "--out", str(products)]
            subprocess.run(command, check=True, stdout=sys.stderr)
            for stage in STAGES:
                command = [sys.executable, "-m", "tests.bench.bench_scale", "--stage", stage]
                command += ["--file", str(products), "--work", name]
                command += ["--processes", str(args.processes)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found = json.loads(done.stdout.splitlines()[-1])
                seconds, mib, *counts = found.items()
                made = ", ".join(f"{count:,} {what}" for what, count in counts)
                cells = [f"{size:,}", stage, f"{seconds[1]:,.1f}", f"{mib[1]:,.0f}", made]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
