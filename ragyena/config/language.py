"""Training a causal language model on prose, or on tasks of recall."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ragyena.config.models import CausalModelConfig
from ragyena.config.strict import Count, Positive, Strict
from ragyena.config.training import OptimizerConfig, TrainingStage

__all__ = ["LanguageDataConfig", "LanguageStageConfig", "LanguageTrainConfig", "RecallStageConfig", "RecallTrainConfig"]


class LanguageDataConfig(Strict):
    """Prose for language modelling: files, folders of files, or Hugging Face ``datasets`` names."""

    prose: tuple[str, ...]
    """Text rows ``{title, text, split}``. Rows of the split ``train``, and rows that name none, are trained on."""
    train_tokens: Positive = 1_000_000_000
    """The most tokens to keep for training; where there are fewer, they are repeated in another order."""
    dev_tokens: Positive = 1_000_000
    """The most tokens of the ``dev`` split to measure held-out perplexity on, taken evenly from the files."""
    held_out_overlap: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Deduplicates across splits: a document to train on is left out where it and a document of the ``dev`` split share
    this fraction of the word 3-grams of the smaller of the two; None keeps all."""


class _CausalStageConfig(TrainingStage):
    """The settings that stages of language models share."""

    model: CausalModelConfig
    start: str = "scratch"
    """``scratch``, the name of an earlier stage, or a checkpoint folder; of the same model."""


class LanguageStageConfig(_CausalStageConfig):
    """One stage of a language model's training."""

    name: str = "model"
    sequence_tokens: Annotated[int, Field(ge=2)] = 2048
    """Tokens of a sequence: a window of the stream of documents. A step is a multiple of it and of the processes."""
    optimizer: OptimizerConfig = OptimizerConfig(embedding_rate=1e-3, weight_decay=0.1, final=0.05)
    storage: Literal["float32", "bfloat16"] = "float32"
    """Storage of the stage's checkpoint."""
    cuda_graphs: bool = True
    """Records forward and backward passes as CUDA graphs and replays them, where layers are compiled and one process
    trains: a host launches a step's kernels more slowly than a fast GPU runs them."""
    checkpoint_seconds: Positive = 120
    held_out_tokens: Count = 20_000_000

    @model_validator(mode="after")
    def _consistent(self) -> LanguageStageConfig:
        if self.tokens_per_step % self.sequence_tokens:
            raise ValueError(
                f"tokens_per_step {self.tokens_per_step} is not a multiple of sequence_tokens {self.sequence_tokens}"
            )
        return self


class RecallStageConfig(_CausalStageConfig):
    """One synthetic task and the tiny language model that learns it (Poli et al. 2023, section 4.1)."""

    task: Literal["associative", "associative_once", "induction"]
    """``associative``: key and value tokens in turn, by a mapping of the sequence's own, then queries: keys whose
    values are to be predicted; with few keys each is repeated. ``associative_once``: each key is stated once, among
    filler. ``induction``: random tokens, one of them after a special token, which comes again at the end as the
    query."""
    symbols: Annotated[int, Field(ge=4)] = 40
    """Tokens of the task: half of them keys and half values, or all of them random text. One more is the filler or the
    special token."""
    queries: Positive = 1
    """Queries at the end of a sequence; an induction has one."""
    lengths: tuple[Annotated[int, Field(ge=16)], ...] = (8192, 32768, 131072)
    """Tokens of a sequence; each step has sequences of one of these lengths, in turn, and each is measured."""
    tokens_per_step: Positive = 262_144
    held_out_sequences: Positive = 64
    """New sequences of each length on which accuracy is measured."""
    optimizer: OptimizerConfig = OptimizerConfig(embedding_rate=1e-3)
    held_out_tokens: Count = 50_000_000

    @model_validator(mode="after")
    def _consistent(self) -> RecallStageConfig:
        shortest, longest = min(self.lengths), max(self.lengths)
        pairs = {"associative": 1, "associative_once": self.symbols // 2}.get(self.task)
        if self.model.vocab_size <= self.symbols:
            raise ValueError(f"{self.symbols} symbols and one more need a model.vocab_size above {self.symbols}")
        if self.task == "induction" and self.queries != 1:
            raise ValueError(f"an induction has one query, not {self.queries}")
        if pairs is not None and shortest < 2 * (pairs + self.queries):
            raise ValueError(
                f"sequences of {shortest} tokens have no room for {pairs} pairs and {self.queries} queries"
            )
        if self.tokens_per_step < longest:
            raise ValueError(f"tokens_per_step {self.tokens_per_step} is less than a sequence of {longest}")
        return self


class LanguageTrainConfig(Strict):
    """A causal language model's training run (Poli et al. 2023, section 4.2)."""

    kind: Literal["language"]
    description: str = ""
    data: LanguageDataConfig
    stages: Annotated[tuple[LanguageStageConfig, ...], Field(min_length=1)]
    seed: int = 0


class RecallTrainConfig(Strict):
    """Training on synthetic recall tasks, a stage each; it needs no data."""

    kind: Literal["recall"]
    description: str = ""
    stages: Annotated[tuple[RecallStageConfig, ...], Field(min_length=1)]
    seed: int = 0
