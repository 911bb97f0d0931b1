"""Random tables of figures as PDF pages, and the share of their cells that is read with its row and column names."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ragyena.config import IndexConfig
from ragyena.documents.reading import read
from ragyena.types import Document

Cell = tuple[str, str, str]
"""(label of the row, name of the column, value)"""

LABELS = (
    "Revenue", "Cost of sales", "Gross profit", "Selling expenses", "Other income", "Operating profit", "Net interest",
    "Income taxes", "Net profit", "Goodwill", "Inventories", "Trade receivables", "Cash", "Provisions", "Borrowings",
    "Order intake", "Capital expenditure", "Depreciation", "Free cash flow", "Dividends paid", "Pumps", "Services",
)  # fmt: skip
SERIES = (
    ("2024", "2023"), ("2024", "2023", "2022"), ("Q2 2025", "Q2 2024", "H1 2025", "H1 2024"), ("Units", "Price"),
    ("Revenue", "Profit", "Staff"), ("Opening", "Additions", "Disposals", "Closing"), ("Plan", "Actual", "Change"),
    ("30 June 2025", "30 June 2024"), ("Europe", "Asia", "Americas"), ("Share", "Votes"),
)  # fmt: skip
ABOVE = "The figures below are those of the group as its auditors have confirmed them in March of the year."
BELOW = "They were prepared under the rules that the board adopted in the autumn, without any later change to them."


class Sheet:
    """A page on which texts are set at a place: flush left, centred or flush right."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        from reportlab.pdfgen.canvas import Canvas

        self.canvas: Any = Canvas(str(path), pagesize=(612, 792), invariant=True)
        self.size: float = rng.choice([8, 9, 10])
        self.pitch = self.size * rng.choice([1.4, 1.6, 1.9])
        self.y = 100.0
        self.put(60, ABOVE)
        self.next(2)

    def next(self, rows: float = 1) -> None:
        self.y += rows * self.pitch

    def width(self, text: str, *, bold: bool = False, size: float = 0) -> float:
        return float(self.canvas.stringWidth(text, "Helvetica-Bold" if bold else "Helvetica", size or self.size))

    def put(
        self, x: float, text: str, at: str = "left", *, bold: bool = False, size: float = 0, rise: float = 0
    ) -> float:
        """The right side of the text."""
        width = self.width(text, bold=bold, size=size)
        left = x - {"left": 0.0, "center": width / 2, "right": width}[at]
        self.canvas.setFont("Helvetica-Bold" if bold else "Helvetica", size or self.size)
        self.canvas.drawString(left, 792 - self.y + rise, text)
        return left + width

    def line(self, left: float, right: float) -> None:
        """Draw a line below the row."""
        self.canvas.line(left, 789 - self.y, right, 789 - self.y)

    def save(self) -> None:
        self.next(2)
        self.put(60, BELOW)
        self.canvas.save()


def figure(rng: random.Random) -> str:
    """A number of one to five digits, negative in parentheses now and then."""
    digits = rng.randint(1, 5)
    text = f"{rng.uniform(10 ** (digits - 1), 10**digits):,.{rng.choice([0, 1])}f}"
    return f"({text})" if rng.random() < 0.2 else text


def share_read(folder: Path, draw: Callable[[random.Random, Path], list[Cell]], tables: int) -> float:
    """The share of the cells of random tables that stand in a line with their label first, after their column's name.

    ``draw`` writes one file and gives its cells.
    """
    right = total = 0
    for seed in range(tables):
        path = folder / f"{seed}.pdf"
        cells = draw(random.Random(seed), path)
        total += len(cells)
        found = _cells(_text(path))
        right += sum(cell in found for cell in cells)
    return right / total


def _text(path: Path) -> str:
    return "\n".join(item.text for item in read(path, IndexConfig(ocr="off")) if isinstance(item, Document))


def _cells(text: str) -> set[Cell]:
    found: set[Cell] = set()
    for line in text.split("\n"):
        first, *others = line.split("; ")
        label = first.split(" > ")[-1].split(": ")[-1]
        for pair in others:
            name, _, value = pair.rpartition(": ")
            found.add((label, name, value))
    return found


def put_rows(
    labels: Sequence[str],
    names: Sequence[str],
    rights: Sequence[float],
    rng: random.Random,
    sheet: Sheet,
    put: Callable[..., Any],
) -> list[Cell]:
    """Draw random figures flush right below their names with ``put``; their cells."""
    cells: list[Cell] = []
    for label in labels:
        sheet.next()
        put(60, label)
        for right, name in zip(rights, names, strict=False):
            cells.append((label, name, figure(rng)))
            put(right, cells[-1][2], "right")
    return cells
