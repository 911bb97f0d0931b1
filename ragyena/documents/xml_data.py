"""XML that holds data or feeds -> lines of ``name: value``, a record a line: ``book > id: bk101; price: 44.95``."""

from __future__ import annotations

from collections.abc import Iterator

from ragyena.documents.html_tree import Element, main_parts, name_of, parse_html
from ragyena.documents.html_writer import HtmlWriter
from ragyena.documents.text_builder import TextBuilder

__all__ = ["write_data", "write_feed"]

LONGEST_VALUE = 300
"""Chars of a value that stands in the line of its record; a longer one is a paragraph of its own."""
LONGEST_ATTRIBUTE = 500
_CONTENTS = ("encoded", "content", "description", "summary")
"""Elements of an entry that hold its text, the fullest first."""
_LABELS = ("name", "key")
"""Attributes that name the element they stand on."""
_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"
_NOT_SHOWN = frozenset({"schemalocation", "nonamespaceschemalocation", "style", "class", "space"})


def write_data(builder: TextBuilder, root: Element) -> None:
    """Append the texts and attributes of every element, each record on a line. The parser bounds the depth."""
    _write(builder, root, "")


def write_feed(builder: TextBuilder, root: Element) -> str:
    """Append the entries of an RSS or Atom feed, each under its title; the title of the feed."""
    title = ""
    for node in root.iter():
        name = name_of(node) if isinstance(node.tag, str) else ""
        if name in {"channel", "feed"} and not title:
            fields = _first_texts(node)
            title = fields.get("title", "")
            builder.heading(1, title)
            _write_page(builder, fields.get("description") or fields.get("subtitle") or "")
        elif name in {"item", "entry"}:
            fields = _first_texts(node)
            builder.heading(2, fields.get("title", ""))
            facts = [fields.get("author") or fields.get("creator"), fields.get("pubdate") or fields.get("updated")]
            builder.block("; ".join(filter(None, facts)))
            _write_page(builder, next(filter(None, (fields.get(name) for name in _CONTENTS)), ""))
    return title


def _first_texts(node: Element) -> dict[str, str]:
    fields: dict[str, str] = {}
    for child in node:
        if isinstance(child.tag, str) and name_of(child) not in {"item", "entry"}:
            fields.setdefault(name_of(child), "".join(child.itertext()).strip())
    return fields


def _write_page(builder: TextBuilder, text: str) -> None:
    """Write a text that may be HTML."""
    if "<" in text and ">" in text:
        from pathlib import Path

        root = parse_html(text, Path("feed"))
        if root is not None:
            HtmlWriter(builder).write(*main_parts(root))
    else:
        builder.block(" ".join(text.split()))


def _write(builder: TextBuilder, node: Element, path: str) -> None:
    name = _label(node)
    if _is_mixed(node):
        text = " ".join("".join(node.itertext()).split())
        facts = "; ".join(f"{key}: {value}" for key, value in _attributes(node))
        builder.block(f"{name}: {text}" + (f" ({facts})" if facts else ""), tight=True)
        return
    fields: dict[str, list[str]] = {}
    long: list[tuple[str, str]] = []
    inner: list[Element] = []
    for key, value in _attributes(node):
        fields.setdefault(key, []).append(value)
    for child in node:
        if not isinstance(child.tag, str):
            continue
        is_mixed = _is_mixed(child)
        if (len(child) and not is_mixed) or (not len(child) and not (child.text or "").strip() and child.attrib):
            inner.append(child)
            continue
        value = " ".join("".join(child.itertext()).split())
        facts = ", ".join(f"{key}: {text}" for key, text in _attributes(child))
        if len(value) > LONGEST_VALUE:
            long.append((_label(child), value))
        elif value:
            fields.setdefault(_label(child), []).append(f"{value} ({facts})" if facts else value)
    if not len(node) and (node.text or "").strip():
        fields.setdefault(name, []).append(" ".join((node.text or "").split()))
    line = "; ".join(f"{key}: {', '.join(values)}" for key, values in fields.items())
    here = f"{path} > {name}" if path else name
    if line:
        builder.block(f"{here} > {line}", tight=True, kind="table")
    for key, text in long:
        if "<p" in text or "<br" in text or "<div" in text:
            _write_page(builder, text)
        else:
            builder.block(f"{key}: {' '.join(text.split())}")
    context = " > ".join(here.split(" > ")[-2:]) if node.getparent() is not None else ""
    for child in inner:
        _write(builder, child, context)


def _label(node: Element) -> str:
    """The name of an element, or the one that an attribute gives it."""
    for attribute in _LABELS:
        value = node.get(attribute)
        if value and len(value) <= 80 and not len(node) and (node.text or "").strip():
            return str(value)
    return str(node.tag).rpartition("}")[2][:80]


def _attributes(node: Element) -> Iterator[tuple[str, str]]:
    labelled = _label(node) if not len(node) and (node.text or "").strip() else ""
    for key, value in node.attrib.items():
        name = str(key).rpartition("}")[2]
        is_label = name in _LABELS and value == labelled
        is_shown = name.lower() not in _NOT_SHOWN and not str(key).startswith(_SCHEMA_INSTANCE) and not is_label
        if is_shown and value.strip() and len(value) <= LONGEST_ATTRIBUTE:
            yield name[:80], " ".join(value.split())


def _is_mixed(node: Element) -> bool:
    """True for text with elements inside it."""
    return len(node) > 0 and (bool((node.text or "").strip()) or any((child.tail or "").strip() for child in node))
