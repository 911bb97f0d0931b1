"""The cost of a question: the time of its parts, memory, the state kept to write an answer, energy.

Legend: D width, M tokens of the context and the question, N answer tokens that the filters cover.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from ragyena.config import HyenaConfig, ReaderModelConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.eval.conditions import Condition
from ragyena.eval.freeze import index_facts
from ragyena.eval.journal import Journal, digest_of
from ragyena.eval.questions import Question, sample
from ragyena.eval.recipe import Setup
from ragyena.eval.timing import (
    Latency,
    Percentiles,
    Preparation,
    Timing,
    contexts_of,
    percentiles,
    summarize_latency,
    time_preparing,
    time_readings,
)
from ragyena.reader.decoding import PARTS
from ragyena.reader.reader import Reader
from ragyena.types import Context

if TYPE_CHECKING:
    from ragyena.index.index import Index

__all__ = [
    "Cost",
    "CostTimer",
    "DecodeState",
    "Energy",
    "decode_state",
    "energy_counter",
    "measure_energy",
    "summarize_cost",
]

_PREFILL = ("inputs", "encode", "extract", "first_token")  # parts of a reading up to its first token
_FP32, _INT64, _BOOL = 4, 8, 1  # bytes
_MOST_FOR_ENERGY = 8  # questions whose contexts are read again and again
_LEAST_SECONDS = 3.0  # of energy: the counter of a GPU moves every tenth of a second


@dataclass(frozen=True, slots=True)
class DecodeState:
    """Bytes kept from one token of an answer to the next, computed from the architecture, not measured."""

    tokens: int
    """Length of the context that the bytes are for, padding and question included."""
    constant: int
    """State of the decoder's Hyena layers: whatever the context's length. 0 for a reader that only extracts."""
    memory: int
    """Memory of the decoder: the keys and values of its own layers, the keys it copies by, and the token ids.
    0 for a reader that only extracts."""
    attention: int
    """KV cache that a decoder-only attention reader of the same depth, width and type would hold."""

    @property
    def total(self) -> int:
        return self.constant + self.memory


def decode_state(config: ReaderModelConfig, tokens: int, element_bytes: int) -> DecodeState:
    """For one context of ``tokens`` tokens, activations of ``element_bytes`` bytes.

    The filters of the decoder are not counted: like weights, they are the same for every context.
    """
    width, layers = config.width, config.decoder_layers
    operator = HyenaConfig()  # of the answer decoder
    short_history = (operator.order + 1) * width * (operator.short_filter - 1) * element_bytes
    recent = (operator.order - 1) * width * config.max_answer_tokens * _FP32
    keys_and_values = (2 * layers + 1) * width * element_bytes  # the one more: the keys to copy by
    return DecodeState(
        tokens=tokens,
        constant=layers * (short_history + recent),
        memory=tokens * (keys_and_values + _INT64 + _BOOL) if layers else 0,
        attention=2 * len(config.mixers) * width * element_bytes * tokens,
    )


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of the whole board by NVML, idle power included, over questions read one after the other."""

    joules: float
    """Energy of a question."""
    watts: float
    """On average."""
    readings: int
    seconds: float
    """Time of all of them."""


def energy_counter(device: str) -> Callable[[], float] | str:
    """A function that returns the joules a device has used since its driver was loaded (NaN where it no longer can), or
    the reason why there is none. The device is identified by its UUID: CUDA numbers visible devices, NVML all."""
    if not device.startswith("cuda"):
        return "energy is read from NVIDIA GPUs alone"
    try:
        import pynvml
    except ImportError:
        return "nvidia-ml-py is not installed: pip install nvidia-ml-py"
    try:
        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(torch.device(device)).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        return f"NVML does not report it here: {error}"
    except AttributeError as error:  # another package of the name, or a torch that knows no UUID
        return f"it cannot be asked for here: {error}"

    def joules() -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # from millijoules
        except pynvml.NVMLError:
            return math.nan

    return joules


def measure_energy(reader: Reader, contexts: Sequence[Sequence[Context]], joules: Callable[[], float]) -> Energy | str:
    """Reads the contexts of one question after the other, again and again, until the counter can be trusted; they have
    been read before. Otherwise returns the reason why there is no figure."""
    if not contexts:
        return "no question could be asked"
    readings = 0
    first, began = joules(), time.perf_counter()
    while (seconds := time.perf_counter() - began) < _LEAST_SECONDS:
        for context in contexts[readings % len(contexts)]:
            reader.read(context)
        readings += 1
    used = joules() - first
    if not used > 0:  # NaN, too
        return "NVML stopped reporting it" if math.isnan(used) else "the counter of NVML does not move"
    return Energy(used / readings, used / seconds, readings, seconds)


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of contexts read one by one, each once before it is timed."""

    n: int
    """Contexts."""
    parts: Mapping[str, Percentiles]
    """Seconds by part, in their order, each over the questions that have it. ``retrieve`` and ``pack`` make the
    context as ``ragyena ask`` does with the budget of the condition; absent where it has none, or the contexts came
    from a file. ``inputs`` pads the token ids and copies them to the device; ``encode`` is embeddings and layers;
    ``extract`` span scores, best spans and confidence; of an answer that is written, ``first_token`` projects the
    context for the decoder and gives the first token, and ``write`` the further ones."""
    first_token: Percentiles
    """Seconds from the packed context to the first token of the answer. An extracted answer is there as a whole when
    its spans are scored: that is the end of ``extract``. Of a written one it is the end of ``first_token``."""
    per_token: Percentiles | None
    """Seconds for each further token of an answer, over the answers that were written; None where none was."""
    written: int
    """Answers that the decoder wrote two tokens or more of, the end token included."""
    tokens_per_second: float
    """Tokens of a context, padding included, over the seconds to the first token: the median."""
    peak_memory_gib: float | None
    """The most GPU memory allocated while one context was read, the reader's own included; None on a CPU."""
    peak_resident_gib: float | None
    """The most memory of the process resident while one context was read, all it holds included; None where the
    system does not count it."""
    state: DecodeState
    """State for a context of the median length."""
    energy: Energy | None
    """None where it was not measured."""
    no_energy: str
    """Reason why energy was not measured; empty where it was."""


def summarize_cost(
    timings: Sequence[Timing],
    prepared: Sequence[Preparation],
    *,
    state: DecodeState,
    energy: Energy | str,
) -> Cost | None:
    """``prepared`` are of the condition's own budget; a string in ``energy`` is the reason why there is none. None
    without readings."""
    read = [timing for timing in timings if timing.parts]
    if not read:
        return None
    seconds: dict[str, list[float]] = {
        "retrieve": [one.retrieve for one in prepared],
        "pack": [one.pack for one in prepared],
        **{part: [timing.parts[part] for timing in read if part in timing.parts] for part in PARTS},
    }
    first = [sum(timing.parts.get(part, 0.0) for part in _PREFILL) for timing in read]
    written = [timing for timing in read if timing.tokens_written > 1 and "write" in timing.parts]
    further = [timing.parts["write"] / (timing.tokens_written - 1) for timing in written]
    return Cost(
        n=len(read),
        parts={part: percentiles(values) for part, values in seconds.items() if values},
        first_token=percentiles(first),
        per_token=percentiles(further) if further else None,
        written=len(written),
        tokens_per_second=round(
            statistics.median(timing.tokens / value for timing, value in zip(read, first, strict=True)), 1
        ),
        peak_memory_gib=max((t.peak_memory_gib for t in read if t.peak_memory_gib is not None), default=None),
        peak_resident_gib=max((t.peak_resident_gib for t in read if t.peak_resident_gib is not None), default=None),
        state=state,
        energy=None if isinstance(energy, str) else energy,
        no_energy=energy if isinstance(energy, str) else "",
    )


@dataclass(slots=True, eq=False)
class CostTimer:
    """Times the questions that ``timed`` of the recipe selects."""

    setup: Setup
    prepared: list[Preparation] = field(default_factory=list)

    def prepare(self, tokenizer: Tokenizer, index: Index, questions: Sequence[Question]) -> None:
        """Times retrieval and packing while the index is open, where anything is to be timed."""
        config, settings = self.setup.config, self.setup.settings
        if not config.timed or config.task not in ("open", "positions"):
            return
        shaped_by: list[Any] = [index_facts(index), settings.retriever.model_dump(mode="json"), tokenizer.fingerprint]
        shaped_by += [settings.packer.model_dump(mode="json"), config.seed]
        with Journal(self.setup.out / f"preparing-{digest_of(shaped_by)}.jsonl") as journal:
            self.prepared += time_preparing(index, questions, self.setup, tokenizer, journal)

    def measure(self, reader: Reader, condition: Condition, journal: Journal) -> tuple[Latency | None, Cost | None]:
        """Latency and cost of one condition; rows of the journal are reused. None where nothing was timed."""
        timed = time_readings(reader, condition, self.setup, journal) if condition.worth_timing else []
        latency = summarize_latency(timed)
        if latency is None:
            return None, None
        budget = condition.parameters.get("context_tokens")
        cost = summarize_cost(
            timed,
            [one for one in self.prepared if one.context_tokens == budget],
            state=decode_state(reader.model.config, round(latency.tokens), reader.model.dtype.itemsize),
            energy=self._energy(reader, condition, timed, journal),
        )
        return latency, cost

    def _energy(self, reader: Reader, condition: Condition, timed: Sequence[Timing], journal: Journal) -> Energy | str:
        kept = [row["energy"] for row in journal.rows if row["condition"] == condition.name and "energy" in row]
        if kept:
            return Energy(**kept[-1])
        joules = energy_counter(reader.device)
        if isinstance(joules, str):
            return joules
        read = {timing.question_id for timing in timed}
        sampled = sample(condition.questions, self.setup.config.timed, self.setup.config.seed)
        chosen = [question for question in sampled if question.id in read][:_MOST_FOR_ENERGY]
        energy = measure_energy(reader, [contexts_of(condition, question) for question in chosen], joules)
        if isinstance(energy, Energy):
            journal.append([{"condition": condition.name, "energy": asdict(energy)}])
        return energy
