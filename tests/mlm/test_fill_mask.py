import json

import numpy as np
import pytest
import torch

from beautybert.bert import pretrained
from beautybert.bert.pretrained import read_config
from beautybert.bert.token_units import Vocabulary
from beautybert.mlm import fill_mask, token_cache
from beautybert.mlm.batches import Windows, join_windows, masked_micro_batch
from beautybert.mlm.corpus import Corpus
from beautybert.mlm.fill_mask import Prompt, choose_prompts, masked_texts, masking_rates
from beautybert.mlm.token_cache import TokenCache


@pytest.fixture(scope="module")
def cache(tmp_path_factory, texts, tokenizer):
    folder = tmp_path_factory.mktemp("cache")
    corpus = Corpus((str(texts),))
    token_cache.build(folder, corpus, tokenizer)
    return TokenCache(folder, corpus)


@pytest.fixture(scope="module")
def windows(cache):
    return Windows.cut(cache, np.arange(len(cache)), 64)


@pytest.fixture
def glycerin_model(checkpoint, tokenizer):
    """A model with a bias so large that it decides every prediction."""
    model, _ = pretrained.load_masked_lm(checkpoint, read_config(checkpoint))
    with torch.no_grad():
        model.cls["predictions"].bias[tokenizer.token_to_id("glycerin")] = 100
    return model


def ids_of(words, tokenizer):
    return [tokenizer.token_to_id(word) for word in words]


@pytest.mark.parametrize("padding", [0, 500])
def test_what_is_shown_is_what_the_model_sees(cache, windows, tokenizer, padding):
    cls_id, sep_id = ids_of(["[CLS]", "[SEP]"], tokenizer)
    ids, lengths = join_windows(cache, windows, np.arange(20), cls_id, sep_id)
    rng = np.random.default_rng(0)
    batch = masked_micro_batch(ids, lengths, Vocabulary.of(tokenizer), 0.3, "token", rng)
    batch = batch.padded_to(len(ids) + padding, tokenizer.token_to_id("[PAD]"))
    shown = masked_texts(batch, tokenizer)
    assert len(shown) == 2
    first = next(i for i, length in enumerate(lengths) if length >= 12)
    start = lengths[:first].sum()
    end = start + lengths[first]
    words = [word.split("→") for word in shown[0].split(" ")]
    seen = ids_of([word[-1] for word in words], tokenizer)
    original = ids_of([word[0] for word in words], tokenizer)
    assert seen == batch.input_ids[start:end].tolist()
    assert original == ids[start:end].tolist()

    num_maskable = len(ids) - 2 * len(lengths)
    share = len(batch.target_ids) / num_maskable
    rates = masking_rates(batch, tokenizer.token_to_id("[MASK]"))
    assert rates.startswith(f"masking: {share:.1%} of {num_maskable:,} tokens selected: ")


def test_without_long_documents_the_last_are_shown_and_never_padding(cache, windows, tokenizer):
    cls_id, sep_id = ids_of(["[CLS]", "[SEP]"], tokenizer)
    ids, lengths = join_windows(cache, windows, np.arange(20), cls_id, sep_id)
    rng = np.random.default_rng(0)
    batch = masked_micro_batch(ids, lengths, Vocabulary.of(tokenizer), 0.3, "token", rng)
    batch = batch.padded_to(len(ids) + 300, tokenizer.token_to_id("[PAD]"))
    shown = masked_texts(batch, tokenizer, at_least=1000)
    assert [len(text.split(" ")) for text in shown] == lengths[-2:].tolist()
    assert not any("[PAD]" in text for text in shown)


def test_only_documents_with_a_target_are_shown(cache, windows, tokenizer):
    cls_id, sep_id = ids_of(["[CLS]", "[SEP]"], tokenizer)
    ids, lengths = join_windows(cache, windows, np.arange(20), cls_id, sep_id)
    rng = np.random.default_rng(0)
    batch = masked_micro_batch(ids, lengths, Vocabulary.of(tokenizer), 1e-9, "token", rng)
    assert batch.num_targets == 1
    for at_least in (1, 1000):
        shown = masked_texts(batch, tokenizer, at_least=at_least)
        assert len(shown) == 1
        assert "→" in shown[0]


def test_prompts_hide_one_word_of_at_least_four_letters(cache, windows, tokenizer):
    prompts = choose_prompts(cache, windows, tokenizer, seed=0)
    assert len(prompts) == 5
    mask_id = tokenizer.token_to_id("[MASK]")
    for prompt in prompts:
        assert prompt.ids[prompt.position] == mask_id
        assert prompt.ids.count(mask_id) == 1
        word = tokenizer.id_to_token(prompt.target_id)
        assert len(word) >= 4 and word.isalpha()
        assert prompt.text(tokenizer).endswith(f"({word})")
    assert choose_prompts(cache, windows, tokenizer, seed=0) == prompts
    assert choose_prompts(cache, windows, tokenizer, seed=1) != prompts


def test_a_prompt_shows_what_is_around_its_mask(tokenizer):
    words = ["water", "glycerin", "[MASK]", "water", "glycerin"]
    prompt = Prompt(
        ids_of(["[CLS]", *words, "[SEP]"], tokenizer), 3, ids_of(["water"], tokenizer)[0]
    )
    assert prompt.text(tokenizer) == "water glycerin [MASK] water glycerin  (water)"
    assert prompt.text(tokenizer, context=1) == "... glycerin [MASK] water ...  (water)"


def test_predictions_are_the_models_and_leave_its_mode_alone(
    cache, windows, tokenizer, glycerin_model
):
    prompts = choose_prompts(cache, windows, tokenizer, seed=0)
    glycerin_model.train()
    predictions = fill_mask.predict(glycerin_model, prompts, tokenizer)
    assert len(predictions) == 5
    assert all(text.startswith("glycerin 100%, ") for text in predictions)
    assert glycerin_model.training


def test_the_file_holds_predictions_before_and_after(
    tmp_path, cache, windows, tokenizer, checkpoint, glycerin_model
):
    prompts = choose_prompts(cache, windows, tokenizer, seed=0)
    model, _ = pretrained.load_masked_lm(checkpoint, read_config(checkpoint))
    before = fill_mask.predict(model, prompts, tokenizer)
    fill_mask.save_before(tmp_path, model, prompts, tokenizer)
    text = fill_mask.save_after(tmp_path, glycerin_model, prompts, tokenizer)
    rows = json.loads((tmp_path / "fill_mask.json").read_text(encoding="utf-8"))["prompts"]
    assert [row["before"] for row in rows] == before
    assert all(row["after"].startswith("glycerin 100%, ") for row in rows)
    assert [row["text"] for row in rows] == [prompt.text(tokenizer) for prompt in prompts]
    assert text.count("after:  glycerin 100%") == 5


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"before": 5}', '{"before": ["a"]}', "[" * 10**5]
)
def test_a_corrupt_file_costs_the_predictions_before_and_no_run(
    tmp_path, cache, windows, tokenizer, glycerin_model, content
):
    prompts = choose_prompts(cache, windows, tokenizer, seed=0)
    if content is not None:
        (tmp_path / "fill_mask.json").write_text(content)
    text = fill_mask.save_after(tmp_path, glycerin_model, prompts, tokenizer)
    assert text.count("before: not known") == text.count("after:  glycerin 100%") == 5
    assert len(json.loads((tmp_path / "fill_mask.json").read_text())["prompts"]) == 5
