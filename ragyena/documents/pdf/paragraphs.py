"""Rows of one column -> paragraphs, items of lists and stretches of code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from ragyena.documents.pdf.elements import Box, Part, Run
from ragyena.documents.pdf.rows import CODE_SIGNS, MARKER, Row, has_cjk, is_toc_entry, most_pitch

__all__ = ["entry_cells", "read_paragraphs"]

_ITEM = re.compile(rf"(?P<marker>{MARKER.pattern})\s+(?=\S)")
_BULLET = re.compile(r"[•◦▪▫‣●○■□▸►–—*\-·✓☐☒☑]")
_LEADER_DOTS = re.compile(r" ?\.(?: ?\.){4,} ?")
LONGEST_VALUE = 60
"""Chars of the value to which dots lead."""
_STOPS = ".!?:…。！？"
_END = '.!?:;。！？…"”’)»'


@dataclass(slots=True)
class _Line:
    text: str
    x0: float
    x1: float
    baseline: float
    y0: float
    y1: float
    size: float
    bold: bool
    bold_ends: tuple[bool, bool]
    """Its first and its last character are bold."""
    mono: bool
    first_word: float
    """Width of the first word."""


def read_paragraphs(rows: Sequence[Row]) -> list[Part]:
    """The parts that the rows hold, in order. Rows are those of one column, without gaps to keep."""
    lines = [line for row in rows if (line := _line(row)) is not None]
    parts: list[Part] = []
    start = 0
    for i in range(1, len(lines) + 1):
        if i == len(lines) or lines[i].mono != lines[start].mono:
            stretch = lines[start:i]
            if stretch[0].mono and not _is_typewritten_prose(stretch):
                parts.append(_code(stretch))
            else:
                parts += _text(stretch)
            start = i
    return parts


def _text(lines: Sequence[_Line]) -> list[Part]:
    """Paragraphs and, of lines with dots that lead from a name to its values, tables."""
    parts: list[Part] = []
    for count, group in groupby(_with_whole_names(lines), lambda line: len(entry_cells(line.text))):
        some = list(group)
        parts += [_entries(some)] if count and len(some) > 1 else _paragraphs(some)
    return parts


def _with_whole_names(lines: Sequence[_Line]) -> list[_Line]:
    """The lines, a name that goes on in the next line, in lower case, joined with it."""
    whole: list[_Line] = []
    for line in lines:
        above = whole[-1] if whole else None
        goes_on = line.text[:1].islower() and entry_cells(line.text)
        if above is not None and goes_on and above.text[-1] not in _END and not entry_cells(above.text):
            x0, y0 = min(above.x0, line.x0), above.y0
            whole[-1] = replace(line, text=f"{above.text} {line.text}", x0=x0, y0=y0)
        else:
            whole.append(line)
    return whole


def entry_cells(text: str) -> list[str]:
    """The name and values of a line of a price list or a list of names, to which dots lead; [] of other lines, as of a
    table of contents."""
    cells = [cell.strip() for cell in _LEADER_DOTS.split(text)]
    if len(cells) < 2 or not all(cells) or max(map(len, cells[1:])) > LONGEST_VALUE or is_toc_entry(text):
        return []
    return [cells[0].rstrip(":"), *cells[1:]]


def _entries(lines: Sequence[_Line]) -> Part:
    box = Box(min(line.x0 for line in lines), lines[0].y0, max(line.x1 for line in lines), lines[-1].y1)
    rows = [entry_cells(line.text) for line in lines]
    return Part("", box, lines[0].size, kind="table", rows=rows, header_rows=0, lines=len(lines))


def _line(row: Row) -> _Line | None:
    runs = [item for item in row.items if isinstance(item, Run)]
    text = row.text()
    if not runs or not text:
        return None
    letters = sum(len(run.text) for run in runs)
    size = max(runs, key=lambda run: len(run.text)).size
    x0, x1 = min(run.x0 for run in runs), max(run.x1 for run in runs)
    return _Line(
        text=text,
        x0=x0,
        x1=x1,
        baseline=row.baseline,
        y0=row.y0,
        y1=row.y1,
        size=size,
        bold=all(run.bold for run in runs if any(char.isalnum() for char in run.text)),
        bold_ends=((runs[0].bold_ends or (runs[0].bold,))[0], (runs[-1].bold_ends or (runs[-1].bold,))[-1]),
        mono=sum(len(run.text) for run in runs if run.mono) > 0.9 * letters,
        first_word=(x1 - x0) * len(text.split()[0]) / len(text),
    )


def _is_typewritten_prose(lines: Sequence[_Line]) -> bool:
    """True for running text in a font of fixed width, which is not code."""
    text = " ".join(line.text for line in lines)
    words = [word for word in text.split() if word.strip(".,;:!?()'\"").isalpha()]
    signs = sum(char in CODE_SIGNS for char in text)
    return len(words) >= 5 * len(lines) and signs < 0.02 * len(text)


def _code(lines: Sequence[_Line]) -> Part:
    left = min(line.x0 for line in lines)
    pitch = min(
        (b.baseline - a.baseline for a, b in pairwise(lines) if b.baseline - a.baseline > 0.5 * a.size),
        default=1.2 * lines[0].size,
    )
    texts: list[str] = []
    for i, line in enumerate(lines):
        if i:
            blank = round((line.baseline - lines[i - 1].baseline) / pitch) - 1
            texts += [""] * min(max(blank, 0), 2)
        indent = round((line.x0 - left) / (0.6 * line.size)) if line.size > 0 else 0
        texts.append(" " * min(max(indent, 0), 200) + line.text)
    box = Box(left, lines[0].y0, max(line.x1 for line in lines), lines[-1].y1)
    return Part("\n".join(texts), box, lines[0].size, kind="code", lines=len(lines))


def _paragraphs(lines: Sequence[_Line]) -> list[Part]:
    if not lines:
        return []
    left, right = min(line.x0 for line in lines), max(line.x1 for line in lines)
    pitches: dict[int, float] = {}
    groups: list[list[_Line]] = []
    for i, line in enumerate(lines):
        key = round(line.size)
        if key not in pitches:
            pitches[key] = _pitch(lines, line.size)
        if i and not _breaks(groups[-1], line, left, right, pitches[key]):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [_part(group, right) for group in groups]


def _pitch(lines: Sequence[_Line], size: float) -> float:
    same = [Row([], line.y0, line.y1, line.baseline, line.size) for line in lines if abs(line.size - size) < 0.6]
    return most_pitch(same, size)


def _breaks(group: Sequence[_Line], line: _Line, left: float, right: float, pitch: float) -> bool:
    """True where ``line`` begins a paragraph of its own."""
    above, first = group[-1], group[0]
    size = line.size
    bold_goes_on = line.bold_ends[0] == above.bold_ends[1] and not _short(above, line, right)
    if abs(size - above.size) > 0.12 * max(size, above.size) or (line.bold != above.bold and not bold_goes_on):
        return True
    step = line.baseline - above.baseline
    if step > 1.3 * pitch + 0.5 or step < 0.3 * size:
        return True
    if is_toc_entry(above.text):
        return True  # an entry of a table of contents
    item = _ITEM.match(line.text)
    ended = above.text[-1] in _END
    if item and (_BULLET.match(line.text) or ended or _ITEM.match(first.text) or _short(above, line, right)):
        return True
    middles = abs((line.x0 + line.x1) - (above.x0 + above.x1)) / 2
    if middles < 0.3 * size and above.x0 > left + 2 * size and abs(line.x0 - above.x0) > 0.3 * size:
        return False  # centred lines
    in_item = bool(_ITEM.match(first.text))
    if line.x0 > above.x0 + 0.8 * size and line.x0 < above.x0 + 6 * size and not (in_item and len(group) == 1):
        return True  # indented first line
    if in_item and line.x0 < above.x0 - 0.8 * size and len(group) > 1:
        return True  # back from a hanging indent
    if ended and _short(above, line, right):
        return True
    if above.text.endswith("-") or line.text[:1].islower() or has_cjk(line.text):
        return has_cjk(line.text) and ended and above.x1 < right - 3 * size
    return right - above.x1 > max(0.3 * (right - left), line.first_word + 3 * size)


def _short(above: _Line, line: _Line, right: float) -> bool:
    """True where the first word of ``line`` would have fitted on the line above."""
    return above.x1 + 0.3 * line.size + line.first_word < right - 0.4 * line.size


def _part(lines: Sequence[_Line], right: float) -> Part:
    box = Box(min(line.x0 for line in lines), lines[0].y0, max(line.x1 for line in lines), lines[-1].y1)
    text = "\n".join(_LEADER_DOTS.sub(" ... ", line.text) for line in lines)
    last = lines[-1]
    open_end = last.text[-1] not in _STOPS and right - last.x1 < 6 * last.size and len(last.text.split()) > 2
    part = Part(text, box, lines[0].size, all(line.bold for line in lines), lines=len(lines), open_end=open_end)
    match = _ITEM.match(text)
    if match:
        part.marker = match["marker"]
    return part
