"""A report as Markdown: the same sections, the numbers behind the charts in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragyena.report.blocks import (
    Block,
    Bullets,
    Cell,
    Code,
    Example,
    Examples,
    Figures,
    Group,
    Page,
    Table,
    Text,
    Value,
)

__all__ = ["to_markdown"]


def to_markdown(page: Page) -> str:
    """GitHub's Markdown."""
    parts = [f"# {_plain(page.title)}", _plain(page.subtitle)]
    for section in page.sections:
        parts.append(f"{'#' * section.level} {_plain(section.title)}")
        for block in section.blocks:
            parts += _block(block)
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Text(text):
            yield text
        case Bullets(items):
            yield "\n".join(f"- {_line(item)}" for item in items)
        case Table():
            yield _table(block)
        case Figures():
            yield _table(block.table)
        case Code(title, text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            yield f"{title}:\n\n{fence}yaml\n{text.rstrip()}\n{fence}"
        case Examples(examples):
            for example in examples:
                yield _example(example)


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
    if isinstance(cell, Value):
        return f"{cell.text}{cell.mark}" + (f" ({', '.join(cell.below.splitlines())})" if cell.below else "")
    return _plain(cell)


def _example(example: Example) -> str:
    gold = "; ".join(map(_plain, example.gold)) or "none: nothing in the context answers it"
    lines = [
        f"**{_plain(example.question)}**",
        "",
        f"- {_plain(example.condition)}; {_plain(example.why)}",
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
