"""Building a model without random values, which weights from a file are about to replace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["fill", "unfilled"]

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


def fill(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Make tensors those of a module on the CPU, by name, without a copy. Names and shapes are its own."""
    places: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    places.update(module.named_buffers(remove_duplicate=False))
    taken: set[int] = set()
    for name, tensor in state.items():
        again = id(tensor) in taken  # under two names: a module that shares it has one parameter for both
        places[name].data = (tensor.clone() if again else tensor).to(places[name].dtype)
        taken.add(id(tensor))
