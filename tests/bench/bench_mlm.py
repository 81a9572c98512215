"""train_mlm.py's own step against what users of `transformers` run: real tokens a second, side by
side, on the same texts.

    python -m tests.bench.bench_mlm --data products.json.gz                       MiniLM's shape, fp32, CPU or GPU as there is one
    python -m tests.bench.bench_mlm --data products.json.gz --amp bf16
    python -m tests.bench.bench_mlm --data products.json.gz --shape base --amp bf16 --compile --warmup 5 --steps 10 \\
        --batch-tokens 65536 --micro-batch-tokens 32768 --peer-texts 512 --peer-blocks 64     one GPU
    python -m tests.bench.bench_mlm --quick                                       the sample's texts, two rounds, under 3 minutes on 2 cores

ours      train_mlm.py, its speed as it stands in metrics.jsonl
dynamic   BertForMaskedLM and DataCollatorForLanguageModeling, each batch padded to its longest text (run_mlm --line_by_line)
sorted    the same with texts of like length in a batch (group_by_length of the Trainer, which is off unless asked for)
grouped   all texts one after the other in blocks of --max-length tokens, with their attention mask of ones (run_mlm's default)
unmasked  the same without the mask, which no option of run_mlm leaves out; on a CPU it made no difference, on a GPU it was not measured
padded    every text padded to --max-length (the milestone report's notebook)
matmul    no model: only the matrix products of the layers and the head, forward and backward, of as many tokens as a micro-batch of ours,
          always on the same operands. An upper bound: ours also needs attention, norms, activations, dropout, the loss and the optimizer

All have the same random weights, vocabulary, precision, fused AdamW and clipping, and no dropout on
attention weights, which ours has not. Dropout itself is each side's own (ours draws faster on a
CPU). The peers have sdpa attention and batches of --peer-texts texts or --peer-blocks blocks,
summed up to at least --batch-tokens real tokens a step; ours takes at most as many. On a GPU they
too have a vocabulary padded to 64. Longer texts than --max-length become windows in ours and are
cut off by the peers. Each measurement is a process of its own, the sides take turns, and the first
--warmup steps of each are not counted. A real token is one of a text or its [CLS] and [SEP]:
padding does not count. Peak memory is what torch allocated on a GPU, and on a CPU the largest
resident set, of which imports and texts are a part.

Model FLOPs a token (Kaplan et al. 2020, arXiv:2001.08361, and the heads of BERT): forward and
backward, 6 for each weight that multiplies the token, 12 L D T for attention to a text of T tokens,
and 0.15 times 6 for the weights that only targets need to meet: D^2 + 2 D F in the last layer
behind the attention, D^2 + D V in the head. They are those of ours on every side, whatever else it
computes. The share of a GPU's peak takes the SXM form of the card.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tokenizers import Tokenizer

import train_mlm
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertConfig, BertForMaskedLM, config_of_size
from beautybert.bert.pretrained import read_config
from beautybert.bert.wordpiece import special_ids, token_list
from beautybert.mlm import token_cache
from beautybert.mlm.batches import Windows
from beautybert.mlm.corpus import TEXT_FIELDS, Corpus
from beautybert.mlm.token_cache import TokenCache

MINILM = BertConfig(
    hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
)
PEERS = ("dynamic", "sorted", "grouped", "unmasked", "padded")
SIDES = ("ours", *PEERS, "matmul")
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312}  # dense bf16, from the makers' data sheets


def flops_per_token(config: BertConfig, length: float, target_share: float = 0.15) -> float:
    """Model FLOPs of forward and backward for one token of a text of `length` tokens."""
    L, D, FF, V = (
        config.num_hidden_layers,
        config.hidden_size,
        config.intermediate_size,
        config.vocab_size,
    )
    of_all, of_targets = (
        L * 3 * D * D + (L - 1) * (D * D + 2 * D * FF),
        D * D + 2 * D * FF + D * D + D * V,
    )
    return 6 * of_all + 12 * L * D * length + target_share * 6 * of_targets


def make_checkpoint(folder: Path, args: argparse.Namespace) -> None:
    """A BERT of --shape with random weights.

    Its vocabulary is --tokenizer's, else one learned from the data, with rows for 30,522 tokens.
    """
    torch.manual_seed(args.seed)
    tokenizer = (
        wordpiece.read(args.tokenizer)
        if args.tokenizer
        else wordpiece.learn(lambda: Corpus(args.data, TEXT_FIELDS), 30522)
    )
    shape = MINILM if args.shape == "minilm" else config_of_size(args.shape, 0)
    config = replace(
        shape, vocab_size=max(30522, len(token_list(tokenizer))), attention_probs_dropout_prob=0.0
    )
    pretrained.save(folder, BertForMaskedLM(config), config)
    wordpiece.write(tokenizer, folder, 512)


# ---------------------------------------------------------------------------------------------- one side, in a process of its own


def logged_steps(rows: list[dict], after: int) -> tuple[list[int], list[float]]:
    """Of the rows of a metrics.jsonl, tokens and seconds from one training line to the next, from
    step `after` on.
    """
    rows = [row for row in rows if row["split"] == "train" and row["step"] >= after]
    tokens = [row["tokens"] - before["tokens"] for before, row in zip(rows, rows[1:])]
    return tokens, [n / row["tokens_per_second"] for n, row in zip(tokens, rows[1:])]


def measure_ours(folder: Path, args: argparse.Namespace) -> dict:
    """Seconds and tokens of each step, from metrics.jsonl."""
    on_gpu = (
        args.device == "cuda"
    )  # there a log line waits for the GPU, so it comes as seldom as can be
    interval = args.warmup if on_gpu and args.steps % args.warmup == 0 else 1
    with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(sys.stderr):
        train_mlm.main(
            train_mlm.MlmConfig(
                data=tuple(args.data),
                init=str(folder),
                out=f"{work}/run",
                cache_dir=str(folder / "cache"),
                max_steps=args.warmup + args.steps,
                max_length=args.max_length,
                batch_tokens=args.batch_tokens,
                micro_batch_tokens=args.micro_batch_tokens,
                amp=args.amp,
                compile=args.compile,
                seed=args.seed,
                log_interval=interval,
                eval_interval=0,
                save_interval=0,
                valid_fraction=0.001,
            )
        )
        rows = [
            json.loads(line)
            for line in (Path(work) / "run" / "metrics.jsonl").read_text().splitlines()
        ]
    tokens, seconds = logged_steps(rows, args.warmup)
    return {
        "tokens": tokens,
        "seconds": seconds,
        "padding": 1 - sum(tokens) / (args.steps * args.batch_tokens) if args.compile else 0.0,
    }


def peer_rows(side: str, tokenizer: Tokenizer, args: argparse.Namespace) -> list[np.ndarray]:
    """The texts as that peer cuts them."""
    special = special_ids(tokenizer)
    rows = [
        np.array(
            [special["[CLS]"], *encoded.ids[: args.max_length - 2], special["[SEP]"]],
            dtype=np.int32,
        )
        for encoded in tokenizer.encode_batch_fast(
            list(Corpus(args.data, TEXT_FIELDS)), add_special_tokens=False
        )
    ]
    if side in ("grouped", "unmasked"):
        joined = np.concatenate(rows)
        rows = list(
            joined[: len(joined) // args.max_length * args.max_length].reshape(-1, args.max_length)
        )
    return rows


def peer_batches(
    rows: list[np.ndarray], size: int, by_length: bool, seed: int
) -> Iterator[list[list[int]]]:
    """`size` rows at a time in shuffled order, without end.

    `by_length` sorts each 50 batches, as the Trainer does.
    """
    if len(rows) < size:
        raise ValueError(f"only {len(rows)} rows for a batch of {size}")
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(rows))
        if by_length:
            order = np.concatenate(
                [
                    sorted(order[i : i + 50 * size], key=lambda row: -len(rows[row]))
                    for i in range(0, len(order), 50 * size)
                ]
            )
        starts = range(0, len(order) - size + 1, size)
        for start in rng.permutation(starts) if by_length else starts:
            yield [rows[i].tolist() for i in order[start : start + size]]


def measure_peer(side: str, folder: Path, args: argparse.Namespace) -> dict:
    """The loop that a careful user of transformers writes."""
    import transformers

    transformers.logging.set_verbosity_error()
    device = torch.device(args.device)
    torch.set_float32_matmul_precision("high")
    hf_tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
    model = (
        transformers.BertForMaskedLM.from_pretrained(folder, attn_implementation="sdpa")
        .to(device)
        .train()
    )
    if args.device == "cuda":
        model.resize_token_embeddings(pad_to_multiple_of=64)
    collate = transformers.DataCollatorForLanguageModeling(
        hf_tokenizer, mlm_probability=0.15, pad_to_multiple_of=8 if args.device == "cuda" else None
    )
    network = torch.compile(model, dynamic=side in ("dynamic", "sorted")) if args.compile else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    size = args.peer_blocks if side in ("grouped", "unmasked", "padded") else args.peer_texts
    batches = peer_batches(
        peer_rows(side, wordpiece.read(folder), args), size, side == "sorted", args.seed
    )
    result, seen = {"tokens": [], "seconds": []}, 0
    for step in range(args.warmup + args.steps):
        begin, real, given = time.perf_counter(), 0, 0
        while real < args.batch_tokens:
            batch = collate(
                [
                    padded(row, args.max_length if side == "padded" else len(row))
                    for row in next(batches)
                ]
            )
            real, given = (
                real + int(batch["attention_mask"].sum()),
                given + batch["input_ids"].numel(),
            )
            batch = {
                name: tensor.to(device, non_blocking=True)
                for name, tensor in batch.items()
                if side != "unmasked" or name != "attention_mask"
            }
            with torch.autocast(device.type, torch.bfloat16, enabled=args.amp == "bf16"):
                loss = network(**batch).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        if step >= args.warmup:
            result["tokens"].append(real)
            result["seconds"].append(time.perf_counter() - begin)
            seen += given
    return result | {"padding": 1 - sum(result["tokens"]) / seen}


def measure_matmul(folder: Path, args: argparse.Namespace) -> dict:
    """Seconds for the products of one micro-batch: of each matrix (outputs, inputs) one forward and
    two backward.
    """
    config, N, dtype = (
        read_config(folder),
        args.micro_batch_tokens,
        torch.bfloat16 if args.amp == "bf16" else torch.float32,
    )
    torch.set_float32_matmul_precision("high")
    L, D, FF, M = (
        config.num_hidden_layers,
        config.hidden_size,
        config.intermediate_size,
        round(0.15 * args.micro_batch_tokens),
    )
    shapes = [
        (N, D, D, 4 * L - 1),
        (N, FF, D, L - 1),
        (N, D, FF, L - 1),
        (M, D, D, 2),
        (M, FF, D, 1),
        (M, D, FF, 1),
        (M, -(-config.vocab_size // 64) * 64, D, 1),
    ]
    operands = [
        (
            torch.randn(rows, inputs, device=args.device, dtype=dtype),
            torch.randn(outputs, inputs, device=args.device, dtype=dtype),
            torch.randn(rows, outputs, device=args.device, dtype=dtype),
            times,
        )
        for rows, outputs, inputs, times in shapes
    ]
    result = {"tokens": [], "seconds": [], "padding": 0.0}
    for step in range(args.warmup + args.steps):
        begin = time.perf_counter()
        for x, weight, gradient, times in operands:
            for _ in range(times):
                x @ weight.T, gradient @ weight, gradient.T @ x
        if args.device == "cuda":
            torch.cuda.synchronize()
        if step >= args.warmup:
            result["tokens"].append(N)
            result["seconds"].append(time.perf_counter() - begin)
    return result


def padded(ids: list[int], length: int) -> dict[str, list[int]]:
    """What the collator takes: `length` ids and attention mask, 0 where nothing is.

    [PAD] has the id 0 in BERT's vocabularies.
    """
    missing = [0] * (length - len(ids))
    return {"input_ids": ids + missing, "attention_mask": [1] * len(ids) + missing}


def peak_memory(device: str) -> float:
    """MiB: what torch allocated on the GPU, or this process's largest resident set (unlike
    getrusage's, not the parent's).
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure_side(side: str, folder: Path, args: argparse.Namespace) -> dict:
    """One process's measurement."""
    result = (
        measure_ours(folder, args)
        if side == "ours"
        else measure_matmul(folder, args)
        if side == "matmul"
        else measure_peer(side, folder, args)
    )
    return result | {"peak_mib": peak_memory(args.device)}


# ---------------------------------------------------------------------------------------------- the comparison


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
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda")
    )
    parser.add_argument("--amp", default="none", choices=("none", "bf16"))
    parser.add_argument("--compile", action="store_true", help="torch.compile on every side")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--micro-batch-tokens", type=int, default=4096)
    parser.add_argument(
        "--peer-texts",
        type=int,
        default=8,
        help="texts of one forward pass of dynamic and sorted; 8 is run_mlm's default",
    )
    parser.add_argument(
        "--peer-blocks", type=int, default=8, help="rows of one forward pass of grouped and padded"
    )
    parser.add_argument(
        "--warmup", type=int, default=1, help="steps of each process that are not measured"
    )
    parser.add_argument("--steps", type=int, default=3, help="steps of each process that are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one step of 2,048 tokens, two rounds, dynamic and grouped alone",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--side", choices=SIDES, help=argparse.SUPPRESS
    )  # what the processes are started with
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.warmup < 1:
        parser.error("--warmup must be at least 1")
    if args.quick:
        (
            args.steps,
            args.rounds,
            args.peers,
            args.batch_tokens,
            args.micro_batch_tokens,
            args.peer_blocks,
        ) = 1, 2, ("dynamic", "grouped"), 2048, 2048, 4
    if args.side:
        print(json.dumps(measure_side(args.side, Path(args.folder), args)))
        return

    environment = {
        **os.environ,
        "TOKENIZERS_PARALLELISM": "true",
        **({"CUDA_VISIBLE_DEVICES": ""} if args.device == "cpu" else {}),
    }
    found: dict[str, list[dict]] = {side: [] for side in ("ours", *args.peers, "matmul")}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "checkpoint"
        make_checkpoint(folder, args)
        tokenizer, config = wordpiece.read(folder), read_config(folder)
        (Path(work) / "tokens").mkdir()
        token_cache.build(Path(work) / "tokens", args.data, tokenizer, TEXT_FIELDS)
        cache = TokenCache(Path(work) / "tokens")
        windows = Windows.cut(cache, np.arange(len(cache)), args.max_length)
        for number in range(args.rounds):
            for side, runs in found.items():
                print(f"round {number + 1} of {args.rounds}: {side}", file=sys.stderr, flush=True)
                command = [
                    sys.executable,
                    "-m",
                    "tests.bench.bench_mlm",
                    *sys.argv[1:],
                    "--side",
                    side,
                    "--folder",
                    str(folder),
                ]
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
                if done.returncode:
                    sys.exit(done.stderr)
                runs.append(json.loads(done.stdout.splitlines()[-1]))

    speeds = {
        side: np.array([sum(run["tokens"]) / sum(run["seconds"]) for run in runs])
        for side, runs in found.items()
    }
    lengths = windows.lengths + 2
    attended = (
        lengths**2
    ).sum() / lengths.sum()  # the length of the text that a token stands in, on average
    flops = flops_per_token(config, attended)
    machine = (
        torch.cuda.get_device_name()
        if args.device == "cuda"
        else f"{os.cpu_count()} CPU cores, {platform.machine()}"
    )
    print(
        f"{machine}, torch {torch.__version__}, {args.shape} shape, {'bf16' if args.amp == 'bf16' else 'fp32'}{', compiled' if args.compile else ''}; "
        f"{args.batch_tokens:,} tokens a step, texts of {lengths.mean():.0f} tokens on average; {flops / 1e6:.0f} million model FLOPs a token; "
        f"medians of {args.rounds}\n"
    )
    peak = (
        next((peak for name, peak in PEAK_TFLOPS.items() if name in machine), None)
        if args.device == "cuda" and args.amp == "bf16"
        else None
    )
    print(
        "| side | real tokens/s | ours is faster by (least, most) | padding | peak memory, MiB | GFLOP/s |"
        + (f" share of {peak} TFLOP/s |" if peak else "")
    )
    print("|---|---|---|---|---|---|" + ("---|" if peak else ""))
    for side, runs in found.items():
        ratios = speeds["ours"] / speeds[side]  # (rounds,)
        ratio = (
            f"{np.median(ratios):.2f} ({ratios.min():.2f}, {ratios.max():.2f})"
            if side != "ours"
            else ""
        )
        padding, memory = (median(run[name] for run in runs) for name in ("padding", "peak_mib"))
        rate = np.median(speeds[side]) * (flops_per_token(config, 0) if side == "matmul" else flops)
        print(
            f"| {side} | {np.median(speeds[side]):,.0f} | {ratio} | {padding:.1%} | {memory:,.0f} | {rate / 1e9:,.0f} |"
            + (f" {rate / peak / 1e12:.1%} |" if peak else "")
        )


if __name__ == "__main__":
    main()
