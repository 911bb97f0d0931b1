"""What a question costs: the time of its parts, memory, what is kept to write an answer, energy."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragyena.eval.decode_state import DecodeState
from ragyena.eval.energy import Energy
from ragyena.eval.latency import Percentiles, Timing, percentiles
from ragyena.eval.preparing import Preparation
from ragyena.reader.stopwatch import PARTS

__all__ = ["Cost", "summarize_cost"]

_PREFILL = ("inputs", "encode", "extract", "first_token")  # parts of a reading up to its first token


@dataclass(frozen=True, slots=True)
class Cost:
    """Of contexts read one by one, each once before it is timed."""

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
    """Of a context of the median length."""
    energy: Energy | None
    """None where it was not measured."""
    no_energy: str
    """Why it was not measured; empty where it was."""


def summarize_cost(
    timings: Sequence[Timing],
    prepared: Sequence[Preparation],
    *,
    state: DecodeState,
    energy: Energy | str,
) -> Cost | None:
    """``prepared`` are of the condition's own budget. ``energy`` says why there is none, where there is none. None of
    no readings."""
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
