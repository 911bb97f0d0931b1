"""``benchmarks/ops_standalone.py`` runs with torch alone on a CPU: checks, times, and writes JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch_alone

SCRIPT = torch_alone.ROOT / "benchmarks" / "ops_standalone.py"
if not SCRIPT.is_file():
    pytest.skip("runs in a checkout", allow_module_level=True)
RUN = f"""
import runpy
sys.argv = [{str(SCRIPT)!r}, *sys.argv[1:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_it_writes_what_it_checked_and_timed(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--lengths", "90", "64", "--width", "128", "--slot-tokens", "20"]
    done = torch_alone.run(RUN, *options, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*-operator-cpu.json")
    assert str(path) in done.stdout
    result = json.loads(path.read_text(encoding="utf-8"))
    names = [figure["name"] for figure in result["figures"]]
    assert [name for name in names if name.endswith(": forward")] == [
        f"{scope}, {length} x 128, batch 1: forward"
        for length in (64, 90)
        for scope in ("causal", "two-sided", "slots of 20")
    ]
    assert all(figure["met"] for figure in result["figures"] if figure["name"].endswith("largest error"))
    assert "torch" in result["machine"]["versions"] and not result["setting"]["failures"]


def test_a_size_that_was_not_measured_is_an_exit_code(tmp_path: Path) -> None:
    done = torch_alone.run(RUN, "--device", "cpu", "--lengths", "64", "--seconds", "-1", "--out", str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "not begun within" in done.stdout
