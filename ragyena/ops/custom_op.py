"""Parts of the package's custom operators: arguments of kernels, gradients, and shapes under ``torch.compile``."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

__all__ = ["contiguous", "empty_gradient", "kernels", "operand_type", "pointer", "register"]


@functools.cache
def kernels(module: str) -> ModuleType:
    """A module of Triton kernels in this package, imported at the first launch: operators exist without Triton."""
    return importlib.import_module(f"ragyena.ops.{module}")


def operand_type(dtype: torch.dtype) -> torch.dtype:
    """The type of the Triton kernels' operands for arguments of ``dtype``."""
    return torch.float32 if dtype == torch.float32 else torch.float16


def contiguous(argument: Tensor | None) -> Tensor | None:
    """An argument in the layout that kernels address, or None."""
    return None if argument is None else argument.contiguous()


def pointer(argument: Tensor | None, placeholder: Tensor) -> Tensor:
    """A kernel's argument; for one that is None some pointer, which the kernel does not read."""
    return placeholder if argument is None else argument


def empty_gradient(argument: Tensor | None, like: Tensor) -> Tensor:
    """Memory for an argument's gradient; of no elements for an argument that is None: operators return no None."""
    if argument is None:
        return like.new_empty(0)
    return torch.empty_like(argument, memory_format=torch.contiguous_format)


def register(
    forward: Any, backward: Any, *, differentiable: Sequence[bool], fake: Callable[..., Any] | None = None
) -> None:
    """Make the operator ``forward`` differentiable by ``backward``, and give both shapes under ``torch.compile``.

    ``backward(*output gradients, *arguments)`` returns a gradient for each argument that is ``differentiable``, in
    their order and of no elements where the argument is None. ``fake`` makes empty outputs; without it there is one, of
    the first argument's shape. The first argument is a tensor. Only the arguments are kept for the backward pass.
    """
    count = len(differentiable)

    def forward_fake(*arguments: Any) -> Tensor:
        return empty_gradient(arguments[0], arguments[0])

    def backward_fake(*inputs: Any) -> tuple[Tensor, ...]:
        arguments = inputs[-count:]
        return tuple(empty_gradient(argument, arguments[0]) for argument, yes in zip(arguments, differentiable) if yes)

    def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*(x if isinstance(x, Tensor) else None for x in inputs))
        ctx.constants = [None if isinstance(x, Tensor) else x for x in inputs]

    def gradient(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        arguments = [c if t is None else t for t, c in zip(ctx.saved_tensors, ctx.constants)]
        # Gradients of a channels-last consumer come transposed. Made contiguous here, a compiler sees and tiles it.
        results = iter(backward(*(g.contiguous() for g in output_gradients), *arguments))
        pairs = [(argument, next(results) if yes else None) for argument, yes in zip(arguments, differentiable)]
        return tuple(None if argument is None else result for argument, result in pairs)

    forward.register_fake(fake or forward_fake)
    backward.register_fake(backward_fake)
    forward.register_autograd(gradient, setup_context=save)
