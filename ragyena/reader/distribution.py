"""A reader as a Python distribution of its own, for ``pip install`` to put beside ragyena (``ragyena.readers``)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ragyena.config import PairModelConfig, ReaderConfig, ReaderModelConfig
from ragyena.errors import StorageError, UsageError
from ragyena.model.checkpoint import CARD_FILE, checkpoint_files, load_config
from ragyena.model.input_ranges import RANGES_FILE
from ragyena.reader.reader import Reader
from ragyena.readers import BESIDE, GROUP, POLAR, SMALL

__all__ = ["write_distribution"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PROJECT = """\
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "ragyena-reader-{name}"
version = "{version}"
description = "The reader '{name}' of ragyena: {parameters:.0f}M parameters, {size:.0f} MiB."
readme = "README.md"
license = "{license}"
requires-python = ">=3.11"

[project.entry-points."{group}"]
{name} = "{package}"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""
_README = """\
# The reader '{name}' of ragyena

    pip install .
    ragyena ask "..." --reader {name}

{parameters:.1f}M parameters, {size:.0f} MiB. `{package}/` is its checkpoint folder{card}.
"""


def write_distribution(
    checkpoint: Path, name: str, to: Path, *, version: str, licence: str, beside: Path | None = None
) -> Path:
    """Write the folder ``to``: ``pyproject.toml``, ``README.md`` and a package of the checkpoint's files. The reader is
    loaded first. A distribution of the same name that is there is replaced.

    Args:
        checkpoint: A reader's folder. What lies in a pair reader's is packaged with it: the reader beside it, and the
            layers that decide yes or no.
        name: The name that ``--reader`` is to know it by.
        to: The folder to write.
        version: The version of the distribution.
        licence: The licence of the weights, as an SPDX expression.
        beside: The folder of the reader that a pair reader is to read with, packaged with it.

    Raises UsageError for a name that none can have, a folder that holds something else, ``beside`` for a reader that
    is no pair reader, or one that is; what ``Reader.open`` raises; StorageError.
    """
    if not _NAME.fullmatch(name) or name == SMALL:
        raise UsageError(f"no reader can be called '{name}'", hint="use small letters, digits and '-', such as 'base'")
    if to.exists() and any(to.iterdir()) and not _is_of(to, name):
        raise UsageError(f"{to} holds something else than the reader '{name}'", hint="name a new or empty folder")
    if beside is not None and not isinstance(load_config(checkpoint), PairModelConfig):
        raise UsageError(f"{checkpoint} holds no pair reader: it reads alone", hint="leave --beside out")
    if beside is not None and not isinstance(load_config(beside), ReaderModelConfig):
        raise UsageError(
            f"{beside} holds no reader of whole contexts, which a pair reader reads with",
            hint="name the folder of one, such as small's",
        )
    if beside is None and (checkpoint / BESIDE).is_dir():
        beside = checkpoint / BESIDE
    together = str(checkpoint) if beside is None else f"{checkpoint}+{beside}"
    reader = Reader.open(ReaderConfig(checkpoint=together, device="cpu"))
    files = {path.name: path for path in _files_of(checkpoint)}
    if beside is not None:
        files |= {f"{BESIDE}/{path.name}": path for path in _files_of(beside)}
    if (checkpoint / POLAR).is_dir():
        files |= {f"{POLAR}/{path.name}": path for path in _files_of(checkpoint / POLAR)}
    package = f"ragyena_reader_{name.replace('-', '_')}"
    card = f"; see `{package}/{CARD_FILE}`" if CARD_FILE in files else ""
    facts = {
        "name": name,
        "package": package,
        "group": GROUP,
        "version": version,
        "license": licence,
        "parameters": reader.parameters / 1e6,
        "size": sum(path.stat().st_size for path in files.values()) / 2**20,
        "card": card,
    }
    new = to.with_name(f"{to.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        for place, path in files.items():
            (new / package / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, new / package / place)
        (new / package / "__init__.py").write_text(f'"""The checkpoint of ragyena\'s reader \'{name}\'."""\n')
        (new / "pyproject.toml").write_text(_PROJECT.format(**facts), encoding="utf-8")
        (new / "README.md").write_text(_README.format(**facts), encoding="utf-8")
        shutil.rmtree(to, ignore_errors=True)
        new.rename(to)
    except OSError as error:
        raise StorageError(f"cannot write {to}: {error}", hint="check free space and permissions") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return to


def _files_of(folder: Path) -> list[Path]:
    """The files of a checkpoint, its calibrations (its own, and those of reading together with others), its ranges."""
    return [*checkpoint_files(folder), *sorted(folder.glob("calibration*.json")), *sorted(folder.glob(RANGES_FILE))]


def _is_of(folder: Path, name: str) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and f'name = "ragyena-reader-{name}"' in project.read_text(encoding="utf-8")
