"""A file -> its documents, by the format that its suffix names, in this process.

Parsers are slow, or ask for all memory, on some damaged and hostile files: ``documents.loading`` has a process of its
own do this.
"""

from __future__ import annotations

import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents import budget
from ragyena.documents.formats import Format, format_of, unsupported, way_out
from ragyena.documents.pieces import pieces
from ragyena.errors import PathNotFoundError, RagyenaError, UnreadableDocumentError
from ragyena.files import open_file
from ragyena.parsing import replace_surrogates
from ragyena.types import Document, Skipped

__all__ = ["check", "named", "read", "title_of", "valid_unicode", "with_name"]

LONGEST_NAME = 300
"""Chars of a title, a heading or a column's name."""
LEAST_NAME = 2
"""Words of a file's name that tells what it is."""
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAME_PART = re.compile(r"[^\W_]+")
_NAME_WORD = re.compile(r"(?=.*[aeiouyäöüáéíóúàèå])[^\W\d_]{3,}", re.IGNORECASE)
_EMPTY_NAMES = frozenset(
    """and copy doc document download draft export file final for from image img new old page pdf print report rev
    revised scan scanned signed the untitled updated ver version with""".split()  # noqa: SIM905
)
"""Words of a name that tell of the file rather than of what it is about."""


def read(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    """Yield the documents of one file. Raises as ``documents.loading.load`` does, except for the budgets of seconds and
    memory, which a process cannot hold itself to."""
    chosen = check(path, config)
    has_text = False
    first_skipped: Skipped | None = None
    try:
        with budget.budgets(path, config) as begin_next:
            for document in chosen.load(path, config):
                if isinstance(document, Skipped):
                    document = _spellable(document)
                    first_skipped = first_skipped or document
                    yield document
                    continue
                for piece in pieces(_bounded(valid_unicode(document))):
                    budget.check(piece)
                    if any(char.isalnum() for char in piece.text):
                        has_text = True
                        yield piece if piece.title else replace(piece, title=title_of(path))
                begin_next()
    except RagyenaError:
        raise
    except MemoryError:
        raise budget.out_of_memory(path, config) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # parsers raise whatever a damaged file drives them to
        reason = replace_surrogates(str(error)).strip()[:200].splitlines()
        raise UnreadableDocumentError(
            f"{path} is damaged, or not what its suffix {path.suffix} says: "
            + (reason[0] if reason else type(error).__name__),
            hint=way_out(path) or "open it in its own program and save it again, or copy it again",
        ) from error
    if not has_text and first_skipped is not None:
        raise UnreadableDocumentError(first_skipped.message, hint=first_skipped.hint)
    if not has_text:
        raise UnreadableDocumentError(f"{path} holds no text", hint="leave it out with an exclude pattern")


def check(path: Path, config: IndexConfig) -> Format:
    """The format of a file, after every check that needs no reading. Raises as ``load`` does."""
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
    try:
        open_file(path, config.max_file_mb * 1_000_000).close()
    except OSError as error:
        raise _unreadable(path, error) from error
    return chosen


def _unreadable(path: Path, error: OSError) -> UnreadableDocumentError:
    if isinstance(error, PermissionError):
        return UnreadableDocumentError(
            f"{path}: no permission to read it", hint="change its permissions or leave it out"
        )
    return UnreadableDocumentError(
        f"{path} cannot be read: {error.strerror or error}", hint="check the disk and try again"
    )


def title_of(path: Path) -> str:
    """``annual_report-2024.pdf`` -> ``annual report-2024``."""
    return " ".join(path.stem.replace("_", " ").split()) if path.suffix else path.name


def with_name(title: str, path: Path, text: str) -> str:
    """``Tenancy agreement`` in ``harbour-street-lease.docx`` -> ``Tenancy agreement (harbour street lease)``, where
    the text says half of the words of the name nowhere: only the name then tells the file from others like it."""
    name = unicodedata.normalize("NFC", path.stem)  # some systems write an accent apart from its letter
    parts = _NAME_PART.findall(_HUMP.sub(" ", name))
    words = [part.casefold() for part in parts if _NAME_WORD.fullmatch(part)]
    words = [word for word in words if word not in _EMPTY_NAMES]
    if len(words) < LEAST_NAME:
        return title
    said = f"{title}\n{text}".casefold()
    if 2 * sum(_says(said, word) for word in words) > len(words):
        return title
    return f"{title[: LONGEST_NAME - len(name) - 3]} ({' '.join(parts)})"


def named(document: Document, path: Path) -> Document:
    """The document that a whole file is, titled ``with_name``: for an index of files that people named."""
    title = with_name(document.title, path, document.text) if document.source == str(path) else document.title
    return replace(document, title=title) if title != document.title else document


def _says(text: str, word: str) -> bool:
    """True where a text has a word, in the singular or the plural."""
    stem = word.removesuffix("s")
    return stem in text and re.search(rf"(?<![^\W_]){stem}(?:e?s)?(?![^\W_])", text) is not None


def valid_unicode(document: Document) -> Document:
    """The document without lone surrogates, which neither UTF-8 nor a tokenizer takes. Offsets stand."""
    blocks, headings = document.blocks, document.headings
    if any(_has_surrogates(name) for block in blocks for name in block.header):
        blocks = tuple(replace(b, header=tuple(map(replace_surrogates, b.header))) for b in blocks)
    if any(_has_surrogates(heading.text) for heading in headings):
        headings = tuple(replace(heading, text=replace_surrogates(heading.text)) for heading in headings)
    return replace(
        document,
        text=replace_surrogates(document.text),
        title=replace_surrogates(document.title),
        metadata={replace_surrogates(key): replace_surrogates(value) for key, value in document.metadata.items()},
        headings=headings,
        blocks=blocks,
        page_labels=tuple(map(replace_surrogates, document.page_labels)),
    )


def _bounded(document: Document) -> Document:
    """The document with what every passage of it repeats (title, headings, names of columns) not longer than a line."""
    headings, blocks = document.headings, document.blocks
    if any(len(heading.text) > LONGEST_NAME for heading in headings):
        headings = tuple(replace(heading, text=heading.text[:LONGEST_NAME]) for heading in headings)
    if any(len(name) > LONGEST_NAME for block in blocks for name in block.header):
        blocks = tuple(replace(b, header=tuple(name[:LONGEST_NAME] for name in b.header)) for b in blocks)
    return replace(document, title=document.title[:LONGEST_NAME], headings=headings, blocks=blocks)


def _has_surrogates(text: str) -> bool:
    return not text.isascii() and replace_surrogates(text) is not text


def _spellable(skipped: Skipped) -> Skipped:
    source, message, hint = map(replace_surrogates, (skipped.source, skipped.message, skipped.hint))
    return replace(skipped, source=source, message=message, hint=hint)
