"""HTML bytes or text -> a tree, its title and its metadata. What a browser does not show is told apart here."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragyena.documents.charsets import decode_declared
from ragyena.errors import UnreadableDocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Element",
    "decode_html",
    "is_dropped",
    "main_parts",
    "metadata_of",
    "name_of",
    "parse_html",
    "title_of",
    "visible_text",
]

Element = Any
"""An element of lxml, which ships no types."""

_DECLARED = re.compile(rb"""<meta[^<>]{0,300}?charset\s{0,9}=\s{0,9}["']?\s{0,9}([\w.:()+-]{1,40})""", re.IGNORECASE)
_DECLARED_XML = re.compile(rb"""\A\s{0,99}<\?xml[^<>]{0,200}?encoding\s{0,9}=\s{0,9}["']([\w.:()+-]{1,40})["']""")
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_IS_XML = re.compile(r"\A\ufeff?\s{0,99}<\?xml\s|\A\ufeff?\s{0,99}<!DOCTYPE\s{1,9}html\s{1,9}PUBLIC\s[^>]{0,99}XHTML")
_FRAMES = re.compile(r"</?(?:frameset|frame|noframes)\b[^<>]{0,1000}>", re.IGNORECASE)
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_DROPPED = frozenset(
    """
    script style noscript template nav iframe object canvas button datalist head title del link meta audio video
    ix:header ix:hidden
    """.split()  # noqa: SIM905 -- as a list it would take a line a name
)
_BOXES = frozenset({"aside", "footer", "section", "article", "address"})
_BOX_ROLES = frozenset({"complementary", "contentinfo"})
_CONSENT = re.compile(r"cookie|consent", re.IGNORECASE)
_DROPPED_ROLES = frozenset({"navigation", "banner", "search", "doc-pagelist", "doc-toc"})
_LINE_NUMBERS = frozenset({"linenos", "lineno", "gutter", "linenodiv", "line-numbers-rows"})
_EMPTY_TITLES = frozenset({"untitled", "untitled document", "document", "new page", "home", "index", "title"})
_META = {
    **dict.fromkeys(("author", "article:author", "dc.creator", "dcterms.creator", "citation_author"), "author"),
    **dict.fromkeys(("date", "article:published_time", "dc.date", "dcterms.created", "dcterms.date"), "created"),
    **dict.fromkeys(("citation_publication_date", "pubdate", "dcterms.issued"), "created"),
    **dict.fromkeys(("article:modified_time", "last-modified", "dcterms.modified", "og:updated_time"), "modified"),
    **dict.fromkeys(("description", "og:description", "dc.description"), "description"),
    **dict.fromkeys(("keywords", "dc.subject"), "keywords"),
    **dict.fromkeys(("language", "content-language", "dc.language"), "language"),
}
LONGEST_META = 2000
"""Chars of one field of metadata."""


def decode_html(data: bytes, path: Path, declared: str = "") -> str:
    """The text in the encoding that the file, or ``declared`` (of a mail's header, say), names, else in the one its
    bytes look like. Raises UnreadableDocumentError for binary data."""
    head = data[:4096]
    match = None if declared or head.startswith(_BOMS) else _DECLARED_XML.search(head) or _DECLARED.search(head)
    name = declared or (match[1].decode("ascii") if match else "")
    if name.lower().startswith(("utf-16", "utf-32")) and not declared:
        name = ""  # the declaration could not be read if it were right
    return decode_declared(data, name, path)


def parse_html(text: str, path: Path) -> Element | None:
    """The root element, None where there is none. Broken HTML is mended as browsers do.

    Raises UnreadableDocumentError for elements nested deeper than the parser goes (2048).
    """
    from lxml import etree

    if "<frameset" in text or "<FRAMESET" in text:
        text = _FRAMES.sub(" ", text)  # a parser takes what is shown in place of frames for plain text
    data = text.encode("utf-8", "replace")
    if _IS_XML.search(text[:1000]):
        strict = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False)
        try:
            root = etree.fromstring(data, strict)
            if name_of(root) in {"html", "body", "div", "section"}:
                return root
        except etree.XMLSyntaxError:
            pass  # says it is XML and is not: read as browsers read it from a file
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=True, recover=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        root = None  # nothing in it
    if any("xcessive depth" in entry.message for entry in parser.error_log):
        raise UnreadableDocumentError(
            f"{path} nests elements too deeply to be read", hint="save the page as .txt or .pdf from a browser"
        )
    return root


def name_of(node: Element) -> str:
    """The name of an element in small letters without its namespace; ``ix:`` before those of inline XBRL."""
    tag = node.tag
    if not isinstance(tag, str):
        return ""
    if tag[0] == "{":
        space, _, tag = tag[1:].rpartition("}")
        if "inlineXBRL" in space:
            tag = "ix:" + tag
    return tag.lower()


def is_dropped(node: Element, name: str) -> bool:
    """True for elements whose content a reader of the page does not see or need: scripts, navigation, hidden parts."""
    if name in _DROPPED or not name:
        return True
    get = node.get
    if get("hidden") is not None and get("hidden") != "until-found":
        return True
    if get("aria-hidden") == "true" or get("role") in _DROPPED_ROLES:
        return True
    style = get("style")
    if style is not None and _HIDING.search(style):
        return True
    if name == "dialog" and get("open") is None:
        return True
    classes = get("class")
    return classes is not None and not _LINE_NUMBERS.isdisjoint(classes.split())


def visible_text(root: Element) -> Iterator[str]:
    """The pieces of text under an element, dropped elements left out; ``root`` itself is never dropped."""
    from lxml import etree

    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, node in walk:
        if event == "start":
            if node is not root and is_dropped(node, name_of(node)):
                walk.skip_subtree()
            elif node.text:
                yield node.text
        elif node is not root and node.tail:
            yield node.tail


def main_parts(root: Element) -> list[Element]:
    """The one element that says it is the content, where it holds most of the text, and what else people look up on
    such a page: contact boxes, comments, the footer; not its navigation. The body where no element says so."""
    body = next((node for node in root.iter() if name_of(node) == "body"), root)
    mains = [node for node in _elements(body) if name_of(node) == "main" or node.get("role") == "main"]
    articles = [node for node in _elements(body) if name_of(node) == "article"]
    for matches in (mains, articles):
        if len(matches) == 1 and _text_length(matches[0]) > 0.5 * _text_length(body):
            return [matches[0], *_beside(matches[0], body)]
    return [body]


def _beside(main: Element, body: Element) -> Iterator[Element]:
    """The outermost boxes of text outside of ``main``, other than navigation, in the order of the page."""
    from lxml import etree

    around = set(main.iterancestors())
    walk = etree.iterwalk(body, events=("start",))
    for _, node in walk:
        name = name_of(node)
        if node is main or (node is not body and (is_dropped(node, name) or name == "header")):
            walk.skip_subtree()
        elif name in _BOXES or node.get("role") in _BOX_ROLES:
            if node in around:
                continue
            if not _is_navigation(node):
                yield node
            walk.skip_subtree()


def _is_navigation(node: Element) -> bool:
    """True for a part whose text is links for the most part, or that asks for consent to cookies."""
    from lxml import etree

    if _CONSENT.search(f"{node.get('id') or ''} {node.get('class') or ''}"):
        return True
    links = 0
    walk = etree.iterwalk(node, events=("start",))
    for _, inner in walk:
        if name_of(inner) == "a":
            links += _text_length(inner)
            walk.skip_subtree()
    return 2 * links >= _text_length(node)


def title_of(root: Element) -> str:
    """The text of ``<title>``, or, where that says nothing, of the first ``<h1>``, or of ``og:title``."""
    title, first, og_title = "", "", ""
    for node in _elements(root):
        name = name_of(node)
        if name == "title" and not title and name_of(node.getparent()) in {"head", "html"}:
            title = _plain(node)
        elif name == "h1" and not first:
            first = _plain(node)
        elif name == "meta" and not og_title and node.get("property") == "og:title":
            og_title = " ".join((node.get("content") or "").split())
    if title and title.lower() not in _EMPTY_TITLES:
        return title
    return first or og_title or title


def metadata_of(root: Element) -> dict[str, str]:
    """Author, dates, description, keywords and language, where the page states them; the first of each counts."""
    metadata: dict[str, str] = {}
    language = root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang")
    if language:
        metadata["language"] = language[:40]
    for node in _elements(root):
        if name_of(node) == "meta":
            key = (node.get("name") or node.get("property") or node.get("http-equiv") or node.get("itemprop") or "")[
                :80
            ]
            value = " ".join((node.get("content") or "")[:LONGEST_META].split())
            name = _META.get(key.lower())
            if name is not None and value and not (name == "author" and value.startswith("http")):
                metadata.setdefault(name, value)
    return metadata


def _elements(root: Element) -> Iterator[Element]:
    return (node for node in root.iter() if isinstance(node.tag, str))


def _text_length(node: Element) -> int:
    return sum(len(text.strip()) for text in visible_text(node))


def _plain(node: Element) -> str:
    return " ".join("".join(visible_text(node))[:LONGEST_META].split())
