"""What is exported gives, in the libraries that people use, the numbers that it gives here."""

import ast
import contextlib
import copy
import io
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import train_cls
import train_mlm
from beautybert import Classifier, export, export_folders, onnx_check, onnx_file
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import (
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    mean_of_documents,
)
from beautybert.cls import word_model
from beautybert.cls.batches import encode_documents
from beautybert.cls.documents import given
from beautybert.cls.pool import CASES
from beautybert.cls.products import INPUTS
from beautybert.export import ExportConfig
from beautybert.training import options
from tests.conftest import ROOT, SAMPLE, TINY, product_texts

PAGE = (ROOT / "docs" / "export.md").read_text("utf-8")
needs_onnx = pytest.mark.skipif(
    bool(onnx_file.missing_packages()),
    reason=f"needs {' '.join(onnx_file.PACKAGES)}: pip install -e '.[onnx]'",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A classifier of names and lists of the sample, hardly trained, with the head pooler.

    Nearly all lists are longer than it reads.
    """
    folder = tmp_path_factory.mktemp("export") / "run"
    config = train_cls.ClsConfig(
        data=(str(SAMPLE / "cosmetics.csv"), str(SAMPLE / "sephora_website_dataset.csv")),
        labels="group",
        init="scratch",
        vocab_size=300,
        head="pooler",
        max_steps=20,
        max_length=48,
        baseline=False,
        amp="none",
        out=str(folder),
    )
    train_cls.main(config)
    return folder


@pytest.fixture(scope="module")
def classifier(run) -> Classifier:
    return Classifier.load(run)


@pytest.fixture(scope="module")
def products(sample_products) -> list:
    """A hundred products of the sample that have a name and a list."""
    products = [p for p in sample_products[0] if p.name and p.ingredients]
    return products[:: len(products) // 100][:100]


def texts_of(products, case) -> dict[str, list[str]]:
    """Texts by input, '' for the input that a case has not."""
    return {
        part: [getattr(p, part) if part in CASES[case] else "" for p in products] for part in INPUTS
    }


# ---- ONNX --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(run, tmp_path_factory) -> tuple[Path, str]:
    """The folder of an ONNX export with --int8, and what the command printed."""
    folder = tmp_path_factory.mktemp("export") / "served"
    folder.mkdir()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        export.main(ExportConfig(str(run), onnx=str(folder / "model.onnx"), int8=True))
    return folder, printed.getvalue()


def page_lines() -> str:
    """The lines of the page that serve an ONNX file."""
    (lines,) = [
        block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "onnxruntime" in block
    ]
    return lines


@needs_onnx
@pytest.mark.parametrize("case", CASES)
def test_the_lines_of_the_page_give_the_probabilities_of_the_classifier(
    served, classifier, products, case, monkeypatch, capsys
):
    """As they are, on 100 lists and names, most of them longer than the model reads."""
    monkeypatch.chdir(served[0].parent)
    lines: dict = {}
    exec(page_lines(), lines)
    assert capsys.readouterr().out.split()[0] in " ".join(classifier.labels)
    texts = texts_of(products, case)
    terms = classifier.document_logits(texts)
    terms |= word_model.logits(classifier.word_models, texts)
    expected = classifier.pool(terms, given(texts)).softmax(-1)
    for i, row in enumerate(expected):
        found = lines["probabilities"](**{part: texts[part][i] for part in CASES[case]})
        assert list(found) == classifier.labels
        np.testing.assert_allclose(list(found.values()), row, atol=1e-5)


def test_the_lines_of_the_page_need_neither_torch_nor_this_package():
    modules = set()
    for node in ast.walk(ast.parse(page_lines())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
    assert modules - sys.stdlib_module_names == {"numpy", "onnxruntime", "tokenizers"}


@needs_onnx
def test_the_file_says_what_the_pool_needs(served, classifier):
    import onnxruntime

    for name in ("model.onnx", "model.int8.onnx"):
        session = onnxruntime.InferenceSession(served[0] / name)
        found = json.loads(session.get_modelmeta().custom_metadata_map["beautybert"])
        assert found["labels"] == classifier.labels
        assert found["inputs"] == list(INPUTS)
        assert found["max_document_length"] == 48
        assert found["pool"] == classifier.pool.to_dict()
        assert found["encoder_pool"] == classifier.encoder_pool.to_dict()
        assert "encoder's logits of one document" in found["output"]
        contents = (served[0] / name).read_bytes()
        assert str(ROOT).encode() not in contents, "paths of the machine that exported it"


@needs_onnx
def test_int8_is_a_smaller_file_of_about_the_same_answers_and_the_command_says_so(served, run):
    folder, printed = served
    sizes = [(folder / name).stat().st_size for name in ("model.onnx", "model.int8.onnx")]
    assert sizes[1] < sizes[0] / 2
    lines = {line.split()[0]: line for line in printed.splitlines()[1:4]}
    assert list(lines) == ["torch", "model.onnx", "model.int8.onnx"]
    pattern = r"([\d.]+) MB .*texts/s, numbers differ by (\S+) of the largest, ([\d.]+)% the same"
    for name, size in zip(list(lines)[1:], sizes, strict=True):
        megabytes, difference, same = map(float, re.search(pattern, lines[name]).groups())
        assert megabytes == pytest.approx(size / 1e6, abs=0.06)
        assert (difference < 1e-5) == (name == "model.onnx") and difference < 0.3
        assert same == 100 if name == "model.onnx" else same > 80
    # accuracy, as the run has counted it on all of its test products
    report = json.loads((run / "report.json").read_text("utf-8"))
    shown = f"{report['accuracy']:.1%} of {report['sizes']['test']} test products right"
    assert shown in lines["torch"] and shown in lines["model.onnx"]


def tiny(kind) -> BertForMaskedLM | BertForSequenceClassification | BertModel:
    """A model of one layer with weights that all matter; kind: a head, masked-lm or encoder."""
    torch.manual_seed(0)
    config = replace(TINY, vocab_size=120, num_hidden_layers=1)
    if kind == "encoder":
        model = BertModel(config)
    elif kind == "masked-lm":
        model = BertForMaskedLM(config)
    else:
        model = BertForSequenceClassification(config, 5, kind)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@needs_onnx
@pytest.mark.parametrize("kind", ["mlp", "mlm-logits", "masked-lm", "encoder"])
def test_a_graph_gives_the_numbers_of_flat_tokens_for_any_batch_and_length(kind, tmp_path):
    import onnxruntime

    model = tiny(kind)
    onnx_file.write(tmp_path / "model.onnx", onnx_file.PaddedGraph(model), 64, {})
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    generator = np.random.default_rng(0)
    for seqlens in ([2], [64], [1, 9, 4], [30] * 7):
        ids = generator.integers(5, 120, (len(seqlens), max(seqlens)))
        mask = (np.arange(max(seqlens)) < np.array(seqlens)[:, None]).astype(np.int64)
        (output,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
        flat = torch.from_numpy(ids[mask.astype(bool)])
        positions = torch.cat([torch.arange(T) for T in seqlens])
        inputs = (flat, positions, PackedLengths.of(seqlens))
        with torch.no_grad():
            is_lm = kind == "masked-lm"
            expected = model(*inputs, torch.arange(len(flat))) if is_lm else model(*inputs)
        if kind in ("masked-lm", "encoder"):
            output = output[mask.astype(bool)]
        np.testing.assert_allclose(output, expected, atol=1e-5, rtol=1e-5)


@needs_onnx
def test_a_file_with_other_numbers_than_the_models_is_not_kept(checkpoint, tmp_path, monkeypatch):
    def off_by_one(graph, input_ids, attention_mask):
        return forward(graph, input_ids + 1, attention_mask)

    forward = onnx_file.PaddedGraph.forward
    monkeypatch.setattr(onnx_file.PaddedGraph, "forward", off_by_one)
    config = ExportConfig(str(checkpoint), onnx=str(tmp_path / "model.onnx"))
    with pytest.raises(ValueError, match="onnxruntime gives other numbers than torch.*not kept"):
        export.main(config)
    assert not list(tmp_path.iterdir())


@needs_onnx
def test_an_export_that_fails_leaves_the_files_of_another_as_they_were(
    checkpoint, tmp_path, monkeypatch
):
    config = ExportConfig(str(checkpoint), onnx=str(tmp_path / "model.onnx"))
    export.main(config)
    for name in ("model.onnx", "model.int8.onnx"):
        (tmp_path / name).write_text("of another model")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["model.int8.onnx", "model.onnx", "tokenizer.json"]
    monkeypatch.setattr(onnx_check, "MOST_DIFFERENT", -1.0)
    with pytest.raises(ValueError, match="not kept"):
        export.main(replace(config, force=True))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    export.main(replace(config, force=True))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["model.onnx", "tokenizer.json"], "no other model's integers"


# ---- transformers ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", INPUTS)
def test_a_pooler_classifier_has_calibrated_probabilities_in_transformers(
    run, classifier, products, part, tmp_path
):
    """Those of the encoder's pool for a document alone, if it is not too long."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "listed"
    export.main(ExportConfig(str(run), transformers=str(folder), input=part))
    texts = texts_of(products, part)
    texts[part] = [", ".join(text.split(", ")[:3]) for text in texts[part]]
    _, lengths = encode_documents(texts[part], classifier.tokenizer, 48)
    short = [i for i, length in enumerate(lengths) if length <= 48]
    assert len(short) > 80
    terms = classifier.document_logits(texts)
    expected = classifier.encoder_pool(terms, given(texts)).softmax(-1)
    ask = transformers.pipeline("text-classification", str(folder), truncation=True)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert type(model).__name__ == "BertForSequenceClassification"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 48
    for i in short:
        found = {row["label"]: row["score"] for row in ask(texts[part][i], top_k=None)}
        ours = dict(zip(classifier.labels, expected[i].tolist(), strict=True))
        assert found == pytest.approx(ours, abs=1e-5)
    with torch.no_grad():
        logits = model(**tokenizer(texts[part][short[0]], return_tensors="pt")).logits[0]
    np.testing.assert_allclose(logits.double().softmax(-1), expected[short[0]], atol=1e-5)


@pytest.mark.parametrize("part", INPUTS)
def test_what_is_written_for_transformers_is_a_classifier_here_too(
    classifier, products, part, tmp_path
):
    torch.manual_seed(0)
    model = copy.deepcopy(classifier.model)
    torch.nn.init.normal_(model.classifier.bias)  # which few steps leave near 0
    classifier = replace(classifier, model=model)
    export_folders.write_transformers(tmp_path, classifier, part)
    texts = texts_of(products, part)
    expected = classifier.encoder_pool(classifier.document_logits(texts), given(texts)).softmax(-1)
    found, _ = Classifier.load(tmp_path).probabilities(texts)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def same_hidden_states(folder, model):
    """Whether AutoModel of the folder gives our encoder's hidden states."""
    transformers = pytest.importorskip("transformers")
    ids = torch.randint(5, 150, (20,), generator=torch.Generator().manual_seed(0))
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        ours = model(ids, torch.arange(20), PackedLengths.of([20]))
        found = theirs(input_ids=ids[None]).last_hidden_state[0]
    return type(theirs).__name__ == "BertModel" and torch.allclose(found, ours, atol=1e-5)


def test_every_run_opens_as_an_encoder_and_a_masked_lm_fills_masks(config, run, classifier):
    transformers = pytest.importorskip("transformers")
    train_mlm.main(config)
    ours = export.open_run(Path(config.out))
    assert same_hidden_states(run, classifier.model.bert)
    assert same_hidden_states(config.out, ours.encoder)
    fill = transformers.pipeline("fill-mask", config.out)
    assert type(fill.model).__name__ == "BertForMaskedLM"
    for text in product_texts(5):
        head, _, tail = text.partition(" ")
        found = fill(f"{head} [MASK] {tail}", top_k=5)
        before, after = ([*e.ids] for e in ours.tokenizer.encode_batch([head, tail], False, False))
        special = {token: ours.tokenizer.token_to_id(f"[{token}]") for token in ("CLS", "SEP")}
        mask = ours.tokenizer.token_to_id("[MASK]")
        ids = torch.tensor([special["CLS"], *before, mask, *after, special["SEP"]])
        position = torch.tensor([1 + len(before)])
        lengths = PackedLengths.of([len(ids)])
        with torch.no_grad():
            logits = ours.model(ids, torch.arange(len(ids)), lengths, position)
        probabilities, tokens = logits[0].softmax(-1).topk(5)
        assert [row["token"] for row in found] == tokens.tolist()
        np.testing.assert_allclose([row["score"] for row in found], probabilities, atol=1e-5)


# ---- sentence-transformers ---------------------------------------------------------------------


def test_a_sentence_transformers_folder_gives_the_mean_of_our_hidden_states(
    run, classifier, products, tmp_path
):
    reason = "needs sentence-transformers: pip install -e '.[test]'"
    library = pytest.importorskip("sentence_transformers", reason=reason)
    folder = tmp_path / "embedder"
    export.main(ExportConfig(str(run), sentence_transformers=str(folder)))
    model = library.SentenceTransformer(str(folder), device="cpu")
    assert model.max_seq_length == 48
    ids, lengths = encode_documents([p.name for p in products], classifier.tokenizer, 48)
    names = [p.name for p, length in zip(products, lengths, strict=True) if length <= 48]
    found = model.encode(names)
    for name, embedding in zip(names, found, strict=True):
        (tokens,), (T,) = encode_documents([name], classifier.tokenizer, 48)
        packed = PackedLengths.of([T])
        with torch.no_grad():
            hidden = classifier.model.bert(torch.from_numpy(tokens), torch.arange(T), packed)
        expected = mean_of_documents(hidden, packed)[0]
        np.testing.assert_allclose(embedding, expected, atol=1e-5)


# ---- what cannot be done -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_run(run, tmp_path_factory):
    """Makes a copy of the run with another config.json."""

    def make(**changes) -> Path:
        folder = tmp_path_factory.mktemp("other") / "run"
        shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoints"))
        contents = json.loads((folder / "config.json").read_text("utf-8")) | changes
        (folder / "config.json").write_text(json.dumps(contents), encoding="utf-8")
        return folder

    return make


WRONG = {
    "nothing": ({}, "give --onnx, --transformers or --sentence-transformers"),
    "int8": ({"transformers": "new", "int8": True}, "--int8 is for --onnx"),
    "encoder": ({"transformers": "new", "encoder": True}, "--encoder is for --onnx"),
    "input": ({"sentence_transformers": "new", "input": "name"}, "--input is for --transformers"),
    "no run": ({"run": "none", "transformers": "new"}, "none: no such folder; name the run folder"),
    "no model": ({"run": "full", "transformers": "new"}, "full holds no model, for it has no"),
    "ending": ({"onnx": "model.pt"}, "--onnx model.pt: the ending must be .onnx"),
    "folder": ({"onnx": "none/model.onnx"}, "model.onnx: there is no folder none"),
    "exists": ({"onnx": "full/model.onnx"}, "full/model.onnx exists; add --force"),
    "int8 exists": (
        {"onnx": "full/other.onnx", "int8": True},
        "full/other.int8.onnx exists; add --force",
    ),
    "is a folder": ({"onnx": "folder.onnx", "force": True}, "--onnx folder.onnx is a folder"),
    "tokenizer": ({"onnx": "full/new.onnx"}, "full/tokenizer.json would be overwritten"),
    "words": ({"onnx": "worded/new.onnx"}, "worded/words.npz would be overwritten"),
    "not empty": ({"transformers": "full"}, "--transformers full has files in it; add --force"),
    "a file": ({"transformers": "full/model.onnx"}, "full/model.onnx is a file; name a folder"),
    "no parent": ({"sentence_transformers": "none/new"}, "none/new: there is no folder none"),
    "the run": ({"sentence_transformers": "RUN", "force": True}, "is the run itself"),
    "one folder": (
        {"transformers": "new", "sentence_transformers": "new"},
        "--transformers and --sentence-transformers need a folder each",
    ),
    "which input": ({"transformers": "new"}, "reads one text at a time: add --input name or"),
}


@pytest.mark.parametrize("changes, message", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    run, tmp_path, monkeypatch, changes, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(onnx_file, "missing_packages", list)
    for folder in ("full", "worded", "folder.onnx"):
        (tmp_path / folder).mkdir()
    for name in ("model.onnx", "other.int8.onnx", "tokenizer.json", "../worded/words.npz"):
        (tmp_path / "full" / name).write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    values = {name: str(run) if value == "RUN" else value for name, value in changes.items()}
    with pytest.raises(ValueError) as error:
        export.main(ExportConfig(**({"run": str(run)} | values)))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_extra_is_named_with_the_command_that_installs_it(run, tmp_path, monkeypatch):
    find_spec = onnx_file.importlib.util.find_spec
    hidden = ("onnxruntime", "onnxscript")
    monkeypatch.setattr(
        onnx_file.importlib.util,
        "find_spec",
        lambda name, *more: None if name in hidden else find_spec(name, *more),
    )
    with pytest.raises(ValueError, match=r"onnxruntime and onnxscript: pip install -e '.\[onnx\]'"):
        export.main(ExportConfig(str(run), onnx=str(tmp_path / "model.onnx")))


def test_runs_that_transformers_has_no_classifier_for_are_named(other_run, checkpoint, tmp_path):
    out = str(tmp_path / "new")
    cases = {
        checkpoint: "--transformers is for classifiers; .* opens in transformers as it is",
        other_run(encoder_pool=None): "the encoder alone is not calibrated, .* train it again",
        other_run(inputs=["name"]): "--input ingredients: .* was trained without it",
    }
    for folder, message in cases.items():
        with pytest.raises(ValueError, match=message):
            export.main(ExportConfig(str(folder), transformers=out, input="ingredients"))
    assert not Path(out).exists()


def test_another_head_is_no_classifier_of_transformers(classifier, tmp_path):
    model = BertForSequenceClassification(classifier.model.config, len(classifier.labels), "mlp")
    run = export.Run(tmp_path, model, classifier.tokenizer, 48, replace(classifier, model=model))
    message = "transformers has no head like mlp.*train with --head pooler, or write --onnx"
    with pytest.raises(ValueError, match=message):
        export.transformers_input(run, "name")


def test_a_classifier_of_transformers_is_no_run(run, tmp_path):
    export.main(ExportConfig(str(run), transformers=str(tmp_path / "named"), input="name"))
    with pytest.raises(ValueError, match="is a classifier of transformers, no run of train_cls.py"):
        export.main(ExportConfig(str(tmp_path / "named"), transformers=str(tmp_path / "again")))


def test_the_command_ends_with_code_2_and_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["export", str(tmp_path), "--transformers", "new"])
    assert options.run_command(ExportConfig, None, export.main) == 2
    assert capsys.readouterr().err.count("\n") == 1
