"""Everything an evaluation shows to readers, but for the order of slots: questions, their own passages, the hits of the
retriever. Kept in one file, it needs neither data nor index nor FAISS where it is read, and every reader that is
evaluated from it sees the same contexts.

The file is xz-compressed JSON lines: a line that says what it is, then one for each passage (each text once, numbered
from 0 in file order), one for each context's own passages, one for each question with its hits. Numbers and scores of
hits are base64 of little-endian int32 and float32.
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ragyena.data.qa_files import Question
from ragyena.errors import DataError, PathNotFoundError, StorageError
from ragyena.types import Passage, ScoredPassage

__all__ = ["Frozen", "Hits", "Kind"]

FORMAT, VERSION = "ragyena evaluation contexts", 1
_PRESET = 4  # of xz: a hundred megabytes in half a minute, a tenth larger than the best preset makes them

Kind = Literal["own", "distractors", "search", "documents"]
"""What hits are: none; those beside a question's own context; what a search finds; none, but documents of passages."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What the retriever found for one question, best first."""

    numbers: npt.NDArray[np.int32]
    """[n] places in ``Frozen.passages``."""
    scores: npt.NDArray[np.float32]
    """[n] the scores that rank them."""


_NOTHING = Hits(np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """The contexts of an evaluation."""

    kind: Kind
    facts: Mapping[str, Any]
    """What shaped the contexts: tokenizer, passage and header tokens, retriever, index; for how many passages
    (``among``) and tokens (``context_tokens``) there are hits."""
    answerable: tuple[Question, ...]
    unanswerable: tuple[Question, ...]
    passages: tuple[Passage, ...] = field(repr=False)
    own: Mapping[str, tuple[int, ...]] = field(repr=False)
    """Of each context id the places in ``passages`` of its own passages; in ``search``, of those that were found."""
    hits: Mapping[str, Hits] = field(repr=False)
    """By question id."""
    problems: tuple[str, ...] = ()
    """Rows of the data that were left out, and why."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """What it was frozen from: a ``digest`` of all but how much of it, and the ``limit`` that left questions out, else
    0. Empty where that is not known."""

    def own_passages(self, question: Question) -> list[Passage]:
        return [self.passages[number] for number in self.own[question.context_id or ""]]

    def found(self, question: Question, most: int | None = None) -> list[ScoredPassage]:
        """The hits of a question, the best ``most`` of them. That a search found them is kept, but not the cosine: it
        is NaN (None where some are not hits but neighbours of hits)."""
        hits = self.hits.get(question.id, _NOTHING)
        dense_score = None if self.facts.get("packer", {}).get("neighbours") else math.nan
        return [
            ScoredPassage(self.passages[number], score, dense_score)
            for number, score in zip(hits.numbers[:most].tolist(), hits.scores[:most].tolist())
        ]

    def only(self, questions: Sequence[Question], unanswerable: Sequence[Question]) -> Frozen:
        """The same with some of the questions."""
        return replace(self, answerable=tuple(questions), unanswerable=tuple(unanswerable))

    # -----------------------------------------------------------------------------------------------------------
    # The file
    # -----------------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Writes the file; it is whole or not there. Raises StorageError."""
        unfinished = path.with_name(path.name + ".unfinished")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with lzma.open(unfinished, "wt", preset=_PRESET, encoding="utf-8", errors="surrogatepass") as file:
                for row in self._rows():
                    file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
            unfinished.replace(path)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder") from error

    def _rows(self) -> Iterator[dict[str, Any]]:
        yield {
            "format": FORMAT,
            "version": VERSION,
            "kind": self.kind,
            "facts": dict(self.facts),
            "problems": list(self.problems),
            "origin": dict(self.origin),
        }
        for passage in self.passages:
            values = asdict(passage)
            # the places of passages on the machine that froze them are of no use elsewhere
            for name in ("end", "source", "passage_id", "document_id"):
                del values[name]
            known = {name: value for name, value in values.items() if value not in (None, "", (), {})}
            yield {"passage": {"text": passage.text, **known}}
        for context_id, numbers in self.own.items():
            yield {"context": context_id, "own": list(numbers)}
        for questions, what in ((self.answerable, "question"), (self.unanswerable, "unanswerable")):
            for question in questions:
                row: dict[str, Any] = {what: asdict(question)}
                if (hits := self.hits.get(question.id)) is not None:
                    row["hits"], row["scores"] = _packed(hits.numbers, "<i4"), _packed(hits.scores, "<f4")
                yield row

    @classmethod
    def load(cls, path: Path, *, head_only: bool = False) -> Frozen:
        """Reads a file; with ``head_only`` what it says of itself, without questions and passages. Raises
        PathNotFoundError and DataError."""
        if not path.is_file():
            raise PathNotFoundError(f"there is no file {path}", hint="make it: ragyena eval RECIPE --freeze-only")
        try:
            with lzma.open(path, "rt", encoding="utf-8", errors="surrogatepass") as file:
                return _read(json.loads(line) for line in islice(file, 1 if head_only else None))
        except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError, StopIteration) as error:
            raise DataError(
                f"{path} holds no frozen contexts, or is damaged: {error}",
                hint="make it again: ragyena eval RECIPE --freeze-only",
            ) from error

    def digest(self) -> str:
        """Names what shaped the contexts: answers are only gone on with where it is the same."""
        return hashlib.sha256(json.dumps([self.kind, self.facts], sort_keys=True).encode()).hexdigest()[:12]


def _read(rows: Iterator[dict[str, Any]]) -> Frozen:
    head = next(rows)
    if head.get("format") != FORMAT or head.get("version") != VERSION:
        raise ValueError(f"it is not '{FORMAT}', version {VERSION}")
    passages: list[Passage] = []
    own: dict[str, tuple[int, ...]] = {}
    questions: dict[str, list[Question]] = {"question": [], "unanswerable": []}
    hits: dict[str, Hits] = {}
    for row in rows:
        if "passage" in row:
            passages.append(_passage(row["passage"], len(passages)))
        elif "context" in row:
            own[row["context"]] = tuple(row["own"])
        else:
            what = "question" if "question" in row else "unanswerable"
            values = row[what]
            question = Question(**{**values, "answers": tuple(values["answers"])})
            questions[what].append(question)
            if "hits" in row:
                hits[question.id] = Hits(_unpacked(row["hits"], "<i4"), _unpacked(row["scores"], "<f4"))
    return Frozen(
        kind=head["kind"],
        facts=head["facts"],
        answerable=tuple(questions["question"]),
        unanswerable=tuple(questions["unanswerable"]),
        passages=tuple(passages),
        own=own,
        hits=hits,
        problems=tuple(head["problems"]),
        origin=head.get("origin", {}),  # files of earlier versions do not say
    )


def _passage(values: dict[str, Any], number: int) -> Passage:
    text, start = values["text"], values.get("start", 0)
    return Passage(
        text=text,
        start=start,
        end=start + len(text),
        line_start=values.get("line_start", 1),
        line_end=values.get("line_end", 1),
        page=values.get("page"),
        title=values.get("title", ""),
        heading_path=tuple(values.get("heading_path", ())),
        source=values.get("metadata", {}).get("id", ""),
        passage_id=number,
        metadata=values.get("metadata", {}),
    )


def _packed(values: npt.NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _unpacked(text: str, kind: str) -> npt.NDArray[Any]:
    found = np.frombuffer(base64.b64decode(text), kind)
    return found.astype(found.dtype.newbyteorder("="))
