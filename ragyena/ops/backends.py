"""The implementation an operation runs on: a named one is used or refused, ``auto`` is decided and logged once."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ragyena.errors import MissingDependencyError

__all__ = ["TRITON_BY_DEFAULT", "TRITON_IN_COMPILED", "choose_backend", "prefers_triton", "triton_unavailable"]

_log = logging.getLogger(__name__)

# Operations whose ``auto`` is Triton on CUDA: its kernels keep their tolerances on a GPU and are faster there
# (docs/kernels.md). "passage_scope" is a Hyena mixer's work on passages, from projection to gate.
TRITON_BY_DEFAULT: frozenset[str] = frozenset(
    {"long_conv", "passage_conv", "passage_scope", "short_gates", "causal_gates"}
)
# The same inside ``torch.compile``, measured against what the compiler makes of the torch operations.
TRITON_IN_COMPILED: frozenset[str] = frozenset({"long_conv", "causal_gates"})
_HAS_TRITON = importlib.util.find_spec("triton") is not None  # here, because a compiler cannot trace it
_HALF = (torch.float16, torch.bfloat16)  # in fp32 the kernels are slower than a library's transform


def prefers_triton(operation: str, x: Tensor) -> bool:
    """``auto`` is Triton for inputs like ``x``."""
    measured = TRITON_IN_COMPILED if torch.compiler.is_compiling() else TRITON_BY_DEFAULT
    return operation in measured and x.is_cuda and x.dtype in _HALF and triton_unavailable(x) is None


def triton_unavailable(x: Tensor) -> str | None:
    """The reason why no Triton kernel of this package takes ``x``; None if they can."""
    if x.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        return f"it takes fp16, bf16 and fp32, not {x.dtype}"
    if not _HAS_TRITON:
        return "Triton is not installed (ragyena[gpu])"
    if x.device.type != "cuda" and os.environ.get("TRITON_INTERPRET", "0") != "1":
        return f"Triton does not run on {x.device.type} (TRITON_INTERPRET=1 lets it, slowly)"
    return None


def choose_backend(
    operation: str,
    requested: str,
    backends: Sequence[str],
    default: str,
    unavailable: Mapping[str, str | None] | None = None,
    *,
    x: Tensor | None = None,
) -> str:
    """The backend to run ``operation`` on: for ``auto`` Triton where it is preferred for ``x``, else ``default``.

    ``unavailable`` maps a backend to the reason why it cannot run here. Raises MissingDependencyError for a requested
    backend that is unavailable or unknown; nothing falls back silently.
    """
    reasons = unavailable or {}
    if requested == "auto":
        triton = x is not None and prefers_triton(operation, x) and reasons.get("triton") is None
        chosen = "triton" if triton else default
        if not torch.compiler.is_compiling():  # a log call would break the graph
            _log_choice(operation, chosen)
        return chosen
    available = [name for name in backends if reasons.get(name) is None]
    if requested not in available:
        reason = reasons.get(requested)
        raise MissingDependencyError(
            f"{operation} has no backend '{requested}' here" + (f": {reason}" if reason else ""),
            hint=f"choose auto or one of: {', '.join(available)}",
        )
    return requested


@functools.cache
def _log_choice(operation: str, backend: str) -> None:
    _log.info("%s: backend %s", operation, backend)
