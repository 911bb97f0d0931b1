"""Readers, machines, versions, recipe and settings: enough to measure again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ragyena.eval.results import Run
from ragyena.report.compared import Compared
from ragyena.report.model import Block, Bullets, Code, Section, Table, Text

__all__ = ["as_yaml", "facts_section"]


def facts_section(compared: Compared) -> Section:
    """Readers, machines, versions, hashes, the recipe and the settings; settings that all runs share stand once."""
    head = ["", *(run.label for run in compared.runs)]
    rows = [[name, *values] for name, values in _facts(compared.runs).items() if any(values)]
    blocks: list[Block] = [Table(head, rows, left=len(head))]
    left_out = [*_left_out(compared.runs)]
    if left_out:
        blocks += [Text("Rows of the data that were left out; the first of them:"), Bullets(left_out)]
    for title, key in (
        ("Recipe", "config"),
        ("Settings of the contexts", "settings"),
        ("Settings of reading", "reading"),
    ):
        blocks += _settings(title, key, compared.runs)
    return Section("How it was measured", blocks)


def _facts(runs: Sequence[Run]) -> dict[str, list[str]]:
    facts: dict[str, list[str]] = {}
    for run in runs:
        result = run.result
        reader, machine, data = result["reader"], result["machine"], result["data"]
        values = {
            "reader": reader["name"],
            "parameters": f"{reader['parameters']:,}",
            "fingerprint": reader["fingerprint"][:16],
            "arithmetic": f"{reader['dtype']} on {reader['device']}",
            "date": result["date"],
            "questions": f"{data['answerable']:,} with an answer, {data['unanswerable']:,} without",
            "rows left out": f"{data['left_out']:,}",
            "wall time": f"{result['seconds']:,.0f} s",
            "processor": f"{machine['processor']}, {machine['cores']} cores, {machine['torch_threads']} torch threads",
            "GPUs": ", ".join(machine["gpus"]),
            "memory": f"{machine['memory_gib']} GiB" if machine.get("memory_gib") else "",
            "system": f"{machine['system']}, Python {machine['python']}",
            "versions": ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
            "answers, sha256": result.get("hashes", {}).get("answers", "")[:16],
            "contexts": result.get("hashes", {}).get("contexts", ""),
            "result": run.file.name,
            "schema": result.get("schema", ""),
        }
        for name, value in values.items():
            facts.setdefault(name, []).append(str(value))
    return facts


def _left_out(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(problem for run in runs for problem in run.result["data"].get("left_out_first", ())))


def _settings(title: str, key: str, runs: Sequence[Run]) -> list[Block]:
    texts = [as_yaml(run.result[key]) if run.result.get(key) else "" for run in runs]
    if len(set(texts)) == 1:
        return [Code(title, texts[0])] if texts[0] else []
    return [Code(f"{title}, {run.label}", text) for run, text in zip(runs, texts) if text]


def as_yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
