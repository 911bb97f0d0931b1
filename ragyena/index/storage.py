"""Access to the files of an index: its folder, SQLite connections, the writer's lock, errors of storage."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import platformdirs
from filelock import FileLock, Timeout

from ragyena.config import PipelineConfig
from ragyena.errors import IndexCorruptError, IndexLockedError, RagyenaError, StorageError, UsageError
from ragyena.files import expanded

__all__ = [
    "LOCK_NAME",
    "OWNER_NAME",
    "REBUILD",
    "REPAIR",
    "UPGRADE",
    "connect",
    "flush_folder",
    "locate",
    "storage_errors",
    "writer_lock",
]

DEFAULT_INDEX = "default"
LOCK_NAME = "writer.lock"
OWNER_NAME = "writer.pid"

BUSY_SECONDS = 30.0
"""Seconds a statement waits for another connection's transaction."""
CACHE_KB = 65_536
READ_CACHE_KB = 262_144
"""For a connection that reads: a long context takes some 16 MB of pages, and those of other questions should stay."""
REPAIR = "nothing is lost, it is derived from the store: ragyena index verify --repair"
REBUILD = "build the index again from the documents: ragyena index add PATH --rebuild"
UPGRADE = "bring it to the present format, which embeds nothing again: ragyena index upgrade"


def locate(index: str | os.PathLike[str] | None, config: PipelineConfig) -> Path:
    """The folder of ``index``.

    A string without a path separator is a name, unless a folder of that name is in the working directory: the index
    lives under ``config.index_root``, or the user's data folder where that is unset. Anything else is a path. None
    names the default index. Raises UsageError for a string that can be neither.
    """
    name = DEFAULT_INDEX if index is None else index
    if not isinstance(name, str):
        return _absolute(Path(name))
    separators = [s for s in (os.sep, os.altsep) if s]
    if any(s in name for s in separators) or name in (".", "..") or (name and Path(name).is_dir()):
        return _absolute(Path(name))
    if not name or not all(c.isalnum() or c in "-_." for c in name):
        raise UsageError(
            f"'{name}' is no name for an index", hint="use letters, digits, '-', '_' and '.', or give a path with a '/'"
        )
    return _absolute((config.index_root or Path(platformdirs.user_data_dir("ragyena")) / "indexes") / name)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(expanded(path)))  # noqa: PTH100 -- resolve() would replace the names of links


def connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    """Open a SQLite file. In a folder that is not writable it is opened as immutable: no log can be kept beside it.

    Raises IndexCorruptError where it or a log beside it is no file: opening a pipe would wait for ever.
    """
    for part in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
        if os.path.lexists(part) and not part.is_file():
            raise IndexCorruptError(f"{part} is no file", hint=REBUILD)
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
    db.execute(f"PRAGMA cache_size = -{CACHE_KB if writable else READ_CACHE_KB}")
    db.execute("PRAGMA foreign_keys = ON")
    # A file that something else has changed runs no code of its own, and is checked as it is read.
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    if writable:
        db.execute("PRAGMA journal_mode = WAL")
        # With NORMAL, a loss of power may undo transactions that the vector file and the manifest already count with.
        db.execute("PRAGMA synchronous = FULL")
    return db


def flush_folder(folder: Path) -> None:
    """Wait until new, renamed and removed files of a folder are on the disk. Raises OSError."""
    if os.name == "posix":  # elsewhere a folder has no handle to flush
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
    except UnicodeDecodeError as error:  # a name in a damaged file, in what SQLite says of it
        raise IndexCorruptError(f"{path} is damaged: {error.reason}", hint=REBUILD) from error


def _translated(path: Path, error: sqlite3.Error) -> RagyenaError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = str(error)
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in text:
        return UsageError(f"{path} is closed", hint="open the index again")
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
        hint = "make room and run the command again: it resumes"
    else:
        hint = "check that the folder exists and may be written"
    return StorageError(f"{path} cannot be used: {reason}", hint=hint)


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Let one process at a time write an index; the system releases the lock of a process that dies.

    Raises IndexLockedError, with the process id of the holder if known, and StorageError.
    """
    owner = folder / OWNER_NAME
    lock = FileLock(folder / LOCK_NAME, timeout=0, thread_local=False)
    with storage_errors(folder):
        try:
            lock.acquire()
        except Timeout as error:
            raise IndexLockedError(
                f"{folder} is being written by another process{_holder(owner)}",
                hint="wait until it is done, or end it; searching and asking go on meanwhile",
            ) from error
    try:
        with storage_errors(folder):
            owner.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _holder(owner: Path) -> str:
    try:
        return f" (pid {int(owner.read_text(encoding='ascii'))})"
    except (OSError, ValueError):
        return ""
