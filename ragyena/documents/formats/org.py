"""Org mode: the text stays as written, so that lines are the file's; its structure is marked, comments and settings are
left out. Keywords about the document are its metadata and stay in its text: ``#+AUTHOR: Ann`` as ``Author: Ann``.

Read line by line here: the libraries for Org give no line numbers for tables and blocks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.line_text import LineText
from ragyena.documents.merged_cells import Cell
from ragyena.types import Document

SUFFIXES = (".org",)
WAY_OUT: dict[str, str] = {}

_HEADING = re.compile(r"(\*{1,50})\s+(.*)")
_TAGS = re.compile(r"\s:((?:[\w@#%]{1,80}:){1,40})\s*\Z")
_PRIORITY = re.compile(r"\[#\w{1,2}\]\s*")
_PROGRESS = re.compile(r"\s*\[\d{0,4}(?:%|/\d{0,4})\]")
_KEYWORD = re.compile(r"#\+([\w-]{1,40}):\s*(.*)", re.IGNORECASE)
_BLOCK = re.compile(r"\s*#\+begin_(\w{1,40})", re.IGNORECASE)
_BLOCK_END = re.compile(r"\s*#\+end_(\w{1,40})\s*\Z", re.IGNORECASE)
_LINK = re.compile(r"\[\[[^\[\]]{1,2000}\]\[([^\[\]]{1,1000})\]\]")
_RULE = re.compile(r"\s*\|-[-+|: ]*\Z")
_ITEM = re.compile(r"\s*(?:[-+]|\d{1,9}[.)])(?:\s|\Z)|\s+\*\s")
_FOOTNOTE = re.compile(r"\[fn:[^\]\s]{1,80}\]\s")
_FIELDS = {"author": "author", "date": "created", "language": "language", "keywords": "keywords"}
_FIELDS |= {"description": "description", "filetags": "tags"}
_LABELS = {"filetags": "Tags", **{name: name.capitalize() for name in (*_FIELDS, "email") if name != "filetags"}}
_BARE = frozenset({"title", "subtitle", "caption"})
"""Keywords whose value can be read without them."""
_SETTING = re.compile(
    r"(?:options|startup|property|todo|(?:seq|typ)_todo|archive|category|columns|constants|link|priorities|setupfile|macro"
    r"|bind|name|tblname|tblfm|plot|results|headers?|call|toc|lot|bibliography|cite_export|(?:select|exclude)_tags"
    r"|(?:attr|export|html|latex|odt|beamer|texinfo|ascii|man|md|reveal|hugo|roam|org|infojs)_?\w*)"
)
"""Keywords for the editor and for export: they say nothing about the matter."""
_STAMP = re.compile(r"[<\[](\d[^<>\[\]]{3,40})[>\]]")
_CODE = frozenset({"src", "example", "export", "verbatim"})


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    result = LineText(read_text(path))
    title, states = "", {"TODO", "DONE"}
    fields: dict[str, str] = {}
    lines = result.lines
    ends = _block_ends(lines)
    i = 0
    while i < len(lines):
        line = lines[i]
        block = _BLOCK.match(line)
        keyword = _KEYWORD.match(line)
        heading = _HEADING.match(line)
        if block is not None:
            i = _block(result, i, block[1].lower(), ends)
            continue
        if heading is not None:
            result.heading(i, len(heading[1]), _title(heading[2], states))
        elif keyword is not None:
            name, value = keyword[1].lower(), _value(keyword[1].lower(), keyword[2].strip()[:2000])
            if name == "title" and value:
                title = f"{title} {value}".strip()
            elif name in {"todo", "seq_todo", "typ_todo"}:
                states.update(re.sub(r"\([^()]{0,20}\)", "", value).replace("|", " ").split())
            elif name in _FIELDS and value:
                fields.setdefault(_FIELDS[name], value)
            lines[i] = _readable(line, name, value)
        elif line.startswith("# ") or line == "#":
            lines[i] = ""
        elif line.lstrip().startswith("|"):
            i = _table(result, i)
            continue
        elif line.lstrip().startswith(": ") or line.strip() == ":":
            i = _run(result, i, ": ")
            continue
        elif _FOOTNOTE.match(line):
            result.mark(i, i + 1, "footnote")
        elif _ITEM.match(line):
            i = _list(result, i)
            continue
        lines[i] = _plain(lines[i])
        i += 1
    top = [heading for heading in result.headings if heading[1] == 1]
    if not title and len(top) == 1:
        title = top[0][2]
    yield result.document(path, title, fields)


def _value(name: str, text: str) -> str:
    if name == "filetags":
        return ", ".join(filter(None, text.split(":")))
    return _STAMP.sub(r"\1", text) if name == "date" else _plain(text)


def _readable(line: str, name: str, value: str) -> str:
    """The line of a keyword as people read it, empty for a setting; an unknown keyword stays as it is."""
    if name in _BARE:
        return value
    if name in _LABELS:
        return f"{_LABELS[name]}: {value}" if value else ""
    return "" if _SETTING.fullmatch(name) else line


def _title(text: str, states: set[str]) -> str:
    """A headline without its state, priority, progress and tags."""
    word, _, rest = text.partition(" ")
    if word in states:
        text = rest.strip()
    text = _PRIORITY.sub("", text, count=1) if text.startswith("[#") else text
    return _plain(_PROGRESS.sub("", _TAGS.sub("", text)))


def _plain(line: str) -> str:
    """A line with the description of each link in the place of the link."""
    return _LINK.sub(r"\1", line) if "][" in line else line


def _block_ends(lines: list[str]) -> dict[str, list[int]]:
    """Name of a block -> the lines that end one."""
    ends: dict[str, list[int]] = {}
    for i, line in enumerate(lines):
        match = _BLOCK_END.match(line)
        if match is not None:
            ends.setdefault(match[1].lower(), []).append(i)
    return ends


def _block(result: LineText, first: int, name: str, ends: dict[str, list[int]]) -> int:
    """Mark the block that begins at a line; the line after it."""
    places = ends.get(name, [])
    k = bisect_right(places, first)
    if k == len(places) or name not in {*_CODE, "comment"}:
        return first + 1  # a quote, a note: read on inside it
    end = places[k]
    if name == "comment":
        result.blank(first, end + 1)
    else:
        result.mark(first + 1, end, "code")
    return end + 1


def _table(result: LineText, first: int) -> int:
    """Rewrite the table that begins at a line; the line after it."""
    rows: list[tuple[int, list[Cell]]] = []
    head, end = 0, first
    while end < len(result.lines) and result.lines[end].lstrip().startswith("|"):
        line = result.lines[end].strip()
        if _RULE.match(line):
            head = head or len(rows)
        else:
            cells = _plain(line).strip("|").split("|")
            if not all(re.fullmatch(r"<[lrc]?\d{0,4}>", cell.strip()) for cell in cells if cell.strip()):
                rows.append((end, [Cell(cell.strip()) for cell in cells]))
        end += 1
    if rows:
        result.table(first, end, rows, header_rows=head if 0 < head < min(4, len(rows)) else None)
    return end


def _run(result: LineText, first: int, start: str) -> int:
    end = first
    while end < len(result.lines) and f"{result.lines[end].lstrip()} ".startswith(start):
        end += 1
    result.mark(first, max(end, first + 1), "code")
    return max(end, first + 1)


def _list(result: LineText, first: int) -> int:
    """Mark a list: its items and the lines indented under them, blocks inside it aside."""
    end = first
    while end < len(result.lines):
        line = result.lines[end]
        if _BLOCK.match(line) or line.lstrip().startswith("|") or not line.strip() or _HEADING.match(line):
            break
        if not _ITEM.match(line) and not line.startswith((" ", "\t")):
            break
        result.lines[end] = _plain(line)
        end += 1
    result.mark(first, end, "list")
    return max(end, first + 1)
