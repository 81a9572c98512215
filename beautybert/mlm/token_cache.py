"""Texts -> token ids on disk, memory-mapped; and the tokenizer of a run from scratch.

`load_or_build` tokenises with several processes in bounded memory, once for each corpus and
tokenizer. Documents are cached whole and without special tokens; batches.py cuts and wraps them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer
from tqdm import tqdm

from beautybert.bert import wordpiece
from beautybert.files import read_json, value_of, write_json
from beautybert.mlm import disk_cache
from beautybert.mlm.corpus import Corpus, document_text
from beautybert.mlm.corpus_files import Chunk, file_kind, read_chunks

if TYPE_CHECKING:  # it imports torch, which the processes that tokenise do without
    from beautybert.training.distributed import Ranks

POOL_BYTES = 4 << 20  # below this many bytes on disk, starting processes costs more than it saves
EXAMPLES = 3  # malformed rows that are shown
COUNTED = ("rows", "bad", "empty", "duplicates", "documents", "tokens", "unknown_tokens")


@dataclass
class CorpusCounts:
    """What became of the rows. bad_examples: the first malformed ones, as "file, line n: why"."""

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
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.bad_examples = (self.bad_examples + other.bad_examples)[:EXAMPLES]

    def check_bad(self, max_bad_rows: float, at_least: int = 0) -> None:
        """ValueError if more than the share `max_bad_rows` of the rows is malformed.

        The share is of `at_least` rows if there are fewer.
        """
        if self.bad > max_bad_rows * max(self.rows, at_least):
            raise ValueError(
                f"{self.bad:,} of {self.rows:,} rows are malformed (--max-bad-rows allows "
                f"{max_bad_rows:.2%}): {'; '.join(self.bad_examples)}"
            )

    def __str__(self) -> str:
        mean_length = self.tokens / max(self.documents, 1)
        unknown_share = self.unknown_tokens / max(self.tokens, 1)
        line = (
            f"corpus: {self.rows:,} rows: {self.bad:,} malformed, {self.empty:,} without text, "
            f"{self.duplicates:,} duplicates dropped -> {self.documents:,} documents, "
            f"{self.tokens:,} tokens ({mean_length:.1f} a document, {unknown_share:.2%} [UNK])"
        )
        return "\n".join([line, *(f"  skipped: {example}" for example in self.bad_examples)])


class TokenCache:
    """The tokenised documents of a corpus, mapped from disk. ValueError for what `build` has not
    written.

    tokens: (all tokens,) uint16 or uint32. offsets: (documents + 1,) int64, the start of each
    document.
    """

    def __init__(self, folder: Path | str, corpus: Corpus):
        folder = Path(folder)
        self.corpus = corpus
        path = folder / "meta.json"
        counts = value_of(read_json(path), "counts", dict, path)
        numbers = {name: value_of(counts, name, int, path, at_least=0) for name in COUNTED}
        examples = map(str, value_of(counts, "bad_examples", list, path))
        self.counts = CorpusCounts(**numbers, bad_examples=list(examples))
        try:
            self.offsets = np.load(folder / "offsets.npy", mmap_mode="r")
            self.tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        except EOFError:  # an empty file
            raise ValueError(f"{folder} has an empty file of tokens or offsets") from None
        expected = (self.counts.documents + 1,), (self.counts.tokens,)
        if (self.offsets.shape, self.tokens.shape) != expected:
            raise ValueError(f"{folder} has not as many tokens and documents as {path.name} says")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def metadata(self) -> dict[str, Any]:
        """What run.json says of the data."""
        files = self.corpus.file_sizes()
        return {"fingerprint": self.corpus.fingerprint, "files": files, **vars(self.counts)}

    def document(self, index: int) -> np.ndarray:
        """The ids of one document, (T,)."""
        return np.asarray(self.tokens[self.offsets[index] : self.offsets[index + 1]])


def load_or_build(
    corpus: Corpus, tokenizer: Tokenizer, workers: int, cache_dir: str, ranks: Ranks
) -> TokenCache:
    """The token cache of a corpus in cache_dir, built if it is not there.

    workers: processes that tokenise; 0: one a CPU core. ValueError for files that cannot be read,
    too many malformed rows, or a corpus without any text.
    """
    name = f"tokens-{corpus.fingerprint}-{wordpiece.fingerprint(tokenizer)}"
    cache = disk_cache.load_or_make(
        Path(cache_dir).expanduser() / name,
        lambda folder: build(folder, corpus, tokenizer, workers),
        lambda folder: TokenCache(folder, corpus),
        ranks,
    )
    cache.counts.check_bad(corpus.max_bad_rows)
    return cache


def load_or_learn_tokenizer(
    folder: Path | None, corpus: Corpus, vocab_size: int, cache_dir: str, ranks: Ranks
) -> Tokenizer:
    """The tokenizer of a checkpoint or run folder, else one learned from the corpus.

    The learned one is kept in cache_dir.
    """
    if folder is not None:
        return wordpiece.read(folder)

    def learn(folder: Path) -> None:
        wordpiece.write(wordpiece.learn(corpus.texts, vocab_size), folder, max_length=512)

    folder = Path(cache_dir).expanduser() / f"vocabulary-{corpus.fingerprint}-{vocab_size}"
    return disk_cache.load_or_make(folder, learn, wordpiece.read, ranks)


def available_cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# ---- building ----------------------------------------------------------------------------------


def build(folder: Path, corpus: Corpus, tokenizer: Tokenizer, workers: int = 1) -> None:
    """Tokenise the corpus into `folder`, which must exist: tokens.npy, offsets.npy, meta.json.

    `workers` processes clean and tokenise (0: one a CPU core); this one reads and writes. Memory
    does not grow with the corpus, but for one byte a row. ValueError as in `load_or_build`.
    """
    corpus.check_fields()
    counts = CorpusCounts()
    dtype = np.uint16 if max(tokenizer.get_vocab().values()) < 1 << 16 else np.uint32
    size = sum(os.path.getsize(path) for path in corpus.paths)
    workers = (workers or available_cores()) if size > POOL_BYTES else 1
    files = f"{len(corpus.paths)} file(s)"
    print(f"tokenising {size:,} bytes of {files} with {workers} process(es)", flush=True)
    with (
        open(folder / "all.tokens", "wb") as tokens,
        open(folder / "all.lengths", "wb") as lengths,
        open(folder / "all.keys", "wb") as keys,
        tqdm(total=size, unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        for position, encoded in _encode_all(corpus, tokenizer, workers):
            counts.add(encoded.counts)
            counts.check_bad(corpus.max_bad_rows, at_least=100_000)
            tokens.write(encoded.tokens.astype(dtype).tobytes())
            lengths.write(encoded.lengths.tobytes())
            keys.write(encoded.keys.tobytes())
            bar.update(position - bar.n)
    counts.check_bad(corpus.max_bad_rows)
    keep = first_occurrences(folder / "all.keys", counts.documents)
    counts.duplicates = int(len(keep) - keep.sum())
    counts.documents -= counts.duplicates
    if not counts.documents:
        what = str(counts).replace("\n  ", "; ")
        raise ValueError(f"no text in {', '.join(corpus.paths)}: {what}")
    unknown_id = wordpiece.special_ids(tokenizer)["[UNK]"]
    counts.tokens, counts.unknown_tokens = _write_kept(folder, keep, np.dtype(dtype), unknown_id)
    for name in ("all.tokens", "all.lengths", "all.keys"):
        (folder / name).unlink()
    write_json(folder / "meta.json", {"counts": vars(counts)})


@dataclass
class EncodedChunk:
    """A chunk's documents: all tokens, their lengths (uint32), hashes of their texts (uint64)."""

    tokens: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray
    counts: CorpusCounts


def encode_chunk(chunk: Chunk, tokenizer: Tokenizer, text_fields: tuple[str, ...]) -> EncodedChunk:
    """Clean and tokenise a chunk's rows."""
    counts = CorpusCounts(rows=len(chunk.rows))
    kind = file_kind(Path(chunk.path))
    texts = []
    for row, number in zip(chunk.rows, chunk.line_numbers, strict=True):
        try:
            text = document_text(row, kind, text_fields)
        except ValueError as error:
            counts.bad += 1
            if len(counts.bad_examples) < EXAMPLES:
                counts.bad_examples.append(f"{chunk.path}, line {number:,}: {error}")
            continue
        if text:
            texts.append(text)
        else:
            counts.empty += 1
    unknown_id = wordpiece.special_ids(tokenizer)["[UNK]"]
    ids: list[int] = []
    lengths, keys = [], []
    encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    for text, encoding in zip(texts, encoded, strict=True):
        if not set(encoding.ids) - {unknown_id}:  # nothing to predict
            counts.empty += 1
            continue
        ids += encoding.ids
        lengths.append(len(encoding.ids))
        keys.append(_text_key(text))
    counts.documents = len(lengths)
    return EncodedChunk(
        np.array(ids, dtype=np.uint32),
        np.array(lengths, dtype=np.uint32),
        np.array(keys, dtype=np.uint64),
        counts,
    )


def _text_key(text: str) -> int:
    """64 bits that are equal for texts that differ in case alone."""
    digest = hashlib.blake2b(text.casefold().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _encode_all(
    corpus: Corpus, tokenizer: Tokenizer, workers: int
) -> Iterator[tuple[int, EncodedChunk]]:
    """Encode every chunk in order; yields the bytes consumed and the result.

    At most two chunks a worker are in memory.
    """
    if workers <= 1:
        for position, chunk in _all_chunks(corpus):
            yield position, encode_chunk(chunk, tokenizer, corpus.text_fields)
        return
    arguments = (tokenizer.to_str(), corpus.text_fields)
    context = get_context("spawn")
    with (
        _spawning_without_the_script(),
        ProcessPoolExecutor(workers, context, _start_worker, arguments) as pool,
    ):
        pending: deque = deque()
        for position, chunk in _all_chunks(corpus):
            pending.append((position, pool.submit(_encode_in_worker, chunk)))
            if len(pending) > 2 * workers:
                position, future = pending.popleft()
                yield position, future.result()
        for position, future in pending:
            yield position, future.result()


def _all_chunks(corpus: Corpus) -> Iterator[tuple[int, Chunk]]:
    """Every chunk of every file, after the bytes consumed so far."""
    before = 0
    for path in corpus.paths:
        for chunk in read_chunks(path):
            yield before + chunk.position, chunk
        before += os.path.getsize(path)


@contextmanager
def _spawning_without_the_script() -> Iterator[None]:
    """Hide the script that runs from spawned processes.

    Each would import it first, and torch with it: seconds and 250 MiB that tokenising does not
    need.
    """
    script = sys.modules["__main__"]
    spec = getattr(script, "__spec__", None)
    file = script.__dict__.pop("__file__", None)
    script.__spec__ = None
    try:
        yield
    finally:
        script.__spec__ = spec
        if file is not None:
            script.__file__ = file


_worker: dict = {}  # a worker process's tokenizer and options: sent once, not with every chunk


def _start_worker(tokenizer_json: str, text_fields: tuple[str, ...]) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.encode_special_tokens = True  # as wordpiece.read set it; the JSON does not hold it
    _worker.update(tokenizer=tokenizer, text_fields=text_fields)


def _encode_in_worker(chunk: Chunk) -> EncodedChunk:
    return encode_chunk(chunk, **_worker)


def first_occurrences(
    path: Path, count: int, part_size: int = 1 << 16, most_parts: int = 64
) -> np.ndarray:
    """For the `count` uint64 keys in a file: (count,) bool, True where a key appears first.

    The file is read once for each part of the key space, and a part has about `part_size` keys, so
    that memory stays at a byte a key and a few megabytes. There are at most `most_parts`, so that
    time stays linear: of a billion keys a part then takes 240 MiB.
    """
    keep = np.ones(count, dtype=bool)
    num_parts = min(-(-count // part_size), most_parts)
    for part in range(num_parts):
        indices, keys = [], []
        for start in range(0, count, part_size):
            block = np.fromfile(path, dtype=np.uint64, count=part_size, offset=8 * start)
            inside = np.flatnonzero(block % np.uint64(num_parts) == part)
            indices.append(inside + start)
            keys.append(block[inside])
        in_part = np.concatenate(indices)
        _, first = np.unique(np.concatenate(keys), return_index=True)
        keep[in_part] = False
        keep[in_part[first]] = True
    return keep


def _write_kept(
    folder: Path, keep: np.ndarray, dtype: np.dtype, unknown_id: int, part_size: int = 1 << 14
) -> tuple[int, int]:
    """Write tokens.npy and offsets.npy of the documents to keep, from all.tokens and all.lengths.

    Returns the numbers of their tokens and of [UNK] among them.
    """
    num_tokens = num_unknown = 0
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
            kept = keep[start : start + part_size]
            block = np.fromfile(source, dtype=dtype, count=int(lengths.sum()))
            block = block[np.repeat(kept, lengths)]
            tokens.write(block.tobytes())
            offsets.write((num_tokens + lengths[kept].cumsum()).tobytes())
            num_unknown += int((block == unknown_id).sum())
            num_tokens += len(block)
        tokens.seek(0)
        _write_npy_header(tokens, dtype, num_tokens)
    return num_tokens, num_unknown


def _write_npy_header(file: IO[bytes], dtype: np.dtype, count: int) -> None:
    """The header of an array (count,), which keeps its length when `count` grows.

    numpy pads it for that (numpy.lib.format, GROWTH_AXIS_MAX_DIGITS).
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (count,),
    }
    np.lib.format.write_array_header_1_0(file, header)
