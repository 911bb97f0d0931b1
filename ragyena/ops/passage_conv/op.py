"""Two-sided long convolution inside slots: the passage scope, where each slot is its own sequence.

Legend: N slots, S slot tokens, C or D channels, K = 2 S - 1 lags, from -(S - 1) to S - 1, B batch, L positions, R a
filter's reach.

Two layouts: ``slot_conv`` has a position's channels side by side, as a reader's layers have; ``gated_slot_conv`` a
channel's positions, as the long convolution has, with its gates. Both have slots of one length;
``gated_segment_conv`` is the second with boundaries anywhere.

Three implementations of one function. At slots of a few hundred tokens the Toeplitz matrix of a channel is a small
matrix product and wins where matrices multiply fast (``toeplitz``; ``triton``, which makes the matrix on chip and fuses
the gates, see ``slot_toeplitz_triton``); the FFT needs S times less memory and wins for long slots.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ragyena.ops.backends import choose_backend, prefers_triton
from ragyena.ops.passage_conv import triton_op as slot_conv_triton

__all__ = [
    "SlotConvBackend",
    "gated_segment_conv",
    "gated_segment_conv_reference",
    "gated_slot_conv",
    "slot_conv",
    "slot_conv_reference",
    "toeplitz",
]

SlotConvBackend = Literal["auto", "toeplitz", "fft", "triton"]

_TOEPLITZ_MAX_SLOT = 512  # above it the S x S matrices outweigh what they save


def toeplitz(filter_CK: Tensor, slot_tokens: int) -> Tensor:
    """[C, 2S - 1] lags -> [C, S, S] matrices with ``T[c, t, s] = filter[c, t - s + S - 1]``."""
    channels, size = filter_CK.shape[0], slot_tokens
    # Rows of length 2S - 1 read from a sequence of period 2S step back by one place each: every row is the filter,
    # reversed and shifted, without an index tensor.
    flipped = F.pad(filter_CK.flip(-1), (0, 1))
    repeated = flipped[:, None, :].expand(channels, size, 2 * size).reshape(channels, 2 * size * size)
    rows = repeated[:, : size * (2 * size - 1)].reshape(channels, size, 2 * size - 1)
    return rows[:, :, size - 1 :].contiguous()


def slot_conv(u_NSC: Tensor, filter_CK: Tensor, *, backend: SlotConvBackend = "auto") -> Tensor:
    """``y[n, t, c] = sum_s filter[c, t - s + S - 1] u[n, s, c]``: exact, within each slot.

    u_NSC: [N, S, C] in fp32, fp16 or bf16. filter_CK: [C, 2S - 1] fp32. Returns [N, S, C] in the dtype of ``u_NSC``;
    products in that dtype with fp32 accumulation (``toeplitz``), in fp32 (``fft``), or with fp16 operands for half
    precision (``triton``; differentiable too, but it transposes its input and output).
    """
    _, size, channels = u_NSC.shape
    if filter_CK.shape != (channels, 2 * size - 1):
        raise ValueError(f"filter of shape {tuple(filter_CK.shape)} for {channels} channels and slots of {size} tokens")
    chosen = _chosen("slot_conv", backend, u_NSC, size)
    if chosen == "triton":
        return _on_triton(u_NSC, filter_CK)
    if chosen == "toeplitz":
        matrix_CSS = toeplitz(filter_CK.to(u_NSC.dtype), size)
        return torch.bmm(matrix_CSS, u_NSC.permute(2, 1, 0).contiguous()).permute(2, 1, 0).contiguous()
    length = 2 * size - 1
    spectrum = torch.fft.rfft(filter_CK.roll(-(size - 1), dims=-1).t().float(), n=length, dim=0)
    product = torch.fft.rfft(u_NSC.float(), n=length, dim=1) * spectrum
    y_NSC: Tensor = torch.fft.irfft(product, n=length, dim=1)[:, :size].to(u_NSC.dtype)
    return y_NSC


def slot_conv_reference(u_NSC: Tensor, filter_CK: Tensor) -> Tensor:
    """The definition in fp64: one sum over lags."""
    size = u_NSC.shape[1]
    u, h = u_NSC.double(), filter_CK.double()
    y = torch.zeros_like(u)
    for lag in range(-(size - 1), size):
        weight = h[:, lag + size - 1]
        target, source = (slice(lag, size), slice(0, size - lag)) if lag >= 0 else (slice(0, lag), slice(-lag, size))
        y[:, target] += u[:, source] * weight
    return y


def gated_slot_conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    slot_tokens: int,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
    backend: SlotConvBackend = "auto",
) -> Tensor:
    """``gate_out * (filter * (gate_in * u))`` as [B, D, L], the convolution reset every ``slot_tokens`` positions.

    filter_DK: [D, 2 slot_tokens - 1], lag -(slot_tokens - 1) first. The last slot may be cut short. fp16, bf16 or fp32,
    sums in fp32; differentiable in every argument. Raises ValueError for shapes that do not fit,
    MissingDependencyError for a backend that is not there.
    """
    _check(u_BDL, filter_DK, slot_tokens, gate_in_BDL, gate_out_BDL)
    chosen = _chosen("gated_slot_conv", backend, u_BDL, slot_tokens)
    if chosen == "triton":
        made: Tensor = slot_conv_triton.conv(u_BDL, filter_DK, slot_tokens, gate_in_BDL, gate_out_BDL)
        return made
    batch, channels, length = u_BDL.shape
    slots = -(-length // slot_tokens)
    p_BDL = u_BDL if gate_in_BDL is None else u_BDL * gate_in_BDL
    p_BDPS = F.pad(p_BDL, (0, slots * slot_tokens - length)).view(batch, channels, slots, slot_tokens)
    p_NSD = p_BDPS.permute(0, 2, 3, 1).reshape(batch * slots, slot_tokens, channels)
    y_NSD = slot_conv(p_NSD, filter_DK, backend=cast(SlotConvBackend, chosen))
    y_BDL = y_NSD.reshape(batch, slots * slot_tokens, channels)[:, :length].transpose(1, 2)
    return (y_BDL if gate_out_BDL is None else y_BDL * gate_out_BDL).contiguous()


def gated_segment_conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    lengths: Sequence[int],
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
    backend: SlotConvBackend = "auto",
) -> Tensor:
    """``gate_out * (filter * (gate_in * u))`` as [B, D, L], the convolution reset where each segment begins.

    lengths: of neighbouring segments, the same in every example, at least 1 each and L together. filter_DK: [D, 2 R +
    1], lag -R first, of any reach R; a segment longer than R hears no further. fp16, bf16 or fp32, sums in fp32;
    differentiable in every argument. The torch backends pad every segment to the longest. Raises ValueError for
    lengths or shapes that do not fit, MissingDependencyError for a backend that is not there.
    """
    _check_segments(u_BDL, filter_DK, lengths)
    _check_gates(u_BDL, gate_in_BDL, gate_out_BDL)
    longest, reach = max(lengths), filter_DK.shape[1] // 2
    chosen = _chosen("gated_segment_conv", backend, u_BDL, longest)
    starts_P = _starts(tuple(lengths), u_BDL.device)
    if chosen == "triton":
        made: Tensor = slot_conv_triton.conv(u_BDL, filter_DK, longest, gate_in_BDL, gate_out_BDL, starts_P)
        return made
    batch, channels, length = u_BDL.shape
    # Every segment in a slot of the longest, empty past its end; afterwards each position from its place there.
    place_PS = starts_P[:-1, None] + torch.arange(longest, device=u_BDL.device)
    keep_PS = place_PS < starts_P[1:, None]
    p_BDL = u_BDL if gate_in_BDL is None else u_BDL * gate_in_BDL
    p_BDPS = p_BDL[:, :, place_PS.clamp(max=length - 1)] * keep_PS.to(p_BDL.dtype)
    p_NSD = p_BDPS.permute(0, 2, 3, 1).flatten(0, 1)
    fitted_DK = F.pad(filter_DK, (longest - 1 - reach, longest - 1 - reach))  # a negative pad crops
    y_NSD = slot_conv(p_NSD, fitted_DK, backend=cast(SlotConvBackend, chosen))
    segment_L = torch.repeat_interleave(starts_P.diff(), output_size=length)
    at_L = segment_L * longest + torch.arange(length, device=u_BDL.device) - starts_P[segment_L]
    y_BDL = y_NSD.reshape(batch, -1, channels)[:, at_L].transpose(1, 2)
    return (y_BDL if gate_out_BDL is None else y_BDL * gate_out_BDL).contiguous()


def gated_segment_conv_reference(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    lengths: Sequence[int],
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """The definition in fp64: each segment alone, a sum over lags."""
    p_BDL = u_BDL.double() if gate_in_BDL is None else u_BDL.double() * gate_in_BDL.double()
    filter_, reach, parts = filter_DK.double(), filter_DK.shape[1] // 2, []
    for p_BDS in torch.split(p_BDL, list(lengths), -1):
        size = p_BDS.shape[-1]
        y_BDS = torch.zeros_like(p_BDS)
        for lag in range(-min(reach, size - 1), min(reach, size - 1) + 1):
            moved = F.pad(p_BDS, (lag, -lag))
            y_BDS = y_BDS + moved * filter_[:, lag + reach, None]
        parts.append(y_BDS)
    y_BDL = torch.cat(parts, -1)
    return y_BDL if gate_out_BDL is None else y_BDL * gate_out_BDL.double()


@functools.lru_cache(maxsize=64)
def _starts(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """[P + 1] int32: where segments begin, and where the last one ends. Copied to a device once, not in every layer."""
    with torch.inference_mode(False):
        ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return ends.to(device)


def _chosen(operation: str, wish: SlotConvBackend, u: Tensor, slot_tokens: int) -> str:
    preferred = "toeplitz" if slot_tokens <= _TOEPLITZ_MAX_SLOT else "fft"
    if wish == "auto":
        if prefers_triton(operation, u) and slot_conv_triton.refusal(u, slot_tokens) is None:
            preferred = "triton"
        return choose_backend(operation, wish, (), preferred)
    refusals = {"triton": slot_conv_triton.refusal(u, slot_tokens)}
    available = ("toeplitz", "fft") if refusals["triton"] else ("toeplitz", "fft", "triton")
    return choose_backend(operation, wish, available, preferred, refusals)


def _on_triton(u_NSC: Tensor, filter_CK: Tensor) -> Tensor:
    """The kernels want the positions of a channel side by side."""
    slots, size, channels = u_NSC.shape
    u_1CL = u_NSC.reshape(1, slots * size, channels).transpose(1, 2).contiguous()
    y_1CL: Tensor = slot_conv_triton.conv(u_1CL, filter_CK, size, None, None)
    return y_1CL.transpose(1, 2).reshape(slots, size, channels)


def _check(
    u_BDL: Tensor, filter_DK: Tensor, slot_tokens: int, gate_in_BDL: Tensor | None, gate_out_BDL: Tensor | None
) -> None:
    if slot_tokens < 1:
        raise ValueError(f"slots of {slot_tokens} tokens")
    _check_gates(u_BDL, gate_in_BDL, gate_out_BDL)
    if filter_DK.shape != (u_BDL.shape[1], 2 * slot_tokens - 1):
        raise ValueError(
            f"filter of shape {tuple(filter_DK.shape)} for {u_BDL.shape[1]} channels and slots of {slot_tokens} tokens"
        )


def _check_segments(u_BDL: Tensor, filter_DK: Tensor, lengths: Sequence[int]) -> None:
    if not lengths or min(lengths) < 1 or sum(lengths) != u_BDL.shape[-1]:
        raise ValueError(
            f"{len(lengths)} segments of {sum(lengths)} positions; each must have one at least, together the "
            f"{u_BDL.shape[-1]} of u"
        )
    if filter_DK.ndim != 2 or filter_DK.shape[0] != u_BDL.shape[1] or filter_DK.shape[1] % 2 == 0:
        raise ValueError(
            f"filter of shape {tuple(filter_DK.shape)} for {u_BDL.shape[1]} channels; its lags must be odd in number"
        )


def _check_gates(u_BDL: Tensor, gate_in_BDL: Tensor | None, gate_out_BDL: Tensor | None) -> None:
    if u_BDL.ndim != 3 or u_BDL.shape[2] == 0:
        raise ValueError(f"u is {tuple(u_BDL.shape)}; it must be [batch, channels, length] with length at least 1")
    for name, gate in (("gate_in", gate_in_BDL), ("gate_out", gate_out_BDL)):
        if gate is not None and gate.shape != u_BDL.shape:
            raise ValueError(f"{name} is {tuple(gate.shape)}; it must have the shape of u, {tuple(u_BDL.shape)}")
