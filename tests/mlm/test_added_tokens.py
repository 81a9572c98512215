import pytest
import torch

from beautybert.bert import pretrained, wordpiece
from beautybert.bert.attention import PackedLengths
from beautybert.bert.pretrained import read_config
from beautybert.bert.wordpiece import SPECIAL_TOKENS, token_list
from beautybert.mlm import added_tokens
from beautybert.mlm.added_tokens import add_names, add_words, append_embeddings
from beautybert.mlm.corpus import Corpus
from beautybert.training.distributed import Ranks


def tokenizer_of(folder, pieces):
    """An uncased tokenizer whose vocabulary is the special tokens and these pieces."""
    folder.mkdir()
    tokens = [*SPECIAL_TOKENS, *pieces]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    return wordpiece.read(folder)


def ids_of(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def new_tokens(longer, tokenizer):
    """What `longer` has after the tokens of `tokenizer`, which must all be there in order."""
    num_known = len(token_list(tokenizer))
    assert token_list(longer)[:num_known] == token_list(tokenizer)
    return token_list(longer)[num_known:]


# ---- words -------------------------------------------------------------------------------------

# pieces saved: glycerin 2 x 2, glycerineth 3, parabens 2, paraben 1
WORD_TEXTS = ["Glycerin, water, glycerin", "glycerineth, parabens", "paraben, oil zinc zinc zinc"]


@pytest.fixture
def for_words(tmp_path):
    pieces = ["gly", "##cer", "##in", "##eth", "water", ",", "par", "##aben", "##s", "oil"]
    return tokenizer_of(tmp_path / "words", pieces)


def test_the_words_that_cost_the_most_pieces_become_tokens(for_words):
    longer = add_words(for_words, iter(WORD_TEXTS), 3)
    assert new_tokens(longer, for_words) == ["glycerin", "glycerineth", "parabens"]
    text = "GLYCERIN glycerins paraben [MASK]"
    tokens = longer.encode(text, add_special_tokens=False).tokens
    expected = ["glycerin", "glycerin", "##s", "par", "##aben", "[UNK]", "[UNK]", "[UNK]"]
    assert tokens == expected


def test_there_are_at_most_as_many_new_words_as_cost_several_pieces(for_words):
    found = new_tokens(add_words(for_words, WORD_TEXTS, 100), for_words)
    assert found == ["glycerin", "glycerineth", "parabens", "paraben"], "zinc is [UNK], one piece"


def test_words_are_those_that_the_tokenizer_sees(for_words):
    for_words.normalizer = None
    assert not new_tokens(add_words(for_words, ["Glycerin"], 9), for_words)
    assert new_tokens(add_words(for_words, ["glycerin"], 9), for_words) == ["glycerin"]


def test_a_tokenizer_without_words_gets_none(for_words):
    for_words.pre_tokenizer = None
    with pytest.raises(ValueError, match="no pre-tokenizer"):
        add_words(for_words, WORD_TEXTS, 3)


def test_new_words_are_the_same_in_transformers(for_words, tmp_path):
    transformers = pytest.importorskip("transformers")
    longer = add_words(for_words, WORD_TEXTS, 3)
    wordpiece.write(longer, tmp_path / "longer", 64)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "longer")
    assert ids_of(longer, "glycerin, oil") == [15, 10, 14]
    assert theirs("glycerin, oil")["input_ids"][1:-1] == [15, 10, 14]


# ---- names -------------------------------------------------------------------------------------

# pieces saved: "1,2-hexa," 2 x 6, "sodium chloride," 3 x 2, "water," 2 x 1; "oil sodium," is there
# once, "water oil" before no comma
NAME_TEXTS = [
    "Sodium Chloride, 1,2-Hexa, water, oil sodium, chloride",
    "SODIUM CHLORIDE, 1,2-hexa, water oil",
    "water, sodium chloride, water oil",
]


@pytest.fixture
def for_names(tmp_path):
    pieces = ["sodium", "chloride", "##s", "water", ",", "1", "2", "-", "he", "##xa", "oil"]
    return tokenizer_of(tmp_path / "names", [*pieces, "##water"])


def test_the_names_that_cost_the_most_pieces_become_tokens_with_their_comma(for_names):
    assert new_tokens(add_names(for_names, iter(NAME_TEXTS), 1), for_names) == ["1,2-hexa,"]
    longer = add_names(for_names, NAME_TEXTS, 9)
    assert new_tokens(longer, for_names) == ["1,2-hexa,", "sodium chloride,", "water,"]


def test_long_names_and_ends_of_sentences_are_no_names(for_names):
    nine_words = " ".join(["water"] * 9)
    sentences = [f"{nine_words}, nice. water oil, x"] * 2
    assert not new_tokens(add_names(for_names, sentences, 9), for_names)


def test_names_are_added_to_names_and_words_are_not(for_names):
    longer = add_names(for_names, NAME_TEXTS, 9)
    more = add_names(longer, ["oil water, oil water, sodium chloride,"], 9)
    assert new_tokens(more, longer) == ["oil water,"]
    with pytest.raises(ValueError, match="has names from --add-names already"):
        add_words(longer, ["glyceryl sodiums"], 9)


def test_a_name_is_one_token_where_its_comma_follows_and_never_inside_a_word(for_names):
    longer = add_names(for_names, NAME_TEXTS, 9)
    text = "Water, Sodium Chloride, sodium chlorides, oilwater, 1,2-hexa, 1,2 water"
    tokens = [longer.id_to_token(token_id) for token_id in ids_of(longer, text)]
    expected = ["water,", "sodium chloride,", "sodium", "chloride", "##s", ",", "oil", "##water"]
    expected += [",", "1,2-hexa,", "1", ",", "2", "water"]
    assert tokens == expected
    plain = "water, sodium chloride, oil"
    assert longer.decode(longer.encode(plain).ids, skip_special_tokens=True) == plain


def test_new_names_are_the_same_when_read_back_and_in_transformers(for_names, tmp_path):
    transformers = pytest.importorskip("transformers")
    longer = add_names(for_names, NAME_TEXTS, 9)
    wordpiece.write(longer, tmp_path / "longer", 64)
    ours = wordpiece.read(tmp_path / "longer")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "longer")
    text = "oil, sodium chloride, 1,2-hexa, water"
    assert theirs(text)["input_ids"][1:-1] == ids_of(ours, text)
    assert ours.token_to_id("[MASK]") not in ids_of(ours, "oil, sodium chloride, [MASK] water")
    assert wordpiece.fingerprint(ours) == wordpiece.fingerprint(longer)


# ---- a run's tokenizer and model ---------------------------------------------------------------


def test_the_longer_tokenizer_is_made_once_and_kept(tmp_path, for_words, monkeypatch, capsys):
    (tmp_path / "x.txt").write_text("\n".join(WORD_TEXTS * 2))
    corpus = Corpus((str(tmp_path / "x.txt"),))
    ranks = Ranks(0, 0, 1, torch.device("cpu"))

    def extend(num_words, num_names):
        arguments = (num_words, num_names, str(tmp_path / "cache"), ranks)
        return added_tokens.extend_tokenizer(for_words, corpus, *arguments)

    assert extend(0, 0) is for_words
    longer = extend(1, 1)
    assert new_tokens(longer, for_words) == ["glycerin", "glycerineth,"]
    monkeypatch.setattr(added_tokens, "add_words", None)  # it must not be called again
    assert token_list(extend(1, 1)) == token_list(longer)
    text = added_tokens.describe(for_words, longer)
    assert text.startswith("vocabulary: 15 tokens, 2 tokens more")
    assert text.endswith("'glycerin', 'glycerineth,'")


def logits_of(model, ids):
    positions = torch.arange(len(ids))
    return model.eval()(ids, positions, PackedLengths.of([len(ids)]), positions)


@pytest.mark.parametrize("padding", [0, 3])
def test_a_new_word_starts_as_the_mean_of_its_pieces_in_and_out(checkpoint, padding):
    model, _ = pretrained.load_masked_lm(checkpoint, read_config(checkpoint))
    num_known = model.config.vocab_size - padding
    ids = torch.arange(5, 25)
    before = logits_of(model, ids).detach()
    old = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    append_embeddings(model, num_known, [[7, 9, 9], [11]])
    assert model.config.vocab_size == num_known + 2

    after = logits_of(model, ids)
    torch.testing.assert_close(after[:, :num_known], before[:, :num_known])
    mean = (before[:, 7] + 2 * before[:, 9]) / 3
    torch.testing.assert_close(after[:, num_known], mean, atol=1e-5, rtol=1e-5)
    weight = old["bert.embeddings.word_embeddings.weight"]
    words = model.bert.embeddings.word_embeddings
    expected = torch.stack([(weight[7] + 2 * weight[9]) / 3, weight[11]])
    torch.testing.assert_close(words.weight[num_known:], expected)
    bias = model.cls["predictions"].bias
    assert bias[num_known + 1] == old["cls.predictions.bias"][11]

    after.sum().backward()
    assert words.weight.grad[num_known:].abs().sum() > 0
    assert bias.grad[num_known:].abs().sum() > 0


def test_a_model_gets_an_embedding_for_each_new_token_from_its_pieces(checkpoint, tokenizer):
    model, _ = pretrained.load_masked_lm(checkpoint, read_config(checkpoint))
    weight = model.bert.embeddings.word_embeddings.weight.clone()
    longer = add_names(tokenizer, ["shea butter, shea butter, x"], 9)
    assert new_tokens(longer, tokenizer) == ["shea butter,"]
    added_tokens.initialize_embeddings(model, tokenizer, longer)
    pieces = ids_of(tokenizer, "shea butter")  # without the comma
    words = model.bert.embeddings.word_embeddings.weight
    assert len(words) == len(token_list(longer))
    torch.testing.assert_close(words[-1], weight[pieces].mean(0))
    added_tokens.initialize_embeddings(model, longer, longer)
    assert len(model.bert.embeddings.word_embeddings.weight) == len(token_list(longer))
