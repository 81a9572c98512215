import json
import re

import pytest
import torch
from safetensors.torch import load_file

from beautybert.bert import wordpiece
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import HEADS, BertForSequenceClassification
from beautybert.bert.pretrained import read_config
from beautybert.cls import classifier, finetuning
from beautybert.cls.classifier import Classifier
from beautybert.cls.finetuning import LrFactor
from beautybert.cls.pool import Pool
from beautybert.cls.products import INPUTS
from beautybert.training.checkpoints import file_checksum
from beautybert.training.optim import make_optimizer
from tests.conftest import TINY

LABELS = ["eye care", "lip", "mask"]
IDS = torch.arange(5, 25)
BATCH = IDS, torch.arange(20), PackedLengths.of([20])
MLP = {f"classifier.{part}.{kind}" for part in ("dense", "out_proj") for kind in ("weight", "bias")}
ONE_LAYER = {"classifier.weight", "classifier.bias"}


def start(checkpoint, labels=LABELS, head="pooler"):
    return finetuning.start(checkpoint, read_config(checkpoint), labels, head)


def save(folder, model, checkpoint):
    """Write a model as a classifier; returns the checksum of its weights."""
    written = Classifier(
        model=model,
        tokenizer=wordpiece.read(checkpoint),
        labels=LABELS,
        pool=Pool.unfitted(torch.zeros(3)),
        word_models={},
        inputs=INPUTS,
        max_length=64,
    )
    return written.save(folder)


def names_in(report, kind):
    """The names that a load report gives after "newly initialised" or "unused"."""
    names = re.search(rf"\d+ {kind}(?: \((.*?)\))?(?:,|$)", report)[1]
    return set(names.split(", ")) if names else set()


# ---- starting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head, new, unused",
    [
        ("pooler", ONE_LAYER, ("cls.",)),
        ("mlm-logits", ONE_LAYER, ("bert.pooler.",)),
        ("mlp", MLP, ("cls.", "bert.pooler.")),
    ],
)
def test_a_classifier_starts_from_the_encoder_and_what_its_head_can_use(
    checkpoint, head, new, unused
):
    model, report = start(checkpoint, list("abcdefg"), head)
    weights = load_file(checkpoint / "model.safetensors")
    assert names_in(report, "newly initialised") == new
    assert names_in(report, "unused") == {key for key in weights if key.startswith(unused)}
    for key, tensor in model.state_dict().items():
        if key not in new:
            assert torch.equal(tensor, weights[key]), key


def test_without_a_checkpoint_all_weights_are_new():
    model, report = finetuning.start(None, TINY, LABELS, "mlp")
    assert model.head == "mlp"
    assert report == "weights: all newly initialised"
    assert model(*BATCH).shape == (1, 3)


def test_a_classifier_goes_on_with_its_own_labels_and_head_and_no_other(checkpoint, tmp_path):
    model, _ = start(checkpoint)
    save(tmp_path, model, checkpoint)
    again, report = start(tmp_path)
    assert not names_in(report, "newly initialised")
    assert torch.equal(again.classifier.weight, model.classifier.weight)
    message = r"a classifier for other labels \(only there: eye care; only here: nail\)"
    with pytest.raises(ValueError, match=message):
        start(tmp_path, ["lip", "mask", "nail"])
    with pytest.raises(ValueError, match="a classifier for other labels"):
        start(tmp_path, LABELS[::-1])  # the ids of labels are another order
    with pytest.raises(ValueError, match="a classifier with the head pooler, not mlp"):
        start(tmp_path, head="mlp")


def test_a_classifier_of_an_older_version_is_named(checkpoint, tmp_path):
    model, _ = start(checkpoint, head="mlp")
    save(tmp_path, model, checkpoint)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["pool"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"head": "wide"}))
    message = r"a classifier of another version of beautybert \(head wide\); train it again"
    with pytest.raises(ValueError, match=message):
        start(tmp_path, head="mlp")


# ---- exported weights --------------------------------------------------------------------------


def test_what_is_saved_has_a_checksum_by_which_better_weights_are_noticed(checkpoint, tmp_path):
    model, _ = start(checkpoint)
    checksum = save(tmp_path, model, checkpoint)
    assert checksum == file_checksum(tmp_path / "model.safetensors")
    best, said = {"step": 7, "checksum": checksum}, []
    assert finetuning.is_exported(tmp_path, best, said.append) and not said
    with torch.no_grad():
        model.classifier.bias += 1
    assert save(tmp_path, model, checkpoint) != checksum
    assert not finetuning.is_exported(tmp_path, best, said.append)
    assert not finetuning.is_exported(tmp_path / "nowhere", best, said.append)
    assert len(said) == 2 and "does not hold the best weights, of step 7" in said[0]


def test_exported_weights_go_back_into_the_model(checkpoint, tmp_path):
    model, _ = start(checkpoint)
    save(tmp_path, model, checkpoint)
    other, _ = start(checkpoint)
    assert not torch.equal(other.classifier.weight, model.classifier.weight)
    classifier.load_exported(other, tmp_path)
    assert torch.equal(other.classifier.weight, model.classifier.weight)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: ")):
        classifier.load_exported(start(checkpoint, head="mlp")[0], tmp_path)


# ---- learning rates ----------------------------------------------------------------------------

EXPECTED_FACTORS = {
    "bert.embeddings": 0.25,
    "bert.encoder.layer.0": 0.5,
    "bert.encoder.layer.1": 1.0,
    "bert.pooler": 1.0,
    "cls": 1.0,
    "classifier": 10.0,
}


@pytest.mark.parametrize("head", HEADS)
def test_rates_fall_layer_by_layer_and_every_parameter_has_one(head):
    model = BertForSequenceClassification(TINY, 3, head)
    lr_factor = LrFactor(TINY, layer_decay=0.5, head_factor=10.0)
    optimizer = make_optimizer(model, 1e-3, 0.01, lr_factor)
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(group_of) == len(list(model.parameters()))
    for name, p in model.named_parameters():
        expected = next(
            factor for start, factor in EXPECTED_FACTORS.items() if name.startswith(start)
        )
        group = group_of[id(p)]
        assert group["lr_factor"] == expected, name
        assert group["weight_decay"] == (0.01 if p.ndim >= 2 else 0.0), name
