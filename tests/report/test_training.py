"""Reports of training runs are made from their logs, under distinct names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena.errors import DataError
from ragyena.report.model import Figures, LineChart
from ragyena.report.training import find_stages, training_blocks, training_section
from ragyena.report.write import report

METRIC = "held-out perplexity"


def write_log(folder: Path, factor: float) -> Path:
    folder.mkdir(parents=True)
    shared = {"seconds": 1.0, "tokens_per_second": 100.0, "mfu": None}
    rows = [{"step": n, "tokens": 100 * n, "flops": 3e9 * n, "losses": {"loss": 2.0}, **shared} for n in (1, 2, 3)]
    for n in (1, 2, 3):
        at = {"step": n, "tokens": 100 * n, "flops": 3e9 * n, "seconds": 1.0}
        rows.insert(2 * n - 1, {**at, "held_out": {METRIC: factor / n}})
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_curves_are_what_the_logs_say(tmp_path: Path) -> None:
    write_log(tmp_path / "hyena" / "model", 60.0)
    write_log(tmp_path / "two" / "first", 90.0)
    last = write_log(tmp_path / "two" / "second", 30.0)
    stages = find_stages([tmp_path / "hyena", tmp_path / "two", last, last / "log.jsonl"])
    assert [stage.name for stage in stages] == ["hyena", "two, first", "two, second", "two, second", "two, second"]
    (figures,) = training_section(stages).blocks
    assert isinstance(figures, Figures)
    tokens, flops = figures.charts
    assert isinstance(tokens, LineChart) and isinstance(flops, LineChart) and tokens.y.log
    assert [series.name for series in tokens.series][:2] == ["hyena: 20", "two, first: 30"]
    assert [(p.x, p.y) for p in tokens.series[0].points] == [(100, 60.0), (200, 30.0), (300, 20.0)]
    assert [p.x for p in flops.series[0].points] == [3e9, 6e9, 9e9]


def test_the_report_of_a_run_has_its_curves(tmp_path: Path) -> None:
    write_log(tmp_path / "hyena" / "model", 60.0)
    html, markdown = report([tmp_path / "hyena"], tmp_path / "out")
    assert "hyena: 20" in html.read_text("utf-8") and "against model FLOPs" in html.read_text("utf-8")
    assert "| hyena | 0.0M | 9e-06 | 1 | 100 | 20.00 |" in markdown.read_text("utf-8")


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    run = write_log(tmp_path / "hyena" / "model", 60.0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no result"):
        report([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(DataError, match="no 'accuracy'") as error:
        training_blocks(find_stages([run]), ["accuracy"], [])
    assert METRIC in error.value.hint
    text = (run / "log.jsonl").read_text("utf-8")
    (run / "log.jsonl").write_text(text + text, encoding="utf-8")
    with pytest.raises(DataError, match="logs of several stages"):
        find_stages([run])
    (run / "log.jsonl").write_text('{"step": 1}\nhalf\n{"step": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2 is damaged"):
        find_stages([run])
