"""Calibration: mean confidence equals the share of right answers, and right answers get more of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ragyena.config import ReaderModelConfig, StageConfig
from ragyena.model.reader_model import Encoded, ReaderModel, SpanScores
from ragyena.reader.calibrating import Examples, Fit, fit_calibration
from ragyena.train.calibration import calibrate
from ragyena.train.packed import Batch
from ragyena.train.sampler import Sampler
from ragyena.types import Silent


class Watched(Sampler):
    """Keeps the batches it gave."""

    def held_out_batch(self, step: int, passages: int) -> Batch:
        batch = super().held_out_batch(step, passages)
        self.__dict__.setdefault("given", []).append(batch)
        return batch


class Knowing(ReaderModel):
    """A fake reader that is right more often where its scores are peaked.

    It points at the answer with a strength drawn at random, and at another place with another.
    """

    sampler: Watched

    def __init__(self, config: ReaderModelConfig) -> None:
        super().__init__(config)
        self.right: list[torch.Tensor] = []
        self.generator = torch.Generator().manual_seed(3)

    def span_scores(self, encoded: Encoded, text_mask: torch.Tensor) -> SpanScores:
        batch: Batch = self.sampler.__dict__["given"][-1]
        contexts = text_mask.shape[0]
        start = torch.full(text_mask.shape, -1e4).masked_fill(text_mask, 0.0).flatten(1)
        end = start.clone()
        strength = torch.rand(contexts, 2, generator=self.generator) * torch.tensor([10.0, 6.0]) + 4
        wrong = text_mask.flatten(1).float().argmax(1)  # the first word of the first passage: a name
        rows = torch.arange(contexts)
        known = batch.start > 0
        start[rows[known], (batch.start - 1)[known]] = strength[known, 0]
        end[rows[known], (batch.end - 1)[known]] = strength[known, 0]
        start[rows, wrong] = strength[:, 1]
        end[rows, wrong] = strength[:, 1]
        self.right.append((known & (strength[:, 0] > strength[:, 1]))[batch.has_span])
        return SpanScores(start.view(text_mask.shape), end.view(text_mask.shape), torch.zeros(contexts, 2))


@pytest.fixture
def fitted(
    world: Any,
    stage: Callable[..., StageConfig],
    tiny_model: Callable[..., ReaderModelConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Knowing, Fit, Examples]:
    monkeypatch.setattr("ragyena.config.training.Calibration.BATCHES", 5)
    given: list[Examples] = []

    def watched(examples: Examples, about: Any) -> Fit:
        given.append(examples)
        return fit_calibration(examples, about)

    monkeypatch.setattr("ragyena.train.calibration.fit_calibration", watched)
    torch.manual_seed(0)
    model = Knowing(tiny_model(decoder_layers=0)).eval()
    config = stage(tokens_per_step=6000, unanswerable=0.2)
    model.sampler = Watched(world.data, config, seed=0, question_tokens=world.config.question_tokens)
    return model, calibrate(model, model.sampler, torch.float32, Silent()), given[0]


def test_confidence_is_the_share_of_right_answers_and_tells_them_from_others(
    fitted: tuple[Knowing, Fit, Examples],
) -> None:
    model, fit, examples = fitted
    right = torch.cat(model.right).numpy()
    assert fit.calibration.fitted["questions"] == len(right) > 100
    assert 0.2 < right.mean() < 0.8
    # a place that is drawn for the wrong answer may be right by chance
    assert np.mean(np.array(examples.right) == right) > 0.95
    assert not np.any(right & np.array(examples.missing))
    confidence = np.array([fit.calibration.confidence(one) for one in examples.features])
    assert confidence.min() >= 0 and confidence.max() <= 1
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.03)
    assert confidence[right].mean() > confidence[~right].mean() + 0.05


def test_each_part_of_the_held_out_texts_is_left_out(fitted: tuple[Knowing, Fit, Examples]) -> None:
    _, fit, _ = fitted
    assert len(fit.left_out) == len(fit.pooled) > 1
    assert sum(one.n for one in fit.left_out) == fit.calibration.fitted["questions"]
    assert fit.mean("calibration_error") < 0.25
    assert [one["source"] for one in fit.calibration.fitted["left_out"]] == [one.source for one in fit.left_out]
