"""The index that an evaluation retrieves from: one that is there, one of a corpus, or one of all its passages, built by
the same use case as anybody's and found again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ragyena.config import EvalConfig, PipelineConfig
from ragyena.data.qa_files import under
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError, IndexMismatchError, StorageError, UsageError
from ragyena.eval.datasets import EvalData, fingerprint
from ragyena.index.index import Index
from ragyena.index.manifest import is_index
from ragyena.types import Passage, Progress

__all__ = ["in_parts", "open_index"]


def open_index(
    config: EvalConfig,
    data: EvalData | None,
    settings: PipelineConfig,
    tokenizer: Tokenizer,
    *,
    data_root: Path,
    place: Path,
    progress: Progress | None,
) -> tuple[Index, Path, tuple[str, ...]]:
    """The index at ``place``, or that of the corpus, or of all passages of ``data`` (where there are some), under it;
    the folder for what is found in it; and the files that could not be indexed, and why.

    Raises IndexProblem, DataError, StorageError, and UsageError where there is nothing to index.
    """
    if is_index(place):
        if config.corpus:
            raise UsageError(f"{place} is an index, and the recipe has a corpus of its own", hint="leave --index out")
        return _checked(Index.open(place, settings=settings), tokenizer), place.parent / f"{place.name}-hits", ()
    if config.corpus:
        paths = [Path(name) for name in under(data_root.expanduser(), config.corpus)]
        folder = place / _named(paths, settings, tokenizer)
        with Index.open(folder / "index", create=True, lazy=True, settings=settings) as index:
            report = index.add(paths, prune=True, progress=progress)
        problems = tuple(f"{failure.path}: {failure.message}" for failure in report.failed)
        return Index.open(folder / "index", settings=settings), folder, problems
    if data is None:
        raise UsageError(f"{place} is no index of documents to ask on", hint="name one: --index NAME|PATH")
    folder = place / fingerprint([data.contexts.values(), data.prose], settings, tokenizer)
    rows, built = folder / "passages.jsonl", folder / "complete"
    if not built.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with rows.open("w", encoding="utf-8", errors="surrogatepass") as file:
                for row in (*data.contexts.values(), *data.prose):
                    file.write(json.dumps({"id": row.id, "title": row.title, "text": row.text}) + "\n")
        except OSError as error:
            raise StorageError(f"{rows} cannot be written: {error.strerror}", hint="choose another --index") from error
        fields = {"text_fields": ("text",), "title_fields": ("title",), "max_file_mb": 1 << 20}
        indexing = settings.model_copy(update={"index": settings.index.model_copy(update=fields)})
        with Index.open(folder / "index", create=True, lazy=True, settings=indexing) as index:
            report = index.add([rows], prune=True, progress=progress)
        for failure in report.failed:
            raise DataError(f"the passages cannot be indexed: {failure.message}", hint=failure.hint)
        built.touch()
    return Index.open(folder / "index", settings=settings), folder, ()


def in_parts(index: Index, ids: Sequence[int]) -> Iterable[Passage]:
    """Passages of the index by id, in its order."""
    for first in range(0, len(ids), 500):
        yield from index.passages(ids[first : first + 500])


def _named(corpus: Sequence[Path], settings: PipelineConfig, tokenizer: Tokenizer) -> str:
    """Names the index of a corpus by its place: what changes there is brought in line each time."""
    places = [str(path.resolve()) for path in corpus]
    shaped_by = [places, settings.index.model_dump(mode="json"), tokenizer.fingerprint]
    return "corpus-" + hashlib.sha256(json.dumps(shaped_by).encode()).hexdigest()[:12]


def _checked(index: Index, tokenizer: Tokenizer) -> Index:
    if index.manifest.tokenizer_fingerprint != tokenizer.fingerprint:
        index.close()
        raise IndexMismatchError(
            f"the passages of {index.folder} were cut by another tokenizer than that of the reader",
            hint="build an index with this reader: ragyena index add PATH --index NEW",
        )
    return index
