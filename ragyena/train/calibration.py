"""Fits of a trained reader: its confidence (Platt scaling) on held-out questions, and its no-answer score.

Legend: B contexts, P passages, S slot tokens, W span widths, N contexts of a fit, F features.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config import ReaderConfig
from ragyena.config.training import Calibration, NullFit
from ragyena.errors import TrainingError
from ragyena.model.layers import Linear
from ragyena.model.reader_model import NullOfSpan, ReaderModel, SpanScores, confidence_features
from ragyena.train.packed import Batch
from ragyena.train.sampler import Sampler
from ragyena.types import Progress

__all__ = ["calibrate", "fit_null"]

_WIDTHS = ReaderConfig().max_answer_tokens  # tokens of the longest span looked for
_FIRST_STEP = 1 << 40  # of the batches drawn: none that a stage trains on


@torch.no_grad()
def calibrate(model: ReaderModel, sampler: Sampler, dtype: torch.dtype, progress: Progress) -> dict[str, float]:
    """Sets ``model.calibration``; the share of right answers and the mean confidence on the data of the fit."""
    features, right = [], []
    sizes = sorted({min(passages, sampler.most_passages) for passages in Calibration.PASSAGES})
    progress.start("fitting the confidence", len(sizes) * Calibration.BATCHES, "batches")
    for passages in sizes:
        for step in range(Calibration.BATCHES):
            batch = sampler.held_out_batch(step, passages)
            encoded = model.encode(batch.inputs, dtype=dtype)
            scores = model.span_scores(encoded, batch.inputs.text_mask)
            kept = batch.has_span & (batch.polar != 1) & (batch.more[:, 0, 0] < 0)
            feature, correct = _features(scores, batch)
            progress.advance(1)
            features.append(feature[kept])
            right.append(correct[kept])
    x, y = torch.cat(features), torch.cat(right).float()
    weights = _logistic_regression(x, y)
    model.calibration.copy_(weights)
    confidence = model.confidence(x)
    return {"right": float(y.mean()), "confidence": float(confidence.mean()), "questions": float(len(y))}


def _features(scores: SpanScores, batch: Batch) -> tuple[Tensor, Tensor]:
    """The features of ``ReaderModel.confidence`` [B, 2], and whether the best span is right [B]: its tokens are those
    of the answer, there or elsewhere, or its place has an F1 of ``Calibration.RIGHT`` against the answer's."""
    start, end, null = scores.log_probabilities()
    slot = start.shape[2]
    joint = torch.full((_WIDTHS, *start.shape), float("-inf"), device=start.device)
    for width in range(min(_WIDTHS, slot)):
        joint[width, :, :, : slot - width] = start[:, :, : slot - width] + end[:, :, width:]
    best, place = joint.transpose(0, 1).flatten(1).max(1)
    span_width, first = place // start[0].numel(), place % start[0].numel()
    ids = F.pad(batch.inputs.token_ids.flatten(1), (0, _WIDTHS))
    predicted = _tokens(ids, first, first + span_width)
    gold = _tokens(ids, batch.start - 1, batch.end - 1)
    last = first + span_width
    common = (torch.minimum(last, batch.end - 1) - torch.maximum(first, batch.start - 1) + 1).clamp(min=0)
    f1 = 2 * common / (span_width + 1 + batch.end - batch.start + 1)
    correct = ((predicted == gold).all(1) | (f1 >= Calibration.RIGHT)) & (batch.start > 0)
    return confidence_features(best, null.sum(1)), correct


def _tokens(ids: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The tokens from ``first`` to ``last``, -1 beyond: [B, W]."""
    position = first[:, None] + torch.arange(_WIDTHS, device=ids.device)
    return ids.gather(1, position.clamp(0, ids.shape[1] - 1)).masked_fill(position > last[:, None], -1)


@torch.enable_grad()
def _logistic_regression(x: Tensor, y: Tensor) -> Tensor:
    """Weights of the features and the intercept, by L-BFGS."""
    weights = torch.zeros(x.shape[1] + 1, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x @ weights[:-1] + weights[-1], y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


# --- the no-answer score ---------------------------------------------------------------------------------------


class _Contexts(NamedTuple):
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
        return _Contexts(*(tensor[some] for tensor in self))


def fit_null(
    model: ReaderModel, sampler: Sampler, dtype: torch.dtype, tokens: int, *, seed: int, progress: Progress
) -> dict[str, float]:
    """Fits ``model.null`` and ``model.null_of_span`` on ``tokens`` of new contexts, drawn as the stage draws them; the
    losses before and after, on held-out ones.

    A reader whose weights are an average of two has a no-answer score that was learned on the states of neither.
    Nothing else changes: spans keep their scores. Keeps the pass with the least held-out loss, or the start. Raises
    TrainingError where the contexts are too few.
    """
    progress.start("reading contexts to fit the no-answer score on", tokens, "tokens")
    batches = _collect(model, sampler, dtype, tokens, progress)
    if len(batches) < 2:
        raise TrainingError(
            f"{tokens:,} tokens to fit the no-answer score on are one batch", hint="raise fit_null of the stage"
        )
    count = max(1, round(NullFit.HELD_OUT * len(batches)))
    held_out, train = (_Contexts(*map(torch.cat, zip(*some))) for some in (batches[:count], batches[count:]))
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
