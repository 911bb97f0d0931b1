"""The page of ``ragyena.ops``: its examples run, and its figures are those of the results."""

from __future__ import annotations

import doctest
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "docs" / "ops_page.py").is_file():
    pytest.skip("runs in a checkout", allow_module_level=True)


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ops_page", ROOT / "docs" / "ops_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_examples_run() -> None:
    torch.manual_seed(0)
    text = (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    parsed = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "ops.md", "ops.md", 0)
    assert len(parsed.examples) > 20
    assert doctest.DocTestRunner().run(parsed).failed == 0


def result(device: str, value: float, **setting: Any) -> dict[str, Any]:
    names = ["forward", "torch.fft forward", "cudnn-64 forward", "flash-128 forward", "forward + backward"]
    figures = [
        {"name": f"two-sided, 4,096 x 768, batch 1: {name}", "value": value * (n + 1)} for n, name in enumerate(names)
    ]
    figures.append({"name": "two-sided, 4,096 x 768, batch 1: largest error", "value": 2e-3, "limit": 6e-3})
    figures.append({"name": "copy bandwidth", "value": 3.0})
    return {
        "date": "2026-01-02",
        "figures": figures,
        "setting": {"device": device, "dtype": "torch.bfloat16", "timing": "medians", "failures": {}, **setting},
        "machine": {"versions": {"torch": "2.11.0"}},
    }


def test_figures_are_those_of_the_latest_result_of_each_device(made: ModuleType, tmp_path: Path) -> None:
    for name, value in (("2026-01-01-operator-h100", 9.0), ("2026-01-02-operator-h100", 1.5)):
        (tmp_path / f"{name}.json").write_text(json.dumps(result("NVIDIA H100", value)), encoding="utf-8")
    (tmp_path / "2026-01-01-operator-cpu.json").write_text(json.dumps(result("cpu", 50.0)), encoding="utf-8")
    text = made.page(tmp_path)
    assert "| two-sided, 4,096 | 1.5 | 3 | 4.5 (3.0x) | 7.5 |" in text  # columns without a figure are left out
    assert "| two-sided, 4,096 | 50 |" in text
    assert "13.5" not in text
    assert "- sm_90: NVIDIA H100, 1 sizes, 0 failures (`2026-01-02-operator-h100.json`)." in text
    assert "| NVIDIA H100 | bfloat16 | 1 | 2.0e-03 | 6e-03 |" in text
    assert "{" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_the_page_has_every_length_that_was_measured(made: ModuleType) -> None:
    text = made.page(made.DOCS.parent / "benchmarks" / "results")
    for scope in ("causal", "two-sided", "slots of 256"):
        for length in (2048, 4096, 8192, 16384, 32768, 65536, 131072):
            assert f"| {scope}, {length:,} | " in text
