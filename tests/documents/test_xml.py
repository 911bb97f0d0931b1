"""XML: the text of documents, feeds, drawings and records, without markup."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document, Skipped


def read(tmp_path: Path, text: str | bytes, name: str = "a.xml") -> Document:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    return document


def test_docbook(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        '<?xml version="1.0"?><!DOCTYPE book PUBLIC "x" "y.dtd" [<!ENTITY prod "Heron 2">'
        '<!ENTITY ext SYSTEM "file:///etc/passwd">]><book lang="en"><bookinfo><title>&prod; Manual</title>'
        "<author><surname>Roe</surname><firstname>Ana</firstname></author><legalnotice><para>secret</para></legalnotice>"
        "</bookinfo><chapter><title>Install</title><para>Use <command>pip</command>&nbsp;now. &ext;<indexterm><primary>"
        "secret</primary></indexterm></para><section><title>Steps</title><orderedlist><listitem><para>One</para>"
        "</listitem></orderedlist><programlisting>pip\n  x</programlisting><table><title>Prices</title><tgroup><thead>"
        '<row><entry>Item</entry><entry namest="c2" nameend="c3">Price</entry></row></thead><tbody><row>'
        '<entry morerows="1">Fig</entry><entry>3</entry><entry>EUR</entry></row><row><entry>4</entry><entry>USD</entry>'
        "</row></tbody></tgroup></table><variablelist><varlistentry><term>CPU</term><listitem><para>Brain.</para>"
        "</listitem></varlistentry></variablelist></section></chapter></book>",
    )
    assert document.title == "Heron 2 Manual"
    assert document.metadata == {"language": "en", "author": "Ana Roe"}
    assert document.text.startswith(
        "Heron 2 Manual\n\nInstall\n\nUse pip now.\n\nSteps\n\n1. One\n\npip\n  x\n\nPrices\n\nItem: Fig; Price: 3"
    )
    assert document.text.endswith("USD\n\n- CPU: Brain.")
    assert "secret" not in document.text and "root:" not in document.text
    assert [(h.level, h.text) for h in document.headings][1:] == [(1, "Install"), (2, "Steps")]


def test_jats_and_tei(tmp_path: Path) -> None:
    article = read(
        tmp_path,
        "<article><front><journal-meta><p>secret</p></journal-meta><article-meta><title-group><article-title>On "
        "<italic>herons</italic></article-title></title-group><contrib-group><contrib><name><surname>Roe</surname>"
        "<given-names>Ana</given-names></name></contrib></contrib-group><pub-date><month>5</month><year>2021</year>"
        "</pub-date><abstract><p>Short.</p></abstract><kwd-group><kwd>birds</kwd><kwd>rivers</kwd></kwd-group>"
        "</article-meta></front><body><sec><title>Results</title><p>45 mice (p &lt; 0.05).</p></sec></body><back>"
        "<ref-list><ref><mixed-citation>Smith. <article-title>Big birds</article-title>.</mixed-citation></ref>"
        "</ref-list></back></article>",
        "a.nxml",
    )
    assert article.title == "On herons"
    assert article.metadata == {"author": "Ana Roe", "created": "2021-05", "keywords": "birds, rivers"}
    assert article.text == "On herons\n\nShort.\n\nResults\n\n45 mice (p < 0.05).\n\n- Smith. Big birds."
    letter = read(
        tmp_path,
        '<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><fileDesc><titleStmt><title>Letters</title><author>'
        "R. Vance</author></titleStmt></fileDesc></teiHeader><text><body><div><head>Letter 1</head><p>Dear <name>Ana"
        '</name>,<lb/>the rent is 12.</p><table><row role="label"><cell>A</cell><cell>B</cell></row><row><cell>1</cell>'
        "<cell>2</cell></row></table></div></body></text></TEI>",
    )
    assert (letter.title, letter.metadata) == ("Letters", {"author": "R. Vance"})
    assert letter.text == "Letters\n\nLetter 1\n\nDear Ana,\nthe rent is 12.\n\nA: 1; B: 2"


def test_records_are_lines_with_names(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        '<catalog><book id="b1"><author>Gambardella</author><author>Roe</author><price currency="USD">44.95</price>'
        '<dims><w>3</w></dims></book><book id="b2"><note>A <b>mixed</b> text.</note></book>'
        '<string name="app">Foo</string><item a="1" b="2"/></catalog>',
    )
    assert document.text.split("\n") == [
        "catalog > app: Foo",
        "book > id: b1; author: Gambardella, Roe; price: 44.95 (currency: USD)",
        "book > dims > w: 3",
        "book > id: b2; note: A mixed text.",
        "item > a: 1; b: 2",
    ]


def test_a_feed_and_a_drawing(tmp_path: Path) -> None:
    feed = read(
        tmp_path,
        "<rss><channel><title>News</title><item><title>First</title><pubDate>3 Mar</pubDate><description>"
        "&lt;p&gt;The &lt;b&gt;port&lt;/b&gt; is 9000.&lt;/p&gt;</description></item></channel></rss>",
        "a.rss",
    )
    assert feed.text == "News\n\nFirst\n\n3 Mar\n\nThe port is 9000."
    drawing = read(
        tmp_path,
        '<svg xmlns="http://www.w3.org/2000/svg"><title>Plan</title><g><text>Room <tspan>12</tspan></text></g></svg>',
        "a.svg",
    )
    assert (drawing.title, drawing.text) == ("Plan", "Plan\nRoom 12")


def test_what_can_be_read_of_a_broken_file_is_and_the_fault_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<list>\n<item><name>heron</name></item>\n<item><name>a & b</name></item>\n", encoding="utf-8")
    document, fault = load(path, IndexConfig())
    assert isinstance(document, Document) and "heron" in document.text
    assert isinstance(fault, Skipped) and "is damaged at line 3" in fault.message and fault.hint


DOUBLED = "".join(f"<!ENTITY {b} '&{a};&{a};'>" for a, b in pairwise("abcdefghi"))


@pytest.mark.parametrize(
    "text",
    [
        f"<!DOCTYPE a [<!ENTITY a 'text'>{DOUBLED}]><a>&i; text</a>",
        "<!DOCTYPE a [<!ENTITY x '" + "text " * 90 + "'>]><a>text " + "&x;" * 20_000 + "</a>",
        "<a>" * 250 + "text" + "</a>" * 250,
        "<a>" + "<b c='1'>text</b>" * 20_000 + "</a>",
        "<article>" + "<sec><title>text</title>" * 100 + "<p>text</p>" + "</sec>" * 100 + "</article>",
    ],
    ids=["entities", "long entity", "deep", "leaves", "sections"],
)
def test_hostile_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text, encoding="utf-8")
    started = time.monotonic()
    document, *faults = load(path, IndexConfig())
    assert isinstance(document, Document)
    assert all(isinstance(fault, Skipped) for fault in faults)
    assert "text" in document.text
    assert len(document.text) < 3 * len(text) + 100_000
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "text", ["just text", "<a>" * 5000 + "text" + "</a>" * 5000, ""], ids=["no xml", "too deep", "nothing"]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableDocumentError, match=r"a\.xml (is|nests)"):
        list(load(path, IndexConfig()))
