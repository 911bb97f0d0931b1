"""Full text search: any text -> an FTS5 query that cannot be a syntax error -> passage ids by BM25.

A query is the OR of its words, each quoted. Words that say nothing (``the``, ``of``) are left out unless there are no
others, and so are words that stand in very many passages as long as rarer ones remain: they cost the most and rank
the least. Of a very long query the rarest ``MOST_TERMS`` words are searched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ragyena.index.store import Store

__all__ = ["search", "terms"]

HEADER_WEIGHT = 1.5
"""BM25 weight of title and headings; the text has 1."""
MOST_TERMS = 32
MOST_CONSIDERED = 512
"""Different words of a query that are looked up at all."""
COMMON = 0.1
"""A word in more than this part of all passages is left out while there are rarer ones."""
LEAST_RARE = 2
"""...at least this many."""

_STOPWORDS = """
    a about after all also an and any are as at be because been before being between both but by can
    could did do does doing down during each few for from further had has have having he her here hers
    him his how i if in into is it its itself just me more most my no nor not of off on once only or
    other our out over own same she should so some such than that the their them then there these they
    this those through to too under until up us very was we were what when where which while who whom
    whose why will with would you your
"""
STOPWORDS = frozenset(_STOPWORDS.split())

_WORD = re.compile(r"[^\W_]+")


def terms(query: str) -> list[str]:
    """The different words of ``query``, folded, in order; stopwords only where there is nothing else."""
    words = list(dict.fromkeys(word.casefold() for word in _WORD.findall(query)))
    return [word for word in words if word not in STOPWORDS] or words


def search(store: Store, query: str, hits: int, filters: Mapping[str, str] | None = None) -> list[tuple[int, float]]:
    """Passage ids and BM25 scores (larger is better), best first, equal ones by id; within what ``filters`` keep."""
    chosen = _chosen(store, terms(query)[:MOST_CONSIDERED])
    if not chosen or hits == 0:
        return []
    statement = f"SELECT rowid, -bm25(lexicon, {HEADER_WEIGHT}, 1.0) AS score FROM lexicon WHERE lexicon MATCH ?"
    parameters: list[object] = [" OR ".join(_quoted(word) for word in chosen)]
    if filters:
        condition, more = store.matching(filters)
        statement += f" AND rowid IN (SELECT passage_id FROM passages WHERE {condition})"
        parameters += more
    statement += " ORDER BY score DESC, rowid LIMIT ?"
    rows = store.execute(statement, [*parameters, hits]).fetchall()
    return [(int(rowid), float(score)) for rowid, score in rows]


def _chosen(store: Store, words: list[str]) -> list[str]:
    """``words`` without those in too many passages, the rarest ones if they are too many."""
    if len(words) <= LEAST_RARE:
        return words
    (total,) = store.execute("SELECT count(*) FROM passages").fetchone()
    limit = max(1, int(COMMON * total)) + 1
    counted = []
    for position, word in enumerate(words):
        (count,) = store.execute(
            "SELECT count(*) FROM (SELECT 1 FROM lexicon WHERE lexicon MATCH ? LIMIT ?)", (_quoted(word), limit)
        ).fetchone()
        if count:
            counted.append((count, position, word))
    counted.sort()
    rare = [entry for entry in counted if entry[0] < limit]
    kept = (rare if len(rare) >= LEAST_RARE else counted)[:MOST_TERMS]
    return [word for _, _, word in sorted(kept, key=lambda entry: entry[1])]


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'
