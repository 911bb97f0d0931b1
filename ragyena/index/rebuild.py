"""Building an index again next to the old one, which can be searched until the new one takes its place.

The new index is built in ``NAME.rebuild``. When it is whole, ``NAME`` becomes ``NAME.replaced``, ``NAME.rebuild``
becomes ``NAME``, and the replaced one is deleted. A process that dies in between leaves a state from which the next one
goes on: ``restore_replaced`` runs before an index is looked for.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.errors import IndexFormatError, IndexLockedError, IndexProblem, StorageError
from ragyena.index.manifest import Manifest, is_index
from ragyena.index.storage import OWNER_NAME, flush_folder, storage_errors, writer_lock
from ragyena.index.store import STORE_NAME, Store
from ragyena.index.writer import delete_files, foreign_files
from ragyena.types import Document

__all__ = ["begin_rebuild", "finish_rebuild", "held_sources", "restore_replaced"]

SWAP_SECONDS = 2.0
"""Seconds to wait for a living process that is between its two renames."""


def restore_replaced(folder: Path) -> None:
    """Finish what a process left that died between the two renames of ``finish_rebuild``.

    Raises IndexLockedError where one is between them and stays there, and StorageError.
    """
    new, old = _beside(folder)
    deadline = time.monotonic() + SWAP_SECONDS
    while not is_index(folder) and is_index(old):
        try:
            with storage_errors(folder), writer_lock(old):
                if is_index(folder) or not is_index(old):
                    return
                (old / OWNER_NAME).unlink(missing_ok=True)
                (new if is_index(new) else old).rename(folder)
                flush_folder(folder.parent)
        except (IndexLockedError, StorageError):  # StorageError where the old index is being deleted
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def begin_rebuild(folder: Path, config: IndexConfig) -> Path:
    """The folder to build in, under the lock of ``folder``. It holds what an interrupted rebuild with the same settings
    has built.

    Raises StorageError, and IndexFormatError where the place is taken by something else.
    """
    new, old = _beside(folder)
    with storage_errors(folder):
        for place in (new, old):
            if place.exists() and (others := foreign_files(place)):
                raise IndexFormatError(
                    f"{place} is needed to build {folder.name} again, and holds {others[0]}", hint="move it away"
                )
        if new.exists() and not _resumable(new, config):
            _delete(new)
    return new


def finish_rebuild(folder: Path) -> None:
    """Put the new index in the place of the old one. Raises StorageError."""
    new, old = _beside(folder)
    with storage_errors(folder):
        _delete(old)  # left by a process that died while it deleted it
        folder.rename(old)
        new.rename(folder)
        flush_folder(folder.parent)
        _delete(old)


def held_sources(folder: Path) -> list[Path | Document]:
    """The files of an index that are still there and the documents given in Python; none of a store that is damaged."""
    held: list[Path | Document] = []
    try:
        with closing(Store(folder / STORE_NAME)) as store:
            for source in store.sources():
                path = Path(source.path)
                if store.is_file(source):
                    # os.path has an answer for any name, as one too long for the system
                    held += [path] if os.path.exists(path) and folder not in path.parents else []  # noqa: PTH110
                elif (document_id := store.document_id(source.content_hash)) is not None:
                    held.append(replace(store.document(document_id), source=source.path))
    except (IndexProblem, StorageError):
        return []
    return held


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f"{folder.name}.rebuild"), folder.with_name(f"{folder.name}.replaced")


def _resumable(folder: Path, config: IndexConfig) -> bool:
    try:
        manifest = Manifest.read(folder)
        Store(folder / STORE_NAME).close()
        return manifest.differing_setting(config) is None
    except IndexProblem:
        return False


def _delete(folder: Path) -> None:
    if folder.exists():
        delete_files(folder)
        folder.rmdir()
        flush_folder(folder.parent)
