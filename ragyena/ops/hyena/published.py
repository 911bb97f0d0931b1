"""Import of published checkpoints: the Hyena operators of safari and HyenaDNA, by the names of their parameters.

A checkpoint is a mapping of names to tensors, however it was read. The operators' sizes follow from the tensors'
shapes; settings that leave no trace in them are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ragyena.errors import CheckpointError
from ragyena.ops.hyena.causal import Hyena

__all__ = ["import_hyena"]

_MARK = "filter_fn.pos_emb.z"
_NETWORK = "filter_fn.implicit_filter."
_ELSEWHERE = "this operator has one head, one block, and a sine network of one frequency vector as its filter"


def import_hyena(
    state: Mapping[str, Tensor],
    *,
    decay_shift: float,
    modulate: bool = True,
    sine_frequency: float | None = None,
) -> dict[str, Hyena]:
    """Every Hyena operator of a published checkpoint, by the name of its module.

    Args:
        state: names and tensors, of one operator or of a whole model: names may have any prefix, as in
            ``backbone.layers.0.mixer.in_proj.weight``. Tensors of other modules do not matter.
        decay_shift: ``shift`` of the exponential window: 0.0 in safari's language models unless their configuration
            says otherwise, 0.05 in HyenaDNA.
        modulate: the window is used.
        sine_frequency: ``w`` of the filter network, for checkpoints without it: those whose frequency was not trained.

    Returns: operators in fp32, in the order of the checkpoint. That of a state without a prefix is named ``""``.

    Raises:
        CheckpointError: there is no operator, tensors are missing or of other shapes, or the operator is one of the
            variants that are not supported: several heads or blocks, a dense layer between convolutions, filters that
            are not a sine network.

    Example:
        >>> from ragyena.ops import Hyena, import_hyena
        >>> saved = {f"backbone.layers.0.mixer.{name}": t for name, t in Hyena(8, max_length=32).state_dict().items()}
        >>> [(name, mixer.width, mixer.max_length) for name, mixer in import_hyena(saved, decay_shift=0.0).items()]
        [('backbone.layers.0.mixer', 8, 32)]
    """
    prefixes = [name.removesuffix(_MARK) for name in state if name == _MARK or name.endswith("." + _MARK)]
    if not prefixes:
        raise CheckpointError(
            f"the checkpoint has no Hyena operator: none of its {len(state)} tensors is named ...{_MARK}",
            hint="give the state dict itself, not the file around it, of a model with Hyena layers",
        )
    return {
        prefix.removesuffix("."): _operator(
            prefix.removesuffix(".") or "the operator",
            {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)},
            decay_shift=decay_shift,
            modulate=modulate,
            sine_frequency=sine_frequency,
        )
        for prefix in prefixes
    }


def _operator(
    name: str, state: Mapping[str, Tensor], *, decay_shift: float, modulate: bool, sine_frequency: float | None
) -> Hyena:
    def shape(key: str, dimensions: int) -> torch.Size:
        if key not in state:
            raise CheckpointError(f"{name} lacks the tensor {key}", hint=_ELSEWHERE)
        if state[key].ndim != dimensions:
            raise CheckpointError(f"{name}.{key} is {list(state[key].shape)}: {dimensions} dimensions are expected",
                                  hint=_ELSEWHERE)  # fmt: skip
        return state[key].shape

    width = shape("out_proj.weight", 2)[0]
    order = shape("in_proj.weight", 2)[0] // width - 1
    _, max_length, embedding = shape(_MARK, 3)
    hidden = shape(_NETWORK + "0.weight", 2)[0]
    weights = [key for key in state if key.startswith(_NETWORK) and key.endswith(".weight")]
    frequencies = [key for key in state if key.startswith(_NETWORK) and key.endswith(".freq")]
    if order < 2 or embedding < 3 or embedding % 2 == 0 or len(weights) < 2:
        raise CheckpointError(
            f"{name} is no operator of this kind: order {order}, {embedding} position features, {len(weights)} layers",
            hint=_ELSEWHERE,
        )
    if not frequencies and sine_frequency is None:
        raise CheckpointError(
            f"{name} has no frequency of the filter network's sines", hint="give sine_frequency, w of its configuration"
        )
    if any(not torch.equal(state[key], state[frequencies[0]]) for key in frequencies[1:]):
        raise CheckpointError(f"{name} has sines of several frequencies", hint=_ELSEWHERE)
    mixer = Hyena(
        width,
        max_length=max_length,
        order=order,
        short_filter=shape("short_filter.weight", 3)[2],
        filter_width=hidden,
        filter_depth=len(weights) - 2,
        filter_embedding=embedding,
        sine_frequency=1.0 if sine_frequency is None else sine_frequency,
        modulate=modulate,
        decay_shift=decay_shift,
    )
    own = mixer.state_dict()
    # All sines share one frequency: a file may hold it once, or not at all where it was not trained.
    frequency = state[frequencies[0]] if frequencies else own[_NETWORK + "1.freq"]
    given = {**{key: frequency for key in own if key.endswith(".freq")}, **state}
    missing = [key for key in own if key not in given]
    unexpected = [key for key in given if key not in own]
    shaped = [f"{key} {list(given[key].shape)} instead of {list(own[key].shape)}"
              for key in own if key in given and given[key].shape != own[key].shape]  # fmt: skip
    for problem, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shaped)):
        if names:
            raise CheckpointError(f"{name} has tensors {problem}: {', '.join(names)}", hint=_ELSEWHERE)
    for key in own:
        if not given[key].is_floating_point() or not bool(torch.isfinite(given[key].sum())):
            raise CheckpointError(
                f"{name}.{key} holds values that are not finite numbers", hint="the checkpoint is damaged: get it anew"
            )
    mixer.load_state_dict({key: given[key] for key in own})
    return mixer
