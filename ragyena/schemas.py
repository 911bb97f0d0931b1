"""The JSON of ``ask``, ``select``, ``index search`` and the server: a contract with programs, apart from inner types.

Within a version fields are added, never renamed or taken away. ``docs/answer.schema.json`` and
``docs/evidence.schema.json`` are generated from here.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ragyena import types

__all__ = ["AnswerJson", "ErrorJson", "EvidenceJson", "answer_json", "evidence_json", "match_json"]

BEST_PASSAGES = 5
"""Passages listed with an answer."""


class _Json(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


Form = TypeVar("Form", bound=_Json)


class CitationJson(_Json):
    document: str
    """Source of the document: a path, followed by `#row` for a row of a table-like file."""
    title: str
    page: int | None
    """Page of the answer, from 1; null for formats without pages."""
    page_label: str | None
    """The name printed on that page (`iv`, `A-3`); null where the file has none."""
    line_start: int
    line_end: int
    """Lines of the quote in the document's text, from 1."""
    start: int
    end: int
    """Character offsets of the quote in the document's text: `text[start:end] == quote`."""
    quote: str
    """The sentence or sentences that hold or decide the answer, the row of a table, or the lines of code, verbatim."""
    answer_start: int | None
    answer_end: int | None
    """Offsets of the answer in the quote; null where the quote decides the answer and does not hold its words."""
    kind: types.BlockKind
    """Kind of the block that the answer stands in."""
    table_header: list[str]
    """Column names of its table; empty where it is none."""
    heading_path: list[str]
    """Headings its passage stands under, outermost first."""
    row: str | None
    """The first cell of the row of an answer in a table, with its name (`Model: V-20`); null elsewhere."""
    column: str | None
    """The name of the column of an answer in a table; null where it has none."""
    score: float
    """Probability of this place under the reader."""
    file_state: types.FileState | None
    """The file compared with what was indexed; null for a document given in Python, and where it cannot be read."""
    document_id: int
    passage_id: int


class PassageJson(_Json):
    document: str
    title: str
    heading_path: list[str]
    """Headings the passage stands under, outermost first."""
    page: int | None
    page_label: str | None
    """The name printed on that page; null where the file has none."""
    kind: types.BlockKind
    """Kind of most of the passage."""
    table_header: list[str]
    """Column names of its table; empty where it is none."""
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
    """Cosine similarity to the query; null where the passage is no match of the dense search."""
    lexical_score: float | None
    """BM25 score; null where the passage is no match of the lexical search."""
    file_state: types.FileState | None
    """The file compared with what was indexed; null for a document given in Python, and where it cannot be read."""


class EvidencePieceJson(PassageJson):
    tokens: int
    """Tokens of the text, counted by the reader's tokenizer."""
    file_state: types.FileState | None
    """The file compared with what was indexed; null for a document given in Python, and where it cannot be read."""
    score: float
    """Share of the evidence that reader and search give to it, between 0 and 1."""


class EvidenceJson(_Json):
    """The evidence for one question."""

    schema_: Literal["ragyena.evidence/1"] = Field(default="ragyena.evidence/1", alias="schema")
    question: str
    tokens: int
    """Tokens of all pieces."""
    evidence: list[EvidencePieceJson]
    """Passages, or neighbouring sentences of one, best first; `text` is byte for byte that of the document."""
    timings: dict[str, float]
    """Seconds: `retrieve`, `pack`, `read`, `total`."""
    context_tokens: int
    """Tokens read, padding included."""


class ClosestJson(_Json):
    """The candidate that came closest to an answer that is withheld."""

    text: str
    probability: float
    """Calibrated probability that it is the answer."""
    citation: CitationJson


class SentenceJson(_Json):
    """A sentence that another model wrote."""

    text: str
    citations: list[int]
    """Evidence it rests on: places in `citations` of the answer, from 1."""
    supported: bool
    """False where the check found a problem with it."""
    problem: str | None
    """The problem, in words; null where it is supported."""


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
    document_id: int
    start: int
    end: int
    """The passage is `text[start:end]` of its document."""
    share: float | None
    """Its part of what speaks for an answer: the probability of its best span, of all packed passages together 1; null
    for a passage that did not enter."""


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

    schema_: Literal["ragyena.answer/2"] = Field(default="ragyena.answer/2", alias="schema")
    id: str | int | None
    """The `id` of the row of the questions file; null where there is none."""
    question: str
    answer: str | None
    """The answer, `yes` or `no` for those kinds; null where it is withheld."""
    kind: types.AnswerKind
    """`extracted`: from one place; `list`: from several; `written`: in other words; `withheld`: too doubtful."""
    confidence: float
    """Calibrated probability that this answer is right; of a withheld one, that what was read holds no answer; of one
    that another model wrote (`--writer`), the share of its sentences that the evidence supports, and 0 where that model
    found no answer."""
    no_answer_probability: float
    """Weight of there being no answer under the reader's softmax; not calibrated."""
    closest: ClosestJson | None
    """The candidate that came closest to an answer that is withheld; null where nothing did, and for other kinds."""
    items: list[str]
    """The items of a list; empty for other kinds of answers."""
    computed: str | None
    """The computation that gave the answer (`lowest Price of 40 rows`); null for what the reader found in words."""
    sentences: list[SentenceJson]
    """The sentences that another model wrote (`--writer`), each checked; empty for other answers."""
    citations: list[CitationJson]
    """Evidence, best first, for every item of a list; all that was sent to a writer; empty where the answer is
    withheld."""
    passages: list[PassageJson]
    """The most promising passages, best first."""
    alternatives: list[AlternativeJson]
    """Other answers it considered, best first."""
    timings: dict[str, float]
    """Seconds: `retrieve`, `pack`, `read`, of a writer `write` and `check`, and `total`."""
    packing: PackingJson | None
    """The outcome for every retrieved passage; with `--explain`, else null."""


class ErrorJson(_Json):
    """In a batch, a row that could not be asked."""

    schema_: Literal["ragyena.error/1"] = Field(default="ragyena.error/1", alias="schema")
    id: str | int | None
    line: int
    """Line of the questions file, from 1."""
    error: str
    hint: str


def answer_json(answer: types.Answer, *, id: str | int | None = None, explain: bool = False) -> AnswerJson:
    """Convert an answer to its JSON form."""
    log = answer.log if explain else None
    return _convert(
        AnswerJson,
        answer,
        id=id,
        answer=answer.text if answer.kind != "withheld" else None,
        closest=answer.closest and _convert(ClosestJson, answer.closest, citation=_citation(answer.closest.citation)),
        items=list(answer.items) if answer.kind == "list" else [],
        computed=answer.computed or None,
        sentences=[_convert(SentenceJson, each, citations=list(each.citations)) for each in answer.sentences],
        citations=[_citation(citation) for citation in answer.citations],
        passages=[_passage(PassageJson, scored) for scored in answer.passages[:BEST_PASSAGES]],
        alternatives=[_convert(AlternativeJson, span) for span in answer.alternatives],
        timings={stage: round(seconds, 6) for stage, seconds in answer.timings.items()},
        packing=log
        and _convert(
            PackingJson,
            log,
            entries=[_convert(PackingEntryJson, entry, document=entry.source) for entry in log.entries],
        ),
    )


def evidence_json(evidence: types.Evidence) -> EvidenceJson:
    """Convert the evidence for a question to its JSON form."""
    return _convert(
        EvidenceJson,
        evidence,
        evidence=[
            _passage(EvidencePieceJson, piece, tokens=piece.tokens, file_state=piece.file_state)
            for piece in evidence.pieces
        ],
        timings={stage: round(seconds, 6) for stage, seconds in evidence.timings.items()},
        context_tokens=evidence.log.used_tokens if evidence.log else 0,
    )


def match_json(match: types.ScoredPassage, file_state: types.FileState | None) -> MatchJson:
    """Convert a passage of a search to its JSON form, with the state of its file."""
    scores = {"dense_score": match.dense_score, "lexical_score": match.lexical_score}
    return _passage(MatchJson, match, **scores, file_state=file_state)


def _citation(citation: types.Citation) -> CitationJson:
    return _convert(CitationJson, citation, document=citation.source)


def _passage(model: type[Form], match: types.ScoredPassage | types.EvidencePiece, **scores: object) -> Form:
    return _convert(model, match.passage, document=match.passage.source, score=match.score, **scores)


def _convert(model: type[Form], value: object, **given: object) -> Form:
    """A ``model`` of the attributes of ``value`` that bear the names of its fields, and of the values ``given``."""
    taken = {name: getattr(value, name) for name in model.model_fields if name not in given and hasattr(value, name)}
    return model.model_validate({**taken, **given})
