"""Shards that are searched in parallel, as one index.

The passages, their order and their scores are those that one index of all shards gives. Dense scores are cosines, which
depend on no other passage: the best of all shards are merged. BM25 depends on how many passages hold a word: the shards
are asked for that first, and then score with the sums. The two rankings are fused here. A shard that does not answer is
an error: no answer is ever made of the others alone.

One index of over 100,000 passages leaves out the commonest words of a query that have very many passages together, and
searches its vectors approximately; shards score every row that matches, and so may rank better than it, and later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Self

import numpy as np

from ragyena.config import PipelineConfig
from ragyena.config.pipeline import SEARCH_RESULTS
from ragyena.errors import ConfigError, IndexCorruptError
from ragyena.index.cluster.catalog import Catalog
from ragyena.index.cluster.session import Remote, Session
from ragyena.index.cluster.shard import LexicalQuery, OpenShard
from ragyena.index.embedder import Embedder
from ragyena.index.fusion import Matches, fused
from ragyena.index.listing import IndexedFile, Page
from ragyena.index.manifest import Manifest
from ragyena.index.postings import Totals, inverse_frequency
from ragyena.index.search import LEAST_RARE, common_from, query_phrases, rarest
from ragyena.index.spelling import corrections, replaced
from ragyena.index.view import checked_query
from ragyena.settings import Overrides, resolve
from ragyena.types import Document, FileState, Passage, ScoredPassage

__all__ = ["ShardedIndex"]

HOMES_MOST = 1_000_000
"""Passages and documents whose shard is remembered."""


class ShardedIndex:
    """The shards of an index, each open in a process on a node; for reading, by a ``Pipeline`` or alone.

    Example:
        >>> from ragyena.config import PipelineConfig
        >>> from ragyena.index.cluster.serving import ShardedIndex
        >>> from ragyena.index.cluster.session import connect
        >>> with connect("local") as session, ShardedIndex(session, Path("./big"), PipelineConfig()) as index:
        ...     best = index.search("When was the bridge built?", k=10)
    """

    def __init__(self, session: Session, folder: Path, settings: PipelineConfig) -> None:
        """Open every shard. Raises IndexProblem, ClusterError and StorageError."""
        self.folder = folder
        self.settings = settings
        folders = self.check(folder)
        held = Catalog.read(folder).shards
        totals = {name: sum(getattr(shard, name) for shard in held) for name in ("documents", "passages")}
        self.manifest = Manifest.read(folders[0]).model_copy(update=totals)
        """The manifest of a shard, with the documents and passages of all."""
        self._embedder: Embedder | None = None
        self._turn = threading.RLock()
        self._homes: dict[tuple[str, int], Remote] = {}
        """The shards of passages and documents that were found."""
        self._shards = [session.keep(OpenShard, str(shard), settings, name=f"shard {shard}") for shard in folders]
        try:
            self._all("totals")  # which says now where a shard cannot be opened
        except BaseException:
            self.close()
            raise

    @staticmethod
    def check(folder: Path) -> list[Path]:
        """The folders of the shards. Raises IndexProblem where there are none, one is missing, or they differ."""
        folders = Catalog.read(folder).folders(folder)
        manifests = [Manifest.read(shard) for shard in folders]
        for shard, manifest in zip(folders, manifests):
            manifests[0].check_alike(folders[0], manifest, shard)
        return folders

    def close(self) -> None:
        """End the processes of the shards."""
        while self._shards:
            self._shards.pop().end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def embedder(self) -> Embedder:
        """The embedder of the shards, loaded in this process. Raises as ``Index.embedder``."""
        with self._turn:
            if self._embedder is None:
                self._embedder = self.manifest.open_embedder(self.folder)
            return self._embedder

    def search(
        self,
        query: str,
        *,
        k: int | None = None,
        filters: Mapping[str, str] | None = None,
        settings: Overrides = None,
    ) -> list[ScoredPassage]:
        """Find passages as ``Index.search`` does, over all shards. Raises ClusterError where one does not answer."""
        retriever = resolve(settings, self.settings).retriever
        if retriever.rerank != "none":
            raise ConfigError(
                f"shards have no {retriever.rerank} to rank their passages (setting retriever.rerank)",
                hint="search with a pipeline: Pipeline.open(SHARDS).search(QUERY)",
            )
        k = (retriever.top_k or SEARCH_RESULTS) if k is None else k
        return self.candidates(query, k=k, filters=filters, settings=settings)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """As ``Index.reading``, but that others may write to the shards."""
        with self._turn:
            yield

    def candidates(
        self, query: str, *, k: int, filters: Mapping[str, str] | None = None, settings: Overrides = None
    ) -> list[ScoredPassage]:
        """Find passages to pack, as ``Index.candidates`` does, without the tokens that the shards keep."""
        retriever = resolve(settings, self.settings).retriever
        query, filters = checked_query(query, filters)
        if k <= 0:
            return []
        count = max(k, retriever.candidates)
        with self._turn:
            query = self.spelt(query, settings=settings)
            if len(self._homes) > HOMES_MOST:
                self._homes.clear()
            vector = None if retriever.mode == "lexical" else self.embedder().embed_question(query)
            lexical = {} if retriever.mode == "dense" else self._lexical(query)
            answers = self._all("search", vector, lexical, count, filters)
            by_vector = _best([matches for matches, _ in answers], count)
            by_words = _best([matches for _, matches in answers], count)
            ranked = fused(by_vector, by_words, retriever, most=k)
            for shard, matches in zip(self._shards, answers):
                self._homes.update((("passage", i), shard) for part in matches for i in part.ids.tolist())
            passages = self._passages(ranked.ids.tolist())
        dense_scores, lexical_scores = dict(by_vector), dict(by_words)
        similarities = dense_scores if self.manifest.has_bundled_embedder else {}
        return [
            ScoredPassage(passages[i], score, dense_scores.get(i), lexical_scores.get(i), similarities.get(i))
            for i, score in ranked
            if i in passages
        ]

    def spelt(self, query: str, *, settings: Overrides = None) -> str:
        """As ``Index.spelt``."""
        query, _ = checked_query(query, None)
        if not resolve(settings, self.settings).retriever.spelling:
            return query
        with self._turn:
            return replaced(query, corrections(self._held, query))

    def _held(self, words: Sequence[str], most: int) -> dict[str, int]:
        counts = self._counts("lexicon", [f'"{word}"' for word in words], most)
        return {word: min(count, most) for word, count in zip(words, counts) if count}

    def neighbours(self, passage_id: int, distance: int) -> list[Passage]:
        """As ``Index.neighbours``."""
        return list(self._home("passage", passage_id).begin("neighbours", passage_id, distance)())

    def document(self, document_id: int) -> Document:
        """As ``Index.document``."""
        document: Document = self._home("document", document_id).begin("document", document_id)()
        return document

    def file_state(self, document_id: int, source: str) -> tuple[str, FileState | None]:
        """As ``Index.file_state``, as the node of the shard sees the file."""
        state: tuple[str, FileState | None] = self._home("document", document_id).begin(
            "file_state", document_id, source
        )()
        return state

    def files(self, *, containing: str = "", offset: int = 0, limit: int = 100) -> Page:
        """As ``Index.files``: a file of which documents are in several shards has those of all."""
        held: dict[str, IndexedFile] = {}
        with self._turn:
            listed = self._all("files", containing)
        for file in (file for files in listed for file in files):
            if (known := held.get(file.path)) is not None:
                first, _ = sorted((known, file), key=lambda one: (one.document_id is None, one.document_id))
                file = replace(first, documents=known.documents + file.documents)
            held[file.path] = file
        paths = sorted(held)
        return Page(tuple(held[path] for path in paths[offset : offset + limit]), len(paths))

    def refresh(self) -> bool:
        """Take notice of what was written to the shards; a build that replaced them is seen when they are opened
        again."""
        with self._turn:
            self._homes.clear()
            return any(self._all("refresh"))

    # --- details

    def _all(self, method: str, *arguments: Any) -> list[Any]:
        """The results of a method of every shard, in their order."""
        return _waited([shard.begin(method, *arguments) for shard in self._shards])

    def _lexical(self, query: str) -> dict[str, LexicalQuery]:
        """The phrases to look for in each full text index; those that one index of all shards would leave out are left
        out."""
        looked_up = {table: phrases for table, phrases in query_phrases(query).items() if phrases}
        queries = {}
        held = self._all("totals") if looked_up else []
        for table, phrases in looked_up.items():
            of = reduce(add, (totals[table] for totals in held), Totals(0, 0))
            limit = common_from(of.rows) if len(phrases) > LEAST_RARE else -1
            rows = dict(zip(phrases, self._counts(table, phrases, limit)))
            if limit >= 0:
                phrases = rarest(phrases, [min(limit, rows[phrase]) for phrase in phrases], limit)
            common = [phrase for phrase in phrases if 0 <= limit <= rows[phrase]]
            if common:  # of which the counting ended before
                rows.update(zip(common, self._counts(table, common, -1)))
            weights = tuple(inverse_frequency(rows[phrase], of.rows) for phrase in phrases)
            if phrases:
                queries[table] = LexicalQuery(tuple(phrases), weights, of.mean_words)
        return queries

    def _counts(self, table: str, phrases: Sequence[str], most: int) -> list[int]:
        """Passages of all shards with each phrase; the counting in a shard ends at ``most``."""
        return [sum(counts) for counts in zip(*self._all("count", table, phrases, most))]

    def _passages(self, ids: Sequence[int]) -> dict[int, Passage]:
        wanted: dict[int, list[int]] = {}
        for i in ids:
            wanted.setdefault(self._shards.index(self._homes["passage", i]), []).append(i)
        found = _waited([self._shards[number].begin("passages", some) for number, some in wanted.items()])
        for number, passages in zip(wanted, found):
            self._homes.update((("document", passage.document_id), self._shards[number]) for passage in passages)
        return {passage.passage_id: passage for passages in found for passage in passages}

    def _home(self, kind: str, number: int) -> Remote:
        """The shard of a passage or a document. Raises IndexCorruptError where none has it."""
        with self._turn:
            if (kind, number) not in self._homes:
                asked = ("holds_document", number) if kind == "document" else ("passages", [number])
                for shard, holds in zip(self._shards, self._all(*asked)):
                    if holds:
                        self._homes[kind, number] = shard
            if (kind, number) not in self._homes:
                raise IndexCorruptError(
                    f"{self.folder} holds no {kind} {number}", hint="it was removed since the shards were opened"
                )
            return self._homes[kind, number]


def _best(matches: Sequence[Matches], count: int) -> Matches:
    """The best of several lists of matches: by score, equal ones by id."""
    ids = np.concatenate([part.ids for part in matches])
    scores = np.concatenate([part.scores for part in matches])
    best = np.lexsort((ids, -scores))[:count]
    return Matches(ids[best], scores[best])


def _waited(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [wait() for wait in calls]
