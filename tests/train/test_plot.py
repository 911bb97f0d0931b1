"""Curves of runs come from their logs, under names that tell them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena.errors import DataError, PathNotFoundError, UsageError
from ragyena.train.plot import curves, draw

METRIC = "held-out perplexity"


def write_log(folder: Path, factor: float) -> Path:
    folder.mkdir(parents=True)
    rows = [{"step": n, "tokens": 100 * n, "flops": 3e9 * n, "losses": {"loss": 2.0}} for n in (1, 2, 3)]
    rows += [{"step": n, "tokens": 100 * n, "flops": 3e9 * n, "held_out": {METRIC: factor / n}} for n in (1, 2, 3)]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_curves_are_what_the_logs_say(tmp_path: Path) -> None:
    write_log(tmp_path / "hyena" / "model", 60.0)
    write_log(tmp_path / "two" / "first", 90.0)
    last = write_log(tmp_path / "two" / "second", 30.0)
    found = curves([tmp_path / "hyena", tmp_path / "two", last, last / "log.jsonl"], METRIC)
    assert [curve.name for curve in found] == ["hyena", "two, first", "two, second", "two, second", "two, second"]
    assert found[0].tokens == (100, 200, 300) and found[0].flops == (3e9, 6e9, 9e9)
    assert found[0].values == (60.0, 30.0, 20.0) and found[4] == found[2]


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_a_picture_is_drawn(tmp_path: Path, suffix: str, start: bytes) -> None:
    write_log(tmp_path / "hyena" / "model", 60.0)
    out = tmp_path / "plots" / f"curves{suffix}"
    draw(curves([tmp_path / "hyena"], METRIC), METRIC, out)
    assert out.read_bytes().startswith(start)
    again = tmp_path / f"again{suffix}"
    draw(curves([tmp_path / "hyena"], METRIC), METRIC, again)
    assert again.read_bytes() == out.read_bytes()
    if suffix == ".svg":
        assert "hyena: 20" in out.read_text(encoding="utf-8")


def test_what_cannot_be_drawn_is_named(tmp_path: Path) -> None:
    run = write_log(tmp_path / "hyena" / "model", 60.0)
    with pytest.raises(PathNotFoundError, match=r"no log\.jsonl"):
        curves([tmp_path / "nowhere"], METRIC)
    with pytest.raises(DataError, match="no 'accuracy'") as error:
        curves([run], "accuracy")
    assert METRIC in error.value.hint
    with pytest.raises(UsageError, match="no picture"):
        draw(curves([run], METRIC), METRIC, tmp_path / "curves.txt")
    (run / "log.jsonl").write_text('{"step": 1}\nhalf\n{"step": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2 is damaged"):
        curves([run], METRIC)
