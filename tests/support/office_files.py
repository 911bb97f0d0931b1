"""Office files written by hand, part by part, for what the libraries that write them cannot express."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NAMESPACES = " ".join(
    f'xmlns:{prefix}="{space}"'
    for prefix, space in {
        "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "r": REL,
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "v": "urn:schemas-microsoft-com:vml",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
        "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
        "w14": "http://schemas.microsoft.com/office/word/2010/wordml",
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
        "dgm": "http://schemas.openxmlformats.org/drawingml/2006/diagram",
        "p": "http://schemas.openxmlformats.org/presentationml/2006/main",
    }.items()
)
CHART = f"""<c:chartSpace {NAMESPACES}><c:chart>
<c:title><c:tx><c:rich><a:p><a:r><a:t>Lamps sold</a:t></a:r></a:p></c:rich></c:tx></c:title>
<c:plotArea><c:barChart>
<c:ser><c:tx><c:strRef><c:strCache><c:pt idx="0"><c:v>North</c:v></c:pt></c:strCache></c:strRef></c:tx>
<c:cat><c:strRef><c:strCache><c:pt idx="0"><c:v>Q1</c:v></c:pt><c:pt idx="1"><c:v>Q2</c:v></c:pt></c:strCache>
</c:strRef></c:cat><c:val><c:numRef><c:numCache><c:formatCode>0.0%</c:formatCode><c:pt idx="0"><c:v>0.125</c:v></c:pt>
<c:pt idx="1"><c:v>0.30000000000000004</c:v></c:pt></c:numCache></c:numRef></c:val></c:ser>
<c:ser><c:tx><c:v>South</c:v></c:tx>
<c:val><c:numRef><c:numCache><c:formatCode>General</c:formatCode><c:pt idx="1"><c:v>0.30000000000000004</c:v></c:pt>
</c:numCache></c:numRef></c:val></c:ser>
</c:barChart></c:plotArea></c:chart></c:chartSpace>"""
DIAGRAM = f"""<dgm:dataModel {NAMESPACES}><dgm:ptLst><dgm:pt modelId="0" type="doc"/>
<dgm:pt modelId="2"><dgm:t><a:p><a:r><a:t>Build</a:t></a:r></a:p></dgm:t></dgm:pt>
<dgm:pt modelId="1"><dgm:t><a:p><a:r><a:t>Plan</a:t></a:r></a:p></dgm:t></dgm:pt>
<dgm:pt modelId="3"><dgm:t><a:p><a:r><a:t>Ask the harbour master</a:t></a:r></a:p></dgm:t></dgm:pt>
<dgm:pt modelId="9" type="pres"/></dgm:ptLst><dgm:cxnLst>
<dgm:cxn srcId="0" destId="2" srcOrd="1"/><dgm:cxn srcId="0" destId="1" srcOrd="0"/>
<dgm:cxn srcId="1" destId="3" srcOrd="0"/><dgm:cxn srcId="3" destId="1" srcOrd="0"/></dgm:cxnLst></dgm:dataModel>"""


def write_word(path: Path, body: str, parts: Mapping[str, str] | None = None) -> Path:
    """Write a docx file. ``parts`` are further parts by kind (``styles``, ``footnotes``, ``header``): the content of
    their root element; a kind may carry a number (``header2``), by which ``r:id`` refers to it, too. A part that begins
    with its own root element (a chart) stays as it is."""
    parts = parts or {}
    roots = {"header": "hdr", "footer": "ftr"}
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("_rels/.rels", _relations({"rId1": ("officeDocument", "word/document.xml")}))
        links = {kind: (kind.rstrip("0123456789"), f"{kind}.xml") for kind in parts}
        archive.writestr("word/_rels/document.xml.rels", _relations(links))
        archive.writestr("word/document.xml", f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>")
        for kind, content in parts.items():
            root = roots.get(kind.rstrip("0123456789"), kind)
            whole = content if NAMESPACES in content else f"<w:{root} {NAMESPACES}>{content}</w:{root}>"
            archive.writestr(f"word/{kind}.xml", whole)
    return path


ODF = " ".join(
    [
        *(
            f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{space}:1.0"'
            for prefix, space in {
                "office": "office", "text": "text", "table": "table", "style": "style", "draw": "drawing",
                "presentation": "presentation", "svg": "svg-compatible", "meta": "meta", "chart": "chart",
            }.items()
        ),
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink"',
        'xmlns:math="http://www.w3.org/1998/Math/MathML"',
    ]
)  # fmt: skip


def write_odf(
    path: Path, body: str, *, kind: str = "text", automatic: str = "", styles: str = "", meta: str = "",
    parts: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """Write an OpenDocument file: the content of its body, automatic styles, ``styles.xml`` and ``office:meta``."""
    automatic = f"<office:automatic-styles>{automatic}</office:automatic-styles>"
    body = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
    meta = f"<office:meta>{meta}</office:meta>"
    if path.suffix.startswith(".f"):
        path.write_text(f"<office:document {ODF}>{meta}{styles}{automatic}{body}</office:document>", encoding="utf-8")
        return path
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument." + kind)
        whole = {
            "content.xml": f"<office:document-content {ODF}>{automatic}{body}</office:document-content>",
            "styles.xml": f"<office:document-styles {ODF}>{styles}</office:document-styles>",
            "meta.xml": f"<office:document-meta {ODF}>{meta}</office:document-meta>",
            **(parts or {}),
        }
        for name, content in whole.items():
            archive.writestr(name, content)
    return path


def _relations(links: Mapping[str, tuple[str, str]]) -> str:
    items = "".join(f'<Relationship Id="{i}" Type="{REL}/{kind}" Target="{to}"/>' for i, (kind, to) in links.items())
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{items}</Relationships>'
    )


def paragraph(content: str, properties: str = "") -> str:
    """A ``w:p``; content without markup becomes a run."""
    content = content if content.startswith("<") else run(content)
    return f"<w:p><w:pPr>{properties}</w:pPr>{content}</w:p>"


def run(text: str, properties: str = "") -> str:
    """A ``w:r``."""
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def cell(content: str, properties: str = "") -> str:
    """A ``w:tc``."""
    content = content if content.startswith(("<w:p>", "<w:tbl>")) else paragraph(content)
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{content}</w:tc>"


def row(*cells: str, properties: str = "") -> str:
    """A ``w:tr``; cells without markup are wrapped."""
    wrapped = (one if one.startswith(("<w:tc>", "<w:sdt>")) else cell(one) for one in cells)
    return f"<w:tr><w:trPr>{properties}</w:trPr>{''.join(wrapped)}</w:tr>"


def table(*rows: str) -> str:
    """A ``w:tbl``."""
    return f"<w:tbl><w:tblPr/>{''.join(rows)}</w:tbl>"
