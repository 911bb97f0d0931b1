"""The steps of building an index again beside the old one, which can be searched until the new one takes its place."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.errors import IndexProblem, StorageError
from ragyena.index.manifest import Manifest, is_index
from ragyena.index.storage import storage_errors
from ragyena.index.store import STORE_NAME, Store
from ragyena.types import Document

__all__ = ["FIXED", "begin", "finish", "held_sources"]

FIXED = ("embedder", "passage_tokens", "text_fields", "title_fields")
"""Settings that cannot change once an index is made: its passages and vectors depend on them."""


def begin(folder: Path, config: IndexConfig) -> Path:
    """The folder to build in. It holds what an interrupted rebuild with the same settings has built.

    Raises StorageError.
    """
    new, old = _beside(folder)
    with storage_errors(folder):
        if is_index(old) and not is_index(folder):  # a process died between the two renames of ``finish``
            old.rename(folder)
        if is_index(new) and not _has_settings(new, config):
            shutil.rmtree(new)
    return new


def finish(folder: Path) -> None:
    """Put the new index in the place of the old one. Raises StorageError."""
    new, old = _beside(folder)
    with storage_errors(folder):
        if is_index(old):
            shutil.rmtree(old)
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old)


def held_sources(folder: Path) -> list[Path | Document]:
    """The files of an index that are still there and the documents given in Python; none of a store that is damaged."""
    held: list[Path | Document] = []
    try:
        with closing(Store(folder / STORE_NAME)) as store:
            for source in store.sources():
                path = Path(source.path)
                if path.is_absolute():
                    held += [path] if path.exists() and folder not in path.parents else []
                else:
                    ids = [store.document_id(digest) for digest in store.origins(source.source_id).values()]
                    held += [replace(store.document(i), source=source.path) for i in ids if i is not None]
    except (IndexProblem, StorageError):
        return []
    return held


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f"{folder.name}.rebuild"), folder.with_name(f"{folder.name}.replaced")


def _has_settings(folder: Path, config: IndexConfig) -> bool:
    try:
        made = Manifest.read(folder).config
    except IndexProblem:
        return False
    return all(getattr(made, key) == getattr(config, key) for key in FIXED)
