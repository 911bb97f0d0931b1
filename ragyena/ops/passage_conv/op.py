"""Two-sided convolution inside slots: the passage scope, where each padded passage is a sequence of its own.

Shape suffixes: N slots (padded passages), S positions of a slot, C or D channels, K = 2 S - 1 lags, -(S - 1) first; B
batch, L positions.

Two layouts: ``passage_conv`` takes a position's channels contiguous, as a reader's layers have them, and
``gated_passage_conv`` a channel's positions, as ``long_conv`` does, with its gates.

Backends: ``toeplitz`` multiplies by each channel's S x S Toeplitz matrix, ``grouped`` by those of a few channels at a
time, which a CPU's caches hold (no gradient), ``fft`` needs S times less memory and is faster for long slots,
``triton`` (``gated_passage_conv`` alone) makes the matrix on chip and fuses the gates.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ragyena.ops.backends import choose_backend
from ragyena.ops.passage_conv import triton_op

__all__ = ["PassageConvBackend", "gated_passage_conv", "passage_conv", "toeplitz"]

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


def passage_conv(u_NSC: Tensor, filter_CK: Tensor, *, backend: PassageConvBackend = "auto") -> Tensor:
    """``y[n, t, c] = sum_s filter[c, t - s + S - 1] u[n, s, c]``: exact, within each slot.

    u_NSC: fp32, fp16 or bf16. filter_CK: [C, 2S - 1] fp32. Returns [N, S, C] in the type of ``u_NSC``; products in that
    type with fp32 sums (``toeplitz``), or in fp32 (``fft``). Raises ValueError for a filter of another length,
    MissingDependencyError for an unavailable backend.
    """
    _, size, channels = u_NSC.shape
    if filter_CK.shape != (channels, 2 * size - 1):
        raise ValueError(f"filter of shape {tuple(filter_CK.shape)} for {channels} channels and slots of {size} tokens")
    needs_grad = torch.is_grad_enabled() and (u_NSC.requires_grad or filter_CK.requires_grad)
    reason = "it has no gradient" if needs_grad else None
    default = (
        "fft" if size > _TOEPLITZ_MAX_SLOT else "toeplitz" if needs_grad or u_NSC.device.type != "cpu" else "grouped"
    )
    backends, unavailable = ("toeplitz", "grouped", "fft"), {"grouped": reason}
    chosen = choose_backend("passage_conv", backend, backends, default, unavailable)
    if chosen == "grouped":
        return _grouped(u_NSC, filter_CK)
    if chosen == "toeplitz":
        matrix_CSS = toeplitz(filter_CK.to(u_NSC.dtype), size)
        return torch.bmm(matrix_CSS, u_NSC.permute(2, 1, 0).contiguous()).permute(2, 1, 0).contiguous()
    length = 2 * size - 1
    spectrum = torch.fft.rfft(filter_CK.roll(-(size - 1), dims=-1).t().float(), n=length, dim=0)
    product = torch.fft.rfft(u_NSC.float(), n=length, dim=1) * spectrum
    y_NSC: Tensor = torch.fft.irfft(product, n=length, dim=1)[:, :size].to(u_NSC.dtype)
    return y_NSC


def _grouped(u_NSC: Tensor, filter_CK: Tensor) -> Tensor:
    """Products with the Toeplitz matrices of a few channels at a time: matrices of all channels would be written to
    memory and read again, which takes longer than the products."""
    slots, size, channels = u_NSC.shape
    # Transposed as a matrix: a permutation of three dimensions is copied one value at a time.
    u_CNS = u_NSC.reshape(slots * size, channels).t().contiguous().view(channels, slots, size)
    taps_CK = filter_CK.to(u_NSC.dtype)
    y_CNS = torch.empty_like(u_CNS)
    step = max(1, _GROUP_ENTRIES // size**2)
    for first in range(0, channels, step):
        group = slice(first, first + step)
        # Window s of a filter is filter[s:s + S]; reversed, row s holds filter[t - s + S - 1] in column t.
        matrix_CST = taps_CK[group].unfold(1, size, 1).flip(1)
        torch.bmm(u_CNS[group], matrix_CST, out=y_CNS[group])
    return y_CNS.view(channels, slots * size).t().contiguous().view(slots, size, channels)


def gated_passage_conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    slot_tokens: int,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
    backend: PassageConvBackend = "auto",
) -> Tensor:
    """``gate_out * (filter * (gate_in * u))`` as [B, D, L], the convolution restarted every ``slot_tokens`` positions.

    filter_DK: [D, 2 slot_tokens - 1], lag -(slot_tokens - 1) first. The last slot may be shorter. fp16, bf16 or fp32,
    sums in fp32; differentiable in every argument. Raises ValueError for wrong shapes, MissingDependencyError for an
    unavailable backend.
    """
    _check(u_BDL, filter_DK, slot_tokens, gate_in_BDL, gate_out_BDL)
    unavailable = {"triton": triton_op.triton_unavailable(u_BDL, slot_tokens)}
    default = "toeplitz" if slot_tokens <= _TOEPLITZ_MAX_SLOT else "fft"
    backends = ("toeplitz", "fft", "triton")
    chosen = choose_backend("gated_passage_conv", backend, backends, default, unavailable, x=u_BDL)
    if chosen == "triton":
        y_BDL: Tensor = triton_op.conv(u_BDL, filter_DK, slot_tokens, gate_in_BDL, gate_out_BDL)
        return y_BDL
    batch, channels, length = u_BDL.shape
    slots = -(-length // slot_tokens)
    p_BDL = u_BDL if gate_in_BDL is None else u_BDL * gate_in_BDL
    p_BDPS = F.pad(p_BDL, (0, slots * slot_tokens - length)).view(batch, channels, slots, slot_tokens)
    p_NSD = p_BDPS.permute(0, 2, 3, 1).reshape(batch * slots, slot_tokens, channels)
    y_NSD = passage_conv(p_NSD, filter_DK, backend=cast(PassageConvBackend, chosen))
    y_BDL = y_NSD.reshape(batch, slots * slot_tokens, channels)[:, :length].transpose(1, 2)
    return (y_BDL if gate_out_BDL is None else y_BDL * gate_out_BDL).contiguous()


def _check(
    u_BDL: Tensor, filter_DK: Tensor, slot_tokens: int, gate_in_BDL: Tensor | None, gate_out_BDL: Tensor | None
) -> None:
    if slot_tokens < 1:
        raise ValueError(f"slots of {slot_tokens} tokens")
    if u_BDL.ndim != 3 or u_BDL.shape[2] == 0:
        raise ValueError(f"u is {tuple(u_BDL.shape)}; it must be [batch, channels, length] with length at least 1")
    for name, gate in (("gate_in", gate_in_BDL), ("gate_out", gate_out_BDL)):
        if gate is not None and gate.shape != u_BDL.shape:
            raise ValueError(f"{name} is {tuple(gate.shape)}; it must have the shape of u, {tuple(u_BDL.shape)}")
    if filter_DK.shape != (u_BDL.shape[1], 2 * slot_tokens - 1):
        raise ValueError(
            f"filter of shape {tuple(filter_DK.shape)} for {u_BDL.shape[1]} channels and slots of {slot_tokens} tokens"
        )
