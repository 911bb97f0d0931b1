"""The place of a passage or citation in words."""

from __future__ import annotations

from ragyena.types import Citation, Passage

__all__ = ["place"]


def place(passage: Passage | Citation) -> str:
    """``page 3``, ``page iv (4 in the file)`` or ``lines 10-12``."""
    if passage.page is not None and passage.page_label not in (None, str(passage.page)):
        return f"page {passage.page_label} ({passage.page} in the file)"
    if passage.page is not None:
        return f"page {passage.page}"
    if passage.line_start == passage.line_end:
        return f"line {passage.line_start}"
    return f"lines {passage.line_start}-{passage.line_end}"
