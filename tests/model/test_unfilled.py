"""Building a model without random values."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ragyena.config import ReaderModelConfig
from ragyena.model.checkpoint import load_model, save_checkpoint
from ragyena.model.reader_model import ReaderModel
from ragyena.model.unfilled import fill, unfilled


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


def test_a_loaded_model_keeps_its_weights_when_the_file_is_written_over(tmp_path: Path) -> None:
    layers = {"mixers": ("hyena",), "context_channels": (0,), "selected_tokens": (0,)}
    config = ReaderModelConfig(vocab_size=90, width=48, heads=4, ffn_width=96, **layers)
    save_checkpoint(tmp_path, ReaderModel(config).state_dict(), config, tokenizer=None, card=None, storage="float32")
    model = load_model(ReaderModel, config, tmp_path)
    before = model.span.weight.clone()
    file = tmp_path / "model.safetensors"
    with file.open("r+b") as weights:
        weights.write(bytes(file.stat().st_size))
    assert torch.equal(model.span.weight, before)


def test_filled_parameters_are_shared_where_the_module_shares_them_and_nowhere_else() -> None:
    shared, apart = (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2))
    shared[1].weight = shared[0].weight
    tensor = torch.ones(3, 3)
    for module in (shared, apart):
        fill(module, {"0.weight": tensor, "1.weight": tensor})
        assert torch.equal(module[1].weight, tensor)
    assert shared[0].weight is shared[1].weight
    assert apart[0].weight.data_ptr() != apart[1].weight.data_ptr()
