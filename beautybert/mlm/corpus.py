"""Product metadata and other texts -> clean documents -> a token cache on disk.

`read_chunks` streams the files, `document_text` makes one clean text of a record, `build_token_cache` tokenises with
several processes in bounded memory, and `TokenCache` maps the result. Documents are cached whole and without special
tokens; batching.py cuts and wraps them. The labelled ingredient tables are products.py's, not this module's.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import json
import os
import re
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tqdm import tqdm

CLEANING_VERSION = (
    3  # part of the cache's key: raise it when the same file would give other documents
)
TEXT_FIELDS = (
    "title",
    "description",
    "feature",
    "features",
    "text",
)  # Amazon 2018 and 2023, and what a .csv may call it
CHUNK_ROWS, CHUNK_BYTES = 1024, 1 << 20
POOL_BYTES = 4 << 20  # below this many bytes on disk starting processes costs more than it saves


# ---------------------------------------------------------------------------------------------- reading


@dataclass
class Chunk:
    """Rows of one file, as read. A row of a .csv is a dict, of any other file the line's bytes."""

    path: str
    rows: list
    line_numbers: list[int]
    position: int  # bytes of the file consumed so far, for the progress bar


def read_chunks(path: str | Path) -> Iterator[Chunk]:
    """Stream .json/.jsonl (an object a line), .txt (a document a line) or .csv, plain or gzipped, in chunks of rows.

    ValueError for a missing file, an unknown ending, a broken gzip, or a .csv without a header.
    """
    path = Path(path)
    kind = _kind(path)
    if not path.is_file():
        raise ValueError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        if path.suffix == ".gz" and not zipped and path.stat().st_size:
            raise ValueError(f"{path}: is named .gz but is no gzip file")
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if zipped else file
        rows, numbers, size = [], [], 0
        number = 0
        try:
            for number, row in (
                _csv_rows(path, stream) if kind == ".csv" else enumerate(stream, start=1)
            ):
                if number == 1 and kind != ".csv":
                    row = row.removeprefix(b"\xef\xbb\xbf")
                rows.append(row)
                numbers.append(number)
                size += len(row) if kind != ".csv" else sum(map(len, row.values()))
                if len(rows) == CHUNK_ROWS or size >= CHUNK_BYTES:
                    yield Chunk(str(path), rows, numbers, file.tell())
                    rows, numbers, size = [], [], 0
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{path}: broken gzip after line {number:,} ({error}); fetch the file again"
            ) from None
        if rows:
            yield Chunk(str(path), rows, numbers, file.tell())


def _kind(path: Path) -> str:
    endings = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = endings[-1].lower() if endings else ""
    if kind not in (".json", ".jsonl", ".txt", ".csv"):
        raise ValueError(
            f"{path}: cannot tell what it is; known endings are .json, .jsonl, .txt and .csv, each also with .gz"
        )
    return kind


def _csv_rows(path: Path, stream) -> Iterator[tuple[int, dict]]:
    csv.field_size_limit(1 << 30)
    lines = (line.decode("utf-8", "surrogateescape") for line in stream)
    reader = csv.DictReader(
        (line.removeprefix("\ufeff") if i == 0 else line for i, line in enumerate(lines))
    )
    try:
        if not reader.fieldnames:
            raise ValueError(f"{path}: empty, not even a header")
        for row in reader:
            yield reader.line_num, {key: value or "" for key, value in row.items()}
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None


# ---------------------------------------------------------------------------------------------- one document

_SCRIPT = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->|<!\[CDATA\[|\]\]>", re.DOTALL)
_INSIDE_WORDS = re.compile(
    "[\u00ad\u200c-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+"
)  # soft hyphens, joiners, direction marks
_BETWEEN_WORDS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2028\u2029]+"
)  # control characters, zero-width spaces, separators


def clean_text(text: str) -> str:
    """Plain text on one line: HTML entities resolved, tags taken out, white space folded, invisible characters removed or, where they part words, made a space.

    A "<" that opens no tag stays ("under < 5 oz"). Entities are resolved twice, for data that was escaped twice.
    """
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = _TAG.sub(" ", _SCRIPT.sub(" ", text))
    return " ".join(_BETWEEN_WORDS.sub(" ", _INSIDE_WORDS.sub("", text)).split())


def document_text(row: bytes | dict, kind: str, text_fields: tuple[str, ...]) -> str:
    """The text of one row as read: a line, or the text fields it has, each cleaned, joined as sentences. May be empty.

    ValueError says what is wrong with the row: not UTF-8, not JSON, no object, a field that holds no text.
    """
    if isinstance(row, dict):
        if None in row:
            raise ValueError(f"{len(row[None])} more cells than the header has columns")
        try:
            "".join(row.values()).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("not UTF-8") from None
        record = row
    else:
        try:
            line = row.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"not UTF-8 (byte {error.start} is 0x{row[error.start]:02x})"
            ) from None
        if kind == ".txt":
            return clean_text(line)
        if not line.strip():
            return ""
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"not JSON ({error})") from None
        if not isinstance(record, dict):
            raise ValueError(f"a JSON {type(record).__name__}, not an object")
    return record_text(record, text_fields)


def record_text(record: dict, text_fields: tuple[str, ...]) -> str:
    """The text of one parsed record. ValueError for a field that holds no text."""
    if "getTime" in str(
        record.get("title")
    ):  # a script of the shop's page, not a product; the authors of Amazon 2018 drop these rows too
        return ""
    parts = []
    for name in text_fields:
        values = record.get(name) or []
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"{name!r} holds neither a text nor a list of texts")
        parts += [clean_text(value).rstrip(". ") for value in values]
    parts = [part for part in parts if part]
    text = ". ".join(parts) + "." if len(parts) > 1 else "".join(parts)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half a character (a lone surrogate)")
    return text


def read_texts(paths: Iterable[str | Path], text_fields: tuple[str, ...]) -> Iterator[str]:
    """The non-empty texts of the files, in order; malformed rows are passed over (build_token_cache counts them)."""
    for path in paths:
        for chunk in read_chunks(path):
            for row in chunk.rows:
                try:
                    text = document_text(row, _kind(Path(path)), text_fields)
                except ValueError:
                    continue
                if text:
                    yield text


# ---------------------------------------------------------------------------------------------- the cache


@dataclass
class CorpusCounts:
    """What became of the rows. `bad_examples` holds the first few malformed ones, as 'file, line n: why'."""

    rows: int = 0
    bad: int = 0
    empty: int = 0
    duplicates: int = 0
    documents: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    bad_examples: list[str] = field(default_factory=list)

    def add(self, other: CorpusCounts) -> None:
        """Add the counts of another part of the corpus."""
        for name in ("rows", "bad", "empty", "duplicates", "documents", "tokens", "unknown_tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.bad_examples = (self.bad_examples + other.bad_examples)[:3]

    def check_bad(self, max_bad_rows: float, at_least: int = 0) -> None:
        """ValueError if more than the share `max_bad_rows` of the rows (or of `at_least` rows) is malformed."""
        if self.bad > max_bad_rows * max(self.rows, at_least):
            raise ValueError(
                f"{self.bad:,} of {self.rows:,} rows are malformed (--max-bad-rows allows {max_bad_rows:.2%}): "
                + "; ".join(self.bad_examples)
            )

    def __str__(self) -> str:
        share = self.unknown_tokens / max(self.tokens, 1)
        lines = [
            f"{self.rows:,} rows: {self.bad:,} malformed, {self.empty:,} without text, {self.duplicates:,} duplicates dropped -> "
            f"{self.documents:,} documents, {self.tokens:,} tokens ({self.tokens / max(self.documents, 1):.1f} a document, {share:.2%} [UNK])"
        ]
        return "\n".join(lines + [f"  skipped: {example}" for example in self.bad_examples])


class TokenCache:
    """The tokenised documents of a corpus, mapped from disk.

    tokens: (all tokens,) uint16 or uint32. offsets: (documents + 1,) int64, where each document begins.
    """

    def __init__(self, folder: Path | str):
        folder = Path(folder)
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self.counts = CorpusCounts(**meta["counts"])
        self.offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        self.tokens = np.load(folder / "tokens.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, index: int) -> np.ndarray:
        """The ids of one document, (T,)."""
        return np.asarray(self.tokens[self.offsets[index] : self.offsets[index + 1]])


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def corpus_fingerprint(paths: Iterable[str | Path], text_fields: tuple[str, ...]) -> str:
    """A hash of the files' contents, in order, and of all that decides how texts are made of them."""
    digest = hashlib.blake2b(json.dumps([CLEANING_VERSION, text_fields]).encode(), digest_size=8)
    for path in paths:
        next(read_chunks(path), None)  # raises what is wrong with the file
        with open(path, "rb") as file:
            digest.update(
                hashlib.file_digest(file, "blake2b").digest() + _kind(Path(path)).encode()
            )
    return digest.hexdigest()


def build_token_cache(
    folder: Path,
    paths: list[str],
    tokenizer: Tokenizer,
    text_fields: tuple[str, ...],
    workers: int = 1,
    max_bad_rows: float = 0.01,
) -> None:
    """Tokenise the files into `folder`, which must exist: tokens.npy, offsets.npy, meta.json.

    `workers` processes clean and tokenise; this one reads and writes. Memory does not grow with the corpus, but for
    one byte a row. ValueError for unreadable files, too many malformed rows, or a corpus without any text.
    """
    check_columns(paths, text_fields)
    counts = CorpusCounts()
    dtype = np.uint16 if max(tokenizer.get_vocab().values()) < 1 << 16 else np.uint32
    size = sum(os.path.getsize(path) for path in paths)
    with (
        open(folder / "all.tokens", "wb") as tokens,
        open(folder / "all.lengths", "wb") as lengths,
        open(folder / "all.keys", "wb") as keys,
        tqdm(
            total=size, unit="B", unit_scale=True, desc="tokenising", disable=None, leave=False
        ) as bar,
    ):
        workers = workers if size > POOL_BYTES else 1
        print(
            f"tokenising {size:,} bytes of {len(paths)} file(s) with {workers} process(es)",
            flush=True,
        )
        for position, encoded in _encode_all(paths, tokenizer, text_fields, workers):
            counts.add(encoded.counts)
            counts.check_bad(max_bad_rows, at_least=100_000)
            tokens.write(encoded.tokens.astype(dtype).tobytes())
            lengths.write(encoded.lengths.tobytes())
            keys.write(encoded.keys.tobytes())
            bar.update(position - bar.n)
    counts.check_bad(max_bad_rows)
    keep = first_occurrences(folder / "all.keys", counts.documents)
    counts.duplicates = int(len(keep) - keep.sum())
    counts.documents -= counts.duplicates
    if not counts.documents:
        raise ValueError(f"no text in {', '.join(map(str, paths))}: {counts}")
    counts.tokens, counts.unknown_tokens = _write_kept(
        folder, keep, np.dtype(dtype), tokenizer.token_to_id("[UNK]")
    )
    for name in ("all.tokens", "all.lengths", "all.keys"):
        (folder / name).unlink()
    (folder / "meta.json").write_text(
        json.dumps({"counts": vars(counts)}, indent=1), encoding="utf-8"
    )


def check_columns(paths: Iterable[str | Path], text_fields: tuple[str, ...]) -> None:
    """ValueError if the first record of a .json or .csv file has none of the text fields; it lists those there are."""
    for path in paths:
        kind = _kind(Path(path))
        first = next(read_chunks(path), None)
        if kind == ".txt" or first is None:
            continue
        try:
            record = first.rows[0] if kind == ".csv" else json.loads(first.rows[0])
        except ValueError:
            continue
        if isinstance(record, dict) and not set(text_fields) & set(record):
            raise ValueError(
                f"{path} has none of the text fields {', '.join(text_fields)}; it has {', '.join(map(str, record))}. Name one with --text-fields"
            )


@dataclass
class EncodedChunk:
    """A chunk's documents as one row of tokens, their lengths (uint32) and the hashes of their texts (uint64)."""

    tokens: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray
    counts: CorpusCounts


def encode_chunk(chunk: Chunk, tokenizer: Tokenizer, text_fields: tuple[str, ...]) -> EncodedChunk:
    """Clean and tokenise a chunk's rows."""
    counts, kind, texts = CorpusCounts(rows=len(chunk.rows)), _kind(Path(chunk.path)), []
    for row, number in zip(chunk.rows, chunk.line_numbers):
        try:
            text = document_text(row, kind, text_fields)
        except ValueError as error:
            counts.bad += 1
            counts.bad_examples = (
                counts.bad_examples + [f"{chunk.path}, line {number:,}: {error}"]
            )[:3]
            continue
        if text:
            texts.append(text)
        else:
            counts.empty += 1
    ids = [
        encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    ]
    unknown = tokenizer.token_to_id("[UNK]")
    kept = [
        (text, row) for text, row in zip(texts, ids) if set(row) - {unknown}
    ]  # a document without a known token has nothing to predict
    counts.empty += len(texts) - len(kept)
    counts.documents = len(kept)
    tokens = np.array([id for _, row in kept for id in row], dtype=np.uint32)
    keys = [
        int.from_bytes(hashlib.blake2b(text.casefold().encode(), digest_size=8).digest(), "little")
        for text, _ in kept
    ]
    return EncodedChunk(
        tokens,
        np.array([len(row) for _, row in kept], dtype=np.uint32),
        np.array(keys, dtype=np.uint64),
        counts,
    )


def _encode_all(
    paths, tokenizer: Tokenizer, text_fields, workers: int
) -> Iterator[tuple[int, EncodedChunk]]:
    """Encode every chunk in order; yields the bytes consumed and the result. At most 2 chunks a worker are in memory."""

    def chunks():
        before = 0
        for path in paths:
            for chunk in read_chunks(path):
                yield before + chunk.position, chunk
            before += os.path.getsize(path)

    if workers <= 1:
        yield from (
            (position, encode_chunk(chunk, tokenizer, text_fields)) for position, chunk in chunks()
        )
        return
    arguments = (tokenizer.to_str(), text_fields)
    with (
        _spawning_without_the_script(),
        ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, arguments) as pool,
    ):
        pending: deque = deque()
        for position, chunk in chunks():
            pending.append((position, pool.submit(_encode_in_worker, chunk)))
            if len(pending) > 2 * workers:
                position, future = pending.popleft()
                yield position, future.result()
        for position, future in pending:
            yield position, future.result()


@contextmanager
def _spawning_without_the_script() -> Iterator[None]:
    """A spawned process first imports the script that runs, and torch with it: seconds and 250 MiB that tokenising has no use for."""
    script = sys.modules["__main__"]
    spec, file = getattr(script, "__spec__", None), script.__dict__.pop("__file__", None)
    script.__spec__ = None
    try:
        yield
    finally:
        script.__spec__ = spec
        if file is not None:
            script.__file__ = file


_worker: dict = {}  # a worker process's tokenizer and options: sent once, not with every chunk


def _start_worker(tokenizer: str, text_fields: tuple[str, ...]) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    _worker.update(tokenizer=Tokenizer.from_str(tokenizer), text_fields=text_fields)
    _worker[
        "tokenizer"
    ].encode_special_tokens = True  # as read_tokenizer set it; the text form does not hold it


def _encode_in_worker(chunk: Chunk) -> EncodedChunk:
    return encode_chunk(chunk, **_worker)


def first_occurrences(path: Path, count: int, part_size: int = 1 << 16) -> np.ndarray:
    """For the `count` uint64 keys in a file: (count,) bool, True where a key stands for the first time.

    The file is read once for each part of the key space, and a part holds about `part_size` keys, so that memory
    stays at a byte a key and a few megabytes.
    """
    keep = np.ones(count, dtype=bool)
    parts = -(-count // part_size)
    for part in range(parts):
        where, keys = [], []
        for start in range(0, count, part_size):
            block = np.fromfile(path, dtype=np.uint64, count=part_size, offset=8 * start)
            inside = np.flatnonzero(block % np.uint64(parts) == part)
            where.append(inside + start)
            keys.append(block[inside])
        where = np.concatenate(where)
        _, first = np.unique(np.concatenate(keys), return_index=True)
        keep[where] = False
        keep[where[first]] = True
    return keep


def _write_kept(
    folder: Path, keep: np.ndarray, dtype: np.dtype, unknown_id: int, part_size: int = 1 << 14
) -> tuple[int, int]:
    """all.tokens and all.lengths -> tokens.npy and offsets.npy of the kept documents; returns the numbers of tokens and of [UNK] among them."""
    kept_tokens = unknown_tokens = 0
    with (
        open(folder / "all.tokens", "rb") as source,
        open(folder / "tokens.npy", "wb") as tokens,
        open(folder / "offsets.npy", "wb") as offsets,
    ):
        _write_npy_header(tokens, dtype, 0)
        _write_npy_header(offsets, np.dtype(np.int64), int(keep.sum()) + 1)
        offsets.write(np.int64(0).tobytes())
        for start in range(0, len(keep), part_size):
            lengths = np.fromfile(
                folder / "all.lengths", dtype=np.uint32, count=part_size, offset=4 * start
            ).astype(np.int64)
            here = keep[start : start + part_size]
            block = np.fromfile(source, dtype=dtype, count=int(lengths.sum()))[
                np.repeat(here, lengths)
            ]
            tokens.write(block.tobytes())
            unknown_tokens += int((block == unknown_id).sum())
            offsets.write((kept_tokens + lengths[here].cumsum()).tobytes())
            kept_tokens += len(block)
        tokens.seek(0)
        _write_npy_header(tokens, dtype, kept_tokens)
    return kept_tokens, unknown_tokens


def _write_npy_header(file, dtype: np.dtype, count: int) -> None:
    """numpy pads the header so that it keeps its length when `count` grows (numpy.lib.format, GROWTH_AXIS_MAX_DIGITS)."""
    np.lib.format.write_array_header_1_0(
        file,
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)},
    )
