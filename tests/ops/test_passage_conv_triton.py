"""The Triton convolution inside slots against its definition in fp64: outputs and gradients at odd sizes.

Without a GPU the same kernels run in Triton's interpreter (tests/conftest.py).
"""

from __future__ import annotations

import pytest
import torch
from numeric import DEVICE, TRITON_TOLERANCE, relative
from torch import Tensor

from ragyena.errors import MissingDependencyError
from ragyena.ops.passage_conv import passage_conv
from ragyena.ops.passage_conv.triton_op import MAX_SLOT, slot_plan
from ragyena.ops.reference import passage_conv_reference

pytest.importorskip("triton", reason="Triton is not installed")


def inputs(batch: int, channels: int, length: int, slot: int, dtype: torch.dtype) -> list[Tensor]:
    """u, filter, gate_in, gate_out."""
    generator = torch.Generator().manual_seed(length * 1009 + slot)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    full = (batch, channels, length)
    made = [draw(*full).to(dtype), draw(channels, 2 * slot - 1).float(), draw(*full).to(dtype), draw(*full).to(dtype)]
    return [tensor.to(DEVICE).requires_grad_() for tensor in made]


@pytest.mark.parametrize(
    ("batch", "channels", "length", "slot", "dtype"),
    [
        (1, 1, 1, 1, torch.float32),
        (2, 3, 50, 7, torch.float32),
        (1, 2, 20, 1, torch.float16),
        (3, 1, 33, 40, torch.bfloat16),
        (1, 2, 700, 100, torch.float16),
        (2, 1, 300, 64, torch.bfloat16),
        (1, 1, 999, 320, torch.float16),
        (1, 1, 600, 256, torch.float32),
        (1, 1, 512, 512, torch.float16),
    ],
    ids=str,
)
def test_matches_fp64(batch: int, channels: int, length: int, slot: int, dtype: torch.dtype) -> None:
    arguments = inputs(batch, channels, length, slot, dtype)
    u, taps, gate_in, gate_out = arguments
    actual = passage_conv(u, taps, slot_tokens=slot, gate_in_BDL=gate_in, gate_out_BDL=gate_out, backend="triton")
    expected = passage_conv_reference(u, taps, slot_tokens=slot, gate_in_BDL=gate_in, gate_out_BDL=gate_out)
    assert actual.dtype == dtype
    assert relative(actual, expected) <= TRITON_TOLERANCE[dtype]
    cotangent = torch.randn(u.shape, generator=torch.Generator().manual_seed(0)).to(dtype).to(DEVICE)
    gradients = torch.autograd.grad(actual, arguments, cotangent)
    wanted = torch.autograd.grad(expected, arguments, cotangent.double())
    for name, f, w, a in zip(("u", "filter", "gate_in", "gate_out"), gradients, wanted, arguments):
        assert f.dtype == a.dtype
        assert relative(f, w) <= TRITON_TOLERANCE[dtype], name


@pytest.mark.skipif(DEVICE == "cpu", reason="too slow to interpret")
@pytest.mark.parametrize("dtype", list(TRITON_TOLERANCE), ids=str)
@pytest.mark.parametrize("slot", [16, 31, 64, 100, 128, 200, 256, 300, 320, 512])
def test_every_plan_of_every_type(slot: int, dtype: torch.dtype) -> None:
    test_matches_fp64(2, 5, 9 * slot + 3, slot, dtype)


@pytest.mark.parametrize("given", [(False, False), (True, False), (False, True)], ids=str)
def test_each_gate_alone(given: tuple[bool, bool]) -> None:
    u, taps, gate_in, gate_out = inputs(2, 2, 60, 20, torch.float32)
    gates = (gate_in if given[0] else None, gate_out if given[1] else None)
    needed = [u, taps, *(gate for gate in gates if gate is not None)]
    actual = passage_conv(u, taps, slot_tokens=20, gate_in_BDL=gates[0], gate_out_BDL=gates[1], backend="triton")
    expected = passage_conv_reference(u, taps, slot_tokens=20, gate_in_BDL=gates[0], gate_out_BDL=gates[1])
    assert relative(actual, expected) <= 1e-6
    gradients = torch.autograd.grad(actual.sum(), needed)
    for f, w in zip(gradients, torch.autograd.grad(expected.sum(), needed)):
        assert relative(f, w) <= 2e-6


@pytest.mark.parametrize("backend", ["toeplitz", "fft"])
def test_backends_agree(backend: str) -> None:
    u, taps, gate_in, gate_out = (a.detach() for a in inputs(2, 3, 65, 20, torch.float32))
    actual = passage_conv(u, taps, slot_tokens=20, gate_in_BDL=gate_in, gate_out_BDL=gate_out, backend=backend)
    assert (
        relative(actual, passage_conv_reference(u, taps, slot_tokens=20, gate_in_BDL=gate_in, gate_out_BDL=gate_out))
        <= 1e-6
    )


def test_slots_are_independent() -> None:
    u, taps, *_ = (a.detach() for a in inputs(1, 2, 100, 20, torch.float16))
    changed = u.clone()
    changed[..., 45] += 1
    y, z = (passage_conv(x, taps, slot_tokens=20, backend="triton") for x in (u, changed))
    moved = (y != z).any(1)[0].cpu()
    assert not moved[:40].any() and moved[40:60].any() and not moved[60:].any()


def test_products_of_gates_and_large_means_do_not_overflow() -> None:
    u = torch.full((1, 1, 64), 60_000.0, dtype=torch.float16, device=DEVICE)
    gate = torch.full_like(u, 30_000.0)
    back = torch.full_like(u, 2.0**-20)
    taps = torch.full((1, 63), 2.0**-10, device=DEVICE)
    y = passage_conv(u, taps, slot_tokens=32, gate_in_BDL=gate, gate_out_BDL=back, backend="triton")
    assert relative(y, passage_conv_reference(u, taps, slot_tokens=32, gate_in_BDL=gate, gate_out_BDL=back)) <= 1e-3


def test_the_same_bits_from_run_to_run() -> None:
    arguments = inputs(1, 2, 200, 50, torch.float16)

    def once() -> list[Tensor]:
        u, taps, gate_in, gate_out = arguments
        y = passage_conv(u, taps, slot_tokens=50, gate_in_BDL=gate_in, gate_out_BDL=gate_out, backend="triton")
        return [y, *torch.autograd.grad(y.float().sum(), arguments)]

    assert all(torch.equal(a, b) for a, b in zip(once(), once()))


def test_operator_is_registered_soundly() -> None:
    u, taps, gate_in, gate_out = inputs(1, 2, 13, 5, torch.float32)
    operator = torch.ops.ragyena.passage_conv_triton.default
    torch.library.opcheck(operator, (u, taps, 5, gate_in, gate_out))
    torch.library.opcheck(operator, (u, taps, 5, None, None))


def test_arguments_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    u, taps = torch.zeros(1, 2, 8, device=DEVICE), torch.zeros(2, 7, device=DEVICE)
    with pytest.raises(ValueError, match=r"filter is \(3, 7\); it must be \[2, taps\]"):
        passage_conv(u, torch.zeros(3, 7, device=DEVICE), slot_tokens=5, backend="triton")
    with pytest.raises(ValueError, match="gate_in"):
        passage_conv(u, taps, slot_tokens=4, gate_in_BDL=u[..., :4])
    with pytest.raises(ValueError, match="at most 512"):
        slot_plan(MAX_SLOT + 1, torch.float16)
    with pytest.raises(MissingDependencyError, match="fp16, bf16 and fp32, not"):
        passage_conv(u.double(), taps, slot_tokens=4, backend="triton")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(MissingDependencyError, match="does not run on cpu"):
        passage_conv(u.cpu(), taps.cpu(), slot_tokens=4, backend="triton")
