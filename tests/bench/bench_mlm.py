"""train_mlm.py's own step against what users of `transformers` run, on the same texts.

Shown are real tokens a second.

    python -m tests.bench.bench_mlm --data products.json.gz
        MiniLM's shape, fp32, CPU or GPU as there is one
    python -m tests.bench.bench_mlm --data products.json.gz --amp bf16
    python -m tests.bench.bench_mlm --data products.json.gz --shape base --amp bf16 --compile \\
        --warmup 5 --steps 10 --batch-tokens 65536 --micro-batch-tokens 32768 \\
        --peer-texts 512 --peer-blocks 64
        one GPU
    python -m tests.bench.bench_mlm --quick
        the sample's texts, two rounds, under 3 minutes on 2 cores

The contestants are ours, its peers, and a bound:

ours      train_mlm.py, its speed as it stands in metrics.jsonl
dynamic   BertForMaskedLM and DataCollatorForLanguageModeling, each batch padded to its longest text
          (run_mlm --line_by_line)
sorted    the same with texts of like length in a batch (group_by_length of the Trainer, which is
          off unless asked for)
grouped   all texts one after the other in blocks of --max-length tokens, with their attention mask
          of ones (run_mlm's default)
unmasked  the same without the mask, which no option of run_mlm leaves out; on a CPU it made no
          difference, on a GPU it was not measured
padded    every text padded to --max-length (the milestone report's notebook)
matmul    no model: only the matrix products of the layers and the head, forward and backward, of as
          many tokens as a micro-batch of ours, always on the same operands. An upper bound: ours
          also needs attention, norms, activations, dropout, the loss and the optimizer

All have the same random weights, vocabulary, precision, fused AdamW and clipping, and no dropout on
attention weights, which ours has not. Dropout itself is each contestant's own (ours draws faster on
a CPU). The peers have sdpa attention and batches of --peer-texts texts or --peer-blocks blocks,
summed up to at least --batch-tokens real tokens a step; ours takes at most as many. On a GPU they
too have a vocabulary padded to 64. Longer texts than --max-length become windows in ours and are
cut off by the peers. Each measurement is a process of its own, the contestants take turns, and the
first --warmup steps of each are not counted. A real token is one of a text or its [CLS] and [SEP]:
padding does not count. Peak memory is what torch allocated on a GPU, and on a CPU the largest
resident set, of which imports and texts are a part.

Model FLOPs a token (Kaplan et al. 2020, arXiv:2001.08361, and the heads of BERT): forward and
backward, 6 for each weight that multiplies the token, 12 L D T for attention to a text of T tokens,
and 0.15 times 6 for the weights that only targets need to meet: D^2 + 2 D F in the last layer
behind the attention, D^2 + D V in the head. They are those of ours for every contestant, whatever
else it computes. The share of a GPU's peak takes the SXM form of the card.

Letters: L layers, D hidden, F intermediate, V vocabulary, T length, N tokens in a micro-batch, M
targets in it.
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
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn.utils import clip_grad_norm_

import train_mlm
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertConfig, BertForMaskedLM, config_of_size
from beautybert.bert.wordpiece import special_ids, token_list
from beautybert.mlm import token_cache
from beautybert.mlm.batches import Windows
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.token_cache import TokenCache

MINILM = BertConfig(
    hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
)
VOCABULARY = 30522  # BERT's
PEERS = ("dynamic", "sorted", "grouped", "unmasked", "padded")
IN_BLOCKS = ("grouped", "unmasked")  # the peers that cut all texts into blocks
CONTESTANTS = ("ours", *PEERS, "matmul")
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312}  # dense bf16, from the makers' data sheets


def flops_per_token(config: BertConfig, length: float, target_share: float = 0.15) -> float:
    """Model FLOPs of forward and backward for one token of a text of `length` tokens."""
    L = config.num_hidden_layers
    D = config.hidden_size
    F = config.intermediate_size
    V = config.vocab_size
    behind_attention = D * D + 2 * D * F
    weights_of_all = L * 3 * D * D + (L - 1) * behind_attention
    weights_of_targets = behind_attention + D * D + D * V
    attention = 12 * L * D * length
    return 6 * weights_of_all + attention + target_share * 6 * weights_of_targets


def read_or_learn_tokenizer(folder: str | None, corpus: Corpus) -> Tokenizer:
    """The tokenizer of a checkpoint folder; without one, learned from the corpus."""
    return wordpiece.read(folder) if folder else wordpiece.learn(corpus.texts, VOCABULARY)


def make_checkpoint(folder: Path, args: argparse.Namespace) -> None:
    """A BERT of --shape with random weights.

    Its vocabulary is --tokenizer's, else one learned from the data, with rows for 30,522 tokens.
    """
    torch.manual_seed(args.seed)
    tokenizer = read_or_learn_tokenizer(args.tokenizer, Corpus(tuple(args.data)))
    vocab_size = max(VOCABULARY, len(token_list(tokenizer)))
    shape = MINILM if args.shape == "minilm" else config_of_size(args.shape, vocab_size)
    config = replace(shape, vocab_size=vocab_size, attention_probs_dropout_prob=0.0)
    pretrained.save(folder, BertForMaskedLM(config))
    wordpiece.write(tokenizer, folder, 512)


def read_metrics(folder: Path) -> list[dict]:
    """The lines of a run's metrics.jsonl."""
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def logged_steps(rows: list[dict], after: int) -> tuple[list[int], list[float]]:
    """Tokens and seconds from one training line of a metrics.jsonl to the next.

    Only lines from step `after` on count.
    """
    rows = [row for row in rows if row["split"] == "train" and row["step"] >= after]
    tokens, seconds = [], []
    for before, row in pairwise(rows):
        num_tokens = row["tokens"] - before["tokens"]
        tokens.append(num_tokens)
        seconds.append(num_tokens / row["tokens_per_second"])
    return tokens, seconds


# ---- ours --------------------------------------------------------------------------------------


def measure_ours(folder: Path, args: argparse.Namespace) -> dict:
    """Seconds and tokens of each step, from metrics.jsonl."""
    # On a GPU a log line waits for the device, so there it comes as seldom as can be.
    seldom = args.device == "cuda" and args.steps % args.warmup == 0
    with tempfile.TemporaryDirectory() as work:
        config = train_mlm.MlmConfig(
            data=tuple(args.data),
            init=str(folder),
            out=f"{work}/run",
            cache_dir=str(folder / "cache"),
            max_steps=args.warmup + args.steps,
            max_length=args.max_length,
            batch_tokens=args.batch_tokens,
            micro_batch_tokens=args.micro_batch_tokens,
            amp=args.amp,
            threads=torch.get_num_threads(),  # as many as the other side
            compile=args.compile,
            seed=args.seed,
            log_interval=args.warmup if seldom else 1,
            eval_interval=0,
            save_interval=0,
            valid_fraction=0.001,
        )
        with contextlib.redirect_stdout(sys.stderr):
            train_mlm.main(config)
        tokens, seconds = logged_steps(read_metrics(Path(config.out)), args.warmup)
    padding = 0.0
    if args.compile:
        padding = 1 - sum(tokens) / (args.steps * args.batch_tokens)
    return {"tokens": tokens, "seconds": seconds, "padding": padding}


# ---- the peers ---------------------------------------------------------------------------------


def peer_rows(peer: str, tokenizer: Tokenizer, args: argparse.Namespace) -> list[np.ndarray]:
    """The texts as that peer cuts them."""
    special = special_ids(tokenizer)
    texts = list(Corpus(tuple(args.data)).texts())
    rows = []
    for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        ids = [special["[CLS]"], *encoding.ids[: args.max_length - 2], special["[SEP]"]]
        rows.append(np.array(ids, dtype=np.int32))
    if peer not in IN_BLOCKS:
        return rows
    joined = np.concatenate(rows)
    num_blocks = len(joined) // args.max_length
    return list(joined[: num_blocks * args.max_length].reshape(num_blocks, args.max_length))


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
            order = sorted_in_parts(order, rows, part_size=50 * size)
        starts = np.arange(0, len(order) - size + 1, size)
        if by_length:
            starts = rng.permutation(starts)
        for start in starts:
            yield [rows[i].tolist() for i in order[start : start + size]]


def sorted_in_parts(order: np.ndarray, rows: list[np.ndarray], part_size: int) -> np.ndarray:
    """The row numbers in `order`, each `part_size` of them sorted with the longest row first."""
    parts = []
    for start in range(0, len(order), part_size):
        part = order[start : start + part_size]
        parts.append(sorted(part, key=lambda i: -len(rows[i])))
    return np.concatenate(parts)


def measure_peer(peer: str, folder: Path, args: argparse.Namespace) -> dict:
    """The loop that a careful user of transformers writes."""
    import transformers

    transformers.logging.set_verbosity_error()
    device = torch.device(args.device)
    on_gpu = device.type == "cuda"
    torch.set_float32_matmul_precision("high")
    model = transformers.BertForMaskedLM.from_pretrained(folder, attn_implementation="sdpa")
    model.to(device).train()
    if on_gpu:
        model.resize_token_embeddings(pad_to_multiple_of=64)
    collate = transformers.DataCollatorForLanguageModeling(
        transformers.BertTokenizerFast.from_pretrained(folder),
        mlm_probability=0.15,
        pad_to_multiple_of=8 if on_gpu else None,
    )
    compiled_model = model
    if args.compile:
        compiled_model = torch.compile(model, dynamic=peer in ("dynamic", "sorted"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    size = args.peer_blocks if peer in (*IN_BLOCKS, "padded") else args.peer_texts
    rows = peer_rows(peer, wordpiece.read(folder), args)
    batches = peer_batches(rows, size, peer == "sorted", args.seed)

    tokens, seconds = [], []
    num_with_padding = 0
    for step in range(args.warmup + args.steps):
        began = time.perf_counter()
        step_tokens = step_with_padding = 0
        while step_tokens < args.batch_tokens:
            documents = []
            for ids in next(batches):
                length = args.max_length if peer == "padded" else len(ids)
                documents.append(pad_document(ids, length))
            batch = collate(documents)
            step_tokens += int(batch["attention_mask"].sum())
            step_with_padding += batch["input_ids"].numel()
            if peer == "unmasked":
                del batch["attention_mask"]
            inputs = {name: x.to(device, non_blocking=True) for name, x in batch.items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=args.amp == "bf16"):
                loss = compiled_model(**inputs).loss
            loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if on_gpu:
            torch.cuda.synchronize()
        if step >= args.warmup:
            tokens.append(step_tokens)
            seconds.append(time.perf_counter() - began)
            num_with_padding += step_with_padding
    padding = 1 - sum(tokens) / num_with_padding
    return {"tokens": tokens, "seconds": seconds, "padding": padding}


def pad_document(ids: list[int], length: int) -> dict[str, list[int]]:
    """What the collator takes: `length` ids and attention mask, 0 where nothing is.

    [PAD] has the id 0 in BERT's vocabularies.
    """
    missing = [0] * (length - len(ids))
    return {"input_ids": ids + missing, "attention_mask": [1] * len(ids) + missing}


# ---- the bound ---------------------------------------------------------------------------------


def measure_matmul(folder: Path, args: argparse.Namespace) -> dict:
    """Seconds for the products of one micro-batch.

    Of each matrix (outputs, inputs) these are one forward and two backward.
    """
    config = pretrained.read_config(folder)
    dtype = torch.bfloat16 if args.amp == "bf16" else torch.float32
    torch.set_float32_matmul_precision("high")
    L = config.num_hidden_layers
    D = config.hidden_size
    F = config.intermediate_size
    N = args.micro_batch_tokens
    M = round(0.15 * N)
    V = -(-config.vocab_size // 64) * 64  # padded to a multiple of 64
    # rows, outputs, inputs, and how many matrices there are of this shape
    shapes = [
        (N, D, D, 4 * L - 1),
        (N, F, D, L - 1),
        (N, D, F, L - 1),
        (M, D, D, 2),
        (M, F, D, 1),
        (M, D, F, 1),
        (M, V, D, 1),
    ]
    operands = []
    for rows, outputs, inputs, times in shapes:
        x = torch.randn(rows, inputs, device=args.device, dtype=dtype)
        weight = torch.randn(outputs, inputs, device=args.device, dtype=dtype)
        gradient = torch.randn(rows, outputs, device=args.device, dtype=dtype)
        operands.append((x, weight, gradient, times))

    tokens, seconds = [], []
    for step in range(args.warmup + args.steps):
        began = time.perf_counter()
        for x, weight, gradient, times in operands:
            for _ in range(times):
                torch.mm(x, weight.T)
                torch.mm(gradient, weight)
                torch.mm(gradient.T, x)
        if args.device == "cuda":
            torch.cuda.synchronize()
        if step >= args.warmup:
            tokens.append(N)
            seconds.append(time.perf_counter() - began)
    return {"tokens": tokens, "seconds": seconds, "padding": 0.0}


# ---- one contestant, in a process of its own ---------------------------------------------------


def measure(contestant: str, folder: Path, args: argparse.Namespace) -> dict:
    """One process's measurement."""
    if contestant == "ours":
        result = measure_ours(folder, args)
    elif contestant == "matmul":
        result = measure_matmul(folder, args)
    else:
        result = measure_peer(contestant, folder, args)
    return result | {"peak_mib": peak_memory(args.device)}


def peak_memory(device: str) -> float:
    """MiB: what torch allocated on the GPU, or this process's largest resident set.

    Unlike getrusage's, the latter is not the parent's.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure_in_process(contestant: str, folder: Path, args: argparse.Namespace) -> dict | None:
    """The measurement of a contestant by a process started with the same options.

    None if the process fails: what it said is printed, and the others still run.
    """
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true"}
    if args.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-m", "tests.bench.bench_mlm", *sys.argv[1:]]
    command += ["--measure", contestant, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(f"{done.stderr}\n{contestant} failed", file=sys.stderr, flush=True)
        return None
    result = json.loads(done.stdout.splitlines()[-1])
    speed = sum(result["tokens"]) / sum(result["seconds"])
    memory = result["peak_mib"]
    print(f"  {speed:,.0f} real tokens/s, {memory:,.0f} MiB", file=sys.stderr, flush=True)
    return result


# ---- the comparison ----------------------------------------------------------------------------


def measured_lengths(folder: Path, args: argparse.Namespace) -> np.ndarray:
    """The tokens of each window of ours, [CLS] and [SEP] with them."""
    corpus = Corpus(tuple(args.data))
    with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(sys.stderr):
        token_cache.build(Path(work), corpus, wordpiece.read(folder))
        cache = TokenCache(work, corpus)
        return Windows.cut(cache, np.arange(len(cache)), args.max_length).lengths + 2


def print_table(
    found: dict[str, list[dict]],
    config: BertConfig,
    lengths: np.ndarray,
    args: argparse.Namespace,
) -> None:
    """The setting, and a line for each contestant."""
    speeds = {}  # (rounds,) of each
    for contestant, runs in found.items():
        speeds[contestant] = np.array([sum(run["tokens"]) / sum(run["seconds"]) for run in runs])
    attended = (lengths**2).sum() / lengths.sum()  # mean length of the text that a token is in
    flops = flops_per_token(config, attended)
    on_gpu = args.device == "cuda"
    device_name = f"{os.cpu_count()} CPU cores, {platform.machine()}"
    if on_gpu:
        device_name = torch.cuda.get_device_name()
    peak = None
    if on_gpu and args.amp == "bf16":
        peak = next((tflops for name, tflops in PEAK_TFLOPS.items() if name in device_name), None)

    precision = "bf16" if args.amp == "bf16" else "fp32"
    compiled = ", compiled" if args.compile else ""
    print(
        f"{device_name}, torch {torch.__version__}, {args.shape} shape, {precision}{compiled}; "
        f"{args.batch_tokens:,} tokens a step, texts of {lengths.mean():.0f} tokens on average; "
        f"{flops / 1e6:.0f} million model FLOPs a token; medians of {args.rounds}\n"
    )
    header = ["contestant", "real tokens/s", "ours is faster by (least, most)", "padding"]
    header += ["peak memory, MiB", "GFLOP/s"]
    if peak:
        header.append(f"share of {peak} TFLOP/s")
    print(f"| {' | '.join(header)} |")
    print("|---" * len(header) + "|")
    for contestant, runs in found.items():
        speed = np.median(speeds[contestant])
        ratios = speeds["ours"] / speeds[contestant]  # (rounds,)
        ratio = f"{np.median(ratios):.2f} ({ratios.min():.2f}, {ratios.max():.2f})"
        padding = median(run["padding"] for run in runs)
        memory = median(run["peak_mib"] for run in runs)
        rate = speed * (flops_per_token(config, 0) if contestant == "matmul" else flops)
        cells = [contestant, f"{speed:,.0f}", "" if contestant == "ours" else ratio]
        cells += [f"{padding:.1%}", f"{memory:,.0f}", f"{rate / 1e9:,.0f}"]
        if peak:
            cells.append(f"{rate / peak / 1e12:.1%}")
        print(f"| {' | '.join(cells)} |")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
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
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    default_device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default_device, choices=("cpu", "cuda"))
    parser.add_argument("--amp", default="none", choices=("none", "bf16"))
    parser.add_argument("--compile", action="store_true", help="torch.compile for every contestant")
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
    # what the processes are started with
    parser.add_argument("--measure", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.warmup < 1:
        parser.error("--warmup must be at least 1")
    if args.quick:
        args.steps = 1
        args.rounds = 2
        args.peers = ("dynamic", "grouped")
        args.batch_tokens = 2048
        args.micro_batch_tokens = 2048
        args.peer_blocks = 4
    return args


def main() -> None:
    """Measure in turn and print the table."""
    args = parse_arguments()
    if args.measure:
        print(json.dumps(measure(args.measure, args.folder, args)))
        return

    found: dict[str, list[dict]] = {name: [] for name in ("ours", *args.peers, "matmul")}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "checkpoint"
        make_checkpoint(folder, args)
        config = pretrained.read_config(folder)
        lengths = measured_lengths(folder, args)
        failed = set()
        for i in range(args.rounds):
            for contestant in [name for name in found if name not in failed]:
                progress = f"round {i + 1} of {args.rounds}: {contestant}"
                print(progress, file=sys.stderr, flush=True)
                result = measure_in_process(contestant, folder, args)
                if result is None:
                    failed.add(contestant)
                else:
                    found[contestant].append(result)
    if "ours" not in failed:
        complete = {name: runs for name, runs in found.items() if name not in failed}
        print_table(complete, config, lengths, args)
    if failed:
        sys.exit(f"failed: {', '.join(sorted(failed))}")


if __name__ == "__main__":
    main()
