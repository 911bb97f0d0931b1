"""The JSON of ``ragyena ask --json``: a contract with programs, apart from the types inside.

Within a version fields are added, never renamed or taken away. ``docs/answer.schema.json`` is generated from here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ragyena import types

__all__ = ["AnswerJson", "ErrorJson", "answer_json", "match_json"]

BEST_PASSAGES = 5
"""Passages listed with an answer."""


class _Json(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class CitationJson(_Json):
    document: str
    """Where the document came from: a path, followed by `#row` for a row of a table-like file."""
    title: str
    page: int | None
    """Page of the answer, from 1; null for formats without pages."""
    line_start: int
    line_end: int
    """Lines of the quote in the document's text, from 1."""
    start: int
    end: int
    """Character offsets of the quote in the document's text: `text[start:end] == quote`."""
    quote: str
    """The sentence or sentences that hold the answer, verbatim."""
    answer_start: int | None
    answer_end: int | None
    """Offsets of the answer in the quote; null where the answer was written, not extracted."""
    score: float
    """Probability of this place under the reader."""
    document_id: int
    passage_id: int


class PassageJson(_Json):
    document: str
    title: str
    page: int | None
    line_start: int
    line_end: int
    start: int
    end: int
    text: str
    score: float
    """The search's ranking score."""
    document_id: int
    passage_id: int


class MatchJson(PassageJson):
    dense_score: float | None
    """Cosine similarity to the query; null where the dense search did not find the passage."""
    lexical_score: float | None
    """BM25 score; null where the lexical search did not find the passage."""


class AlternativeJson(_Json):
    text: str
    score: float
    """Probability under the reader."""


class PackingEntryJson(_Json):
    passage_id: int
    document: str
    score: float
    outcome: Literal["packed", "duplicate", "over budget", "neighbour"]
    slot: int | None
    tokens: int
    detail: str


class PackingJson(_Json):
    context_tokens: int
    """The budget."""
    used_tokens: int
    """Question and passage slots, padding included."""
    filled_tokens: int
    """`used_tokens` without padding."""
    question_tokens: int
    slot_tokens: int
    entries: list[PackingEntryJson]


class AnswerJson(_Json):
    """One answered question."""

    schema_: Literal["ragyena.answer/1"] = Field(default="ragyena.answer/1", alias="schema")
    id: str | int | None
    """The `id` of the row of the questions file; null where there is none."""
    question: str
    answer: str | None
    """The answer; null where the reader abstained."""
    kind: Literal["extracted", "written", "abstained"]
    confidence: float
    """Probability the reader gives this answer."""
    no_answer_probability: float
    """Probability the reader gives to the context holding no answer."""
    citations: list[CitationJson]
    """Evidence, best first; empty where the reader abstained."""
    passages: list[PassageJson]
    """The passages the reader found most promising, best first."""
    alternatives: list[AlternativeJson]
    """Other answers it considered, best first."""
    timings: dict[str, float]
    """Seconds: `retrieve`, `pack`, `read`, `total`."""
    packing: PackingJson | None
    """What became of every retrieved passage; with `--explain`, else null."""


class ErrorJson(_Json):
    """In a batch, a row that could not be asked."""

    schema_: Literal["ragyena.error/1"] = Field(default="ragyena.error/1", alias="schema")
    id: str | int | None
    line: int
    """Line of the questions file, from 1."""
    error: str
    hint: str


def answer_json(answer: types.Answer, *, id: str | int | None = None, explain: bool = False) -> AnswerJson:
    """``answer`` as it is printed."""
    return AnswerJson(
        id=id,
        question=answer.question,
        answer=answer.text if answer.kind != "abstained" else None,
        kind=answer.kind,
        confidence=answer.confidence,
        no_answer_probability=answer.no_answer_probability,
        citations=[_citation(citation) for citation in answer.citations],
        passages=[_passage(passage) for passage in answer.passages[:BEST_PASSAGES]],
        alternatives=[AlternativeJson(text=span.text, score=span.score) for span in answer.alternatives],
        timings={stage: round(seconds, 6) for stage, seconds in answer.timings.items()},
        packing=_packing(answer.log) if explain and answer.log else None,
    )


def match_json(scored: types.ScoredPassage) -> MatchJson:
    """A passage of a search as it is printed."""
    scores = {"dense_score": scored.dense_score, "lexical_score": scored.lexical_score}
    return MatchJson(**_passage(scored).model_dump(), **scores)


def _citation(citation: types.Citation) -> CitationJson:
    return CitationJson(
        document=citation.source,
        title=citation.title,
        page=citation.page,
        line_start=citation.line_start,
        line_end=citation.line_end,
        start=citation.start,
        end=citation.end,
        quote=citation.quote,
        answer_start=citation.answer_start,
        answer_end=citation.answer_end,
        score=citation.score,
        document_id=citation.document_id,
        passage_id=citation.passage_id,
    )


def _passage(scored: types.ScoredPassage) -> PassageJson:
    passage = scored.passage
    return PassageJson(
        document=passage.source,
        title=passage.title,
        page=passage.page,
        line_start=passage.line_start,
        line_end=passage.line_end,
        start=passage.start,
        end=passage.end,
        text=passage.text,
        score=scored.score,
        document_id=passage.document_id,
        passage_id=passage.passage_id,
    )


def _packing(log: types.PackingLog) -> PackingJson:
    return PackingJson(
        context_tokens=log.context_tokens,
        used_tokens=log.used_tokens,
        filled_tokens=log.filled_tokens,
        question_tokens=log.question_tokens,
        slot_tokens=log.slot_tokens,
        entries=[
            PackingEntryJson(
                passage_id=entry.passage_id,
                document=entry.source,
                score=entry.score,
                outcome=entry.outcome,
                slot=entry.slot,
                tokens=entry.tokens,
                detail=entry.detail,
            )
            for entry in log.entries
        ],
    )
