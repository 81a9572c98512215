"""Weak scaling on one node: as many times the batch on as many ranks.

Each rank has one CPU thread or one GPU.

    python -m tests.bench.bench_scaling --data products.json.gz --ranks 2
    python -m tests.bench.bench_scaling --data products.json.gz --ranks 2 4 8 --shape base \\
        --batch-tokens 131072 --micro-batch-tokens 32768 --steps 30

Each rank takes --batch-tokens a step in micro-batches; the all-reduce comes with the last of them.
The ranks that train one model are compared with as many separate runs at once. Cores of one node
share memory, caches and clock, so these too are slower than a run alone, and only what the ranks
lose against them is the price of training together. Runs take turns. Shown are medians of --rounds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.bench_mlm import logged_steps, make_checkpoint, read_metrics


def start(ranks: int, folder: Path, out: Path, args: argparse.Namespace) -> subprocess.Popen:
    """A run of train_mlm.py on so many ranks."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    options = {
        "--init": folder,
        "--mask-unit": "token",
        "--cache-dir": folder / "cache",
        "--out": out,
        "--max-steps": args.steps + 2,
        "--batch-tokens": ranks * args.batch_tokens,
        "--micro-batch-tokens": args.micro_batch_tokens,
        "--log-interval": 1,
        "--eval-interval": 0,
        "--save-interval": 0,
        "--valid-fraction": 0.001,
    }
    command = [*launcher, f"--nproc-per-node={ranks}", "train_mlm.py", "--data", *args.data]
    for name, value in options.items():
        command += [name, str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def tokens_per_second(runs: int, ranks: int, folder: Path, args: argparse.Namespace) -> float:
    """Of all `runs` at once together, each on `ranks`, over the steps after the second."""
    with tempfile.TemporaryDirectory() as work:
        outs = [Path(work) / str(run) for run in range(runs)]
        processes = [start(ranks, folder, out, args) for out in outs]
        exit_codes = [process.wait() for process in processes]
        if any(exit_codes):
            sys.exit("a run failed")
        total = 0.0
        for out in outs:
            tokens, seconds = logged_steps(read_metrics(out), after=2)
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
        help="folder of a checkpoint whose vocabulary is used; without it one is learned from the "
        "data",
    )
    parser.add_argument("--shape", default="minilm", choices=("minilm", "tiny", "base"))
    parser.add_argument("--ranks", type=int, nargs="+", default=[2])
    parser.add_argument("--batch-tokens", type=int, default=4096, help="of each rank")
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=4, help="measured, after two that are not")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    found: dict[tuple[int, int], list[float]] = {(1, 1): []}  # (runs, ranks of each) -> tokens/s
    for ranks in args.ranks:
        found[ranks, 1] = []
        found[1, ranks] = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "checkpoint"
        make_checkpoint(folder, args)
        for i in range(args.rounds):
            for (runs, ranks), speeds in found.items():
                progress = f"round {i + 1} of {args.rounds}: {runs} run(s) of {ranks} rank(s)"
                print(progress, file=sys.stderr, flush=True)
                speeds.append(tokens_per_second(runs, ranks, folder, args))

    print(
        "| separate runs at once | ranks of each | real tokens/s of all "
        "| per rank, against a run alone | against separate runs at once |"
    )
    print("|---|---|---|---|---|")
    alone = median(found[1, 1])
    for (runs, ranks), speeds in found.items():
        speed = median(speeds)
        per_rank = speed / (runs * ranks) / alone
        together = f"{speed / median(found[ranks, 1]):.0%}" if ranks > 1 else ""
        print(f"| {runs} | {ranks} | {speed:,.0f} | {per_rank:.0%} | {together} |")


if __name__ == "__main__":
    main()
