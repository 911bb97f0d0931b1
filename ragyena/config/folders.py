"""Folders in which commands put things where none is named."""

from __future__ import annotations

from pathlib import Path

__all__ = ["EVAL_INDEX", "EVAL_OUT"]

EVAL_OUT = Path("runs/eval")
"""The folder for results: of each recipe in a folder of its name."""
EVAL_INDEX = str(EVAL_OUT / "index")
"""The folder for indexes of the passages that are evaluated on."""
