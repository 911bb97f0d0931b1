"""The use case of ``ragyena eval`` for the task ``retrieval``: questions and an index in, a dated report of what each
way of searching finds out. What was found is kept as it comes: a stopped run goes on.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ragyena.config import EvalConfig, PipelineConfig
from ragyena.errors import StorageError
from ragyena.eval import machine
from ragyena.eval.beir import load_beir
from ragyena.eval.comparing import Difference, corrected, paired
from ragyena.eval.datasets import EvalData, Question, load
from ragyena.eval.freeze import asked_on_documents, index_facts, masked_questions, of_documents
from ragyena.eval.index import in_parts, open_index
from ragyena.eval.journal import Journal
from ragyena.eval.latency import percentiles
from ragyena.eval.metrics import Estimate, estimate
from ragyena.eval.retrieval import (
    RETRIEVAL_SCHEMA,
    Ranking,
    RetrievalCondition,
    RetrievalReport,
    answer_ranks,
    rank_measures,
    token_text,
)
from ragyena.eval.tasks import condition_names
from ragyena.index.index import Index
from ragyena.index.rerank import Reranker
from ragyena.reader.reader import Reader
from ragyena.types import Progress

__all__ = ["evaluate_retrieval"]

TITLES = {
    "hybrid": "hybrid (both, fused)",
    "dense": "dense (embeddings)",
    "lexical": "lexical (BM25)",
    "reranked": "reranked (cross-encoder)",
}
_PROBLEMS_KEPT = 20  # rows left out that the report names; it counts them all
_PASSAGES_A_DOCUMENT = 4  # hits asked for, for each document looked for: the same one may be found again
_SPARE = 1  # hits asked for beyond those looked at: one may be hidden


@dataclass(frozen=True, slots=True)
class _Search:
    """One question under one way of searching, scored."""

    question: Question
    passages: tuple[int, ...]
    ranking: Ranking
    seconds: float
    ranks: tuple[int, ...]
    """Of the passages that hold an answer."""
    measures: Mapping[str, float] | None
    """None where the own passages are not known."""


def evaluate_retrieval(
    config: EvalConfig,
    settings: PipelineConfig,
    *,
    name: str,
    data_root: Path,
    out: Path,
    index_cache: Path,
    progress: Progress | None,
) -> tuple[RetrievalReport, Path]:
    """Searches for every question in every way; the report and the file it was written to, under ``out``.

    Of the reader of ``settings`` the tokenizer alone is used: it cuts passages. Raises DataError, PathNotFoundError,
    CheckpointError, IndexProblem, MissingDependencyError, StorageError and UsageError.
    """
    began = time.perf_counter()
    tokenizer = Reader.tokenizer_of(settings.reader)
    reranker = Reranker.open(config.reranker) if config.reranker else None
    beir = None
    data: EvalData | None = None
    if config.beir:
        beir = load_beir(data_root.expanduser() / config.beir, config.split, config.limit, config.seed)
        data = beir.data
    elif config.questions or not config.masked:
        data = load(config, data_root, needs_context=not of_documents(config, index_cache))
    index, _, problems = open_index(
        config, data, settings, tokenizer, data_root=data_root, place=index_cache, progress=progress
    )
    with index:
        masked = masked_questions(config, index, progress)
        if data is None or masked or config.corpus:
            data = asked_on_documents(config, data, masked, problems)
        asked = data.answerable
        own = _own(index, asked)
        own |= {one.question.context_id or "": {str(one.own.passage_id): 1} for one in masked.values()}
        right = beir.relevant if beir else {q.id: own.get(q.context_id or "", {}) for q in asked}
        facts = {"retriever": settings.retriever.model_dump(mode="json"), **index_facts(index)}
        if masked:
            facts["masked"] = len(masked)
        if reranker:
            facts["reranker"] = {"name": reranker.name, "fingerprint": reranker.fingerprint, "hits": config.rerank}
        most = max(config.recall_at) * (_PASSAGES_A_DOCUMENT if beir else 1)
        digest = hashlib.sha256(json.dumps([facts, most], sort_keys=True).encode()).hexdigest()[:12]
        found: dict[str, list[_Search]] = {}
        with Journal(out / f"found-{digest}.jsonl") as journal:
            hidden = {question_id: one.asked for question_id, one in masked.items()}
            for mode in condition_names(config):
                search = _searching(index, mode, most, config, settings, reranker)
                rows = _search(search, asked, mode, most, hidden, journal, progress)
                found[mode] = _scored(index, asked, rows, right, config.recall_at, documents=beir is not None)
    date = time.strftime("%Y-%m-%d")
    answers = out / f"{date}-{name}.found.jsonl"
    drawn = {"resamples": config.resamples, "seed": config.seed}
    report = RetrievalReport(
        schema=RETRIEVAL_SCHEMA,
        recipe=name,
        date=date,
        answers=answers.name,
        conditions=tuple(_condition(mode, searches, config.recall_at, drawn) for mode, searches in found.items()),
        differences=tuple(corrected([*_differences(found, config.recall_at, drawn)])),
        config=config.model_dump(mode="json"),
        settings=facts,
        data={
            "answerable": len(asked),
            "left_out": len(data.problems),
            "left_out_first": list(data.problems[:_PROBLEMS_KEPT]),
        },
        hashes={"answers": _write_rows(found, answers)},
        machine=machine.describe(),
        seconds=round(time.perf_counter() - began, 1),
    )
    path = out / f"{date}-{name}.json"
    _write(path, json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
    return report, path


def _own(index: Index, asked: Sequence[Question]) -> dict[str, Mapping[str, int]]:
    """The passages of each context that is asked on, where the index is made of contexts."""
    wanted = {question.context_id for question in asked}
    found: dict[str, dict[str, int]] = {}
    if wanted - {None}:
        ids = [int(passage_id) for passage_id in index.store.passage_ids()]
        for passage in in_parts(index, ids):
            context_id = passage.metadata.get("id")
            if context_id is not None and context_id in wanted:
                found.setdefault(context_id, {})[str(passage.passage_id)] = 1
    return {**found}


def _searching(
    index: Index, mode: str, most: int, config: EvalConfig, settings: PipelineConfig, reranker: Reranker | None
) -> Callable[[str], list[int]]:
    """What finds passage ids for a question, one more than ``most``: one may be hidden."""
    base = config.modes[0] if mode == "reranked" else mode
    settings = settings.model_copy(update={"retriever": settings.retriever.model_copy(update={"mode": base})})

    def search(question: str) -> list[int]:
        return [hit.passage.passage_id for hit in index.search(question, k=most + _SPARE, settings=settings)]

    def search_and_rerank(question: str) -> list[int]:
        assert reranker is not None
        hits = index.search(question, k=max(most + _SPARE, config.rerank), settings=settings)
        passages = [hit.passage for hit in hits]
        ordered = [*reranker.order(question, passages[: config.rerank]), *passages[config.rerank :]]
        return [passage.passage_id for passage in ordered[: most + _SPARE]]

    return search_and_rerank if mode == "reranked" else search


def _search(
    search: Callable[[str], list[int]],
    asked: Sequence[Question],
    mode: str,
    most: int,
    hidden: Mapping[str, int],
    journal: Journal,
    progress: Progress | None,
) -> dict[str, tuple[tuple[int, ...], float]]:
    """Passage ids and seconds by question id; what the journal holds is not searched again."""
    known = {
        (row["question"], row["question_id"]): (tuple(row["passages"]), row["seconds"])
        for row in journal.rows
        if row["mode"] == mode
    }
    missing = [question for question in asked if (question.question, question.id) not in known]
    if progress:
        progress.start(f"searching, {TITLES[mode]}", len(missing), "questions")
    if missing:
        search(missing[0].question)  # loads the embedder and the vectors
    for question in missing:
        began = time.perf_counter()
        found = search(question.question)
        seconds = round(time.perf_counter() - began, 6)
        ids = [passage_id for passage_id in found if passage_id != hidden.get(question.id)][:most]
        known[question.question, question.id] = tuple(ids), seconds
        row = {"mode": mode, "question": question.question, "question_id": question.id}
        journal.append([{**row, "passages": ids, "seconds": seconds}])
        if progress:
            progress.advance(1)
    return {question.id: known[question.question, question.id] for question in asked}


def _scored(
    index: Index,
    asked: Sequence[Question],
    rows: Mapping[str, tuple[tuple[int, ...], float]],
    right: Mapping[str, Mapping[str, int]],
    recall_at: Sequence[int],
    *,
    documents: bool,
) -> list[_Search]:
    """``right``: grades by question id. ``documents``: they are of documents, each of which counts where its first
    passage was found."""
    ids = sorted({passage_id for passages, _ in rows.values() for passage_id in passages})
    stored = {passage.passage_id: passage for passage in in_parts(index, ids)}
    texts = {passage_id: token_text(passage.text) for passage_id, passage in stored.items()}
    rankings = []
    for question in asked:
        names = [stored[i].metadata["id"] if documents else str(i) for i in rows[question.id][0]]
        found = tuple(dict.fromkeys(names))[: max(recall_at)]
        rankings.append(Ranking(question.id, found, right.get(question.id, {})))
    measures = rank_measures(rankings, recall_at)
    return [
        _Search(
            question,
            rows[question.id][0],
            ranking,
            rows[question.id][1],
            tuple(answer_ranks((texts[i] for i in rows[question.id][0]), [token_text(a) for a in question.answers])),
            measures.get(question.id),
        )
        for question, ranking in zip(asked, rankings, strict=True)
    ]


def _condition(
    mode: str, searches: Sequence[_Search], recall_at: Sequence[int], drawn: Mapping[str, int]
) -> RetrievalCondition:
    judged = [search for search in searches if search.measures is not None]
    answered = [search for search in searches if search.question.answers]

    def percent(values: Sequence[float], of: Sequence[_Search]) -> Estimate:
        groups = [_group(search.question) for search in of]
        return estimate(
            [100 * v for v in values], groups, bounds=(0.0, 100.0), resamples=drawn["resamples"], seed=drawn["seed"]
        )

    def measured(measure: str) -> Estimate:
        return percent([(search.measures or {})[measure] for search in judged], judged)

    return RetrievalCondition(
        name=mode,
        title=TITLES[mode],
        n=len(searches),
        answer_recall={k: percent([_within(search, k) for search in answered], answered) for k in recall_at}
        if answered
        else {},
        n_own=len(judged),
        passage_recall={k: measured(f"recall@{k}") for k in recall_at} if judged else None,
        ndcg_10=measured("ndcg_10") if judged else None,
        mrr=measured("rr") if judged else None,
        seconds=percentiles([search.seconds for search in searches]),
    )


def _differences(
    found: Mapping[str, Sequence[_Search]], recall_at: Sequence[int], drawn: Mapping[str, int]
) -> Iterator[Difference]:
    """Of each further way of searching from the first, on the same questions."""
    (first, base), *others = found.items()
    for name, searches in others:

        def gap(measure: str, a: list[float], b: list[float], groups: list[str], name: str = name) -> Difference:
            return paired(a, b, groups, (name, first), "all", measure, resamples=drawn["resamples"], seed=drawn["seed"])

        groups = [_group(search.question) for search in searches]
        for k in recall_at if searches[0].question.answers else ():
            yield gap(f"answer_recall@{k}", [_within(s, k) for s in searches], [_within(s, k) for s in base], groups)
        judged = [
            (a.measures["ndcg_10"], b.measures["ndcg_10"], group)
            for a, b, group in zip(searches, base, groups)
            if a.measures is not None and b.measures is not None
        ]
        if judged:
            yield gap("ndcg_10", *(list(side) for side in zip(*judged)))  # type: ignore[arg-type]


def _within(search: _Search, k: int) -> float:
    return float(bool(search.ranks) and search.ranks[0] <= k)


def _group(question: Question) -> str:
    return question.context_id or question.id


def _write_rows(found: Mapping[str, Sequence[_Search]], path: Path) -> str:
    """Writes what was found, a line for each question and way of searching; the sha256 of the file."""
    rows = [
        {
            "mode": mode,
            "question_id": search.question.id,
            "source": search.question.source,
            "context_id": search.question.context_id or "",
            "question": search.question.question,
            "answers": list(search.question.answers),
            "passages": list(search.passages),
            "ranked": list(search.ranking.found),
            "relevant": dict(search.ranking.relevant),
            "answer_ranks": list(search.ranks),
            "seconds": search.seconds,
            **({} if search.measures is None else {name: round(v, 6) for name, v in search.measures.items()}),
        }
        for mode, searches in found.items()
        for search in searches
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return hashlib.sha256(_write(path, text)).hexdigest()


def _write(path: Path, text: str) -> bytes:
    content = text.encode("utf-8", errors="surrogatepass")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error
    return content
