import json

import pytest
from tokenizers import Tokenizer, models, normalizers

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


# Texts and a vocabulary on which each setting of BERT's normalizer shows.
TEXTS = ["Café CRÈME 中文 ab", "SPF50 Vitamin C\x07!", "Crème\u200b; é", "ß İ \u4e2d\u3042 Ab中"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789éèß中文,;!"
TOKENS = [*LETTERS, *("##" + letter for letter in LETTERS), "中文", "cafe", "café", "spf"]
CAPITALS = [
    "Caf",
    "C",
    "R",
    "CR",
    "È",
    "##È",
    "##M",
    "##E",
    "SPF",
    "Vitamin",
    "Crème",
    "Creme",
    "A",
]


def same_as_transformers(folder):
    """Whether a folder gives the ids of AutoTokenizer, also after it was written again."""
    transformers = pytest.importorskip("transformers")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = wordpiece.read(folder)
    again = folder / "again"
    wordpiece.write(ours, again, max_length=64)
    (again / "config.json").write_text('{"model_type": "bert"}')
    theirs_again = transformers.AutoTokenizer.from_pretrained(again)
    for text in TEXTS:
        expected = theirs(text, add_special_tokens=False)["input_ids"]
        assert ids_of(ours, text) == expected
        assert ids_of(wordpiece.read(again), text) == expected
        assert theirs_again(text, add_special_tokens=False)["input_ids"] == expected
    return ours


CONFIGS = [
    {"do_lower_case": True},
    {"do_lower_case": False},
    {"do_lower_case": False, "strip_accents": True},
    {"do_lower_case": True, "strip_accents": False},
    {"do_lower_case": True, "tokenize_chinese_chars": False},
    {"do_lower_case": False, "strip_accents": None, "tokenize_chinese_chars": False},
    {"do_lower_case": True, "tokenizer_class": "BertTokenizerFast", "unk_token": "[UNK]"},
    {"do_lower_case": True, "strip_accents": None},
    {"do_lower_case": False, "mask_token": {"__type": "AddedToken", "content": "[MASK]"}},
]


@pytest.mark.parametrize("described", CONFIGS)
def test_settings_of_tokenizer_config_are_followed_as_transformers_does(tmp_path, described):
    same_as_transformers(vocab_folder(tmp_path / "x", TOKENS + CAPITALS, **described))


@pytest.mark.parametrize("described", CONFIGS)
@pytest.mark.parametrize(
    "own",
    [
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
        {"do_lower_case": True, "strip_accents": False},
    ],
)
def test_they_count_for_more_than_tokenizer_json(tmp_path, described, own):
    folder = vocab_folder(tmp_path / "x", TOKENS + CAPITALS, **own)
    wordpiece.read(folder).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    same_as_transformers(folder)


def test_without_settings_texts_are_lower_cased_as_transformers_does(tmp_path):
    """bert-base-chinese has <S> and <T> as its only capitals."""
    tokenizer = same_as_transformers(vocab_folder(tmp_path / "x", [*TOKENS, "<S>", "<T>"]))
    assert tokenizer.encode("SPF50").tokens == ["[CLS]", "spf", "##5", "##0", "[SEP]"]


def test_a_vocabulary_that_looks_cased_needs_a_setting(tmp_path):
    folder = vocab_folder(tmp_path / "x", TOKENS + CAPITALS)
    with pytest.raises(ValueError, match="13 of its tokens have capitals. Write into .*config"):
        wordpiece.read(folder)


def test_a_tokenizer_json_alone_is_as_it_says(tmp_path):
    folder = vocab_folder(tmp_path / "x", TOKENS + CAPITALS, do_lower_case=False)
    tokenizer = wordpiece.read(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    for config in (None, {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True}):
        (folder / "tokenizer_config.json").unlink()
        if config:
            (folder / "tokenizer_config.json").write_text(json.dumps(config))
        assert not is_uncased(wordpiece.read(folder))
        (folder / "tokenizer_config.json").write_text("{}")


def test_a_normalizer_of_another_kind_must_agree_with_the_settings(tmp_path):
    folder = vocab_folder(tmp_path / "x", TOKENS, do_lower_case=True)
    tokenizer = wordpiece.read(folder)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(folder / "tokenizer.json"))
    assert is_uncased(wordpiece.read(folder))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    with pytest.raises(ValueError, match="tokenizer_config.json says .* false, .*tokenizer.json"):
        wordpiece.read(folder)


@pytest.mark.parametrize("has_json", [True, False])
def test_added_tokens_are_whole_as_in_transformers(tmp_path, has_json):
    folder = vocab_folder(tmp_path / "x", TOKENS, do_lower_case=True)
    num_tokens = len(SPECIAL) + len(TOKENS)
    if has_json:
        wordpiece.read(folder).save(str(folder / "tokenizer.json"))
    (folder / "added_tokens.json").write_text(json.dumps({"spf50": num_tokens}))
    tokenizer = same_as_transformers(folder)
    assert num_tokens in ids_of(tokenizer, "an SPF50 cream")
    assert token_list(tokenizer)[num_tokens] == "spf50"


def test_a_token_that_is_added_twice_is_added_once(tmp_path):
    """As older transformers write it: flags in tokenizer_config.json, ids in added_tokens.json."""
    token_id = len(SPECIAL) + len(TOKENS)
    entry = {"content": "<x>", "special": True, "normalized": False}
    decoder = {str(token_id): entry}
    folder = vocab_folder(tmp_path / "x", TOKENS, added_tokens_decoder=decoder)
    (folder / "added_tokens.json").write_text(json.dumps({"<x>": token_id}))
    assert wordpiece.read(folder).token_to_id("<x>") == token_id


@pytest.mark.parametrize(
    "added, message",
    [
        ({"spf50": 3}, '"spf50".*id 3, the next free one is'),
        ({"spf50": 10**6}, '"spf50".*id 1000000, the next free one is'),
        ({"cafe": 3}, 'gives "cafe" the id 3, which does not fit'),
        ({"x": "y"}, 'x is "y", must be a whole number'),
        ({"x": -1}, "x is -1, must be a whole number of at least 0"),
        ([], "is a list, must be an object"),
    ],
)
def test_added_tokens_that_do_not_fit_are_refused(tmp_path, added, message):
    folder = vocab_folder(tmp_path / "x", TOKENS, do_lower_case=True)
    (folder / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(ValueError, match=message):
        wordpiece.read(folder)


@pytest.mark.parametrize(
    "described, message",
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, '"BertJapaneseTokenizer" is not supported'),
        ({"do_basic_tokenize": False}, "do_basic_tokenize false is not supported"),
        ({"do_lower_case": "yes"}, 'do_lower_case is "yes", must be true or false'),
        ({"strip_accents": 1}, "strip_accents is 1, must be true or false"),
        ({"unk_token": "<unk>"}, 'unk_token "<unk>" is not supported; it must be .UNK.'),
        ({"added_tokens_decoder": {"x": {"content": "y"}}}, 'has the id "x"'),
        ({"added_tokens_decoder": {"5": "y"}}, '5 is "y", must be an object'),
        ({"added_tokens_decoder": []}, "added_tokens_decoder is a list|\\[\\]"),
    ],
)
def test_settings_that_are_not_supported_are_refused(tmp_path, described, message):
    folder = vocab_folder(tmp_path / "x", TOKENS, **described)
    with pytest.raises(ValueError, match=message) as caught:
        wordpiece.read(folder)
    assert str(folder / "tokenizer_config.json") in str(caught.value)


@pytest.mark.parametrize("ending", ["\n", "\n\n\n", "", "\r\n", "\r\n\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_marks_and_blank_lines_of_vocab_txt_change_nothing(tmp_path, ending, mark):
    folder = vocab_folder(tmp_path / "x", TOKENS, do_lower_case=True)
    plain = wordpiece.fingerprint(wordpiece.read(folder))
    separator = "\r\n" if "\r" in ending else "\n"
    text = mark + separator.join(SPECIAL + TOKENS) + ending
    (folder / "vocab.txt").write_bytes(text.encode())
    assert wordpiece.fingerprint(wordpiece.read(folder)) == plain


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
        ("other prefix", "the prefix inside words ##"),
        ("huge id", "has a token of id 4,000,000,000; ids must be below"),
        ("water\n", "lacks the special tokens"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwater\nwater\n", '"water" is there twice'),
        ("caf\xe9\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_broken_tokenizer_is_named(tmp_path, content, message):
    if content == "BPE":
        Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    elif content == "other prefix":
        model = models.WordPiece({"[UNK]": 0}, unk_token="[UNK]", continuing_subword_prefix="@@")
        Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    elif content == "huge id":
        text = Tokenizer(models.WordPiece({"[UNK]": 0, "x": 1}, unk_token="[UNK]")).to_str()
        assert text.count('"x":1') == 1
        (tmp_path / "tokenizer.json").write_text(text.replace('"x":1', '"x":4000000000'))
    elif content == "{":
        (tmp_path / "tokenizer.json").write_text(content)
    elif content:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "vocab.txt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        wordpiece.read(tmp_path)


@pytest.mark.parametrize("size", [0, 10**8, 10**21])
def test_a_vocabulary_of_an_absurd_size_is_refused(size):
    with pytest.raises(ValueError, match="1 to 10,000,000 tokens, not "):
        wordpiece.learn(lambda: ["water"], size)
