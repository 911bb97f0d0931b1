"""LaTeX without its markup: sections, lists, tables, formulas, code. Files that ``\\input`` names are not read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.html_tables import write_cells
from ragyena.documents.latex_inline import plain
from ragyena.documents.latex_source import Source, argument, brace_pairs, prepared
from ragyena.documents.merged_cells import Cell
from ragyena.documents.text_builder import TextBuilder
from ragyena.types import Document

SUFFIXES = (".tex", ".ltx", ".latex")
WAY_OUT: dict[str, str] = {}

_TOKEN = re.compile(
    r"\\(begin|end)\s{0,9}\{\s{0,9}([A-Za-z]{1,40}\*?)\s{0,9}\}"
    r"|\\(part|chapter|section|subsection|subsubsection|paragraph|subparagraph|frametitle|caption|title|author|date|"
    r"item|footnote|footnotetext|bibitem|abstract|verbatimblock|keywords|maketitle|captionof)\b\*?"
    r"|(\n[ \t]*\n\s*|\\par\b|\\newpage\b|\\clearpage\b)|(\\\[|\\\]|\$\$)|\\.",
    re.DOTALL,
)
_OPTIONAL = re.compile(r"\s{0,9}\[([^\[\]]{0,500})\]")
_LEVELS = {"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "frametitle": 3}
_LEVELS |= {"paragraph": 5, "subparagraph": 6}
_LISTS = frozenset({"itemize", "enumerate", "description", "compactitem", "compactenum", "inparaenum", "asparaenum"})
_TABLES = frozenset(
    {"tabular", "tabular*", "tabularx", "tabulary", "longtable", "supertabular", "xltabular", "tblr", "longtblr"}
)
_FORMULAS = frozenset(
    {"equation", "align", "gather", "multline", "eqnarray", "displaymath", "math", "flalign", "alignat", "dmath"}
)
_DRAWINGS = frozenset({"tikzpicture", "pgfpicture", "pspicture", "picture", "CCSXML", "tikzcd", "forest", "axis"})
_THEOREMS = frozenset(
    {"theorem", "lemma", "corollary", "proposition", "definition", "remark", "example", "proof", "claim", "conjecture"}
)
_ARGUMENTS = {"minipage": 1, "multicols": 1, "adjustbox": 1, "subfigure": 1, "wrapfigure": 2, "thebibliography": 1}
_ROW = re.compile(
    r"\\\\(?:\s{0,9}\*)?(?:\s{0,9}\[[^\[\]]{0,40}\])?|\\tabularnewline\b|\\begin\b|\\end\b|\\.|[{}&]", re.DOTALL
)
_RULES = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|addlinespace|cline|cmidrule|specialrule|rowcolor|hhline|noalign|"
    r"arrayrulecolor|endfirsthead|endhead|endfoot|endlastfoot|morecmidrules|centering|caption|label)\b\*?"
    r"(?:\s{0,9}(?:\([^()]{0,40}\)|\[[^\[\]]{0,200}\]|\{[^{}]{0,500}\})){0,4}"
)
_SPAN = re.compile(r"\s{0,99}\\(multicolumn|multirow)\*?(?:\[[^\[\]]{0,20}\])?\s{0,9}\{\s{0,9}(-?\d{1,4})\s{0,9}\}")


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    yield _Reader(prepared(read_text(path))).read(path)


class _Reader:
    """Scans one source from its beginning to its end."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._pairs = brace_pairs(source.text)
        self._builder = TextBuilder()
        self._line: list[str] = []
        self._lists: list[tuple[str, int]] = []
        self._marker: str | None = None
        self._notes: list[str] = []
        self._fields: dict[str, str] = {}

    def read(self, path: Path) -> Document:
        text = self._text
        start = text.find("\\begin{document}")
        end = text.find("\\end{document}", max(start, 0))
        if start > 0:
            self._scan(0, start, is_preamble=True)
        self._scan(max(start, 0), end if end >= 0 else len(text))
        self._flush()
        title = self._fields.pop("title", "")
        return self._builder.document(path, title, self._fields)

    def _scan(self, position: int, end: int, *, is_preamble: bool = False) -> None:
        text = self._text
        ends = _environment_ends(text, position, end) if not is_preamble else {}
        while position < end:
            match = _TOKEN.search(text, position, end)
            if match is None:
                break
            if not is_preamble:
                self._line.append(text[position : match.start()])
            position = match.end()
            if match[3]:
                position = self._command(match[3], position, is_preamble)
            elif is_preamble:
                continue
            elif match[1] == "begin":
                position = self._begin(match[2], position, ends.get(match.start()))
            elif match[1]:
                self._end(match[2])
            elif match[4]:
                self._flush()
            elif match[5] and match[5] != "\\]":
                closing = text.find("\\]" if match[5] == "\\[" else "$$", position, position + 10_000)
                if closing >= 0:
                    self._formula(text[position:closing])
                    position = closing + 2
            else:
                self._line.append(match[0])
        else:
            return
        if not is_preamble:
            self._line.append(text[position:end])

    def _command(self, name: str, position: int, is_preamble: bool) -> int:
        text = self._text
        optional = _OPTIONAL.match(text, position)
        after = optional.end() if optional else position
        if name == "item":
            self._flush()
            return self._item(optional, position)
        if name == "maketitle":
            return position
        content, end = argument(text, after, self._pairs)
        if end == after and name != "bibitem":
            return position
        if name in {"title", "author", "date", "keywords"}:
            words = plain(
                re.sub(r"\\(?:and|AND|And|quad|qquad)\b|\\\\", ", " if name == "author" else " ", content[:4000])
            )
            key = {"date": "created"}.get(name, name)
            if words and "\\today" not in content:
                self._fields.setdefault(key, re.sub(r"(?:\s*,)+\s*", ", ", words).strip(", "))
        elif is_preamble:
            return position
        elif name in _LEVELS:
            self._flush()
            self._builder.heading(_LEVELS[name], plain(content))
        elif name in {"caption", "captionof"}:
            if name == "captionof":
                content, end = argument(text, end, self._pairs)
            self._flush()
            self._builder.block(plain(content))
        elif name in {"footnote", "footnotetext"}:
            self._notes.append(plain(content))
        elif name == "bibitem":
            self._flush()
            self._marker = "-"
        elif name == "verbatimblock":
            self._flush()
            if content.isdecimal() and int(content) < len(self._source.verbatim):
                self._builder.code(self._source.verbatim[int(content)])
        elif name == "abstract":
            self._flush()
            self._builder.heading(2, "Abstract")
            self._builder.block(plain(content))
        return end

    def _item(self, optional: re.Match[str] | None, position: int) -> int:
        kind, number = self._lists[-1] if self._lists else ("itemize", 0)
        if self._lists:
            self._lists[-1] = (kind, number + 1)
        self._marker = f"{number + 1}." if "enum" in kind else "-"
        if optional is None:
            return position
        label = plain(optional[1])
        if kind == "description":
            self._line.append(f"{label.rstrip(':')}: ")
        elif label and any(map(str.isalnum, label)):
            self._marker = label
        return optional.end()

    def _begin(self, name: str, position: int, end: int | None) -> int:
        """Begin an environment at the place after its ``\\begin{name}``; the place to go on at."""
        base = name.rstrip("*")
        if end is not None and (name in _TABLES or base in _FORMULAS or base in _DRAWINGS):
            content = self._text[position:end]
            if name in _TABLES:
                self._flush()
                _table(self._builder, content, name)
            elif base in _FORMULAS:
                self._formula(content)
            return end
        optional = _OPTIONAL.match(self._text, position)
        self._flush()
        if base in _LISTS:
            self._lists.append((base, 0))
        elif base == "abstract":
            self._builder.heading(2, "Abstract")
        elif base == "thebibliography":
            self._builder.heading(2, "References")
        elif base == "frame":
            title, after = argument(self._text, optional.end() if optional else position, self._pairs)
            if title:
                self._builder.heading(3, plain(title))
                return after
        elif base in _THEOREMS or base in self._source.theorems:
            label = self._source.theorems.get(base) or base.capitalize()
            self._line.append(f"{label} ({optional[1]}). " if optional else f"{label}. ")
        position = optional.end() if optional else position
        for _ in range(_ARGUMENTS.get(base, 0)):
            _, position = argument(self._text, position, self._pairs)
        return position

    def _end(self, name: str) -> None:
        self._flush()
        if name.rstrip("*") in _LISTS and self._lists:
            self._lists.pop()
        self._marker = None

    def _formula(self, content: str) -> None:
        """Write a formula that stands on lines of its own."""
        if not content.strip():
            return
        self._flush()
        content = re.sub(r"\\(?:nonumber|notag)\b|\\(?:label|tag)\*?\{[^{}]{0,200}\}", "", content)
        lines = [plain(f"${row.replace('&', ' ')}$") for row in re.split(r"\\\\(?:\[[^\[\]]{0,20}\])?", content)]
        self._builder.block("\n".join(filter(None, lines)))

    def _flush(self) -> None:
        text = "".join(self._line)
        self._line.clear()
        lines = [plain(line) for line in re.split(r"\\\\\*?(?:\[[^\[\]]{0,20}\])?|\\newline\b", text)]
        text = "\n".join(filter(None, lines))
        if text:
            level = max(0, len(self._lists) - 1)
            if self._marker is not None:
                self._builder.list_item(text, marker=self._marker, level=level)
                self._marker = None
            elif self._lists:
                self._builder.list_item(text, marker=" ", level=level)
            else:
                self._builder.block(text)
        for note in self._notes:
            self._builder.block(note, kind="footnote")
        self._notes.clear()


def _environment_ends(text: str, start: int, end: int) -> dict[int, int]:
    """Place of each ``\\begin`` -> place of the ``\\end`` of the same environment."""
    ends: dict[int, int] = {}
    stacks: dict[str, list[int]] = {}
    for match in re.finditer(r"\\(begin|end)\s{0,9}\{\s{0,9}([A-Za-z]{1,40}\*?)\s{0,9}\}", text[start:end]):
        stack = stacks.setdefault(match[2], [])
        if match[1] == "begin":
            stack.append(start + match.start())
        elif stack:
            ends[stack.pop()] = start + match.start()
    return ends


def _table(builder: TextBuilder, content: str, name: str) -> None:
    """Write a table of rows parted by ``\\\\`` and cells parted by ``&``."""
    pairs = brace_pairs(content)
    position = 0
    for _ in range(2 if name in {"tabular*", "tabularx", "tabulary", "xltabular"} else 1):
        optional = _OPTIONAL.match(content, position)
        _, position = argument(content, optional.end() if optional else position, pairs)
    rows: list[list[Cell]] = []
    head = first_head = None
    for raw in _raw_rows(content[position:]):
        rules = " ".join(match[0] for match in _RULES.finditer(raw[0]))
        if "\\endfirsthead" in rules:
            first_head = len(rows)
        elif "\\endhead" in rules and first_head is not None:
            del rows[first_head:]  # the names again, for the next page
            head = first_head
        elif ("\\midrule" in rules or "\\hline" in rules or "\\endhead" in rules) and head is None and rows:
            head = len(rows)
        if "\\endfoot" in rules or "\\endlastfoot" in rules:
            del rows[head or first_head or 0 :]
        caption = re.search(r"\\caption\*?(?:\[[^\[\]]{0,200}\])?\s{0,9}(?=\{)", raw[0])
        if caption is not None:
            builder.block(plain(argument(raw[0], caption.end(), brace_pairs(raw[0]))[0]))
        cells = [_cell(_RULES.sub(" ", cell)) for cell in raw]
        if any(cell.text for cell in cells):
            rows.append(cells)
    write_cells(builder, _filled_down(rows), head=head if head is not None and head <= 3 else 0)


def _filled_down(rows: list[list[Cell]]) -> list[list[Cell]]:
    """The text of a cell over several rows put into the empty cells that the source has below it."""
    hanging: dict[int, tuple[int, str]] = {}  # column -> rows left, text
    filled: list[list[Cell]] = []
    for row in rows:
        line: list[Cell] = []
        column = 0
        for cell in row:
            left, text = hanging.pop(column, (0, ""))
            if cell.rows > 1:
                left, text = cell.rows, cell.text
            if left > 1:
                hanging[column] = (left - 1, text)
            line.append(Cell(cell.text or (text if left else ""), cell.columns))
            column += cell.columns
        filled.append(line)
    return filled


def _raw_rows(content: str) -> Iterator[list[str]]:
    """The cells of each row, as source."""
    cells: list[str] = []
    depth = start = 0
    for match in _ROW.finditer(content):
        token = match[0]
        if token in ("{", "\\begin"):
            depth += 1
        elif token in ("}", "\\end"):
            depth = max(0, depth - 1)
        elif depth == 0 and (token == "&" or token.startswith("\\\\") or token == "\\tabularnewline"):
            cells.append(content[start : match.start()])
            start = match.end()
            if token != "&":
                yield cells
                cells = []
    yield [*cells, content[start:]]


def _cell(source: str) -> Cell:
    columns, rows = 1, 1
    for _ in range(2):
        span = _SPAN.match(source)
        if span is None:
            break
        pairs = brace_pairs(source)
        _, position = argument(source, span.end(), pairs)
        if position == span.end() and source[position : position + 1] == "*":
            position += 1
        inner, position = argument(source, position, pairs)
        if span[1] == "multicolumn":
            columns = max(1, abs(int(span[2])))
        else:
            rows = max(1, abs(int(span[2])))
        source = f"{inner} {source[position:]}"
    return Cell(plain(source.replace("\\\\", " ")), columns, rows)
