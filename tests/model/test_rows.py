"""Reading passages as rows, without padding, against reading them padded."""

from __future__ import annotations

import pytest
import torch
from small_rows import rows_batch, rows_model

from ragyena.errors import MissingDependencyError
from ragyena.model.inputs import ReaderInput
from ragyena.model.reader_model import Encoded, ReaderModel
from ragyena.model.rows import row_layout
from ragyena.ops.linear import Linear


def _padded(model: ReaderModel, batch: ReaderInput) -> Encoded:
    return list(model.encode_layers(batch))[-1]


@pytest.mark.parametrize(
    "lengths", [[[20, 7, 13]], [[20, 20, 20]], [[3, 20, 1], [20, 2, 11]], [[5, 0, 20], [1, 1, 0]], [[1, 1, 0]]]
)
@pytest.mark.parametrize("laid_out", [False, True])
def test_rows_give_the_states_and_scores_of_padded_passages(lengths: list[list[int]], laid_out: bool) -> None:
    model, batch = rows_model(), rows_batch(lengths, 20)
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
