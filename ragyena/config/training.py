"""Training a reader: its data, its stages, its optimizer, and the constants of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ragyena.config.models import PairModelConfig, PolarModelConfig, ReaderModelConfig
from ragyena.config.pipeline import IndexConfig, PackerConfig
from ragyena.config.strict import Count, Fraction, Positive, Strict

__all__ = [
    "PERTURBATION_WEIGHTS",
    "AnyStageConfig",
    "Calibration",
    "ContextStageConfig",
    "DataConfig",
    "Loss",
    "Mining",
    "Muon",
    "NullFit",
    "OptimizerConfig",
    "PairStageConfig",
    "PolarStageConfig",
    "Sampling",
    "StageConfig",
    "TrainConfig",
    "TrainingStage",
]


class DataConfig(Strict):
    """Training data: files, folders of files, or Hugging Face ``datasets`` names."""

    questions: tuple[str, ...]
    """Question rows ``{id, source, passage_id | context, question, answers, answer_start, split}``: JSON lines (also
    .xz), SQuAD JSON, or the name of a Hugging Face dataset in SQuAD layout."""
    unanswerable: tuple[str, ...] = ()
    """Question rows whose context holds no answer; its passage nearest to the question stands in the gold one's
    place."""
    passages: tuple[str, ...] = ()
    """Passage rows ``{id, title, context}`` that question rows refer to by ``passage_id``."""
    prose: tuple[str, ...] = ()
    """Text rows ``{title, text}``: more passages, to ask cloze questions on and to be distractors."""
    prose_tokens: Count = 24_000_000
    """The most prose tokens to use."""
    clozes: Count = 3
    """Cloze questions on each passage, at most: its sentences with a name, date or number blanked."""
    synthetic_records: Count = 0
    """Synthetic records and tables, with about five questions each, to learn looking up labelled values from."""
    definitions: Count = 0
    """The most ``What is X?`` questions, on prose that defines X."""
    row_questions: Count = 0
    """The most questions that need several rows of a table (its largest value, the row after another ...), made of the
    tables of question rows and documents."""
    row_seed: Count = 0
    """Seed of ``row_questions``."""
    hybrid_questions: tuple[str, ...] = ()
    """Question rows ``{id, doc_id, question, answers, gold_passages, split}`` on ``hybrid_documents``."""
    hybrid_documents: tuple[str, ...] = ()
    """Documents of a table and the articles it links to: rows ``{id, title, section, intro, rows, passages, split}``,
    ``passages`` being ids of ``prose`` rows. Those of the split ``train`` get synthetic questions that join a row and
    an article."""
    hybrid_repeat: Positive = 16
    """Copies of each of ``hybrid_questions`` among the synthetic ones."""
    document_questions: tuple[str, ...] = ()
    """Question rows ``{id, source, document_id, question, answers, answer_type, spans, evidence, near, split}`` on
    ``documents``; ``answer_type`` is span, list, yes, no, compare or none."""
    documents: tuple[str, ...] = ()
    """Document rows ``{id, source, title, text, split}``, loaded and cut as files of them would be."""
    document_repeat: Positive = 1
    """Copies of each of ``document_questions`` among the questions that contexts are drawn of."""
    perturbations: Positive = 1
    """Unanswerable perturbations of each question, at most; a context that perturbs its question draws one."""
    negatives: Positive = 31
    """Hard negatives kept for each question: the retriever's top hits that do not hold the answer."""
    passage_tokens: Positive = IndexConfig().passage_tokens
    """The most text tokens a passage holds, as in ``index.passage_tokens``."""
    header_tokens: Count = PackerConfig().header_tokens
    """As in ``packer.header_tokens``."""
    question_tokens: Positive = 64
    """Longer training questions are left out (and counted)."""
    document_held_out: Fraction = 0.06
    """As ``held_out``, of ``documents``."""
    held_out: Fraction = 0.02
    """Fraction of the contexts, with all their questions, kept from training to calibrate the reader's confidence."""


class OptimizerConfig(Strict):
    """Muon for the matrices of the layers, AdamW for everything else; cosine schedule with warm-up."""

    matrices: Literal["muon", "adamw"] = "muon"
    """The optimizer of the layers' matrices; ``adamw`` steps them with ``adamw_rate``."""
    muon_rate: float = 1e-3
    """Peak rate of Muon, on AdamW's scale (update RMS 0.2; Liu et al. 2025)."""
    adamw_rate: float = 1e-3
    """Peak rate of AdamW for filters, biases and vectors, and for matrices where it steps them."""
    filter_rate: float | None = None
    """Peak rate of AdamW for filters (``Mixer.FILTERS``); ``adamw_rate`` where it is not given."""
    embedding_rate: float = 0.0
    """Peak rate of AdamW for the word embeddings; 0 freezes them."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    warmup: Fraction = 0.05
    """Fraction of the stage over which rates rise."""
    final: Fraction = 0.02
    """Fraction of the peak rate at the stage's end."""


class TrainingStage(Strict):
    """The settings of a stage of any training that the loop reads."""

    name: str
    """Names the stage's folder in the run and lets later stages refer to it."""
    model: Any
    tokens: Count
    """Tokens to train on, padding included; 0 for a stage that only averages, or fits, what it starts from."""
    tokens_per_step: Positive = 65_536
    """Tokens of a step, over all processes."""
    optimizer: OptimizerConfig = OptimizerConfig()
    compile: bool = True
    """Runs layers (and a language model's loss) through ``torch.compile`` (CUDA only)."""
    seed: Count = 0
    """Added to the run's seed: stages that are to differ by chance alone have different ones."""
    checkpoint_seconds: Positive = 60
    """Seconds between checkpoints to resume from."""
    held_out_tokens: Count = 25_000_000
    """Tokens of training between measurements on held-out data (and one at the end); 0 for none."""


class ContextStageConfig(TrainingStage):
    """The settings that every stage of a reader's training has: its start, its contexts and its length."""

    start: str
    """Origin of the first weights; each kind of stage has its own default."""
    passages: tuple[Positive, ...] = (1, 8)
    """Passages in a context, drawn from these; the gold one and hard negatives, shuffled."""
    passage_weights: tuple[float, ...] = (0.5, 0.5)
    """Probability of each number of passages."""
    related: Fraction = 0.0
    """Fraction, among the passages beyond the hard negatives, of hard negatives of questions on one of
    those; the rest are drawn from all passages."""
    cloze: Fraction = 0.25
    """Fraction of steps that ask cloze questions on plain text."""
    unanswerable: Fraction = 0.08
    """Fraction of contexts from which the gold passage is left out."""
    sentence_removed: Fraction = 0.05
    """Fraction of contexts whose gold passage loses the sentence that holds the answer."""
    perturbed: Fraction = 0.08
    """Fraction of contexts whose question is perturbed until its passage does not answer it."""
    alias: Fraction = 0.2
    """Fraction of contexts of three or more passages in which a name of the question becomes an alias that another
    passage explains."""
    entity_bridge: Fraction = 0.0
    """Fraction of the ``alias`` contexts in which the name is described instead, by a column of a table row that holds
    it: two rows of a synthetic table stand in another passage."""
    tables: Fraction = 0.0
    """Fraction of contexts of several passages with a question on a table and linked articles
    (``data.hybrid_documents``), whose evidence lies in two passages."""
    header: Fraction = 0.5
    """Fraction of contexts whose passages carry their header."""
    average: dict[str, Fraction] = Field(default_factory=dict)
    """The finished model is an average of weights (Wortsman et al. 2022): the weight in it of each of others of the
    same shape: ``start`` (the stage's), ``shipped``, earlier stages, or checkpoint folders. The stage's own model has
    the rest. Most of what tuning gained is kept, most of what it lost is regained; of two models that differ by chance
    the average reads nearly as well as both together."""

    @field_validator("average", mode="after")
    @classmethod
    def _leaves_some(cls, value: dict[str, Fraction]) -> dict[str, Fraction]:
        if sum(value.values()) >= 1:
            raise ValueError("the weights of average leave none for the stage's own model")
        return value


class StageConfig(ContextStageConfig):
    """A stage that trains a reader: its model, its start, its teachers and losses."""

    kind: Literal["reader"] = "reader"
    model: ReaderModelConfig
    start: str = "encoder"
    """``encoder`` (the bundled MiniLM encoder), ``pair-encoder`` (the encoder that ``ragyena train --pair-encoder``
    names), ``scratch``, ``shipped`` (the reader inside the package), the name of an earlier stage, or a checkpoint
    folder, of a reader or a pair reader."""
    fit_null: Count = 0
    """Tokens of contexts, drawn as the stage draws them, on which the no-answer score alone is fitted at the end; 0 for
    none."""
    teacher: str = ""
    """An earlier stage or a checkpoint folder, a reader that reads the same contexts, whose hidden states, spans and
    answer modes are distilled; empty for none."""
    pair_teacher: str | tuple[str, ...] = ()
    """Earlier stages or checkpoint folders, pair readers, the average of whose spans is distilled in place of the
    ``teacher``'s; empty for none."""
    hidden_weight: float = 2.0
    """Weight of the normalised hidden-state error against the ``teacher`` at the start; 0 for a teacher of another
    width or depth."""
    pair_hidden_weight: float = 0.0
    """As ``hidden_weight``, of the passage states of the first ``pair_teacher``, which has the reader's width and
    depth."""
    hidden_final: Fraction = 0.15
    """Fraction of ``hidden_weight`` at the stage's end: a teacher's states hold a better reader back."""
    teacher_weight: float = 0.5
    """Weight of the cross-entropy to the teachers' span distribution (temperature 2), that of no answer included."""
    mode_weight: float = 0.0
    """Weight of the ``teacher``'s answer modes: that an answer is to be written, that it is a list, and yes or no."""
    polar_weight: float = 0.0
    """Weight of yes and no as the ``pair_teacher`` tells them whose folder has layers for that (``polar/``)."""
    span_weight: float = 0.5
    """Weight of the gold spans at the start; doubles over the stage."""
    write_weight: float = 0.2
    """Weight of the answer decoder's loss."""
    evidence_weight: float = 0.2
    """Weight of finding the tokens that selected attention reads; unused where no layer selects."""
    cuda_graphs: bool = False
    """With ``compile`` and on one GPU: records the passes of each shape of batch as a CUDA graph."""
    storage: Literal["float32", "compact"] = "float32"
    """Storage of the stage's checkpoint; ``compact`` is int8 for matrices, to ship (about a quarter of the size)."""

    @field_validator("pair_teacher", mode="after")
    @classmethod
    def _several(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        """One name is a tuple of one."""
        return (value,) if isinstance(value, str) and value else tuple(value)

    @model_validator(mode="after")
    def _consistent(self) -> StageConfig:
        if self.pair_hidden_weight and (self.teacher or not self.pair_teacher):
            raise ValueError("pair_hidden_weight needs a pair_teacher, and no teacher: states are learnt from one")
        if self.mode_weight and not self.teacher:
            raise ValueError("mode_weight needs a teacher, a reader that reads whole contexts")
        if self.polar_weight and not (self.pair_teacher and self.model.decoder_layers):
            raise ValueError("polar_weight needs a pair_teacher, and a model that writes answers: decoder_layers")
        if self.average.get("start") and self.start in ("encoder", "pair-encoder", "scratch"):
            raise ValueError(f"average with start needs a reader to start from, not {self.start}")
        if self.fit_null and not self.model.null_width:
            raise ValueError("fit_null needs a model whose no-answer score looks at the likeliest answer: null_width")
        return self


class PairStageConfig(ContextStageConfig):
    """A stage that trains a pair reader, a teacher, on gold spans: a larger encoder that reads the question again with
    each passage."""

    kind: Literal["pair"]
    model: PairModelConfig
    start: str = "pair-encoder"
    """``pair-encoder`` (the encoder that ``ragyena train --pair-encoder`` names), an earlier stage, or a checkpoint
    folder."""
    optimizer: OptimizerConfig = OptimizerConfig(
        muon_rate=1e-4, adamw_rate=1e-4, embedding_rate=1e-4, warmup=0.08, final=0.02
    )
    storage: Literal["float32", "bfloat16", "compact"] = "bfloat16"
    """Storage of the stage's checkpoint; ``compact`` is int8 for matrices, to ship (about half the size)."""


class PolarStageConfig(ContextStageConfig):
    """A stage that trains layers that decide yes or no in the place of the last ones of a pair reader, on yes/no
    questions alone; the pair reader stays as it is."""

    kind: Literal["polar"]
    model: PolarModelConfig
    start: str = "base"
    """The pair reader: an earlier stage, an installed reader, or a checkpoint folder. Its last layers are the first
    weights."""
    cloze: Annotated[float, Field(ge=0, le=0)] = 0.0
    """Cloze questions ask for no yes or no..."""
    tables: Annotated[float, Field(ge=0, le=0)] = 0.0
    """...nor do questions on a table and linked articles."""
    optimizer: OptimizerConfig = OptimizerConfig(muon_rate=1e-4, adamw_rate=1e-4, warmup=0.08, final=0.02)
    storage: Literal["float32", "bfloat16", "compact"] = "bfloat16"
    """Storage of the stage's checkpoint; ``compact`` is int8 for matrices, to ship."""


def _stage_kind(values: Any) -> str:
    return str(values.get("kind", "reader") if isinstance(values, dict) else values.kind)


AnyStageConfig = Annotated[
    Annotated[StageConfig, Tag("reader")]
    | Annotated[PairStageConfig, Tag("pair")]
    | Annotated[PolarStageConfig, Tag("polar")],
    Discriminator(_stage_kind),
]


class TrainConfig(Strict):
    """A reader's training run: data and stages, one after another. The ``kind`` of a file in ``configs/train`` says
    whether it is one of these or of a language model's runs (``ragyena.config.language``)."""

    kind: Literal["reader"] = "reader"
    description: str = ""
    data: DataConfig
    stages: Annotated[tuple[AnyStageConfig, ...], Field(min_length=1)]
    seed: int = 0


# --- constants of training -------------------------------------------------------------------------------------


class Muon:
    """Constants of the optimizers (``ragyena.train.optimizer``)."""

    MOMENTUM = 0.95
    UPDATE_RMS = 0.2  # of an update, as AdamW's (Liu et al. 2025)
    NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the iteration (Jordan et al. 2024)
    NEWTON_SCHULZ_STEPS = 5
    ADAMW_BETAS = (0.9, 0.98)
    ADAMW_EPS = 1e-6


class Sampling:
    """Constants of contexts and their targets (``ragyena.train.sampler``)."""

    SLOT_TOKENS = (128, 176, 240)  # of single passages; few, since each shape is compiled once; several have the last
    RANDOM_NEGATIVES = 0.15  # fraction of the negatives that are drawn from all passages
    EVIDENCE_REACH = 8  # tokens before and after an answer that count as evidence
    COMPARED_TOKENS = 8  # of an answer, to tell whether a passage holds it
    ANSWER_TOKENS = 32  # the longest answer that the decoder learns to write, its end token included
    HELD_OUT_BATCHES = 4  # of each number of passages, behind the held-out loss


class Mining:
    """Constants of hard negatives (``ragyena.train.mining``)."""

    HITS = 64  # nearest passages looked at
    GOLD_HITS = 8  # of them, those that a cloze question may find its answer in
    CLOZE_NEGATIVES = 31


class Loss:
    """Constants of the losses (``ragyena.train.objectives``, ``ragyena.train.reader_task``)."""

    TEMPERATURE = 2.0  # of the distillation of spans (Hinton et al. 2015)
    LEAST_ANSWERABLE = 1e-4  # the least probability of there being an answer that a loss is taken of
    VARIANCE_FLOOR = 0.1  # of the mean channel variance, added to each: quiet channels do not dominate
    QUESTION_SHARE = 0.2  # of question states: far fewer than passage states, and each passage needs them
    POLAR_WEIGHT = 0.1  # of telling yes/no questions from others
    POLAR_CONTEXTS = 16  # of a batch, the contexts of which a teacher tells yes or no
    UNDECIDED_WEIGHT = 0.5  # of telling passages that decide nothing, beside yes or no in those that do
    LIST_WEIGHT = 0.1  # of telling questions that ask for a list from those that ask for one span
    WRITE_CONTEXTS = 64  # of a batch, the contexts whose answers are written


class NullFit:
    """Constants of fitting the no-answer score (``ragyena.train.calibration``)."""

    HELD_OUT = 0.1  # fraction of the batches by which the best pass is chosen
    PASSES = 12
    CONTEXTS = 256  # of a step
    RATE = 5e-4
    WEIGHT_DECAY = 0.3


class Calibration:
    """Constants of fitting the confidence (``ragyena.train.calibration``)."""

    PASSAGES = (1, 8, 24)  # contexts of several sizes, so that one fit serves them all
    BATCHES = 16  # of each size
    RIGHT = 0.6  # F1 of the tokens of the best span from which it counts as right


PERTURBATION_WEIGHTS = {
    "mention": 0.35,
    "neighbour": 0.3,
    "antonym": 0.6,  # few questions have one
    "negation": 0.12,
    "narrowing": 0.12,
    "year": 0.06,
    "exchange": 0.25,  # few questions have two names
    "answer": 0.06,
    "passage_word": 0.35,
}
"""Weights by which the perturbation to try first is drawn (``ragyena.train.augment.perturb``): about its frequency in
SQuAD 2.0, but less for negation, the easiest to detect."""
