import json
import re

import pytest
import torch
from safetensors.torch import load_file

from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import BertForSequenceClassification
from beautybert.bert.pretrained import read_config
from beautybert.cls import classifier
from beautybert.cls.classifier import LrFactor
from beautybert.training.checkpoints import file_checksum
from beautybert.training.optim import make_optimizer
from tests.conftest import TINY

LABELS = ["eye care", "lip", "mask"]
IDS = torch.arange(5, 25)
BATCH = IDS, torch.arange(20), PackedLengths.of([20])
MLP = {f"classifier.{part}.{kind}" for part in ("dense", "out_proj") for kind in ("weight", "bias")}
ONE_LAYER = {"classifier.weight", "classifier.bias"}


def start(checkpoint, labels=LABELS, head="pooler"):
    return classifier.start(checkpoint, read_config(checkpoint), labels, head)


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
        ("wide", MLP | {"classifier.wide.weight"}, ("cls.", "bert.pooler.")),
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
    model, report = classifier.start(None, TINY, LABELS, "wide")
    assert model.head == "wide"
    assert report == "weights: all newly initialised"
    assert model(*BATCH).shape == (1, 3)


def test_a_classifier_goes_on_with_its_own_labels_and_head_and_no_other(checkpoint, tmp_path):
    model, _ = start(checkpoint)
    classifier.save(tmp_path, model, LABELS, 1.0, 64)
    again, report = start(tmp_path)
    assert not names_in(report, "newly initialised")
    assert torch.equal(again.classifier.weight, model.classifier.weight)
    message = r"a classifier for other labels \(only there: eye care; only here: nail\)"
    with pytest.raises(ValueError, match=message):
        start(tmp_path, ["lip", "mask", "nail"])
    with pytest.raises(ValueError, match="a classifier with the head pooler, not mlp"):
        start(tmp_path, head="mlp")


# ---- a classifier's folder ---------------------------------------------------------------------


def test_a_written_classifier_reads_back_and_opens_in_transformers_with_its_labels(
    checkpoint, tmp_path
):
    transformers = pytest.importorskip("transformers")
    model, _ = start(checkpoint)
    classifier.save(tmp_path, model, LABELS, 1.5, 64)
    again = classifier.load(tmp_path)
    theirs, info = transformers.BertForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    with torch.no_grad():
        expected = model.eval()(*BATCH)
        assert torch.equal(again.model(*BATCH), expected)
        their_logits = theirs.eval()(input_ids=IDS[None]).logits
    assert (their_logits - expected).abs().max() < 1e-5
    assert not info["missing_keys"]
    assert [theirs.config.id2label[i] for i in range(3)] == LABELS
    assert (again.labels, again.temperature, again.max_length) == (LABELS, 1.5, 64)

    theirs.save_pretrained(tmp_path / "theirs")
    back = classifier.load(tmp_path / "theirs")
    assert (back.labels, back.temperature, back.max_length) == (LABELS, 1.5, 64)
    with torch.no_grad():
        assert torch.equal(back.model(*BATCH), expected)


@pytest.mark.parametrize("head", ["mlp", "wide", "mlm-logits"])
def test_every_other_head_reads_back_and_is_an_encoder_to_transformers(checkpoint, tmp_path, head):
    model, _ = start(checkpoint, head=head)
    classifier.save(tmp_path, model, LABELS, 2.0, 32)
    again = classifier.load(tmp_path)
    with torch.no_grad():
        assert torch.equal(again.model(*BATCH), model.eval()(*BATCH))
    assert (again.labels, again.temperature, again.max_length) == (LABELS, 2.0, 32)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["architectures"] == ["BertModel"]


def test_what_is_saved_has_a_checksum_by_which_better_weights_are_noticed(checkpoint, tmp_path):
    model, _ = start(checkpoint)
    checksum = classifier.save(tmp_path, model, LABELS, 1.0, 64)
    assert checksum == file_checksum(tmp_path / "model.safetensors")
    assert classifier.is_exported(tmp_path, checksum)
    with torch.no_grad():
        model.classifier.bias += 1
    assert classifier.save(tmp_path, model, LABELS, 1.0, 64) != checksum
    assert not classifier.is_exported(tmp_path, checksum)
    assert not classifier.is_exported(tmp_path / "nowhere", checksum)


def test_exported_weights_go_back_into_the_model(checkpoint, tmp_path):
    model, _ = start(checkpoint)
    classifier.save(tmp_path, model, LABELS, 1.0, 64)
    other, _ = start(checkpoint)
    assert not torch.equal(other.classifier.weight, model.classifier.weight)
    classifier.load_exported(other, tmp_path)
    assert torch.equal(other.classifier.weight, model.classifier.weight)


def test_a_folder_without_a_classifier_is_named(checkpoint):
    message = (
        r"holds no classifier \(architectures \['BertForMaskedLM'\]\); name the folder of a "
        r"train_cls.py run"
    )
    with pytest.raises(ValueError, match=message):
        classifier.load(checkpoint)


# ---- learning rates ----------------------------------------------------------------------------

EXPECTED_FACTORS = {
    "bert.embeddings": 0.25,
    "bert.encoder.layer.0": 0.5,
    "bert.encoder.layer.1": 1.0,
    "bert.pooler": 1.0,
    "cls": 1.0,
    "classifier.wide": 100.0,
    "classifier": 10.0,
}


@pytest.mark.parametrize("head", ["pooler", "mlp", "wide", "mlm-logits"])
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
