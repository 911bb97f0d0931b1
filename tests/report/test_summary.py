"""Summaries are small and keep every figure of the results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fabricated import condition, write_evaluation, write_log

from ragyena.errors import DataError, PathNotFoundError
from ragyena.eval.metrics import risk_coverage
from ragyena.report.summary import summarize, summary_of_log, summary_of_result
from ragyena.train.log import read_log


def test_curves_are_thinned_and_every_figure_is_kept(tmp_path: Path) -> None:
    curve = risk_coverage([n / 1000 for n in range(1000)], [float(n % 3 > 0) for n in range(1000)])
    points = [{"threshold": p.threshold, "coverage": p.coverage, "risk": p.risk} for p in curve.points]
    result = {"f1": {"mean": 200 / 3}, "risk_coverage": {"n": 1000, "aurc": curve.aurc, "points": points}, "cost": None}
    small = summary_of_result(result)
    assert small["f1"]["mean"] == pytest.approx(200 / 3, rel=1e-7) and small["cost"] is None
    assert [point["coverage"] for point in small["risk_coverage"]["points"]] == pytest.approx(
        [0.2, 0.4, 0.5, 0.6, 0.8, 1.0], abs=0.03
    )
    assert small["risk_coverage"]["aurc"] == pytest.approx(curve.aurc)
    assert summary_of_result(small) == small


def test_a_log_keeps_its_held_out_measures_its_end_and_its_medians() -> None:
    rows = [
        {"step": n, "losses": {"loss": 2.0, "span": 1.0}, "tokens_per_second": 100.0 + n, "mfu": None}
        for n in range(1, 102)
    ]
    rows.insert(50, {"step": 50, "held_out": {"held-out span": 1.25}})
    small = summary_of_log(rows)
    assert [row for row in small if "held_out" in row] == [rows[50]]
    assert len(small) < 15 and small[-1]["step"] == 101 and small[-1]["losses"] == {"loss": 2.0}
    assert small[-1]["medians"] == {"tokens_per_second": 151.0}
    assert summary_of_log(small)[-1]["medians"] == small[-1]["medians"]


def test_files_and_folders_are_summarized(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "runs" / "both.json", {"a": 0.0, "b": -3.0}, [condition("among-1", 80.0, among=1)])
    write_log(tmp_path / "train" / "student" / "log.jsonl", **{"held-out span": 1.0})
    written = summarize([tmp_path / "runs", tmp_path / "train"], tmp_path / "out")
    assert [path.name for path in written] == ["both.json", "student.jsonl"]
    assert json.loads(written[0].read_text("utf-8")).keys() == {"results", "comparisons"}
    assert read_log(written[1])[-1]["held_out"] == {"held-out span": 1.0}
    with pytest.raises(PathNotFoundError, match="nowhere"):
        summarize([tmp_path / "nowhere"], tmp_path)
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="not a result"):
        summarize([tmp_path / "bad.json"], tmp_path)
