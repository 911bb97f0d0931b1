"""The two steps of a reading that the device takes; the host waits for it after each, once.

First the whole context is scored. The host numbers the pieces of the passages that are likeliest to hold the answer,
which depends on their texts; then the best spans are found. What a step launches depends on shapes alone, so that it
can be recorded as a CUDA graph (``ragyena.model.inference_graphs``), and what the host needs of it comes in one tensor.

Legend: B contexts, P passages, S slot tokens, K passages whose pieces are told apart, N spans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.model.inputs import ReaderInput
from ragyena.model.reader_model import Encoded, ReaderModel, SpanScores
from ragyena.reader.extraction import best_spans, likeliest_passages
from ragyena.reader.rereading import Rereader

__all__ = ["Asked", "Found", "FoundOnDevice", "Scored", "SlotRows", "ToFind", "Told", "find", "rows_of", "score"]

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """Input of the first step."""

    inputs: ReaderInput
    prior: Tensor
    """[B, P] the retriever's log prior of the spans in each passage."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Output of the first step."""

    encoded: Encoded
    """The states of the first of several models."""
    scores: SpanScores
    """Before the retriever's prior and the softmax, unless several models read together."""
    start: Tensor
    """[B, P, S] log probabilities."""
    end: Tensor
    """[B, P, S] log probabilities."""
    likeliest: Tensor
    """[B, K] passages whose pieces are told apart."""
    told: Tensor
    """[B, 3 + K] fp64, for the host: ``Told``."""


class Told(NamedTuple):
    """The first step's result on the host, of one context."""

    write: float
    """Probability of the question asking for an answer to be written."""
    several: float
    """Probability of the question asking for several items; 0 where no model tells."""
    no_answer: float
    """Log probability of there being no answer."""
    likeliest: tuple[int, ...]
    """[K] passages whose pieces are told apart."""

    @classmethod
    def of(cls, scored: Scored) -> list[Told]:
        """Waits for the device."""
        return [
            cls(write, several, no_answer, tuple(map(int, likeliest)))
            for write, several, no_answer, *likeliest in scored.told.tolist()
        ]


def score(
    models: Sequence[ReaderModel],
    again: Rereader | None,
    asked: Asked,
    *,
    lap: Callable[[str], None] = lambda part: None,
    trim: bool = True,
) -> Scored:
    """The first step: contexts encoded and scored, by ``again`` too where there is one.

    ``lap`` is called after each part (``ragyena.reader.decoding.PARTS``). ``trim`` is that of ``Rereader.scores``.
    """
    states = [model.encode(asked.inputs) for model in models]
    lap("encode")
    read = list(zip(models, states))
    scores = SpanScores.averaged([model.span_scores(own, asked.inputs.text_mask) for model, own in read])
    if again is not None:
        scores = again.scores(scores, asked.inputs, trim=trim)
        lap("again")
    write = torch.stack([model.write_logit(own) for model, own in read]).mean(0).sigmoid()
    tell = [model.list_logit(own) for model, own in read if model.config.lists]
    several = torch.stack(tell).mean(0).sigmoid() if tell else torch.zeros_like(write)
    start, end, null = scores.with_prior(asked.prior).log_probabilities()
    likeliest = likeliest_passages(start, end, asked.inputs.text_mask)
    told = torch.stack([write.double(), several.double(), null.double().mean(1)], 1)
    return Scored(states[0], scores, start, end, likeliest, torch.cat([told, likeliest.double()], 1))


@dataclass(frozen=True, slots=True)
class ToFind:
    """Input of the second step."""

    scores: SpanScores
    start: Tensor
    end: Tensor
    text_mask: Tensor
    """[B, P, S] bool."""
    likeliest: Tensor
    pieces: Tensor
    """[B, K, S] int16: the piece of each token in the likeliest passages."""


@dataclass(frozen=True, slots=True)
class FoundOnDevice:
    """Output of the second step."""

    found: Tensor
    """[B, P + 3 N + 4 S] fp64, for the host: the fields of ``Found`` one after another."""


class SlotRows(NamedTuple):
    """The scores of one passage's tokens, each [S]."""

    start: Doubles
    """Log probabilities."""
    end: Doubles
    start_score: Doubles
    """Before the retriever's prior and the softmax."""
    end_score: Doubles


class Found(NamedTuple):
    """The second step's result on the host, of one context."""

    slot_scores: Doubles
    """[P] log probability of each slot's best span."""
    scores: Doubles
    """[N] log probabilities of the best spans."""
    places: Doubles
    """[N] flat places of their starts."""
    more: Doubles
    """[N] their tokens, less one."""
    slot: int
    """The passage of the best of them."""
    rows: SlotRows
    """The scores in this passage."""

    @classmethod
    def of(cls, found: FoundOnDevice, shape: tuple[int, int]) -> list[Found]:
        """``shape``: P and S of what was read. Waits for the device."""
        passages, slot = shape
        values = found.found.cpu().numpy()
        spans = (values.shape[1] - passages - 4 * slot) // 3
        sizes = [passages, spans, spans, spans, slot, slot, slot, slot]
        parts = np.split(values, np.cumsum(sizes[:-1]), axis=1)
        results = []
        for row in range(len(values)):
            slot_scores, scores, places, more, *rows = (part[row] for part in parts)
            results.append(cls(slot_scores, scores, places, more, int(places[0]) // slot, SlotRows(*rows)))
        return results


def find(given: ToFind, *, max_tokens: int, count: int) -> FoundOnDevice:
    """The second step: the best spans of at most ``max_tokens``, from which ``count`` that do not overlap are taken."""
    best = best_spans(
        given.start, given.end, given.text_mask, given.likeliest, given.pieces, max_tokens=max_tokens, count=count
    )
    slot = given.start.shape[2]
    first = (best[2][:, :1] // slot)[..., None].expand(-1, -1, slot)
    scores = (given.start, given.end, given.scores.start, given.scores.end)
    rows = [each.gather(1, first)[:, 0] for each in scores]
    # All in one transfer; a double holds each of them exactly.
    return FoundOnDevice(torch.cat([part.double() for part in (*best, *rows)], 1))


def rows_of(scored: Scored, context: int, slot: int) -> SlotRows:
    """The scores of any passage, from the device, which is waited for."""
    scores = (scored.start, scored.end, scored.scores.start, scored.scores.end)
    return SlotRows(*torch.stack([each[context, slot] for each in scores]).double().cpu().numpy())
