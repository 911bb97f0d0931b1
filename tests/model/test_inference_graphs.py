"""Graphs of inference: few shapes, a bounded number of them; on a GPU, replays equal the work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ragyena.errors import RagyenaError
from ragyena.model.inference_graphs import InferenceGraphs, rounded
from ragyena.model.inputs import ContextShape, on_device, packed, unpacked

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


@dataclasses.dataclass(frozen=True, slots=True)
class Numbers:
    x: Tensor


def doubled(given: Numbers) -> Numbers:
    return Numbers(2 * given.x)


class Recorder(InferenceGraphs):
    """Counts what would be recorded."""

    def __init__(self, kept: int) -> None:
        super().__init__(kept)
        self.sizes: list[int] = []

    def _record(self, work: Callable[[Any], Any], inputs: Any) -> Any:
        self.sizes.append(len(inputs.x))

        class Replay:
            def replay(self) -> None:
                outputs.x.copy_(work(own).x)

        from ragyena.model.inference_graphs import _Recorded

        own, outputs = Numbers(inputs.x.clone()), work(inputs)
        return _Recorded(Replay(), own, outputs)  # type: ignore[arg-type]


def test_shapes_are_rounded_to_a_few_that_hold_them() -> None:
    shapes = set()
    for passages in range(1, 700):
        for question in range(3, 129, 5):
            given = ContextShape(question, passages, 224)
            padded = rounded(given, longest_question=128)
            assert padded.slot == 224 and question <= padded.question <= 128
            assert passages <= padded.passages <= max(passages, 17 * passages / 16)
            shapes.add(padded.passages)
    assert len(shapes) < 120
    assert rounded(ContextShape(60, 40, 64), longest_question=62) == ContextShape(62, 40, 64)


def test_a_shape_met_for_the_second_time_is_recorded_and_the_last_ones_are_kept() -> None:
    graphs = Recorder(kept=2)

    def ask(size: int) -> None:
        given = Numbers(torch.randn(size))
        assert torch.equal(graphs(doubled, given).x, 2 * given.x)

    for size in (1, 2, 1, 1, 2, 2):
        ask(size)
    assert graphs.sizes == [1, 2] and len(graphs) == 2
    ask(3)  # 1 was not used for longest
    assert len(graphs) == 1
    for size in (2, 1, 1):
        ask(size)
    assert graphs.sizes == [1, 2, 1] and len(graphs) == 2


def test_work_with_other_settings_has_a_graph_of_its_own() -> None:
    graphs = Recorder(kept=4)
    given = Numbers(torch.ones(2))
    for _ in range(2):
        for factor in (2.0, 3.0):
            result = graphs(lambda some, factor=factor: Numbers(factor * some.x), given, of=factor)
            assert torch.equal(result.x, factor * given.x)
    assert len(graphs) == 2


@pytest.mark.parametrize("pinned", [False, pytest.param(True, marks=needs_gpu)])
def test_tensors_travel_as_one(pinned: bool) -> None:
    given = [torch.arange(5), torch.tensor([[True, False, True]]), torch.rand(2, 3), torch.arange(4, dtype=torch.int16)]
    together = packed(given, pinned=pinned)
    assert together.is_pinned() == pinned
    for mine, theirs in zip(unpacked(together, given), given):
        assert torch.equal(mine, theirs) and mine.dtype == theirs.dtype
        assert (mine.data_ptr() - together.data_ptr()) % 16 == 0


@needs_gpu
def test_arrays_are_on_the_device_as_they_were() -> None:
    given = [torch.arange(7).numpy(), torch.rand(3, 2).numpy(), torch.rand(9).gt(0.5).numpy()]
    for mine, theirs in zip(on_device(given, "cuda"), given):
        assert mine.is_cuda and torch.equal(mine.cpu(), torch.from_numpy(theirs))


@needs_gpu
def test_a_replay_computes_what_the_work_computes() -> None:
    graphs = InferenceGraphs()
    weight = torch.randn(64, 64, device="cuda")

    def work(given: Numbers) -> Numbers:
        return Numbers((given.x @ weight).relu())

    for size in (4, 8, 4, 8, 4, 8, 4):
        given = Numbers(torch.randn(size, 64, device="cuda"))
        torch.testing.assert_close(graphs(work, given).x, work(given).x)
    assert len(graphs) == 2


@needs_gpu
def test_work_that_cannot_be_recorded_is_refused() -> None:
    def work(given: Numbers) -> Numbers:
        return Numbers(given.x * float(given.x.sum()))  # waits for the device

    graphs, given = InferenceGraphs(), Numbers(torch.ones(3, device="cuda"))
    graphs(work, given)
    with pytest.raises(RagyenaError, match="cuda_graphs"):
        graphs(work, given)
