"""HTML: what a reader of the page sees comes out, with its structure."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document


def read(tmp_path: Path, body: str | bytes, name: str = "a.html") -> Document:
    path = tmp_path / name
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    return document


def test_merged_cells_stand_in_every_row_and_names_of_several_rows_are_joined(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<table><caption>Traffic</caption><thead><tr><th rowspan=2>Year<th colspan=2>Cars</tr><tr><th>In<th>Out</tr>"
        "</thead><tr><td rowspan=2>2012<td>10<td>11</tr><tr><td>12<td></tr></table>",
    )
    assert document.text == "Traffic\n\nYear: 2012; Cars In: 10; Cars Out: 11\nYear: 2012; Cars In: 12"
    (block,) = document.blocks
    assert (block.kind, block.header) == ("table", ("Year", "Cars In", "Cars Out"))


@pytest.mark.parametrize("span", ["colspan=1000000", "colspan=99999999999999999999", "colspan=-3", "colspan=x"])
def test_a_span_covers_the_columns_there_are(tmp_path: Path, span: str) -> None:
    document = read(
        tmp_path, f"<table><tr><th>A<th>B</tr><tr><th {span}>Part one</tr><tr><td>1<td>2</tr></table><p>after"
    )
    assert "A: 1; B: 2" in document.text
    assert len(document.text) < 100


def test_spans_cannot_multiply_a_table(tmp_path: Path) -> None:
    wide = "<table><tr>" + "<td rowspan=2000>x" * 2000 + "</tr>" + "<tr><td>y</tr>" * 2000 + "</table>"
    assert len(read(tmp_path, wide).text) < 3_000_000


def test_a_row_across_the_table_starts_a_section(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<table><tr><th>Item<th>Price</tr><tr><th colspan=2>Fruit</tr><tr><td>Fig<td>3</tr>"
        "<tr><td colspan=2>Roots</tr><tr><td>Beet<td>2</tr></table>",
    )
    assert document.text == "Fruit\nFruit > Item: Fig; Price: 3\nRoots\nRoots > Item: Beet; Price: 2"
    assert [block.header for block in document.blocks] == [("Item", "Price")]


def test_rows_of_a_name_and_a_value(tmp_path: Path) -> None:
    table = "<table><tr><th colspan=2>Ada<tr><th>Born:<td>1815<br>London<tr><th>Field<td>mathematics</table>"
    assert read(tmp_path, table).text == "Ada\n\nBorn: 1815 London\nField: mathematics"


def test_a_table_that_lays_out_a_page_is_read_as_text(tmp_path: Path) -> None:
    document = read(tmp_path, "<table><tr><td><h2>News</h2>one<td><table><tr><td>k<td>5</table></table>")
    assert document.text == "News\n\none\n\nk | 5"


def test_lists_keep_their_numbers_and_levels(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<ol start=3><li>three<ul><li>inner<p>more</p></ul><li value=7>seven<li>eight</ol>"
        "<p>x</p><ol type=a reversed><li>x<li>y</ol><ol type=I><li>one</ol>",
    )
    assert document.text == "3. three\n  - inner\n    more\n7. seven\n8. eight\n\nx\n\nb. x\na. y\nI. one"
    assert {block.kind for block in document.blocks} == {"list"}


def test_terms_stand_with_their_definitions(tmp_path: Path) -> None:
    document = read(tmp_path, "<dl><dt>Pylon<dt>Tower<dd>The tall part.<dt>Deck<dd><p>The road.</p><dt>Alone</dl>")
    assert document.text == "- Pylon, Tower: The tall part.\n- Deck: The road.\n- Alone:"


def test_pictures_formulas_and_raised_digits(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<figure><img src=x alt='A heron'><figcaption>In April</figcaption></figure>"
        "<p>10<sup>6</sup> m<sup>2</sup>, H<sub>2</sub>O, 1<sup>st</sup>, so&shy;lo, "
        "<math><mi>x</mi><annotation encoding='application/x-tex'>x^2</annotation></math>",
    )
    assert document.text == "A heron\n\nIn April\n\n10⁶ m², H2O, 1st, solo, x^2"


def test_marks_of_footnotes_are_no_part_of_the_word_before_them(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<p>A reef<sup><a href='#n1'>1</a></sup> of 4 km<sup>2</sup>, surveyed in 1964<sup>3</sup>, with 112 "
        "species<sup>4</sup>, 5 × 10<sup>2</sup>, 2<sup>32</sup>, sin<sup>2</sup> x, Ca<sup>2+</sup>, "
        "the XX<sup>e</sup> and the 21<sup>st</sup> century, <sup>14</sup>C and r<sup>2</sup>.</p>"
        "<table><tr><th>Visitor<th>Permit<sup>a</sup><tr><td>Boat<sup>b</sup><td>£140</table>"
        "<p><sup>a</sup> From the kiosk.</p>",
    )
    assert document.text == (
        "A reef ¹ of 4 km², surveyed in 1964 ³, with 112 species ⁴, 5 × 10², 2³², sin² x, Ca2+, the XXe and the 21st "
        "century, ¹⁴C and r².\n\nVisitor: Boat ᵇ; Permit: £140\n\na From the kiosk."
    )


def test_code_keeps_its_lines_without_line_numbers(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<table><tr><td class=linenos><pre>1\n2</pre><td class=code><pre><span>if</span> x:\n    y()</pre></table>",
    )
    assert document.text == "if x:\n    y()"
    assert [block.kind for block in document.blocks] == ["code"]


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>secret</p>",
        "<p style='color:red; DISPLAY : none'>secret</p>",
        "<template>secret</template>",
        "<ix:header><ix:hidden>secret</ix:hidden></ix:header>",
        "<script>secret</script><style>secret</style><!-- secret -->",
        "<input type=password value=secret><button>secret</button>",
    ],
)
def test_hidden_content_is_left_out(tmp_path: Path, hidden: str) -> None:
    assert read(tmp_path, f"<p>before</p>{hidden}<p>after").text == "before\n\nafter"


def test_a_form_is_read_with_its_values(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<form><p><label>Name <input name=n value='Jane Roe'></label></p><p><input type=checkbox checked> Agreed</p>"
        "<p>Room <select><option>1<option selected>12</select></p><details><summary>Why</summary>Because.</details>",
    )
    assert document.text == "Name Jane Roe\n\n[x] Agreed\n\nRoom 12\n\nWhy\n\nBecause."


def test_inline_xbrl_is_read_without_its_header(tmp_path: Path) -> None:
    page = (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml" '
        'xmlns:ix="http://www.xbrl.org/2013/inlineXBRL"><head><title>10-K</title></head><body>'
        "<div><ix:header><ix:hidden><ix:nonNumeric>0000320193</ix:nonNumeric></ix:hidden></ix:header></div>"
        "<p>Revenue was <ix:nonFraction>394,328</ix:nonFraction> million.</p></body></html>"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = read(tmp_path, page, "a.htm")
    assert (document.title, document.text) == ("10-K", "Revenue was 394,328 million.")


def test_title_and_metadata(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<html lang=de><title>Untitled</title><meta name=Author content='R. Vance'>"
        "<meta property='article:published_time' content='2024-05-01'><meta name=keywords content='a, b'>"
        "<h1>Die Brücke</h1><p>Text",
    )
    assert document.title == "Die Brücke"
    assert document.metadata == {"language": "de", "author": "R. Vance", "created": "2024-05-01", "keywords": "a, b"}


@pytest.mark.parametrize("charset", ["punycode", "idna", "rot13", "base64", "zlib", "unicode_escape", "x" * 30])
def test_a_declared_codec_that_is_no_encoding_of_text_is_not_used(tmp_path: Path, charset: str) -> None:
    page = f"<meta charset={charset}><p>plain text, Müller " + "abc-" * 100_000
    started = time.monotonic()
    assert read(tmp_path, page).text.startswith("plain text, Müller abc-")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "page",
    [
        "<table><tr><td>" * 300 + "text",
        "<ol>" + "<li>text" * 20_000,
        "<p><b>" * 20_000 + "text",
        "<ul><li>text" * 500,
        "<sup>" * 1500 + "text",
        "<dl>" + "<dt>text</dt>" * 20_000,
    ],
    ids=["nested tables", "long list", "unclosed", "nested lists", "nested sup", "terms"],
)
def test_time_is_linear_in_the_page(tmp_path: Path, page: str) -> None:
    started = time.monotonic()
    assert "text" in read(tmp_path, page).text
    assert time.monotonic() - started < 5


def test_a_page_nested_beyond_the_parser_is_named(tmp_path: Path) -> None:
    path = tmp_path / "deep.html"
    path.write_text("<div>" * 5000 + "text", encoding="utf-8")
    with pytest.raises(UnreadableDocumentError, match=r"deep\.html nests elements too deeply"):
        list(load(path, IndexConfig()))


def test_frames_without_frames_and_an_empty_page(tmp_path: Path) -> None:
    assert read(tmp_path, "<frameset><frame src=x><noframes><body>Hello there</body></noframes></frameset>").text == (
        "Hello there"
    )
    path = tmp_path / "b.html"
    path.write_text("<!-- -->", encoding="utf-8")
    with pytest.raises(UnreadableDocumentError, match="holds no text"):
        list(load(path, IndexConfig()))


def test_a_saved_page_of_several_parts(tmp_path: Path) -> None:
    archive = (
        "From: <Saved by a browser>\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=XX\n\n--XX\n"
        "Content-Type: text/css\n\nsecret\n--XX\nContent-Type: text/html; charset=utf-8\n"
        "Content-Transfer-Encoding: quoted-printable\n\n<title>Page</title><p>Gr=C3=B6=C3=9Fe 12</p>\n--XX--\n"
    )
    document = read(tmp_path, archive, "a.mhtml")
    assert (document.title, document.text) == ("Page", "Größe 12")


def test_boxes_beside_the_main_part_follow_it_without_navigation(tmp_path: Path) -> None:
    page = (
        "<body><header>Town <nav><a>Home</a></nav></header><div><aside><a>Bins</a> <a>Parks</a></aside>"
        f"<main><h1>Bins</h1><p>{'Bins are emptied on Tuesdays. ' * 9}</main></div>"
        "<section id=comments><p>Ada: Ours was late.</section><footer class=cookies>Cookies</footer>"
        "<aside>Waste team: 01999 555 210</aside><footer>Guildhall, 2 Fish Street <a>Imprint</a></footer></body>"
    )
    text = read(tmp_path, page).text
    assert text.startswith("Bins\n\nBins are emptied")
    assert text.split("\n\n")[2:4] == ["Ada: Ours was late.", "Waste team: 01999 555 210"]
    assert text.endswith("Guildhall, 2 Fish Street Imprint") and not any(
        word in text for word in ("Parks", "Home", "Cookies")
    )


def test_struck_out_text_is_gone_but_a_former_figure_is_named(tmp_path: Path) -> None:
    page = (
        "<p><s>£489.00</s> <b>£419.00</b> incl. VAT<p>Open <del>Sunday</del> <ins>Monday</ins> from"
        '<span style="text-decoration: line-through">9:00</span> 10:00<p><strike>We sell maps.</strike> Closed.'
    )
    assert read(tmp_path, page).text.split("\n\n") == [
        "(was £489.00) £419.00 incl. VAT",
        "Open Monday from (was 9:00) 10:00",
        "Closed.",
    ]


def test_every_band_of_a_table_names_its_rows(tmp_path: Path) -> None:
    rows = "<tr><th colspan=2>Size<tr><td>Length<td>4 m<tr><td>Width<td>2 m<tr><th colspan=2>Fly<tr><td>Cloth<td>nylon"
    text = read(tmp_path, f"<table>{rows}</table>").text
    assert [line for line in text.split("\n") if ":" in line] == [
        "Size > Length: 4 m",
        "Size > Width: 2 m",
        "Fly > Cloth: nylon",
    ]
