"""The definitions of both kinds of gates. N slots, S positions of a slot, D channels, C = 3 D, B sequences, L
positions, T taps."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from ragyena.ops.short_conv.reference import short_conv_reference

__all__ = ["causal_gates_reference", "short_gates_reference"]


def short_gates_reference(projected_NSC: Tensor, taps_3C: Tensor, mask_NS: Tensor) -> tuple[Tensor, Tensor]:
    """``gate_out`` and ``gate_in * value`` inside slots in fp64, [1, D, N S] each."""
    mask_N1S = mask_NS[:, None].double()
    heard_NCS = projected_NSC.double().transpose(1, 2) * mask_N1S
    # A causal convolution of one position more, whose output at t + 1 is centred at t.
    z_NCS = short_conv_reference(pad(heard_NCS, (0, 1)), taps_3C.t(), None)[..., 1:]
    gate_in, gate_out, value = z_NCS.chunk(3, 1)
    return _side_by_side(gate_out), _side_by_side(gate_in * value * mask_N1S)


def causal_gates_reference(projected_BLC: Tensor, weight_CT: Tensor, bias_C: Tensor | None) -> tuple[Tensor, Tensor]:
    """``x0`` and ``x1 * v`` in fp64, [B, D, L] each."""
    gate_out, gate_in, value = short_conv_reference(projected_BLC.transpose(1, 2), weight_CT, bias_C).chunk(3, 1)
    return gate_out, gate_in * value


def _side_by_side(x_NDS: Tensor) -> Tensor:
    """[N, D, S] -> [1, D, N S]."""
    return x_NDS.transpose(0, 1).flatten(1)[None]
