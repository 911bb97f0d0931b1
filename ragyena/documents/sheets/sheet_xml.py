"""The XML of sheets and shared strings, read as a stream of events: no tree, so that memory does not grow with it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import IO, Any
from xml.parsers import expat

__all__ = ["Cell", "SheetReader", "StringReader", "column_name", "column_number", "unescaped"]

LAST_COLUMN = 16_384
MOST_MERGED = 1_000_000
CHUNK = 1 << 16

_PLACE = re.compile(r"([A-Z]{1,3})(\d{1,10})")
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


class _StopError(Exception):
    """Ends the reading early."""


class _EventReader(ABC):
    """Feeds a part to expat. Names come without their namespaces."""

    is_cut = False
    """The rest was not read."""

    def read(self, stream: IO[bytes]) -> None:
        """Read a part. Raises ExpatError where it is not well-formed, ValueError for a document type of its own."""
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.StartDoctypeDeclHandler = self._refuse
        try:
            while chunk := stream.read(CHUNK):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
        except _StopError:
            self.is_cut = True

    @staticmethod
    def _refuse(*_: Any) -> None:
        raise ValueError("its XML declares a document type, which no office file has")

    @abstractmethod
    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""

    @abstractmethod
    def end(self, tag: str) -> None:
        """Take the end of an element."""

    @abstractmethod
    def characters(self, text: str) -> None:
        """Take text between them."""


class Cell:
    """A cell as it stands in the XML."""

    __slots__ = ("column", "formula", "has_formula", "is_shared", "kind", "row", "shared_key", "style", "value")

    def __init__(self, row: int, column: int, kind: str, style: str) -> None:
        self.row, self.column, self.kind, self.style = row, column, kind, style
        self.value = self.formula = self.shared_key = ""
        self.has_formula = self.is_shared = False


class SheetReader(_EventReader):
    """Hands the cells of a sheet to ``add``, which returns False to end; the rest is in the attributes afterwards."""

    def __init__(self, add: Callable[[Cell], bool], most_elements: int) -> None:
        self._add = add
        self.elements_left = most_elements
        self.hidden_rows: set[int] = set()
        self.hidden_columns: set[int] = set()
        self.merged: list[str] = []
        self._row = self._column = 0
        self._cell: Cell | None = None
        self._parts: list[str] | None = None
        self._in_phonetic = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name == "c":
            self._begin_cell(attributes)
        elif self._cell is not None:
            if name == "rPh":
                self._in_phonetic = True
            elif name in ("v", "f") or (name == "t" and not self._in_phonetic):
                self._parts = []
                if name == "f":
                    self._cell.has_formula = True
                    self._cell.is_shared = attributes.get("t") == "shared"
                    self._cell.shared_key = attributes.get("si", "")
        elif name == "row":
            self._count()
            given = attributes.get("r", "")
            self._row = int(given) if given.isascii() and given.isdigit() and len(given) < 11 else self._row + 1
            self._column = 0
            if _is_hidden(attributes):
                self.hidden_rows.add(self._row)
        elif name == "col" and len(self.hidden_columns) < LAST_COLUMN and _is_hidden(attributes):
            first, last = (attributes.get(key, "0")[:6] for key in ("min", "max"))
            if first.isdigit() and last.isdigit():
                self.hidden_columns.update(range(int(first), min(int(last), LAST_COLUMN) + 1))
        elif name == "mergeCell" and len(self.merged) < MOST_MERGED:
            self.merged.append(attributes.get("ref", ""))

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        self._count()
        place = _PLACE.fullmatch(attributes.get("r", ""))
        self._column = column_number(place[1]) if place else self._column + 1
        row = int(place[2]) if place else self._row
        self._cell = Cell(row, self._column, attributes.get("t", "n"), attributes.get("s", "0"))

    def end(self, tag: str) -> None:
        cell = self._cell
        if cell is None:
            return
        name = tag.rpartition("}")[2]
        if name == "c":
            self._cell = None
            if (cell.value or cell.has_formula) and not self._add(cell):
                raise _StopError
        elif name == "rPh":
            self._in_phonetic = False
        elif self._parts is not None:
            text = "".join(self._parts)
            self._parts = None
            if name == "f":
                cell.formula = text
            else:
                cell.value += text  # a text in runs of several formats

    def characters(self, text: str) -> None:
        if self._parts is not None:
            self._parts.append(text)

    def _count(self) -> None:
        self.elements_left -= 1
        if self.elements_left < 0:
            raise _StopError


class StringReader(_EventReader):
    """Reads the texts that cells share, of at most ``most_chars`` together, each on one line."""

    def __init__(self, most_chars: int) -> None:
        self.strings: list[str] = []
        self._left = most_chars
        self._parts: list[str] = []
        self._in_text = self._in_phonetic = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name == "si":
            self._parts = []
        elif name == "rPh":  # the reading of East Asian characters
            self._in_phonetic = True
        elif name == "t":
            self._in_text = not self._in_phonetic

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if name == "si":
            self.strings.append(" ".join(unescaped("".join(self._parts)).split()))
            self._left -= 50
        elif name == "rPh":
            self._in_phonetic = False
        elif name == "t":
            self._in_text = False

    def characters(self, text: str) -> None:
        if self._in_text:
            self._left -= len(text)
            if self._left < 0:
                raise _StopError
            self._parts.append(text)


def _is_hidden(attributes: dict[str, str]) -> bool:
    """True for rows and columns that are hidden, not for those of an outline, which a click opens."""
    return attributes.get("hidden") in ("1", "true") and attributes.get("outlineLevel", "0") == "0"


def unescaped(text: str) -> str:
    """``_x000D_`` stands for a control character, which is a space to readers."""
    if "_x" not in text:
        return text
    return _ESCAPE.sub(lambda match: c if (c := chr(int(match[1], 16))).isprintable() else " ", text)


def column_number(letters: str) -> int:
    """``AA`` -> 27."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number


def column_name(column: int) -> str:
    """27 -> ``AA``."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
