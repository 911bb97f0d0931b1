"""Packed files: named arrays of one training run, made once and read by every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError
from ragyena.parsing import parse_json, read_json

__all__ = ["Arrays", "check_made_of", "made_of", "made_once", "read_arrays"]

Arrays: TypeAlias = dict[str, npt.NDArray[np.generic]]

_RECORD = "made_of"
_SHOWN = 80  # characters of a setting in a message
_HINT = "make it with `ragyena train RECIPE --pack-only` and a recipe of the same kind"


def made_once(
    path: Path,
    parts: Iterable[str],
    files: Iterable[str],
    make: Callable[[], tuple[Arrays, dict[str, Any]]],
    record: Mapping[str, Any],
) -> tuple[Path, dict[str, Any]]:
    """The ``.npz`` file of the arrays that ``make`` gives, and its report, a JSON file beside it. The file keeps the
    ``record`` of what it was made of (``check_made_of``), wherever it goes.

    They are made unless they are there already: a digest of the ``parts`` (settings, tokenizer), and of size and time
    of every local one of the ``files``, is appended to the name of ``path``.
    """
    key = list(parts)
    for name in files:
        if Path(name).is_file():
            stat = Path(name).stat()
            key.append(f"{name} {stat.st_size} {stat.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()[:16]
    path = path.with_name(f"{path.name}-{digest}.npz")
    report = path.with_suffix(".json")
    if path.is_file() and report.is_file():
        values: dict[str, Any] = read_json(report)
        return path, values
    arrays, values = make()
    arrays[_RECORD] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **arrays)
    partial.rename(path)
    report.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return path, values


def made_of(config: BaseModel, version: str, tokenizer: Tokenizer) -> dict[str, Any]:
    """The record of a packed file: the kind of its settings, their values, the version of the code that packs, the
    tokenizer."""
    return {
        "kind": type(config).__name__,
        "version": version,
        "tokenizer": tokenizer.fingerprint,
        "data": config.model_dump(mode="json"),
    }


def check_made_of(path: Path, wanted: Mapping[str, Any]) -> None:
    """Compares the record of a packed file with that of a recipe. Names of files are compared as far as the recipe
    writes them: the file may come from a machine where they lay elsewhere.

    Raises DataError where the file was made of other settings, or has no record. A file of another kind of data passes:
    what reads it says what it lacks.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            record = parse_json(file[_RECORD].tobytes().decode()) if _RECORD in file.files else None
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} is not packed training data, or is damaged", hint=_HINT) from error
    if not isinstance(record, dict):
        raise DataError(f"{path} does not say what it was made of: an earlier version of ragyena packed it", hint=_HINT)
    if record.get("kind") != wanted["kind"]:
        return
    other = [f"{name} differs" for name in ("version", "tokenizer") if record.get(name) != wanted[name]]
    theirs = record.get("data", {})
    other += [
        f"data.{name} is {_shown(theirs.get(name))}, here {_shown(value)}"
        for name, value in wanted["data"].items()
        if not _same(theirs.get(name), value)
    ]
    if other:
        raise DataError(f"{path} was made of other settings: {'; '.join(other)}", hint=_HINT)


def _same(theirs: Any, ours: Any) -> bool:
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return all(_same(*pair) for pair in zip(theirs, ours))
    if isinstance(ours, str) and isinstance(theirs, str):
        wanted = PurePath(ours.partition(":")[2] or ours).parts  # shipped:NAME is a file of that name
        return PurePath(theirs).parts[-len(wanted) :] == wanted
    return bool(theirs == ours)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def read_arrays(path: Path, needed: Sequence[str], what: str, renamed: Mapping[str, str] | None = None) -> Arrays:
    """All arrays of an ``.npz`` file, those of old names under the ones they are ``renamed`` to; ``what`` the file
    should be, for errors.

    Raises DataError where it is none, is damaged, or lacks one of ``needed``.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataError(f"{path} is not {what}, but one array", hint=_HINT)
        with file:
            arrays = {(renamed or {}).get(name, name): file[name] for name in file.files if name != _RECORD}
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} is not {what}, or is damaged", hint=_HINT) from error
    for name in needed:
        if name not in arrays:
            raise DataError(f"{path} holds no {name}", hint=_HINT)
    return arrays
