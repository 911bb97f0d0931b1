"""The definition of the convolution inside slots: the two-sided long convolution of each slot by itself.

N slots, S positions of a slot, C or D channels, K = 2 S - 1 lags, B batch, L positions.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from ragyena.ops.long_conv.reference import long_conv_reference

__all__ = ["gated_passage_conv_reference", "passage_conv_reference"]


def passage_conv_reference(u_NSC: Tensor, filter_CK: Tensor) -> Tensor:
    """``y[n, t, c] = sum_s filter[c, t - s + S - 1] u[n, s, c]`` in fp64."""
    return long_conv_reference(u_NSC.transpose(1, 2), filter_CK, direction="two_sided").transpose(1, 2)


def gated_passage_conv_reference(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    slot_tokens: int,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """``gate_out * (filter * (gate_in * u))`` in fp64, each ``slot_tokens`` positions by themselves."""
    batch, channels, length = u_BDL.shape
    slots = -(-length // slot_tokens)
    p_BDL = u_BDL.double() if gate_in_BDL is None else u_BDL.double() * gate_in_BDL.double()
    p_BDNS = pad(p_BDL, (0, slots * slot_tokens - length)).view(batch, channels, slots, slot_tokens)
    y_NSD = passage_conv_reference(p_BDNS.permute(0, 2, 3, 1).flatten(0, 1), filter_DK)
    y_BDL = y_NSD.reshape(batch, -1, channels)[:, :length].transpose(1, 2)
    return y_BDL if gate_out_BDL is None else y_BDL * gate_out_BDL.double()
