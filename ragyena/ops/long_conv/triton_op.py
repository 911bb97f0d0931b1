"""The long convolution as a custom operator on Triton kernels, and filters prepared for inference.

Shape suffixes: B batch, D channels, L positions, K filter taps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ragyena.ops import backends
from ragyena.ops.custom_op import empty_gradient, operand_type, register
from ragyena.ops.long_conv.plan import MAX_FFT_SIZE, Spectrum, fft_plan, filter_spectrum
from ragyena.ops.long_conv.triton_launch import Arguments, Gradients, Launcher

__all__ = ["PreparedFilter", "conv", "prepare_filter", "prepared_conv", "triton_unavailable"]


@dataclass(frozen=True, slots=True)
class PreparedFilter:
    """A filter's spectrum, for inference: computed once, used for every input of up to ``length`` positions."""

    spectrum: Spectrum
    length: int
    operand: torch.dtype


def triton_unavailable(u: Tensor, length: int) -> str | None:
    """The reason why these kernels do not take ``u``; None if they do."""
    if length > MAX_FFT_SIZE:
        return f"it takes up to {MAX_FFT_SIZE:,} positions, not {length:,}"
    return backends.triton_unavailable(u)


def prepare_filter(filter_DK: Tensor, *, length: int, causal: bool, dtype: torch.dtype) -> PreparedFilter:
    """The spectrum of a filter [D, K] for inputs of type ``dtype`` and up to ``length`` positions.

    Takes 4 bytes a channel and position of the FFT for half precision, 8 for fp32. Without gradient.
    """
    operand = operand_type(dtype)
    with torch.no_grad():
        spectrum = filter_spectrum(filter_DK, fft_plan(length, operand), operand, causal=causal, reach=length)
    return PreparedFilter(spectrum, length, operand)


def prepared_conv(
    u_BDL: Tensor,
    filter_: PreparedFilter,
    *,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """``long_conv`` with a prepared filter, without gradient. Raises ValueError for inputs it was not prepared for."""
    _, channels, length = u_BDL.shape
    if length > filter_.length or operand_type(u_BDL.dtype) != filter_.operand:
        raise ValueError(
            f"the filter was prepared for up to {filter_.length:,} positions and {filter_.operand} operands; "
            f"the input has {length:,} of {u_BDL.dtype}"
        )
    spectrum = filter_.spectrum
    if channels != spectrum.real.shape[0]:
        raise ValueError(f"the filter was prepared for {spectrum.real.shape[0]} channels; the input has {channels}")
    launcher = Launcher(u_BDL, spectrum.plan)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    arguments = Arguments.of(u_BDL, gate_in_BDL, gate_out_BDL, skip_D)
    for group in launcher.groups():
        launcher.convolve(group, spectrum.channels(group), arguments, y_BDL)
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
    launcher = Launcher(u_BDL, fft_plan(length, operand_type(u_BDL.dtype)))
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    arguments = Arguments.of(u_BDL, gate_in_BDL, gate_out_BDL, skip_D)
    for group in launcher.groups():
        spectrum = launcher.spectrum(group, filter_DK, causal=causal, reach=length)
        launcher.convolve(group, spectrum, arguments, y_BDL)
    return y_BDL


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
    """Gradients of u, filter, skip, gate_in, gate_out; empty for an argument that is None."""
    length = u_BDL.shape[2]
    launcher = Launcher(u_BDL, fft_plan(length, operand_type(u_BDL.dtype)))
    arguments = Arguments.of(u_BDL, gate_in_BDL, gate_out_BDL, skip_D)
    u = arguments.u
    dy = dy_BDL.to(u.dtype).contiguous()
    out = Gradients(
        empty_gradient(u, u),
        torch.zeros(filter_DK.shape, dtype=torch.float32, device=u.device),
        torch.empty(filter_DK.shape[0], dtype=torch.float32, device=u.device),
        empty_gradient(gate_in_BDL, u),
        empty_gradient(gate_out_BDL, u),
    )
    for group in launcher.groups():
        spectrum = launcher.spectrum(group, filter_DK, causal=causal, reach=length)
        launcher.gradients(group, spectrum, dy, arguments, out, causal=causal)
    dskip = u.new_empty(0) if skip_D is None else out.skip.to(skip_D.dtype, copy=True)
    return out.u, out.filter.to(filter_DK.dtype), dskip, out.gate_in, out.gate_out


register(conv, _backward, differentiable=(True, True, False, True, True, True))
