"""The parts of a page that layout works on. ``y`` grows downwards, in points, in the direction of the text."""

from __future__ import annotations

from dataclasses import dataclass, field

from ragyena.types import BlockKind

__all__ = ["Box", "Page", "Part", "Run"]


@dataclass(slots=True)
class Box:
    """A rectangle: left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    def holds(self, x: float, y: float) -> bool:
        """True where the point lies inside."""
        return self.x0 <= x <= self.x1 and self.y0 <= y <= self.y1


@dataclass(slots=True)
class Run(Box):
    """Text on one baseline without a wide gap."""

    text: str
    baseline: float
    size: float
    """Height of the font in points."""
    bold: bool = False
    mono: bool = False
    """Set in a font of fixed width."""
    bold_ends: tuple[bool, bool] | None = None
    """The first and the last character are bold; None where they are as the whole."""
    is_mark: bool = False
    """The raised mark of a footnote, in the box of the text before it but for its left and right side."""


@dataclass(slots=True)
class Part:
    """A paragraph, a list item, a stretch of code or a table of a page, in reading order."""

    text: str
    box: Box
    size: float = 0.0
    bold: bool = False
    kind: BlockKind = "prose"
    rows: list[list[str]] = field(default_factory=list)
    """Cells of a table, merged ones repeated; of a line of text those that it would be as the only row of one."""
    header_rows: int | None = None
    """Rows that name columns, None where the drawing does not say."""
    columns: tuple[float, ...] = ()
    """Left borders of a table's columns, or of such a line's cells."""
    marker: str = ""
    """Mark or number before a list item."""
    margin: bool = False
    """At the top or bottom of the page, apart from the other text: perhaps a running header or a page number."""
    aside: bool = False
    """Text in another direction than the page's."""
    lines: int = 1
    open_end: bool = False
    """The last line is full and its sentence goes on: the paragraph may continue in the next column or page."""


@dataclass(slots=True)
class Page:
    """The content of one page, as it was drawn."""

    width: float
    height: float
    runs: list[Run]
    asides: list[Run]
    """Text in other directions: watermarks, labels of axes, names of columns set upright."""
    horizontal: list[Box]
    """Drawn lines, as boxes of little height."""
    vertical: list[Box]
    images: list[Box]
    most_pixels: int = 0
    """Pixels of its largest image."""
