"""A file -> its documents, by the format that its suffix names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.formats import Format, format_of, unsupported, way_out
from ragyena.errors import PathNotFoundError, RagyenaError, UnreadableDocumentError
from ragyena.parsing import replace_surrogates
from ragyena.types import Document, Skipped

__all__ = ["load", "valid_unicode"]


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
