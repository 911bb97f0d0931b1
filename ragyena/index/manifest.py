"""``manifest.json``: settings and models an index was made with, and its current vector file. Replaced whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ragyena.config import IndexConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import IndexCorruptError, IndexFormatError, IndexNotFoundError
from ragyena.index.embedder import Embedder
from ragyena.index.storage import REBUILD, flush_folder, storage_errors
from ragyena.index.vectors import VectorFile

__all__ = ["FORMAT_VERSION", "MANIFEST_NAME", "Manifest", "is_index"]

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1
FIXED = ("embedder", "passage_tokens", "text_fields", "title_fields", "comments")
"""Settings that cannot change once an index is made: its passages and vectors depend on them."""


def is_index(folder: Path) -> bool:
    """True where there is an index, sound or not, of any version."""
    return (folder / MANIFEST_NAME).is_file()


class Manifest(BaseModel):
    """The content of a manifest; ``indexes/README.md`` explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int
    embedder: str
    embedder_fingerprint: str
    """sha256 of its weights."""
    dimension: int
    metric: Literal["cosine"]
    config: IndexConfig
    tokenizer_fingerprint: str
    """sha256 of the tokenizer.json that cut the passages."""
    sources: int
    documents: int
    passages: int
    generation: int
    vectors: VectorFile | None
    """None until passages have been added."""
    vectors_trained_on: int
    """Passages there were when the vector file was last built from scratch rather than extended."""
    created: str
    updated: str

    @classmethod
    def new(cls, config: IndexConfig, embedder: Embedder, tokenizer: Tokenizer) -> Manifest:
        """The manifest of an empty index."""
        now = _now()
        return cls(
            format_version=FORMAT_VERSION,
            embedder=config.embedder,
            embedder_fingerprint=embedder.fingerprint,
            dimension=embedder.dimension,
            metric="cosine",
            config=config,
            tokenizer_fingerprint=tokenizer.fingerprint,
            sources=0,
            documents=0,
            passages=0,
            generation=0,
            vectors=None,
            vectors_trained_on=0,
            created=now,
            updated=now,
        )

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of an index.

        Raises IndexNotFoundError, IndexFormatError (another version), IndexCorruptError and StorageError.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise IndexNotFoundError(f"no index at {folder}", hint=f"make one: ragyena index add PATH --index {folder}")
        rebuild = REBUILD.replace("PATH", f"PATH --index {folder}")
        with storage_errors(path):
            content = path.read_bytes()
        try:
            values: Any = json.loads(content)
            version = values["format_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise IndexCorruptError(f"{path} is damaged: {error}", hint=rebuild) from error
        if version != FORMAT_VERSION:
            raise IndexFormatError(
                f"{folder} is of index format {version}, this ragyena reads format {FORMAT_VERSION}", hint=rebuild
            )
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise IndexCorruptError(f"{path} is damaged: {where}: {problem['msg']}", hint=rebuild) from error

    def differing_setting(self, config: IndexConfig) -> str | None:
        """The first setting fixed by this index that has another value in ``config``."""
        return next((key for key in FIXED if getattr(self.config, key) != getattr(config, key)), None)

    def changed(self, **values: object) -> Manifest:
        """A copy with other values and the present time."""
        return self.model_copy(update={**values, "updated": _now()})

    def write(self, folder: Path) -> None:
        """Replace the manifest on the disk. Raises StorageError; the old one then stays."""
        path = folder / MANIFEST_NAME
        unfinished = folder / f"{MANIFEST_NAME}.unfinished"
        with storage_errors(path):
            with unfinished.open("w", encoding="utf-8") as file:
                values = self.model_dump(mode="json") | {"vectors": asdict(self.vectors) if self.vectors else None}
                file.write(json.dumps(values, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            flush_folder(folder)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
