"""Readers by name: ``small`` in the package, others installed beside it, and checkpoint folders. Several that read
together are joined by ``+``: ``base+small``.

A distribution that holds a reader names the package of its checkpoint's files as an entry point of the group
``ragyena.readers``: ``base = "ragyena_reader_base"``. ``ragyena reader package`` writes one.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ragyena import recipes
from ragyena.errors import CheckpointError, MissingDependencyError
from ragyena.files import expanded

__all__ = ["BESIDE", "GROUP", "POLAR", "SMALL", "installed_readers", "is_reader_name", "reader_folder"]
__all__ += ["reader_folders", "reader_names"]

GROUP = "ragyena.readers"
"""The group of entry points."""
SMALL = "small"
"""The reader in the package."""
BESIDE = "beside"
"""The folder, inside that of a pair reader, of the reader that it reads with and was calibrated with."""
POLAR = "polar"
"""The folder, inside that of a pair reader, of its layers that decide yes or no."""
_SMALL_TOO = "shipped"  # as the version before, and recipes of training, call it
_OFFERED = {"base": "in a checkout of the repository: pip install ./readers/base"}
"""Readers that ship beside the package, and how each is had."""


def installed_readers() -> dict[str, EntryPoint | None]:
    """The readers that names stand for, in order; None for the one in the package."""
    others = {point.name: point for point in entry_points(group=GROUP)}
    return {SMALL: None, **{name: others[name] for name in sorted(others) if name != SMALL}}


def is_reader_name(text: str) -> bool:
    """True for the name of a reader, or of several, installed or not; other texts are folders."""
    return all(part in (SMALL, _SMALL_TOO, *_OFFERED) or _point(part) is not None for part in reader_names(text))


def reader_folder(name: str) -> Path:
    """The checkpoint folder of a reader by name, or of the path ``name``; the first of several that read together. A
    name stands before a folder called alike, which ``./base`` names.

    Raises MissingDependencyError for a reader that is not installed, or not whole; CheckpointError where there is no
    such folder.
    """
    return reader_folders(name)[0]


def reader_folders(names: str) -> tuple[Path, ...]:
    """As ``reader_folder``, of every reader that ``names`` joins by ``+``. A folder whose path has a ``+`` is one."""
    return tuple(map(_folder_of, reader_names(names)))


def reader_names(names: str) -> list[str]:
    """The readers that ``names`` joins, each a name or the path of a folder."""
    parts = names.split("+")
    return parts if all(parts) and not expanded(names).is_dir() else [names]


def _folder_of(name: str) -> Path:
    if name in (SMALL, _SMALL_TOO):
        return recipes.asset("reader")
    point = _point(name)
    if point is not None:
        return _files_of(point)
    if name in _OFFERED:
        raise MissingDependencyError(
            f"the reader '{name}' is not installed", hint=f"{_OFFERED[name]}, or go on with --reader {SMALL}"
        )
    folder = expanded(name)
    if not folder.is_dir():
        known = ", ".join(installed_readers())
        raise CheckpointError(
            f"no reader at {folder}", hint=f"give the name of a reader ({known}) or a checkpoint folder"
        )
    return folder


def _point(name: str) -> EntryPoint | None:
    """The entry point of a reader; the path of a folder has none, and a file of every distribution need not be read."""
    return installed_readers().get(name) if Path(name).name == name else None


def _files_of(point: EntryPoint) -> Path:
    try:
        module = import_module(point.value)
    except ImportError as error:
        raise MissingDependencyError(
            f"the reader '{point.name}' is not whole: {error}", hint=f"install {point.value} again"
        ) from error
    if not module.__file__:
        raise MissingDependencyError(f"the reader '{point.name}' has no files", hint=f"install {point.value} again")
    return Path(module.__file__).parent
