"""Two-sided long convolution inside slots of equal length: the passage scope, where each slot is its own sequence.

Legend: N slots, S slot tokens, C channels, K = 2 S - 1 lags, from -(S - 1) to S - 1.

Two implementations of one function. At slots of a few hundred tokens the Toeplitz matrix of a channel is a small
matrix product and wins where matrices multiply fast; the FFT needs S times less memory and wins for long slots.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["SlotConvBackend", "slot_conv", "slot_conv_reference", "toeplitz"]

SlotConvBackend = Literal["auto", "toeplitz", "fft"]

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
    products in that dtype with fp32 accumulation (``toeplitz``) or in fp32 (``fft``).
    """
    _, size, channels = u_NSC.shape
    if filter_CK.shape != (channels, 2 * size - 1):
        raise ValueError(f"filter of shape {tuple(filter_CK.shape)} for {channels} channels and slots of {size} tokens")
    if backend == "auto":
        backend = "toeplitz" if size <= _TOEPLITZ_MAX_SLOT else "fft"
    if backend == "toeplitz":
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
