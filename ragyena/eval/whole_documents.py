"""The whole documents of an evaluation's contexts, for answers that need all rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter

from ragyena.eval.contexts import Frozen
from ragyena.model.confidence import Withholding
from ragyena.reader.reader import Reading
from ragyena.reader.tables.answering import with_row_answer
from ragyena.types import Block, Context, Document, Passage

__all__ = ["KnownDocuments", "OwnContexts", "RowAnswers"]

_LINE = re.compile(r"[^\n]+")


class KnownDocuments:
    """Documents by the ``source`` of their passages."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self._documents = documents

    def whole(self, passage: Passage) -> Document | None:
        return self._documents.get(passage.source)

    def passage_at(self, passage: Passage, offset: int) -> Passage:
        """The passage itself: an evaluation cites nothing."""
        return passage


class OwnContexts(KnownDocuments):
    """The texts that questions are asked on, put together from all their passages; of search results none is whole."""

    def __init__(self, frozen: Frozen) -> None:
        super().__init__({})
        own = frozen.own if frozen.kind != "search" else {}
        self._passages = {key: [frozen.passages[number] for number in numbers] for key, numbers in own.items()}
        self._made = lru_cache(maxsize=64)(self._make)

    def whole(self, passage: Passage) -> Document | None:
        return self._made(passage.source) if passage.source in self._passages else None

    def _make(self, source: str) -> Document:
        passages = sorted(self._passages[source], key=lambda passage: passage.start)
        text = ""
        for passage in passages:
            # what was cut out between two passages is white space
            gap = passage.start - len(text)
            text += ("\n" * gap if gap > 0 else "") + passage.text
        return Document(source, text, passages[0].title, blocks=tuple(_tables(passages, text)))


def _tables(passages: Sequence[Passage], text: str) -> Iterator[Block]:
    """A table for each run of passages with the same names of columns, with the rows in passages that are prose for the
    most part."""
    end = 0
    for header, run in groupby((p for p in passages if p.table_header), key=attrgetter("table_header")):
        first, *rest = run
        start, last = first.start, (rest or [first])[-1].end
        lines = [match.span() for match in _LINE.finditer(text)]
        rows = [span for span in lines if any(f"{name}: " in text[slice(*span)] for name in header)]
        inside = [span for span in rows if start <= span[0] < last]
        if inside:
            begin = inside[0][0]
            for span in reversed([span for span in rows if end <= span[0] < begin]):
                if text[span[1] : begin].strip():
                    break
                begin = span[0]
            end = inside[-1][1]
            for span in [span for span in rows if span[0] >= end]:
                if text[end : span[0]].strip():
                    break
                end = span[1]
            yield Block(begin, end, "table", header)


class RowAnswers:
    """Answers readings by the rows of tables, as a pipeline does."""

    def __init__(self, documents: KnownDocuments, most_chars: int) -> None:
        self._documents, self._most_chars = documents, most_chars

    def __call__(self, reading: Reading, context: Context) -> Reading:
        return with_row_answer(
            reading, context, self._documents, most_chars=self._most_chars, withholding=Withholding(0.0)
        )
