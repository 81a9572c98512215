"""Fine-tuning and prediction beside what users of `transformers` run, on the same lists.

Shown are ingredient lists a second.

    python -m tests.bench.bench_cls --data cosmetics.csv sephora_website_dataset.csv
        MiniLM's shape, fp32, CPU or GPU as there is one
    python -m tests.bench.bench_cls --data cosmetics.csv sephora_website_dataset.csv --amp bf16
    python -m tests.bench.bench_cls --quick
        the sample's lists, one round, under 2 minutes on 2 cores

Fine-tuning, batches of --batch-size lists:

train       train_cls.py, its speed as it stands in metrics.jsonl
dynamic     BertForSequenceClassification, each batch padded to its longest list (the Trainer with
            DataCollatorWithPadding)
sorted      the same with lists of like length in a batch (group_by_length of the Trainer, which is
            off unless asked for)

Prediction, batches of --predict-batch lists in the peers, of 32 in ours:

predict     Classifier.predict with the model of the peers, which it reads from their folder: texts
            as they are, no more work than theirs
read        Classifier.predict with a model of train_cls.py, which also reads each list and asks a
            linear model over words, and cuts lists at --max-length tokens, the others at 512
pipeline    pipeline("text-classification") with a batch size, in the order given
loop        tokenised at once, sorted by length, padded to the longest of a batch

All have the pooler head, the same random weights, vocabulary, labels, lists and tokens, sdpa
attention where it is theirs, and no dropout on attention weights, which ours has not. Training has
the same precision, fused AdamW and clipping, and neither dropout of ingredients nor smoothed
labels. Prediction is in fp32. Loading a model is not counted. Each measurement is a process of its
own, the contestants take turns, and the first --warmup steps or batches of each are not counted.

`bench_predict` measures predict from file to file. --keep FOLDER leaves the model of train_cls.py
there for it.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

import train_cls
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertForMaskedLM, config_of_size
from beautybert.bert.wordpiece import token_list
from beautybert.cls import batches, selection, splits
from beautybert.cls.batches import Example
from beautybert.cls.classifier import Classifier
from beautybert.cls.products import read_products
from tests.bench.bench_mlm import (
    MINILM,
    VOCABULARY,
    logged_steps,
    measure_in_process,
    peak_memory,
    read_metrics,
)
from tests.bench.mlm_peers import on_device, shuffled_batches

MODULE = "tests.bench.bench_cls"
OURS_OF = {"dynamic": "train", "sorted": "train", "pipeline": "predict", "loop": "predict"}
CONTESTANTS = ("train", "dynamic", "sorted", "predict", "read", "pipeline", "loop")


# ---- what all of them read ---------------------------------------------------------------------


def write_lists(folder: Path, args: argparse.Namespace) -> None:
    """lists.csv of --lists products, with different lists as they are printed.

    Labels are in lower case: of several tables they may differ in case, of one not.
    """
    table, _ = read_products(args.data)
    products = {p.ingredients: p for p in table if p.ingredients}
    chosen = list(products.values())
    order = np.random.default_rng(args.seed).permutation(len(chosen))[: args.lists]
    with open(folder / "lists.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "ingredients"])
        writer.writerows([chosen[i].label.casefold(), chosen[i].ingredients] for i in order)


def read_lists(folder: Path) -> list[str]:
    """The lists of lists.csv."""
    with open(folder / "lists.csv", newline="", encoding="utf-8") as file:
        return [row["ingredients"] for row in csv.DictReader(file)]


def make_checkpoint(folder: Path, args: argparse.Namespace) -> None:
    """A BERT of --shape with random weights and a pooler, from which all start."""
    torch.manual_seed(args.seed)
    texts = read_lists(folder)
    if args.tokenizer:
        tokenizer = wordpiece.read(args.tokenizer)
    else:
        tokenizer = wordpiece.learn(lambda: texts, VOCABULARY)
    vocab_size = max(VOCABULARY, len(token_list(tokenizer)))
    shape = MINILM if args.shape == "minilm" else config_of_size(args.shape, vocab_size)
    config = replace(shape, vocab_size=vocab_size, attention_probs_dropout_prob=0.0)
    pretrained.save(folder / "checkpoint", BertForMaskedLM(config, pooler=True))
    wordpiece.write(tokenizer, folder / "checkpoint", config.max_position_embeddings)


def train_data(folder: Path, args: argparse.Namespace) -> batches.ClsBatches:
    """What train_cls.py trains on, for the peers."""
    config = train_config(folder, folder / "nowhere", args, steps=0)
    table, counts = read_products(config.data)
    all_splits = splits.split_products(table, config.split, config.split_seed)
    wanted = (config.inputs, config.labels, config.label_table, config.min_per_label)
    by_split, _ = selection.select(all_splits, *wanted, counts)
    return batches.ClsBatches(
        by_split,
        wordpiece.read(folder / "checkpoint"),
        batch_size=args.batch_size,
        micro_batch_size=args.batch_size,
        max_length=args.max_length,
        ingredient_dropout=0.0,
        seed=args.seed,
    )


# ---- fine-tuning -------------------------------------------------------------------------------


def train_config(
    folder: Path, out: Path, args: argparse.Namespace, steps: int
) -> train_cls.ClsConfig:
    """The options of train_cls.py for a run of so many steps."""
    # On a GPU a log line waits for the device, so there it comes as seldom as can be.
    seldom = args.device == "cuda" and args.steps % args.warmup == 0
    return train_cls.ClsConfig(
        data=(str(folder / "lists.csv"),),
        inputs=("ingredients",),
        init=str(folder / "checkpoint"),
        head="pooler",
        out=str(out),
        max_steps=steps,
        max_length=args.max_length,
        batch_size=args.batch_size,
        micro_batch_size=args.batch_size,
        ingredient_dropout=0.0,
        label_smoothing=0.0,
        amp=args.amp,
        threads=torch.get_num_threads(),
        baseline=False,
        log_interval=args.warmup if seldom else 1,
        eval_interval=max(steps, 1),
        save_interval=0,
        seed=args.seed,
    )


def measure_train(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Lists and seconds of train_cls.py, from metrics.jsonl."""
    with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(sys.stderr):
        out = Path(work) / "run"
        train_cls.main(train_config(folder, out, args, args.warmup + args.steps))
        tokens, seconds = logged_steps(read_metrics(out), args.warmup)
    return {
        "lists": args.steps * args.batch_size,
        "seconds": sum(seconds),
        "tokens": sum(tokens),
        "padding": 0.0,
    }


def measure_training_peer(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The Trainer's steps as a plain loop."""
    device = torch.device(args.device)
    torch.set_float32_matmul_precision("high")
    data = train_data(folder, args)
    examples = data.examples["train"]
    model = peer_model(folder / "checkpoint", num_labels=len(data.labels)).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.01, fused=True)
    lengths = [len(example.documents["ingredients"]) for example in examples]
    order = shuffled_batches(lengths, args.batch_size, name == "sorted", args.seed)
    num_tokens = num_with_padding = 0
    seconds = 0.0
    for step in range(args.warmup + args.steps):
        began = time.perf_counter()
        inputs = padded_batch([examples[index] for index in next(order)])
        with torch.autocast(device.type, torch.bfloat16, enabled=args.amp == "bf16"):
            loss = model(**on_device(inputs, device)).loss
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        if step >= args.warmup:
            seconds += time.perf_counter() - began
            num_tokens += int(inputs["attention_mask"].sum())
            num_with_padding += inputs["input_ids"].numel()
    return {
        "lists": args.steps * args.batch_size,
        "seconds": seconds,
        "tokens": num_tokens,
        "padding": 1 - num_tokens / num_with_padding,
    }


def padded_batch(examples: Sequence[Example]) -> dict[str, Tensor]:
    """The arguments of BertForSequenceClassification: (B, T) each, labels (B,).

    [PAD] has the id 0 in BERT's vocabularies.
    """
    documents = [torch.from_numpy(example.documents["ingredients"]) for example in examples]
    ones = [torch.ones_like(ids) for ids in documents]
    return {
        "input_ids": pad_sequence(documents, batch_first=True),
        "attention_mask": pad_sequence(ones, batch_first=True),
        "labels": torch.tensor([example.label_id for example in examples]),
    }


def peer_model(folder: Path, **config: Any) -> Any:
    """transformers' classifier on the encoder and pooler of a folder, or the one that it holds."""
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.BertForSequenceClassification.from_pretrained(
        folder, attn_implementation="sdpa", **config
    )


# ---- prediction --------------------------------------------------------------------------------

Predictor = Callable[[list[str]], list[str]]  # texts -> the most probable label of each


def make_classifiers(folder: Path, args: argparse.Namespace) -> None:
    """A classifier of transformers in folder/theirs, one of train_cls.py in folder/ours."""
    torch.manual_seed(args.seed)
    data = train_data(folder, args)
    model = peer_model(folder / "checkpoint", num_labels=len(data.labels))
    model.config.id2label = dict(enumerate(data.labels))
    model.config.label2id = {label: i for i, label in enumerate(data.labels)}
    model.save_pretrained(folder / "theirs")
    wordpiece.write(data.tokenizer, folder / "theirs", model.config.max_position_embeddings)
    with contextlib.redirect_stdout(sys.stderr):
        train_cls.main(train_config(folder, folder / "ours", args, steps=1))


def load_predict(folder: Path, args: argparse.Namespace) -> Predictor:
    """Ours with the model of the peers."""
    return predictor_of(Classifier.load(folder / "theirs", args.device))


def load_read(folder: Path, args: argparse.Namespace) -> Predictor:
    """Ours with a model of train_cls.py."""
    return predictor_of(Classifier.load(folder / "ours", args.device))


def predictor_of(classifier: Classifier) -> Predictor:
    """The labels of Classifier.predict."""

    def predict(texts: list[str]) -> list[str]:
        answers = classifier.predict(ingredients=texts)
        return [answer.labels[0] if answer.labels else "" for answer in answers]

    return predict


def load_pipeline(folder: Path, args: argparse.Namespace) -> Predictor:
    """A pipeline of transformers with a batch size."""
    import transformers

    transformers.logging.set_verbosity_error()
    model = peer_model(folder / "theirs").to(args.device).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "theirs")
    pipeline = transformers.pipeline(
        "text-classification", model=model, tokenizer=tokenizer, device=args.device
    )

    def predict(texts: list[str]) -> list[str]:
        answers = pipeline(texts, batch_size=args.predict_batch, truncation=True)
        return [answer["label"] for answer in answers]

    return predict


def load_loop(folder: Path, args: argparse.Namespace) -> Predictor:
    """What a careful user writes: lists of like length in a batch."""
    import transformers

    model = peer_model(folder / "theirs").to(args.device).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "theirs")

    @torch.inference_mode()
    def predict(texts: list[str]) -> list[str]:
        all_ids = tokenizer(texts, truncation=True)["input_ids"]
        order = sorted(range(len(texts)), key=lambda i: len(all_ids[i]))
        labels = [""] * len(texts)
        for start in range(0, len(order), args.predict_batch):
            indices = order[start : start + args.predict_batch]
            inputs = tokenizer.pad(
                {"input_ids": [all_ids[i] for i in indices]}, return_tensors="pt"
            )
            probabilities = model(**inputs.to(args.device)).logits.softmax(-1)
            for i, label_id in zip(indices, probabilities.argmax(-1).tolist(), strict=True):
                labels[i] = model.config.id2label[label_id]
        return labels

    return predict


LOADERS = {
    "predict": load_predict,
    "read": load_read,
    "pipeline": load_pipeline,
    "loop": load_loop,
}


def measure_prediction(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Lists and seconds of a contestant, its model loaded and warm, and its answers."""
    texts = read_lists(folder)
    predict = LOADERS[name](folder, args)
    predict(texts[: args.warmup * args.predict_batch])
    began = time.perf_counter()
    labels = predict(texts)
    return {"lists": len(texts), "seconds": time.perf_counter() - began, "labels": labels}


# ---- the comparison ----------------------------------------------------------------------------


def measure(contestant: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One process's measurement."""
    if contestant == "train":
        found = measure_train(folder, args)
    elif contestant in LOADERS:
        found = measure_prediction(contestant, folder, args)
    else:
        found = measure_training_peer(contestant, folder, args)
    return found | {"peak_mib": peak_memory(args.device)}


def print_table(found: dict[str, list[dict]], args: argparse.Namespace) -> None:
    """The setting, and a line for each contestant."""
    speeds = {}  # (rounds,) of each
    for contestant, runs in found.items():
        speeds[contestant] = np.array([run["lists"] / run["seconds"] for run in runs])
    device = f"{os.cpu_count()} CPU cores, {platform.machine()}"
    if args.device == "cuda":
        device = torch.cuda.get_device_name()
    precision = "bf16" if args.amp == "bf16" else "fp32"
    train = found["train"][0]
    print(
        f"{device}, torch {torch.__version__}, {args.shape} shape, training in {precision}, "
        f"prediction in fp32; batches of {args.batch_size} lists of "
        f"{train['tokens'] / train['lists']:.0f} tokens on average; {found['loop'][0]['lists']:,} "
        f"lists to predict; medians of {args.rounds}\n"
    )
    print("| contestant | lists/s | ours is faster by (least, most) | padding | peak memory, MiB |")
    print("|---|---|---|---|---|")
    for contestant, runs in found.items():
        ratio = padding = ""
        if contestant in OURS_OF:
            ratios = speeds[OURS_OF[contestant]] / speeds[contestant]  # (rounds,)
            ratio = f"{np.median(ratios):.2f} ({ratios.min():.2f}, {ratios.max():.2f})"
        if "padding" in runs[0]:
            padding = f"{median(run['padding'] for run in runs):.1%}"
        memory = median(run["peak_mib"] for run in runs)
        speed = np.median(speeds[contestant])
        print(f"| {contestant} | {speed:,.1f} | {ratio} | {padding} | {memory:,.0f} |")
    print(f"\n{agreement(found)}")


def agreement(found: dict[str, list[dict]]) -> str:
    """How often the peers have the label of `predict`, which has the same model, for people."""
    ours = found["predict"][0]["labels"]
    parts = []
    for name in ("pipeline", "loop"):
        theirs = found[name][0]["labels"]
        same = sum(one == other for one, other in zip(ours, theirs, strict=True))
        parts.append(f"{same:,} of {len(ours):,} by {name}")
    return f"the same answer as predict: {', '.join(parts)}"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=list(train_cls.SAMPLE))
    parser.add_argument("--lists", type=int, default=2000, help="lists that all read")
    parser.add_argument(
        "--tokenizer",
        help="folder of a checkpoint whose vocabulary is used; without it one is learned from the "
        "lists",
    )
    parser.add_argument("--shape", default="minilm", choices=("minilm", "tiny", "base"))
    default_device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default_device, choices=("cpu", "cuda"))
    parser.add_argument("--amp", default="none", choices=("none", "bf16"), help="of training")
    parser.add_argument("--max-length", type=int, default=256, help="tokens of a list in training")
    parser.add_argument("--batch-size", type=int, default=16, help="lists of a training step")
    parser.add_argument(
        "--predict-batch", type=int, default=32, help="lists of a forward pass of the peers"
    )
    parser.add_argument("--warmup", type=int, default=2, help="steps that are not measured")
    parser.add_argument("--steps", type=int, default=20, help="training steps that are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="new folder for the model of train_cls.py")
    parser.add_argument("--quick", action="store_true", help="128 lists, three steps, one round")
    parser.add_argument("--seed", type=int, default=0)
    # what the processes are started with
    parser.add_argument("--measure", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.warmup < 1:
        parser.error("--warmup must be at least 1")
    if args.keep and args.keep.exists():
        parser.error(f"--keep {args.keep} exists")
    if args.quick:
        args.lists, args.warmup, args.steps, args.rounds = 128, 1, 3, 1
    return args


def main() -> None:
    """Measure in turn and print the table."""
    args = parse_arguments()
    if args.measure:
        print(json.dumps(measure(args.measure, args.folder, args)))
        return

    found: dict[str, list[dict]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        write_lists(folder, args)
        make_checkpoint(folder, args)
        make_classifiers(folder, args)
        for i in range(args.rounds):
            for contestant, runs in found.items():
                progress = f"round {i + 1} of {args.rounds}: {contestant}"
                print(progress, file=sys.stderr, flush=True)
                runs.append(measure_in_process(MODULE, contestant, folder, args.device))
        if args.keep:
            shutil.copytree(folder / "ours", args.keep)
    print_table(found, args)


if __name__ == "__main__":
    main()
