"""Faster steps: compiled layers, and forward and backward passes as CUDA graphs, one launch in place of thousands.

A reader's step is a few thousand small kernels, which a host launches more slowly than a fast GPU runs them. Batches
come in a handful of shapes, so that the passes of each can be recorded once and replayed on the next batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from ragyena.model.tensor_fields import mapped, signature, tensors

__all__ = ["StepGraphs", "compiled"]

Passes: TypeAlias = Callable[[Any, Any], dict[str, Tensor]]

_COMPILED_VARIANTS = 64  # shapes and modes of one layer that may be compiled


def compiled(layers: nn.ModuleList) -> list[nn.Module]:
    """Compiled stand-ins of layers that are called with a few shapes; layers of one kind share what is compiled."""
    torch._dynamo.config.recompile_limit = _COMPILED_VARIANTS
    return [cast(nn.Module, torch.compile(layer, dynamic=False)) for layer in layers]


@dataclasses.dataclass(frozen=True, slots=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    batch: Any
    """Input of a replay."""
    done: Tensor
    names: list[str]
    parts: Tensor
    """Output of a replay: the parts of the loss."""
    gradients: list[Tensor | None]
    """Output of a replay, for each parameter; None where the loss does not depend on it."""


class StepGraphs:
    """``passes(batch, done)`` recorded for each shape of batch, then replayed.

    ``passes`` runs forward and backward, leaves gradients in ``parameters`` and returns scalars. It must read nothing
    but the batch, ``done`` (a number here, a scalar tensor there) and tensors that stay where they are, and must never
    wait for the device. Parameters are changed in place only. Gradients are the same tensors at each replay of a shape.
    """

    def __init__(self, passes: Passes, parameters: Sequence[nn.Parameter]) -> None:
        self._passes, self._parameters = passes, parameters
        self._recorded: dict[Any, _Recorded] = {}
        # One pool: of two graphs, which never run at once, the temporaries share memory.
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, batch: Any, done: float) -> dict[str, Tensor]:
        """Leaves the gradients of the batch in the parameters; a copy of the scalars of ``passes``."""
        key = signature(batch)
        recorded = self._recorded.get(key)
        if recorded is None:
            recorded = self._recorded[key] = self._record(batch)
        for mine, theirs in zip(tensors(recorded.batch), tensors(batch)):
            mine.copy_(theirs)
        recorded.done.fill_(done)
        recorded.graph.replay()
        for parameter, gradient in zip(self._parameters, recorded.gradients):
            parameter.grad = gradient
        return dict(zip(recorded.names, recorded.parts.clone()))

    def _clear(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None  # a pass that finds none leaves its own, and adds nothing up

    def _record(self, batch: Any) -> _Recorded:
        own, done = mapped(batch, Tensor.clone), torch.zeros((), device=self._parameters[0].device)
        # Kernels are compiled, tuned and planned before the recording, in a stream like the recording's.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._clear()
            self._passes(own, done)
            self._clear()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            parts = self._passes(own, done)
            stacked = torch.stack([value.float() for value in parts.values()])
        return _Recorded(graph, own, done, list(parts), stacked, [parameter.grad for parameter in self._parameters])
