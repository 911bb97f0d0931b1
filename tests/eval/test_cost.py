"""Costs: constructed times, the state of a real decoder, a fake energy counter."""

from __future__ import annotations

import math
import sys
import time
import types
from typing import Any

import pytest
import torch

from ragyena.config import ReaderModelConfig
from ragyena.eval import cost as energy
from ragyena.eval.cost import DecodeState, decode_state, summarize_cost
from ragyena.eval.timing import Preparation, Timing
from ragyena.model.inputs import ReaderInput
from ragyena.model.reader_model import ReaderModel
from ragyena.reader.decoding import Stopwatch

STATE = DecodeState(100, 0, 0, 1)


def timing(number: int, parts: dict[str, float], **values: Any) -> Timing:
    return Timing("c", str(number), 100, sum(parts.values()), parts, **values)


def test_parts_of_constructed_times_are_themselves() -> None:
    """101 readings, encode 1 to 101 ms: the percentiles are the values at 51, 96 and 100."""
    timings = [timing(i, {"inputs": 0.001, "encode": i / 1000, "extract": 0.002}) for i in range(1, 102)]
    prepared = [Preparation(8192, str(i), i / 10, i / 100) for i in range(1, 4)]
    cost = summarize_cost(timings, prepared, state=STATE, energy="no device")
    assert cost is not None and list(cost.parts) == ["retrieve", "pack", "inputs", "encode", "extract"]
    encode = cost.parts["encode"]
    assert (encode.n, encode.p50, encode.p95, encode.p99) == (101, 0.051, 0.096, 0.1)
    assert (cost.parts["retrieve"].p50, cost.parts["pack"].p50, cost.parts["pack"].p95) == (0.2, 0.02, None)
    assert (cost.first_token.p50, cost.first_token.p95) == (pytest.approx(0.054), pytest.approx(0.099))
    assert cost.tokens_per_second == pytest.approx(100 / 0.054, rel=1e-4)
    assert (cost.per_token, cost.written, cost.energy, cost.no_energy) == (None, 0, None, "no device")


def test_a_written_answer_has_a_time_to_first_token_and_a_time_per_token() -> None:
    read = {"inputs": 0.0, "encode": 0.1, "extract": 0.01}
    timings = [
        timing(1, read),
        timing(2, {**read, "first_token": 0.04, "write": 0.06}, tokens_written=4, peak_resident_gib=1.5),
        timing(3, {**read, "first_token": 0.04}, tokens_written=1, peak_resident_gib=2.5),
    ]
    cost = summarize_cost(timings, [], state=STATE, energy=energy.Energy(2.0, 100.0, 10, 5.0))
    assert cost is not None and cost.per_token is not None
    assert (cost.written, cost.per_token.n, cost.per_token.p50) == (1, 1, pytest.approx(0.02))
    assert cost.first_token.p50 == pytest.approx(0.15) and cost.first_token.mean == pytest.approx((0.11 + 0.3) / 3)
    assert (cost.peak_resident_gib, cost.peak_memory_gib, cost.no_energy) == (2.5, None, "")
    assert summarize_cost([Timing("c", "old", 100, 1.0)], [], state=STATE, energy="") is None


def test_the_state_that_is_computed_is_that_of_a_decoder() -> None:
    config = ReaderModelConfig(
        width=32, heads=4, ffn_width=64, mixers=("hyena",) * 3, context_channels=(0,) * 3, decoder_layers=2
    )
    model, slots, slot, words = ReaderModel(config).eval(), 3, 5, 4
    inputs = ReaderInput(
        torch.ones(1, words, dtype=torch.long),
        torch.ones(1, words, dtype=torch.bool),
        torch.ones(1, slots, slot, dtype=torch.long),
        *(torch.ones(1, slots, slot, dtype=torch.bool) for _ in range(2)),
    )
    assert model.decoder is not None
    encoded = model.encode(inputs)
    memory = model.decoder.memory(encoded.question, encoded.passages, inputs)
    states = model.decoder.begin(1, torch.device("cpu"), torch.float32)
    tokens = words + slots * slot
    result = decode_state(config, tokens, 4)

    def size(*tensors: torch.Tensor) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    assert result.memory == size(*memory.keys, *memory.values, memory.copy_keys, memory.mask, memory.ids)
    assert result.constant == sum(size(state.history, state.tail, state.recent) for state in states)
    assert result.attention == 2 * 3 * tokens * 32 * 4
    extracting = config.model_copy(update={"decoder_layers": 0})
    assert decode_state(extracting, tokens, 4).total == 0


def test_laps_are_recorded_by_part() -> None:
    watch = Stopwatch(torch.device("cpu"))
    time.sleep(0.02)
    watch.lap("encode")
    watch.lap("extract")
    time.sleep(0.01)
    watch.lap("encode")
    assert watch.parts["encode"] >= 0.03 and watch.parts["extract"] < 0.01


class _Reader:
    """Reads at once; each reading is said to take half a second and 30 joules."""

    readings = 0

    def read(self, context: Any) -> None:
        self.readings += 1


def test_energy_is_that_of_the_counter_by_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    reader: Any = _Reader()
    clock = types.SimpleNamespace(perf_counter=lambda: reader.readings * 0.5)
    monkeypatch.setattr(energy, "time", clock)
    asked: Any = [[None], [None, None]]
    result = energy.measure_energy(reader, asked, lambda: 7.0 + 30.0 * reader.readings)
    assert isinstance(result, energy.Energy) and (result.readings, result.seconds, result.watts) == (4, 3.0, 60.0)
    assert result.joules == 45.0  # a question has one context and a half
    assert energy.measure_energy(reader, [], lambda: 0.0) == "no question could be asked"
    reader.readings = 0
    assert "does not move" in str(energy.measure_energy(reader, asked, lambda: 7.0))
    reader.readings = 0
    assert "stopped" in str(energy.measure_energy(reader, asked, lambda: math.nan if reader.readings else 7.0))


def test_a_slow_reader_reads_no_more_for_energy_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    reader: Any = _Reader()
    monkeypatch.setattr(energy, "time", types.SimpleNamespace(perf_counter=lambda: reader.readings * 60.0))
    result = energy.measure_energy(reader, [[None]] * 8, lambda: 30.0 * reader.readings)  # type: ignore[list-item]
    assert isinstance(result, energy.Energy) and (result.readings, result.joules) == (1, 30.0)


def test_a_missing_energy_counter_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "NVIDIA GPUs alone" in str(energy.energy_counter("cpu"))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in str(energy.energy_counter("cuda:0"))

    class NVMLError(Exception):
        pass

    def refuse(handle: Any) -> float:
        raise NVMLError("Not Supported")

    fake: Any = types.ModuleType("pynvml")
    fake.NVMLError, fake.nvmlInit = NVMLError, lambda: None
    fake.nvmlDeviceGetHandleByUUID = lambda uuid: uuid
    fake.nvmlDeviceGetTotalEnergyConsumption = refuse
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    properties = types.SimpleNamespace(uuid="1-2")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert "Not Supported" in str(energy.energy_counter("cuda:0"))
    fake.nvmlDeviceGetTotalEnergyConsumption = {"GPU-1-2": 2500.0}.__getitem__
    joules = energy.energy_counter("cuda:0")
    assert not isinstance(joules, str) and joules() == 2.5
    fake.nvmlDeviceGetTotalEnergyConsumption = refuse
    assert math.isnan(joules())
    del fake.nvmlInit
    assert "nvmlInit" in str(energy.energy_counter("cuda:0"))
