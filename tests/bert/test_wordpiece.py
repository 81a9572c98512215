import json

import pytest
from tokenizers import Tokenizer, models

from beautybert.bert import wordpiece
from beautybert.bert.wordpiece import is_uncased, token_list
from tests.conftest import product_texts

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = "Crème HYDRATANTE, glycerin (2 %) shampoo"


def ids_of(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def vocab_folder(folder, tokens, **described):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *tokens]) + "\n", encoding="utf-8")
    if described:
        (folder / "tokenizer_config.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize(
    "extra, uncased",
    [
        (["glycerin", "sham", "##poo"], True),
        (["Cr", "HY", "##DR", "##A", "##T", "##N", "##E", "glycerin", "##è", "##me"], False),
    ],
)
def test_vocab_txt_gives_the_ids_of_transformers_cased_and_uncased(tmp_path, extra, uncased):
    transformers = pytest.importorskip("transformers")
    letters = list("abcdefghijklmnopqrstuvwxyz")
    tokens = [*letters, *("##" + letter for letter in letters), *",()%2è", *extra]
    folder = vocab_folder(tmp_path / "vocabulary", tokens, do_lower_case=uncased)
    theirs = transformers.BertTokenizer.from_pretrained(folder)
    expected = theirs(TEXT, add_special_tokens=False)["input_ids"]
    assert ids_of(wordpiece.read(folder), TEXT) == expected


def test_casing_is_taken_from_the_vocabulary_where_no_config_says_it(tmp_path):
    assert is_uncased(wordpiece.read(vocab_folder(tmp_path / "a", ["water"])))
    assert not is_uncased(wordpiece.read(vocab_folder(tmp_path / "b", ["water", "Water"])))


def test_truncation_and_padding_of_the_file_are_switched_off(tmp_path):
    tokenizer = wordpiece.learn(lambda: product_texts(50), 200)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    read = wordpiece.read(tmp_path)
    assert len(ids_of(read, " ".join(["water"] * 50))) == 50
    assert len(ids_of(read, "water")) == 1


def test_what_is_written_reads_back_from_either_file_and_in_transformers(tmp_path, tokenizer):
    transformers = pytest.importorskip("transformers")
    wordpiece.write(tokenizer, tmp_path, max_length=64)
    ids = ids_of(tokenizer, TEXT)
    assert ids_of(wordpiece.read(tmp_path), TEXT) == ids
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    cls_id, sep_id = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    assert theirs(TEXT)["input_ids"] == [cls_id, *ids, sep_id]
    assert theirs.model_max_length == 64
    (tmp_path / "tokenizer.json").unlink()
    assert ids_of(wordpiece.read(tmp_path), TEXT) == ids


def test_a_special_token_written_in_a_text_is_cut_like_any_word(tokenizer):
    ids = ids_of(tokenizer, "rose [MASK] [SEP]")
    assert not {tokenizer.token_to_id(token) for token in ("[MASK]", "[SEP]")} & set(ids)


def test_learning_is_deterministic_and_keeps_to_the_size():
    first, second = (wordpiece.learn(lambda: product_texts(200), 250) for _ in range(2))
    other = wordpiece.learn(lambda: product_texts(200, seed=1), 250)
    assert wordpiece.fingerprint(first) == wordpiece.fingerprint(second)
    assert wordpiece.fingerprint(first) != wordpiece.fingerprint(other)
    assert first.get_vocab_size() <= 250
    assert token_list(first)[:5] == SPECIAL


def test_without_a_folder_a_vocabulary_is_learned(checkpoint, tokenizer):
    texts = product_texts(50)
    assert token_list(wordpiece.load_or_learn(checkpoint, texts, 100)) == token_list(tokenizer)
    learned = wordpiece.load_or_learn(None, texts, 100)
    assert token_list(learned) == token_list(wordpiece.learn(lambda: texts, 100))
    assert token_list(learned) != token_list(tokenizer)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "neither tokenizer.json nor vocab.txt"),
        ("{", "no readable tokenizer"),
        ("BPE", "needs WordPiece"),
        ("water\n", "lacks the special tokens"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwater\nwater\n", "'water' is there twice"),
        ("caf\xe9\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_broken_tokenizer_is_named(tmp_path, content, message):
    if content == "BPE":
        Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    elif content == "{":
        (tmp_path / "tokenizer.json").write_text(content)
    elif content:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "vocab.txt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        wordpiece.read(tmp_path)
