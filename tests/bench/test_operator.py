"""The operator's benchmark checks a size before it times it, and reports a missing device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ragyena.bench import operator
from ragyena.bench.operator import TOLERANCE, OperatorSize, bench_operator, bench_operator_on_cpu, operator_error
from ragyena.errors import MissingDependencyError


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_it_needs_a_device() -> None:
    with pytest.raises(MissingDependencyError, match="CUDA"):
        bench_operator([OperatorSize(2048)], dtype=torch.float16, workers=0, budget=60, say=print)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device's tests check more")
def test_errors_are_those_of_outputs_and_gradients() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    errors = operator_error(OperatorSize(200, 1, 1, "two_sided"), torch.float16, "cpu")
    assert set(errors) == {"output", "du", "dfilter", "dskip", "dgate_in", "dgate_out"}
    assert all(0 < value <= TOLERANCE[torch.float16] for value in errors.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device's tests check more")
def test_passage_scope_is_checked_too() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    errors = operator_error(OperatorSize(90, 1, 1, "passage", slot_tokens=40), torch.float32, "cpu")
    assert set(errors) == {"output", "du", "dfilter", "dgate_in", "dgate_out"}
    assert all(0 < value <= TOLERANCE[torch.float32] for value in errors.values())


@pytest.mark.parametrize("error", [1e-2, float("nan")])
def test_a_wrong_result_is_not_timed(error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "operator_error", lambda *_: {"output": 1e-4, "du": error})
    size = OperatorSize(2048)
    row = operator._measure(size, torch.float16, 1e12, {})
    assert not row.figures and row.failures[str(size)].startswith("wrong, so not timed: output 1.0e-04, du")


@pytest.mark.parametrize("scope", ["causal", "two_sided", "passage"])
def test_on_a_cpu_it_times_what_is_right(scope: Any) -> None:
    said: list[str] = []
    size = OperatorSize(100, 128, 1, scope, slot_tokens=30)
    result = bench_operator_on_cpu([size], dtype=torch.float32, budget=60, say=said.append)
    figures = {figure.name.removeprefix(f"{size}: "): figure for figure in result.figures}
    assert 0 < figures["largest error"].value <= 4e-6
    assert all(figure.value > 0 for figure in result.figures)
    assert ("fastest attention over ours, forward + backward" in figures) == (scope != "passage")
    assert result.name == "operator-cpu" and not result.setting["failures"]
    assert len(said) == 1 and said[0].startswith(str(size))


def test_on_a_cpu_what_is_wrong_or_too_late_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    size, say = OperatorSize(100, 128), list[str]().append
    late = bench_operator_on_cpu([size], dtype=torch.float32, budget=-1, say=say)
    assert not late.figures and late.setting["failures"][str(size)].startswith("not begun within")
    monkeypatch.setattr(operator, "operator_error", lambda *_, **__: {"output": 1e-2})
    wrong = bench_operator_on_cpu([size], dtype=torch.float32, budget=60, say=say)
    assert not wrong.figures and wrong.setting["failures"][str(size)] == "wrong, so not timed: output 1.0e-02"


def test_a_size_names_itself() -> None:
    assert str(OperatorSize(131_072, direction="two_sided")) == "two-sided, 131,072 x 768, batch 1"
    assert str(OperatorSize(4096, 384, 2, "passage")) == "slots of 256, 4,096 x 384, batch 2"
