"""Language models and recall: what the paper measures, on our prose and at our lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ragyena.errors import DataError
from ragyena.train.plot import draw
from results_page.files import Section, Training, newest, read_json, training
from results_page.markdown import image, prose, table, training_table
from results_page.plots import curves

__all__ = ["sections"]

PERPLEXITY = "held-out perplexity"
ACCURACY = re.compile(r"held-out accuracy (\d+)")
TASKS = ("associative-short", "associative", "associative-once", "induction-short", "induction")
"""The stages of the recipes ``configs/train/recall-*.yaml``."""


def sections(results: Path) -> Iterator[Section]:
    """Language models of the newest ``DATE-lm`` and ``DATE-train-lm-*.json``, recall of the newest ``DATE-recall``
    and ``DATE-recall-MODEL``."""
    stages = [training(path) for folder in newest(results, "lm") for path in sorted(folder.glob("*.jsonl"))]
    benchmarks = [read_json(path) for path in newest(results, r"train-lm-.*\.json")]
    if stages or benchmarks:
        yield _language(stages, benchmarks)
    folders = newest(results, r"recall(?:-\w+)?")
    recall = [training(path) for folder in folders for path in sorted(folder.glob("*.jsonl"))]
    if recall:
        yield _recall(recall)


def _language(stages: Sequence[Training], benchmarks: Sequence[Mapping[str, Any]]) -> Section:
    parts, plots = [], {}
    if stages:
        drawn = curves(stages, PERPLEXITY)
        if drawn:
            plots["language.svg"] = partial(draw, drawn, PERPLEXITY)
            parts.append(image("language.svg", "held-out perplexity against tokens and FLOPs"))
        parts.append(training_table(stages, {"held-out loss": ".4f", PERPLEXITY: ".2f"}))
    if benchmarks:
        parts.append(
            "How fast training is, with our log, TensorBoard and checks and as a bare loop, by `ragyena bench train`:\n"
        )
        parts.append(_throughput(benchmarks))
    return Section("Language models", "\n".join(parts), plots)


def _throughput(benchmarks: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for found in sorted(benchmarks, key=lambda b: (Path(b["setting"]["recipe"]).stem, b["setting"]["sequence_tokens"])):
        setting, figures = found["setting"], {figure["name"]: figure["value"] for figure in found["figures"]}
        rows.append(
            [
                f"`{Path(setting['recipe']).stem}`",
                setting["device"],
                f"{setting['sequence_tokens']:,}",
                f"{setting['parameters'] / 1e6:.1f}M",
                *(
                    f"{figures[name]:,.0f}" if name in figures else ""
                    for name in ("the loop without our logging", "ours, with log and TensorBoard")
                ),
                f"{figures['MFU, ours']:.1f}%" if "MFU, ours" in figures else "",
                f"{figures['peak memory']:.1f}" if "peak memory" in figures else "",
            ]
        )
    header = ["recipe", "device", "sequence", "parameters", "bare tokens/s", "our tokens/s", "MFU", "GiB"]
    return table(header, rows, left=2)


def _recall(stages: Sequence[Training]) -> Section:
    """Accuracies at the end, by task and model: a file is ``recall-MODEL-TASK.jsonl``, or ``recall-MODEL.jsonl``."""
    found: dict[tuple[int, str, str], tuple[Training, dict[int, float]]] = {}
    for stage in stages:
        model, _, task = stage.name.removeprefix("recall-").partition("-")
        accuracies = {int(m[1]): value for name, value in stage.measured.items() if (m := ACCURACY.fullmatch(name))}
        if not accuracies:
            raise DataError(f"{stage.name}.jsonl has no held-out accuracies", hint="commit the log of a recall stage")
        place = TASKS.index(task) if task in TASKS else len(TASKS)
        found[place, task, model] = stage, accuracies
    lengths = sorted({length for _, accuracies in found.values() for length in accuracies})
    rows = [
        [
            task,
            model,
            f"{stage.last['tokens'] / 1e6:,.0f}M",
            *(f"{100 * accuracies[length]:.1f}" if length in accuracies else "" for length in lengths),
        ]
        for (_, task, model), (stage, accuracies) in sorted(found.items(), key=lambda item: item[0])
    ]
    text = prose(
        "Percent of right answers on new sequences, at the end of training, by the length of the sequences. A stage "
        "trains on the lengths that it is measured at; the long stages go on from the short ones. At which rates, "
        "and what that says of attention, stands in benchmarks/README.md."
    )
    return Section(
        "Recall", text + "\n" + table(["task", "model", "tokens", *(f"{n:,}" for n in lengths)], rows, left=2)
    )
