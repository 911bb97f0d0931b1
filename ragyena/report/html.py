"""A report as one HTML file that needs nothing else: style and charts are inside, nothing is fetched, nothing runs."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from ragyena.report.blocks import Group, Page, Value
from ragyena.report.charts import swatch

__all__ = ["to_html"]

_HERE = Path(__file__).parent


def to_html(page: Page) -> str:
    """Whatever stands in questions and answers is text, never markup."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "inline": _inline,
        "kind": lambda block: type(block).__name__,
        "safe_svg": Markup,  # made by charts.py, which escapes what it writes
        "swatch": _swatch,
    }
    environment.tests |= {
        "group": lambda row: isinstance(row, Group),
        "value": lambda cell: isinstance(cell, Value),
    }
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))
    text = environment.get_template("page.html.jinja").render(page=page, style=style)
    return text.encode("utf-8", "replace").decode()


def _swatch(style: int) -> Markup:
    return Markup(swatch(style))


def _inline(text: str) -> Markup:
    """Backticks as code."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )
