"""docs/sizing.md: what many passages need, from measured figures and stated assumptions (docs/sizing.yaml).

By hand, with assumptions of one's own: ``python docs/sizing_page.py core_hour=0.05 gpu_hour=2`` prints the page.
"""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "benchmarks" / "results"
HOURS_A_MONTH = 730
LEAST_SEARCHED = 200_000
"""Passages from which the time of a search says something about millions."""


@dataclass(frozen=True)
class Input:
    """A figure that the tables multiply."""

    value: float
    meaning: str
    origin: str
    """The file that it was measured in, or ``assumed``."""
    at: float | None = None
    """Passages of the index that it was measured on."""


@dataclass(frozen=True)
class Size:
    """The needs of a number of passages. Sizes are in GB of 10^9 bytes, times in hours, prices a month or once."""

    passages: int
    pages: float
    disk_gb: float
    vector_gb: float
    shards: int
    search_ms: float | None
    """Milliseconds of a search of one shard, in proportion to its passages; None where it was measured on too few."""
    store_core_hours: float
    embed_core_hours: float
    embed_gpu_hours: float
    machines: int
    """That serve: by memory or by cores, whichever are more."""
    memory_gb: float

    @property
    def build_core_hours(self) -> float:
        return self.store_core_hours + self.embed_core_hours


def inputs(results: Path = RESULTS, given: dict[str, float] | None = None) -> dict[str, Input]:
    """The figures by name: measured where a result is there, else assumed; ``given`` replace assumed ones.

    Raises KeyError for a name in ``given`` that is none, ValueError where a figure is neither measured nor assumed.
    """
    description = yaml.safe_load((DOCS / "sizing.yaml").read_text(encoding="utf-8"))
    found = {name: _measured(name, entry, results) for name, entry in description["measured"].items()}
    for name, entry in description["assumed"].items():
        found[name] = Input(float(entry["value"]), entry["meaning"], "assumed")
    for name, value in (given or {}).items():
        if found[name].origin != "assumed":
            raise KeyError(name)
        found[name] = Input(value, found[name].meaning, "assumed")
    return found


def counts() -> list[int]:
    """The numbers of passages in the tables."""
    return list(yaml.safe_load((DOCS / "sizing.yaml").read_text(encoding="utf-8"))["passages"])


def size(passages: int, of: dict[str, Input]) -> Size:
    """The arithmetic."""
    value = {name: figure.value for name, figure in of.items()}
    shards = math.ceil(passages / value["passages_per_shard"])
    vector_gb = passages * value["vector_file_bytes"] / 1e9
    memory_gb = vector_gb + shards * value["shard_memory_gb"]
    at = of["search_ms"].at or 0
    shard = min(passages, value["passages_per_shard"])
    return Size(
        passages=passages,
        pages=passages * value["store_text_bytes"] / value["text_bytes_per_page"],
        disk_gb=passages * (value["store_bytes"] + value["vector_file_bytes"]) / 1e9,
        vector_gb=vector_gb,
        shards=shards,
        search_ms=value["search_ms"] * max(1.0, shard / at) if at >= LEAST_SEARCHED else None,
        store_core_hours=passages / value["stored_per_core_second"] / 3600,
        embed_core_hours=passages / value["passages_per_core_second"] / 3600,
        embed_gpu_hours=passages / value["gpu_passages_per_second"] / 3600,
        machines=math.ceil(max(memory_gb / value["memory_gb_per_machine"], shards / value["cores_per_machine"])),
        memory_gb=memory_gb,
    )


def page(results: Path = RESULTS, given: dict[str, float] | None = None) -> str:
    """The text of docs/sizing.md."""
    of = inputs(results, given)
    sizes = [size(count, of) for count in counts()]
    value = {name: figure.value for name, figure in of.items()}
    per_machine = value["cores_per_machine"]
    per_month = [
        s.disk_gb * value["gb_month"] + s.machines * per_machine * value["core_hour"] * HOURS_A_MONTH for s in sizes
    ]
    store_money = [s.store_core_hours * value["core_hour"] for s in sizes]
    rows: list[tuple[str, list[str], str]] = [
        ("pages of text", [_many(s.pages) for s in sizes], "passages x bytes of text / bytes a page"),
        ("disk", [_gb(s.disk_gb) for s in sizes], "passages x (store + vector file)"),
        ("of that, the vector file", [_gb(s.vector_gb) for s in sizes], "passages x vector file"),
        ("indexes (shards)", [f"{s.shards:,}" for s in sizes], "passages / passages a shard"),
        ("memory to serve", [_gb(s.memory_gb) for s in sizes], "vector file + shards x memory a shard"),
        (
            "machines to serve",
            [f"{s.machines:,}" for s in sizes],
            "the more of memory / its memory, shards / its cores",
        ),
        (
            "search of one shard",
            [_time(s.search_ms / 3.6e6) if s.search_ms else "not measured" for s in sizes],
            "measured, in proportion to its passages",
        ),
        ("cutting and storing", [f"{_many(s.store_core_hours)} core h" for s in sizes], "passages / rate of a core"),
        ("embedding on CPUs", [f"{_many(s.embed_core_hours)} core h" for s in sizes], "passages / rate of a core"),
        ("embedding on GPUs", [f"{_many(s.embed_gpu_hours)} GPU h" for s in sizes], "passages / rate of a GPU"),
        ("build, one machine of CPUs", [_time(s.build_core_hours / per_machine) for s in sizes], "core h / its cores"),
        (
            "build, one machine of GPUs",
            [
                _time(max(s.embed_gpu_hours / value["gpus_per_machine"], s.store_core_hours / per_machine))
                for s in sizes
            ],
            "the longer of GPU h / its GPUs, core h of storing / its cores",
        ),
        ("build on CPUs, money", [_money(s.build_core_hours * value["core_hour"]) for s in sizes], "core h x price"),
        (
            "build on GPUs, money",
            [_money(s.embed_gpu_hours * value["gpu_hour"] + m) for s, m in zip(sizes, store_money, strict=True)],
            "GPU h x price + core h of storing x price",
        ),
        (
            "a month of serving, money",
            [_money(m) for m in per_month],
            "disk x price + machines x cores x 730 h x price",
        ),
    ]
    head = " | ".join(f"{_many(s.passages)} passages" for s in sizes)
    table = [f"| | {head} | how |", "| :-- |" + " --: |" * len(sizes) + " :-- |"]
    table += [f"| {name} | {' | '.join(cells)} | {how} |" for name, cells, how in rows]
    taken = ["| figure | value | name | from |", "| :-- | --: | :-- | :-- |"]
    for name, figure in of.items():
        at = f" (at {figure.at:,.0f} passages)" if figure.at else ""
        origin = "**assumed**" if figure.origin == "assumed" else f"`{figure.origin}`"
        taken.append(f"| {figure.meaning}{at} | {_number(figure.value)} | `{name}` | {origin} |")
    text = (DOCS / "sizing.template").read_text(encoding="utf-8")
    shard = f"{value['passages_per_shard'] / 1e6:,.0f}M"
    made = {
        "TABLE": "\n".join(table),
        "INPUTS": "\n".join(taken),
        "TEXT": f"{value['store_text_bytes']:,.0f}",
        "TWO_CORE_DAYS": f"{sizes[0].embed_core_hours / 2 / 24:,.0f}",
        "SHARD": shard,
        "STORE_HOURS": _time(sizes[0].store_core_hours),
    }
    for name, content in made.items():
        text = text.replace("{" + name + "}", content)
    return text


# --- details ---------------------------------------------------------------------------------------------------


def _measured(name: str, entry: dict[str, Any], results: Path) -> Input:
    for place in entry["from"]:
        for path in sorted(results.glob(place["file"]), reverse=True):
            values = json.loads(path.read_text(encoding="utf-8"))
            figure, at = _figure(values, place["figure"])
            if figure is None or (at or 0) < place.get("least", 0):
                continue
            at = reduce(getitem, place["at"].split("."), values) if "at" in place else at
            divisor = reduce(getitem, place["divide"].split("."), values) if "divide" in place else 1
            less = _figure(values, place["less"])[0] if "less" in place else 0
            if less is None:
                raise ValueError(f"{path}: no figure '{place['less']}'")
            return Input((figure - less) / divisor, entry["meaning"], path.name, at)
    if "otherwise" not in entry:
        raise ValueError(f"docs/sizing.yaml: no result holds {name}")
    return Input(float(entry["otherwise"]), entry["meaning"], "assumed")


def _figure(values: dict[str, Any], name: str) -> tuple[float | None, float | None]:
    """The value of a figure, and the passages of the index where its name begins with them; None without one."""
    pattern = re.compile(re.escape(name).replace("N:", r"(?P<count>[\d,]+):", 1))
    found: list[tuple[float | None, float]] = []
    for figure in values.get("figures", ()):
        if match := pattern.fullmatch(figure["name"].strip()):
            count = match.groupdict().get("count")
            found.append((float(count.replace(",", "")) if count else None, figure["value"]))
    if not found:
        return None, None
    count, value = max(found, key=lambda one: one[0] or 0.0)
    return value, count


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def _many(value: float) -> str:
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "K")):
        if value >= limit:
            return f"{value / limit if letter != 'K' else value / 1e3:,.3g}{letter}"
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def _gb(value: float) -> str:
    return f"{value / 1e3:,.3g} TB" if value >= 1e3 else f"{value:,.3g} GB"


def _time(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:,.3g} days"
    if hours >= 1:
        return f"{hours:,.3g} h"
    if hours >= 1 / 60:
        return f"{hours * 60:,.3g} min"
    return f"{hours * 3.6e6:,.3g} ms" if hours < 1 / 3600 else f"{hours * 3600:,.3g} s"


def _money(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:,.2g}"


if __name__ == "__main__":
    print(page(given={name: float(value) for name, _, value in (text.partition("=") for text in sys.argv[1:])}), end="")
