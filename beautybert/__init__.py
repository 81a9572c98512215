"""A from-scratch BERT trainer in plain PyTorch. Modules, in reading order: see README.md."""

__version__ = "0.1.0"
