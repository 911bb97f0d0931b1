"""The published causal Hyena language model: embeddings, pre-norm layers of mixer and feed-forward, tied output.

With attention as the mixer of all layers it is the Transformer baseline, of some a hybrid: ``config.mixers``.

Shape suffixes: B sequences, L positions, D width, V rows of the embedding (the vocabulary, padded).

Parameters carry the names of the released checkpoints: ``load_into(CausalLM(config), released_state, name)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config import CausalModelConfig
from ragyena.errors import UsageError
from ragyena.model.decode import LanguageModelState, sample
from ragyena.model.layers import LayerNorm
from ragyena.model.mixers import CAUSAL_MIXERS, check_mixers
from ragyena.model.mixers.base import matrix_entries
from ragyena.ops.cross_entropy import linear_cross_entropy
from ragyena.ops.hyena import DecodingState
from ragyena.ops.linear import Linear

__all__ = ["CausalLM"]

_INITIAL_STD = 0.02


class CausalLM(nn.Module):
    """A causal language model, randomly initialised as published.

    The residual stream is fp32. Other activations are in the parameters' type, or in the ``dtype`` that is given:
    training keeps fp32 parameters under bf16 activations.
    """

    def __init__(self, config: CausalModelConfig) -> None:
        super().__init__()
        check_mixers(config)
        self.config = config
        rows = -(-config.vocab_size // config.pad_vocab_multiple) * config.pad_vocab_multiple
        self.backbone = _Backbone(config, rows)
        self.lm_head = nn.Linear(config.width, rows, bias=False)
        self.apply(self._initialise)
        if config.tie_embeddings:
            self.lm_head.weight = self.backbone.embeddings.word_embeddings.weight

    def forward(self, ids_BL: Tensor) -> Tensor:
        """[B, L, V] logits of each next token."""
        return cast(Tensor, self.lm_head(self.states(ids_BL)))

    def states(
        self, ids_BL: Tensor, *, dtype: torch.dtype | None = None, layers: Sequence[nn.Module] | None = None
    ) -> Tensor:
        """[B, L, D] inputs of the output projection. ``layers`` are compiled stand-ins of the model's own."""
        dtype = dtype or self._dtype
        x_BLD = self._embedded(ids_BL)
        pending_BLD: Tensor | None = None
        shared: dict[str, Any] = {}
        for index, (layer, kind) in enumerate(zip(layers or self._layers(), self.config.layer_mixers, strict=True)):
            if kind not in shared:
                shared[kind] = self._layers()[index].mixer.shared(ids_BL.shape[1], ids_BL.device)
            x_BLD, pending_BLD = layer(x_BLD, pending_BLD, dtype, shared[kind])
        return self.backbone.ln_f(x_BLD if pending_BLD is None else x_BLD + pending_BLD).to(dtype)

    def loss(
        self,
        ids_BL: Tensor,
        *,
        targets_BL: Tensor | None = None,
        dtype: torch.dtype | None = None,
        layers: Sequence[nn.Module] | None = None,
        compiled: bool = False,
    ) -> Tensor:
        """Mean cross-entropy of each token given those before it, or of ``targets`` at the positions of ``ids``.

        Targets below zero do not count. The logits never stand in memory at once. ``compiled`` compiles their softmax.
        """
        if targets_BL is None:
            ids_BL, targets_BL = ids_BL[:, :-1], ids_BL[:, 1:]
        states_BLD = self.states(ids_BL, dtype=dtype, layers=layers)
        return linear_cross_entropy(
            states_BLD.flatten(0, 1), self.lm_head.weight, targets_BL.flatten(), compiled=compiled
        )

    def flops(self, length: int) -> float:
        """FLOPs of the forward pass over sequences of ``length``, a token."""
        layers = sum(layer.mixer.flops(length) + 2.0 * matrix_entries(layer.mlp) for layer in self._layers())
        return layers + 2.0 * self.lm_head.weight.numel()

    # -- decoding ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def prefill(self, ids_BL: Tensor, steps: int | None) -> tuple[Tensor, LanguageModelState]:
        """Reads a prompt: the logits [B, V] of the token after it, and a state with room for ``steps`` tokens.

        ``steps`` None makes room for any number, at the size of the filters' full length.
        """
        x_BLD = self._embedded(ids_BL)
        states: list[DecodingState] = []
        for layer in self._layers():
            mixed_BLD, state = layer.mixer.prefill(layer.norm1(x_BLD).to(self._dtype), steps)
            x_BLD = layer.feed(x_BLD + mixed_BLD, self._dtype)
            states.append(state)
        return self._logits(x_BLD[:, -1]), LanguageModelState(states)

    @torch.no_grad()
    def step(self, ids_B: Tensor, state: LanguageModelState) -> tuple[Tensor, LanguageModelState]:
        """Reads one more token of each sequence: the next one's logits [B, V], and ``state``, advanced in place."""
        x_BD = self._embedded(ids_B)
        states: list[DecodingState] = []
        for layer, layer_state in zip(self._layers(), state.layers, strict=True):
            mixed_BD, layer_state = layer.mixer.step(layer.norm1(x_BD).to(self._dtype), layer_state)
            x_BD = layer.feed(x_BD + mixed_BD, self._dtype)
            states.append(layer_state)
        return self._logits(x_BD), LanguageModelState(states)

    def generate(
        self, ids_BL: Tensor, *, max_new_tokens: int, temperature: float, seed: int, stop_id: int | None
    ) -> Tensor:
        """[B, at most max_new_tokens] ids that continue the prompts: the likeliest at temperature 0, else drawn.

        A sequence that has reached ``stop_id`` is padded with it; generation ends when all have.
        """
        generator = torch.Generator(ids_BL.device).manual_seed(seed)
        written: list[Tensor] = []
        if max_new_tokens < 1:
            return ids_BL[:, :0]
        logits_BV, state = self.prefill(ids_BL, max_new_tokens)
        stopped_B = torch.zeros(len(ids_BL), dtype=torch.bool, device=ids_BL.device)
        while True:
            ids_B = sample(logits_BV[:, : self.config.vocab_size], temperature=temperature, generator=generator)
            if stop_id is not None:
                ids_B = ids_B.masked_fill(stopped_B, stop_id)
                stopped_B = stopped_B | (ids_B == stop_id)
            written.append(ids_B)
            if len(written) == max_new_tokens or bool(stopped_B.all()):
                return torch.stack(written, dim=1)
            logits_BV, state = self.step(ids_B, state)

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def _dtype(self) -> torch.dtype:
        return self.backbone.ln_f.weight.dtype

    def _layers(self) -> list[_Layer]:
        return cast("list[_Layer]", list(self.backbone.layers))

    def _embedded(self, ids: Tensor) -> Tensor:
        if ids.numel() == 0:
            raise UsageError("there are no tokens to read", hint="give at least one")
        x: Tensor = self.backbone.embeddings.word_embeddings(ids)
        return x.to(torch.promote_types(x.dtype, torch.float32))

    def _logits(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.lm_head(self.backbone.ln_f(x).to(self._dtype)))

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=_INITIAL_STD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        # Each layer adds twice to the residual stream; its outputs start smaller by the root of their number.
        for child in (getattr(module, "out_proj", None), getattr(module, "fc2", None)):
            if isinstance(child, nn.Linear):
                nn.init.normal_(child.weight, std=_INITIAL_STD / math.sqrt(2 * self.config.depth))


class _Backbone(nn.Module):
    def __init__(self, config: CausalModelConfig, rows: int) -> None:
        super().__init__()
        self.embeddings = _Embeddings(rows, config.width)
        self.layers = nn.ModuleList(_Layer(config, index) for index in range(config.depth))
        self.ln_f = LayerNorm(config.width)


class _Embeddings(nn.Module):
    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(rows, width)


class _Layer(nn.Module):
    def __init__(self, config: CausalModelConfig, index: int) -> None:
        super().__init__()
        self.mixer = CAUSAL_MIXERS[config.layer_mixers[index]](config, index)
        self.norm1 = LayerNorm(config.width)
        self.mlp = _FeedForward(config.width, config.ffn_width)
        self.norm2 = LayerNorm(config.width)

    def forward(
        self, x_BLD: Tensor, pending_BLD: Tensor | None, dtype: torch.dtype, shared: Any = None
    ) -> tuple[Tensor, Tensor]:
        """The residual stream [B, L, D], and a term of it that the next layer adds, in the pass of its norm."""
        if pending_BLD is not None:
            x_BLD = x_BLD + pending_BLD
        x_BLD = x_BLD + self.mixer(self.norm1(x_BLD).to(dtype), shared)
        return x_BLD, self._fed(x_BLD, dtype)

    def feed(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return x + self._fed(x, dtype)

    def _fed(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return cast(Tensor, self.mlp(self.norm2(x).to(dtype)))


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
