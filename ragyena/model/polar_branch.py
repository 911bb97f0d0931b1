"""Layers that answer yes or no in the place of the last ones of a pair reader, whose first layers they share.

The pair reader itself stays as it is, and with it the spans that it finds. A passage that decides nothing can say so,
so that what several passages say can be weighed.

Legend: B contexts, P passages, N = B P pairs, T tokens of a pair, D width.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from ragyena.config import PairModelConfig, PolarModelConfig
from ragyena.model.inputs import ReaderInput
from ragyena.model.pair_reader import PairLayer, PairReader, PairStack
from ragyena.ops.linear import Linear

__all__ = ["NO", "UNDECIDED", "YES", "PolarBranch"]

YES, NO, UNDECIDED = range(3)
"""Numbers, in the scores, of what a passage says to a yes/no question."""


class PolarBranch(PairStack):
    """The layers, randomly initialised. ``start_from`` starts them from the pair reader, ``ragyena.model.checkpoint``
    loads weights."""

    def __init__(self, config: PolarModelConfig) -> None:
        super().__init__(config.width)
        self.config = config
        self.layers = nn.ModuleList(PairLayer(_pair_config(config)) for _ in range(config.layers))
        self.head = Linear(config.width, 3)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def start_from(self, trunk: PairReader) -> None:
        """Take the weights of the trunk's last layers. Raises ValueError where ``misfit`` finds fault."""
        if (reason := self.misfit(trunk)) is not None:
            raise ValueError(reason)
        last = trunk.pair_layers[len(trunk.pair_layers) - self.config.layers :]
        self.layers = nn.ModuleList(copy.deepcopy(layer) for layer in last)
        for layer in cast("list[PairLayer]", list(self.layers)):
            layer.dropout = self.config.dropout

    def misfit(self, trunk: PairReader) -> str | None:
        """The reason that the layers cannot stand in the place of the trunk's last ones; None where they can."""
        mine, theirs = self.config, trunk.config
        for name in ("width", "heads", "ffn_width", "norm_eps"):
            if getattr(mine, name) != getattr(theirs, name):
                return f"{name} is {getattr(mine, name)}, that of the pair reader {getattr(theirs, name)}"
        if mine.layers > theirs.depth:
            return f"there are {mine.layers} layers, of the pair reader {theirs.depth}"
        return None

    def scores(
        self,
        trunk: PairReader,
        inputs: ReaderInput,
        *,
        dtype: torch.dtype,
        layers: list[nn.Module] | None = None,
        trunk_layers: list[nn.Module] | None = None,
    ) -> Tensor:
        """[B, P, 3] fp32 scores of ``YES``, ``NO`` and ``UNDECIDED`` of each passage, before a softmax. The trunk gets
        no gradient. ``layers`` and ``trunk_layers`` are compiled stand-ins of all layers of both.

        Raises ValueError where a question and a passage together are longer than the trunk reads.
        """
        batch, passages, _ = inputs.token_ids.shape
        shared = list(trunk_layers or trunk.layers)[: trunk.config.depth - self.config.layers]
        with torch.no_grad():
            _, x_NTD, bias = trunk.embedded(inputs, dtype)
            for layer in shared:
                x_NTD = layer(x_NTD, bias)
        for layer in layers or self.layers:
            x_NTD = layer(x_NTD, bias)
        return self.head(x_NTD[:, 0]).float().view(batch, passages, 3)


def _pair_config(config: PolarModelConfig) -> PairModelConfig:
    """The settings of a pair reader's layers of the same shape."""
    shape = {name: getattr(config, name) for name in ("width", "heads", "ffn_width", "norm_eps", "dropout")}
    return PairModelConfig(**shape)
