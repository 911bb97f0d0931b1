"""Softmax attention as the mixer of a reader's layer: the attention baseline and the FiD baseline.

Legend: B contexts, Q question tokens, P passages, S tokens of a padded passage (a slot), R rows that are attended in
one piece (B, or B P), L queries of a row, K keys of a row, D width, J channel pairs of a head.
"""

from __future__ import annotations

import contextlib
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ragyena.config import ReaderModelConfig
from ragyena.model.flops import attention_flops
from ragyena.model.inputs import ContextShape
from ragyena.model.layers import merge_heads, split_heads
from ragyena.model.mixers.base import ReaderMixer, Selected, matrix_entries
from ragyena.ops.linear import Linear

__all__ = ["AttentionMixer", "LocalAttentionMixer"]

_SLOWEST_TURN = 4.0  # the slowest pair of channels turns by 10^-4 a passage, the fastest by 1
# Backends of a long row without a mask on a GPU, the fastest first.
_UNMASKED = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


class AttentionMixer(ReaderMixer):
    """Attention of every passage token to the question and to all passages: the attention baseline, quadratic in the
    context.

    Positions count from the start of each slot, so passages are told apart by rotation: queries and keys of passage s
    turn by angles proportional to s (RoFormer's, Su et al. 2021, on passages instead of tokens), and an attention
    weight depends on how many passages apart the two are. A single passage is not turned, so that an encoder's weights
    read it as they did.
    """

    across_passages: ClassVar[bool] = True

    def __init__(self, config: ReaderModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.heads = config.heads
        self.project = Linear(config.width, 3 * config.width, maps=3)  # query, key, value
        self.out = Linear(config.width, config.width)

    def flops(self, shape: ContextShape) -> float:
        length = shape.tokens if self.across_passages else shape.question + shape.slot
        # Across several passages there are two products of queries and keys: as they are, and turned.
        products = 1.5 if self.across_passages and shape.passages > 1 else 1.0
        width = self.out.in_features
        return 2.0 * matrix_entries(self) + products * attention_flops(length, width, causal=False)

    def forward(
        self,
        question_BQD: Tensor,
        passages_BPSD: Tensor,
        question_mask_BQ: Tensor,
        token_mask_BPS: Tensor,
        selected: Selected | None = None,
    ) -> tuple[Tensor, Tensor]:
        batch, passages, _, width = passages_BPSD.shape
        query_q, key_q, value_q = self.project(question_BQD).chunk(3, -1)
        rows = batch if self.across_passages else batch * passages
        updated_q = self.out(self._attend(query_q, key_q, value_q, question_mask_BQ))
        query, key, value = self.project(passages_BPSD.reshape(rows, -1, width)).chunk(3, -1)

        def with_question(of_question: Tensor, of_passages: Tensor) -> Tensor:
            return torch.cat([of_question.repeat_interleave(rows // batch, 0), of_passages], 1)

        mask_RK = with_question(question_mask_BQ, token_mask_BPS.reshape(rows, -1))
        if self.across_passages and passages > 1:
            # The question belongs to no passage: all attend to it alike, through channels that do not turn.
            query = self._joined(query, self._turned(query, passages))
            key_q = self._joined(key_q, torch.zeros_like(key_q))
            key = self._joined(torch.zeros_like(key), self._turned(key, passages))
        keys, values = with_question(key_q, key), with_question(value_q, value)
        if rows == 1 and _shapes_may_depend_on_masks():
            attended = self._attend_unpadded(query, keys, values, mask_RK, token_mask_BPS.reshape(1, -1))
        else:
            attended = self._attend(query, keys, values, mask_RK)
        return updated_q, self.out(attended).view_as(passages_BPSD)

    def _attend_unpadded(
        self, query_1LD: Tensor, key_1KD: Tensor, value_1KD: Tensor, key_mask_1K: Tensor, query_mask_1L: Tensor
    ) -> Tensor:
        """One long row without its padding, which then needs no mask: the fastest backends take none. Padding's own
        results are zeros."""
        kept_K, kept_L = (mask[0].nonzero()[:, 0] for mask in (key_mask_1K, query_mask_1L))
        attended_1LD = value_1KD.new_zeros(1, query_1LD.shape[1], value_1KD.shape[2])
        with sdpa_kernel(_UNMASKED, set_priority=True) if query_1LD.is_cuda else contextlib.nullcontext():
            attended = self._attend(query_1LD[:, kept_L], key_1KD[:, kept_K], value_1KD[:, kept_K], None)
        attended_1LD[:, kept_L] = attended
        return attended_1LD

    def _joined(self, one_RLD: Tensor, other_RLD: Tensor) -> Tensor:
        """Each head's channels of the one, then of the other: heads twice as wide."""
        halves = [x.view(*x.shape[:2], self.heads, -1) for x in (one_RLD, other_RLD)]
        return torch.cat(halves, -1).flatten(2)

    def _turned(self, x_RLD: Tensor, passages: int) -> Tensor:
        """Queries or keys with each head's channel pairs rotated by their passage's angles; the first by none."""
        batch, length, width = x_RLD.shape
        pairs = width // self.heads // 2
        angle_J = torch.logspace(0.0, -_SLOWEST_TURN, pairs, device=x_RLD.device)
        angle_PJ = torch.arange(passages, device=x_RLD.device)[:, None] * angle_J
        cos, sin = (wave[:, None, None].to(x_RLD.dtype) for wave in (angle_PJ.cos(), angle_PJ.sin()))
        x = x_RLD.view(batch, passages, length // passages, self.heads, 2, pairs)
        first, second = x[..., 0, :], x[..., 1, :]
        turned = torch.stack([first * cos - second * sin, first * sin + second * cos], -2)
        return turned.view(batch, length, width)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, key_mask_RK: Tensor | None) -> Tensor:
        scale = (value.shape[-1] / self.heads) ** -0.5
        query, key, value = (split_heads(x, self.heads) for x in (query, key, value))
        mask = None if key_mask_RK is None else key_mask_RK[:, None, None, :]
        each = value.shape[-1]
        if not (query.is_cuda or torch.is_grad_enabled()):
            # A CPU's flash attention takes heads of one width; without it attention takes 17 times as long.
            value = F.pad(value, (0, query.shape[-1] - each))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
        return merge_heads(attended[..., :each])


class LocalAttentionMixer(AttentionMixer):
    """Attention of every passage token to the question and to its own passage: the FiD baseline, linear in the number
    of passages (Fusion-in-Decoder; Izacard & Grave 2021)."""

    across_passages = False


def _shapes_may_depend_on_masks() -> bool:
    """True in inference, but not in what is compiled or captured as a CUDA graph."""
    capturing = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling() or capturing)
