"""The model of a report: sections, tables, charts and notes as values, before they are HTML or Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Axis", "Block", "Bullets", "Cell", "Chart", "Code", "DotChart", "Example", "ExampleAnswer", "Examples"]
__all__ += ["Figures", "Group", "HeatMap", "LineChart", "Mark", "Page", "Point", "Row", "Section", "Series", "Table"]
__all__ += ["Text", "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """A table cell with a number, small lines below it (interval, p-values) and a mark of significance (▲, ▼ or "")."""

    text: str
    below: str = ""
    mark: str = ""

    def __str__(self) -> str:
        """On one line."""
        return f"{self.text}{self.mark}" + (f" ({', '.join(self.below.splitlines())})" if self.below else "")


Cell = str | Value


@dataclass(frozen=True, slots=True)
class Group:
    """A table row that names the rows after it."""

    title: str


Row = Sequence[Cell] | Group


@dataclass(frozen=True, slots=True)
class Table:
    """The first ``left`` columns hold words, the others numbers. A row shorter than the head leaves cells empty;
    columns in which no row has anything are dropped."""

    head: Sequence[str]
    rows: Sequence[Row]
    left: int = 1

    def __post_init__(self) -> None:
        rows = [row for row in self.rows if not isinstance(row, Group)]
        kept = [place for place in range(len(self.head)) if any(len(row) > place and row[place] for row in rows)]
        if not rows or len(kept) == len(self.head):
            return
        thin = [row if isinstance(row, Group) else [row[at] for at in kept if at < len(row)] for row in self.rows]
        object.__setattr__(self, "left", sum(at < self.left for at in kept))
        object.__setattr__(self, "head", [self.head[at] for at in kept])
        object.__setattr__(self, "rows", thin)


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; text in backticks is set as code."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Code:
    """Preformatted text under a title."""

    title: str
    text: str


# ---------------------------------------------------------------------------------------------------------------
# Charts
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """A measured value with its interval, if it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A line through points. ``style`` picks colour and marker: the same for one reader in every chart."""

    name: str
    style: int
    points: Sequence[Point]
    markers: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """Limits that are None come from the points. ``unit`` stands behind each tick: with ``s``, 0.02 reads 20 ms."""

    label: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A labelled vertical line."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines with bands for their intervals. Raises ValueError for no points, or for one a log axis cannot show."""

    title: str
    series: Sequence[Series]
    x: Axis
    y: Axis
    marks: Sequence[Mark] = ()

    def __post_init__(self) -> None:
        points = [point for series in self.series for point in series.points]
        if not points:
            raise ValueError("there is nothing to draw")
        for axis, values in ((self.x, [point.x for point in points]), (self.y, [point.y for point in points])):
            if axis.log and min(values) <= 0:
                raise ValueError(f"a logarithmic axis cannot show {min(values)}")


@dataclass(frozen=True, slots=True)
class DotChart:
    """A row for each name and, in each series, a value for each row (``x`` of the point is not used)."""

    title: str
    rows: Sequence[str]
    series: Mapping[str, Sequence[Point | None]]
    label: str
    from_zero: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A cell for each value, darker for more; None leaves a cell empty."""

    title: str
    values: Sequence[Sequence[float | None]]
    rows: Sequence[str]
    columns: Sequence[str]
    x_label: str
    y_label: str
    low: float
    high: float


Chart = LineChart | DotChart | HeatMap


@dataclass(frozen=True, slots=True)
class Figures:
    """Charts side by side, and the table of the numbers they show. ``name`` is the file of the picture in a page that
    keeps pictures in files."""

    charts: Sequence[Chart]
    table: Table | None = None
    name: str = ""


# ---------------------------------------------------------------------------------------------------------------
# Examples
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    reader: str
    text: str
    """Empty where the reader gave no answer."""
    right: bool
    confidence: float
    evidence: str


@dataclass(frozen=True, slots=True)
class Example:
    """A question and each reader's answer."""

    kind: str
    """Reason for showing it: ``all right``, ``none right``, ..."""
    question: str
    condition: str
    gold: Sequence[str]
    """Empty where nothing in the context answers the question."""
    answers: Sequence[ExampleAnswer]


@dataclass(frozen=True, slots=True)
class Examples:
    examples: Sequence[Example]


# ---------------------------------------------------------------------------------------------------------------
# Pages
# ---------------------------------------------------------------------------------------------------------------

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
    sections: Sequence[Section]

    def pictures(self) -> Iterator[Figures]:
        """The figures that have a file name."""
        for section in self.sections:
            for block in section.blocks:
                if isinstance(block, Figures) and block.name:
                    yield block
