"""Percentiles of constructed times."""

from __future__ import annotations

import random
import types
from pathlib import Path
from typing import Any

import pytest

from ragyena import machine
from ragyena.config import EvalConfig, PipelineConfig
from ragyena.eval import timing
from ragyena.eval.journal import Journal
from ragyena.eval.questions import Question
from ragyena.eval.recipe import Setup
from ragyena.eval.timing import Timing, summarize_latency


def timings(seconds: list[float]) -> list[Timing]:
    return [Timing("c", str(i), 100 + i, value) for i, value in enumerate(seconds)]


def test_percentiles_of_1_to_101_are_themselves() -> None:
    seconds = [float(value) for value in range(1, 102)]
    random.Random(0).shuffle(seconds)
    result = summarize_latency(timings(seconds))
    assert result is not None
    assert (result.n, result.p50, result.p95, result.p99, result.mean, result.tokens) == (101, 51, 96, 100, 51, 150)


def test_a_slow_tail_shows_where_it_is() -> None:
    result = summarize_latency(timings([0.1] * 96 + [2.0] * 4))
    assert result is not None and (result.p50, result.p95, result.p99) == (0.1, 0.1, 2.0)


@pytest.mark.parametrize(
    ("n", "has"), [(1, (False, False)), (20, (True, False)), (99, (True, False)), (100, (True, True))]
)
def test_a_tail_needs_readings_enough(n: int, has: tuple[bool, bool]) -> None:
    result = summarize_latency(timings([1.0] * n))
    assert result is not None and (result.p95 is not None, result.p99 is not None) == has


def test_no_readings_give_no_summary() -> None:
    assert summarize_latency([]) is None


@pytest.mark.skipif(not machine._CLEAR_REFS.exists(), reason="resident memory is counted anew on Linux alone")
def test_resident_memory_rises_with_what_is_held_and_is_forgotten() -> None:
    machine.forget_peak_memory("cpu")
    before = machine.peak_resident_gib()
    held = bytearray(b"x") * (256 << 20)
    with_it = machine.peak_resident_gib()
    assert before is not None and with_it is not None and with_it - before > 0.2
    del held
    assert machine.peak_resident_gib() == pytest.approx(with_it, abs=0.01)
    machine.forget_peak_memory("cpu")
    after = machine.peak_resident_gib()
    assert after is not None and with_it - after > 0.2


class _Slow:
    """A reader whose every reading takes ten seconds of a clock."""

    device = "cpu"
    seconds = 0.0

    def read(self, context: Any) -> None:
        self.seconds += 10.0

    def read_timed(self, context: Any) -> tuple[None, Any]:
        self.read(context)
        return None, types.SimpleNamespace(parts={"encode": 10.0}, tokens_written=0)


def test_a_slow_reader_is_timed_less_often_and_a_stopped_run_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader: Any = _Slow()
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=lambda: reader.seconds))
    context = types.SimpleNamespace(length=131_072)
    condition: Any = types.SimpleNamespace(name="c", title="c")
    condition.contexts = lambda question: [types.SimpleNamespace(context=context)]
    condition.questions = [Question(str(i), "s", "who?", ("a",), None, -1) for i in range(50)]

    def timed(most_seconds: float) -> list[Timing]:
        with Journal(tmp_path / "timings.jsonl") as journal:
            config = EvalConfig(timed=50, timed_seconds=most_seconds)
            return timing.time_readings(reader, condition, Setup(config, PipelineConfig()), journal)

    assert [timing.seconds for timing in timed(25.0)] == [10.0] * 3 and reader.seconds == 60.0
    assert len(timed(25.0)) == 3 and reader.seconds == 60.0  # all of them from the journal
    assert len(timed(45.0)) == 5 and len(timed(1.0)) == 1
