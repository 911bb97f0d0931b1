"""Packed files: named arrays of one training run, written once and read by every process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ragyena.errors import DataError

__all__ = ["read_arrays"]

_HINT = "make it with `ragyena train RECIPE --pack-only` and a recipe of the same kind"


def read_arrays(
    path: Path, needed: Sequence[str], what: str, renamed: Mapping[str, str] | None = None
) -> dict[str, npt.NDArray[np.generic]]:
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
