"""What the time of a question goes to, and what is kept and spent beside it; of readings that were timed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragyena.report.blocks import Block, Group, Line, Table, Text
from ragyena.report.compared import Compared, number

__all__ = ["PART_NAMES", "duration", "mebibytes", "parts_blocks", "state_blocks"]

PART_NAMES = {
    "retrieve": "retrieve",
    "pack": "pack",
    "inputs": "inputs",
    "encode": "encode",
    "extract": "extract",
    "first_token": "first written token",
    "write": "write on",
}
"""What people call the parts of a question, in their order."""


def parts_blocks(compared: Compared) -> list[Block]:
    """Medians of the parts, and percentiles of the first token; nothing where no reading was timed in parts."""
    head = ["reader", *PART_NAMES.values(), "first token p50", "p95", "p99", "each token after", "tokens/s alone"]
    rows = [*_lines(compared, _parts)]
    if not rows:
        return []
    text = (
        "What the time of a question goes to, the median of each part. Retrieving and packing are those of `ragyena "
        "ask` with the budget of the condition. Inputs are padded and copied to the device; encode is embeddings and "
        "layers; extract scores and chooses spans. The first token is counted from the packed context: an extracted "
        "answer is there as a whole at the end of extract, a written one begins after the context was projected for "
        "the decoder. On a GPU the host waits for the device at the end of each part."
    )
    return [Text(text), Table(head, rows)]


def state_blocks(compared: Compared) -> list[Block]:
    """Memory of one reading, what is kept to write an answer, energy; nothing where no reading was timed in parts."""
    head = ["reader", "GPU GiB", "resident GiB", "kept to write", "grows with the context", "attention would keep", "J"]
    rows = [*_lines(compared, _state)]
    if not rows:
        return []
    text = (
        "One context read alone: the most memory, and what is kept from one written token to the next, computed from "
        "the architecture for the median length, beside the KV cache of a decoder-only attention reader of the same "
        "depth, width and type. A reader that only extracts keeps nothing. J is the energy of a question, of the "
        "whole board, as NVML counts it."
    )
    reasons = {
        figures["cost"]["no_energy"]
        for run in compared.runs
        for figures in run.conditions.values()
        if figures.get("cost") and figures["cost"]["no_energy"]
    }
    if reasons:
        text += f" Energy was not measured: {'; '.join(sorted(reasons))}."
    return [Text(text), Table(head, rows)]


def _lines(compared: Compared, cells: Any) -> Iterator[Line]:
    for name, condition in compared.conditions.items():
        lines: list[Sequence[str]] = [
            [run.label, *cells(figures["cost"])] for _, run, figures in compared.having(name) if figures.get("cost")
        ]
        if lines:
            yield Group(condition["title"])
            yield from lines


def _parts(cost: Mapping[str, Any]) -> list[str]:
    parts, first = cost["parts"], cost["first_token"]
    return [
        *(duration(parts[part]["p50"]) if part in parts else "" for part in PART_NAMES),
        *(duration(first[key]) for key in ("p50", "p95", "p99")),
        duration(cost["per_token"]["p50"]) if cost["per_token"] else "",
        f"{cost['tokens_per_second']:,.0f}",
    ]


def _state(cost: Mapping[str, Any]) -> list[str]:
    state, energy = cost["state"], cost["energy"]
    return [
        number(cost["peak_memory_gib"], ".2f"),
        number(cost["peak_resident_gib"], ".2f"),
        mebibytes(state["constant"] + state["memory"]),
        mebibytes(state["memory"]),
        mebibytes(state["attention"]),
        number(energy and energy["joules"], ",.3g"),
    ]


def mebibytes(count: int) -> str:
    return f"{count / 2**20:,.3g} MiB" if count else "0"


def duration(seconds: float | None) -> str:
    """``20 ms`` or ``1.5 s``; empty where it was not measured."""
    if seconds is None:
        return ""
    return f"{seconds * 1000:,.3g} ms" if seconds < 0.9995 else f"{seconds:,.3g} s"
