"""Fits of a trained reader: its confidence (Platt scaling) on held-out questions, and its no-answer score.

Legend: B contexts, P passages, S slot tokens, W span widths, N contexts of a fit, F features.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config import ReaderConfig
from ragyena.config.training import Calibration as Constants
from ragyena.config.training import NullFit
from ragyena.errors import TrainingError
from ragyena.model.confidence import Form, features_of
from ragyena.model.reader_model import Encoded, NullOfSpan, ReaderModel, SpanScores
from ragyena.ops.linear import Linear
from ragyena.reader.calibrating import LEAST_OF_A_SOURCE, Examples, Fit, fit_calibration
from ragyena.train.packed import Batch
from ragyena.train.sampler import Sampler
from ragyena.types import Progress

__all__ = ["calibrate", "fit_null"]

_WIDTHS = ReaderConfig().max_answer_tokens  # tokens of the longest span looked for
_FIRST_STEP = 1 << 40  # of the batches drawn: none that a stage trains on
_PARTS = 5  # of the texts, where there are too few sources to leave one out


class _Judged(NamedTuple):
    """A held-out context that was read."""

    form: Form
    answer: float
    """The log probability of the answer."""
    null: float
    """The probability of there being none."""
    margin: float
    """By how much the best span's log probability exceeds that of the next which does not overlap it."""
    tokens: int
    """The probability of the best span."""
    right: bool
    missing: bool
    question: int


@torch.no_grad()
def calibrate(model: ReaderModel, sampler: Sampler, dtype: torch.dtype, progress: Progress) -> Fit:
    """Fits the confidence to held-out contexts of several sizes, each source of questions left out in turn; where all
    are of one source, each fifth of the texts."""
    judged: list[_Judged] = []
    sizes = sorted({min(passages, sampler.most_passages) for passages in Constants.PASSAGES})
    progress.start("fitting the confidence", len(sizes) * Constants.BATCHES, "batches")
    for passages in sizes:
        for step in range(Constants.BATCHES):
            batch = sampler.held_out_batch(step, passages)
            encoded = model.encode(batch.inputs, dtype=dtype)
            scores = model.span_scores(encoded, batch.inputs.text_mask)
            judged += _judged(model, encoded, scores, batch, sampler.held_out_rows(step, passages))
            progress.advance(1)
    examples = Examples(
        features=[
            features_of(one.form, answer=one.answer, null=one.null, margin=one.margin, tokens=one.tokens)
            for one in judged
        ],
        right=[one.right for one in judged],
        missing=[one.missing for one in judged],
        source=_sources([one.question for one in judged], sampler),
    )
    return fit_calibration(examples, {"contexts": f"held out from training, of {', '.join(map(str, sizes))} passages"})


def _sources(questions: Sequence[int], sampler: Sampler) -> list[str]:
    """The source of each question; small ones are one together."""
    names = sampler.data.source_names
    sources = [names[number] for number in sampler.data["source"][torch.tensor(questions)].tolist()]
    counts = Counter(sources)
    sources = [name if counts[name] >= LEAST_OF_A_SOURCE else "others" for name in sources]
    if len(counts) > 1 and min(Counter(sources).values()) >= LEAST_OF_A_SOURCE:
        return sources
    gold = sampler.data["gold"].long()[torch.tensor(questions)]
    texts = sampler.data["context_of"].long()[gold].tolist()
    order = {text: number for number, text in enumerate(sorted(set(texts)))}
    if len(order) < _PARTS:
        return [f"part {number % _PARTS + 1}" for number in range(len(texts))]
    return [f"part {order[text] * _PARTS // len(order) + 1}" for text in texts]


def _judged(
    model: ReaderModel, encoded: Encoded, scores: SpanScores, batch: Batch, questions: Tensor
) -> Iterator[_Judged]:
    """The contexts of a batch but those that ask for a list, whose confidence is not that of its best span."""
    best, null, margin, tokens, correct = _answers(scores, batch)
    written = (batch.polar == 1) & (model.decoder is not None)
    answer, right = best.clone(), correct.clone()
    if bool(written.any()):
        rows = written.nonzero()[:, 0]
        answer[rows], right[rows] = _first_word(model, encoded, batch, rows)
    kept = (batch.has_span | written) & ((batch.polar != 1) | written) & (batch.more[:, 0, 0] < 0)
    missing = (batch.start == 0) & ~batch.answer_mask.any(1)
    columns = (written, answer.double(), null.double(), margin.double(), tokens, right, missing, questions, kept)
    for is_written, *judged, is_kept in zip(*(column.tolist() for column in columns)):
        if is_kept:
            yield _Judged("written" if is_written else "span", *judged)


def _answers(scores: SpanScores, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """[B] each: the log probability of the best span and of no answer; the margin and the tokens of the best span; and
    whether it is right: its tokens are those of the answer, there or elsewhere, or its place has an F1 of
    ``Calibration.RIGHT`` against it."""
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
    correct = ((predicted == gold).all(1) | (f1 >= Constants.RIGHT)) & (batch.start > 0)
    places = torch.arange(start[0].numel(), device=start.device)
    for width in range(min(_WIDTHS, slot)):
        overlapping = (places <= last[:, None]) & (places + width >= first[:, None])
        joint[width].masked_fill_(overlapping.view_as(start), float("-inf"))
    margin = best - joint.transpose(0, 1).flatten(1).amax(1)
    return best, null.mean(1), margin, span_width + 1, correct


def _first_word(model: ReaderModel, encoded: Encoded, batch: Batch, rows: Tensor) -> tuple[Tensor, Tensor]:
    """For contexts ``rows`` that ask for yes or no, the log probability of the likeliest first token of the decoder,
    and whether it is that of the answer."""
    decoder = model.decoder
    assert decoder is not None
    memory = decoder.memory(encoded.question[rows], encoded.passages[rows], batch.inputs.rows(rows))
    states = decoder.begin(len(rows), memory.ids.device, memory.copy_keys.dtype)
    step, _ = decoder.step(memory.begin_ids, states, memory, model.word.weight)
    copied = torch.zeros_like(step.vocabulary).scatter_add_(1, memory.ids, step.copy)
    gate = step.gate[:, None]
    probability, token = ((1 - gate) * step.vocabulary.exp() + gate * copied).max(1)
    known = batch.answer_mask[rows, 0]
    return probability.clamp(min=1e-9).log(), (token == batch.answer_ids[rows, 0]) & known


def _tokens(ids: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The tokens from ``first`` to ``last``, -1 beyond: [B, W]."""
    position = first[:, None] + torch.arange(_WIDTHS, device=ids.device)
    return ids.gather(1, position.clamp(0, ids.shape[1] - 1)).masked_fill(position > last[:, None], -1)


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
