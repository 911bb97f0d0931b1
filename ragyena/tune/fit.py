"""Fine-tuning of a reader's upper layers on a CPU: what stays frozen is computed once, and no step waits for it.

The states that enter the first trained layer are kept for every context, in the dtype of the activations (768 bytes a
token for the shipped reader in bfloat16). Contexts of like shape stand in one batch, so that little of it is padding.

Legend: B contexts, Q question tokens, P passages, S slot tokens, D width.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from ragyena.config import TuneConfig
from ragyena.config.training import Loss
from ragyena.errors import TrainingError
from ragyena.model.mixers.base import parameter_groups
from ragyena.model.reader_model import Encoded, ReaderModel
from ragyena.train.objectives import evidence_loss, list_loss, polar_loss, span_loss
from ragyena.train.packed import Batch
from ragyena.tune.contexts import Example, batch_of
from ragyena.types import Progress

__all__ = ["Fitted", "Tuner"]

_CLIP = 1.0  # of the gradient's norm
_SAMPLE_WEIGHT = 0.5  # of the loss on the shipped sample beside that on one's own questions, for the choice
_SPAN_WEIGHT, _WRITE_WEIGHT, _EVIDENCE_WEIGHT = 1.0, 0.2, 0.2  # as at the end of a reader's training


@dataclass(frozen=True, slots=True)
class Fitted:
    """The outcome of a fit."""

    average: float
    """Share of the tuned weights in the result; the rest are those at the start."""
    loss_before: float
    loss_after: float
    """Loss of the validation questions (half of it that of the shipped sample's) at the start and in the result."""
    tokens: int
    """Tokens of training, padding included."""
    seconds: float
    """Seconds of training steps, the states of frozen layers included."""
    interrupted: bool

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / max(self.seconds, 1e-9)


class Tuner:
    """Tunes ``model``, which stays in fp32, with activations in ``dtype``."""

    def __init__(self, model: ReaderModel, config: TuneConfig, dtype: torch.dtype, progress: Progress) -> None:
        self.model, self.config, self.dtype, self.progress = model, config, dtype, progress
        layers = len(model.layers)
        self.first = min(round(config.frozen_layers * layers), layers - 1)
        self.kept: dict[int, Encoded] = {}  # by the id of an example, a batch of one
        self.trained = self._trainable()
        self.start = {name: parameter.detach().clone() for name, parameter in self.trained.items()}
        self.tokens, self.seconds = 0, 0.0

    def _trainable(self) -> dict[str, nn.Parameter]:
        """The parameters of the upper layers and heads, but for filters, and the decoder's; the others are frozen."""
        group_of = parameter_groups(self.model)
        layers = tuple(f"layers.{index}." for index in range(self.first, len(self.model.layers)))
        heads = ("span.", "null.", "null_of_span.", "mode.", "list_mode.", "decoder.")
        late = tuple(f"evidence.{index}." for index in self.model.config.selecting_layers if index >= self.first)
        chosen = {}
        for name, parameter in self.model.named_parameters():
            trained = name.startswith((*layers, *heads, *late)) and group_of[name] != "filter"
            parameter.requires_grad_(trained)
            if trained:
                chosen[name] = parameter
        return chosen

    def fit(
        self,
        train: Sequence[Example],
        replay: Sequence[Example],
        validation: Sequence[Example],
        sample: Sequence[Example],
    ) -> Fitted:
        """Trains on ``train`` and ``replay``; leaves in the model the average of the start and the best epoch that is
        best on ``validation`` and on the shipped ``sample``. An interrupt (Ctrl-C) ends it with the best epoch so far.
        """
        everything = [*train, *replay]
        total = self.config.epochs * sum(example.tokens for example in everything)
        before = self._validate(validation, sample)
        best, best_state = math.inf, dict(self.start)
        optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.trained.values() if p.ndim > 1], "weight_decay": self.config.weight_decay},
                {"params": [p for p in self.trained.values() if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=self.config.rate,
            betas=(0.9, 0.98),
        )
        self.progress.start("tuning", total, "tokens")
        interrupted = False
        try:
            for epoch in range(self.config.epochs):
                self._epoch(everything, epoch, total, optimizer)
                loss = self._validate(validation, sample)
                self.progress.note(
                    f"epoch {epoch + 1} of {self.config.epochs}: loss of the validation questions {loss:.3f} "
                    f"(at the start {before:.3f})"
                )
                if loss < best:
                    best, best_state = loss, self._copy()
        except KeyboardInterrupt:
            interrupted = True
        average, after = self._average(best_state, validation, sample, interrupted=interrupted, known=best)
        return Fitted(average, before, after, self.tokens, self.seconds, interrupted)

    # -- steps ---------------------------------------------------------------------------------------------------

    def _epoch(self, examples: Sequence[Example], epoch: int, total: int, optimizer: torch.optim.Optimizer) -> None:
        self.model.train()
        for some in self._batches(examples, shuffle=self.config.seed + epoch):
            began = time.monotonic()
            batch = batch_of(some)
            loss = self._loss(batch, self._entering(some, batch))
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.trained.values(), _CLIP)
            for group in optimizer.param_groups:
                group["lr"] = self.config.rate * self._multiplier(self.tokens / total)
            optimizer.step()
            optimizer.zero_grad()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingError("the loss is not finite", hint="lower the rate: --set rate=1e-4")
            self.seconds += time.monotonic() - began
            done = sum(example.tokens for example in some)
            self.tokens += done
            self.progress.advance(done, f"loss {value:.2f}")

    def _multiplier(self, done: float) -> float:
        warm = min(1.0, (done + 1e-3) / self.config.warmup) if self.config.warmup else 1.0
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))

    def _batches(self, examples: Sequence[Example], *, shuffle: int | None) -> Iterator[list[Example]]:
        """Examples of like shape together, as many as ``tokens_per_step`` holds."""
        chooser = random.Random(shuffle)
        order = list(examples)
        if shuffle is not None:
            chooser.shuffle(order)
        order.sort(key=lambda one: one.context.token_ids.shape[::-1])  # stable: equal shapes stay shuffled
        batches: list[list[Example]] = []
        for one in order:
            some = [*batches[-1], one] if batches else []
            if some and len(some) * max(each.tokens for each in some) <= self.config.tokens_per_step:
                batches[-1].append(one)
            else:
                batches.append([one])
        if shuffle is not None:
            chooser.shuffle(batches)
        yield from batches

    def _loss(self, batch: Batch, entering: Encoded) -> Tensor:
        """The loss of a reader's training without teachers."""
        states = [entering, *self.model.encode_from(self.first, entering, batch.inputs)]
        last = states[-1]
        loss = _SPAN_WEIGHT * span_loss(self.model.span_scores(last, batch.inputs.text_mask), batch)
        if self.model.decoder is not None:
            loss = loss + Loss.POLAR_WEIGHT * polar_loss(self.model.write_logit(last), batch)
        if self.model.config.lists:
            loss = loss + Loss.LIST_WEIGHT * list_loss(self.model.list_logit(last), batch)
        late = [index for index in self.model.config.selecting_layers if index >= self.first]
        if late:
            each = [
                evidence_loss(self.model.evidence_scores(index, states[index - self.first].passages), batch)
                for index in late
            ]
            loss = loss + _EVIDENCE_WEIGHT * torch.stack(each).mean()
        if self.model.decoder is not None and bool(batch.answer_mask.any()):
            some = batch.answer_mask.any(1).nonzero()[:, 0]
            loss = loss + _WRITE_WEIGHT * self.model.decoder.loss(
                batch.answer_ids[some],
                batch.answer_mask[some],
                last.question[some],
                last.passages[some],
                batch.inputs.rows(some),
                self.model.word.weight,
            )
        return loss

    # -- the frozen layers ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def _entering(self, examples: Sequence[Example], batch: Batch) -> Encoded:
        """The states that enter the first trained layer, padded to the batch's shape; computed at their first use."""
        new = [example for example in examples if id(example) not in self.kept]
        if new:
            inputs = batch.inputs if len(new) == len(examples) else batch_of(new).inputs
            states = next(islice(self.model.encode_layers(inputs, dtype=self.dtype), self.first, None))
            for row, example in enumerate(new):
                context = example.context
                passages, slot = context.token_ids.shape
                self.kept[id(example)] = Encoded(
                    states.question[row, : len(context.question_ids)].clone(),
                    states.passages[row, :passages, :slot].clone(),
                )
        width = self.model.config.width
        question = torch.zeros(*batch.inputs.question_ids.shape, width, dtype=self.dtype)
        passages_BPSD = torch.zeros(*batch.inputs.token_ids.shape, width, dtype=self.dtype)
        for row, example in enumerate(examples):
            one = self.kept[id(example)]
            question[row, : one.question.shape[0]] = one.question
            passages_BPSD[row, : one.passages.shape[0], : one.passages.shape[1]] = one.passages
        return Encoded(question, passages_BPSD)

    # -- the choice ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _validate(self, validation: Sequence[Example], sample: Sequence[Example]) -> float:
        """The loss of the validation questions, and of the shipped sample's with its weight."""
        self.model.eval()
        weights = (1.0, _SAMPLE_WEIGHT)
        sums = [(weight, self._mean_loss(some)) for weight, some in zip(weights, (validation, sample)) if some]
        return sum(weight * loss for weight, loss in sums) / sum(weight for weight, _ in sums)

    def _mean_loss(self, examples: Sequence[Example]) -> float:
        total = 0.0
        for some in self._batches(examples, shuffle=None):
            batch = batch_of(some)
            total += len(some) * float(self._loss(batch, self._entering(some, batch)).detach())
        return total / len(examples)

    def _copy(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.trained.items()}

    @torch.no_grad()
    def _average(
        self,
        tuned: Mapping[str, Tensor],
        validation: Sequence[Example],
        sample: Sequence[Example],
        *,
        interrupted: bool,
        known: float,
    ) -> tuple[float, float]:
        """Leaves in the model the best average of start and ``tuned``: its share of the latter, and its loss. After an
        interrupt ``tuned`` itself, whose loss is ``known``."""
        losses: dict[float, float] = {1.0: known} if interrupted else {}
        if not interrupted:
            self.progress.start("choosing the average of start and end", len(self.config.averages), "averages")
        for share in () if interrupted else self.config.averages:
            self._put(tuned, share)
            losses[share] = known if share == 1.0 else self._validate(validation, sample)
            self.progress.advance(1)
        best = min(losses, key=lambda share: losses[share])
        self._put(tuned, best)
        self.model.eval()
        return best, losses[best]

    def _put(self, tuned: Mapping[str, Tensor], share: float) -> None:
        for name, parameter in self.trained.items():
            parameter.copy_(self.start[name].lerp(tuned[name], share))
