"""A process killed, and power lost, at any write to an index: the next command finds it whole and goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).parents[1] / "support"
SAMPLE = 3
"""Points tried of each scenario, of a hundred and more; the slow tests try all."""
SCENARIOS = ("new", "nothing", "update", "prune", "rm", "rebuild", "sync", "upgrade")
SOME = {"kill": SCENARIOS[::2], "power": SCENARIOS[1::2]}
"""Scenarios of which some points are tried; the slow tests try all under both."""


@pytest.fixture(scope="module")
def kill_points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kill_points.c, compiled."""
    if sys.platform != "linux" or (compiler := shutil.which("cc")) is None:
        pytest.skip("needs Linux and a C compiler (cc) for the library that ends a process at a write")
    library = tmp_path_factory.mktemp("kill_points") / "kill_points.so"
    source = SUPPORT / "kill_points.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def outcome(library: Path, folder: Path, model: str, scenarios: str, points: int | None) -> list[dict[str, Any]]:
    """The counts of the scenarios, after checking that there was no failure."""
    command = [sys.executable, str(SUPPORT / "index_crashes.py"), model, scenarios, str(folder)]
    environment = os.environ | {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command + ([str(points)] if points else []), env=environment, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line for line in lines if "failure" in line] == []
    return lines


@pytest.mark.parametrize("model", list(SOME))
def test_some_points_of_every_scenario(kill_points: Path, tmp_path: Path, model: str) -> None:
    counts = outcome(kill_points, tmp_path, model, ",".join(SOME[model]), SAMPLE)
    assert [line["scenario"] for line in counts] == list(SOME[model])
    assert all(line["points"] > 50 for line in counts)
    if model == "kill":
        assert all(line["kills"] >= SAMPLE - 1 for line in counts), counts


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("model", ["kill", "power"])
def test_every_point(kill_points: Path, tmp_path: Path, model: str, scenario: str) -> None:
    (counts,) = outcome(kill_points, tmp_path, model, scenario, None)
    if model == "kill":
        assert counts["kills"] == 2 * counts["points"], counts
