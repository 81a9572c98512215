"""A from-scratch BERT trainer in plain PyTorch. Modules, in reading order: docs/design.md."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beautybert.cls.classifier import Classifier as Classifier

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`beautybert.Classifier`, imported when it is asked for: torch takes a second."""
    if name == "Classifier":
        from beautybert.cls.classifier import Classifier

        return Classifier
    raise AttributeError(f"module 'beautybert' has no attribute {name!r}")
