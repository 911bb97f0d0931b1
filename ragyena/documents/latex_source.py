"""LaTeX source made plain to scan: comments dropped, the author's own commands expanded, braces and environments
paired. Every step takes time linear in the source."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Source", "argument", "brace_pairs", "prepared", "without_comments"]

LONGEST_BODY = 2000
"""Chars of a command's definition; a longer one is not expanded."""
MOST_COMMANDS = 2000
LARGEST_GROWTH = 3
"""Expanding stops once the source is this many times as long."""
_VERBATIM = re.compile(r"\\begin\{(verbatim\*?|Verbatim|lstlisting|minted|alltt|comment|filecontents\*?)\}")
_COMMENT = re.compile(r"\\.|%[^\n]*(?:\n[ \t]*(?=\S))?", re.DOTALL)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_DEFINITION = re.compile(
    r"\\(?:(?:re|provide)?newcommand|renewcommand|providecommand|DeclareRobustCommand|DeclareMathOperator)\*?\s{0,9}"
    r"\{?\s{0,9}\\([A-Za-z@]{1,60})\s{0,9}\}?\s{0,9}(?:\[(\d)\])?\s{0,9}(?:\[([^\[\]]{0,200})\])?\s{0,9}(?=\{)"
    r"|\\def\s{0,9}\\([A-Za-z@]{1,60})\s{0,9}((?:\#\d){0,9})(?=\{)"
)
_THEOREM = re.compile(r"\\newtheorem\*?\s{0,9}\{([A-Za-z]{1,40}\*?)\}(?:\[[^\[\]]{0,60}\])?\s{0,9}\{([^{}]{1,80})\}")
_NAME = re.compile(r"\\([A-Za-z@]+)[ \t]*|\\.", re.DOTALL)
_KEPT = frozenset(
    """
    begin end section subsection subsubsection chapter part paragraph item caption title author date label ref cite
    footnote textbf emph maketitle input include
    """.split()  # noqa: SIM905 -- as a list it would take a line a name
)
"""Commands that this package reads itself, even where the author defines them anew."""


@dataclass(frozen=True, slots=True)
class Source:
    """LaTeX source ready to scan."""

    text: str
    verbatim: tuple[str, ...]
    """The contents of verbatim environments; ``\\verbatimblock{N}`` stands for number N in ``text``."""
    theorems: dict[str, str]
    """Environment -> its printed name (``thm`` -> ``Theorem``)."""


def prepared(text: str) -> Source:
    """The source without comments and definitions, with the author's commands expanded."""
    text, verbatim = without_comments(text)
    theorems = {match[1]: match[2] for match in _THEOREM.finditer(text)}
    text, commands = _definitions(text)
    return Source(_expanded(text, commands) if commands else text, verbatim, theorems)


def without_comments(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without comments, its verbatim environments taken out."""
    parts: list[str] = []
    verbatim: list[str] = []
    never_ends: set[str] = set()
    position = 0
    for match in _VERBATIM.finditer(text):
        if match.start() < position or match[1] in never_ends:
            continue
        line_start = text.rfind("\n", position, match.start()) + 1
        if "%" in text[max(line_start, position) : match.start()].replace("\\%", ""):
            continue  # inside a comment
        end = text.find(f"\\end{{{match[1]}}}", match.end())
        if end < 0:
            never_ends.add(match[1])
            continue
        parts.append(_COMMENT.sub(_kept, text[position : match.start()]))
        if match[1] not in {"comment", "filecontents", "filecontents*"}:
            parts.append(f"\\verbatimblock{{{len(verbatim)}}}")
            content = text[match.end() : end]
            verbatim.append(re.sub(r"\A[ \t]*(?:\[[^\]\n]{0,500}\])?(?:\{[\w+-]{1,40}\})?[ \t]*\n", "", content))
        position = end + len(f"\\end{{{match[1]}}}")
    parts.append(_COMMENT.sub(_kept, text[position:]))
    return "".join(parts), tuple(verbatim)


def brace_pairs(text: str) -> dict[int, int]:
    """Place of each opening brace -> place of the one that closes it."""
    pairs: dict[int, int] = {}
    stack: list[int] = []
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            stack.append(match.start())
        elif match[0] == "}" and stack:
            pairs[stack.pop()] = match.start()
    return pairs


def argument(text: str, position: int, pairs: dict[int, int]) -> tuple[str, int]:
    """The argument in braces at a place and the place after it; "" and the same place where there is none."""
    start = position
    while start < len(text) and text[start] in " \t\n" and start - position < 200:
        start += 1
    end = pairs.get(start)
    return (text[start + 1 : end], end + 1) if end is not None else ("", position)


def _kept(match: re.Match[str]) -> str:
    return match[0] if match[0][0] == "\\" else ""


def _definitions(text: str) -> tuple[str, dict[str, tuple[int, str | None, str]]]:
    """The text without definitions of commands, and these: name -> (arguments, default of the first, body)."""
    if "\\def" not in text and "command" not in text and "MathOperator" not in text:
        return text, {}
    pairs = brace_pairs(text)
    commands: dict[str, tuple[int, str | None, str]] = {}
    parts: list[str] = []
    position = 0
    for match in _DEFINITION.finditer(text):
        if match.start() < position:
            continue
        body, end = argument(text, match.end(), pairs)
        if end == match.end():
            continue
        name = match[1] or match[4]
        count = int(match[2] or 0) if match[1] else len(match[5]) // 2
        if name not in _KEPT and len(body) <= LONGEST_BODY and len(commands) < MOST_COMMANDS:
            body = f"{{{body}}}" if "MathOperator" in match[0] else body
            commands[name] = (count, match[3], body.replace("\\xspace", ""))
        parts.append(text[position : match.start()])
        position = end
    parts.append(text[position:])
    return "".join(parts), commands


def _expanded(text: str, commands: dict[str, tuple[int, str | None, str]]) -> str:
    """The text with commands replaced by their bodies, those inside bodies too, some levels deep."""
    limit = LARGEST_GROWTH * len(text) + 10_000
    for _ in range(4):
        pairs = brace_pairs(text)
        parts: list[str] = []
        position = length = 0
        for match in _NAME.finditer(text):
            command = commands.get(match[1]) if match[1] else None
            if command is None or match.start() < position or length > limit:
                continue
            body, end = _applied(text, match, command, pairs)
            parts += (text[position : match.start()], body)
            length += match.start() - position + len(body)
            position = end
        if not parts:
            return text
        text = "".join((*parts, text[position:]))
    return text


def _applied(
    text: str, match: re.Match[str], command: tuple[int, str | None, str], pairs: dict[int, int]
) -> tuple[str, int]:
    """The body of a command with its arguments put in, and the place after them."""
    count, default, body = command
    position = match.end()
    values: list[str] = []
    if count and default is not None:
        values.append(default)
        if text[position : position + 1] == "[":
            end = text.find("]", position, position + 500)
            if end > 0:
                values[0], position = text[position + 1 : end], end + 1
    while len(values) < count:
        value, end = argument(text, position, pairs)
        values.append(value[:LONGEST_BODY])
        position = end
    if count:
        body = re.sub(r"#(\d)", lambda sign: values[int(sign[1]) - 1] if 0 < int(sign[1]) <= count else "", body)
    elif text[match.end() : match.end() + 2] == "{}":
        position = match.end() + 2
    elif match[0][-1] in " \t" and "\\" in match[0]:
        body += " "  # \name does not swallow the space for the reader
    return body, position
