"""Selected attention: every token and the question attend to a few tokens of the whole context."""

from __future__ import annotations

import pytest
import torch

from ragyena.config import ReaderModelConfig
from ragyena.errors import ConfigError
from ragyena.model.inputs import ReaderInput
from ragyena.model.mixers import check_mixers
from ragyena.model.reader_model import ReaderModel

B, Q, P, S = 2, 6, 3, 10


def model(selected: int) -> ReaderModel:
    torch.manual_seed(0)
    config = ReaderModelConfig(
        vocab_size=50, width=24, heads=4, ffn_width=32, mixers=("hyena",) * 2, context_channels=(0, 0),
        selected_tokens=(0, selected), near_taps=2, filter_width=8, filter_bands=4, max_slot_tokens=16,
        max_question_tokens=8, decoder_layers=0,
    )  # fmt: skip
    made = ReaderModel(config).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def context() -> ReaderInput:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(B, P, S, dtype=torch.bool)
    mask[..., -2:] = False
    question = torch.randint(5, 50, (B, Q), generator=generator)
    return ReaderInput(
        question, torch.ones_like(question).bool(), torch.randint(5, 50, (B, P, S), generator=generator), mask, mask
    )


@torch.no_grad()
def test_passages_are_joined_by_selected_tokens_alone() -> None:
    for selected, joined in ((0, False), (4, True)):
        reader, inputs = model(selected), context()
        before = reader.encode(inputs)
        inputs.token_ids[:, 1] = 7
        after = reader.encode(inputs)
        other = (before.passages[:, [0, 2]] - after.passages[:, [0, 2]]).abs().max()
        question = (before.question - after.question).abs().max()
        assert (float(other) > 1e-4) is joined and (float(question) > 1e-4) is joined


@torch.no_grad()
def test_padding_is_never_selected() -> None:
    reader, inputs = model(64), context()  # more than there are tokens
    before = reader.encode(inputs)
    inputs.token_ids[..., -2:] = 9
    after = reader.encode(inputs)
    real = inputs.token_mask
    assert torch.allclose(before.passages[real], after.passages[real], atol=1e-5)
    assert torch.allclose(before.question, after.question, atol=1e-5)


@torch.no_grad()
def test_the_order_of_passages_changes_nothing_but_the_order() -> None:
    reader, inputs = model(5), context()
    order = torch.tensor([2, 0, 1])
    moved = ReaderInput(
        inputs.question_ids, inputs.question_mask, inputs.token_ids[:, order], inputs.token_mask[:, order],
        inputs.text_mask[:, order],
    )  # fmt: skip
    one, other = reader.encode(inputs), reader.encode(moved)
    assert torch.allclose(one.passages[:, order], other.passages, atol=1e-5)
    assert torch.allclose(one.question, other.question, atol=1e-5)


def test_the_evidence_score_learns_from_the_answer() -> None:
    reader, inputs = model(5), context()
    encoded = reader.encode(inputs)
    scores = reader.span_scores(encoded, inputs.text_mask)
    scores.start[:, 0, 0].sum().backward()  # type: ignore[no-untyped-call]
    gradient = reader.evidence["1"].weight.grad
    assert gradient is not None and float(gradient.abs().max()) > 0


def test_selection_is_for_hyena_layers() -> None:
    with pytest.raises(ConfigError, match="selected_tokens of layer 5"):
        check_mixers(ReaderModelConfig(mixers=("attention",) * 6, selected_tokens=(0, 0, 0, 0, 0, 8)))
    with pytest.raises(ValueError, match="selected_tokens has 2"):
        ReaderModelConfig(selected_tokens=(0, 8))
