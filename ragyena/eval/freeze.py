"""Freezing: the contexts of an evaluation, made from its data and an index of its passages.

The index is imported where it is opened: reading own contexts, or frozen ones, needs no FAISS.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragyena import __version__
from ragyena.config import EvalConfig, PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError, IndexMismatchError, PathNotFoundError, UsageError
from ragyena.eval.conditions import ContextBuilder
from ragyena.eval.contexts import Frozen, Needs, check_frozen, needs, shaping
from ragyena.eval.hits import KEPT_OF_HITS, HitLists, find_hits
from ragyena.eval.journal import digest_of, write_text
from ragyena.eval.masked import Masked, hides, make_masked
from ragyena.eval.questions import EvalData, Question, cut, data_stamps, fingerprint, load, stamps
from ragyena.eval.recipe import Setup
from ragyena.files import expanded
from ragyena.types import Passage

if TYPE_CHECKING:
    from ragyena.index.index import Index

__all__ = ["freeze", "freeze_to", "in_parts", "index_facts", "index_place", "needs_index", "open_questions"]

_NOT_ORIGIN = {
    *("description", "limit", "timed", "timed_seconds", "resamples"),  # how contexts are read
    *("among", "context_tokens", "positions"),  # frozen contexts may hold more than a recipe needs
}


def freeze(
    setup: Setup, tokenizer: Tokenizer, at_index: Callable[[Index, Sequence[Question]], None] | None = None
) -> Frozen:
    """The contexts that a recipe needs. ``at_index`` is called with the open index and the answerable questions once
    their hits are known. Raises DataError, PathNotFoundError, IndexProblem, MissingDependencyError and StorageError."""
    config, settings = setup.config, setup.settings
    needed = needs(config)
    facts: dict[str, Any] = {"tokenizer": tokenizer.fingerprint, **shaping(needed.kind, settings)}
    if not needs_index(config):
        data = load(setup.files)
        facts["contexts"] = len(data.contexts) + len(data.prose)
        facts["data"] = fingerprint(data.contexts.values(), settings, tokenizer)
        own = cut(data, tokenizer, settings.index.passage_tokens)
        if needed.kind == "documents":
            facts["contexts"] = len(own)
            texts = json.dumps([[p.header, p.text] for passages in own.values() for p in passages])
            facts["data"] = hashlib.sha256(texts.encode()).hexdigest()[:12]
        return _numbered(needed, facts, data, own, {}, {})
    with open_questions(setup, tokenizer) as opened:
        data, masked = opened.data, opened.masked
        own = {one.question.context_id or "": [one.own] for one in masked.values()}
        if not opened.on_documents:
            own = cut(data, tokenizer, settings.index.passage_tokens)
        # other passages that hold the answer of a masked question would compete with the one that counts as right
        hidden = partial(hides, masked, answers=needed.kind == "distractors")
        builder = ContextBuilder.of(config, settings, tokenizer)
        hits = find_hits(opened.index, opened.folder, data.answerable, setup, builder, needed, own, hidden)
        if at_index:
            at_index(opened.index, data.answerable)
        facts |= {
            "contexts": opened.texts,
            "among": needed.among,
            "context_tokens": needed.context_tokens,
            **index_facts(opened.index),
            **({"masked": len(masked)} if masked else {}),
        }
        answering = {one.own.passage_id: one.question.context_id or "" for one in masked.values()}
        stored = {
            p.passage_id: replace(p, metadata={"id": answering[p.passage_id]}) if p.passage_id in answering else p
            for p in in_parts(opened.index, sorted({i for some in hits.values() for i in some.numbers.tolist()}))
        }
    return _numbered(needed, facts, data, own if needed.kind == "distractors" else {}, hits, stored)


def freeze_to(
    path: Path, setup: Setup, tokenizer: Tokenizer, began: Callable[[], None] = lambda: None
) -> tuple[Frozen, bool]:
    """The contexts of a recipe, written to ``path``; and True where they were there from an earlier run.

    A file that was frozen from the same data, settings and index, for as many questions and contexts or more, is kept;
    for any other ``began`` is called. Raises as ``freeze`` does.
    """
    digest = _origin(setup, tokenizer)
    try:
        if Frozen.load(path, head_only=True).origin.get("digest") == digest:
            frozen = Frozen.load(path)
            check_frozen(frozen, setup.config, setup.settings, tokenizer, path)
            return frozen, True
    except (PathNotFoundError, DataError, UsageError, IndexMismatchError):  # not there, damaged, or of too few
        pass
    began()
    frozen, limit = freeze(setup, tokenizer), setup.config.limit
    cut_short = any(len(questions) >= limit for questions in (frozen.answerable, frozen.unanswerable))
    frozen = replace(frozen, origin={"digest": digest, "limit": limit if cut_short else 0})
    frozen.save(path)
    return frozen, False


def _origin(setup: Setup, tokenizer: Tokenizer) -> str:
    """Identifies the data, settings and index that contexts are frozen from, however many of them are needed."""
    config, settings, index = setup.config, setup.settings, setup.index
    origin = {
        "config": config.model_dump(mode="json", exclude=_NOT_ORIGIN),
        "settings": settings.model_dump(mode="json", include={"index", "packer", "retriever"}),
        "max_question_tokens": settings.reader.max_question_tokens,
        "tokenizer": tokenizer.fingerprint,
        "data": [[str(Path(name).resolve()), *rest] for name, *rest in data_stamps(setup.files)],
        "index": [],
        "hits": KEPT_OF_HITS,
        "version": __version__,
    }
    if needs_index(config):
        from ragyena.index.manifest import MANIFEST_NAME, is_index

        origin["index"] = [str(index.resolve()), stamps([index / MANIFEST_NAME])[0][1:] if is_index(index) else []]
    return digest_of(origin, 16)


def _numbered(
    needed: Needs,
    facts: Mapping[str, Any],
    data: EvalData,
    own: Mapping[str, Sequence[Passage]],
    hits: HitLists,
    stored: Mapping[int, Passage],
) -> Frozen:
    """Numbers the passages: those of the questions' own contexts, then those of the index."""
    passages: list[Passage] = []

    def put(passage: Passage, context_id: str) -> int:
        metadata = {"id": context_id} if context_id else {}
        passages.append(
            replace(passage, passage_id=len(passages), document_id=-1, source=context_id, metadata=metadata)
        )
        return len(passages) - 1

    own_numbers = {context_id: tuple(put(passage, context_id) for passage in own[context_id]) for context_id in own}
    numbers = {passage_id: put(passage, passage.metadata.get("id", "")) for passage_id, passage in stored.items()}
    if needed.kind == "search":  # the own passages among the hits
        by_context: dict[str, list[int]] = {}
        for passage in passages:
            by_context.setdefault(passage.source, []).append(passage.passage_id)
        contexts = {q.context_id for q in data.answerable if q.context_id is not None}
        own_numbers = {c: tuple(places) for c, places in by_context.items() if c in contexts}
    return Frozen(
        kind=needed.kind,
        facts=facts,
        answerable=data.answerable,
        unanswerable=data.unanswerable,
        passages=tuple(passages),
        own=own_numbers,
        hits={
            question_id: replace(some, numbers=np.array([numbers[i] for i in some.numbers.tolist()], np.int32))
            for question_id, some in hits.items()
        },
        problems=data.problems,
    )


# ---------------------------------------------------------------------------------------------------------------
# The index that is searched, and the questions on it
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenedQuestions:
    """An open index and the questions to ask on it."""

    index: Index
    folder: Path
    """For hits that are kept."""
    data: EvalData
    masked: Mapping[str, Masked]
    """The questions made from the index, by id."""
    on_documents: bool
    """Questions are asked on documents, not on passages that their rows name."""
    texts: int
    """Contexts and further texts of the data."""


def needs_index(config: EvalConfig) -> bool:
    """True for a recipe that retrieves."""
    return config.task == "retrieval" or needs(config).kind in ("distractors", "search")


def index_place(index: str | Path, settings: PipelineConfig) -> Path:
    """The folder of an existing index, given by name or path, or the folder to build one under. Raises UsageError."""
    from ragyena.index.manifest import is_index
    from ragyena.index.storage import locate

    if not str(index).strip():
        raise UsageError("--index is empty", hint="give the name or the folder of an index")
    plain = expanded(index)
    if is_index(plain) or plain.parent != Path():
        return plain
    named = locate(str(index), settings)
    return named if is_index(named) else plain


@contextmanager
def open_questions(setup: Setup, tokenizer: Tokenizer) -> Iterator[OpenedQuestions]:
    """The index of a recipe, or of its corpus, or of all passages of its data, and the questions to ask on it.

    Raises IndexProblem, DataError, StorageError, and UsageError where there is nothing to index.
    """
    from ragyena.index.manifest import is_index

    config = setup.config
    on_documents = bool(config.corpus or config.masked)
    on_documents |= config.task in ("open", "retrieval") and is_index(setup.index)
    has_rows = bool(config.questions or config.beir or not config.masked)
    data = load(setup.files, needs_context=not on_documents) if has_rows else None
    index, folder, problems = _open_index(setup, data, tokenizer)
    with index:
        masked: Mapping[str, Masked] = {}
        if config.masked:
            most = min(config.masked, config.limit or config.masked)
            masked = {one.question.id: one for one in make_masked(index, most, config.seed, setup.progress)}
        texts = len(data.contexts) + len(data.prose) if data else 0
        if on_documents:
            data = _asked_on_documents(config, data or EvalData(()), masked, problems)
        assert data is not None  # without masked questions there are those of the recipe
        yield OpenedQuestions(index, folder, data, masked, on_documents, texts)


def _asked_on_documents(
    config: EvalConfig, data: EvalData, masked: Mapping[str, Masked], problems: Sequence[str]
) -> EvalData:
    """The questions of files and those made from the index. Where a task needs the passage that answers, those of files
    have none: they are left out, and named."""
    questions = list(data.answerable)
    left_out = [*data.problems, *problems]
    if config.corpus:  # contexts that rows bring along are no part of it
        questions = [replace(question, context_id=None) for question in questions]
    if config.task in ("among", "positions"):
        left_out += [f"question {q.id}: which passage of the documents answers it is not known" for q in questions]
        questions = []
    questions += [one.question for one in masked.values()]
    if not questions:
        raise DataError(
            f"no question can be asked by the task '{config.task}' on documents", hint="set masked, or name passages"
        )
    return replace(data, answerable=tuple(questions), contexts={}, prose=(), problems=tuple(left_out))


def _open_index(setup: Setup, data: EvalData | None, tokenizer: Tokenizer) -> tuple[Index, Path, tuple[str, ...]]:
    """The index, the folder for hits, and the files that could not be indexed with the reason."""
    from ragyena.index.index import Index
    from ragyena.index.manifest import is_index

    place, settings, files, progress = setup.index, setup.settings, setup.files, setup.progress
    if is_index(place):
        if files.corpus:
            raise UsageError(f"{place} is an index, and the recipe has a corpus of its own", hint="leave --index out")
        index = Index.open(place, settings=settings)
        if index.manifest.tokenizer_fingerprint != tokenizer.fingerprint:
            index.close()
            raise IndexMismatchError(
                f"the passages of {index.folder} were cut by another tokenizer than that of the reader",
                hint="build an index with this reader: ragyena index add PATH --index NEW",
            )
        return index, place.parent / f"{place.name}-hits", ()
    if files.corpus:  # named by its place: a change of its files is brought in line each time
        paths = [Path(name) for name in files.corpus]
        shaped_by = [[str(path.resolve()) for path in paths], settings.index.model_dump(mode="json")]
        text = json.dumps([*shaped_by, tokenizer.fingerprint])
        folder = place / f"corpus-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        with Index.open(folder / "index", create=True, lazy=True, settings=settings) as index:
            report = index.add(paths, prune=True, progress=progress)
        failed = tuple(f"{failure.path}: {failure.message}" for failure in report.failed)
        return Index.open(folder / "index", settings=settings), folder, failed
    if data is None:
        raise UsageError(f"{place} is no index of documents to ask on", hint="name one: --index NAME|PATH")
    texts = [*data.contexts.values(), *data.prose]
    folder = place / fingerprint(texts, settings, tokenizer)
    rows, built = folder / "passages.jsonl", folder / "complete"
    if not built.is_file():
        lines = (json.dumps({"id": row.id, "title": row.title, "text": row.text}) + "\n" for row in texts)
        write_text(rows, "".join(lines), hint="choose another --index")
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


def index_facts(index: Index) -> dict[str, Any]:
    """The embedder and size of an index, for a report."""
    manifest = index.manifest
    return {
        "embedder": manifest.embedder,
        "index": {name: getattr(manifest, name) for name in ("passages", "documents", "generation", "created")},
    }
