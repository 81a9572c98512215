import json

import pytest

from beautybert import corpus
from beautybert.bert import wordpiece
from beautybert.bert.wordpiece import is_uncased, token_list
from beautybert.mlm.added_tokens import add_names, add_words
from tests.conftest import product_texts

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = "Crème HYDRATANTE, glycerin (2 %) shampoo"


def vocab_folder(folder, tokens, **described):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *tokens]) + "\n", encoding="utf-8")
    if described:
        (folder / "tokenizer_config.json").write_text(json.dumps(described))
    return folder


def test_vocab_txt_gives_the_ids_of_transformers_cased_and_uncased(tmp_path):
    transformers = pytest.importorskip("transformers")
    letters = [c + x for x in "abcdefghijklmnopqrstuvwxyz" for c in ("", "##")] + list(",()%2è")
    for name, extra, lower in (
        ("uncased", ["glycerin", "sham", "##poo"], True),
        (
            "cased",
            ["Cr", "HY", "##DR", "##A", "##T", "##N", "##E", "glycerin", "##è", "##me"],
            False,
        ),
    ):
        folder = vocab_folder(tmp_path / name, letters + extra, do_lower_case=lower)
        theirs = transformers.BertTokenizer.from_pretrained(folder)
        assert (
            wordpiece.read(folder).encode(TEXT, add_special_tokens=False).ids
            == theirs(TEXT, add_special_tokens=False)["input_ids"]
        )


def test_casing_is_taken_from_the_vocabulary_where_no_config_says_it(tmp_path):
    assert is_uncased(wordpiece.read(vocab_folder(tmp_path / "a", ["water"])))
    assert not is_uncased(wordpiece.read(vocab_folder(tmp_path / "b", ["water", "Water"])))


def test_truncation_and_padding_of_the_file_are_switched_off(tmp_path):
    tokenizer = wordpiece.learn(lambda: product_texts(50), 200)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    read = wordpiece.read(tmp_path)
    assert len(read.encode(" ".join(["water"] * 50), add_special_tokens=False)) == 50
    assert len(read.encode("water", add_special_tokens=False)) == 1


def test_what_is_written_reads_back_from_either_file_and_in_transformers(tmp_path, tokenizer):
    transformers = pytest.importorskip("transformers")
    wordpiece.write(tokenizer, tmp_path, max_length=64)
    ids = tokenizer.encode(TEXT, add_special_tokens=False).ids
    assert wordpiece.read(tmp_path).encode(TEXT, add_special_tokens=False).ids == ids
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (
        theirs(TEXT)["input_ids"]
        == [tokenizer.token_to_id("[CLS]"), *ids, tokenizer.token_to_id("[SEP]")]
        and theirs.model_max_length == 64
    )
    (tmp_path / "tokenizer.json").unlink()
    assert wordpiece.read(tmp_path).encode(TEXT, add_special_tokens=False).ids == ids


def test_a_special_token_written_in_a_text_is_cut_like_any_word(tokenizer, tmp_path, monkeypatch):
    ids = tokenizer.encode("rose [MASK] [SEP]", add_special_tokens=False).ids
    assert not {tokenizer.token_to_id(token) for token in ("[MASK]", "[SEP]")} & set(ids)
    monkeypatch.setattr(corpus, "POOL_BYTES", 0)
    (tmp_path / "x.txt").write_text("rose [MASK] [SEP]\n")
    corpus.build_token_cache(
        tmp_path, [str(tmp_path / "x.txt")], tokenizer, corpus.TEXT_FIELDS, workers=2
    )
    assert corpus.TokenCache(tmp_path).document(0).tolist() == ids, "the processes' tokenizer"


def test_learning_is_deterministic_and_keeps_to_the_size():
    one, other = (wordpiece.learn(lambda: product_texts(200), 250) for _ in range(2))
    assert (
        wordpiece.fingerprint(one) == wordpiece.fingerprint(other) and one.get_vocab_size() <= 250
    )
    assert token_list(one)[:5] == SPECIAL and wordpiece.fingerprint(one) != wordpiece.fingerprint(
        wordpiece.learn(lambda: product_texts(200, seed=1), 250)
    )


def test_the_words_that_cost_the_most_pieces_become_tokens(tmp_path):
    transformers = pytest.importorskip("transformers")
    pieces = ["gly", "##cer", "##in", "##eth", "water", ",", "par", "##aben", "##s", "oil"]
    known = wordpiece.read(vocab_folder(tmp_path / "known", pieces, do_lower_case=True))
    # pieces saved: glycerin 2 x 2, glycerineth 3, parabens 2, paraben 1
    texts = ["Glycerin, water, glycerin", "glycerineth, parabens", "paraben, oil zinc zinc zinc"]
    longer = add_words(known, iter(texts), 3)
    assert token_list(longer) == [*token_list(known), "glycerin", "glycerineth", "parabens"]
    cut = longer.encode("GLYCERIN glycerins paraben [MASK]", add_special_tokens=False).tokens
    assert cut == ["glycerin", "glycerin", "##s", "par", "##aben", "[UNK]", "[UNK]", "[UNK]"]
    all_words = token_list(add_words(known, texts, 100))[len(token_list(known)) :]
    assert all_words == ["glycerin", "glycerineth", "parabens", "paraben"], (
        "zinc is unknown and stays so"
    )
    known.normalizer = None
    assert "Glycerin" not in token_list(
        add_words(known, ["Glycerin"], 9)
    ) and "glycerin" in token_list(add_words(known, ["glycerin"], 9))
    known.pre_tokenizer = None
    with pytest.raises(ValueError, match="no pre-tokenizer"):
        add_words(known, texts, 3)
    wordpiece.write(longer, tmp_path / "longer", 64)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "longer")
    assert (
        theirs("glycerin, oil")["input_ids"][1:-1]
        == longer.encode("glycerin, oil", add_special_tokens=False).ids
        == [15, 10, 14]
    )


def test_the_names_that_cost_the_most_pieces_become_tokens_with_their_comma(tmp_path):
    transformers = pytest.importorskip("transformers")
    pieces = [
        "sodium",
        "chloride",
        "##s",
        "water",
        ",",
        "1",
        "2",
        "-",
        "he",
        "##xa",
        "oil",
        "##water",
    ]
    known = wordpiece.read(vocab_folder(tmp_path / "known", pieces, do_lower_case=True))
    # pieces saved: "1,2-hexa," 2 x 6, "sodium chloride," 3 x 2, "water," 2 x 1; "oil sodium,"
    # stands there once, "water oil" before no comma
    texts = [
        "Sodium Chloride, 1,2-Hexa, water, oil sodium, chloride",
        "SODIUM CHLORIDE, 1,2-hexa, water oil",
        "water, sodium chloride, water oil",
    ]
    assert token_list(add_names(known, iter(texts), 1)) == [*token_list(known), "1,2-hexa,"]
    longer = add_names(known, texts, 9)
    assert token_list(longer) == [*token_list(known), "1,2-hexa,", "sodium chloride,", "water,"]
    sentences = ["water water water water water water water water water, nice. water oil, x"] * 2
    assert token_list(add_names(known, sentences, 9)) == token_list(known), (
        "nine words, and the end of a sentence"
    )
    more = add_names(longer, ["oil water, oil water, sodium chloride,"], 9)
    assert token_list(more) == [*token_list(longer), "oil water,"], "names on names"
    with pytest.raises(ValueError, match="has names from --add-names already"):
        add_words(longer, ["glyceryl sodiums"], 9)
    cut = [
        longer.id_to_token(id)
        for id in longer.encode(
            "Water, Sodium Chloride, sodium chlorides, oilwater, 1,2-hexa, 1,2 water",
            add_special_tokens=False,
        ).ids
    ]
    assert cut == [
        "water,",
        "sodium chloride,",
        "sodium",
        "chloride",
        "##s",
        ",",
        "oil",
        "##water",
        ",",
        "1,2-hexa,",
        "1",
        ",",
        "2",
        "water",
    ]
    assert (
        longer.decode(longer.encode("water, sodium chloride, oil").ids, skip_special_tokens=True)
        == "water, sodium chloride, oil"
    )
    wordpiece.write(longer, tmp_path / "longer", 64)
    text = "oil, sodium chloride, 1,2-hexa, [MASK] water"
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "longer")
    ours = wordpiece.read(tmp_path / "longer")
    assert (
        theirs(text.replace("[MASK] ", ""))["input_ids"][1:-1]
        == ours.encode(text.replace("[MASK] ", ""), add_special_tokens=False).ids
    )
    assert ours.token_to_id("[MASK]") not in ours.encode(text, add_special_tokens=False).ids
    assert wordpiece.fingerprint(ours) == wordpiece.fingerprint(longer)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "neither tokenizer.json nor vocab.txt"),
        ("{", "no readable tokenizer"),
        ("BPE", "needs WordPiece"),
        ("water\n", "lacks the special tokens"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwater\nwater\n", "'water' stands there twice"),
        ("caf\xe9\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_broken_tokenizer_is_named(tmp_path, content, message):
    if content == "BPE":
        from tokenizers import Tokenizer, models

        Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    elif content == "{":
        (tmp_path / "tokenizer.json").write_text(content)
    elif content:
        (tmp_path / "vocab.txt").write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    with pytest.raises(ValueError, match=message):
        wordpiece.read(tmp_path)
