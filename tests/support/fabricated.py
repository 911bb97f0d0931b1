"""Fabricated result files in the format of real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ragyena.bench.figures import Benchmark, Figure
from ragyena.eval.compare import Comparison
from ragyena.eval.cost import Cost, DecodeState, Energy
from ragyena.eval.layout import SCHEMA, Abstention, ConditionReport, Report, SourceReport
from ragyena.eval.metrics import Estimate, risk_coverage
from ragyena.eval.significance import Difference, Spread
from ragyena.eval.timing import Latency, Percentiles


def estimate(mean: float) -> Estimate:
    return Estimate(mean, mean - 1.25, mean + 1.25)


def condition(name: str, em: float, *, sources: Sequence[str] = ("all of it",), **parameters: Any) -> ConditionReport:
    """A condition with EM as given and F1 ten above it; each source scores one above the last."""

    def part(source: str, em: float) -> SourceReport:
        return SourceReport(source, 1234, estimate(em), estimate(em + 10))

    return ConditionReport(
        name=name,
        title=f"title of {name}",
        parameters=parameters,
        whole=part("all", em),
        sources=tuple(part(source, em + number) for number, source in enumerate(sources)),
        own_first=None,
        own_packed=estimate(93.5) if "context_tokens" in parameters else None,
        answer_packed=None,
        passages=8.0,
        kinds={"extracted": 1234},
        unasked=0,
        tokens=1234 * 5000,
        seconds=em,
        tokens_per_second=round(1234 * 5000 / em, 1),
        peak_memory_gib=em / 8,
        peak_resident_gib=None,
        latency=None,
        risk_coverage=risk_coverage([0.5], [1.0]),
        abstention=Abstention(1234, 99, 0.8765, 0.5, None, 0.3, 0.0, 0.75, 81.5, 0.625) if name == "among-1" else None,
    )


def cost(tokens: int, seconds: float) -> Cost:
    """p95 is a tenth above the median; a joule for each millisecond."""
    times = Percentiles(20, seconds, 1.1 * seconds, None, seconds)
    state = DecodeState(tokens, constant=2**20, memory=2**20, attention=tokens * 1024)
    energy = Energy(1000 * seconds, 500.0, 10, 3.0)
    return Cost(20, {"encode": times}, times, None, 0, tokens / seconds, tokens / 2**15, 1.0, state, energy, "")


def difference(first: str, second: str, gap: float, source: str, measure: str) -> Difference:
    """A difference that is significant if it is at least two."""
    verdict = "neither" if abs(gap) < 2 else "first" if gap > 0 else "second"
    p = 0.0001 if abs(gap) >= 2 else 0.4321
    return Difference(first, second, source, measure, 1234, 50.0, 50.0 - gap, estimate(gap), p, verdict)


def write_evaluation(
    path: Path,
    readers: Mapping[str, float],
    conditions: Sequence[ConditionReport],
    *,
    contrasts: Sequence[tuple[str, str]] = (),
    spread: bool = False,
    seconds: Callable[[int, int], float] | None = None,
) -> None:
    """``readers``: name -> how far its scores are above those of ``conditions``, which are the first reader's.
    ``seconds``: of a reader's number and the tokens of a context, what was timed."""
    results, comparisons = [], []
    for number, (name, gain) in enumerate(readers.items()):
        mine = [
            condition(c.name, c.whole.em.mean + gain, sources=[s.source for s in c.sources], **c.parameters)
            for c in conditions
        ]
        if seconds:
            mine = [
                replace(c, cost=cost(tokens, took), latency=Latency(20, took, 1.1 * took, None, took, tokens))
                for c in mine
                if (tokens := c.parameters["context_tokens"]) and (took := seconds(number, tokens))
            ]
        between = [
            difference(one, other, 3.0 + gain, source, measure)
            for one, other in contrasts
            for source in ("all", *(s.source for s in conditions[0].sources if len(conditions[0].sources) > 1))
            for measure in ("em", "f1")
        ]
        report = Report(
            schema=SCHEMA,
            recipe=path.stem,
            date="2026-11-20",
            answers="answers.jsonl",
            conditions=tuple(mine),
            differences=tuple(between),
            spreads=(Spread(tuple(c.name for c in conditions), estimate(2.5), estimate(1.5)),) if spread else (),
            reader={
                "name": f"runs/some/{name}/checkpoint",
                "fingerprint": f"{number}" * 64,
                "parameters": 25_000_000 + number,
                "device": "cuda",
                "dtype": "bfloat16",
            },
            reading={},
            config={"resamples": 10, "seed": 0},
            settings={},
            data={"answerable": 1234, "unanswerable": 0, "left_out": 0},
            hashes={},
            machine={
                **{"gpus": ["A GPU"], "processor": "A processor", "cores": 2, "torch_threads": 2},
                **{"system": "Linux", "python": "3", "versions": {}},
            },
            seconds=1.0,
        )
        results.append(asdict(report))
        if number:
            by_condition = {
                c.name: tuple(
                    difference("first", name, -gain, source, measure)
                    for source in ("all", *(s.source for s in c.sources if len(c.sources) > 1))
                    for measure in ("em", "f1")
                )
                for c in conditions
            }
            readers_compared = results[0]["reader"], results[number]["reader"]
            comparisons.append(asdict(Comparison("2026-11-20", path.stem, *readers_compared, by_condition, ())))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"results": results, "comparisons": comparisons}), encoding="utf-8")


def write_log(path: Path, **held_out: float) -> None:
    """A log with three held-out measurements, the last of which has the given values."""
    rows: list[dict[str, Any]] = []
    for step in (10, 20, 30):
        row = {"step": step, "tokens": step * 100_000, "seconds": float(step), "flops": step * 1e14}
        losses = {"losses": {"loss": 2.0}, "rate": 1.0, "tokens_per_second": 100_000.0 + step, "mfu": 0.25}
        rows.append({**row, **losses})
        measured = {name.replace("_", " "): value * (40 - step) / 10 for name, value in held_out.items()}
        rows.append({**row, "held_out": measured})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_benchmark(path: Path, rate: float) -> None:
    figures = (
        Figure("the loop without our logging", rate + 5, "t/s"),
        Figure("ours, with log and TensorBoard", rate, "t/s"),
    )
    setting = {"recipe": "lm-hyena-125m", "sequence_tokens": 8192, "parameters": 125_400_000, "device": "A GPU"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(Benchmark("train", "2026-11-20", figures, setting, {}))), encoding="utf-8")
