"""Paths that a user names -> the files under them, walked as git would, and what is not read, by type."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ragyena.documents.formats import format_of, may_hold_secrets, unsupported
from ragyena.documents.ignore import IgnoreRules
from ragyena.errors import PathNotFoundError
from ragyena.parsing import replace_surrogates
from ragyena.types import Skipped

__all__ = ["Found", "find_files", "listed_left_out"]

_NEVER = ("__pycache__/", "node_modules/", "venv/", "*.egg-info/", "*.min.js", "*.min.css", "*.lock", "~$*")
"""Left out of every walk, as are hidden files and folders."""

NO_SUFFIX = "no suffix"
BROKEN_LINK = "broken links"
SECRET = "that may hold passwords"
NOT_REGULAR = "pipes, sockets and devices"

Rules = tuple[tuple[str, IgnoreRules], ...]
"""The caller's patterns, then those of .gitignore files from the outermost on, each with the folder they count in."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a walk."""

    files: tuple[Path, ...]
    """Absolute, sorted, each once."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Files of types that are not read: the number by suffix (or kind), most first. Hidden and excluded files are not
    in it."""
    unread: tuple[Skipped, ...] = ()
    """Folders that cannot be opened, and names that are not UTF-8."""


def find_files(paths: Sequence[Path], exclude: Sequence[str] = (), *, outside: Path | None = None) -> Found:
    """The files under ``paths``.

    A folder is walked: hidden files, those that may hold passwords (``prod.env``) and what ``exclude`` (patterns as in
    a .gitignore) or a .gitignore inside matches are left out. A file that is named itself is always in. Links to
    folders are followed, unless they lead into or above a folder that is walked anyway. Nothing in the folder
    ``outside`` is taken. A folder that cannot be opened, and a pattern that is none, are named, and the walk goes on.

    Raises PathNotFoundError for a path that does not exist, UnreadableDocumentError for a named file of a format
    that cannot be read.
    """
    roots = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 -- resolve() would replace links' names
    for root in roots:
        if not os.path.lexists(root):
            raise PathNotFoundError(f"{root} does not exist", hint="check the path")
        if not os.path.exists(root):  # noqa: PTH110 -- of Python 3.11 Path.exists raises for some names
            raise PathNotFoundError(f"{root} is a link to nothing, or in a loop", hint="check where the link leads")
    walk = _Walk([root.resolve() for root in roots if root.is_dir()], outside)
    always = IgnoreRules([*_NEVER, *exclude], "index.exclude")
    for root in roots:
        if root.is_dir():
            walk.folder(str(root), always)
        elif outside is not None and root.is_relative_to(outside):
            continue
        elif format_of(root) is None:
            raise unsupported(root)
        else:
            walk.add(str(root))
    return Found(
        tuple(sorted(walk.files)), dict(Counter(walk.left_out.values()).most_common()), tuple(walk.unread.values())
    )


def listed_left_out(left_out: Mapping[str, int]) -> str:
    """Counts by type for a sentence: ``12 .png, 3 .zip and 1 with no suffix``."""
    parts = [f"{count:,} {'with ' if kind == NO_SUFFIX else ''}{kind}" for kind, count in left_out.items()]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


class _Walk:
    """Goes through folders with a list for a stack, as they nest deeper than Python calls may."""

    def __init__(self, walked: Sequence[Path], outside: Path | None) -> None:
        self.files: set[Path] = set()
        self.left_out: dict[str, str] = {}
        """Path -> kind."""
        self.unread: dict[str, Skipped] = {}
        """By path."""
        self._walked = walked
        self._outside = outside
        self._seen: set[tuple[int, int]] = set()

    def add(self, path: str) -> None:
        """Take a file, unless its name is not UTF-8, which neither the index nor a message could spell."""
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            self._unread(path, f"the file name {path!a} is not UTF-8", "rename it")
        else:
            self.files.add(Path(path))

    def folder(self, root: str, always: IgnoreRules) -> None:
        """Walk everything under a folder."""
        self._seen.clear()  # by its own rules, a folder that an earlier root left out is in
        ahead: list[tuple[str, Rules]] = [(root, ((root, always),))]
        while ahead:
            folder, rules = ahead.pop()
            entries = self._open(folder)
            own = IgnoreRules.of_folder(Path(folder)) if any(e.name == ".gitignore" for e in entries) else None
            if own is not None:
                rules = (*rules, (folder, own))
            ahead.extend((entry.path, rules) for entry in self._take(entries, rules))

    def _open(self, folder: str) -> list[os.DirEntry[str]]:
        """The entries of a folder; none where it was walked already, is the one to leave alone, or cannot be opened."""
        if self._outside is not None and folder == str(self._outside):
            return []
        try:
            status = os.stat(folder)  # noqa: PTH116 -- a str, since a walk makes one for each folder
            if (status.st_dev, status.st_ino) in self._seen:
                return []
            self._seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._unread(
                folder,
                f"the folder {folder} cannot be opened: {error.strerror or error}",
                "change its permissions, or leave it out with an exclude pattern",
            )
            return []

    def _take(self, entries: Sequence[os.DirEntry[str]], rules: Rules) -> Iterator[os.DirEntry[str]]:
        """Take the files among entries that can be read, count those that cannot; yields the folders to walk."""
        for entry in entries:
            if entry.name.startswith("."):
                continue
            mode = _mode(entry)
            if mode is not None and stat.S_ISDIR(mode):
                again = entry.is_symlink() and self._is_walked_anyway(Path(entry.path))
                if not again and not _is_excluded(entry.path, rules, is_folder=True):
                    yield entry
            elif not _is_excluded(entry.path, rules, is_folder=False):
                name = Path(entry.name)
                readable = format_of(name) is not None and not may_hold_secrets(name)
                if mode is not None and stat.S_ISREG(mode) and readable:
                    self.add(entry.path)
                else:
                    self.left_out[entry.path] = _kind(entry.name, mode)

    def _is_walked_anyway(self, link: Path) -> bool:
        target = link.resolve()
        return any(target.is_relative_to(root) or root.is_relative_to(target) for root in self._walked)

    def _unread(self, path: str, message: str, hint: str) -> None:
        shown, message = (text.encode("utf-8", "backslashreplace").decode() for text in (path, message))
        self.unread[path] = Skipped(shown, message, hint)


def _mode(entry: os.DirEntry[str]) -> int | None:
    """The kind of what an entry leads to; None for a link to nothing or in a loop."""
    try:
        return entry.stat().st_mode
    except OSError:
        return None


def _kind(name: str, mode: int | None) -> str:
    if mode is None:
        return BROKEN_LINK
    if not stat.S_ISREG(mode):
        return NOT_REGULAR
    suffix = replace_surrogates(os.path.splitext(name)[1].lower())  # noqa: PTH122
    return f"{suffix} {SECRET}" if may_hold_secrets(Path(name)) else suffix or NO_SUFFIX


def _is_excluded(path: str, rules: Rules, *, is_folder: bool) -> bool:
    """True for the caller's patterns; among .gitignore files the innermost with a rule for ``path`` decides."""
    slash = "/" if is_folder else ""

    def verdict(base: str, of: IgnoreRules) -> bool | None:
        return of.verdict(path[len(base.rstrip(os.sep)) + 1 :].replace(os.sep, "/") + slash)

    (root, always), *inner = rules
    if verdict(root, always):
        return True
    for base, spec in reversed(inner):
        decided = verdict(base, spec)
        if decided is not None:
            return decided
    return False
