"""Two-sided convolution inside segments: the passage scope, where each passage is a sequence of its own.

Shape suffixes: N slots (padded passages), S positions of a slot, C or D channels, K lags with lag 0 in the middle; B
batch, L positions.

Two layouts: ``slot_conv`` takes a position's channels contiguous, as a reader's layers have them, and
``passage_conv`` a channel's positions, as ``long_conv`` does, with its gates.

Backends: ``toeplitz`` multiplies by each channel's S x S Toeplitz matrix, ``grouped`` by those of a few channels at a
time, which a CPU's caches hold (no gradient), ``fft`` needs S times less memory and is faster for long slots,
``triton`` (``passage_conv`` alone) makes the matrix on chip and fuses the gates.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ragyena.ops.arguments import check_conv
from ragyena.ops.backends import choose_backend
from ragyena.ops.custom_op import refuse_forward_mode
from ragyena.ops.long_conv import long_conv
from ragyena.ops.passage_conv import triton_op
from ragyena.ops.passage_conv.segments import equal_segments, segment_bounds, segments

__all__ = ["PassageConvBackend", "fitted", "passage_conv", "slot_conv", "toeplitz"]

PassageConvBackend = Literal["auto", "toeplitz", "grouped", "fft", "triton"]

_TOEPLITZ_MAX_SLOT = 512  # above it the S x S matrices cost more than they save
_GROUP_ENTRIES = 1 << 19  # of the matrices made at once: about what a core's second cache holds


def toeplitz(filter_CK: Tensor, slot_tokens: int) -> Tensor:
    """[C, 2S - 1] lags -> [C, S, S] matrices with ``T[c, t, s] = filter[c, t - s + S - 1]``."""
    channels, size = filter_CK.shape[0], slot_tokens
    # Rows of length 2S - 1 read from a sequence of period 2S step back by one each: every row is the filter, reversed
    # and shifted, without an index tensor.
    flipped = F.pad(filter_CK.flip(-1), (0, 1))
    repeated = flipped[:, None, :].expand(channels, size, 2 * size).reshape(channels, 2 * size * size)
    rows = repeated[:, : size * (2 * size - 1)].reshape(channels, size, 2 * size - 1)
    return rows[:, :, size - 1 :].contiguous()


def slot_conv(u_NSC: Tensor, filter_CK: Tensor, *, backend: PassageConvBackend = "auto") -> Tensor:
    """``y[n, t, c] = sum_s filter[c, t - s] u[n, s, c]``: exact, within each slot.

    u_NSC: fp16, bf16, fp32 or fp64. filter_CK: K odd, lag 0 in the middle; lags beyond the slot do not count, and those
    that are not given are zero. Returns [N, S, C] in the type of ``u_NSC``; products in that type (``toeplitz``), or in
    fp32 or fp64 (``fft``). Raises ValueError for wrong shapes, MissingDependencyError for an unavailable backend.
    """
    _, size, channels = u_NSC.shape
    if filter_CK.ndim != 2 or filter_CK.shape[0] != channels or filter_CK.shape[1] % 2 == 0:
        raise ValueError(f"filter is {tuple(filter_CK.shape)}; it must be [{channels}, an odd number of lags]")
    filter_CK = fitted(filter_CK, size)
    needs_grad = torch.is_grad_enabled() and (u_NSC.requires_grad or filter_CK.requires_grad)
    reason = "it has no gradient" if needs_grad else None
    default = (
        "fft" if size > _TOEPLITZ_MAX_SLOT else "toeplitz" if needs_grad or u_NSC.device.type != "cpu" else "grouped"
    )
    backends, unavailable = ("toeplitz", "grouped", "fft"), {"grouped": reason}
    chosen = choose_backend("slot_conv", backend, backends, default, unavailable)
    with torch.autocast(u_NSC.device.type, enabled=False):
        if chosen == "grouped":
            return _grouped(u_NSC, filter_CK)
        if chosen == "toeplitz":
            matrix_CSS = toeplitz(filter_CK.to(u_NSC.dtype), size)
            return torch.bmm(matrix_CSS, u_NSC.permute(2, 1, 0).contiguous()).permute(2, 1, 0).contiguous()
    length, work = 2 * size - 1, torch.promote_types(u_NSC.dtype, torch.float32)
    spectrum = torch.fft.rfft(filter_CK.roll(-(size - 1), dims=-1).t().to(work), n=length, dim=0)
    product = torch.fft.rfft(u_NSC.to(work), n=length, dim=1) * spectrum
    y_NSC: Tensor = torch.fft.irfft(product, n=length, dim=1)[:, :size].to(u_NSC.dtype)
    return y_NSC


def fitted(filter_CK: Tensor, slot_tokens: int) -> Tensor:
    """[C, 2S - 1]: the lags of a filter that reach within a slot, zeros where it has fewer."""
    missing = slot_tokens - 1 - filter_CK.shape[1] // 2
    if missing > 0:
        return F.pad(filter_CK, (missing, missing))
    return filter_CK[:, -missing : filter_CK.shape[1] + missing]


def _grouped(u_NSC: Tensor, filter_CK: Tensor) -> Tensor:
    """Products with the Toeplitz matrices of a few channels at a time: matrices of all channels would be written to
    memory and read again, which takes longer than the products."""
    slots, size, channels = u_NSC.shape
    # Transposed as a matrix: a permutation of three dimensions is copied one value at a time.
    u_CNS = u_NSC.reshape(slots * size, channels).t().contiguous().view(channels, slots, size)
    # Lags contiguous: a filter that a network made lies by channels, and its windows would be gathered one by one.
    taps_CK = filter_CK.to(u_NSC.dtype).contiguous()
    y_CNS = torch.empty_like(u_CNS)
    step = max(1, _GROUP_ENTRIES // size**2)
    for first in range(0, channels, step):
        group = slice(first, first + step)
        # Window s of a filter is filter[s:s + S]; reversed, row s holds filter[t - s + S - 1] in column t.
        matrix_CST = taps_CK[group].unfold(1, size, 1).flip(1)
        torch.bmm(u_CNS[group], matrix_CST, out=y_CNS[group])
    return y_CNS.view(channels, slots * size).t().contiguous().view(slots, size, channels)


def passage_conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    slot_tokens: int | None = None,
    cu_seqlens: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
    backend: PassageConvBackend = "auto",
) -> Tensor:
    """``gate_out * (filter * (gate_in * u))``, where the two-sided convolution stays within each segment of the input.

    Args:
        u_BDL: the input, [batch, channels, length] with length at least 1. Any strides; fp16, bf16, fp32 or fp64.
        filter_DK: a filter a channel, K odd, lag 0 in the middle. Lags that reach past a segment do not count, and
            those that are not given are zero. Usually fp32, whatever the type of the input.
        slot_tokens: segments of so many positions, of which each example's last may be shorter.
        cu_seqlens: segments of any lengths, [segments + 1] int32 or int64: where each starts, and the end of the last.
            The batch is 1. Read by the host, which waits for a device; ``torch.compile`` breaks its graph there.
        gate_in_BDL: multiplies the input.
        gate_out_BDL: multiplies the output.
        backend: ``auto``, or ``toeplitz``, ``fft`` or ``triton``, which is used or refused.

    Returns: [B, D, L] of the type of ``u``, differentiable in every argument but ``cu_seqlens``.

    Raises:
        ValueError: a shape or a device is wrong, or not one of ``slot_tokens`` and ``cu_seqlens`` is given.
        TypeError: an argument is of a wrong type.
        MissingDependencyError: the backend cannot run here.

    Example:
        >>> import torch
        >>> from ragyena.ops import passage_conv
        >>> u_BDL = torch.tensor([[[1.0, 0.0, 0.0, 2.0, 0.0]]])
        >>> filter_DK = torch.tensor([[0.5, 1.0, 0.25]])  # weights of the next, the present and the last input
        >>> passage_conv(u_BDL, filter_DK, cu_seqlens=torch.tensor([0, 3, 5]))
        tensor([[[1.0000, 0.2500, 0.0000, 2.0000, 0.5000]]])
    """
    check_conv(u_BDL, filter_DK, two_sided=True, gate_in_BDL=gate_in_BDL, gate_out_BDL=gate_out_BDL)
    if (slot_tokens is None) == (cu_seqlens is None):
        raise ValueError("give one of the two: slot_tokens, the length of all segments, or cu_seqlens, their bounds")
    bounds: list[int] = []
    if cu_seqlens is not None:
        if u_BDL.shape[0] != 1:
            raise ValueError(f"u is {tuple(u_BDL.shape)}; with cu_seqlens its sequences are packed into a batch of 1")
        bounds = segment_bounds(cu_seqlens, u_BDL.shape[2])
        slot_tokens = equal_segments(bounds)
    if slot_tokens is not None and slot_tokens < 1:
        raise ValueError(f"slots of {slot_tokens} tokens; they hold at least one")
    gates = gate_in_BDL, gate_out_BDL
    if u_BDL.numel() == 0:  # libraries refuse it
        return long_conv(u_BDL, filter_DK, direction="two_sided", gate_in_BDL=gates[0], gate_out_BDL=gates[1])
    with torch.autocast(u_BDL.device.type, enabled=False):
        if slot_tokens is not None:
            return _in_slots(u_BDL, filter_DK, slot_tokens, *gates, backend)
        return _in_segments(u_BDL, filter_DK, bounds, *gates, backend)


def _in_slots(
    u_BDL: Tensor,
    filter_DK: Tensor,
    slot_tokens: int,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
    backend: PassageConvBackend,
) -> Tensor:
    unavailable = {"triton": triton_op.triton_unavailable(u_BDL, slot_tokens)}
    default = "toeplitz" if slot_tokens <= _TOEPLITZ_MAX_SLOT else "fft"
    backends = ("toeplitz", "fft", "triton")
    chosen = choose_backend("passage_conv", backend, backends, default, unavailable, x=u_BDL)
    if chosen == "triton":
        refuse_forward_mode(u_BDL, filter_DK, gate_in_BDL, gate_out_BDL)
        taps_DK = fitted(filter_DK, slot_tokens)
        y_BDL: Tensor = triton_op.conv(u_BDL, taps_DK, slot_tokens, gate_in_BDL, gate_out_BDL)
        return y_BDL
    batch, channels, length = u_BDL.shape
    slots = -(-length // slot_tokens)
    p_BDL = u_BDL if gate_in_BDL is None else u_BDL * gate_in_BDL.to(u_BDL.dtype)
    p_BDPS = F.pad(p_BDL, (0, slots * slot_tokens - length)).view(batch, channels, slots, slot_tokens)
    p_NSD = p_BDPS.permute(0, 2, 3, 1).reshape(batch * slots, slot_tokens, channels)
    # On a CPU without gradients the best is one that is no backend of this function.
    y_NSD = slot_conv(p_NSD, filter_DK, backend="auto" if backend == "auto" else cast(PassageConvBackend, chosen))
    y_BDL = y_NSD.reshape(batch, slots * slot_tokens, channels)[:, :length].transpose(1, 2)
    return (y_BDL if gate_out_BDL is None else y_BDL * gate_out_BDL.to(u_BDL.dtype)).contiguous()


def _in_segments(
    u_1DL: Tensor,
    filter_DK: Tensor,
    bounds: list[int],
    gate_in_1DL: Tensor | None,
    gate_out_1DL: Tensor | None,
    backend: PassageConvBackend,
) -> Tensor:
    channels = u_1DL.shape[1]
    p_1DL = u_1DL if gate_in_1DL is None else u_1DL * gate_in_1DL.to(u_1DL.dtype)
    padded = F.pad(p_1DL, (0, 1))  # a position past the last, which fills the slots
    parts, positions = [], []
    for size in segments(bounds, u_1DL.device):
        slots_1DL = padded.index_select(2, size.sources.flatten())
        if size.size > triton_op.MAX_SLOT and backend == "auto":
            # Long segments are sequences of a batch.
            slots_NDS = slots_1DL.view(channels, -1, size.size).transpose(0, 1)
            y_NDS = long_conv(slots_NDS, filter_DK, direction="two_sided")
            y_1DL = y_NDS.transpose(0, 1).reshape(1, channels, -1)
        else:
            y_1DL = _in_slots(slots_1DL, filter_DK, size.size, None, None, backend)
        parts.append(y_1DL.index_select(2, size.cells))
        positions.append(size.positions)
    place = torch.cat(positions)
    order = torch.empty_like(place).scatter_(0, place, torch.arange(len(place), device=place.device))
    y_1DL = torch.cat(parts, 2).index_select(2, order)
    return y_1DL if gate_out_1DL is None else y_1DL * gate_out_1DL.to(u_1DL.dtype)
