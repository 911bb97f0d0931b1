"""Linear maps laid out for a CPU: the same products, and a plain one where oneDNN lacks the type."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from ragyena.errors import MissingDependencyError
from ragyena.ops.linear import Linear, has_fast_bf16, onednn_unavailable


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_map_prepared_for_this_cpu_is_the_same_map(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    plain, prepared = (Linear(24, 40).to(dtype) for _ in range(2))
    prepared.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        prepared.prepare_cpu()
        x, other = torch.randn(5, 24).to(dtype), torch.randn(5, 40).to(dtype)
        torch.testing.assert_close(prepared(x), plain(x))
        torch.testing.assert_close(prepared.gelu(x), plain.gelu(x), atol=2e-2, rtol=2e-2)
        torch.testing.assert_close(prepared.plus(x, other), plain.plus(x, other), atol=2e-2, rtol=2e-2)


@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this build of torch has no oneDNN")
def test_a_cpu_without_bfloat16_is_refused_by_name_and_served_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragyena.ops.linear._has_bf16", lambda: False)
    assert "bfloat16" in str(onednn_unavailable(torch.bfloat16)) and onednn_unavailable(torch.float32) is None
    linear = Linear(8, 8).to(torch.bfloat16)
    with torch.inference_mode():
        linear.prepare_cpu()
        assert linear(torch.ones(2, 8, dtype=torch.bfloat16)).shape == (2, 8)
        with pytest.raises(MissingDependencyError, match="bfloat16"):
            linear.prepare_cpu(backend="onednn")


MANY_SHAPES = """
import psutil, torch
from ragyena.ops.linear import Linear

torch.set_num_threads(1)
linear, x = Linear(384, 384).to(torch.bfloat16), torch.ones(512, 384, dtype=torch.bfloat16)
with torch.inference_mode():
    linear.prepare_cpu()
    for rows in range(1, 421):
        linear(x[:rows])
        if rows in (140, 420):
            print(psutil.Process().memory_info().rss // 2**20)
"""


@pytest.mark.skipif(onednn_unavailable(torch.bfloat16) is not None, reason="oneDNN has no bfloat16 here")
def test_memory_stays_flat_over_products_of_many_shapes() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_CACHE_CAPACITY")}
    done = subprocess.run(
        [sys.executable, "-c", MANY_SHAPES], env=environment, capture_output=True, text=True, check=True
    )
    early, late = map(int, done.stdout.split())
    assert late - early < 60, f"{early} MiB after 140 shapes, {late} MiB after 420: kernels of all of them are kept"


@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this build of torch has no oneDNN")
def test_bfloat16_is_chosen_where_onednn_and_the_cpu_both_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"avx512_bf16": True}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: held, raising=False)
    monkeypatch.setattr("ragyena.ops.linear._has_bf16", lambda: True)
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    assert has_fast_bf16()
    for limit, expected in (("avx2", False), ("AVX512_CORE", False), ("AVX512_CORE_BF16", True), ("ALL", True)):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        assert has_fast_bf16() == expected, limit
    held["avx512_bf16"] = False
    assert not has_fast_bf16(), "it would be emulated"
    held["avx512_bf16"] = True
    monkeypatch.setattr("ragyena.ops.linear._has_bf16", lambda: False)
    assert not has_fast_bf16(), "oneDNN does not use it"
