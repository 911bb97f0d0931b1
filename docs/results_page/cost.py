"""What a question costs at each length of the context: time to the first token, memory, state, energy; and from which
length on one reader is the faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ragyena.eval.crossover import Crossover, crossovers
from ragyena.report.cost_parts import duration, mebibytes
from results_page.by_recipe import END_TO_END
from results_page.files import Evaluation, Section
from results_page.markdown import bullets, gib, image, prose, table
from results_page.plots import Line, Panel, draw_lines

__all__ = ["cost", "crossing_sentences", "first_tokens", "latency", "timed"]


def cost(evaluations: Mapping[str, Evaluation]) -> Section | None:
    """The section, of the recipe that was timed at most lengths; None where none was."""
    found = timed(evaluations)
    if found is None:
        return None
    text = (
        f"Contexts of `{found.name}` read one by one, each once before it is timed, on {_places(found)}. Time to the "
        "first token is from the packed context; an extracted answer is there as a whole then. Memory is the most "
        "while one context is read. `kept to write` is what an answer that is written keeps from one token to the "
        "next, `KV cache` what a decoder-only attention reader of the same depth, width and type would: both are "
        "computed."
    )
    measured = any(_energy(one["cost"]) for _, _, one in _timed(found))
    if measured:
        text += " J is the energy of a question, of the whole board, as NVML counts it."
    reasons = sorted({one["cost"]["no_energy"] for _, _, one in _timed(found)} - {""})
    if reasons:
        text += f" Energy was not measured{' everywhere' if measured else ''}: {'; '.join(reasons)}."
    parts = [prose(text), table([*_HEADER], [_row(*one) for one in _timed(found)], left=2)]
    sentences = [*crossing_sentences(found)]
    if sentences:
        parts.append(bullets(sentences))
    plots: dict[str, Callable[[Path], None]] = {}
    panels = [panel for panel in (latency(found), _memory(found)) if panel]
    if panels:
        plots["cost.svg"] = partial(draw_lines, panels)
        parts.append(image("cost.svg", "time to the first token and memory against the length of the context"))
    return Section("What a question costs", "\n".join(parts), plots)


def timed(evaluations: Mapping[str, Evaluation]) -> Evaluation | None:
    """The evaluation that says what a question costs at each length."""
    found = (evaluations[recipe] for recipe in END_TO_END if recipe in evaluations)
    return next((one for one in found if any(_timed(one))), None)


def first_tokens(found: Evaluation, reader: int) -> dict[int, Mapping[str, Any]]:
    """Percentiles of the time to the first token by tokens of context."""
    return {tokens: one["cost"]["first_token"] for tokens, who, one in _timed(found) if who == reader}


def latency(found: Evaluation) -> Panel | None:
    """Time to the first token against length, logarithmic both, with the lengths at which readers cross."""
    lines = []
    for reader, role in enumerate(found.roles):
        times = first_tokens(found, reader)
        estimates = [
            {"mean": one["p50"], "low": one["p50"], "high": one["p95"] or one["p50"]} for one in times.values()
        ]
        if len(times) > 1:
            lines.append(Line(role, [*times], estimates, reader))
    if not lines:
        return None
    marks = [(crossing.x, f"{crossing.x:,.0f}") for _, crossing in _crossings(found)]
    return Panel(
        "tokens of context", "seconds to the first token (median to p95)", lines, True, up_logarithmic=True, marks=marks
    )


def crossing_sentences(found: Evaluation) -> Iterator[str]:
    """How much longer each later reader takes than the first, and where the two cross."""
    if len(_machines(found)) > 1:
        yield "The readers ran on machines that differ: their times do not compare."
        return
    base = first_tokens(found, 0)
    for reader, role in enumerate(found.roles[1:], 1):
        both = sorted(base.keys() & (other := first_tokens(found, reader)).keys())
        if not both:
            continue
        ratios = [f"{other[n]['p50'] / base[n]['p50']:.2f} times" for n in (both[0], both[-1])]
        text = f"The {role} takes {ratios[0]} as long as {found.roles[0]} to the first token at {both[0]:,} tokens"
        text += f", {ratios[1]} at {both[-1]:,} (medians)" if len(both) > 1 else " (medians)"
        for who, crossing in _crossings(found):
            if who == reader:
                faster = found.roles[0] if crossing.lower_after == 0 else role
                text += (
                    f"; they cross at about {crossing.x:,.0f} tokens (between the measured {crossing.after:,.0f} and "
                    f"{crossing.before:,.0f}), beyond which {faster} is the faster"
                )
        yield f"{text}."


def _crossings(found: Evaluation) -> Iterator[tuple[int, Crossover]]:
    """Of each later reader with the first."""
    if len(_machines(found)) > 1:
        return
    curves = [
        [(tokens, one["p50"]) for tokens, one in first_tokens(found, reader).items()]
        for reader in range(len(found.roles))
    ]
    for reader, curve in enumerate(curves[1:], 1):
        for crossing in crossovers(curves[0], curve):
            yield reader, crossing


def _memory(found: Evaluation) -> Panel | None:
    lines = []
    for reader, role in enumerate(found.roles):
        most = {tokens: one["cost"]["peak_memory_gib"] for tokens, who, one in _timed(found) if who == reader}
        most = {tokens: gibibytes for tokens, gibibytes in most.items() if gibibytes is not None}
        if len(most) > 1:
            lines.append(Line(role, [*most], [{"mean": m, "low": m, "high": m} for m in most.values()], reader))
    return Panel("tokens of context", "GPU memory at most, GiB", lines, True, up_logarithmic=True) if lines else None


_HEADER = (
    *("context tokens", "reader", "timed", "first token p50", "p95", "tokens/s", "GPU GiB", "resident GiB"),
    *("kept to write", "KV cache", "J"),
)


def _row(tokens: int, reader: int, one: Mapping[str, Any]) -> list[str]:
    found, first, state = one["cost"], one["cost"]["first_token"], one["cost"]["state"]
    on_gpu = found["peak_memory_gib"] is not None
    return [
        f"{tokens:,}",
        one["role"],
        f"{found['n']:,}",
        duration(first["p50"]),
        duration(first["p95"]),
        f"{found['tokens_per_second']:,.0f}",
        gib(found["peak_memory_gib"]),
        "" if on_gpu else gib(found["peak_resident_gib"]),
        mebibytes(state["constant"] + state["memory"]),
        mebibytes(state["attention"]),
        f"{energy:,.{0 if energy >= 100 else 2}f}" if (energy := _energy(found)) else "",
    ]


def _energy(found: Mapping[str, Any]) -> float | None:
    return found["energy"]["joules"] if found["energy"] else None


def _timed(found: Evaluation) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
    """Tokens of context, reader, figures; by length, of what was timed."""
    for condition in sorted(found.conditions, key=lambda one: one["parameters"]["context_tokens"]):
        for reader, role in enumerate(found.roles):
            one = found.condition(reader, condition["name"])
            if one.get("cost"):
                yield condition["parameters"]["context_tokens"], reader, {**one, "role": role}


def _machines(found: Evaluation) -> set[str]:
    """Where the readers read."""
    return {
        ", ".join(sorted(set(result["machine"]["gpus"])))
        if result["reader"]["device"] != "cpu"
        else result["machine"]["processor"]
        for result in found.results
    }


def _places(found: Evaluation) -> str:
    return " and ".join(sorted(_machines(found)))
