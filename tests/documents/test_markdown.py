"""Markdown: lines are the file's; tables, code, lists, headings and front matter are told apart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.types import Document


def read(tmp_path: Path, text: str, name: str = "a.md") -> Document:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    return document


def blocks(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_front_matter_is_metadata(tmp_path: Path) -> None:
    text = (
        "---\ntitle: Bridge log\nauthor: R. Vance\ndate: 2023-05-01\nversion: 1.10\ntags: [steel, river]\n"
        "place: {river: Sava}\ndraft:\n---\n\n# Log\n\nThe bridge opened in June.\n"
    )
    document = read(tmp_path, text)
    assert document.title == "Bridge log"
    assert document.metadata == {
        "author": "R. Vance",
        "date": "2023-05-01",
        "version": "1.10",
        "tags": "steel, river",
        "place.river": "Sava",
    }
    assert document.text == text
    assert [heading.text for heading in document.headings] == ["Log"]


@pytest.mark.parametrize(
    ("front", "metadata"),
    [
        (
            '+++\nauthor = "Vance"\ntags = ["a", "b"]\nweight = 3\n+++\n',
            {"author": "Vance", "tags": "a, b", "weight": "3"},
        ),
        ("% The title\n% Ana; Ben\n% 2024\n", {"author": "Ana, Ben", "date": "2024"}),
        ("---\nauthor: a: b: {\ndate: 2023-99-99\n---\n", {"author": "a: b: {", "date": "2023-99-99"}),
        ("---\n- a\n- b\n---\n", {}),
        ("---\nauthor: never closed\n", {}),
        ("---\na: " + "[" * 20_000 + "\n---\n", None),
    ],
    ids=["toml", "pandoc", "malformed", "no mapping", "no end", "deep"],
)
def test_other_front_matter(tmp_path: Path, front: str, metadata: dict[str, str] | None) -> None:
    document = read(tmp_path, front + "\nText.\n")
    assert document.text.endswith("Text.\n")
    if metadata is not None:
        assert document.metadata == metadata


def test_a_table_is_rewritten_row_for_row_on_its_lines(tmp_path: Path) -> None:
    document = read(tmp_path, "Intro\n\n| Model | Weight |\n|:--|--:|\n| V\\|20 | **3.9** kg |\n| V-30 | |\n\nEnd\n")
    assert document.text.split("\n") == [
        "Intro", "", "", "", "Model: V|20; Weight: 3.9 kg", "Model: V-30", "", "End", "",
    ]  # fmt: skip
    (block,) = document.blocks
    assert (block.kind, block.header) == ("table", ("Model", "Weight"))


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (
            [
                "| | Free | | Pro | |",
                "| | min | max | min | max |",
                "| Projects | 1 | 3 | 5 | 50 |",
                "| Users | 2 | 4 | 8 | 90 |",
            ],
            [
                "Projects; Free min: 1; Free max: 3; Pro min: 5; Pro max: 50",
                "Users; Free min: 2; Free max: 4; Pro min: 8; Pro max: 90",
            ],
        ),
        (
            [
                "| Party | 2018 | | 2023 | |",
                "| | Seats | Share | Seats | Share |",
                "| Centre | 5 | 26.0 | 6 | 27.4 |",
                "| Greens | 2 | 12.1 | 4 | 17.9 |",
            ],
            [
                "Party: Centre; 2018 Seats: 5; 2018 Share: 26.0; 2023 Seats: 6; 2023 Share: 27.4",
                "Party: Greens; 2018 Seats: 2; 2018 Share: 12.1; 2023 Seats: 4; 2023 Share: 17.9",
            ],
        ),
        (
            ["| | | |", "| Item | Price | Stock |", "| Pen | 1.20 | 4 |", "| Book | 2.50 | 3 |"],
            ["Item: Pen; Price: 1.20; Stock: 4", "Item: Book; Price: 2.50; Stock: 3"],
        ),
        (
            ["| | |", "| **Person** | **Room** |", "| Ann | green |", "| Bob | blue |"],
            ["Person: Ann; Room: green", "Person: Bob; Room: blue"],
        ),
    ],
    ids=["two rows of names", "two rows under a label", "names under an empty row", "bold names under an empty row"],
)
def test_names_that_do_not_fit_one_row(tmp_path: Path, rows: list[str], lines: list[str]) -> None:
    head, *body = rows
    document = read(tmp_path, "\n".join(["", head, "|---" * (head.count("|") - 1) + "|", *body, ""]))
    assert [line for line in document.text.split("\n") if line] == lines
    assert document.text.split("\n")[4] == lines[0]


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (["| | |", "| **Phone** | 0123 |", "| **Rooms** | 12 |"], ["Phone: 0123", "Rooms: 12"]),
        (["| | | |", "| Pen | red | small |", "| Book | blue | large |"], ["Pen | red | small", "Book | blue | large"]),
        (
            ["| Item | | Price |", "| Pen | red | 1.20 |", "| Book | blue | 2.50 |"],
            ["Item: Pen; red; Price: 1.20", "Item: Book; blue; Price: 2.50"],
        ),
        (
            ["| | Mon | Tue |", "| 9:00 | Maths | Art |", "| 10:00 | | Sport |"],
            ["9:00; Mon: Maths; Tue: Art", "10:00; Tue: Sport"],
        ),
    ],
    ids=["labels", "no names", "a column without a name", "an empty corner"],
)
def test_empty_cells_in_the_row_of_names(tmp_path: Path, rows: list[str], lines: list[str]) -> None:
    head, *body = rows
    document = read(tmp_path, "\n".join(["", head, "|---" * (head.count("|") - 1) + "|", *body, ""]))
    assert [line for line in document.text.split("\n") if line] == lines


def test_code_lists_and_footnotes(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "- one\n- two\n\n  ```sh\n  # no heading\n  ```\n\nText[^1].\n\n    indented\n\n~~~\nopen\n\n[^x]: in code\n",
    )
    assert blocks(document) == [
        ("list", "- one\n- two\n\n  ```sh"),
        ("code", "  # no heading"),
        ("list", "  ```"),
        ("code", "    indented"),
        ("code", "open\n\n[^x]: in code"),
    ]
    document = read(tmp_path, "Text[^1].\n\n[^1]: The note.\n")
    assert blocks(document) == [("footnote", "[^1]: The note.")]


def test_html_in_markdown(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        '<!-- a\nremark -->\n<h1 align="center">\n  <img src="x" alt="The logo">Foo &amp; Bar\n</h1>\n\n'
        "A <!-- note --> line\n\n```\n<!-- kept -->\n```\n",
    )
    assert document.text.split("\n") == [
        "", "", "", "The logo Foo & Bar", "", "", "A  line", "", "```", "<!-- kept -->", "```", "",
    ]  # fmt: skip
    assert document.title == "The logo Foo & Bar"


def test_headings_with_ids_and_closing_marks(tmp_path: Path) -> None:
    document = read(tmp_path, "# A `b` *c* {#top}\n\n## D ##\n\nE\n---\n")
    assert [(h.level, h.text) for h in document.headings] == [(1, "A b c"), (2, "D"), (2, "E")]


def test_tables_in_plain_text_are_rewritten_and_nothing_else_is(tmp_path: Path) -> None:
    text = (
        "# no heading <b>\nHarbours | a note with a bar\n\n| Harbour | **Depth** |\n|:--|--:|\n| Aldwick | 9 m |\n"
        "| Brohm |  |\n\nls | wc\n-- | --\n\nName | Age\n--- | ---\nAnn | 4\n\n---\n| x |\n"
    )
    document = read(tmp_path, text, "notes.txt")
    assert document.text.split("\n") == [
        "# no heading <b>", "Harbours | a note with a bar", "", "", "", "Harbour: Aldwick; Depth: 9 m",
        "Harbour: Brohm", "", "ls | wc", "-- | --", "", "", "", "Name: Ann; Age: 4", "", "---", "| x |", "",
    ]  # fmt: skip
    assert blocks(document) == [
        ("table", "Harbour: Aldwick; Depth: 9 m\nHarbour: Brohm"),
        ("table", "Name: Ann; Age: 4"),
    ]
    assert (document.blocks[0].header, document.headings) == (("Harbour", "Depth"), ())
    plain = text.replace("|", "/")
    assert read(tmp_path, plain, "notes.txt").text == plain


@pytest.mark.parametrize("name", ["a.md", "a.txt"])
@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle:" + " " * 100_000 + "x\n---\n\ntext",
        "---\n" + " " * 100_000,
        "---\na: &a [x, x]\n" + "".join(f"b{i}: [*a, *a]\n" for i in range(1000)) + "---\ntext",
        "> " * 20_000 + "text",
        "text" + "<!--" * 50_000,
        ("# " + "[" * 4000 + "\n") * 3,
        "|" + "a|" * 100 + "\n|" + "-|" * 100 + "\n" + "|text\n" * 1000,
        "|a" * 2000 + "|\n" + "|-" * 2000 + "|\n" + "|1" * 2000 + "|\ntext",
        "|a" * 50_000 + "\n" + "-" * 50_000 + "\n" + "|-" * 20_000 + " " * 20_000 + "x\n",
        "a|b\n-|-\n\n" * 3000,
    ],
    ids=[
        *("title", "spaces", "references", "quotes", "comments", "brackets", "short rows", "wide table", "no rule"),
        "many tables",
    ],
)
def test_time_is_bounded(tmp_path: Path, text: str, name: str) -> None:
    started = time.process_time()
    read(tmp_path, text + "\ntext\n", name)
    assert time.process_time() - started < 8
