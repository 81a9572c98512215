"""What each part of the recipe is worth: one change a row, the same split, several seeds.

    python -m tests.bench.bench_accuracy --cosmetics cosmetics.csv \\
        --sephora sephora_website_dataset.csv --products products.json.gz \\
        --init all-MiniLM-L6-v2/model --out runs/accuracy \\
        --labels full canonical group --seeds 0 1 2
    python -m tests.bench.bench_accuracy ...the same... --rows plain names --jobs 2
        some rows only, two runs at once

Every run has its folder below --out. What is finished stays, so the table grows from call to call,
and a run that was cut off goes on. Choices are made on `valid`. Accuracies are in %, means over the
seeds with the standard deviation. Minutes and tokens are those of one fine-tuning without
evaluations, with --jobs - 1 others at the same time. `ensemble` averages the calibrated
probabilities of the runs of its row.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev

import torch

from beautybert.bert import wordpiece
from beautybert.cls import classifier
from beautybert.cls.products import (
    LABEL_TABLE,
    SCHEMES,
    Product,
    apply_label_scheme,
    read_label_map,
    read_products,
    texts,
)
from beautybert.cls.report import tfidf_logistic_regression
from beautybert.cls.splits import split_products
from beautybert.mlm.token_cache import available_cores
from beautybert.predict import predict_probabilities
from beautybert.training.metrics import classification_metrics
from tests.bench.bench_mlm import logged_steps, read_metrics

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
        "--epochs 8 --lr 5e-4 --mask-unit ingredient --mask-prob 0.3 --batch-tokens 2048 "
        "--micro-batch-tokens 2048",
    ),
}
MORE = "--lr 2e-4 --batch-size 16 --micro-batch-size 16 --epochs 6"
PLAIN = "--head pooler --ingredient-dropout 0"
# a row: the model that is fine-tuned, and options of train_cls.py in addition to --more and its
# defaults. As far as tapt each changes the one before it in one thing
ROWS: dict[str, tuple[str, str]] = {
    "plain": ("", PLAIN),
    "words": ("words", PLAIN),
    "names": ("names", PLAIN),
    "ingredient dropout": ("names", "--head pooler"),
    "wide head": ("names", "--head wide"),
    "dapt": ("dapt", "--head wide"),
    "tapt": ("tapt", "--head wide"),
    "mlp head": ("names", "--head mlp"),  # to compare with wide head
    "brands apart": ("names", "--head wide --split brand"),  # to compare with wide head
}


# ---- the runs ----------------------------------------------------------------------------------


def run(command: list[str], log: Path, threads: int) -> None:
    """One of the two scripts, its output to a file; the bench ends if it fails."""
    text = " ".join(command[1:])
    print(f"  {text}", file=sys.stderr, flush=True)
    log.with_suffix(".command").write_text(text, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with open(log, "a", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    if done.returncode:
        sys.exit(f"failed; see {log}")


def run_unless_finished(
    command: list[str], out: Path, result: str, args: argparse.Namespace
) -> None:
    """Run the command that writes --out `out`, unless the `result` is there already.

    The bench ends if another command wrote it.
    """
    command = [sys.executable, *command, "--out", str(out), "--resume"]
    written = args.out / f"{out.name}.command"
    if not (out / result).is_file():
        run(command, args.out / f"{out.name}.txt", args.threads)
    elif written.read_text(encoding="utf-8") != " ".join(command[1:]):
        sys.exit(
            f"{out} was made by another command, see {written}; use another --out, or delete it"
        )


def table_options(args: argparse.Namespace) -> list[str]:
    """The options that name the two tables."""
    return ["--cosmetics", args.cosmetics, "--sephora", args.sephora]


def adapted(name: str, split: str, args: argparse.Namespace) -> str:
    """The folder of an adapted model for a split, made if it is not there.

    It reads no list of validation or test.
    """
    if not name:
        return args.init
    before, reads, options = ADAPTED[name]
    out = args.out / f"{name}-{split}"
    lists = args.out / f"split-{split}"
    command = ["train_cls.py", *table_options(args), "--split", split, "--max-steps", "0"]
    run_unless_finished(command, lists, "report.json", args)
    paths = {"products": args.products, "lists": str(lists / "train_lists.txt")}
    command = ["train_mlm.py", "--data", *(paths[kind] for kind in reads)]
    command += ["--init", adapted(before, split, args)]
    command += ["--cache-dir", str(args.out / "cache"), *options.split()]
    run_unless_finished(command, out, "model.safetensors", args)
    return str(out)


def fine_tune(row: str, labels: str, seed: int, args: argparse.Namespace) -> None:
    """One run of a row, unless it is finished."""
    name, options = ROWS[row]
    command = ["train_cls.py", *table_options(args)]
    command += ["--init", adapted(name, split_of(row), args)]
    command += ["--labels", labels, "--seed", str(seed), *options.split(), *args.more.split()]
    run_unless_finished(command, folder_of(row, labels, seed, args), "report.json", args)


def split_of(row: str) -> str:
    """The --split of a row."""
    return "brand" if "--split brand" in ROWS[row][1] else "list"


def folder_of(row: str, labels: str, seed: int, args: argparse.Namespace) -> Path:
    """The folder of a run."""
    return args.out / f"{row.replace(' ', '-')}-{labels}-{seed}"


# ---- the table ---------------------------------------------------------------------------------


def finished_runs(labels: str, split: str, args: argparse.Namespace) -> dict[str, list[Path]]:
    """For each row with this split, the folders of its finished runs; no row without any."""
    finished = {}
    for row in args.rows:
        if split_of(row) != split:
            continue
        folders = [folder_of(row, labels, seed, args) for seed in args.seeds]
        folders = [folder for folder in folders if (folder / "report.json").is_file()]
        if folders:
            finished[row] = folders
    return finished


def read_report(folder: Path) -> dict:
    """The report.json of a run."""
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def cost_of(folders: list[Path]) -> str:
    """Minutes and tokens of a fine-tuning, means over the runs."""
    minutes, tokens = [], []
    start = {"split": "train", "step": 0, "tokens": 0}
    for folder in folders:
        step_tokens, step_seconds = logged_steps([start, *read_metrics(folder)], after=0)
        minutes.append(sum(step_seconds) / 60)
        tokens.append(sum(step_tokens))
    return f"{mean(minutes):.0f}, {mean(tokens) / 1e6:.1f} M"


def products_of(labels: str, split: str, args: argparse.Namespace) -> dict[str, list[Product]]:
    """The splits that train_cls.py makes of the tables."""
    products, counts = read_products(args.cosmetics, args.sephora, LABEL_TABLE)
    all_splits = split_products(products, split, seed=0)
    names = read_label_map(LABEL_TABLE, labels)
    splits, _ = apply_label_scheme(all_splits, names, 5, counts)
    return splits


def ensemble(folders: list[Path], test: list[Product]) -> dict:
    """The metrics of the runs' mean probabilities on the test lists."""
    models = [classifier.load(folder) for folder in folders]
    names = models[0].labels
    assert all(model.labels == names for model in models)
    probabilities = [
        predict_probabilities(model, wordpiece.read(folder), texts(test))
        for model, folder in zip(models, folders, strict=True)
    ]
    log_mean = torch.from_numpy(sum(probabilities) / len(probabilities)).log()
    target_ids = torch.tensor([names.index(product.label) for product in test])
    return classification_metrics(log_mean, target_ids, names)


def line(row: str, reports: list[dict], cost: str = "") -> str:
    """A line of the table: means over the reports, with the deviation where there are several."""

    def shown(name: str, scale: float, digits: int) -> str:
        values = [scale * report[name] for report in reports if name in report]
        if not values:
            return ""
        spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{mean(values):.{digits}f}{spread}"

    cells = [
        row,
        str(len(reports)),
        shown("best_valid", 100, 1),
        shown("accuracy", 100, 1),
        shown("top3", 100, 1),
        shown("macro_f1", 1, 3),
        shown("ece", 1, 3),
        cost,
    ]
    return f"| {' | '.join(cells)} |"


def print_table(labels: str, args: argparse.Namespace) -> None:
    """All finished runs for a label scheme, the baselines above them."""
    print(f"\n`{labels}`\n")
    print(
        "| row | seeds | valid | test | top-3 | macro-F1 | calibration error | minutes, tokens |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for split in dict.fromkeys(map(split_of, ROWS)):
        finished = finished_runs(labels, split, args)
        if not finished:
            continue
        reports = {row: list(map(read_report, folders)) for row, folders in finished.items()}
        any_report = next(iter(reports.values()))[0]
        splits = products_of(labels, split, args)
        train, test = splits["train"], splits["test"]
        train_labels = [product.label for product in train]
        test_labels = [product.label for product in test]
        logistic = tfidf_logistic_regression(texts(train), train_labels, texts(test), test_labels)
        majority = {"accuracy": any_report["majority_accuracy"]}
        print(line(f"majority ({split} split)", [majority]))
        print(line("TF-IDF + LinearSVC", [any_report["tfidf_linear_svc"]]))
        print(line("TF-IDF + logistic regression", [logistic]))
        for row, folders in finished.items():
            print(line(row, reports[row], cost_of(folders)))
            if len(folders) > 1:
                print(line(f"{row}: ensemble of {len(folders)}", [ensemble(folders, test)]))


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
        help="options of train_cls.py for every row [%(default)s]; a table is of one setting: use "
        "another --out for another",
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.threads = max(1, available_cores() // args.jobs)

    def fine_tune_one(job: tuple[int, str, str]) -> None:
        seed, row, labels = job
        fine_tune(row, labels, seed, args)

    for row in args.rows:  # one after the other: rows share them
        adapted(ROWS[row][0], split_of(row), args)
    jobs = itertools.product(args.seeds, args.rows, args.labels)
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(fine_tune_one, jobs))  # list() raises what a run raised
    for labels in args.labels:
        print_table(labels, args)


if __name__ == "__main__":
    main()
