"""The modules of ``ragyena.ops``: the two-sided operator against its definition, both under autocast, in half
precision and compiled, and their arguments. The published operator is compared in ``tests/model``."""

from __future__ import annotations

import copy
import inspect
from itertools import pairwise
from typing import Any

import pytest
import torch
from numeric import relative
from torch import Tensor, nn

from ragyena.config import ReaderModelConfig
from ragyena.config.models import HyenaConfig
from ragyena.ops import Hyena, TwoSidedHyena
from ragyena.ops.reference import long_conv_reference, short_conv_reference


def two_sided(width: int = 4) -> TwoSidedHyena:
    torch.manual_seed(0)
    mixer = TwoSidedHyena(width, near_taps=3, time_scales=(4.0, 40.0))
    with torch.no_grad():  # a new filter is the identity
        mixer.filter.output.weight.normal_(std=0.5)
        mixer.filter.taps.normal_()
    return mixer


def definition(mixer: TwoSidedHyena, x_LD: Tensor) -> Tensor:
    """One sequence, in fp64, from the definitions of the parts."""
    projected = (x_LD.double() @ mixer.project.weight.double().t() + mixer.project.bias.double()).t()[None]
    # A causal convolution of one position more, whose output at t + 1 is centred at t.
    padded = nn.functional.pad(projected, (0, 1))
    gate_in, gate_out, value = short_conv_reference(padded, mixer.short.t(), None)[..., 1:].chunk(3, 1)
    filter_DK = mixer.filter(len(x_LD))
    y = long_conv_reference(value, filter_DK, direction="two_sided", gate_in_BDL=gate_in, gate_out_BDL=gate_out)
    return y[0].t() @ mixer.out.weight.double().t() + mixer.out.bias.double()


@pytest.mark.parametrize("length", [1, 2, 7, 31, 600])
def test_two_sided_equals_its_definition(length: int) -> None:
    mixer = two_sided().double()
    x = torch.randn(2, length, 4, dtype=torch.float64, requires_grad=True)
    y, expected = mixer(x), torch.stack([definition(mixer, row) for row in x])
    assert relative(y, expected) <= 1e-6  # the filter is fp32
    needed = [x, *mixer.parameters()]
    cotangent = torch.randn_like(y)
    for f, w in zip(torch.autograd.grad(y, needed, cotangent), torch.autograd.grad(expected, needed, cotangent)):
        assert (f - w).norm() <= 1e-5 * (1e-6 + w.norm())


@pytest.mark.parametrize("bounds", [[0, 9], [0, 1, 2, 12, 12, 40], [0, 20, 40], [0, 600, 610]], ids=str)
def test_packed_sequences_are_mixed_alone(bounds: list[int]) -> None:
    mixer, x = two_sided(), torch.randn(1, bounds[-1], 4)
    y = mixer(x, cu_seqlens=torch.tensor(bounds))
    alone = [mixer(x[:, start:end]) for start, end in pairwise(bounds) if start < end]
    assert relative(y, torch.cat(alone, 1)) <= 2e-6


@pytest.mark.parametrize("length", [12, 600])
def test_padding_is_not_heard(length: int) -> None:
    mixer, x = two_sided(), torch.randn(2, length, 4)
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, length - 5 :] = False
    y = mixer(x, mask)
    assert relative(y[1, : length - 5], mixer(x[1:, : length - 5])[0]) <= 2e-6
    assert relative(y[0], mixer(x[:1])[0]) <= 2e-6


def test_a_new_two_sided_mixer_passes_its_gated_values_on() -> None:
    mixer = TwoSidedHyena(3)
    filter_DK = mixer.filter(20)
    assert torch.equal(filter_DK[:, 19], torch.ones(3))
    assert filter_DK.abs().sum() == 3


MAKERS = [lambda: Hyena(8, max_length=40), lambda: Hyena(8, max_length=40, order=3), lambda: two_sided(8)]


@pytest.mark.parametrize("make", MAKERS, ids=["hyena", "order 3", "two-sided"])
def test_autocast_and_half_precision(make: Any) -> None:
    torch.manual_seed(0)
    mixer, x = make(), torch.randn(2, 33, 8)
    expected = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = mixer(x)
    assert y.dtype == torch.bfloat16
    assert relative(y, expected) <= 2e-2
    y.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in mixer.parameters())
    for dtype in (torch.bfloat16, torch.float16):
        assert mixer(x.to(dtype)).dtype == dtype
        assert relative(mixer(x.to(dtype)), expected) <= 2e-2
        cast = copy.deepcopy(mixer).to(dtype)  # filters stay in fp32
        assert cast(x.to(dtype)).dtype == dtype
        assert relative(cast(x.to(dtype)), expected) <= 3e-2


@pytest.mark.parametrize("make", MAKERS, ids=["hyena", "order 3", "two-sided"])
def test_any_stride(make: Any) -> None:
    mixer, x = make(), torch.randn(2, 33, 8)
    for strided in (
        x.transpose(1, 2).contiguous().transpose(1, 2),
        torch.stack([x, x], -1)[..., 0],
        x.transpose(0, 1).contiguous().transpose(0, 1),
    ):
        assert not strided.is_contiguous()
        assert relative(mixer(strided), mixer(x)) <= 1e-6
    one = x[:1, :1].expand(2, 33, 8)
    assert relative(mixer(one), mixer(one.contiguous())) <= 1e-6


@pytest.mark.parametrize("make", MAKERS, ids=["hyena", "order 3", "two-sided"])
def test_no_sequences(make: Any) -> None:
    mixer = make()
    y = mixer(torch.zeros(0, 5, 8))
    assert y.shape == (0, 5, 8)
    y.sum().backward()
    assert not any(p.grad.any() for p in mixer.parameters() if p.grad is not None)


def test_two_sided_compiles_as_one_graph() -> None:
    mixer, x = two_sided(), torch.randn(2, 37, 4, requires_grad=True)
    compiled = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    y, expected = compiled(x), mixer(x)
    assert relative(y, expected) <= 1e-6
    for f, w in zip(torch.autograd.grad(y.sum(), [x]), torch.autograd.grad(expected.sum(), [x])):
        assert relative(f, w) <= 1e-5


def test_steps_continue_a_prompt() -> None:
    mixer, x = Hyena(8, max_length=40, order=3), torch.randn(2, 20, 8)
    y, state = mixer.prefill(x[:, :13], steps=7)
    outputs = [y]
    for t in range(13, 20):
        y, state = mixer.step(x[:, t], state)
        outputs.append(y[:, None])
    assert relative(torch.cat(outputs, 1), mixer(x)) <= 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"order": 1}, "order is 1; it must be at least 2"),
        ({"max_length": 0}, "max_length is 0"),
        ({"filter_embedding": 4}, "filter_embedding is 4; it must be odd"),
        ({"decay_target": 1.0}, "decay_target between 0 and 1"),
        ({"short_filter": 0}, "short_filter is 0"),
    ],
)
def test_wrong_settings_of_the_published_operator_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hyena(**{"width": 4, "max_length": 8, **arguments})


def test_wrong_settings_of_the_two_sided_operator_are_named() -> None:
    with pytest.raises(ValueError, match="near_taps is -1"):
        TwoSidedHyena(4, near_taps=-1)
    with pytest.raises(ValueError, match="time_scales are"):
        TwoSidedHyena(4, time_scales=(30.0, 3.0))


@pytest.mark.parametrize("make", MAKERS, ids=["hyena", "order 3", "two-sided"])
def test_wrong_inputs_are_named(make: Any) -> None:
    mixer = make()
    for shape in ((2, 8), (2, 0, 8), (2, 5, 7)):
        with pytest.raises(ValueError, match=r"it must be \[batch, length, 8\]"):
            mixer(torch.zeros(shape))
    with pytest.raises(TypeError, match=r"x is torch\.int64"):
        mixer(torch.zeros(1, 5, 8, dtype=torch.int64))


def test_a_packed_batch_is_one_without_padding() -> None:
    mixer, bounds = two_sided(), torch.tensor([0, 5])
    with pytest.raises(ValueError, match="batch of 2"):
        mixer(torch.zeros(2, 5, 4), cu_seqlens=bounds)
    with pytest.raises(ValueError, match="not both"):
        mixer(torch.zeros(1, 5, 4), torch.ones(1, 5, dtype=torch.bool), bounds)
    with pytest.raises(ValueError, match="it must go from 0 to 5"):
        mixer(torch.zeros(1, 5, 4), cu_seqlens=torch.tensor([0, 9]))


def test_the_defaults_are_those_of_the_configuration() -> None:
    signature = inspect.signature(Hyena.__init__).parameters
    for name, field in HyenaConfig.model_fields.items():
        assert signature[name].default == field.default, name
    signature = inspect.signature(TwoSidedHyena.__init__).parameters
    fields = ReaderModelConfig.model_fields
    for name in ("near_taps", "implicit_filter", "filter_width", "filter_bands"):
        assert signature[name].default == fields[name].default, name
    assert signature["time_scales"].default == fields["passage_time_scales"].default
