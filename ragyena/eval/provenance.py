"""What results and frozen contexts of an evaluation were made from: those made from the same are alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ragyena import __version__
from ragyena.config import EvalConfig, PipelineConfig
from ragyena.data.qa_files import under
from ragyena.documents.tokenizer import Tokenizer

__all__ = ["check_data", "data_stamps", "file_hash", "origin_digest", "stamps"]

_DATA = ("questions", "passages", "unanswerable", "prose", "documents", "corpus")
_READING = frozenset({"description", "limit", "timed", "timed_seconds", "resamples"})
"""Settings of a recipe that say how contexts are read, not which there are."""
_MOST = frozenset({"among", "context_tokens", "positions"})
"""... and those of which frozen contexts hold what is asked for, or more."""


def check_data(config: EvalConfig, data_root: Path) -> None:
    """Raises PathNotFoundError where a file of the recipe is not there."""
    for name in _DATA:
        if files := getattr(config, name):
            under(data_root.expanduser(), files)


def data_stamps(config: EvalConfig, data_root: Path) -> list[list[Any]]:
    """Those of all data that a recipe names. Raises PathNotFoundError."""
    root = data_root.expanduser()
    files = [Path(name) for kind in _DATA for name in under(root, getattr(config, kind))]
    return stamps([*files, root / config.beir] if config.beir else files)


def stamps(paths: Iterable[Path]) -> list[list[Any]]:
    """Name, size and time of change of each file, and of the files in each folder."""
    found: list[list[Any]] = []
    for path in paths:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            stat = file.stat() if file.is_file() else None  # not a file: a dataset on the hub
            found.append([str(file), stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0])
    return found


def file_hash(path: Path) -> str:
    """sha256 of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def origin_digest(
    config: EvalConfig, settings: PipelineConfig, tokenizer: Tokenizer, *, data_root: Path, index: Path
) -> str:
    """Names what contexts are frozen from, all but how many of them are asked for. Raises PathNotFoundError."""
    from ragyena.index.manifest import MANIFEST_NAME, is_index

    made_of = {
        "config": config.model_dump(mode="json", exclude=set(_READING | _MOST)),
        "settings": settings.model_dump(mode="json", include={"index", "packer", "retriever"}),
        "max_question_tokens": settings.reader.max_question_tokens,
        "tokenizer": tokenizer.fingerprint,
        "data": [[str(Path(name).resolve()), *rest] for name, *rest in data_stamps(config, data_root)],
        "index": [str(index.resolve()), stamps([index / MANIFEST_NAME])[0][1:] if is_index(index) else []],
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
