"""Model FLOPs of the formulas against torch's count of a real step; peaks by device name."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ragyena.config import CausalModelConfig
from ragyena.model import flops
from ragyena.model.language_model import CausalLM
from ragyena.model.mixers.base import matrix_entries

TRANSFORMER = CausalModelConfig(
    vocab_size=64, width=32, depth=2, ffn_width=64, heads=2, max_length=64, mixers=("attention", "attention")
)


def test_the_formula_is_what_a_step_of_a_transformer_computes() -> None:
    """torch counts the same but for attention, of which it counts the masked half too."""
    length, batch = 64, 3
    model = CausalLM(TRANSFORMER)
    ids = torch.randint(64, (batch, length))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.loss(ids, targets_BL=ids).backward()  # type: ignore[no-untyped-call]
    counted = counter.get_total_flops()
    ours = batch * length * flops.TRAINING * model.flops(length)
    each = flops.TRAINING * flops.attention_flops(length, TRANSFORMER.width, causal=True)
    attention = batch * length * TRANSFORMER.depth * each
    assert counted == ours + attention  # whole attention is twice the causal one
    assert flops.attention_flops(length, 32, causal=False) == 2 * flops.attention_flops(length, 32, causal=True)


def test_a_hyena_layer_has_matrices_and_a_convolution() -> None:
    config = TRANSFORMER.model_copy(update={"mixers": ("hyena", "hyena")})
    model = CausalLM(config)
    width, length = 32, 64
    matrices = 2 * (4 * width**2 + 2 * width * 64) + 64 * width
    assert matrix_entries(model) == matrices  # filter networks are not met by every token
    points = 2 * length
    conv = 3 * width * (5 * points * math.log2(points) + 3 * points) / length
    expected = 6 * matrices + 2 * (conv + 6 * 3 * 3 * width)
    assert flops.TRAINING * model.flops(length) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H200", 989e12), ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12),
     ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA L4", 121e12), ("NVIDIA L40S", 362e12),
     ("NVIDIA GeForce RTX 4090", 165.2e12), ("Unheard-of 1", None)],
)  # fmt: skip
def test_peaks_go_by_the_device_name(name: str, peak: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: name)
    assert flops.peak_flops("cuda:0") == peak
    assert flops.peak_flops("cpu") is None
