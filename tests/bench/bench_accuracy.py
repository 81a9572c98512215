"""The main table: the classifier beside TF-IDF + LinearSVC, over the test products of five splits.

    python -m tests.bench.bench_accuracy --data cosmetics.csv sephora_website_dataset.csv \\
        --products products.json.gz --init all-MiniLM-L6-v2/model --runs runs/accuracy --jobs 2
    python -m tests.bench.bench_accuracy ...the same... --seeds 0 1
        two models a split, and a row for the average of both
    python -m tests.bench.bench_accuracy ...the same... --name dropout --extra "--dropout 0.2"
        an ablation, with runs and a table of its own
    python -m tests.bench.bench_accuracy --runs runs/accuracy --only-report
        the table of the runs that are finished

For each split K there is a folder split-K (what is in which split, and what pretraining may read),
names-K (the checkpoint of --init with words and names of product texts and training products as
tokens) and for each seed S a fine-tuning NAME-K-sS, beside them what was run and what it printed.
What is finished stays, and a run that was cut off goes on.

LinearSVC has the same inputs and products. Its settings are chosen on validation, once for accuracy
and once for macro-F1 (cls/baselines.py); each score is beside the one that was chosen for it. A
product can be in the test split of several splits: standard errors of accuracies are clustered by
product (Liang & Zeger 1986), and McNemar's test (mid-p; Fagerland, Lydersen & Laake 2013) counts
for how many products the one is right more often than the other.
Standard errors of macro-F1 are over splits. That training splits overlap is in none of them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import torch

from beautybert.cls.classifier import Classifier
from beautybert.cls.model_card import CASE_NAMES
from beautybert.cls.pool import CASES
from beautybert.cls.products import INPUTS
from beautybert.cls.selection import SCHEMES

# of the main row, beyond the defaults of train_cls.py
DEFAULT_FLAGS: tuple[str, ...] = ()
ADD_TOKENS = "--add-vocab 2800 --add-names 3000 --max-length 256 --max-steps 0"
ANSWERS = {"prediction": "", "balanced": ", --prior balanced"}  # columns


# ---- the runs ----------------------------------------------------------------------------------


def run_unless_finished(
    command: Sequence[str], out: Path, result: str, args: argparse.Namespace
) -> None:
    """Run a command that writes --out `out`, unless its `result` is there already.

    The bench ends if the command fails, and if another one wrote the folder.
    """
    command = [*command, "--out", str(out), "--resume"]
    text = " ".join(command)
    written = args.runs / f"{out.name}.command"
    if (out / result).is_file():
        if written.is_file() and written.read_text(encoding="utf-8") != text:
            sys.exit(f"{out} was made by another command, see {written}; use another --name")
        return
    print(f"  {text}", file=sys.stderr, flush=True)
    written.write_text(text, encoding="utf-8")
    environment = dict(os.environ)
    if args.jobs > 1:
        environment["OMP_NUM_THREADS"] = "1"
    log = args.runs / f"{out.name}.txt"
    with open(log, "a", encoding="utf-8") as file:
        done = subprocess.run(
            [sys.executable, *command], stdout=file, stderr=subprocess.STDOUT, env=environment
        )
    if done.returncode:
        sys.exit(f"failed; see {log}")


def prepare(split: int, args: argparse.Namespace) -> None:
    """The folders split-K and names-K, the checkpoint that the runs of a split start from.

    It has read no list and no name of validation or test.
    """
    folder = args.runs / f"split-{split}"
    command = ["train_cls.py", "--data", *args.data, "--split-seed", str(split), "--describe"]
    run_unless_finished(command, folder, "splits.csv", args)
    command = ["train_mlm.py", "--data", args.products, str(folder / "train_lists.txt")]
    command += ["--init", args.init, *ADD_TOKENS.split(), "--cache-dir", str(args.runs / "cache")]
    run_unless_finished(command, args.runs / f"names-{split}", "model.safetensors", args)


def fine_tune(split: int, seed: int, args: argparse.Namespace) -> None:
    """The folder NAME-K-sS."""
    command = ["train_cls.py", "--data", *args.data, "--labels", args.labels]
    command += ["--split-seed", str(split), "--init", str(args.runs / f"names-{split}")]
    command += ["--seed", str(seed), *DEFAULT_FLAGS, *args.extra.split()]
    run_unless_finished(command, folder_of(split, seed, args), "report.json", args)


def folder_of(split: int, seed: int, args: argparse.Namespace) -> Path:
    """The folder of a fine-tuning."""
    return args.runs / f"{args.name}-{split}-s{seed}"


# ---- the answers -------------------------------------------------------------------------------


def read_answers(folder: Path) -> pd.DataFrame:
    """What a run and LinearSVC answer to each test product by each input that it has."""
    path = folder / "predictions_by_input.csv"
    answers = pd.read_csv(path, dtype=str, keep_default_na=False)
    if "linear_svc_macro_f1" not in answers:
        sys.exit(f"{path} was written by another version; use another --runs")
    if (answers["linear_svc"] == "").all():
        sys.exit(f"{path} has no answers of LinearSVC: run it where scikit-learn is installed")
    return answers


def average_answers(folders: Sequence[Path]) -> pd.DataFrame:
    """The same by the mean probabilities of runs that differ in their seed alone."""
    models = [Classifier.load(folder) for folder in folders]
    labels = models[0].labels
    assert all(model.labels == labels for model in models)
    products = pd.read_csv(folders[0] / "predictions_test.csv", dtype=str, keep_default_na=False)
    answers = read_answers(folders[0]).set_index(["input", "source", "row"])
    for case, parts in CASES.items():
        chosen = products[(products[list(parts)] != "").all(axis=1)]
        if chosen.empty:
            continue
        blank = [""] * len(chosen)
        texts = {part: chosen[part].tolist() if part in parts else blank for part in INPUTS}
        index = pd.MultiIndex.from_arrays([[case] * len(chosen), chosen["source"], chosen["row"]])
        for column in ANSWERS:
            found = [model.probabilities(texts, column == "balanced") for model in models]
            top = torch.stack([probabilities for probabilities, _ in found]).mean(0).argmax(-1)
            answered = found[0][1].any(0)  # the word models of the seeds are equal
            pairs = zip(top.tolist(), answered.tolist(), strict=True)
            answers.loc[index, column] = [labels[i] if known else "" for i, known in pairs]
    return answers.reset_index()


def with_all(answers: pd.DataFrame) -> pd.DataFrame:
    """Also each product once, by all inputs that it has: input "all"."""
    others_last = answers.assign(is_part=answers["input"] != "both").sort_values("is_part")
    fullest = others_last.drop_duplicates(["source", "row"]).drop(columns="is_part")
    return pd.concat([answers, fullest.assign(input="all")])


def collect(args: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """The answers of all finished runs, and of the averages of splits with all of the seeds."""
    found: dict[str, list[pd.DataFrame]] = {"one model": [], f"average of {len(args.seeds)}": []}
    single, average = found.values()
    for split in args.splits:
        folders = {seed: folder_of(split, seed, args) for seed in args.seeds}
        finished = {s: path for s, path in folders.items() if (path / "report.json").is_file()}
        missing = [path.name for seed, path in folders.items() if seed not in finished]
        if missing:
            print(f"not finished: {', '.join(missing)}", file=sys.stderr)
        for seed, folder in finished.items():
            single.append(with_all(read_answers(folder)).assign(split=split, seed=seed))
        if len(finished) > 1 and not missing:
            answers = with_all(average_answers(list(finished.values())))
            average.append(answers.assign(split=split, seed=-1))
    if not single:
        sys.exit(f"no finished run {args.name}-K-sS in {args.runs}")
    return {name: pd.concat(parts) for name, parts in found.items() if parts}


# ---- the table ---------------------------------------------------------------------------------


def correct_share(answers: pd.DataFrame, column: str) -> pd.Series:
    """The share of seeds that are right, for each split, source and row."""
    is_correct = answers[column] == answers["label"]
    return is_correct.groupby([answers[key] for key in ("split", "source", "row")]).mean()


def macro_f1(answers: pd.DataFrame, column: str) -> pd.Series:
    """Macro-F1 of each split, the mean over its seeds.

    Over the labels that occur among targets or answers, as in report.json.
    """
    from sklearn.metrics import f1_score

    by_split: dict[int, list[float]] = {}
    for (split, _), rows in answers.groupby(["split", "seed"]):
        labels = sorted({*rows["label"], *rows[column]} - {""})
        value = f1_score(
            rows["label"], rows[column], labels=labels, average="macro", zero_division=0
        )
        by_split.setdefault(split, []).append(value)
    return pd.Series({split: mean(values) for split, values in by_split.items()})


def clustered_mean(values: pd.Series) -> tuple[float, float]:
    """The mean of values by split, source and row, and its standard error clustered by product."""
    sums = (values - values.mean()).groupby(["source", "row"]).sum()
    variance = (sums**2).sum() * len(sums) / max(len(sums) - 1, 1)
    return values.mean(), math.sqrt(variance) / len(values)


def mean_over_splits(values: pd.Series) -> tuple[float, float]:
    """The mean, and its standard error; nan for one split, which has none."""
    spread = stdev(values) if len(values) > 1 else math.nan
    return values.mean(), spread / math.sqrt(len(values))


def mcnemar(difference: pd.Series) -> float:
    """The mid-p value that as many products speak for the one as for the other."""
    sums = difference.groupby(["source", "row"]).sum().round(6)  # thirds of three seeds cancel
    num_for, num_against = int((sums > 0).sum()), int((sums < 0).sum())
    n, smaller = num_for + num_against, min(num_for, num_against)
    below = sum(math.comb(n, i) for i in range(smaller))
    return (2 * below + math.comb(n, smaller)) / 2**n


def print_table(answers: dict[str, pd.DataFrame]) -> None:
    """For each input LinearSVC, and below it all that is compared with it."""
    print(
        "| input | answered by | accuracy, % | beyond LinearSVC | p | macro-F1 | beyond LinearSVC |"
    )
    print("|---|---|---|---|---|---|---|")
    for case, case_name in {**CASE_NAMES, "all": "as they are"}.items():
        of_case = {who: found[found["input"] == case] for who, found in answers.items()}
        of_models = of_case["one model"]
        if of_models.empty:
            continue
        svc_correct = correct_share(of_models, "linear_svc")
        svc_f1 = macro_f1(of_models, "linear_svc_macro_f1")
        shown = f"{case_name}, {len(svc_correct):,} rows"
        accuracy = interval(clustered_mean(100 * svc_correct), ".1f")
        print(f"| {shown} | LinearSVC | {accuracy} | | | {interval(mean_over_splits(svc_f1))} | |")
        for (who, rows), column in itertools.product(of_case.items(), ANSWERS):
            correct, f1 = correct_share(rows, column), macro_f1(rows, column)
            difference = (correct - svc_correct).dropna()  # averages may lack a split
            f1_difference = (f1 - svc_f1).dropna()
            cells = [
                "",
                who + ANSWERS[column],
                interval(clustered_mean(100 * correct), ".1f"),
                interval(clustered_mean(100 * difference), "+.1f"),
                f"{mcnemar(difference):.2g}",
                interval(mean_over_splits(f1)),
                interval(mean_over_splits(f1_difference), "+.3f"),
            ]
            print(f"| {' | '.join(cells)} |")


def interval(value: tuple[float, float], form: str = ".3f") -> str:
    """A mean and its standard error."""
    return f"{value[0]:{form}} ± {value[1]:{form.removeprefix('+')}}"


def main() -> None:
    """Train what is missing, then print the table of what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", help="labelled tables")
    parser.add_argument("--products", help="product texts for train_mlm.py")
    parser.add_argument("--init", help="checkpoint folder or hub name")
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--labels", default="canonical", choices=SCHEMES)
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--extra", default="", help="more options of train_cls.py")
    parser.add_argument("--name", help="of the runs [that of --labels]")
    parser.add_argument("--jobs", type=int, default=1, help="at once; of several, on a core each")
    parser.add_argument("--only-report", action="store_true", help="run nothing")
    args = parser.parse_args()
    if args.extra and not args.name:
        parser.error("--extra needs a --name of its own")
    args.name = args.name or args.labels
    if not args.only_report:
        if not (args.data and args.products and args.init):
            parser.error("--data, --products and --init are needed, unless --only-report")
        args.runs.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(args.jobs) as pool:  # list() raises what a run raised
            list(pool.map(prepare, args.splits, itertools.repeat(args)))
            seeds, splits = zip(*itertools.product(args.seeds, args.splits), strict=True)
            list(pool.map(fine_tune, splits, seeds, itertools.repeat(args)))
    print_table(collect(args))


if __name__ == "__main__":
    main()
