"""``ragyena.ops`` as a library of its own: its examples run, it needs torch alone, and its arguments are checked."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from typing import Any

import pytest
import torch
import torch_alone
from numeric import relative

import ragyena.ops
from ragyena.ops import long_conv, passage_conv

MODULES = [name for _, name, _ in pkgutil.walk_packages(ragyena.ops.__path__, "ragyena.ops.") if "triton" not in name]
TORCH_ALONE = """
import torch
from ragyena.ops import Hyena, TwoSidedHyena, import_hyena
for mixer in (Hyena(4, max_length=9), TwoSidedHyena(4)):
    mixer(torch.randn(1, 9, 4)).sum().backward()
print(len(import_hyena(Hyena(4, max_length=9).state_dict(), decay_shift=0.0)))
"""


def test_the_exported_names() -> None:
    assert ragyena.ops.__all__ == ["Hyena", "TwoSidedHyena", "import_hyena", "long_conv", "passage_conv"]
    for name in ragyena.ops.__all__:
        assert "Example:" in (getattr(ragyena.ops, name).__doc__ or ""), name


@pytest.mark.parametrize("name", ["ragyena.ops", *MODULES])
def test_the_examples_of_docstrings_run(name: str) -> None:
    torch.manual_seed(0)
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    modules = [importlib.import_module(name) for name in ("ragyena.ops", *MODULES)]
    assert sum(len(test.examples) for module in modules for test in finder.find(module)) >= 20


def test_it_needs_torch_alone() -> None:
    done = torch_alone.run(TORCH_ALONE, refused=("ragyena.config", "ragyena.model", "ragyena.types", "ragyena.files"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"


@pytest.mark.parametrize("backend", ["fft", "direct", "auto"])
@pytest.mark.parametrize("direction", ["causal", "two_sided"])
def test_any_stride(backend: str, direction: Any) -> None:
    u, gate, filter_DK, skip = torch.randn(2, 5, 40), torch.randn(2, 5, 40), torch.randn(5, 21), torch.randn(5)
    options = {"direction": direction, "backend": backend}
    expected = long_conv(u, filter_DK, skip_D=skip, gate_in_BDL=gate, gate_out_BDL=gate, **options)
    turned = gate.transpose(1, 2).contiguous().transpose(1, 2)
    strided = u.transpose(0, 2).contiguous().transpose(0, 2)
    doubled = torch.stack([skip, skip], 1)[:, 0]
    taps = filter_DK.t().contiguous().t()
    y = long_conv(strided, taps, skip_D=doubled, gate_in_BDL=turned, gate_out_BDL=turned, **options)
    assert relative(y, expected) <= 1e-6
    spread = u[:1, :, :1].expand(2, 5, 40)
    y = long_conv(spread, taps, **options)
    assert relative(y, long_conv(spread.contiguous(), filter_DK, **options)) <= 1e-6
    if direction == "two_sided":
        y = passage_conv(strided, taps, slot_tokens=7, gate_in_BDL=turned, gate_out_BDL=turned)
        expected = passage_conv(u, filter_DK, slot_tokens=7, gate_in_BDL=gate, gate_out_BDL=gate)
        assert relative(y, expected) <= 1e-6


@pytest.mark.parametrize("backend", ["auto", "fft", "direct"])
def test_no_sequences_and_no_channels(backend: str) -> None:
    for batch, channels in ((0, 3), (2, 0)):
        u = torch.zeros(batch, channels, 9, requires_grad=True)
        needed = [u, torch.ones(channels, 30, requires_grad=True), torch.ones(channels, requires_grad=True)]
        y = long_conv(*needed[:2], direction="causal", skip_D=needed[2], gate_in_BDL=u, backend=backend)
        assert y.shape == (batch, channels, 9)
        assert all(not gradient.any() for gradient in torch.autograd.grad(y.sum(), needed))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_the_input_decides_the_type(dtype: torch.dtype) -> None:
    u, filter_DK, gate = torch.randn(1, 2, 30).to(dtype), torch.randn(2, 29), torch.randn(1, 2, 30)
    with torch.autocast("cpu", torch.bfloat16):
        assert long_conv(u, filter_DK, direction="causal", gate_in_BDL=gate, gate_out_BDL=gate).dtype == dtype
        assert passage_conv(u, filter_DK, slot_tokens=8, gate_in_BDL=gate, gate_out_BDL=gate).dtype == dtype


def test_wrong_arguments_are_named() -> None:
    u, filter_DK = torch.zeros(1, 2, 6), torch.zeros(2, 5)
    with pytest.raises(ValueError, match="filter is on meta and u on cpu; move them to one device"):
        long_conv(u, filter_DK.to("meta"), direction="causal")
    with pytest.raises(TypeError, match=r"u is torch\.float8_e4m3fn; it must be fp16, bf16, fp32 or fp64"):
        long_conv(u.to(torch.float8_e4m3fn), filter_DK, direction="causal")
    with pytest.raises(TypeError, match=r"filter is torch\.complex64"):
        long_conv(u, filter_DK.to(torch.complex64), direction="causal")
    with pytest.raises(ValueError, match=r"gate_out is \(1, 2, 5\); it must be \[1, 2, 6\]"):
        long_conv(u, filter_DK, direction="causal", gate_out_BDL=u[..., 1:])
    with pytest.raises(ValueError, match=r"skip is \(3,\); it must be \[2\]"):
        long_conv(u, filter_DK, direction="causal", skip_D=torch.zeros(3))
    with pytest.raises(ValueError, match=r"u is \(2, 6\); it must be \[batch, channels, length\]"):
        long_conv(u[0], filter_DK, direction="causal")
