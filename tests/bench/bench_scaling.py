"""Weak scaling on one machine: as many times the batch on as many ranks, each with one CPU thread
or one GPU.

    python -m tests.bench.bench_scaling --data products.json.gz --ranks 2
    python -m tests.bench.bench_scaling --data products.json.gz --ranks 2 4 8 --shape base --batch-tokens 131072 --micro-batch-tokens 32768 --steps 30

Each rank takes --batch-tokens a step in micro-batches; the all-reduce comes with the last of them.
Beside the ranks that train one model stand as many runs at once that know nothing of each other:
cores of one machine share memory, caches and clock, so these too are slower than a run alone, and
only what the ranks lose against them is the price of training together. Runs take turns, medians of
--rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.bench_mlm import logged_steps, make_checkpoint


def start(ranks: int, folder: Path, out: Path, args: argparse.Namespace) -> subprocess.Popen:
    """A run of train_mlm.py on so many ranks."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={ranks}",
        "train_mlm.py",
        "--data",
        *args.data,
        "--init",
        str(folder),
        "--cache-dir",
        str(folder / "cache"),
        "--out",
        str(out),
        "--max-steps",
        str(args.steps + 2),
        "--batch-tokens",
        str(ranks * args.batch_tokens),
        "--micro-batch-tokens",
        str(args.micro_batch_tokens),
        "--log-interval",
        "1",
        "--eval-interval",
        "0",
        "--save-interval",
        "0",
        "--valid-fraction",
        "0.001",
    ]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def tokens_per_second(runs: int, ranks: int, folder: Path, args: argparse.Namespace) -> float:
    """Of all `runs` at once together, each on `ranks`, over the steps after the second."""
    with tempfile.TemporaryDirectory() as work:
        outs = [Path(work) / str(run) for run in range(runs)]
        processes = [start(ranks, folder, out, args) for out in outs]
        if any([process.wait() for process in processes]):
            sys.exit("a run failed")
        total = 0.0
        for out in outs:
            tokens, seconds = logged_steps(
                [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()],
                after=2,
            )
            total += sum(tokens) / sum(seconds)
    return total


def main() -> None:
    """Measure in turn and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["data/sample/meta_All_Beauty.json.gz"])
    parser.add_argument(
        "--tokenizer",
        help="folder of a checkpoint whose vocabulary is used; without it one is learned from the data",
    )
    parser.add_argument("--shape", default="minilm", choices=("minilm", "tiny", "base"))
    parser.add_argument("--ranks", type=int, nargs="+", default=[2])
    parser.add_argument("--batch-tokens", type=int, default=4096, help="of each rank")
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=4, help="measured, after two that are not")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sides = [(1, 1), *((runs, ranks) for n in args.ranks for runs, ranks in ((n, 1), (1, n)))]
    found: dict[tuple[int, int], list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as work:
        make_checkpoint(Path(work) / "checkpoint", args)
        for number in range(args.rounds):
            for (runs, ranks), speeds in found.items():
                print(
                    f"round {number + 1} of {args.rounds}: {runs} run(s) of {ranks} rank(s)",
                    file=sys.stderr,
                    flush=True,
                )
                speeds.append(tokens_per_second(runs, ranks, Path(work) / "checkpoint", args))
    print(
        "| separate runs at once | ranks of each | real tokens/s of all | per rank, against a run alone | against separate runs at once |\n"
        "|---|---|---|---|---|"
    )
    for (runs, ranks), speeds in found.items():
        together = f"{median(speeds) / median(found[ranks, 1]):.0%}" if ranks > 1 else ""
        print(
            f"| {runs} | {ranks} | {median(speeds):,.0f} | {median(speeds) / (runs * ranks) / median(found[1, 1]):.0%} | {together} |"
        )


if __name__ == "__main__":
    main()
