"""Opening and reading files: pipes, devices, sockets, sparse and growing files."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from ragyena.files import open_file, read_file

pytestmark = pytest.mark.timeout(20)  # the fault that these look for is a hang
posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")


def test_a_file_is_read_whole_and_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(range(256)) * 1000)
    assert read_file(path, 256_000) == path.read_bytes()
    with open_file(path, 256_000) as file:
        assert file.read(10) + file.read() == path.read_bytes()
        assert file.tell() == 256_000
        file.seek(3)
        assert file.read(1) == b"\x03"


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert read_file(tmp_path / "a") == b""


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.txt")
    return folder / "pipe.txt"


def _socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
    return folder / "s"


def _link_to_device(folder: Path) -> Path:
    (folder / "zero.txt").symlink_to("/dev/zero")
    return folder / "zero.txt"


@posix
@pytest.mark.parametrize(
    ("make", "reason"),
    [(_pipe, "named pipe"), (_socket, "socket"), (_link_to_device, "device"), (lambda folder: folder, "folder")],
)
def test_what_is_no_regular_file_is_refused_without_waiting(make, reason: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(OSError) as caught:
        read_file(path)
    assert reason in caught.value.strerror and caught.value.filename == str(path)


@posix
def test_a_pipe_that_takes_the_place_of_a_file_between_check_and_opening_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real_stat = _pipe(tmp_path), os.stat
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setattr(Path, "stat", lambda _: real_stat(tmp_path / "file"))
    with pytest.raises(OSError, match="named pipe"):
        read_file(path)


@posix
def test_a_sparse_file_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=r"1,099,511\.6 MB, more than the limit of 16 MB") as caught:
        read_file(tmp_path / "big")
    assert caught.value.errno == errno.EFBIG


def test_a_file_that_grows_is_read_to_the_limit_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 50)
    for read in (lambda file: file.read(), lambda file: [*iter(lambda: file.read(7), b"")]):
        path.write_bytes(b"x" * 50)
        with open_file(path, 100) as file, path.open("ab") as writer:
            writer.write(b"y" * 1_000_000)
            writer.flush()
            with pytest.raises(OSError, match="grown while it was read"):
                read(file)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux only")
def test_a_file_of_proc_reads_as_empty() -> None:
    assert read_file(Path("/proc/self/status")) == b""
