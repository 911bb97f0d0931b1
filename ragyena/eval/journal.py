"""Files that a run writes: journals that a later run continues, and files written whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ragyena.errors import DataError, StorageError
from ragyena.parsing import parse_json

__all__ = ["Journal", "digest_of", "json_lines", "write_json", "write_text"]


class Journal:
    """JSON lines on disk. ``rows`` holds what earlier runs wrote; an unfinished last line is cut off."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. Raises DataError where it is damaged, StorageError where it cannot be written."""
        self.path = path
        self.rows: list[dict[str, Any]] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
            self._file.seek(0)
            content = self._file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                self._file.truncate(whole)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder") from error
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                self.rows.append(parse_json(line.decode("utf-8", errors="surrogatepass"), keep_surrogates=True))
            except ValueError as error:
                self._file.close()
                raise DataError(f"{path}, line {number} is damaged", hint="delete the file to start afresh") from error

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes rows so that they outlast a kill. Raises StorageError where the disk is full."""
        try:
            self._file.write(json_lines(rows).encode("utf-8", errors="surrogatepass"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror}", hint="make room; the same command resumes the run"
            ) from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """One line of JSON a row."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_text(path: Path, text: str, *, hint: str = "choose another --out") -> str:
    """Writes a file whole; the sha256 of its content. Raises StorageError."""
    content = text.encode("utf-8", errors="surrogatepass")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint=hint) from error
    return hashlib.sha256(content).hexdigest()


def write_json(path: Path, values: Any) -> None:
    """Writes a result. Raises StorageError."""
    write_text(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def digest_of(values: Any, length: int = 12) -> str:
    """A short sha256 that identifies values by their JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:length]
