"""What each part of the recipe is worth: one change a row, the same split, several seeds.

    python -m tests.bench.bench_accuracy --cosmetics cosmetics.csv --sephora sephora_website_dataset.csv --products products.json.gz \\
        --init all-MiniLM-L6-v2/model --out runs/accuracy --labels full canonical group --seeds 0 1 2
    python -m tests.bench.bench_accuracy ...the same... --rows plain names --jobs 2      some rows only, two runs at once

Every run has its folder below --out; what is finished stays, so the table grows from call to call,
and a run that was cut off goes on. Choices are made on `valid`. Accuracies are in %, means over the
seeds with the standard deviation; minutes and tokens are those of one fine-tuning without
evaluations, beside --jobs - 1 others. `ensemble` averages the calibrated probabilities of the runs
of its row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch

from beautybert.bert import wordpiece
from beautybert.cls import classifier
from beautybert.cls.products import (
    SCHEMES,
    Product,
    apply_label_scheme,
    read_label_map,
    read_products,
)
from beautybert.cls.report import tfidf_logistic_regression
from beautybert.cls.splits import split_products
from beautybert.mlm.token_cache import available_cores
from beautybert.predict import predict_probabilities
from beautybert.training.metrics import classification_metrics
from beautybert.training.seeding import SPLIT, generator_of
from tests.bench.bench_mlm import logged_steps

# an adapted model: which model it continues ("": --init), what it reads, and its options of
# train_mlm.py
ADAPTED: dict[str, tuple[str, tuple[str, ...], str]] = {
    "words": ("", ("products", "lists"), "--add-vocab 2800 --max-steps 0"),
    "names": ("", ("products", "lists"), "--add-vocab 2800 --add-names 3000 --max-steps 0"),
    "dapt": (
        "names",
        ("products",),
        "--epochs 2 --lr 5e-4 --batch-tokens 4096 --micro-batch-tokens 2048",
    ),
    "tapt": (
        "dapt",
        ("lists",),
        "--epochs 8 --lr 5e-4 --mask-unit ingredient --mask-prob 0.3 --batch-tokens 2048 --micro-batch-tokens 2048",
    ),
}
MORE = "--lr 2e-4 --batch-size 16 --micro-batch-size 16 --epochs 6"
PLAIN = "--head pooler --ingredient-dropout 0"
# a row: the model that is fine-tuned, and options of train_cls.py beside --more and its defaults.
# As far as tapt each changes the one before it in one thing
ROWS: dict[str, tuple[str, str]] = {
    "plain": ("", PLAIN),
    "words": ("words", PLAIN),
    "names": ("names", PLAIN),
    "ingredient dropout": ("names", "--head pooler"),
    "wide head": ("names", "--head wide"),
    "dapt": ("dapt", "--head wide"),
    "tapt": ("tapt", "--head wide"),
    "mlp head": ("names", "--head mlp"),  # beside wide head
    "brands apart": ("names", "--head wide --split brand"),  # beside wide head
}


def run(command: list[str], log: Path, threads: int) -> None:
    """One of the two scripts, its output to a file; the bench ends if it fails."""
    print(f"  {' '.join(command[1:])}", file=sys.stderr, flush=True)
    log.with_suffix(".command").write_text(" ".join(command[1:]), encoding="utf-8")
    with open(log, "a", encoding="utf-8") as file:
        if subprocess.run(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        ).returncode:
            sys.exit(f"failed; see {log}")


def tables(args: argparse.Namespace) -> list[str]:
    """The options that name the two tables."""
    return ["--cosmetics", args.cosmetics, "--sephora", args.sephora]


def unless_finished(command: list[str], out: Path, result: str, args: argparse.Namespace) -> None:
    """Run the command that writes --out `out`, unless the `result` is there already.

    The bench ends if another command wrote it.
    """
    command = [sys.executable, *command, "--out", str(out), "--resume"]
    written = args.out / f"{out.name}.command"
    if (out / result).is_file():
        if written.read_text(encoding="utf-8") != " ".join(command[1:]):
            sys.exit(
                f"{out} was made by another command, see {written}; use another --out, or delete it"
            )
    else:
        run(command, args.out / f"{out.name}.txt", args.threads)


def adapted(name: str, split: str, args: argparse.Namespace) -> str:
    """The folder of an adapted model for a split, made if it is not there.

    It reads no list of validation or test.
    """
    if not name:
        return args.init
    before, reads, options = ADAPTED[name]
    out, lists = args.out / f"{name}-{split}", args.out / f"split-{split}"
    unless_finished(
        ["train_cls.py", *tables(args), "--split", split, "--max-steps", "0"],
        lists,
        "report.json",
        args,
    )
    texts = {"products": args.products, "lists": str(lists / "train_lists.txt")}
    unless_finished(
        [
            "train_mlm.py",
            "--data",
            *(texts[name] for name in reads),
            "--init",
            adapted(before, split, args),
            "--cache-dir",
            str(args.out / "cache"),
            *options.split(),
        ],
        out,
        "model.safetensors",
        args,
    )
    return str(out)


def fine_tune(row: str, labels: str, seed: int, args: argparse.Namespace) -> None:
    """One run of a row, unless it is finished."""
    model, options = ROWS[row]
    unless_finished(
        [
            "train_cls.py",
            *tables(args),
            "--init",
            adapted(model, split_of(row), args),
            "--labels",
            labels,
            "--seed",
            str(seed),
            *options.split(),
            *args.more.split(),
        ],
        folder_of(row, labels, seed, args),
        "report.json",
        args,
    )


def split_of(row: str) -> str:
    """The --split of a row."""
    return "brand" if "--split brand" in ROWS[row][1] else "list"


def folder_of(row: str, labels: str, seed: int, args: argparse.Namespace) -> Path:
    """Where a run lies."""
    return args.out / f"{row.replace(' ', '-')}-{labels}-{seed}"


def products_of(labels: str, split: str, args: argparse.Namespace) -> dict[str, list[Product]]:
    """The sides that train_cls.py makes of the tables."""
    products, counts = read_products(
        args.cosmetics, args.sephora, "beautybert/cls/tables/labels.csv"
    )
    sides = split_products(products, split, generator_of(0, SPLIT))
    return apply_label_scheme(
        sides, read_label_map("beautybert/cls/tables/labels.csv", labels), 5, counts
    )[0]


def ensemble(folders: list[Path], test: list[Product]) -> dict:
    """The report of the runs' mean probabilities on the test lists."""
    mean_of, names = np.zeros(()), []
    for folder in folders:
        classifier = classifier.load(folder)
        mean_of, names = (
            mean_of
            + predict_probabilities(
                classifier, wordpiece.read(folder), [product.text for product in test]
            )
            / len(folders),
            classifier.labels,
        )
    return classification_metrics(
        torch.from_numpy(mean_of).log(),
        torch.tensor([names.index(product.label) for product in test]),
        names,
    )


def line(row: str, reports: list[dict], cost: str) -> str:
    """A line of the table: means over the reports, with the deviation where there are several."""

    def shown(name: str, scale: float, digits: int) -> str:
        values = [scale * report[name] for report in reports if name in report]
        spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{mean(values):.{digits}f}{spread}" if values else ""

    return (
        f"| {row} | {len(reports)} | {shown('best_valid', 100, 1)} | {shown('accuracy', 100, 1)} | {shown('top3', 100, 1)} | {shown('macro_f1', 1, 3)} | "
        f"{shown('ece', 1, 3)} | {cost} |"
    )


def print_table(labels: str, args: argparse.Namespace) -> None:
    """All finished runs for a label scheme, the baselines above them."""
    print(
        f"\n`{labels}`\n\n| row | seeds | valid | test | top-3 | macro-F1 | calibration error | minutes, tokens |\n|---|---|---|---|---|---|---|---|"
    )
    for split in dict.fromkeys(map(split_of, ROWS)):
        finished = {
            row: [
                folder
                for seed in args.seeds
                if ((folder := folder_of(row, labels, seed, args)) / "report.json").is_file()
            ]
            for row in args.rows
            if split_of(row) == split
        }
        reports = {
            row: [
                json.loads((folder / "report.json").read_text(encoding="utf-8"))
                for folder in folders
            ]
            for row, folders in finished.items()
            if folders
        }
        if not reports:
            continue
        sides, any_report = products_of(labels, split, args), next(iter(reports.values()))[0]
        (texts, answers), (test_texts, test_answers) = (
            [[getattr(p, name) for p in sides[side]] for name in ("text", "label")]
            for side in ("train", "test")
        )
        print(
            line(f"majority ({split} split)", [{"accuracy": any_report["majority_accuracy"]}], "")
        )
        print(line("TF-IDF + LinearSVC", [any_report["tfidf_linear_svc"]], ""))
        print(
            line(
                "TF-IDF + logistic regression",
                [tfidf_logistic_regression(texts, answers, test_texts, test_answers)],
                "",
            )
        )
        for row, found in reports.items():
            logs = [
                [
                    json.loads(text)
                    for text in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
                ]
                for folder in finished[row]
            ]
            trained = [
                [
                    {"split": "train", "step": 0, "tokens": 0},
                    *(entry for entry in log if entry["split"] == "train"),
                ]
                for log in logs
            ]
            minutes, tokens = (
                mean(sum(logged_steps(log, 0)[1]) / 60 for log in trained),
                mean(log[-1]["tokens"] for log in trained),
            )
            print(line(row, found, f"{minutes:.0f}, {tokens / 1e6:.1f} M"))
            if len(found) > 1:
                print(
                    line(
                        f"{row}: ensemble of {len(found)}",
                        [ensemble(finished[row], sides["test"])],
                        "",
                    )
                )


def main() -> None:
    """Train what is missing, then print the table of what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("cosmetics", "sephora", "products", "init"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--labels", nargs="+", default=list(SCHEMES), choices=SCHEMES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--jobs", type=int, default=1, help="fine-tunings at once, the cores shared evenly"
    )
    parser.add_argument(
        "--more",
        default=MORE,
        help="options of train_cls.py for every row [%(default)s]; a table is of one setting: use another --out for another",
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.threads = max(1, available_cores() // args.jobs)
    for row in args.rows:  # one after the other: rows share them
        adapted(ROWS[row][0], split_of(row), args)
    with ThreadPoolExecutor(args.jobs) as pool:
        list(
            pool.map(
                lambda job: fine_tune(*job, args),
                [
                    (row, labels, seed)
                    for seed in args.seeds
                    for row in args.rows
                    for labels in args.labels
                ],
            )
        )
    for labels in args.labels:
        print_table(labels, args)


if __name__ == "__main__":
    main()
