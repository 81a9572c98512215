"""The milestone report's pretraining, ten epochs over 14,584 texts, beside the 4.8 hours it took.

    python -m tests.gpu.ten_epochs texts.txt
    python -m tests.gpu.ten_epochs texts.txt --shape tiny --epochs 1 --amp none --no-compile
        any CPU

The report trained BERT-base in 1,823 batches of 8 texts an epoch, 28:50 each, on a GPU that it does
not name. Here a batch has 32,768 tokens. The time is that of the whole run: compiling, ten
evaluations, the checkpoint and the export of the model count. The weights are random: they cost the
same time as those of a checkpoint, and need no network.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import torch

import train_mlm
from beautybert.bert import pretrained
from beautybert.training import hardware, precision
from tests.bench.bench_mlm import flops_per_token, make_checkpoint, measured_lengths, read_metrics

REPORT_SECONDS = 10 * (28 * 60 + 50)
BATCH_TOKENS = 32_768


def main() -> None:
    """Train, and print the row of a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", help="files of texts")
    parser.add_argument("--shape", default="base", choices=("tiny", "base"))
    parser.add_argument("--epochs", type=float, default=10.0)
    parser.add_argument("--amp", default="bf16", choices=precision.AMP_MODES)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    args.tokenizer, args.seed, args.max_length = None, 0, 512  # for bench_mlm's functions
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "checkpoint"
        make_checkpoint(folder, args)
        lengths = measured_lengths(folder, args)
        config = train_mlm.MlmConfig(
            data=tuple(args.data),
            init=str(folder),
            out=f"{work}/run",
            cache_dir=f"{work}/cache",
            max_length=args.max_length,
            mask_unit="token",
            lr=1e-4,  # from random weights
            batch_tokens=BATCH_TOKENS,
            micro_batch_tokens=BATCH_TOKENS,
            epochs=args.epochs,
            amp=args.amp,
            compile=args.compile,
            save_interval=0,
        )
        began = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            result = train_mlm.main(config)
        seconds = time.perf_counter() - began
        rows = [row for row in read_metrics(Path(config.out)) if row["split"] == "train"]
        bert_config = pretrained.read_config(folder)
    speeds = sorted(row["tokens_per_second"] for row in rows)
    speed = speeds[len(speeds) // 2]
    cells = {
        "contestant": f"ours, {args.epochs:g} epochs over {len(lengths):,} texts of "
        f"{lengths.mean():.0f} tokens on average",
        "real tokens/s": f"{speed:,.0f}",
        "padding": f"{1 - result['tokens'] / (result['step'] * BATCH_TOKENS):.1%}",
        "peak memory, MiB": f"{rows[-1]['peak_memory_mib']:,.0f}",
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak = hardware.peak_flops(device, precision.amp_dtype(args.amp, device))
    if peak:
        flops = flops_per_token(bert_config, (lengths**2).sum() / lengths.sum())
        cells[f"share of {peak / 1e12:.0f} TFLOP/s"] = f"{speed * flops / peak:.1%}"
    cells["seconds"] = f"{seconds:.0f}"
    if (args.shape, args.epochs) == ("base", 10):
        cells["faster than the report's 4.8 hours by"] = f"{REPORT_SECONDS / seconds:,.0f}"
    print(f"| {' | '.join(cells)} |")
    print("|---" * len(cells) + "|")
    print(f"| {' | '.join(cells.values())} |")


if __name__ == "__main__":
    main()
