import numpy as np
import torch

from beautybert.batching import Windows, join_windows, masked_micro_batch
from beautybert.corpus import TEXT_FIELDS, TokenCache, build_token_cache
from beautybert.examples import choose_riddles, guess, masked_as_text, masked_rates, riddle_text
from beautybert.masking import Vocabulary
from beautybert.pretrained import read_config, read_masked_lm


def test_what_is_shown_is_what_the_model_sees(tmp_path, texts, tokenizer, checkpoint):
    build_token_cache(tmp_path, [str(texts)], tokenizer, TEXT_FIELDS)
    cache = TokenCache(tmp_path)
    windows, vocabulary = Windows.cut(cache, np.arange(len(cache)), 64), Vocabulary.of(tokenizer)
    ids, lengths = join_windows(
        cache, windows, np.arange(20), *(tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]"))
    )
    batch = masked_micro_batch(ids, lengths, vocabulary, 0.3, "token", np.random.default_rng(0))
    shown = masked_as_text(batch, tokenizer)
    assert len(shown) == 2
    first = next(i for i, length in enumerate(lengths) if length >= 12)
    start = lengths[:first].sum()
    seen, original = ([word.split("→")[side] for word in shown[0].split(" ")] for side in (-1, 0))
    assert [tokenizer.token_to_id(token) for token in seen] == batch.input_ids[
        start : start + lengths[first]
    ].tolist()
    assert [tokenizer.token_to_id(token) for token in original] == ids[
        start : start + lengths[first]
    ].tolist()
    selected = len(batch.target_ids) / (len(ids) - 2 * len(lengths))
    assert masked_rates(batch, vocabulary).startswith(
        f"{selected:.1%} of {len(ids) - 2 * len(lengths):,} tokens selected: "
    )

    riddles = choose_riddles(cache, windows, tokenizer, np.random.default_rng(0))
    assert len(riddles) == 5
    for riddle in riddles:
        assert (
            riddle["ids"][riddle["position"]] == tokenizer.token_to_id("[MASK]")
            and riddle["ids"].count(riddle["ids"][riddle["position"]]) == 1
        )
        answer = tokenizer.id_to_token(riddle["answer"])
        assert (
            len(answer) >= 4
            and answer.isalpha()
            and riddle_text(riddle, tokenizer).endswith(f"({answer})")
        )
    model = read_masked_lm(checkpoint, read_config(checkpoint))[0]
    with torch.no_grad():  # a bias this large decides every guess
        model.cls["predictions"].bias[tokenizer.token_to_id("glycerin")] = 100
    assert all(
        text.startswith("glycerin 100%, ")
        for text in guess(model, riddles, tokenizer, torch.device("cpu"))
    )
