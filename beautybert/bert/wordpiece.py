"""WordPiece tokenizers in the files that BERT checkpoints carry: tokenizer.json, vocab.txt, tokenizer_config.json.

The work is done by the `tokenizers` library; what lives here is reading, checking, learning, extending and writing. Special
tokens are never added here: a document is plain WordPiece ids, and batching.py puts [CLS] and [SEP] around it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ADDED_TOKENS_VERSION = 2  # of what add_words and add_names choose: caches are named by it
MAX_NAME_WORDS = 8  # of an added name; what is longer between two commas is a sentence
MAX_LETTERS = 1000  # of a learned vocabulary; rarer characters become [UNK]


def read_tokenizer(folder: Path | str) -> Tokenizer:
    """The tokenizer of a checkpoint folder: its tokenizer.json, else its vocab.txt (cased or uncased).

    Truncation and padding that the file may ask for are switched off: cutting is batching's business and
    nothing is padded. A text never gives special ids: "[MASK]" written in one is cut like any word. ValueError if neither file is there, a
    file is broken, or a special token is missing.
    """
    folder = Path(folder)
    if (folder / "tokenizer.json").is_file():
        path = folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} is no readable tokenizer: {error}") from None
    elif (folder / "vocab.txt").is_file():
        path = folder / "vocab.txt"
        tokenizer = _from_vocabulary(path, _lowercase(path))
    else:
        raise ValueError(f"{folder} holds neither tokenizer.json nor vocab.txt")
    if not isinstance(tokenizer.model, models.WordPiece):
        raise ValueError(
            f"{path} is a {type(tokenizer.model).__name__} tokenizer; BERT needs WordPiece"
        )
    missing = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]
    if missing:
        raise ValueError(f"{path} lacks the special tokens {', '.join(missing)}")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def learn_tokenizer(texts: Callable[[], Iterable[str]], vocab_size: int) -> Tokenizer:
    """An uncased WordPiece tokenizer of about `vocab_size` tokens learned from `texts()`, which is called twice.

    The same texts give the same tokenizer. The library's trainer alone does not: it numbers the ## letters in the order of a
    hash map and breaks ties by number (huggingface/tokenizers#1794), so they are numbered here, beforehand.
    """
    learner = _wordpiece({"[UNK]": 0}, lowercase=True)
    first, later = Counter(), Counter()
    for text in texts():
        for word, _ in learner.pre_tokenizer.pre_tokenize_str(
            learner.normalizer.normalize_str(text)
        ):
            first[word[0]] += 1
            later.update(word[1:])
    letters = sorted(
        letter
        for letter, _ in sorted((first + later).items(), key=lambda item: (-item[1], item[0]))[
            :MAX_LETTERS
        ]
    )
    numbered = [*SPECIAL_TOKENS, *("##" + letter for letter in letters if later[letter])]
    learner.train_from_iterator(
        texts(),
        trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            special_tokens=numbered,
            initial_alphabet=letters,
            limit_alphabet=len(letters),
            show_progress=False,
        ),
    )
    ids = learner.get_vocab(
        with_added_tokens=False
    )  # the learner's own [UNK] keeps its old id among the added ones
    return _wordpiece(
        {token: id for id, token in enumerate(sorted(ids, key=ids.get))}, lowercase=True
    )


def add_words(tokenizer: Tokenizer, texts: Iterable[str], count: int) -> Tokenizer:
    """The tokenizer with `count` whole words of the texts (or as many as there are) as tokens more, at the ids after its own.

    They are the words that cost the most: occurrences times the pieces saved. WordPiece takes the longest token that fits, so longer
    words that begin with a new one are cut anew as well. ValueError for a tokenizer that does not cut texts into words, or has added names.
    """
    if tokenizer.pre_tokenizer is None:
        raise ValueError(
            "the tokenizer has no pre-tokenizer, which BERT's have: it does not say what a word is"
        )
    normalize = tokenizer.normalizer.normalize_str if tokenizer.normalizer else str
    occurrences: Counter[str] = Counter()
    for text in texts:
        occurrences.update(
            word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalize(text))
        )
    chosen = _most_costly(tokenizer, occurrences)[:count]
    described, known = json.loads(tokenizer.to_str()), len(token_list(tokenizer))
    described["model"]["vocab"] |= {word: known + i for i, word in enumerate(chosen)}
    longer = Tokenizer.from_str(json.dumps(described))
    longer.encode_special_tokens = True
    return _checked(longer, tokenizer, len(chosen))


def add_names(tokenizer: Tokenizer, texts: Iterable[str], count: int) -> Tokenizer:
    """The tokenizer with `count` names of the texts (or as many as there are) as tokens more, at the ids after its own.

    A name is what stands between two commas that no digit follows, or the beginning and one, in at most `MAX_NAME_WORDS` words without the end of a
    sentence, at least twice in the texts; its token holds the comma too: "sodium chloride,". They are the names that cost the most:
    occurrences times the pieces saved. Of tokens that begin at one place the longest counts; none begins or ends inside a word. Such
    tokens are in tokenizer.json; what reads vocab.txt alone cuts names into words. ValueError for a tokenizer with an id that no token has.
    """
    normalize = tokenizer.normalizer.normalize_str if tokenizer.normalizer else str
    occurrences: Counter[str] = Counter()
    for text in texts:
        occurrences.update(name.strip() for name in re.split(r"(?<=,)(?!\d)", normalize(text))[:-1])
    names = {
        name: n
        for name, n in occurrences.items()
        if n > 1 and len(name.split()) <= MAX_NAME_WORDS and not re.search(r"[.!?]\s", name)
    }
    chosen = _most_costly(tokenizer, names)[:count]
    longer = Tokenizer.from_str(tokenizer.to_str())
    longer.encode_special_tokens = True
    longer.add_tokens([AddedToken(name, single_word=True, normalized=True) for name in chosen])
    return _checked(longer, tokenizer, len(chosen))


def _most_costly(tokenizer: Tokenizer, occurrences: dict[str, int]) -> list[str]:
    """The texts that are more than one token, by occurrences times the pieces that one token for each would save; an unknown word is one [UNK]."""
    encoded = tokenizer.encode_batch_fast(list(occurrences), add_special_tokens=False)
    saved = {
        text: n * (len(e.ids) - 1)
        for (text, n), e in zip(occurrences.items(), encoded)
        if len(e.ids) > 1
    }
    return sorted(saved, key=lambda text: (-saved[text], text))


def _checked(longer: Tokenizer, tokenizer: Tokenizer, count: int) -> Tokenizer:
    """The longer tokenizer, if it only adds `count` tokens: the library numbers added names anew when words come in before them."""
    known = token_list(tokenizer)
    if (
        token_list(longer)[: len(known)] != known
        or len(longer.get_vocab()) != len(tokenizer.get_vocab()) + count
        or len(token_list(longer)) != len(known) + count
    ):
        raise ValueError(
            "tokens cannot be added to this tokenizer, which has names from --add-names already, or an id that no token has; "
            "start from the one before"
        )
    return longer


def write_tokenizer(tokenizer: Tokenizer, folder: Path | str, max_length: int) -> None:
    """Write tokenizer.json, vocab.txt (one token a line, in id order) and the tokenizer_config.json that transformers reads."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    lines = (
        f"[no token {id}]" if token is None else token
        for id, token in enumerate(token_list(tokenizer))
    )
    (folder / "vocab.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    described = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
    described |= {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": is_uncased(tokenizer),
        "model_max_length": max_length,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(described, indent=2) + "\n", encoding="utf-8"
    )


def is_uncased(tokenizer: Tokenizer) -> bool:
    """Whether texts are lower-cased before they are cut into tokens."""
    return tokenizer.normalizer is not None and tokenizer.normalizer.normalize_str("A") == "a"


def token_list(tokenizer: Tokenizer) -> list[str | None]:
    """Every token at the place of its id; None at an id that no token has."""
    ids = tokenizer.get_vocab(with_added_tokens=True)
    tokens: list[str | None] = [None] * (max(ids.values()) + 1)
    for token, id in ids.items():
        tokens[id] = token
    return tokens


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """The id of each of `SPECIAL_TOKENS`."""
    return {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """A short hash of everything that decides how a text is cut into ids."""
    return hashlib.blake2b(tokenizer.to_str().encode(), digest_size=8).hexdigest()


def _lowercase(path: Path) -> bool:
    """do_lower_case of the tokenizer_config.json beside vocab.txt; without it, a vocabulary with a capital letter is a cased one."""
    described = path.with_name("tokenizer_config.json")
    if described.is_file():
        try:
            return bool(json.loads(described.read_text(encoding="utf-8"))["do_lower_case"])
        except KeyError:
            pass
        except ValueError as error:
            raise ValueError(f"{described}: {error}") from None
    tokens = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return not any(token != token.lower() for token in tokens if not token.startswith("["))


def _from_vocabulary(path: Path, lowercase: bool) -> Tokenizer:
    try:
        tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start})") from None
    repeated = [token for token, count in Counter(tokens).items() if count > 1]
    if repeated:
        raise ValueError(f"{path}: token {repeated[0]!r} stands there twice")
    return _wordpiece({token: id for id, token in enumerate(tokens)}, lowercase)


def _wordpiece(vocabulary: dict[str, int], lowercase: bool) -> Tokenizer:
    """BERT's own cutting of texts, with a saved tokenizer.json that does for others what they expect: [CLS] ... [SEP], ## pieces joined."""
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocabulary])
    if "[CLS]" in vocabulary and "[SEP]" in vocabulary:
        tokenizer.post_processor = processors.BertProcessing(
            ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        )
    return tokenizer
