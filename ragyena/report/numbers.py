"""Numbers as a report writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragyena.eval.significance import Difference
from ragyena.report.model import Cell, Value

__all__ = ["compact", "difference", "duration", "interval", "mark", "number", "p_value", "p_values", "score", "signed"]
__all__ += ["withheld_by"]


def number(value: float | None, form: str) -> str:
    """A number in a format; empty where it was not measured."""
    return "" if value is None else format(value, form)


def withheld_by(figures: Mapping[str, Any]) -> str:
    """The answers that are withheld, by the ``threshold`` and ``odds`` of results: those less probable, or less than
    so many times as probable as there being none."""
    odds = figures.get("odds")  # results of earlier versions have none
    return f"{odds:g} times none" if odds else f"{figures['threshold']:g}"


def score(estimate: Mapping[str, float] | None, gap: Difference | None = None) -> Cell:
    """A mean, its interval below it, and the mark of its difference to the first reader."""
    return "" if estimate is None else Value(f"{estimate['mean']:.1f}", interval(estimate), mark(gap))


def interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['low']:.1f}–{estimate['high']:.1f}"


def mark(gap: Difference | None) -> str:
    """▲ where the later reader is significantly better than the first, ▼ where it is worse."""
    return {"first": "▲", "second": "▼"}.get(gap.verdict if gap else "", "")


def difference(gap: Difference | None) -> Cell:
    """A difference with its interval and p-values."""
    if gap is None:
        return ""
    mean, ends = signed(gap)
    return Value(mean, f"{ends}\n{', '.join(p_values(gap))}", mark(gap))


def signed(gap: Difference) -> tuple[str, str]:
    """The mean and its interval."""
    return f"{gap.difference.mean:+.1f}", f"{gap.difference.low:+.1f} to {gap.difference.high:+.1f}"


def p_values(gap: Difference) -> list[str]:
    """As tested, and after Holm's correction if there was one."""
    return [f"p {p_value(gap.p)}", *([] if gap.p_holm is None else [f"Holm {p_value(gap.p_holm)}"])]


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.9995 else "1"


def duration(seconds: float | None) -> str:
    """``20 ms`` or ``1.5 s``; empty where it was not measured."""
    if seconds is None:
        return ""
    return f"{seconds * 1000:,.3g} ms" if seconds < 0.9995 else f"{seconds:,.3g} s"


def compact(value: float) -> str:
    """A length or count for an axis: ``8K`` is 8,192, ``1.5k`` is 1,500."""
    for base, small, large in ((1024, "K", "M"), (1000, "k", "m")):
        if value >= base and value % base == 0:
            return f"{value / base:g}{small}" if value < base**2 or value % base**2 else f"{value / base**2:g}{large}"
    if value >= 999_500:
        return f"{value / 1e6:.3g}m"
    if value >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:g}"
