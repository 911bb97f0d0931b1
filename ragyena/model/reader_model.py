"""The reader: a question and many passages in, span scores, an answer mode and an answer decoder out.

Legend: B contexts, Q question tokens, P passages, S slot tokens, D width, V vocabulary, M match features.

The layout follows BERT (post-norm; Devlin et al. 2019), so that an attention encoder's weights start it. The mixer of
each layer is configuration: the attention and FiD baselines, and hybrids, are this class with another recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.config import ReaderModelConfig
from ragyena.model.answer_decoder import AnswerDecoder
from ragyena.model.inputs import ContextShape, ReaderInput
from ragyena.model.layers import FeedForward, LayerNorm
from ragyena.model.mixers import READER_MIXERS, check_mixers
from ragyena.model.mixers.base import Selected, matrix_entries
from ragyena.model.mixers.hyena import HyenaMixer
from ragyena.model.rows import RowLayout, row_layout
from ragyena.ops.linear import Linear

__all__ = ["Encoded", "NullOfSpan", "ReaderModel", "SpanScores"]

_MATCH_FEATURES = 3  # the word occurs in the question; the same weighted by idf; the word pair occurs
_NORM_EPS = 1e-12  # BERT's
_RARE = -3.0  # the first bias of the list mode: few questions ask for a list
NEVER = -1e4  # the score of a token that no answer may start or end at; finite in every dtype


@dataclass(frozen=True, slots=True)
class Encoded:
    """Final states of a batch of contexts."""

    question: Tensor
    """[B, Q, D]."""
    passages: Tensor
    """[B, P, S, D]."""

    def row(self, index: int) -> Encoded:
        """One context of the batch, as a batch of one."""
        return Encoded(self.question[index : index + 1], self.passages[index : index + 1])


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Unnormalised scores of where an answer starts and ends; one softmax runs over all of them and ``null``."""

    start: Tensor
    """[B, P, S] fp32, NEVER outside the passages' text."""
    end: Tensor
    """[B, P, S] fp32."""
    null: Tensor
    """[B, 2] fp32: the start and end score of there being no answer."""

    def with_prior(self, prior_BP: Tensor) -> SpanScores:
        """The scores with a passage's prior added to its spans, half at the start and half at the end."""
        half = prior_BP[..., None] / 2
        return SpanScores(self.start + half, self.end + half, self.null)

    def log_probabilities(self) -> tuple[Tensor, Tensor, Tensor]:
        """Start [B, P, S], end [B, P, S] and null [B, 2] after the softmax over the whole context."""
        start, end = (
            torch.cat([null_B[:, None], scores.flatten(1)], 1).log_softmax(-1)
            for null_B, scores in zip(self.null.unbind(1), (self.start, self.end))
        )
        null = torch.stack([start[:, 0], end[:, 0]], 1)
        return start[:, 1:].view_as(self.start), end[:, 1:].view_as(self.end), null

    @classmethod
    def averaged(cls, scores: Sequence[SpanScores]) -> SpanScores:
        """The scores of several readers as those of one: the mean of their log probabilities."""
        if len(scores) == 1:
            return scores[0]
        return cls(*(torch.stack(part).mean(0) for part in zip(*(one.log_probabilities() for one in scores))))


class ReaderLayer(nn.Module):
    """Mixer and feed-forward, each followed by a residual sum and a norm."""

    def __init__(self, config: ReaderModelConfig, index: int) -> None:
        super().__init__()
        self.mixer = READER_MIXERS[config.mixers[index]](config, index)
        self.mixer_norm = LayerNorm(config.width, eps=_NORM_EPS)
        self.ffn = FeedForward(config.width, config.ffn_width)
        self.ffn_norm = LayerNorm(config.width, eps=_NORM_EPS)

    def forward(
        self,
        question: Tensor,
        passages: Tensor,
        question_mask: Tensor,
        token_mask: Tensor,
        selected: Selected | None = None,
    ) -> tuple[Tensor, Tensor]:
        mixed_q, mixed_p = self.mixer(question, passages, question_mask, token_mask, selected)
        return self._finish(question + mixed_q), self._finish(passages + mixed_p)

    def forward_rows(
        self,
        question: Tensor,
        rows: Tensor,
        question_mask: Tensor,
        layout: RowLayout,
        selected: list[Selected] | None,
    ) -> tuple[Tensor, Tensor]:
        """``forward`` with the passages' tokens as rows, for mixers that take them."""
        mixer = cast(HyenaMixer, self.mixer)
        sum_q, sum_p = mixer.forward_rows(question, rows, question_mask, layout, selected)
        return self._finish(sum_q), self._finish(sum_p)

    def _finish(self, mixed: Tensor) -> Tensor:
        """The rest of the layer after the mixer, from the sum of states and update."""
        return self.ffn_norm(self.ffn.plus(self.mixer_norm(mixed)))


class NullOfSpan(nn.Module):
    """A no-answer score from the likeliest answer: the states where it starts and ends, averaged over the context by
    the probability of each, and the question's. Linear in the context; zero before training."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(3 * width, hidden)
        self.contract = Linear(hidden, 2)
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)

    def forward(self, encoded: Encoded, scores_BPS2: Tensor) -> Tensor:
        """[B, 2] fp32, to add to the start and end score of there being no answer."""
        return self.score(self.seen(encoded, scores_BPS2))

    def seen(self, encoded: Encoded, scores_BPS2: Tensor) -> Tensor:
        """[B, 3 D]: the states at the likeliest start and end, and the question's."""
        # The span scores alone learn which span is likeliest: no gradient reaches them from here.
        weight_B2L = scores_BPS2.detach().flatten(1, 2).softmax(1).transpose(1, 2)
        states_BLD = encoded.passages.flatten(1, 2)
        likeliest_B2D = weight_B2L.to(states_BLD.dtype) @ states_BLD
        return torch.cat([likeliest_B2D.flatten(1), encoded.question[:, 0]], 1)

    def score(self, seen: Tensor) -> Tensor:
        """[B, 2] fp32, from what was ``seen``."""
        return self.contract(F.gelu(self.expand(seen))).float()


class ReaderModel(nn.Module):
    """A reader of the given architecture, randomly initialised. ``ragyena.model.checkpoint`` loads weights."""

    idf: Tensor

    def __init__(self, config: ReaderModelConfig) -> None:
        super().__init__()
        check_mixers(config)
        self.config = config
        width = config.width
        self.word = nn.Embedding(config.vocab_size, width)
        self.segment = nn.Embedding(2, width)  # question, passage
        self.question_position = nn.Embedding(config.max_question_tokens, width)
        self.slot_position = nn.Embedding(config.max_slot_tokens, width)
        if config.match_features:
            self.match = nn.Parameter(torch.empty(_MATCH_FEATURES, width).normal_(std=0.02))
        self.embedding_norm = LayerNorm(width, eps=_NORM_EPS)
        self.layers = nn.ModuleList(ReaderLayer(config, index) for index in range(len(config.mixers)))
        self.span = Linear(width, 2)
        self.null = Linear(width, 2)
        self.null_of_span = NullOfSpan(width, config.null_width) if config.null_width else None
        self.mode = Linear(width, 1)
        self.list_mode = Linear(width, 1) if config.lists else None
        self.evidence = nn.ModuleDict({str(layer): Linear(width, 1) for layer in config.selecting_layers})
        self.decoder = AnswerDecoder(config) if config.decoder_layers else None
        self.register_buffer("idf", torch.ones(config.vocab_size))
        """Inverse document frequency of each word piece in the training passages, the rarest 1."""
        for module in (self.word, self.segment, self.question_position, self.slot_position):
            nn.init.normal_(module.weight, std=0.02)
        for head in (self.span, self.null, self.mode, *cast("list[Linear]", list(self.evidence.values()))):
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        if self.list_mode is not None:
            nn.init.normal_(self.list_mode.weight, std=0.02)
            nn.init.constant_(self.list_mode.bias, _RARE)

    @property
    def reader_layers(self) -> list[ReaderLayer]:
        """The layers, typed."""
        return cast("list[ReaderLayer]", list(self.layers))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of activations at inference."""
        return self.span.weight.dtype

    @property
    def int8(self) -> bool:
        """True where maps of the layers are computed in int8."""
        return any(isinstance(module, Linear) and module.int8 for module in self.layers.modules())

    def flops(self, shape: ContextShape) -> float:
        """FLOPs of the layers' forward pass, a token of the context; the answer decoder is left out."""
        return sum(layer.mixer.flops(shape) + 2.0 * matrix_entries(layer.ffn) for layer in self.reader_layers)

    def prepare_inference(self, dtype: torch.dtype) -> None:
        """Stores the weights of linear maps and norms in ``dtype``. Embeddings and filter networks stay fp32."""
        for module in self.modules():
            if isinstance(module, Linear | LayerNorm):
                module.to(dtype)

    def prepare_cpu(self) -> None:
        """Lay the matrices out for this CPU, and compute its mixers' filters, once weights and dtype are what they will
        be."""
        for module in self.modules():
            if isinstance(module, Linear | HyenaMixer):
                module.prepare_cpu()

    def encode(
        self, batch: ReaderInput, *, dtype: torch.dtype | None = None, layers: list[nn.Module] | None = None
    ) -> Encoded:
        """The final states. ``dtype`` overrides that of the activations; ``layers`` are compiled stand-ins.

        On a CPU, where no gradient is wanted and the mixers allow it, padding is not computed.
        """
        if layers is None and self._takes_rows(batch):
            return self._encode_rows(batch, dtype or self.dtype)
        for encoded in self.encode_layers(batch, dtype=dtype, layers=layers):
            last = encoded  # one layer's states at a time stay alive
        return last

    def encode_layers(
        self, batch: ReaderInput, *, dtype: torch.dtype | None = None, layers: list[nn.Module] | None = None
    ) -> Iterator[Encoded]:
        """The embedded context, then the states after each layer."""
        embedded = Encoded(*self.embed(batch, dtype or self.dtype))
        yield embedded
        following = self.encode_from(0, embedded, batch, layers=layers)
        del embedded  # long contexts are large: one layer's states at a time stay alive
        yield from following

    def encode_from(
        self, first: int, states: Encoded, batch: ReaderInput, *, layers: list[nn.Module] | None = None
    ) -> Iterator[Encoded]:
        """The states after each layer from ``first`` on, from the ``states`` that enter it."""
        question, passages = states.question, states.passages
        del states
        for index, layer in enumerate(layers or self.layers):
            if index < first:
                continue
            selected = self._select(index, passages, batch.token_mask)
            question, passages = layer(question, passages, batch.question_mask, batch.token_mask, selected)
            yield Encoded(question, passages)

    def _takes_rows(self, batch: ReaderInput) -> bool:
        if batch.token_ids.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return False
        mixers = [layer.mixer for layer in self.reader_layers]
        return all(isinstance(mixer, HyenaMixer) and not mixer.context_channels for mixer in mixers)

    def _encode_rows(self, batch: ReaderInput, dtype: torch.dtype) -> Encoded:
        """``encode`` without padding: the same states at tokens, zero at padding."""
        layout = row_layout(batch.token_mask)
        question, rows = self._embed_question(batch, dtype), self._embed_rows(batch, layout, dtype)
        for index, layer in enumerate(self.reader_layers):
            selected = self._select_rows(index, rows, layout)
            question, rows = layer.forward_rows(question, rows, batch.question_mask, layout, selected)
        return Encoded(question, layout.passages(layout.clear_gaps(rows)))

    def _embed_rows(self, batch: ReaderInput, layout: RowLayout, dtype: torch.dtype) -> Tensor:
        """[T, D]: ``embed`` of the passages' tokens as rows."""
        places = self.slot_position.weight + self.segment.weight[1]
        rows = self.word(layout.take(batch.token_ids)).add_(places.index_select(0, layout.cells % batch.shape.slot))
        if self.config.match_features:
            rows.addmm_(layout.take(self.match_features(batch)).to(rows.dtype), self.match)
        return self.embedding_norm(rows.to(dtype))

    def _select_rows(self, layer: int, rows_TD: Tensor, layout: RowLayout) -> list[Selected] | None:
        """``_select`` for each context alone; never more tokens than there are."""
        if layer not in self.config.selecting_layers:
            return None
        scores_T = self.evidence_scores(layer, rows_TD).index_fill(0, layout.gaps, NEVER)
        selected = []
        for first, end in layout.bounds:
            score, place = scores_T[first:end].topk(min(self.config.selected_tokens[layer], end - first))
            selected.append(Selected(rows_TD[first:end].index_select(0, place)[None], score[None]))
        return selected

    def evidence_scores(self, layer: int, passages: Tensor) -> Tensor:
        """[B, P, S] fp32 logits of each token (or [T] of each row) being needed for the answer, from the states that
        enter ``layer``."""
        head = cast(Linear, self.evidence[str(layer)])
        return head(passages).float()[..., 0]

    def _select(self, layer: int, passages: Tensor, token_mask: Tensor) -> Selected | None:
        """The likeliest tokens of the context to be evidence; None where the layer selects none. Ties, and fewer tokens
        than are wanted, are settled by position."""
        if layer not in self.config.selecting_layers:
            return None
        flat_BLD = passages.flatten(1, 2)
        scores = self.evidence_scores(layer, passages).masked_fill(~token_mask, NEVER).flatten(1)
        score, place = scores.topk(min(self.config.selected_tokens[layer], flat_BLD.shape[1]), dim=1)
        return Selected(flat_BLD.gather(1, place[..., None].expand(-1, -1, flat_BLD.shape[2])), score)

    def embed(self, batch: ReaderInput, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Word, segment and position embeddings, and match features: [B, Q, D] and [B, P, S, D]."""
        passages = self.word(batch.token_ids) + self.segment.weight[1]
        passages = passages + self.slot_position.weight[: batch.shape.slot]
        if self.config.match_features:
            passages = passages + self.match_features(batch).to(passages.dtype) @ self.match
        return self._embed_question(batch, dtype), self.embedding_norm(passages.to(dtype))

    def _embed_question(self, batch: ReaderInput, dtype: torch.dtype) -> Tensor:
        positions = self.question_position.weight[: batch.shape.question]
        return self.embedding_norm((self.word(batch.question_ids) + self.segment.weight[0] + positions).to(dtype))

    def match_features(self, batch: ReaderInput) -> Tensor:
        """[B, P, S, M]: whether a token, weighted and not, and a pair of tokens, occur in the question."""
        ids, mask = batch.token_ids.flatten(1), batch.token_mask.flatten(1)
        # The question's own words only: its begin and end tokens, first and last under the mask, match nothing.
        words = batch.question_mask & F.pad(batch.question_mask, (0, 1))[:, 1:]
        words[:, 0] = False
        question = batch.question_ids.masked_fill(~words, -1)
        equal = (ids[:, :, None] == question[:, None, :]) & mask[:, :, None]
        single = equal.any(2)
        pair = F.pad((equal[:, :-1, :-1] & equal[:, 1:, 1:]).any(2), (0, 1))
        pair = pair | F.pad(pair, (1, 0))[:, :-1]
        features = torch.stack([single.float(), single * self.idf[ids], pair.float()], -1)
        return features.view(*batch.token_ids.shape, _MATCH_FEATURES)

    def span_scores(self, encoded: Encoded, text_mask: Tensor) -> SpanScores:
        """Extraction head: where an answer starts and ends, over all passages, and that there is none."""
        scores = self.span(encoded.passages).float().masked_fill(~text_mask[..., None], NEVER)
        null = self.null(encoded.question[:, 0]).float()
        if self.null_of_span is not None:
            null = null + self.null_of_span(encoded, scores)
        return SpanScores(scores[..., 0], scores[..., 1], null)

    def write_logit(self, encoded: Encoded) -> Tensor:
        """[B] logit of the question asking for an answer to be written (yes or no, say) rather than extracted."""
        return self.mode(encoded.question[:, 0]).float()[:, 0]

    def list_logit(self, encoded: Encoded) -> Tensor:
        """[B] logit of the question asking for several items. Needs ``config.lists``."""
        assert self.list_mode is not None
        return self.list_mode(encoded.question[:, 0]).float()[:, 0]
