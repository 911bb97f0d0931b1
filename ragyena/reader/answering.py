"""An answer made of a reading: its text and kind, its citations, and what each passage contributed."""

from __future__ import annotations

from dataclasses import fields, replace
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from ragyena.reader.citing import DocumentStore, cite, closest, with_whole_code
from ragyena.reader.reader import Reading
from ragyena.types import Answer, Context, PackingLog, PackingLogEntry, in_bulk

__all__ = ["make_answer"]


def make_answer(context: Context, reading: Reading, store: DocumentStore, *, limit: int) -> Answer:
    """An answer from what was read, with at most ``limit`` citations from ``store``; without timings."""
    reading = with_whole_code(reading, context, store)
    order = np.argsort(-np.asarray(reading.slot_scores), kind="stable")
    withheld = reading.kind == "withheld"
    return Answer(
        question=context.question,
        text=reading.text,
        kind=reading.kind,
        confidence=reading.no_answer_probability if withheld else reading.confidence,
        no_answer_probability=reading.no_answer_probability,
        citations=cite(reading, context, store, limit=limit),
        passages=tuple(context.passages[slot] for slot in order),
        closest=closest(reading, context, store),
        items=tuple(span.text for span in reading.spans[: reading.items]),
        computed=reading.computed,
        alternatives=reading.spans[max(reading.items, int(reading.kind == "extracted")) :],
        log=_with_shares(context.log, reading.slot_scores),
    )


def _with_shares(log: PackingLog, slot_scores: npt.NDArray[np.float32]) -> PackingLog:
    """The log with each packed passage's part of the probability of the best spans of all of them."""
    finite = slot_scores[np.isfinite(slot_scores)]
    if not len(finite):
        return log
    weights = np.exp(np.where(np.isfinite(slot_scores), slot_scores - finite.max(), -np.inf).astype(np.float64))
    shares = (weights / weights.sum()).tolist()
    packed = [entry for entry in log.entries if entry.slot is not None]
    columns = {field.name: list(map(attrgetter(field.name), packed)) for field in fields(PackingLogEntry)}
    columns["share"] = [shares[slot] for slot in columns["slot"]]
    shared = iter(in_bulk(PackingLogEntry, len(packed), columns))
    return replace(log, entries=tuple(entry if entry.slot is None else next(shared) for entry in log.entries))
