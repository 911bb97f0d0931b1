"""Tuning lowers the loss, leaves frozen weights alone, and keeps the states of frozen layers exactly."""

from __future__ import annotations

import random

import pytest
import torch

from ragyena import recipes
from ragyena.config import ReaderModelConfig, TuneConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import TrainingError
from ragyena.model.reader_model import ReaderModel
from ragyena.tune.contexts import Example, batch_of, make_examples
from ragyena.tune.fit import Tuner
from ragyena.tune.sample import load_sample
from ragyena.types import Silent

CONFIG = TuneConfig(epochs=3, rate=3e-3, tokens_per_step=2048, negatives=1, averages=(0.5, 1.0))


def make_model() -> ReaderModel:
    torch.manual_seed(0)
    config = ReaderModelConfig(
        width=32, heads=4, ffn_width=64, mixers=("hyena",) * 2, context_channels=(0, 0), selected_tokens=(0, 8),
        decoder_layers=1, lists=True,
    )  # fmt: skip
    return ReaderModel(config)


def some_examples(count: int) -> list[Example]:
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    chosen = random.Random(0).sample(load_sample().train, count)
    made, _ = make_examples(chosen, tokenizer, CONFIG, header_tokens=8, max_question_tokens=128, unanswerable=True)
    return made


class Watched(Silent):
    """Counts tokens; interrupts after as many notes as ``notes`` says."""

    def __init__(self, notes: int = 99, stop: bool = False) -> None:
        self.notes, self.stop, self.tokens, self.total = notes, stop, 0, 0

    def start(self, description: str, total: int | None, unit: str) -> None:
        self.total = max(self.total, total or 0) if unit == "tokens" else self.total

    def advance(self, amount: int, status: str = "") -> None:
        self.tokens += amount if status.startswith("loss") else 0
        if self.notes <= 0:
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        self.notes -= 1


def test_it_learns_and_leaves_the_rest_alone() -> None:
    model, examples = make_model(), some_examples(12)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    watched = Watched()
    fitted = Tuner(model, CONFIG, torch.float32, watched).fit(
        examples[:8], examples[8:10], examples[:8], examples[8:10]
    )
    assert fitted.loss_after < fitted.loss_before and fitted.average in CONFIG.averages and not fitted.interrupted
    assert fitted.tokens == watched.tokens == watched.total
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert {"layers.1.ffn.expand.weight", "span.weight", "null.bias", "evidence.1.weight"} <= changed
    frozen = ("layers.0.", "word.", "segment.", "slot_position.", "question_position.", "match", "embedding_norm.")
    assert not [name for name in changed if name.startswith(frozen) or "passage_filter" in name]


def test_kept_states_are_those_of_the_whole_model() -> None:
    model, examples = make_model().eval(), some_examples(4)
    tuner = Tuner(model, CONFIG, torch.float32, Silent())
    batch = batch_of(examples)
    whole = model.encode(batch.inputs)
    for _ in range(2):  # computed, then kept
        entering = tuner._entering(examples, batch)
        (kept,) = model.encode_from(tuner.first, entering, batch.inputs)
        mask = batch.inputs.token_mask
        torch.testing.assert_close(kept.passages[mask], whole.passages[mask], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(kept.question[:, 0], whole.question[:, 0], atol=1e-5, rtol=1e-4)


def test_an_interrupt_keeps_the_best_epoch_or_the_start() -> None:
    for notes, moved in ((1, True), (0, False)):
        model, examples = make_model(), some_examples(6)
        before = model.span.weight.detach().clone()
        fitted = Tuner(model, CONFIG, torch.float32, Watched(notes)).fit(examples, [], examples, [])
        assert fitted.interrupted and fitted.average == 1.0
        assert torch.equal(model.span.weight, before) != moved
        assert (fitted.loss_after < fitted.loss_before) == moved


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    model, examples = make_model(), some_examples(4)
    with torch.no_grad():
        model.span.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite"):
        Tuner(model, CONFIG, torch.float32, Silent()).fit(examples, [], examples, [])
