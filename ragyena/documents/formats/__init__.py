"""Formats of files that can be indexed: each is a module of this folder, found by being there.

A format has ``SUFFIXES`` (lower case, with the dot; an entry without one is the whole name of a file, ``makefile``; a
hidden file without a suffix, ``.bashrc``, is of the type that its whole name is),
``WAY_OUT`` (suffix -> hint, for files of the format that cannot be read and for related types that are not supported)
and ``load(path, config)``, which yields the documents of a file. It imports its parser inside its functions: the
modules are all imported to learn their suffixes, the parsers only for a file that needs them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ragyena.errors import UnreadableDocumentError

if TYPE_CHECKING:
    from ragyena.config import IndexConfig
    from ragyena.types import Document, Skipped

__all__ = ["Format", "all_formats", "format_of", "listed", "may_hold_secrets", "unsupported", "way_out"]


class Format(Protocol):
    """The attributes of a format's module."""

    SUFFIXES: tuple[str, ...]
    WAY_OUT: Mapping[str, str]

    def load(self, path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
        """Yield the documents of a file, one for the file or one a row (``source`` is then ``path#row``), and a
        ``Skipped`` in the place of a part that cannot be read where the rest can.

        A document without ``title`` gets the file's name. Raise UnreadableDocumentError, with a hint, for a known
        fault; other errors of a parser, empty and oversized files are reported by the caller.
        """


def _names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def listed() -> str:
    """The names of the formats for a sentence: ``csv, docx, ... and xlsx``. Imports none of them."""
    *first, last = (name.replace("_", " ") for name in _names())
    return f"{', '.join(first)} and {last}"


@cache
def all_formats() -> Mapping[str, Format]:
    """Module name -> format."""
    return {name: cast(Format, importlib.import_module(f"{__name__}.{name}")) for name in _names()}


@cache
def _by_suffix() -> Mapping[str, str]:
    """Suffix, or whole file name -> name of the format. Raises ValueError where two formats claim one."""
    names: dict[str, str] = {}
    for name, module in all_formats().items():
        for suffix in module.SUFFIXES:
            if names.setdefault(suffix, name) != name:
                raise ValueError(f"the formats {names[suffix]} and {name} both claim {suffix}")
    return names


def format_of(path: Path) -> Format | None:
    """The format of a file by its suffix, or by its name where it has none (README, Makefile, .bashrc)."""
    is_env = path.name.lower().startswith(".env.")  # .env.local
    name = _by_suffix().get(".env" if is_env else (path.suffix or path.name).lower())
    return None if name is None else all_formats()[name]


def may_hold_secrets(path: Path) -> bool:
    """True for a type of file in which people keep passwords. Such a file is read only where it is named itself."""
    return path.suffix.lower() == ".env" or path.name.lower().startswith(".env")


def way_out(path: Path) -> str | None:
    """The hint that a format has for files of this suffix."""
    hints = (module.WAY_OUT.get(path.suffix.lower()) for module in all_formats().values())
    return next((hint for hint in hints if hint is not None), None)


def unsupported(path: Path) -> UnreadableDocumentError:
    """The error for a file of no known format."""
    return UnreadableDocumentError(
        f"{path}: files of type '{path.suffix or path.name}' are not supported",
        hint=way_out(path) or f"convert it to one of {listed()}",
    )
