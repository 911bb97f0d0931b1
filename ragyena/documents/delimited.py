"""Lines of text -> records of cells: the delimiter found, bad quotes named without losing the lines that follow."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

__all__ = ["BadRecord", "Record", "find_delimiter", "read_records"]

LONGEST_FIELD = 1 << 30
MOST_REPLAYED = 50_000_000
"""Chars that are read again, over a whole file, after quotes that do not close; then every line is taken alone."""
SAMPLE_RECORDS = 100
NO_DELIMITER = "\x1f"
"""Stands for the delimiter of a file of one column."""

_SEPARATOR = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n?")


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of a record and the line at which it begins, counted from 1."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A line that could not be read, and why."""

    line: int
    reason: str


def read_records(lines: Iterable[str], delimiter: str) -> Iterator[Record | BadRecord]:
    """Split lines into records, as RFC 4180 has it. Quotes that are wrong cost the line at which they open, no more."""
    csv.field_size_limit(LONGEST_FIELD)  # the module's own limit is below the length of an ordinary article
    source = iter(lines)
    waiting: deque[str] = deque()
    left = MOST_REPLAYED
    number = 0
    used: list[str] = []

    def following() -> Iterator[str]:
        while True:
            line = waiting.popleft() if waiting else next(source, None)
            if line is None:
                return
            used.append(line)
            yield line
            if left <= 0:
                return

    while True:
        used.clear()
        lines_of_record = following()
        line = next(lines_of_record, None)
        if line is None:
            return
        number += 1
        if number == 1:
            line = line.removeprefix("\ufeff")
            if _SEPARATOR.fullmatch(line):
                continue
        if '"' not in line:
            yield Record(number, line.rstrip("\r\n").split(delimiter) if line.strip() else [])
            continue
        try:
            cells = next(csv.reader(_begun(line, lines_of_record), delimiter=delimiter, strict=True))
        except csv.Error:
            waiting.extendleft(reversed(used[1:]))
            left -= sum(map(len, used[1:]))
            yield BadRecord(number, "a quote is not closed, or stands inside a field in quotes")
            continue
        yield Record(number, cells)
        number += len(used) - 1


def _begun(line: str, rest: Iterator[str]) -> Iterator[str]:
    yield line
    yield from rest


def find_delimiter(sample: str) -> str:
    """The delimiter by which most rows of a sample have the same number of cells."""
    declared = _SEPARATOR.match(sample)
    if declared:
        return declared[1]
    lines = sample.splitlines(keepends=True)
    best, best_score = ",", (0.0, 0, 0)
    for delimiter in ",;\t|":
        records = islice(read_records(lines, delimiter), SAMPLE_RECORDS)
        counts = [len(record.cells) for record in records if isinstance(record, Record) and any(record.cells)]
        widths = Counter(count for count in counts if count > 1)
        if not widths:
            continue
        width, rows = widths.most_common(1)[0]
        first = next(line for line in lines if line.strip()).count(delimiter)
        if first == 0 and _is_punctuation(sample, delimiter):
            continue
        score = (round(rows / len(counts), 1), min(first, width), width)
        if score > best_score:
            best, best_score = delimiter, score
    return best if best_score[0] > 0.0 else NO_DELIMITER


def _is_punctuation(sample: str, delimiter: str) -> bool:
    """True where nearly every delimiter has a space after it, as in sentences."""
    spaced = sample.count(delimiter + " ")
    return 10 * spaced >= 8 * sample.count(delimiter)
