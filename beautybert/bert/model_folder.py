"""Where a model comes from: the local folder of --init, in Hugging Face layout.

Which files of it hold the weights, and what is in them, is pretrained.py's work.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from queue import Empty, SimpleQueue

from huggingface_hub import HfApi, snapshot_download

from beautybert import files

PARTS = ("", "0_Transformer/")  # of a repository: as BERT's are, and as sentence-transformers wrote
NAMES = (
    "config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
)
HUB_FILES = ["modules.json", *(part + name for part in PARTS for name in NAMES)]
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
HUB_SECONDS = 10  # without an answer


def resolve(name: str) -> Path | None:
    """The local folder of --init `name`: None for "scratch", a folder as it is, else a hub
    download.

    Of a folder of sentence-transformers the one that holds the BERT. ValueError if it is none of
    these. The hub is that of the environment variable HF_ENDPOINT; huggingface_hub caches
    downloads.
    """
    if name == "scratch":
        return None
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _transformer_folder(folder)
    if folder.exists():
        raise ValueError(f"--init {name}: is a file; name its folder")
    if not HUB_NAME.fullmatch(name) or name.startswith("."):
        raise ValueError(f"--init {name}: no such folder")
    if "/" in name and folder.parent.is_dir():
        raise ValueError(f"--init {name}: there is no folder {folder.name} in {folder.parent}")
    return _transformer_folder(_downloaded(name))


def _downloaded(name: str) -> Path:
    """The folder of a hub name, from the cache if the hub does not answer.

    ValueError if neither has it.
    """
    refusal = _ask_hub(name)
    is_offline = refusal is not None
    try:
        folder = snapshot_download(name, allow_patterns=HUB_FILES, local_files_only=is_offline)
    except Exception as error:  # a library boundary: network, authorisation, name, disk
        said = files.reason(refusal or error)
        raise ValueError(f"--init {name}: no such folder here, and the hub says: {said}") from None
    return Path(folder)


def _ask_hub(name: str) -> Exception | None:
    """What keeps the hub from saying that it has a model; None if it does.

    With a time limit, since a download alone tries for minutes; in a thread of its own, since the
    look-up of an address knows no limit.
    """
    answers: SimpleQueue[Exception | None] = SimpleQueue()

    def ask() -> None:
        try:
            HfApi().model_info(name, timeout=HUB_SECONDS)
        except Exception as error:  # likewise
            answers.put(error)
        else:
            answers.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=HUB_SECONDS + 1)
    except Empty:
        return TimeoutError(f"no answer in {HUB_SECONDS} seconds")


def _transformer_folder(folder: Path) -> Path:
    """The folder itself, or the part of a sentence-transformers folder that holds the BERT."""
    path = folder / "modules.json"
    if (folder / "config.json").is_file() or not path.is_file():
        return folder
    for module in files.read_json(path, list):
        if not isinstance(module, dict):
            raise ValueError(f"{path}: a module is {files.kind_of(module)}, must be an object")
        kind = files.value_of(module, "type", str, path)
        if kind.rsplit(".", 1)[-1] == "Transformer":
            part = files.value_of(module, "path", str, path)
            return folder / files.inside(part, path) if part else folder
    raise ValueError(f"{path} names no module of type Transformer, so there is no BERT")
