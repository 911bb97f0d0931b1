"""Answers in code, whole: a command, a path or an option is of use only with all its characters.

A reader marks word pieces, which end at each punctuation mark: ``raw --keep 2h`` of
``queue retain telemetry.raw --keep 2h  # until the next reload``.
"""

from __future__ import annotations

import re

__all__ = ["whole_code"]

_MOST = 0.5
"""Share of a line's code from which an answer stands for the whole line."""
_SET = re.compile(r"[:=]\s*[\"'\[(]?$")
"""Before a value, which is whole without its name."""
_BEFORE = re.compile(r"[\w./@:~-]*[./@:_~-]$")
_AFTER = re.compile(r"(?:[._/@:-]+\w+)+")
_PROMPT = re.compile(r"\s*(?:[$%#>] |>>> |PS [^>\n]*> )?")
_COMMENT = re.compile(r"\s+(?:#|//|--) .*$")
_REMARK = re.compile(r"(?:^|(?<=\n)|\s)\s*(?:#|//|--|/?\*+|;+|\"{3})\s")
"""Begins words about code, which are no code."""
_REACH = 200


def whole_code(text: str, start: int, end: int) -> tuple[int, int]:
    """[start, end) of code, grown to whole words of it, and to the whole command where it covers most of a line.

    A command goes on where its line ends in a backslash; prompts and comments behind it are left out. Comments are
    words, and values of settings are whole: they grow to no line.
    """
    if start == end:
        return start, end
    if text[start].isalnum() and (before := _BEFORE.search(text, max(0, start - _REACH), start)):
        start = before.start()
    if text[end - 1].isalnum() and (after := _AFTER.match(text, end, end + _REACH)):
        end = after.end()
    line = text.rfind("\n", 0, start) + 1
    if _REMARK.search(text, line, start) or _SET.search(text, line, start):
        return start, end
    first, last = _command(text, start, end)
    covered = len("".join(text[max(start, first) : min(end, last)].split()))
    if covered >= _MOST * len("".join(text[first:last].split())):
        return min(start, first), max(end, last)
    return start, end


def _command(text: str, start: int, end: int) -> tuple[int, int]:
    """The lines of [start, end), and those they go on in, without prompt and comment."""
    first = text.rfind("\n", 0, start) + 1
    while first > 1 and text[:first].endswith("\\\n"):
        first = text.rfind("\n", 0, first - 1) + 1
    last = _line_end(text, end)
    while text[:last].endswith("\\") and last < len(text):
        last = _line_end(text, last + 1)
    prompt = _PROMPT.match(text, first)
    first = min(prompt.end() if prompt else first, start)
    comment = _COMMENT.search(text, end, last)
    last = comment.start() if comment else last
    return first, max(end, len(text[:last].rstrip()))


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end
