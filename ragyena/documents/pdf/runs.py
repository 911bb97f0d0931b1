"""Characters in the order of the file -> runs of text: words with their spaces, raised figures, one size each."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import inf

from ragyena.documents.pdf.elements import Box, Run
from ragyena.documents.raised_marks import is_mark, mark_text, raise_text

__all__ = ["Glyph", "Style", "build_runs", "slanted_runs"]

WIDE_GAP = 0.8
"""Gap between characters, in sizes of the font, from which on they belong to two runs."""
OBJECT_GAP = 0.6
"""The same between characters that the file draws as two texts."""
MONO_GAP = 1.3
MOST_BORDERS = 4000
LEAST_RAISED = 0.42
RAISED = 0.85
"""A raised or lowered character is smaller than this times its neighbours."""

_LIGATURES = {
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st",
    "\x1b": "ff", "\x1c": "fi", "\x1d": "fl", "\x1e": "ffi", "\x1f": "ffl",  # TeX fonts without a table of characters:
    "\x0b": "ff", "\x0c": "fi", "\x0d": "fl", "\x0e": "ffi", "\x0f": "ffl", "\x88": "•",  # codes of T1, OT1 and TS1
    "\ufffe": "-", "\x02": "-", "\u2010": "-", "\u2011": "-", "\ufeff": "", "\u200b": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Style:
    """Properties that the characters of a text object have in common."""

    baseline: float
    size: float
    bold: bool
    mono: bool


@dataclass(slots=True)
class Glyph:
    """One character and its box."""

    code: int
    x0: float
    y0: float
    x1: float
    y1: float
    style: Style
    space: bool
    """White space stands before it."""


class _Builder:
    """A run under construction."""

    def __init__(self, first: Glyph) -> None:
        self.style = first.style
        self.texts: list[str] = []
        self.glyphs: list[Glyph] = []
        self.spaces: list[bool] = []
        self.raised: list[bool] = []
        self.add(first, raised=False)

    def add(self, glyph: Glyph, *, raised: bool) -> None:
        self.glyphs.append(glyph)
        self.spaces.append(glyph.space and len(self.glyphs) > 1)
        self.raised.append(raised)

    def take(self, glyph: Glyph) -> bool:
        """Add a character if it goes on with the run."""
        last = self.glyphs[-1]
        style, size = glyph.style, max(self.style.size, glyph.style.size)
        gap = glyph.x0 - last.x1
        wide = WIDE_GAP if style is last.style else OBJECT_GAP
        limit = (MONO_GAP if style.mono and self.style.mono else wide) * size
        backwards = -0.6 * size
        if gap < backwards and _is_right_to_left(glyph.code):
            gap = last.x0 - glyph.x1  # the file has this script in the order in which it is read
        if not backwards <= gap <= limit:
            return False
        shift = style.baseline - self.style.baseline
        if abs(shift) <= 0.12 * size and style.size >= RAISED * self.style.size:
            if all(self.raised) or self.style.size < RAISED * style.size:
                return self._rebase(glyph)
            self.add(glyph, raised=False)
            return True
        if self._much_smaller(style, self.style) or self._much_smaller(self.style, style):
            return False  # an initial
        if style.size < RAISED * self.style.size and abs(shift) < 0.8 * self.style.size and gap <= 0.4 * size:
            self.add(glyph, raised=shift < -0.1 * size)
            return True
        if self.style.size < RAISED * style.size and abs(shift) < 0.8 * style.size and gap <= 0.4 * size:
            if len(self.glyphs) > 3:
                return False
            return self._rebase(glyph)
        return False

    @staticmethod
    def _much_smaller(style: Style, than: Style) -> bool:
        return style.size < LEAST_RAISED * than.size

    def _rebase(self, glyph: Glyph) -> bool:
        """Take the style of ``glyph`` for the run's: what came before was raised."""
        was_raised = glyph.style.baseline > self.style.baseline + 0.1 * glyph.style.size
        self.raised = [was_raised] * len(self.raised)
        self.style = glyph.style
        self.add(glyph, raised=False)
        return True

    def finish(self) -> list[Run]:
        """The text as one run, but for the marks of footnotes in it, each of which is a run of its own."""
        if any(_is_right_to_left(glyph.code) for glyph in self.glyphs):
            self._order_right_to_left()
        spaces = self._letter_spacing() or self.spaces
        runs: list[Run] = []
        start = place = 0
        text = ""
        for is_raised, stretch in groupby(self.raised):
            end = place + len(list(stretch))
            piece = self._text(place, end, spaces)
            if not is_raised:
                text += piece
            elif (place or self._is_apart(end, spaces)) and is_mark(text.rstrip(), piece.strip()):
                runs += self._run(start, place, text)
                runs += self._run(place, end, mark_text(piece.strip()), is_mark=True)
                start, text = end, ""
            else:
                text += "".join(raise_text(part) for part in re.split("( )", piece))
            place = end
        return runs + self._run(start, place, text)

    def _is_apart(self, end: int, spaces: Sequence[bool]) -> bool:
        """True where raised characters at the beginning stand before a word, not before the sign of an isotope."""
        word = "".join(_character(glyph.code) for glyph in self.glyphs[end : end + 3])
        return end == len(self.glyphs) or spaces[end] or (len(word) > 2 and word.isalpha())

    def _text(self, start: int, end: int, spaces: Sequence[bool]) -> str:
        pieces: list[str] = []
        for i in range(start, end):
            shifts = i > 0 and (self.raised[i] or self.raised[i - 1])
            near = shifts and self.glyphs[i].x0 - self.glyphs[i - 1].x1 < 0.12 * self.style.size
            pieces += [" "] * (spaces[i] and not near) + [_character(self.glyphs[i].code)]
        return "".join(pieces)

    def _run(self, start: int, end: int, text: str, *, is_mark: bool = False) -> list[Run]:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if not text.strip():
            return []
        glyphs, raised = self.glyphs[start:end], self.raised[start:end]
        every = [glyph for glyph, is_raised in zip(self.glyphs, self.raised) if not is_raised] or self.glyphs
        base = every if is_mark else [glyph for glyph, is_raised in zip(glyphs, raised) if not is_raised] or glyphs
        return [
            Run(
                x0=min(glyph.x0 for glyph in glyphs),
                y0=min(glyph.y0 for glyph in base),
                x1=max(glyph.x1 for glyph in glyphs),
                y1=max(glyph.y1 for glyph in base),
                text=text,
                baseline=self.style.baseline,
                size=Counter(glyph.style.size for glyph in base).most_common(1)[0][0],
                bold=2 * sum(glyph.style.bold for glyph in base) > len(base),
                bold_ends=(base[0].style.bold, base[-1].style.bold),
                mono=2 * sum(glyph.style.mono for glyph in base) > len(base),
                is_mark=is_mark,
            )
        ]

    def _order_right_to_left(self) -> None:
        """Put the characters in reading order by their places: files have them in either order."""
        after_space = {id(glyph) for glyph, space in zip(self.glyphs, self.spaces) if space}
        follows = {id(right): id(left) for left, right in pairwise(self.glyphs)}
        clusters: list[list[Glyph]] = []
        for glyph in self.glyphs:
            if clusters and abs(clusters[-1][0].x0 - glyph.x0) < 0.05 and abs(clusters[-1][0].x1 - glyph.x1) < 0.05:
                clusters[-1].append(glyph)  # the letters of one ligature
            else:
                clusters.append([glyph])
        clusters.sort(key=lambda cluster: -(cluster[0].x0 + cluster[0].x1))
        ordered: list[Glyph] = []
        figures: list[list[Glyph]] = []
        for cluster in clusters:
            if chr(min(cluster[0].code, 0x10FFFF)).isdecimal() or _is_latin(cluster[0].code):
                figures.append(cluster)
                continue
            ordered += [glyph for part in reversed(figures) for glyph in part]
            figures = []
            ordered += cluster
        ordered += [glyph for part in reversed(figures) for glyph in part]
        self.glyphs = ordered
        self.raised = [False] * len(ordered)
        self.spaces = [False]
        for left, right in pairwise(ordered):
            apart = max(right.x0 - left.x1, left.x0 - right.x1)
            known = follows.get(id(right)) == id(left) and id(right) in after_space
            turned = follows.get(id(left)) == id(right) and id(left) in after_space
            self.spaces.append(apart > 0.2 * self.style.size or known or turned)

    def _letter_spacing(self) -> list[bool] | None:
        """Spaces of text set as ``w i d e``, by its widest gaps alone; None for other text."""
        words = 1 + sum(self.spaces)
        dots = sum(glyph.code == 46 for glyph in self.glyphs)
        if len(self.glyphs) < 5 or words < 0.7 * len(self.glyphs) or 3 * dots > len(self.glyphs):
            return None
        gaps = [right.x0 - left.x1 for left, right in pairwise(self.glyphs)]
        usual = sorted(gaps)[len(gaps) // 2]
        tight = any(gap < 0.3 * usual for gap, space in zip(gaps, self.spaces[1:]) if not space)
        signs = sum(not _character(glyph.code).isalpha() for glyph in self.glyphs)
        if tight or 4 * signs > len(self.glyphs):
            return None  # short words and signs: A + B of C
        return [False, *(gap > usual + 0.2 * self.style.size for gap in gaps)]


def build_runs(glyphs: Sequence[Glyph], borders: Sequence[Box]) -> list[Run]:
    """Join characters to runs. ``borders`` are upright lines, which part the words at either side."""
    lines = sorted((line.x0, line.y0, line.y1) for line in borders)[:MOST_BORDERS]
    runs: list[Run] = []
    builder: _Builder | None = None
    for glyph in glyphs:
        if builder is not None:
            apart = glyph.space and lines and _border_between(lines, builder.glyphs[-1], glyph)
            if not apart and builder.take(glyph):
                continue
            runs += builder.finish()
        builder = _Builder(glyph)
    return runs if builder is None else runs + builder.finish()


def _border_between(lines: Sequence[tuple[float, float, float]], left: Glyph, right: Glyph) -> bool:
    middle = (left.y0 + left.y1) / 2
    i = bisect_left(lines, (left.x1 - 1.0, -inf, -inf))
    while i < len(lines) and lines[i][0] <= right.x0 + 1.0:
        if lines[i][1] <= middle <= lines[i][2]:
            return True
        i += 1
    return False


def slanted_runs(glyphs: Sequence[Glyph]) -> list[Run]:
    """One run for each text object whose characters follow each other in a slanted direction."""
    runs: list[Run] = []
    start = 0
    for i in range(1, len(glyphs) + 1):
        if i < len(glyphs) and glyphs[i].style is glyphs[start].style:
            continue
        part, style = glyphs[start:i], glyphs[start].style
        text = "".join((" " if glyph.space and n else "") + _character(glyph.code) for n, glyph in enumerate(part))
        if text.strip():
            x0, y0 = min(glyph.x0 for glyph in part), min(glyph.y0 for glyph in part)
            x1, y1 = max(glyph.x1 for glyph in part), max(glyph.y1 for glyph in part)
            runs.append(Run(x0, y0, x1, y1, text, y1, style.size, style.bold, style.mono))
        start = i
    return runs


def _character(code: int) -> str:
    if code > 0x10FFFF:
        return ""
    text = chr(code)
    if text in _LIGATURES:
        return _LIGATURES[text]
    if 0xFB00 <= code <= 0xFEFF or 0x2E80 <= code <= 0x2FDF:  # presentation forms and radicals for the letters proper
        return unicodedata.normalize("NFKC", text)
    return text


def _is_latin(code: int) -> bool:
    return 0x41 <= code <= 0x24F and chr(code).isalpha()


def _is_right_to_left(code: int) -> bool:
    return 0x590 <= code <= 0x8FF or 0xFB1D <= code <= 0xFDFF or 0xFE70 <= code <= 0xFEFC
