"""What a search finds: is the answer, is the right passage among the first k, and how high.

Recall by answer is that of DPR (Karpukhin et al. 2020, ``has_answer``): the answer's tokens in a row among those of one
of the first k passages, both in lower case and Unicode NFD. Recall by passage, nDCG@10 and reciprocal rank come from
ir_measures, with the passages of the question's own context as the relevant ones; of a folder in BEIR's layout with its
graded documents, each ranked by its best passage. A search has no ties: its scores
strictly decrease, and equal ones are ranked by passage id.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ragyena.errors import MissingDependencyError
from ragyena.eval.comparing import Difference
from ragyena.eval.latency import Percentiles
from ragyena.eval.metrics import Estimate

__all__ = [
    "RETRIEVAL_SCHEMA",
    "Ranking",
    "RetrievalCondition",
    "RetrievalReport",
    "answer_ranks",
    "rank_measures",
    "token_text",
]

RETRIEVAL_SCHEMA: Final = "ragyena.retrieval/1"


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was found for one question, best first."""

    question_id: str
    found: tuple[str, ...]
    """Ids of passages; of a BEIR folder, of documents."""
    relevant: Mapping[str, int]
    """Grades by id; empty where they are not known."""


@dataclass(frozen=True, slots=True)
class RetrievalCondition:
    """One way of searching."""

    name: str
    """``hybrid``, ``dense``, ``lexical`` or ``reranked``."""
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
    """Times 100."""
    mrr: Estimate | None
    """Mean reciprocal rank of the first of them, times 100; 0 below the greatest k."""
    seconds: Percentiles
    """Of a search, the embedding of the question and the reranking included."""


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """A whole evaluation of an index and the ways of searching it."""

    schema: Literal["ragyena.retrieval/1"]
    """``RETRIEVAL_SCHEMA``: the version of this layout."""
    recipe: str
    date: str
    answers: str
    """The file beside the report that holds what was found for every question."""
    conditions: tuple[RetrievalCondition, ...]
    differences: tuple[Difference, ...]
    """Of each further way of searching from the first."""
    config: Mapping[str, Any]
    """The recipe, with the flags given over it."""
    settings: Mapping[str, Any]
    """Index, embedder and search settings."""
    data: Mapping[str, Any]
    """Numbers of questions, and the rows left out."""
    hashes: Mapping[str, str]
    """sha256 of the file of what was found (``answers``)."""
    machine: Mapping[str, Any]
    seconds: float
    """Wall time of this run."""


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
    try:
        import ir_measures
    except ImportError as error:
        raise MissingDependencyError(
            "measuring retrieval needs ir_measures, which is not installed", hint="pip install 'ragyena[train]'"
        ) from error
    names = {ir_measures.R @ k: f"recall@{k}" for k in recall_at}
    names |= {ir_measures.nDCG @ 10: "ndcg_10", ir_measures.RR: "rr"}
    judged = [ranking for ranking in rankings if ranking.relevant]
    relevant = [ir_measures.Qrel(r.question_id, name, grade) for r in judged for name, grade in r.relevant.items()]
    # the order found is the order judged: the scores given fall by one
    found = [
        ir_measures.ScoredDoc(r.question_id, name, float(len(r.found) - place))
        for r in judged
        for place, name in enumerate(r.found)
    ]
    values = {ranking.question_id: dict.fromkeys(names.values(), 0.0) for ranking in judged}
    if found:
        for one in ir_measures.iter_calc(list(names), relevant, found):
            values[one.query_id][names[one.measure]] = float(one.value)
    return values
