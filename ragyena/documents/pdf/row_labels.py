"""Labels of rows on several lines: which lines of cells go on with the row above, and which head the rows below."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

from ragyena.documents.pdf.stacked import TIGHT, is_figure
from ragyena.documents.table_layout import is_note

__all__ = ["wrapped_labels"]

HALFWAY = 0.7
"""Distance of figures to the lines of a label between which they stand."""

_JOINS = re.compile(r"(?:[&/+,]|\b(?:and|or|und|et))$", re.IGNORECASE)
_UNFINISHED = re.compile(
    r"(?:[&/+,-]|\b(?:and|or|of|the|for|to|in|on|from|with|by|at|per|und|et|der|von|de))$", re.IGNORECASE
)


def wrapped_labels(lines: Sequence[Sequence[str]], steps: Sequence[float], bold: Sequence[bool]) -> set[int]:
    """The lines that are part of the row above them, since they or that line hold a piece of its label alone.

    ``lines`` are the cells of each line, ``steps`` the distances of their baselines, one less, ``bold`` tells of each
    whether it begins in bold. A text alone heads the rows below it where nothing says that it goes on: its end, or a
    distance smaller than that of rows.
    """
    begin = next((n for n, cells in enumerate(lines) if cells[0] and _has_figures(cells)), len(lines))
    complete = [n for n in range(begin, len(lines)) if lines[n][0] and _has_figures(lines[n])]
    pairs = [steps[n - 1] for n in complete if n - 1 in complete]
    pitch = median(pairs) if pairs else sorted(steps)[int(0.8 * len(steps))] if steps else 0.0
    # A label may begin above the first row with figures.
    begin = begin - 1 if begin > 1 and begin < len(lines) and _is_alone(lines[begin - 1]) else begin
    wrapped: set[int] = set()
    for n in range(begin + 1, len(lines)):
        step, above, cells = steps[n - 1], lines[n - 1], lines[n]
        after = steps[n] if n < len(steps) else pitch
        if bold[n] != bold[n - 1] and cells[0] and above[0]:
            continue
        if _is_alone(cells):
            if _is_alone(above) and n - 1 not in wrapped:
                continue  # begins a label or heads rows: what follows tells
            is_half = n - 1 in wrapped and not above[0] and step < HALFWAY * pitch
            is_near = step < TIGHT * min(pitch, after) and not _is_remark(cells[0])
            if is_half or (above[0] and (is_near or _goes_on(above[0], _UNFINISHED))):
                wrapped.add(n)
        elif _is_alone(above) and n - 1 not in wrapped and _has_figures(cells):
            start = n - 1
            while start > begin and _is_alone(lines[start - 1]) and steps[start - 1] < 1.1 * step:
                start -= 1
            before = steps[start - 1] if start else pitch
            if not cells[0]:
                if max(step, after) < HALFWAY * pitch:
                    wrapped.add(n)
            elif step < TIGHT * min(pitch, before):
                wrapped.update(range(start + 1, n + 1))
            elif _is_begun(above[0], cells[0], lines[n + 1][0] if n + 1 < len(lines) else ""):
                wrapped.add(n)
    return wrapped


def _is_begun(label: str, own: str, below: str) -> bool:
    """True for a text without figures that the label of the next row goes on with; the row below has its own label."""
    if _goes_on(label, _JOINS):
        return True
    return _goes_on(label, _UNFINISHED) and own[0].islower() and not below[:1].islower()


def _has_figures(cells: Sequence[str]) -> bool:
    return any(is_figure(cell) for cell in cells[1:])


def _is_alone(cells: Sequence[str]) -> bool:
    return bool(cells[0]) and not any(cells[1:])


def _is_remark(text: str) -> bool:
    return is_note(text) or text[-1] in ".:"


def _goes_on(label: str, end: re.Pattern[str]) -> bool:
    """True for a label with an end that something must follow, or with a bracket that is not closed."""
    return bool(end.search(label)) or label.count("(") > label.count(")")
