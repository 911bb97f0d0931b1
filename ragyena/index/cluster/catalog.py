"""``shards.json``: the shards of an index that was built in parts, each an ordinary index in a folder beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragyena.errors import IndexCorruptError, IndexNotFoundError
from ragyena.files import open_file
from ragyena.index.storage import flush_folder, storage_errors

__all__ = ["CATALOG_NAME", "Catalog", "Shard", "is_sharded"]

CATALOG_NAME = "shards.json"
LARGEST_FILE = 64_000_000
MOST_SHARDS = 100_000
Count = Annotated[int, Field(ge=0, lt=2**53)]


class Shard(BaseModel):
    """A shard: the name of its folder, and what is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=r"^shard-[0-9]{1,10}-[0-9]{5,10}$")]
    documents: Count
    passages: Count


class Catalog(BaseModel):
    """The content of ``shards.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = 1
    generation: Count
    """Counts the builds that changed something; it stands in the names of the shards."""
    shards: Annotated[list[Shard], Field(min_length=1, max_length=MOST_SHARDS)]
    last_document_id: Count
    """The largest id any document has had."""
    last_passage_id: Count

    @classmethod
    def read(cls, folder: Path) -> Catalog:
        """Read the catalog of a folder. Raises IndexNotFoundError, IndexCorruptError and StorageError."""
        path = folder / CATALOG_NAME
        if not path.is_file():
            raise IndexNotFoundError(
                f"no shards at {folder}", hint=f"make them: ragyena index build PATH --index {folder} --cluster local"
            )
        with storage_errors(path), open_file(path, LARGEST_FILE) as file:
            content = file.read()
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            raise IndexCorruptError(
                f"{path} is damaged: {'.'.join(map(str, problem['loc']))}: {problem['msg']}",
                hint="each shard beside it is an index of its own: ragyena index merge SHARD... --index NEW",
            ) from error

    def write(self, folder: Path) -> None:
        """Replace the catalog on the disk. Raises StorageError."""
        path, unfinished = folder / CATALOG_NAME, folder / f"{CATALOG_NAME}.unfinished"
        with storage_errors(path):
            with unfinished.open("w", encoding="utf-8") as file:
                file.write(json.dumps(self.model_dump(mode="json"), indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            flush_folder(folder)

    def folders(self, folder: Path) -> list[Path]:
        """The shards' folders."""
        return [folder / shard.name for shard in self.shards]


def is_sharded(folder: Path) -> bool:
    """True where a folder holds the shards of an index."""
    return (folder / CATALOG_NAME).is_file()
