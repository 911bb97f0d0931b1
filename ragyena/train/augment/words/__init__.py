"""Word lists and patterns of data augmentation: the YAML files of this folder, each read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

__all__ = ["word_lists"]


@cache
def word_lists(name: str) -> dict[str, Any]:
    """The lists of ``NAME.yaml``."""
    lists: dict[str, Any] = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))
    return lists
