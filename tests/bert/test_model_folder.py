"""The folder of --init: a folder as it is, a part of one, a hub name asked over loopback."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from beautybert.bert import model_folder
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "name, message",
    [
        ("./nowhere", "no such folder"),
        ("/no/where", "no such folder"),
        ("a/b/c", "no such folder"),
        ("setup.cfg", "is a file"),
        ("tests/no-such-bert", "there is no folder no-such-bert in tests"),
        ("no such bert", "no such folder"),
        ("C:\\\\bert", "no such folder"),
    ],
)
def test_init_that_is_no_folder_is_named(name, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match=re.escape(f"--init {name}: {message}")):
        model_folder.resolve(name)


# ---- the hub, on loopback ----------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """The hub's two routes: repository info and file download."""

    commit = "a" * 40

    def do_GET(self):
        self.server.requested.append(self.path)
        repositories = self.server.repositories
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and parts[2] in repositories:
            self.send_info(parts[2], repositories[parts[2]], as_tree=parts[3:4] == ["tree"])
        elif parts[1:2] == ["resolve"] and parts[3] in repositories.get(parts[0], ()):
            data = repositories[parts[0]][parts[3]]
            self.answer(200, data, ETag=f'"{hashlib.sha1(data).hexdigest()}"')
        else:
            error = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self.answer(404, **error)

    do_HEAD = do_GET

    def send_info(self, name, files, as_tree):
        siblings = [{"rfilename": file} for file in files]
        info = {"id": name, "sha": self.commit, "siblings": siblings}
        if as_tree:
            info = [
                {"type": "file", "path": file, "size": len(data), "oid": "0" * 40}
                for file, data in files.items()
            ]
        self.answer(200, json.dumps(info).encode(), **{"Content-Type": "application/json"})

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", self.commit)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(checkpoint):
    """A server that holds 'tiny-bert' and, pickled only, 'pickled-bert'.

    Its address, and the paths that were asked for.
    """
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requested = []
    server.repositories = {
        "tiny-bert": files | {"pytorch_model.bin": b"never fetched"},
        "pickled-bert": {"config.json": files["config.json"], "pytorch_model.bin": b"x"},
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", server.requested
    server.shutdown()
    server.server_close()


def resolve_from(endpoint, name, cache):
    """`model_folder.resolve` in a fresh process, as huggingface_hub reads HF_ENDPOINT at import."""
    code = (
        "import sys, time\n"
        "from beautybert.bert import model_folder, pretrained\n"
        "started = time.monotonic()\n"
        "try:\n"
        f"    folder = model_folder.resolve({name!r})\n"
        "finally:\n"
        "    print(time.monotonic() - started, file=sys.stderr)\n"
        "print(pretrained.load_masked_lm(folder, pretrained.read_config(folder))[1])"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_hub_name_is_downloaded_without_pickles_and_then_cached(hub, tmp_path):
    endpoint, requested = hub
    done = resolve_from(endpoint, "tiny-bert", tmp_path)
    assert "loaded, 0 newly initialised, 0 unused" in done.stdout, done.stderr
    fetched = {path.rsplit("/", 1)[-1] for path in requested if "/resolve/" in path}
    assert {"model.safetensors", "config.json", "tokenizer.json", "vocab.txt"} <= fetched
    assert "pytorch_model.bin" not in fetched
    again = resolve_from("http://127.0.0.1:9", "tiny-bert", tmp_path)
    assert "0 newly initialised" in again.stdout, "the second time the cache must do"


@pytest.mark.parametrize(
    "name, message",
    [
        ("no-such-bert", "--init no-such-bert: no such folder here, and the hub says: "),
        ("pickled-bert", "has no model.safetensors"),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, tmp_path, name, message):
    done = resolve_from(hub[0], name, tmp_path)
    assert done.returncode
    last_line = done.stderr.strip().splitlines()[-1]
    assert last_line.startswith("ValueError: ") and message in last_line, done.stderr


@pytest.mark.faults
def test_a_hub_that_accepts_and_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = resolve_from(endpoint, "tiny-bert", tmp_path)
    seconds, *_, said = done.stderr.strip().splitlines()
    assert "no such folder here, and the hub says: " in said
    assert float(seconds) < 15


# ---- folders of sentence-transformers ----------------------------------------------------------


def modules(*entries):
    return [dict(zip(("idx", "name", "path", "type"), entry, strict=True)) for entry in entries]


TRANSFORMER = "sentence_transformers.models.Transformer"
POOLING = (1, "1", "1_Pooling", "sentence_transformers.models.Pooling")


def test_the_bert_of_a_sentence_transformers_folder_is_found(tmp_path):
    listed = modules((0, "0", "0_Transformer", TRANSFORMER), POOLING)
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    assert model_folder.resolve(str(tmp_path)) == tmp_path / "0_Transformer"
    (tmp_path / "config.json").write_text("{}")  # newer ones have it at the root
    assert model_folder.resolve(str(tmp_path)) == tmp_path
    (tmp_path / "config.json").unlink()
    (tmp_path / "modules.json").write_text(json.dumps(modules((0, "0", "", TRANSFORMER), POOLING)))
    assert model_folder.resolve(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    "content, message",
    [
        ({"a": 1}, "is an object, must be a list"),
        ([5], "a module is a whole number, must be an object"),
        (modules(POOLING), "names no module of type Transformer"),
        (modules((0, "0", "../x", TRANSFORMER)), 'names "../x", which is outside its folder'),
        (modules((0, "0", "/etc", TRANSFORMER)), "outside its folder"),
        (modules((0, "0", 7, TRANSFORMER)), "path is 7, must be a text"),
        ([{"path": "x"}], "has no type, which must be a text"),
    ],
)
def test_modules_that_make_no_sense_are_named(tmp_path, content, message):
    (tmp_path / "modules.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        model_folder.resolve(str(tmp_path))
    assert str(tmp_path / "modules.json") in str(caught.value)
