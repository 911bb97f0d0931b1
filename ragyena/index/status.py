"""Counts and files of an index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ragyena.index.manifest import Manifest
from ragyena.index.store import Store, StoreCounts

__all__ = ["IndexStatus", "SourceStatus", "status"]


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A file in an index, or a document given in Python."""

    path: str
    size: int
    """Bytes of the file when it was read."""
    documents: int
    complete: bool


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """Counts and files of an index, and the settings it was made with."""

    index: Path
    manifest: Manifest
    counts: StoreCounts
    pending: int
    """Passages that are not in the vector file yet; searches find them all the same."""
    size: int
    """Bytes on the disk."""
    sources: tuple[SourceStatus, ...]

    @property
    def documents(self) -> int:
        return self.counts.documents

    @property
    def passages(self) -> int:
        return self.counts.passages


def status(folder: Path, store: Store) -> IndexStatus:
    """Read counts and files of the index at ``folder``. Raises the IndexProblems of a damaged one."""
    manifest = Manifest.read(folder)
    with store.snapshot():
        rows = store.execute(
            "SELECT path, size, (SELECT count(*) FROM origins o WHERE o.source_id = s.source_id), complete"
            " FROM sources s ORDER BY path"
        ).fetchall()
        last_id = manifest.vectors.last_id if manifest.vectors else 0
        (pending,) = store.execute("SELECT count(*) FROM passages WHERE passage_id > ?", (last_id,)).fetchone()
        counts = store.counts()
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    sources = tuple(SourceStatus(path, size, documents, bool(complete)) for path, size, documents, complete in rows)
    return IndexStatus(folder, manifest, counts, pending, size, sources)
