"""Paths that a user names -> the files to read: folders are walked as git would, in a fixed order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pathspec

from ragyena.documents.decoding import read_text
from ragyena.documents.formats import format_of, unsupported
from ragyena.errors import PathNotFoundError, UnreadableDocumentError

__all__ = ["find_files"]

_NEVER = ("__pycache__/", "node_modules/", "venv/", "*.egg-info/", "*.min.js", "*.min.css", "*.lock", "~$*")
"""Left out of every walk, as are hidden files and folders."""

Rules = tuple[tuple[Path, pathspec.GitIgnoreSpec], ...]


def find_files(paths: Sequence[Path], exclude: Sequence[str] = ()) -> list[Path]:
    """The files under ``paths``, absolute, sorted, each once.

    A folder is walked: hidden files, those that ``exclude`` (patterns as in a .gitignore) or a .gitignore inside
    matches, and formats that cannot be read are left out. A file that is named itself is always in. Links to folders
    are followed, unless they lead into or above a folder that is walked anyway.

    Raises PathNotFoundError for a path that does not exist, UnreadableDocumentError for a named file of a format
    that cannot be read and for a folder that may not be opened.
    """
    roots = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 -- resolve() would replace links' names
    for root in roots:
        if not os.path.lexists(root):
            raise PathNotFoundError(f"{root} does not exist", hint="check the path")
        if not root.exists():
            raise PathNotFoundError(f"{root} is a link to nothing, or in a loop", hint="check where the link leads")
    always = pathspec.GitIgnoreSpec.from_lines([*_NEVER, *exclude])
    walked = [root.resolve() for root in roots if root.is_dir()]
    files: set[Path] = set()
    for root in roots:
        if root.is_dir():
            files.update(_walk(root, ((root, always),), walked, set()))
        elif format_of(root) is None:
            raise unsupported(root)
        else:
            files.add(root)
    return sorted(files)


def _walk(folder: Path, rules: Rules, walked: Sequence[Path], seen: set[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UnreadableDocumentError(
            f"the folder {folder} cannot be opened: {error.strerror or error}",
            hint="change its permissions, or leave it out with an exclude pattern",
        ) from error
    ignore = folder / ".gitignore"
    if ignore.is_file():
        rules = (*rules, (folder, pathspec.GitIgnoreSpec.from_lines(read_text(ignore).splitlines())))
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if path.is_dir():  # the entry's own is_dir raises on a link in a loop
            again = path.is_symlink() and _is_walked_anyway(path, walked)
            if not again and not _is_excluded(path, rules, is_folder=True):
                yield from _walk(path, rules, walked, seen)
        elif path.is_file() and format_of(path) is not None and not _is_excluded(path, rules, is_folder=False):
            yield path


def _is_excluded(path: Path, rules: Rules, *, is_folder: bool) -> bool:
    """True for the caller's patterns; among .gitignore files the innermost with a rule for ``path`` decides."""
    slash = "/" if is_folder else ""
    (root, always), *inner = rules
    if always.match_file(path.relative_to(root).as_posix() + slash):
        return True
    for base, spec in reversed(inner):
        verdict = spec.check_file(path.relative_to(base).as_posix() + slash).include
        if verdict is not None:
            return bool(verdict)
    return False


def _is_walked_anyway(link: Path, walked: Sequence[Path]) -> bool:
    target = link.resolve()
    return any(target.is_relative_to(root) or root.is_relative_to(target) for root in walked)
