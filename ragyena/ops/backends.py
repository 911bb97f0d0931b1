"""Which implementation of an operation runs: a wish is obeyed or refused, ``auto`` is decided and logged once."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ragyena.errors import MissingDependencyError

__all__ = ["TRITON_BY_DEFAULT", "TRITON_IN_COMPILED", "choose_backend", "prefers_triton", "triton_refusal"]

_log = logging.getLogger(__name__)

# Operations whose ``auto`` is Triton on CUDA. One enters when its kernels, as they stand, kept their tolerances on a
# GPU and were measured faster there (docs/kernels.md). "passage_scope": a Hyena mixer's passages, from projection to
# gate.
TRITON_BY_DEFAULT: frozenset[str] = frozenset(
    {"long_conv", "gated_slot_conv", "passage_scope", "short_gates", "causal_gates"}
)
# Operations whose ``auto`` is Triton inside ``torch.compile``: measured beside what a compiler makes of torch's own.
TRITON_IN_COMPILED: frozenset[str] = frozenset({"long_conv", "causal_gates"})
_HAS_TRITON = importlib.util.find_spec("triton") is not None  # asked once, outside of what is compiled
_FAST = (torch.float16, torch.bfloat16)  # fp32 operands are exact to 1e-6 there, but slower than a library's transform


def prefers_triton(operation: str, x: Tensor) -> bool:
    """Whether ``auto`` is Triton for inputs like ``x``."""
    measured = TRITON_IN_COMPILED if torch.compiler.is_compiling() else TRITON_BY_DEFAULT
    return operation in measured and x.is_cuda and x.dtype in _FAST and triton_refusal(x) is None


def triton_refusal(x: Tensor) -> str | None:
    """Why no Triton kernel of this package takes ``x``; None where one may."""
    if x.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        return f"it takes fp16, bf16 and fp32, not {x.dtype}"
    if not _HAS_TRITON:
        return "Triton is not installed (ragyena[gpu])"
    if x.device.type != "cuda" and os.environ.get("TRITON_INTERPRET", "0") != "1":
        return f"Triton does not run on {x.device.type} (TRITON_INTERPRET=1 lets it, slowly)"
    return None


def choose_backend(
    operation: str,
    wish: str,
    available: Sequence[str],
    preferred: str,
    refusals: Mapping[str, str | None] | None = None,
) -> str:
    """The backend to run ``operation`` with: ``preferred`` where ``wish`` is ``auto``, else ``wish`` itself.

    Raises MissingDependencyError where ``wish`` is not among those ``available``, with the reason that ``refusals`` has
    for it; nothing falls back in silence.
    """
    if wish == "auto":
        if not torch.compiler.is_compiling():  # a log call would break the graph
            _log_choice(operation, preferred)
        return preferred
    if wish not in available:
        reason = (refusals or {}).get(wish)
        raise MissingDependencyError(
            f"{operation} has no backend '{wish}' here" + (f": {reason}" if reason else ""),
            hint=f"choose auto or one of: {', '.join(available)}",
        )
    return wish


@functools.cache
def _log_choice(operation: str, backend: str) -> None:
    _log.info("%s: backend %s", operation, backend)
