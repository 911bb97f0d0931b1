"""Frozen contexts: everything an evaluation shows to readers, but for the order of slots.

Questions, their own passages and the retriever's hits are kept in one file. Where it is read it needs neither data nor
index nor FAISS, and every reader evaluated from it sees the same contexts.

The file is xz-compressed JSON lines: a head, then one line for each passage (each text once, numbered from 0 in file
order), one for each context's own passages, one for each question with its hits. Numbers, scores and similarities
of hits are base64 of little-endian int32 and float32.
"""

from __future__ import annotations

import base64
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

from ragyena.config import EvalConfig, PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError, IndexMismatchError, PathNotFoundError, StorageError, UsageError
from ragyena.eval.journal import digest_of
from ragyena.eval.questions import Question, sample
from ragyena.parsing import parse_json
from ragyena.types import Passage, ScoredPassage

__all__ = ["Frozen", "Hits", "Kind", "Needs", "check_frozen", "load_frozen", "needs", "shaping"]

FORMAT, VERSION = "ragyena evaluation contexts", 1
_PRESET = 4  # of xz: a hundred megabytes in half a minute, a tenth larger than the best preset makes them
_FREEZE_AGAIN = "freeze them again with these settings: ragyena eval RECIPE --freeze-only"

Kind = Literal["own", "distractors", "search", "documents"]
"""The hits of a question: none; passages that compete with its own context; search results; none, a whole document."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The retriever's hits for one question, best first."""

    numbers: npt.NDArray[np.int32]
    """[n] places in ``Frozen.passages``."""
    scores: npt.NDArray[np.float32]
    """[n] the scores that rank them."""
    similarities: npt.NDArray[np.float32] | None = None
    """[n] as ``ScoredPassage.similarity``, NaN for None; None where no hit has one."""

    @classmethod
    def of(cls, numbers: Sequence[int], scores: Sequence[float], similarities: Sequence[float | None]) -> Hits:
        known = None if all(one is None for one in similarities) else np.array(similarities, np.float32)
        return cls(np.array(numbers, np.int32), np.array(scores, np.float32), known)


_NOTHING = Hits(np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class Needs:
    """The contexts that a recipe needs: their kind, among how many passages and in how many tokens at most."""

    kind: Kind
    among: int = 0
    context_tokens: int = 0


def needs(config: EvalConfig) -> Needs:
    """The contexts of a recipe that reads."""
    match config.task:
        case "open":
            return Needs("search", context_tokens=max(config.context_tokens))
        case "positions":
            return Needs("distractors", context_tokens=max(config.context_tokens))
        case "hybrid":
            return Needs("documents")
        case _:
            most = max(config.among)
            return Needs("distractors", among=most) if most > 1 else Needs("own")


def shaping(kind: Kind, settings: PipelineConfig) -> dict[str, Any]:
    """The settings that shape contexts of a kind."""
    values: dict[str, Any] = {
        "passage_tokens": settings.index.passage_tokens,
        "header_tokens": settings.packer.header_tokens,
    }
    if kind in ("distractors", "search"):
        values["retriever"] = settings.retriever.model_dump(mode="json")
    if kind == "search":
        values["packer"] = settings.packer.model_dump(mode="json", exclude={"context_tokens"})
    return values


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """The contexts of an evaluation."""

    kind: Kind
    facts: Mapping[str, Any]
    """Settings that shaped the contexts: tokenizer, passage and header tokens, retriever, index; for how many passages
    (``among``) and tokens (``context_tokens``) there are hits."""
    answerable: tuple[Question, ...]
    unanswerable: tuple[Question, ...]
    passages: tuple[Passage, ...] = field(repr=False)
    own: Mapping[str, tuple[int, ...]] = field(repr=False)
    """By context id, the places in ``passages`` of its own passages; in ``search``, of those among the hits."""
    hits: Mapping[str, Hits] = field(repr=False)
    """By question id."""
    problems: tuple[str, ...] = ()
    """Rows of the data that were left out, and why."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """A ``digest`` of the data and settings it was frozen from, and the ``limit`` that left questions out, else 0.
    Empty where that is not known."""

    def own_passages(self, question: Question) -> list[Passage]:
        return [self.passages[number] for number in self.own[question.context_id or ""]]

    def hits_of(self, question: Question, most: int | None = None) -> list[ScoredPassage]:
        """The best ``most`` hits of a question. Their ``dense_score`` is not kept: it is NaN (None where some are not
        hits but neighbours of hits)."""
        hits = self.hits.get(question.id, _NOTHING)
        dense_score = None if self.facts.get("packer", {}).get("neighbours") else math.nan
        known = np.full(len(hits.numbers), np.nan) if hits.similarities is None else hits.similarities
        return [
            ScoredPassage(
                self.passages[number], score, dense_score, similarity=None if math.isnan(similarity) else similarity
            )
            for number, score, similarity in zip(
                hits.numbers[:most].tolist(), hits.scores[:most].tolist(), known[:most].tolist()
            )
        ]

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
            filled = {name: value for name, value in values.items() if value not in (None, "", (), {})}
            yield {"passage": {"text": passage.text, **filled}}
        for context_id, numbers in self.own.items():
            yield {"context": context_id, "own": list(numbers)}
        for questions, key in ((self.answerable, "question"), (self.unanswerable, "unanswerable")):
            for question in questions:
                row: dict[str, Any] = {key: asdict(question)}
                if (hits := self.hits.get(question.id)) is not None:
                    row["hits"], row["scores"] = _packed(hits.numbers, "<i4"), _packed(hits.scores, "<f4")
                    if hits.similarities is not None:
                        row["similarities"] = _packed(hits.similarities, "<f4")
                yield row

    @classmethod
    def load(cls, path: Path, *, head_only: bool = False) -> Frozen:
        """Reads a file; with ``head_only`` without its questions and passages. Raises PathNotFoundError, DataError."""
        if not path.is_file():
            raise PathNotFoundError(f"there is no file {path}", hint="make it: ragyena eval RECIPE --freeze-only")
        try:
            with lzma.open(path, "rt", encoding="utf-8", errors="surrogatepass") as file:
                return _read(parse_json(line, keep_surrogates=True) for line in islice(file, 1 if head_only else None))
        except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError, StopIteration) as error:
            raise DataError(
                f"{path} holds no frozen contexts, or is damaged: {error}",
                hint="make it again: ragyena eval RECIPE --freeze-only",
            ) from error

    def digest(self) -> str:
        """Identifies the settings that shaped the contexts: a run is only continued where it is the same."""
        return digest_of([self.kind, self.facts])


def load_frozen(config: EvalConfig, settings: PipelineConfig, tokenizer: Tokenizer, path: Path) -> Frozen:
    """The contexts in a file, with the questions that ``config`` chooses.

    Raises DataError, PathNotFoundError, and as ``check_frozen``.
    """
    frozen = Frozen.load(path)
    check_frozen(frozen, config, settings, tokenizer, path)
    answerable = [q for q in frozen.answerable if not config.sources or q.source in config.sources]
    if not answerable:
        raise DataError(f"no question of {path} is of sources {', '.join(config.sources)}", hint="check the sources")
    chosen = (tuple(sample(part, config.limit, config.seed)) for part in (answerable, frozen.unanswerable))
    return replace(frozen, answerable=next(chosen), unanswerable=next(chosen))


def check_frozen(
    frozen: Frozen, config: EvalConfig, settings: PipelineConfig, tokenizer: Tokenizer, path: Path
) -> None:
    """Checks the head of the contexts in ``path`` against a recipe and settings; its questions need not be there.

    Raises IndexMismatchError where the passages were cut by another tokenizer than the reader's, UsageError where the
    file does not hold what ``config`` or ``settings`` need.
    """
    facts = frozen.facts
    if facts["tokenizer"] != tokenizer.fingerprint:
        raise IndexMismatchError(
            f"the passages of {path} were cut by another tokenizer ({facts['tokenizer'][:12]}) than that of the reader "
            f"({tokenizer.fingerprint[:12]})",
            hint="freeze the contexts with this reader: ragyena eval RECIPE --reader PATH --freeze-only",
        )
    for name, value in shaping(frozen.kind, settings).items():
        if facts[name] != value:
            raise UsageError(f"{path} was frozen with {name} {facts[name]}, not {value}", hint=_FREEZE_AGAIN)
    needed = needs(config)
    if needed.kind != frozen.kind and not (needed.kind == "own" and frozen.kind == "distractors"):
        raise UsageError(
            f"{path} holds contexts of another kind ({frozen.kind}, not {needed.kind})", hint=_FREEZE_AGAIN
        )
    for name, least in (("among", needed.among), ("context_tokens", needed.context_tokens)):
        if least > facts.get(name, 0):
            raise UsageError(f"{path} was frozen for {name} {facts.get(name, 0)}, not {least}", hint=_FREEZE_AGAIN)
    most = frozen.origin.get("limit", 0)
    if most and not 0 < config.limit <= most:
        count = f"{config.limit:,}" if config.limit else "all"
        raise UsageError(
            f"{path} was frozen for {most:,} questions, not for {count}",
            hint=f"--limit {most}, or freeze more: ragyena eval RECIPE --limit N --freeze-only",
        )


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
            key = "question" if "question" in row else "unanswerable"
            values = row[key] | {"answers": tuple(row[key]["answers"])}
            question = Question(**values | {"items": tuple(tuple(item) for item in values.get("items", ()))})
            questions[key].append(question)
            if "hits" in row:
                known = row.get("similarities")  # files of earlier versions have none
                hits[question.id] = Hits(
                    _unpacked(row["hits"], "<i4"),
                    _unpacked(row["scores"], "<f4"),
                    None if known is None else _unpacked(known, "<f4"),
                )
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
    start, metadata = values.get("start", 0), values.get("metadata", {})
    blank = {"line_start": 1, "line_end": 1, "page": None, "title": ""}
    places = {"start": start, "end": start + len(values["text"]), "source": metadata.get("id", "")}
    heading_path = tuple(values.get("heading_path", ()))
    return Passage(**{**blank, **values, **places, "heading_path": heading_path, "passage_id": number})


def _packed(values: npt.NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _unpacked(text: str, kind: str) -> npt.NDArray[Any]:
    values = np.frombuffer(base64.b64decode(text), kind)
    return values.astype(values.dtype.newbyteorder("="))
