"""A JSON lines file that a long run appends to and a later run goes on from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ragyena.errors import DataError, StorageError

__all__ = ["Journal"]


class Journal:
    """Rows on disk. ``rows`` holds what earlier runs wrote; a line that a killed run left unfinished is cut off."""

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
                self.rows.append(json.loads(line))
            except ValueError as error:
                self._file.close()
                raise DataError(f"{path}, line {number} is damaged", hint="delete the file to start afresh") from error

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes rows so that they outlast a kill. Raises StorageError where the disk is full."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        try:
            self._file.write(text.encode("utf-8", errors="surrogatepass"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror}", hint="make room; the run goes on where it stopped"
            ) from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
