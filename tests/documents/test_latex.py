"""LaTeX: the printed text comes out, without markup, with its structure."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

BOMB = "".join("\\newcommand{\\x" + b + "}{" + f"\\x{a}" * 9 + "}" for a, b in pairwise("abcdefghij")) + "\\xj text"


def read(tmp_path: Path, body: str, preamble: str = "") -> Document:
    path = tmp_path / "a.tex"
    source = f"\\documentclass{{article}}\n{preamble}\n\\begin{{document}}\n{body}\n\\end{{document}}\nafter the end"
    path.write_text(source, encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    return document


def test_text_without_markup(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        r"The sample had 45~mice~\cite{smith2020,roe} (see \ref{x}). It costs 5\,\% \& more --- ``quoted'', M\"uller,"
        "\n\\texttt{a\\_b}, \\href{http://x}{the site}, \\SI{5.2}{\\kilo\\gram}. % secret\nNext % secret\n\n"
        "Second \\textbf{bold}{\\em word}\\footnote{A \\emph{note}.}.\n\n$x_i \\le \\alpha$\n\\input{other}",
    )
    assert document.text == (
        "The sample had 45 mice (see ). It costs 5 % & more — “quoted”, Müller, a_b, the site, 5.2 kg. Next\n\n"
        "Second boldword.\n\nA note.\n\nx_i ≤α"
    )
    assert [block.kind for block in document.blocks] == ["footnote"]


def test_title_sections_and_own_commands(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "\\maketitle\n\\begin{abstract}Short.\\end{abstract}\n\\section{Intro to \\sys}\\label{a}\n"
        "\\sys is \\pair{a}{b} and \\pair{\\sys}{c}.\n\\subsection*{Deep}\nText.",
        "\\newcommand{\\sys}{\\textsc{Heron}\\xspace}\n\\newcommand{\\pair}[2]{#1--#2}\n\\def\\unused{secret}\n"
        "\\title{On \\sys\\\\ Birds}\n\\author{Ren\\'e M\\thanks{secret} \\and Ana Roe}\\date{March 2025}",
    )
    assert document.title == "On Heron Birds"
    assert document.metadata == {"author": "René M, Ana Roe", "created": "March 2025"}
    assert document.text == ("Abstract\n\nShort.\n\nIntro to Heron\n\nHeron is a–b and Heron–c.\n\nDeep\n\nText.")
    assert [(h.level, h.text) for h in document.headings] == [(2, "Abstract"), (2, "Intro to Heron"), (3, "Deep")]


def test_lists_formulas_code_and_references(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "\\begin{itemize}\\item one\\item two\\begin{enumerate}\\item in\\end{enumerate}\\end{itemize}\n"
        "\\begin{description}\\item[Pylon] tall\\end{description}\n"
        "\\begin{equation}\\label{e} y = \\frac{a}{b} \\end{equation}\n"
        "\\begin{verbatim}\nx = 1 % kept\n\\end{verbatim}\n\\begin{tikzpicture}\\node{secret};\\end{tikzpicture}\n"
        "\\begin{thm}[Roe] It holds.\\end{thm}\n"
        "\\begin{thebibliography}{9}\\bibitem{s} Smith.\\end{thebibliography}",
        "\\newtheorem{thm}{Theorem}",
    )
    assert document.text == (
        "- one\n- two\n  1. in\n- Pylon: tall\n\ny = a/b\n\nx = 1 % kept\n\nTheorem (Roe). It holds.\n\n"
        "References\n\n- Smith."
    )
    assert [block.kind for block in document.blocks] == ["list", "code", "list"]


def test_tables(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "\\begin{table}\\caption{Results}\\begin{tabular}{l|cc}\\toprule\n"
        "\\multirow{2}{*}{Model} & \\multicolumn{2}{c}{F1} \\\\ \\cmidrule(lr){2-3}\n & dev & test \\\\ \\midrule\n"
        "\\multirow{2}{*}{Ours} & \\textbf{65.9} & 64.0 \\\\[2pt]\n & 59.6 & a \\& b \\\\ \\bottomrule\n"
        "\\end{tabular}\\end{table}",
    )
    assert document.text == (
        "Results\n\nModel: Ours; F1 dev: 65.9; F1 test: 64.0\nModel: Ours; F1 dev: 59.6; F1 test: a & b"
    )
    assert document.blocks[0].header == ("Model", "F1 dev", "F1 test")


def test_a_chapter_without_a_preamble(tmp_path: Path) -> None:
    path = tmp_path / "chapter.tex"
    path.write_text("\\chapter{One}\nText here.\n", encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    assert (document.text, document.title) == ("One\n\nText here.", "chapter")


@pytest.mark.parametrize(
    "body",
    [
        "{" * 50_000 + "text",
        "{" * 5000 + "text" + "}" * 5000,
        "$" * 50_000 + "text",
        "\\c{text " * 60,
        "$\\frac{\\hat{" * 60 + "text$",
        "\\caption{" + "\\begin{a}{" * 60 + "text",
        "\\begin{verbatim}" * 5000 + "text",
        "\\begin{a}" * 5000 + "text",
        "\\item[" * 5000 + "text",
        "\\section{" * 5000 + "text",
        "\\cite[" * 10_000 + "text",
        "\\newcommand{\\a}{\\a\\a}\\a text",
        BOMB,
        "\\begin{tabular}{ll}" + "\\multicolumn{1000}{c}{text} & " * 300 + "\\\\ b \\end{tabular}",
        "\\begin{tabular}{ll}" + "text & same \\\\" * 3000 + "\\end{tabular}",
    ],
    ids=[
        "open",
        "nested",
        "dollars",
        "accents",
        "fractions",
        "captions",
        "verbatim",
        "begin",
        "item",
        "section",
        "cite",
        "self",
        "bomb",
        "span",
        "rows",
    ],
)
def test_time_is_linear(tmp_path: Path, body: str) -> None:
    started = time.monotonic()
    try:
        read(tmp_path, body)
    except UnreadableDocumentError as error:
        assert "holds no text" in error.message
    assert time.monotonic() - started < 8
