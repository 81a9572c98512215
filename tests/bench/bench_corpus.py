"""The token cache against `datasets.map`, and its memory as the corpus grows.

    pip install -e ".[bench]"
    python -m tests.bench.bench_corpus                    50 thousand and 1 million generated products, 2 processes, about 15 minutes
    python -m tests.bench.bench_corpus --products 20000   one size

Both sides read the same gzipped file with the same tokenizer (learned from the sample), make the
same texts by the same function and tokenise them with the same number of processes; `datasets` does
not drop duplicates. Each runs in a process of its own, and the sides take turns. Time is the wall
clock from the file to tokens on disk. Memory is the largest resident set of any process of that
side, the number that `/usr/bin/time -v` prints; pages of mapped files count in it.
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

import train_mlm  # noqa: F401  the processes of a real run import it too, and torch with it
from beautybert.bert import wordpiece
from beautybert.mlm import token_cache
from beautybert.mlm.corpus import TEXT_FIELDS, Corpus, record_text
from beautybert.mlm.token_cache import TokenCache, available_cores

ROOT = Path(__file__).resolve().parents[2]


def build_ours(
    products: Path, tokenizer_folder: Path, work: Path, processes: int
) -> Callable[[], int]:
    """Write the cache; returns what counts its tokens."""
    token_cache.build(
        work, [str(products)], wordpiece.read(tokenizer_folder), TEXT_FIELDS, workers=processes
    )
    return lambda: len(TokenCache(work).tokens)


def build_with_datasets(
    products: Path, tokenizer_folder: Path, work: Path, processes: int
) -> Callable[[], int]:
    """Write the arrow files; returns what counts their tokens.

    The text is made of the parsed record, so JSON is parsed once on either side.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = (
        "false"  # the processes are the parallelism, as on our side
    )
    import datasets
    import pyarrow.compute

    datasets.disable_progress_bars()
    tokenizer = wordpiece.read(tokenizer_folder)

    def encode(batch: dict[str, list]) -> dict[str, list]:
        texts = (
            record_text(
                {name: batch[name][i] for name in TEXT_FIELDS if name in batch}, TEXT_FIELDS
            )
            for i in range(len(batch["title"]))
        )
        return {
            "input_ids": [
                encoding.ids
                for encoding in tokenizer.encode_batch_fast(
                    [text for text in texts if text], add_special_tokens=False
                )
            ]
        }

    table = datasets.load_dataset(
        "json", data_files=str(products), split="train", cache_dir=str(work)
    )
    mapped = table.map(encode, batched=True, num_proc=processes, remove_columns=table.column_names)
    return lambda: sum(
        pyarrow.compute.sum(pyarrow.compute.list_value_length(part["input_ids"])).as_py()
        for part in mapped.with_format("arrow").iter(10_000)
    )


SIDES = {"beautybert": build_ours, "datasets.map": build_with_datasets}


def measure(side: str, products: Path, tokenizer_folder: Path, processes: int) -> dict:
    """Run one side in a fresh process: {"tokens", "seconds", "peak_mib"}."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.bench_corpus",
        "--side",
        side,
        "--file",
        str(products),
        "--tokenizer",
        str(tokenizer_folder),
        "--processes",
        str(processes),
    ]
    return json.loads(
        subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ).stdout.splitlines()[-1]
    )


def run_side(side: str, products: Path, tokenizer_folder: Path, processes: int) -> None:
    """Do the work of one side and print its figures as JSON."""
    if side == "datasets.map":
        importlib.import_module(
            "datasets"
        )  # not on the clock, and not in the memory of the other side
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        count_tokens = SIDES[side](products, tokenizer_folder, Path(work), processes)
        seconds = time.perf_counter() - began
        peak = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        tokens = count_tokens()
    print(json.dumps({"tokens": tokens, "seconds": seconds, "peak_mib": peak / 1024}))


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
        help="of each side, taking turns; the largest size runs once",
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tokenizer", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return run_side(args.side, args.file, args.tokenizer, args.processes)

    print(
        f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}, "
        f"tokenizers {version('tokenizers')}, datasets {version('datasets')}, {args.processes} processes"
    )
    with tempfile.TemporaryDirectory() as work:
        tokenizer_folder = Path(work) / "tokenizer"
        sample = [ROOT / "data" / "sample" / "meta_All_Beauty.json.gz"]
        wordpiece.write(
            wordpiece.learn(lambda: Corpus(sample, TEXT_FIELDS), 4000), tokenizer_folder, 512
        )
        for size in args.products:
            products = Path(work) / f"products-{size}.json.gz"
            subprocess.run(
                [
                    sys.executable,
                    ROOT / "data" / "make_sample.py",
                    "--products",
                    str(size),
                    "--out",
                    products,
                ],
                check=True,
            )
            results: dict[str, list[dict]] = {side: [] for side in SIDES}
            for _ in range(1 if size == max(args.products) > 100_000 else args.repeats):
                for side, runs in results.items():
                    runs.append(measure(side, products, tokenizer_folder, args.processes))
            speed = {
                side: median(run["tokens"] / run["seconds"] for run in runs)
                for side, runs in results.items()
            }
            for side, runs in results.items():
                print(
                    f"{size:>9,} products  {side:<12}  {runs[0]['tokens']:>11,} tokens  {median(run['seconds'] for run in runs):7.1f} s  "
                    f"{speed[side]:>9,.0f} tokens/s  peak {max(run['peak_mib'] for run in runs):5.0f} MiB",
                    flush=True,
                )
            print(
                f"{size:>9,} products  ratio {speed['beautybert'] / speed['datasets.map']:.2f}",
                flush=True,
            )
            products.unlink()


if __name__ == "__main__":
    main()
