"""Building an index in shards on a cluster: the driver.

    files ──> parts (read, cut, embedded)  ──> ids for every document ──> shards (copied) ──> shards.json

The driver reads no document: it cuts the list of files into parts, gives each document the ids that one process would
have given it, and says which shard takes it. Whatever is interrupted goes on with the parts and shards that are done;
``shards.json`` is replaced last, so that the shards of the build before serve until then. All nodes must see the files
and the folder of the index under the same paths.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragyena.config import PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import ClusterError, IndexFormatError, NothingToIndexError
from ragyena.index.add import AddReport, Gathered, Sources, gather
from ragyena.index.cluster.catalog import CATALOG_NAME, Catalog, Shard, is_sharded
from ragyena.index.cluster.session import Lost, Session, connect
from ragyena.index.cluster.work import (
    KEPT,
    THERE,
    PartReport,
    ShardTask,
    build_part,
    delete_folder,
    installed_version,
    learn_clusters,
    look_at_node,
    shard_of,
    write_shard,
)
from ragyena.index.ingest import Change, Failure
from ragyena.index.manifest import Manifest, is_index
from ragyena.index.storage import LOCK_NAME, OWNER_NAME, storage_errors, writer_lock
from ragyena.index.store import STORE_NAME, Source, Store
from ragyena.index.tracking import Stamp
from ragyena.index.vectors import choose_kind
from ragyena.readers import reader_folder
from ragyena.types import Document, Progress, Silent

__all__ = ["BuildReport", "build"]

PARTS = "parts"
PLAN = "plan.json"
TRAINED = "trained.faiss"
PROBE = "probe"
PART_FILES = 256
PART_BYTES = 4_000_000
PART_BYTES_LEAST = 16_000
PARTS_WANTED = 64
"""Small collections are cut into about so many parts, that all nodes have work."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The result of building an index on a cluster."""

    added: AddReport
    """As for an index of one process."""
    shards: tuple[Shard, ...]
    workers: int
    """Tasks that ran at a time."""
    parts: int
    parts_kept: int
    """Parts that an interrupted build had finished."""


def build(
    sources: Sources,
    folder: Path,
    address: str,
    settings: PipelineConfig,
    *,
    shards: int | None = None,
    workers: int | None = None,
    gpus: float = 0.0,
    progress: Progress | None = None,
) -> BuildReport:
    """Bring the sharded index in ``folder`` in line with files, on the cluster at ``address``.

    New files are added, changed ones replaced, unchanged ones skipped; those that are no longer named stay. ``shards``
    is by default the number of tasks that run at a time, or what the index has. ``gpus`` is the share of a GPU that
    each task takes. Raises PathNotFoundError, NothingToIndexError where nothing could be read, IndexFormatError where
    the folder holds something else, IndexMismatchError, IndexLockedError, ClusterError, StorageError.
    """
    began = time.perf_counter()
    progress = progress or Silent()
    gathered = gather(sources, settings.index.exclude, folder)
    if any(isinstance(item, Document) for item in gathered.work):
        raise NothingToIndexError("documents given in Python are not sent to a cluster", hint="write them to files")
    _check_place(folder)
    if not gathered.work and not is_sharded(folder):
        raise gathered.nothing()
    with storage_errors(folder):
        (folder / PARTS).mkdir(parents=True, exist_ok=True)
    with writer_lock(folder):
        try:
            with connect(address, workers=workers) as session:
                _check_nodes(session, folder)
                job = _Build(session, folder, settings, gathered, shards, gpus, progress)
                return job.run(began)
        finally:
            with suppress(OSError):
                (folder / PARTS).rmdir()  # unless there is something to go on with


def _check_place(folder: Path) -> None:
    """Raises IndexFormatError where a folder holds something else than shards."""
    if is_index(folder):
        raise IndexFormatError(
            f"{folder} is an index of one piece", hint="name another folder for the shards; `index merge` joins both"
        )
    ours = (PARTS, CATALOG_NAME, f"{CATALOG_NAME}.unfinished", LOCK_NAME, OWNER_NAME)
    with storage_errors(folder):
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    others = [name for name in names if name not in ours and not name.startswith("shard-")]
    if others:
        raise IndexFormatError(f"{folder} holds {others[0]} and is no index", hint="name an empty or a new folder")


def _check_nodes(session: Session, folder: Path) -> None:
    """Raises ClusterError where a node has another ragyena or does not see the folder of the index."""
    probe, content = folder / PARTS / PROBE, secrets.token_hex(16)
    with storage_errors(folder):
        probe.write_text(content, encoding="ascii")
        try:
            answers = session.on_every_node(look_at_node, str(probe), content)
        finally:
            probe.unlink(missing_ok=True)
    for node, answer in answers.items():
        version, sees = answer if isinstance(answer, tuple) else ("of an unknown version", False)
        if version != installed_version():
            raise ClusterError(
                f"node {node} has ragyena {version}, this is {installed_version()}",
                hint="install the same version on every node",
            )
        if not sees:
            raise ClusterError(
                f"node {node} does not see {folder}",
                hint="put documents and index on a disk that all nodes mount under the same path",
            )


@dataclass(frozen=True, slots=True)
class _Input:
    """A part, or a shard of the build before."""

    folder: Path
    old: bool
    without: frozenset[str]


class _Build:
    """One run of a build."""

    def __init__(
        self,
        session: Session,
        folder: Path,
        settings: PipelineConfig,
        gathered: Gathered,
        shards: int | None,
        gpus: float,
        progress: Progress,
    ) -> None:
        self.session, self.folder, self.settings = session, folder, settings
        self.gathered, self.gpus, self.progress = gathered, gpus, progress
        self.files = [item for item in gathered.work if isinstance(item, Path)]
        self.old = Catalog.read(folder) if is_sharded(folder) else None
        self.old_folders = self.old.folders(folder) if self.old else []
        self.count = shards or (len(self.old.shards) if self.old else session.workers)
        if self.old:
            tokenizer = Tokenizer.from_folder(reader_folder(settings.reader.checkpoint))
            Manifest.read(self.old_folders[0]).check_settings(self.old_folders[0], settings.index, tokenizer)
        self.known = dict(self._known())

    def run(self, began: float) -> BuildReport:
        work = [str(file) for file in self.files if not self._is_unchanged(file)]
        reports = self._read(work)
        inputs, changes = self._inputs(reports)
        unchanged = len(self.files) - len(work)
        resized = self.old is not None and self.count != len(self.old.shards)
        catalog = self.old
        if changes or resized or self.old is None:
            catalog = self._write(inputs, reports)
        assert catalog is not None
        delete_folder(self.folder / PARTS)
        failed = [Failure(skipped.source, skipped.message, skipped.hint) for skipped in self.gathered.found.unread]
        failed += [failure for report in reports for failure in report.failed]
        replaced = sum(change.kind == "replaced" for change in changes)
        duplicates = tuple(duplicate for report in reports for duplicate in report.duplicates)
        documents = sum(shard.documents for shard in catalog.shards)
        passages = sum(shard.passages for shard in catalog.shards)
        held = self.old.shards if self.old else []
        added = AddReport(
            index=self.folder,
            created=self.old is None,
            files=len(self.files) + len(self.gathered.found.unread),
            added=len(changes) - replaced,
            replaced=replaced,
            unchanged=unchanged + len(work) - len(changes) - sum(len(report.failed) for report in reports),
            renamed=0,
            removed=0,
            missing=(),
            changes=tuple(changes),
            documents=max(0, documents - sum(shard.documents for shard in held)),
            passages=max(0, passages - sum(shard.passages for shard in held)),
            duplicates=duplicates,
            failed=tuple(failed),
            skipped=tuple(skipped for report in reports for skipped in report.skipped),
            left_out=self.gathered.found.left_out,
            total_documents=documents,
            total_passages=passages,
            vectors=None,
            seconds=time.perf_counter() - began,
            embedding_seconds=sum(report.embedding_seconds for report in reports if not report.again),
        )
        kept = sum(report.again for report in reports)
        return BuildReport(added, tuple(catalog.shards), self.session.workers, len(reports), kept)

    # --- what there is

    def _known(self) -> Iterator[tuple[str, Source]]:
        for folder in self.old_folders:
            with closing(Store(folder / STORE_NAME)) as store:
                for source in store.sources():
                    yield source.path, source

    def _is_unchanged(self, file: Path) -> bool:
        source, stamp = self.known.get(str(file)), Stamp.of(file)
        return source is not None and source.complete and stamp is not None and stamp.matches(source)

    # --- parts

    def _read(self, files: Sequence[str]) -> list[PartReport]:
        """Have all files read and embedded; the parts in the order of their files."""
        sizes = [_size(file) for file in files]
        cut = list(_cut(files, sizes))
        items = [(str(self.folder / PARTS), tuple(files[begin:end]), self.settings) for begin, end in cut]
        total = sum(sizes)
        self.progress.start("reading and embedding", total, "bytes")
        reports: dict[int, PartReport] = {}
        passages = 0
        for position, report in self.session.each(build_part, items, gpus=self.gpus):
            if isinstance(report, Lost):
                failures = (Failure(file, f"{file}: {report.reason}", "leave it out") for file in items[position][1])
                report = PartReport("", failed=tuple(failures))
            reports[position] = report
            passages += report.passages
            begin, end = cut[position]
            self.progress.advance(sum(sizes[begin:end]), f"{passages:,} passages, {len(reports)} of {len(cut)} parts")
        return [reports[position] for position in range(len(cut))]

    def _inputs(self, reports: Sequence[PartReport]) -> tuple[list[_Input], list[Change]]:
        """The parts and shards to copy from, each without the sources that another has newer or whole."""
        parts, changes, replaced = [], [], set()
        for report in reports:
            if not report.documents:
                continue
            folder = self.folder / PARTS / report.key
            without = set()
            with closing(Store(folder / STORE_NAME)) as store:
                for source in store.sources():
                    known = self.known.get(source.path)
                    if known is None:
                        changes += [Change("added", source.path)] if source.complete else []
                    elif not source.complete or (known.content_hash == source.content_hash and known.complete):
                        without.add(source.path)  # it could not be read, or is what it was
                    else:
                        replaced.add(source.path)
                        changes.append(Change("replaced", source.path))
            parts.append(_Input(folder, False, frozenset(without)))
        old = [_Input(folder, True, frozenset(replaced)) for folder in self.old_folders]
        if not parts and not old:
            failures = [failure for report in reports for failure in report.failed]
            raise NothingToIndexError(
                f"no file could be read: {'; '.join(failure.message for failure in failures[:3])}",
                hint=failures[0].hint if failures else "name files that hold text",
            )
        manifests = [Manifest.read(one.folder) for one in [*old, *parts]]
        for one, manifest in zip([*old, *parts], manifests):
            manifests[0].check_alike([*old, *parts][0].folder, manifest, one.folder)
        return [*old, *parts], changes

    # --- shards

    def _write(self, inputs: Sequence[_Input], reports: Sequence[PartReport]) -> Catalog:
        """Have the shards written, and put them in the place of those before."""
        last_document = self.old.last_document_id if self.old else 0
        last_passage = self.old.last_passage_id if self.old else 0
        rows, last_document, last_passage = _rows(inputs, self.count, last_document, last_passage)
        generation = self.old.generation + 1 if self.old else 1
        self._begin_generation(inputs, generation)
        trained = self._learn_clusters(inputs)
        tasks = [
            ShardTask(
                folder=str(self.folder / f"shard-{generation}-{number:05}"),
                number=number,
                of=self.count,
                inputs=tuple(str(one.folder) for one in inputs),
                rows=tuple(np.asarray(of[number], np.int64).reshape(-1, 3) for of in rows),
                without=tuple(one.without for one in inputs),
                trained=trained,
            )
            for number in range(self.count)
        ]
        self.progress.start("writing shards", len(tasks), "shards")
        shards: dict[int, Shard] = {}
        for position, shard in self.session.each(write_shard, [(task,) for task in tasks]):
            if isinstance(shard, Lost):
                raise ClusterError(
                    f"{tasks[position].folder} could not be written: {shard.reason}",
                    hint="see the memory of the nodes, and run the same command again: what was done is kept",
                )
            shards[position] = shard
            self.progress.advance(1, shard.name)
        catalog = Catalog(
            generation=generation,
            shards=[shards[number] for number in range(self.count)],
            last_document_id=last_document,
            last_passage_id=last_passage,
        )
        catalog.write(self.folder)
        for folder in self.old_folders:
            delete_folder(folder)
        return catalog

    def _learn_clusters(self, inputs: Sequence[_Input]) -> str | None:
        """The file with the clusters and codes that the vector files of the shards share, None where they have none."""
        manifests = [Manifest.read(one.folder) for one in inputs]
        count = sum(manifest.passages for manifest in manifests) // self.count
        if choose_kind(manifests[0].config.vector_index, count)[0] != "ivfpq":
            return None
        self.progress.start("learning clusters", 1, "tasks")
        path = str(self.folder / PARTS / TRAINED)
        folders = tuple(str(one.folder) for one in inputs)
        for _, done in self.session.each(learn_clusters, [(path, folders, count)]):
            if isinstance(done, Lost):
                raise ClusterError(
                    f"the clusters of the vectors could not be learned: {done.reason}",
                    hint="see the memory of the nodes, and run the same command again: what was done is kept",
                )
        self.progress.advance(1)
        return path

    def _begin_generation(self, inputs: Sequence[_Input], generation: int) -> None:
        """Keep the shards that an interrupted build of the same inputs has finished; delete those of any other."""
        shape = [[one.folder.name, sorted(one.without)] for one in inputs]
        plan = json.dumps([generation, self.count, hashlib.sha256(json.dumps(shape).encode()).hexdigest()])
        path = self.folder / PARTS / PLAN
        with storage_errors(path):
            held = ""
            with suppress(FileNotFoundError):
                held = path.read_text(encoding="utf-8")
            for folder in self.folder.glob("shard-*"):
                resumed = held == plan and folder.name.startswith(f"shard-{generation}-")
                if not resumed and folder not in self.old_folders:
                    delete_folder(folder)
            if held != plan:
                (self.folder / PARTS / TRAINED).unlink(missing_ok=True)
            path.write_text(plan, encoding="utf-8")


def _rows(
    inputs: Sequence[_Input], count: int, last_document: int, last_passage: int
) -> tuple[list[list[list[tuple[int, int, int]]]], int, int]:
    """The documents that each shard takes from each input, as ``work.Rows``, and the largest ids there are then.

    Ids are given in the order of the inputs, and of the documents in each; a content has the id of its first place.
    """
    places: dict[bytes, tuple[int, int, int]] = {}
    """Content hash -> input, and ids of a document of the build before."""
    ids: dict[bytes, int] = {}
    rows: list[list[list[tuple[int, int, int]]]] = [[[] for _ in range(count)] for _ in inputs]
    for number, one in enumerate(inputs):
        for document_id, digest, passages, held in _documents(one):
            shard = shard_of(digest, count)
            if one.old:
                places[digest] = (number, document_id, KEPT)
                if held:
                    ids[digest] = document_id
                    rows[number][shard].append((document_id, document_id, KEPT))
            elif not held:
                continue
            elif digest in ids:
                rows[number][shard].append((document_id, ids[digest], THERE))
            elif digest in places:  # all its former places have changed, and it is in another now
                before, ids[digest], _ = places[digest]
                rows[before][shard].append((ids[digest], ids[digest], KEPT))
                rows[number][shard].append((document_id, ids[digest], THERE))
            else:
                last_document += 1
                ids[digest] = last_document
                rows[number][shard].append((document_id, last_document, last_passage + 1))
                last_passage += passages
    return rows, last_document, last_passage


def _documents(one: _Input) -> list[tuple[int, bytes, int, int]]:
    """Id, content hash and number of passages of the documents of an input, and whether a source that counts holds
    them."""
    with closing(Store(one.folder / STORE_NAME)) as store:
        return store.rows(
            "SELECT document_id, content_hash,"
            " (SELECT count(*) FROM passages p WHERE p.document_id = d.document_id),"
            " EXISTS (SELECT 1 FROM origins o JOIN sources USING (source_id) WHERE o.document_id = d.document_id"
            " AND path NOT IN (SELECT value FROM json_each(?)))"
            " FROM documents d ORDER BY document_id",
            (json.dumps(sorted(one.without)),),
            types=(int, bytes, int, int),
        )


def _cut(files: Sequence[str], sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The places at which the list of files is cut: a part has so many files, or so many bytes, at most; a large file
    has a part of its own."""
    most = min(PART_BYTES, max(PART_BYTES_LEAST, sum(sizes) // PARTS_WANTED))
    begin = held = 0
    for position, size in enumerate(sizes):
        if position > begin and (held + size > most or position - begin >= PART_FILES):
            yield begin, position
            begin, held = position, 0
        held += size
    if begin < len(files):
        yield begin, len(files)


def _size(file: str) -> int:
    with suppress(OSError):
        return Path(file).stat().st_size
    return 0
