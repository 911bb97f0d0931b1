"""Model FLOPs, and the share of a device's peak that they come to (MFU; Chowdhery et al. 2022, appendix B).

A multiplication and an addition are two FLOPs. Counts are of a forward pass, a token; a training step is three times
that. They are of the model, not of an implementation: nothing computed again, no optimizer.

* Linear maps: 2 N, N being the entries of the matrices that a token meets; looking up an embedding is free, the output
  projection is not. Norms, activations and gates are left out.
* Causal attention: scores and mixing of L/2 positions on average, 2 L D a layer. Two-sided: 4 L D.
* Long convolution of L positions: a transform of the input and one back, both real, of M = 2 L points at
  2.5 M log2 M each, and the product with the spectrum, 3 M, a channel. The filter's own transform and network are one
  a step, whatever the batch, and left out.
"""

from __future__ import annotations

import math

import torch

__all__ = ["TRAINING", "attention_flops", "conv_flops", "peak_flops"]

TRAINING = 3.0
"""FLOPs of a forward and a backward pass over those of the forward one."""

PEAK_TERAFLOPS = {
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
"""Dense bf16 peaks of the makers' data sheets; the first name that a device's name contains counts."""


def peak_flops(device: str) -> float | None:
    """Dense bf16 FLOPs a second of a torch device; None where it is not known (every CPU, many GPUs)."""
    if not device.startswith("cuda"):
        return None
    name = torch.cuda.get_device_name(device)
    return next((1e12 * peak for known, peak in PEAK_TERAFLOPS.items() if known in name), None)


def attention_flops(length: int, width: int, *, causal: bool) -> float:
    """FLOPs of one layer's scores and mixing over ``length`` positions, forward, a token."""
    return (2.0 if causal else 4.0) * length * width


def conv_flops(length: int, width: int) -> float:
    """FLOPs of one long convolution over ``length`` positions of ``width`` channels, forward, a token."""
    points = 2 * length
    return width * (5.0 * points * math.log2(points) + 3.0 * points) / length
