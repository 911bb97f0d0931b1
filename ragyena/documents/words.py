"""Word lists kept as data: ``words/NAME.txt`` beside the module that uses them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["read_words"]


def read_words(module: str, name: str) -> tuple[str, ...]:
    """The entries of ``words/NAME.txt`` beside ``module`` (its ``__file__``), one a line, in order.

    Blank lines and lines that begin with ``#`` are left out.
    """
    lines = (Path(module).parent / "words" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in map(str.strip, lines) if line and not line.startswith("#"))
