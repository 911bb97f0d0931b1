"""The text of a docx part (body, header, note) in the order in which a person reads it, by one pass over its XML.

Tracked insertions are read and deletions are not; of an alternative, the first; text boxes, notes, charts and pictures
stand after the paragraph that anchors them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ragyena.documents.office.blocks import Block, Cell, Paragraph, seen, table_blocks
from ragyena.documents.office.drawings import chart_block, diagram_blocks, picture_text
from ragyena.documents.office.math import formula
from ragyena.documents.office.package import Element
from ragyena.documents.office.page_margins import PAGE_NUMBER
from ragyena.documents.office.symbols import symbol
from ragyena.documents.office.word_fields import Fields, is_page_number
from ragyena.documents.office.word_paragraphs import paragraph_blocks
from ragyena.documents.office.word_state import OpenParagraph, OpenTable, Story, WordFile
from ragyena.documents.office.word_styles import W, attribute, integer, is_on
from ragyena.documents.raised_marks import FAR_ENOUGH, typed

__all__ = ["read_part"]

_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_V = "{urn:schemas-microsoft-com:vml}"
_KNOWN_SPACES = ("http://schemas.microsoft.com/office/", "http://schemas.openxmlformats.org/")

_SKIPPED = frozenset(
    W + name
    for name in [
        "del",
        "moveFrom",
        "delText",
        "delInstrText",
        "rPr",
        "tblPr",
        "tblGrid",
        "trPr",
        "tcPr",
        "tblPrEx",
        "sdtPr",
        "sdtEndPr",
        "rt",
        "rubyPr",
        "rPrChange",
        "pPrChange",
        "sectPrChange",
        "customXmlPr",
        "smartTagPr",
        "fldData",
        "numbering",
    ]
)
_BREAKS = {W + "tab": "\t", W + "ptab": "\t", W + "cr": "\n", W + "br": "\n", W + "noBreakHyphen": "-"}
MOST_BEFORE = 8
"""Pieces of text before a raised one, which tell whether it is the mark of a footnote."""


def read_part(root: Element, relations: Mapping[str, str], file: WordFile) -> list[Block]:
    """The blocks of a part. ``relations`` maps relation ids to the names of parts."""
    return _Walk(relations, file).read(root)


class _Walk:
    def __init__(self, relations: Mapping[str, str], file: WordFile) -> None:
        self._relations = relations
        self._file = file
        self._stories = [Story()]
        self._tables: list[OpenTable] = []
        self._fields = Fields()
        self._prompts: list[Element] = []
        self._chosen: list[Element | None] = []
        self._start: dict[str, Callable[[Element], bool]] = {
            W + "p": self._start_paragraph,
            _A + "p": self._start_paragraph,
            W + "r": self._start_run,
            W + "t": self._text,
            _A + "t": self._text,
            W + "sym": self._symbol,
            W + "instrText": self._code,
            W + "fldChar": self._field_mark,
            W + "fldSimple": self._simple_field,
            W + "sdt": self._start_control,
            W + "tbl": self._start_table,
            W + "tr": self._start_row,
            W + "tc": self._start_cell,
            W + "txbxContent": self._start_box,
            W + "sectPr": self._section,
            W + "footnoteReference": self._note,
            W + "endnoteReference": self._note,
            W + "commentReference": self._comment,
            _M + "oMath": self._formula,
            _MC + "AlternateContent": self._alternatives,
            _MC + "Choice": self._alternative,
            _MC + "Fallback": self._alternative,
            _WP + "docPr": self._picture,
            _C + "chart": self._chart,
            _DGM + "relIds": self._diagram,
            _V + "textpath": self._word_art,
        }
        self._end: dict[str, Callable[[Element], None]] = {
            W + "p": self._end_paragraph,
            _A + "p": self._end_paragraph,
            W + "sdt": self._end_control,
            W + "tbl": self._end_table,
            W + "tc": self._end_story,
            W + "txbxContent": self._end_box,
            _MC + "AlternateContent": self._end_alternatives,
        }

    def read(self, root: Element) -> list[Block]:
        from lxml import etree

        walk = etree.iterwalk(root, events=("start", "end"))
        skipped: list[Element] = []
        for event, element in walk:
            tag = element.tag
            if event == "start":
                start = self._start.get(tag)
                if tag in _SKIPPED or (start is not None and not start(element)):
                    walk.skip_subtree()
                    skipped.append(element)
                elif start is None and tag in _BREAKS:
                    self._add(_BREAKS[tag])
                elif start is None and tag == W + "pPr":
                    self._properties(element)
                    walk.skip_subtree()
            elif skipped and skipped[-1] is element:
                skipped.pop()
            elif tag in self._end:
                self._end[tag](element)
        story = self._stories[0]
        self._close(story)
        return story.blocks

    # --- text

    def _add(self, text: str) -> None:
        if not text or self._prompts or self._fields.is_silent:
            return
        story = self._stories[-1]
        if story.open:
            story.open[-1].parts.append(text)
        else:  # outside any paragraph, where nothing should be
            story.blocks.append(Paragraph(text))

    def _after(self, blocks: list[Block]) -> None:
        """Put blocks after the paragraph that is being read."""
        story = self._stories[-1]
        (story.open[-1].after if story.open else story.blocks).extend(blocks)

    def _text(self, element: Element) -> bool:
        text = seen((element.text or "").replace("\n", " "))
        run, open_paragraphs = element.getparent(), self._stories[-1].open
        properties = None if run is None else run.find(W + "rPr")
        if open_paragraphs and attribute(properties, "vertAlign") == "superscript":
            text = typed("".join(part[-FAR_ENOUGH:] for part in open_paragraphs[-1].parts[-MOST_BEFORE:]), text)
        self._add(text)
        return False

    def _symbol(self, element: Element) -> bool:
        try:
            code = int(element.get(W + "char", ""), 16)
        except ValueError:
            return False
        self._add(symbol(code, element.get(W + "font", "")))
        return False

    def _start_run(self, element: Element) -> bool:
        properties = element.find(W + "rPr")
        if not self._is_hidden(properties):
            return True
        for mark in element.iterchildren(W + "fldChar"):  # of an index entry, say: what follows it is shown
            self._field_mark(mark)
        return False

    def _is_hidden(self, properties: Element | None) -> bool:
        if properties is not None:
            if properties.find(W + "vanish") is not None:
                return is_on(properties, "vanish")
            style = attribute(properties, "rStyle")
            if style is not None and self._file.styles[style].is_hidden:
                return True
        paragraphs = self._stories[-1].open
        return bool(paragraphs) and paragraphs[-1].style.is_hidden

    # --- paragraphs

    def _start_paragraph(self, element: Element) -> bool:
        paragraph = OpenParagraph(style=self._file.styles[None])
        story = self._stories[-1]
        carried, story.carried = story.carried, None
        if carried is not None:
            paragraph.parts, paragraph.after, paragraph.carried_parts = carried.parts, carried.after, len(carried.parts)
            paragraph.carried = (carried.style, carried.style_id, carried.properties)
        story.open.append(paragraph)
        return True

    def _properties(self, element: Element) -> None:
        for section in element.iterchildren(W + "sectPr"):
            self._section(section)
        paragraphs = self._stories[-1].open
        if not paragraphs:
            return
        paragraph = paragraphs[-1]
        paragraph.properties = element
        paragraph.style_id = attribute(element, "pStyle")
        paragraph.style = self._file.styles[paragraph.style_id]
        mark = element.find(W + "rPr")
        is_deleted = mark is not None and any(mark.find(W + name) is not None for name in ("del", "moveFrom"))
        is_drop_cap = attribute(element, "framePr", "dropCap") in ("drop", "margin")
        paragraph.is_joined = is_deleted or is_drop_cap

    def _end_paragraph(self, element: Element) -> None:
        story = self._stories[-1]
        if not story.open:
            return
        self._fields.end_paragraph()
        paragraph = story.open.pop()
        if paragraph.carried is not None and len(paragraph.parts) == paragraph.carried_parts > 0:
            paragraph.style, paragraph.style_id, paragraph.properties = paragraph.carried  # nothing of its own
        if story.open:  # a paragraph inside another, as in a drawing
            story.open[-1].after.extend(paragraph_blocks(paragraph, self._file.numbering))
        elif paragraph.is_joined:
            story.carried = paragraph
        else:
            story.blocks.extend(paragraph_blocks(paragraph, self._file.numbering))

    def _close(self, story: Story) -> None:
        """Write the paragraph that would have gone on in the next, where there is none."""
        if story.carried is not None:
            story.blocks.extend(paragraph_blocks(story.carried, self._file.numbering))
            story.carried = None

    # --- fields, controls and alternatives

    def _code(self, element: Element) -> bool:
        self._fields.code(element.text or "")
        return False

    def _field_mark(self, element: Element) -> bool:
        self._add(self._fields.mark(element))
        return False

    def _simple_field(self, element: Element) -> bool:
        is_page = is_page_number(element.get(W + "instr", ""))
        self._add(PAGE_NUMBER if is_page else "")
        return not is_page

    def _start_control(self, element: Element) -> bool:
        """A content control: its content, unless that is only the prompt to fill it in."""
        properties = element.find(W + "sdtPr")
        if properties is None or not is_on(properties, "showingPlcHdr"):
            return True
        parent = element.getparent()
        if parent is None or parent.tag not in (W + "tr", W + "tbl"):
            return False
        self._prompts.append(element)  # the cells stay, so that those after them keep their columns
        return True

    def _end_control(self, element: Element) -> None:
        if self._prompts and self._prompts[-1] is element:
            self._prompts.pop()

    def _alternatives(self, element: Element) -> bool:
        chosen: Element | None = None
        for option in element:
            if option.tag == _MC + "Fallback" or (option.tag == _MC + "Choice" and _is_understood(option)):
                chosen = option
                break
        self._chosen.append(chosen)
        return True

    def _alternative(self, element: Element) -> bool:
        return not self._chosen or self._chosen[-1] is element

    def _end_alternatives(self, element: Element) -> None:
        self._chosen.pop()

    # --- tables and text boxes

    def _start_table(self, element: Element) -> bool:
        self._close(self._stories[-1])
        self._tables.append(OpenTable())
        return True

    def _start_row(self, element: Element) -> bool:
        properties = element.find(W + "trPr")
        if properties is not None and (properties.find(W + "del") is not None or is_on(properties, "hidden")):
            return False
        if self._tables:
            table = self._tables[-1]
            table.rows.append([])
            table.before = integer(attribute(properties, "gridBefore"), 0)
            table.only_headers = table.only_headers and is_on(properties, "tblHeader")
            table.header_rows += table.only_headers
        return True

    def _start_cell(self, element: Element) -> bool:
        properties = element.find(W + "tcPr")
        if properties is not None and properties.find(W + "cellDel") is not None:
            return False
        cell = Cell(columns=max(integer(attribute(properties, "gridSpan"), 1), 1))
        merged = None if properties is None else properties.find(W + "vMerge")
        cell.continues = merged is not None and merged.get(W + "val", "continue") == "continue"
        if self._tables and self._tables[-1].rows:
            table = self._tables[-1]
            if attribute(properties, "hMerge") == "continue" and table.rows[-1]:
                table.rows[-1][-1].columns += cell.columns
                return False
            cell.before, table.before = table.before, 0
            table.rows[-1].append(cell)
        self._stories.append(Story(cell.blocks))
        return True

    def _end_story(self, element: Element) -> None:
        self._close(self._stories.pop())

    def _end_table(self, element: Element) -> None:
        table = self._tables.pop()
        self._after(table_blocks(table.rows, table.header_rows or None))

    def _start_box(self, element: Element) -> bool:
        self._stories.append(Story())
        return True

    def _end_box(self, element: Element) -> None:
        story = self._stories.pop()
        self._close(story)
        self._after(story.blocks)

    # --- what stands beside the text

    def _section(self, element: Element) -> bool:
        for reference in element.iterchildren(W + "headerReference", W + "footerReference"):
            kind = reference.get(W + "type", "default")
            if (kind != "first" or is_on(element, "titlePg")) and (kind != "even" or self._file.has_even_pages):
                found = self._file.headers if reference.tag == W + "headerReference" else self._file.footers
                found[reference.get(_R + "id", "")] = None
        return False

    def _note(self, element: Element) -> bool:
        kind = "footnote" if element.tag == W + "footnoteReference" else "endnote"
        label = self._file.notes.label(kind, is_own=element.get(W + "customMarkFollows") in ("1", "true"))
        text = self._file.notes.take(kind, element.get(W + "id", ""))
        if text and not self._fields.is_silent:
            self._after([Paragraph(f"{label} {text}".strip(), "footnote")])
        return False

    def _comment(self, element: Element) -> bool:
        text = self._file.notes.take("comment", element.get(W + "id", ""))
        if text:
            self._after([Paragraph(text, "notes")])
        return False

    def _formula(self, element: Element) -> bool:
        self._add(formula(element))
        return False

    def _picture(self, element: Element) -> bool:
        self._after([Paragraph(text) for text in (picture_text(element),) if text])
        return False

    def _word_art(self, element: Element) -> bool:
        self._after([Paragraph(element.get("string", ""))])
        return False

    def _chart(self, element: Element) -> bool:
        root = self._file.package.take_xml(self._relations.get(element.get(_R + "id", ""), ""))
        block = None if root is None else chart_block(root)
        self._after([] if block is None else [block])
        return False

    def _diagram(self, element: Element) -> bool:
        root = self._file.package.take_xml(self._relations.get(element.get(_R + "dm", ""), ""))
        self._after([] if root is None else diagram_blocks(root))
        return False


def _is_understood(choice: Element) -> bool:
    """True for markup that programs of today show: that of Microsoft and of the standard."""
    names = choice.nsmap
    spaces = [names.get(prefix) or "" for prefix in choice.get("Requires", "").split()]
    return all(space.startswith(_KNOWN_SPACES) for space in spaces)
