"""SQLite connections, and what goes wrong with them and with files, in the words of ragyena."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from ragyena.errors import IndexCorruptError, IndexLockedError, RagyenaError, StorageError

__all__ = ["connect", "storage_errors"]

BUSY_SECONDS = 30.0
"""How long a statement waits for another connection's transaction."""
CACHE_KB = 65_536


def connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    """Readers of a folder that may not be written open the file as unchanging: the log beside it has no place to be."""
    if writable:
        mode = "rwc"
    elif not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    else:
        log = path.with_name(path.name + "-wal")
        unchanging = not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)
        mode = "ro&immutable=1" if unchanging else "ro"
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
    """What SQLite and the operating system raise about ``path``, as IndexCorruptError, IndexLockedError or
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
    return IndexCorruptError(
        f"{path} is damaged: {text}", hint="build the index again from the documents: ragyena index add PATH --rebuild"
    )


def _os_error(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "make room and run the command again: it goes on where it stopped"
    else:
        hint = "check that the folder exists and may be written"
    return StorageError(f"{path} cannot be used: {reason}", hint=hint)
