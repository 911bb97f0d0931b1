"""Values in the columns of a store: how they are written, and the one place where they are read back and checked.

SQLite lets any type stand in any column, and a file may have been changed by anything. Whatever comes out of a store is
therefore checked here for type and range before it is used; the functions raise ValueError, which the store raises as
IndexCorruptError.
"""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast, get_args

from ragyena.types import Block, BlockKind, Document, Heading, Passage, Skipped, in_bulk

__all__ = [
    "DOCUMENT_COLUMNS",
    "LARGEST",
    "PASSAGE_COLUMNS",
    "PASSAGE_ROW",
    "Source",
    "byte_offsets",
    "check_types",
    "document_hash",
    "document_row",
    "encoded",
    "kind_of",
    "label_of",
    "metadata_of",
    "names_of",
    "passage_row",
    "read_document",
    "read_passages",
    "read_source",
    "skipped_json",
    "storable",
    "text_of",
    "title_of",
]

Value = TypeVar("Value")
Types = Sequence[type | types.UnionType]
"""The type of each value of a row: ``int``, ``str``, ``bytes`` or ``float``, and ``None`` where it may be missing."""

LARGEST = 2**53
"""No offset or count in a store comes near it."""
MOST_SKIPPED = 100
"""Parts of a file that were not read and are kept with their reasons."""
SHORT = 1000
"""Characters of JSON that is remembered."""
KINDS = frozenset(get_args(BlockKind))
SOURCE_COLUMNS: Types = (int, str, bytes, int, int, int | None, int | None, int | None, str)
DOCUMENT_COLUMNS: Types = (str, str, str, str, str, str, bytes, str | None)
PASSAGE_COLUMNS: Types = (
    *(int, int, int, int, int | None, str, str, str | None),
    *(int, int, str, str, str, str | None),
)
PASSAGE_ROW: Types = (int, int, int, int, int, int, int, int | None, str, int, str, str, str | None)


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a document given in Python."""

    source_id: int
    path: str
    content_hash: bytes
    """sha256 of the file when it was read; of a document given in Python its ``document_hash``."""
    size: int
    complete: bool
    """False while documents of it are still missing: the next ``index add`` resumes there."""
    modified: int | None = None
    """Modification time of the file when it was read, in nanoseconds; None for a document given in Python, and for a
    file that was modified so shortly before that it may change again within the same tick of its clock."""
    seen: int | None = None
    """Time at which the file was last seen, in nanoseconds since 1970."""
    missing_since: int | None = None
    """Time at which the file was first not there; None while it is."""
    skipped: tuple[Skipped, ...] = ()
    """Parts of the file that were not read, and the reasons; of an incomplete one also why it ended."""


# --- writing ---------------------------------------------------------------------------------------------------


def skipped_json(skipped: Sequence[Skipped]) -> str:
    """The parts of a file that were not read, as JSON; of very many the first."""
    values = [[part.source, part.message, part.hint, int(part.is_fault)] for part in skipped[:MOST_SKIPPED]]
    return json.dumps(values)


def document_row(document: Document) -> tuple[str, str, str, str, str, str, bytes]:
    """Title, metadata, page starts, page labels, headings, blocks and text of a document."""
    return (
        json.dumps(document.title),
        json.dumps(dict(document.metadata)),
        json.dumps(document.page_starts),
        json.dumps(document.page_labels),
        json.dumps([[h.start, h.level, h.text] for h in document.headings]),
        json.dumps(_blocks(document)),
        encoded(document.text),
    )


def passage_row(passage: Passage, byte_start: int, byte_end: int) -> tuple[object, ...]:
    """Offsets, lines, page, page label, heading path, kind and table header of a passage."""
    p = passage
    return (
        *(p.start, p.end, byte_start, byte_end, p.line_start, p.line_end, p.page),
        None if p.page_label is None else json.dumps(p.page_label),
        *(json.dumps(p.heading_path), p.kind, json.dumps(p.table_header)),
    )


def document_hash(document: Document, *, titled: bool) -> bytes:
    """sha256 of text, pages, headings, blocks and metadata, and of the title where ``titled``.

    The line at which a piece of a long file begins counts. The title counts for a row of a file. That of a whole file
    may stem from its name, and copies of one text under two names are the same document.
    """
    shape: list[object] = [document.title if titled else "", sorted(document.metadata.items()), document.page_starts]
    shape.append([(h.start, h.level, h.text) for h in document.headings])
    if document.blocks or document.page_labels:  # without them it is the hash of format 1
        shape += [_blocks(document), document.page_labels]
    if document.first_line != 1:
        shape.append(document.first_line)
    digest = hashlib.sha256(json.dumps(shape).encode("ascii"))
    digest.update(encoded(document.text))
    return digest.digest()


def _blocks(document: Document) -> list[list[object]]:
    return [[b.start, b.end, b.kind, b.header] for b in document.blocks]


def byte_offsets(text: str, passages: Sequence[Passage]) -> list[tuple[int, int]]:
    """Convert char offsets of ``passages``, which are in order, to byte offsets in the stored text."""
    offsets, char, byte = [], 0, 0
    for passage in passages:
        byte += len(encoded(text[char : passage.start]))
        end = byte + len(encoded(text[passage.start : passage.end]))
        offsets.append((byte, end))
        char, byte = passage.end, end
    return offsets


def encoded(text: str) -> bytes:
    """UTF-8, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def storable(text: str) -> str:
    """Replace what SQLite text cannot hold: lone surrogates (undecodable bytes of a path) and zero chars."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", " ")


# --- reading ---------------------------------------------------------------------------------------------------


def check_types(rows: Sequence[tuple[object, ...]], wanted: Types) -> None:
    """Raises ValueError where a value of a row is of another type than that of its column."""
    for column, kind in zip(zip(*rows), wanted, strict=True) if rows else ():
        for held in set(map(type, column)):  # thousands of rows have one or two types in a column
            if not issubclass(held, kind):
                name = kind.__name__ if isinstance(kind, type) else str(kind)
                raise ValueError(f"a value of type {held.__name__} where there should be {name}")


def read_source(row: tuple[Any, ...]) -> Source:
    """The source of a row of ``SOURCE_COLUMNS``. Raises ValueError."""
    source_id, path, content_hash, size, complete, modified, seen, missing_since, skipped = row
    parts = tuple(_skipped(value) for value in _list(skipped))
    return Source(source_id, path, content_hash, size, bool(complete), modified, seen, missing_since, parts)


def read_document(row: tuple[Any, ...]) -> Document:
    """The document of a row of ``DOCUMENT_COLUMNS``. Raises ValueError."""
    title, metadata, page_starts, page_labels, headings, blocks, text, origin = row
    pages = tuple(_integer(start) for start in _list(page_starts))
    labels = _strings(page_labels)
    if labels and len(labels) != len(pages):
        raise ValueError(f"{len(labels)} page labels for {len(pages)} pages")
    return Document(
        source=origin or "",
        text=text_of(text),
        title=_string(_json(title)),
        page_starts=pages,
        page_labels=labels,
        headings=tuple(_heading(heading) for heading in _list(headings)),
        blocks=tuple(_block(block) for block in _list(blocks)),
        metadata=metadata_of(metadata),
    )


def read_passages(columns: Sequence[Sequence[Any]]) -> list[Passage]:
    """The passages of their texts and, column by column, the values of ``PASSAGE_COLUMNS``. Raises ValueError."""
    data, starts, ends, first_lines, last_lines, pages, titles, paths, origins, ids, document_ids, *more = columns
    metadata, kinds, table_headers, page_labels = more
    texts = list(map(text_of, data))
    for text, start, end in zip(texts, starts, ends):
        if start < 0 or end - start != len(text) or end > LARGEST:
            raise ValueError(f"passages are not where they say: {len(text)} characters at {start} to {end}")
    for first, last, page in zip(first_lines, last_lines, pages):
        if not (1 <= first <= last <= LARGEST and (page is None or 1 <= page <= LARGEST)):
            raise ValueError(f"a passage on lines {first} to {last}, page {page}")
    fields: dict[str, Sequence[object]] = {
        "text": texts,
        "start": starts,
        "end": ends,
        "line_start": first_lines,
        "line_end": last_lines,
        "page": pages,
        "title": list(map(title_of, titles)),
        "heading_path": list(map(names_of, paths)),
        "source": [origin or "" for origin in origins],
        "passage_id": ids,
        "document_id": document_ids,
        "page_label": list(map(label_of, page_labels)),
        "kind": list(map(kind_of, kinds)),
        "table_header": list(map(names_of, table_headers)),
        "metadata": list(map(metadata_of, metadata)),
    }
    return in_bulk(Passage, len(texts), fields)


def _skipped(value: object) -> Skipped:
    source, message, hint, is_fault = _parts(value, 4)
    return Skipped(_string(source), _string(message), _string(hint), bool(is_fault))


def _heading(value: object) -> Heading:
    start, level, text = _parts(value, 3)
    return Heading(_integer(start), _integer(level), _string(text))


def _block(value: object) -> Block:
    start, end, kind, header = _parts(value, 4)
    return Block(_integer(start), _integer(end), kind_of(kind), tuple(_each(header, _string)))


def kind_of(value: object) -> BlockKind:
    """A kind of block. Raises ValueError."""
    if value not in KINDS:
        raise ValueError(f"{value!r:.40} is no kind of block")
    return cast(BlockKind, value)


def label_of(text: str | None) -> str | None:
    """The label of a page. Raises ValueError."""
    return None if text is None else _string(_json(text))


def metadata_of(text: str) -> dict[str, str]:
    """The metadata of a document. Raises ValueError."""
    value = {} if text == "{}" else _json(text)
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} for metadata")
    return {key: _string(field) for key, field in value.items()}


def _strings(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(_string(item) for item in _list(text))


def _short(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """``read``, which remembers what short texts came to: passages of one document come together."""
    remembered = lru_cache(1024)(read)
    return lambda text: remembered(text) if len(text) <= SHORT else read(text)


def _list(text: str) -> list[object]:
    return [] if text == "[]" else _each(_json(text), lambda item: item)


def _json(text: str) -> object:
    try:  # not by parse_json, which takes six times as long; types and ranges are checked by what calls this
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def _each(value: object, check: Callable[[object], Value]) -> list[Value]:
    if not isinstance(value, list):
        raise ValueError(f"{type(value).__name__} for a list")
    return [check(item) for item in value]


def _parts(value: object, count: int) -> list[object]:
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"no list of {count} values")
    return value


def _integer(value: object) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError(f"{value!r:.40} for a number" if type(value) is not int else "a number out of range")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} for a string")
    return value


def text_of(data: bytes) -> str:
    """The text of a passage or document. Raises ValueError."""
    return data.decode("utf-8", "surrogatepass")


title_of = _short(lambda text: _string(_json(text)))
"""The title of a document. Raises ValueError."""
names_of = _short(_strings)
"""A heading path or the column names of a table. Raises ValueError."""
