"""Runs of text -> rows: what stands on one baseline, whatever columns or cells it belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from ragyena.documents.pdf.elements import Box, Part, Run
from ragyena.documents.raised_marks import is_mark, mark_text, raise_text

__all__ = [
    "CODE_SIGNS",
    "MARKER",
    "Gap",
    "Row",
    "has_cjk",
    "is_toc_entry",
    "joined",
    "make_rows",
    "most_pitch",
    "without_leader",
    "without_marks",
]

Gap = tuple[float, float]
"""An empty interval of x."""

SAME_BASELINE = 0.3
"""Baselines closer than this, in sizes, are one."""
RAISED = 0.85
"""Raised or lowered text is smaller than this times its neighbours."""
MOST_RAISED = 12
"""Raised texts in one row that is looked at."""
LONGEST_MARK = 6
"""Characters of the mark of a footnote."""
WORD_GAP = 0.6
"""Runs closer than this, in sizes, are words of one text."""
MARKER = re.compile(r"[•◦▪▫‣●○■□▸►–—*\-·✓☐☒☑]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\d{1,2}(?:\.\d{1,2}){1,3}\.?")
"""A bullet or number before an item of a list or a heading."""
CODE_SIGNS = frozenset("{}()=;<>[]_#/\\|&$@+*")
_CJK = re.compile(r"[\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_LEADER_BACKWARDS = re.compile(r"\s*(?:\. ?){3,}\.\s?")


@dataclass(slots=True)
class Row:
    """Items in one row, from left to right."""

    items: list[Run | Part]
    y0: float
    y1: float
    baseline: float
    size: float
    unit: float = 0.0
    """Size by which gaps are judged: a heading's gaps count like those of the text below it."""

    @property
    def x0(self) -> float:
        return _box(self.items[0]).x0

    @property
    def x1(self) -> float:
        return max(_box(item).x1 for item in self.items)

    def intervals(self) -> list[Gap]:
        """The stretches of x that hold text; words of one text, and a list's marker with its item, as one."""
        merged: list[Gap] = []
        marker = False
        for item in self.items:
            box = _box(item)
            gap = box.x0 - merged[-1][1] if merged else 0.0
            if merged and (gap < WORD_GAP * self.unit or (marker and gap < 3.5 * self.unit)):
                merged[-1] = (merged[-1][0], max(merged[-1][1], box.x1))
            else:
                merged.append((box.x0, box.x1))
            marker = len(merged) == 1 and isinstance(item, Run) and bool(MARKER.fullmatch(item.text.strip()))
        return merged

    def text(self) -> str:
        return joined([item for item in self.items if isinstance(item, Run)])


def _box(item: Run | Part) -> Box:
    return item if isinstance(item, Run) else item.box


def without_marks(row: Row) -> Row:
    """The row without the marks of footnotes right behind its texts, which are no part of names, labels and values."""
    kept: list[Run | Part] = []
    end = float("-inf")
    for item in row.items:
        if not (isinstance(item, Run) and item.is_mark and -item.size < item.x0 - end < WORD_GAP * item.size):
            kept.append(item)
        end = _box(item).x1
    return row if len(kept) == len(row.items) else replace(row, items=kept)


def make_rows(items: Sequence[Run | Part]) -> list[Row]:
    """Group items by baseline, from top to bottom."""
    rows: list[Row] = []
    for item in sorted(items, key=_baseline):
        box = _box(item)
        size = item.size if isinstance(item, Run) else 0.0
        last = rows[-1] if rows else None
        if (
            last is not None
            and isinstance(item, Run)
            and last.size
            and abs(item.baseline - last.baseline) <= SAME_BASELINE * max(min(size, last.size), 1.0)
        ):
            last.items.append(item)
            last.y0, last.y1, last.size = min(last.y0, box.y0), max(last.y1, box.y1), max(last.size, size)
        else:
            rows.append(Row([item], box.y0, box.y1, _baseline(item), size))
    rows = _with_raised(rows)
    usual = median(sizes) if (sizes := [row.size for row in rows if row.size]) else 0.0
    for row in rows:
        row.unit = min(row.size, usual) or usual
        row.items.sort(key=lambda item: _box(item).x0)
        _find_marks(row)
    return rows


def _find_marks(row: Row) -> None:
    """Raise the small texts right behind others that the file draws apart from these."""
    for last, run in pairwise(row.items):
        if not isinstance(last, Run) or not isinstance(run, Run) or run.is_mark or len(run.text) > LONGEST_MARK:
            continue
        is_raised = run.size <= RAISED * last.size and last.baseline - run.baseline >= 0.1 * last.size
        if is_raised and run.x0 - last.x1 < WORD_GAP * last.size:
            run.is_mark = is_mark(last.text, run.text)
            run.text = mark_text(run.text) if run.is_mark else raise_text(run.text)


def _with_raised(rows: list[Row]) -> list[Row]:
    """Put small rows that stand within the height of a neighbour, right beside its texts, into that row: exponents."""
    kept: list[Row] = []
    for i, row in enumerate(rows):
        runs = [item for item in row.items if isinstance(item, Run) and len(item.text) <= LONGEST_MARK]
        if len(runs) < len(row.items) or len(runs) > MOST_RAISED:
            kept.append(row)
            continue
        for other in (rows[i + 1] if i + 1 < len(rows) else None, kept[-1] if kept else None):
            if other is None or row.size > RAISED * other.size or not all(_beside(run, other) for run in runs):
                continue
            other.items += row.items
            break
        else:
            kept.append(row)
    return kept


def _beside(run: Run, row: Row) -> bool:
    middle = (run.y0 + run.y1) / 2
    if not row.y0 - 0.2 * row.size <= middle <= row.y1 + 0.2 * row.size:
        return False
    return any(-0.3 <= (run.x0 - _box(item).x1) / max(row.size, 1.0) <= 0.6 for item in row.items)


def _baseline(item: Run | Part) -> float:
    return item.baseline if isinstance(item, Run) else item.box.y0


def most_pitch(rows: Sequence[Row], size: float) -> float:
    """The usual distance of baselines, for text of ``size``."""
    distances = [
        lower.baseline - upper.baseline
        for upper, lower in pairwise(rows)
        if 0.8 * size <= lower.baseline - upper.baseline <= 2.6 * size
    ]
    return median(distances) if distances else 1.25 * size


def joined(runs: Sequence[Run]) -> str:
    """The text of runs in one line, in the order in which it is read."""
    if sum(len(run.text) for run in runs if _right_to_left(run)) * 2 > sum(len(run.text) for run in runs):
        runs = _mixed_order(runs)
    pieces: list[str] = []
    for i, run in enumerate(runs):
        if i:
            last = runs[i - 1]
            gap = run.x0 - last.x1
            close = gap < 0.15 * max(run.size, last.size) and last.x0 <= run.x0
            glued = has_cjk(last.text[-1:]) and has_cjk(run.text[:1]) and gap < 0.5 * run.size
            columns = max(round(gap / (0.6 * run.size)), 1) if run.mono and last.mono and run.size > 0 else 1
            if run.text[0] == " " or last.text[-1] == " ":
                columns = 0
            elif close and (run.is_mark or (last.is_mark and i == 1)):
                close = not (last.text[-1].isalnum() and run.text[0].isalnum())  # words are found without their marks
            pieces.append("" if close or glued else " " * min(columns, 200))
        pieces.append(run.text)
    return "".join(pieces).strip()


def _mixed_order(runs: Sequence[Run]) -> list[Run]:
    """From right to left, with neighbours in a left-to-right script in their own order."""
    ordered: list[Run] = []
    latin: list[Run] = []
    for run in reversed(runs):
        if _right_to_left(run):
            ordered += reversed(latin)
            latin = []
            ordered.append(run)
        else:
            latin.append(run)
    return [*ordered, *reversed(latin)]


def _right_to_left(run: Run) -> bool:
    return sum(1 for char in run.text if "\u0590" <= char <= "\u08ff") * 2 > len(run.text)


def is_toc_entry(text: str) -> bool:
    """True for an entry of a table of contents: dots that lead to a page number."""
    end = text[-60:].rstrip()
    dotted = end.rstrip("0123456789ivxlcIVXLC")
    return len(dotted) < len(end) and dotted.replace(" ", "").endswith("....")


def without_leader(text: str) -> str:
    """A cell without the dots that lead from it to the next one."""
    leader = _LEADER_BACKWARDS.match(text[::-1])  # from the end, so that long rows of dots take linear time
    return text[: len(text) - leader.end()] if leader else text


def has_cjk(text: str) -> bool:
    """True for text with Chinese or Japanese characters, which stand without spaces."""
    return bool(_CJK.search(text))
