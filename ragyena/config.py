"""Every setting of ragyena, its meaning, its limits and its default: the only home of a default.

Values come from YAML (``configs/``, ``pipelines/``), the environment and flags; ``ragyena.settings`` merges them.
Unknown keys are refused. The text under a field is its documentation, shown by ``ragyena config show``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from ragyena.errors import ConfigError

__all__ = [
    "AnyStageConfig",
    "CausalModelConfig",
    "ContextStageConfig",
    "DataConfig",
    "EvalConfig",
    "HyenaConfig",
    "IndexConfig",
    "LanguageDataConfig",
    "LanguageStageConfig",
    "LanguageTrainConfig",
    "OptimizerConfig",
    "PackerConfig",
    "PairModelConfig",
    "PairStageConfig",
    "PipelineConfig",
    "ReaderConfig",
    "ReaderModelConfig",
    "RecallStageConfig",
    "RecallTrainConfig",
    "RetrieverConfig",
    "StageConfig",
    "SuiteConfig",
    "TrainConfig",
    "parse",
]


class Strict(BaseModel):
    """Frozen, no unknown keys, field docstrings kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


# ---------------------------------------------------------------------------------------------------------------
# The pipeline: what `index` and `ask` do
# ---------------------------------------------------------------------------------------------------------------


class IndexConfig(Strict):
    """How documents become an index. Fixed when the index is made; kept in its manifest."""

    embedder: str = "all-MiniLM-L6-v2"
    """Sentence embedder: the bundled one by this name, or any sentence-transformers model name or folder."""
    passage_tokens: Annotated[int, Field(ge=16, le=320)] = 200
    """The most tokens of text a passage holds, counted by the reader's tokenizer."""
    vector_index: Literal["auto", "flat", "hnsw", "ivfpq"] = "auto"
    """FAISS index kind; ``auto`` chooses by the number of passages."""
    max_file_mb: Positive = 100
    """Files larger than this are refused by name."""
    exclude: tuple[str, ...] = ()
    """Further patterns, as in a .gitignore, of files a folder walk leaves out."""
    text_fields: tuple[str, ...] = ("text", "context", "content", "body", "document")
    """Of a csv or jsonl row, the first of these fields it has is the text; else all, as ``name: value`` lines."""
    title_fields: tuple[str, ...] = ("title", "name", "heading", "subject")
    """Of a csv or jsonl row, the first of these fields that is there is the title."""


class RetrieverConfig(Strict):
    """How passages are found."""

    mode: Literal["hybrid", "dense", "lexical"] = "hybrid"
    """Dense (embeddings), lexical (BM25), or both fused by reciprocal rank."""
    top_k: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Passages to retrieve; 0 for as many as the context budget can hold."""
    candidates: Positive = 200
    """Hits taken from each of the dense and the lexical search before fusion (never fewer than are asked for)."""
    rrf_k: Positive = 60
    """The constant of reciprocal rank fusion (Cormack et al. 2009): a hit at rank r weighs 1 / (rrf_k + r)."""


class PackerConfig(Strict):
    """How a context is filled."""

    context_tokens: Annotated[int, Field(ge=256, le=131_072)] = 8192
    """The most tokens a context may have: question, passages and padding."""
    order: Literal["score", "document"] = "score"
    """Slot order: best first, or as the passages stand in their documents."""
    neighbours: Annotated[int, Field(ge=0, le=8)] = 0
    """How many passages before and after a hit are pulled in beside it while there is room."""
    near_duplicate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Passages whose sets of word 3-grams overlap by this Jaccard similarity or more count as duplicates."""
    header_tokens: Annotated[int, Field(ge=0, le=64)] = 32
    """The most tokens of title and headings written before each passage's text."""


class ReaderConfig(Strict):
    """How a context is read."""

    checkpoint: str = "shipped"
    """The reader: ``shipped`` for the one inside the package, or a checkpoint folder."""
    threshold: Fraction = 0.15
    """Answers less probable than this are withheld: the reader says that it does not know."""
    retrieval_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 6.0
    """How much the retriever's word counts: this times log(score / best score) is added to the scores of a passage's
    spans; 0 leaves it to the reader alone. Passages that came from no search are not weighed."""
    max_answer_tokens: Annotated[int, Field(ge=1, le=256)] = 30
    """The longest answer, extracted or written."""
    max_question_tokens: Annotated[int, Field(ge=8, le=512)] = 128
    """The longest question."""
    citations: Annotated[int, Field(ge=1, le=32)] = 3
    """The most citations an answer carries."""
    device: str = "auto"
    """``auto`` (CUDA where there is one, else CPU), ``cpu``, ``cuda`` or ``cuda:N``."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the layers; ``auto`` is bfloat16 where the device multiplies matrices faster in it."""


class PipelineConfig(Strict):
    """One runnable pipeline: index, retriever, packer and reader settings. A file in ``pipelines/`` is one of these."""

    description: str = ""
    """One line for ``--help`` and ``config show``."""
    index_root: Path | None = None
    """Where indexes named without a path live; unset is the user's data folder."""
    index: IndexConfig = IndexConfig()
    retriever: RetrieverConfig = RetrieverConfig()
    packer: PackerConfig = PackerConfig()
    reader: ReaderConfig = ReaderConfig()


# ---------------------------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------------------------

Mixer = Literal["hyena", "attention", "local_attention"]


class ReaderModelConfig(Strict):
    """The architecture of a reader (``ragyena.model.reader_model``). The attention twin differs in ``mixers`` alone."""

    kind: Literal["reader"] = "reader"
    vocab_size: Positive = 30522
    """Word pieces."""
    width: Positive = 384
    """Channels of the residual stream."""
    heads: Positive = 12
    """Heads of every attention, the cross-attention to the question included."""
    ffn_width: Positive = 1536
    """Hidden channels of each feed-forward."""
    mixers: tuple[Mixer, ...] = ("hyena",) * 6
    """The mixer of each layer; its length is the depth."""
    context_channels: tuple[Count, ...] = (0,) * 6
    """Of each Hyena layer, how many channels have context scope (the rest have passage scope)."""
    selected_tokens: tuple[Count, ...] = ()
    """Of each Hyena layer, how many tokens of the whole context are chosen by their evidence score, for all others and
    the question to attend to: linear in the context. Empty for none in any layer."""
    boundary: Literal["none", "reset", "modulated"] = "modulated"
    """What context-scope filters make of passage boundaries: nothing, a reset, or a learned g(passages apart)."""
    near_taps: Annotated[int, Field(ge=0, le=64)] = 12
    """Free filter taps at lags -near_taps ... near_taps."""
    implicit_filter: bool = True
    """Whether filters have an implicit part beside the free taps."""
    filter_width: Positive = 64
    """Hidden channels of the filter network."""
    filter_bands: Positive = 14
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
    """Whether exact matches of question words and word pairs are marked on the passage tokens."""
    null_width: Count = 0
    """Hidden channels of a no-answer score that looks at the states where the likeliest answer starts and ends; 0 for
    one from the question alone."""
    decoder_layers: Count = 2
    """Causal Hyena layers of the answer decoder; 0 for a reader that only extracts."""
    max_answer_tokens: Positive = 64
    """The longest answer the decoder's filters cover."""

    @model_validator(mode="after")
    def _consistent(self) -> ReaderModelConfig:
        if len(self.context_channels) != len(self.mixers):
            raise ValueError(f"context_channels has {len(self.context_channels)} entries for {len(self.mixers)} layers")
        if self.selected_tokens and len(self.selected_tokens) != len(self.mixers):
            raise ValueError(f"selected_tokens has {len(self.selected_tokens)} entries for {len(self.mixers)} layers")
        if any(self.mixers[layer] != "hyena" for layer in self.selecting_layers):
            raise ValueError("selected_tokens are for hyena layers: attention sees every token of its scope already")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if any(c > self.width for c in self.context_channels):
            raise ValueError(f"context_channels {self.context_channels} exceed width {self.width}")
        return self

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
    depth: Positive = 12
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
    relative_buckets: Count = 32
    """Distances that the relative position bias tells apart (T5's; Raffel et al. 2020); 0 for no such bias."""
    separators: Annotated[int, Field(ge=1, le=2)] = 2
    """Separators between question and passage: 1 for BERT, 2 for MPNet."""
    norm_eps: float = 1e-5
    """Of the layer norms."""
    dropout: Fraction = 0.1
    """Of hidden states and attention weights, in training."""

    @model_validator(mode="after")
    def _consistent(self) -> PairModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class HyenaConfig(Strict):
    """The published causal Hyena operator (Poli et al. 2023; its released language-model settings)."""

    order: Annotated[int, Field(ge=2)] = 2
    """Projections besides the value: ``order`` gates and ``order`` - 1 long convolutions."""
    short_filter: Positive = 3
    """Taps of the short depthwise convolution (``short_filter_order``)."""
    filter_width: Positive = 64
    """Hidden channels of the filter network (``filter_order``)."""
    filter_depth: Count = 2
    """Hidden layers of the filter network beyond the first (``num_inner_mlps``)."""
    filter_embedding: Annotated[int, Field(ge=3)] = 33
    """Position features of the filter network (``emb_dim``): time, and as many cosines as sines."""
    sine_frequency: float = 14.0
    """Initial frequency of the filter network's sines (``w``)."""
    modulate: bool = True
    """Whether filters decay exponentially."""
    fast_decay: Annotated[float, Field(gt=0.0)] = 0.3
    """``fast_decay_pct`` of the exponential window."""
    slow_decay: Annotated[float, Field(gt=0.0)] = 1.5
    """``slow_decay_pct`` of the exponential window."""
    decay_target: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-2
    """What the window has decayed to at the given fraction of the longest filter."""
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
    depth: Positive = 12
    """Layers (``n_layer``)."""
    ffn_width: Positive = 3072
    """Hidden channels of each feed-forward (``d_inner``)."""
    max_length: Positive = 1024
    """Lags the filters cover (``l_max``): a token is reached by this many tokens, itself included."""
    mixers: tuple[Literal["hyena", "attention"], ...] = ()
    """The mixer of each layer; empty is Hyena in all of them. ``attention`` is causal softmax attention over the whole
    past with rotary positions: all layers of it are the Transformer twin, some a hybrid."""
    heads: Positive = 12
    """Heads of each attention layer."""
    rotary_base: Annotated[float, Field(gt=1.0)] = 10_000.0
    """Base of the rotary positions (Su et al. 2021): the slowest pair turns once in about this many tokens."""
    tie_embeddings: bool = True
    """Whether the output projection shares the input embedding."""
    pad_vocab_multiple: Positive = 8
    """The embedding has its rows padded to a multiple of this."""

    @model_validator(mode="after")
    def _consistent(self) -> CausalModelConfig:
        if self.mixers and len(self.mixers) != self.depth:
            raise ValueError(f"mixers has {len(self.mixers)} entries for {self.depth} layers")
        if "attention" in self.mixers and (self.width % self.heads or self.width // self.heads % 2):
            raise ValueError(f"width {self.width} is not an even multiple of heads {self.heads}")
        return self

    @property
    def layer_mixers(self) -> tuple[str, ...]:
        """The mixer of each layer, written out."""
        return self.mixers or ("hyena",) * self.depth


# ---------------------------------------------------------------------------------------------------------------
# Training and evaluation
# ---------------------------------------------------------------------------------------------------------------


class DataConfig(Strict):
    """Training data: files, folders of files, or Hugging Face ``datasets`` names."""

    questions: tuple[str, ...]
    """Question rows ``{id, source, passage_id | context, question, answers, answer_start, split}``: JSON lines (also
    .xz), SQuAD JSON, or the name of a Hugging Face dataset in SQuAD layout."""
    passages: tuple[str, ...] = ()
    """Passage rows ``{id, title, context}`` that question rows refer to by ``passage_id``."""
    prose: tuple[str, ...] = ()
    """Text rows ``{title, text}``: more passages, to ask cloze questions on and to be distractors."""
    prose_tokens: Count = 24_000_000
    """The most prose tokens to use."""
    clozes: Count = 3
    """Cloze questions made on each passage, at most: its sentences with a name, date or number blanked."""
    sheets: Count = 0
    """Made-up data sheets and tables, with about five questions each, to learn looking up labelled values from."""
    definitions: Count = 0
    """Questions what something is, made on prose that says so, at most."""
    negatives: Positive = 31
    """Hard negatives kept for each question: the retriever's top hits that do not hold the answer."""
    passage_tokens: Positive = 200
    """The most text tokens a passage holds, as in ``index.passage_tokens``."""
    header_tokens: Count = 32
    """As in ``packer.header_tokens``."""
    question_tokens: Positive = 64
    """Longer training questions are left out (and counted)."""
    held_out: Fraction = 0.02
    """Fraction of the contexts, with all their questions, kept from training to calibrate the reader's confidence."""


class OptimizerConfig(Strict):
    """Muon for the matrices of the layers, AdamW for everything else; cosine schedule with warm-up."""

    muon_rate: float = 1e-3
    """Peak rate of Muon, on AdamW's scale (update RMS 0.2; Liu et al. 2025)."""
    adamw_rate: float = 1e-3
    """Peak rate of AdamW for filters, biases and vectors."""
    embedding_rate: float = 0.0
    """Peak rate of AdamW for the word embeddings; 0 freezes them."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    warmup: Fraction = 0.05
    """Fraction of the stage over which rates rise."""
    final: Fraction = 0.02
    """Fraction of the peak rate at the stage's end."""


class ContextStageConfig(Strict):
    """What every stage of a reader's training has: what its contexts are made of, and how long it lasts."""

    name: str
    """Names the stage's folder in the run and lets later stages refer to it."""
    tokens: Positive
    """Tokens of context to train on, padding included."""
    tokens_per_step: Positive = 65_536
    passages: tuple[Positive, ...] = (1, 8)
    """Passages in a context, drawn from these; the gold one and hard negatives, shuffled."""
    passage_weights: tuple[float, ...] = (0.5, 0.5)
    """How often each number of passages is drawn."""
    cloze: Fraction = 0.25
    """Fraction of steps that ask cloze questions on plain text."""
    unanswerable: Fraction = 0.08
    """Fraction of contexts from which the gold passage is left out."""
    sentence_removed: Fraction = 0.05
    """Fraction of contexts whose gold passage loses the sentence that holds the answer."""
    twisted: Fraction = 0.08
    """Fraction of contexts whose question is changed until its passage does not answer it."""
    alias: Fraction = 0.2
    """Fraction of contexts of three or more passages in which a name of the question becomes an alias that another
    passage explains."""
    header: Fraction = 0.5
    """Fraction of contexts whose passages carry their header."""
    optimizer: OptimizerConfig = OptimizerConfig()
    compile: bool = True
    """Whether layers run through ``torch.compile`` (CUDA only)."""
    checkpoint_seconds: Positive = 60
    """How often a checkpoint to resume from is written."""
    held_out_tokens: Count = 25_000_000
    """Tokens of training between looks at the held-out loss (and one at the end); 0 for none."""


class StageConfig(ContextStageConfig):
    """A stage that trains a reader: a model, what it starts from, and what it learns from."""

    kind: Literal["reader"] = "reader"
    model: ReaderModelConfig
    start: str = "encoder"
    """``encoder`` (the bundled MiniLM encoder), ``scratch``, the name of an earlier stage, or a checkpoint folder."""
    teacher: str = ""
    """An earlier stage or a checkpoint folder, a reader of the same width and depth, whose hidden states and spans are
    distilled; empty for none."""
    pair_teacher: str = ""
    """An earlier stage or a checkpoint folder, a pair reader, whose spans are distilled in place of the ``teacher``'s;
    empty for none."""
    hidden_weight: float = 2.0
    """Weight of the normalised hidden-state error against the teacher at the start."""
    hidden_final: Fraction = 0.15
    """What is left of ``hidden_weight`` at the stage's end: a teacher's states hold a better reader back."""
    teacher_weight: float = 0.5
    """Weight of the cross-entropy to the teacher's span distribution (temperature 2)."""
    span_weight: float = 0.5
    """Weight of the gold spans at the start; doubles over the stage."""
    write_weight: float = 0.2
    """Weight of the answer decoder's loss."""
    evidence_weight: float = 0.2
    """Weight of finding the tokens that selected attention reads; unused where no layer selects."""
    cuda_graphs: bool = False
    """Whether, with ``compile`` and on one GPU, the passes of each shape of batch are recorded as a CUDA graph."""
    storage: Literal["float32", "compact"] = "float32"
    """How the stage's checkpoint is stored; ``compact`` is int8 for matrices, to ship (about a quarter of the size)."""


class PairStageConfig(ContextStageConfig):
    """A stage that trains a pair reader on gold spans, to teach: a larger encoder that reads the question again with
    each passage."""

    kind: Literal["pair"]
    model: PairModelConfig
    start: str = "pair-encoder"
    """``pair-encoder`` (the encoder that ``ragyena train --pair-encoder`` names), an earlier stage, or a checkpoint
    folder."""
    optimizer: OptimizerConfig = OptimizerConfig(
        muon_rate=1e-4, adamw_rate=1e-4, embedding_rate=1e-4, warmup=0.08, final=0.02
    )
    storage: Literal["float32", "bfloat16"] = "bfloat16"
    """How the stage's checkpoint is stored."""


def _stage_kind(values: Any) -> str:
    return str(values.get("kind", "reader") if isinstance(values, dict) else values.kind)


AnyStageConfig = Annotated[
    Annotated[StageConfig, Tag("reader")] | Annotated[PairStageConfig, Tag("pair")], Discriminator(_stage_kind)
]


class TrainConfig(Strict):
    """A reader's training run: data and stages, one after another. A file in ``configs/train`` is one of these, or of
    the other kinds below: its ``kind`` says which."""

    kind: Literal["reader"] = "reader"
    description: str = ""
    data: DataConfig
    stages: Annotated[tuple[AnyStageConfig, ...], Field(min_length=1)]
    seed: int = 0


# ---------------------------------------------------------------------------------------------------------------
# Training a causal language model
# ---------------------------------------------------------------------------------------------------------------


class LanguageDataConfig(Strict):
    """Prose for language modelling: files, folders of files, or Hugging Face ``datasets`` names."""

    prose: tuple[str, ...]
    """Text rows ``{title, text, split}``. Rows of the split ``train``, and rows that name none, are trained on."""
    train_tokens: Positive = 1_000_000_000
    """The most tokens to keep for training; what is there is passed over again, in another order, where it is less."""
    dev_tokens: Positive = 1_000_000
    """The most tokens of the ``dev`` split to measure held-out perplexity on, taken evenly from the files."""


class LanguageStageConfig(Strict):
    """One stage of a language model's training."""

    name: str = "model"
    """Names the stage's folder in the run and lets later stages refer to it."""
    model: CausalModelConfig
    start: str = "scratch"
    """``scratch``, the name of an earlier stage, or a checkpoint folder; of the same model."""
    sequence_tokens: Annotated[int, Field(ge=2)] = 2048
    """Tokens of a sequence: a window of the stream of documents."""
    tokens: Positive
    """Tokens to train on."""
    tokens_per_step: Positive = 65_536
    """Tokens of a step, over all processes; a multiple of ``sequence_tokens`` times their number."""
    optimizer: OptimizerConfig = OptimizerConfig(embedding_rate=1e-3, weight_decay=0.1, final=0.05)
    compile: bool = True
    """Whether layers and loss run through ``torch.compile`` (CUDA only)."""
    storage: Literal["float32", "bfloat16"] = "float32"
    """How the stage's checkpoint is stored."""
    checkpoint_seconds: Positive = 120
    """How often a checkpoint to resume from is written."""
    held_out_tokens: Count = 20_000_000
    """Tokens of training between looks at the held-out loss (and one at the end); 0 for none."""

    @model_validator(mode="after")
    def _consistent(self) -> LanguageStageConfig:
        if self.tokens_per_step % self.sequence_tokens:
            raise ValueError(
                f"tokens_per_step {self.tokens_per_step} is not a multiple of sequence_tokens {self.sequence_tokens}"
            )
        return self


class LanguageTrainConfig(Strict):
    """A causal language model's training run (Poli et al. 2023, section 4.2)."""

    kind: Literal["language"]
    description: str = ""
    data: LanguageDataConfig
    stages: Annotated[tuple[LanguageStageConfig, ...], Field(min_length=1)]
    seed: int = 0


class RecallStageConfig(Strict):
    """One synthetic task and the tiny language model that learns it (Poli et al. 2023, section 4.1)."""

    name: str
    """Names the stage's folder in the run."""
    model: CausalModelConfig
    task: Literal["associative", "associative_once", "induction"]
    """``associative``: key and value tokens in turn, by a mapping of the sequence's own, then keys whose values are
    asked for; with few keys each is met again and again. ``associative_once``: each key is met once, amid filler.
    ``induction``: random tokens, one of them after a special token, which comes again at the end and asks for it."""
    symbols: Annotated[int, Field(ge=4)] = 40
    """Tokens of the task: half of them keys and half values, or all of them random text. One more is the filler or the
    special token."""
    queries: Positive = 1
    """Keys asked for at the end of a sequence; an induction has one."""
    lengths: tuple[Annotated[int, Field(ge=16)], ...] = (8192, 32768, 131072)
    """Tokens of a sequence; each step has sequences of one of these lengths, in turn, and each is measured."""
    start: str = "scratch"
    """``scratch``, the name of an earlier stage, or a checkpoint folder; of the same model."""
    tokens: Positive
    """Tokens to train on."""
    tokens_per_step: Positive = 262_144
    """Tokens of a step, over all processes: at least one sequence for each of them."""
    held_out_sequences: Positive = 64
    """New sequences of each length on which accuracy is measured."""
    optimizer: OptimizerConfig = OptimizerConfig(embedding_rate=1e-3)
    compile: bool = True
    """Whether layers and loss run through ``torch.compile`` (CUDA only)."""
    checkpoint_seconds: Positive = 60
    """How often a checkpoint to resume from is written."""
    held_out_tokens: Count = 50_000_000
    """Tokens of training between looks at the held-out accuracy (and one at the end); 0 for none."""

    @model_validator(mode="after")
    def _consistent(self) -> RecallStageConfig:
        if self.model.vocab_size <= self.symbols:
            raise ValueError(f"{self.symbols} symbols and one more need a model.vocab_size above {self.symbols}")
        if self.task == "induction" and self.queries != 1:
            raise ValueError(f"an induction has one query, not {self.queries}")
        if self.task == "associative" and min(self.lengths) < 2 * (1 + self.queries):
            raise ValueError(f"sequences of {min(self.lengths)} tokens have no room for {self.queries} queries")
        if self.task == "associative_once" and min(self.lengths) < 2 * (self.symbols // 2 + self.queries):
            raise ValueError(f"sequences of {min(self.lengths)} tokens have no room for {self.symbols // 2} pairs")
        if self.tokens_per_step < max(self.lengths):
            raise ValueError(f"tokens_per_step {self.tokens_per_step} is less than a sequence of {max(self.lengths)}")
        return self


class RecallTrainConfig(Strict):
    """Training on synthetic recall tasks, a stage each; it needs no data."""

    kind: Literal["recall"]
    description: str = ""
    stages: Annotated[tuple[RecallStageConfig, ...], Field(min_length=1)]
    seed: int = 0


# ---------------------------------------------------------------------------------------------------------------
# Evaluation
# ---------------------------------------------------------------------------------------------------------------

Task = Literal["among", "open", "positions", "alias", "hybrid", "retrieval"]

_TASK_FIELDS: dict[str, frozenset[str]] = {
    "among": frozenset({"among", "corpus", "masked", "timed"}),
    "open": frozenset({"context_tokens", "prose", "corpus", "masked", "timed"}),
    "positions": frozenset({"context_tokens", "positions", "corpus", "masked", "timed"}),
    "alias": frozenset({"among", "timed"}),
    "hybrid": frozenset({"documents", "prose", "timed"}),
    "retrieval": frozenset({"prose", "corpus", "beir", "masked", "modes", "recall_at", "reranker", "rerank"}),
}
"""Which of the fields that belong to some tasks each task knows."""


class EvalConfig(Strict):
    """One evaluation of a reader: which questions, on which contexts. A file in ``configs/eval`` is one of these.

    Contexts are cut and packed as the pipeline settings say (``index.passage_tokens``, ``packer.header_tokens``).
    """

    description: str = ""
    task: Task = "among"
    """What a context is. ``among``: the question's own passages among the retriever's other hits. ``open``: what the
    pipeline finds and packs for the question alone. ``positions``: the own passages at given depths of a context
    filled with other hits. ``alias``: as ``among``, with and without a second hop that only another passage resolves.
    ``hybrid``: documents of tables and linked articles, read whole and passage by passage. ``retrieval``: no reader;
    what each way of searching finds."""
    questions: tuple[str, ...] = ()
    """Question rows, as in ``data.questions`` of a training recipe. Paths are relative to the data root, which is
    the current folder unless ``--data-root`` names another."""
    passages: tuple[str, ...] = ()
    """Passage rows that question rows refer to by ``passage_id``; also what is retrieved from."""
    unanswerable: tuple[str, ...] = ()
    """Question rows whose context holds no answer: they test whether confidence tells them from answerable ones."""
    prose: tuple[str, ...] = ()
    """Further texts: retrieved from in ``open``, the linked articles in ``hybrid``."""
    documents: tuple[str, ...] = ()
    """Of ``hybrid``: rows of documents with a table and links, that question rows name by ``doc_id``."""
    corpus: tuple[str, ...] = ()
    """Files and folders to index, as ``index add`` does, and to ask on instead of ``passages`` and ``prose``. A name
    that begins with ``shipped:`` stands inside the package: ``shipped:demo/corpus``. Questions need no context then."""
    beir: str = ""
    """Of ``retrieval``: a folder in the layout of BEIR (``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``),
    instead of questions and passages; ``split`` says which judgements count."""
    masked: Count = 0
    """Questions made by masking spans of the documents of ``corpus``, or of the index of ``--index``, which recur in
    another passage nearby: at most so many, asked beside ``questions``. The passage that a sentence is taken from is
    not shown."""
    split: str = "dev"
    """Rows of this split are asked, and rows that name none."""
    sources: tuple[str, ...] = ()
    """Only answerable rows of these sources; empty for all."""
    among: tuple[Annotated[int, Field(ge=1, le=512)], ...] = (1,)
    """Each number is a condition. 1: the question's own context alone. K: its passages among K in total, the others
    being the retriever's top hits in all passages, in an order drawn with the seed."""
    context_tokens: tuple[Annotated[int, Field(ge=256, le=131_072)], ...] = (8192, 32768, 131_072)
    """Of ``open`` and ``positions``: context lengths, each a condition. Hits are found once, for the longest."""
    positions: tuple[Fraction, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Of ``positions``: where the own passages stand, 0 the first slot and 1 the last; each a condition."""
    modes: Annotated[tuple[Literal["dense", "lexical", "hybrid"], ...], Field(min_length=1)] = (
        *("hybrid", "dense", "lexical"),
    )
    """Of ``retrieval``: ways of searching, each a condition; the others are compared with the first."""
    reranker: str = ""
    """Of ``retrieval``: a cross-encoder, by its folder or its name on the hub. It adds the condition ``reranked``, in
    which it orders the first hits of the first of ``modes`` anew. None ships."""
    rerank: Annotated[int, Field(ge=1, le=1000)] = 50
    """How many hits the ``reranker`` orders; those after them keep their places."""
    recall_at: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = (1, 5, 20, 100)
    """Of ``retrieval``: numbers of passages among which the right one is looked for."""
    limit: Count = 0
    """The most answerable and the most unanswerable questions, drawn with the seed; 0 for all."""
    timed: Count = 0
    """Of each condition, the contexts of so many questions are also read one by one, for latency percentiles: p95 needs
    20 of them, p99 100."""
    seed: int = 0
    resamples: Annotated[int, Field(ge=100)] = 2000
    """Bootstrap resamples behind each interval."""

    @model_validator(mode="after")
    def _of_the_task(self) -> EvalConfig:
        known = frozenset().union(*_TASK_FIELDS.values())
        if foreign := sorted((self.model_fields_set & known) - _TASK_FIELDS[self.task]):
            raise ValueError(f"{', '.join(foreign)} mean nothing to the task '{self.task}'")
        for name in ("among", "context_tokens", "positions", "modes", "recall_at"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} needs one value or more, each once")
        if self.corpus and self.passages:
            raise ValueError("questions are asked on the corpus or on the passages, not on both")
        if self.beir and (self.questions or self.passages or self.prose or self.corpus or self.masked):
            raise ValueError("a beir folder brings its own questions and documents")
        if self.masked and self.passages:
            raise ValueError("masked questions are made from a corpus or an index (--index), not from passages")
        if self.task == "among" and (self.corpus or self.masked) and 1 in self.among:
            raise ValueError("among 1 needs questions with a context of their own; on a corpus it is 2 or more")
        if self.task == "alias" and 1 in self.among:
            raise ValueError("among 1 leaves no other passage for a second hop")
        return self


class SuiteConfig(Strict):
    """Several evaluations that belong together, run one after the other and shown on one page. A file in
    ``configs/eval`` whose task is ``suite``."""

    description: str = ""
    task: Literal["suite"]
    recipes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of recipes, or YAML files, relative to this one; in the order in which they are run and shown."""

    @model_validator(mode="after")
    def _each_once(self) -> SuiteConfig:
        if len(set(self.recipes)) < len(self.recipes):
            raise ValueError("recipes needs each recipe once")
        return self


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], values: dict[str, Any], *, source: str) -> Model:
    """``values`` checked against ``model``; a ConfigError names each wrong key, and ``source`` as where it is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"])
            if not key:  # of several settings together: the message names them
                problems.append(item["msg"].removeprefix("Value error, "))
            elif item["type"] == "extra_forbidden":
                problems.append(f"unknown setting '{key}'")
            else:
                problems.append(f"'{key}': {item['msg']} (got {item['input']!r:.60})")
        raise ConfigError(
            f"{source}: {'; '.join(problems)}", hint="`ragyena config show` lists every setting with its meaning"
        ) from error
