"""How figures are written, and tables of them."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from results_page.files import Training

__all__ = [
    "HELD_OUT",
    "HELD_OUT_IS",
    "bullets",
    "delta",
    "gib",
    "image",
    "millions",
    "p_value",
    "prose",
    "score",
    "table",
    "training_table",
]

HELD_OUT = "held-out span"
"""What readers in training are measured by."""
HELD_OUT_IS = (
    f"`{HELD_OUT}` is the loss of the answer's span in nats, on held-out questions among as many passages as the\n"
    "stage trains on: it compares stages of like contexts.\n"
)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table whose first ``left`` columns are words and whose others are figures; columns without any are left out."""
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    lines = [[header[i] for i in kept], ["---" if i < left else "---:" for i in kept]]
    lines += [[row[i].replace("|", "\\|") for i in kept] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def prose(text: str) -> str:
    """A paragraph, in lines of the width of our other pages."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def bullets(sentences: Iterable[str]) -> str:
    """A list of them."""
    return "".join(textwrap.indent(prose(sentence), "  ").replace("  ", "- ", 1) for sentence in sentences)


def image(name: str, alt: str) -> str:
    return f"![{alt}](plots/{name})\n"


def score(estimate: Mapping[str, float]) -> str:
    """A score and its interval."""
    return f"{estimate['mean']:.1f} ({estimate['low']:.1f}-{estimate['high']:.1f})"


def delta(found: Mapping[str, Any] | None, *, turned: bool = False) -> str:
    """A difference and its interval, in bold where it is one; ``turned`` for second less first."""
    if found is None:
        return ""
    mean, low, high = (found["difference"][key] for key in ("mean", "low", "high"))
    if turned:
        mean, low, high = -mean, -high, -low
    mean, low, high = (value + 0.0 for value in (mean, low, high))  # no negative zeros
    text = f"{mean:+.1f}"
    return f"{text if found['verdict'] == 'neither' else f'**{text}**'} ({low:+.1f} to {high:+.1f})"


def p_value(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    return "<0.001" if found["p"] < 0.001 else f"{found['p']:.3f}"


def gib(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def millions(count: int) -> str:
    return f"{count / 1e6:.2f}M"


def training_table(stages: Sequence[Training], measures: Mapping[str, str]) -> str:
    """What stages of training took and came to; ``measures`` are held-out ones with the places they are written to."""
    rows = []
    for stage in stages:
        last = stage.last
        speeds = [row["tokens_per_second"] for row in stage.points]
        medians = stage.points[-1].get("medians", {}) if stage.points else {}
        mfus = [row["mfu"] for row in stage.points if row["mfu"] is not None]
        rows.append(
            [
                stage.name,
                f"{last['tokens'] / 1e6:,.1f}M",
                f"{last['flops'] / 1e15:,.3g}" if last["flops"] < 1e18 else f"{last['flops'] / 1e15:,.0f}",
                f"{last['seconds']:,.0f}",
                f"{medians.get('tokens_per_second', statistics.median(speeds)):,.0f}" if speeds else "",
                f"{medians.get('mfu', statistics.median(mfus)):.1%}" if mfus else "",
                *(
                    format(stage.measured[name], form) if name in stage.measured else ""
                    for name, form in measures.items()
                ),
            ]
        )
    return table(["stage", "tokens", "model PFLOP", "seconds", "tokens/s", "MFU", *measures], rows)
