"""OpenDocument spreadsheets: the texts that cells show, under the names of their columns."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from office_files import write_odf

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.types import Document, Skipped

HIDDEN = '<style:style style:name="ta2"><style:table-properties table:display="false"/></style:style>'


def cell(text: str = "", attributes: str = "") -> str:
    return f"<table:table-cell {attributes}>" + (f"<text:p>{text}</text:p>" if text else "") + "</table:table-cell>"


def row(*cells: str, attributes: str = "") -> str:
    whole = "".join(c if c.startswith("<table") else cell(c) for c in cells)
    return f"<table:table-row {attributes}>{whole}</table:table-row>"


def table(*rows: str, name: str = "Sheet", style: str = "ta1") -> str:
    return f'<table:table table:name="{name}" table:style-name="{style}">{"".join(rows)}</table:table>'


def loaded(path: Path, body: str, **settings: object) -> tuple[str, list[Skipped]]:
    write_odf(path, body, kind="spreadsheet", automatic=HIDDEN, meta="<dc:title>Prices</dc:title>")
    document, *skipped = load(path, IndexConfig.model_validate(settings))
    assert isinstance(document, Document) and document.title == "Prices"
    return document.text, [part for part in skipped if isinstance(part, Skipped)]


@pytest.mark.parametrize("suffix", [".ods", ".fods"])
def test_cells_as_shown_with_names_and_merged_cells(tmp_path: Path, suffix: str) -> None:
    covered = "<table:covered-table-cell/>"
    body = table(
        row(cell("Price list", 'table:number-columns-spanned="3"'), covered, covered),
        row("Region", "City", "Price"),
        row(
            cell("North", 'table:number-rows-spanned="2"'),
            "Al<text:span>to</text:span>",
            cell("1,234.50 €", 'office:value-type="currency" office:value="1234.5"'),
        ),
        row(covered, "Bero<text:line-break/>Sul", cell("", 'office:value-type="float" office:value="3"')),
        row(cell("", 'table:number-columns-repeated="16384"'), attributes='table:number-rows-repeated="1048571"'),
    )
    text, skipped = loaded(tmp_path / f"a{suffix}", body)
    assert not skipped
    assert text == (
        "Sheet\n\nPrice list\n\nRegion: North; City: Alto; Price: 1,234.50 €\nRegion: North; City: Bero Sul; Price: 3"
    )


def test_what_is_hidden_is_left_out_and_named(tmp_path: Path) -> None:
    body = table(
        '<table:table-column/><table:table-column table:visibility="collapse"/><table:table-column/>',
        row("Name", "Pay", "City"),
        row("Ann", "1", "Oslo"),
        row("Bob", "2", "Rome", attributes='table:visibility="filter"'),
        row("Cid", "3", "Bern"),
    ) + table(row("Reserve", "88 tonnes"), name="Secret", style="ta2")
    text, skipped = loaded(tmp_path / "a.ods", body)
    assert text == "Sheet\n\nName: Ann; City: Oslo\nName: Cid; City: Bern"
    assert len(skipped) == 3 and "'Secret' is hidden" in skipped[-1].message
    text, skipped = loaded(tmp_path / "a.ods", body, hidden=True)
    assert "Name: Bob; Pay: 2; City: Rome" in text and "88 tonnes" in text and not skipped


def test_comments_on_request(tmp_path: Path) -> None:
    note = "<office:annotation><dc:creator>Bob</dc:creator><text:p>Ask Ann</text:p></office:annotation>"
    body = table(row("Item", "Price"), row("Lamp", f"<table:table-cell>{note}<text:p>3</text:p></table:table-cell>"))
    assert "Ask" not in loaded(tmp_path / "a.ods", body)[0]
    assert loaded(tmp_path / "a.ods", body, comments=True)[0].endswith(
        "Item: Lamp; Price: 3\n\nComment on B2 (Bob): Ask Ann"
    )


def test_repeated_cells_and_rows_are_bounded(tmp_path: Path) -> None:
    wide = cell("x", 'table:number-columns-repeated="999999999"')
    body = table(
        row("a", "b"),
        row("1", "2", attributes='table:number-rows-repeated="3"'),
        *[row(wide, attributes='table:number-rows-repeated="1048576"')] * 50,
    )
    began = time.process_time()
    text, skipped = loaded(tmp_path / "a.ods", body)
    assert time.process_time() - began < 20
    assert text.startswith("Sheet\n\n") and len(text) < 20_000_000
    assert skipped and skipped[0].is_fault and "was read to its row" in skipped[0].message
