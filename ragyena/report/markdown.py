"""A report as GitHub's Markdown: charts are pictures in a folder beside it, or give way to their numbers."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from ragyena.report.model import Block, Bullets, Cell, Code, Example, Examples, Figures, Group, Page, Table, Text, Value

__all__ = ["blocks_to_markdown", "to_markdown"]

_WIDTH = 120  # columns of a line of prose


def to_markdown(page: Page, pictures: str = "") -> str:
    """The page; ``pictures`` is the folder its named figures link to, without which they give their numbers alone."""
    parts = [f"# {_plain(page.title)}", _plain(page.subtitle)]
    for section in page.sections:
        parts += [f"{'#' * section.level} {_plain(section.title)}"] if section.title else []
        parts += blocks_to_markdown(section.blocks, pictures)
    return "\n\n".join(filter(None, parts)) + "\n"


def blocks_to_markdown(blocks: Sequence[Block], pictures: str = "") -> list[str]:
    """The blocks of a section, one string each."""
    return [text for block in blocks for text in _block(block, pictures)]


def _block(block: Block, pictures: str) -> Iterator[str]:
    match block:
        case Text(text):
            yield _wrapped(text)
        case Bullets(items):
            yield "\n".join(_wrapped(f"- {_line(item)}", indent="  ") for item in items)
        case Table():
            yield _table(block)
        case Figures(charts, table, name):
            if pictures and name:
                yield f"![{_plain('; '.join(chart.title for chart in charts))}]({pictures}/{name}.svg)"
            if table:
                yield _table(table)
        case Code(title, text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            yield f"{title}:\n\n{fence}yaml\n{text.rstrip()}\n{fence}"
        case Examples(examples):
            for example in examples:
                yield _example(example)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _table(table: Table) -> str:
    width = len(table.head)
    marks = [":--" if place < table.left else "--:" for place in range(width)]
    lines = [_row([name or " " for name in table.head]), _row(marks, escape=False)]
    for row in table.rows:
        if isinstance(row, Group):
            lines.append("| **" + _plain(row.title) + "** |" + " |" * (width - 1))
        else:
            lines.append(_row([_cell(cell) for cell in row] + [""] * (width - len(row)), escape=False))
    return "\n".join(lines)


def _row(cells: list[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(_plain(cell) if escape else cell for cell in cells) + " |"


def _cell(cell: Cell) -> str:
    return str(cell) if isinstance(cell, Value) else _plain(cell)


def _example(example: Example) -> str:
    gold = "; ".join(map(_plain, example.gold)) or "none: nothing in the context answers it"
    lines = [
        f"**{_plain(example.question)}**",
        "",
        f"- {_plain(example.condition)}; {_plain(example.kind)}",
        f"- gold: {gold}",
    ]
    for answer in example.answers:
        said = _plain(answer.text) or "(no answer)"
        evidence = f": “{_plain(answer.evidence)}”" if answer.evidence else ""
        lines.append(
            f"- {_plain(answer.reader)} {'✓' if answer.right else '✗'} **{said}** ({answer.confidence:.0%} confident)"
            f"{evidence}"
        )
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text in which nothing is markup, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", _line(text))


def _line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())
