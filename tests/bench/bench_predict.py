"""What a catalogue costs: rows a second and memory of predict, and where its time goes.

    python -m tests.bench.bench_predict runs/categories --table sephora_website_dataset.csv \\
        --rows 100000
    python -m tests.bench.bench_predict runs/categories --quick
        2,000 rows of the sample, under 2 minutes

`bench_cls --keep FOLDER` makes a model of MiniLM's shape in FOLDER. The catalogue has the rows of
the table again and again, with a running number behind each name, so that no name comes twice.
`python -m beautybert.predict` answers a tenth of it, then all of it, each in a process of its own
whose start counts; memory is the largest resident set of that process. What the parts of the work
take is measured in this process, on a CPU and the first --sample rows, in seconds and in those of
the processor, which differ on a busy machine or with several threads.
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

import torch

import train_cls
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


class Seconds:
    """What each part of the work takes: seconds, and seconds of processor time of all threads."""

    def __init__(self) -> None:
        self.wall: Counter = Counter()
        self.cpu: Counter = Counter()

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Adds what this block takes to a part."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall[part] += time.perf_counter() - wall
            self.cpu[part] += time.process_time() - cpu


@contextmanager
def timed(owner: object, name: str, seconds: Seconds, part: str) -> Iterator[None]:
    """Adds up what a function takes, each time it is called."""
    function = getattr(owner, name)

    def measured(*arguments, **keywords):
        with seconds.of(part):
            return function(*arguments, **keywords)

    with patch.object(owner, name, measured):
        yield


def seconds_of_parts(arguments: list[str], output: Path) -> Seconds:
    """What each part of predict takes, in this process, without loading the model."""
    config = options.parse(predict.PredictConfig, None, arguments)
    model = classifier.Classifier.load(config.model)
    seconds = Seconds()
    all_of_it = Seconds()
    with ExitStack() as stack:
        for part, (owner, name) in PARTS.items():
            stack.enter_context(timed(owner, name, seconds, part))
        stack.enter_context(all_of_it.of("all"))
        with seconds.of("reading"):
            catalogue = predict.open_catalogue(config, model)  # counts the rows: a pass
        with predict.output_file(config.output) as file:
            predict.predict_table(catalogue, model, config, file)
    with seconds.of("reading"):
        for _ in catalogue.parts():  # a second one
            pass
    answers = TableFile(output)
    rows = list(answers)
    with seconds.of("writing"), open(output, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([answers.columns, *rows])
    seconds.wall["the rest"] = all_of_it.wall["all"] - seconds.wall.total()
    seconds.cpu["the rest"] = all_of_it.cpu["all"] - seconds.cpu.total()
    return seconds


def print_parts(seconds: Seconds, num_rows: int) -> None:
    """A line for each part, the longest first."""
    print(f"\n{num_rows:,} rows, {torch.get_num_threads()} thread(s)\n")
    print("| part | seconds | share | processor seconds | share |\n|---|---|---|---|---|")
    wall, cpu = seconds.wall, seconds.cpu
    for part, _ in wall.most_common():
        cells = [part, f"{wall[part]:.2f}", f"{wall[part] / wall.total():.1%}"]
        cells += [f"{cpu[part]:.2f}", f"{cpu[part] / cpu.total():.1%}"]
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="run folder of train_cls.py")
    parser.add_argument("--table", default=train_cls.SAMPLE[1], help="with a column of names")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=2000, help="rows for the parts")
    parser.add_argument("--flags", default="", help="more options of predict")
    parser.add_argument(
        "--quick", action="store_true", help="2,000 rows, 500 of them for the parts"
    )
    args = parser.parse_args()
    if args.quick:
        args.rows, args.sample = 2000, 500

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
        print_parts(seconds_of_parts(arguments, output), args.sample)


if __name__ == "__main__":
    main()
