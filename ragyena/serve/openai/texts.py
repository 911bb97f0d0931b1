"""An answer as the text of a message, with the places in it at which documents are cited."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ragyena.types import Answer, Citation, Passage, place

__all__ = ["Cited", "Written", "write"]

NOT_FOUND = "Not found in the documents."
NOT_SUPPORTED = "not supported by the evidence"
EXCERPT = 300
"""Characters of a passage that is quoted where nothing was found."""


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation in a message."""

    number: int
    document_id: int
    name: str
    """Name of the file."""
    title: str
    mark: int
    """Offset in the message of the mark ``[1]`` behind what the citation supports."""
    start: int
    """Offset of the line with the quote; that of the mark where quotes are left out."""
    end: int
    span: tuple[int, int]
    """Offsets of the quote in the document's text."""


@dataclass(frozen=True, slots=True)
class Written:
    """A message and its citations."""

    text: str
    cited: tuple[Cited, ...]


def write(answer: Answer, *, sources: bool) -> Written:
    """Write an answer with marks, and with the quotes below it where ``sources``."""
    if not answer.text:
        return _not_found(answer)
    if answer.sentences:
        text, marks = _sentences(answer)
    else:
        text, marks = _items(answer)
    cited: list[Cited] = []
    for n, mark in sorted(marks.items()):
        citation = answer.citations[n]
        start, end = mark, mark + len(f"[{n + 1}]")
        if sources:
            text += "\n" if cited else "\n\n"
            start = len(text)
            text += f'[{n + 1}] {_name(citation)}, {place(citation)}: "{_one_line(citation.quote)}"'
            end = len(text)
        span = citation.start, citation.end
        cited.append(Cited(n + 1, citation.document_id, _name(citation), citation.title, mark, start, end, span))
    return Written(text, tuple(cited))


def _sentences(answer: Answer) -> tuple[str, dict[int, int]]:
    """The sentences of a writer, a line each, those marked that nothing supports; offsets of the first mark of each
    citation, from 0."""
    text = ""
    marks: dict[int, int] = {}
    for sentence in answer.sentences:
        text += ("\n" if text else "") + sentence.text
        for number in sentence.citations:
            text += " "
            marks.setdefault(number - 1, len(text))
            text += f"[{number}]"
        if not sentence.supported:
            text += f" ({NOT_SUPPORTED}: {sentence.problem})"
    return text, marks


def _items(answer: Answer) -> tuple[str, dict[int, int]]:
    """The answer, or a line an item of a list, each with marks; offsets of the mark of each citation, from 0."""
    marks: dict[int, int] = {}
    lines: list[str] = []
    at = 0
    left = set(range(len(answer.citations)))
    items = answer.items or (answer.text,)
    for position, item in enumerate(items):
        last = position == len(items) - 1
        supported = [n for n in sorted(left) if last or _holds(answer.citations[n], item)]
        left -= set(supported)
        line = f"- {item}" if answer.items else item
        for n in supported:
            line += " "
            marks[n] = at + len(line)
            line += f"[{n + 1}]"
        lines.append(line)
        at += len(line) + 1
    return "\n".join(lines), marks


def _not_found(answer: Answer) -> Written:
    """Doubt in words, and what comes closest: the candidate that the reader withheld, or the first passage."""
    text = NOT_FOUND
    if answer.closest is not None:
        nearest: Citation | Passage = answer.closest.citation
        quote = answer.closest.citation.quote
        text += f" Closest: {answer.closest.text}"
    elif answer.passages:
        nearest = answer.passages[0].passage
        quote = nearest.text[:EXCERPT]
    else:
        return Written(text, ())
    text += "\n\n"
    start = len(text)
    text += f'[1] {_name(nearest)}, {place(nearest)}: "{_one_line(quote)}"'
    span = nearest.start, nearest.start + len(quote)
    cited = Cited(1, nearest.document_id, _name(nearest), nearest.title, start, start, len(text), span)
    return Written(text, (cited,))


def _holds(citation: Citation, item: str) -> bool:
    if citation.answer_start is None or citation.answer_end is None:
        return False
    return citation.quote[citation.answer_start : citation.answer_end].casefold() == item.casefold()


def _name(cited: Citation | Passage) -> str:
    return Path(cited.source).name.encode("utf-8", "replace").decode()


def _one_line(text: str) -> str:
    return " ".join(text.split())
