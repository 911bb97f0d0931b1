"""The writer of ``ragyena ask`` and ``ragyena chat``: where the evidence goes, and the text as it comes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragyena.cli.console import count
from ragyena.cli.terminal import visible

if TYPE_CHECKING:
    from ragyena.pipeline import Pipeline
    from ragyena.types import Answer, Evidence

__all__ = ["Ask", "asked_of"]

Ask = Callable[[str, Mapping[str, str]], "Answer"]
"""Answers a question, within some filters."""


def asked_of(pipeline: Pipeline, *, live: bool) -> Ask:
    """The way to ask: the reader, or the writer where the settings name one. ``live`` shows its text as it comes.

    Before anything is sent for the first time, its address is printed on stderr.
    """
    if pipeline.config.writer.url is None:
        return lambda question, filters: pipeline.ask(question, filters=filters)
    from ragyena.integrations.writer import AnswerWriter

    writer = AnswerWriter(pipeline)
    told = False

    def tell(evidence: Evidence) -> None:
        nonlocal told
        if not told:
            sent = f"{count(len(evidence.pieces), 'piece')} of evidence, {count(evidence.tokens, 'token')}"
            print(f"writer: {sent}, to {writer.address} (model {writer.config.model})", file=sys.stderr, flush=True)
        told = True

    def ask(question: str, filters: Mapping[str, str]) -> Answer:
        with _shown(live and sys.stderr.isatty()) as show:
            return writer.ask(question, filters=filters, on_evidence=tell, on_text=show)

    return ask


@contextmanager
def _shown(live: bool) -> Iterator[Callable[[str], None] | None]:
    """A place on the terminal for text that is being written; it is gone when the checked answer is there."""
    if not live:
        yield None
        return
    from rich.live import Live
    from rich.text import Text

    from ragyena.cli.visible_console import VisibleConsole

    text = Text(style="dim")
    with Live(text, console=VisibleConsole(sys.stderr), transient=True, redirect_stdout=False, redirect_stderr=False):

        def show(part: str) -> None:
            text.append(visible(part))

        yield show
