"""RTF -> blocks: paragraphs, headings, lists, tables and footnotes, as a word processor shows them.

Hidden text and text deleted under revision are left out; inserted text is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from ragyena.documents.charsets import text_codec
from ragyena.documents.html_tables import write_cells
from ragyena.documents.merged_cells import Cell
from ragyena.documents.rtf_tokens import CHARSETS, DESTINATIONS, SYMBOLS, Token, tokens
from ragyena.documents.text_builder import TextBuilder

__all__ = ["write_rtf"]

_INFO = frozenset({"title", "author", "keywords", "subject", "doccomm", "company"})
_MARGINS = frozenset({"header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf"})
_HEADING_STYLE = re.compile(r"\s*(?:heading|überschrift|titre|título|titolo|kop|rubrik)\s?([1-9])", re.IGNORECASE)
_SAME_EDGE = 30
"""Twentieths of a point by which the edges of one column may differ between rows."""


@dataclass(frozen=True, slots=True)
class _State:
    """Properties that a group inherits and that its end takes back."""

    target: str = "body"
    """The text that characters go to: body, note, margin, marker, a field of the info group, "" for none."""
    skip_count: int = 1
    font: int = -1
    is_hidden: bool = False
    is_deleted: bool = False


@dataclass(slots=True)
class _Paragraph:
    in_table: bool = False
    style: int = 0
    outline: int = 9
    level: int = 0


@dataclass(slots=True)
class _Row:
    edges: list[int] = field(default_factory=list)
    merged: list[bool] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    is_header: bool = False


def write_rtf(data: bytes, builder: TextBuilder) -> tuple[str, dict[str, str]]:
    """Append the text of an RTF file; its title and metadata. Takes time linear in its size."""
    reader = _Reader(builder)
    for token in tokens(data.decode("latin-1")):
        reader.take(token)
    return reader.end()


class _Reader:
    """Takes one token after the other."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._state = _State()
        self._stack: list[_State] = []
        self._codec = "cp1252"
        self._fonts: dict[int, str] = {}
        self._styles: dict[int, str] = {}
        self._style = 0
        self._texts: dict[str, list[str]] = {"body": []}
        self._bytes = bytearray()
        self._skip = 0
        self._high = 0
        self._is_optional = False
        self._paragraph = _Paragraph()
        self._notes: list[str] = []
        self._note_count = 0
        self._margins: dict[str, None] = {}
        self._row: _Row | None = None
        self._defined = _Row()
        self._is_merged = False
        self._rows: list[_Row] = []
        self._created: dict[str, int] = {}

    def take(self, token: Token) -> None:
        """Take the next token."""
        if token.kind in ("text", "byte"):
            self._characters(token)
            return
        self._decode()
        if token.kind == "{":
            self._stack.append(self._state)
            self._is_optional = False
        elif token.kind == "}":
            self._close()
        elif token.kind == "sign":
            self._sign(token.text)
        else:
            self._word(token.text, token.number)

    def end(self) -> tuple[str, dict[str, str]]:
        """Write what is left; the title and the metadata."""
        self._decode()
        self._end_paragraph()
        self._end_table()
        for text in self._margins:
            self._builder.block(text)
        info = {name: " ".join("".join(self._texts.get(f"info {name}", ())).split())[:2000] for name in _INFO}
        metadata = {name: info[name] for name in ("author", "keywords") if info[name]}
        if self._created.get("yr", 0) > 0:
            created = self._created
            metadata["created"] = f"{created['yr']:04}-{created.get('mo', 1):02}-{created.get('dy', 1):02}"
        return info["title"], metadata

    def _characters(self, token: Token) -> None:
        text = chr(int(token.text, 16)) if token.kind == "byte" else token.text
        if self._skip:  # stands in for a character given in Unicode before
            dropped = min(self._skip, len(text))
            self._skip -= dropped
            text = text[dropped:]
        self._bytes += text.encode("latin-1", "replace")

    def _decode(self) -> None:
        """Decode the bytes gathered, in the encoding of the font they are in."""
        if self._bytes:
            codec = self._fonts.get(self._state.font, "") or self._codec
            self._append(bytes(self._bytes).decode(codec, "replace"))
            self._bytes.clear()

    def _append(self, text: str) -> None:
        state = self._state
        if state.target and not state.is_hidden and not state.is_deleted:
            self._texts.setdefault(state.target, []).append(text)

    def _close(self) -> None:
        before = self._state
        self._state = self._stack.pop() if self._stack else _State()
        self._skip = 0
        self._is_optional = False
        if before.target == "styles":
            if self._style >= 0:
                self._styles.setdefault(self._style, "".join(self._texts.get("styles", ())).strip(" ;"))
            self._style = 0
            self._texts["styles"] = []
        if before.target != self._state.target:
            text = "".join(self._texts.get(before.target, ()))
            if before.target == "note":
                self._notes.append(" ".join(text.split()))
            elif before.target == "margin":
                self._margins.setdefault("\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n")))))
            if before.target in ("note", "margin"):
                self._texts[before.target] = []

    def _sign(self, sign: str) -> None:
        if sign == "*":
            self._is_optional = True
            return
        self._skip = 0
        if sign in "{}\\":
            self._append(sign)
        elif sign == "~":
            self._append(" ")
        elif sign == "_":
            self._append("-")

    def _word(self, word: str, number: int | None) -> None:
        optional, self._is_optional = self._is_optional, False
        if word == "u":
            self._unicode(number or 0)
            return
        self._skip = 0
        if self._destination(word, optional):
            return
        state, on = self._state, number != 0
        if word == "uc":
            self._state = replace(state, skip_count=min(max(number or 0, 0), 100))
        elif word == "f":
            self._state = replace(state, font=number or 0)
        elif word == "fcharset" and state.target == "fonts":
            self._fonts[state.font] = text_codec(CHARSETS.get(number or 0, "")) or ""
        elif word == "ansicpg":
            self._codec = text_codec(f"cp{number}") or self._codec if number != 65001 else "utf-8"
        elif word in ("mac", "pc", "pca"):
            self._codec = {"mac": "mac-roman", "pc": "cp437", "pca": "cp850"}[word]
        elif word == "v":
            self._state = replace(state, is_hidden=on)
        elif word == "deleted":
            self._state = replace(state, is_deleted=on)
        elif word == "plain":
            self._state = replace(state, is_hidden=False, is_deleted=False)
        elif word in ("yr", "mo", "dy") and state.target == "created":
            self._created[word] = min(abs(number or 0), 9999)
        elif word == "s" and state.target == "styles":
            self._style = number or 0
        elif word in ("cs", "ds", "ts") and state.target == "styles":
            self._style = -1  # a style of characters, sections or tables
        elif word in SYMBOLS:
            self._append(SYMBOLS[word])
        elif word in ("par", "sect", "page") and state.target in ("note", "margin"):
            self._append("\n")
        elif state.target == "body":
            self._layout(word, number)

    def _destination(self, word: str, optional: bool) -> bool:
        """Turn to another text where a word begins one. True where the word is done with."""
        state = self._state
        target = None
        if word in ("fonttbl", "stylesheet"):
            target = {"fonttbl": "fonts", "stylesheet": "styles"}[word]
        elif word == "info":
            target = "info"
        elif state.target.startswith("info") and word in _INFO:
            target = f"info {word}"
        elif word == "creatim" and state.target == "info":
            target = "created"
        elif not state.target:
            return True
        elif word == "footnote":
            target = "note"
        elif word in _MARGINS:
            target = "margin"
        elif word in ("listtext", "pntext"):
            target = "marker"
            self._texts["marker"] = []
        elif word == "chftn":
            self._note_count += state.target == "body"
            self._append(f"[{self._note_count}]")
            return True
        elif word in DESTINATIONS or (optional and word not in ("shptxt", "shpinst", "cs", "ds", "ts")):
            target = ""
        if target is None:
            return False
        self._state = replace(state, target=target)
        return True

    def _unicode(self, number: int) -> None:
        code = number & 0xFFFF
        if 0xD800 <= code < 0xDC00:
            self._high = code
        elif 0xDC00 <= code < 0xE000:
            if self._high:
                self._append(chr(0x10000 + ((self._high - 0xD800) << 10) + code - 0xDC00))
            self._high = 0
        elif code >= 0x20:
            # 0xF000 to 0xF0FF are the signs of a symbol font; their bullets are the usual ones
            self._append("•" if 0xF000 <= code <= 0xF0FF else chr(code))
        self._skip = self._state.skip_count

    def _layout(self, word: str, number: int | None) -> None:
        """Paragraphs and tables of the body."""
        if word == "pard":
            self._paragraph = _Paragraph()
        elif word == "intbl":
            self._paragraph.in_table = True
        elif word == "s":
            self._paragraph.style = number or 0
        elif word == "outlinelevel":
            self._paragraph.outline = number if number is not None else 9
        elif word == "ilvl":
            self._paragraph.level = min(max(number or 0, 0), 8)
        elif word == "trowd":
            self._defined = _Row()
            self._row = self._row or _Row()
        elif word == "trhdr":
            self._defined.is_header = True
        elif word == "clvmrg":
            self._is_merged = True
        elif word == "cellx":
            self._defined.edges.append(number or 0)
            self._defined.merged.append(self._is_merged)
            self._is_merged = False
        elif word == "cell":
            self._row = self._row or _Row()
            self._row.texts.append(" ".join("".join(self._texts["body"]).split()))
            self._texts["body"] = []
            self._texts["marker"] = []
        elif word == "row":
            self._end_row()
        elif word in ("par", "sect", "page"):
            if self._paragraph.in_table or (self._row is not None and self._row.texts):
                self._texts["body"].append("\n")
            else:
                self._end_paragraph()

    def _end_row(self) -> None:
        if self._row is not None and self._row.texts:
            defined = self._defined
            self._rows.append(_Row(defined.edges, defined.merged, self._row.texts, defined.is_header))
        self._row = None

    def _end_paragraph(self) -> None:
        lines = "".join(self._texts["body"]).split("\n")
        text = "\n".join(filter(None, (" ".join(line.split()) for line in lines)))
        marker = " ".join("".join(self._texts.get("marker", ())).split())
        self._texts["body"] = []
        self._texts["marker"] = []
        if text:
            self._row = None
            self._end_table()
            paragraph = self._paragraph
            style = _HEADING_STYLE.match(self._styles.get(paragraph.style, ""))
            if paragraph.outline < 9 or style is not None:
                level = int(style[1]) if style is not None else paragraph.outline + 1
                self._builder.heading(level, f"{marker} {text}" if any(map(str.isalnum, marker)) else text)
            elif marker:
                marker = marker if any(map(str.isalnum, marker)) else "-"
                self._builder.list_item(text, marker=marker, level=paragraph.level)
            else:
                self._builder.block(text)
        if not self._rows or text:
            self._write_notes()

    def _write_notes(self) -> None:
        for note in self._notes:
            self._builder.block(note, kind="footnote")
        self._notes.clear()

    def _end_table(self) -> None:
        """Write the rows gathered. Columns are told apart by the edges of the cells, as merged ones are just wider."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        edges: list[int] = []
        for edge in sorted({edge for row in rows for edge in row.edges}):
            if not edges or edge - edges[-1] > _SAME_EDGE:
                edges.append(edge)
        above: dict[int, str] = {}
        cells: list[list[Cell]] = []
        for row in rows:
            line, left = [], 0
            for i, text in enumerate(row.texts):
                edge = row.edges[i] if i < len(row.edges) else 0
                right = max(left + 1, _place(edges, edge)) if edge else left + 1
                if i < len(row.merged) and row.merged[i]:
                    text = text or above.get(right, "")
                above[right] = text
                line.append(Cell(text, columns=right - left, is_header=row.is_header))
                left = right
            cells.append(line)
        head = next((i for i, row in enumerate(rows) if not row.is_header), len(rows))
        write_cells(self._builder, cells, head=head)
        self._write_notes()


def _place(edges: list[int], edge: int) -> int:
    """The number of columns left of an edge."""
    from bisect import bisect_left

    return bisect_left(edges, edge - _SAME_EDGE) + 1
