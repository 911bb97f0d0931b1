"""Access to the files of an index: SQLite connections, the writer's lock, and storage errors as those of ragyena."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from ragyena.errors import IndexCorruptError, IndexLockedError, RagyenaError, StorageError

__all__ = ["LOCK_NAME", "OWNER_NAME", "REBUILD", "WriterLock", "connect", "storage_errors"]

LOCK_NAME = "writer.lock"
OWNER_NAME = "writer.pid"

BUSY_SECONDS = 30.0
"""Seconds a statement waits for another connection's transaction."""
CACHE_KB = 65_536
REBUILD = "build the index again from the documents: ragyena index add PATH --rebuild"


def connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    """Open a SQLite file. In a folder that is not writable it is opened as immutable: no log can be kept beside it."""
    if writable:
        mode = "rwc"
    else:
        log = path.with_name(path.name + "-wal")
        immutable = not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)
        mode = "ro&immutable=1" if immutable else "ro"
    db = sqlite3.connect(
        f"file:{quote(str(path.resolve()))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    db.execute(f"PRAGMA cache_size = -{CACHE_KB}")
    db.execute("PRAGMA foreign_keys = ON")
    if writable:
        # A process that dies loses nothing with NORMAL; a machine that dies may lose the last transactions, whole.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
    return db


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the system about ``path`` as IndexCorruptError, IndexLockedError or
    StorageError."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(path, error) from error
    except OSError as error:
        raise _os_error(path, error) from error


def _translated(path: Path, error: sqlite3.Error) -> RagyenaError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = str(error)
    if code == sqlite3.SQLITE_FULL:
        return _os_error(path, OSError(errno.ENOSPC, "the disk is full"))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return IndexLockedError(f"{path} is being written by another process", hint="try again when it is done")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
        return StorageError(
            f"{path} cannot be used: {text}", hint="check free space, the permissions of the folder and the disk"
        )
    return IndexCorruptError(f"{path} is damaged: {text}", hint=REBUILD)


def _os_error(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "make room and run the command again: it goes on where it stopped"
    else:
        hint = "check that the folder exists and may be written"
    return StorageError(f"{path} cannot be used: {reason}", hint=hint)


class WriterLock:
    """Lets one process at a time write an index; the system releases the lock of a process that dies.

    ``take`` one, ``release`` it.
    """

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self._owner = folder / OWNER_NAME
        self._lock = lock

    @classmethod
    def take(cls, folder: Path) -> WriterLock:
        """Take the lock. Raises IndexLockedError, with the process id of the holder if known, and StorageError."""
        lock = FileLock(folder / LOCK_NAME, timeout=0, thread_local=False)
        with storage_errors(folder):
            try:
                lock.acquire()
            except Timeout as error:
                raise IndexLockedError(
                    f"{folder} is being written by another process{_holder(folder)}",
                    hint="wait until it is done, or end it; searching and asking go on meanwhile",
                ) from error
            held = cls(folder, lock)
            try:
                held._owner.write_text(str(os.getpid()), encoding="ascii")
            except BaseException:
                lock.release()
                raise
        return held

    def release(self) -> None:
        self._owner.unlink(missing_ok=True)
        self._lock.release()


def _holder(folder: Path) -> str:
    try:
        return f" (pid {int((folder / OWNER_NAME).read_text(encoding='ascii'))})"
    except (OSError, ValueError):
        return ""
