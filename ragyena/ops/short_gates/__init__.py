"""Short convolution of a projection and the gates it makes."""

from ragyena.ops.short_gates.op import (
    GatesBackend,
    causal_gates,
    causal_gates_backend,
    short_gates,
    short_gates_by_position,
    short_gates_of_rows,
)

__all__ = [
    "GatesBackend",
    "causal_gates",
    "causal_gates_backend",
    "short_gates",
    "short_gates_by_position",
    "short_gates_of_rows",
]
