"""The losses of a reader: gold spans, a teacher's spans and hidden states, evidence, answer modes.

Legend: B contexts, P passages, S slot tokens, T answer tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from ragyena.config.training import Loss
from ragyena.model.reader_model import Encoded, SpanScores
from ragyena.train.packed import Batch
from ragyena.train.ranks import Ranks

__all__ = [
    "HiddenStateLoss",
    "evidence_loss",
    "first_token_loss",
    "list_loss",
    "polar_loss",
    "soft_label_loss",
    "span_loss",
    "teacher_loss",
    "yes_no_loss",
]

_Error: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _flat(scores: SpanScores) -> tuple[Tensor, Tensor]:
    """Start and end scores [B, 1 + P S], null first."""
    start = torch.cat([scores.null[:, :1], scores.start.flatten(1)], 1)
    return start, torch.cat([scores.null[:, 1:], scores.end.flatten(1)], 1)


def span_loss(scores: SpanScores, batch: Batch) -> Tensor:
    """Cross-entropy of start and end, mean over contexts; of a list, to equal shares of its items. Where the answer is
    in the context but is no span, the probability of there being an answer counts."""
    total = scores.null.new_zeros(())
    for place, (logits, target) in enumerate(zip(_flat(scores), (batch.start, batch.end))):
        log_probability = logits.log_softmax(-1)
        targets = torch.cat([target[:, None], batch.more[..., place]], 1)
        is_item = targets >= 0
        known = -(log_probability.gather(1, targets.clamp(min=0)) * is_item).sum(1) / is_item.sum(1)
        held = -torch.log1p(-log_probability[:, 0].exp().clamp(max=1 - Loss.LEAST_ANSWERABLE))
        total = total + torch.where(batch.has_span, known, held).mean()
    return 0.5 * total


def evidence_loss(logits_BPS: Tensor, batch: Batch) -> Tensor:
    """Binary cross-entropy of each token being evidence, where that is known; evidence and the rest weigh the same."""
    known = batch.has_span[:, None, None] & batch.inputs.token_mask
    total = logits_BPS.new_zeros(())
    for mask, sign in ((batch.evidence & known, 1.0), (~batch.evidence & known, -1.0)):
        total = total + (F.softplus(-sign * logits_BPS) * mask).sum() / mask.sum().clamp(min=1)
    return 0.5 * total


def teacher_loss(scores: SpanScores, teacher: SpanScores, batch: Batch, *, everywhere: bool = False) -> Tensor:
    """Kullback-Leibler divergence from the teacher's start and end distributions (that there is no answer included), at
    temperature 2, times 4: over contexts whose answer is a span, or ``everywhere``, of a teacher that reads all."""
    weight = torch.ones_like(batch.has_span, dtype=torch.float) if everywhere else batch.has_span.float()
    total = scores.null.new_zeros(())
    for student_scores, teacher_scores in zip(_flat(scores), _flat(teacher)):
        target = F.log_softmax(teacher_scores / Loss.TEMPERATURE, -1)
        student = F.log_softmax(student_scores / Loss.TEMPERATURE, -1)
        divergence = F.kl_div(student, target, log_target=True, reduction="none").sum(-1)
        total = total + (divergence * weight).sum() / weight.sum().clamp(min=1)
    return 0.5 * Loss.TEMPERATURE**2 * total


class HiddenStateLoss:
    """Mean squared error to the teacher's states, a channel in units of its standard deviation in the first batch."""

    def __init__(self, ranks: Ranks = Ranks(), *, compiled: bool = False) -> None:  # noqa: B008 - frozen
        """``compiled`` runs the error of a layer as one kernel or two, a dozen passes over its states otherwise."""
        self._ranks = ranks
        self._scales: list[dict[str, Tensor]] | None = None
        self._error: _Error = torch.compile(_masked_error, dynamic=False) if compiled else _masked_error

    def __call__(self, student: Sequence[Encoded], teacher: Sequence[Encoded | Tensor], batch: Batch) -> Tensor:
        """Mean over layers (the embeddings are left out) of passage states, and of the question's where the teacher has
        them: a pair reader, of which tensors of passage states are given, has others for each passage."""
        masks = {"question": batch.inputs.question_mask, "passages": batch.inputs.token_mask}
        states = [{"passages": t} if isinstance(t, Tensor) else _parts(t) for t in teacher[1:]]
        if self._scales is None:
            self._scales = [{part: self._scale(t, masks[part]) for part, t in each.items()} for each in states]
        total = student[0].passages.new_zeros((), dtype=torch.float32)
        for mine, theirs, scales in zip(map(_parts, student[1:]), states, self._scales, strict=True):
            for part, share in (("passages", 1.0), ("question", Loss.QUESTION_SHARE)):
                if part in theirs:
                    total = total + share * self._error(mine[part], theirs[part], scales[part], masks[part])
        return total / (len(student) - 1)

    def _scale(self, states: Tensor, mask: Tensor) -> Tensor:
        variance = self._ranks.mean(states[mask].float().var(0))
        return (variance + Loss.VARIANCE_FLOOR * variance.mean()).rsqrt()

    def state(self) -> dict[str, Tensor]:
        """The channel scales, for a run to resume with."""
        return {f"{n}.{part}": t for n, layer in enumerate(self._scales or []) for part, t in layer.items()}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        layers: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            number, part = name.split(".")
            layers.setdefault(int(number), {})[part] = tensor
        if layers:
            self._scales = [layers[number] for number in sorted(layers)]


def _parts(states: Encoded) -> dict[str, Tensor]:
    return {"question": states.question, "passages": states.passages}


def _masked_error(mine: Tensor, theirs: Tensor, scale: Tensor, mask: Tensor) -> Tensor:
    error = ((mine.float() - theirs.float()) * scale).square().mean(-1) * mask
    return error.sum() / mask.sum().clamp(min=1)


def polar_loss(write_logit: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the answer mode: yes/no questions are written, extractive ones are not, others unasked."""
    return _known_loss(write_logit, batch.polar)


def list_loss(list_logit: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of a question asking for a list, over questions of which that is known."""
    return _known_loss(list_logit, batch.listed)


def soft_label_loss(logit_B: Tensor, teacher_B: Tensor) -> Tensor:
    """Cross-entropy to a teacher's probabilities of an answer mode, less that of the teacher itself."""
    target = teacher_B.sigmoid()
    least = F.binary_cross_entropy_with_logits(teacher_B, target)
    return F.binary_cross_entropy_with_logits(logit_B, target) - least


def first_token_loss(log_probability_BV: Tensor, teacher_BV: Tensor, polar_B: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the teacher's distribution of the first written token, over yes/no questions:
    there it is the answer."""
    asked = (polar_B == 1).float()
    divergence = F.kl_div(log_probability_BV, teacher_BV, log_target=True, reduction="none").sum(-1)
    return (divergence * asked).sum() / asked.sum().clamp(min=1)


def yes_no_loss(log_probability_BV: Tensor, words: tuple[int, int], teacher_B: Tensor, polar_B: Tensor) -> Tensor:
    """Kullback-Leibler divergence from a teacher's probability of yes, over yes/no questions, of the first written
    token where it is one of the ``words`` for yes and no."""
    asked = (polar_B == 1).float()
    own = log_probability_BV[:, list(words)].log_softmax(1)
    target = torch.stack([teacher_B, 1 - teacher_B], 1).clamp(min=Loss.LEAST_ANSWERABLE)
    divergence = (target * (target.log() - own)).sum(1)
    return (divergence * asked).sum() / asked.sum().clamp(min=1)


def _known_loss(logit_B: Tensor, label_B: Tensor) -> Tensor:
    known = (label_B >= 0).float()
    loss = F.binary_cross_entropy_with_logits(logit_B, label_B.clamp(min=0), reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)
