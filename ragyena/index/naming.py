"""Documents of an index by the names that people give them."""

from __future__ import annotations

import os
from collections.abc import Callable
from fnmatch import fnmatchcase

from ragyena.errors import PathNotFoundError, UsageError
from ragyena.index.store import Store

__all__ = ["matching_origins", "named_document"]


def matching_origins(store: Store, document: str) -> dict[int, list[str]]:
    """Source id -> origins that ``document`` names, by the first kind of name that fits any.

    It is a source, a file's path or the end of one, a folder, a pattern with ``*`` or ``?``, or one row as
    ``path#row``. Raises PathNotFoundError where nothing matches, UsageError where a path's end fits several.
    """
    absolute = os.path.abspath(os.path.expanduser(document))  # noqa: PTH100, PTH111 -- as typed where ~name is unknown
    rows = store.rows(
        "SELECT s.source_id, s.path, o.origin FROM sources s LEFT JOIN origins o USING (source_id) ORDER BY s.path",
        types=(int, str, str | None),
    )
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


def named_document(store: Store, document: str) -> int:
    """The id of the one document that ``document`` names, as ``matching_origins`` takes names.

    Raises PathNotFoundError where there is none, UsageError where there are several.
    """
    matches = matching_origins(store, document) if document.strip() else {}
    origins = [(source_id, origin) for source_id, origins in matches.items() for origin in origins]
    if not origins:
        raise PathNotFoundError(
            f"'{document}' names no document", hint="give a document by its source, as citations and searches name it"
        )
    if len(origins) > 1:
        examples = ", ".join(origin for _, origin in origins[:3])
        raise UsageError(f"'{document}' names {len(origins):,} documents", hint=f"name one of them: {examples}, ...")
    (document_id,) = store.row(
        "SELECT document_id FROM origins WHERE source_id = ? AND origin = ?", origins[0], types=(int,)
    )
    return int(document_id)
