"""The folder of an index from its name or path."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from ragyena.config import PipelineConfig
from ragyena.errors import UsageError

__all__ = ["DEFAULT_INDEX", "locate"]

DEFAULT_INDEX = "default"


def locate(index: str | os.PathLike[str] | None, config: PipelineConfig) -> Path:
    """The folder of ``index``.

    A string without a path separator is a name, unless a folder of that name is in the working directory: the index
    lives under ``config.index_root``, or the user's data folder where that is unset. Anything else is a path. None
    names the default index. Raises UsageError for a string that can be neither.
    """
    name = DEFAULT_INDEX if index is None else index
    if not isinstance(name, str):
        return _absolute(Path(name))
    separators = [s for s in (os.sep, os.altsep) if s]
    if any(s in name for s in separators) or name in (".", "..") or (name and Path(name).is_dir()):
        return _absolute(Path(name))
    if not name or not all(c.isalnum() or c in "-_." for c in name):
        raise UsageError(
            f"'{name}' is no name for an index", hint="use letters, digits, '-', '_' and '.', or give a path with a '/'"
        )
    return _absolute((config.index_root or Path(platformdirs.user_data_dir("ragyena")) / "indexes") / name)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 -- resolve() would replace the names of links
