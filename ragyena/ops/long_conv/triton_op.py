"""The long convolution on Triton kernels over a twisted ring: the operators, and filters prepared for inference.

Shape suffixes: B batch, D channels, L positions, K filter taps. Launches are in ``ring_launches``; Triton is imported
when a kernel is first launched, so that the operators exist without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ragyena.ops.backends import triton_refusal
from ragyena.ops.conv_operator import gradient_like, register
from ragyena.ops.long_conv.triton_launch import Gradients, Run, flat, operand_type
from ragyena.ops.long_conv.weighted_fft import MAX_RING, RingPlan, Spectrum, ring_plan, spectrum

__all__ = ["PreparedFilter", "conv", "conv_with_tail", "prepare_filter", "prepared_conv", "refusal"]


@dataclass(frozen=True, slots=True)
class PreparedFilter:
    """A filter's spectrum, for inference: computed once, used for every input of up to ``length`` positions."""

    spectrum: Spectrum
    length: int
    operand: torch.dtype


def refusal(u: Tensor, length: int) -> str | None:
    """Why these kernels cannot convolve ``u``; None where they can."""
    if length > MAX_RING:
        return f"it takes up to {MAX_RING:,} positions, not {length:,}"
    return triton_refusal(u)


def prepare_filter(
    filter_DK: Tensor, *, length: int, causal: bool, dtype: torch.dtype, plan: RingPlan | None = None
) -> PreparedFilter:
    """The spectrum of a filter [D, K] for inputs of type ``dtype`` and up to ``length`` positions.

    Takes 4 bytes a channel and position of the ring for half precision, 8 for fp32. No gradient flows through it.
    """
    operand = operand_type(dtype)
    plan = plan or ring_plan(length, operand)
    with torch.no_grad():
        found = spectrum(filter_DK, plan, operand, causal=causal, reach=length)
    return PreparedFilter(found, length, operand)


def prepared_conv(
    u_BDL: Tensor,
    filter_: PreparedFilter,
    *,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """``long_conv`` with a prepared filter; no gradient. Raises ValueError for longer or other inputs than prepared."""
    _, channels, length = u_BDL.shape
    if length > filter_.length or operand_type(u_BDL.dtype) != filter_.operand:
        raise ValueError(
            f"the filter was prepared for up to {filter_.length:,} positions and {filter_.operand} operands; "
            f"the input has {length:,} of {u_BDL.dtype}"
        )
    given = filter_.spectrum
    if channels != given.real.shape[0]:
        raise ValueError(f"the filter was prepared for {given.real.shape[0]} channels; the input has {channels}")
    run = Run(u_BDL, given.plan)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    u, gate_in, gate_out = flat(u_BDL), flat(gate_in_BDL), flat(gate_out_BDL)
    for group in run.groups():
        run.convolve(group, given.channels(group), u, gate_in, gate_out, flat(skip_D), y_BDL)
    return y_BDL


@torch.library.custom_op("ragyena::long_conv_triton", mutates_args=())
def conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> Tensor:
    """``gate_out * (filter * p + skip * p)``, ``p = gate_in * u``, as [B, D, L] in the type of ``u``."""
    length = u_BDL.shape[2]
    plan = ring_plan(length, operand_type(u_BDL.dtype))
    run = Run(u_BDL, plan)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    u, gate_in, gate_out, skip = flat(u_BDL), flat(gate_in_BDL), flat(gate_out_BDL), flat(skip_D)
    for group in run.groups():
        found = run.spectrum(group, filter_DK, causal=causal, reach=length)
        run.convolve(group, found, u, gate_in, gate_out, skip, y_BDL)
    return y_BDL


def conv_with_tail(
    u_BDL: Tensor,
    filter_DK: Tensor,
    history: int,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The causal ``conv`` and, in fp32, ``filter * p`` at the ``history`` positions after the last; no gradient."""
    batch, channels, length = u_BDL.shape
    taps = min(filter_DK.shape[1], length + history)
    plan = ring_plan(ring_with_tail(length, taps), operand_type(u_BDL.dtype))
    run = Run(u_BDL, plan)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    tail_BDH = torch.zeros(batch, channels, history, dtype=torch.float32, device=u_BDL.device)
    u, gate_in, gate_out, skip = flat(u_BDL), flat(gate_in_BDL), flat(gate_out_BDL), flat(skip_D)
    for group in run.groups():
        found = run.spectrum(group, filter_DK, causal=True, reach=length + history)
        run.convolve(group, found, u, gate_in, gate_out, skip, y_BDL, tail=tail_BDH if history else None)
    return y_BDL, tail_BDH


def ring_with_tail(length: int, taps: int) -> int:
    """Positions of a ring on which the whole convolution, tail included, comes apart into real and imaginary part."""
    return max(length, taps, -(-(length + taps - 1) // 2))


@torch.library.custom_op("ragyena::long_conv_triton_backward", mutates_args=())
def _backward(
    dy_BDL: Tensor,
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, filter, skip, gate_in, gate_out; empty where there is no such argument."""
    length = u_BDL.shape[2]
    plan = ring_plan(length, operand_type(u_BDL.dtype))
    run = Run(u_BDL, plan)
    u, gate_in, gate_out, skip = flat(u_BDL), flat(gate_in_BDL), flat(gate_out_BDL), flat(skip_D)
    assert u is not None
    dy = dy_BDL.to(u.dtype).contiguous()
    made = Gradients(
        gradient_like(u, u),
        torch.zeros(filter_DK.shape, dtype=torch.float32, device=u.device),
        torch.empty(filter_DK.shape[0], dtype=torch.float32, device=u.device),
        gradient_like(gate_in, u),
        gradient_like(gate_out, u),
    )
    for group in run.groups():
        found = run.spectrum(group, filter_DK, causal=causal, reach=length)
        run.gradients(group, found, dy, u, gate_in, gate_out, skip, made, causal=causal)
    dskip = u.new_empty(0) if skip is None else made.skip.to(skip.dtype, copy=True)
    return made.u, made.filter.to(filter_DK.dtype), dskip, made.gate_in, made.gate_out


register(conv, _backward)
