"""Recorded steps: on a GPU, replays equal the passes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from ragyena.train.step_graphs import StepGraphs


@dataclasses.dataclass(frozen=True, slots=True)
class Inner:
    x: Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner
    y: Tensor
    count: int = 3


def outer(length: int = 4, device: str = "cpu") -> Outer:
    return Outer(Inner(torch.randn(length, 2, device=device)), torch.randn(length, 1, device=device))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_a_replay_leaves_the_gradients_and_parts_of_its_own_batch() -> None:
    linear, unused = nn.Linear(2, 1, device="cuda"), nn.Parameter(torch.zeros(1, device="cuda"))
    parameters = [*linear.parameters(), unused]

    def passes(batch: Outer, done: Tensor | float) -> dict[str, Tensor]:
        loss = ((linear(batch.inner.x) - batch.y) ** 2).mean() * (1 + done)
        loss.backward()
        return {"loss": loss.detach()}

    graphs = StepGraphs(passes, parameters)
    kept = []
    for step, length in enumerate((4, 7, 4, 7, 4)):
        batch = outer(length, "cuda")
        parts = graphs(batch, step / 4)
        got = [p.grad.clone() if p.grad is not None else None for p in parameters]
        for p in parameters:
            p.grad = None
        expected = passes(batch, step / 4)
        kept.append((parts["loss"], expected["loss"]))
        for gradient, parameter in zip(got, parameters):
            assert (gradient is None) == (parameter.grad is None)
            if gradient is not None and parameter.grad is not None:
                torch.testing.assert_close(gradient, parameter.grad)
        with torch.no_grad():
            linear.weight.add_(0.1)
    for mine, theirs in kept:  # later replays have not written over them
        torch.testing.assert_close(mine, theirs)
