"""Ignore patterns, as in a .gitignore: translated by pathspec, matched by RE2 in time linear in the length of a path.

Python's own regular expressions take exponential time on a pattern such as ``*a*a*a*a*b``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ragyena.documents.decoding import decode
from ragyena.errors import UnreadableDocumentError
from ragyena.files import SMALL_FILE_BYTES, read_file
from ragyena.parsing import replace_surrogates

__all__ = ["IgnoreRules"]

log = logging.getLogger(__name__)

LONGEST = 4096
"""Chars of a pattern: no path of a file is longer."""
MOST = 2_000
"""Patterns of one file."""
NAMED = 5
"""Lines that cannot be used and are named one by one."""


class IgnoreRules:
    """Patterns of one file, or of a setting, and the folder that their paths are relative to."""

    def __init__(self, lines: Iterable[str], place: str) -> None:
        """``place`` names the lines in warnings: one that is no pattern is named and left out."""
        from pathspec import GitIgnoreSpec

        patterns: list[Any] = []
        unusable: list[str] = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            if len(patterns) == MOST:
                log.warning("%s: only the first %d patterns are used", place, MOST)
                break
            try:
                patterns.append(_pattern(line))
            except ValueError as error:
                unusable.append(f"line {number}, {line[:60]!r}: {error}")
        for problem in unusable[:NAMED]:
            log.warning("%s, %s; the line is left out", place, problem)
        if len(unusable) > NAMED:
            log.warning("%s: %d more lines are no patterns and are left out", place, len(unusable) - NAMED)
        self._spec = GitIgnoreSpec(patterns, backend="simple")

    @classmethod
    def of_folder(cls, folder: Path) -> IgnoreRules | None:
        """The rules of a folder's .gitignore; None without one. One that cannot be read is named and left out."""
        path = folder / ".gitignore"
        try:
            return cls(decode(read_file(path, SMALL_FILE_BYTES), path).splitlines(), str(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("%s cannot be read and is left out: %s", path, error.strerror or error)
        except UnreadableDocumentError as error:
            log.warning("%s; it is left out", error.message)
        return None

    def verdict(self, path: str) -> bool | None:
        """True where ``path`` (relative, parted and for a folder ended by ``/``) is ignored, False where a pattern
        takes it in again, None where no pattern matches."""
        return self._spec.check_file(replace_surrogates(path)).include


def _pattern(line: str) -> Any:
    """A pattern that matches in linear time. Raises ValueError for a line that is none."""
    import re2
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    if len(line) > LONGEST:
        raise ValueError(f"a pattern has at most {LONGEST} characters")
    try:
        with warnings.catch_warnings(action="ignore"):
            pattern = GitIgnoreSpecPattern(line)
        if pattern.regex is not None:
            pattern.regex = re2.compile(pattern.regex.pattern, _options())
    except Exception as error:  # each of pathspec, re and re2 has its own
        raise ValueError("it is not a pattern") from error
    return pattern


def _options() -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    return options
