"""The commands that an installation puts on the path: beautybert-mlm, -cls and -predict.

Each does what `python train_mlm.py`, `python train_cls.py` and `python -m beautybert.predict` do.
The scripts are beside the package, which imports neither: they are found by their names.
"""

from __future__ import annotations

import importlib

from beautybert.training import options


def mlm() -> int:
    """beautybert-mlm; returns the exit code."""
    return _run("train_mlm", "MlmConfig")


def cls() -> int:
    """beautybert-cls; returns the exit code."""
    return _run("train_cls", "ClsConfig")


def predict() -> int:
    """beautybert-predict; returns the exit code."""
    return _run("beautybert.predict", "PredictConfig")


def _run(name: str, config_class: str) -> int:
    """Run a module's main as the command line says.

    --help names the scripts as they are found from any folder, `python -m train_mlm`.
    """
    module = importlib.import_module(name)
    description = str(module.__doc__).replace(f"{name}.py", f"-m {name}")
    return options.run_command(getattr(module, config_class), description, module.main)
