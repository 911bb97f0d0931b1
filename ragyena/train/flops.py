"""Model FLOPs of training steps and the share of a device's peak they come to (MFU; Chowdhery et al. 2022, appendix B).

A multiplication and an addition are two FLOPs; a step is a forward and a backward pass, three times the forward one.
What is counted is what the model asks for, not what an implementation does: nothing computed again, no optimizer.

* Linear maps: ``6 N`` a token, N being the entries of the matrices it meets; looking up an embedding is free, the
  output projection is not. Norms, activations and gates are left out.
* Causal attention: scores and mixing of L/2 positions on average, ``6 L D`` a token and layer. Two-sided: ``12 L D``.
* Long convolution of L positions: a transform of the input and one back, both real, of M = 2L points at
  ``2.5 M log2 M`` each, and the product with the spectrum, ``3 M``; times three, a channel. The filter's own transform
  and network are one a step, whatever the batch, and left out.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ragyena.config import CausalModelConfig

__all__ = ["attention_flops", "conv_flops", "language_model_flops", "matrix_entries", "peak_flops"]

_PEAK_TERAFLOPS = {  # dense bf16, from the makers' data sheets; the first name that a device's name holds
    "B200": 2250.0,
    "GH200": 989.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "A100": 312.0,
    "A800": 312.0,
    "A40": 149.7,
    "A30": 165.0,
    "A10G": 70.0,
    "A10": 125.0,
    "L40S": 362.0,
    "L40": 181.0,
    "L4": 121.0,
    "RTX 6000 Ada": 364.0,
    "RTX 5090": 209.5,
    "RTX 4090": 165.2,
    "RTX 3090": 71.0,
}


def peak_flops(device: str) -> float | None:
    """Dense bf16 FLOPs a second of a torch device; None where it is not known (every CPU, many GPUs)."""
    if not device.startswith("cuda"):
        return None
    name = torch.cuda.get_device_name(device)
    return next((1e12 * peak for known, peak in _PEAK_TERAFLOPS.items() if known in name), None)


def matrix_entries(module: nn.Module) -> int:
    """Entries of the matrices of the linear maps in ``module``: the N of 6 N. Filter networks do not count."""
    return sum(
        part.weight.numel()
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and "filter" not in name
    )


def attention_flops(length: int, width: int, *, causal: bool) -> float:
    """Of one layer's scores and mixing over ``length`` positions, a token, forward and backward."""
    return (6.0 if causal else 12.0) * length * width


def conv_flops(length: int, width: int) -> float:
    """Of one long convolution over ``length`` positions of ``width`` channels, a token, forward and backward."""
    points = 2 * length
    return 3.0 * width * (5.0 * points * math.log2(points) + 3.0 * points) / length


def language_model_flops(model: nn.Module, config: CausalModelConfig, length: int) -> float:
    """Of a causal language model on sequences of ``length``, a token, forward and backward."""
    total = 6.0 * matrix_entries(model)
    for mixer in config.layer_mixers:
        if mixer == "attention":
            total += attention_flops(length, config.width, causal=True)
        else:
            total += (config.order - 1) * conv_flops(length, config.width)
            total += 6.0 * config.short_filter * (config.order + 1) * config.width
    return total
