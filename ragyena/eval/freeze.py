"""The contexts of an evaluation, made from its data and an index of all its passages, or taken from a file.

Reading frozen contexts needs no index: what does is imported where it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragyena.config import EvalConfig, PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError, IndexMismatchError, UsageError
from ragyena.eval.contexts import Making
from ragyena.eval.datasets import EvalData, Question, cut, fingerprint, load, sample
from ragyena.eval.frozen import Frozen, Hits, Kind
from ragyena.eval.hybrid import load_hybrid
from ragyena.eval.masked import Masked, hides, make_masked
from ragyena.eval.token_cache import TokenCache
from ragyena.types import Passage, Progress

if TYPE_CHECKING:
    from ragyena.index.index import Index

__all__ = ["check_frozen", "freeze", "frozen_for", "making"]


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
    at_index: Callable[[Index, Sequence[Question]], None] | None = None,
) -> Frozen:
    """The contexts that ``config`` asks for. ``index`` is an index of the passages, used as it is, or a folder in which
    one is built and found again; unused where nothing is retrieved. ``at_index`` is called with the open index and the
    answerable questions once contexts are found; not where nothing is retrieved.

    Raises DataError, PathNotFoundError, IndexProblem, MissingDependencyError and StorageError.
    """
    if config.task == "hybrid":
        return _freeze_documents(config, settings, tokenizer, data_root)
    on_documents = of_documents(config, index)
    data = load(config, data_root, needs_context=not on_documents) if config.questions or not config.masked else None
    facts: dict[str, Any] = {
        "tokenizer": tokenizer.fingerprint,
        "passage_tokens": settings.index.passage_tokens,
        "header_tokens": settings.packer.header_tokens,
        "contexts": len(data.contexts) + len(data.prose) if data else 0,
    }
    kind, among, context_tokens = wanted(config)
    if data is not None and kind == "own":
        facts["data"] = fingerprint([data.contexts.values()], settings, tokenizer)
        return _frozen(kind, facts, data, _cut_own(data, tokenizer, settings), {}, {})
    with ExitStack() as stack:
        from ragyena.eval.hits import HitFinder
        from ragyena.eval.index import in_parts, open_index

        opened, folder, problems = open_index(
            config, data, settings, tokenizer, data_root=data_root, place=index, progress=progress
        )
        stack.callback(opened.close)
        masked = masked_questions(config, opened, progress)
        if on_documents:
            data = asked_on_documents(config, data, masked, problems)
            own = {one.question.context_id or "": [one.own] for one in masked.values()}
        else:
            assert data is not None  # without masked questions there are those of the recipe
            own = _cut_own(data, tokenizer, settings)
        maker = making(config, settings, tokenizer)
        finder = HitFinder(
            opened,
            settings.retriever,
            maker,
            folder,
            kind=kind,
            among=among,
            context_tokens=context_tokens,
            # other passages that hold the answer would be needles too
            hidden=partial(hides, masked, answers=kind == "distractors"),
        )
        stack.callback(finder.close)
        found = finder.find(data.answerable, own, progress)
        if at_index:
            at_index(opened, data.answerable)
        facts |= {
            "among": among,
            "context_tokens": context_tokens,
            "retriever": settings.retriever.model_dump(mode="json"),
            **index_facts(opened),
        }
        if masked:
            facts["masked"] = len(masked)
        if kind == "search":
            facts["packer"] = settings.packer.model_dump(mode="json", exclude={"context_tokens"})
        hit_ids = {passage_id for ids, _ in found.values() for passage_id in ids}
        answering = {one.own.passage_id: one.question.context_id or "" for one in masked.values()}
        stored = {
            p.passage_id: replace(p, metadata={"id": answering[p.passage_id]}) if p.passage_id in answering else p
            for p in in_parts(opened, sorted(hit_ids))
        }
    return _frozen(kind, facts, data, own if kind == "distractors" else {}, found, stored)


def of_documents(config: EvalConfig, place: Path) -> bool:
    """Whether questions are asked on documents, not on passages that their rows name: they need no context then."""
    from ragyena.index.manifest import is_index

    return bool(config.corpus or config.masked) or (config.task in ("open", "retrieval") and is_index(place))


def masked_questions(config: EvalConfig, index: Index, progress: Progress | None) -> dict[str, Masked]:
    """The questions that a recipe has made from its index, by id. Raises DataError."""
    if not config.masked:
        return {}
    most = min(config.masked, config.limit or config.masked)
    return {one.question.id: one for one in make_masked(index, most, config.seed, progress)}


def asked_on_documents(
    config: EvalConfig, data: EvalData | None, masked: Mapping[str, Masked], problems: Sequence[str]
) -> EvalData:
    """The questions of files and those made from the index. Where a task needs a passage that answers, those of files
    have none: they are left out, and named."""
    asked = [] if data is None else list(data.answerable)
    left_out = [*(data.problems if data else ()), *problems]
    if config.corpus:  # contexts that rows bring along are no part of it
        asked = [replace(question, context_id=None) for question in asked]
    if config.task in ("among", "positions"):
        left_out += [f"question {q.id}: which passage of the documents answers it is not known" for q in asked]
        asked = []
    made = [one.question for one in masked.values()]
    if not (asked or made):
        raise DataError(
            f"no question can be asked by the task '{config.task}' on documents", hint="set masked, or name passages"
        )
    return EvalData((*asked, *made), data.unanswerable if data else (), {}, (), tuple(left_out))


def index_facts(index: Index) -> dict[str, Any]:
    """What a report says of the index that was searched."""
    manifest = index.manifest
    return {
        "embedder": manifest.embedder,
        "index": {
            "passages": manifest.passages,
            "documents": manifest.documents,
            "generation": manifest.generation,
            "created": manifest.created,
        },
    }


def _cut_own(data: EvalData, tokenizer: Tokenizer, settings: PipelineConfig) -> dict[str, list[Passage]]:
    """The passages of every context that is asked on."""
    questions = [*data.answerable, *data.unanswerable]
    asked_on = {q.context_id: data.contexts[q.context_id] for q in questions if q.context_id is not None}
    return cut(list(asked_on.values()), tokenizer, settings.index.passage_tokens)


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
    check_frozen(frozen, config, settings, tokenizer, path)
    answerable = [q for q in frozen.answerable if not config.sources or q.source in config.sources]
    if not answerable:
        raise DataError(f"no question of {path} is of sources {', '.join(config.sources)}", hint="check the sources")
    chosen = (sample(list(questions), config.limit, config.seed) for questions in (answerable, frozen.unanswerable))
    return frozen.only(*chosen)


def check_frozen(
    frozen: Frozen, config: EvalConfig, settings: PipelineConfig, tokenizer: Tokenizer, path: Path
) -> None:
    """Raises as ``frozen_for``, which reads ``frozen`` from ``path``; all but for the questions, which need not be
    there."""
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
    kind, among, context_tokens = wanted(config)
    if kind != frozen.kind and not (kind == "own" and frozen.kind == "distractors"):
        raise UsageError(f"{path} holds contexts of another kind ({frozen.kind}, not {kind})", hint=again)
    for name, needed in (("among", among), ("context_tokens", context_tokens)):
        if needed > facts.get(name, 0):
            raise UsageError(f"{path} was frozen for {name} {facts.get(name, 0)}, not {needed}", hint=again)
    most = frozen.origin.get("limit", 0)
    if most and not 0 < config.limit <= most:
        asked = f"{config.limit:,}" if config.limit else "all"
        raise UsageError(
            f"{path} was frozen for {most:,} questions, not for {asked}",
            hint=f"--limit {most}, or freeze more: ragyena eval RECIPE --limit N --freeze-only",
        )


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


def wanted(config: EvalConfig) -> tuple[Kind, int, int]:
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
        asked_on = {q.context_id for q in data.answerable if q.context_id is not None}
        own_numbers = {c: tuple(places) for c, places in by_context.items() if c in asked_on}
    hits = {
        question_id: Hits(np.array([numbers[i] for i in ids], np.int32), np.array(scores, np.float32))
        for question_id, (ids, scores) in found.items()
    }
    return Frozen(
        kind, facts, data.answerable, data.unanswerable, tuple(passages), own_numbers, hits, problems=data.problems
    )
