"""Calibrated confidence (Platt scaling): the probability that an answer is right, fitted on held-out questions.

Legend: B contexts, P passages, S slot tokens, W span widths.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ragyena.config import ReaderConfig
from ragyena.config.training import Calibration
from ragyena.model.reader_model import ReaderModel, SpanScores, confidence_features
from ragyena.train.packed import Batch
from ragyena.train.sampler import Sampler
from ragyena.types import Progress

__all__ = ["calibrate"]

_WIDTHS = ReaderConfig().max_answer_tokens  # tokens of the longest span looked for


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
            kept = batch.has_span & (batch.polar != 1)
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
    """The features of ``ReaderModel.confidence`` [B, 2], and whether the best span has the answer's tokens [B]."""
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
    correct = (predicted == gold).all(1) & (batch.start > 0)
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
