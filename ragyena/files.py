"""Open and read files that others made: never a pipe or device, never more bytes than a limit.

``path.read_bytes()`` waits for ever on a named pipe, and fills the memory from a device or a sparse file. These
functions raise OSError instead, with a ``strerror`` that says why, as for any other file that cannot be read.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

from ragyena.errors import UsageError

__all__ = ["SMALL_FILE_BYTES", "expanded", "open_file", "read_file"]

SMALL_FILE_BYTES = 16_000_000
"""The limit for files written by hand: settings, recipes, ignore files."""

_KINDS = (
    (stat.S_ISDIR, errno.EISDIR, "it is a folder"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a named pipe, not a regular file"),
    (stat.S_ISSOCK, errno.EINVAL, "it is a socket, not a regular file"),
    (stat.S_ISCHR, errno.EINVAL, "it is a device, not a regular file"),
    (stat.S_ISBLK, errno.EINVAL, "it is a device, not a regular file"),
)
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with the home folder in the place of ``~`` or ``~user``.

    Raises UsageError for a user that there is not, and for a name that no file can have.
    """
    name = os.fspath(path)
    if "\0" in name:
        reason = "it holds a NUL character"
    elif not name.isascii() and name.encode("utf-8", "replace") != name.encode("utf-8", "surrogatepass"):
        reason = "it is not UTF-8"
    else:
        try:
            return Path(name).expanduser()
        except RuntimeError:
            reason = "there is no such user"
    raise UsageError(f"no file can be at {name}: {reason}", hint="check the path")


def open_file(path: Path, limit: int) -> BinaryIO:
    """Open a regular file of at most ``limit`` bytes to read its bytes.

    A file that grows beyond the limit while it is read raises OSError (EFBIG) at the read that passes it. A file
    without a size (those of ``/proc``) reads as empty.

    Raises:
        OSError: It cannot be opened, is no regular file (EINVAL, EISDIR), or is larger than the limit (EFBIG).
    """
    _check(path.stat(), path, limit)  # before opening: to open a device can change its state
    descriptor = os.open(path, _FLAGS)  # a pipe that took the file's place meanwhile does not block
    try:
        status = os.fstat(descriptor)
        _check(status, path, limit)
        if status.st_size == 0:
            os.close(descriptor)
            return io.BytesIO()
        return cast(BinaryIO, io.BufferedReader(_Limited(descriptor, path, limit)))
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: Path, limit: int = SMALL_FILE_BYTES) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. Raises OSError as ``open_file`` does."""
    with open_file(path, limit) as file:
        return file.read()


def _check(status: os.stat_result, path: Path, limit: int) -> None:
    for is_kind, code, reason in _KINDS:
        if is_kind(status.st_mode):
            raise OSError(code, reason, str(path))
    if status.st_size > limit:
        raise _too_large(path, f"{status.st_size / 1e6:,.1f} MB", limit)


def _too_large(path: Path, size: str, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"it has {size}, more than the limit of {limit / 1e6:g} MB", str(path))


class _Limited(io.FileIO):
    """A file that raises OSError once more than ``limit`` bytes of it are read."""

    def __init__(self, descriptor: int, path: Path, limit: int) -> None:
        super().__init__(descriptor, "rb")
        self._path = path
        self._limit = limit

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = super().readinto(view)
        self._check_position()
        return count or 0

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return self.readall()
        data = super().read(size)
        self._check_position()
        return data or b""

    def readall(self) -> bytes:
        """Read to the end, at most one byte beyond the limit."""
        left = max(0, self._limit - self.tell()) + 1
        parts = []
        while left > 0 and (part := super().read(min(left, 1 << 24))):
            parts.append(part)
            left -= len(part)
        self._check_position()
        return b"".join(parts)

    def _check_position(self) -> None:
        if self.tell() > self._limit:
            raise _too_large(self._path, "grown while it was read", self._limit)
