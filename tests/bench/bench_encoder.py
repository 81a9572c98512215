"""What pretraining changed in encoders: masked tokens, a linear probe, how far weights moved.

    python -m tests.bench.bench_encoder runs/pretraining/init runs/pretraining/init-mlm-* \\
        --table runs/pretraining/tables/all-s0.csv

The folders are checkpoints, the table is one of `bench_pretraining`.

tokens      train_mlm.py's validation, which masks single tokens, on nine tenths of the lists of
            validation and test: the loss, and the share of masked tokens that are correct; of a
            checkpoint without a trained masked-LM head this says nothing
probe       test accuracy of a logistic regression on the mean last hidden states of the frozen
            encoder, its C chosen on validation
drift       how far the matrices of the embeddings and of each layer moved from those of --init, by
            the norm of what they were; nothing without run.json or of those with another shape
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from beautybert import files
from beautybert.bert import pretrained, wordpiece
from beautybert.bert.model import BertModel, mean_of_documents
from beautybert.cls.batches import encode_documents, pack_documents
from beautybert.cls.products import INPUTS, Product, read_products

BATCH = 64  # documents of a forward pass
LENGTH = 256  # tokens of the longest document, as in train_cls.py


def masked_tokens(folder: Path, lists: Path) -> dict[str, float]:
    """The validation record of train_mlm.py on the lists of a .txt file, without training."""
    with tempfile.TemporaryDirectory() as out:
        command = ["train_mlm.py", "--data", str(lists), "--init", str(folder), "--out", out]
        command += ["--max-steps", "0", "--valid-fraction", "0.9"]
        max_length = min(LENGTH, pretrained.read_config(folder).max_position_embeddings)
        command += ["--max-length", str(max_length), "--cache-dir", str(Path(out) / "cache")]
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        lines = (Path(out) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return next(found for found in map(json.loads, lines) if found["split"] == "valid")


@torch.no_grad()
def features(folder: Path, texts: Sequence[str]) -> Tensor:
    """Mean last hidden states of texts by the encoder in a folder, (texts, D)."""
    config = pretrained.read_config(folder)
    weights, _ = pretrained.canonical_weights(folder)
    of_bert = {key.removeprefix("bert."): tensor for key, tensor in weights.items()}
    bert = BertModel(config, pooler=False).eval()
    pretrained.load_weights(bert, {key: of_bert[key] for key in bert.state_dict()})
    max_length = min(LENGTH, config.max_position_embeddings)
    documents, _ = encode_documents(texts, wordpiece.read(folder), max_length)
    order = sorted(range(len(texts)), key=lambda n: len(documents[n]))
    found = torch.zeros(len(texts), config.hidden_size)
    for first in range(0, len(order), BATCH):
        chosen = order[first : first + BATCH]
        packed = pack_documents([documents[n] for n in chosen])
        found[chosen] = mean_of_documents(bert(*packed), packed.lengths)
    return found


def probe(folder: Path, products: Sequence[Product], part: str) -> float:
    """Test accuracy of a logistic regression on the features of one of `INPUTS`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    products = [product for product in products if getattr(product, part)]
    values = features(folder, [getattr(product, part) for product in products]).numpy()
    labels = np.array([product.label for product in products])
    rows = {s: np.array([p.split == s for p in products]) for s in ("train", "valid", "test")}
    values = StandardScaler().fit(values[rows["train"]]).transform(values)
    models = [
        LogisticRegression(C=c, max_iter=500).fit(values[rows["train"]], labels[rows["train"]])
        for c in (0.003, 0.03, 0.3)
    ]
    best = max(models, key=lambda model: model.score(values[rows["valid"]], labels[rows["valid"]]))
    return best.score(values[rows["test"]], labels[rows["test"]])


def started_from(folder: Path) -> Path | None:
    """The checkpoint folder of --init, as run.json says; None where there is none."""
    path = folder / "run.json"
    if not path.is_file():
        return None
    before = Path(files.read_json(path)["config"]["init"])
    return before if before.is_dir() else None


def drift(folder: Path, before: Path) -> dict[str, float]:
    """By embeddings and layer: the norm of the change of its matrices by the norm of before."""
    old, _ = pretrained.canonical_weights(before)
    new, _ = pretrained.canonical_weights(folder)
    sums: dict[str, list[float]] = {}
    for key, tensor in old.items():
        is_part = key.startswith(("bert.embeddings.", "bert.encoder."))
        if tensor.ndim < 2 or not is_part or new[key].shape != tensor.shape:
            continue
        parts = key.split(".")
        group = "embeddings" if parts[1] == "embeddings" else f"layer {int(parts[3]) + 1}"
        total = sums.setdefault(group, [0.0, 0.0])
        total[0] += float((new[key].double() - tensor.double()).square().sum())
        total[1] += float(tensor.double().square().sum())
    return {group: math.sqrt(moved / norm) for group, (moved, norm) in sums.items()}


def main() -> None:
    """Print a table, a line a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="checkpoints")
    parser.add_argument("--table", required=True, help="products with their split")
    args = parser.parse_args()
    products, _ = read_products([args.table], ["split=split"])
    held_out = [p.ingredients for p in products if p.split != "train" and p.ingredients]
    print("| checkpoint | tokens of lists: loss | correct | probe: name | list | drift |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        lists = Path(folder) / "lists.txt"
        lists.write_text("".join(text + "\n" for text in held_out), encoding="utf-8")
        for checkpoint in args.folders:
            valid = masked_tokens(checkpoint, lists)
            before = started_from(checkpoint)
            moved = drift(checkpoint, before) if before else {}
            cells = [checkpoint.name, f"{valid['loss']:.2f}", f"{valid['accuracy']:.1%}"]
            cells += [f"{probe(checkpoint, products, part):.1%}" for part in INPUTS]
            cells.append(", ".join(f"{group} {share:.1%}" for group, share in moved.items()))
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
