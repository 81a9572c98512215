"""WordPiece tokenizers in a checkpoint's files: tokenizer.json, vocab.txt, tokenizer_config.json.

The `tokenizers` library does the work; here it is read, checked, learned and written. Special
tokens are never added to a text here: batches put [CLS] and [SEP] around its ids.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_CHARACTERS = 1000  # of a learned vocabulary; rarer ones become [UNK]


# ---- reading and writing -----------------------------------------------------------------------


def read(folder: Path | str) -> Tokenizer:
    """The tokenizer of a checkpoint folder: its tokenizer.json, else its vocab.txt.

    Truncation and padding that the file may ask for are switched off. A text never gives special
    ids: "[MASK]" written in a text is cut like any word. ValueError if neither file is there, one
    is broken, or a special token is missing.
    """
    folder = Path(folder)
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} is no readable tokenizer: {error}") from None
    else:
        path = folder / "vocab.txt"
        if not path.is_file():
            raise ValueError(f"{folder} has neither tokenizer.json nor vocab.txt")
        tokenizer = _from_vocabulary(path, _lowercase(path))
    if not isinstance(tokenizer.model, models.WordPiece):
        kind = type(tokenizer.model).__name__
        raise ValueError(f"{path} is a {kind} tokenizer; BERT needs WordPiece")
    missing = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]
    if missing:
        raise ValueError(f"{path} lacks the special tokens {', '.join(missing)}")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def write(tokenizer: Tokenizer, folder: Path | str, max_length: int) -> None:
    """Write tokenizer.json, vocab.txt (a token a line, in id order) and tokenizer_config.json.

    max_length: tokens of the longest document, for transformers.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    lines = []
    for token_id, token in enumerate(token_list(tokenizer)):
        lines.append(f"[no token {token_id}]" if token is None else token)
    (folder / "vocab.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    metadata: dict[str, Any] = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
    metadata |= {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": is_uncased(tokenizer),
        "model_max_length": max_length,
    }
    text = json.dumps(metadata, indent=2)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def _lowercase(path: Path) -> bool:
    """do_lower_case of the tokenizer_config.json next to vocab.txt.

    Without it, a vocabulary with a capital letter is a cased one.
    """
    config_path = path.with_name("tokenizer_config.json")
    if config_path.is_file():
        try:
            return bool(json.loads(config_path.read_text(encoding="utf-8"))["do_lower_case"])
        except KeyError:
            pass
        except ValueError as error:
            raise ValueError(f"{config_path}: {error}") from None
    tokens = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return not any(token != token.lower() for token in tokens if not token.startswith("["))


def _from_vocabulary(path: Path, lowercase: bool) -> Tokenizer:
    try:
        tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start})") from None
    repeated = [token for token, count in Counter(tokens).items() if count > 1]
    if repeated:
        raise ValueError(f"{path}: token {repeated[0]!r} is there twice")
    return _wordpiece(tokens, lowercase)


def _wordpiece(tokens: Iterable[str], lowercase: bool) -> Tokenizer:
    """BERT's own way to cut texts, with `tokens` in id order.

    Its tokenizer.json does for others what they expect: [CLS] ... [SEP], ## pieces joined.
    """
    vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
    model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocabulary])
    if "[CLS]" in vocabulary and "[SEP]" in vocabulary:
        sep, cls = ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        tokenizer.post_processor = processors.BertProcessing(sep, cls)
    return tokenizer


# ---- learning ----------------------------------------------------------------------------------


def load_or_learn(folder: Path | None, texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """The tokenizer of a folder; without a folder, one learned from the texts."""
    return learn(lambda: texts, vocab_size) if folder is None else read(folder)


def learn(texts: Callable[[], Iterable[str]], vocab_size: int) -> Tokenizer:
    """An uncased WordPiece tokenizer of about `vocab_size` tokens; `texts()` is called twice.

    The same texts give the same tokenizer. The library's trainer alone does not: it numbers the ##
    characters in the order of a hash map and breaks ties by number (huggingface/tokenizers#1794).
    So they are numbered here, before it runs.
    """
    learner = _wordpiece(["[UNK]"], lowercase=True)
    initial: Counter[str] = Counter()
    inner: Counter[str] = Counter()
    for text in texts():
        normalized = learner.normalizer.normalize_str(text)
        for word, _ in learner.pre_tokenizer.pre_tokenize_str(normalized):
            initial[word[0]] += 1
            inner.update(word[1:])
    counts = initial + inner
    by_frequency = sorted(counts, key=lambda character: (-counts[character], character))
    characters = sorted(by_frequency[:MAX_CHARACTERS])
    continuations = ["##" + character for character in characters if inner[character]]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL_TOKENS, *continuations],
        initial_alphabet=characters,
        limit_alphabet=len(characters),
        show_progress=False,
    )
    learner.train_from_iterator(texts(), trainer)
    # Added tokens are left out: the learner's own [UNK] has kept its old id among them.
    ids = learner.get_vocab(with_added_tokens=False)
    return _wordpiece(sorted(ids, key=ids.__getitem__), lowercase=True)


# ---- looking into one --------------------------------------------------------------------------


def is_uncased(tokenizer: Tokenizer) -> bool:
    """Whether texts are lower-cased before they are cut into tokens."""
    return tokenizer.normalizer is not None and tokenizer.normalizer.normalize_str("A") == "a"


def token_list(tokenizer: Tokenizer) -> list[str | None]:
    """Every token at the index of its id; None at an id that no token has."""
    ids = tokenizer.get_vocab(with_added_tokens=True)
    tokens: list[str | None] = [None] * (max(ids.values()) + 1)
    for token, token_id in ids.items():
        tokens[token_id] = token
    return tokens


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """The id of each of `SPECIAL_TOKENS`."""
    ids = {}
    for token in SPECIAL_TOKENS:
        token_id = tokenizer.token_to_id(token)
        assert token_id is not None  # `read` has seen to it
        ids[token] = token_id
    return ids


def fingerprint(tokenizer: Tokenizer) -> str:
    """A short hash of everything that decides how a text is cut into ids."""
    return hashlib.blake2b(tokenizer.to_str().encode(), digest_size=8).hexdigest()
