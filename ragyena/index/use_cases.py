"""Use cases around an index: add documents, look at it, search, remove, verify."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import platformdirs

from ragyena import recipes
from ragyena.config import PipelineConfig, RetrieverConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.documents.walk import find_files
from ragyena.errors import (
    EmptyQuestionError,
    IndexMismatchError,
    IndexProblem,
    NothingToIndexError,
    PathNotFoundError,
    RagyenaError,
    StorageError,
    UsageError,
)
from ragyena.index.add import Adder, Duplicate, Failure, Tally
from ragyena.index.index import INDEX_FILES, STORE_NAME, Index
from ragyena.index.manifest import Manifest, is_index
from ragyena.index.storage import storage_errors
from ragyena.index.store import Store, StoreCounts
from ragyena.index.vectors import VectorFile
from ragyena.index.verify import check
from ragyena.index.writer_lock import WriterLock
from ragyena.types import Progress, ScoredPassage

__all__ = [
    "DEFAULT_INDEX",
    "AddReport",
    "Duplicate",
    "Failure",
    "IndexStatus",
    "SourceStatus",
    "VerifyReport",
    "add",
    "remove",
    "resolve_index",
    "search",
    "status",
    "verify",
]

DEFAULT_INDEX = "default"
FIXED = ("embedder", "passage_tokens", "text_fields", "title_fields")
"""Settings of an index that cannot change once it is made: its passages and vectors hang on them."""


# ---------------------------------------------------------------------------------------------------------------
# What the use cases say
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddReport:
    index: Path
    created: bool
    """Whether the index was made now."""
    files: int
    """Files looked at."""
    added: int
    """Files that are new in the index, those of an interrupted run that were finished now included."""
    replaced: int
    """Files whose content had changed."""
    unchanged: int
    """Files skipped because their content is that in the index."""
    removed: int
    """Files that had vanished and were removed (``prune``)."""
    documents: int
    """Documents added now."""
    passages: int
    """Passages added now."""
    duplicates: tuple[Duplicate, ...]
    failed: tuple[Failure, ...]
    total_documents: int
    total_passages: int
    vectors: VectorFile | None
    seconds: float
    embedding_seconds: float


@dataclass(frozen=True, slots=True)
class SourceStatus:
    path: str
    size: int
    """Bytes of the file when it was read."""
    documents: int
    complete: bool


@dataclass(frozen=True, slots=True)
class IndexStatus:
    index: Path
    manifest: Manifest
    counts: StoreCounts
    pending: int
    """Passages not in the vector file yet; they are found all the same."""
    size: int
    """Bytes on the disk."""
    sources: tuple[SourceStatus, ...]

    @property
    def documents(self) -> int:
        return self.counts.documents

    @property
    def passages(self) -> int:
        return self.counts.passages


@dataclass(frozen=True, slots=True)
class VerifyReport:
    index: Path
    counts: StoreCounts | None
    """None where the store could not be read."""
    problems: tuple[str, ...]
    """What is wrong now, after any repair."""
    repaired: tuple[str, ...]
    """What was wrong and is mended."""

    @property
    def sound(self) -> bool:
        return not self.problems


# ---------------------------------------------------------------------------------------------------------------
# Use cases
# ---------------------------------------------------------------------------------------------------------------


def resolve_index(name: str | None, config: PipelineConfig) -> Path:
    """The folder of an index. A plain name lives under ``config.index_root`` or the user's data folder; what has a
    path separator, or is a folder that exists, is a path. Raises UsageError for a name that is neither."""
    name = DEFAULT_INDEX if name is None else name
    separators = [s for s in (os.sep, os.altsep) if s]
    if any(s in name for s in separators) or name in (".", "..") or (name and Path(name).is_dir()):
        return Path(os.path.abspath(Path(name).expanduser()))  # noqa: PTH100 -- resolve() would replace links' names
    if not name or not all(c.isalnum() or c in "-_." for c in name):
        raise UsageError(
            f"'{name}' is no name for an index", hint="use letters, digits, '-', '_' and '.', or give a path with a '/'"
        )
    root = config.index_root or Path(platformdirs.user_data_dir("ragyena")) / "indexes"
    return Path(os.path.abspath(root.expanduser() / name))  # noqa: PTH100


def add(
    paths: Sequence[Path],
    index_path: Path,
    config: PipelineConfig,
    *,
    prune: bool = False,
    rebuild: bool = False,
    progress: Progress | None = None,
) -> AddReport:
    """Brings the index in line with the files under ``paths``; makes it where there is none.

    ``prune`` removes documents whose file under ``paths`` has vanished. ``rebuild`` makes the index anew, with the
    settings of ``config``, from ``paths`` and the files that are in it; the old one stays until the new one is done.

    A file that cannot be read is in ``failed`` and stops nothing. Raises PathNotFoundError, NothingToIndexError,
    IndexMismatchError (the index has other settings, embedder or tokenizer), IndexLockedError, StorageError and the
    other IndexProblems. Interrupted or killed at any time, it leaves what was committed, and running it again goes on.
    """
    if rebuild:
        return _rebuild(paths, index_path, config, progress)
    files = [path for path in find_files(paths, config.index.exclude) if index_path not in path.parents]
    if not files and not (prune and is_index(index_path)):
        names = ", ".join(str(path) for path in paths)
        raise NothingToIndexError(f"{names}: no files to index", hint="see `ragyena index add --help` for the formats")
    return _add_files(files, paths, index_path, config, prune=prune, progress=progress)


def status(index_path: Path) -> IndexStatus:
    """What an index holds. Reads neither embedder nor vectors; raises the IndexProblems of ``Index.open``."""
    manifest = Manifest.read(index_path)
    with Index.open(index_path, with_vectors=False) as index, index.store.snapshot():
        rows = index.store.execute(
            "SELECT path, size, (SELECT count(*) FROM origins o WHERE o.source_id = s.source_id), complete"
            " FROM sources s ORDER BY path"
        ).fetchall()
        last_id = manifest.vectors.last_id if manifest.vectors else 0
        (pending,) = index.store.execute("SELECT count(*) FROM passages WHERE passage_id > ?", (last_id,)).fetchone()
        counts = index.store.counts()
    size = sum(path.stat().st_size for path in index_path.iterdir() if path.is_file())
    sources = tuple(SourceStatus(path, size, documents, bool(complete)) for path, size, documents, complete in rows)
    return IndexStatus(index_path, manifest, counts, pending, size, sources)


def search(
    index_path: Path,
    query: str,
    config: RetrieverConfig,
    *,
    top_k: int,
    filters: Mapping[str, str] | None = None,
) -> list[ScoredPassage]:
    """The passages a question would retrieve, best first. Raises EmptyQuestionError and the IndexProblems."""
    if not query.strip():
        raise EmptyQuestionError("the query is empty", hint='search for something: ragyena index search "bridges"')
    with Index.open(index_path) as index:
        return index.search(query, config, top_k=top_k, filters=filters)


def remove(index_path: Path, document: str) -> int:
    """Removes documents from an index and says how many: those of a file named by its path or the end of it, of all
    files under a folder, of all that match a pattern with ``*`` or ``?``, or one row as ``path#row``.

    Raises PathNotFoundError where nothing matches and UsageError where the end of a path fits several files.
    """
    with Index.open(index_path, writable=True) as index:
        store = index.store
        with store.transaction():
            rows = _named_origins(store, document)
            for source_id, origins in rows.items():
                held = store.origins(source_id)
                if set(origins) == set(held):
                    store.remove_source(source_id)
                else:
                    store.remove_orphans(store.detach(source_id, origins))
        index.refresh()
    return sum(max(1, len(origins)) for origins in rows.values())


def verify(index_path: Path, *, repair: bool = False, progress: Progress | None = None) -> VerifyReport:
    """Checks every file, row, offset and vector of an index. ``repair`` makes the vector file anew where that is what
    is wrong. Raises IndexNotFoundError and IndexFormatError; damage is in the report."""
    watcher: Progress = progress if progress is not None else _Nobody()
    found = check(index_path, watcher)
    if not repair or found.store_problems or not found.vector_problems:
        return VerifyReport(index_path, found.counts, found.store_problems + found.vector_problems, ())
    with Index.open(index_path, writable=True) as index:
        index.refresh(force=True)
    after = check(index_path, watcher)
    return VerifyReport(index_path, after.counts, after.store_problems + after.vector_problems, found.vector_problems)


# ---------------------------------------------------------------------------------------------------------------
# Details
# ---------------------------------------------------------------------------------------------------------------


class _Nobody:
    """Watches no progress."""

    def start(self, description: str, total: int | None, unit: str) -> None: ...

    def advance(self, amount: int, status: str = "") -> None: ...

    def note(self, text: str) -> None: ...


def _add_files(
    files: Sequence[Path],
    roots: Sequence[Path],
    index_path: Path,
    config: PipelineConfig,
    *,
    prune: bool,
    progress: Progress | None,
) -> AddReport:
    began = time.perf_counter()
    watcher: Progress = progress if progress is not None else _Nobody()
    created = not is_index(index_path)
    folder_was_there = index_path.exists()
    tokenizer = Tokenizer.from_folder(_reader_folder(config))
    tally = Tally()
    index = _open_for_adding(index_path, config, tokenizer, created=created)
    try:
        adder = Adder(index, config.index, tokenizer, tally, watcher)
        adder.add(files)
        if prune:
            tally.removed = _prune(index.store, roots)
        counts = index.store.counts()
        if created and counts.documents == 0:
            reasons = "; ".join(failure.message for failure in tally.failed[:3])
            raise NothingToIndexError(
                f"none of {len(files)} file{'s' if len(files) > 1 else ''} could be read: {reasons}",
                hint=tally.failed[0].hint if tally.failed else "name files that hold text",
            )
        watcher.start("writing vectors", counts.passages, "passages")
        if index.refresh() and index.manifest.vectors is not None and index.manifest.vectors.kind != "flat":
            made = index.manifest.vectors
            watcher.note(f"vector index: {made.kind} ({made.reason}), recall {made.recall:.3f}")
        watcher.advance(counts.passages)
        return AddReport(
            index=index_path,
            created=created,
            files=len(files),
            added=tally.added,
            replaced=tally.replaced,
            unchanged=tally.unchanged,
            removed=tally.removed,
            documents=tally.documents,
            passages=tally.passages,
            duplicates=tuple(tally.duplicates),
            failed=tuple(tally.failed),
            total_documents=counts.documents,
            total_passages=counts.passages,
            vectors=index.manifest.vectors,
            seconds=time.perf_counter() - began,
            embedding_seconds=tally.embedding_seconds,
        )
    except BaseException:
        empty = created and _is_empty(index.store)
        index.close()
        if empty:
            _discard(index_path, with_folder=not folder_was_there)
        raise
    finally:
        index.close()


def _open_for_adding(index_path: Path, config: PipelineConfig, tokenizer: Tokenizer, *, created: bool) -> Index:
    """The index, made where there is none. Raises IndexMismatchError where it was made with other settings."""
    if created:
        return Index.create(index_path, config.index, tokenizer)
    index = Index.open(index_path, writable=True)
    try:
        made, wanted = index.config.model_dump(), config.index.model_dump()
        for key in FIXED:
            if made[key] != wanted[key]:
                raise IndexMismatchError(
                    f"{index_path} was made with {key} = {made[key]!r}, the settings say {wanted[key]!r}",
                    hint=f"set index.{key} to what it was, or make the index anew: ragyena index add PATH --rebuild",
                )
        if index.manifest.tokenizer_fingerprint != tokenizer.fingerprint:
            raise IndexMismatchError(
                f"the passages of {index_path} were cut by another tokenizer"
                f" ({index.manifest.tokenizer_fingerprint[:12]}) than the reader's ({tokenizer.fingerprint[:12]})",
                hint="choose the reader it was made for, or make it anew: ragyena index add PATH --rebuild",
            )
        index.embedder()  # raises where its weights are others
    except BaseException:
        index.close()
        raise
    return index


def _rebuild(paths: Sequence[Path], index_path: Path, config: PipelineConfig, progress: Progress | None) -> AddReport:
    """Builds beside the old index, which stays locked and can be searched, then puts the new one in its place.
    Interrupted, it goes on with what it has built."""
    new_path, old_path = (index_path.with_name(f"{index_path.name}.{end}") for end in ("rebuild", "replaced"))
    if is_index(old_path) and not is_index(index_path):  # one that died while it swapped them
        with storage_errors(index_path):
            old_path.rename(index_path)
    if not is_index(index_path):
        return add(paths, index_path, config, progress=progress)
    files = set(find_files(paths, config.index.exclude)) | {Path(path) for path in _known_paths(index_path)}
    files = {path for path in files if index_path not in path.parents and path.exists()}
    if not files:
        raise NothingToIndexError(f"{index_path}: no files to build it from", hint="name files or folders")
    lock = WriterLock.take(index_path)
    try:
        if is_index(new_path) and not _has_settings(new_path, config):
            shutil.rmtree(new_path)  # the beginnings of a rebuild with other settings
        report = _add_files(sorted(files), paths, new_path, config, prune=False, progress=progress)
        with storage_errors(index_path):
            if is_index(old_path):
                shutil.rmtree(old_path)
            index_path.rename(old_path)
            new_path.rename(index_path)
            shutil.rmtree(old_path)
    finally:
        lock.release()
    return replace(report, index=index_path, created=False)


def _has_settings(index_path: Path, config: PipelineConfig) -> bool:
    try:
        made = Manifest.read(index_path).config
    except IndexProblem:
        return False
    return all(getattr(made, key) == getattr(config.index, key) for key in FIXED)


def _known_paths(index_path: Path) -> list[str]:
    """The files in an index, or as many as can still be read from a damaged one: none."""
    try:
        with closing(Store(index_path / STORE_NAME)) as store:
            return [source.path for source in store.sources()]
    except (IndexProblem, StorageError):
        return []


def _prune(store: Store, roots: Sequence[Path]) -> int:
    """Removes the sources under ``roots`` whose file has vanished, and says how many."""
    tops = [Path(os.path.abspath(root)) for root in roots]  # noqa: PTH100
    removed = 0
    for source in store.sources():
        path = Path(source.path)
        if any(path.is_relative_to(top) for top in tops) and not path.exists():
            with store.transaction():
                store.remove_source(source.source_id)
            removed += 1
    return removed


def _named_origins(store: Store, document: str) -> dict[int, list[str]]:
    """Source id -> origins that ``document`` names."""
    absolute = os.path.abspath(Path(document).expanduser())  # noqa: PTH100
    rows = store.execute(
        "SELECT s.source_id, s.path, o.origin FROM sources s LEFT JOIN origins o USING (source_id) ORDER BY s.path"
    ).fetchall()
    wild = any(c in document for c in "*?[")
    tests: list[Callable[[str], bool]] = (
        [lambda name: fnmatchcase(name, document) or fnmatchcase(name, f"*/{document}")]
        if wild
        else [
            lambda name: name == absolute,
            lambda name: name.startswith(absolute + os.sep),
            lambda name: name.endswith(f"/{document}"),
        ]
    )
    for test in tests:
        found: dict[int, list[str]] = {}
        paths: dict[int, str] = {}
        for source_id, path, origin in rows:
            if test(path) or (origin is not None and test(origin)):
                paths[source_id] = path
                found.setdefault(source_id, []).extend([origin] if origin is not None else [])
        if len(found) > 1 and test is tests[-1] and not wild:
            raise UsageError(
                f"'{document}' is the end of {len(found)} paths: {', '.join(list(paths.values())[:3])}",
                hint=f"give more of the path, or '*/{document}' for all of them",
            )
        if found:
            return found
    raise PathNotFoundError(f"no document '{document}' in the index", hint="`ragyena index status` lists its documents")


def _is_empty(store: Store) -> bool:
    try:
        return store.counts().documents == 0
    except RagyenaError:
        return False


def _discard(index_path: Path, *, with_folder: bool) -> None:
    """Removes an index that nothing came into."""
    with storage_errors(index_path):
        for name in INDEX_FILES:
            (index_path / name).unlink(missing_ok=True)
        if with_folder:
            index_path.rmdir()


def _reader_folder(config: PipelineConfig) -> Path:
    checkpoint = config.reader.checkpoint
    return recipes.asset("reader") if checkpoint == "shipped" else Path(checkpoint).expanduser()
