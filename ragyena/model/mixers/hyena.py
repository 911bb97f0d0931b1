"""Order-2 two-sided Hyena with passage-aware filters: the mixer of a reader's layer.

Legend: B contexts, Q question tokens, P passages, S tokens of a padded passage (a slot), N = B P slots, M selected
tokens, L = Q + P S positions of the flattened context, D width, H heads, C channels of a scope, K filter lags.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config import ReaderModelConfig
from ragyena.errors import ConfigError
from ragyena.model.flops import attention_flops, conv_flops
from ragyena.model.inputs import ContextShape
from ragyena.model.layers import merge_heads, split_heads
from ragyena.model.mixers.attention import AttentionMixer
from ragyena.model.mixers.base import ABSENT, Mixer, ReaderMixer, Selected, matrix_entries
from ragyena.model.rows import RowLayout
from ragyena.ops.backends import choose_backend
from ragyena.ops.hyena import TwoSidedFilter
from ragyena.ops.linear import Linear
from ragyena.ops.long_conv import long_conv
from ragyena.ops.passage_conv import passage_conv, slot_conv, triton_unavailable
from ragyena.ops.short_gates import GatesBackend, short_gates, short_gates_by_position, short_gates_of_rows

__all__ = ["HyenaMixer"]

_LANES = 16  # of a CPU's vectors: attention takes up to 1.4 times as long where keys leave a rest after so many


class HyenaMixer(ReaderMixer):
    """Order-2 two-sided Hyena (Poli et al. 2023, section 3) whose filters know the passage boundaries.

    ``y = x0 * (h conv (x1 * v))``, plus attention to the question. The last ``context_channels`` channels convolve
    over the whole context with a filter h(dt) g(ds) of the lag in tokens and in passages (or stop at boundaries, or
    ignore them, by ``boundary``); the others convolve within their own slot.
    """

    FILTERS = ("passage_filter.", "context_filter.", "short")

    passage_backend: GatesBackend
    """Backend of passages where all channels have their scope: ``torch``, or ``triton``, two kernels between the
    projections, which exchange states with a channel's positions adjacent in memory."""
    _lags: Tensor | None = None
    """[C, K]: the passages' filter at the lags of the longest slot, from ``prepare_cpu``; None without."""

    def __init__(self, config: ReaderModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.passage_backend = "auto"
        width, context_channels = config.width, config.context_channels[layer]
        self.width, self.context_channels, self.boundary = width, context_channels, config.boundary
        self._longest = max(config.max_slot_tokens, config.max_question_tokens)
        self.selected_tokens = config.selected_tokens[layer] if config.selected_tokens else 0
        self.project = Linear(width, 3 * width, maps=3)  # gate x1, gate x0, value v
        self.short = nn.Parameter(torch.zeros(3, 3 * width))  # taps at lags 1, 0, -1
        self.query = Linear(width, width)
        self.key = Linear(width, width)
        self.question_attention = _QuestionAttention(config)
        self.out = Linear(width, width)
        if context_channels < width:
            self.passage_filter = self._filter(config, width - context_channels, config.passage_time_scales)
        if context_channels:
            self.context_filter = self._filter(config, context_channels, config.context_time_scales)
            if self.boundary == "modulated":
                # cos(theta ds): theta 0 is the unmodulated filter; pi tells odd passages from even ones
                angles = torch.linspace(0.0, math.pi / 2, context_channels)
                self.boundary_angle = nn.Parameter(angles)
        with torch.no_grad():
            self.short[1] = 1.0
            self.short[0].normal_(std=0.02)
            self.short[2].normal_(std=0.02)
            self.project.weight.normal_(std=0.02)
            self.project.bias.zero_()
            self.project.bias[: 2 * width] = 1.0  # open gates: a new mixer starts near its value path

    @classmethod
    def check(cls, config: ReaderModelConfig, layer: int) -> None:
        if config.context_channels[layer] > config.width:
            raise ConfigError(
                f"context_channels of layer {layer}: {config.context_channels[layer]} of {config.width} channels",
                hint="set at most width channels of a layer",
            )

    def init_from(self, other: Mixer) -> None:
        """From attention: value and output projections, and query and key for the attention to the question."""
        if not isinstance(other, AttentionMixer):
            super().init_from(other)
            return
        for part in ("weight", "bias"):
            query, key, value = getattr(other.project, part).chunk(3)
            getattr(self.query, part).copy_(query)
            getattr(self.key, part).copy_(key)
            getattr(self.project, part)[2 * self.width :].copy_(value)
            getattr(self.out, part).copy_(getattr(other.out, part))

    def flops(self, shape: ContextShape) -> float:
        convolutions = conv_flops(shape.slot, self.width - self.context_channels)
        if self.context_channels:
            convolutions += conv_flops(shape.tokens, self.context_channels)
        attention = attention_flops(shape.question + self.selected_tokens, self.width, causal=False)
        return 2.0 * matrix_entries(self) + convolutions + attention

    @torch.no_grad()
    def prepare_cpu(self) -> None:
        """Compute the filter of ``forward_rows`` once: it is the same for every context. Weights may not change
        afterwards."""
        if not self.context_channels:
            self._lags = self.passage_filter(self._longest)

    @staticmethod
    def _filter(config: ReaderModelConfig, channels: int, time_scales: tuple[float, float]) -> TwoSidedFilter:
        return TwoSidedFilter(
            channels,
            near_taps=config.near_taps,
            implicit=config.implicit_filter,
            width=config.filter_width,
            bands=config.filter_bands,
            time_scales=time_scales,
        )

    def forward(
        self,
        question_BQD: Tensor,
        passages_BPSD: Tensor,
        question_mask_BQ: Tensor,
        token_mask_BPS: Tensor,
        selected: Selected | None = None,
    ) -> tuple[Tensor, Tensor]:
        batch, passages, slot, width = passages_BPSD.shape
        slots_NSD = passages_BPSD.reshape(batch * passages, slot, width)
        mask_NS = token_mask_BPS.reshape(batch * passages, slot)
        projected_q, projected_p = self.project(question_BQD), self.project(slots_NSD)
        gate_q, gated_q = short_gates_by_position(projected_q, self.short, question_mask_BQ)
        key, value, mask = self.key(question_BQD), projected_q[..., 2 * width :], question_mask_BQ
        if selected is not None:
            key, value, mask = self._with_selected(key, value, mask, selected)
        attended_q = self.question_attention(self.query(question_BQD), key, value, mask)
        query = self.query(slots_NSD).view(batch, passages * slot, width)
        attended_p = self.question_attention(query, key, value, mask).reshape(batch * passages, slot, width)
        if self._passage_backend(projected_p) == "triton":
            mixed_q, updated_p = self._update_fused(gated_q, projected_p, mask_NS, attended_p)
        else:
            gate_p, gated_p = short_gates_by_position(projected_p, self.short, mask_NS)
            mixed_q, mixed_p = self._convolve(gated_q, gated_p, passages)
            updated_p = self.out(mixed_p * gate_p + attended_p)
        updated_q = self.out(mixed_q * gate_q + attended_q)
        return updated_q, updated_p.view_as(passages_BPSD)

    def forward_rows(
        self,
        question_BQD: Tensor,
        rows_TD: Tensor,
        question_mask_BQ: Tensor,
        layout: RowLayout,
        selected: list[Selected] | None,
    ) -> tuple[Tensor, Tensor]:
        """``forward`` for inference, added to the states: where no channels have the scope of the context, with
        passages as rows and the selected tokens of each context. Only the convolution is computed at padding."""
        projected_q, projected_p = self.project(question_BQD), layout.clear_gaps(self.project(rows_TD))
        gate_q, gated_q = short_gates_by_position(projected_q, self.short, question_mask_BQ)
        gate_p, gated_p = short_gates_of_rows(projected_p, self.short)
        slots_NSD = layout.slots(layout.clear_gaps(gated_p))
        lags_CK = self._lags
        if lags_CK is None:
            lags_CK = self.passage_filter(max(gated_q.shape[1], slots_NSD.shape[1]))
        mixed_q, mixed_p = slot_conv(gated_q, lags_CK), slot_conv(slots_NSD, lags_CK)
        sum_q, sum_p = mixed_q * gate_q, mixed_p.flatten(0, 1).index_select(0, layout.cells).mul_(gate_p)
        keys_BQD, queries_q, queries_p = self.key(question_BQD), self.query(question_BQD), self.query(rows_TD)
        for row, (first, end) in enumerate(layout.bounds):
            key, value, mask = (
                keys_BQD[row, None],
                projected_q[row, None, :, 2 * self.width :],
                question_mask_BQ[row, None],
            )
            if selected is not None:
                key, value, mask = self._with_selected(key, value, mask, selected[row])
            key, value = key[:, mask[0]], value[:, mask[0]]
            sum_q[row] += self.question_attention(queries_q[row, None], key, value)[0]
            sum_p[first:end] += self.question_attention(queries_p[None, first:end], key, value)[0]
        return self.out.plus(sum_q, question_BQD), self.out.plus(sum_p, rows_TD)

    def _passage_backend(self, projected_p: Tensor) -> str:
        reason = triton_unavailable(projected_p, projected_p.shape[1])
        if self.context_channels:
            reason = "some channels have the scope of the context"
        backends, unavailable = ("torch", "triton"), {"triton": reason}
        return choose_backend("passage_scope", self.passage_backend, backends, "torch", unavailable, x=projected_p)

    def _update_fused(
        self, gated_q: Tensor, projected_p: Tensor, mask_NS: Tensor, attended_p: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The question's convolution, and the passages' update [N, S, D] by the Triton kernels.

        These leave states as [D, N S]. ``out(mixed + attended) = mixed W^T + out(attended)``, where a matrix product
        reads, and in the backward pass writes, the transposed operand as it lies: nothing is transposed in memory.
        """
        question, slot = gated_q.shape[1], projected_p.shape[1]
        taps = self.passage_filter(max(question, slot))
        mixed_q = slot_conv(gated_q, taps)
        gate_1DL, gated_1DL = short_gates(projected_p, self.short, mask_NS, backend="triton")
        mixed_1DL = passage_conv(gated_1DL, taps, slot_tokens=slot, gate_out_BDL=gate_1DL, backend="triton")
        weight = self.out.weight.to(mixed_1DL.dtype)
        out_NSD = self.out(attended_p)
        return mixed_q, torch.addmm(out_NSD.flatten(0, 1), mixed_1DL[0].t(), weight.t()).view_as(out_NSD)

    def _with_selected(
        self, key_BQD: Tensor, value_BQD: Tensor, mask_BQ: Tensor, selected: Selected
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and mask of the question's tokens with those of selected tokens after them. The value of a
        selected token is weighted by its probability of being evidence, so that the answer's loss trains the score."""
        weight, bias = self.project.weight[2 * self.width :], self.project.bias[2 * self.width :]
        states_BMD, score_BM = selected
        value_BMD = F.linear(states_BMD, weight.to(states_BMD.dtype), bias.to(states_BMD.dtype))
        value_BMD = value_BMD * score_BM.sigmoid()[..., None].to(value_BMD.dtype)
        return (
            torch.cat([key_BQD, self.key(states_BMD)], 1),
            torch.cat([value_BQD, value_BMD], 1),
            torch.cat([mask_BQ, score_BM > ABSENT], 1),
        )

    def _convolve(self, question_BQD: Tensor, slots_NSD: Tensor, passages: int) -> tuple[Tensor, Tensor]:
        split = self.width - self.context_channels
        parts = []
        if split:
            parts.append(_within_slots(self.passage_filter, question_BQD[..., :split], slots_NSD[..., :split]))
        if self.context_channels:
            parts.append(self._convolve_context(question_BQD[..., split:], slots_NSD[..., split:], passages))
        if len(parts) == 1:
            return parts[0]
        (one_q, one_p), (other_q, other_p) = parts
        return torch.cat([one_q, other_q], -1), torch.cat([one_p, other_p], -1)

    def _convolve_context(self, question_BQC: Tensor, slots_NSC: Tensor, passages: int) -> tuple[Tensor, Tensor]:
        if self.boundary == "reset":
            return _within_slots(self.context_filter, question_BQC, slots_NSC)
        batch, length, channels = question_BQC.shape
        slot = slots_NSC.shape[1]
        # The passages see the question, which does not see them: it is convolved alone.
        u_BCL = torch.cat([question_BQC, slots_NSC.reshape(batch, passages * slot, channels)], 1).transpose(1, 2)
        filter_CK = self.context_filter(u_BCL.shape[-1])
        if self.boundary == "modulated":
            y_BCL = self._modulated(u_BCL, filter_CK, length, passages)
        else:
            y_BCL = long_conv(u_BCL, filter_CK, direction="two_sided")
        y_BLC = y_BCL.transpose(1, 2)
        own_q = slot_conv(question_BQC, filter_CK)
        return own_q, y_BLC[:, length:].reshape(batch * passages, slot, channels)

    def _modulated(self, u_BCL: Tensor, filter_CK: Tensor, question_tokens: int, passages: int) -> Tensor:
        """cos(theta (s_t - s_tau)) = cos cos + sin sin: gates before and after two ordinary convolutions."""
        slot = (u_BCL.shape[-1] - question_tokens) // max(passages, 1)
        segment_L = torch.arange(1, passages + 1, device=u_BCL.device).repeat_interleave(slot)
        segment_L = F.pad(segment_L, (question_tokens, 0))  # the question is segment 0
        angle_CL = self.boundary_angle.float()[:, None] * segment_L
        y_BCL = torch.zeros_like(u_BCL)
        for gate_CL in (angle_CL.cos(), angle_CL.sin()):
            gate_BCL = gate_CL.to(u_BCL.dtype).expand_as(u_BCL)
            y_BCL = y_BCL + long_conv(
                u_BCL, filter_CK, direction="two_sided", gate_in_BDL=gate_BCL, gate_out_BDL=gate_BCL
            )
        return y_BCL


def _within_slots(filter_: TwoSidedFilter, question_BQC: Tensor, slots_NSC: Tensor) -> tuple[Tensor, Tensor]:
    """The question, and each slot, convolved alone."""
    question, slot = question_BQC.shape[1], slots_NSC.shape[1]
    taps = filter_(max(question, slot))
    return slot_conv(question_BQC, taps), slot_conv(slots_NSC, taps)


class _QuestionAttention(nn.Module):
    """Softmax attention of every token to the question's tokens (and to selected ones), with a learned sink: a key
    whose value is zero. Linear in the context. Its owner projects queries, keys and values."""

    def __init__(self, config: ReaderModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.sink = nn.Parameter(torch.zeros(config.heads, config.width // config.heads))

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """query [B, T, D]; key, value [B, Q, D]; key_mask [B, Q] bool, None for all. Returns [B, T, D]."""
        sink = self.sink.to(key.dtype)[None, :, None].expand(query.shape[0], -1, -1, -1)
        keys = torch.cat([sink, split_heads(key, self.heads)], 2)
        values = torch.cat([torch.zeros_like(sink), split_heads(value, self.heads)], 2)
        mask = None if key_mask is None else F.pad(key_mask, (1, 0), value=True)[:, None, None, :]
        if mask is None and query.device.type == "cpu" and (more := -keys.shape[2] % _LANES):
            mask = F.pad(query.new_zeros(1, 1, 1, keys.shape[2]), (0, more), value=-math.inf)
            keys, values = (F.pad(x, (0, 0, 0, more)) for x in (keys, values))
        attended = F.scaled_dot_product_attention(split_heads(query, self.heads), keys, values, attn_mask=mask)
        return merge_heads(attended)
