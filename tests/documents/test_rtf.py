"""RTF: what a word processor shows comes out, with its structure."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document


def read(tmp_path: Path, body: str, head: str = "") -> Document:
    path = tmp_path / "a.rtf"
    fonts = r"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset2 Symbol;}}"
    path.write_text(r"{\rtf1\ansi\ansicpg1252\deff0" + fonts + head + body + "}", encoding="ascii")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    return document


def test_text_in_its_encodings(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        r"The lease ends in {\b October 2027}.\par "
        r"M\'fcller \u8364?5 {\f1 \'cc\'e0\'ff\'ea} \u-10179?\u-8704? a\~b c\_d"
        "\\par so\\-lo \\{x\\} \\ldblquote q\\rdblquote \\emdash\\par {\\uc2\\u228ae }\\'e4",
    )
    assert document.text == ("The lease ends in October 2027.\n\nMüller €5 Маяк 😀 a b c-d\n\nsolo {x} “q”—\n\nä ä")


def test_hidden_and_deleted_text_is_left_out_and_fields_show_their_result(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        r"The rent is {\deleted 900}{\revised 1250} euros.{\v secret}\par {\*\unknown secret}"
        r'See {\field{\*\fldinst HYPERLINK "http://secret"}{\fldrslt the site}}.{\pict\bin6 {sec}r}\par'
        r"{\*\bkmkstart secret}{\*\annotation secret}",
    )
    assert document.text == "The rent is 1250 euros.\n\nSee the site."


def test_headings_lists_and_metadata(tmp_path: Path) -> None:
    head = (
        r"{\stylesheet{\ql Normal;}{\s1\sbasedon0 heading 1;}{\*\cs10 Default Font;}}"
        r"{\info{\title The lamp}{\author R. Vance}{\creatim\yr2024\mo3\dy5\hr1}{\keywords a, b}}"
    )
    document = read(
        tmp_path,
        r"\pard\s1 Chapter\par\pard\outlinelevel1 Part\par\pard{\listtext\f2\'b7\tab}granite\par"
        r"{\listtext\f2\'b7\tab}\ilvl1 oak\par\pard{\pntext 1.\tab}first\par\pard End\par",
        head,
    )
    assert document.text == "Chapter\n\nPart\n\n- granite\n  - oak\n1. first\n\nEnd"
    assert [(h.level, h.text) for h in document.headings] == [(1, "Chapter"), (2, "Part")]
    assert document.title == "The lamp"
    assert document.metadata == {"author": "R. Vance", "keywords": "a, b", "created": "2024-03-05"}


def test_tables_with_merged_cells(tmp_path: Path) -> None:
    def row(cells: str, *edges: str) -> str:
        return r"\trowd" + "".join(edges) + r"\pard\intbl " + cells + r"\row "

    three = (r"\cellx1000", r"\cellx2000", r"\cellx3000")
    document = read(
        tmp_path,
        "Before\\par "
        + row(r"Region\cell Cars\cell", r"\cellx1000", r"\cellx3000")
        + row(r"\cell In\cell Out\cell", *three)
        + row(r"North\cell 1\par 2\cell 3\cell", r"\clvmgf\cellx1000", *three[1:])
        + row(r"\cell 4\cell 5\cell", r"\clvmrg\cellx1000", *three[1:])
        + r"\pard After\par",
    )
    assert document.text == (
        "Before\n\nRegion: North; Cars In: 1 2; Cars Out: 3\nRegion: North; Cars In: 4; Cars Out: 5\n\nAfter"
    )
    assert document.blocks[0].kind == "table"


def test_footnotes_headers_and_footers(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        r"{\header Company confidential\par}{\footer Company confidential\par}"
        r"The heron{\super\chftn}{\footnote\chftn  A bird.} nests.\par Next.\par",
    )
    assert document.text == "The heron[1] nests.\n\n[1] A bird.\n\nNext.\n\nCompany confidential"
    assert [block.kind for block in document.blocks] == ["footnote"]


@pytest.mark.parametrize(
    "body",
    [
        "{" * 200_000 + "text" + "}" * 200_000,
        "}" * 200_000 + "text",
        r"\trowd\cellx1\intbl text\cell\row" * 5000,
        "".join(rf"\trowd\cellx{i * 100}\intbl text\cell\row " for i in range(3000)),
        r"\uc100\u65?" * 50_000 + r"\uc0 text",
        r"{\field{\*\fldinst HYPERLINK " * 20_000 + "text",
        "\\" * 100_000 + "text",
    ],
    ids=["open", "close", "rows", "edges", "unicode", "fields", "signs"],
)
def test_time_is_linear(tmp_path: Path, body: str) -> None:
    started = time.monotonic()
    try:
        read(tmp_path, body)
    except UnreadableDocumentError as error:
        assert "holds no text" in error.message
    assert time.monotonic() - started < 5


def test_a_file_that_is_no_rtf_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.rtf"
    path.write_text("just text", encoding="utf-8")
    with pytest.raises(UnreadableDocumentError, match="is damaged, or no RTF"):
        list(load(path, IndexConfig()))
