"""File -> documents, by the file's suffix.

To add a format:

1. Write ``ragyena/documents/formats/NAME.py`` with one function, ``load(path: Path, config: IndexConfig) ->
   Iterator[Document]``. Yield one Document for the file, or one a row where rows are texts of their own (``source``
   is then ``f"{path}#{row}"``). Leave out ``title`` where the file has none: the file's name takes its place.
   ``formats/builder.py`` puts a text together from headings, paragraphs, tables and pages and keeps their offsets;
   ``decoding.read_text`` reads a text file of any encoding. Raise UnreadableDocumentError, with a hint, for what you
   know can go wrong; what the parser raises besides is named and wrapped here, as are missing, empty and oversized
   files and documents without text.
2. Add one line to ``FORMATS`` below. The module is imported when the first file of the format is met, so it may
   import its parser at the top.
3. Add a file of the format to ``SAMPLES`` in ``tests/text/document_samples.py``: the tests of every format then run
   on it.
"""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.errors import PathNotFoundError, RagyenaError, UnreadableDocumentError
from ragyena.types import Document

__all__ = ["FORMATS", "is_supported", "load", "suffixes"]

FORMATS: Mapping[str, tuple[str, ...]] = {
    "plain": (".txt", ".text", ".log", ".tex", ".org", ".adoc", ".asciidoc"),
    "markdown": (".md", ".markdown", ".mdown", ".mkd"),
    "rst": (".rst", ".rest"),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "docx": (".docx", ".docm"),
    "pptx": (".pptx", ".pptm"),
    "xlsx": (".xlsx", ".xlsm"),
    "csv_rows": (".csv", ".tsv"),
    "json_rows": (".jsonl", ".ndjson"),
    "source_code": (
        *(".py", ".pyi", ".ipynb", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte"),
        *(".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".cu", ".cuh", ".m", ".mm", ".swift"),
        *(".rs", ".go", ".java", ".kt", ".kts", ".scala", ".groovy", ".clj", ".cljs", ".cs", ".fs", ".vb"),
        *(".rb", ".php", ".pl", ".pm", ".lua", ".r", ".jl", ".hs", ".ml", ".mli", ".ex", ".exs", ".erl", ".elm"),
        *(".dart", ".zig", ".nim", ".lisp", ".el", ".scm", ".f90", ".f", ".pas", ".asm", ".s", ".v", ".sv", ".vhd"),
        *(".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".sql", ".proto", ".graphql", ".tf", ".cmake", ".mk"),
        *(".css", ".scss", ".less", ".xml", ".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".gradle"),
    ),
}
"""Module of ``ragyena.documents.formats`` -> the suffixes it reads."""

_MODULES = {suffix: module for module, found in FORMATS.items() for suffix in found}
_NAMES = {"readme": "plain", "license": "plain", "notice": "plain", "authors": "plain", "changelog": "plain"} | {
    "makefile": "source_code",
    "dockerfile": "source_code",
}
"""Files known by a name without suffix."""
_WAY_OUT = {
    ".doc": "save it as .docx or .pdf",
    ".ppt": "save it as .pptx or .pdf",
    ".xls": "save it as .xlsx or .csv",
    ".odt": "save it as .docx or .pdf",
    ".rtf": "save it as .docx or .pdf",
    ".epub": "convert it to .html or .pdf",
    ".djvu": "convert it to .pdf",
    ".zip": "unpack it",
    ".gz": "unpack it",
    ".parquet": "convert it to .jsonl or .csv",
}


def suffixes() -> frozenset[str]:
    """The suffixes that can be read, lower case, each with its dot."""
    return frozenset(_MODULES)


def is_supported(path: Path) -> bool:
    """Whether a file of this name can be read: by its suffix, or a name like README or Makefile."""
    return _module(path) is not None


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    """The documents of one file, as they are read. ``source`` is the absolute path, ``path#row`` for a row.

    Raises PathNotFoundError where there is no such file and UnreadableDocumentError where it cannot be read: unknown
    format, larger than ``config.max_file_mb``, no permission, corrupt, encrypted, binary, of no known encoding,
    without any text. A file of rows may have yielded documents before its bad row is met.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 -- resolve() would replace the names of links
    module = _check(path, config)
    loader = importlib.import_module(f"ragyena.documents.formats.{module}")
    found = False
    try:
        for document in loader.load(path, config):
            document = _sound(document)
            if any(char.isalnum() for char in document.text):
                found = True
                yield document if document.title else replace(document, title=_title_of(path))
    except RagyenaError:
        raise
    except PermissionError as error:
        raise _forbidden(path) from error
    except OSError as error:
        raise UnreadableDocumentError(
            f"{path} cannot be read: {error.strerror or error}", hint="check the disk and try again"
        ) from error
    except Exception as error:  # parsers raise whatever a damaged file drives them to
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UnreadableDocumentError(
            f"{path} is damaged, or not what its suffix {path.suffix} says: {reason}",
            hint="open it in its own program and save it again, or leave it out",
        ) from error
    if not found:
        raise UnreadableDocumentError(f"{path} holds no text", hint="leave it out with an exclude pattern")


def _check(path: Path, config: IndexConfig) -> str:
    """The name of the module to read ``path`` with, after every check that needs no reading."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnreadableDocumentError(f"the file name {str(path)!a} is not UTF-8", hint="rename it") from error
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise PathNotFoundError(f"{path} does not exist", hint="check the path") from error
    except PermissionError as error:
        raise _forbidden(path) from error
    except OSError as error:
        raise UnreadableDocumentError(f"{path} cannot be read: {error.strerror or error}", hint="check it") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise UnreadableDocumentError(f"{path} is {kind}", hint="name files, or folders that hold them")
    module = _module(path)
    if module is None:
        known = ".txt .md .rst .html .pdf .docx .pptx .xlsx .csv .jsonl and source code"
        kind = f"files of type {path.suffix}" if path.suffix else "files without a suffix"
        raise UnreadableDocumentError(
            f"{path}: {kind} are not supported",
            hint=_WAY_OUT.get(path.suffix.lower(), f"convert it to one of {known}"),
        )
    if status.st_size > config.max_file_mb * 1_000_000:
        raise UnreadableDocumentError(
            f"{path} has {status.st_size / 1e6:.1f} MB, more than the limit of {config.max_file_mb} MB",
            hint="split it, or raise index.max_file_mb",
        )
    if status.st_size == 0:
        raise UnreadableDocumentError(f"{path} is empty", hint="leave it out with an exclude pattern")
    return module


def _module(path: Path) -> str | None:
    return _MODULES.get(path.suffix.lower()) if path.suffix else _NAMES.get(path.name.lower())


def _forbidden(path: Path) -> UnreadableDocumentError:
    return UnreadableDocumentError(f"{path}: no permission to read it", hint="change its permissions or leave it out")


def _title_of(path: Path) -> str:
    """``annual_report-2024.pdf`` -> ``annual report-2024``; names that are code keep their suffix."""
    if _module(path) == "source_code" or not path.suffix:
        return path.name
    return " ".join(path.stem.replace("_", " ").split()) or path.name


def _sound(document: Document) -> Document:
    """The document with half surrogate pairs replaced: JSON can spell them, UTF-8 and with it the store cannot."""
    mend = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
    try:
        for part in (document.text, document.title, *document.metadata, *document.metadata.values()):
            part.encode("utf-8")
    except UnicodeEncodeError:
        metadata = {key.translate(mend): value.translate(mend) for key, value in document.metadata.items()}
        return replace(
            document, text=document.text.translate(mend), title=document.title.translate(mend), metadata=metadata
        )
    return document
