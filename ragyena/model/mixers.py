"""The mixers of a reader layer: Hyena with passage-aware filters, and attention, its twin.

Legend: B contexts, Q question tokens, P passages, S slot tokens, D width, H heads, E = D / H, N = B P slots,
L = Q + P S positions of the flattened context, C channels of context scope.

Every mixer maps the states of a question slot and of passage slots to updates of both. The question never sees the
passages, so its states are one computation a context; every passage token sees the question in every layer.
"""

from __future__ import annotations

import contextlib
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ragyena.config import ReaderModelConfig
from ragyena.model.filters import TwoSidedFilter
from ragyena.model.layers import Linear
from ragyena.ops.backends import choose_backend, prefers_triton
from ragyena.ops.long_conv import long_conv
from ragyena.ops.passage_conv import gated_passage_conv, passage_conv, triton_unavailable
from ragyena.ops.short_gates import GatesBackend, short_gates, short_gates_by_position

__all__ = ["AttentionMixer", "HyenaMixer", "build_mixer"]

_SLOWEST_TURN = 4.0  # the slowest pair of channels turns by 10^-4 a passage, the fastest by 1
_ABSENT = -5e3  # evidence scores below it are padding's
# Attention backends of a long row without a mask on a GPU, the one that was measured fastest there first.
_UNMASKED = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def build_mixer(config: ReaderModelConfig, layer: int) -> HyenaMixer | AttentionMixer:
    """The mixer of a layer. A new mixer is a class with this module's forward signature and a line here."""
    name = config.mixers[layer]
    if name == "hyena":
        return HyenaMixer(config, context_channels=config.context_channels[layer])
    return AttentionMixer(config, across_passages=name == "attention")


def _heads(x: Tensor, heads: int) -> Tensor:
    """[B, T, D] -> [B, H, T, E]."""
    batch, length, width = x.shape
    return x.view(batch, length, heads, width // heads).transpose(1, 2)


def _merge(x: Tensor) -> Tensor:
    """[B, H, T, E] -> [B, T, D]."""
    batch, heads, length, each = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * each)


class QuestionAttention(nn.Module):
    """Softmax attention of every token to the question's tokens, with a learned sink: a key whose value is zero.

    Other tokens may be attended to beside the question's. Linear in the context.
    Queries, keys and values are projected by the mixer that owns this.
    """

    def __init__(self, config: ReaderModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.sink = nn.Parameter(torch.zeros(config.heads, config.width // config.heads))

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
        """query [B, T, D]; key, value [B, Q, D]; key_mask [B, Q] bool. Returns [B, T, D]."""
        batch = query.shape[0]
        sink = self.sink.to(key.dtype)[None, :, None].expand(batch, -1, -1, -1)
        keys = torch.cat([sink, _heads(key, self.heads)], 2)
        values = torch.cat([torch.zeros_like(sink), _heads(value, self.heads)], 2)
        mask = F.pad(key_mask, (1, 0), value=True)[:, None, None, :]
        return _merge(F.scaled_dot_product_attention(_heads(query, self.heads), keys, values, attn_mask=mask))


class HyenaMixer(nn.Module):
    """Order-2 two-sided Hyena (Poli et al. 2023, section 3) whose filters know the passage boundaries.

    ``y = x0 * (h conv (x1 * v))``, plus attention to the question. The last ``context_channels`` channels convolve
    over the whole context with a filter h(dt) g(ds) of the lag in tokens and in passages (or stop at boundaries, or
    ignore them, by ``boundary``); the others convolve within their own slot.
    """

    passage_backend: GatesBackend
    """What passages run on where all channels have their scope: ``torch``, or ``triton``, two kernels between the
    projections, which exchange states with a channel's positions side by side."""

    def __init__(self, config: ReaderModelConfig, *, context_channels: int) -> None:
        super().__init__()
        self.passage_backend = "auto"
        width = config.width
        self.width, self.context_channels, self.boundary = width, context_channels, config.boundary
        self.project = Linear(width, 3 * width)  # gate x1, gate x0, value v
        self.short = nn.Parameter(torch.zeros(3, 3 * width))  # taps at lags 1, 0, -1
        self.query = Linear(width, width)
        self.key = Linear(width, width)
        self.question_attention = QuestionAttention(config)
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
        question_mask: Tensor,
        token_mask: Tensor,
        selected_BMD: Tensor | None = None,
        score_BM: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        batch, passages, slot, width = passages_BPSD.shape
        slots_NSD = passages_BPSD.reshape(batch * passages, slot, width)
        mask_NS = token_mask.reshape(batch * passages, slot)
        projected_q, projected_p = self.project(question_BQD), self.project(slots_NSD)
        gate_q, gated_q = short_gates_by_position(projected_q, self.short, question_mask)
        key, value = self.key(question_BQD), projected_q[..., 2 * width :]
        if selected_BMD is not None and score_BM is not None:
            key, value, question_mask = self._beside(key, value, question_mask, selected_BMD, score_BM)
        attended_q = self.question_attention(self.query(question_BQD), key, value, question_mask)
        query = self.query(slots_NSD).view(batch, passages * slot, width)
        attended_p = self.question_attention(query, key, value, question_mask).reshape(batch * passages, slot, width)
        if self._passage_backend(projected_p) == "triton":
            mixed_q, updated_p = self._update_fused(gated_q, projected_p, mask_NS, attended_p)
        else:
            gate_p, gated_p = short_gates_by_position(projected_p, self.short, mask_NS)
            mixed_q, mixed_p = self._convolve(gated_q, gated_p, passages)
            updated_p = self.out(mixed_p * gate_p + attended_p)
        updated_q = self.out(mixed_q * gate_q + attended_q)
        return updated_q, updated_p.view(batch, passages, slot, width)

    def _passage_backend(self, projected_p: Tensor) -> str:
        wish, operation = self.passage_backend, "passage_scope"
        if wish == "auto" and not prefers_triton(operation, projected_p):
            return choose_backend(operation, wish, ("torch",), "torch")
        reason = triton_unavailable(projected_p, projected_p.shape[1])
        if self.context_channels:
            reason = "some channels have the scope of the context"
        available = ("torch",) if reason else ("torch", "triton")
        return choose_backend(operation, wish, available, available[-1], {"triton": reason})

    def _update_fused(
        self, gated_q: Tensor, projected_p: Tensor, mask_NS: Tensor, attended_p: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The question's convolution, and the passages' update [N, S, D] by the Triton kernels.

        These leave states as [D, N S]. ``out(mixed + attended) = mixed W^T + out(attended)``, where a matrix product
        reads, and in the backward pass writes, the transposed operand as it lies: nothing is transposed in memory.
        """
        question, slot = gated_q.shape[1], projected_p.shape[1]
        taps = self.passage_filter(max(question, slot))
        mixed_q = passage_conv(gated_q, _crop(taps, question))
        gate_1DL, gated_1DL = short_gates(projected_p, self.short, mask_NS, backend="triton")
        mixed_1DL = gated_passage_conv(
            gated_1DL, _crop(taps, slot), slot_tokens=slot, gate_out_BDL=gate_1DL, backend="triton"
        )
        weight = self.out.weight.to(mixed_1DL.dtype)
        out_NSD = self.out(attended_p)
        return mixed_q, torch.addmm(out_NSD.flatten(0, 1), mixed_1DL[0].t(), weight.t()).view_as(out_NSD)

    def _beside(
        self, key: Tensor, value: Tensor, mask: Tensor, selected_BMD: Tensor, score_BM: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and mask of the question's tokens with those of selected tokens after them. A selected token
        says its value as loudly as it is likely to be evidence, which is how the score hears from the answer."""
        weight, bias = self.project.weight[2 * self.width :], self.project.bias[2 * self.width :]
        said = F.linear(selected_BMD, weight.to(selected_BMD.dtype), bias.to(selected_BMD.dtype))
        said = said * score_BM.sigmoid()[..., None].to(said.dtype)
        present = score_BM > _ABSENT
        return (
            torch.cat([key, self.key(selected_BMD)], 1),
            torch.cat([value, said], 1),
            torch.cat([mask, present], 1),
        )

    def _convolve(self, question_BQD: Tensor, slots_NSD: Tensor, passages: int) -> tuple[Tensor, Tensor]:
        split = self.width - self.context_channels
        parts_q, parts_p = [], []
        if split:
            longest = max(question_BQD.shape[1], slots_NSD.shape[1])
            taps = self.passage_filter(longest)
            parts_q.append(passage_conv(question_BQD[..., :split], _crop(taps, question_BQD.shape[1])))
            parts_p.append(passage_conv(slots_NSD[..., :split], _crop(taps, slots_NSD.shape[1])))
        if self.context_channels:
            across_q, across_p = self._convolve_context(question_BQD[..., split:], slots_NSD[..., split:], passages)
            parts_q.append(across_q)
            parts_p.append(across_p)
        if len(parts_q) == 1:
            return parts_q[0], parts_p[0]
        return torch.cat(parts_q, -1), torch.cat(parts_p, -1)

    def _convolve_context(self, question_BQC: Tensor, slots_NSC: Tensor, passages: int) -> tuple[Tensor, Tensor]:
        batch, length, channels = question_BQC.shape
        slot = slots_NSC.shape[1]
        if self.boundary == "reset":
            taps = self.context_filter(max(length, slot))
            return passage_conv(question_BQC, _crop(taps, length)), passage_conv(slots_NSC, _crop(taps, slot))
        # The question keeps its own states: it is heard by the passages but does not hear them.
        u_BCL = torch.cat([question_BQC, slots_NSC.reshape(batch, passages * slot, channels)], 1).transpose(1, 2)
        filter_CK = self.context_filter(u_BCL.shape[-1])
        if self.boundary == "modulated":
            y_BCL = self._modulated(u_BCL, filter_CK, length, passages)
        else:
            y_BCL = long_conv(u_BCL, filter_CK, direction="two_sided")
        y_BLC = y_BCL.transpose(1, 2)
        own_q = passage_conv(question_BQC, _crop(filter_CK, length))
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


def _crop(filter_CK: Tensor, length: int) -> Tensor:
    """The middle 2 length - 1 lags of a two-sided filter."""
    margin = (filter_CK.shape[-1] - (2 * length - 1)) // 2
    return filter_CK[:, margin : filter_CK.shape[-1] - margin]


def _may_choose_rows() -> bool:
    """Whether shapes may depend on a mask here: in inference, but not in what is compiled or captured as a graph."""
    capturing = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling() or capturing)


class AttentionMixer(nn.Module):
    """Softmax attention of every passage token to the question and to its own passage, or to all passages.

    The quadratic twin of ``HyenaMixer`` (``across_passages``), and its linear rival (each passage attended alone, as
    Fusion-in-Decoder does; Izacard & Grave 2021).

    Positions count from the start of each slot, so that what tells passages apart is a rotation: across passages,
    queries and keys of passage s turn by angles proportional to s (RoFormer's, Su et al. 2021, on passages instead of
    tokens), and an attention weight depends on how many passages apart the two are. One passage is not turned: an
    encoder's weights read it as before.
    """

    def __init__(self, config: ReaderModelConfig, *, across_passages: bool) -> None:
        super().__init__()
        self.heads, self.across_passages = config.heads, across_passages
        self.project = Linear(config.width, 3 * config.width)  # query, key, value
        self.out = Linear(config.width, config.width)

    def forward(
        self, question_BQD: Tensor, passages_BPSD: Tensor, question_mask: Tensor, token_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        batch, passages, slot, width = passages_BPSD.shape
        query_q, key_q, value_q = self.project(question_BQD).chunk(3, -1)
        rows = batch if self.across_passages else batch * passages
        updated_q = self.out(self._attend(query_q, key_q, value_q, question_mask))
        query, key, value = self.project(passages_BPSD.reshape(rows, -1, width)).chunk(3, -1)
        repeats = rows // batch

        def beside(of_question: Tensor, of_passages: Tensor) -> Tensor:
            return torch.cat([of_question.repeat_interleave(repeats, 0), of_passages], 1)

        mask = beside(question_mask, token_mask.reshape(rows, -1))
        if self.across_passages and passages > 1:
            # The question belongs to no passage: it is heard alike by all, through channels that do not turn.
            query = self._joined(query, self._turned(query, passages))
            key_q = self._joined(key_q, torch.zeros_like(key_q))
            key = self._joined(torch.zeros_like(key), self._turned(key, passages))
        keys, values = beside(key_q, key), beside(value_q, value)
        if rows == 1 and _may_choose_rows():
            attended = self._attend_kept(query, keys, values, mask, token_mask.reshape(1, -1))
        else:
            attended = self._attend(query, keys, values, mask)
        return updated_q, self.out(attended).view(batch, passages, slot, width)

    def _attend_kept(
        self, query_1LD: Tensor, key_1KD: Tensor, value_1KD: Tensor, key_mask: Tensor, query_mask: Tensor
    ) -> Tensor:
        """One long row without its padding, which then needs no mask: the fastest backends take none. Padding's own
        results are zeros."""
        kept_K, kept_L = (mask[0].nonzero()[:, 0] for mask in (key_mask, query_mask))
        attended_1LD = value_1KD.new_zeros(1, query_1LD.shape[1], value_1KD.shape[2])
        with sdpa_kernel(_UNMASKED, set_priority=True) if query_1LD.is_cuda else contextlib.nullcontext():
            found = self._attend(query_1LD[:, kept_L], key_1KD[:, kept_K], value_1KD[:, kept_K], None)
        attended_1LD[:, kept_L] = found
        return attended_1LD

    def _joined(self, one_BLD: Tensor, other_BLD: Tensor) -> Tensor:
        """Each head's channels of the one, then of the other: heads twice as wide."""
        batch, length, _ = one_BLD.shape
        halves = [x.view(batch, length, self.heads, -1) for x in (one_BLD, other_BLD)]
        return torch.cat(halves, -1).view(batch, length, -1)

    def _turned(self, x_BLD: Tensor, passages: int) -> Tensor:
        """Queries or keys with each head's channel pairs rotated by their passage's angles; the first by none."""
        batch, length, width = x_BLD.shape
        pairs = width // self.heads // 2
        angle_J = torch.logspace(0.0, -_SLOWEST_TURN, pairs, device=x_BLD.device)
        angle_PJ = torch.arange(passages, device=x_BLD.device)[:, None] * angle_J
        cos, sin = (wave[:, None, None].to(x_BLD.dtype) for wave in (angle_PJ.cos(), angle_PJ.sin()))
        x = x_BLD.view(batch, passages, length // passages, self.heads, 2, pairs)
        first, second = x[..., 0, :], x[..., 1, :]
        turned = torch.stack([first * cos - second * sin, first * sin + second * cos], -2)
        return turned.view(batch, length, width)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None) -> Tensor:
        scale = (value.shape[-1] / self.heads) ** -0.5
        query, key, value = (_heads(x, self.heads) for x in (query, key, value))
        mask = None if key_mask is None else key_mask[:, None, None, :]
        each = value.shape[-1]
        if not (query.is_cuda or torch.is_grad_enabled()):
            # A CPU's flash attention takes heads of one width; without it attention takes 17 times as long.
            value = F.pad(value, (0, query.shape[-1] - each))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
        return _merge(attended[..., :each])
