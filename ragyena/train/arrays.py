"""Packed files: named arrays of one training run, made once and read by every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ragyena.errors import DataError
from ragyena.parsing import read_json

__all__ = ["Arrays", "made_once", "read_arrays"]

Arrays: TypeAlias = dict[str, npt.NDArray[np.generic]]

_HINT = "make it with `ragyena train RECIPE --pack-only` and a recipe of the same kind"


def made_once(
    path: Path, parts: Iterable[str], files: Iterable[str], make: Callable[[], tuple[Arrays, dict[str, Any]]]
) -> tuple[Path, dict[str, Any]]:
    """The ``.npz`` file of the arrays that ``make`` gives, and its report, a JSON file beside it.

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
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **arrays)
    partial.rename(path)
    report.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return path, values


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
            arrays = {(renamed or {}).get(name, name): file[name] for name in file.files}
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} is not {what}, or is damaged", hint=_HINT) from error
    for name in needed:
        if name not in arrays:
            raise DataError(f"{path} holds no {name}", hint=_HINT)
    return arrays
