"""Say what is in data files, at a glance: `python -m beautybert.describe FILE ...`.

    python -m beautybert.describe data/meta_All_Beauty.json.gz --init bert-base-uncased
    python -m beautybert.describe data/cosmetics.csv data/sephora_website_dataset.csv --labels group

Of a corpus, what train_mlm.py reads: rows, what is dropped and why, lengths in tokens, the share of
[UNK], ten texts as the model sees them. The tokens are kept where train_mlm.py looks for them. Of
tables of labelled products, what train_cls.py reads: labels, lengths, splits, ten products. Files
with labels are such tables.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beautybert import files
from beautybert.bert import model_folder, wordpiece
from beautybert.cls import columns, description, products, selection, splits
from beautybert.mlm import corpus, token_cache
from beautybert.mlm.corpus_files import file_kind, read_chunks
from beautybert.table_files import header_key
from beautybert.training import options
from beautybert.training.distributed import Ranks
from beautybert.training.options import option

KINDS = ("corpus", "products")
LABELS = {header_key(name) for name in (*columns.HEADERS["label"], *columns.LABEL_LEVELS)}
TEXTS = {header_key(name) for part in products.INPUTS for name in columns.HEADERS[part]}
OPTIONS = {  # that describe shares with the scripts
    "train_mlm": ("init", "vocab_size", "text_fields"),
    "train_cls": ("columns", "inputs", "labels", "label_table", "min_per_label"),
}
SHARES = (0.5, 0.9, 0.99)  # of the documents, that have at most so many tokens
SHOWN = 10  # examples
WIDTH = 96  # characters of an example


@dataclass(frozen=True)
class DescribeConfig:
    """The options of describe."""

    files: tuple[str, ...] = option((), "texts, or tables of labelled products", positional=True)
    as_: str | None = option(
        None, "what the files are [products where there are labels]", choices=KINDS, group="files"
    )

    init: str = option(
        "scratch",
        "checkpoint folder or hub name whose tokens are counted; scratch: learned from the texts",
        group="a corpus",
    )
    vocab_size: int = option(2000, "tokens to learn from the texts", gt=0, le=1_000_000)
    text_fields: tuple[str, ...] = option(
        corpus.TEXT_FIELDS, "fields of a record that are joined to its text"
    )
    cache_dir: str = option("~/.cache/beautybert", "folder of tokenised corpora")
    workers: int = option(0, "processes that tokenise; 0: one a CPU core", ge=0, le=1024)

    columns: tuple[str, ...] = option(
        (), "label=COL name=COL ..., where headers do not tell", group="products"
    )
    inputs: tuple[str, ...] = option((), "name, ingredients or both [what the tables have]")
    labels: str = option(
        "full", "labels as in the files, redundant ones merged, families", choices=selection.SCHEMES
    )
    label_table: str | None = option(None, "table that merges and groups labels [the package's]")
    min_per_label: int = option(5, "products that a label must have", gt=0)


def conflicts(config: DescribeConfig) -> list[str]:
    """What is wrong between options."""
    problems = []
    if config.as_ == "corpus" and config.columns:
        problems.append("--columns is for products; a corpus has --text-fields")
    if config.init != "scratch" and (config.as_ == "products" or config.columns):
        problems.append("--init is for a corpus; lengths of products are in words")
    return problems


def main(config: DescribeConfig) -> None:
    """Print what is in the files, first of the tables of products, then of the corpus."""
    options.raise_problems(options.out_of_range(config) + conflicts(config))
    kind = config.as_ or ("products" if config.columns else None)
    tables = [
        path for path in config.files if kind == "products" or (not kind and has_labels(path))
    ]
    texts = [path for path in config.files if path not in tables]
    if tables:
        show(f"{', '.join(tables)}: products", describe_products(tables, config))
        say_next("train_cls", tables, config)
    if texts:
        show(f"{', '.join(texts)}: a corpus", describe_corpus(texts, config))
        say_next("train_mlm", texts, config)


def say_next(script: str, paths: Sequence[str], config: DescribeConfig) -> None:
    """Print the command that trains on files as they were described."""
    command = options.command_line(config, script, names=OPTIONS[script])
    print(files.printable(f"next: python {command} --data {shlex.join(paths)}"))


def show(title: str, lines: Iterator[str]) -> None:
    """Print lines as they come, without anything that a terminal would act on."""
    print(files.printable(title))
    for text in lines:
        print(*map(files.printable, text.splitlines()), sep="\n", flush=True)


def has_labels(path: str) -> bool:
    """Whether the first rows of a file have labels, and names or lists. ValueError as read_chunks.

    Amazon's `category`, a list, is no label.
    """
    chunk = next(read_chunks(path), None)
    if chunk is None or file_kind(Path(path)) == ".txt":
        return False
    found = set()
    for row in chunk.rows:
        try:
            record = row if isinstance(row, dict) else corpus.parse_record(row.decode("utf-8"))
        except ValueError:
            continue
        for name, value in record.items():
            if isinstance(name, str) and isinstance(value, str) and value.strip():
                found.add(header_key(name))
    return bool(found & LABELS and found & TEXTS)


# ---- products ----------------------------------------------------------------------------------


def describe_products(paths: Sequence[str], config: DescribeConfig) -> Iterator[str]:
    """What train_cls.py --describe prints. ValueError for tables that it refuses."""
    table, counts = products.read_products(paths, config.columns)
    wanted = (config.inputs, config.labels, config.label_table, config.min_per_label)
    by_split, counts = selection.select(splits.split_products(table, "list", 0), *wanted, counts)
    yield f"{counts}"
    yield splits.check_no_overlap(by_split, "list")
    yield description.describe(by_split)


# ---- a corpus ----------------------------------------------------------------------------------


def describe_corpus(paths: Sequence[str], config: DescribeConfig) -> Iterator[str]:
    """Counts, lengths in tokens and examples. ValueError for files without any text."""
    ranks = Ranks.from_environment()
    texts = corpus.Corpus(tuple(paths), config.text_fields, max_bad_rows=1.0)
    checkpoint = model_folder.resolve(config.init)
    tokenizer = token_cache.load_or_learn_tokenizer(
        checkpoint, texts, config.vocab_size, config.cache_dir, ranks
    )
    cache = token_cache.load_or_build(texts, tokenizer, config.workers, config.cache_dir, ranks)
    source = f"of {config.init}" if checkpoint else "learned from these texts; --init for another"
    yield f"vocabulary: {tokenizer.get_vocab_size():,} tokens {source}"
    yield f"{cache.counts}"
    lengths = np.diff(cache.offsets)
    shares = zip(SHARES, np.quantile(lengths, SHARES, method="higher"), strict=True)
    at_most = ", ".join(f"{share:.0%} have at most {length:,.0f}" for share, length in shares)
    yield f"tokens of a document: {at_most}, the longest {lengths.max():,}"
    yield from description.histogram(lengths.tolist(), "tokens")
    yield "examples, as the model sees them:"
    tokens = wordpiece.token_list(tokenizer)
    for i in range(min(SHOWN, len(cache))):
        ids = cache.document(i * len(cache) // min(SHOWN, len(cache)))
        words = ["[CLS]", *(str(tokens[token_id]) for token_id in ids[:WIDTH]), "[SEP]"]
        text = " ".join(words)
        yield f"  {text if len(text) <= WIDTH else text[:WIDTH].rsplit(' ', 1)[0] + ' ...'}"


if __name__ == "__main__":
    sys.exit(options.run_command(DescribeConfig, __doc__, main))
