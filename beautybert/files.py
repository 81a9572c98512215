"""Small files: JSON read with its types checked, text written whole or not at all.

Every wing may import this module; it imports none.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
MAX_INT = 2**63 - 1
WRITING = {errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", -1)}  # only
ACTED_ON = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_REQUIRED = object()
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half of a character beyond 16 bits, escaped


# ---- in ----------------------------------------------------------------------------------------


def read_json(path: Path | str, kind: type = dict) -> Any:
    """The object in a JSON file, or a value of another of `KINDS`.

    ValueError that names the file for anything else in it; FileNotFoundError if there is no such
    file, so that a caller can say what that means.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no JSON: byte {error.start} is not UTF-8") from None
    return parse_json(text, str(path), kind)


def parse_json(text: str | bytes, where: str, kind: type = dict) -> Any:
    """The object, or value of another of `KINDS`, in a JSON text.

    ValueError that begins with `where` for anything else.
    """
    try:
        contents = json.loads(text)
    except RecursionError:
        raise ValueError(f"{where} is no JSON that can be read: nested too deep") from None
    except ValueError as error:  # also not UTF-8, and a number of over 4,300 digits
        raise ValueError(f"{where} is no JSON: {error}") from None
    if _SURROGATE.search(text if isinstance(text, str) else text.decode("utf-8", "replace")):
        try:
            json.dumps(contents, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{where} is no JSON: half a character (a lone surrogate)") from None
    if not isinstance(contents, kind):
        raise ValueError(f"{where} is {kind_of(contents)}, must be {KINDS[kind]}")
    return contents


def value_of(
    contents: Mapping[str, Any],
    key: str,
    kind: type,
    where: Path | str,
    *,
    default: Any = _REQUIRED,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Any:
    """contents[key], which must be of a kind of `KINDS` and in the range.

    default: for a key that is missing or null; without one that is an error. An int may stand for a
    float, true and false for neither. A number must be finite. ValueError names `where`, the key,
    the value and what it must be.
    """
    value: Any = contents.get(key)
    if value is None and default is not _REQUIRED:
        return default
    name, expected = plain(key), KINDS[kind]
    bounds = []
    if at_least is not None:
        bounds.append(f"at least {at_least:,}")
    if at_most is not None:
        bounds.append(f"at most {at_most:,}")
    if bounds:
        expected += f" of {' and '.join(bounds)}"
    if key not in contents:
        raise ValueError(f"{where} has no {name}, which must be {expected}")
    accepted: Any = (int, float) if kind is float else kind
    fits = isinstance(value, accepted) and isinstance(value, bool) == (kind is bool)
    if fits and kind in (int, float):
        low = -MAX_INT if at_least is None else at_least
        high = MAX_INT if at_most is None else at_most
        fits = low <= value <= high  # which NaN never is
    if not fits:
        raise ValueError(f"{where}: {name} is {shown(value)}, must be {expected}")
    return value


def inside(name: str, where: Path | str) -> str:
    """A file or folder name that a file gives for what is beside it, which must not leave there.

    The name alone is judged: what is beside it may be a link, as in caches of the hub.
    """
    parts = name.replace("\\", "/").rstrip("/").split("/")
    if len(name) > 255 or not name.isprintable() or ":" in name or {"", ".", ".."} & set(parts):
        raise ValueError(f"{where} names {shown(name)}, which is outside its folder")
    return name


def kind_of(value: Any) -> str:
    """What a value of JSON is, for a message."""
    return "null" if value is None else KINDS[type(value)]


def shown(value: Any) -> str:
    """A value of JSON as it is written there, cut short, for a message."""
    if isinstance(value, list | dict) and value:
        return f"{kind_of(value)} of {len(value):,}"
    try:
        text = json.dumps(value)
    except ValueError:  # an int of over 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 40 else f"{text[:37]}..."


def plain(name: str) -> str:
    """A name as it is, or as JSON writes it where it is long or does not print, for a message."""
    return name if name.isprintable() and len(name) <= 200 else shown(name)


def reason(error: BaseException) -> str:
    """What a library's error says, as one short line that prints."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(sign if sign.isprintable() else "?" for sign in text[:200])


def printable(text: str) -> str:
    """A line for a terminal: what it would act on is written as Python does, \\x1b for ESC.

    These are control characters but for tabs, line separators and marks of direction.
    """
    return ACTED_ON.sub(lambda match: ascii(match[0])[1:-1], text)


# ---- out ---------------------------------------------------------------------------------------


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A path to write a file at, which takes the place of `path` when all is written.

    So it is there completely or not at all, whenever the machine stops; nothing is left of a write
    that fails. An OSError names the file.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    if temporary.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(temporary))
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        name_file(error, path)
        raise


def name_file(error: BaseException, path: Path | str) -> None:
    """Have an error of writing, which does not name its file, name it."""
    if isinstance(error, OSError) and error.errno in WRITING and error.filename is None:
        error.filename = str(path)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file that is there completely or not at all, whenever the machine stops."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def flush(path: Path | str) -> None:
    """Force a file or folder that is written to the disk.

    Windows does so for files alone, and only through what is open for writing.
    """
    if sys.platform == "win32" and Path(path).is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path | str, contents: Any, indent: int | None = 2) -> None:
    """`write_text` of a JSON value."""
    write_text(path, json.dumps(contents, indent=indent) + "\n")
