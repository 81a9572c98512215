"""WordPiece tokenizers in a checkpoint's files: tokenizer.json, vocab.txt, tokenizer_config.json.

The `tokenizers` library does the work; here it is read, checked, learned and written. Special
tokens are never added to a text here: batches put [CLS] and [SEP] around its ids.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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

from beautybert import files

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_TOKENS = 10_000_000  # of a vocabulary
CASED_SHARE = 0.05  # of tokens with capitals, from which on a vocabulary looks cased
# tokenizer_class of tokenizer_config.json: those that cut as BERT does, and those that take all
# from tokenizer.json
CLASSES = (
    "BertTokenizer",
    "BertTokenizerFast",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "ElectraTokenizer",
    "ElectraTokenizerFast",
)
JSON_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
# fields of tokenizer_config.json: what the normalizer calls them
NORMALIZER_FIELDS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
MAX_CHARACTERS = 1000  # of a learned vocabulary; rarer ones become [UNK]


# ---- reading and writing -----------------------------------------------------------------------


def read(folder: Path | str) -> Tokenizer:
    """The tokenizer of a checkpoint folder: its tokenizer.json, else its vocab.txt.

    As transformers does, it follows what tokenizer_config.json says of capitals, accents and
    Chinese characters, also against tokenizer.json, lower-cases where neither says anything, and
    adds the tokens of added_tokens.json. Truncation and padding are switched off. A text never
    gives special ids: "[MASK]" written in a text is cut like any word.

    ValueError if neither file is there, one is broken, a special token is missing, or the folder
    asks for what is not supported: another tokenizer class, special tokens of other names.
    """
    folder = Path(folder)
    path, config_path = folder / "tokenizer.json", folder / "tokenizer_config.json"
    config = files.read_json(config_path) if config_path.is_file() else {}
    _check_config(config, config_path)
    has_json = path.is_file()
    if has_json:
        tokenizer = _from_json(path)
    else:
        path = folder / "vocab.txt"
        if not path.is_file():
            raise ValueError(f"{folder} has neither tokenizer.json nor vocab.txt")
        tokenizer = _from_vocabulary(path, may_be_cased="do_lower_case" in config)
    _check_model(tokenizer, path)
    is_json_alone = not config_path.is_file() or config.get("tokenizer_class") in JSON_CLASSES
    if not (has_json and is_json_alone):
        _set_normalizer(tokenizer, config, config_path, path)
    _add_tokens(tokenizer, folder, config, config_path)
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
    files.write_text(folder / "tokenizer.json", tokenizer.to_str(pretty=True))
    lines = []
    for token_id, token in enumerate(token_list(tokenizer)):
        lines.append(f"[no token {token_id}]" if token is None else token)
    files.write_text(folder / "vocab.txt", "".join(line + "\n" for line in lines))
    metadata: dict[str, Any] = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
    metadata |= {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": is_uncased(tokenizer),
        "model_max_length": max_length,
    }
    normalizer: Any = tokenizer.normalizer
    if isinstance(normalizer, normalizers.BertNormalizer):  # transformers reads these here alone
        metadata |= {key: getattr(normalizer, name) for key, name in NORMALIZER_FIELDS.items()}
    files.write_json(folder / "tokenizer_config.json", metadata)


def _check_config(config: Mapping[str, Any], path: Path) -> None:
    """ValueError if a tokenizer_config.json, or the special_tokens_map.json beside it, asks for
    what is not supported."""
    kind = files.value_of(config, "tokenizer_class", str, path, default=CLASSES[0])
    if kind not in CLASSES + JSON_CLASSES:
        raise ValueError(f"{path}: tokenizer_class {files.shown(kind)} is not supported; BERT's is")
    if not files.value_of(config, "do_basic_tokenize", bool, path, default=True):
        raise ValueError(f"{path}: do_basic_tokenize false is not supported")
    map_path = path.with_name("special_tokens_map.json")
    names = {path: config}
    if map_path.is_file():
        names[map_path] = files.read_json(map_path)
    for where, contents in names.items():
        for token in SPECIAL_TOKENS:
            key = f"{token[1:-1].lower()}_token"
            name = contents.get(key)
            name = name.get("content") if isinstance(name, dict) else name
            if name not in (None, token):
                raise ValueError(
                    f"{where}: {key} {files.shown(name)} is not supported; it must be {token}"
                )


def _from_json(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8-sig"))
        tokenizer.encode("a b")  # what is inconsistent in it may show only now
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises bare Exception, and panics
        said = files.reason(error)
        raise ValueError(f"{path} is no readable tokenizer: {said}") from None
    return tokenizer


def _from_vocabulary(path: Path, may_be_cased: bool) -> Tokenizer:
    """The tokenizer of a vocab.txt, which lower-cases. Blank lines at its end count for nothing.

    may_be_cased: whether something else says if the vocabulary is cased.
    """
    try:
        tokens = path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start})") from None
    if len(tokens) > MAX_TOKENS:
        raise ValueError(f"{path} has {len(tokens):,} tokens, more than {MAX_TOKENS:,}")
    repeated = [token for token, count in Counter(tokens).items() if count > 1]
    if repeated:
        raise ValueError(f"{path}: token {files.shown(repeated[0])} is there twice")
    plain = [token for token in tokens if token not in SPECIAL_TOKENS]
    num_capital = sum(token != token.lower() for token in plain)
    if not may_be_cased and num_capital > CASED_SHARE * len(plain):
        raise ValueError(
            f"{path}: {num_capital:,} of its tokens have capitals. Write into "
            f'{path.with_name("tokenizer_config.json")} {{"do_lower_case": false}} if they are to '
            "be used, true if texts are to be lower-cased"
        )
    return _wordpiece(tokens, lowercase=True)


def _check_model(tokenizer: Tokenizer, path: Path) -> None:
    """ValueError if a tokenizer is none of BERT's."""
    model: Any = tokenizer.model
    if not isinstance(model, models.WordPiece):
        raise ValueError(f"{path} is a {type(model).__name__} tokenizer; BERT needs WordPiece")
    if model.unk_token != "[UNK]" or model.continuing_subword_prefix != "##":
        raise ValueError(f"{path}: the unknown token must be [UNK], the prefix inside words ##")
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if highest >= MAX_TOKENS:
        raise ValueError(f"{path} has a token of id {highest:,}; ids must be below {MAX_TOKENS:,}")


def _set_normalizer(
    tokenizer: Tokenizer, config: Mapping[str, Any], config_path: Path, path: Path
) -> None:
    """Treat capitals, accents and Chinese characters as tokenizer_config.json says.

    What it leaves open is as in transformers' BertTokenizer, whatever tokenizer.json says.
    """
    asked = {}
    for key, name in NORMALIZER_FIELDS.items():
        default = None if key == "strip_accents" else True
        asked[name] = files.value_of(config, key, bool, config_path, default=default)
    normalizer: Any = tokenizer.normalizer
    if isinstance(normalizer, normalizers.BertNormalizer):
        own = {name: getattr(normalizer, name) for name in NORMALIZER_FIELDS.values()}
        if asked != own:
            tokenizer.normalizer = normalizers.BertNormalizer(normalizer.clean_text, **asked)
    elif config.get("do_lower_case", is_uncased(tokenizer)) != is_uncased(tokenizer):
        raise ValueError(
            f"{config_path} says do_lower_case {files.shown(config['do_lower_case'])}, {path} does "
            "otherwise: make them agree"
        )


def _add_tokens(
    tokenizer: Tokenizer, folder: Path, config: Mapping[str, Any], config_path: Path
) -> None:
    """Add the tokens of added_tokens.json and of tokenizer_config.json that are not known yet."""
    added: dict[int, AddedToken] = {}

    def add(token: AddedToken, token_id: int, where: Path) -> None:
        known = tokenizer.token_to_id(token.content)
        if known is None and token_id not in added:
            added[token_id] = token
        elif known != token_id and (known is not None or added[token_id].content != token.content):
            raise ValueError(
                f"{where} gives {files.shown(token.content)} the id {token_id}, which does not fit"
            )

    entries = files.value_of(config, "added_tokens_decoder", dict, config_path, default={})
    for key in entries:
        entry = files.value_of(entries, key, dict, config_path)
        content = files.value_of(entry, "content", str, config_path)
        flags = {
            flag: files.value_of(entry, flag, bool, config_path, default=False)
            for flag in ("special", "normalized", "lstrip", "rstrip", "single_word")
        }
        if not (key.isascii() and key.isdigit() and len(key) < 9):
            raise ValueError(f"{config_path}: added_tokens_decoder has the id {files.shown(key)}")
        add(AddedToken(content, **flags), int(key), config_path)
    path = folder / "added_tokens.json"
    if path.is_file():
        contents = files.read_json(path)
        for name in contents:
            token_id = files.value_of(contents, name, int, path, at_least=0, at_most=MAX_TOKENS)
            add(AddedToken(name), token_id, path)
    for token_id in sorted(added):
        token = added[token_id]
        if token_id != len(token_list(tokenizer)) or not token.content:
            raise ValueError(
                f"{folder}: the added token {files.shown(token.content)} has the id {token_id}, "
                f"the next free one is {len(token_list(tokenizer))}"
            )
        tokenizer.add_tokens([token])


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
    So they are numbered here, before it runs. ValueError for a size over `MAX_TOKENS`.
    """
    if not 0 < vocab_size <= MAX_TOKENS:
        raise ValueError(f"a vocabulary has 1 to {MAX_TOKENS:,} tokens, not {vocab_size}")
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
