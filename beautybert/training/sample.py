"""The generated sample: where it lies, and whether data is of it."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from pathlib import Path

FILES = ("meta_All_Beauty.json.gz", "cosmetics.csv", "sephora_website_dataset.csv")
NOTE = "trained on the generated sample in data/sample/: no product in it is real"


def path_of(name: str) -> str:
    """The path of a file of the sample: the checkout's, or that which was installed."""
    relative = Path("data", "sample", name)
    package = Path(__file__).resolve().parents[1]
    found = (path / relative for path in (package.parent, package) if (path / relative).is_file())
    path = next(found, relative)
    return str(relative if relative.is_file() and relative.samefile(path) else path)


def is_sample(data: Sequence[str]) -> bool:
    """Whether all files are of the sample, by folder, name and, where they still are, contents."""
    return bool(data) and all(map(_is_of_sample, map(Path, data)))


def _is_of_sample(path: Path) -> bool:
    if path.name not in FILES or path.resolve().parts[-3:-1] != ("data", "sample"):
        return False
    original = Path(path_of(path.name))
    both = path.is_file() and original.is_file()
    return not both or filecmp.cmp(path, original, shallow=False)
