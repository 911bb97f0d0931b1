"""Questions on tables with linked articles as training data: passages of their documents, and arrays."""

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

    by_id: Mapping[str, TableQuestion]
    """The questions by the ids that ``questions`` gives them."""
    bounds: Mapping[str, range]
    """The passages of each document."""

    @classmethod
    def read(cls, cut: Cut, config: DataConfig, left_out: Counter[str]) -> Tables:
        """The tables that ``config`` names: cuts the documents into ``cut`` and counts unusable rows in ``left_out``.

        Raises PathNotFoundError and DataError for files that cannot be used.
        """
        if not config.hybrid_documents:
            return cls({}, {})
        everything = {row.id: row for row in read_contexts(config.prose).contexts}
        articles = {key: row for key, row in everything.items() if row.split in ("", "train")}
        hybrid = read_hybrid(config.hybrid_questions, config.hybrid_documents, everything, split="train")
        if not hybrid.documents:
            reason = f"; the first problem: {hybrid.problems[0]}" if hybrid.problems else ""
            raise DataError(
                f"{', '.join(config.hybrid_documents)}: no document can be used{reason}",
                hint="check data.hybrid_documents, and that data.prose holds the articles they link to",
            )
        left_out["unusable row of tables"] += len(hybrid.problems)
        # A document may link to articles of another split: it goes without them.
        documents = {
            key: document.model_copy(update={"passages": tuple(p for p in document.passages if p in articles)})
            for key, document in hybrid.documents.items()
            if document.split in ("", "train")
        }
        bounds: dict[str, range] = {}
        for document in documents.values():
            begin = len(cut.passages)
            for part in parts(document, articles):
                cut.add(_key(document.id, part.source.removeprefix(f"{document.id} ")), part)
            bounds[document.id] = range(begin, len(cut.passages))
        given = [question for question in hybrid.questions if question.doc_id in documents]
        rows = table_questions(given, documents.values(), articles, repeat=config.hybrid_repeat)
        return cls({f"{SOURCE} {number}": row for number, row in enumerate(rows)}, bounds)

    def questions(self) -> list[Question]:
        """The questions as any other, on the part of the document that holds the answer."""
        return [
            Question(key, SOURCE, row.question, (row.answer_text,), _context(row, row.answer), row.answer.start)
            for key, row in self.by_id.items()
        ]

    def arrays(
        self, kept: Sequence[Question], gold: npt.NDArray[np.generic], cut: Cut, config: DataConfig
    ) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays of the questions on tables among those ``kept``, whose gold passages are ``gold``:
        ``table_question``, their rows; ``table_evidence``, the other passage that each needs and its tokens there, or
        -1; ``table_negatives``, passages of the document without the answer, padded with -1; ``table_plain``, the
        questions with names."""
        chooser = random.Random(5)
        rows = [(number, self.by_id[q.id]) for number, q in enumerate(kept) if q.source == SOURCE]
        evidence = [self._evidence(row, int(gold[number]), cut) for number, row in rows]
        negatives = np.full((len(rows), config.negatives), -1, np.int32)
        for place, ((number, row), (passage, _, _)) in enumerate(zip(rows, evidence)):
            answer, own = row.answer_text.lower(), (int(gold[number]), passage)
            some = [i for i in self.bounds[row.document] if i not in own and answer not in cut.passages[i].text.lower()]
            chooser.shuffle(some)
            negatives[place, : len(some)] = some[: config.negatives]
        plain = [ids.ids[: config.question_tokens] for ids in encode((row.plain for _, row in rows), cut.tokenizer)]
        return {
            "table_question": np.array([number for number, _ in rows], np.int32),
            "table_evidence": np.array(evidence, np.int32).reshape(-1, 3),
            "table_negatives": negatives,
            **flat("table_plain", plain),
        }

    def _evidence(self, row: TableQuestion, gold: int, cut: Cut) -> tuple[int, int, int]:
        place = row.evidence
        match = cut.find(_context(row, place), place.start, place.end) if place else None
        return (-1, 0, 0) if match is None or match[0] == gold else (match[0], *match[1])


def _key(document: str, part: str) -> str:
    return f"{SOURCE} {document} {part}"


def _context(row: TableQuestion, place: Place) -> str:
    return _key(row.document, "table" if place.article is None else place.article)
