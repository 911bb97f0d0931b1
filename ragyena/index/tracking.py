"""Files and what an index knows of them: unchanged, changed, renamed, gone.

A file is unchanged where size and modification time are those it was read with; where they are not, or were too fresh
to be trusted, its hash decides. It is gone only where the system says that there is nothing of its name: one that
cannot be looked at, on a disk that fails, is not.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragyena.documents.reading import title_of, with_name
from ragyena.files import open_file
from ragyena.index.store import Source, Store
from ragyena.types import FileState

__all__ = [
    "Renamed",
    "Stamp",
    "cited_at",
    "follow_folder",
    "gone",
    "moved_with_folder",
    "relink",
    "under",
]

FRESH_SECONDS = 2.0
"""A file modified so shortly before it was read may change again without a later modification time."""
SAMPLED = 64
"""Sources that are looked at to see whether an index was moved together with its documents."""


BEST_FIRST: tuple[FileState | None, ...] = ("unchanged", None, "changed", "missing")
"""States of a file, from the one that is cited most gladly; None for a document given in Python."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size and modification time of a file."""

    size: int
    modified: int
    """Nanoseconds since 1970."""
    trusted: bool
    """False where the file may change again without a later modification time."""

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """The stamp of a regular file, None where it cannot be had."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        age = time.time_ns() - status.st_mtime_ns
        return cls(status.st_size, status.st_mtime_ns, trusted=age > FRESH_SECONDS * 1e9)

    @property
    def kept(self) -> int | None:
        """The modification time to keep in the store: None where it is not trusted."""
        return self.modified if self.trusted else None

    def matches(self, source: Source) -> bool:
        """True where a source was read at this size and modification time."""
        return source.size == self.size and source.modified == self.modified

    def is_of(self, other: Stamp | None) -> bool:
        """True where nothing was written between two stamps."""
        return other is not None and (self.size, self.modified) == (other.size, other.modified)


@dataclass(frozen=True, slots=True)
class Renamed:
    """A file that is in the index under a new path, without having been read again."""

    old: str
    new: str


def content_hash(path: Path, limit: int) -> bytes:
    """sha256 of a file of at most ``limit`` bytes. Raises OSError."""
    with open_file(path, limit) as opened:
        return hashlib.file_digest(opened, "sha256").digest()  # type: ignore[arg-type]


def is_gone(path: str) -> bool:
    """True where the system says that there is no such file; not where it cannot say."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def under(path: str, roots: Sequence[Path]) -> bool:
    """True for a path that is one of ``roots`` or below one."""
    return any(Path(path).is_relative_to(root) for root in roots)


def gone(store: Store, roots: Sequence[Path]) -> list[Source]:
    """The files below ``roots`` that are in the index and no longer there."""
    candidates = [source for source in store.sources() if under(source.path, roots)] if roots else []
    return [source for source in candidates if is_gone(source.path) and store.is_file(source)]


def cited_at(store: Store, document_id: int, source: str, limit: int) -> tuple[str, FileState | None]:
    """The origin by which to cite a document, and the state of its file: ``source`` unless the file of another origin
    is in a better state. Files of up to ``limit`` bytes are hashed where their time leaves a doubt."""
    rows = store.rows(
        "SELECT o.origin, s.path FROM origins o JOIN sources s USING (source_id) WHERE document_id = ?"
        " ORDER BY origin_id",
        (document_id,),
        types=(str, str),
    )
    states = [(origin, _state(store, path, limit)) for origin, path in rows]
    return min(states, key=lambda state: (BEST_FIRST.index(state[1]), state[0] != source), default=(source, None))


def _state(store: Store, path: str, limit: int) -> FileState | None:
    source = store.source(path)
    if source is None or not store.is_file(source):
        return None
    if is_gone(path):
        return "missing"
    stamp = Stamp.of(Path(path))
    if stamp is None:
        return None
    if stamp.matches(source):
        return "unchanged"
    try:
        same = stamp.size == source.size and content_hash(Path(path), limit) == source.content_hash
    except OSError:
        return None
    return "unchanged" if same else "changed"


# --- files under another path ----------------------------------------------------------------------------------


def relink(store: Store, vanished: Sequence[Source], files: Iterable[Path], limit: int) -> list[Renamed]:
    """Give sources whose file is gone the path of a new file with the same content. Returns those renamed."""
    by_size: dict[int, list[Source]] = {}
    for source in vanished:
        if source.complete:
            by_size.setdefault(source.size, []).append(source)
    renamed = []
    for path in files if by_size else ():
        stamp = Stamp.of(path)
        waiting = by_size.get(stamp.size) if stamp is not None else None
        if stamp is None or not waiting or store.source(str(path)) is not None:
            continue
        try:
            digest = content_hash(path, limit)
        except OSError:
            continue
        same = [source for source in waiting if source.content_hash == digest]
        if same and stamp.is_of(Stamp.of(path)):
            source = max(same, key=lambda source: _likeness(source.path, path))
            waiting.remove(source)
            with store.transaction():
                _rename(store, source, str(path), stamp.kept)
            renamed.append(Renamed(source.path, str(path)))
    return renamed


def _likeness(old: str, new: Path) -> tuple[bool, bool]:
    """Rank files with one content: the one of the same name, or else in the same folder, was renamed."""
    return Path(old).name == new.name, Path(old).parent == new.parent


def _rename(store: Store, source: Source, path: str, modified: int | None) -> None:
    origins = store.origins(source.source_id)
    store.move_source(source, path, modified=modified)
    if (whole := origins.get(source.path)) is not None and (document_id := store.document_id(whole)) is not None:
        _retitle(store, document_id, Path(source.path), Path(path))


def _retitle(store: Store, document_id: int, old: Path, new: Path) -> None:
    """Replace what a title has of the old file name, where no other file holds the document."""
    (holders,) = store.row("SELECT count(*) FROM origins WHERE document_id = ?", (document_id,), types=(int,))
    if holders != 1 or new.name == old.name:
        return
    document = store.document(document_id)
    if document.title == title_of(old):
        title = title_of(new)
    else:
        own, bracket, _ = document.title.rpartition(" (")
        named = bracket and document.title == with_name(own, old, document.text)
        title = with_name(own if named else document.title, new, document.text)
    if title != document.title:
        store.set_title(document_id, title)


def moved_with_folder(store: Store, before: str | None, now: Path) -> list[tuple[Source, str]]:
    """The sources of an index that was moved from ``before`` to ``now`` together with its documents, with their new
    paths: those whose file is gone where it was, and is as far from the new folder as it was from the old."""
    if before is None or before == str(now):
        return []
    moved: list[tuple[Source, str]] = []
    for number, source in enumerate(store.sources()):
        if number >= SAMPLED and not moved:
            break
        if not Path(source.path).is_absolute():
            continue
        path = os.path.normpath(now / os.path.relpath(source.path, before))
        if path != source.path and is_gone(source.path) and Stamp.of(Path(path)) and store.source(path) is None:
            moved.append((source, path))
    return moved


def follow_folder(store: Store, moved: Sequence[tuple[Source, str]]) -> None:
    """Give sources the paths that ``moved_with_folder`` found."""
    with store.transaction():
        for source, path in moved:
            _rename(store, source, path, source.modified)
