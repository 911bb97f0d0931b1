"""Limits of what one document may hold: characters, table cells and pages, counted while it is read.

A small file can declare a table of 10^9 rows, or repeat one page a million times. ``TextBuilder`` and the readers of
tables count what they add with ``spend``; beyond a setting the document is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

__all__ = ["budgets", "check", "on_page", "out_of_memory", "out_of_time", "page_done", "spend"]


@dataclass(slots=True)
class _Budget:
    """The remainder for the document that is being read."""

    path: Path
    config: IndexConfig
    chars: int
    cells: int
    pages: int


_current: ContextVar[_Budget | None] = ContextVar("budget", default=None)


_on_page: ContextVar[Callable[[], None]] = ContextVar("on_page", default=lambda: None)


@contextmanager
def budgets(path: Path, config: IndexConfig) -> Iterator[Callable[[], None]]:
    """Give each document of ``path`` its budget: the first now, the next when the function is called that this gives.

    Afterwards the budget before it counts again, that of the message whose attachment was read.
    """

    def begin() -> None:
        _current.set(
            _Budget(path, config, config.max_document_chars, config.max_document_cells, config.max_document_pages)
        )

    outer = _current.get()
    begin()
    try:
        yield begin
    finally:
        _current.set(outer)


def spend(*, chars: int = 0, cells: int = 0, pages: int = 0) -> None:
    """Take from the budget of the document that is being read; without one there is no limit.

    Raises UnreadableDocumentError once more is taken than there was.
    """
    budget = _current.get()
    if budget is None:
        return
    budget.chars -= chars
    budget.cells -= cells
    budget.pages -= pages
    if min(budget.chars, budget.cells, budget.pages) < 0:
        if budget.chars < 0:
            raise _beyond(budget.path, budget.config.max_document_chars, "characters of text", "chars")
        if budget.cells < 0:
            raise _beyond(budget.path, budget.config.max_document_cells, "table cells", "cells")
        raise _beyond(budget.path, budget.config.max_document_pages, "pages", "pages")


@contextmanager
def on_page(function: Callable[[], None]) -> Iterator[None]:
    """Have ``function`` called after each page that took long (``page_done``), inside the block."""
    outer = _on_page.set(function)
    try:
        yield
    finally:
        _on_page.reset(outer)


def page_done() -> None:
    """Begin the budget of seconds anew: a page that takes long, such as a scan, is read. For a bounded number of pages
    or of seconds alone."""
    _on_page.get()()


def check(document: Document) -> None:
    """Raise UnreadableDocumentError for a finished document with more text than ``max_document_chars``."""
    budget = _current.get()
    if budget is not None and len(document.text) > budget.config.max_document_chars:
        raise _beyond(budget.path, budget.config.max_document_chars, "characters of text", "chars")


def out_of_time(path: Path, config: IndexConfig) -> UnreadableDocumentError:
    """The error for a document that takes longer than ``max_document_seconds``."""
    return UnreadableDocumentError(
        f"{path} was not read within {config.max_document_seconds} s",
        hint="split it, raise index.max_document_seconds, or leave it out with an exclude pattern",
    )


def out_of_memory(path: Path, config: IndexConfig) -> UnreadableDocumentError:
    """The error for a document that needs more than ``max_document_memory_mb``."""
    return UnreadableDocumentError(
        f"{path} takes more than {config.max_document_memory_mb} MB of memory to read",
        hint="split it, raise index.max_document_memory_mb, or leave it out with an exclude pattern",
    )


def _beyond(path: Path, limit: int, unit: str, setting: str) -> UnreadableDocumentError:
    return UnreadableDocumentError(
        f"{path} holds more than {limit:,} {unit}", hint=f"split it, or raise index.max_document_{setting}"
    )
