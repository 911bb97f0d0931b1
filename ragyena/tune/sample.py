"""The shipped sample: 100 questions on invented documents to measure a tuned reader on, and 100 to train on beside
one's own, so that it does not forget. ``data/real/sample.py`` makes it.

Rows of the file are passages ``{passage, document, title, headings, start, text}``, then questions ``{question,
answer_type, answers, gold, spans, hits, split}``: ``gold`` is the passage that answers it, ``spans`` are chars of the
document, ``hits`` the passages that retrieval found among all documents of the sample, with their scores.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragyena import recipes
from ragyena.tune.places import Located
from ragyena.tune.questions import OwnQuestion
from ragyena.types import Passage, ScoredPassage

__all__ = ["Sample", "load_sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """The questions of the sample by what they are for."""

    train: tuple[Located, ...]
    dev: tuple[Located, ...]


def load_sample(path: Path | None = None) -> Sample:
    """The sample that ships, or another file of its form."""
    passages: dict[int, Passage] = {}
    parts: dict[str, list[Located]] = {"train": [], "dev": []}
    with lzma.open(path or recipes.asset("tune") / "sample.jsonl.xz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            row = json.loads(line)
            if "passage" in row:
                passages[row["passage"]] = _passage(row)
            else:
                parts[row["split"]].append(_located(row, number, passages))
    return Sample(tuple(parts["train"]), tuple(parts["dev"]))


def _passage(row: dict[str, Any]) -> Passage:
    text, start, document = row["text"], row["start"], row["document"]
    return Passage(
        text=text,
        start=start,
        end=start + len(text),
        line_start=1,
        line_end=1 + text.count("\n"),
        page=None,
        title=row["title"],
        heading_path=tuple(row["headings"]),
        source=f"sample/{document}",
        passage_id=row["passage"],
        document_id=document,
    )


def _located(row: dict[str, Any], number: int, passages: dict[int, Passage]) -> Located:
    question = OwnQuestion(number, row["question"], row["answer_type"], tuple(row["answers"]))
    hits = tuple(ScoredPassage(passages[place], score, dense_score=score) for place, score in row["hits"])
    gold = None if row["gold"] is None else passages[row["gold"]]
    return Located(question, hits, gold, tuple((start, end) for start, end in row["spans"]))
