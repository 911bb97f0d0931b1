"""The registries of mixers: any depth, errors that name the mixer, and a causal mixer of one's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ragyena.config import CausalModelConfig, ReaderModelConfig
from ragyena.errors import CheckpointError, ConfigError
from ragyena.model.checkpoint import load_config, save_checkpoint
from ragyena.model.inputs import ContextShape
from ragyena.model.language_model import CausalLM
from ragyena.model.mixers import CAUSAL_MIXERS, READER_MIXERS, check_mixers
from ragyena.model.mixers.base import CausalMixer, matrix_entries, parameter_groups
from ragyena.model.reader_model import ReaderModel
from ragyena.ops.hyena import DecodingState
from ragyena.ops.linear import Linear

TINY = {"vocab_size": 50, "width": 24, "heads": 4, "ffn_width": 48, "filter_width": 8, "filter_bands": 4}


@pytest.mark.parametrize("mixer", list(READER_MIXERS))
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_reader_may_have_any_depth(mixer: str, depth: int) -> None:
    config = ReaderModelConfig.model_validate({"mixers": [mixer] * depth, **TINY})
    assert config.context_channels == (0,) * depth
    assert config == ReaderModelConfig.model_validate({**config.model_dump(), "context_channels": []})
    model = ReaderModel(config)
    assert len(model.layers) == depth and model.flops(ContextShape(8, 4, 16)) > 0


def test_a_mixer_checks_the_settings_of_its_own_layers() -> None:
    narrow = {"width": 24, "heads": 4, "context_channels": [0, 25]}
    with pytest.raises(ConfigError, match="context_channels of layer 1: 25 of 24 channels"):
        ReaderModel(ReaderModelConfig.model_validate({**narrow, "mixers": ["hyena"] * 2}))
    check_mixers(ReaderModelConfig.model_validate({**narrow, "mixers": ["hyena", "attention"]}))


def test_a_checkpoint_of_an_unknown_mixer_is_named(tmp_path: Path) -> None:
    config = ReaderModelConfig(mixers=("hyena",))
    save_checkpoint(tmp_path, {"a": torch.zeros(2)}, config, tokenizer=None, card=None, storage="float32")
    assert load_config(tmp_path) == config
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"mixers": ["hyenna"]}))
    with pytest.raises(CheckpointError, match="unknown mixer 'hyenna' of a reader; known: hyena, attention, local"):
        load_config(tmp_path)


def test_a_mixer_without_its_flops_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    incomplete = type("Incomplete", (RunningMean,), {"flops": CausalMixer.flops})
    monkeypatch.setitem(CAUSAL_MIXERS, "incomplete", incomplete)
    with pytest.raises(TypeError, match="flops"):
        CausalLM(CausalModelConfig(width=24, depth=1, heads=4, mixers=("incomplete",)))


@dataclass
class Sums(DecodingState):
    """The sum of the past of each sequence, and its length."""

    SEQUENCES = {"total": 0}  # noqa: RUF012 - a constant

    total: Tensor
    length: int


class RunningMean(CausalMixer):
    """The mean of all positions so far."""

    def __init__(self, config: CausalModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.out_proj = Linear(config.width, config.width)

    def forward(self, x_BLD: Tensor, shared: Tensor | None = None) -> Tensor:
        count_L1 = torch.arange(1, x_BLD.shape[1] + 1, device=x_BLD.device)[:, None]
        return self.out_proj(x_BLD.cumsum(1) / count_L1)

    def prefill(self, x_BLD: Tensor, steps: int | None) -> tuple[Tensor, Sums]:
        return self(x_BLD), Sums(x_BLD.sum(1), x_BLD.shape[1])

    def step(self, x_BD: Tensor, state: Sums) -> tuple[Tensor, Sums]:
        state.total, state.length = state.total + x_BD, state.length + 1
        return self.out_proj(state.total / state.length), state

    def flops(self, length: int) -> float:
        return 2.0 * matrix_entries(self)


def test_a_new_causal_mixer_trains_and_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CAUSAL_MIXERS, "mean", RunningMean)
    torch.manual_seed(0)
    config = CausalModelConfig(vocab_size=61, width=24, depth=2, ffn_width=48, heads=4, mixers=("mean", "attention"))
    model = CausalLM(config)
    ids = torch.randint(61, (2, 20))
    model.loss(ids).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert parameter_groups(model)["backbone.layers.0.mixer.out_proj.weight"] == "matrix"
    whole = model(ids)
    logits, state = model.prefill(ids[:, :12], 8)
    copy = state.clone()
    for position in range(12, 20):
        assert torch.allclose(logits, whole[:, position - 1], atol=1e-5)
        logits, state = model.step(ids[:, position], state)
    swapped, _ = model.step(ids[[1, 0], 12], copy.select(torch.tensor([1, 0])))
    assert torch.allclose(swapped, whole[[1, 0], 12], atol=1e-5)
    assert model.flops(20) == 2 * (24**2 + 4 * 24**2 + 2 * 2 * 24 * 48 + 64 * 24) + 2 * 20 * 24
