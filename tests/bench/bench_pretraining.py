"""Does pretraining on product texts make a better classifier? Accuracy by start and labelled data.

    python -m tests.bench.bench_pretraining --data cosmetics.csv sephora_website_dataset.csv \\
        --products products.json.gz --init all-MiniLM-L6-v2/model --runs runs/pretraining \\
        --amp bf16 --jobs 2
    python -m tests.bench.bench_pretraining --runs runs/pretraining --only-report --picture FILE
        the table and the picture of the runs that are finished
    python -m tests.bench.bench_pretraining --quick --runs FOLDER
        the same on the sample with a tiny model, about 4 minutes; says nothing about the question

Four starts of one shape and vocabulary, that of --init with words and names of the texts of
pretraining as tokens: random weights; random weights after train_mlm.py; --init; --init after
train_mlm.py. Each is fine-tuned by train_cls.py for the families of products (--labels group) with
50, 200, 1,000 and all labelled training products, for so many steps, and judged on the same test
products. All labelled validation products pick weights and fit the pool, whatever the number for
training. --init may have no masked-LM head, as sentence encoders have none; then it is a new one.

What pretraining reads: the texts of --products without those in which a name of a validation or
test product (of two words or more, or alone as the whole title) or the beginning of its list
occurs, and the lists and names of the training products. train_cls.py checks it again. Names such
as "lip liner" are held out too, so few texts about lip liners are left.

Settings are chosen on validation, one after the other, by the mean loss of the fine-tunings with
200 and with 1,000 products, all seeds: the rate of pretraining after one epoch with words masked,
then the unit that is masked, then the number of epochs; for random weights the rate of pretraining
with words masked and, of those that are not pretrained, the rate of fine-tuning. `Budget` is all
that is run. Everything is resumable: what is finished stays.

An answer is that of the finished classifier, which also has linear models over words, or that of
the encoder alone. Differences are paired by product, labelled subset and seed; their standard error
joins those over test products and, with two seeds or more, over seeds. `bench_encoder` says what
pretraining changed.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd
import torch

from beautybert import files
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertForMaskedLM
from beautybert.cls import selection, splits
from beautybert.cls.classifier import Classifier
from beautybert.cls.documents import given
from beautybert.cls.model_card import CASE_NAMES
from beautybert.cls.names import name_key
from beautybert.cls.pool import CASES, only
from beautybert.cls.products import INPUTS, Product, read_products
from beautybert.mlm.corpus import TEXT_FIELDS, document_text
from beautybert.mlm.corpus_files import file_kind, read_chunks
from beautybert.training import sample
from tests.bench.bench_accuracy import clustered_mean, macro_f1, run_unless_finished

ALL = 0  # of labelled products
NAMES = {
    "random": "random weights",
    "random-mlm": "random weights, pretrained",
    "init": "checkpoint",
    "init-mlm": "checkpoint, pretrained",
}
BEFORE = {"random-mlm": "random", "init-mlm": "init"}  # what a start is compared with
ANSWERS = {"encoder": "the encoder alone", "prediction": "the classifier"}  # columns


@dataclass(frozen=True)
class Budget:
    """All that is trained.

    steps: of fine-tuning, by the number of labelled products. rates, epochs, units: of pretraining,
    from which the checkpoint's are chosen, random_rates and random_epochs: those of random weights.
    fine_tuning_rates: of random weights that are not pretrained, from which theirs is chosen.
    chosen_by: numbers of labelled products. add_tokens, pretraining, fine_tuning: more options.
    """

    steps: dict[int, int]
    chosen_by: tuple[int, ...]
    rates: tuple[float, ...] = (1e-4, 3e-4, 5e-5)
    epochs: tuple[int, ...] = (1, 3)
    units: tuple[str, ...] = ("word", "ingredient")
    random_rates: tuple[float, ...] = (1e-3, 3e-4, 1e-4)
    random_epochs: int = 3
    fine_tuning_rates: tuple[float, ...] = (1e-3, 2e-4)
    add_tokens: str = "--add-vocab 2800 --add-names 3000"
    pretraining: str = "--batch-tokens 4096 --max-length 256 --eval-interval 0"
    fine_tuning: str = ""


FULL = Budget(steps={50: 100, 200: 150, 1000: 250, ALL: 1400}, chosen_by=(200, 1000))
QUICK = Budget(
    steps={50: 10, ALL: 20},
    chosen_by=(50,),
    add_tokens="--add-vocab 50 --add-names 50",
    pretraining="--batch-tokens 4096 --micro-batch-tokens 1024 --max-length 64 --eval-interval 0",
)


# ---- the data ----------------------------------------------------------------------------------


def held_out_phrases(held_out: Sequence[Product]) -> set[tuple[str, ...]]:
    """What no text of pretraining may contain, as words: names, and eight words of each list."""
    phrases = set()
    for product in held_out:
        phrases.add(tuple(name_key(product.name).split()))
        phrases.add(tuple(name_key(product.ingredients).split()[:8]))
    return phrases - {()}


def is_leaked(text: str, title: str, phrases: set[tuple[str, ...]], longest: int) -> bool:
    """Whether a text has a phrase of two words or more in it, or its title is a phrase.

    longest: words of the longest phrase.
    """
    if tuple(name_key(title).split()) in phrases:
        return True
    words = name_key(text).split()
    return any(
        tuple(words[start:stop]) in phrases
        for start in range(len(words))
        for stop in range(start + 2, min(start + longest, len(words)) + 1)
    )


def clean_texts(products: str, held_out: Sequence[Product]) -> Iterator[str]:
    """The texts of a corpus that hold nothing of the products held out."""
    phrases = held_out_phrases(held_out)
    longest = max(map(len, phrases))
    kind = file_kind(Path(products))
    for chunk in read_chunks(products):
        for row in chunk.rows:
            try:
                text = document_text(row, kind, TEXT_FIELDS)
                title = document_text(row, kind, ("title",))
            except ValueError:  # malformed, which train_mlm.py would skip too
                continue
            if text and not is_leaked(text, title, phrases, longest):
                yield text


def label_subset(products: Sequence[Product], size: int, seed: int) -> list[Product]:
    """So many products at random: one of each label, then any; in their order. All: size 0."""
    if not size or size >= len(products):
        return list(products)
    order = np.random.default_rng(seed).permutation(len(products)).tolist()
    first_of: dict[str, int] = {}
    for index in order:
        first_of.setdefault(products[index].label, index)
    chosen = dict.fromkeys([*first_of.values(), *order])
    return [products[index] for index in sorted(list(chosen)[:size])]


def write_table(path: Path, by_split: dict[str, Sequence[Product]]) -> None:
    """A table of products for train_cls.py, with their split."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "ingredients", "label", "split"))
        for split, products in by_split.items():
            writer.writerows((p.name, p.ingredients, p.label, split) for p in products)


def make_tables(args: argparse.Namespace) -> None:
    """The labelled tables, texts.txt, which pretraining reads, and what they are made from.

    The bench ends if others are there.
    """
    folder = args.runs / "tables"
    made_from = {"data": args.data, "products": args.products, "split": args.split}
    if folder.is_dir() and not (folder / "texts.txt").is_file():
        shutil.rmtree(folder)
    if folder.is_dir() and files.read_json(folder / "made_from.json") != made_from:
        sys.exit(f"{folder} is of other data, see its made_from.json; use another --runs")
    wanted = [table_of(size, seed, args) for size in args.budget.steps for seed in args.seeds]
    if folder.is_dir() and all(path.is_file() for path in wanted):
        return
    everything, counts = read_products(args.data)
    by_split = splits.split_products(everything, "list", args.split)
    by_split, _ = selection.select(by_split, (), "group", None, 5, counts)
    for size in args.budget.steps:
        for seed in args.seeds:
            train = label_subset(by_split["train"], size, seed)
            write_table(table_of(size, seed, args), by_split | {"train": train})
    files.write_json(folder / "made_from.json", made_from)
    texts = [p.ingredients for p in by_split["train"]] + [p.name for p in by_split["train"]]
    texts += clean_texts(args.products, [*by_split["valid"], *by_split["test"]])
    lines = "".join(text + "\n" for text in dict.fromkeys(texts) if text)
    files.write_text(folder / "texts.txt", lines)


def table_of(size: int, seed: int, args: argparse.Namespace) -> Path:
    """The table with so many labelled products."""
    return args.runs / "tables" / f"{size_name(size)}-s{seed}.csv"


def make_starts(args: argparse.Namespace) -> None:
    """The two starts that are not pretrained: `init`, with more tokens, and `random`."""
    command = ["train_mlm.py", "--data", str(args.runs / "tables" / "texts.txt")]
    command += ["--init", args.init, *args.budget.add_tokens.split(), "--max-steps", "0"]
    command += [*args.budget.pretraining.split(), "--cache-dir", str(args.runs / "cache")]
    init, random = args.runs / "init", args.runs / "random"
    run_unless_finished(command, init, "model.safetensors", args)
    if not (random / "model.safetensors").is_file():
        config = pretrained.read_config(init)
        wordpiece.write(wordpiece.read(init), random, config.max_position_embeddings)
        torch.manual_seed(0)
        pretrained.save(random, BertForMaskedLM(config))


def size_name(size: int) -> str:
    """Of a number of labelled products, in names of files."""
    return f"n{size}" if size else "all"


# ---- the runs ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """A checkpoint to fine-tune. rate, epochs and unit of pretraining; epochs 0: none."""

    before: str
    rate: float = 0.0
    epochs: int = 0
    unit: str = "word"

    @property
    def name(self) -> str:
        """Of its folder."""
        pretraining = f"-mlm-{self.rate:g}-{self.epochs}-{self.unit}" if self.epochs else ""
        return self.before + pretraining


def pretrain(start: Start, args: argparse.Namespace) -> None:
    """The folder of a start."""
    if not start.epochs:
        return
    command = ["train_mlm.py", "--data", str(args.runs / "tables" / "texts.txt")]
    command += ["--init", str(args.runs / start.before), "--lr", f"{start.rate:g}"]
    command += ["--epochs", str(start.epochs), "--mask-unit", start.unit, "--amp", args.amp]
    command += [*args.budget.pretraining.split(), "--cache-dir", str(args.runs / "cache")]
    command += ["--save-interval", "100", "--keep", "1"]
    run_unless_finished(command, args.runs / start.name, "model.safetensors", args)


def run_name(start: Start, rate: float | None) -> str:
    """How the folders of a start's fine-tunings at a rate begin."""
    return f"{start.name}-lr{rate:g}" if rate else start.name


def fine_tune(
    start: Start, size: int, seed: int, args: argparse.Namespace, rate: float | None = None
) -> Path:
    """The folder of a fine-tuning, with the answers of its encoder; the model is not kept.

    rate: None for the default.
    """
    steps = args.budget.steps[size]
    folder = args.runs / f"{run_name(start, rate)}-{size_name(size)}-s{seed}"
    table = table_of(size, seed, args)
    command = ["train_cls.py", "--data", str(table), "--columns", "split=split"]
    command += ["--min-per-label", "1", "--no-baseline", "--init", str(args.runs / start.name)]
    command += ["--seed", str(seed), "--max-steps", str(steps), "--eval-interval", str(steps // 4)]
    command += ["--save-interval", "0", "--amp", args.amp]
    command += ["--lr", f"{rate:g}"] if rate else []
    command += args.budget.fine_tuning.split()
    run_unless_finished(command, folder, "confusion.csv", args)
    if not (folder / "encoder.csv").is_file():
        write_encoder_answers(folder, table)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    (folder / "model.safetensors").unlink(missing_ok=True)
    return folder


def write_encoder_answers(folder: Path, table: Path) -> None:
    """encoder.csv: predictions_by_input.csv with a column of what the encoder alone answers."""
    found, _ = read_products([table], ["split=split"])
    test = [product for product in found if product.split == "test"]
    answers = pd.read_csv(folder / "predictions_by_input.csv", dtype=str, keep_default_na=False)
    answers = answers.set_index(["input", "row"])
    model = Classifier.load(folder)
    assert model.encoder_pool is not None
    texts = {part: [getattr(product, part) for product in test] for part in INPUTS}
    logits, has = model.document_logits(texts), given(texts)
    for case in CASES:
        complete, looked_at = only(has, case)
        part = {term: tensor[complete] for term, tensor in logits.items()}
        top = model.encoder_pool(part, looked_at[:, complete]).argmax(-1).tolist()
        rows = [(case, str(test[n].row)) for n in complete.nonzero().flatten().tolist()]
        answers.loc[rows, "encoder"] = [model.labels[i] for i in top]
    files.write_text(folder / "encoder.csv", answers.reset_index().to_csv(index=False))


def validation_loss(folder: Path) -> float:
    """That of the weights that a fine-tuning has kept."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report["best"]["value"]


def score(start: Start, args: argparse.Namespace, rate: float | None = None) -> float:
    """What settings are chosen by, the smaller the better."""
    pretrain(start, args)
    return mean(
        validation_loss(fine_tune(start, size, seed, args, rate))
        for size in args.budget.chosen_by
        for seed in args.seeds
    )


def best_pretraining(args: argparse.Namespace) -> Start:
    """How the checkpoint is pretrained best: its rate, then its unit, then its epochs."""
    budget = args.budget
    best = Start("init", budget.rates[0], budget.epochs[0], budget.units[0])
    for name, values in (("rate", budget.rates), ("unit", budget.units), ("epochs", budget.epochs)):
        candidates = [replace(best, **{name: value}) for value in values]
        best = min(candidates, key=lambda candidate: score(candidate, args))
    return best


def judge(role: str, start: Start, args: argparse.Namespace, rate: float | None = None) -> None:
    """All fine-tunings of one of the four starts, and their names for the report."""
    pretrain(start, args)
    name = run_name(start, rate)
    for mark in (args.runs / "judged").glob(f"{role}-[an]*-s*"):
        if not mark.read_text(encoding="utf-8").startswith(f"{name}-{mark.name[len(role) + 1]}"):
            mark.unlink()  # of another budget
    for seed in args.seeds:
        for size in args.budget.steps:
            if size != ALL or seed in args.seeds_of_all:
                folder = fine_tune(start, size, seed, args, rate)
                (args.runs / "judged").mkdir(exist_ok=True)
                mark = args.runs / "judged" / f"{role}-{size_name(size)}-s{seed}"
                mark.write_text(folder.name, encoding="utf-8")


def best_of_random(args: argparse.Namespace) -> Start:
    """Random weights, pretrained at the best rate."""
    rates, epochs = args.budget.random_rates, args.budget.random_epochs
    return min(
        (Start("random", rate, epochs) for rate in rates), key=lambda start: score(start, args)
    )


def best_fine_tuning(args: argparse.Namespace) -> float:
    """The rate of fine-tuning random weights that are not pretrained."""
    rates = args.budget.fine_tuning_rates
    return min(rates, key=lambda rate: score(Start("random"), args, rate))


def run(args: argparse.Namespace) -> None:
    """Train what is missing; with two jobs two of the four starts beside each other."""
    make_tables(args)
    make_starts(args)
    tasks = (  # the longest first
        lambda: judge("init-mlm", best_pretraining(args), args),
        lambda: judge("random-mlm", best_of_random(args), args),
        lambda: judge("init", Start("init"), args),
        lambda: judge("random", Start("random"), args, best_fine_tuning(args)),
    )
    if args.jobs > 1:
        torch.set_num_threads(1)
    with ThreadPoolExecutor(args.jobs) as pool:
        futures = [pool.submit(task) for task in tasks]
        for finished in as_completed(futures):
            if error := finished.exception():
                print(f"one of the four stopped: {error}", file=sys.stderr, flush=True)
        for future in futures:
            future.result()


# ---- the table ---------------------------------------------------------------------------------


def collect(args: argparse.Namespace) -> pd.DataFrame:
    """The answers of all judged runs by input, with their start, size and seed.

    Columns "encoder correct" and "prediction correct" are 0 or 1.
    """
    found = []
    for mark in sorted((args.runs / "judged").glob("*-s*")):
        role, size, seed = mark.name.rsplit("-", 2)
        folder = args.runs / mark.read_text(encoding="utf-8")
        answers = pd.read_csv(folder / "encoder.csv", dtype=str, keep_default_na=False)
        number = ALL if size == "all" else int(size[1:])
        answers = answers.assign(start=role, size=number, seed=int(seed[1:]))
        # with the same products of a test split, whose rows are elsewhere in each table
        rows = answers["row"].astype(int)
        found.append(answers.assign(source="test", row=rows - rows.min()))
    if not found:
        sys.exit(f"nothing is judged in {args.runs}")
    answers = pd.concat(found)
    for column in ANSWERS:
        answers[f"{column} correct"] = (answers[column] == answers["label"]).astype(float)
    return answers


def difference(one: pd.DataFrame, other: pd.DataFrame, column: str) -> tuple[float, float]:
    """Mean of one's minus the other's and its standard error, in points.

    Paired by product and seed; the error joins those over products and, with two seeds or more,
    over seeds.
    """
    keys = ["source", "row", "seed"]
    pairs = one.set_index(keys)[f"{column} correct"] - other.set_index(keys)[f"{column} correct"]
    pairs = 100 * pairs.dropna()
    value, error = clustered_mean(pairs.groupby(["source", "row"]).mean())
    by_seed = pairs.groupby("seed").mean()
    over_seeds = stdev(by_seed) / math.sqrt(len(by_seed)) if len(by_seed) > 1 else 0.0
    return value, math.hypot(error, over_seeds)


def print_choices(args: argparse.Namespace) -> None:
    """What settings were chosen by: the validation losses of each start, means over all seeds."""
    sizes = args.budget.chosen_by
    first = f"-{size_name(sizes[0])}-s{args.seeds[0]}"
    labelled = " | ".join(f"{size:,} labelled" for size in sizes)
    print(f"| start | validation loss, {labelled} | mean |")
    print("|---|---|" + "---|" * len(sizes))
    for path in sorted(args.runs.glob(f"*{first}/report.json")):
        start = path.parent.name.removesuffix(first)
        folders = [
            [args.runs / f"{start}-{size_name(size)}-s{seed}" for seed in args.seeds]
            for size in sizes
        ]
        if all((folder / "report.json").is_file() for folder in sum(folders, [])):
            losses = [mean(map(validation_loss, of_size)) for of_size in folders]
            print(f"| {start} | {' | '.join(f'{x:.3f}' for x in [*losses, mean(losses)])} |")
    print()


def print_table(answers: pd.DataFrame) -> None:
    """Accuracy and macro-F1 by input, number of labelled products, and start."""
    print("| input | labelled | start | seeds | " + " | ".join(
        f"{who}: accuracy, % | by pretraining | macro-F1" for who in ANSWERS.values()
    ) + " |")  # fmt: skip
    print("|---|---|---|---|" + "---|---|---|" * len(ANSWERS))
    for case, case_name in CASE_NAMES.items():
        of_case = answers[answers["input"] == case]
        for size in sorted(set(of_case["size"]), key=lambda size: size or math.inf):
            of_size = of_case[of_case["size"] == size]
            by_start = {role: of_size[of_size["start"] == role] for role in NAMES}
            for role, rows in by_start.items():
                if rows.empty:
                    continue
                cells = [case_name, f"{size:,}" if size else "all", NAMES[role]]
                cells.append(str(rows["seed"].nunique()))
                for column in ANSWERS:
                    cells.append(f"{100 * rows[f'{column} correct'].mean():.1f}")
                    before = by_start.get(BEFORE.get(role, ""), rows[:0])
                    gain = ""
                    if not before.empty:
                        value, error = difference(rows, before, column)
                        gain = f"{value:+.1f} ± {error:.1f}"
                        paired = set(rows["seed"]) & set(before["seed"])
                        gain += " (one seed)" if len(paired) == 1 else ""
                    cells += [gain, f"{macro_f1(rows.assign(split=0), column).mean():.3f}"]
                print(f"| {' | '.join(cells)} |")


def draw(answers: pd.DataFrame, path: Path) -> None:
    """Accuracy against the number of labelled products, a panel an input."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(CASE_NAMES), figsize=(11, 4), sharey=True)
    sizes = sorted(set(answers["size"]), key=lambda size: size or math.inf)
    for panel, (case, case_name) in zip(panels, CASE_NAMES.items(), strict=True):
        of_case = answers[answers["input"] == case]
        for number, (role, name) in enumerate(NAMES.items()):
            rows = of_case[of_case["start"] == role]
            for column, style in (("encoder", "-"), ("prediction", ":")):
                means = 100 * rows.groupby("size")[f"{column} correct"].mean()
                ticks = [x for x, size in enumerate(sizes) if size in means.index]
                label = name if column == "encoder" else None
                values = [means[sizes[x]] for x in ticks]
                panel.plot(ticks, values, style, color=f"C{number}", marker="o", label=label)
        panel.set_title(case_name)
        panel.set_xticks(range(len(sizes)), [f"{size:,}" if size else "all" for size in sizes])
        panel.set_xlabel("labelled products")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy, %")
    legend = {"fontsize": 8, "title_fontsize": 8, "loc": "upper left"}
    panels[1].legend(title="encoder alone; dotted: classifier", **legend)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train what is missing, then print the table of what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", help="labelled tables")
    parser.add_argument("--products", help="product texts")
    parser.add_argument("--init", help="checkpoint folder or hub name")
    parser.add_argument("--runs", type=Path, default=Path("runs/pretraining"))
    parser.add_argument("--split", type=int, default=0, help="seed of the split")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--seeds-of-all", nargs="+", type=int, help="with all products [--seeds]")
    parser.add_argument("--amp", default="none", choices=("none", "bf16"))
    parser.add_argument("--jobs", type=int, default=1, choices=(1, 2), help="2: on a core each")
    parser.add_argument("--only-report", action="store_true", help="run nothing")
    parser.add_argument("--picture", type=Path, help="PNG to draw")
    parser.add_argument("--quick", action="store_true", help="the sample, a tiny model")
    args = parser.parse_args()
    args.budget = QUICK if args.quick else FULL
    if args.quick:
        args.seeds = [0, 1]
    args.seeds_of_all = args.seeds if args.seeds_of_all is None else args.seeds_of_all
    args.runs.mkdir(parents=True, exist_ok=True)
    for module in ("sklearn", "matplotlib") if args.picture else ("sklearn",):
        if not importlib.util.find_spec(module):
            parser.error(f"needs {module}: pip install -e '.[test]'")
    if args.quick and not args.only_report:
        names = ("cosmetics.csv", "sephora_website_dataset.csv")
        args.data = [sample.path_of(name) for name in names]
        args.products = sample.path_of("meta_All_Beauty.json.gz")
        args.init = str(args.runs / "tiny")
        command = ["train_mlm.py", "--max-steps", "0", "--cache-dir", str(args.runs / "cache")]
        run_unless_finished(command, args.runs / "tiny", "model.safetensors", args)
    if not args.only_report:
        if not (args.data and args.products and args.init):
            parser.error("--data, --products and --init are needed, unless --only-report")
        run(args)
    answers = collect(args)
    print_choices(args)
    print_table(answers)
    if args.picture:
        draw(answers, args.picture)


if __name__ == "__main__":
    main()
