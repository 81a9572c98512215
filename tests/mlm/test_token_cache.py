import gzip
import json

import numpy as np
import pytest
import torch

from beautybert.bert import wordpiece
from beautybert.mlm import corpus_files, token_cache
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.token_cache import TokenCache, first_occurrences
from beautybert.training.distributed import Ranks
from tests.conftest import product_texts

ONE_RANK = Ranks(0, 0, 1, torch.device("cpu"))


def build(folder, paths, tokenizer, workers=1, **options):
    folder.mkdir()
    corpus = Corpus(tuple(str(path) for path in paths), **options)
    token_cache.build(folder, corpus, tokenizer, workers)
    return TokenCache(folder, corpus)


def same_documents(cache, other):
    same_tokens = np.array_equal(cache.tokens, other.tokens)
    return same_tokens and np.array_equal(cache.offsets, other.offsets)


def write_gzip(path, data, keep=1.0):
    packed = gzip.compress(data)
    path.write_bytes(packed[: int(len(packed) * keep)])


# ---- what is in a cache ------------------------------------------------------------------------


def test_every_format_gives_the_same_documents(tmp_path, tokenizer):
    texts = product_texts(30)
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"title": text, "description": []}) + "\n" for text in texts)
    rows = [f'"{text}",{i}\n' for i, text in enumerate(texts)]
    (tmp_path / "c.csv").write_text("\ufefftext,id\n" + "".join(rows), encoding="utf-8")
    names = ("a.txt", "b.jsonl.gz", "c.csv")
    caches = [build(tmp_path / name[0], [tmp_path / name], tokenizer) for name in names]
    assert all(same_documents(cache, caches[0]) for cache in caches)
    assert len(caches[0]) == 30
    for i, text in enumerate(texts):
        expected = tokenizer.encode(text, add_special_tokens=False).ids
        assert caches[0].document(i).tolist() == expected


def test_every_row_is_counted(tmp_path, tokenizer):
    titles = (
        "water gel",
        "Water  Gel",
        "oil",
        "",
        "<br>",
        "☃",
        "var start = (new Date()).getTime();",
    )
    lines = [json.dumps({"title": title}) for title in titles]
    lines += [
        '{"title": "rose"',
        "[1]",
        '{"title": {"en": "x"}}',
        json.dumps({"title": "rose ☃"}),
        "",
    ]
    (tmp_path / "x.json").write_text("\n".join(lines) + "\n")
    counts = build(tmp_path / "c", [tmp_path / "x.json"], tokenizer, max_bad_rows=0.5).counts
    assert (counts.rows, counts.bad, counts.empty, counts.duplicates) == (12, 3, 5, 1)
    assert (counts.documents, counts.tokens, counts.unknown_tokens) == (3, 5, 1)
    first, second, third = counts.bad_examples
    assert "x.json, line 8: not JSON" in first
    assert "line 9: a JSON list, not an object" in second
    assert "line 10: 'title' holds neither" in third
    line = "12 rows: 3 malformed, 5 without text, 1 duplicates dropped -> 3 documents, 5 tokens"
    assert line in str(counts)


def test_malformed_rows_below_the_limit_are_skipped_and_shown(tmp_path, tokenizer):
    lines = [text.encode() for text in product_texts(150)]
    (tmp_path / "x.txt").write_bytes(b"\n".join(lines) + b"\n\xff\xfe\n")
    counts = build(tmp_path / "cache", [tmp_path / "x.txt"], tokenizer).counts
    assert (counts.bad, counts.documents) == (1, 150)
    assert "skipped: " in str(counts)
    assert "line 151: not UTF-8" in str(counts)


def test_processes_give_the_cache_of_one_and_duplicates_across_files_go(
    tmp_path, tokenizer, monkeypatch
):
    monkeypatch.setattr(token_cache, "POOL_BYTES", 0)
    monkeypatch.setattr(corpus_files, "CHUNK_ROWS", 7)
    texts = product_texts(100)
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("\n".join(texts[:60]))
    paths[1].write_text("\n".join(texts[40:]))
    one = build(tmp_path / "one", paths, tokenizer, workers=1)
    two = build(tmp_path / "two", paths, tokenizer, workers=2)
    assert same_documents(one, two)
    assert one.counts == two.counts
    assert (one.counts.duplicates, len(one)) == (20, 100)


def test_processes_cut_special_tokens_in_a_text_as_the_tokenizer_does(
    tmp_path, tokenizer, monkeypatch
):
    monkeypatch.setattr(token_cache, "POOL_BYTES", 0)
    text = "rose [MASK] [SEP]"
    (tmp_path / "x.txt").write_text(text + "\n")
    cache = build(tmp_path / "cache", [tmp_path / "x.txt"], tokenizer, workers=2)
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert cache.document(0).tolist() == expected


def test_first_occurrences_in_parts_are_those_of_a_set(tmp_path):
    different = np.random.default_rng(0).integers(0, 2**63, 2000, dtype=np.uint64)
    keys = different[np.random.default_rng(1).integers(0, 2000, 5000)]
    keys.tofile(tmp_path / "keys")
    seen, expected = set(), []
    for key in keys.tolist():
        expected.append(key not in seen)
        seen.add(key)
    for part_size in (64, 999, 10_000):
        found = first_occurrences(tmp_path / "keys", len(keys), part_size)
        assert found.tolist() == expected


def test_looking_for_duplicates_reads_the_keys_a_bounded_number_of_times(tmp_path, monkeypatch):
    read, fromfile = [], np.fromfile

    def counted(path, **options):
        read.append(fromfile(path, **options))
        return read[-1]

    keys = np.arange(5000, dtype=np.uint64) % 4000
    keys.tofile(tmp_path / "keys")
    monkeypatch.setattr(np, "fromfile", counted)
    found = first_occurrences(tmp_path / "keys", len(keys), part_size=10, most_parts=3)
    assert found.tolist() == [True] * 4000 + [False] * 1000
    assert sum(map(len, read)) == 3 * 5000


# ---- what is kept ------------------------------------------------------------------------------


def load(paths, tokenizer, cache_dir, **options):
    corpus = Corpus(tuple(str(path) for path in paths), **options)
    return token_cache.load_or_build(corpus, tokenizer, 1, str(cache_dir), ONE_RANK)


def test_a_cache_is_built_once_for_each_corpus_and_tokenizer(tmp_path, tokenizer, capsys):
    path = tmp_path / "x.txt"
    path.write_text("\n".join(product_texts(20)))
    cache = load([path], tokenizer, tmp_path / "caches")
    assert "tokenising" in capsys.readouterr().out
    assert same_documents(load([path], tokenizer, tmp_path / "caches"), cache)
    assert "tokenising" not in capsys.readouterr().out
    other = wordpiece.learn(lambda: product_texts(20), 120)
    assert not same_documents(load([path], other, tmp_path / "caches"), cache)
    path.write_text("\n".join(product_texts(21)))
    assert len(load([path], tokenizer, tmp_path / "caches")) == 21
    assert len(list((tmp_path / "caches").iterdir())) == 3


@pytest.mark.parametrize("name", ["tokens.npy", "offsets.npy", "meta.json", "checksums.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "missing"])
def test_a_corrupt_cache_is_noticed_and_made_again(tmp_path, tokenizer, capsys, name, damage):
    (tmp_path / "x.txt").write_text("\n".join(product_texts(20)))
    cache = load([tmp_path / "x.txt"], tokenizer, tmp_path / "caches")
    tokens, counts = cache.tokens.tolist(), cache.counts
    [folder] = (tmp_path / "caches").iterdir()
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage != "missing":
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        damaged = {"cut": content[:-2], "empty": b"", "flipped": flipped}[damage]
        (folder / name).write_bytes(damaged)
    capsys.readouterr()
    again = load([tmp_path / "x.txt"], tokenizer, tmp_path / "caches")
    assert (again.tokens.tolist(), again.counts) == (tokens, counts)
    assert f"{folder} is corrupt (" in capsys.readouterr().out
    assert list((tmp_path / "caches").iterdir()) == [folder]
    load([tmp_path / "x.txt"], tokenizer, tmp_path / "caches")
    assert "corrupt" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "meta",
    [
        "[]",
        '{"counts": null}',
        '{"counts": {"rows": "9"}}',
        "5" * 5000,
        "[" * 10**5,
        json.dumps({"counts": dict.fromkeys(token_cache.COUNTED, 2) | {"bad_examples": []}}),
    ],
)
def test_counts_that_are_not_those_of_the_tokens_are_one_line(tmp_path, tokenizer, meta):
    (tmp_path / "x.txt").write_text("water\n")
    cache = build(tmp_path / "c", [tmp_path / "x.txt"], tokenizer)
    (tmp_path / "c" / "meta.json").write_text(meta)
    with pytest.raises(ValueError, match="meta.json") as caught:
        TokenCache(tmp_path / "c", cache.corpus)
    assert "\n" not in str(caught.value)


def test_a_corrupt_vocabulary_is_learned_again(tmp_path, texts, capsys):
    def learned():
        corpus = Corpus((str(texts),))
        return token_cache.load_or_learn_tokenizer(None, corpus, 150, str(tmp_path), ONE_RANK)

    before = wordpiece.token_list(learned())
    [folder] = tmp_path.iterdir()
    content = (folder / "tokenizer.json").read_text().replace('"water"', '"wader"')
    (folder / "tokenizer.json").write_text(content)
    assert wordpiece.token_list(learned()) == before
    assert "is corrupt (tokenizer.json is not what was written)" in capsys.readouterr().out


def test_a_kept_cache_is_still_held_to_the_share_of_malformed_rows(tmp_path, tokenizer):
    (tmp_path / "x.txt").write_bytes(b"water\noil\n\xff\n")
    load([tmp_path / "x.txt"], tokenizer, tmp_path / "caches", max_bad_rows=0.5)
    with pytest.raises(ValueError, match=r"1 of 3 rows are malformed \(--max-bad-rows allows 10"):
        load([tmp_path / "x.txt"], tokenizer, tmp_path / "caches", max_bad_rows=0.1)


def test_the_tokenizer_is_that_of_the_folder_or_learned_and_kept(
    tmp_path, texts, tokenizer, checkpoint, monkeypatch
):
    corpus = Corpus((str(texts),))
    cache_dir = str(tmp_path)
    read = token_cache.load_or_learn_tokenizer(checkpoint, corpus, 150, cache_dir, ONE_RANK)
    assert wordpiece.fingerprint(read) == wordpiece.fingerprint(tokenizer)
    learned = token_cache.load_or_learn_tokenizer(None, corpus, 150, cache_dir, ONE_RANK)
    expected = wordpiece.learn(corpus.texts, 150)
    assert wordpiece.token_list(learned) == wordpiece.token_list(expected)
    monkeypatch.setattr(wordpiece, "learn", None)  # it must not be called again
    again = token_cache.load_or_learn_tokenizer(None, corpus, 150, cache_dir, ONE_RANK)
    assert wordpiece.token_list(again) == wordpiece.token_list(expected)


# ---- what must be refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("missing.json", None, "missing.json: no such file"),
        ("empty.txt", b"", "no text in .*empty.txt"),
        ("blank.json", b'{"title": ""}\n', "no text in .*0 documents"),
        ("data.xlsx", b"x", "known endings are .json, .jsonl, .ndjson, .txt, .csv, .tsv and .par"),
        ("fake.json.gz", b"{}", "is named .gz but is no gzip file"),
        (
            "bad.json",
            b'{"title": "a b"}\n{"title": \n',
            r"1 of 2 rows are malformed \(--max-bad-rows allows 1.00%\): .*bad.json, line 2: "
            "not JSON",
        ),
        ("list.json", b'[["title"]]\n', "list.json, line 1: a JSON list, not an object"),
        ("latin.txt", "crème\n".encode("latin-1"), "latin.txt, line 1: not UTF-8 .byte 2 is 0xe8"),
        ("latin.csv", "text\ncrème\n".encode("latin-1"), "latin.csv, line 2: not UTF-8"),
        ("half.json", b'{"title": "rose \\ud83d"}\n', "half.json, line 1: half a character"),
        ("wide.csv", b"text\nwater,glycerin\n", "line 2: 1 more cells than the header"),
        ("nothing.csv", b"", "empty, not even a header"),
        (
            "columns.csv",
            b"name,price\na,1\n",
            "has none of the text fields .*; it has name, price. Name one with --text-fields",
        ),
        ("columns.json", b'{"name": "a"}\n', "has none of the text fields .*; it has name. "),
    ],
)
def test_bad_input_is_named(tmp_path, tokenizer, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "cache", [tmp_path / name], tokenizer)


def test_a_folder_is_named(tmp_path, tokenizer):
    (tmp_path / "x.txt").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        build(tmp_path / "cache", [tmp_path / "x.txt"], tokenizer)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_broken_gzip_is_named_with_its_line(tmp_path, tokenizer, damage):
    path = tmp_path / "x.txt.gz"
    data = "\n".join(product_texts(400)).encode()
    write_gzip(path, data, keep=0.7 if damage == "cut" else 1.0)
    if damage == "flipped":
        packed = bytearray(path.read_bytes())
        packed[-6] ^= 255  # the checksum at the end
        path.write_bytes(packed)
    with pytest.raises(ValueError, match="x.txt.gz: broken gzip after line [1-9]"):
        build(tmp_path / "cache", [path], tokenizer)
