"""``benchmarks/fused_conv.py``: its kernel computes the convolution, stage by stage in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch_alone

SCRIPT = torch_alone.ROOT / "benchmarks" / "fused_conv.py"
if not SCRIPT.is_file():
    pytest.skip("runs in a checkout", allow_module_level=True)
pytest.importorskip("triton")


@pytest.mark.slow
def test_the_stages_compute_the_convolution() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check", "--lengths", "16001"],
        env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    errors = [float(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines()]
    assert len(errors) == 2  # two-sided and causal
    assert max(errors) < 6e-3
