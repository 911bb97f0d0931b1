"""A report as one HTML file that needs nothing else: style and charts are inside, nothing is fetched, nothing runs."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from ragyena.report.draw import to_svg
from ragyena.report.model import Chart, Group, Page, Value

__all__ = ["to_html"]

_HERE = Path(__file__).parent


def to_html(page: Page) -> str:
    """The page; text of questions and answers is escaped. Raises MissingDependencyError without matplotlib."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": _inline, "kind": lambda block: type(block).__name__, "drawn": _drawn}
    environment.tests |= {
        "group": lambda row: isinstance(row, Group),
        "value": lambda cell: isinstance(cell, Value),
    }
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))
    text = environment.get_template("page.html.jinja").render(page=page, style=style)
    return text.encode("utf-8", "replace").decode()


def _drawn(chart: Chart) -> Markup:
    """The chart as an element of the page: no prolog, no namespaces, a name for screen readers."""
    svg = to_svg([chart])
    svg = re.sub(r' xmlns(?::\w+)?="[^"]*"| version="[^"]*"', "", svg[svg.index("<svg") :])
    return Markup(svg).replace("<svg ", Markup('<svg role="img" aria-label="{}" ').format(chart.title), 1)


def _inline(text: str) -> Markup:
    """Backticks as code."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )
