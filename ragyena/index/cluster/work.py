"""The tasks of a build, which run on the nodes. Both give the same result however often they run, and go on where one
that was killed has stopped.

*Parts*: some files are read, cut and embedded into an index of their own, by the code of ``index add``. A part is named
by the contents of its files and is done once its report is on the disk.

*Shards*: the documents whose content hash falls to a shard are copied from all parts, with ids that the driver has
given them, into an index of their own. Where shards are too large to be searched exactly, the clusters and codes of
their vector files are learned once, before, from a sample of all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragyena.config import PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.files import open_file
from ragyena.index.cluster.catalog import Shard
from ragyena.index.copying import Copier, SourceRecords
from ragyena.index.embedder import Embedder
from ragyena.index.ingest import Duplicate, Failure, Ingest
from ragyena.index.manifest import Manifest, is_index
from ragyena.index.storage import flush_folder, storage_errors
from ragyena.index.store import STORE_NAME, Store
from ragyena.index.tracking import content_hash
from ragyena.index.vectors import trained_on, write_trained
from ragyena.index.writer import Writer, create_like, remove_log
from ragyena.parsing import parse_json
from ragyena.readers import reader_folder
from ragyena.types import Silent, Skipped

__all__ = [
    "KEPT",
    "THERE",
    "PartReport",
    "Rows",
    "ShardTask",
    "build_part",
    "delete_folder",
    "installed_version",
    "learn_clusters",
    "look_at_node",
    "shard_of",
    "write_shard",
]

COMMIT_PASSAGES = 4096
UNFINISHED = ".unfinished"
KEY_CHARS = 32
LARGEST_REPORT = 64_000_000
KEPT = -1
"""In place of the first passage id of a document: its passages keep the ids they have."""
THERE = -2
"""...: its content was copied from an input before; its places alone are noted."""

Rows = npt.NDArray[np.int64]
"""[N, 3]: the id that a document has in an input, its id in the shard, and the id of its first passage there."""


@dataclass(frozen=True, slots=True)
class PartReport:
    """The result of reading some files into a part."""

    key: str
    documents: int = 0
    passages: int = 0
    embedding_seconds: float = 0.0
    duplicates: tuple[Duplicate, ...] = ()
    failed: tuple[Failure, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    again: bool = False
    """True where it was there already."""


def installed_version() -> str:
    """The version of ragyena that is installed."""
    try:
        return version("ragyena")
    except PackageNotFoundError:
        return "not installed"


def look_at_node(probe: str, content: str) -> tuple[str, bool]:
    """The version of ragyena on this node, and whether it sees the file that the driver has written."""
    path = Path(probe)
    try:
        return installed_version(), path.read_text(encoding="ascii") == content
    except OSError:
        return installed_version(), False


# --- parts -----------------------------------------------------------------------------------------------------


def build_part(parts: str, files: tuple[str, ...], settings: PipelineConfig) -> PartReport:
    """Read, cut and embed ``files`` into the part of their contents, below the folder ``parts``.

    Files that cannot be read are in the report. Raises StorageError, IndexLockedError, ConfigError,
    MissingDependencyError.
    """
    # Tasks share a machine already.
    settings = settings.model_copy(update={"index": settings.index.model_copy(update={"embed_processes": 1})})
    manifest, tokenizer, embedder = _tools(settings)
    key = _key(manifest, files, settings)
    folder, report_path = Path(parts) / key, Path(parts) / f"{key}.json"
    if (report := _read_report(report_path)) is not None:
        return report
    if not is_index(folder):
        create_like(folder, manifest)
    with Writer(folder) as writer:
        ingest = Ingest(writer, settings.index, tokenizer, embedder, Silent())
        ingest.add([Path(file) for file in files])
        counts = writer.store.counts()
        tally = ingest.tally
        report = PartReport(
            key,
            counts.documents,
            counts.passages,
            tally.embedding_seconds,
            tuple(tally.duplicates),
            tuple(tally.failed),
            tuple(tally.skipped),
        )
    remove_log(folder)
    if not any(failure.busy for failure in tally.failed):
        _write_report(report_path, report)
    return report


@lru_cache(maxsize=2)
def _loaded(embedder: str, checkpoint: str) -> tuple[Tokenizer, Embedder]:
    return Tokenizer.from_folder(reader_folder(checkpoint)), Embedder.open(embedder)


def _tools(settings: PipelineConfig) -> tuple[Manifest, Tokenizer, Embedder]:
    tokenizer, embedder = _loaded(settings.index.embedder, settings.reader.checkpoint)
    return Manifest.new(settings.index, embedder, tokenizer), tokenizer, embedder


def _key(manifest: Manifest, files: tuple[str, ...], settings: PipelineConfig) -> str:
    made_with = [installed_version(), manifest.embedder_fingerprint, manifest.tokenizer_fingerprint]
    digest = hashlib.sha256(json.dumps([made_with, settings.index.model_dump(mode="json")]).encode())
    limit = settings.index.max_file_mb * 1_000_000
    for file in files:
        try:
            held = content_hash(Path(file), limit)
        except OSError:
            held = b"unreadable"
        digest.update(json.dumps([file, held.hex()]).encode())
    return digest.hexdigest()[:KEY_CHARS]


def _read_report(path: Path) -> PartReport | None:
    if not path.is_file():
        return None
    with storage_errors(path), open_file(path, LARGEST_REPORT) as file:
        values = parse_json(file.read().decode("utf-8"))
    assert isinstance(values, dict)
    values["duplicates"] = tuple(Duplicate(**one) for one in values["duplicates"])
    values["failed"] = tuple(Failure(**one) for one in values["failed"])
    values["skipped"] = tuple(Skipped(**one) for one in values["skipped"])
    return PartReport(**{**values, "again": True})


def _write_report(path: Path, report: PartReport) -> None:
    unfinished = path.with_name(path.name + UNFINISHED)
    with storage_errors(path):
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(report)))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        flush_folder(path.parent)


# --- shards ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShardTask:
    """The documents to write into a shard."""

    folder: str
    """Its place, once it is whole."""
    number: int
    of: int
    """Shards in all."""
    inputs: tuple[str, ...]
    """Folders of the parts, and of the shards of the build before, in the order of their documents."""
    rows: tuple[Rows, ...]
    """The documents to take from each."""
    without: tuple[frozenset[str], ...] = field(default=())
    """Sources of each input that are left out, since another holds what they are now."""
    trained: str | None = None
    """The file of ``learn_clusters``, None where the shards are searched exactly or each learns its own."""


def shard_of(key: bytes, count: int) -> int:
    """The shard of a content hash, or of the hash of a path."""
    return int.from_bytes(key[:8], "big") % count


def learn_clusters(path: str, inputs: tuple[str, ...], count: int) -> None:
    """Learn the clusters and codes that the vector files of all shards, of about ``count`` passages each, share: from
    vectors spread evenly over the inputs, into the file ``path``. One that is there stays. Raises StorageError."""
    if Path(path).is_file():
        return
    manifests = [Manifest.read(Path(place)) for place in inputs]
    step = max(1, sum(manifest.passages for manifest in manifests) // trained_on(count))
    sample, passed = [], 0
    for place, manifest in zip(inputs, manifests):
        with closing(Store(Path(place) / STORE_NAME)) as store:
            ids = store.passage_ids()[-passed % step :: step].tolist()
            sample.append(store.vectors_of(ids, manifest.dimension)[1].astype(np.float32))
        passed += manifest.passages
    write_trained(Path(path), np.concatenate(sample), count=count)


def write_shard(task: ShardTask) -> Shard:
    """Write a shard; one that is there stays. Raises StorageError and IndexLockedError."""
    folder = Path(task.folder)
    unfinished = folder.with_name(folder.name + UNFINISHED)
    if not is_index(folder):
        if not is_index(unfinished):
            create_like(unfinished, Manifest.read(Path(task.inputs[0])))
        with Writer(unfinished) as writer:
            _copy_rows(task, writer)
            writer.refresh(trained=None if task.trained is None else Path(task.trained))
        remove_log(unfinished)
        with storage_errors(folder):
            unfinished.rename(folder)
            flush_folder(folder.parent)
    with Writer(folder) as writer:  # which takes note of the folder's name
        counts = writer.store.counts()
    remove_log(folder)
    return Shard(name=folder.name, documents=counts.documents, passages=counts.passages)


def _copy_rows(task: ShardTask, writer: Writer) -> None:
    store = writer.store
    records = SourceRecords(store)
    held = {i for (i,) in store.rows("SELECT document_id FROM documents", types=(int,))}
    for place, rows, without in zip(task.inputs, task.rows, task.without, strict=True):
        with ExitStack() as opened:
            part = opened.enter_context(closing(Store(Path(place) / STORE_NAME)))
            opened.enter_context(part.snapshot())
            records.take(part, without=without)
            copier = Copier(part, store)
            for batch in _batches(rows):
                with store.transaction():
                    for document_id, new_id, first in batch.tolist():
                        if first != THERE and new_id not in held:
                            held_ids = part.passage_ids(document_id).tolist()
                            new = held_ids if first == KEPT else range(first, first + len(held_ids))
                            copier.document(document_id, new_id, dict(zip(held_ids, new, strict=True)))
                            held.add(new_id)
                        for path, origin in copier.origins(document_id):
                            if path not in without:
                                records.add_origin(path, origin, new_id)
    with store.transaction():
        # A source stands in every shard with documents of it, and one without any in the shard of its path.
        records.finish(
            lambda path: (
                shard_of(hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest(), task.of) == task.number
            )
        )


def _batches(rows: Rows) -> list[Rows]:
    # Documents have a few passages each.
    return np.array_split(rows, max(1, -(-len(rows) // (COMMIT_PASSAGES // 4)))) if len(rows) else []


def delete_folder(folder: Path) -> None:
    """Delete a folder of ours with all that is in it."""
    with storage_errors(folder):
        if folder.is_dir():
            shutil.rmtree(folder)
