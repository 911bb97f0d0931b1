"""A pair reader: an attention encoder that reads a question and one passage as one sequence (Devlin et al. 2019, 4.2).

It teaches readers: it is larger, and quadratic in the length of question and passage, which it reads together for every
pair. Its scores run over all passages of a context, as a reader's do, so that they can be distilled.

Legend: B contexts, Q question tokens, P passages, S slot tokens, N = B P pairs, T tokens of a pair, D width, H heads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config import PairModelConfig
from ragyena.model.flops import attention_flops
from ragyena.model.inputs import ContextShape, ReaderInput
from ragyena.model.layers import FeedForward, LayerNorm, merge_heads, split_heads
from ragyena.model.mixers.base import matrix_entries
from ragyena.model.reader_model import NEVER, SpanScores
from ragyena.ops.linear import Linear

__all__ = ["PairLayer", "PairReader", "PairStack", "Pairs", "relative_buckets"]

_ALIGNED = 16  # T is a multiple of it: fused attention wants its masks aligned
_FARTHEST = 128  # tokens; the relative position bias tells no distances beyond apart


@dataclass(frozen=True, slots=True)
class Pairs:
    """Questions and passages as sequences: begin, question, separators, passage; padding last."""

    ids: Tensor
    """[N, T] int64, of the reader's vocabulary."""
    mask: Tensor
    """[N, T] bool."""
    segment: Tensor
    """[N, T] int64: 0 in the question, 1 in the passage."""
    place: Tensor
    """[N, S] int64: the position in its pair of each token of a slot."""

    @classmethod
    def of(cls, inputs: ReaderInput, separators: int) -> Pairs:
        """The pairs of a batch of contexts; masks are True from the left on, as a reader's are."""
        batch, passages, slot = inputs.token_ids.shape
        question = inputs.question_ids.repeat_interleave(passages, 0)
        question_length = inputs.question_mask.sum(1).repeat_interleave(passages, 0)[:, None]
        passage_length = inputs.token_mask.sum(2).view(batch * passages, 1)
        begin = question_length + separators - 1
        length = -(-(question.shape[1] + separators - 1 + slot) // _ALIGNED) * _ALIGNED
        position = torch.arange(length, device=question.device)
        of_question = question.gather(1, position.clamp(max=question.shape[1] - 1).expand(len(question), -1))
        of_passage = inputs.token_ids.view(batch * passages, slot).gather(1, (position - begin).clamp(0, slot - 1))
        separator = question.gather(1, question_length - 1)  # a question ends with one
        of_rest = torch.where(position < begin, separator, of_passage)
        ids = torch.where(position < question_length, of_question, of_rest)
        place = begin + torch.arange(slot, device=question.device)
        return cls(ids, position < begin + passage_length, (position >= begin).long(), place)


def relative_buckets(length: int, buckets: int, device: torch.device) -> Tensor:
    """[T, T] int64: T5's bucket of each pair of positions (Raffel et al. 2020, 2.1): half of the buckets for either
    direction, of which half are exact distances and the others log-spaced."""
    position = torch.arange(length, device=device)
    behind = position[:, None] - position[None, :]  # how far the key stands before the query
    half = buckets // 2
    exact = half // 2
    distance = behind.abs()
    far = exact + ((distance.clamp(min=1).float() / exact).log() / math.log(_FARTHEST / exact) * (half - exact)).long()
    return (behind < 0) * half + torch.where(distance < exact, distance, far.clamp(max=half - 1))


class PairLayer(nn.Module):
    """Attention and feed-forward, each followed by a residual sum and a norm."""

    def __init__(self, config: PairModelConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.project = Linear(config.width, 3 * config.width, maps=3)  # query, key, value
        self.out = Linear(config.width, config.width)
        self.mixer_norm = LayerNorm(config.width, eps=config.norm_eps)
        self.ffn = FeedForward(config.width, config.ffn_width)
        self.ffn_norm = LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, x_NTD: Tensor, bias: Tensor) -> Tensor:
        """``bias``: [N, H or 1, T or 1, T], bool (False: unseen) or added to the scores."""
        rate = self.dropout if self.training else 0.0
        query, key, value = (split_heads(x, self.heads) for x in self.project(x_NTD).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=rate)
        mixed = self.out(merge_heads(mixed))
        x_NTD = self.mixer_norm(x_NTD + F.dropout(mixed, rate, self.training))
        return self.ffn_norm(x_NTD + F.dropout(self.ffn(x_NTD), rate, self.training))


class PairStack(nn.Module):
    """Layers that read pairs, in ``layers``, of a model of this width."""

    layers: nn.ModuleList

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def flops(self, shape: ContextShape) -> float:
        """FLOPs of the layers' forward pass, a token of the context: every pair is as long as question and slot."""
        length = shape.question + shape.slot
        each = sum(
            2.0 * matrix_entries(layer) + attention_flops(length, self.width, causal=False) for layer in self.layers
        )
        return each * length * shape.passages / shape.tokens

    def prepare_inference(self, dtype: torch.dtype) -> None:
        """Stores the weights of linear maps and norms in ``dtype``."""
        for module in self.modules():
            if isinstance(module, Linear | LayerNorm):
                module.to(dtype)

    def prepare_cpu(self) -> None:
        """Lays the matrices of the layers out for this CPU, once weights and dtype are what they will be."""
        for module in self.layers.modules():
            if isinstance(module, Linear):
                module.prepare_cpu()


class PairReader(PairStack):
    """A pair reader of the given architecture, randomly initialised. ``ragyena.model.warm_start`` starts it from an
    encoder, ``ragyena.model.checkpoint`` loads weights."""

    vocabulary: Tensor
    relative_bias: Tensor

    def __init__(self, config: PairModelConfig) -> None:
        super().__init__(config.width)
        self.config = config
        self.word = nn.Embedding(config.vocab_size, config.width)
        self.position = nn.Embedding(config.positions, config.width)
        self.segment = nn.Embedding(config.segments, config.width) if config.segments else None
        self.embedding_norm = LayerNorm(config.width, eps=config.norm_eps)
        self.layers = nn.ModuleList(PairLayer(config) for _ in range(config.depth))
        self.span = Linear(config.width, 2)
        self.null = Linear(config.width, 2)
        self.register_buffer("vocabulary", torch.arange(config.reader_vocab_size) % config.vocab_size)
        """[reader's word pieces] the encoder's word piece of each."""
        if config.relative_buckets:
            self.register_buffer("relative_bias", torch.zeros(config.relative_buckets, config.heads))
            """Bias of each distance and head. Not trained: attention is fused where its mask needs no gradient."""
        for head in (self.span, self.null):
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)

    @property
    def pair_layers(self) -> list[PairLayer]:
        """The layers, typed."""
        return cast("list[PairLayer]", list(self.layers))

    def longest(self) -> int:
        """The most tokens of a pair that positions reach, padding to a round length included."""
        return (self.config.positions - self.config.first_position) // _ALIGNED * _ALIGNED

    def span_scores(
        self, inputs: ReaderInput, *, dtype: torch.dtype, layers: list[nn.Module] | None = None
    ) -> SpanScores:
        """Scores of answer starts, ends and of no answer over all passages of each context, as
        ``ReaderModel.span_scores``. ``layers`` are compiled stand-ins.

        Raises ValueError where a question and a passage together are longer than ``longest``.
        """
        return self.read(inputs, dtype=dtype, layers=layers)[0]

    def read(
        self,
        inputs: ReaderInput,
        *,
        dtype: torch.dtype,
        layers: list[nn.Module] | None = None,
        states: bool = False,
    ) -> tuple[SpanScores, list[Tensor]]:
        """The scores of ``span_scores``, and where ``states`` are wanted those of the passages' tokens [B, P, S, D]: as
        embedded, then after each layer."""
        batch, passages, slot = inputs.token_ids.shape
        pairs, x_NTD, bias = self.embedded(inputs, dtype)
        place_NS1 = pairs.place.clamp(max=x_NTD.shape[1] - 1)[..., None]

        def of_passages(x: Tensor) -> Tensor:
            return x.gather(1, place_NS1.expand(-1, -1, x.shape[2])).view(batch, passages, slot, -1)

        kept = [of_passages(x_NTD)] if states else []
        for layer in layers or self.layers:
            x_NTD = layer(x_NTD, bias)
            if states:
                kept.append(of_passages(x_NTD))
        scores = of_passages(self.span(x_NTD).float()).masked_fill(~inputs.text_mask[..., None], NEVER)
        # The no-answer score is the average over the pairs of passages that are there.
        present = inputs.token_mask.any(2)[..., None].float()
        null = (self.null(x_NTD[:, 0]).float().view(batch, passages, 2) * present).sum(1)
        return SpanScores(scores[..., 0], scores[..., 1], null / present.sum(1).clamp(min=1)), kept

    def embedded(self, inputs: ReaderInput, dtype: torch.dtype) -> tuple[Pairs, Tensor, Tensor]:
        """The pairs of a batch, their tokens as the first layer takes them [N, T, D], and what every layer's attention
        adds to its scores. Raises ValueError as ``span_scores`` does."""
        pairs = Pairs.of(inputs, self.config.separators)
        return pairs, self._embed(pairs, dtype), self._bias(pairs.mask, dtype)

    def _embed(self, pairs: Pairs, dtype: torch.dtype) -> Tensor:
        length = pairs.ids.shape[1]
        if length > self.longest():
            raise ValueError(f"pairs of {length} tokens; the encoder's positions reach {self.longest()}")
        first = self.config.first_position
        x_NTD = self.word(self.vocabulary[pairs.ids]) + self.position.weight[first : first + length]
        if self.segment is not None:
            x_NTD = x_NTD + self.segment(pairs.segment)
        rate = self.config.dropout if self.training else 0.0
        return F.dropout(self.embedding_norm(x_NTD.to(dtype)), rate, self.training)

    def _bias(self, mask_NT: Tensor, dtype: torch.dtype) -> Tensor:
        seen = mask_NT[:, None, None, :]
        if not self.config.relative_buckets:
            return seen
        length = mask_NT.shape[1]
        bucket = relative_buckets(length, self.config.relative_buckets, mask_NT.device)
        bias_HTT = self.relative_bias[bucket].permute(2, 0, 1).to(dtype)
        unseen = torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, NEVER)
        # Attention wants keys, not heads, last in memory, and would move them in every layer.
        return bias_HTT.contiguous() + unseen
