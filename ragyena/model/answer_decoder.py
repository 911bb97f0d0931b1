"""The write head: a causal Hyena decoder over the answer, that copies from the context or takes from the vocabulary.

Legend: B contexts, T answer tokens, M memory tokens (the question's and all passages' states), D width, H heads,
E = D / H, V vocabulary.

``p(token) = (1 - copy) * vocabulary(token) + copy * sum of attention on the memory tokens that are this token``
(pointer-generator; See et al. 2017). The memory is read once a step, so a step is linear in the context; the
decoder's own state is constant (``ragyena.model.decode``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config import CausalModelConfig, ReaderModelConfig
from ragyena.model.inputs import ReaderInput
from ragyena.model.layers import FeedForward, LayerNorm, merge_heads, split_heads
from ragyena.model.mixers.causal_hyena import CausalHyena
from ragyena.ops.hyena import HyenaState
from ragyena.ops.linear import Linear

__all__ = ["AnswerDecoder", "DecoderStep", "Memory"]

_FFN_FACTOR = 2
_FLOOR = 1e-6  # of a target's probability, in the loss


@dataclass(frozen=True, slots=True)
class Memory:
    """Keys and values of the question and the passages, projected once for a whole answer."""

    keys: Sequence[Tensor]
    """Per layer [B, H, M, E]."""
    values: Sequence[Tensor]
    """Per layer [B, H, M, E]."""
    copy_keys: Tensor
    """[B, M, D]."""
    mask: Tensor
    """[B, M] bool."""
    ids: Tensor
    """[B, M] token ids."""

    @property
    def begin_ids(self) -> Tensor:
        """[B] the token an answer starts from: the question's own begin token."""
        return self.ids[:, 0]


@dataclass(frozen=True, slots=True)
class DecoderStep:
    """One step's distribution, in its two parts."""

    vocabulary: Tensor
    """[B, V] log probabilities."""
    copy: Tensor
    """[B, M] attention on the memory, summing to one."""
    gate: Tensor
    """[B] probability of copying."""


class _DecoderLayer(nn.Module):
    """Causal Hyena, attention to the memory, feed-forward; pre-norm."""

    def __init__(self, config: ReaderModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.hyena_norm = LayerNorm(width)
        self.hyena = CausalHyena(CausalModelConfig(width=width, max_length=config.max_answer_tokens))
        self.memory_norm = LayerNorm(width)
        self.query = Linear(width, width)
        self.key = Linear(width, width)
        self.value = Linear(width, width)
        self.out = Linear(width, width)
        self.ffn_norm = LayerNorm(width)
        self.ffn = FeedForward(width, _FFN_FACTOR * width)

    def project(self, memory_BMD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, M, E] of the memory."""
        return split_heads(self.key(memory_BMD), self.heads), split_heads(self.value(memory_BMD), self.heads)

    def finish(self, x_BTD: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Attention to the memory and the feed-forward, which follow the causal mixer."""
        query = split_heads(self.query(self.memory_norm(x_BTD)), self.heads)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        x_BTD = x_BTD + self.out(merge_heads(attended))
        return x_BTD + self.ffn(self.ffn_norm(x_BTD))


class AnswerDecoder(nn.Module):
    """Writes answers token by token. The word embeddings are the reader's, passed in."""

    def __init__(self, config: ReaderModelConfig) -> None:
        super().__init__()
        width = config.width
        self.max_answer_tokens = config.max_answer_tokens
        self.embedding_norm = LayerNorm(width)
        self.layers = nn.ModuleList(_DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = LayerNorm(width)
        self.to_words = Linear(width, width)
        self.copy_query = Linear(width, width)
        self.copy_key = Linear(width, width)
        self.copy_gate = Linear(width, 1)

    @property
    def _layers(self) -> list[_DecoderLayer]:
        return cast("list[_DecoderLayer]", list(self.layers))

    def memory(self, question: Tensor, passages: Tensor, inputs: ReaderInput) -> Memory:
        """question [B, Q, D], passages [B, P, S, D]: the encoder's final states."""
        states = torch.cat([question, passages.flatten(1, 2)], 1)
        projected = [layer.project(states) for layer in self._layers]
        return Memory(
            keys=[key for key, _ in projected],
            values=[value for _, value in projected],
            copy_keys=self.copy_key(states),
            mask=torch.cat([inputs.question_mask, inputs.token_mask.flatten(1)], 1),
            ids=torch.cat([inputs.question_ids, inputs.token_ids.flatten(1)], 1),
        )

    def hidden(self, previous_ids: Tensor, memory: Memory, word: Tensor) -> Tensor:
        """[B, T, D]: the states that predict each next token, given the tokens before it, the begin token first."""
        x = self.embedding_norm(F.embedding(previous_ids, word).to(memory.copy_keys.dtype))
        for layer, key, value in zip(self._layers, memory.keys, memory.values):
            x = layer.finish(x + layer.hyena(layer.hyena_norm(x)), key, value, memory.mask)
        return self.norm(x)

    def begin(self, batch: int, device: torch.device, dtype: torch.dtype) -> list[HyenaState]:
        """The state before the first token: constant in the context's length."""
        return [layer.hyena.empty_state(batch, device=device, dtype=dtype) for layer in self._layers]

    def step(
        self, previous_B: Tensor, states: list[HyenaState], memory: Memory, word: Tensor
    ) -> tuple[DecoderStep, list[HyenaState]]:
        """Advances by one token; the same function as ``hidden``, step by step."""
        x = self.embedding_norm(F.embedding(previous_B, word).to(memory.copy_keys.dtype))
        following = []
        for layer, state, key, value in zip(self._layers, states, memory.keys, memory.values):
            mixed, state = layer.hyena.step(layer.hyena_norm(x), state)
            following.append(state)
            x = layer.finish((x + mixed)[:, None], key, value, memory.mask)[:, 0]
        return self.distribution(self.norm(x)[:, None], memory, word), following

    def distribution(self, hidden_B1D: Tensor, memory: Memory, word: Tensor) -> DecoderStep:
        """The next token's distribution from the last hidden state."""
        # One row against the whole vocabulary, in the embeddings' type: casting them at each step would cost more.
        vocabulary = F.linear(self.to_words(hidden_B1D[:, 0]).to(word.dtype), word).float().log_softmax(-1)
        copy = self._copy_attention(hidden_B1D, memory)[:, 0]
        return DecoderStep(vocabulary, copy, self.copy_gate(hidden_B1D[:, 0]).float().sigmoid()[:, 0])

    def first_token(self, question: Tensor, passages: Tensor, inputs: ReaderInput, word: Tensor) -> Tensor:
        """[B, V] log probabilities of the first token of an answer."""
        memory = self.memory(question, passages, inputs)
        step = self.distribution(self.hidden(memory.begin_ids[:, None], memory, word), memory, word)
        copied = torch.zeros_like(step.vocabulary).scatter_add(1, memory.ids, step.copy)
        mixed = (1 - step.gate[:, None]) * step.vocabulary.exp() + step.gate[:, None] * copied
        return mixed.clamp(min=_FLOOR**2).log()

    def _copy_attention(self, hidden_BTD: Tensor, memory: Memory) -> Tensor:
        """[B, T, M] fp32."""
        scores = self.copy_query(hidden_BTD) @ memory.copy_keys.transpose(1, 2)
        scores = scores.float() * float(hidden_BTD.shape[-1] ** -0.5)
        return scores.masked_fill(~memory.mask[:, None], float("-inf")).softmax(-1)

    def loss(
        self,
        answer_ids: Tensor,
        answer_mask: Tensor,
        question: Tensor,
        passages: Tensor,
        inputs: ReaderInput,
        word: Tensor,
    ) -> Tensor:
        """Mean negative log probability of the answer tokens [B, T] under the mask; teacher forcing."""
        memory = self.memory(question, passages, inputs)
        previous = torch.cat([memory.begin_ids[:, None], answer_ids[:, :-1]], 1)
        hidden = self.hidden(previous, memory, word)
        attention = self._copy_attention(hidden, memory)
        copied = (attention * (memory.ids[:, None] == answer_ids[..., None])).sum(-1)
        gate = self.copy_gate(hidden).float().sigmoid()[..., 0]
        # Padding is scored too: choosing the tokens that count would have the host wait for the device at each step.
        words = F.linear(self.to_words(hidden), word.to(hidden.dtype)).float()
        written = (-F.cross_entropy(words.flatten(0, 1), answer_ids.flatten(), reduction="none")).exp()
        probability = ((1 - gate) * written.view_as(copied) + gate * copied).clamp(min=_FLOOR)
        return -(probability.log() * answer_mask).sum() / answer_mask.sum().clamp(min=1)
