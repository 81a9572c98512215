import json
import re
import shlex

import pytest

import train_cls
from beautybert import describe
from beautybert.describe import DescribeConfig
from beautybert.training import options
from tests.conftest import product_tables


@pytest.fixture
def described(tmp_path, capsys):
    """What describe prints of files, with a cache of its own."""

    def run(*paths, **changes) -> list[str]:
        changes = {"cache_dir": str(tmp_path / "cache"), "workers": 1, **changes}
        describe.main(DescribeConfig(files=tuple(map(str, paths)), **changes))
        return capsys.readouterr().out.splitlines()

    return run


def test_a_corpus_is_counted_in_the_tokens_of_a_checkpoint(described, tmp_path, checkpoint):
    path = tmp_path / "meta.jsonl"
    rows = [{"title": "water"}, {"title": "Water"}, {"title": ""}, {"title": "water glycerin 水"}]
    rows += [{"title": " ".join(["serum"] * n)} for n in (3, 200)]
    path.write_text("\n".join([*map(json.dumps, rows), "{broken"]), encoding="utf-8")
    lines = described(path, init=str(checkpoint))
    assert lines[0] == f"{path}: a corpus"
    (counts,) = [line for line in lines if line.startswith("corpus: ")]
    assert "7 rows: 1 malformed, 1 without text, 1 duplicates dropped -> 4 documents" in counts
    assert "207 tokens (51.8 a document, 0.48% [UNK])" in counts  # 1 + 3 + 3 + 200
    assert f"  skipped: {path}, line 7: " in lines[lines.index(counts) + 1]
    (shares,) = [line for line in lines if line.startswith("tokens of a document: ")]
    assert "50% have at most 3, 90% have at most 200" in shares and "longest 200" in shares
    bars = [line.split()[1:4] for line in lines if line.startswith("  from ")]
    assert bars == [["1", "tokens", "1"], ["2", "tokens", "2"], ["128", "tokens", "1"]]
    *examples, following = lines[lines.index("examples, as the model sees them:") + 1 :]
    assert following == f"next: python -m train_mlm --init {checkpoint} --data {path}"
    assert examples[:2] == ["  [CLS] water [SEP]", "  [CLS] water glycerin [UNK] [SEP]"]
    assert len(examples) == 4 and len(examples[-1]) < 105 and examples[-1].endswith("serum ...")


def test_of_many_texts_ten_from_all_over_are_shown(described, texts):
    lines = described(texts, vocab_size=100)
    *examples, following = lines[lines.index("examples, as the model sees them:") + 1 :]
    assert following == f"next: python -m train_mlm --vocab-size 100 --data {texts}"
    assert len(set(examples)) == 10 and all(line.startswith("  [CLS] ") for line in examples)
    assert any(line.startswith("vocabulary: 100 tokens learned") for line in lines)


def test_products_are_described_as_train_cls_does_and_nothing_is_written(
    described, tmp_path, capsys
):
    tables = product_tables(tmp_path)
    before = set(tmp_path.iterdir())
    chosen = {"labels": "canonical", "label_table": tables["label_table"]}
    *lines, following = described(*tables["data"], **chosen)
    assert set(tmp_path.iterdir()) == before
    words = shlex.split(following)
    assert words[:4] == ["next:", "python", "-m", "train_cls"]
    config = options.parse(train_cls.ClsConfig, None, words[4:])
    assert config == train_cls.ClsConfig(data=tables["data"], **chosen)
    out = str(tmp_path / "run")
    train_cls.main(train_cls.ClsConfig(**tables, labels="canonical", describe=True, out=out))
    theirs = capsys.readouterr().out.removeprefix("products: ").splitlines()
    assert lines == [f"{', '.join(tables['data'])}: products", *theirs]
    assert any(line.split()[:1] == ["Makeup"] for line in lines)


def jsonl(*records):
    return "\n".join(map(json.dumps, records))


@pytest.mark.parametrize(
    "name, contents, expected",
    [
        ("a.csv", "title,category\nRose Cream,cream", True),
        ("a.csv", "INCI list;Label\nWater;gel", True),
        ("a.tsv", "product_name\ttertiary_category\nx\tSerums", True),
        ("a.jsonl", jsonl({"name": "x"}, {"name": "y", "label": "cream"}), True),
        ("a.json", "[" + json.dumps({"title": "x", "category": "gel"}) + "]", True),
        ("a.csv", "title,category\nRose Cream,", False),  # no label is given
        ("a.csv", "text,label\nRose Cream,x", False),  # neither a name nor a list
        ("a.csv", "title,description\nRose Cream,x", False),
        ("meta.json", jsonl({"title": "x", "category": ["Beauty", "Hair"]}), False),
        ("meta.json", jsonl({"title": "x", "category": []}, {"title": 1}), False),
        ("a.txt", jsonl({"name": "x", "label": "y"}), False),
        ("a.json", "", False),
    ],
)
def test_labels_tell_tables_of_products_from_a_corpus(tmp_path, name, contents, expected):
    (tmp_path / name).write_text(contents, encoding="utf-8")
    assert describe.has_labels(str(tmp_path / name)) is expected


def test_files_of_both_kinds_and_a_kind_that_is_said(described, tmp_path):
    tables = product_tables(tmp_path)["data"]
    (tmp_path / "texts.txt").write_text("water\n" * 3, encoding="utf-8")
    lines = described(tmp_path / "texts.txt", *tables, vocab_size=50)
    titles = [line for line in lines if line.endswith((": products", ": a corpus"))]
    assert titles == [f"{', '.join(tables)}: products", f"{tmp_path / 'texts.txt'}: a corpus"]
    lines = described(tables[1], as_="corpus", text_fields=("name",), vocab_size=50)
    assert lines[0] == f"{tables[1]}: a corpus"
    (tmp_path / "kinds.csv").write_text(
        "kind,name\n" + "".join(f"{'ab'[i % 2]},x{i}\n" for i in range(60)), encoding="utf-8"
    )
    assert described(tmp_path / "kinds.csv", columns=("label=kind",))[0].endswith(": products")


def test_nothing_of_the_data_is_obeyed_by_a_terminal(described, tmp_path):
    signs = "\x1b[31m\x07\u202e\x9b"
    names = [f"x{i}{signs}y" for i in range(60)]
    rows = [{"name": name, "label": f"{signs}{'ab'[i % 2]}"} for i, name in enumerate(names)]
    (tmp_path / f"{signs}.jsonl").write_text(jsonl(*rows), encoding="utf-8")
    (tmp_path / "texts.json").write_text(jsonl(*({"title": n} for n in names)), encoding="utf-8")
    text = "\n".join(described(tmp_path / f"{signs}.jsonl", tmp_path / "texts.json", vocab_size=90))
    assert "60 products" in text and "60 documents" in text
    assert not re.search(f"[{signs.replace('[31m', '')}]", text)


@pytest.mark.parametrize(
    "flags, problem",
    [
        (["a.csv", "--as", "corpus", "--columns", "label=x"], "--columns is for products"),
        (["a.csv", "--as", "products", "--init", "x"], "--init is for a corpus"),
        (["a.csv", "--min-per-label", "0"], "--min-per-label must be above 0"),
        (["nowhere.csv"], "nowhere.csv: no such file"),
        (["a.xlsx"], "a.xlsx: cannot tell what it is"),
    ],
)
def test_what_is_wrong_is_one_line(flags, problem):
    with pytest.raises(ValueError) as raised:
        describe.main(options.parse(DescribeConfig, None, flags))
    assert problem in str(raised.value) and "\n" not in str(raised.value)
