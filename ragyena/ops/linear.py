"""Linear map whose parameters are cast to the activations' dtype as they are used: fp32 parameters serve under bf16
activations, and where both have one dtype the cast is free."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.ops.backends import choose_backend
from ragyena.ops.int8_linear import Int8Map, Levels

__all__ = ["Linear", "fbgemm_unavailable", "has_fast_bf16", "onednn_unavailable"]

_ROWS = 4096  # for which oneDNN chooses a layout; it serves other numbers of rows
# oneDNN makes a kernel for each shape that is multiplied, about 0.6 MiB, and keeps 1,024 of them, as does torch's own
# layer over it in each thread: a process that reads texts of all lengths would grow by 600 MiB. Both variables are read
# at the first product, and one that is set already is kept.
_KERNELS_KEPT = 128
for _variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_variable, str(_KERNELS_KEPT))


_WITHOUT_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""Instruction sets that oneDNN can be told to keep to (its own names) and that multiply no bfloat16."""


def onednn_unavailable(dtype: torch.dtype) -> str | None:
    """The reason why oneDNN multiplies no matrices of ``dtype`` here; None where it does."""
    if not torch._C._has_mkldnn:
        return "this build of torch has no oneDNN"
    if dtype == torch.bfloat16 and not _has_bf16():
        return "oneDNN has no bfloat16 on this CPU"
    if dtype == torch.float16 and not torch.ops.mkldnn._is_mkldnn_fp16_supported():
        return "oneDNN has no float16 on this CPU"
    return None


def fbgemm_unavailable() -> str | None:
    """The reason why torch multiplies no matrices of half floats by FBGEMM here; None where it does."""
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return "this build of torch has no FBGEMM, or this CPU no AVX2"
    if not hasattr(torch.ops.quantized, "linear_dynamic_fp16"):
        return "this torch gives no access to FBGEMM"
    return None


def _has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_fast_bf16() -> bool:
    """True where oneDNN multiplies bfloat16 by instructions of this CPU. It also takes bfloat16 where it has to emulate
    it, at a half to a quarter of the speed of float32: without such instructions, or where the environment keeps it
    from them."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    if onednn_unavailable(torch.bfloat16) or limit.upper() in _WITHOUT_BF16:
        return False
    held = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(held.get("avx512_bf16") or held.get("amx_bf16"))


class Linear(nn.Linear):
    """``nn.Linear`` in the dtype of its input. ``maps`` maps of one shape may stand in its matrix, one after another:
    the optimizer orthogonalises the update of each alone.

    ``prepare_cpu`` lays the matrix out for oneDNN's products, which then also compute what follows them;
    ``prepare_int8`` makes it one in int8 of rows [T, inputs]; inputs of other shapes, such as the question's, whose
    values reach several times as far, stay in floating point."""

    _laid_out: Tensor | None = None
    """The weight in oneDNN's own layout, of the same type; None without."""
    _int8: Int8Map | None = None

    if TYPE_CHECKING:  # nn.Module's call is untyped

        def __call__(self, x: Tensor) -> Tensor: ...

    def __init__(self, inputs: int, outputs: int, *, maps: int = 1) -> None:
        super().__init__(inputs, outputs)
        self.maps = maps

    @property
    def int8(self) -> bool:
        """True after ``prepare_int8``."""
        return self._int8 is not None

    def forward(self, x: Tensor) -> Tensor:
        if self._int8 is not None and x.dim() == 2:
            return self._int8(x)
        if self._laid_out is not None and x.dtype == self.weight.dtype:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._laid_out, self.bias, "none", [], "")
            return y
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of the map of ``x``; of rows in int8 as levels, where ``prepare_int8`` was given those."""
        if self._int8 is not None and x.dim() == 2:
            return self._int8.gelu(x)
        if self._laid_out is not None and x.dtype == self.weight.dtype:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._laid_out, self.bias, "gelu", [], "none")
            return y
        return F.gelu(self(x))

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The map of ``x``, plus ``other``."""
        if self._int8 is not None and x.dim() == 2:
            return self._int8.plus(x, other)
        if self._laid_out is not None and x.dtype == other.dtype == self.weight.dtype:
            y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self._laid_out, self.bias, "add")
            return y
        return other + self(x)

    def prepare_cpu(self, *, backend: str = "auto") -> None:
        """Lay the matrix out for inference on this CPU, where oneDNN is there; weights may not change afterwards.

        A map in int8 is laid out already, and few tokens go through it in floating point. Raises
        MissingDependencyError for a backend that is not there.
        """
        if self._int8 is not None:
            return
        reason = onednn_unavailable(self.weight.dtype)
        default = "torch" if reason else "onednn"
        chosen = choose_backend("linear", backend, ("torch", "onednn"), default, {"onednn": reason})
        if chosen == "onednn":
            self._laid_out = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), _ROWS)

    def prepare_int8(self, inputs: Levels, outputs: Levels | None = None) -> None:
        """Map rows in int8 from now on: the levels of inputs, and those that ``gelu`` gives. The weights are fp32, and
        may not change afterwards but in type. Needs ``int8_unavailable`` to be None."""
        self._int8 = Int8Map.of(self.weight.detach(), self.bias.detach(), inputs, outputs)
