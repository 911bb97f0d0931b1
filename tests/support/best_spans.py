"""The best spans of contexts from log probabilities, by both steps that a reader takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.model.reader_model import SpanScores
from ragyena.reader.device_steps import Found, ToFind, find
from ragyena.reader.extraction import PieceNumbers, ScoredSpan, likeliest_passages, spans_apart
from ragyena.types import Context


def best_spans_of_batch(
    start_BPS: Tensor, end_BPS: Tensor, contexts: Sequence[Context], *, max_tokens: int, count: int
) -> list[tuple[list[ScoredSpan], npt.NDArray[np.float32]]]:
    """For each context at most ``count`` spans that do not overlap, best first, and each slot's best score [P]."""
    slot = start_BPS.shape[2]
    text_mask = np.zeros(start_BPS.shape, np.bool_)
    for row, context in enumerate(contexts):
        text_mask[row, : context.text_mask.shape[0], : context.text_mask.shape[1]] = context.text_mask
    mask = torch.from_numpy(text_mask)
    likeliest = likeliest_passages(start_BPS, end_BPS, mask)
    pieces = [PieceNumbers(context, slot).of(rows) for context, rows in zip(contexts, likeliest.tolist())]
    scores = SpanScores(start_BPS, end_BPS, torch.zeros(len(contexts), 2))
    given = ToFind(scores, start_BPS, end_BPS, mask, likeliest, torch.from_numpy(np.stack(pieces)))
    shape = (start_BPS.shape[1], slot)
    return [
        (
            spans_apart(found.scores, found.places, found.more, context, slot, count),
            found.slot_scores[: len(context.passages)].astype(np.float32),
        )
        for context, found in zip(contexts, Found.of(find(given, max_tokens=max_tokens, count=count), shape))
    ]
