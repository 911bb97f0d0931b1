"""Questions on tables with linked articles as training data: their documents cut to passages, their arrays."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragyena.config import DataConfig
from ragyena.data.hybrid import parts, read_hybrid
from ragyena.data.qa_files import Question, read_contexts
from ragyena.errors import DataError
from ragyena.train.augment.table_questions import Place, TableQuestion, table_questions
from ragyena.train.cutting import Cut, encode, flat

__all__ = ["SOURCE", "Tables"]

SOURCE = "table"
"""The source of the questions."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Documents of the split ``train`` and the questions on them."""

    asked: Mapping[str, TableQuestion]
    """By the id that ``questions`` gives them."""
    bounds: Mapping[str, range]
    """The passages of each document."""

    @classmethod
    def read(cls, cut: Cut, config: DataConfig, left_out: Counter[str]) -> Tables:
        """What ``config`` names: its documents are cut into ``cut``, rows that cannot be used counted in ``left_out``.

        Raises PathNotFoundError and DataError for files that cannot be used.
        """
        if not config.hybrid_documents:
            return cls({}, {})
        everything = {row.id: row for row in read_contexts(config.prose).contexts}
        articles = {key: row for key, row in everything.items() if row.split in ("", "train")}
        found = read_hybrid(config.hybrid_questions, config.hybrid_documents, everything, split="train")
        if not found.documents:
            reason = f"; the first problem: {found.problems[0]}" if found.problems else ""
            raise DataError(
                f"{', '.join(config.hybrid_documents)}: no document can be used{reason}",
                hint="check data.hybrid_documents, and that data.prose holds the articles they link to",
            )
        left_out["unusable row of tables"] += len(found.problems)
        # A document may link to articles of another split: it goes without them.
        documents = {
            key: document.model_copy(update={"passages": tuple(p for p in document.passages if p in articles)})
            for key, document in found.documents.items()
            if document.split in ("", "train")
        }
        bounds: dict[str, range] = {}
        for document in documents.values():
            begin = len(cut.passages)
            for part in parts(document, articles):
                cut.add(_key(document.id, part.source.removeprefix(f"{document.id} ")), part)
            bounds[document.id] = range(begin, len(cut.passages))
        asked = [question for question in found.questions if question.doc_id in documents]
        rows = table_questions(asked, documents.values(), articles, repeat=config.hybrid_repeat)
        return cls({f"{SOURCE} {number}": row for number, row in enumerate(rows)}, bounds)

    def questions(self) -> list[Question]:
        """The questions as any other, on the part of the document that holds the answer."""
        return [
            Question(key, SOURCE, row.question, (row.answer_text,), _context(row, row.answer), row.answer.start)
            for key, row in self.asked.items()
        ]

    def arrays(
        self, kept: Sequence[Question], gold: npt.NDArray[np.generic], cut: Cut, config: DataConfig
    ) -> dict[str, npt.NDArray[np.generic]]:
        """Of the questions on tables among those ``kept``, whose gold passages are ``gold``: which they are; where what
        else they need stands, a passage and its tokens, or -1; other passages of the document, none with the answer,
        -1 where they are fewer; and the plain question."""
        chooser = random.Random(5)
        rows = [(number, self.asked[q.id]) for number, q in enumerate(kept) if q.source == SOURCE]
        told = [self._told(row, int(gold[number]), cut) for number, row in rows]
        others = np.full((len(rows), config.negatives), -1, np.int32)
        for place, ((number, row), (passage, _, _)) in enumerate(zip(rows, told)):
            answer, own = row.answer_text.lower(), (int(gold[number]), passage)
            some = [i for i in self.bounds[row.document] if i not in own and answer not in cut.passages[i].text.lower()]
            chooser.shuffle(some)
            others[place, : len(some)] = some[: config.negatives]
        plain = [ids.ids[: config.question_tokens] for ids in encode((row.plain for _, row in rows), cut.tokenizer)]
        return {
            "table_question": np.array([number for number, _ in rows], np.int32),
            "table_told": np.array(told, np.int32).reshape(-1, 3),
            "table_others": others,
            **flat("table_plain", plain),
        }

    def _told(self, row: TableQuestion, gold: int, cut: Cut) -> tuple[int, int, int]:
        found = cut.find(_context(row, row.told), row.told.start, row.told.end) if row.told else None
        if found is None or found[0] == gold:
            return -1, 0, 0
        return found[0], *found[1]


def _key(document: str, part: str) -> str:
    return f"{SOURCE} {document} {part}"


def _context(row: TableQuestion, place: Place) -> str:
    return _key(row.document, "table" if place.article is None else place.article)
