"""The architectures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ragyena.config.strict import Count, Fraction, Positive, Strict

__all__ = ["CausalModelConfig", "HyenaConfig", "PairModelConfig", "PolarModelConfig", "ReaderModelConfig"]

MOST_LAYERS = 256
"""Layers of a model: a damaged configuration must not build layers without end."""


class ReaderModelConfig(Strict):
    """The architecture of a reader (``ragyena.model.reader_model``). The baselines differ in ``mixers`` alone."""

    kind: Literal["reader"] = "reader"
    vocab_size: Positive = 30522
    """Word pieces."""
    width: Positive = 384
    """Channels of the residual stream."""
    heads: Positive = 12
    """Heads of every attention, the cross-attention to the question included."""
    ffn_width: Positive = 1536
    """Hidden channels of each feed-forward."""
    mixers: Annotated[tuple[str, ...], Field(max_length=MOST_LAYERS)] = ("hyena",) * 6
    """The mixer of each layer, and so the depth: ``hyena``, ``attention`` (of all passages: the attention baseline),
    ``local_attention`` (within each passage: the FiD baseline), or another of ``ragyena.model.mixers``."""
    context_channels: tuple[Count, ...] = ()
    """For each Hyena layer, the channels with context scope (the others have passage scope). Empty for none."""
    selected_tokens: tuple[Count, ...] = ()
    """For each Hyena layer, the tokens of the whole context, chosen by their evidence score, that all others and the
    question attend to: linear in the context. Empty for none."""
    boundary: Literal["none", "reset", "modulated"] = "modulated"
    """Effect of passage boundaries on context-scope filters: none, a reset, or a learned g(passages apart)."""
    near_taps: Annotated[int, Field(ge=0, le=64)] = 12
    """Free filter taps at lags -near_taps ... near_taps."""
    implicit_filter: bool = True
    """Adds an implicit part to the filters' free taps."""
    filter_width: Annotated[int, Field(gt=0, le=4096)] = 64
    """Hidden channels of the filter network."""
    filter_bands: Annotated[int, Field(gt=0, le=4096)] = 14
    """Frequencies of the filter network's position features."""
    passage_time_scales: tuple[float, float] = (16.0, 300.0)
    """Shortest and longest decay, in tokens, of the passage-scope filters."""
    context_time_scales: tuple[float, float] = (64.0, 16384.0)
    """Shortest and longest decay, in tokens, of the context-scope filters."""
    max_slot_tokens: Positive = 400
    """The longest passage slot (positions that have an embedding)."""
    max_question_tokens: Positive = 128
    """The longest question slot, its begin and end tokens included."""
    match_features: bool = True
    """Marks exact matches of question words and word pairs on the passage tokens."""
    null_width: Count = 0
    """Hidden channels of a no-answer score that looks at the states where the likeliest answer starts and ends; 0 for
    one from the question alone."""
    lists: bool = False
    """Tells questions that ask for several items from those that ask for one span."""
    decoder_layers: Annotated[int, Field(ge=0, le=MOST_LAYERS)] = 2
    """Causal Hyena layers of the answer decoder; 0 for a reader that only extracts."""
    max_answer_tokens: Annotated[int, Field(gt=0, le=65_536)] = 64
    """The longest answer the decoder's filters cover."""

    @model_validator(mode="before")
    @classmethod
    def _for_every_layer(cls, values: Any) -> Any:
        """Writes out empty ``context_channels``: equal architectures are equal configurations."""
        if isinstance(values, dict) and not values.get("context_channels"):
            mixers = values.get("mixers", cls.model_fields["mixers"].default)
            if isinstance(mixers, list | tuple):
                return {**values, "context_channels": (0,) * len(mixers)}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> ReaderModelConfig:
        for name, entries in (("context_channels", self.context_channels), ("selected_tokens", self.selected_tokens)):
            if entries and len(entries) != len(self.mixers):
                raise ValueError(f"{name} has {len(entries)} entries for {len(self.mixers)} layers")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    @property
    def layer_mixers(self) -> tuple[str, ...]:
        """The mixer of each layer."""
        return self.mixers

    @property
    def selecting_layers(self) -> tuple[int, ...]:
        """The layers that select tokens."""
        return tuple(layer for layer, count in enumerate(self.selected_tokens) if count)


class PairModelConfig(Strict):
    """A pair reader (``ragyena.model.pair_reader``): an attention encoder in BERT's or MPNet's layout that reads a
    question and one passage as one sequence. The defaults are MPNet-base's (Song et al. 2020)."""

    kind: Literal["pair"] = "pair"
    vocab_size: Positive = 30527
    """Word pieces of the encoder; a table made when it is loaded maps the reader's to them."""
    reader_vocab_size: Positive = 30522
    """Word pieces of the reader that it teaches."""
    width: Positive = 768
    """Channels of the residual stream."""
    depth: Annotated[int, Field(gt=0, le=MOST_LAYERS)] = 12
    """Layers."""
    heads: Positive = 12
    """Heads of every attention."""
    ffn_width: Positive = 3072
    """Hidden channels of each feed-forward."""
    positions: Positive = 514
    """Rows of the position embedding."""
    first_position: Count = 2
    """The row of the first token."""
    segments: Count = 0
    """Rows of the segment embedding: 2 for BERT, 0 for MPNet."""
    relative_buckets: Annotated[int, Field(ge=0, le=4096)] = 32
    """Distances that the relative position bias tells apart (T5's; Raffel et al. 2020); 0 for no such bias."""
    separators: Annotated[int, Field(ge=1, le=2)] = 2
    """Separators between question and passage: 1 for BERT, 2 for MPNet."""
    norm_eps: float = 1e-5
    """Epsilon of the layer norms."""
    dropout: Fraction = 0.1
    """Dropout of hidden states and attention weights, in training."""

    @model_validator(mode="after")
    def _consistent(self) -> PairModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class PolarModelConfig(Strict):
    """Layers that decide yes or no in the place of the last ones of a pair reader (``ragyena.model.polar_branch``), in
    whose shape they are. The defaults are for MPNet-base's."""

    kind: Literal["polar"] = "polar"
    layers: Annotated[int, Field(gt=0, le=MOST_LAYERS)] = 4
    """Layers; the pair reader's layers before its last as many come first."""
    width: Positive = 768
    """Channels of the residual stream."""
    heads: Positive = 12
    """Heads of every attention."""
    ffn_width: Positive = 3072
    """Hidden channels of each feed-forward."""
    norm_eps: float = 1e-5
    """Epsilon of the layer norms."""
    dropout: Fraction = 0.1
    """Dropout of hidden states and attention weights, in training."""
    trunk: str = ""
    """Digest of the pair reader's weights, which the layers were trained on; set by training."""


class HyenaConfig(Strict):
    """The published causal Hyena operator (Poli et al. 2023; its released language-model settings)."""

    order: Annotated[int, Field(ge=2, le=16)] = 2
    """Number of gates; the long convolutions are one fewer."""
    short_filter: Annotated[int, Field(gt=0, le=4096)] = 3
    """Taps of the short depthwise convolution (``short_filter_order``)."""
    filter_width: Annotated[int, Field(gt=0, le=4096)] = 64
    """Hidden channels of the filter network (``filter_order``)."""
    filter_depth: Annotated[int, Field(ge=0, le=64)] = 2
    """Hidden layers of the filter network beyond the first (``num_inner_mlps``)."""
    filter_embedding: Annotated[int, Field(ge=3, le=4097)] = 33
    """Position features of the filter network (``emb_dim``): time, and as many cosines as sines."""
    sine_frequency: float = 14.0
    """Initial frequency of the filter network's sines (``w``)."""
    modulate: bool = True
    """Has filters decay exponentially."""
    fast_decay: Annotated[float, Field(gt=0.0)] = 0.3
    """``fast_decay_pct`` of the exponential window."""
    slow_decay: Annotated[float, Field(gt=0.0)] = 1.5
    """``slow_decay_pct`` of the exponential window."""
    decay_target: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-2
    """Value of the window at the given fraction of the longest filter."""
    decay_shift: float = 0.0
    """Constant added to the window."""

    @model_validator(mode="after")
    def _odd(self) -> HyenaConfig:
        if self.filter_embedding % 2 == 0:
            raise ValueError(f"filter_embedding {self.filter_embedding} must be odd")
        return self


class CausalModelConfig(HyenaConfig):
    """The published causal Hyena language model."""

    kind: Literal["causal"] = "causal"
    vocab_size: Positive = 50257
    """Tokens of the vocabulary, padding rows not counted."""
    width: Positive = 768
    """Channels of the residual stream (``d_model``)."""
    depth: Annotated[int, Field(gt=0, le=MOST_LAYERS)] = 12
    """Layers (``n_layer``)."""
    ffn_width: Positive = 3072
    """Hidden channels of each feed-forward (``d_inner``)."""
    max_length: Annotated[int, Field(gt=0, le=1 << 24)] = 1024
    """Lags the filters cover (``l_max``): a token is reached by this many tokens, itself included."""
    mixers: tuple[str, ...] = ()
    """The mixer of each layer; empty for ``hyena`` in all. ``attention`` is causal softmax attention with rotary
    positions: in all layers the Transformer baseline, in some a hybrid."""
    heads: Positive = 12
    """Heads of each attention layer."""
    rotary_base: Annotated[float, Field(gt=1.0)] = 10_000.0
    """Base of the rotary positions (Su et al. 2021): the slowest pair turns once in about this many tokens."""
    tie_embeddings: bool = True
    """Shares the input embedding with the output projection."""
    pad_vocab_multiple: Annotated[int, Field(gt=0, le=65_536)] = 8
    """The embedding has its rows padded to a multiple of this."""

    @model_validator(mode="after")
    def _consistent(self) -> CausalModelConfig:
        if self.mixers and len(self.mixers) != self.depth:
            raise ValueError(f"mixers has {len(self.mixers)} entries for {self.depth} layers")
        return self

    @property
    def layer_mixers(self) -> tuple[str, ...]:
        """The mixer of each layer, written out."""
        return self.mixers or ("hyena",) * self.depth
