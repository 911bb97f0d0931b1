"""Building a model without random values, which weights from a file are about to replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode

__all__ = ["unfilled"]

# Of tensors and of torch.nn.init, as the layers of ragyena and of torch call them.
_RANDOM = frozenset({"normal_", "uniform_", "kaiming_uniform_"})


class unfilled(TorchFunctionMode):  # noqa: N801 -- used like a function: with unfilled()
    """Within it, what would be filled with random values keeps what its memory held. Drawing them takes longer than
    loading the shipped reader; every tensor must be overwritten afterwards."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
