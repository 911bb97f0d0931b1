"""The published causal Hyena operator (Poli et al. 2023, section 3), its implicit filter and its decoding steps.

Shape suffixes: B sequences, L positions, D channels, C = (order + 1) D projected channels, O = order - 1 long
convolutions, K filter lags, F position features.

``x_0 .. x_(order-1), v = short_conv(in_proj(x))``, then for each gate from the last to the second
``v = long_conv(x_i * v)``, and ``y = out_proj(x_0 * v)``. Names of parameters and order of channels are those of the
released checkpoints, so that their weights load unchanged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from ragyena.config import CausalModelConfig
from ragyena.model.decode import HyenaState
from ragyena.model.flops import conv_flops
from ragyena.model.layers import Linear
from ragyena.model.mixers.base import CausalMixer, matrix_entries
from ragyena.ops.long_conv import long_conv, long_conv_with_tail
from ragyena.ops.short_conv import short_conv, short_conv_history, short_conv_step
from ragyena.ops.short_gates import GatesBackend, causal_gates, causal_gates_backend

__all__ = ["CausalHyena", "ImplicitFilter"]


class CausalHyena(CausalMixer):
    """Causal Hyena mixer of any order: ``forward`` for a sequence; ``prefill`` or ``empty_state``, then ``step``.

    The three compute the same function. Filters cover ``max_length`` lags; a longer sequence is mixed exactly with
    these filters, whose reach then is its last ``max_length`` positions.
    """

    FILTERS = ("filter_fn.", "short_filter.")

    gates_backend: GatesBackend
    """Backend of the short convolution and the first gate in ``forward`` at order 2."""

    def __init__(self, config: CausalModelConfig, layer: int = 0) -> None:
        super().__init__(config, layer)
        self.gates_backend = "auto"
        self.width, self.max_length, self.order = config.width, config.max_length, config.order
        projected = (self.order + 1) * self.width
        self.out_proj = Linear(self.width, self.width)
        self.in_proj = Linear(self.width, projected, maps=self.order + 1)
        taps = config.short_filter
        self.short_filter = nn.Conv1d(projected, projected, taps, groups=projected, padding=taps - 1)
        self.filter_fn = ImplicitFilter(config)

    def flops(self, length: int) -> float:
        short = 2.0 * self.short_filter.kernel_size[0] * self.short_filter.in_channels
        return 2.0 * matrix_entries(self) + (self.order - 1) * conv_flops(length, self.width) + short

    def forward(self, x_BLD: Tensor, shared: Any = None) -> Tensor:
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


class ImplicitFilter(nn.Module):
    """The published filter: a sine network on position features under an exponential window, for all convolutions.

    It stays in fp32 when the model is cast to a half precision: its sines are too steep for one.
    """

    def __init__(self, config: CausalModelConfig) -> None:
        super().__init__()
        self.width, self.convolutions = config.width, config.order - 1
        channels, hidden = self.width * self.convolutions, config.filter_width
        self.bias = nn.Parameter(torch.randn(channels))
        self.pos_emb = _PositionFeatures(config.filter_embedding, config.max_length)
        sine = _Sine(hidden, config.sine_frequency)  # one for all layers, as published
        layers: list[nn.Module] = [nn.Linear(config.filter_embedding, hidden), sine]
        for _ in range(config.filter_depth):
            layers += [nn.Linear(hidden, hidden), sine]
        self.implicit_filter = nn.Sequential(*layers, nn.Linear(hidden, channels, bias=False))
        self.modulation = _Window(channels, config)

    def forward(self, lags: int) -> Tensor:
        """[O, D, lags] filters in fp32 (fp64 where the module is): lags 0 .. lags - 1, lags at most max_length."""
        with torch.autocast(self.bias.device.type, enabled=False):
            h_1KC = self.implicit_filter(self.pos_emb.z[:, :lags])
            h_1KC = self.modulation(self.pos_emb.t[:, :lags], h_1KC)
        # Published channel order: the convolutions of one channel are neighbours.
        return cast(Tensor, h_1KC[0].view(lags, self.width, self.convolutions).permute(2, 1, 0))

    def skip(self) -> Tensor:
        """[O, D]: weight of the present input in each convolution."""
        return self.bias.view(self.width, self.convolutions).t()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ImplicitFilter:
        def apply(tensor: Tensor) -> Tensor:
            cast_tensor = fn(tensor)
            return (
                tensor.to(cast_tensor.device) if cast_tensor.dtype in (torch.float16, torch.bfloat16) else cast_tensor
            )

        super()._apply(apply, recurse)  # type: ignore[no-untyped-call]
        return self


class _PositionFeatures(nn.Module):
    """Time from 0 to 1 (``t``), and time with cosines and sines of it (``z``, which is trained)."""

    z: Tensor
    t: Tensor

    def __init__(self, features: int, max_length: int) -> None:
        super().__init__()
        t_1K1 = torch.linspace(0, 1, max_length)[None, :, None]
        bands = (features - 1) // 2
        angle_1K1 = 2 * math.pi * torch.linspace(0, max_length - 1, max_length)[None, :, None] / max_length
        phase_1KF = torch.linspace(1e-4, bands - 1, bands)[None, None] * angle_1K1
        self.z = nn.Parameter(torch.cat([t_1K1, phase_1KF.cos(), -phase_1KF.sin()], dim=-1))
        self.register_buffer("t", t_1K1)


class _Sine(nn.Module):
    def __init__(self, features: int, frequency: float) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.full((1, features), frequency))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.freq * x)


class _Window(nn.Module):
    """``exp(-t |delta|) + shift``, with decay rates spread evenly over the channels."""

    deltas: Tensor

    def __init__(self, channels: int, config: CausalModelConfig) -> None:
        super().__init__()
        self.modulate, self.shift = config.modulate, config.decay_shift
        slowest, fastest = (math.log(config.decay_target) / p for p in (config.slow_decay, config.fast_decay))
        self.register_buffer("deltas", torch.linspace(slowest, fastest, channels)[None, None])

    def forward(self, t_1K1: Tensor, h_1KC: Tensor) -> Tensor:
        return h_1KC * (torch.exp(-t_1K1 * self.deltas.abs()) + self.shift) if self.modulate else h_1KC
