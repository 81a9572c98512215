import gzip
import json

import numpy as np
import pytest

from beautybert import corpus
from beautybert.mlm import token_cache
from beautybert.mlm.corpus import TEXT_FIELDS, Corpus, clean_text, document_text
from beautybert.mlm.token_cache import TokenCache, first_occurrences
from tests.conftest import product_texts


def build(folder, paths, tokenizer, **options) -> TokenCache:
    folder.mkdir()
    token_cache.build(
        folder,
        [str(path) for path in paths],
        tokenizer,
        options.pop("text_fields", TEXT_FIELDS),
        **options,
    )
    return TokenCache(folder)


def texts_of(cache, tokenizer) -> list[str]:
    return [tokenizer.decode(cache.document(i).tolist()) for i in range(len(cache))]


@pytest.mark.parametrize(
    "raw, clean",
    [
        ("A&nbsp;cr&egrave;me &amp; more", "A crème & more"),
        ("twice &amp;lt;b&amp;gt;bold&amp;lt;/b&amp;gt;", "twice bold"),
        ("under < 5 oz and > 3", "under < 5 oz and > 3"),
        ("<p class='x'>one</p><br/>two<!-- no -->", "one two"),
        ("<script>var a = '<b>';</script>kept<style>p {}</style>", "kept"),
        ("  zero\u200bwidth \n\t folded\u00a0", "zero width folded"),
        ("I <3 this", "I <3 this"),
        ("SPF&#8203;50", "SPF 50"),
        ("mois&shy;turizer", "moisturizer"),
        ("a\x07b\u2028c", "a b c"),
    ],
)
def test_clean_text(raw, clean):
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    "record, text",
    [
        (
            {"title": "Rose Water", "description": ["A toner.", "", "Use daily"], "feature": []},
            "Rose Water. A toner. Use daily.",
        ),
        (
            {"title": "Rose Water", "features": ["100 ml"], "description": [], "store": "Acme"},
            "Rose Water. 100 ml.",
        ),
        ({"title": "Rose Water", "description": []}, "Rose Water"),
        ({"title": None, "description": "One text"}, "One text"),
        ({"title": ""}, ""),
    ],
)
def test_amazon_2018_and_2023_records_become_one_text(record, text):
    assert document_text(json.dumps(record).encode(), ".json", TEXT_FIELDS) == text


def test_every_format_gives_the_same_documents(tmp_path, tokenizer):
    texts = product_texts(30)
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"title": text, "description": []}) + "\n" for text in texts)
    (tmp_path / "c.csv").write_text(
        "\ufeffid,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(texts)),
        encoding="utf-8",
    )
    caches = [
        build(tmp_path / name[0], [tmp_path / name], tokenizer)
        for name in ("a.txt", "b.jsonl.gz", "c.csv")
    ]
    for cache in caches:
        assert np.array_equal(cache.tokens, caches[0].tokens) and np.array_equal(
            cache.offsets, caches[0].offsets
        )
    assert texts_of(caches[0], tokenizer) == [
        tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts
    ]


def test_csv_cells_may_hold_line_breaks_and_commas(tmp_path):
    (tmp_path / "x.csv").write_text('name,text\na,"water,\nglycerin"\nb,oil\n')
    assert list(Corpus([tmp_path / "x.csv"], ("text",))) == ["water, glycerin", "oil"]


def test_everything_is_counted(tmp_path, tokenizer):
    lines = (
        [
            json.dumps({"title": t})
            for t in (
                "water gel",
                "Water  Gel",
                "oil",
                "",
                "<br>",
                "☃",
                "var start = (new Date()).getTime();",
            )
        ]
        + ['{"title": "rose"', "[1]", '{"title": 5}', json.dumps({"title": "rose ☃"})]
        + [""]
    )
    (tmp_path / "x.json").write_text("\n".join(lines) + "\n")
    counts = build(tmp_path / "c", [tmp_path / "x.json"], tokenizer, max_bad_rows=0.5).counts
    assert (
        counts.rows,
        counts.bad,
        counts.empty,
        counts.duplicates,
        counts.documents,
        counts.unknown_tokens,
    ) == (12, 3, 5, 1, 3, 1)
    first, second, third = counts.bad_examples
    assert (
        "x.json, line 8: not JSON" in first
        and "line 9: a JSON list, not an object" in second
        and "line 10: 'title' holds neither" in third
    )
    assert (
        "12 rows: 3 malformed, 5 without text, 1 duplicates dropped -> 3 documents, 5 tokens"
        in str(counts)
    )


def test_processes_give_the_cache_of_one_and_duplicates_across_files_go(
    tmp_path, tokenizer, monkeypatch
):
    monkeypatch.setattr(corpus, "POOL_BYTES", 0)
    monkeypatch.setattr(corpus, "CHUNK_ROWS", 7)
    texts = product_texts(100)
    (tmp_path / "a.txt").write_text("\n".join(texts[:60]))
    (tmp_path / "b.txt").write_text("\n".join(texts[40:]))
    one, two = (
        build(tmp_path / f"c{n}", [tmp_path / "a.txt", tmp_path / "b.txt"], tokenizer, workers=n)
        for n in (1, 2)
    )
    assert (
        np.array_equal(one.tokens, two.tokens)
        and np.array_equal(one.offsets, two.offsets)
        and one.counts == two.counts
    )
    assert (one.counts.duplicates, len(one)) == (20, 100)


def test_first_occurrences_in_parts_are_those_of_a_set(tmp_path):
    keys = np.random.default_rng(0).integers(0, 2**63, 2000, dtype=np.uint64)[
        np.random.default_rng(1).integers(0, 2000, 5000)
    ]
    keys.tofile(tmp_path / "keys")
    seen: set = set()
    expected = [not (key in seen or seen.add(key)) for key in keys.tolist()]
    for part_size in (64, 999, 10_000):
        assert first_occurrences(tmp_path / "keys", len(keys), part_size).tolist() == expected


def test_fingerprint_changes_with_content_order_and_fields(tmp_path):
    for name, text in (("a.txt", "water"), ("b.txt", "oil")):
        (tmp_path / name).write_text(text)
    a, b = str(tmp_path / "a.txt"), str(tmp_path / "b.txt")
    prints = [
        Corpus([a, b], TEXT_FIELDS),
        Corpus([b, a], TEXT_FIELDS),
        Corpus([a, b], ("title",)),
    ]
    (tmp_path / "a.txt").write_text("Water")
    prints.append(Corpus([a, b], TEXT_FIELDS))
    assert len(set(prints)) == 4


def gzipped(path, data: bytes, keep: float = 1.0):
    packed = gzip.compress(data)
    path.write_bytes(packed[: int(len(packed) * keep)])


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("missing.json", None, "missing.json: no such file"),
        ("empty.txt", b"", "no text in .*empty.txt"),
        ("blank.json", b'{"title": ""}\n', "no text in .*0 documents"),
        ("data.parquet", b"x", "known endings are .json, .jsonl, .txt and .csv"),
        ("fake.json.gz", b"{}", "is named .gz but is no gzip file"),
        (
            "bad.json",
            b'{"title": "a b"}\n{"title": \n',
            r"1 of 2 rows are malformed \(--max-bad-rows allows 1.00%\): .*bad.json, line 2: not JSON",
        ),
        ("list.json", b'[{"title": "a"}]\n', "list.json, line 1: a JSON list, not an object"),
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
    gzipped(path, "\n".join(product_texts(400)).encode(), keep=0.7 if damage == "cut" else 1.0)
    if damage == "flipped":
        data = bytearray(path.read_bytes())
        data[-6] ^= 255  # the checksum at the end
        path.write_bytes(data)
    with pytest.raises(ValueError, match="x.txt.gz: broken gzip after line [1-9]"):
        build(tmp_path / "cache", [path], tokenizer)


def test_malformed_rows_below_the_limit_are_skipped_and_shown(tmp_path, tokenizer):
    (tmp_path / "x.txt").write_bytes(
        b"\n".join(text.encode() for text in product_texts(150)) + b"\n\xff\xfe\n"
    )
    counts = build(tmp_path / "cache", [tmp_path / "x.txt"], tokenizer).counts
    assert (
        (counts.bad, counts.documents) == (1, 150)
        and "skipped: " in str(counts)
        and "line 151: not UTF-8" in str(counts)
    )
