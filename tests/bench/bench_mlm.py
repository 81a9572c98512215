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
        the sample's texts, one round, under 3 minutes on 2 cores

The contestants are ours, its peers, and a bound:

ours      train_mlm.py, its speed as it stands in metrics.jsonl; with --compile also
          ours-compiled
dynamic   BertForMaskedLM and DataCollatorForLanguageModeling, each batch padded to its longest text
          (run_mlm --line_by_line)
sorted    the same with texts of like length in a batch (group_by_length of the Trainer, which is
          off unless asked for)
grouped   all texts one after the other in blocks of --max-length tokens, with their attention mask
          of ones (run_mlm's default)
unmasked  the same without the mask, which no option of run_mlm leaves out; on a CPU it made no
          difference, on a GPU it was not measured
compiled  unmasked with torch.compile for its one shape
padded    every text padded to --max-length (the milestone report's notebook)
flattened the texts of a batch in one row without padding, and the head on targets alone, which the
          parts of BertForMaskedLM can do: with flash_attention_2, told where texts begin, where it
          is installed; else on a GPU with flex_attention, on a CPU with sdpa and a mask, for there
          neither can train. This loop is nobody's default: it is the best that we know to make of
          transformers
matmul    no model: only the matrix products of the layers and the head, forward and backward, of as
          many tokens as a micro-batch of ours, always on the same operands. An upper bound: ours
          also needs attention, norms, activations, dropout, the loss and the optimizer

All have the same random weights, vocabulary, precision, fused AdamW and clipping, and no dropout on
attention weights, which ours has not. Dropout itself is each contestant's own (ours draws faster on
a CPU). But for `flattened` the peers have sdpa attention; theirs are batches of --peer-texts texts,
--peer-blocks blocks or --flat-texts texts in a row, summed up to at least --batch-tokens real
tokens a step; ours takes at most as many. On a GPU they
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
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tokenizers import Tokenizer

import train_mlm
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertConfig, BertForMaskedLM, config_of_size
from beautybert.bert.wordpiece import token_list
from beautybert.mlm import token_cache
from beautybert.mlm.batches import Windows
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.token_cache import TokenCache
from tests.bench import mlm_peers
from tests.bench.mlm_peers import PEERS

MINILM = BertConfig(
    hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
)
VOCABULARY = 30522  # BERT's
MODULE = "tests.bench.bench_mlm"
OURS = ("ours", "ours-compiled")
CONTESTANTS = (*OURS, *PEERS, "matmul")
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


def measure_ours(compiled: bool, folder: Path, args: argparse.Namespace) -> dict:
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
            mask_unit="token",  # as the peers do, and their rate
            lr=1e-4,
            batch_tokens=args.batch_tokens,
            micro_batch_tokens=args.micro_batch_tokens,
            amp=args.amp,
            threads=torch.get_num_threads(),  # as many as the other side
            compile=compiled,
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
    if compiled:
        padding = 1 - sum(tokens) / (args.steps * args.batch_tokens)
    return {"tokens": tokens, "seconds": seconds, "padding": padding}


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
    if contestant in OURS:
        result = measure_ours(contestant == "ours-compiled", folder, args)
    elif contestant == "matmul":
        result = measure_matmul(folder, args)
    else:
        result = mlm_peers.measure(contestant, folder, args)
    return result | {"peak_mib": peak_memory(args.device)}


def peak_memory(device: str) -> float:
    """MiB: what torch allocated on the GPU, or this process's largest resident set.

    Unlike getrusage's, the latter is not the parent's.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure_in_process(module: str, contestant: str, folder: Path, device: str) -> dict:
    """The measurement of a contestant by a process started with the options of this one.

    module: a benchmark, which with --measure and --folder prints the measurement as JSON.
    """
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true"}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-m", module, *sys.argv[1:]]
    command += ["--measure", contestant, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


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
    print(
        f"{device_name}, torch {torch.__version__}, {args.shape} shape, {precision}; "
        f"{args.batch_tokens:,} tokens a step, texts of {lengths.mean():.0f} tokens on average; "
        f"{flops / 1e6:.0f} million model FLOPs a token; medians of {args.rounds}\n"
    )
    ours = [contestant for contestant in OURS if contestant in found]
    header = ["contestant", "real tokens/s"]
    header += [f"{name} is faster by (least, most)" for name in ours]
    header += ["padding", "peak memory, MiB", "GFLOP/s"]
    if peak:
        header.append(f"share of {peak} TFLOP/s")
    print(f"| {' | '.join(header)} |")
    print("|---" * len(header) + "|")
    for contestant, runs in found.items():
        speed = np.median(speeds[contestant])
        padding = median(run["padding"] for run in runs)
        memory = median(run["peak_mib"] for run in runs)
        rate = speed * (flops_per_token(config, 0) if contestant == "matmul" else flops)
        cells = [contestant, f"{speed:,.0f}"]
        for name in ours:
            ratios = speeds[name] / speeds[contestant]  # (rounds,)
            ratio = f"{np.median(ratios):.2f} ({ratios.min():.2f}, {ratios.max():.2f})"
            cells.append("" if contestant == name else ratio)
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
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile too")
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
        "--flat-texts",
        type=int,
        help=f"texts in a row of flattened [{mlm_peers.FLAT_TEXTS_ON_CPU}, on a GPU --peer-texts]",
    )
    parser.add_argument(
        "--warmup",
        type=int,
        help="steps of each process that are not measured [1, with --compile 5]",
    )
    parser.add_argument("--steps", type=int, default=3, help="steps of each process that are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one step of 2,048 tokens, one round, dynamic, grouped and flattened alone",
    )
    parser.add_argument("--seed", type=int, default=0)
    # what the processes are started with
    parser.add_argument("--measure", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.warmup is None:
        args.warmup = 5 if args.compile else 1  # the second and third shape are compiled again
    if args.warmup < 1:
        parser.error("--warmup must be at least 1")
    if args.quick:
        args.steps = 1
        args.rounds = 1
        args.peers = ("dynamic", "grouped", "flattened")
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

    ours = OURS if args.compile else OURS[:1]
    found: dict[str, list[dict]] = {name: [] for name in (*ours, *args.peers, "matmul")}
    failed: list[str] = []  # the others are measured all the same
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # timeout(1): show what there is
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "checkpoint"
        make_checkpoint(folder, args)
        config = pretrained.read_config(folder)
        lengths = measured_lengths(folder, args)
        try:
            for i in range(args.rounds):
                for contestant in [name for name in found if name not in failed]:
                    progress = f"round {i + 1} of {args.rounds}: {contestant}"
                    print(progress, file=sys.stderr, flush=True)
                    try:
                        run = measure_in_process(MODULE, contestant, folder, args.device)
                    except SystemExit as error:  # with what its process said
                        print(error, file=sys.stderr, flush=True)
                        failed.append(contestant)
                        continue
                    found[contestant].append(run)
                    speed = sum(run["tokens"]) / sum(run["seconds"])
                    print(f"  {speed:,.0f} real tokens/s", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            failed += [name for name, runs in found.items() if len(runs) < args.rounds]
    complete = {name: runs for name, runs in found.items() if name not in failed}
    if complete:
        print_table(complete, config, lengths, args)
    if failed:
        sys.exit(f"not measured: {', '.join(dict.fromkeys(failed))}")


if __name__ == "__main__":
    main()
