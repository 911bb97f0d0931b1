"""Words and numbers of the charts, diagrams (SmartArt) and pictures of an OOXML file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from ragyena.documents.office.blocks import Block, Grid, Paragraph
from ragyena.documents.office.package import Element, children, local

__all__ = ["chart_block", "diagram_blocks", "drawing_text", "picture_text"]

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
MOST_CELLS = 50_000
"""Cells of a chart's table above which it is written one value a row."""
SPARSEST = 20
"""Cells of that table for one value of the chart."""

_BY_PROGRAM = re.compile(
    r"(?is)(.*?)[.\s]*(?:description automatically generated.*|automatisch generierte beschreibung.*|"
    r"description générée automatiquement.*|(?:ai|ki)-(?:generated|generierte).*)"
)
_FILE_NAME = re.compile(r"(?i)\S+\.(?:png|jpe?g|gif|bmp|emf|wmf|svg|tiff?|webp)|https?://\S+")


def picture_text(element: Element) -> str:
    """The description that the author of a file gave to a picture; "" for one that a program made up, or none."""
    text = (element.get("descr") or "").strip()
    if element.get("hidden") in ("1", "true") or _BY_PROGRAM.fullmatch(text) or _FILE_NAME.fullmatch(text):
        return ""
    return text


def drawing_text(element: Element | None) -> str:
    """All text of a piece of DrawingML, a line a paragraph."""
    if element is None:
        return ""
    lines = ["".join(t.text or "" for t in p.iter(_A + "t")) for p in element.iter(_A + "p")]
    return "\n".join(line for line in lines if line.strip())


# --- charts


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    categories: Mapping[int, str]
    values: Mapping[int, str]
    sizes: Mapping[int, str]
    is_scatter: bool


def chart_block(root: Element) -> Grid | None:
    """A chart as a table of its categories and series, captioned by its title; None for one without values."""
    chart = root.find(_C + "chart")
    area = None if chart is None else chart.find(_C + "plotArea")
    if chart is None or area is None:
        return None
    series = [_series(element) for plot in children(area) for element in plot.iterchildren(_C + "ser")]
    title = " ".join(drawing_text(chart.find(_C + "title")).split())
    if not title and len(series) == 1:
        title = series[0].name  # shown above a chart of one series
    axes = {local(axis): " ".join(drawing_text(axis.find(_C + "title")).split()) for axis in children(area)}
    categories = axes.get("catAx") or axes.get("dateAx") or ""
    values = axes.get("valAx", "")
    caption = f"{title} ({values})" if title and values and values not in title else title or values
    if not any(one.values for one in series):
        return Grid([], caption=caption) if caption else None
    if len(series) == 1 and not series[0].is_scatter:
        (one,) = series
        caption = f"{caption} ({one.name})" if one.name and one.name not in caption else caption
        return Grid([[one.categories.get(i, str(i + 1)), one.values[i]] for i in sorted(one.values)], None, caption)
    places = sorted({i for one in series for i in (*one.values, *one.categories)})
    points = sum(len(one.values) for one in series)
    is_shared = all(one.categories == series[0].categories or not one.categories for one in series)
    is_small = len(places) * len(series) <= max(MOST_CELLS, SPARSEST * points)
    if is_shared and is_small and not any(one.is_scatter for one in series):
        rows = [[categories, *(one.name for one in series)]]
        for i in places:
            values_here = [one.values.get(i, "") for one in series]
            if any(values_here):
                rows.append([series[0].categories.get(i, "" if series[0].categories else str(i + 1)), *values_here])
        return Grid(rows, 1, caption)
    rows = [["Series", categories or "x", values or "y", "Size"]]
    for one in series:
        for i in sorted(one.values):
            rows.append([one.name, one.categories.get(i, str(i + 1)), one.values[i], one.sizes.get(i, "")])
    return Grid(rows, 1, caption)


def _series(element: Element) -> _Series:
    name = element.find(_C + "tx")
    names = {} if name is None else _points(name)
    if name is not None and not names:
        literal = name.find(_C + "v")
        names = {0: (literal.text or "") if literal is not None else ""}
    x, y = element.find(_C + "xVal"), element.find(_C + "yVal")
    categories = element.find(_C + "cat") if x is None else x
    values = element.find(_C + "val") if y is None else y
    shown = _points(values)
    for label in element.iterchildren(_C + "dLbls"):
        shown |= {i: f"{shown.get(i, '')} ({text})".strip() for i, text in _labels(label) if i in shown}
    return _Series(
        " ".join(" ".join(names.values()).split()),
        _points(categories),
        shown,
        _points(element.find(_C + "bubbleSize")),
        x is not None or y is not None,
    )


def _labels(element: Element) -> Iterator[tuple[int, str]]:
    """Index -> text of the points that are labelled with a text of their own."""
    for label in element.iterchildren(_C + "dLbl"):
        index = next((e.get("val", "") for e in label.iterchildren(_C + "idx")), "")
        text = " ".join(drawing_text(label.find(_C + "tx")).split())
        if text and index.isascii() and index.isdigit() and len(index) < 10:
            yield int(index), text


def _points(element: Element | None) -> dict[int, str]:
    """Index -> text of the points of a series, several levels of categories joined from the outermost."""
    if element is None:
        return {}
    levels = list(element.iter(_C + "lvl")) or [element]
    code = next((c.text or "" for c in element.iter(_C + "formatCode")), "")
    found = [dict(_level_points(level, code)) for level in levels]
    points = found[0]
    for outer in found[1:]:
        label = ""
        for i in sorted({*points, *outer}):
            label = outer.get(i, label)
            points[i] = f"{label} {points.get(i, '')}".strip()
    return points


def _level_points(level: Element, code: str) -> Sequence[tuple[int, str]]:
    points = []
    for point in level.iter(_C + "pt"):
        index, value = point.get("idx", ""), point.find(_C + "v")
        if index.isascii() and index.isdigit() and len(index) < 10 and value is not None and value.text:
            points.append((int(index), _shown(value.text.strip(), point.get("formatCode") or code)))
    return points


def _shown(value: str, code: str) -> str:
    """A value as its number format shows it, as far as percentages, dates and decimals go."""
    if len(value) > 40 or len(code) > 200 or not re.fullmatch(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d{1,3})?", value):
        return value
    number = float(value)
    plain = re.sub(r'"[^"]*"|\[[^\]]*\]|\\.', "", code).split(";")[0].lower()
    decimals = len(re.match(r"0*", plain.partition(".")[2])[0])  # type: ignore[index]
    if "%" in plain and abs(number) < 1e15:
        return f"{_rounded(Decimal(value) * 100, decimals):f}%"
    if re.search(r"[yd]", plain.replace("general", "").replace("standard", "")) and 0 < number < 2_958_466:
        return (date(1899, 12, 30) + timedelta(days=int(number))).isoformat()
    if re.search(r"0", plain) and abs(number) < 1e15:
        rounded = _rounded(Decimal(value), decimals)
        return f"{rounded:,f}" if "," in plain.split(".")[0] else f"{rounded:f}"
    return f"{number:.15g}" if abs(number) < 1e15 else value


def _rounded(number: Decimal, decimals: int) -> Decimal:
    """Rounded as spreadsheets do, half up."""
    return number.quantize(Decimal(1).scaleb(-min(decimals, 15)), rounding=ROUND_HALF_UP)


# --- diagrams


def diagram_blocks(root: Element) -> list[Block]:
    """The texts of a diagram's data as items of a list, by its tree."""
    texts: dict[str, str] = {}
    top: list[str] = []
    for point in root.iter(_DGM + "pt"):
        identifier = point.get("modelId", "")
        if point.get("type") == "doc":
            top.append(identifier)
        if point.get("type", "node") in ("node", "asst"):
            texts[identifier] = " ".join(drawing_text(point.find(_DGM + "t")).split())
    below: dict[str, list[tuple[int, str]]] = {}
    for link in root.iter(_DGM + "cxn"):
        if link.get("type", "parOf") == "parOf":
            order = link.get("srcOrd", "0")
            place = int(order) if order.isascii() and order.isdigit() and len(order) < 10 else 0
            below.setdefault(link.get("srcId", ""), []).append((place, link.get("destId", "")))
    blocks: list[Block] = []
    # From the end: first what the tree reaches, then the rest.
    waiting = [
        *((0, identifier) for identifier in reversed(texts)),
        *((-1, identifier) for identifier in reversed(top)),
    ]
    seen: set[str] = set()
    while waiting:
        level, identifier = waiting.pop()
        if identifier in seen:
            continue
        seen.add(identifier)
        if texts.get(identifier):
            blocks.append(Paragraph(texts[identifier], "list", max(level, 0)))
        waiting.extend((level + 1, child) for _, child in sorted(below.get(identifier, ()), reverse=True))
    return blocks
