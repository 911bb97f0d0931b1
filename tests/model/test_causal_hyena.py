"""The causal Hyena operator: equal to the published implementation, and to its own definition as a plain O(L^2) sum."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ragyena.config import CausalModelConfig
from ragyena.model.checkpoint import load_into
from ragyena.model.mixers.causal_hyena import CausalHyena
from ragyena.ops.reference import long_conv_reference, short_conv_reference
from ragyena.ops.short_conv import short_conv

DUMPS = ["op_pile_o2", "op_o2_short", "op_o3"]
END_TO_END = 1e-4  # the published code's own fp32 error is 1e-5 to 2e-5, all of it in the filter's sines
FILTER_GIVEN = 1e-6


def relative(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.detach().double(), expected.detach().double()
    return float((actual - expected).norm() / expected.norm().clamp_min(1e-30))


def make(width: int = 6, *, max_length: int = 40, order: int = 2, short_filter: int = 3) -> CausalHyena:
    torch.manual_seed(order * 100 + max_length)
    return CausalHyena(CausalModelConfig(width=width, max_length=max_length, order=order, short_filter=short_filter))


def loaded(dump) -> CausalHyena:
    config = dump.config
    settings = CausalModelConfig(
        width=config["d_model"],
        max_length=config["l_max"],
        order=config["order"],
        filter_embedding=config["emb_dim"],
        filter_width=config["filter_order"],
        sine_frequency=config["w"],
    )
    mixer = CausalHyena(settings)
    load_into(mixer, dump.group("sd."), "the dump")
    return mixer


# ---------------------------------------------------------------------------------------------------------------
# The published implementation
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DUMPS)
def test_published_output_and_gradients(published, name: str) -> None:
    dump = published(name)
    mixer, x = loaded(dump), dump["x"].requires_grad_()
    y = mixer(x)
    assert relative(y, dump["y"]) <= END_TO_END
    assert relative(y, dump["y64"]) <= END_TO_END
    y.backward(dump["g"])
    assert x.grad is not None
    assert relative(x.grad, dump["dx"]) <= END_TO_END
    gradients = {key: parameter.grad for key, parameter in mixer.named_parameters()}
    wanted = dump.group("d.")
    assert gradients.keys() == wanted.keys()
    for key, gradient in gradients.items():
        assert gradient is not None
        assert relative(gradient, wanted[key]) <= END_TO_END, key


@pytest.mark.parametrize("name", DUMPS)
def test_published_intermediates(published, name: str) -> None:
    dump = published(name)
    mixer, length = loaded(dump), dump.config["L"]
    filter_ODK = dump["k"].view(length, mixer.width, mixer.order - 1).permute(2, 1, 0)
    assert relative(mixer.filter_fn(length), filter_ODK) <= END_TO_END
    raw = mixer.in_proj(dump["x"]).transpose(1, 2)
    projected = short_conv(raw, mixer.short_filter.weight[:, 0], mixer.short_filter.bias)
    assert relative(projected, dump["qkv_short"]) <= FILTER_GIVEN
    y = mixer.out_proj(mixer.mix(dump["qkv_short"], filter_ODK).transpose(1, 2))
    assert relative(y, dump["y"]) <= FILTER_GIVEN


@pytest.mark.parametrize("name", DUMPS)
def test_published_output_in_double_precision(published, name: str) -> None:
    dump = published(name)
    assert relative(loaded(dump).double()(dump["x"].double()), dump["y64"]) <= 1e-12


# ---------------------------------------------------------------------------------------------------------------
# The definition
# ---------------------------------------------------------------------------------------------------------------


def definition(mixer: CausalHyena, x_BLD: Tensor) -> Tensor:
    """The operator as the paper writes it, with plain sums, in fp64."""
    length = min(x_BLD.shape[1], mixer.max_length)
    raw = (x_BLD @ mixer.in_proj.weight.t() + mixer.in_proj.bias).transpose(1, 2)
    projected = short_conv_reference(raw, mixer.short_filter.weight[:, 0], mixer.short_filter.bias)
    *gates, v = projected.split(mixer.width, dim=1)
    bias = mixer.filter_fn.bias.view(mixer.width, mixer.order - 1)
    for index, gate in enumerate(reversed(gates[1:])):
        v = long_conv_reference(
            v, mixer.filter_fn(length)[index], direction="causal", skip_D=bias[:, index], gate_in_BDL=gate
        )
    return (gates[0] * v).transpose(1, 2) @ mixer.out_proj.weight.t() + mixer.out_proj.bias


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("length", [1, 2, 39, 40, 67])
def test_equals_its_definition(order: int, length: int) -> None:
    mixer = make(order=order).double()
    x = torch.randn(2, length, 6, dtype=torch.float64, requires_grad=True)
    actual, expected = mixer(x), definition(mixer, x)
    assert relative(actual, expected) <= 1e-12
    cotangent = torch.randn_like(x)
    needed = [x, *mixer.parameters()]
    for gradient, wanted in zip(
        torch.autograd.grad(actual, needed, cotangent), torch.autograd.grad(expected, needed, cotangent)
    ):
        assert (gradient - wanted).norm() <= 1e-10 * (1 + wanted.norm())


@pytest.mark.parametrize("order", [2, 3])
def test_causality(order: int) -> None:
    mixer, x = make(order=order).double(), torch.randn(1, 33, 6, dtype=torch.float64)
    before = mixer(x)
    for t in (1, 16, 32):
        moved = x.clone()
        moved[:, t] += 1.0
        change = (mixer(moved) - before).abs()
        assert change[:, :t].max() <= 1e-13 * change.max()
        assert change[:, t].max() > 0


def test_the_filter_decays_by_default() -> None:
    torch.manual_seed(0)
    decaying = CausalHyena(CausalModelConfig(width=64, max_length=512))
    flat = CausalHyena(CausalModelConfig(width=64, max_length=512, modulate=False))
    flat.load_state_dict(decaying.state_dict())

    def late_share(mixer: CausalHyena) -> float:
        filter_DK = mixer.filter_fn(512)[0].detach()
        return float(filter_DK[:, 384:].norm() / filter_DK.norm())

    assert late_share(decaying) < 0.1 < late_share(flat)


def test_filter_stays_fp32_in_half_precision() -> None:
    mixer = make(width=16, max_length=200)
    x = torch.randn(2, 150, 16)
    full, filter_before = mixer(x), mixer.filter_fn(200)
    mixer.to(torch.bfloat16)
    assert mixer.in_proj.weight.dtype == torch.bfloat16
    assert torch.equal(mixer.filter_fn(200), filter_before)
    y = mixer(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert relative(y, full) <= 2e-2


def test_fp32_parameters_under_bf16_activations() -> None:
    mixer = make(width=16)
    x = torch.randn(2, 31, 16)
    y = mixer(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert relative(y, mixer(x)) <= 2e-2
    y.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in mixer.parameters())


def test_compiles_as_one_graph() -> None:
    """No break: the transform-based convolution is one opaque operator, with its gradient."""
    mixer, x = make(width=8, order=3), torch.randn(2, 37, 8, requires_grad=True)
    compiled = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    y, expected = compiled(x), mixer(x)
    assert relative(y, expected) <= 1e-6
    needed = [x, *mixer.parameters()]
    for gradient, wanted in zip(torch.autograd.grad(y.sum(), needed), torch.autograd.grad(expected.sum(), needed)):
        assert relative(gradient, wanted) <= 1e-5
