"""train_mlm.py's own step against what users of `transformers` run: real tokens a second, side by side, on the same texts.

    python -m tests.bench.bench_mlm --data products.json.gz                        MiniLM's shape, this machine's CPU, fp32
    python -m tests.bench.bench_mlm --data products.json.gz --shape base --amp bf16 --device cuda --batch-tokens 65536 --micro-batch-tokens 32768 --peer-batch 64
    python -m tests.bench.bench_mlm --quick                                        the sample's texts, two rounds, under 3 minutes on 2 cores

ours      train_mlm.py as a user starts it, its speed as it stands in metrics.jsonl
dynamic   BertForMaskedLM and DataCollatorForLanguageModeling, each batch padded to its longest text (run_mlm --line_by_line)
grouped   the same, all texts one after the other in blocks of --max-length tokens (run_mlm's default)
padded    the same, every text padded to --max-length (the milestone report's notebook)

All have the same random weights, vocabulary, precision, fused AdamW, clipping and real tokens a step; the peers have sdpa attention and
batches of --peer-batch texts, summed up to the step's tokens. Each measurement is a process of its own, the sides take turns, the first
step of each is not counted. A real token is one of a text or its [CLS] and [SEP]: padding does not count. Peak memory is the process's
largest resident set on a CPU, what torch allocated on a GPU.

Model FLOPs a token (Kaplan et al. 2020, arXiv:2001.08361, and the heads of BERT): forward and backward, 6 for each weight that multiplies
the token, 12 L D T for attention to a text of T tokens, and 0.15 times 6 (D^2 + D V) for the head on the targets.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
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

import train_mlm
from beautybert.batching import MASK, MicroBatchOrder, Windows, join_windows, keyed_generator, masked_micro_batch
from beautybert.corpus import TEXT_FIELDS, TokenCache, read_texts
from beautybert.masking import Vocabulary
from beautybert.model import BertConfig, BertForMaskedLM, config_of_size
from beautybert.pretrained import read_config, write_model
from beautybert.tokenizer import learn_tokenizer, read_tokenizer, special_ids, token_list, write_tokenizer

MINILM = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
PEERS = ("dynamic", "grouped", "padded")
SIDES = ("ours", *PEERS)
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312}  # dense bf16, from the makers' data sheets


def flops_per_token(config: BertConfig, length: float, target_share: float = 0.15) -> float:
    """Model FLOPs of forward and backward for one token of a text of `length` tokens."""
    L, D, V = config.num_hidden_layers, config.hidden_size, config.vocab_size
    return 6 * L * (4 * D * D + 2 * D * config.intermediate_size) + 12 * L * D * length + target_share * 6 * (D * D + D * V)


def make_checkpoint(folder: Path, args: argparse.Namespace) -> None:
    """A BERT of --shape with random weights and a vocabulary of 30,522 tokens: --tokenizer's, else one learned from the data."""
    tokenizer = read_tokenizer(args.tokenizer) if args.tokenizer else learn_tokenizer(lambda: read_texts(args.data, TEXT_FIELDS), 30522)
    config = replace(MINILM if args.shape == "minilm" else config_of_size(args.shape, 0), vocab_size=max(30522, len(token_list(tokenizer))))
    write_model(folder, BertForMaskedLM(config), config)
    write_tokenizer(tokenizer, folder, 512)


# ---------------------------------------------------------------------------------------------- one side, in a process of its own

def our_config(folder: Path, args: argparse.Namespace, steps: int, out: str) -> train_mlm.Config:
    """What a user would type."""
    return train_mlm.Config(data=tuple(args.data), init=str(folder), out=out, cache_dir=str(folder / "cache"), max_steps=steps, max_length=args.max_length, seed=args.seed,
                            batch_tokens=args.batch_tokens, micro_batch_tokens=args.micro_batch_tokens, amp=args.amp, compile=args.compile, log_interval=1,
                            eval_interval=0, save_interval=0, valid_fraction=0.001)


def measure_ours(folder: Path, args: argparse.Namespace) -> dict:
    """Seconds and tokens of each step, from metrics.jsonl."""
    with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(sys.stderr):
        train_mlm.main(our_config(folder, args, args.steps + 1, f"{work}/run"))
        rows = [json.loads(line) for line in (Path(work) / "run" / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["split"] == "train"]
    tokens = [row["tokens"] - before["tokens"] for before, row in zip(rows, rows[1:])]
    return {"tokens": tokens, "seconds": [n / row["tokens_per_second"] for n, row in zip(tokens, rows[1:])], "padding": 0.0}


def peer_batches(side: str, tokenizer, args: argparse.Namespace) -> Iterator[list[list[int]]]:
    """The texts as that peer cuts them, shuffled, in batches of --peer-batch; endless."""
    special, ids = special_ids(tokenizer), []
    texts = list(read_texts(args.data, TEXT_FIELDS))
    for encoded in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        ids.append([special["[CLS]"], *encoded.ids[:args.max_length - 2], special["[SEP]"]])
    if side == "grouped":
        joined = [id for text in ids for id in text]
        ids = [joined[start: start + args.max_length] for start in range(0, len(joined) - args.max_length, args.max_length)]
    rng = np.random.default_rng(args.seed)
    while True:
        order = rng.permutation(len(ids))
        for start in range(0, len(order) - args.peer_batch, args.peer_batch):
            yield [ids[i] for i in order[start: start + args.peer_batch]]


def measure_peer(side: str, folder: Path, args: argparse.Namespace) -> dict:
    """The loop that a careful user of transformers writes."""
    import transformers
    transformers.logging.set_verbosity_error()
    device = torch.device(args.device)
    torch.set_float32_matmul_precision("high")
    hf_tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
    model = transformers.BertForMaskedLM.from_pretrained(folder, attn_implementation="sdpa").to(device).train()
    collate = transformers.DataCollatorForLanguageModeling(hf_tokenizer, mlm_probability=0.15)
    network = torch.compile(model) if args.compile else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    batches, result, seen = peer_batches(side, read_tokenizer(folder), args), {"tokens": [], "seconds": []}, 0
    for step in range(args.steps + 1):
        begin, real, given = time.perf_counter(), 0, 0
        while real < args.batch_tokens:
            to_length = args.max_length if side == "padded" else 0
            batch = collate([{"input_ids": row + [0] * (to_length - len(row)), "attention_mask": [1] * len(row) + [0] * (to_length - len(row))} for row in next(batches)])
            real, given = real + int(batch["attention_mask"].sum()), given + batch["input_ids"].numel()
            batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=args.amp == "bf16"):
                loss = network(**batch).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        if step:
            result["tokens"].append(real)
            result["seconds"].append(time.perf_counter() - begin)
            seen += given
    return result | {"padding": 1 - sum(result["tokens"]) / seen}


def measure_side(side: str, folder: Path, args: argparse.Namespace) -> dict:
    """One process's measurement."""
    result = measure_ours(folder, args) if side == "ours" else measure_peer(side, folder, args)
    on_gpu = args.device == "cuda"
    peak = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return result | {"peak_mib": peak / 2 ** 20}


# ---------------------------------------------------------------------------------------------- the loader alone

def loader_tokens_per_second(folder: Path, args: argparse.Namespace, batches: int = 200) -> float:
    """Tokens a second that packing, joining and masking deliver on one core, without a model."""
    tokenizer = read_tokenizer(folder)
    cache = TokenCache(next((folder / "cache").glob("tokens-*")))
    windows = Windows.cut(cache, np.arange(len(cache)), args.max_length)
    order, vocabulary, special = MicroBatchOrder(windows, args.micro_batch_tokens, args.seed), Vocabulary.of(tokenizer), special_ids(tokenizer)
    order[0]
    begin, tokens = time.perf_counter(), 0
    for i in range(batches):
        ids, lengths = join_windows(cache, windows, order[i], special["[CLS]"], special["[SEP]"])
        tokens += len(masked_micro_batch(ids, lengths, vocabulary, 0.15, "token", keyed_generator(args.seed, MASK, i, 0)).input_ids)
    return tokens / (time.perf_counter() - begin)


# ---------------------------------------------------------------------------------------------- the comparison

def main() -> None:
    """Measure in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["data/sample/meta_All_Beauty.json.gz"])
    parser.add_argument("--tokenizer", help="folder of a checkpoint whose vocabulary is used; without it one is learned from the data")
    parser.add_argument("--shape", default="minilm", choices=("minilm", "tiny", "base"))
    parser.add_argument("--sides", nargs="+", default=SIDES, choices=SIDES)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--amp", default="none", choices=("none", "bf16"))
    parser.add_argument("--compile", action="store_true", help="torch.compile on every side")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--peer-batch", type=int, default=8, help="texts of one forward pass of the peers; 8 is run_mlm's default")
    parser.add_argument("--steps", type=int, default=3, help="measured steps of each process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one step, two rounds, without `padded`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)  # what the processes are started with
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.steps, args.rounds, args.sides = 1, 2, ("ours", "dynamic", "grouped")
    if args.side:
        print(json.dumps(measure_side(args.side, Path(args.folder), args)))
        return

    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "checkpoint"
        make_checkpoint(folder, args)
        found: dict[str, list[dict]] = {side: [] for side in args.sides}
        for _ in range(args.rounds):
            for side in args.sides:
                done = subprocess.run([sys.executable, "-m", "tests.bench.bench_mlm", *sys.argv[1:], "--side", side, "--folder", str(folder)], stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.PIPE, env={**os.environ, "TOKENIZERS_PARALLELISM": "true"})
                if done.returncode:
                    sys.exit(done.stderr)
                found[side].append(json.loads(done.stdout.splitlines()[-1]))
        loader = loader_tokens_per_second(folder, args)
        config, cache = read_config(folder), TokenCache(next((folder / "cache").glob("tokens-*")))
        length = cache.counts.tokens / cache.counts.documents + 2

    speed = {side: median(sum(run["tokens"]) / sum(run["seconds"]) for run in runs) for side, runs in found.items()}
    flops = flops_per_token(config, length)
    machine = torch.cuda.get_device_name() if args.device == "cuda" else f"{os.cpu_count()} CPU cores, {platform.machine()}"
    print(f"{machine}, torch {torch.__version__}, {args.shape} shape, {'bf16' if args.amp == 'bf16' else 'fp32'}{', compiled' if args.compile else ''}; {args.batch_tokens:,} tokens "
          f"a step, texts of {length:.0f} tokens on average; {flops / 1e6:.0f} million model FLOPs a token; medians of {args.rounds}\n")
    peak = next((peak for name, peak in PEAK_TFLOPS.items() if name in machine), None) if args.device == "cuda" and args.amp == "bf16" else None
    print("| side | real tokens/s | ours is faster by | padding | peak memory, MiB | GFLOP/s |" + (f" share of {peak} TFLOP/s |" if peak else ""))
    print("|---|---|---|---|---|---|" + ("---|" if peak else ""))
    for side, runs in found.items():
        ratio = f"{speed['ours'] / speed[side]:.2f}" if side != "ours" and "ours" in speed else ""
        print(f"| {side} | {speed[side]:,.0f} | {ratio} | {median(run['padding'] for run in runs):.1%} | {median(run['peak_mib'] for run in runs):,.0f} | {speed[side] * flops / 1e9:,.0f} |"
              + (f" {speed[side] * flops / peak / 1e12:.1%} |" if peak else ""))
    print(f"\nThe loader alone delivers {loader:,.0f} tokens/s on one core, {loader / max(speed.get('ours', 0), 1):,.0f} times what the model took.")


if __name__ == "__main__":
    main()
