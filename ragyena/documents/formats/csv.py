"""CSV and TSV, read row by row, whatever the size.

A file of texts, with a field that ``index.text_fields`` names or with long rows, is a document a row. Any other is a
table: one document, in which every row is a line with its column names, on the line that it has in the file.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import open_text
from ragyena.documents.delimited import BadRecord, Record, find_delimiter, read_records
from ragyena.documents.pieces import PIECE_CHARS
from ragyena.documents.rows import row_document
from ragyena.documents.tables import Row, RowWriter, Table, clean, read_table, without_notes
from ragyena.types import Block, Document, Skipped

SUFFIXES = (".csv", ".tsv")
WAY_OUT: dict[str, str] = {}
SAMPLE_CHARS = 32_768
SAMPLE_RECORDS = 60
LONG_ROW = 400
"""Mean chars of a row from which every row is a document of its own."""
SHORT_TEXT = 30
"""Mean chars of a text field below which it must be half of its row."""
LONGEST_NAME = 80
SENTENCE_WORDS = 5
"""Words from which a line with a space after each delimiter is a note below the table, not a record."""


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    """Yield rows as ``path#row``, counted from 1 after the names, or tables. A row of more cells than names is kept as
    it is written, and named."""
    with open_text(path, newline="", errors="surrogateescape") as file:
        sample = file.read(SAMPLE_CHARS)
        file.seek(0)
        delimiter = "\t" if path.suffix.lower() == ".tsv" and "\t" in sample else find_delimiter(_whole_lines(sample))
        records = read_records(file, delimiter)
        begin = list(islice(records, SAMPLE_RECORDS))
        count = _comments(begin)
        above = [record for record in begin[:count] if isinstance(record, Record)]
        comments = [(record.line, f"{delimiter} ".join(clean(record.cells))) for record in above]
        begin = begin[count:]
        names_at = _row_of_names(begin, config) if config.csv_rows != "table" else None
        if names_at is not None:
            yield from _documents(path, config, comments, begin, records, names_at, delimiter)
        else:
            yield from _tables(path, comments, begin, records, delimiter)


def _comments(begin: Sequence[Record | BadRecord]) -> int:
    """The number of lines with ``#`` above the first row of names or values. The names themselves may begin with it."""
    count = next((i for i, record in enumerate(begin) if not _is_comment(record)), len(begin))
    rest = [clean(record.cells) for record in begin[count:] if isinstance(record, Record) and any(record.cells)]
    if not count or not rest:
        return 0
    width = Counter(map(len, rest)).most_common(1)[0][0]
    last = begin[count - 1]
    is_name_row = isinstance(last, Record) and len(clean(last.cells)) == width > 1 and not read_table(rest).names
    return count - is_name_row


def _is_comment(record: Record | BadRecord) -> bool:
    return (
        isinstance(record, Record)
        and bool(record.cells)
        and record.cells[0].startswith("#")
        and any(cell.strip("# ") for cell in record.cells[:1])
    )


def _whole_lines(sample: str) -> str:
    end = sample.rfind("\n") + 1 if len(sample) >= SAMPLE_CHARS else 0
    return sample[:end] if end else sample


def _row_of_names(begin: Sequence[Record | BadRecord], config: IndexConfig) -> int | None:
    """The place in ``begin`` of the row of names of a file of texts; None for a table, -1 for texts without names."""
    wanted = {name.lower() for name in config.text_fields}
    for i, record in enumerate(begin[:15]):
        cells = record.cells if isinstance(record, Record) else []
        columns = [column for column, cell in enumerate(cells) if cell.strip().lower() in wanted]
        if columns and max(map(len, cells)) <= LONGEST_NAME:
            below = [other.cells for other in begin[i + 1 :] if isinstance(other, Record)]
            chars = sum(len(cell) for row in below for cell in row)
            of_text = sum(len(row[column]) for row in below for column in columns if column < len(row))
            if config.csv_rows == "documents" or of_text >= min(SHORT_TEXT * len(below), chars / 2):
                return i
            break  # a table with a column of short texts: ``Date, Text, Amount``
    rows = [(i, clean(record.cells)) for i, record in enumerate(begin) if isinstance(record, Record)]
    rows = [(i, row) for i, row in rows if row]
    layout = read_table([row for _, row in rows]).layout
    data = rows[layout.first_row :]
    is_long = sum(len(cell) for _, row in data for cell in row) >= LONG_ROW * len(data)
    if not data or not (is_long or config.csv_rows == "documents"):
        return None
    return rows[layout.first_row - 1][0] if layout.names else -1


def _documents(
    path: Path,
    config: IndexConfig,
    comments: Sequence[tuple[int, str]],
    begin: Sequence[Record | BadRecord],
    records: Iterator[Record | BadRecord],
    names_at: int,
    delimiter: str,
) -> Iterator[Document | Skipped]:
    head = begin[names_at] if names_at >= 0 else None
    names = _distinct(head.cells) if isinstance(head, Record) else []
    above = [clean(record.cells) for record in begin[: max(names_at, 0)] if isinstance(record, Record)]
    title = next((row[0] for row in above if len(row) == 1), "") or _title(comments)
    for row, record in enumerate(chain(begin[names_at + 1 :], records), 1):
        yield from _row(path, config, row, record, names, title, delimiter)


def _row(
    path: Path,
    config: IndexConfig,
    row: int,
    record: Record | BadRecord,
    names: Sequence[str],
    title: str,
    delimiter: str,
) -> Iterator[Document | Skipped]:
    place = f"{path}, line {record.line}"
    skipped = _bad(path, row, record)
    surplus = None if skipped is not None else _surplus(path, row, record, len(names))
    if skipped is not None:
        yield skipped
    elif isinstance(record, Record) and any(record.cells):
        fields = dict(zip(_all_names(names, len(record.cells)), record.cells, strict=False))
        if surplus is not None:
            yield surplus
            fields = {(*config.text_fields, "text")[0]: delimiter.join(record.cells)}
        yield row_document(path, row, fields, config, place=place, title=title)


def _all_names(names: Sequence[str], width: int) -> Iterator[str]:
    return chain(names, (f"column {i}" for i in range(len(names) + 1, width + 1)))


def _bad(path: Path, row: int, record: Record | BadRecord) -> Skipped | None:
    """The record as skipped, where it cannot be read."""
    place = f"{path}, line {record.line}"
    if isinstance(record, BadRecord):
        return Skipped(f"{path}#{row}", f"{place}: {record.reason}", "correct the quotes of that row")
    if any("\udc80" <= char <= "\udcff" for cell in record.cells for char in cell if char > "\ud7ff"):
        return Skipped(f"{path}#{row}", f"{place} is not valid UTF-8", "convert that row to UTF-8")
    return None


def _surplus(path: Path, row: int, record: Record | BadRecord, width: int) -> Skipped | None:
    """A record with more cells than there are names (0 for any number): nobody can tell which cell has which name."""
    if not width or isinstance(record, BadRecord) or not any(record.cells[width:]):
        return None
    return Skipped(
        f"{path}#{row}",
        f"the names in {path}, line {record.line}: {len(record.cells)} fields, but the row of names has {width}"
        " (its text is kept)",
        "put fields that hold the delimiter in quotes, or correct the row",
    )


def _distinct(cells: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, 1):
        name = " ".join(cell.split()) or f"column {number}"
        names[name if name not in names else f"{name} ({number})"] = None
    return list(names)


def _title(comments: Sequence[tuple[int, str]]) -> str:
    return comments[0][1].strip("# ") if comments else ""


def _tables(
    path: Path,
    comments: Sequence[tuple[int, str]],
    begin: Sequence[Record | BadRecord],
    records: Iterator[Record | BadRecord],
    delimiter: str,
) -> Iterator[Document | Skipped]:
    """Tables parted by empty lines; one without names of its own goes on with those of the table above it."""
    ahead = deque(begin)
    text = _LineText(1)
    for line, comment in comments:
        text.add(line, [comment], None)
    title, is_split, after_gap = _title(comments), False, True
    table = read_table([])
    writer = RowWriter(table.layout)
    width = place = 0
    is_spaced = False  # a space after the delimiter tells no sentence from a record
    notes_to = 0  # the line of the last text that is known to be a note below the table
    while (record := ahead.popleft() if ahead else next(records, None)) is not None:
        cells = clean(record.cells) if isinstance(record, Record) else ("",)
        if not cells:
            after_gap = True
            continue
        if after_gap and isinstance(record, Record):
            after_gap = False
            ahead.extend(islice(records, max(0, SAMPLE_RECORDS - len(ahead))))
            rows = [cells, *_rows_to_gap(ahead)]
            below = read_table(rows)
            if not table.names or (below.names and (below.layout.is_sure or max(map(len, rows)) > len(table.names))):
                table, writer, place, is_spaced = below, RowWriter(below.layout), 0, False
                width = _width(table, rows)
                title = title or next(iter(table.titles), "") or (cells[0] if len(rows) == len(cells) == 1 else "")
        if record.line > notes_to and table.names and without_notes([cells]) == 0:
            ahead.extend(islice(records, max(0, SAMPLE_RECORDS - len(ahead))))
            notes_to = max(_last_note(record.line, ahead), notes_to)
        skipped = _bad(path, record.line, record)
        surplus = None if skipped is not None else _surplus(path, record.line, record, width)
        if skipped is not None:
            yield skipped
        elif table.names and not is_spaced and _begins_notes(record, ahead, len(table.names)):
            text.add(record.line, [_as_written(record, delimiter)], None)
        elif surplus is not None:
            yield surplus
            text.add(record.line, [_as_written(record, delimiter)], table.header)
        elif place < table.layout.title_count:
            text.add(record.line, [table.titles[place]], None)
        elif place < table.layout.first_row:
            text.add(record.line, [" | ".join(filter(None, cells))], table.header)
            is_spaced = is_spaced or _has_spaces(record)
        else:
            is_prose = table.layout.form == "cells" and len(cells) == 1
            lines = writer.lines(cells, is_below=record.line <= notes_to)
            text.add(record.line, lines, None if is_prose else table.header)
        place += 1
        if text.chars > PIECE_CHARS:
            is_split = True
            yield text.document(f"{path}#{text.first_line}", title)
            text = _LineText(record.line + 1)
    if text.lines:
        yield text.document(f"{path}#{text.first_line}" if is_split else str(path), title)


def _rows_to_gap(ahead: Iterable[Record | BadRecord]) -> Iterator[Row]:
    for record in ahead:
        if isinstance(record, Record):
            cells = clean(record.cells)
            if not cells:
                return
            yield cells


def _last_note(line: int, ahead: Iterable[Record | BadRecord]) -> int:
    """The line of the last text alone in its row, from that of ``line`` on, where none of them heads records; else 0.

    Records head a table of their own where they follow an empty line and begin with names.
    """
    is_after_gap = False
    waiting = list(ahead)
    for i, record in enumerate(waiting):
        cells = clean(record.cells) if isinstance(record, Record) else ()
        if not cells:
            is_after_gap = is_after_gap or isinstance(record, Record)
        elif without_notes([cells]) == 0:
            line = record.line
        else:
            return line if is_after_gap and read_table([*_rows_to_gap(waiting[i:])]).names else 0
    return line


def _begins_notes(record: Record | BadRecord, ahead: Iterable[Record | BadRecord], width: int) -> bool:
    """True for a sentence below the table that holds the delimiter, with nothing but notes up to the next gap."""
    if not _is_sentence(record, width):
        return False
    rows = takewhile(lambda other: isinstance(other, BadRecord) or any(other.cells), ahead)
    return all(_is_sentence(row, width) or _is_note(row) for row in rows)


def _is_sentence(record: Record | BadRecord, width: int) -> bool:
    """True for several words, with a space after each delimiter, in another number of cells than the names."""
    words = " ".join(record.cells).split() if isinstance(record, Record) and _has_spaces(record) else []
    return len(words) >= SENTENCE_WORDS and isinstance(record, Record) and len(record.cells) != width


def _has_spaces(record: Record | BadRecord) -> bool:
    cells = record.cells[1:] if isinstance(record, Record) else []
    return bool(cells) and all(cell.startswith(" ") and cell.strip() for cell in cells)


def _is_note(record: Record | BadRecord) -> bool:
    return isinstance(record, Record) and without_notes([clean(record.cells)]) == 0


def _as_written(record: Record | BadRecord, delimiter: str) -> str:
    return " ".join(delimiter.join(record.cells).split()) if isinstance(record, Record) else ""


def _width(table: Table, rows: Sequence[Row]) -> int:
    """The most cells that a row may have; 0 for any number, where most rows have more cells than there are names."""
    data = rows[table.layout.first_row :]
    longer = sum(len(row) > len(table.names) for row in data)
    return 0 if 2 * longer > len(data) else len(table.names)


class _LineText:
    """The text of a document whose lines have the numbers that they have in the file, as far as each row is a line."""

    def __init__(self, first_line: int) -> None:
        self.first_line = first_line
        self.lines: list[str] = []
        self.chars = 0
        self._headers: list[tuple[str, ...] | None] = []
        """The table's header of every line; None for prose and empty lines."""

    def add(self, line: int, texts: Sequence[str], header: tuple[str, ...] | None) -> None:
        """Add lines, the first of them at the number ``line`` where that is not passed yet."""
        missing = [""] * max(0, line - self.first_line - len(self.lines)) if texts else []
        self.lines += [*missing, *texts]
        self._headers += [*(None for _ in missing), *(header for _ in texts)]
        self.chars += len(missing) + sum(map(len, texts))

    def document(self, source: str, title: str) -> Document:
        blocks: list[Block] = []
        start = 0
        is_next = False  # the line above is of the last block
        for line, header in zip(self.lines, self._headers, strict=True):
            end = start + len(line)
            if header is not None:
                if is_next and blocks[-1].header == header:
                    blocks[-1] = Block(blocks[-1].start, end, "table", header)
                else:
                    blocks.append(Block(start, end, "table", header))
            is_next = header is not None or (is_next and not line)
            start = end + 1
        return Document(source, "\n".join(self.lines), title, blocks=tuple(blocks), first_line=self.first_line)
