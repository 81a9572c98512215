"""What macOS and Windows lack: nothing of it is needed to import, to be helped, to train."""

import os
import subprocess
import sys

from tests.conftest import ROOT, product_tables, product_texts

HIDE = """
import ctypes, os, signal, sys
import pandas, sklearn.svm, tokenizers, torch, safetensors.torch, tqdm
import torch.distributed.run, torch.nn.parallel
from huggingface_hub import HfApi, snapshot_download

for name in ("uname", "sched_getaffinity", "fork", "getuid", "geteuid", "sysconf", "killpg"):
    delattr(os, name)
for name in [n for n in dir(signal) if n.startswith("SIG") and n not in
             ("SIGINT", "SIGTERM", "SIGABRT", "SIGBREAK", "SIGFPE", "SIGILL", "SIGSEGV")]:
    delattr(signal, name)
for name in ("fcntl", "grp", "pwd", "resource", "termios", "matplotlib"):  # not imported as yet
    sys.modules[name] = None

class Library(ctypes.CDLL):
    def __init__(self, name, *arguments, **keywords):
        if name is None:
            raise TypeError("bad argument type for built-in operation")
        super().__init__(name, *arguments, **keywords)

ctypes.CDLL = Library
sys.platform = "win32"
"""


def test_all_is_imported_helped_and_trained_without_what_windows_lacks(tmp_path):
    """In a process of its own, after the libraries, which look at the real system, are imported."""
    (tmp_path / "texts.txt").write_text("\n".join(product_texts(60)), encoding="utf-8")
    tables = product_tables(tmp_path)
    program = f"""{HIDE}
import importlib, pathlib
root = pathlib.Path({str(ROOT)!r})
for path in sorted((root / "beautybert").rglob("*.py")):
    parts = path.relative_to(root).with_suffix("").parts
    importlib.import_module(".".join(part for part in parts if part != "__init__"))
import train_cls, train_mlm
from beautybert import describe, predict
from beautybert.training import options

def run(module, config_class, *arguments):
    sys.argv = [module.__name__, *map(str, arguments)]
    try:
        code = options.run_command(config_class, module.__doc__, module.main)
    except SystemExit as stopped:
        code = stopped.code
    print(module.__name__, arguments[:1], "code", code, flush=True)

folder = pathlib.Path({str(tmp_path)!r})
for module, config_class in (
    (train_mlm, train_mlm.MlmConfig),
    (train_cls, train_cls.ClsConfig),
    (predict, predict.PredictConfig),
    (describe, describe.DescribeConfig),
):
    run(module, config_class, "--help")
assert train_mlm.token_cache.available_cores() > 0  # asked only for large files
texts, cache = folder / "texts.txt", folder / "cache"
small = ["--max-steps", 2, "--out"]
run(train_mlm, train_mlm.MlmConfig, "--data", texts, "--cache-dir", cache, "--vocab-size", 200,
    *small, folder / "mlm")
run(train_cls, train_cls.ClsConfig, "--data", *{tables["data"]!r}, "--init", folder / "mlm",
    "--label-table", {tables["label_table"]!r}, "--no-baseline", *small, folder / "cls")
run(predict, predict.PredictConfig, folder / "cls", "--input", {tables["data"][0]!r},
    "--output", folder / "answers.csv")
run(describe, describe.DescribeConfig, texts, "--cache-dir", cache, "--vocab-size", 200)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    codes = [line.split()[-1] for line in done.stdout.splitlines() if " code " in line]
    assert codes == ["0"] * 8, done.stderr + done.stdout
