"""LangChain's vector store and embeddings over a ragyena index.

    store = RagyenaVectorStore("my-index")
    store.add_documents([Document("The iron bridge was built in 1932.", metadata={"town": "Oldtown"})])
    store.similarity_search("When was the bridge built?", k=1, filter={"town": "Oldtown"})

A document comes back as it was given, however many passages it was cut into. An index made from files can be opened as
well: passages of files come as those of ``RagyenaRetriever``.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from ragyena.documents.markdown_text import with_tables
from ragyena.errors import ConfigError, PartialFailureError, UsageError
from ragyena.index.embedder import Embedder
from ragyena.index.index import Index
from ragyena.integrations.langchain import GIVEN, as_given, to_langchain
from ragyena.settings import Overrides, resolve
from ragyena.types import Document, ScoredPassage

__all__ = ["RagyenaEmbeddings", "RagyenaVectorStore"]

FIELD = "langchain."
"""Begin of the names under which an index keeps the fields of a document's metadata, for filters."""
MOST_FETCHED = 10_000
"""Passages looked through for as many different documents as are wanted."""


class RagyenaEmbeddings(Embeddings):
    """The embedder of ragyena's indexes: the bundled all-MiniLM-L6-v2, unless ``index.embedder`` names another."""

    def __init__(self, settings: Overrides = None, *, embedder: Embedder | None = None) -> None:
        """The model that ``settings`` name, loaded at its first use; or an open one."""
        self.model = embedder.name if embedder is not None else resolve(settings).index.embedder
        self._embedder = embedder
        self._given: dict[str, deque[list[float]]] = {}

    @contextmanager
    def given(self, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> Iterator[None]:
        """Within it, these texts have these vectors: what an index holds already is not computed again."""
        for text, vector in zip(texts, vectors, strict=True):
            self._given.setdefault(text, deque()).append(list(vector))
        try:
            yield
        finally:
            self._given.clear()

    @property
    def embedder(self) -> Embedder:
        """The model. Raises MissingDependencyError, ConfigError where there is none of that name."""
        if self._embedder is None:
            self._embedder = Embedder.open(self.model)
        return self._embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if texts and all(self._given.get(text) for text in texts):
            return [
                self._given[text].popleft() if len(self._given[text]) > 1 else self._given[text][0] for text in texts
            ]
        vectors: list[list[float]] = self.embedder.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.embedder.embed_question(text).tolist()
        return vector


class RagyenaVectorStore(VectorStore):
    """A ragyena index as LangChain's vector store. Close it, or use it as a context manager.

    ``similarity_search`` searches as the settings say (by default vectors and words together); scores are cosine
    similarities where they are to be between 0 and 1. ``filter`` keeps documents whose metadata fields have the given
    values, in which ``*`` and ``?`` are wildcards.
    """

    def __init__(self, index: str | PathLike[str] | Index, *, settings: Overrides = None) -> None:
        """Open an index, or make it where there is none; an open ``Index`` stays the caller's to close.

        Raises what ``Index.open`` raises.
        """
        self._owns_index = not isinstance(index, Index)
        self.index = index if isinstance(index, Index) else Index.open(index, create=True, settings=settings)

    @property
    def embeddings(self) -> RagyenaEmbeddings:
        return RagyenaEmbeddings(embedder=self.index.embedder())

    # --- writing

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts, in the place of those of the same ids; the ids.

        Without an id of its own a text has one made of its content and metadata: the same one added again changes
        nothing. Raises ValueError where the lists are of different lengths, UsageError for metadata that is no JSON.
        """
        _refuse(kwargs)
        texts = list(texts)
        metadatas = [{} for _ in texts] if metadatas is None else metadatas
        given: Sequence[str | None] = [None] * len(texts) if ids is None else ids
        if not len(texts) == len(metadatas) == len(given):
            raise ValueError(f"{len(texts)} texts, {len(metadatas)} metadatas and {len(given)} ids")
        documents = [_stored(*each) for each in zip(texts, metadatas, given, strict=True)]
        if documents:
            report = self.index.add({document.source: document for document in documents}.values())
            if report.failed:
                raise PartialFailureError(
                    f"{len(report.failed)} of {len(documents)} texts could not be added: {report.failed[0].message}",
                    hint=report.failed[0].hint,
                )
        return [document.source for document in documents]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents by id; those that are not there are left out. Without ids, all that came from LangChain."""
        _refuse(kwargs)
        self.index.discard(self.index.sources({GIVEN: "*"}) if ids is None else ids)
        return True

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        index: str | PathLike[str] | Index | None = None,
        settings: Overrides = None,
        **kwargs: Any,
    ) -> Self:
        """A store in the index ``index`` with these texts.

        Raises ConfigError where ``embedding`` is not the embedder of the index: an index knows it by name.
        """
        _refuse(kwargs)
        if index is None:
            raise UsageError("no index was named", hint='give its name or folder: index="my-index"')
        store = cls(index, settings=settings)
        if not isinstance(embedding, RagyenaEmbeddings) or embedding.model != store.index.manifest.embedder:
            model = store.index.manifest.embedder
            store.close()
            raise ConfigError(
                f"the index embeds with its own model, {model}", hint="give RagyenaEmbeddings() as the embedding"
            )
        store.add_texts(texts, metadatas, ids=ids)
        return store

    # --- reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[LangChainDocument]:
        """The documents of these ids, in their order; ids that are not there are left out."""
        held = [self.index.held(id) for id in ids]
        return [
            found for document in held if document is not None and (found := as_given(document.metadata, document.text))
        ]

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[LangChainDocument]:
        """The best ``k`` documents for a query, best first."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter=filter, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[tuple[LangChainDocument, float]]:
        """As ``similarity_search``, with the score that ranks each; larger is better."""
        _refuse(kwargs)
        return self._different(k, lambda count: self.index.search(query, k=count, filters=_filters(filter)))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[LangChainDocument]:
        """The ``k`` documents with a passage nearest to a vector."""
        _refuse(kwargs)
        vector = np.asarray(embedding, np.float32)
        return [document for document, _ in self._nearest(vector, k, filter)]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, *, filter: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[tuple[LangChainDocument, float]]:
        _refuse(kwargs)
        nearest = self._nearest(self.index.embedder().embed_question(query), k, filter)
        return [(document, min(1.0, max(0.0, cosine))) for document, cosine in nearest]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[LangChainDocument]:
        """``k`` of the best ``fetch_k`` documents that are near the query and far from each other."""
        vector = self.index.embedder().embed_question(query)
        found = self.similarity_search(query, fetch_k, filter=filter, **kwargs)
        return self._diverse(vector, found, k, lambda_mult)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[LangChainDocument]:
        """As ``max_marginal_relevance_search``, with a vector in the place of the query."""
        found = self.similarity_search_by_vector(embedding, fetch_k, filter=filter, **kwargs)
        return self._diverse(np.asarray(embedding, np.float32), found, k, lambda_mult)

    def close(self) -> None:
        """Close the index, unless it was open when the store was made."""
        if self._owns_index:
            self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- details

    def _nearest(
        self, vector: npt.NDArray[np.float32], k: int, filter: Mapping[str, Any] | None
    ) -> list[tuple[LangChainDocument, float]]:
        return self._different(k, lambda count: self.index.nearest(vector, k=count, filters=_filters(filter)))

    def _different(self, k: int, search: Callable[[int], list[ScoredPassage]]) -> list[tuple[LangChainDocument, float]]:
        """The best ``k`` documents among the passages that ``search`` finds, as many as it is asked for."""
        best: dict[tuple[int, int], ScoredPassage] = {}
        count = 2 * k
        while k > 0:
            matches = search(count)
            for match in matches:
                passage = match.passage
                whole = GIVEN in passage.metadata
                best.setdefault((passage.document_id, -1 if whole else passage.passage_id), match)
            if len(best) >= k or len(matches) < count or count >= MOST_FETCHED:
                break
            count *= 4
        return [(self._document(match), match.score) for match in list(best.values())[:k]]

    def _document(self, match: ScoredPassage) -> LangChainDocument:
        passage = match.passage
        if GIVEN not in passage.metadata:
            return to_langchain(match)
        document = self.index.document(passage.document_id)
        return as_given(document.metadata, document.text) or to_langchain(match)

    def _diverse(
        self, vector: npt.NDArray[np.float32], found: list[LangChainDocument], k: int, lambda_mult: float
    ) -> list[LangChainDocument]:
        if not found:
            return []
        vectors = list(self.index.embedder().embed([document.page_content for document in found]))
        return [found[i] for i in maximal_marginal_relevance(vector, vectors, lambda_mult=lambda_mult, k=k)]


def _stored(text: str, metadata: Mapping[str, Any], id: str | None) -> Document:
    """A document as an index keeps it: its metadata whole, and its plain fields once more for filters."""
    if not text.strip():
        raise UsageError(
            f"a text is empty{'' if id is None else f': id {id}'}", hint="leave out documents without text"
        )
    try:
        whole = json.dumps(metadata, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"metadata cannot be kept: {error}", hint="give strings, numbers, lists and mappings"
        ) from error
    if id is None:
        id = hashlib.sha256(f"{whole}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    title = metadata.get("title")
    document = with_tables(Document(source=id, text=text, title=title if isinstance(title, str) else ""))
    pairs = enumerate(zip(text.split("\n"), document.text.split("\n"), strict=True))
    lines = {str(number): given for number, (given, stored) in pairs if given != stored}
    return replace(
        document,
        metadata={
            GIVEN: json.dumps(
                {"id": id, "metadata": metadata, **({"lines": lines} if lines else {})}, ensure_ascii=False
            ),
            **{FIELD + key: written for key, value in metadata.items() if (written := _plain(value)) is not None},
        },
    )


def _plain(value: object) -> str | None:
    """A field of metadata as filters compare it; None for one that they cannot."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else None


def _filters(filter: Mapping[str, Any] | None) -> dict[str, str]:
    """A filter of LangChain's as an index takes it. Raises UsageError for conditions other than equality."""
    filters = {}
    for key, value in (filter or {}).items():
        written = _plain(value)
        if written is None:
            raise UsageError(
                f"filter: {key} is compared with {value!r:.60}", hint="give each field a string, a number or a boolean"
            )
        filters[FIELD + key] = written
    return filters


def _refuse(options: Mapping[str, Any]) -> None:
    if options:
        raise TypeError(f"unexpected keyword arguments: {', '.join(options)}")
