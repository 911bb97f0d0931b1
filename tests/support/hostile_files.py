"""Small files made to keep a reader busy or to take its memory, a few of each format."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping

__all__ = ["HOSTILE_FILES"]

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
P = "http://schemas.openxmlformats.org/package/2006"
O = "urn:oasis:names:tc:opendocument:xmlns"  # noqa: E741


def _zip(**members: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def _package(main: str, kind: str, content: str | bytes, more: Mapping[str, str] | None = None) -> bytes:
    types = f'<Types xmlns="{P}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
    types += '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    types += (
        f'<Override PartName="/{main}" ContentType="application/vnd.openxmlformats-officedocument.{kind}+xml"/></Types>'
    )
    rels = f'<Relationships xmlns="{P}/relationships"><Relationship Id="r1" Type="{R}/officeDocument" Target="{main}"/>'
    return _zip(
        **{"[Content_Types].xml": types, "_rels/.rels": rels + "</Relationships>", main: content, **(more or {})}
    )


def docx(body: str) -> bytes:
    text = f"<w:document {W}><w:body>{body}</w:body></w:document>"
    return _package("word/document.xml", "wordprocessingml.document.main", text)


def _cell(properties: str = "", inner: str = "<w:p><w:r><w:t>x</w:t></w:r></w:p>") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inner}</w:tc>"


def _row(*cells: str) -> str:
    return f"<w:tr>{''.join(cells)}</w:tr>"


def _nested_docx_table(depth: int) -> str:
    opened = "<w:tbl><w:tr><w:tc>" * depth
    return opened + "<w:p><w:r><w:t>x</w:t></w:r></w:p>" + "</w:tc></w:tr></w:tbl>" * depth


def xlsx(sheet: str) -> bytes:
    book = f'<workbook {S} xmlns:r="{R}"><sheets><sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>'
    rels = f'<Relationships xmlns="{P}/relationships"><Relationship Id="r1" Type="{R}/worksheet" Target="s.xml"/>'
    more = {"xl/_rels/workbook.xml.rels": rels + "</Relationships>", "xl/s.xml": f"<worksheet {S}>{sheet}</worksheet>"}
    return _package("xl/workbook.xml", "spreadsheetml.sheet.main", book, more)


def _number(place: str) -> str:
    return f'<c r="{place}"><v>1</v></c>'


def odf(kind: str, body: str) -> bytes:
    spaces = " ".join(f'xmlns:{name}="{O}:{name}:1.0"' for name in ("office", "text", "table", "draw"))
    content = f"<office:document-content {spaces}><office:body>{body}</office:body></office:document-content>"
    return _zip(mimetype=f"application/vnd.oasis.opendocument.{kind}", **{"content.xml": content})


def pdf(content: bytes, pages: int = 1, page: bytes = b"") -> bytes:
    kids = b" ".join([b"3 0 R"] * pages)
    return (
        b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[%b]/Count %d>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>%b>>"
        b"endobj\n"
        b"4 0 obj<</Length %d>>stream\n%b\nendstream endobj\n"
        b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n"
    ) % (kids, pages, page, len(content), content)


def _mail(parts: int) -> bytes:
    lines = ["Subject: a", 'Content-Type: multipart/mixed; boundary="b"', "", ""]
    for number in range(parts):
        lines += ["--b", f"Content-Disposition: attachment; filename={number}.txt", "", "some words", ""]
    return "\n".join([*lines, "--b--"]).encode()


HOSTILE_FILES: Mapping[str, Callable[[], bytes]] = {
    "dots.txt": lambda: b"." * 3_000_000,
    "spaces.txt": lambda: b" " * 3_000_000 + b"a",
    "cjk.txt": lambda: "漢字仮名".encode() * 250_000,
    "accents.txt": lambda: b"a" + "\u0301".encode() * 1_000_000,
    "spaces.md": lambda: b"---" + b" " * 300_000 + b"\n\n# a\n",
    "front-matter.md": lambda: b"---\n" + b"a: &a [" * 3000 + b"\n---\ntext\n",
    "emphasis.md": lambda: b"*a_ " * 100_000,
    "links.md": lambda: b"# " + b"[a](" * 50_000,
    "quotes.md": lambda: b"> " * 50_000 + b"a",
    "list.md": lambda: b"".join(b" " * depth + b"- a\n" for depth in range(700)),
    "columns.md": lambda: b"|a" * 20_000 + b"|\n" + b"|-" * 20_000 + b"|\n" + b"|b" * 20_000 + b"|\n",
    "titles.rst": lambda: b"".join(b"a\n=\n\n" for _ in range(5000)),
    "nested.rst": lambda: b"".join(b" " * depth + b"* a\n\n" for depth in range(400)),
    "inline.rst": lambda: b"``a *b `c " * 20_000,
    "nested.html": lambda: b"<div>" * 100_000 + b"text",
    "tables.html": lambda: b"<table><tr><td>" * 2000 + b"text",
    "span.html": lambda: b"<table><tr><td rowspan=1000000 colspan=1000000>text<td>b</table>",
    "spans.html": lambda: b"<table>" + b"<tr><td rowspan=65534 colspan=1000>text" * 1000 + b"</table>",
    "list.html": lambda: b"<ol>" + b"<li>a" * 100_000 + b"</ol>",
    "spaces.html": lambda: b"<p>" + b" \n" * 1_000_000 + b"a",
    "inline.html": lambda: b"<b><i>a" * 30_000,
    "charset.html": lambda: b'<meta charset="punycode"><p>' + b"a-" * 100_000 + b"9" * 5000,
    "entities.xml": lambda: (
        b'<!DOCTYPE a [<!ENTITY b0 "text">'
        + b"".join(b'<!ENTITY b%d "%b">' % (i, b"&b%d;" % (i - 1) * 10) for i in range(1, 12))
        + b"]><a>&b11;</a>"
    ),
    "nested.xml": lambda: b"<a>" * 100_000 + b"text" + b"</a>" * 100_000,
    "columns.csv": lambda: b",".join([b"a"] * 50_000) + b"\n" + b",".join([b"1"] * 50_000) + b"\n",
    "quote.csv": lambda: b'a,b\n"' + b"x,\n" * 50_000,
    "short-rows.csv": lambda: b"a,b,c\n" + b"1\n" * 50_000,
    "delimiters.csv": lambda: b"a\n" + b";,\t|" * 300_000,
    "deep.jsonl": lambda: b"[" * 500_000 + b"\n" + b'{"text": "a"}\n',
    "digits.jsonl": lambda: b'{"text": "a", "n": ' + b"9" * 500_000 + b'}\n{"text": "b"}\n',
    "keys.jsonl": lambda: b"{" + b",".join(b'"k%d": {"a": [1]}' % i for i in range(50_000)) + b"}\n",
    "deep.ipynb": lambda: b'{"cells": ' + b"[" * 100_000,
    "braces.tex": lambda: b"\\textbf{" * 50_000 + b"text",
    "macros.tex": lambda: b"\\newcommand{\\a}{\\a\\a}\\begin{document}\\a text\\end{document}",
    "dollars.tex": lambda: b"$ \\begin{a} " * 2_000,
    "groups.rtf": lambda: b"{\\rtf1 " + b"{\\b " * 100_000 + b"text",
    "cells.rtf": lambda: b"{\\rtf1 " + b"\\trowd" + b"\\cellx1" * 100_000 + b" a\\cell" * 100_000 + b"\\row}",
    "binary.rtf": lambda: b"{\\rtf1 \\bin999999999 text}",
    "times.srt": lambda: b"1\n00:00:01,000 --> 00:00:02,000\n" * 30_000,
    "blocks.adoc": lambda: b"====\n" * 50_000 + b"|===\n" * 20_000 + b"text",
    "blocks.org": lambda: b"#+BEGIN_SRC\n* a\n" * 50_000 + b"| a " * 50_000,
    "parts.eml": lambda: _mail(2000),
    "nested.eml": lambda: (
        b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (i, i) for i in range(2000)) + b"\ntext"
    ),
    "headers.eml": lambda: b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\ntext\n",
    "grid-span.docx": lambda: docx(
        f"<w:tbl>{_row(_cell('<w:gridSpan w:val=' + repr('1000000') + '/>'), _cell())}</w:tbl>"
    ),
    "grid-spans.docx": lambda: docx(
        f"<w:tbl>{_row(_cell('<w:gridSpan w:val=' + repr('60') + '/><w:vMerge/>')) * 10_000}</w:tbl>"
    ),
    "nested.docx": lambda: docx(_nested_docx_table(300)),
    "controls.docx": lambda: docx("<w:sdt><w:sdtContent>" * 5000 + "<w:p/>" + "</w:sdtContent></w:sdt>" * 5000),
    "bomb.docx": lambda: docx("<w:p><w:r><w:t>" + "a" * 300_000_000 + "</w:t></w:r></w:p>"),
    "paragraphs.docx": lambda: docx("<w:p><w:r><w:t>a</w:t></w:r></w:p>" * 300_000),
    "dimension.xlsx": lambda: xlsx('<dimension ref="A1:XFD1048576"/><sheetData/>'),
    "last-row.xlsx": lambda: xlsx(f'<sheetData><row r="1048576">{_number("XFD1048576")}</row></sheetData>'),
    "beyond.xlsx": lambda: xlsx(f'<sheetData><row r="1000000000">{_number("ZZZZZZ1000000000")}</row></sheetData>'),
    "merged.xlsx": lambda: xlsx(
        f'<sheetData><row r="1">{_number("A1")}</row></sheetData>'
        '<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'
    ),
    "merges.xlsx": lambda: xlsx(
        f'<sheetData><row r="1">{_number("A1")}</row></sheetData><mergeCells>'
        + "".join(f'<mergeCell ref="A{i}:XFD{i}"/>' for i in range(1, 20_000))
        + "</mergeCells>"
    ),
    "columns.xlsx": lambda: xlsx(f"<sheetData>{'<row>' + '<c><v>1</v></c>' * 16_000 + '</row>'}</sheetData>" * 1),
    "formula.xlsx": lambda: xlsx(
        '<sheetData><row r="1"><c r="A1"><f>' + "(" * 5000 + "1" + ")" * 5000 + "</f></c></row></sheetData>"
    ),
    "cycle.xlsx": lambda: xlsx(
        '<sheetData><row r="1"><c r="A1"><f>B1+B1</f></c><c r="B1"><f>A1+A1</f></c></row></sheetData>'
    ),
    "ranges.xlsx": lambda: xlsx(
        '<sheetData><row r="1">'
        + "".join(f'<c r="A{i}"><f>SUM(A1:XFD1048576)</f></c>' for i in range(1, 50))
        + "</row></sheetData>"
    ),
    "repeated.ods": lambda: odf(
        "spreadsheet",
        '<office:spreadsheet><table:table table:name="a"><table:table-row table:number-rows-repeated="1000000000">'
        '<table:table-cell table:number-columns-repeated="1000000000"><text:p>x</text:p></table:table-cell>'
        "</table:table-row></table:table></office:spreadsheet>",
    ),
    "spaces.odt": lambda: odf("text", '<office:text><text:p>a<text:s text:c="1000000000"/>b</text:p></office:text>'),
    "nested.odt": lambda: odf(
        "text", f"<office:text>{'<text:section>' * 5000}{'</text:section>' * 5000}</office:text>"
    ),
    "bomb.epub": lambda: _zip(
        **{
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="a.opf"/></rootfiles></container>',
            "a.opf": '<package><manifest><item id="a" href="a.html" media-type="text/html"/></manifest><spine>'
            + '<itemref idref="a"/>' * 50_000
            + "</spine></package>",
            "a.html": "<p>" + "word " * 10_000,
        }
    ),
    "spaces.pdf": lambda: pdf(b"BT /F 9 Tf 9 9 Td (a" + b" " * 100_000 + b"b) Tj ET"),
    "far.pdf": lambda: pdf(b"BT /F 9 Tf 9 9 Td (a) Tj 1000000000 0 Td (b) Tj 0 -1000000000 Td (c) Tj ET"),
    "pages.pdf": lambda: pdf(b"BT /F 9 Tf 9 9 Td (a) Tj ET", pages=10_000),
    "cycle.pdf": lambda: pdf(b"BT ET").replace(b"Kids[3 0 R]", b"Kids[2 0 R]"),
    "rules.pdf": lambda: pdf(b"BT /F 9 Tf 9 9 Td (a) Tj ET " + b"1 1 m 9 9 l S " * 50_000),
    "glyphs.pdf": lambda: pdf(b"BT /F 1 Tf 9 9 Td " + b"(ab) Tj 1 0 Td " * 30_000 + b"ET"),
    "box.pdf": lambda: pdf(b"BT /F 9 Tf 9 9 Td (a) Tj ET", page=b"/MediaBox[0 0 1e30 1e30]"),
}
"""File name -> its bytes."""
