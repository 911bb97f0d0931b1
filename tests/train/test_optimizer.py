"""The schedule, Muon's orthogonal updates, and a state that a run resumes with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ragyena.config import OptimizerConfig, ReaderModelConfig
from ragyena.model.mixers.base import parameter_groups
from ragyena.model.reader_model import ReaderModel
from ragyena.train.optimizer import ReaderOptimizer, schedule

Models = Callable[..., ReaderModelConfig]
CONFIG = OptimizerConfig(muon_rate=1e-2, adamw_rate=1e-3, weight_decay=0.0)


def model(config: ReaderModelConfig) -> ReaderModel:
    torch.manual_seed(0)
    return ReaderModel(config.model_copy(update={"vocab_size": 50}))


def give_gradients(net: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=generator)


def snapshot(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in net.named_parameters()}


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    config = OptimizerConfig(warmup=0.1, final=0.02)
    rates = [schedule(i / 1000, config) for i in range(1001)]
    peak = rates.index(max(rates))
    assert 95 <= peak <= 105 and max(rates) > 0.95
    assert 0 < rates[0] < 0.01
    assert rates[:95] == sorted(rates[:95])
    assert rates[105:] == sorted(rates[105:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)
    assert schedule(0.5, config) == pytest.approx(0.51)


@given(st.floats(0, 2), st.floats(0, 1), st.floats(0, 1))
def test_the_multiplier_stays_between_nothing_and_the_peak(fraction: float, warmup: float, final: float) -> None:
    assert 0 <= schedule(fraction, OptimizerConfig(warmup=warmup, final=final)) <= 1 + 1e-12


def test_without_warm_up_the_peak_comes_first() -> None:
    assert schedule(0.0, OptimizerConfig(warmup=0.0)) == 1.0


def test_adamw_may_step_the_matrices_too(tiny_model: Models) -> None:
    net, other = model(tiny_model()), model(tiny_model())
    rates: dict[str, Any] = {"adamw_rate": 1e-3, "embedding_rate": 1e-3, "weight_decay": 0.0}
    optimizer = ReaderOptimizer(net, OptimizerConfig(matrices="adamw", muon_rate=0.5, **rates))
    plain = torch.optim.AdamW(other.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0)
    for seed in range(2):
        for each in (net, other):
            give_gradients(each, seed)
        optimizer.step(1.0)
        plain.step()
    assert not optimizer.matrices
    assert all(torch.allclose(one, snapshot(other)[name]) for name, one in snapshot(net).items())
    again = ReaderOptimizer(model(tiny_model()), optimizer.config)
    again.load_state(optimizer.state())
    assert again.state().keys() == optimizer.state().keys()


def test_filters_may_have_a_rate_of_their_own(tiny_model: Models) -> None:
    moved = []
    for rate in (None, 0.0):
        net = model(tiny_model())
        optimizer = ReaderOptimizer(net, CONFIG.model_copy(update={"filter_rate": rate}))
        give_gradients(net, 1)
        before = snapshot(net)
        optimizer.step(1.0)
        moved.append({name for name, value in snapshot(net).items() if not torch.equal(value, before[name])})
    groups = parameter_groups(net)
    assert moved[0] - moved[1] == {name for name, group in groups.items() if group == "filter"} & moved[0] != set()


def test_updates_of_matrices_are_nearly_orthogonal_and_of_adamws_size(tiny_model: Models) -> None:
    net = model(tiny_model())
    optimizer = ReaderOptimizer(net, CONFIG)
    before = snapshot(net)
    give_gradients(net, 1)
    optimizer.step(0.5)
    assert {"layers.0.ffn.expand.weight", "layers.1.mixer.out.weight"} <= set(optimizer.matrices)
    for name, parameter in optimizer.matrices.items():
        update = (before[name] - parameter.detach()) / (CONFIG.muon_rate * 0.5)
        rows, columns = update.shape
        fused = name.endswith(("project.weight", "in_proj.weight")) and rows % columns == 0
        for part in update.chunk(rows // columns if fused else 1):
            scale = 0.2 * math.sqrt(max(part.shape))
            singular = torch.linalg.svdvals(part) / scale
            assert singular.max() < 1.35, name
            assert singular.median() > 0.6, name
            assert part.square().mean().sqrt() == pytest.approx(0.2, rel=0.4), name


def test_an_update_keeps_the_directions_of_its_gradient(tiny_model: Models) -> None:
    net = model(tiny_model())
    optimizer = ReaderOptimizer(net, CONFIG)
    name = "layers.0.ffn.expand.weight"
    before = snapshot(net)[name]
    give_gradients(net, 1)
    gradient = optimizer.matrices[name].grad
    assert gradient is not None
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    optimizer.step(1.0)
    update = before - optimizer.matrices[name].detach()
    assert torch.nn.functional.cosine_similarity(update.flatten(), (u @ v).flatten(), dim=0) > 0.95


def test_word_embeddings_are_frozen_at_rate_nought(tiny_model: Models) -> None:
    for rate in (0.0, 1e-3):
        net = model(tiny_model())
        optimizer = ReaderOptimizer(net, CONFIG.model_copy(update={"embedding_rate": rate}))
        before = snapshot(net)
        give_gradients(net, 1)
        optimizer.step(1.0)
        moved = {n for n, p in net.named_parameters() if not torch.equal(before[n], p)}
        frozen = set(before) - moved
        assert ({"word.weight", "segment.weight"} == frozen) if rate == 0 else not frozen


def test_weight_decay_shrinks_matrices_only(tiny_model: Models) -> None:
    net = model(tiny_model())
    optimizer = ReaderOptimizer(net, CONFIG.model_copy(update={"weight_decay": 0.1}))
    before = snapshot(net)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step(1.0)
    for name, parameter in optimizer.matrices.items():
        assert torch.allclose(parameter, before[name] * (1 - CONFIG.muon_rate * 0.1)), name
    for name, parameter in net.named_parameters():
        if parameter.ndim == 1:
            assert torch.equal(parameter, before[name]), name


def test_no_gradients_are_left_over(tiny_model: Models) -> None:
    net = model(tiny_model())
    optimizer = ReaderOptimizer(net, CONFIG)
    give_gradients(net, 1)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_restored_optimizer_goes_on_as_the_first_would(tiny_model: Models) -> None:
    first = model(tiny_model())
    one = ReaderOptimizer(first, CONFIG)
    for seed in range(3):
        give_gradients(first, seed)
        one.step(1.0)
    second = model(tiny_model())
    second.load_state_dict(first.state_dict())
    other = ReaderOptimizer(second, CONFIG)
    other.load_state({name: tensor.clone() for name, tensor in one.state().items()})
    for net, optimizer in ((first, one), (second, other)):
        give_gradients(net, 9)
        optimizer.step(0.7)
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, dict(second.named_parameters())[name]), name
