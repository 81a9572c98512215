"""What bench_encoder says of encoders."""

import numpy as np
import pytest
import torch

from beautybert.bert import pretrained
from beautybert.cls.names import name_key
from beautybert.cls.products import Product
from tests.bench.bench_encoder import drift, features, masked_tokens, probe


def moved(checkpoint, folder, change):
    """A copy of a checkpoint with other weights."""
    config = pretrained.read_config(checkpoint)
    model, _ = pretrained.load_masked_lm(checkpoint, config)
    with torch.no_grad():
        change(model)
    pretrained.save(folder, model)
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json"):
        if (checkpoint / name).exists():
            (folder / name).write_bytes((checkpoint / name).read_bytes())
    return folder


def test_drift_is_by_layer_and_relative(checkpoint, tmp_path):
    def change(model):
        model.bert.encoder.layer[1].attention["self"].query.weight.mul_(1.5)
        for parameter in model.bert.embeddings.parameters():
            parameter.mul_(0.9)

    found = drift(moved(checkpoint, tmp_path / "moved", change), checkpoint)
    before, _ = pretrained.load_masked_lm(checkpoint, pretrained.read_config(checkpoint))
    layer = before.bert.encoder.layer[1]
    matrices = [p.detach() for p in layer.parameters() if p.ndim >= 2]
    norm = torch.stack([p.square().sum() for p in matrices]).sum().sqrt()
    expected = 0.5 * layer.attention["self"].query.weight.detach().norm() / norm
    assert set(found) == {"embeddings", "layer 1", "layer 2"}
    assert found["embeddings"] == pytest.approx(0.1, rel=1e-4)
    assert found["layer 1"] == 0
    assert found["layer 2"] == pytest.approx(float(expected), rel=1e-4)


def test_features_are_each_text_s_own(checkpoint):
    texts = ["velvet serum", "water, glycerin, mint and shea", "rose"]
    together = features(checkpoint, texts)
    alone = torch.cat([features(checkpoint, [text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_probe_tells_apart_what_words_tell_apart(checkpoint):
    rng = np.random.default_rng(0)
    words = {"Serum": "serum drops", "Lipstick": "lipstick wax"}
    products = []
    for i in range(90):
        label = str(rng.choice(list(words)))
        name = f"{words[label]} {i}" if i % 9 else ""
        split = ("train", "valid", "test")[i % 3]
        products.append(Product("shop", i, label, "", name, "", "", name_key(name), str(i), split))
    assert probe(checkpoint, products, "name") == 1.0
    shuffled = [str(label) for label in rng.permutation([p.label for p in products])]
    mixed = [
        Product(**{**vars(p), "label": new}) for p, new in zip(products, shuffled, strict=True)
    ]
    assert probe(checkpoint, mixed, "name") < 0.9


def test_tokens_are_masked_and_nothing_is_trained(checkpoint, tmp_path):
    lists = tmp_path / "lists.txt"
    lists.write_text("".join(f"water, glycerin, mint {i}, rose, shea\n" for i in range(60)))
    found = masked_tokens(checkpoint, lists)
    assert found["step"] == 0 and 0 < found["loss"] < 20 and 0 <= found["accuracy"] <= 1
    assert found["targets"] > 30
