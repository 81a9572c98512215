"""What an installation has, and that it works without the checkout, from any folder."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from beautybert import commands
from tests.conftest import ROOT

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
COMMANDS = dict(
    line.split(" = ") for line in SETUP["options.entry_points"]["console_scripts"].split("\n")[1:]
)


def test_every_package_and_script_is_listed():
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "beautybert").rglob("__init__.py")}
    packages = {".".join(folder.parts) for folder in folders} | {"beautybert.data.sample"}
    assert set(SETUP["options"]["packages"].split()) == packages
    assert SETUP["options"]["py_modules"] == "train_mlm, train_cls"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder in which what a wheel holds lies, as in site-packages."""
    pytest.importorskip("setuptools", "70.1", reason="setuptools 70.1 builds wheels")
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    copy.mkdir()
    for name in ("beautybert", "data"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train_mlm.py", "train_cls.py", "README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    shutil.copy(ROOT / "setup.cfg", copy)
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    done = subprocess.run([sys.executable, "-c", build], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(copy)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def run(installed: Path, folder: Path, command: str, *flags: str) -> str:
    """What an installed command prints, run in a folder."""
    module, _, function = COMMANDS[command].partition(":")
    program = f"import sys; from {module} import {function}; sys.argv = {[command, *flags]!r}; "
    environment = {**os.environ, "PYTHONPATH": str(installed), "HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-c", f"{program}sys.exit({function}())"],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_installed_commands_train_on_the_sample_in_any_folder(installed, tmp_path):
    """With the label table, and nothing of the checkout; what is to be typed next can be typed."""
    shown = run(installed, tmp_path, "beautybert-mlm", "--max-steps", "1")
    assert "next: beautybert-cls --init runs/mlm" in shown
    assert "trained on the generated sample" in shown
    flags = ("--init", "runs/mlm", "--labels", "canonical", "--max-steps", "1", "--no-baseline")
    shown = run(installed, tmp_path, "beautybert-cls", *flags)
    assert "240 cosmetics, 755 sephora_website_dataset" in shown
    assert (tmp_path / "runs" / "cls" / "model.safetensors").is_file()
    flags = ("runs/cls", "--name", "Rose Lip Balm")
    assert "%  " in run(installed, tmp_path, "beautybert-predict", *flags)
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "home"}


@pytest.mark.parametrize("name, module", [("mlm", "train_mlm"), ("cls", "train_cls")])
def test_help_names_the_script_as_it_is_found_from_any_folder(name, module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"beautybert-{name}", "--help"])
    with pytest.raises(SystemExit) as stopped:
        getattr(commands, name)()
    shown = capsys.readouterr().out
    assert stopped.value.code == 0 and shown.startswith(f"usage: beautybert-{name} ")
    assert f"python -m {module} " in shown and f"{module}.py" not in shown


def test_a_mistake_is_the_exit_code_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["beautybert-predict", str(tmp_path), "--name", "x"])
    assert commands.predict() == 2
    assert capsys.readouterr().err.startswith("error: ")
