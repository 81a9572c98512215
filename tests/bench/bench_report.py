"""Where the milestone report's 0.12 % accuracy came from.

Its setting, evaluated as its notebook did, in order, and honestly.

    python -m tests.bench.bench_report --data cosmetics.csv sephora_website_dataset.csv

The report put the raw cells of both tables one after the other, trained on the first 9,000 rows and
tested on the rest, with one dense layer on the vocabulary logits of [CLS], texts of up to 512
tokens, batches of 8, 5 epochs. One model is trained so and judged twice:

    notebook    labels of the test rows with the texts of the table's first rows, which is what its
                __getitem__ returned
    in order    the same test rows with their own texts

Two more, equal but for the head, are trained on the lists that products.py reads, and judged on
their test split:

    honest      the report's head, and the pooler head

All start from nothing with the tiny BERT unless --init names a checkpoint. The report's was an
adapted BERT-base, and its learning rate is not known.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import SIZES, BertForSequenceClassification, config_of_size
from beautybert.bert.wordpiece import special_ids, token_list
from beautybert.cls import finetuning
from beautybert.cls.batches import Example, pack_examples, shuffled_indices
from beautybert.cls.columns import find_columns, first_cell
from beautybert.cls.ingredients import parse_ingredients
from beautybert.cls.products import Product, read_products
from beautybert.cls.selection import select
from beautybert.cls.splits import split_products
from beautybert.table_files import TableFile
from beautybert.training.optim import learning_rate, make_optimizer, set_learning_rate

# the report's
TRAINING_ROWS = 9000
BATCH = 8
MAX_LENGTH = 512
Row = tuple[str, str]  # text, label


def report_rows(paths: Sequence[str]) -> list[Row]:
    """Every row of the tables in file order, cells as they are."""
    rows: list[Row] = []
    for path in paths:
        table = TableFile(path)
        indices = find_columns(table, {}, needed=["label", "ingredients"])
        for row in table:
            text = first_cell(row, indices["ingredients"])
            rows.append((text, first_cell(row, indices["label"])))
    return rows


def notebook_pairs(rows: Sequence[Row], first: int) -> list[Row]:
    """The test pairs of the notebook: the label of row first + i with the text of row i."""
    return [(rows[i][0], label) for i, (_, label) in enumerate(rows[first:])]


def labelled_texts(products: Sequence[Product]) -> list[Row]:
    """The lists that products.py read, with their labels."""
    return [(product.ingredients, product.label) for product in products]


def label_names(rows: Sequence[Row]) -> list[str]:
    """The labels in id order."""
    return sorted({label for _, label in rows})


def encode(rows: Sequence[Row], tokenizer: Tokenizer, labels: Sequence[str]) -> list[Example]:
    """The first `MAX_LENGTH` tokens of each text, with its label."""
    special = special_ids(tokenizer)
    label_ids = {label: i for i, label in enumerate(labels)}
    texts = [text for text, _ in rows]
    encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    examples = []
    for encoding, (_, label) in zip(encoded, rows, strict=True):
        ids = [special["[CLS]"], *encoding.ids[: MAX_LENGTH - 2], special["[SEP]"]]
        examples.append(Example({"ingredients": np.array(ids)}, label_ids[label]))
    return examples


def start(
    rows: Sequence[Row], labels: Sequence[str], head: str, args: argparse.Namespace
) -> tuple[BertForSequenceClassification, Tokenizer]:
    """The classifier before training, from --init or with random weights."""
    checkpoint = pretrained.resolve(args.init)
    if checkpoint is None:
        tokenizer = wordpiece.learn(lambda: [text for text, _ in rows], args.vocab_size)
        config = config_of_size(args.size, len(token_list(tokenizer)), MAX_LENGTH)
    else:
        tokenizer = wordpiece.read(checkpoint)
        config = pretrained.read_config(checkpoint)
    model, _ = finetuning.start(checkpoint, config, labels, head)
    return model, tokenizer


def train(
    rows: Sequence[Row], labels: Sequence[str], head: str, args: argparse.Namespace
) -> tuple[BertForSequenceClassification, Tokenizer]:
    """A classifier after `args.epochs` over the rows."""
    torch.manual_seed(args.seed)
    model, tokenizer = start(rows, labels, head, args)
    model.train()
    examples = encode(rows, tokenizer, labels)
    num_steps = math.ceil(args.epochs * len(rows) / BATCH)
    optimizer = make_optimizer(model, args.lr, weight_decay=0.01)
    steps = range(1, num_steps + 1)
    for step in tqdm(steps, desc=f"{head}, {len(rows):,} rows", leave=False, disable=None):
        indices = shuffled_indices((step - 1) * BATCH, BATCH, len(examples), args.seed)
        batch = pack_examples([examples[i] for i in indices])
        set_learning_rate(optimizer, learning_rate(step, num_steps, args.lr, 0.1, "linear"))
        loss = F.cross_entropy(model(*batch.inputs), batch.target_ids)
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model.eval(), tokenizer


@torch.no_grad()
def count_correct(
    model: BertForSequenceClassification,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    labels: Sequence[str],
) -> int:
    """How many rows the model gives their label."""
    examples = encode(rows, tokenizer, labels)
    examples.sort(key=lambda example: len(example.documents["ingredients"]))
    num_correct = 0
    for i in range(0, len(examples), 32):
        batch = pack_examples(examples[i : i + 32])
        predicted = model(*batch.inputs).argmax(-1)
        num_correct += int((predicted == batch.target_ids).sum())
    return num_correct


def show(name: str, training: Sequence[Row], test: Sequence[Row], num_correct: int) -> None:
    """One line of the table."""
    trained = Counter(label for _, label in training)
    majority = trained.most_common(1)[0][0]
    num_untrained = sum(label not in trained for _, label in test)
    num_without_list = sum(bool(parse_ingredients(text).reason) for text, _ in test)
    num_majority = sum(label == majority for _, label in test)
    print(
        f"| {name} | {len(training):,} | {len(test):,} | {len(trained)} "
        f"| {num_untrained / len(test):.1%} | {num_without_list / len(test):.1%} "
        f"| {num_majority / len(test):.2%} | {num_correct / len(test):.2%} ({num_correct}) |",
        flush=True,
    )


def main() -> None:
    """Train, judge and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, nargs=2, help="cosmetics.csv, then Sephora's")
    parser.add_argument("--init", default="scratch", help="checkpoint folder or hub name")
    parser.add_argument("--size", default="tiny", choices=tuple(SIZES), help="of --init scratch")
    parser.add_argument("--vocab-size", type=int, default=2000, help="of --init scratch")
    parser.add_argument("--epochs", type=float, default=5.0)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    print(
        "| evaluation | training rows | test rows | labels trained "
        "| test rows with an untrained label | test texts without a list | majority | correct |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rows = report_rows(args.data)
    labels = label_names(rows)
    training = rows[:TRAINING_ROWS]
    evaluations = {
        "notebook": notebook_pairs(rows, TRAINING_ROWS),
        "in order": rows[TRAINING_ROWS:],
    }
    model, tokenizer = train(training, labels, "mlm-logits", args)
    for name, test in evaluations.items():
        show(name, training, test, count_correct(model, tokenizer, test, labels))

    products, counts = read_products(args.data)
    all_splits = split_products(products, "list", seed=0)
    splits, _ = select(all_splits, ["ingredients"], "full", None, 5, counts)
    training = labelled_texts(splits["train"])
    test = labelled_texts(splits["test"])
    labels = label_names(training)
    for head in ("mlm-logits", "pooler"):
        model, tokenizer = train(training, labels, head, args)
        num_correct = count_correct(model, tokenizer, test, labels)
        show(f"honest, head {head}", training, test, num_correct)


if __name__ == "__main__":
    main()
