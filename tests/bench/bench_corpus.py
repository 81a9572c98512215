"""The token cache against `datasets.map`, and its memory as the corpus grows.

    pip install -e ".[bench]"
    python -m tests.bench.bench_corpus
        50 thousand and 1 million generated products, 2 processes, about 15 minutes
    python -m tests.bench.bench_corpus --products 20000
        one size

Both contestants read the same gzipped file with the same tokenizer (learned from the sample), make
the same texts by the same function and tokenise them with the same number of processes. `datasets`
does not drop duplicates. Each runs in a process of its own, and they take turns. Time is the wall
clock from the file to tokens on disk. Memory is the largest resident set of any process of that
contestant, the number that `/usr/bin/time -v` prints; pages of mapped files count in it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

from beautybert.bert import wordpiece
from beautybert.mlm import token_cache
from beautybert.mlm.corpus import TEXT_FIELDS, Corpus, record_text
from beautybert.mlm.token_cache import TokenCache, available_cores

ROOT = Path(__file__).resolve().parents[2]

importlib.import_module("train_mlm")  # as in a real run: torch, which it imports, counts as memory


def build_with_beautybert(
    products: Path, tokenizer_folder: Path, work: Path, processes: int
) -> Callable[[], int]:
    """Write the cache; returns what counts its tokens."""
    corpus = Corpus((str(products),))
    token_cache.build(work, corpus, wordpiece.read(tokenizer_folder), workers=processes)
    return lambda: len(TokenCache(work, corpus).tokens)


def build_with_datasets(
    products: Path, tokenizer_folder: Path, work: Path, processes: int
) -> Callable[[], int]:
    """Write the arrow files; returns what counts their tokens.

    The text is made of the parsed record, so both contestants parse JSON once.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism, as in ours
    import datasets
    import pyarrow.compute

    datasets.disable_progress_bars()
    tokenizer = wordpiece.read(tokenizer_folder)

    def encode(batch: dict[str, list]) -> dict[str, list]:
        texts = []
        for i in range(len(batch["title"])):
            record = {name: batch[name][i] for name in TEXT_FIELDS if name in batch}
            text = record_text(record, TEXT_FIELDS)
            if text:
                texts.append(text)
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return {"input_ids": [encoding.ids for encoding in encoded]}

    def count_tokens() -> int:
        num_tokens = 0
        for part in mapped.with_format("arrow").iter(10_000):
            lengths = pyarrow.compute.list_value_length(part["input_ids"])
            num_tokens += pyarrow.compute.sum(lengths).as_py()
        return num_tokens

    table = datasets.load_dataset(
        "json", data_files=str(products), split="train", cache_dir=str(work)
    )
    mapped = table.map(encode, batched=True, num_proc=processes, remove_columns=table.column_names)
    return count_tokens


CONTESTANTS = {"beautybert": build_with_beautybert, "datasets.map": build_with_datasets}


# ---- one contestant, in a process of its own ---------------------------------------------------


def measure(contestant: str, products: Path, tokenizer_folder: Path, processes: int) -> dict:
    """Run one contestant in a fresh process: {"tokens", "seconds", "peak_mib"}."""
    options = {
        "--measure": contestant,
        "--file": products,
        "--tokenizer": tokenizer_folder,
        "--processes": processes,
    }
    command = [sys.executable, "-m", "tests.bench.bench_corpus"]
    for name, value in options.items():
        command += [name, str(value)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def run_contestant(contestant: str, products: Path, tokenizer_folder: Path, processes: int) -> None:
    """Do the work of one contestant and print its figures as JSON."""
    if contestant == "datasets.map":
        importlib.import_module("datasets")  # not on the clock, and not in the memory of the other
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        build = CONTESTANTS[contestant]
        count_tokens = build(products, tokenizer_folder, Path(work), processes)
        seconds = time.perf_counter() - began
        own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        children_peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        peak_mib = max(own_peak, children_peak) / 1024
        figures = {"tokens": count_tokens(), "seconds": seconds, "peak_mib": peak_mib}
    print(json.dumps(figures))


# ---- the comparison ----------------------------------------------------------------------------


def compare(size: int, repeats: int, folder: Path, processes: int) -> None:
    """Generate so many products, measure, and print a line for each contestant."""
    products = folder / f"products-{size}.json.gz"
    make_sample = [sys.executable, str(ROOT / "data" / "make_sample.py")]
    command = [*make_sample, "--products", str(size), "--out", str(products)]
    subprocess.run(command, check=True)
    results: dict[str, list[dict]] = {contestant: [] for contestant in CONTESTANTS}
    for _ in range(repeats):
        for contestant, runs in results.items():
            runs.append(measure(contestant, products, folder / "tokenizer", processes))
    products.unlink()

    speeds = {}
    for contestant, runs in results.items():
        speeds[contestant] = median(run["tokens"] / run["seconds"] for run in runs)
        seconds = median(run["seconds"] for run in runs)
        peak_mib = max(run["peak_mib"] for run in runs)
        print(
            f"{size:>9,} products  {contestant:<12}  {runs[0]['tokens']:>11,} tokens  "
            f"{seconds:7.1f} s  {speeds[contestant]:>9,.0f} tokens/s  peak {peak_mib:5.0f} MiB",
            flush=True,
        )
    ratio = speeds["beautybert"] / speeds["datasets.map"]
    print(f"{size:>9,} products  ratio {ratio:.2f}", flush=True)


def main() -> None:
    """Generate, measure, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--products",
        type=int,
        nargs="+",
        default=[50_000, 1_000_000],
        help="sizes of the generated corpus",
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="of each contestant, taking turns; the largest size runs once",
    )
    # what the processes are started with
    parser.add_argument("--measure", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tokenizer", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        run_contestant(args.measure, args.file, args.tokenizer, args.processes)
        return

    print(
        f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}, "
        f"tokenizers {version('tokenizers')}, datasets {version('datasets')}, "
        f"{args.processes} processes"
    )
    with tempfile.TemporaryDirectory() as work:
        sample = Corpus((str(ROOT / "data" / "sample" / "meta_All_Beauty.json.gz"),))
        tokenizer = wordpiece.learn(sample.texts, 4000)
        wordpiece.write(tokenizer, Path(work) / "tokenizer", 512)
        for size in args.products:
            is_long = size == max(args.products) and size > 100_000
            compare(size, 1 if is_long else args.repeats, Path(work), args.processes)


if __name__ == "__main__":
    main()
