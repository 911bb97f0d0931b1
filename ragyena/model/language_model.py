"""The published causal Hyena language model: embeddings, pre-norm layers of Hyena and feed-forward, tied output.

Shape suffixes: B sequences, L positions, D width, V rows of the embedding (the vocabulary, padded).

Parameters carry the names of the released checkpoints: ``load_into(CausalLM(config), released_state, name)``.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config import CausalModelConfig
from ragyena.errors import UsageError
from ragyena.model.decode import LanguageModelState, sample
from ragyena.model.hyena_operator import CausalHyena
from ragyena.model.layers import LayerNorm, Linear

__all__ = ["CausalLM"]

_INITIAL_STD = 0.02


class CausalLM(nn.Module):
    """A language model on Hyena operators, randomly initialised as published. The residual stream is fp32."""

    def __init__(self, config: CausalModelConfig) -> None:
        super().__init__()
        self.config = config
        rows = -(-config.vocab_size // config.pad_vocab_multiple) * config.pad_vocab_multiple
        self.backbone = _Backbone(config, rows)
        self.lm_head = nn.Linear(config.width, rows, bias=False)
        self.apply(self._initialise)
        if config.tie_embeddings:
            self.lm_head.weight = self.backbone.embeddings.word_embeddings.weight

    def forward(self, ids_BL: Tensor) -> Tensor:
        """[B, L, V] logits of each next token."""
        x_BLD = self._embedded(ids_BL)
        for layer in self._layers():
            x_BLD = layer.feed(x_BLD + layer.mixer(layer.norm1(x_BLD).to(self._dtype)))
        return self._logits(x_BLD)

    def loss(self, ids_BL: Tensor) -> Tensor:
        """Mean cross-entropy of each token given those before it."""
        logits_BLV = self(ids_BL[:, :-1]).float()
        return F.cross_entropy(logits_BLV.flatten(0, 1), ids_BL[:, 1:].flatten())

    # -- decoding ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def prefill(self, ids_BL: Tensor, steps: int | None) -> tuple[Tensor, LanguageModelState]:
        """Reads a prompt: the logits [B, V] of the token after it, and a state with room for ``steps`` tokens.

        ``steps`` None makes room for any number, at the size of the filters' full length.
        """
        x_BLD, states = self._embedded(ids_BL), []
        for layer in self._layers():
            mixed_BLD, state = layer.mixer.prefill(layer.norm1(x_BLD).to(self._dtype), steps)
            x_BLD = layer.feed(x_BLD + mixed_BLD)
            states.append(state)
        return self._logits(x_BLD[:, -1]), LanguageModelState(states)

    @torch.no_grad()
    def step(self, ids_B: Tensor, state: LanguageModelState) -> tuple[Tensor, LanguageModelState]:
        """Reads one more token of each sequence: the next one's logits [B, V], and ``state``, advanced in place."""
        x_BD, states = self._embedded(ids_B), []
        for layer, layer_state in zip(self._layers(), state.layers, strict=True):
            mixed_BD, layer_state = layer.mixer.step(layer.norm1(x_BD).to(self._dtype), layer_state)
            x_BD = layer.feed(x_BD + mixed_BD)
            states.append(layer_state)
        return self._logits(x_BD), LanguageModelState(states)

    def generate(
        self, ids_BL: Tensor, *, max_new_tokens: int, temperature: float, seed: int, stop_id: int | None
    ) -> Tensor:
        """[B, at most max_new_tokens] ids that go on from the prompts: the likeliest at temperature 0, else drawn.

        A sequence that has come to ``stop_id`` is filled up with it; all that have end the generation.
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
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.depth))
        self.ln_f = LayerNorm(config.width)


class _Embeddings(nn.Module):
    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(rows, width)


class _Layer(nn.Module):
    def __init__(self, config: CausalModelConfig) -> None:
        super().__init__()
        self.mixer = CausalHyena(config.width, max_length=config.max_length, operator=config)
        self.norm1 = LayerNorm(config.width)
        self.mlp = _FeedForward(config.width, config.ffn_width)
        self.norm2 = LayerNorm(config.width)

    def feed(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.mlp(self.norm2(x).to(self.norm2.weight.dtype)))


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
