"""Checkpoints as other programs leave them load as the original, or are refused in a sentence."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from beautybert.bert import model_folder, pretrained, wordpiece
from beautybert.bert.pretrained import canonical_keys
from beautybert.cls import finetuning
from tests.bert.test_pretrained import in_bf16, load, logits_of, names_in, rewrite
from tests.conftest import TINY, are_equal

IDS = torch.arange(5, 25)


def prefixed(*prefixes):
    """Keys with the prefixes of wrappers, each key with the next of them."""

    def change(weights):
        keys = list(weights)
        return {prefixes[i % len(prefixes)] + key: weights[key] for i, key in enumerate(keys)}

    return change


def compiled_layers(weights):
    """As torch.compile of every layer leaves them."""
    return {
        key.replace("attention.", "_orig_mod.attention."): tensor for key, tensor in weights.items()
    }


@pytest.mark.parametrize(
    "change",
    [
        prefixed("module."),
        prefixed("_orig_mod."),
        prefixed("module._orig_mod."),
        prefixed("_orig_mod.module.module."),
        prefixed("module.", "", "_orig_mod."),
        compiled_layers,
    ],
)
def test_the_prefixes_of_wrappers_are_no_part_of_a_name(checkpoint, tmp_path, change):
    model, report = load(rewrite(checkpoint, tmp_path / "wrapped", change))
    assert not names_in(report, "newly initialised") and not names_in(report, "unused")
    assert are_equal(model.state_dict(), load(checkpoint)[0].state_dict())


def test_prefixes_and_old_names_come_together(checkpoint, tmp_path):
    def change(weights):
        encoder = {key.removeprefix("bert."): t for key, t in weights.items() if "bert." in key}
        return prefixed("module.")(encoder)

    model, _ = load(rewrite(checkpoint, tmp_path / "both", change))
    assert torch.equal(model.bert.state_dict()["pooler.dense.bias"], pooler_bias(checkpoint))


def pooler_bias(folder):
    return load_file(folder / "model.safetensors")["bert.pooler.dense.bias"]


def test_a_nulled_field_is_the_default_as_in_transformers(checkpoint, tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = rewrite(checkpoint, tmp_path / "null", lambda weights: weights)
    contents = json.loads((folder / "config.json").read_text())
    del contents["hidden_dropout_prob"]
    (folder / "config.json").write_text(json.dumps(contents | {"layer_norm_eps": None}))
    ours = pretrained.read_config(folder)
    assert ours.hidden_dropout_prob == transformers.BertConfig().hidden_dropout_prob
    assert ours.layer_norm_eps == transformers.BertConfig().layer_norm_eps


# ---- heads -------------------------------------------------------------------------------------


@pytest.fixture
def untied(tmp_path):
    """A masked-LM model of transformers whose decoder is no copy of its embeddings."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    shape = {**replace(TINY, vocab_size=100).to_dict(), "tie_word_embeddings": False}
    transformers.BertForMaskedLM(transformers.BertConfig(**shape)).save_pretrained(tmp_path)
    return tmp_path


def test_an_untied_decoder_is_refused_where_it_is_used(untied):
    with pytest.raises(ValueError, match="cls.predictions.decoder.weight differs from .*not tied"):
        load(untied)
    config = pretrained.read_config(untied)
    with pytest.raises(ValueError, match="not tied"):
        finetuning.start(untied, config, ["a", "b"], "mlm-logits")


@pytest.mark.parametrize("head", ["pooler", "mlp"])
def test_an_untied_decoder_is_unused_where_there_is_no_masked_lm_head(untied, head):
    config = pretrained.read_config(untied)
    model, report = finetuning.start(untied, config, ["a", "b"], head)
    assert "cls.predictions.decoder.weight" in names_in(report, "unused")
    embeddings = load_file(untied / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, embeddings)


# ---- sizes and types ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_weights_of_other_floats_are_read_as_fp32(checkpoint, tmp_path, dtype):
    def change(weights):
        return {key: tensor.to(dtype) for key, tensor in weights.items()}

    model, _ = load(rewrite(checkpoint, tmp_path / "floats", change))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    expected = logits_of(load(checkpoint)[0], IDS)
    torch.testing.assert_close(logits_of(model, IDS), expected, atol=0.02, rtol=0)


def test_a_tied_copy_of_another_type_is_still_a_copy(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    weights |= in_bf16({name: weights[name]})
    copy = {"cls.predictions.decoder.weight": weights[name].float()}
    assert canonical_keys(weights | copy)[1] == list(copy)


# ---- sentence-transformers ---------------------------------------------------------------------

OLD_TYPE = "sentence_transformers.models.Transformer"
NEW_TYPE = "sentence_transformers.base.modules.transformer.Transformer"


def modules(path, kind=OLD_TYPE):
    pooling = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "a.models.Pooling"}
    return [pooling, {"idx": 0, "name": "0", "path": path, "type": kind}]


def sentence_folder(folder, checkpoint, contents, subfolder):
    """A folder with modules.json whose BERT is in `subfolder`."""
    (folder / subfolder).mkdir(parents=True, exist_ok=True)
    for path in checkpoint.iterdir():
        (folder / subfolder / path.name).write_bytes(path.read_bytes())
    text = contents if isinstance(contents, str) else json.dumps(contents)
    (folder / "modules.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    "path, kind", [("0_Transformer", OLD_TYPE), ("", NEW_TYPE), ("0_Transformer/", NEW_TYPE)]
)
def test_a_folder_of_sentence_transformers_loads_from_where_its_bert_is(
    checkpoint, tokenizer, tmp_path, path, kind
):
    whole = sentence_folder(tmp_path / "st", checkpoint, modules(path, kind), path)
    folder = model_folder.resolve(str(whole))
    assert are_equal(load(folder)[0].state_dict(), load(checkpoint)[0].state_dict())
    read = wordpiece.read(folder)
    assert wordpiece.fingerprint(read) == wordpiece.fingerprint(tokenizer)
    assert pretrained.config_for(folder, "tiny", read, 64) == pretrained.read_config(checkpoint)


# ---- shards ------------------------------------------------------------------------------------


def sharded(checkpoint, folder, name):
    """The checkpoint as one shard, which the index calls `name`."""
    folder.mkdir(exist_ok=True)
    weights = load_file(checkpoint / "model.safetensors")
    save_file(weights, folder / "model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(weights, name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_a_header_that_claims_gigabytes_is_refused(checkpoint, tmp_path):
    folder = rewrite(checkpoint, tmp_path / "x", lambda weights: weights)
    path = folder / "model.safetensors"
    path.write_bytes((10**8 - 1).to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(ValueError, match="no complete safetensors file: .*header"):
        pretrained.read_weights(folder)


def test_quantised_weights_are_refused_by_name(checkpoint, tmp_path):
    def change(weights):
        name = "bert.pooler.dense.weight"
        return weights | {name: weights[name].to(torch.float8_e4m3fn)}

    folder = rewrite(checkpoint, tmp_path / "x", change)
    with pytest.raises(ValueError, match="bert.pooler.dense.weight is of torch.float8_e4m3fn"):
        load(folder)


# ---- out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_weights_as_they_were(
    checkpoint, tmp_path, monkeypatch, failing
):
    model = load(checkpoint)[0]
    pretrained.save(tmp_path, model)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.add_(1)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pretrained.os, failing, fail)
    monkeypatch.setattr(pretrained.files, "write_json", lambda *_: None)
    with pytest.raises(OSError, match="No space"):
        pretrained.save(tmp_path, model)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
