"""Following folders: an index that is brought in line with them whenever their files change.

Changes are awaited with watchdog. After one, nothing is done until the files have been quiet for a while, and a file
that a program still writes is left until it is closed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.documents.formats import format_of
from ragyena.errors import PathNotFoundError, StorageError
from ragyena.index.store import Store
from ragyena.index.tracking import under

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

__all__ = ["Watch", "check_roots"]

FEW = 10
"""Documents that are quickly added again: of so few, an empty folder is taken to have been emptied."""
STOP_SECONDS = 2.0
"""The most that is waited for the threads that watch: one may be blocked at a folder that went away."""
QUIET_SECONDS = 0.7
"""After a change, time without another one before the index follows."""
WRITING_SECONDS = 30.0
"""A file that is open for writing counts as being written so long after its last change."""
MOST_SECONDS = 10.0
"""Files that never rest are waited for no longer than this; the others then follow."""
LOOK_SECONDS = 300.0
"""Everything is looked at so often at least: a system may lose events, and gives none from network disks."""
TICK_SECONDS = 0.1


def check_roots(store: Store, roots: Sequence[Path]) -> None:
    """Raises PathNotFoundError for an empty folder under which many files are known: a disk that is not mounted."""
    for root in roots:
        top = Path(os.path.abspath(root))  # noqa: PTH100 -- resolve() would replace the names of links
        if top.is_dir() and not any(top.iterdir()):
            known = sum(under(source.path, [top]) for source in store.sources())
            if known > FEW:
                raise PathNotFoundError(
                    f"{top} is empty, and {known} files of it are in the index: is a disk not mounted?",
                    hint=f"if they are gone for good, remove them: ragyena index rm {top}",
                )


class Watch:
    """Waits for changes below folders. A context manager."""

    def __init__(self, roots: Sequence[Path], index: Path) -> None:
        """Watch ``roots``; what happens inside the folder ``index`` does not count.

        Raises StorageError where the system cannot watch so many folders.
        """
        self._roots = [Path(os.path.abspath(root)) for root in roots]  # noqa: PTH100
        self._ignored = [index, *(index.with_name(index.name + end) for end in (".rebuild", ".replaced"))]
        self._lock = threading.Lock()
        self._first: float | None = None
        """Time of the first change that has not been followed."""
        self._last = 0.0
        self._written: dict[Path, float] = {}
        """Files that a program has open to write, and when it last did."""
        self._observer: BaseObserver | None = None
        self._places: list[tuple[int, int] | None] = []

    def __enter__(self) -> Watch:
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def changes(self) -> Iterator[set[Path]]:
        """Yield whenever files have changed and are quiet again: the files that are still being written."""
        looked = time.monotonic()
        while True:
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            if self._places != (places := self._identities()):
                if None not in places:  # a folder that was replaced is watched anew
                    self._stop()
                    self._start()
                self._places = places
                self._note(now)
            with self._lock:
                if any(now - at >= WRITING_SECONDS for at in self._written.values()):
                    self._written = {path: at for path, at in self._written.items() if now - at < WRITING_SECONDS}
                    self._first = now if self._first is None else self._first
                due = self._first is not None and (
                    now - self._last >= QUIET_SECONDS or now - self._first >= MOST_SECONDS
                )
                if not due and now - looked < LOOK_SECONDS:
                    continue
                writing = set(self._written)
                self._first = None
            looked = now
            yield writing

    def again(self) -> None:
        """Count as if something had changed: what could not be followed is tried again."""
        self._note(time.monotonic())

    def _note(self, now: float) -> None:
        with self._lock:
            self._first = now if self._first is None else self._first
            self._last = now

    def _identities(self) -> list[tuple[int, int] | None]:
        places: list[tuple[int, int] | None] = []
        for root in self._roots:
            try:
                status = root.stat()
                places.append((status.st_dev, status.st_ino))
            except OSError:
                places.append(None)
        return places

    def _start(self) -> None:
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        class Handler(FileSystemEventHandler):
            def on_any_event(_, event: FileSystemEvent) -> None:  # noqa: N805
                self._event(event)

        observer = Observer()
        try:
            for root in self._roots:
                observer.schedule(Handler(), str(root if root.is_dir() else root.parent), recursive=root.is_dir())
            observer.start()
        except OSError as error:
            raise StorageError(
                f"cannot watch {', '.join(map(str, self._roots))}: {error.strerror or error}",
                hint="watch fewer folders, or raise the system's limit (on Linux: sysctl fs.inotify.max_user_watches)",
            ) from error
        self._observer = observer
        self._places = self._identities()

    def _stop(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(STOP_SECONDS)  # its threads do not keep the process alive
            self._observer = None

    def _event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write"):
            return
        now = time.monotonic()
        paths = [Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        paths = [path for path in paths if self._counts(path, folder=event.is_directory)]
        if not paths or (event.is_directory and event.event_type == "modified"):
            return
        with self._lock:
            for path in paths:
                writing = event.event_type == "modified" or (event.event_type == "created" and _is_empty(path))
                if writing and sys.platform == "linux":  # elsewhere nothing tells when a file is closed
                    self._written[path] = now
                else:
                    self._written.pop(path, None)
        self._note(now)

    def _counts(self, path: Path, *, folder: bool) -> bool:
        if under(str(path), self._ignored) or not under(str(path), self._roots):
            return False
        return folder or path.name == ".gitignore" or format_of(path) is not None


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False
