"""A small reader that takes passages as rows, and batches for it."""

from __future__ import annotations

import torch

from ragyena.config import ReaderModelConfig
from ragyena.model.inputs import ReaderInput
from ragyena.model.reader_model import ReaderModel


def rows_model() -> ReaderModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": 90, "width": 48, "heads": 4, "ffn_width": 96, "null_width": 16, "decoder_layers": 0}
    selecting = {"mixers": ("hyena",) * 3, "context_channels": (0, 0, 0), "selected_tokens": (0, 6, 0)}
    model = ReaderModel(ReaderModelConfig(**sizes, **selecting, max_slot_tokens=40, lists=False)).eval()
    for parameter in model.parameters():  # filters and heads that start at zero as well
        torch.nn.init.normal_(parameter, std=0.5)
    return model.requires_grad_(False)


def rows_batch(lengths: list[list[int]], slot: int) -> ReaderInput:
    generator = torch.Generator().manual_seed(1)
    shape = (len(lengths), len(lengths[0]), slot)
    token_mask = torch.arange(slot) < torch.tensor(lengths)[..., None]
    token_ids = torch.randint(1, 90, shape, generator=generator) * token_mask
    question_ids = torch.randint(1, 90, (shape[0], 9), generator=generator)
    question_mask = torch.arange(9) < torch.tensor([[9], [6]])[: shape[0]]
    return ReaderInput(question_ids, question_mask, token_ids, token_mask, token_mask)
