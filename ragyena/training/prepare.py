"""Training data from rows of text to packed token arrays, with hard negatives from our own embedder.

Everything slow happens once: the result is one ``.npz`` file named by what it was made from.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ragyena.config import DataConfig
from ragyena.errors import DataError
from ragyena.retrieval.embedder import Embedder
from ragyena.text.passages import split
from ragyena.text.qa_files import ContextRow, Question, read_contexts, read_questions
from ragyena.text.tokenizer import Tokenizer
from ragyena.training.packed import ANSWER_TOKENS
from ragyena.types import Document, Passage, Progress

__all__ = ["PreparedReport", "prepare"]

_POLAR = ("yes", "no")
_HITS = 48  # hits looked at to find `negatives` without the answer
_TRIES = 400  # draws of other passages where too few hits qualify
_QUERY_BLOCK = 2048


@dataclass(frozen=True, slots=True)
class PreparedReport:
    """What went into a packed file, and what was left out and why."""

    path: Path
    questions: int
    passages: int
    prose_tokens: int
    left_out: dict[str, int]
    """Rows left out, by reason."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """The passages of all contexts in one list; those of a context are ``bounds[context_id]``."""

    passages: list[Passage]
    bounds: dict[str, range]


def prepare(
    config: DataConfig, tokenizer: Tokenizer, embedder: Embedder, cache: Path, progress: Progress
) -> PreparedReport:
    """The packed file for ``config``, made in ``cache`` unless it is there already.

    Raises DataError where no question is usable.
    """
    path = cache / f"packed-{_fingerprint(config, tokenizer)}.npz"
    report = path.with_suffix(".json")
    if path.is_file() and report.is_file():
        values = json.loads(report.read_text(encoding="utf-8"))
        return PreparedReport(path=path, **values)
    rows = read_questions(config.questions, config.passages, split="train")
    asked = {q.context_id for q in rows.questions if q.context_id is not None}
    cut = _cut([row for key, row in rows.contexts.items() if key in asked], tokenizer, config.passage_tokens, progress)
    left_out: Counter[str] = Counter({"unusable row": len(rows.problems)})
    kept, arrays = _questions(rows.questions, cut, tokenizer, config, left_out)
    if not kept:
        raise DataError(
            "no training question is usable", hint=f"left out: {dict(left_out)}; check data.questions and data.passages"
        )
    texts = [tokenizer.encode(p.text).ids for p in cut.passages]
    headers = [tokenizer.encode(p.header).ids[: config.header_tokens] for p in cut.passages]
    arrays |= _flat("passages", texts) | _flat("headers", headers)
    hits = _hits(kept, cut, embedder, progress)
    arrays["gold"], arrays["negatives"] = _negatives(kept, arrays["gold"], hits, cut, config.negatives)
    arrays["held_out"] = np.array([_is_held_out(q, config.held_out) for q in kept])
    arrays["idf"] = _idf(texts, tokenizer.vocab_size)
    arrays["prose"] = _prose(config, tokenizer, progress)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **arrays)
    partial.rename(path)
    values = {
        "questions": len(kept),
        "passages": len(cut.passages),
        "prose_tokens": len(arrays["prose"]),
        "left_out": dict(left_out),
    }
    report.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return PreparedReport(path=path, **values)


def _fingerprint(config: DataConfig, tokenizer: Tokenizer) -> str:
    """Names the packed file: the settings, the tokenizer, and size and time of every local file read."""
    parts = [config.model_dump_json(), tokenizer.fingerprint]
    for name in (*config.questions, *config.passages, *config.prose):
        file = Path(name)
        if file.is_file():
            stat = file.stat()
            parts.append(f"{name} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _cut(contexts: Sequence[ContextRow], tokenizer: Tokenizer, passage_tokens: int, progress: Progress) -> _Cut:
    progress.start("cutting passages", len(contexts), "texts")
    passages: list[Passage] = []
    bounds: dict[str, range] = {}
    for row in contexts:
        begin = len(passages)
        passages += split(Document(source=row.source, text=row.text, title=row.title), tokenizer, passage_tokens)
        bounds[row.id] = range(begin, len(passages))
        progress.advance(1)
    return _Cut(passages, bounds)


def _questions(
    questions: Sequence[Question], cut: _Cut, tokenizer: Tokenizer, config: DataConfig, left_out: Counter[str]
) -> tuple[list[Question], dict[str, npt.NDArray[np.generic]]]:
    """Usable questions and their arrays: tokens, gold passage, span, answer tokens, kind."""
    kept: list[Question] = []
    words, answers, gold, starts, ends, polar = [], [], [], [], [], []
    encodings = tokenizer.encode_batch([q.question for q in questions])
    for question, encoding in zip(questions, encodings):
        if question.context_id is None or not question.answers:
            left_out["no context or no answer"] += 1
            continue
        if not 0 < len(encoding.ids) <= config.question_tokens:
            left_out["question too long"] += 1
            continue
        passage, span = _place(question, cut, tokenizer)
        if passage is None:
            left_out["answer crosses a passage border"] += 1
            continue
        answer = tokenizer.encode(question.answers[0]).ids
        if span is None and len(answer) >= ANSWER_TOKENS:
            left_out["answer too long"] += 1
            continue
        kept.append(question)
        words.append(encoding.ids)
        answers.append(np.append(answer[: ANSWER_TOKENS - 1], tokenizer.sep_id))
        gold.append(passage)
        starts.append(-1 if span is None else span[0])
        ends.append(-1 if span is None else span[1])
        polar.append(0 if span is not None else 1 if question.answers[0].lower() in _POLAR else -1)
    return kept, {
        **_flat("questions", words),
        **_flat("answers", answers),
        "gold": np.array(gold, np.int32),
        "span_start": np.array(starts, np.int16),
        "span_end": np.array(ends, np.int16),
        "polar": np.array(polar, np.int8),
    }


def _place(question: Question, cut: _Cut, tokenizer: Tokenizer) -> tuple[int | None, tuple[int, int] | None]:
    """The passage that holds the answer, and the first and last token of the answer in it.

    An answer that is no span has no token range; its passage is chosen later among those of its context.
    """
    bounds = cut.bounds[question.context_id or ""]
    if question.answer_start < 0:
        return (bounds[0], None) if bounds else (None, None)
    start, end = question.answer_start, question.answer_start + len(question.answers[0])
    for index in bounds:
        passage = cut.passages[index]
        if passage.start <= start and end <= passage.end:
            encoding = tokenizer.encode(passage.text)
            inside = np.flatnonzero((encoding.ends > start - passage.start) & (encoding.starts < end - passage.start))
            if len(inside):
                return index, (int(inside[0]), int(inside[-1]))
    return None, None


def _hits(questions: Sequence[Question], cut: _Cut, embedder: Embedder, progress: Progress) -> npt.NDArray[np.int32]:
    """[questions, hits] the passages nearest to each question, nearest first."""
    progress.start("embedding passages", len(cut.passages), "passages")
    texts = [f"{p.header}\n{p.text}" if p.header else p.text for p in cut.passages]
    passages = torch.from_numpy(embedder.embed(texts, on_progress=progress.advance))
    progress.start("embedding questions", len(questions), "questions")
    queries = torch.from_numpy(embedder.embed([q.question for q in questions], on_progress=progress.advance))
    count = min(_HITS, len(cut.passages))
    ranked = [(block @ passages.T).topk(count, dim=1).indices.int() for block in torch.split(queries, _QUERY_BLOCK)]
    return torch.cat(ranked).numpy()


def _negatives(
    questions: Sequence[Question], gold: npt.NDArray[np.generic], hits: npt.NDArray[np.int32], cut: _Cut, count: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.generic]]:
    """Hard negatives [questions, count]: the nearest passages that do not hold an answer.

    Also settles the gold passage of answers that are no span: the passage of their context nearest to the question.
    """
    lower = [p.text.lower() for p in cut.passages]
    settled = gold.astype(np.int32)
    result = np.zeros((len(questions), count), np.int32)
    chooser = np.random.default_rng(0)
    for row, (question, ranked) in enumerate(zip(questions, hits.tolist())):
        own = cut.bounds[question.context_id or ""]
        if question.answer_start < 0:
            settled[row] = next((hit for hit in ranked if hit in own), own[0])
            chosen = [hit for hit in ranked if hit not in own][:count]
        else:
            answers = [answer.lower() for answer in question.answers]
            chosen = [hit for hit in ranked if hit != settled[row] and not any(a in lower[hit] for a in answers)][
                :count
            ]
        refused = {settled[row], *own} if question.answer_start < 0 else {settled[row]}
        answers = [answer.lower() for answer in question.answers] if question.answer_start >= 0 else []
        for other in chooser.integers(len(cut.passages), size=_TRIES).tolist() if len(chosen) < count else ():
            if len(chosen) < count and other not in refused and not any(a in lower[other] for a in answers):
                chosen.append(other)
        # a corpus too small for so many: repeat those there are
        result[row] = (chosen * count)[:count] if chosen else (settled[row] + 1) % len(cut.passages)
    small = len(cut.passages) <= np.iinfo(np.uint16).max
    return settled, result.astype(np.uint16) if small else result


def _idf(texts: Sequence[npt.NDArray[np.int32]], vocab_size: int) -> npt.NDArray[np.float32]:
    """log(passages / passages that hold the piece), scaled so that the rarest piece has 1."""
    frequency = np.zeros(vocab_size)
    for ids in texts:
        frequency[np.unique(ids)] += 1
    idf = np.log(len(texts) / (1 + frequency)).clip(min=0)
    return np.asarray(idf / max(idf.max(), 1e-9), np.float32)


def _prose(config: DataConfig, tokenizer: Tokenizer, progress: Progress) -> npt.NDArray[np.uint16]:
    """One stream of prose tokens, at most ``prose_tokens``, taken evenly from the files."""
    pieces: list[npt.NDArray[np.int32]] = []
    progress.start("tokenizing prose", config.prose_tokens if config.prose else 0, "tokens")
    for name in config.prose:
        share, taken = config.prose_tokens // len(config.prose), 0
        rows = [row for row in read_contexts([name]).contexts if row.split in ("", "train")]
        for begin in range(0, len(rows), 256):
            for encoding in tokenizer.encode_batch([row.text for row in rows[begin : begin + 256]]):
                pieces.append(encoding.ids)
                taken += len(encoding.ids)
            progress.advance(sum(len(ids) for ids in pieces[-256:]))
            if taken >= share:
                break
    return np.concatenate(pieces).astype(np.uint16) if pieces else np.zeros(0, np.uint16)


def _is_held_out(question: Question, fraction: float) -> bool:
    """Decided by the context, so that no held-out passage is asked about in training."""
    digest = hashlib.sha256((question.context_id or "").encode()).digest()
    return int.from_bytes(digest[:8]) < fraction * 2**64


def _flat(name: str, rows: Sequence[npt.NDArray[np.integer]]) -> dict[str, npt.NDArray[np.generic]]:
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    flat = np.concatenate(rows) if rows else np.zeros(0, np.int32)
    return {name: flat.astype(np.uint16), f"{name}_offsets": offsets}
