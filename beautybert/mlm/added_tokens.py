"""New words and names for the vocabulary of a checkpoint, and the embeddings they start with.

A domain's words cost a general vocabulary many pieces: phenoxyethanol is `ph ##eno ##xy ##eth ##ano
##l`. One token for each makes texts shorter.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from torch import nn

from beautybert.bert import wordpiece
from beautybert.bert.model import BertForMaskedLM
from beautybert.mlm import disk_cache
from beautybert.mlm.corpus import Corpus
from beautybert.training.distributed import Ranks

VERSION = 2  # of what add_words and add_names choose: caches are named by it
MAX_NAME_WORDS = 8  # of an added name; what is longer between two commas is a sentence


def extend_tokenizer(
    tokenizer: Tokenizer,
    corpus: Corpus,
    num_words: int,
    num_names: int,
    cache_dir: str,
    ranks: Ranks,
) -> Tokenizer:
    """The tokenizer with `num_words` words and `num_names` names of the corpus more.

    The longer tokenizer is kept in cache_dir. The tokenizer itself if both numbers are 0.
    """
    if not num_words and not num_names:
        return tokenizer

    def write_longer(folder: Path) -> None:
        longer = tokenizer
        if num_words:
            longer = add_words(longer, corpus.texts(), num_words)
        if num_names:
            longer = add_names(longer, corpus.texts(), num_names)
        wordpiece.write(longer, folder, max_length=512)

    parts = [corpus.fingerprint, wordpiece.fingerprint(tokenizer), num_words, num_names, VERSION]
    folder = Path(cache_dir).expanduser() / "-".join(["vocabulary", *map(str, parts)])
    return disk_cache.load_or_make(folder, write_longer, wordpiece.read, ranks)


def describe(base: Tokenizer, tokenizer: Tokenizer) -> str:
    """The size of a vocabulary and what `tokenizer` has beyond `base`, for people."""
    new_tokens = _new_tokens(base, tokenizer)
    text = f"vocabulary: {len(wordpiece.token_list(base)):,} tokens"
    if new_tokens:
        text += (
            f", {len(new_tokens):,} tokens more, words and names, first those that cost the most "
            f"pieces: {', '.join(map(repr, new_tokens[:6]))}"
        )
    return text


def _new_tokens(base: Tokenizer, tokenizer: Tokenizer) -> list[str]:
    num_known = len(wordpiece.token_list(base))
    return [str(token) for token in wordpiece.token_list(tokenizer)[num_known:]]


def initialize_embeddings(model: BertForMaskedLM, base: Tokenizer, tokenizer: Tokenizer) -> None:
    """Give the tokens that `tokenizer` has beyond `base` their embeddings.

    A new token starts as the mean of the pieces that it was cut into before, a name without its
    comma.
    """
    texts = [token.rstrip(",") for token in _new_tokens(base, tokenizer)]
    if texts:
        encoded = base.encode_batch_fast(texts, add_special_tokens=False)
        num_known = len(wordpiece.token_list(base))
        append_embeddings(model, num_known, [encoding.ids for encoding in encoded])


def append_embeddings(
    model: BertForMaskedLM, num_known: int, pieces: Sequence[Sequence[int]]
) -> None:
    """Append a token for each entry of `pieces`, the ids that it was cut into before.

    They follow the first `num_known` ids, those that have a token; rows beyond, with which some
    checkpoints are padded, are dropped. A new token starts as the mean of its pieces (as in Gee et
    al. 2022, arXiv:2402.09977), in the embeddings, which are the decoder too, and in the decoder's
    bias.
    """
    words = model.bert.embeddings.word_embeddings
    head: Any = model.cls["predictions"]
    with torch.no_grad():
        new_rows = torch.stack([words.weight[list(ids)].mean(0) for ids in pieces])  # (new, D)
        new_biases = torch.stack([head.bias[list(ids)].mean() for ids in pieces])  # (new,)
        weight = torch.cat([words.weight[:num_known], new_rows])  # (V, D)
        bias = torch.cat([head.bias[:num_known], new_biases])  # (V,)
    model.bert.embeddings.word_embeddings = nn.Embedding.from_pretrained(
        weight, freeze=False, padding_idx=words.padding_idx
    )
    head.bias = nn.Parameter(bias)
    model.config = replace(model.config, vocab_size=len(weight))


# ---- which words and names ---------------------------------------------------------------------


def add_words(tokenizer: Tokenizer, texts: Iterable[str], count: int) -> Tokenizer:
    """The tokenizer with `count` whole words of the texts, or as many as there are, after its own
    ids.

    They are the words that cost the most: occurrences times the pieces saved. WordPiece takes the
    longest token that fits, so longer words that begin with a new one are cut differently as well.
    ValueError for a tokenizer that does not cut texts into words, or has added names.
    """
    if tokenizer.pre_tokenizer is None:
        raise ValueError(
            "the tokenizer has no pre-tokenizer, which BERT's have: it does not say what a word is"
        )
    occurrences: Counter[str] = Counter()
    for text in texts:
        words = tokenizer.pre_tokenizer.pre_tokenize_str(_normalize(tokenizer, text))
        occurrences.update(word for word, _ in words)
    chosen = _most_costly(tokenizer, occurrences)[:count]
    contents = json.loads(tokenizer.to_str())
    num_known = len(wordpiece.token_list(tokenizer))
    for i, word in enumerate(chosen):
        contents["model"]["vocab"][word] = num_known + i
    longer = Tokenizer.from_str(json.dumps(contents))
    longer.encode_special_tokens = True
    return _checked(longer, tokenizer, len(chosen))


def add_names(tokenizer: Tokenizer, texts: Iterable[str], count: int) -> Tokenizer:
    """The tokenizer with `count` names of the texts, or as many as there are, after its own ids.

    A name is what is between two commas that no digit follows, or before the first: at most
    `MAX_NAME_WORDS` words, not across the end of a sentence, at least twice in the texts. Its token
    includes the comma: "sodium chloride,". Chosen are the names that cost the most: occurrences
    times the pieces saved. Of tokens that begin at one position the longest counts; none begins or
    ends inside a word. They are in tokenizer.json; what reads vocab.txt alone cuts names into
    words. ValueError for a tokenizer with an id that no token has.
    """
    occurrences: Counter[str] = Counter()
    for text in texts:
        pieces = re.split(r"(?<=,)(?!\d)", _normalize(tokenizer, text))
        occurrences.update(piece.strip() for piece in pieces[:-1])
    names = {name: n for name, n in occurrences.items() if n > 1 and _is_name(name)}
    chosen = _most_costly(tokenizer, names)[:count]
    longer = Tokenizer.from_str(tokenizer.to_str())
    longer.encode_special_tokens = True
    longer.add_tokens([AddedToken(name, single_word=True, normalized=True) for name in chosen])
    return _checked(longer, tokenizer, len(chosen))


def _normalize(tokenizer: Tokenizer, text: str) -> str:
    return tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text


def _is_name(text: str) -> bool:
    return len(text.split()) <= MAX_NAME_WORDS and not re.search(r"[.!?]\s", text)


def _most_costly(tokenizer: Tokenizer, occurrences: Mapping[str, int]) -> list[str]:
    """The texts of several tokens, by occurrences times the pieces that one token would save.

    An unknown word is one [UNK], so it costs nothing.
    """
    saved = {}
    encoded = tokenizer.encode_batch_fast(list(occurrences), add_special_tokens=False)
    for (text, count), encoding in zip(occurrences.items(), encoded, strict=True):
        if len(encoding.ids) > 1:
            saved[text] = count * (len(encoding.ids) - 1)
    return sorted(saved, key=lambda text: (-saved[text], text))


def _checked(longer: Tokenizer, tokenizer: Tokenizer, count: int) -> Tokenizer:
    """The longer tokenizer, if all that it does is to add `count` tokens.

    The library numbers added names anew when words come in before them.
    """
    before, after = wordpiece.token_list(tokenizer), wordpiece.token_list(longer)
    same_start = after[: len(before)] == before
    num_added = len(longer.get_vocab()) - len(tokenizer.get_vocab())
    if not same_start or num_added != count or len(after) != len(before) + count:
        raise ValueError(
            "tokens cannot be added to this tokenizer, which has names from --add-names already, "
            "or an id that no token has; start from the one before"
        )
    return longer
