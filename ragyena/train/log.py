"""The log of a training stage: ``log.jsonl`` in its folder, from which plots are made.

A line is a JSON object: ``step``, ``tokens`` and ``flops`` (of the model, so far), ``seconds`` (of training, so far),
``losses`` (means over the steps since the last such line) with ``rate`` (multiplier of the peak learning rates),
``tokens_per_second`` and ``mfu`` (null where the device's peak is not known); or ``held_out``, measured after the step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragyena.errors import DataError, StorageError
from ragyena.parsing import parse_json

__all__ = ["TrainingLog", "read_log"]

LOG_FILE = "log.jsonl"


class TrainingLog:
    """Appends lines to a stage's log. Lines after the step that a run resumes at are cut off: they come again."""

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        kept = [row for row in read_log(path) if row["step"] <= step] if step and path.is_file() else []
        partial = path.with_suffix(".partial")
        try:
            partial.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
            partial.replace(path)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error

    def write(self, row: Mapping[str, Any]) -> None:
        """One line, on its way to the disk at once."""
        try:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written: {error.strerror}",
                hint="make room; the same command resumes the run from its last checkpoint",
            ) from error

    def close(self) -> None:
        self._file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; an unfinished last one, of a run that was killed, is left out. Raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", hint="name the folder of a run or of a stage") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = parse_json(line)
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                raise ValueError("not a point of a training log")
        except ValueError as error:
            if number == len(lines):
                break
            raise DataError(f"{path}, line {number} is damaged: {error}", hint="train again in a new folder") from error
        rows.append(row)
    return rows
