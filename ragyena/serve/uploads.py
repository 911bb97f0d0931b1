"""Uploaded files: safe names, one file for one content, never another file's content replaced."""

from __future__ import annotations

import hashlib
import os
import secrets
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ragyena.documents.formats import format_of, unsupported
from ragyena.errors import StorageError, UnreadableDocumentError
from ragyena.index.storage import storage_errors
from ragyena.serve.problems import InvalidRequestError

__all__ = ["safe_name", "store", "stored_files"]

LONGEST_NAME = 150
"""Bytes of a name; systems take 255."""
INCOMING = ".incoming-"
"""Beginning of the name of a file that is not whole yet."""
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))})
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_REPLACED = str.maketrans(dict.fromkeys('<>:"|?*', "_"))


def safe_name(given: str) -> str:
    """A name for an uploaded file: the last part of the one given, without what could leave a folder or mislead.

    Raises InvalidRequestError where nothing of it is left.
    """
    name = unicodedata.normalize("NFC", given.encode("utf-8", "replace").decode()).replace("\\", "/").rpartition("/")[2]
    name = "".join(
        char for char in name if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    name = name.translate(_REPLACED).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    if not any(char.isalnum() for char in stem):
        raise InvalidRequestError("an uploaded file has no name", hint="give it a file name with its suffix: notes.txt")
    if stem.split(".")[0].strip().lower() in _RESERVED:
        stem = f"_{stem}"
    ending = f".{suffix}" if suffix else ""
    room = max(1, LONGEST_NAME - len(ending.encode()))
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + ending


def store(folder: Path, given: str, content: BinaryIO, limit: int) -> Path:
    """Store an uploaded file of at most ``limit`` bytes under its name, or that name with a number.

    The same content under the same name is stored once. Raises UnreadableDocumentError for a type that is not read or
    a file that is too large, InvalidRequestError for a name that is none, and StorageError.
    """
    name = safe_name(given)
    if format_of(Path(name)) is None:
        raise unsupported(Path(name))
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        incoming = folder / f"{INCOMING}{secrets.token_hex(8)}"
        try:
            digest = hashlib.sha256()
            size = 0
            with incoming.open("xb") as file:
                while part := content.read(1 << 20):
                    size += len(part)
                    if size > limit:
                        raise UnreadableDocumentError(
                            f"{name} has more than {limit / 1e6:g} MB", hint="split it, or raise index.max_file_mb"
                        )
                    digest.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            for path in _candidates(folder, name):
                if path.exists():
                    if _digest(path) == digest.digest():
                        return path
                    continue
                try:
                    os.link(incoming, path)  # fails where the name was taken meanwhile, unlike a rename
                except FileExistsError:
                    continue
                return path
        finally:
            incoming.unlink(missing_ok=True)
    raise StorageError(f"{folder} holds too many files named {name}", hint="give the file another name")


def stored_files(folder: Path) -> list[Path]:
    """The uploaded files; what an upload left that was cut off is removed."""
    if not folder.is_dir():
        return []
    files = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(INCOMING):
            path.unlink(missing_ok=True)
        elif path.is_file() and not path.is_symlink():
            files.append(path)
    return files


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    path = folder / name
    yield path
    for number in range(2, 1000):
        yield folder / f"{path.stem}-{number}{path.suffix}"


def _digest(path: Path) -> bytes | None:
    if not path.is_file() or path.is_symlink():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
