"""What a person looks at: masked training texts, and what the model fills in before and after.

A fill-mask prompt is a text that was held out from training, with one word replaced by [MASK].
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import BertForMaskedLM
from beautybert.bert.wordpiece import special_ids
from beautybert.files import read_json, value_of, write_text
from beautybert.mlm.batches import MlmBatch, Windows
from beautybert.mlm.token_cache import TokenCache
from beautybert.training.seeding import PROMPTS, generator_of

# ---- masked training texts ---------------------------------------------------------------------


def describe_masking(batch: MlmBatch, tokenizer: Tokenizer) -> str:
    """The realised shares of a micro-batch and two of its texts as the model sees them."""
    lines = [masking_rates(batch, special_ids(tokenizer)["[MASK]"])]
    lines += [f"  {text}" for text in masked_texts(batch, tokenizer)]
    return "\n".join(lines)


def masked_texts(
    batch: MlmBatch, tokenizer: Tokenizer, count: int = 2, at_least: int = 12
) -> list[str]:
    """The first `count` documents of at least `at_least` tokens, targets as "glycerin→[MASK]".

    Only documents with a target. Without any so long, the last.
    """
    cu_seqlens = batch.lengths.cu_seqlens.tolist()
    spans = list(zip(cu_seqlens, cu_seqlens[1:], strict=False))
    spans = [(start, end) for start, end in spans if start < batch.num_tokens]  # no padding
    targets = dict(zip(batch.target_positions.tolist(), batch.target_ids.tolist(), strict=True))
    spans = [(start, end) for start, end in spans if any(i in targets for i in range(start, end))]
    long = [(start, end) for start, end in spans if end - start >= at_least]
    texts = []
    for start, end in long[:count] or spans[-count:]:
        words = []
        for position in range(start, end):
            word = str(tokenizer.id_to_token(int(batch.input_ids[position])))
            if position in targets:
                word = f"{tokenizer.id_to_token(targets[position])}→{word}"
            words.append(word)
        texts.append(" ".join(words))
    return texts


def masking_rates(batch: MlmBatch, mask_id: int) -> str:
    """The realised shares: selected of the tokens of texts, and what became of the selected."""
    seen = batch.input_ids[batch.target_positions]
    starts = batch.lengths.cu_seqlens[:-1]
    num_documents = int((starts < batch.num_tokens).sum())  # without padding
    num_maskable = batch.num_tokens - 2 * num_documents
    masked = (seen == mask_id).double().mean().item()
    kept = (seen == batch.target_ids).double().mean().item()
    return (
        f"masking: {batch.num_targets / num_maskable:.1%} of {num_maskable:,} tokens selected: "
        f"{masked:.1%} [MASK], {1 - masked - kept:.1%} random, {kept:.1%} kept"
    )


# ---- fill-mask prompts -------------------------------------------------------------------------


@dataclass(frozen=True)
class Prompt:
    """A text with one word masked.

    ids: its tokens with [CLS], [SEP] and one [MASK]. position: of the [MASK]. target_id: its word.
    """

    ids: list[int]
    position: int
    target_id: int

    def text(self, tokenizer: Tokenizer, context: int = 14) -> str:
        """What is around the mask, and its word: "... with [MASK] acid ...  (hyaluronic)".

        Up to `context` tokens on either side; the model sees the whole text.
        """
        start = max(1, self.position - context)
        end = min(len(self.ids) - 1, self.position + context + 1)
        text = tokenizer.decode(self.ids[start:end], skip_special_tokens=False)
        before, after = "... " * (start > 1), " ..." * (end < len(self.ids) - 1)
        return f"{before}{text}{after}  ({tokenizer.id_to_token(self.target_id)})"


def choose_prompts(
    cache: TokenCache,
    windows: Windows,
    tokenizer: Tokenizer,
    seed: int,
    count: int = 5,
) -> list[Prompt]:
    """Up to `count` texts with one word masked: a single token of at least four letters."""
    special = special_ids(tokenizer)
    rng = generator_of(seed, PROMPTS)
    prompts: list[Prompt] = []
    for window in rng.permutation(len(windows))[: 200 * count]:
        start, length = int(windows.starts[window]), int(windows.lengths[window])
        ids = cache.tokens[start : start + length].tolist()
        tokens = [str(tokenizer.id_to_token(token_id)) for token_id in ids] + ["."]
        words = [i for i in range(1, length) if _is_word(tokens[i], tokens[i + 1])]
        if length < 10 or not words:
            continue
        masked = int(rng.choice(words))
        before, after = ids[:masked], ids[masked + 1 :]
        prompt_ids = [special["[CLS]"], *before, special["[MASK]"], *after, special["[SEP]"]]
        prompts.append(Prompt(prompt_ids, masked + 1, ids[masked]))
        if len(prompts) == count:
            break
    return prompts


def _is_word(token: str, following: str) -> bool:
    return len(token) >= 4 and token.isalpha() and not following.startswith("##")


@torch.no_grad()
def predict(
    model: BertForMaskedLM, prompts: list[Prompt], tokenizer: Tokenizer, top_k: int = 3
) -> list[str]:
    """For each prompt the likeliest words with their probabilities: "cream 41%, oil 5%"."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    predictions = []
    for prompt in prompts:
        T = len(prompt.ids)
        logits = model(
            torch.tensor(prompt.ids, device=device),
            torch.arange(T, device=device),
            PackedLengths.of([T], device),
            torch.tensor([prompt.position], device=device),
        )
        probabilities, ids = logits[0].float().softmax(-1).topk(top_k)
        words = [
            f"{tokenizer.id_to_token(token_id)} {probability:.0%}"
            for token_id, probability in zip(ids.tolist(), probabilities.tolist(), strict=True)
        ]
        predictions.append(", ".join(words))
    model.train(was_training)
    return predictions


def save_before(
    folder: Path, model: BertForMaskedLM, prompts: list[Prompt], tokenizer: Tokenizer
) -> None:
    """Start fill_mask.json with what the model predicts before training."""
    predictions = predict(model, prompts, tokenizer)
    text = json.dumps({"before": predictions}, ensure_ascii=False)
    write_text(folder / "fill_mask.json", text + "\n")


def save_after(
    folder: Path, model: BertForMaskedLM, prompts: list[Prompt], tokenizer: Tokenizer
) -> str:
    """Complete fill_mask.json with what the model predicts after training; returns it as text.

    What it predicted before is "not known" if the file is missing or corrupt: no run ends over it.
    """
    path = folder / "fill_mask.json"
    before = _predicted_before(path, len(prompts))
    after = predict(model, prompts, tokenizer)
    rows, lines = [], []
    for prompt, old, new in zip(prompts, before, after, strict=True):
        text = prompt.text(tokenizer)
        rows.append({"text": text, "before": old, "after": new})
        lines.append(f"{text}\n    before: {old}\n    after:  {new}")
    contents = json.dumps({"before": before, "prompts": rows}, indent=1, ensure_ascii=False)
    write_text(path, contents + "\n")
    return "\n".join(lines)


def _predicted_before(path: Path, count: int) -> list[str]:
    """The `count` predictions that `save_before` wrote."""
    try:
        before = value_of(read_json(path), "before", list, path)
    except (ValueError, FileNotFoundError):
        before = []
    return list(map(str, before)) if len(before) == count else ["not known"] * count
