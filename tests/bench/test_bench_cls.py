"""The contestants of bench_cls do the same work on the same lists."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

import train_cls
from beautybert.cls import batches
from beautybert.cls.batches import pack_documents
from beautybert.cls.classifier import Classifier
from beautybert.cls.products import read_products
from tests.bench import bench_cls
from tests.conftest import product_tables, record

pytest.importorskip("transformers", minversion="5")


@pytest.fixture(scope="module")
def args(tmp_path_factory):
    tables = product_tables(tmp_path_factory.mktemp("tables"))
    return argparse.Namespace(
        data=list(tables["data"]),
        lists=70,
        tokenizer=None,
        shape="tiny",
        device="cpu",
        amp="none",
        max_length=64,
        batch_size=8,
        predict_batch=8,
        warmup=1,
        steps=2,
        seed=0,
    )


def test_labels_of_two_tables_may_differ_in_case(args, tmp_path):
    tables = [str(tmp_path / name) for name in ("one.csv", "two.csv")]
    Path(tables[0]).write_text('label,ingredients\nEye Cream,"water, salt, glycerin"\n')
    Path(tables[1]).write_text('label,ingredients\nEye cream,"water, squalane, glycerin"\n')
    bench_cls.write_lists(tmp_path, argparse.Namespace(**{**vars(args), "data": tables}))
    found, _ = read_products([tmp_path / "lists.csv"])
    assert [product.label for product in found] == ["eye cream", "eye cream"]


@pytest.fixture(scope="module")
def folder(args, tmp_path_factory):
    """What the contestants are given, with weights so large that texts get different labels."""
    folder = tmp_path_factory.mktemp("bench")
    bench_cls.write_lists(folder, args)
    bench_cls.make_checkpoint(folder, args)
    bench_cls.make_classifiers(folder, args)
    model = bench_cls.peer_model(folder / "theirs")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter *= 3
    model.save_pretrained(folder / "theirs")
    return folder


def test_train_cls_trains_on_the_documents_of_the_peers(folder, args, tmp_path, monkeypatch):
    theirs = bench_cls.train_data(folder, args)
    calls = record(monkeypatch, batches, "ClsBatches")
    train_cls.main(bench_cls.train_config(folder, tmp_path / "run", args, steps=1))
    ((_, ours),) = calls
    assert ours.labels == theirs.labels
    assert len(ours.examples["train"]) == len(theirs.examples["train"]) > 40
    for one, other in zip(ours.examples["train"], theirs.examples["train"], strict=True):
        assert list(one.documents) == ["ingredients"] and one.label_id == other.label_id
        np.testing.assert_array_equal(one.documents["ingredients"], other.documents["ingredients"])
    batch = ours.train_batch(1, 0)  # without ingredient dropout, the documents as they are
    known = {example.documents["ingredients"].tobytes() for example in ours.examples["train"]}
    parts = batch.inputs.input_ids.split(batch.inputs.lengths.cu_seqlens.diff().tolist())
    assert len(parts) == args.batch_size and {ids.numpy().tobytes() for ids in parts} <= known


def test_a_padded_batch_has_the_logits_of_ours(folder, args):
    examples = bench_cls.train_data(folder, args).examples["train"][:20]
    inputs = bench_cls.padded_batch(examples)
    model = Classifier.load(folder / "theirs").model
    with torch.no_grad():
        theirs = bench_cls.peer_model(folder / "theirs").eval()(**inputs).logits
        ours = model(*pack_documents([e.documents["ingredients"] for e in examples]))
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=0)
    assert inputs["labels"].tolist() == [example.label_id for example in examples]


def test_one_model_gives_all_texts_the_same_labels_in_their_order(folder, args):
    texts = bench_cls.read_lists(folder)
    labels = {
        name: bench_cls.LOADERS[name](folder, args)(texts)
        for name in ("predict", "pipeline", "loop")
    }
    assert len(set(labels["predict"])) > 1
    assert labels["predict"] == labels["pipeline"] == labels["loop"]


@pytest.mark.parametrize("contestant", ["train", "dynamic", "sorted"])
def test_lists_are_those_of_the_measured_steps(contestant, folder, args):
    found = bench_cls.measure(contestant, folder, args)
    assert found["lists"] == args.steps * args.batch_size
    lengths = [
        len(e.documents["ingredients"])
        for e in bench_cls.train_data(folder, args).examples["train"]
    ]
    assert min(lengths) <= found["tokens"] / found["lists"] <= max(lengths)
    assert found["seconds"] > 0 and 0 <= found["padding"] < 1


def test_agreement_counts_answers_that_differ():
    found = {"predict": [{"labels": ["a", "b", "c"]}], "pipeline": [{"labels": ["a", "b", "c"]}]}
    found["loop"] = [{"labels": ["a", "c", "b"]}]
    assert "3 of 3 by pipeline, 1 of 3 by loop" in bench_cls.agreement(found)
