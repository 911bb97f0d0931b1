"""Evaluation of retrieval: recall of the answer and of the right passage among the first k hits, and their rank.

Recall by answer is that of DPR (Karpukhin et al. 2020, ``has_answer``): the answer's tokens in a row among those of one
of the first k passages, both in lower case and Unicode NFD. Recall by passage, nDCG@10 and reciprocal rank come from
ir_measures, with the passages of the question's own context as the relevant ones; of a folder in BEIR's layout with its
graded documents, each ranked by its best passage. A search has no ties: its scores strictly decrease, and equal ones
are ranked by passage id.

Hits are kept as they come: a stopped run is continued.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from ragyena import machine
from ragyena.config import EvalConfig, PipelineConfig
from ragyena.errors import EmptyQuestionError
from ragyena.eval.conditions import condition_names
from ragyena.eval.freeze import OpenedQuestions, in_parts, index_facts, open_questions
from ragyena.eval.journal import Journal, digest_of, json_lines, write_json, write_text
from ragyena.eval.layout import left_out
from ragyena.eval.metrics import Estimate, estimate, optional
from ragyena.eval.misspelt import misspelt
from ragyena.eval.questions import Question
from ragyena.eval.recipe import Setup
from ragyena.eval.significance import Difference, corrected, paired
from ragyena.eval.timing import Percentiles, percentiles
from ragyena.reader.reader import Reader
from ragyena.types import Progress

if TYPE_CHECKING:  # they need FAISS
    from ragyena.index.embedder import Reranker
    from ragyena.index.index import Index
    from ragyena.pipeline import Pipeline

__all__ = [
    "RETRIEVAL_SCHEMA",
    "Ranking",
    "RetrievalCondition",
    "RetrievalReport",
    "answer_ranks",
    "evaluate_retrieval",
    "rank_measures",
    "token_text",
]

RETRIEVAL_SCHEMA: Final = "ragyena.retrieval/1"
TITLES = {
    "hybrid": "hybrid (both, fused)",
    "dense": "dense (embeddings)",
    "lexical": "lexical (BM25)",
    "rrf": "hybrid, by reciprocal rank",
    "reader": "ranked by the reader",
    "misspelt": "misspelt questions",
    "uncorrected": "misspelt, left as they are",
    "reranked": "reranked (cross-encoder)",
}
_CHANGES: dict[str, dict[str, Any]] = {
    "rrf": {"mode": "hybrid", "fusion": "rrf"},
    "reader": {"mode": "hybrid", "rerank": "reader"},
    "misspelt": {},
    "uncorrected": {"spelling": False},
}
"""Settings of the modes that are no mode of the retriever."""
_PASSAGES_A_DOCUMENT = 4  # hits requested for each document: several may be of the same one
_SPARE = 1  # hits requested beyond those that count: one may be hidden


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ranked results of one question, best first."""

    question_id: str
    ranked: tuple[str, ...]
    """Ids of passages; of a BEIR folder, of documents."""
    relevant: Mapping[str, int]
    """Grades by id; empty where they are not known."""


@dataclass(frozen=True, slots=True)
class RetrievalCondition:
    """One way of searching."""

    name: str
    """One of ``modes`` of the recipe, or ``reranked``."""
    title: str
    n: int
    answer_recall: Mapping[int, Estimate]
    """Percent of the questions with an answer in one of the first k passages, by k; empty where no question has an
    answer."""
    n_own: int
    """Questions whose own passages (of a BEIR folder, whose relevant documents) are known: the next three are over
    these."""
    passage_recall: Mapping[int, Estimate] | None
    """Percent of them among the first k, by k; None where none are known."""
    ndcg_10: Estimate | None
    """nDCG@10, times 100."""
    mrr: Estimate | None
    """Mean reciprocal rank of the first of them, times 100; 0 below the greatest k."""
    seconds: Percentiles
    """Time of a search, the embedding of the question and the reranking included."""
    sources: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    """The measures times 100 of the questions of each source: ``answer_recall@k``, ``recall@k``, ``ndcg_10``, ``rr``;
    and ``n``, their number. Empty where all are of one source."""


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """An evaluation of an index and the ways of searching it."""

    schema: Literal["ragyena.retrieval/1"]
    """``RETRIEVAL_SCHEMA``: the version of this layout."""
    recipe: str
    date: str
    answers: str
    """The file next to the report that holds the hits of every question."""
    conditions: tuple[RetrievalCondition, ...]
    differences: tuple[Difference, ...]
    """Differences of each further way of searching from the first."""
    config: Mapping[str, Any]
    """The recipe, with the flags given over it."""
    settings: Mapping[str, Any]
    """Index, embedder and search settings."""
    data: Mapping[str, Any]
    """Numbers of questions, and the rows left out."""
    hashes: Mapping[str, str]
    """sha256 of the file of hits (``answers``)."""
    machine: Mapping[str, Any]
    seconds: float
    """Wall time of this run."""


@dataclass(frozen=True, slots=True)
class _Search:
    """One question under one way of searching, scored."""

    question: Question
    passages: tuple[int, ...]
    ranking: Ranking
    seconds: float
    ranks: Sequence[int]
    """Ranks of the passages that hold an answer."""
    measures: Mapping[str, float]
    """Each between 0 and 1: ``answer_recall@k`` (an answer stands in one of the first k passages) where the question
    has an answer, those of ``rank_measures`` where the own passages are known."""

    @property
    def group(self) -> str:
        """The questions of one group are resampled together."""
        return self.question.context_id or self.question.id


def evaluate_retrieval(setup: Setup) -> tuple[RetrievalReport, Path]:
    """Searches for every question in every way; the report and its file, under ``out``.

    Of the reader of ``settings`` the tokenizer alone is used: it cuts passages. Raises DataError, PathNotFoundError,
    CheckpointError, IndexProblem, MissingDependencyError, StorageError and UsageError.
    """
    from ragyena.index.embedder import Reranker
    from ragyena.pipeline import Pipeline

    began = time.perf_counter()
    config, settings, out, drawn = setup.config, setup.settings, setup.out, setup.drawn
    tokenizer = Reader.tokenizer_of(settings.reader)
    reranker = Reranker.open(config.reranker) if config.reranker else None
    with open_questions(setup, tokenizer) as opened:
        facts = {"retriever": settings.retriever.model_dump(mode="json"), **index_facts(opened.index)}
        if opened.masked:
            facts["masked"] = len(opened.masked)
        if reranker:
            facts["reranker"] = {"name": reranker.name, "fingerprint": reranker.fingerprint, "hits": config.rerank}
        most = max(config.recall_at) * (_PASSAGES_A_DOCUMENT if config.beir else 1)
        relevant = opened.data.relevant if config.beir else _own_passages(opened)
        searches: dict[str, list[_Search]] = {}
        pipeline_of = cache(lambda: Pipeline.open(opened.index, settings=settings))
        with Journal(out / f"found-{digest_of([facts, most])}.jsonl") as journal:
            for mode in condition_names(config):
                search = _way_of_searching(opened.index, mode, most, config, settings, reranker, pipeline_of)
                hits = _search_all(search, opened, mode, most, journal, setup.progress)
                searches[mode] = _scored(opened, hits, relevant, config)
    date = time.strftime("%Y-%m-%d")
    hits_file = out / f"{date}-{setup.name}.found.jsonl"
    report = RetrievalReport(
        schema=RETRIEVAL_SCHEMA,
        recipe=setup.name,
        date=date,
        answers=hits_file.name,
        conditions=tuple(_condition(mode, of_mode, config.recall_at, drawn) for mode, of_mode in searches.items()),
        differences=tuple(corrected([*_differences(searches, config.recall_at, drawn)])),
        config=config.model_dump(mode="json"),
        settings=facts,
        data={"answerable": len(opened.data.answerable), **left_out(opened.data.problems)},
        hashes={"answers": write_text(hits_file, json_lines(_rows(searches)))},
        machine=machine.describe(),
        seconds=round(time.perf_counter() - began, 1),
    )
    path = out / f"{date}-{setup.name}.json"
    write_json(path, asdict(report))
    return report, path


def _own_passages(opened: OpenedQuestions) -> dict[str, Mapping[str, int]]:
    """By question id, the passages of its context that the answer stands in, all of them where its place is not known,
    where the index is made of contexts; for a masked question the one that answers."""
    wanted = {question.context_id for question in opened.data.answerable}
    own: dict[str, dict[str, int]] = {}
    places: dict[str, tuple[int, int]] = {}
    if wanted - {None}:
        ids = [int(passage_id) for passage_id in opened.index.store.passage_ids()]
        for passage in in_parts(opened.index, ids):
            context_id = passage.metadata.get("id")
            if context_id is not None and context_id in wanted:
                own.setdefault(context_id, {})[str(passage.passage_id)] = 1
                places[str(passage.passage_id)] = passage.start, passage.end
    for one in opened.masked.values():
        own[one.question.context_id or ""] = {str(one.own.passage_id): 1}
    return {q.id: _answering(q, own.get(q.context_id or "", {}), places) for q in opened.data.answerable}


def _answering(question: Question, own: Mapping[str, int], places: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
    """The passages of ``own`` that the answer stands in, all of them where its place is not known."""
    if question.answer_start < 0 or not question.answers:
        return own
    start, end = question.answer_start, question.answer_start + len(question.answers[0])
    held = {name: 1 for name in own if name in places and places[name][0] < end and start < places[name][1]}
    return held or own


def _way_of_searching(
    index: Index,
    mode: str,
    most: int,
    config: EvalConfig,
    settings: PipelineConfig,
    reranker: Reranker | None,
    pipeline_of: Callable[[], Pipeline],
) -> Callable[[str], list[int]]:
    """Finds passage ids for a question, one more than ``most``: one may be hidden. Nothing for an empty question."""
    base = config.modes[0] if mode == "reranked" else mode
    settings = settings.model_copy(
        update={"retriever": settings.retriever.model_copy(update=_CHANGES.get(base, {"mode": base}))}
    )

    reranked = config.rerank if mode == "reranked" else 0

    def search(question: str) -> list[int]:
        if mode in ("misspelt", "uncorrected"):
            question = misspelt(question, config.seed)
        where: Index | Pipeline = pipeline_of() if mode == "reader" else index
        try:
            hits = where.search(question, k=max(most + _SPARE, reranked), settings=settings)
        except EmptyQuestionError:
            return []
        passages = [hit.passage for hit in hits]
        if reranked and reranker:
            passages = [*reranker.order(question, passages[:reranked]), *passages[reranked:]]
        return [passage.passage_id for passage in passages[: most + _SPARE]]

    return search


def _search_all(
    search: Callable[[str], list[int]],
    opened: OpenedQuestions,
    mode: str,
    most: int,
    journal: Journal,
    progress: Progress | None,
) -> dict[str, tuple[tuple[int, ...], float]]:
    """Passage ids and seconds by question id; rows of the journal are reused."""
    known = {
        (row["question"], row["question_id"]): (tuple(row["passages"]), row["seconds"])
        for row in journal.rows
        if row["mode"] == mode
    }
    questions = opened.data.answerable
    missing = [question for question in questions if (question.question, question.id) not in known]
    if progress:
        progress.start(f"searching, {TITLES[mode]}", len(missing), "questions")
    if missing:
        search(missing[0].question)  # loads the embedder and the vectors
    for question in missing:
        began = time.perf_counter()
        hits = search(question.question)
        seconds = round(time.perf_counter() - began, 6)
        hidden = opened.masked[question.id].taken_from if question.id in opened.masked else None
        ids = [passage_id for passage_id in hits if passage_id != hidden][:most]
        known[question.question, question.id] = tuple(ids), seconds
        row = {"mode": mode, "question": question.question, "question_id": question.id}
        journal.append([{**row, "passages": ids, "seconds": seconds}])
        if progress:
            progress.advance(1)
    return {question.id: known[question.question, question.id] for question in questions}


def _scored(
    opened: OpenedQuestions,
    hits: Mapping[str, tuple[tuple[int, ...], float]],
    relevant: Mapping[str, Mapping[str, int]],
    config: EvalConfig,
) -> list[_Search]:
    """The searches with their ranks and measures. BEIR judges documents, each of which is ranked by its first hit."""
    ids = sorted({passage_id for passages, _ in hits.values() for passage_id in passages})
    stored = {passage.passage_id: passage for passage in in_parts(opened.index, ids)}
    texts = {passage_id: token_text(passage.text) for passage_id, passage in stored.items()}
    rankings = []
    for question in opened.data.answerable:
        names = [stored[i].metadata["id"] if config.beir else str(i) for i in hits[question.id][0]]
        ranked = tuple(dict.fromkeys(names))[: max(config.recall_at)]
        rankings.append(Ranking(question.id, ranked, relevant.get(question.id, {})))
    measures = rank_measures(rankings, config.recall_at)
    searches = []
    for question, ranking in zip(opened.data.answerable, rankings, strict=True):
        passages, seconds = hits[question.id]
        ranks = answer_ranks((texts[i] for i in passages), [token_text(a) for a in question.answers])
        of_answers = {f"answer_recall@{k}": float(bool(ranks) and ranks[0] <= k) for k in config.recall_at}
        values = {**(of_answers if question.answers else {}), **measures.get(question.id, {})}
        searches.append(_Search(question, passages, ranking, seconds, ranks, values))
    return searches


def _condition(
    mode: str, searches: Sequence[_Search], recall_at: Sequence[int], drawn: Mapping[str, int]
) -> RetrievalCondition:
    def measured(measure: str, source: str | None = None) -> Estimate | None:
        of_source = [one for one in searches if source is None or one.question.source == source]
        having = [search for search in of_source if measure in search.measures]
        scores, groups = [100 * search.measures[measure] for search in having], [search.group for search in having]
        return estimate(scores, groups, bounds=(0.0, 100.0), **drawn) if having else None

    answer_recall, passage_recall = (
        {k: value for k in recall_at if (value := measured(f"{measure}@{k}"))}
        for measure in ("answer_recall", "recall")
    )
    measures = [f"{name}@{k}" for name in ("answer_recall", "recall") for k in recall_at] + ["ndcg_10", "rr"]
    names = sorted({search.question.source for search in searches})
    sources: dict[str, dict[str, Estimate]] = {}
    for source in names if len(names) > 1 else ():
        count = float(sum(search.question.source == source for search in searches))
        sources[source] = {"n": Estimate(count, count, count)}
        sources[source] |= {name: value for name in measures if (value := measured(name, source))}
    return RetrievalCondition(
        name=mode,
        title=TITLES[mode],
        n=len(searches),
        answer_recall=answer_recall,
        n_own=sum("rr" in search.measures for search in searches),
        passage_recall=passage_recall or None,
        ndcg_10=measured("ndcg_10"),
        mrr=measured("rr"),
        seconds=percentiles([search.seconds for search in searches]),
        sources=sources,
    )


def _differences(
    searches: Mapping[str, Sequence[_Search]], recall_at: Sequence[int], drawn: Mapping[str, int]
) -> Iterator[Difference]:
    """Differences of each further way of searching from the first, on the same questions."""
    (first, base), *others = searches.items()
    for name, of_mode in others:
        for measure in (*(f"answer_recall@{k}" for k in recall_at), "ndcg_10"):
            pairs = [
                (a, b) for a, b in zip(of_mode, base, strict=True) if measure in a.measures and measure in b.measures
            ]
            if pairs:
                scores = ([search.measures[measure] for search in side] for side in zip(*pairs))
                groups = [a.group for a, _ in pairs]
                yield paired(next(scores), next(scores), groups, (name, first), "all", measure, **drawn)


def _rows(searches: Mapping[str, Sequence[_Search]]) -> Iterator[dict[str, Any]]:
    """A row for each question and way of searching."""
    for mode, of_mode in searches.items():
        for search in of_mode:
            yield {
                "mode": mode,
                "question_id": search.question.id,
                "source": search.question.source,
                "context_id": search.question.context_id or "",
                "question": search.question.question,
                "answers": list(search.question.answers),
                "passages": list(search.passages),
                "ranked": list(search.ranking.ranked),
                "relevant": dict(search.ranking.relevant),
                "answer_ranks": list(search.ranks),
                "seconds": search.seconds,
                **{name: round(value, 6) for name, value in search.measures.items() if name[:6] != "answer"},
            }


# ---------------------------------------------------------------------------------------------------------------
# Measures
# ---------------------------------------------------------------------------------------------------------------


def token_text(text: str) -> str:
    """The tokens of DPR's tokenizer, lower case, a space between and around them: runs of letters, digits and marks,
    and every other visible character for itself."""
    tokens: list[str] = []
    word: list[str] = []
    for char in unicodedata.normalize("NFD", text):
        kind = unicodedata.category(char)[0]
        if kind in "LNM":
            word.append(char)
            continue
        if word:
            tokens.append("".join(word))
            word.clear()
        if kind not in "ZC":
            tokens.append(char)
    if word:
        tokens.append("".join(word))
    return f" {' '.join(tokens).lower()} " if tokens else ""


def answer_ranks(passages: Iterable[str], answers: Sequence[str]) -> list[int]:
    """Ranks, from 1, of the passages that hold an answer; both as ``token_text``."""
    golds = [answer for answer in answers if answer]
    return [rank for rank, passage in enumerate(passages, 1) if any(gold in passage for gold in golds)]


def rank_measures(rankings: Sequence[Ranking], recall_at: Sequence[int]) -> dict[str, dict[str, float]]:
    """By question id: ``recall@k`` for every k, ``ndcg_10`` and ``rr``, each between 0 and 1. Questions whose relevant
    passages are not known are left out. Raises MissingDependencyError without ir_measures."""
    ir_measures = optional("ir_measures", "measuring retrieval")
    names = {ir_measures.R @ k: f"recall@{k}" for k in recall_at}
    names |= {ir_measures.nDCG @ 10: "ndcg_10", ir_measures.RR: "rr"}
    judged = [ranking for ranking in rankings if ranking.relevant]
    relevant = [ir_measures.Qrel(r.question_id, name, grade) for r in judged for name, grade in r.relevant.items()]
    # scores that fall by one keep the order
    scored = [
        ir_measures.ScoredDoc(r.question_id, name, float(len(r.ranked) - place))
        for r in judged
        for place, name in enumerate(r.ranked)
    ]
    values = {ranking.question_id: dict.fromkeys(names.values(), 0.0) for ranking in judged}
    if scored:
        for one in ir_measures.iter_calc(list(names), relevant, scored):
            values[one.query_id][names[one.measure]] = float(one.value)
    return values
