"""The text of an OpenDocument file in the order in which a person reads it, by one pass over its XML.

Deleted text stands apart in the file and is not read; text boxes, notes, charts and pictures stand after the paragraph
that anchors them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ragyena.documents.office.blocks import LONGEST_REPEATED, Block, Cell, Grid, Paragraph, flat, seen, table_blocks
from ragyena.documents.office.math import formula
from ragyena.documents.office.odf_file import DRAW, OFFICE, PRESENTATION, SVG, TABLE, TEXT, XLINK, OdfFile, OdfStyle
from ragyena.documents.office.odf_lists import Counter, Counters, count
from ragyena.documents.office.package import Element, children, local
from ragyena.documents.office.page_margins import PAGE_NUMBER

__all__ = ["Walk"]

_MATH = "{http://www.w3.org/1998/Math/MathML}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_META = "{urn:oasis:names:tc:opendocument:xmlns:meta:1.0}"
_LOEXT = "{urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0}"
_CHART = "{urn:oasis:names:tc:opendocument:xmlns:chart:1.0}"

MOST_SPACES = 100
"""Spaces of a ``text:s``."""
MOST_ROWS = 100
"""Rows that a repeated row is written as."""

_SKIPPED = frozenset(
    [
        *(
            OFFICE + name
            for name in (
                "forms", "scripts", "annotation-end", "styles", "automatic-styles", "master-styles", "meta", "settings",
                "font-face-decls", "event-listeners", "binary-data",
            )
        ),
        *(
            TEXT + name
            for name in (
                "tracked-changes", "ruby-text", "script", "placeholder", "number", "note-citation", "meta-field-source",
                "variable-decls", "sequence-decls", "user-field-decls", "dde-connection-decls", "hidden-text",
            )
        ),
        *(_DC + name for name in ("creator", "date")),
        *(_META + name for name in ("date-string", "creator-initials")),
        SVG + "title",
        SVG + "desc",
        PRESENTATION + "notes",
        TABLE + "table-source",
    ]
)  # fmt: skip
_CODE = re.compile(r"(?i)(?:preformatted text|source code|code)")
_HEADING = re.compile(r"(?i)heading ([1-9])")
_BLANKS = re.compile(r"[ \t\r\n]+")


@dataclass(slots=True)
class _Open:
    """A paragraph that is being read."""

    heading: int = 0
    style: OdfStyle = field(default_factory=OdfStyle)
    marker: tuple[str, int] | None = None
    is_contents: bool = False
    is_hidden: bool = False
    parts: list[str] = field(default_factory=list)
    after: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class _Story:
    """A body, cell, note or text box that is being read."""

    blocks: list[Block] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)


@dataclass(slots=True)
class _Table:
    rows: list[list[Cell]] = field(default_factory=list)
    header_rows: int = 0
    in_header: bool = False
    spanned: int = 0
    """Covered cells still to come that belong to a cell to their left."""
    repeats: int = 1


class Walk:
    """Reads elements of a file in their order; lists and headings are counted on from one to the next."""

    def __init__(self, file: OdfFile, *, comments: bool = False) -> None:
        self._file = file
        self._comments = comments
        self._stories = [_Story()]
        self._tables: list[_Table] = []
        self._lists = Counters(file.list_styles)
        self._headings = Counter()
        self._contents = 0
        self._start: dict[str, Callable[[Element], bool]] = {
            TEXT + "p": self._start_paragraph,
            TEXT + "h": self._start_paragraph,
            TEXT + "span": self._is_shown,
            TEXT + "s": self._spaces,
            TEXT + "tab": lambda element: self._put("\t"),
            TEXT + "line-break": lambda element: self._put("\n"),
            TEXT + "page-number": lambda element: self._put(PAGE_NUMBER),
            TEXT + "page-count": lambda element: self._put(PAGE_NUMBER),
            TEXT + "hidden-paragraph": self._hidden_paragraph,
            TEXT + "section": lambda element: element.get(TEXT + "display") != "none",
            TEXT + "index-body": self._start_contents,
            TEXT + "list": self._start_list,
            TEXT + "list-item": self._start_item,
            TEXT + "list-header": self._start_item,
            TEXT + "note": self._start_story,
            OFFICE + "annotation": self._start_annotation,
            _LOEXT + "content-control": lambda element: element.get(_LOEXT + "showing-place-holder") != "true",
            TABLE + "table": self._start_table,
            TABLE + "table-header-rows": self._header_rows,
            TABLE + "table-row": self._start_row,
            TABLE + "table-cell": self._start_cell,
            TABLE + "covered-table-cell": self._covered_cell,
            DRAW + "text-box": self._start_story,
            DRAW + "frame": self._picture,
            DRAW + "object": self._object,
            _MATH + "math": lambda element: self._put(formula(element)),
        }
        self._end: dict[str, Callable[[Element], None]] = {
            TEXT + "p": self._end_paragraph,
            TEXT + "h": self._end_paragraph,
            TEXT + "index-body": self._end_contents,
            TEXT + "list": lambda element: self._lists.end(),
            TEXT + "list-item": lambda element: self._lists.end_item(),
            TEXT + "list-header": lambda element: self._lists.end_item(),
            TEXT + "note": self._end_note,
            OFFICE + "annotation": self._end_annotation,
            TABLE + "table": self._end_table,
            TABLE + "table-header-rows": self._header_rows_end,
            TABLE + "table-row": self._end_row,
            TABLE + "table-cell": self._end_cell,
            DRAW + "text-box": self._end_box,
        }

    def read(self, root: Element) -> list[Block]:
        """The blocks of an element."""
        from lxml import etree

        story = _Story()
        self._stories = [story]
        walk = etree.iterwalk(root, events=("start", "end"))
        skipped: list[Element] = []
        for event, element in walk:
            tag = element.tag
            if event == "start":
                start = self._start.get(tag)
                if (
                    not isinstance(tag, str)
                    or tag in _SKIPPED
                    or tag.endswith("-source")
                    or _is_refused(start, element)
                ):
                    walk.skip_subtree()
                    skipped.append(element)
                else:
                    self._put(_BLANKS.sub(" ", element.text or ""))
                continue
            if skipped and skipped[-1] is element:
                skipped.pop()
            elif tag in self._end:
                self._end[tag](element)
            if element is not root:
                self._put(_BLANKS.sub(" ", element.tail or ""))
        return story.blocks

    # --- text

    def _put(self, text: str) -> bool:
        """Add text to the paragraph that is being read. Returns False: there is nothing below that is to be read."""
        story = self._stories[-1]
        if story.open:
            story.open[-1].parts.append(seen(text))
        elif text.strip(" \t\n" + PAGE_NUMBER):  # outside any paragraph, where nothing should be
            story.blocks.append(Paragraph(text.strip()))
        return False

    def _after(self, blocks: list[Block]) -> None:
        """Put blocks after the paragraph that is being read."""
        story = self._stories[-1]
        (story.open[-1].after if story.open else story.blocks).extend(blocks)

    def _spaces(self, element: Element) -> bool:
        return self._put(" " * min(_number(element.get(TEXT + "c"), 1), MOST_SPACES))

    def _is_shown(self, element: Element) -> bool:
        return not self._style(element).is_hidden

    def _style(self, element: Element) -> OdfStyle:
        name = element.get(TEXT + "style-name", "")
        return self._file.styles.get(name) or OdfStyle((name.replace("_20_", " "),))

    # --- paragraphs and lists

    def _start_paragraph(self, element: Element) -> bool:
        style = self._style(element)
        paragraph = _Open(style=style, is_contents=self._contents > 0, is_hidden=style.is_hidden)
        named = next((int(found[1]) for name in style.names if (found := _HEADING.fullmatch(name))), 0)
        if element.tag == TEXT + "h":
            paragraph.heading = min(max(_number(element.get(TEXT + "outline-level"), 1), 1), 9)
        elif not paragraph.is_contents:
            paragraph.heading = style.heading or named
        story = self._stories[-1]
        if not story.open:
            paragraph.marker = self._lists.marker()
        if element.tag == TEXT + "h" and not paragraph.marker and element.get(TEXT + "is-list-header") != "true":
            start = element.get(TEXT + "start-value") if element.get(TEXT + "restart-numbering") == "true" else None
            number = None if start is None else _number(start, 1)
            outline = self._file.outline_style
            written = "" if outline is None else count(outline, self._headings, paragraph.heading - 1, number)
            paragraph.marker = (written, 0)
        story.open.append(paragraph)
        return True

    def _end_paragraph(self, element: Element) -> None:
        story = self._stories[-1]
        paragraph = story.open.pop()
        blocks = story.open[-1].after if story.open else story.blocks
        text = "" if paragraph.is_hidden else "".join(paragraph.parts)
        marker, level = paragraph.marker or ("", 0)
        is_code = any(_CODE.fullmatch(name) for name in paragraph.style.names)
        if is_code and not paragraph.marker:
            blocks.append(Paragraph(text, "code"))
        elif text.strip():
            text = text.strip()
            if paragraph.heading:
                number = f"{marker} " if marker not in ("", "-") else ""
                blocks.append(Paragraph(number + text, "heading", paragraph.heading))
            elif marker:
                blocks.append(Paragraph(text, "list", level, marker))
            else:
                is_title = "Title" in paragraph.style.names
                blocks.append(Paragraph(text, tight=paragraph.is_contents, is_title=is_title))
        blocks.extend(paragraph.after)

    def _hidden_paragraph(self, element: Element) -> bool:
        story = self._stories[-1]
        if story.open and element.get(TEXT + "is-hidden") == "true":
            story.open[-1].is_hidden = True
        return False

    def _start_contents(self, element: Element) -> bool:
        self._contents += 1
        return True

    def _end_contents(self, element: Element) -> None:
        self._contents -= 1

    def _start_list(self, element: Element) -> bool:
        self._lists.begin(element)
        return True

    def _start_item(self, element: Element) -> bool:
        self._lists.begin_item(element)
        return True

    # --- tables

    def _start_table(self, element: Element) -> bool:
        self._tables.append(_Table())
        return True

    def _header_rows(self, element: Element) -> bool:
        if self._tables:
            self._tables[-1].in_header = True
        return True

    def _header_rows_end(self, element: Element) -> None:
        if self._tables:
            self._tables[-1].in_header = False

    def _start_row(self, element: Element) -> bool:
        if self._tables:
            table = self._tables[-1]
            table.rows.append([])
            table.header_rows += table.in_header
            table.spanned = 0
            table.repeats = min(_number(element.get(TABLE + "number-rows-repeated"), 1), MOST_ROWS)
        return True

    def _end_row(self, element: Element) -> None:
        if self._tables and self._tables[-1].rows:
            table = self._tables[-1]
            row = table.rows[-1]
            texts = [b.text if isinstance(b, Paragraph) else None for cell in row for b in cell.blocks]
            is_short = None not in texts and 0 < sum(len(text or "") for text in texts) <= LONGEST_REPEATED
            if is_short:
                table.rows.extend([row] * (table.repeats - 1))

    def _start_cell(self, element: Element) -> bool:
        spanned = max(_number(element.get(TABLE + "number-columns-spanned"), 1), 1)
        repeated = max(_number(element.get(TABLE + "number-columns-repeated"), 1), 1)
        cell = Cell(columns=max(spanned, repeated))
        if self._tables and self._tables[-1].rows:
            table = self._tables[-1]
            table.rows[-1].append(cell)
            table.spanned = spanned - 1
        self._stories.append(_Story(cell.blocks))
        return True

    def _end_cell(self, element: Element) -> None:
        self._stories.pop()

    def _covered_cell(self, element: Element) -> bool:
        if self._tables and self._tables[-1].rows:
            table = self._tables[-1]
            columns = max(_number(element.get(TABLE + "number-columns-repeated"), 1), 1)
            beside = min(columns, table.spanned)
            table.spanned -= beside
            if columns > beside:
                table.rows[-1].append(Cell(columns=columns - beside, continues=True))
        return False

    def _end_table(self, element: Element) -> None:
        table = self._tables.pop()
        self._after(table_blocks(table.rows, table.header_rows or None))

    # --- what stands beside the text

    def _start_story(self, element: Element) -> bool:
        self._stories.append(_Story())
        return True

    def _end_box(self, element: Element) -> None:
        blocks = self._stories.pop().blocks
        self._after(blocks)

    def _end_note(self, element: Element) -> None:
        text = flat(self._stories.pop().blocks)
        label = next(("".join(e.itertext()).strip() for e in element.iterchildren(TEXT + "note-citation")), "")
        self._after([Paragraph(f"[{label}] {text}" if label else text, "footnote")] if text else [])

    def _start_annotation(self, element: Element) -> bool:
        return self._comments and self._start_story(element)

    def _end_annotation(self, element: Element) -> None:
        text = flat(b for b in self._stories.pop().blocks)
        author = next((e.text for e in children(element) if local(e) == "creator"), None)
        self._after([Paragraph(f"Comment by {author or 'an unnamed author'}: {text}", "notes")] if text else [])

    def _picture(self, element: Element) -> bool:
        for name in ("desc", "title"):
            text = next(("".join(e.itertext()) for e in element.iterchildren(SVG + name)), "")
            if text.strip():
                self._after([Paragraph(" ".join(text.split()))])
                break
        return True

    def _object(self, element: Element) -> bool:
        """An object with a file of its own: a chart is read as a table, a formula as text."""
        name = element.get(XLINK + "href", "").removeprefix("./").strip("/")
        package = self._file.package
        root = package.take_xml(f"{name}/content.xml") if package is not None and name else None
        if root is None:
            return True
        if root.tag == _MATH + "math":
            return self._put(formula(root))
        for chart in root.iter(_CHART + "chart"):
            title = next((" ".join("".join(e.itertext()).split()) for e in chart.iterchildren(_CHART + "title")), "")
            inner = Walk(OdfFile(None, chart, {}, {}, None, frozenset(), ()))
            grids = [g for t in chart.iterchildren(TABLE + "table") for g in inner.read(t) if isinstance(g, Grid)]
            self._after([Grid(grid.rows, 1, title) for grid in grids[:1]])
        return False


def _is_refused(start: Callable[[Element], bool] | None, element: Element) -> bool:
    return start is not None and not start(element)


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 8 else default
