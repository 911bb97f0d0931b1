"""Linear maps in int8: weights with one scale an output, activations as bytes with one scale and zero point a map,
multiplied by oneDNN. The range of a map's inputs is measured before; a value outside is clipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Int8Map", "Levels", "int8_unavailable"]

_LAST, _MIDDLE = 255, 128  # levels of a byte
_LARGEST_WEIGHT = 127
_ROWS = 4096  # for which oneDNN chooses a layout; it serves other numbers of rows
_OPERATORS = ("qlinear_prepack", "qlinear_pointwise")
_INSTRUCTIONS = ("avx512_vnni", "amx_int8")


def int8_unavailable() -> str | None:
    """The reason why oneDNN multiplies no int8 matrices here, or not exactly; None where it does."""
    if not torch._C._has_mkldnn:
        return "this build of torch has no oneDNN"
    if missing := [name for name in _OPERATORS if not hasattr(torch.ops.onednn, name)]:
        return f"this version of torch has no onednn::{missing[0]}"
    held = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if not any(held.get(name) for name in _INSTRUCTIONS):
        # Without them sums of two products are kept in 16 bits, and saturate.
        return f"this CPU has none of {', '.join(_INSTRUCTIONS)}"
    return None


@dataclass(frozen=True)
class Levels:
    """256 evenly spaced values with zero among them: ``scale * (level - zero)`` for the levels 0 to 255."""

    scale: float
    zero: int

    @classmethod
    def over(cls, low: float, high: float) -> Levels:
        """Levels from ``low`` to ``high``, and to zero."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / _LAST, torch.finfo(torch.float32).tiny)
        return cls(scale, round(-low / scale))

    @cached_property
    def _offset(self) -> Tensor:
        return torch.tensor([float(self.zero - _MIDDLE)])

    def encode(self, x: Tensor) -> Tensor:
        """The nearest level of each value, uint8; the first or last for a value outside."""
        # Torch converts to signed bytes with vector instructions and to others without: their uppermost bits differ.
        signed = torch.add(self._offset, x, alpha=1 / self.scale).round_().clamp_(-_MIDDLE, _MIDDLE - 1)
        return signed.to(torch.int8).bitwise_xor_(-_MIDDLE).view(torch.uint8)


_VALUES = Levels(1.0, 0)  # of outputs that are no bytes


@dataclass(frozen=True, slots=True, eq=False)
class Int8Map:
    """A linear map in int8. Inputs are values or, as uint8, levels of ``inputs``."""

    inputs: Levels
    outputs: Levels | None
    """The levels in which ``gelu`` gives its results; None for values."""
    _packed: Tensor = field(repr=False)
    """The matrix in oneDNN's layout."""
    _scales: Tensor = field(repr=False)
    _zeros: Tensor = field(repr=False)
    _bias: Tensor = field(repr=False)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, inputs: Levels, outputs: Levels | None = None) -> Int8Map:
        """The map of a ``weight`` [outputs, inputs] and ``bias`` in fp32. Rows that were stored as int8 stay exact."""
        scales = weight.abs().amax(1) / _LARGEST_WEIGHT
        levels = (weight / scales.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).round().to(torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(levels, [_ROWS, weight.shape[1]])
        return cls(inputs, outputs, packed, scales, torch.zeros(len(weight), dtype=torch.int32), bias.clone())

    def __call__(self, x: Tensor) -> Tensor:
        """The map of the values ``x``, in their type."""
        return self._product(x, x.dtype, "none", _VALUES)

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of the map of the values ``x``: levels of ``outputs``, or values in their type."""
        if self.outputs is None:
            return self._product(x, x.dtype, "gelu", _VALUES)
        return self._product(x, torch.uint8, "gelu", self.outputs)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The map of ``x``, plus ``other``, in the type of ``other``."""
        product = torch.ops.onednn.qlinear_pointwise.binary
        y: Tensor = product(*self._given(x), other, self._bias, 1.0, 0, other.dtype, 1.0, 0, "add", 1.0, "none", [], "")
        return y

    def _product(self, x: Tensor, dtype: torch.dtype, then: str, outputs: Levels) -> Tensor:
        product = torch.ops.onednn.qlinear_pointwise
        y: Tensor = product(*self._given(x), self._bias, outputs.scale, outputs.zero, dtype, then, [], "none")
        return y

    def _given(self, x: Tensor) -> tuple[Tensor, float, int, Tensor, Tensor, Tensor]:
        levels = x if x.dtype == torch.uint8 else self.inputs.encode(x)
        return levels, self.inputs.scale, self.inputs.zero, self._packed, self._scales, self._zeros
