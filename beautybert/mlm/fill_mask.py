"""What a person looks at: training input as text, and the model's guesses at hidden words before and after training."""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer

from beautybert.attention import Segments
from beautybert.batching import MicroBatch, Windows
from beautybert.corpus import TokenCache
from beautybert.masking import Vocabulary
from beautybert.model import BertForMaskedLM
from beautybert.tokenizer import special_ids


def masked_as_text(
    batch: MicroBatch, tokenizer: Tokenizer, count: int = 2, at_least: int = 12
) -> list[str]:
    """The first `count` documents of at least `at_least` tokens (else the longest) as the model sees them, targets as 'glycerin→[MASK]'."""
    offsets = batch.segments.offsets.tolist()
    documents = [
        (first, last) for first, last in zip(offsets, offsets[1:]) if last - first >= at_least
    ]
    targets = dict(zip(batch.target_positions.tolist(), batch.target_ids.tolist()))
    texts = []
    for first, last in documents[:count] or list(zip(offsets, offsets[1:]))[-count:]:
        seen = [tokenizer.id_to_token(id) for id in batch.input_ids[first:last].tolist()]
        texts.append(
            " ".join(
                f"{tokenizer.id_to_token(targets[first + i])}→{token}"
                if first + i in targets
                else token
                for i, token in enumerate(seen)
            )
        )
    return texts


def masked_rates(batch: MicroBatch, vocabulary: Vocabulary) -> str:
    """The realised shares: selected of the maskable tokens, and what became of the selected."""
    seen, right = batch.input_ids[batch.target_positions].numpy(), batch.target_ids.numpy()
    specials = 2 * len(batch.segments.lengths)
    masked, kept = (seen == vocabulary.mask_id).mean(), (seen == right).mean()
    return (
        f"{len(right) / (len(batch.input_ids) - specials):.1%} of {len(batch.input_ids) - specials:,} tokens selected: "
        f"{masked:.1%} [MASK], {1 - masked - kept:.1%} random, {kept:.1%} kept"
    )


def choose_riddles(
    cache: TokenCache,
    windows: Windows,
    tokenizer: Tokenizer,
    rng: np.random.Generator,
    count: int = 5,
    context: int = 14,
) -> list[dict]:
    """Up to `count` texts with one whole word of at least four letters hidden, with up to `context` tokens on either side.

    A riddle is {"ids": the tokens with [CLS], [SEP] and [MASK], "position": where [MASK] stands, "answer": the hidden token's id}.
    """
    special, riddles = special_ids(tokenizer), []
    for window in rng.permutation(len(windows))[: 200 * count]:
        start, length = int(windows.starts[window]), int(windows.lengths[window])
        ids = cache.tokens[start : start + length].tolist()
        tokens = [tokenizer.id_to_token(id) for id in ids] + ["."]
        words = [
            i
            for i in range(1, length)
            if len(tokens[i]) >= 4 and tokens[i].isalpha() and not tokens[i + 1].startswith("##")
        ]
        if length < 10 or not words:
            continue
        hidden = int(rng.choice(words))
        first = max(0, hidden - context)
        around = ids[first:hidden] + [special["[MASK]"]] + ids[hidden + 1 : hidden + 1 + context]
        riddles.append(
            {
                "ids": [special["[CLS]"], *around, special["[SEP]"]],
                "position": hidden - first + 1,
                "answer": ids[hidden],
            }
        )
        if len(riddles) == count:
            break
    return riddles


@torch.no_grad()
def guess(
    model: BertForMaskedLM,
    riddles: list[dict],
    tokenizer: Tokenizer,
    device: torch.device,
    top: int = 3,
) -> list[str]:
    """For each riddle the model's `top` guesses with their probabilities: 'cream 41 %, gel 12 %, oil 5 %'."""
    training = model.training
    model.eval()
    guesses = []
    for riddle in riddles:
        ids = torch.tensor(riddle["ids"], device=device)
        logits = model(
            ids,
            torch.arange(len(ids), device=device),
            Segments.from_lengths([len(ids)], device),
            torch.tensor([riddle["position"]], device=device),
        )
        probabilities, best = logits[0].float().softmax(-1).topk(top)
        guesses.append(
            ", ".join(
                f"{tokenizer.id_to_token(id)} {p:.0%}"
                for p, id in zip(probabilities.tolist(), best.tolist())
            )
        )
    model.train(training)
    return guesses


def riddle_text(riddle: dict, tokenizer: Tokenizer) -> str:
    """The text around the hidden word, and the word: '... with [MASK] acid ... (hyaluronic)'."""
    return f"{tokenizer.decode(riddle['ids'][1:-1], skip_special_tokens=False)}  ({tokenizer.id_to_token(riddle['answer'])})"
