"""Metadata at the top of a text file: YAML between ``---``, TOML between ``+++``, a title block of ``%`` lines."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from ragyena.parsing import MalformedError, parse_yaml

__all__ = ["flatten", "front_matter"]

LONGEST = 2000
"""Lines of front matter."""
LARGEST = 50_000
"""Chars of front matter that are parsed; what is longer is no metadata."""
MOST_BRACKETS = 1000
"""A parser of YAML takes time quadratic in the brackets that are open."""
MOST_FIELDS = 200
LONGEST_VALUE = 2000
"""Chars of one value."""
MOST_STEPS = 5000
"""Values looked at; references can make a small file stand for a huge tree."""


def front_matter(lines: Sequence[str]) -> tuple[int, dict[str, str]]:
    """The number of lines that the front matter takes (0 for none) and its fields.

    Lists are joined by ``, ``, nested fields named ``outer.inner``, values kept as they are written.
    """
    fence = lines[0].rstrip() if lines else ""
    closing = {"---": {"---", "..."}, "+++": {"+++"}}.get(fence)
    if closing is None:
        return _title_block(lines)
    end = next((i for i in range(1, min(len(lines), LONGEST)) if lines[i].rstrip() in closing), 0)
    if end == 0:
        return 0, {}
    inside = lines[1:end]
    text = "\n".join(line.rstrip() for line in inside)
    if len(text) > LARGEST or text.count("[") + text.count("{") > MOST_BRACKETS:
        return end + 1, {}
    return end + 1, (_toml if fence == "+++" else _yaml)(text, inside)


def flatten(value: Any) -> dict[str, str]:
    """Nested fields as one level of texts."""
    fields: dict[str, list[str]] = {}
    for steps, (key, text) in enumerate(_leaves(value)):
        if steps > MOST_STEPS or (key not in fields and len(fields) >= MOST_FIELDS):
            break
        if key and text:
            fields.setdefault(key, []).append(text)
    return {key: ", ".join(texts)[:LONGEST_VALUE] for key, texts in fields.items()}


def _leaves(value: Any) -> Iterator[tuple[str, str]]:
    """(name, text) of every value, "" for a text that is missing. The walk is not recursive and yields at each step,
    so that the caller can stop it."""
    ahead: list[tuple[str, Any, int]] = [("", value, 0)]
    while ahead:
        name, item, depth = ahead.pop()
        if isinstance(item, dict | list) and (depth > 20 or len(ahead) > MOST_STEPS):
            yield "", ""
        elif isinstance(item, dict):
            yield "", ""
            pairs = list(item.items())[:MOST_FIELDS]
            ahead += [(f"{name}.{key}"[-200:] if name else str(key)[:200], v, depth + 1) for key, v in reversed(pairs)]
        elif isinstance(item, list):
            yield "", ""
            ahead += [(name, entry, depth + 1) for entry in reversed(item[:MOST_STEPS])]
        else:
            yield name, "" if item is None else " ".join(str(item)[:LONGEST_VALUE].split())


def _yaml(text: str, lines: Sequence[str]) -> dict[str, str]:
    try:
        value = parse_yaml(text, scalars_as_text=True)
    except MalformedError:
        return flatten(_plain_fields(lines))
    return flatten(value) if isinstance(value, dict) else {}


def _toml(text: str, lines: Sequence[str]) -> dict[str, str]:
    try:
        return flatten(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return flatten(_plain_fields(lines))


def _plain_fields(lines: Sequence[str]) -> dict[str, str]:
    """``name: value`` and ``name = value`` lines of front matter that is not well formed."""
    fields = {}
    for line in lines:
        for sign in (":", "="):
            name, found, value = line.partition(sign)
            if found and name.strip() and name == name.lstrip() and len(name) <= 80:
                fields[name.strip()] = value.strip().strip("\"'")
                break
    return fields


def _title_block(lines: Sequence[str]) -> tuple[int, dict[str, str]]:
    """Up to three lines that start with ``% ``: title, authors, date (Pandoc)."""
    fields = {}
    count = 0
    for name, line in zip(("title", "author", "date"), lines, strict=False):
        if not line.startswith("% "):
            break
        count += 1
        if line[2:].strip():
            fields[name] = ", ".join(part.strip() for part in line[2:LONGEST_VALUE].split(";"))
    return count, fields
