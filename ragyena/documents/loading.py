"""Paths that a user names -> files, walked as git would -> documents, by the format that a suffix names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pathspec

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.formats import Format, format_of, unsupported, way_out
from ragyena.errors import PathNotFoundError, RagyenaError, UnreadableDocumentError
from ragyena.parsing import replace_surrogates
from ragyena.types import Document, Skipped

__all__ = ["find_files", "load", "valid_unicode"]

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


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    """Yield the documents of one file as they are read. ``source`` is the absolute path, ``path#row`` for a row.

    A part that cannot be read where the rest can, such as a bad row, is yielded as ``Skipped`` in its place.

    Raises PathNotFoundError where there is no such file and UnreadableDocumentError where it cannot be read: unknown
    format, larger than ``config.max_file_mb``, no permission, corrupt, encrypted, binary, of no known encoding,
    without any text.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 -- resolve() would replace the names of links
    chosen = _checked_format(path, config)
    has_text = False
    first_skipped: Skipped | None = None
    try:
        for document in chosen.load(path, config):
            if isinstance(document, Skipped):
                first_skipped = first_skipped or document
                yield document
                continue
            document = valid_unicode(document)
            if any(char.isalnum() for char in document.text):
                has_text = True
                yield document if document.title else replace(document, title=_title_of(path))
    except RagyenaError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # parsers raise whatever a damaged file drives them to
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UnreadableDocumentError(
            f"{path} is damaged, or not what its suffix {path.suffix} says: {reason}",
            hint=way_out(path) or "open it in its own program and save it again, or copy it again",
        ) from error
    if not has_text and first_skipped is not None:
        raise UnreadableDocumentError(first_skipped.message, hint=first_skipped.hint)
    if not has_text:
        raise UnreadableDocumentError(f"{path} holds no text", hint="leave it out with an exclude pattern")


def _checked_format(path: Path, config: IndexConfig) -> Format:
    """The format of a file, after every check that needs no reading."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnreadableDocumentError(f"the file name {str(path)!a} is not UTF-8", hint="rename it") from error
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise PathNotFoundError(f"{path} does not exist", hint="check the path") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise UnreadableDocumentError(f"{path} is {kind}", hint="name files, or folders that hold them")
    chosen = format_of(path)
    if chosen is None:
        raise unsupported(path)
    if status.st_size > config.max_file_mb * 1_000_000:
        raise UnreadableDocumentError(
            f"{path} has {status.st_size / 1e6:.1f} MB, more than the limit of {config.max_file_mb} MB",
            hint="split it, or raise index.max_file_mb",
        )
    if status.st_size == 0:
        raise UnreadableDocumentError(f"{path} is empty", hint="leave it out with an exclude pattern")
    return chosen


def _unreadable(path: Path, error: OSError) -> UnreadableDocumentError:
    if isinstance(error, PermissionError):
        return UnreadableDocumentError(
            f"{path}: no permission to read it", hint="change its permissions or leave it out"
        )
    return UnreadableDocumentError(
        f"{path} cannot be read: {error.strerror or error}", hint="check the disk and try again"
    )


def _title_of(path: Path) -> str:
    """``annual_report-2024.pdf`` -> ``annual report-2024``."""
    return " ".join(path.stem.replace("_", " ").split()) if path.suffix else path.name


def valid_unicode(document: Document) -> Document:
    """The document without lone surrogates, which neither UTF-8 nor a tokenizer takes."""
    metadata = {replace_surrogates(key): replace_surrogates(value) for key, value in document.metadata.items()}
    text, title = replace_surrogates(document.text), replace_surrogates(document.title)
    return replace(document, text=text, title=title, metadata=metadata)
