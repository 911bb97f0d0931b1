"""Mixers on the Triton kernels compute what they compute in torch operations: outputs and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ragyena.config import CausalModelConfig, ReaderModelConfig
from ragyena.errors import MissingDependencyError
from ragyena.model.mixers.causal_hyena import CausalHyena
from ragyena.model.mixers.hyena import HyenaMixer

pytest.importorskip("triton", reason="Triton is not installed")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def relative(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.detach().double(), expected.detach().double()
    return float((actual - expected).norm() / expected.norm().clamp_min(1e-30))


def reader_mixer(context_channels: int = 0) -> HyenaMixer:
    config = ReaderModelConfig.model_validate(
        {
            "vocab_size": 50, "width": 8, "heads": 2, "ffn_width": 16, "mixers": ["hyena"],
            "context_channels": [context_channels], "near_taps": 3, "filter_width": 8, "filter_bands": 4,
            "max_slot_tokens": 40, "max_question_tokens": 16, "decoder_layers": 1, "max_answer_tokens": 8,
        }
    )  # fmt: skip
    torch.manual_seed(1)
    mixer = HyenaMixer(config, 0)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return mixer.to(DEVICE)


def results(module: torch.nn.Module, inputs: list[Tensor], rest: list[Tensor]) -> list[Tensor]:
    """Outputs, and gradients of inputs and parameters."""
    outputs = module(*inputs, *rest)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    torch.manual_seed(3)
    loss = sum((y.float() * torch.randn(y.shape).to(y.device)).sum() for y in outputs)
    return [*outputs, *torch.autograd.grad(loss, [*inputs, *module.parameters()])]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("question", "passages", "slot"), [(5, 3, 17), (9, 2, 6), (3, 1, 1)])
def test_the_readers_mixer(question: int, passages: int, slot: int, dtype: torch.dtype) -> None:
    """In fp32 each result; in half precision they lie, together, as near to fp32 as torch operations do."""
    mixer = reader_mixer()
    torch.manual_seed(2)
    states = [torch.randn(2, question, 8), torch.randn(2, passages, slot, 8)]
    states = [x.to(DEVICE, dtype).requires_grad_() for x in states]
    masks = [torch.ones(2, question, dtype=torch.bool), torch.ones(2, passages, slot, dtype=torch.bool)]
    masks[1][:, -1, slot // 2 + 1 :] = False
    masks = [mask.to(DEVICE) for mask in masks]
    mixer.passage_backend = "torch"
    plain, exact = results(mixer, states, masks), results(mixer, [x.float() for x in states], masks)
    mixer.passage_backend = "triton"
    fused = results(mixer, states, masks)
    assert all(f.dtype == p.dtype for f, p in zip(fused, plain))
    error, limit = ([relative(x, e) for x, e in zip(outputs, exact)] for outputs in (fused, plain))
    if dtype == torch.float32:
        assert max(error) <= 2e-6
    assert math.hypot(*error) <= 1.5 * math.hypot(*limit) + 1e-5


def test_an_explicit_backend_refuses_channels_of_context_scope() -> None:
    mixer = reader_mixer(context_channels=4)
    arguments = [
        torch.randn(1, 4, 8), torch.randn(1, 2, 8, 8), torch.ones(1, 4, dtype=torch.bool),
        torch.ones(1, 2, 8, dtype=torch.bool),
    ]  # fmt: skip
    arguments = [argument.to(DEVICE) for argument in arguments]
    mixer(*arguments)
    mixer.passage_backend = "triton"
    with pytest.raises(MissingDependencyError, match="scope of the context"):
        mixer(*arguments)


def test_the_published_operator() -> None:
    torch.manual_seed(4)
    mixer = CausalHyena(CausalModelConfig(width=12, max_length=60, order=2)).to(DEVICE)
    x = torch.randn(2, 50, 12, device=DEVICE).requires_grad_()
    by_backend = {}
    for backend in ("torch", "triton"):
        mixer.gates_backend = backend
        by_backend[backend] = results(mixer, [x], [])
    for fused, plain in zip(by_backend["triton"], by_backend["torch"]):
        assert relative(fused, plain) <= 1e-5
