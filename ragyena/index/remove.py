"""Removal of documents from an index by the names a person uses for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from ragyena.errors import PathNotFoundError, UsageError
from ragyena.index.store import Store
from ragyena.index.writer import Writer

__all__ = ["remove"]


def remove(writer: Writer, document: str) -> int:
    """Remove the documents that ``document`` names; returns how many.

    It is a source, a file's path or the end of one, a folder, a pattern with ``*`` or ``?``, or one row as
    ``path#row``. Raises PathNotFoundError where nothing matches and UsageError where the end of a path fits several.
    """
    store = writer.store
    with store.transaction():
        matches = _matching_origins(store, document)
        for source_id, origins in matches.items():
            if set(origins) == set(store.origins(source_id)):
                store.remove_source(source_id)
            else:
                store.remove_orphans(store.detach(source_id, origins))
    writer.refresh()
    return sum(max(1, len(origins)) for origins in matches.values())


def _matching_origins(store: Store, document: str) -> dict[int, list[str]]:
    """Source id -> origins that ``document`` names, by the first kind of name that fits any."""
    absolute = os.path.abspath(Path(document).expanduser())  # noqa: PTH100
    rows = store.execute(
        "SELECT s.source_id, s.path, o.origin FROM sources s LEFT JOIN origins o USING (source_id) ORDER BY s.path"
    ).fetchall()
    wild = any(c in document for c in "*?[")
    tests: list[Callable[[str], bool]] = [lambda name: name in (document, absolute)]
    if wild:
        tests += [lambda name: fnmatchcase(name, document) or fnmatchcase(name, f"*/{document}")]
    else:
        tests += [lambda name: name.startswith(absolute + os.sep), lambda name: name.endswith(f"/{document}")]
    for test in tests:
        matches: dict[int, list[str]] = {}
        paths: dict[int, str] = {}
        for source_id, path, origin in rows:
            if test(path) or (origin is not None and test(origin)):
                paths[source_id] = path
                matches.setdefault(source_id, []).extend([origin] if origin is not None else [])
        if len(matches) > 1 and test is tests[-1] and not wild:
            raise UsageError(
                f"'{document}' is the end of {len(matches)} paths: {', '.join(list(paths.values())[:3])}",
                hint=f"give more of the path, or '*/{document}' for all of them",
            )
        if matches:
            return matches
    raise PathNotFoundError(f"no document '{document}' in the index", hint="`ragyena index status` lists its documents")
