"""Parts of the package's custom operators: arguments of kernels, gradients, and shapes under ``torch.compile``."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeVar, get_type_hints

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["contiguous", "empty_gradient", "kernels", "operand_type", "operator", "pointer", "refuse_forward_mode"]

Arguments = TypeVar("Arguments", bound=tuple[Any, ...])

_SCHEMA = {Tensor: "Tensor", Tensor | None: "Tensor?", bool: "bool", int: "int"}


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


def refuse_forward_mode(*arguments: Tensor | None) -> None:
    """Raises NotImplementedError where an argument carries a tangent: torch would drop it in a custom operator without
    a word, and the derivative would be zero."""
    if torch.compiler.is_compiling():
        return
    unpacked = (forward_ad.unpack_dual(x) for x in arguments if x is not None)  # type: ignore[no-untyped-call]
    if any(one.tangent is not None for one in unpacked):
        raise NotImplementedError(
            "this operator has no forward-mode derivative (jvp); take reverse mode, or long_conv with backend='direct'"
        )


def operator(
    name: str,
    arguments: type[Arguments],
    forward: Callable[[Arguments], Any],
    backward: Callable[..., tuple[Tensor, ...]],
    *,
    constant: Sequence[str] = (),
    outputs: int = 1,
    fake: Callable[[Arguments], Any] | None = None,
) -> Any:
    """The differentiable operator ``ragyena::NAME``, which ``torch.compile`` leaves whole.

    ``arguments``, a NamedTuple, names its arguments and their types; the first is a tensor. ``backward(*output
    gradients, arguments)`` returns a gradient for each tensor that is not ``constant``, in their order and of no
    elements where the argument is None. ``fake`` makes empty outputs; without it there is one, of the first argument's
    shape. Only the arguments are kept for the backward pass.
    """
    fields = get_type_hints(arguments)
    inputs = ", ".join(f"{_SCHEMA[kind]} {field}" for field, kind in fields.items())
    gradients = ", ".join(f"Tensor output_gradient_{number}" for number in range(outputs))
    differentiable = [field for field, kind in fields.items() if kind not in (bool, int) and field not in constant]

    def run_backward(*values: Any) -> tuple[Tensor, ...]:
        return backward(*values[:outputs], arguments(*values[outputs:]))

    def fake_forward(*values: Any) -> Any:
        return fake(arguments(*values)) if fake else empty_gradient(values[0], values[0])

    def fake_backward(*values: Any) -> tuple[Tensor, ...]:
        given = dict(zip(fields, values[outputs:]))
        return tuple(empty_gradient(given[field], values[outputs]) for field in differentiable)

    def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*(x if isinstance(x, Tensor) else None for x in inputs))
        ctx.constants = [None if isinstance(x, Tensor) else x for x in inputs]

    def gradient(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        given = [c if t is None else t for t, c in zip(ctx.saved_tensors, ctx.constants)]
        # Gradients of a channels-last consumer come transposed. Made contiguous here, a compiler sees and tiles it.
        results = dict(zip(differentiable, backward_op(*[g.contiguous() for g in output_gradients], *given)))
        return tuple(None if x is None else results.get(field) for field, x in zip(fields, given))

    def define(name: str, function: Callable[..., Any], inputs: str, outputs: int) -> Any:
        results = "Tensor" if outputs == 1 else f"({', '.join(['Tensor'] * outputs)})"
        schema = f"({inputs}) -> {results}"
        return torch.library.custom_op(f"ragyena::{name}", function, mutates_args=(), schema=schema)

    forward_op = define(name, lambda *values: forward(arguments(*values)), inputs, outputs)
    backward_op = define(f"{name}_backward", run_backward, f"{gradients}, {inputs}", len(differentiable))
    forward_op.register_fake(fake_forward)
    backward_op.register_fake(fake_backward)
    forward_op.register_autograd(gradient, setup_context=save)
    return forward_op
