"""The documents of a product, read from raw cells: its name and its ingredient list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from beautybert.cls.ingredients import Ingredients, parse_ingredients
from beautybert.cls.names import clean_name
from beautybert.cls.plain_text import INVISIBLE
from beautybert.cls.products import INPUTS

MISSING = ("no name", "no list")  # in the order of `INPUTS`
UNKNOWN_WORDS = "hardly any word of the {} is known"


@dataclass(frozen=True)
class Document:
    """One input of a product, read.

    units: the ingredients of a list, the words of a name. text: what the model reads. reason: why
    there is nothing to read.
    """

    units: tuple[str, ...] = ()
    text: str = ""
    reason: str = ""


def read(part: str, cell: object) -> Document:
    """A raw cell of one of `INPUTS`."""
    if part == "name":
        text = clean_name("" if cell is None else str(cell))
        return Document(tuple(text.split()), text, "" if text else "no name")
    found: Ingredients = parse_ingredients(cell)
    reason = "no list" if found.reason == "empty" else found.reason
    return Document(tuple(found.names), "" if found.reason else str(found), reason)


def read_raw(part: str, cell: object) -> Document:
    """A raw cell as the text that it is, whatever is in it."""
    text = "" if cell is None or cell != cell else INVISIBLE.sub("", str(cell)).strip()
    return Document(tuple(text.split()), text, "" if text else MISSING[INPUTS.index(part)])


def given(texts: Mapping[str, Sequence[str]]) -> Tensor:
    """Which documents products have, (INPUTS, P), from their texts by input."""
    rows = [[bool(text) for text in texts[part]] for part in INPUTS]
    return torch.tensor(rows, dtype=torch.bool)


def why_not(documents: Mapping[str, Sequence[Document]], inputs: Sequence[str], i: int) -> str:
    """Why product i has no answer, or which of its documents its answer leaves out.

    A missing document is no reason beside one that is there.
    """
    reasons = []
    for part, found in documents.items():
        document = found[i]
        if part in inputs or (inputs and document.reason in MISSING):
            continue
        kind = "name" if part == "name" else "list"
        reasons.append(document.reason or UNKNOWN_WORDS.format(kind))
    return "; ".join(reasons) or ("" if inputs else "no input that the model reads")
