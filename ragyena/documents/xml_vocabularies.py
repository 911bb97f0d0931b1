"""Documents in XML (DocBook, JATS, TEI, DITA, FictionBook) -> the elements of HTML that say the same."""

from __future__ import annotations

from ragyena.documents.html_tree import Element, name_of

__all__ = ["as_html", "is_document"]

_ROOTS = frozenset(
    """
    article book chapter section part appendix preface refentry set sect1 tei tei.2 text dita topic concept task
    reference glossentry fictionbook topicref map bookmap troubleshooting
    """.split()  # noqa: SIM905 -- as a list it would take a line a name
)
_RENAMED = """
p: para simpara p ab l v lg formalpara shortdesc cmd line stanza subtitle
div: text-author epigraph caution important warning tip admonition
ul: itemizedlist simplelist ul list calloutlist procedure steps substeps steps-unordered ref-list listbibl
ul: bibliography choices
ol: orderedlist ol
li: listitem item li list-item member sli step substep callout ref bibl biblioentry choice
dl: variablelist dl glosslist gloss-list def-list segmentedlist parml
dt: term dt glossterm pt
dd: dd def glossdef pd
pre: programlisting screen literallayout codeblock msgblock preformat eg egxml synopsis funcsynopsisinfo lines
table: table informaltable simpletable properties choicetable
tr: row tr strow property sthead prophead chrow chhead
td: entry td cell stentry proptype propvalue propdesc choption chdesc
thead: thead
tbody: tbody tgroup
tfoot: tfoot
th: th
caption: caption
sup: superscript sup
script: indexterm index colspec spanspec anchor remark object-id journal-meta permissions front-stub
script: custom-meta-group self-uri revhistory legalnotice copyright encodingdesc profiledesc revisiondesc binary
div: table-wrap fig figure example informalexample mediaobject sec section div footnote fn note ack abstract
div: blockquote quote-block disp-quote disp-formula
span: label figcaption attrib
br: lb break
"""
"""Each line: an element of HTML, and those of the vocabularies that become it; what becomes ``script`` is not shown."""
_NAMES = {name: line.partition(": ")[0] for line in _RENAMED.strip().split("\n") for name in line.split()[1:]}
_TITLES = frozenset({"title", "head", "article-title", "heading", "booktitle", "mainbooktitle"})
_HEADERS = frozenset(
    """
    info articleinfo bookinfo chapterinfo sectioninfo article-meta teiheader prolog title-info description
    document-info publish-info bookmeta topicmeta refmeta
    """.split()  # noqa: SIM905 -- as a list it would take a line a name
)
_AUTHORS = frozenset({"author", "contrib", "editor"})
_DATES = frozenset({"pubdate", "pub-date", "date", "created"})
_CAPTIONED = frozenset(
    {"table", "figure", "example", "informalfigure", "fig", "table-wrap", "equation", "list", "procedure"}
)
_TEXT_OF_HEADER = frozenset({"abstract", "annotation", "highlights"})

_NAME_PARTS = {"firstname": 0, "given-names": 0, "forename": 0, "first-name": 0, "othername": 1, "middle-name": 1}
_NAME_PARTS |= {"surname": 2, "last-name": 2, "personname-text": 2}


def is_document(root: Element) -> bool:
    """True where the root element is that of a vocabulary for documents, and there are paragraphs."""
    if name_of(root) not in _ROOTS:
        return False
    return any(_NAMES.get(name_of(node)) == "p" for node in root.iter() if isinstance(node.tag, str))


def as_html(root: Element) -> tuple[str, dict[str, str]]:
    """Rename the elements of a document to those of HTML, in place; its title and metadata."""
    levels: dict[Element, int] = {root: 0}
    title = ""
    metadata: dict[str, str] = {}
    language = root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang")
    if language:
        metadata["language"] = language[:40]
    nodes = [node for node in root.iter() if isinstance(node.tag, str)]
    names = {node: name_of(node) for node in nodes}
    dropped: set[Element] = set()
    headers: set[Element] = set()
    for node in nodes:
        name, parent = names[node], node.getparent()
        above = names.get(parent, "")
        level = levels.get(parent, 0)
        in_header = parent in headers
        if parent in dropped:
            dropped.add(node)
        elif name in _HEADERS:
            headers.add(node)
        elif in_header and name not in _TITLES and name not in _TEXT_OF_HEADER and name != "title-group":
            if name in {"filedesc", "titlestmt"}:
                headers.add(node)
            else:
                _note(node, metadata)
                dropped.add(node)
        elif in_header and name == "title-group":
            headers.add(node)
        if name in _TITLES and parent not in dropped:
            text = " ".join("".join(node.itertext()).split())
            if above in _CAPTIONED or above == "caption":
                node.tag = "caption" if above == "table" else "p"
            elif text and (in_header or above in _HEADERS):
                title = title or text
                node.tag = "h1"
            elif text and not _is_inline(node):
                level = min(level + 1, 6)
                title = title or (text if level == 1 else "")
                node.tag = f"h{level}"
                levels[parent] = level  # what follows it stands in its section
                continue
        levels[node] = levels.get(parent, 0)
    for node in nodes:
        name = names[node]
        if node in dropped:
            node.tag = "script"
        elif name in _NAMES and node.tag not in {"h1", "caption"}:
            node.tag = _html_name(node, name, names)
        elif name in {"body", "text"}:
            node.tag = "div"
        _spans(node)
    root.tag = "body"
    return title, metadata


def _html_name(node: Element, name: str, names: dict[Element, str]) -> str:
    """The HTML element for one of a vocabulary, where it also depends on its place or attributes."""
    above = names.get(node.getparent(), "")
    if name == "list" and "order" in (node.get("list-type") or node.get("type") or node.get("rend") or ""):
        return "ol"
    if name == "list" and (node.get("type") or "") == "gloss":
        return "dl"
    if name == "label" and above == "list":
        return "dt"
    if name == "listitem" and above == "varlistentry":
        return "dd"
    if name in {"label", "caption"}:
        return "th" if above == "row" else "span" if name == "label" else "div" if above != "table" else "caption"
    if name == "row" and (node.get("role") or "") == "label":
        for cell in node:
            cell.set("role", "label")
        return "tr"
    if name == "cell" and (node.get("role") or "") == "label":
        return "th"
    if name in {"sthead", "prophead", "chhead"}:
        return "thead"
    return _NAMES[name]


def _spans(node: Element) -> None:
    """The spans of CALS tables (``namest``, ``nameend``, ``morerows``) and of TEI as those of HTML."""
    more = node.get("morerows") or ""
    if more.isdecimal() and len(more) < 6:
        node.set("rowspan", str(int(more) + 1))
    first, last = (node.get(name) or "" for name in ("namest", "nameend"))
    digits = ["".join(filter(str.isdecimal, name))[-4:] for name in (first, last)]
    if all(digits):
        node.set("colspan", str(max(1, int(digits[1]) - int(digits[0]) + 1)))
    for name, target in (("cols", "colspan"), ("rows", "rowspan")):
        if node.tag == "td" and node.get(name):
            node.set(target, node.get(name))


def _is_inline(node: Element) -> bool:
    """True for a title inside a sentence, such as that of a book that is cited."""
    parent = node.getparent()
    if parent is None:
        return False
    before = parent.text if node.getprevious() is None else node.getprevious().tail
    return bool((before or "").strip() or (node.tail or "").strip()) or name_of(parent) in {
        "bibl", "ref", "mixed-citation", "element-citation", "biblioentry", "monogr", "analytic", "cite",
    }  # fmt: skip


def _note(node: Element, metadata: dict[str, str]) -> None:
    """Keep an author, a date or keywords of a header."""
    for inner in node.iter():
        kind = name_of(inner) if isinstance(inner.tag, str) else ""
        if kind in _AUTHORS:
            parts = [child for child in inner.iter() if name_of(child) in _NAME_PARTS] if len(inner) else []
            order = sorted(parts, key=lambda part: _NAME_PARTS[name_of(part)])
            text = " ".join(" ".join((part.text or "").split()) for part in order)
            text = text or " ".join("".join(inner.itertext()).split())
            if text and len(metadata.get("author", "")) < 1000 and text not in metadata.get("author", ""):
                metadata["author"] = f"{metadata['author']}, {text[:200]}" if "author" in metadata else text[:200]
        elif kind in _DATES and "created" not in metadata:
            year = {name_of(child): (child.text or "").strip() for child in inner if isinstance(child.tag, str)}
            text = "-".join(year[part].zfill(2) for part in ("year", "month", "day") if year.get(part))
            text = text or " ".join("".join(inner.itertext()).split())
            if text:
                metadata["created"] = text[:40]
        elif kind in {"kwd", "keyword"} and len(metadata.get("keywords", "")) < 1000:
            text = " ".join("".join(inner.itertext()).split())[:100]
            metadata["keywords"] = f"{metadata['keywords']}, {text}" if "keywords" in metadata else text
