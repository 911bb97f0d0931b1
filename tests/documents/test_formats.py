"""Every supported format, on real files of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from document_samples import FACT, SAMPLES, SECOND

from ragyena.config import IndexConfig
from ragyena.documents.formats import all_formats, listed
from ragyena.documents.loading import load
from ragyena.documents.reading import named
from ragyena.types import Document

CONFIG = IndexConfig()


def one(path: Path, config: IndexConfig = CONFIG) -> Document:
    (document,) = load(path, config)
    return document


def sample(tmp_path: Path, suffix: str, name: str = "eddystone_light") -> Path:
    path = tmp_path / f"{name}{suffix}"
    SAMPLES[suffix](path)
    return path


def test_every_format_has_a_sample() -> None:
    for name, module in all_formats().items():
        assert set(module.SUFFIXES) & set(SAMPLES), f"add a sample of {name} to document_samples.py"
    assert set(SAMPLES) <= {suffix for module in all_formats().values() for suffix in module.SUFFIXES}


@pytest.mark.parametrize("suffix", sorted(SAMPLES))
def test_a_format_yields_its_text_title_and_source(tmp_path: Path, suffix: str) -> None:
    path = sample(tmp_path, suffix)
    documents = list(load(path, CONFIG))
    texts = [document.text for document in documents]
    assert any(FACT in text for text in texts)
    assert any(SECOND in text for text in texts)
    assert all("\r" not in text and "\x00" not in text for text in texts)
    title = {".txt": "eddystone light", ".py": "eddystone_light.py"}.get(suffix, "Lighthouses")
    assert {document.title for document in documents} == {title}
    assert all(document.source.split("#")[0] == str(path) for document in documents)
    for document in documents:
        starts = [heading.start for heading in document.headings]
        assert starts == sorted(starts)


@pytest.mark.parametrize("suffix", sorted(SAMPLES))
def test_suffixes_are_read_in_capitals_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"SHOUTED{suffix.upper()}"
    SAMPLES[suffix](path)
    assert list(load(path, CONFIG))


@pytest.mark.parametrize("suffix", [".txt", ".md", ".rst", ".py"])
def test_text_stays_as_the_file_has_it_with_one_kind_of_newline(tmp_path: Path, suffix: str) -> None:
    path = sample(tmp_path, suffix)
    content = path.read_text(encoding="utf-8")
    path.write_bytes(content.replace("\n", "\r\n").encode())
    assert one(path).text == content


def test_markdown_headings_lie_at_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "---\ntitle: 'Front matter'\ntags: x\n---\n\nSetext\n======\n\n"
        "```\n# no heading\n```\n\n### Deep `code` *it*\ntext\n",
        encoding="utf-8",
    )
    document = one(path)
    assert document.title == "Front matter"
    headings = [(document.text[h.start :].split("\n")[0], h.level, h.text) for h in document.headings]
    assert headings == [("Setext", 1, "Setext"), ("### Deep `code` *it*", 3, "Deep code it")]


def test_rst_headings_survive_sphinx_markup(tmp_path: Path) -> None:
    path = tmp_path / "a.rst"
    path.write_text(
        "Guide\n=====\n\nSee :func:`x` and `missing`_.\n\n.. toctree::\n   :maxdepth: 2\n\n   a\n\nInstall\n-------\n\n"
        ".. include:: /etc/passwd\n\nUse pip.\n\nUsage\n-----\n\nCall it.\n",
        encoding="utf-8",
    )
    document = one(path)
    assert [(h.level, h.text) for h in document.headings] == [(1, "Guide"), (2, "Install"), (2, "Usage")]
    assert all(document.text.startswith(h.text, h.start) for h in document.headings)
    assert "root:" not in document.text


def test_html_keeps_what_a_reader_sees(tmp_path: Path) -> None:
    document = one(sample(tmp_path, ".html"))
    assert document.text == (
        f"Lighthouses\n\n{FACT}\n\nThe tower\n\n{SECOND}\n\n- granite\n- oak\n\n"
        "Year: 1698; Event: first light\n\nline one\n  line two"
    )
    assert [(h.level, h.text) for h in document.headings] == [(1, "Lighthouses"), (2, "The tower")]
    assert all(document.text.startswith(h.text, h.start) for h in document.headings)


def test_html_in_the_encoding_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes('<meta charset="windows-1251"><p>Маяк стоит на скале</p>'.encode("cp1251"))
    assert one(path).text == "Маяк стоит на скале"
    path.write_bytes('<meta charset="utf-8"><p>Müller grüßt</p>'.encode("latin-1"))
    assert one(path).text == "Müller grüßt"


def test_html_markup_inside_words_does_not_tear_them(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        "<h1>read_<wbr>text<br>of H<sub>2</sub>O</h1><p>un<b>believ</b>able</p><!-- no comment -->"
        "<table><tr><td><p>one</p><p>t<i>w</i>o</p></td><td>3</td></tr></table>",
        encoding="utf-8",
    )
    assert one(path).text == "read_text of H2O\n\nunbelievable\n\none two | 3"


def test_broken_html_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>One<p>Two <b>bold<table><td>cell" + "<div>" * 2000 + "deep", encoding="utf-8")
    text = one(path).text
    assert "One" in text and "cell" in text


def test_pdf_pages_are_counted_empty_ones_too(tmp_path: Path) -> None:
    document = one(sample(tmp_path, ".pdf"))
    assert len(document.page_starts) == 3
    assert document.page_starts[0] <= document.text.index(FACT) < document.page_starts[1]
    assert document.text.index(SECOND) >= document.page_starts[2]
    assert [(h.level, h.text) for h in document.headings] == [(1, "The lamp")]


def test_docx_order_headings_lists_and_tables(tmp_path: Path) -> None:
    document = one(sample(tmp_path, ".docx"))
    assert document.text == f"The lamp\n\n{FACT}\n\nThe tower\n\n{SECOND}\n\n- granite\n\n1698 | first light"
    assert [(h.level, h.text) for h in document.headings] == [(1, "The lamp"), (2, "The tower")]


def test_a_slide_is_a_page(tmp_path: Path) -> None:
    document = one(sample(tmp_path, ".pptx"))
    assert document.page_starts == (0, document.text.index("The tower"))
    assert document.text == f"The lamp\n\n{FACT}\n\nThe tower\n\n{SECOND}"


def test_rows_of_a_sheet_carry_their_column_names(tmp_path: Path) -> None:
    document = one(sample(tmp_path, ".xlsx"))
    assert document.text == (
        f"Lamps\n\nplace: Plymouth; note: {FACT}; height: 49\nplace: Plymouth Hoe; note: {SECOND}; height: 22.5"
    )


def test_a_sheet_without_column_names_is_read_as_cells(tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    for row in ([1698, "first"], [1759, "third"]):
        book.active.append(row)
    book.save(path)
    assert one(path).text == "Sheet\n\n1698 | first\n1759 | third"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_row_is_a_document(tmp_path: Path, suffix: str) -> None:
    path = sample(tmp_path, suffix)
    first, second = load(path, CONFIG)
    assert (first.source, second.source) == (f"{path}#1", f"{path}#2")
    assert (first.text, first.metadata["year"]) == (FACT, "1698")


def test_rows_follow_the_field_mapping(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"Frage": "x", "Inhalt": "Ein Text.", "Kopf": "T", "n": 3}\n', encoding="utf-8")
    document = one(path, IndexConfig(text_fields=("inhalt",), title_fields=("kopf",)))
    assert (document.text, document.title, dict(document.metadata)) == ("Ein Text.", "T", {"Frage": "x", "n": "3"})
    assert one(path).text == "Frage: x\nInhalt: Ein Text.\nKopf: T\nn: 3"


def test_csv_dialects_quotes_and_long_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = "word " * 60_000
    path.write_text(f'id;text\r\n1;"two\r\nlines; and a ""quote"""\r\n\r\n2;{long}\r\n', encoding="utf-8", newline="")
    first, second = load(path, CONFIG)
    assert first.text == 'two\nlines; and a "quote"'
    assert second.text == long
    assert second.source.endswith("#3")
    tabs = tmp_path / "a.tsv"
    tabs.write_text("title\ttext\nA, b\tc, d\n", encoding="utf-8")
    assert one(tabs).text == "c, d"


def test_rows_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n' * 3 + "not json\n", encoding="utf-8")
    rows = load(path, CONFIG)
    assert [next(rows).text for _ in range(3)] == ["good"] * 3


def test_half_an_emoji_in_json_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a \ud83d b", "k": "\udc00"}) + "\n", encoding="utf-8")
    document = one(path)
    assert document.text == "a \ufffd b"
    assert document.metadata == {"k": "\ufffd"}


@pytest.mark.parametrize("name", ["README", "Makefile", "LICENSE"])
def test_well_known_names_without_suffix(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("all: build\n", encoding="utf-8")
    assert one(path).title == name


def test_a_text_file_imports_no_parser(tmp_path: Path) -> None:
    path = sample(tmp_path, ".txt")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ragyena.config import IndexConfig\n"
        "from ragyena.documents.reading import read\n"
        f"list(read(Path({str(path)!r}), IndexConfig()))\n"
        "parsers = {'docx', 'pptx', 'openpyxl', 'pypdfium2', 'lxml', 'docutils', 'markdown_it'}\n"
        "print(*parsers & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("harbour-street-lease.md", "Tenancy agreement (harbour street lease)"),
        ("HarbourStreet_12.md", "Tenancy agreement (Harbour Street 12)"),
        ("mu\u0308hlgasse-gebu\u0308hren.md", "Tenancy agreement (mühlgasse gebühren)"),
        ("tenancy_agreements.md", "Tenancy agreement"),
        ("harbour.md", "Tenancy agreement"),
        ("scan-final-v2.md", "Tenancy agreement"),
        ("8f3kd9-a77fjx-2024.md", "Tenancy agreement"),
    ],
)
def test_the_title_has_the_name_of_a_file_that_says_more_than_its_text(tmp_path: Path, name: str, title: str) -> None:
    (tmp_path / name).write_text("# Tenancy agreement\n\nThe rent is 1,140 pounds a month.\n")
    assert named(one(tmp_path / name), tmp_path / name).title == title


def test_the_readme_and_the_help_list_every_format() -> None:
    from ragyena.cli.index import ADD_HELP

    assert listed() in ADD_HELP
    readme = Path(__file__).resolve().parents[2] / "README.md"
    if readme.is_file():
        assert listed() in " ".join(readme.read_text(encoding="utf-8").split()), f"README.md names: {listed()}"


def test_the_page_on_documents_names_every_suffix() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "documents.md"
    named = set(re.findall(r"\.\w+", page.read_text(encoding="utf-8")))
    formats = {name: module for name, module in all_formats().items() if name != "source_code"}
    suffixes = {suffix for module in formats.values() for suffix in module.SUFFIXES if suffix.startswith(".")}
    assert suffixes <= named, f"docs/documents.md lacks: {sorted(suffixes - named)}"
