"""Import of published checkpoints: outputs against numbers of the published implementation, names, and refusals.

``published_order_3.npz`` holds an operator's weights, and input and fp64 output of 64 positions, by the unmodified code
of https://github.com/HazyResearch/safari at 02220c6 (Apache-2.0).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dumps import Dump
from numeric import relative
from torch import Tensor

from ragyena.errors import CheckpointError
from ragyena.ops import Hyena, import_hyena

END_TO_END = 1e-4  # the published code's own fp32 error is 1e-5 to 2e-5, all of it in the filter's sines


def saved(order: int = 2, *, prefix: str = "", filter_depth: int = 2, short_filter: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(0)
    mixer = Hyena(
        6, max_length=20, order=order, filter_width=5, filter_depth=filter_depth, filter_embedding=7,
        short_filter=short_filter, decay_shift=0.05,
    )  # fmt: skip
    return {prefix + name: tensor for name, tensor in mixer.state_dict().items()}


def test_the_published_output_at_order_3() -> None:
    dump = Dump("published_order_3", Path(__file__).parent)
    mixer = import_hyena(dump.group("sd."), decay_shift=0.0)[""]
    assert (mixer.width, mixer.max_length, mixer.order) == (32, 192, 3)
    x = dump["x"]
    assert relative(mixer(x), dump["y64"]) <= END_TO_END
    assert relative(mixer.double()(x.double()), dump["y64"]) <= 1e-12


@pytest.mark.parametrize("name", ["op_pile_o2", "op_o2_short", "op_o3"])
def test_the_published_dumps(name: str) -> None:
    dump = Dump(name)
    mixer = import_hyena(dump.group("sd."), decay_shift=0.0)[""]
    assert (mixer.width, mixer.order) == (dump.config["d_model"], dump.config["order"])
    assert relative(mixer(dump["x"]), dump["y"]) <= END_TO_END
    assert relative(mixer.double()(dump["x"].double()), dump["y64"]) <= 1e-12


def test_a_published_language_model_has_an_operator_a_layer() -> None:
    dump = Dump("lm_small")
    mixers = import_hyena(dump.group("sd."), decay_shift=0.0)
    assert list(mixers) == ["backbone.layers.0.mixer", "backbone.layers.1.mixer"]
    assert all(mixer.width == 64 and mixer.max_length == 128 for mixer in mixers.values())


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("filter_depth", [0, 1, 3])
@pytest.mark.parametrize("prefix", ["", "hyena.backbone.layers.3.mixer.", "model.backbone.layers.0.mixer.layer."])
def test_sizes_follow_from_the_tensors(order: int, filter_depth: int, prefix: str) -> None:
    state = saved(order, prefix=prefix, filter_depth=filter_depth, short_filter=4)
    others = {"lm_head.weight": torch.zeros(3, 6), "backbone.norm.weight": torch.zeros(6)} if prefix else {}
    ((name, mixer),) = import_hyena({**state, **others}, decay_shift=0.05).items()
    assert name == prefix.removesuffix(".")
    assert mixer.short_filter.kernel_size == (4,)
    assert mixer.state_dict().keys() == {key.removeprefix(prefix) for key in state}
    assert all(torch.equal(tensor, state[prefix + key]) for key, tensor in mixer.state_dict().items())


def test_the_shift_of_the_window_counts() -> None:
    with_shift, without = (import_hyena(saved(), decay_shift=shift)[""] for shift in (0.05, 0.0))
    late = [mixer.filter_fn(20)[0, :, -1].abs().sum() for mixer in (with_shift, without)]
    assert late[0] > 2 * late[1]
    flat = import_hyena(saved(), decay_shift=0.0, modulate=False)[""]
    assert flat.filter_fn(20)[0, :, -1].abs().sum() > late[0]


def test_a_frequency_saved_once_or_not_at_all() -> None:
    state = saved()
    once = {key: tensor for key, tensor in state.items() if key not in ("filter_fn.implicit_filter.3.freq",
                                                                       "filter_fn.implicit_filter.5.freq")}  # fmt: skip
    x = torch.randn(1, 20, 6)
    expected = import_hyena(state, decay_shift=0.05)[""](x)
    assert torch.equal(import_hyena(once, decay_shift=0.05)[""](x), expected)
    never = {key: tensor for key, tensor in state.items() if not key.endswith(".freq")}
    assert torch.equal(import_hyena(never, decay_shift=0.05, sine_frequency=14.0)[""](x), expected)
    with pytest.raises(CheckpointError, match="give sine_frequency"):
        import_hyena(never, decay_shift=0.05)


def test_half_precision_checkpoints_become_fp32() -> None:
    mixer = import_hyena({key: tensor.half() for key, tensor in saved().items()}, decay_shift=0.05)[""]
    assert {parameter.dtype for parameter in mixer.parameters()} == {torch.float32}


def test_other_operators_are_refused_by_name() -> None:
    state = saved(prefix="mixer.")
    with pytest.raises(CheckpointError, match="has no Hyena operator: none of its 1 tensors"):
        import_hyena({"state_dict.weight": torch.zeros(1)}, decay_shift=0.0)
    with pytest.raises(CheckpointError, match=r"mixer has tensors unexpected: ord_proj_w"):
        import_hyena({**state, "mixer.ord_proj_w": torch.zeros(2, 2)}, decay_shift=0.0)
    with pytest.raises(CheckpointError, match=r"of another shape: filter_fn.bias \[3\] instead of \[6\]"):
        import_hyena({**state, "mixer.filter_fn.bias": torch.zeros(3)}, decay_shift=0.0)
    with pytest.raises(CheckpointError, match="several frequencies"):
        import_hyena({**state, "mixer.filter_fn.implicit_filter.3.freq": torch.zeros(1, 5)}, decay_shift=0.0)
    with pytest.raises(CheckpointError, match="not finite"):
        import_hyena({**state, "mixer.filter_fn.bias": torch.full((6,), float("nan"))}, decay_shift=0.0)
    with pytest.raises(CheckpointError, match="order 1"):
        import_hyena({**state, "mixer.in_proj.weight": torch.zeros(12, 6)}, decay_shift=0.0)
    for key in state:
        if not key.endswith((".freq", "pos_emb.z")):
            with pytest.raises(CheckpointError, match=r"lacks|missing|no operator|of another shape|unexpected"):
                import_hyena({name: state[name] for name in state if name != key}, decay_shift=0.0)
