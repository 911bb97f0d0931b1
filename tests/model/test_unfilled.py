"""Building a model without random values."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ragyena.config import ReaderModelConfig
from ragyena.model.checkpoint import load_model, save_checkpoint
from ragyena.model.reader_model import ReaderModel
from ragyena.model.unfilled import unfilled


def _layers() -> list[nn.Module]:
    layers = [nn.Linear(4, 3), nn.Embedding(5, 2), nn.LayerNorm(6)]
    nn.init.normal_(layers[0].weight)
    torch.empty(3).normal_(std=2.0)
    return layers


def test_nothing_is_drawn_and_constants_are_set() -> None:
    before = torch.get_rng_state()
    with unfilled():
        norm = _layers()[2]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(norm.weight, torch.ones(6)) and torch.equal(norm.bias, torch.zeros(6))
    _layers()
    assert not torch.equal(torch.get_rng_state(), before)


def test_a_loaded_model_has_the_weights_of_its_file(tmp_path: Path) -> None:
    sizes = {"vocab_size": 90, "width": 48, "heads": 4, "ffn_width": 96, "null_width": 16, "decoder_layers": 1}
    layers = {"mixers": ("hyena", "attention"), "context_channels": (0, 0), "selected_tokens": (0, 0)}
    config = ReaderModelConfig(**sizes, **layers)
    state = ReaderModel(config).state_dict()
    save_checkpoint(tmp_path, state, config, tokenizer=None, card=None, storage="float32")
    loaded = load_model(ReaderModel, config, tmp_path).state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
