"""The lock that lets one process write an index at a time. The system takes it back from a process that dies."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from ragyena.errors import IndexLockedError
from ragyena.index.storage import storage_errors

__all__ = ["LOCK_NAME", "OWNER_NAME", "WriterLock"]

LOCK_NAME = "writer.lock"
OWNER_NAME = "writer.pid"


class WriterLock:
    """A held lock; ``take`` one, ``release`` it."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self._owner = folder / OWNER_NAME
        self._lock = lock

    @classmethod
    def take(cls, folder: Path) -> WriterLock:
        """Raises IndexLockedError, with the holder's process id where it is known, and StorageError."""
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
