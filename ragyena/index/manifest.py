"""``manifest.json``: settings and models an index was made with, and its current vector file. Replaced whole."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json, to_json

from ragyena.config import IndexConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import IndexCorruptError, IndexFormatError, IndexMismatchError, IndexNotFoundError, RagyenaError
from ragyena.index.embedder import BUNDLED_SHA256, Embedder
from ragyena.index.storage import REBUILD, UPGRADE, flush_folder, storage_errors
from ragyena.index.vectors import VectorFile

__all__ = ["FORMAT_VERSION", "MANIFEST_NAME", "Manifest", "format_of", "is_index", "refuse_older"]

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 2
LARGEST_FILE = 16_000_000
"""Bytes; a manifest has about a thousand."""
LARGEST_DIMENSION = 65_536
Count = Annotated[int, Field(ge=0, lt=2**53)]
FIXED = ("embedder", "passage_tokens", "text_fields", "title_fields", "csv_rows", "comments", "hidden")
"""Settings that cannot change once an index is made: its passages and vectors depend on them."""


def is_index(folder: Path) -> bool:
    """True where there is an index, sound or not, of any version."""
    return (folder / MANIFEST_NAME).is_file()


class Manifest(BaseModel):
    """The content of a manifest; ``indexes/README.md`` explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format_version: int
    embedder: str
    embedder_fingerprint: str
    """sha256 of its weights."""
    dimension: Annotated[int, Field(ge=1, le=LARGEST_DIMENSION)]
    metric: Literal["cosine"]
    config: IndexConfig
    tokenizer_fingerprint: str
    """sha256 of the tokenizer.json that cut the passages."""
    sources: Count
    documents: Count
    passages: Count
    generation: Count
    vectors: VectorFile | None
    """None until passages have been added."""
    vectors_trained_on: Count
    """Passages there were when the vector file was last built from scratch rather than extended."""
    folder: str | None = None
    """Folder of the index when it was last written: documents that were moved together with it are found from there."""
    created: str
    updated: str

    @model_validator(mode="after")
    def _check_vectors(self) -> Self:
        file = self.vectors
        if file is not None:
            if not re.fullmatch(r"vectors-[0-9]{1,20}\.faiss", file.name):
                raise ValueError("vectors.name is no name of a vector file")
            if not all(0 <= number < 2**53 for number in (file.count, file.size, file.last_id)):
                raise ValueError("a number of vectors is out of range")
        return self

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
        content = _content(folder)
        version = _version(folder, content)
        if version != FORMAT_VERSION:
            raise _other_format(folder, version)
        return cls._parse(folder, content)

    @classmethod
    def upgraded(cls, folder: Path) -> Manifest:
        """The manifest of an index of format 1, as that of one of this format. Raises as ``read`` does."""
        values = from_json(_content(folder))
        return cls._parse(folder, to_json(values | {"format_version": FORMAT_VERSION}))

    @classmethod
    def _parse(cls, folder: Path, content: bytes) -> Manifest:
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(f"{part:.40}" if isinstance(part, str) else str(part) for part in problem["loc"])
            raise _damage(folder, f"{where}: {problem['msg']}" if where else problem["msg"]) from error

    def differing_setting(self, config: IndexConfig) -> str | None:
        """The first setting fixed by this index that has another value in ``config``."""
        return next((key for key in FIXED if getattr(self.config, key) != getattr(config, key)), None)

    def check_settings(self, folder: Path, config: IndexConfig, tokenizer: Tokenizer) -> None:
        """Raises IndexMismatchError where the index in ``folder`` was made with other settings or another tokenizer."""
        if (key := self.differing_setting(config)) is not None:
            raise IndexMismatchError(
                f"{folder} was made with {key} = {getattr(self.config, key)!r},"
                f" the settings say {getattr(config, key)!r}",
                hint=f"set index.{key} to what it was, or {REBUILD}",
            )
        if self.tokenizer_fingerprint != tokenizer.fingerprint:
            raise IndexMismatchError(
                f"the passages of {folder} were cut by another tokenizer"
                f" ({self.tokenizer_fingerprint[:12]}) than the reader's ({tokenizer.fingerprint[:12]})",
                hint=f"choose the reader it was made for, or {REBUILD}",
            )

    def changed(self, **values: object) -> Manifest:
        """A copy with other values and the present time."""
        return self.model_copy(update={**values, "updated": _now()})

    def emptied(self) -> Manifest:
        """The manifest of an empty index made with the same settings, embedder and tokenizer."""
        none = {"sources": 0, "documents": 0, "passages": 0, "generation": 0, "vectors": None, "vectors_trained_on": 0}
        return self.changed(**none, folder=None, created=_now())

    @property
    def has_bundled_embedder(self) -> bool:
        return self.embedder_fingerprint == BUNDLED_SHA256

    def open_embedder(self, folder: Path) -> Embedder:
        """The embedder of the index in ``folder``. Of a name that stands in a file, nothing is fetched.

        Raises IndexMismatchError where its weights are others now, ConfigError and MissingDependencyError.
        """
        embedder = Embedder.open(self.embedder, download=False)
        if embedder.fingerprint != self.embedder_fingerprint:
            raise IndexMismatchError(
                f"{folder} was made with other weights of '{self.embedder}'"
                f" ({self.embedder_fingerprint[:12]}, not {embedder.fingerprint[:12]})",
                hint=f"put those weights back, or {REBUILD}",
            )
        return embedder

    def check_alike(self, folder: Path, other: Manifest, other_folder: Path) -> None:
        """Raises IndexMismatchError where the rows of another index have no place in this one, in ``folder``."""
        differing = other.differing_setting(self.config)
        for name, same in (
            (f"setting {differing}", differing is None),
            ("embedder", self.embedder_fingerprint == other.embedder_fingerprint),
            ("tokenizer", self.tokenizer_fingerprint == other.tokenizer_fingerprint),
        ):
            if not same:
                raise IndexMismatchError(
                    f"{folder} and {other_folder} were not made alike: {name}",
                    hint=f"build one of them again with the settings of the other: {REBUILD}",
                )

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


def format_of(folder: Path) -> int:
    """The version of the format of an index. Raises IndexNotFoundError, IndexCorruptError and StorageError."""
    return _version(folder, _content(folder))


def refuse_older(folder: Path) -> None:
    """Raises IndexFormatError where an index is of an older format: a rebuild would lose what it alone holds."""
    try:
        version = format_of(folder)
    except (IndexNotFoundError, IndexCorruptError):
        return
    if version < FORMAT_VERSION:
        raise _other_format(folder, version)


def _other_format(folder: Path, version: int) -> IndexFormatError:
    return IndexFormatError(
        f"{folder} is of index format {version}, this ragyena reads format {FORMAT_VERSION}",
        hint=f"{UPGRADE} --index {folder}" if 0 < version < FORMAT_VERSION else _rebuild(folder),
    )


def _content(folder: Path) -> bytes:
    path = folder / MANIFEST_NAME
    if (folder / "shards.json").is_file():
        raise IndexNotFoundError(
            f"{folder} holds the shards of an index",
            hint=f"search them with --cluster local, or join them: ragyena index merge {folder} --index NAME",
        )
    if not path.is_file():
        raise IndexNotFoundError(f"no index at {folder}", hint=f"make one: ragyena index add PATH --index {folder}")
    with storage_errors(path), path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise _damage(folder, f"it has more than {LARGEST_FILE:,} bytes")
    return content


def _version(folder: Path, content: bytes) -> int:
    try:
        values = from_json(content)
    except ValueError as error:
        raise _damage(folder, str(error)) from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if type(version) is not int or not 0 <= version < 2**31:
        raise _damage(folder, "it has no format_version")
    return version


def _damage(folder: Path, problem: str) -> RagyenaError:
    return IndexCorruptError(f"{folder / MANIFEST_NAME} is damaged: {problem}", hint=_rebuild(folder))


def _rebuild(folder: Path) -> str:
    return REBUILD.replace("PATH", f"PATH --index {folder}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
