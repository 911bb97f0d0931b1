"""The implementation of ``auto``, by operation, type, device and inside a compiler."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ragyena.ops.backends import prefers_triton

pytest.importorskip("triton")


@pytest.mark.parametrize(
    ("operation", "eager", "compiled"),
    [
        ("long_conv", True, True),
        ("causal_gates", True, True),
        ("passage_scope", True, False),
        ("slot_conv", False, False),
    ],
)
def test_auto_is_triton_where_it_was_measured(
    operation: str, eager: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeTensorMode():  # a CUDA tensor needs no CUDA
        on_cuda = torch.empty(1, 2, 3, dtype=torch.bfloat16, device="cuda")
        full = torch.empty(1, 2, 3, device="cuda")
    chosen = [prefers_triton(operation, on_cuda)]
    assert not prefers_triton(operation, full) and not prefers_triton(operation, torch.empty(1, 2, 3).bfloat16())
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert [*chosen, prefers_triton(operation, on_cuda)] == [eager, compiled]
