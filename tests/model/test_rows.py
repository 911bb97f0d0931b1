"""Reading passages as rows, without padding, against reading them padded."""

from __future__ import annotations

import pytest
import torch

from ragyena.config import ReaderModelConfig
from ragyena.errors import MissingDependencyError
from ragyena.model.inputs import ReaderInput
from ragyena.model.reader_model import Encoded, ReaderModel
from ragyena.model.rows import row_layout
from ragyena.ops.linear import Linear


def _model() -> ReaderModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": 90, "width": 48, "heads": 4, "ffn_width": 96, "null_width": 16, "decoder_layers": 0}
    selecting = {"mixers": ("hyena",) * 3, "context_channels": (0, 0, 0), "selected_tokens": (0, 6, 0)}
    model = ReaderModel(ReaderModelConfig(**sizes, **selecting, max_slot_tokens=40, lists=False)).eval()
    for parameter in model.parameters():  # filters and heads that start at zero as well
        torch.nn.init.normal_(parameter, std=0.5)
    return model.requires_grad_(False)


def _batch(lengths: list[list[int]], slot: int) -> ReaderInput:
    generator = torch.Generator().manual_seed(1)
    shape = (len(lengths), len(lengths[0]), slot)
    token_mask = torch.arange(slot) < torch.tensor(lengths)[..., None]
    token_ids = torch.randint(1, 90, shape, generator=generator) * token_mask
    question_ids = torch.randint(1, 90, (shape[0], 9), generator=generator)
    question_mask = torch.arange(9) < torch.tensor([[9], [6]])[: shape[0]]
    return ReaderInput(question_ids, question_mask, token_ids, token_mask, token_mask)


def _padded(model: ReaderModel, batch: ReaderInput) -> Encoded:
    return list(model.encode_layers(batch))[-1]


@pytest.mark.parametrize(
    "lengths", [[[20, 7, 13]], [[20, 20, 20]], [[3, 20, 1], [20, 2, 11]], [[5, 0, 20], [1, 1, 0]], [[1, 1, 0]]]
)
@pytest.mark.parametrize("laid_out", [False, True])
def test_rows_give_the_states_and_scores_of_padded_passages(lengths: list[list[int]], laid_out: bool) -> None:
    model, batch = _model(), _batch(lengths, 20)
    with torch.inference_mode():
        expected = _padded(model, batch)
        scores = model.span_scores(expected, batch.text_mask)
        if laid_out:
            model.prepare_cpu()
        encoded = model.encode(batch)
        got = model.span_scores(encoded, batch.text_mask)
    torch.testing.assert_close(
        encoded.passages[batch.token_mask], expected.passages[batch.token_mask], rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        encoded.question[batch.question_mask], expected.question[batch.question_mask], rtol=1e-4, atol=1e-4
    )
    for one, other in ((got.start, scores.start), (got.end, scores.end), (got.null, scores.null)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_gap_stands_between_runs_of_tokens() -> None:
    mask = torch.tensor([[[1, 1, 0, 1], [1, 1, 1, 1]]], dtype=torch.bool)
    layout = row_layout(mask)
    rows = layout.take(torch.arange(8).view(1, 2, 4)).index_fill(0, layout.gaps, -1)
    assert rows[:10].tolist() == [0, 1, -1, 3, -1, 4, 5, 6, 7, -1]
    assert set(rows[10:].tolist()) == {-1}
    assert layout.passages(rows[:, None])[..., 0].tolist() == [[[0, 1, -1, 3], [4, 5, 6, 7]]]


def test_the_product_of_another_backend_is_refused() -> None:
    with pytest.raises(MissingDependencyError, match="linear has no backend 'onnx'"):
        Linear(4, 4).prepare_cpu(backend="onnx")
