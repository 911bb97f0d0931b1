"""The page of a run of ``benchmarks/peers.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragyena.errors import DataError
from ragyena.report.markdown import to_markdown
from ragyena.report.peers import latest_peers, make_peers


def engine(seconds: float, search: str = "search", **more: Any) -> dict[str, Any]:
    built = {"seconds": seconds, "passages": 100, "bytes": 5_000_000, "peak_mb": 90.0, "versions": ["one 1.0"]}
    used = {"open_seconds": 0.5, "search_10_ms": [1.0, 2.0], "search_100_ms": [3.0, 4.0], "peak_mb": 80.0}
    return {"embedded": built, "cached": built, search: {**used, "recall": 1.0}, **more}


def record(**engines: dict[str, Any]) -> dict[str, Any]:
    counts = {"embedded": 10, "cached": 10}
    facts = {"date": "2026-11-29", "machine": "a machine", "load": 0.1, "questions": 5}
    return {**facts, "documents": counts, "chars": {"embedded": 1000, "cached": 2_000_000}, "engines": engines}


def page(**engines: dict[str, Any]) -> str:
    return to_markdown(make_peers(record(**engines)))


def test_being_ahead_and_behind_are_said_with_their_reason() -> None:
    ours = engine(2.0, "search dense", add={"seconds": 3.0, "first_seconds": 4.0})
    text = page(ragyena=ours, LangChain=engine(1.0, add={"seconds": 6.0, "first_seconds": 7.0}))
    lines = " ".join(text.split()).split(" - ")
    assert any(
        line.startswith("text a second") and "behind LangChain by 2 times, because each file" in line for line in lines
    )
    assert any(
        line.startswith("adding a file") and "**ahead** (the next, LangChain, by 2 times)" in line for line in lines
    )
    assert any(line.startswith("time to open: level") for line in lines)
    assert "| LangChain | 100 | 10 | 100 | 10 | 2 | 90 | 5 |" in text


def test_what_a_library_cannot_do_and_what_failed_stand_in_the_table() -> None:
    text = page(
        ragyena=engine(2.0, "search dense"),
        bm25s=engine(
            1.0, add={"cannot": "bm25s adds nothing to an index"}, answers={"answers": 0.5, "question_ms": 1.0}
        ),
        txtai={"cached": {"failed": "no memory"}},
    )
    assert "| bm25s | bm25s adds nothing to an index |" in text
    assert "no vectors" in text
    assert "txtai: failed" in text


def test_the_last_record_is_shown(tmp_path: Path) -> None:
    assert latest_peers(tmp_path) is None
    for day in (1, 2):
        (tmp_path / f"2026-11-0{day}-peers.json").write_text(json.dumps({"day": day}))
    assert latest_peers(tmp_path) == {"day": 2}
    (tmp_path / "2026-11-03-peers.json").write_text("{")
    with pytest.raises(DataError, match="is no record"):
        latest_peers(tmp_path)
