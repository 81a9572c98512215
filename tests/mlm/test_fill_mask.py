import numpy as np
import torch

from beautybert.bert import pretrained
from beautybert.bert.pretrained import read_config
from beautybert.bert.token_units import Vocabulary
from beautybert.mlm import fill_mask, token_cache
from beautybert.mlm.batches import Windows, join_windows, masked_micro_batch
from beautybert.mlm.corpus import TEXT_FIELDS
from beautybert.mlm.fill_mask import Prompt, choose_prompts, masked_texts, masking_rates
from beautybert.mlm.token_cache import TokenCache


def test_what_is_shown_is_what_the_model_sees(tmp_path, texts, tokenizer, checkpoint):
    token_cache.build(tmp_path, [str(texts)], tokenizer, TEXT_FIELDS)
    cache = TokenCache(tmp_path)
    windows, vocabulary = Windows.cut(cache, np.arange(len(cache)), 64), Vocabulary.of(tokenizer)
    ids, lengths = join_windows(
        cache, windows, np.arange(20), *(tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]"))
    )
    batch = masked_micro_batch(ids, lengths, vocabulary, 0.3, "token", np.random.default_rng(0))
    shown = masked_texts(batch, tokenizer)
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
    assert masking_rates(batch, vocabulary).startswith(
        f"{selected:.1%} of {len(ids) - 2 * len(lengths):,} tokens selected: "
    )

    riddles = choose_prompts(cache, windows, tokenizer, np.random.default_rng(0))
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
            and Prompt(riddle, tokenizer).endswith(f"({answer})")
        )
    model = pretrained.load_masked_lm(checkpoint, read_config(checkpoint))[0]
    with torch.no_grad():  # a bias this large decides every fill_mask.predict
        model.cls["predictions"].bias[tokenizer.token_to_id("glycerin")] = 100
    assert all(
        text.startswith("glycerin 100%, ")
        for text in fill_mask.predict(model, riddles, tokenizer, torch.device("cpu"))
    )
