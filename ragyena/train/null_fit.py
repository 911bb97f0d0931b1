"""Fit of the no-answer score alone, on states that are computed once.

A reader whose weights are an average of two has a no-answer score that was learned on the states of neither. Nothing
else changes: spans keep their scores.

Legend: N contexts, F features.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config.training import NullFit
from ragyena.errors import TrainingError
from ragyena.model.layers import Linear
from ragyena.model.reader_model import NullOfSpan, ReaderModel
from ragyena.train.sampler import Sampler
from ragyena.types import Progress

__all__ = ["fit_null"]

_FIRST_STEP = 1 << 40  # of the batches drawn: none that a stage trains on


@dataclass(frozen=True, slots=True)
class _Contexts:
    """The features of contexts and their labels."""

    seen: Tensor
    """[N, F] states of the likeliest answer and of the question (``NullOfSpan.seen``)."""
    question: Tensor
    """[N, D] the state of the question alone."""
    spans: Tensor
    """[N, 2] log-sum-exp of all start scores, and of all end scores, that the no-answer score competes with."""
    missing: Tensor
    """[N] bool: the context holds no answer."""

    def rows(self, some: Tensor | slice) -> _Contexts:
        return _Contexts(self.seen[some], self.question[some], self.spans[some], self.missing[some])


def fit_null(
    model: ReaderModel, sampler: Sampler, dtype: torch.dtype, tokens: int, *, seed: int, progress: Progress
) -> dict[str, float]:
    """Fits ``model.null`` and ``model.null_of_span`` on ``tokens`` of new contexts, drawn as the stage draws them; the
    losses before and after, on held-out ones.

    Keeps the pass with the least held-out loss, or the start. Raises TrainingError where the contexts are too few.
    """
    progress.start("reading contexts to fit the no-answer score on", tokens, "tokens")
    batches = _collect(model, sampler, dtype, tokens, progress)
    if len(batches) < 2:
        raise TrainingError(
            f"{tokens:,} tokens to fit the no-answer score on are one batch", hint="raise fit_null of the stage"
        )
    count = max(1, round(NullFit.HELD_OUT * len(batches)))
    held_out, train = _joined(batches[:count]), _joined(batches[count:])
    assert model.null_of_span is not None
    heads = _Heads(copy.deepcopy(model.null), copy.deepcopy(model.null_of_span))
    optimizer = torch.optim.AdamW(heads.parameters(), lr=NullFit.RATE, weight_decay=NullFit.WEIGHT_DECAY)
    generator = torch.Generator(train.seen.device).manual_seed(seed)
    before = best = _held_out_loss(heads, held_out)
    progress.start("fitting the no-answer score", NullFit.PASSES, "passes")
    for number in range(NullFit.PASSES):
        order = torch.randperm(len(train.missing), generator=generator, device=train.seen.device)
        for group in optimizer.param_groups:
            group["lr"] = NullFit.RATE * 0.5 * (1 + math.cos(math.pi * number / NullFit.PASSES))
        for some in torch.split(order, NullFit.CONTEXTS):
            optimizer.zero_grad()
            with torch.enable_grad():
                _loss(heads, train.rows(some)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        loss = _held_out_loss(heads, held_out)
        progress.advance(1, f"loss {loss:.3f}")
        if loss < best:
            best = loss
            model.null.load_state_dict(heads.null.state_dict())
            model.null_of_span.load_state_dict(heads.null_of_span.state_dict())
    return {"contexts": float(len(train.missing)), "loss before": before, "loss": best}


@torch.no_grad()
def _collect(
    model: ReaderModel, sampler: Sampler, dtype: torch.dtype, tokens: int, progress: Progress
) -> list[_Contexts]:
    assert model.null_of_span is not None
    batches: list[_Contexts] = []
    drawn = 0
    while drawn < tokens:
        batch = sampler.batch(_FIRST_STEP + len(batches))
        drawn += batch.tokens
        progress.advance(batch.tokens)
        encoded = model.encode(batch.inputs, dtype=dtype)
        scores = model.span_scores(encoded, batch.inputs.text_mask)
        sums = [one.flatten(1).logsumexp(1) for one in (scores.start, scores.end)]
        contexts = _Contexts(
            model.null_of_span.seen(encoded, torch.stack([scores.start, scores.end], -1)).float(),
            encoded.question[:, 0].float(),
            torch.stack(sums, 1),
            batch.start == 0,
        )
        batches.append(contexts.rows(batch.has_span))
    return batches


def _joined(some: list[_Contexts]) -> _Contexts:
    return _Contexts(*(torch.cat([getattr(one, name) for one in some]) for name in _Contexts.__slots__))


class _Heads(nn.Module):
    """The parameters that are fitted."""

    def __init__(self, null: Linear, null_of_span: NullOfSpan) -> None:
        super().__init__()
        self.null, self.null_of_span = null, null_of_span

    def odds(self, contexts: _Contexts) -> Tensor:
        """[N, 2] logits of there being no answer, at the start and at the end."""
        return self.null(contexts.question).float() + self.null_of_span.score(contexts.seen) - contexts.spans


def _loss(heads: _Heads, contexts: _Contexts) -> Tensor:
    """Binary cross-entropy of there being no answer."""
    odds = heads.odds(contexts)
    return F.softplus(torch.where(contexts.missing[:, None], -odds, odds)).mean()


@torch.no_grad()
def _held_out_loss(heads: _Heads, contexts: _Contexts) -> float:
    return float(_loss(heads, contexts))
