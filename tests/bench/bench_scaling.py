"""Weak scaling on one machine: as many times the batch on as many ranks, each with one CPU thread or one GPU.

    python -m tests.bench.bench_scaling --data products.json.gz --ranks 1 2
    python -m tests.bench.bench_scaling --data products.json.gz --ranks 1 2 4 8 --shape base --batch-tokens 131072 --micro-batch-tokens 32768 --steps 30

Each rank takes --batch-tokens a step in micro-batches; the all-reduce comes with the last of them. Runs are started by torchrun in turn, medians of
--rounds. An efficiency of 100 % is as many times the tokens a second as there are ranks.
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

from tests.bench.bench_mlm import make_checkpoint


def tokens_per_second(ranks: int, folder: Path, args: argparse.Namespace) -> float:
    """Of all ranks together, over the steps after the first."""
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "train_mlm.py", "--data", *args.data,
                   "--init", str(folder), "--cache-dir", str(folder / "cache"), "--out", f"{work}/run", "--max-steps", str(args.steps + 1),
                   "--batch-tokens", str(ranks * args.batch_tokens), "--micro-batch-tokens", str(args.micro_batch_tokens), "--log-interval", "1",
                   "--eval-interval", "0", "--save-interval", "0", "--valid-fraction", "0.001"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if done.returncode:
            sys.exit(done.stderr)
        rows = [json.loads(line) for line in (Path(work) / "run" / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["split"] == "train"]
    tokens = [row["tokens"] - before["tokens"] for before, row in zip(rows, rows[1:])]
    return sum(tokens) / sum(n / row["tokens_per_second"] for n, row in zip(tokens, rows[1:]))


def main() -> None:
    """Measure in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["data/sample/meta_All_Beauty.json.gz"])
    parser.add_argument("--tokenizer", help="folder of a checkpoint whose vocabulary is used; without it one is learned from the data")
    parser.add_argument("--shape", default="minilm", choices=("minilm", "tiny", "base"))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-tokens", type=int, default=4096, help="of each rank")
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=4, help="measured, after one that is not")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found: dict[int, list[float]] = {ranks: [] for ranks in args.ranks}
    with tempfile.TemporaryDirectory() as work:
        make_checkpoint(Path(work) / "checkpoint", args)
        for _ in range(args.rounds):
            for ranks, speeds in found.items():
                speeds.append(tokens_per_second(ranks, Path(work) / "checkpoint", args))
    one = median(found[args.ranks[0]]) / args.ranks[0]
    print("| ranks | tokens a step | real tokens/s | efficiency |\n|---|---|---|---|")
    for ranks, speeds in found.items():
        print(f"| {ranks} | {ranks * args.batch_tokens:,} | {median(speeds):,.0f} | {median(speeds) / ranks / one:.0%} |")


if __name__ == "__main__":
    main()
