"""The published causal Hyena operator (Poli et al. 2023, section 3) and its decoding steps.

Shape suffixes: B sequences, L positions, D channels, C = (order + 1) D projected channels, O = order - 1 long
convolutions, K filter lags.

``x_0 .. x_(order-1), v = short_conv(in_proj(x))``, then for each gate from the last to the second
``v = long_conv(x_i * v)``, and ``y = out_proj(x_0 * v)``. Names of parameters and order of channels are those of the
released checkpoints, so that their weights load unchanged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ragyena.ops.arguments import check_sequence
from ragyena.ops.hyena.decoding import HyenaState
from ragyena.ops.hyena.implicit_filter import ImplicitFilter
from ragyena.ops.linear import Linear
from ragyena.ops.long_conv import long_conv, long_conv_with_tail
from ragyena.ops.short_conv import short_conv, short_conv_history, short_conv_step
from ragyena.ops.short_gates import GatesBackend, causal_gates, causal_gates_backend

__all__ = ["Hyena"]


class Hyena(nn.Module):
    """The published causal Hyena operator, of any order: [batch, length, width] to the same shape.

    ``forward`` mixes whole sequences; ``prefill`` or ``empty_state``, then ``step``, go on position by position. All
    compute the same function. Filters cover ``max_length`` lags; a longer sequence is mixed exactly with these filters,
    whose reach then is its last ``max_length`` positions. Parameters may be fp32 under inputs of half precision.

    Args:
        width: channels of the sequence (``d_model``).
        max_length: lags that the filters cover (``l_max``).
        order: number of gates; the long convolutions are one fewer.
        short_filter: taps of the short depthwise convolution (``short_filter_order``).
        filter_width: hidden channels of the filter network (``filter_order``).
        filter_depth: hidden layers of the filter network beyond the first (``num_inner_mlps``).
        filter_embedding: position features of the filter network (``emb_dim``), odd: time, and as many cosines as
            sines.
        sine_frequency: initial frequency of the filter network's sines (``w``).
        modulate: has filters decay exponentially.
        fast_decay: fraction of the longest filter at which the fastest window is at ``decay_target``.
        slow_decay: the same of the slowest.
        decay_target: value of the window there.
        decay_shift: constant added to the window (``shift``): 0.05 in HyenaDNA.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> from ragyena.ops import Hyena
        >>> mixer = Hyena(64, max_length=1024, order=3)
        >>> mixer(torch.randn(2, 1000, 64)).shape
        torch.Size([2, 1000, 64])
    """

    gates_backend: GatesBackend
    """Backend of the short convolution and the first gate in ``forward`` at order 2."""

    if TYPE_CHECKING:  # nn.Module's call is untyped

        def __call__(self, x_BLD: Tensor) -> Tensor: ...

    def __init__(
        self,
        width: int,
        *,
        max_length: int,
        order: int = 2,
        short_filter: int = 3,
        filter_width: int = 64,
        filter_depth: int = 2,
        filter_embedding: int = 33,
        sine_frequency: float = 14.0,
        modulate: bool = True,
        fast_decay: float = 0.3,
        slow_decay: float = 1.5,
        decay_target: float = 1e-2,
        decay_shift: float = 0.0,
    ) -> None:
        nn.Module.__init__(self)  # not super: in a model a subclass has a second base, whose arguments differ
        least = {"width": 1, "max_length": 1, "order": 2, "short_filter": 1, "filter_width": 1, "filter_depth": 0}
        for name, value in zip(least, (width, max_length, order, short_filter, filter_width, filter_depth)):
            if value < least[name]:
                raise ValueError(f"{name} is {value}; it must be at least {least[name]}")
        if filter_embedding < 3 or filter_embedding % 2 == 0:
            raise ValueError(f"filter_embedding is {filter_embedding}; it must be odd and at least 3")
        if fast_decay <= 0 or slow_decay <= 0 or not 0 < decay_target < 1:
            raise ValueError("fast_decay and slow_decay must be positive, and decay_target between 0 and 1")
        self.gates_backend = "auto"
        self.width, self.max_length, self.order = width, max_length, order
        projected = (order + 1) * width
        self.out_proj = Linear(width, width)
        self.in_proj = Linear(width, projected, maps=order + 1)
        self.short_filter = nn.Conv1d(projected, projected, short_filter, groups=projected, padding=short_filter - 1)
        self.filter_fn = ImplicitFilter(
            width,
            convolutions=order - 1,
            max_length=max_length,
            filter_width=filter_width,
            filter_depth=filter_depth,
            filter_embedding=filter_embedding,
            sine_frequency=sine_frequency,
            modulate=modulate,
            fast_decay=fast_decay,
            slow_decay=slow_decay,
            decay_target=decay_target,
            decay_shift=decay_shift,
        )

    def forward(self, x_BLD: Tensor) -> Tensor:
        """[B, L, D] in the type of ``x``, or that of autocast. Raises ValueError and TypeError for another input."""
        check_sequence(x_BLD, self.width)
        projected_BLC = self.in_proj(x_BLD)
        filter_ODK = self.filter_fn(min(x_BLD.shape[1], self.max_length))
        if self.order == 2:
            taps = self._short_weight.shape[1]
            if causal_gates_backend(projected_BLC, taps, self.gates_backend) == "triton":
                return self._output(self._mix_fused(projected_BLC, filter_ODK))
        projected_BCL = short_conv(projected_BLC.transpose(1, 2), self._short_weight, self.short_filter.bias)
        return self._output(self.mix(projected_BCL, filter_ODK))

    def _mix_fused(self, projected_BLC: Tensor, filter_ODK: Tensor) -> Tensor:
        """``mix`` after the short convolution, whose kernel multiplies by the inner gate: [B, D, L]."""
        gate_out, gated = causal_gates(projected_BLC, self._short_weight, self.short_filter.bias, backend="triton")
        skip_D = self.filter_fn.skip()[0]
        return long_conv(gated, filter_ODK[0], direction="causal", skip_D=skip_D, gate_out_BDL=gate_out)

    def mix(self, projected_BCL: Tensor, filter_ODK: Tensor) -> Tensor:
        """Gates and long convolutions, [B, D, L], from the short convolution's output and given filters."""
        return self._mixed(projected_BCL, filter_ODK, functools.partial(long_conv, direction="causal"))

    def _mixed(self, projected_BCL: Tensor, filter_ODK: Tensor, convolve: Callable[..., Tensor]) -> Tensor:
        *gates, v_BDL = projected_BCL.chunk(self.order + 1, dim=1)
        for index, skip_D in enumerate(self.filter_fn.skip()):
            gate_out_BDL = gates[0] if index == self.order - 2 else None
            inner = {"skip_D": skip_D, "gate_in_BDL": gates[self.order - 1 - index], "gate_out_BDL": gate_out_BDL}
            v_BDL = convolve(v_BDL, filter_ODK[index], **inner)
        return v_BDL

    @torch.no_grad()
    def prefill(self, x_BLD: Tensor, steps: int | None) -> tuple[Tensor, HyenaState]:
        """``forward`` and the state to go on from, with room for ``steps`` more positions (None: no limit)."""
        check_sequence(x_BLD, self.width)
        raw_BCL = self.in_proj(x_BLD).transpose(1, 2)
        projected_BCL = short_conv(raw_BCL, self._short_weight, self.short_filter.bias)
        filter_ODK = self.filter_fn(self.max_length)
        history = self.max_length - 1 if steps is None else min(steps, self.max_length - 1)
        tails: list[Tensor] = []

        def convolve(*arguments: Tensor, **gates: Any) -> Tensor:
            y_BDL, tail_BDS = long_conv_with_tail(*arguments, history=history, **gates)
            tails.append(tail_BDS)
            return y_BDL

        mixed_BDL = self._mixed(projected_BCL, filter_ODK, convolve)
        short_history = short_conv_history(raw_BCL, self.short_filter.kernel_size[0])
        return self._output(mixed_BDL), HyenaState.begin(short_history, torch.stack(tails), filter_ODK, steps)

    @torch.no_grad()
    def empty_state(
        self, batch: int, *, device: torch.device, dtype: torch.dtype, steps: int | None = None
    ) -> HyenaState:
        """The state before a first position, for inputs of type ``dtype``."""
        filter_ODK = self.filter_fn(self.max_length).to(device)
        history = torch.zeros(batch, self.in_proj.out_features, self.short_filter.kernel_size[0] - 1)
        tail_OBDS = filter_ODK.new_zeros(self.order - 1, batch, self.width, 0)
        return HyenaState.begin(history.to(device, dtype), tail_OBDS, filter_ODK, steps)

    @torch.no_grad()
    def step(self, x_BD: Tensor, state: HyenaState) -> tuple[Tensor, HyenaState]:
        """The output [B, D] at one more position and ``state``, advanced in place."""
        projected_BC, history_BCT = short_conv_step(
            self.in_proj(x_BD), state.history, self._short_weight, self.short_filter.bias
        )
        *gates, v_BD = projected_BC.chunk(self.order + 1, dim=1)
        skip_OD = self.filter_fn.skip()
        for index in range(self.order - 1):
            p_BD = v_BD.to(state.recent.dtype) * gates[self.order - 1 - index]
            s_BD = state.convolve(index, p_BD) + skip_OD[index] * p_BD
            v_BD = (s_BD * gates[0] if index == self.order - 2 else s_BD).to(x_BD.dtype)
        state.history = history_BCT
        state.position += 1
        return self.out_proj(v_BD), state

    @property
    def _short_weight(self) -> Tensor:
        return self.short_filter.weight[:, 0]

    def _output(self, mixed_BDL: Tensor) -> Tensor:
        return self.out_proj(mixed_BDL.transpose(1, 2))
