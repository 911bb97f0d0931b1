"""What a report is made of, before it is HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = [
    "Block",
    "Bullets",
    "Cell",
    "Code",
    "Example",
    "ExampleAnswer",
    "Examples",
    "Figure",
    "Figures",
    "Group",
    "Line",
    "Page",
    "Section",
    "Table",
    "Text",
    "Value",
]


@dataclass(frozen=True, slots=True)
class Value:
    """A cell that is more than a word: a figure, what it lies between, a mark of significance."""

    text: str
    below: str = ""
    """An interval, p-values: set small, line by line."""
    mark: str = ""
    """▲ or ▼, or empty."""


Cell = str | Value
"""What a place of a table holds."""


@dataclass(frozen=True, slots=True)
class Group:
    """A line of a table that names the lines after it."""

    title: str


Line = Sequence[Cell] | Group
"""Of a table."""


@dataclass(frozen=True, slots=True)
class Table:
    """The first ``left`` columns hold words, the others figures. A line shorter than the head leaves cells empty."""

    head: Sequence[str]
    rows: Sequence[Line]
    left: int = 1

    def without_empty(self) -> Table:
        """Without the columns in which no line has anything: what was not measured has no place to stand empty in."""
        lines = [row for row in self.rows if not isinstance(row, Group)]
        kept = [place for place in range(len(self.head)) if any(len(row) > place and row[place] for row in lines)]
        if not lines or len(kept) == len(self.head):
            return self
        rows = [row if isinstance(row, Group) else [row[at] for at in kept if at < len(row)] for row in self.rows]
        return Table([self.head[at] for at in kept], rows, sum(at < self.left for at in kept))


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; what stands in backticks is set as code."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Figure:
    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Charts side by side, and the figures that they show."""

    figures: Sequence[Figure]
    legend: Sequence[tuple[str, int]]
    """Names and styles of the series."""
    table: Table


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    reader: str
    text: str
    """Empty where it has none."""
    right: bool
    confidence: float
    evidence: str


@dataclass(frozen=True, slots=True)
class Example:
    """One question and what each reader made of it."""

    why: str
    """Why it is shown."""
    question: str
    condition: str
    gold: Sequence[str]
    """Empty where nothing answers it."""
    answers: Sequence[ExampleAnswer]


@dataclass(frozen=True, slots=True)
class Examples:
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be shown as it is."""

    title: str
    text: str


Block = Table | Text | Bullets | Figures | Examples | Code


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: Sequence[Block]
    level: int = 2


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    subtitle: str
    sections: Sequence[Section] = field(default_factory=tuple)
