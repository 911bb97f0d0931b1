"""The range of what enters each linear map of a reader's layers, which int8 arithmetic needs.

It is measured while a reader reads (``RangeMeter``), and stands beside the weights in ``ranges.json``. The projections
after a mixer stay in floating point: gates multiply what enters them, which leaves few levels for most of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import FiniteFloat
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ragyena.config import parse
from ragyena.config.strict import Strict
from ragyena.errors import CheckpointError, ConfigError
from ragyena.model.beside_weights import write_beside_weights
from ragyena.model.checkpoint import weights_digest
from ragyena.model.mixers.hyena import HyenaMixer
from ragyena.model.reader_model import ReaderModel
from ragyena.ops.int8_linear import Levels
from ragyena.ops.linear import Linear
from ragyena.parsing import MalformedError, read_json

__all__ = ["RANGES_FILE", "InputRanges", "RangeMeter", "load_ranges", "prepare_int8", "save_ranges"]

log = logging.getLogger(__name__)

RANGES_FILE = "ranges.json"
_MARGIN = 1.05  # other texts reach a little further
_LARGEST_FILE = 1_000_000
_TOKENS = 262_144  # after which a meter measures no more
_HINT = "measure them again: delete the file, then ragyena train calibrate"

Hook: TypeAlias = Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]


class InputRanges(Strict):
    """Least and largest value that entered each map."""

    format: Literal[1] = 1
    inputs: dict[str, tuple[FiniteFloat, FiniteFloat]]
    """By the map's name in the model."""


class RangeMeter:
    """Measures ranges while a reader in floating point reads, of its first tokens: ``with RangeMeter(model) as meter``.

    Norms precede all these maps but the second of a feed-forward, whose inputs are computed once more."""

    def __init__(self, model: ReaderModel) -> None:
        self._model = model
        self._ranges: dict[str, tuple[float, float]] = {}
        self._left = _TOKENS * len(model.reader_layers)
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> RangeMeter:
        norm = self._model.embedding_norm
        for index, layer in enumerate(self._model.reader_layers):
            if isinstance(layer.mixer, HyenaMixer):
                maps = [f"layers.{index}.mixer.{name}" for name in ("project", "query")]
                self._hooks.append(norm.register_forward_hook(self._of_states(maps)))
            self._hooks.append(layer.mixer_norm.register_forward_hook(self._of_feed_forward(index)))
            norm = layer.ffn_norm
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    @property
    def ranges(self) -> InputRanges | None:
        """The ranges measured so far; None where no rows were read."""
        return InputRanges(inputs=self._ranges) if self._ranges else None

    def _of_states(self, maps: list[str]) -> Hook:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], states: Tensor) -> None:
            if self._left > 0 and states.dim() == 2:
                for name in maps:
                    self._widen(name, states)

        return hook

    def _of_feed_forward(self, index: int) -> Hook:
        ffn = self._model.reader_layers[index].ffn

        def hook(module: nn.Module, inputs: tuple[Tensor, ...], states: Tensor) -> None:
            if self._left > 0 and states.dim() == 2:
                self._widen(f"layers.{index}.ffn.expand", states)
                self._widen(f"layers.{index}.ffn.contract", ffn.expand.gelu(states))
                self._left -= states.numel() // states.shape[-1]

        return hook

    def _widen(self, name: str, x: Tensor) -> None:
        low, high = (value.item() for value in x.float().aminmax())
        before = self._ranges.get(name, (low, high))
        self._ranges[name] = (min(low, before[0]), max(high, before[1]))


def prepare_int8(model: ReaderModel, ranges: InputRanges) -> None:
    """Let the maps that ``ranges`` names multiply in int8. The model's weights are in fp32. Raises CheckpointError for
    a map that it has not."""
    levels = {name: Levels.over(_MARGIN * low, _MARGIN * high) for name, (low, high) in ranges.inputs.items()}
    maps = dict(model.named_modules())
    for name, inputs in levels.items():
        linear = maps.get(name)
        if not isinstance(linear, Linear):
            raise CheckpointError(f"{RANGES_FILE} names '{name}', which the model has not", hint=_HINT)
        follows = name.replace(".ffn.expand", ".ffn.contract")
        linear.prepare_int8(inputs, levels.get(follows) if follows != name else None)


def load_ranges(folder: Path) -> InputRanges | None:
    """The ranges in a checkpoint's folder; None where it has none of the weights beside them. Raises CheckpointError
    where the file is damaged."""
    path = folder / RANGES_FILE
    try:
        values = read_json(path, _LARGEST_FILE)
    except FileNotFoundError:
        return None
    except (OSError, MalformedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} cannot be read: {reason}", hint=_HINT) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is not a JSON object", hint=_HINT)
    if values.pop("weights_sha256", None) != weights_digest(folder):
        log.warning("%s was measured on other weights than those beside it, and is not used", path)
        return None
    try:
        return parse(InputRanges, values, source=str(path))
    except ConfigError as error:
        raise CheckpointError(error.message, hint=_HINT) from error


def save_ranges(folder: Path, ranges: InputRanges) -> Path:
    """Write the ranges of a checkpoint into its folder; the file is whole or not there. Raises StorageError."""
    return write_beside_weights(folder / RANGES_FILE, ranges.model_dump(mode="json"))
