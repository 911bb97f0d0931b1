"""The contexts of an evaluation, made from its data and an index of all its passages, or taken from a file.

Reading frozen contexts needs no index: what does is imported where it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragyena.config import EvalConfig, PipelineConfig
from ragyena.errors import DataError, IndexMismatchError, StorageError, UsageError
from ragyena.evaluation.contexts import Making
from ragyena.evaluation.datasets import ContextRow, EvalData, cut, load, sample
from ragyena.evaluation.frozen import Frozen, Hits, Kind
from ragyena.evaluation.hybrid import load_hybrid
from ragyena.evaluation.token_cache import TokenCache
from ragyena.text.tokenizer import Tokenizer
from ragyena.types import Passage, Progress

if TYPE_CHECKING:
    from ragyena.retrieval.index import Index

__all__ = ["freeze", "frozen_for", "making"]


def making(config: EvalConfig, settings: PipelineConfig, tokenizer: Tokenizer) -> Making:
    """What contexts are made with."""
    return Making(TokenCache(tokenizer), settings.packer, settings.reader.max_question_tokens, config.seed)


def freeze(
    config: EvalConfig,
    settings: PipelineConfig,
    tokenizer: Tokenizer,
    *,
    data_root: Path,
    index: Path,
    progress: Progress | None,
) -> Frozen:
    """The contexts that ``config`` asks for. ``index`` is an index of the passages, used as it is, or a folder in which
    one is built and found again; unused where nothing is retrieved.

    Raises DataError, PathNotFoundError, IndexProblem, MissingDependencyError and StorageError.
    """
    if config.task == "hybrid":
        return _freeze_documents(config, settings, tokenizer, data_root)
    data = load(config, data_root)
    questions = [*data.answerable, *data.unanswerable]
    asked_on = {q.context_id: data.contexts[q.context_id] for q in questions if q.context_id is not None}
    own = cut(list(asked_on.values()), tokenizer, settings.index.passage_tokens)
    facts: dict[str, Any] = {
        "tokenizer": tokenizer.fingerprint,
        "passage_tokens": settings.index.passage_tokens,
        "header_tokens": settings.packer.header_tokens,
        "contexts": len(data.contexts) + len(data.prose),
    }
    kind, among, context_tokens = _wanted(config)
    if kind == "own":
        facts["data"] = _fingerprint([data.contexts.values()], settings, tokenizer)
        return _frozen(kind, facts, data, own, {}, {})
    with ExitStack() as stack:
        from ragyena.evaluation.hits import HitFinder

        opened, folder = _open_index(data, settings, tokenizer, index, progress)
        stack.callback(opened.close)
        maker = making(config, settings, tokenizer)
        finder = HitFinder(
            opened, settings.retriever, maker, folder, kind=kind, among=among, context_tokens=context_tokens
        )
        stack.callback(finder.close)
        found = finder.find(data.answerable, own, progress)
        manifest = opened.manifest
        facts |= {
            "among": among,
            "context_tokens": context_tokens,
            "retriever": settings.retriever.model_dump(mode="json"),
            "embedder": manifest.embedder,
            "index": {
                "passages": manifest.passages,
                "documents": manifest.documents,
                "generation": manifest.generation,
                "created": manifest.created,
            },
        }
        if kind == "search":
            facts["packer"] = settings.packer.model_dump(mode="json", exclude={"context_tokens"})
        wanted = {passage_id for ids, _ in found.values() for passage_id in ids}
        stored = {p.passage_id: p for p in _in_parts(opened, sorted(wanted))}
    return _frozen(kind, facts, data, own if kind == "distractors" else {}, found, stored)


def _freeze_documents(config: EvalConfig, settings: PipelineConfig, tokenizer: Tokenizer, data_root: Path) -> Frozen:
    """Documents whose passages are all read: nothing is retrieved."""
    found = load_hybrid(config, data_root, tokenizer, settings.index.passage_tokens)
    texts = json.dumps([[p.header, p.text] for passages in found.passages.values() for p in passages])
    facts = {
        "tokenizer": tokenizer.fingerprint,
        "passage_tokens": settings.index.passage_tokens,
        "header_tokens": settings.packer.header_tokens,
        "contexts": len(found.passages),
        "data": hashlib.sha256(texts.encode()).hexdigest()[:12],
    }
    data = EvalData(found.questions, (), {}, (), found.problems)
    return _frozen("documents", facts, data, found.passages, {}, {})


def frozen_for(config: EvalConfig, settings: PipelineConfig, tokenizer: Tokenizer, path: Path) -> Frozen:
    """The contexts in a file, of which ``config`` chooses questions and conditions.

    Raises DataError, PathNotFoundError; IndexMismatchError where the passages were cut by another tokenizer than the
    reader's; UsageError where the file does not hold what ``config`` or ``settings`` ask for.
    """
    frozen = Frozen.load(path)
    facts = frozen.facts
    if facts["tokenizer"] != tokenizer.fingerprint:
        raise IndexMismatchError(
            f"the passages of {path} were cut by another tokenizer ({facts['tokenizer'][:12]}) than that of the reader "
            f"({tokenizer.fingerprint[:12]})",
            hint="freeze the contexts with this reader: ragyena eval RECIPE --reader PATH --freeze-only",
        )
    again = "freeze them again with these settings: ragyena eval RECIPE --freeze-only"
    for name, asked in _shaping(frozen.kind, settings).items():
        if facts[name] != asked:
            raise UsageError(f"{path} was frozen with {name} {facts[name]}, not {asked}", hint=again)
    kind, among, context_tokens = _wanted(config)
    if kind != frozen.kind and not (kind == "own" and frozen.kind == "distractors"):
        raise UsageError(f"{path} holds contexts of another kind ({frozen.kind}, not {kind})", hint=again)
    for name, needed in (("among", among), ("context_tokens", context_tokens)):
        if needed > facts.get(name, 0):
            raise UsageError(f"{path} was frozen for {name} {facts.get(name, 0)}, not {needed}", hint=again)
    answerable = [q for q in frozen.answerable if not config.sources or q.source in config.sources]
    if not answerable:
        raise DataError(f"no question of {path} is of sources {', '.join(config.sources)}", hint="check the sources")
    chosen = (sample(list(questions), config.limit, config.seed) for questions in (answerable, frozen.unanswerable))
    return frozen.only(*chosen)


def _shaping(kind: Kind, settings: PipelineConfig) -> dict[str, Any]:
    """The settings that must be those of the frozen contexts, as their facts name them."""
    shaping: dict[str, Any] = {
        "passage_tokens": settings.index.passage_tokens,
        "header_tokens": settings.packer.header_tokens,
    }
    if kind in ("distractors", "search"):
        shaping["retriever"] = settings.retriever.model_dump(mode="json")
    if kind == "search":
        shaping["packer"] = settings.packer.model_dump(mode="json", exclude={"context_tokens"})
    return shaping


def _wanted(config: EvalConfig) -> tuple[Kind, int, int]:
    """What kind of contexts a recipe needs, among how many passages, and in how many tokens, at most."""
    if config.task == "open":
        return "search", 0, max(config.context_tokens)
    if config.task == "positions":
        return "distractors", 0, max(config.context_tokens)
    if config.task == "hybrid":
        return "documents", 0, 0
    most = max(config.among)
    return ("distractors", most, 0) if most > 1 else ("own", 0, 0)


def _frozen(
    kind: Kind,
    facts: Mapping[str, Any],
    data: EvalData,
    own: Mapping[str, Sequence[Passage]],
    found: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    stored: Mapping[int, Passage],
) -> Frozen:
    """Numbers the passages: those of the questions' own contexts, then those of the index."""
    passages: list[Passage] = []
    numbers: dict[int, int] = {}
    own_numbers: dict[str, tuple[int, ...]] = {}

    def put(passage: Passage, context_id: str) -> int:
        metadata = {"id": context_id} if context_id else {}
        passages.append(
            replace(passage, passage_id=len(passages), document_id=-1, source=context_id, metadata=metadata)
        )
        return len(passages) - 1

    for context_id, cut_passages in own.items():
        own_numbers[context_id] = tuple(put(passage, context_id) for passage in cut_passages)
    for passage_id, passage in stored.items():
        numbers[passage_id] = put(passage, passage.metadata.get("id", ""))
    if kind == "search":  # what was found of the contexts that questions are asked on
        by_context: dict[str, list[int]] = {}
        for passage in passages:
            by_context.setdefault(passage.source, []).append(passage.passage_id)
        asked_on = {q.context_id for q in data.answerable}
        own_numbers = {c: tuple(places) for c, places in by_context.items() if c in asked_on}
    hits = {
        question_id: Hits(np.array([numbers[i] for i in ids], np.int32), np.array(scores, np.float32))
        for question_id, (ids, scores) in found.items()
    }
    return Frozen(
        kind, facts, data.answerable, data.unanswerable, tuple(passages), own_numbers, hits, problems=data.problems
    )


# ---------------------------------------------------------------------------------------------------------------
# The index
# ---------------------------------------------------------------------------------------------------------------


def _open_index(
    data: EvalData, settings: PipelineConfig, tokenizer: Tokenizer, place: Path, progress: Progress | None
) -> tuple[Index, Path]:
    """The index at ``place``, or that of all passages under it, built by the same use case as anybody's; and the
    folder for what is found in it."""
    from ragyena.pipelines import index as index_use_cases
    from ragyena.retrieval.index import Index
    from ragyena.retrieval.manifest import is_index

    if is_index(place):
        index = Index.open(place)
        if index.manifest.tokenizer_fingerprint != tokenizer.fingerprint:
            index.close()
            raise IndexMismatchError(
                f"the passages of {place} were cut by another tokenizer than that of the reader",
                hint="build an index with this reader: ragyena index add PATH --index NEW",
            )
        return index, place.parent / f"{place.name}-hits"
    folder = place / _fingerprint([data.contexts.values(), data.prose], settings, tokenizer)
    rows, built = folder / "passages.jsonl", folder / "complete"
    if not built.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with rows.open("w", encoding="utf-8", errors="surrogatepass") as file:
                for row in (*data.contexts.values(), *data.prose):
                    file.write(json.dumps({"id": row.id, "title": row.title, "text": row.text}) + "\n")
        except OSError as error:
            raise StorageError(f"{rows} cannot be written: {error.strerror}", hint="choose another --index") from error
        indexing = settings.model_copy(
            update={
                "index": settings.index.model_copy(
                    update={"text_fields": ("text",), "title_fields": ("title",), "max_file_mb": 1 << 20}
                )
            }
        )
        report = index_use_cases.add([rows], folder / "index", indexing, prune=True, progress=progress)
        for failure in report.failed:
            raise DataError(f"the passages cannot be indexed: {failure.message}", hint=failure.hint)
        built.touch()
    return Index.open(folder / "index"), folder


def _fingerprint(rows: Sequence[Iterable[ContextRow]], settings: PipelineConfig, tokenizer: Tokenizer) -> str:
    """Names the index of these texts under these settings."""
    digest = hashlib.sha256(f"{settings.index.model_dump_json()} {tokenizer.fingerprint}".encode())
    for some in rows:
        for row in some:
            digest.update(json.dumps([row.id, row.title, row.text]).encode())
    return digest.hexdigest()[:12]


def _in_parts(index: Index, ids: Sequence[int]) -> Iterable[Passage]:
    """Passages of the index by id, in its order."""
    for first in range(0, len(ids), 500):
        yield from index.passages(ids[first : first + 500])
