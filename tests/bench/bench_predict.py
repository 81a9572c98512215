"""What a catalogue costs: rows a second and memory of predict, and where its time goes.

    python -m tests.bench.bench_predict runs/categories --table sephora_website_dataset.csv \\
        --rows 100000

The catalogue has the rows of the table again and again, with a running number behind each name, so
that no name comes twice. `python -m beautybert.predict` answers a tenth of it, then all of it, each
in a process of its own whose start counts; memory is the largest resident set of that process. What
the parts of the work take is measured in this process, on a CPU and the first --sample rows.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from beautybert import predict
from beautybert.bert.model import BertForSequenceClassification
from beautybert.cls import classifier, word_model
from beautybert.cls.columns import find_columns
from beautybert.table_files import TableFile
from beautybert.training import options

# what is timed where predict calls it
PARTS = {
    "parsing": (classifier, "read"),
    "known words": (classifier.Classifier, "readable"),
    "tokenising": (classifier, "encode_documents"),
    "model": (BertForSequenceClassification, "forward"),
    "word models": (word_model, "logits"),
}


def write_catalogue(table: TableFile, path: Path, num_rows: int) -> None:
    """A CSV of so many rows of a table, in its order, again and again."""
    (name,) = find_columns(table, {}, needed=["name"])["name"]
    rows = itertools.chain.from_iterable(itertools.repeat(table))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        for number, row in enumerate(itertools.islice(rows, num_rows)):
            row[name] = f"{row[name]} {number}"
            writer.writerow(row)


def run_predict(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of predict as a command."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "beautybert.predict", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {shlex.join(command)}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


@contextmanager
def timed(owner: object, name: str, seconds: Counter, part: str) -> Iterator[None]:
    """Adds up the seconds that a function takes, each time it is called."""
    function = getattr(owner, name)

    def measured(*arguments, **keywords):
        began = time.perf_counter()
        try:
            return function(*arguments, **keywords)
        finally:
            seconds[part] += time.perf_counter() - began

    with patch.object(owner, name, measured):
        yield


def seconds_of_parts(arguments: list[str], output: Path) -> Counter:
    """Seconds of each part of predict, in this process, without loading the model."""
    config = options.parse(predict.PredictConfig, None, arguments)
    model = classifier.Classifier.load(config.model)
    seconds: Counter = Counter()
    with ExitStack() as stack:
        for part, (owner, name) in PARTS.items():
            stack.enter_context(timed(owner, name, seconds, part))
        began = time.perf_counter()
        catalogue = predict.open_catalogue(config, model)
        seconds["reading"] = time.perf_counter() - began  # counts the rows: a pass
        with predict.output_file(config.output) as file:
            predict.predict_table(catalogue, model, config, file)
        total = time.perf_counter() - began
    began = time.perf_counter()
    for _ in catalogue.parts():  # a second one
        pass
    seconds["reading"] += time.perf_counter() - began
    answers = TableFile(output)
    rows = list(answers)
    began = time.perf_counter()
    with open(output, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([answers.columns, *rows])
    seconds["writing"] = time.perf_counter() - began
    seconds["the rest"] = total - seconds.total()
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="run folder of train_cls.py")
    parser.add_argument("--table", required=True, help="with a column of names")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=2000, help="rows for the parts")
    parser.add_argument("--flags", default="", help="more options of predict")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as work:
        catalogue, output = Path(work) / "catalogue.csv", Path(work) / "answers.csv"
        flags = ["--input", str(catalogue), "--output", str(output), "--force"]
        arguments = [args.model, *flags, *args.flags.split()]
        print("| rows | seconds | rows/s | peak memory, MiB |\n|---|---|---|---|")
        for num_rows in (args.rows // 10, args.rows):
            write_catalogue(TableFile(args.table), catalogue, num_rows)
            seconds, memory = run_predict(arguments)
            print(f"| {num_rows:,} | {seconds:.1f} | {num_rows / seconds:,.0f} | {memory:,.0f} |")
        write_catalogue(TableFile(args.table), catalogue, args.sample)
        parts = seconds_of_parts(arguments, output)
    shares = [f"{part} {n / parts.total():.1%}" for part, n in parts.most_common()]
    print(f"\n{args.sample:,} rows in {parts.total():.1f} s: {', '.join(shares)}")


if __name__ == "__main__":
    main()
