"""Documents of an index as an answer needs them: text, pages, blocks and passages by their places."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from ragyena.index.index import Index
from ragyena.types import Block, Document, Passage

__all__ = ["StoredDocuments"]

_CHARS_BETWEEN = 50  # of a passage, at least, where several lie between two places


class StoredDocuments:
    """The documents of an index, for the answer to one question: keeps the few that it cites."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._documents: dict[int, Document] = {}

    def read(self, document_id: int, start: int, end: int) -> str:
        return self._document(document_id).text[start:end]

    def page_at(self, document_id: int, offset: int) -> int | None:
        # An offset before the first page's start stands on the first page.
        starts = self._document(document_id).page_starts
        return max(1, bisect_right(starts, offset)) if starts else None

    def block_at(self, document_id: int, offset: int) -> Block | None:
        blocks = self._document(document_id).blocks
        place = bisect_right(blocks, offset, key=attrgetter("start")) - 1
        return blocks[place] if place >= 0 and offset < blocks[place].end else None

    def whole(self, passage: Passage) -> Document:
        return self._document(passage.document_id)

    def passage_at(self, passage: Passage, offset: int) -> Passage | None:
        if passage.start <= offset < passage.end:
            return passage
        reach = abs(offset - passage.start) // _CHARS_BETWEEN + 1
        near = self._index.neighbours(passage.passage_id, reach)
        return next((other for other in near if other.start <= offset < other.end), None)

    def _document(self, document_id: int) -> Document:
        if document_id not in self._documents:
            self._documents[document_id] = self._index.document(document_id)
        return self._documents[document_id]
