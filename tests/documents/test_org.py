"""Org mode: lines are the file's; headlines, tables, blocks and keywords are told apart."""

from __future__ import annotations

import time
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.types import Document

TEXT = """#+TITLE: Lamp notes
#+AUTHOR: R. Vance
#+FILETAGS: :light:sea:
#+TODO: NEXT | WAIT
# a secret remark
* NEXT [#A] Buy lamp [1/2]            :work:home:
See [[https://example.org][the site]].
** Table
| Model | Weight |
|-------+--------|
| V-20  | 3.9    |
- one
  more
- two
  #+BEGIN_SRC python
  * no headline
  #+END_SRC
#+begin_comment
secret
#+end_comment
"""


def read(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "a.org"
    path.write_text(text, encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    assert document.text.count("\n") == text.count("\n")
    return document


def test_structure(tmp_path: Path) -> None:
    document = read(tmp_path, TEXT)
    assert document.title == "Lamp notes"
    assert document.metadata == {"author": "R. Vance", "tags": "light, sea"}
    assert [(h.level, h.text) for h in document.headings] == [(1, "Buy lamp"), (2, "Table")]
    assert document.text.split("\n")[:5] == ["Lamp notes", "Author: R. Vance", "Tags: light, sea", "", ""]
    assert document.text.split("\n")[10] == "Model: V-20; Weight: 3.9"
    assert "See the site." in document.text
    assert "secret" not in document.text
    assert [(block.kind, document.text[block.start : block.end]) for block in document.blocks] == [
        ("table", "Model: V-20; Weight: 3.9"),
        ("list", "- one\n  more\n- two"),
        ("code", "  * no headline"),
    ]


def test_keywords_are_readable_and_settings_are_left_out(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "#+title: Lamp\n#+Title: notes\n#+SUBTITLE: For the keepers\n#+DATE: <2024-03-01 Fri>\n"
        "#+EMAIL: ann@example.org\n#+OPTIONS: toc:nil\n#+LATEX_HEADER: \\usepackage{x}\n#+STARTUP: showall\n"
        "#+DESCRIPTION:\n#+CAPTION: The [[file:l.png][lens]] at night\n#+KIND: draft\n"
        "#+begin_src org\n#+TITLE: in code\n#+end_src\n",
    )
    assert document.title == "Lamp notes"
    assert document.metadata == {"created": "2024-03-01 Fri"}
    assert [line for line in document.text.split("\n") if line] == [
        "Lamp", "notes", "For the keepers", "Date: 2024-03-01 Fri", "Email: ann@example.org", "The lens at night",
        "#+KIND: draft", "#+begin_src org", "#+TITLE: in code", "#+end_src",
    ]  # fmt: skip


def test_the_title_is_that_of_the_one_top_headline(tmp_path: Path) -> None:
    assert read(tmp_path, "* Plan\nCall Ana.\n").title == "Plan"


def test_blocks_that_never_end_take_linear_time(tmp_path: Path) -> None:
    started = time.monotonic()
    read(tmp_path, "#+begin_src\ntext\n" * 30_000)
    assert time.monotonic() - started < 5
