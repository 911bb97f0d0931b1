"""A minute of fuzzing; ``make fuzz`` runs longer. And every target with the files it begins from."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")


def test_every_target_takes_its_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        f"import sys; sys.path[:0] = {[str(FUZZ.parents[1] / 'support'), str(FUZZ.parent)]!r}\n"
        "from targets import targets\n"
        "listed = targets()\n"
        "assert all(target.seeds for target in listed)\n"
        "print(sum(target.run(seed) is None for target in listed for seed in target.seeds))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=FUZZ.parents[2])
    assert int(done.stdout) >= 30


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is there for Linux on x86-64 alone")
def test_a_minute_of_fuzzing_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(FUZZ), "--seconds", "60", "--seed", "1", "--findings", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    found = "\n".join(path.read_text(encoding="utf-8")[-1500:] for path in sorted(tmp_path.glob("*.txt")))
    assert done.returncode == 0, done.stdout[-3000:] + found
