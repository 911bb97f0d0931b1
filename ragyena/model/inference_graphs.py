"""Inference as CUDA graphs: one launch in the place of the hundreds that a pass over a context takes.

A host launches the small kernels of a short context more slowly than a fast GPU runs them. A graph holds for one shape
of input, so contexts are padded to a few shapes (``rounded``), and the graphs used last are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ragyena.errors import RagyenaError
from ragyena.model.inputs import ContextShape
from ragyena.model.tensor_fields import mapped, signature, tensors

__all__ = ["InferenceGraphs", "rounded"]

Inputs = TypeVar("Inputs")
Outputs = TypeVar("Outputs")

KEPT = 16
"""Graphs of one kind of work that are kept. A packer's slots are multiples of 16 tokens, and a budget of tokens has
some eight lengths of slot."""
_QUESTION_MULTIPLE = 16
_STEPS = 16  # numbers of passages in an octave


def rounded(shape: ContextShape, *, longest_question: int) -> ContextShape:
    """The shape to which a context is padded: its own slots, at most a sixteenth more passages, and a question of a
    multiple of 16 tokens, or of the ``longest_question``, if that is less."""
    question = min(-(-shape.question // _QUESTION_MULTIPLE) * _QUESTION_MULTIPLE, longest_question)
    step = max(1, (1 << max(shape.passages - 1, 0).bit_length()) // (2 * _STEPS))
    return ContextShape(max(question, shape.question), -(-shape.passages // step) * step, shape.slot)


class _Recorded(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: Any
    """Read by a replay."""
    outputs: Any
    """Written by a replay."""


class InferenceGraphs:
    """One kind of work on the device, recorded for each shape of its inputs when that is met for the second time.

    Work takes and returns dataclasses of tensors (``ragyena.model.tensor_fields``). It reads nothing else but tensors
    that stay where they are, such as weights, and never waits for the device. The first time runs it as it is, which
    compiles and tunes its kernels; a command that answers one question records nothing.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._recorded: OrderedDict[Hashable, _Recorded | None] = OrderedDict()
        self._pool: Any = None  # one of all graphs, which never run at once: their temporaries share memory

    def __len__(self) -> int:
        """Number of graphs."""
        return sum(one is not None for one in self._recorded.values())

    def __call__(self, work: Callable[[Inputs], Outputs], inputs: Inputs, *, of: Hashable = ()) -> Outputs:
        """The outputs of ``work``, which hold until the next call. ``of`` names the settings that work depends on.

        Raises RagyenaError where the work cannot be recorded.
        """
        key = (of, signature(inputs))
        if key not in self._recorded:
            self._keep(key, None)
            return work(inputs)
        recorded = self._recorded[key]
        if recorded is None:
            recorded = self._record(work, inputs)
        self._keep(key, recorded)
        for mine, theirs in zip(tensors(recorded.inputs), tensors(inputs), strict=True):
            mine.copy_(theirs)
        recorded.graph.replay()
        outputs: Outputs = recorded.outputs
        return outputs

    def _keep(self, key: Hashable, recorded: _Recorded | None) -> None:
        """Keep it as the one used last, without the ones not used for longest."""
        self._recorded[key] = recorded
        self._recorded.move_to_end(key)
        while len(self._recorded) > self._kept:
            self._recorded.popitem(last=False)

    def _record(self, work: Callable[[Any], Any], inputs: Any) -> _Recorded:
        own = mapped(inputs, Tensor.clone)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(next(tensors(own)).device):
                return _Recorded(graph, own, self._outputs(graph, work, own))
        except RuntimeError as error:
            raise RagyenaError(
                f"the work of reading a context could not be recorded as a CUDA graph: {error}",
                hint="read without graphs: set reader.cuda_graphs to false",
            ) from error

    def _outputs(self, graph: torch.cuda.CUDAGraph, work: Callable[[Any], Any], own: Any) -> Any:
        """Record ``graph``; the outputs that a replay writes."""
        # First in a stream like the recording's: libraries keep work space by stream.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work(own)
        torch.cuda.current_stream().wait_stream(stream)
        # Other threads may use the device meanwhile: what they do is not recorded, and no error.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            return work(own)
