"""docs/ops.md: ``ragyena.ops`` as a library, with its figures from the results of the operators' benchmark."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
WIDTH, BATCH = 768, 1  # of the rows in the tables of lengths
LEGEND = (
    "*Library* is `torch.fft`, inside slots the product with Toeplitz matrices; *attention* the fastest of cuDNN and"
    " flash attention, heads of 64 and 128, with the same mask, and its time over ours. *Floor* is the bound by memory:"
    " u, two gates and the output once. Forward has the filter's spectrum computed before, as in inference. *Memory* is"
    " what forward needs beyond its input, in inputs."
)
CPU_LEGEND = "*Forward* is torch's transform, inside slots the product with Toeplitz matrices; *attention* torch's own."

_SIZE = re.compile(r"(.+), ([\d,]+) x (\d+), batch (\d+)$")
_CAPABILITIES = {"H100": "sm_90", "H200": "sm_90", "A100": "sm_80"}
_SCOPES = ("causal", "two-sided", "slots")

Sizes = dict[tuple[str, int, int, int], dict[str, dict[str, Any]]]
"""(scope, length, width, batch) -> figure without its size -> the figure."""


def page(results: Path) -> str:
    """The text of docs/ops.md."""
    runs = _runs(results)
    text = (DOCS / "ops.template").read_text(encoding="utf-8").rstrip() + "\n"
    made = {
        "ACCURACY": "\n".join(_accuracy(runs)),
        "SPEED": "\n\n".join(part for run in runs for part in _speed(*run)),
        "DEVICES": "\n".join(_devices(runs)) + "\n",
    }
    for name, content in made.items():
        text = text.replace("{" + name + "}", content)
    return text


def _runs(results: Path) -> list[tuple[Path, dict[str, Any], Sizes]]:
    """The latest result of each device, by its file's name."""
    latest: dict[str, Path] = {}
    for path in sorted(results.glob("????-??-??-operator-*.json")):
        latest[path.stem[11:]] = path
    runs = []
    for path in latest.values():
        values = json.loads(path.read_text(encoding="utf-8"))
        sizes: Sizes = {}
        for figure in values["figures"]:
            size, _, name = figure["name"].partition(": ")
            if match := _SIZE.match(size):
                scope, length, width, batch = match.groups()
                key = (scope, int(length.replace(",", "")), int(width), int(batch))
                sizes.setdefault(key, {})[name] = figure
        runs.append((path, values, sizes))
    return runs


def _accuracy(runs: list[tuple[Path, dict[str, Any], Sizes]]) -> list[str]:
    lines = ["| device | type | sizes | largest error | limit |", "| :-- | :-- | --: | --: | --: |"]
    for _, values, sizes in runs:
        errors = [figures["largest error"] for figures in sizes.values() if "largest error" in figures]
        largest, limit = max(e["value"] for e in errors), max(e["limit"] for e in errors)
        kind = values["setting"]["dtype"].removeprefix("torch.")
        lines.append(f"| {values['setting']['device']} | {kind} | {len(errors)} | {largest:.1e} | {limit:.0e} |")
    return lines


def _speed(path: Path, values: dict[str, Any], sizes: Sizes) -> list[str]:
    setting, versions = values["setting"], values["machine"]["versions"]
    bandwidth = next((f["value"] for f in values["figures"] if f["name"] == "copy bandwidth"), None)
    moved = f"; a copy moves {bandwidth:.2f} TB/s" if bandwidth else ""
    head = (
        f"**{setting['device']}**, {values['date']}, torch {versions['torch']}, "
        f"{setting['dtype'].removeprefix('torch.')}, width {WIDTH}, batch {BATCH}{moved} (`{path.name}`). "
        f"Milliseconds: {setting['timing']}. {LEGEND if bandwidth else CPU_LEGEND}"
    )
    head = textwrap.fill(head, 120, break_long_words=False, break_on_hyphens=False)
    columns = ["", "forward", "floor", "library", "attention", "forward + backward", "library", "attention", "memory"]
    rows = []
    for key in sorted(sizes, key=_order):
        scope, length, width, batch = key
        if (width, batch) == (WIDTH, BATCH):
            rows.append([f"{scope}, {length:,}", *_row(sizes[key])])
    kept = [column for column in range(len(columns)) if any(row[column] for row in rows)]
    table = [[columns[c] for c in kept], [":--", *["--:"] * (len(kept) - 1)], *([row[c] for c in kept] for row in rows)]
    parts = [head, "\n".join(f"| {' | '.join(cells)} |" for cells in table)]
    return parts + _trend(sizes)


def _row(figures: dict[str, dict[str, Any]]) -> list[str]:
    def time(name: str) -> str:
        return f"{figures[name]['value']:.3g}" if name in figures else ""

    def library(name: str) -> str:
        return time(f"torch.fft {name}") or time(f"toeplitz {name}")

    def attention(name: str) -> str:
        times = [
            f["value"] for key, f in figures.items() if re.fullmatch(rf"(cudnn|flash|torch)-\d+ {re.escape(name)}", key)
        ]
        return f"{min(times):.3g} ({min(times) / figures[name]['value']:.1f}x)" if times else ""

    both, memory = "forward + backward", figures.get("extra memory over input")
    return [
        *(time("forward"), time("floor"), library("forward"), attention("forward")),
        *(time(both), library(both), attention(both)),
        f"{memory['value']:.1f}" if memory else "",
    ]


def _trend(sizes: Sizes) -> list[str]:
    name = "a position over that at width 768"
    others = sorted({key[2:] for key, figures in sizes.items() if name in figures}, key=lambda key: (key[1], key[0]))
    lengths = sorted({key[1] for key, figures in sizes.items() if name in figures})
    if not others:
        return []
    head = [f"width {width}" if batch == BATCH else f"batch {batch}" for width, batch in others]
    lines = [f"| positions | {' | '.join(head)} |", "| --: |" + " --: |" * len(head)]
    for length in lengths:
        found = [sizes.get(("causal", length, *other), {}).get(name) for other in others]
        cells = [f"{figure['value']:.2f}" if figure else "" for figure in found]
        lines.append(f"| {length:,} | {' | '.join(cells)} |")
    return [
        "Causal forward at other widths and batches, time a position and channel over that at width 768 and batch 1:",
        "\n".join(lines),
    ]


def _devices(runs: list[tuple[Path, dict[str, Any], Sizes]]) -> list[str]:
    lines = []
    for path, values, sizes in runs:
        device = values["setting"]["device"]
        capability = next((sm for name, sm in _CAPABILITIES.items() if name in device), None)
        if capability:
            wrong = len(values["setting"]["failures"])
            lines.append(f"- {capability}: {device}, {len(sizes)} sizes, {wrong} failures (`{path.name}`).")
    return lines


def _order(key: tuple[str, int, int, int]) -> tuple[int, tuple[str, int, int, int]]:
    return next(place for place, scope in enumerate(_SCOPES) if key[0].startswith(scope)), key
