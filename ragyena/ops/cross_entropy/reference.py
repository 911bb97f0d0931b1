"""The definition of the linear layer's cross-entropy. N positions, D channels, V classes."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["linear_cross_entropy_reference"]


def linear_cross_entropy_reference(x_ND: Tensor, weight_VD: Tensor, target_N: Tensor) -> Tensor:
    """Mean of -log softmax(x weight^T)[target] in fp64 over positions whose target is not negative."""
    return cross_entropy(x_ND.double() @ weight_VD.double().t(), target_N.clamp(min=-1), ignore_index=-1)
