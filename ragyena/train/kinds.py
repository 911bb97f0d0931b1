"""Kinds of training, by the ``kind`` of a recipe: how data are packed, and the task of each stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from ragyena import recipes
from ragyena.config import LanguageTrainConfig, RecallTrainConfig, TrainConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError, UsageError
from ragyena.train.lm_data import Stream, prepare_prose
from ragyena.train.lm_task import LanguageTask
from ragyena.train.ranks import Ranks
from ragyena.train.recall_task import RecallTask
from ragyena.train.task import Task
from ragyena.types import Progress

__all__ = ["AnyTrainConfig", "LanguageTraining", "Packed", "RecallTraining", "RunContext", "Training"]

AnyTrainConfig: TypeAlias = TrainConfig | LanguageTrainConfig | RecallTrainConfig


@dataclass(frozen=True, slots=True)
class Packed:
    """A file that training reads in place of the texts, and what went into it."""

    path: Path
    summary: str


@dataclass(frozen=True, slots=True)
class RunContext:
    """The files, device and process of a run."""

    folder: Path
    packed: Path | None
    """A file of packed data."""
    encoder: Path | None
    """A BERT-layout model.safetensors for a reader to start from; None for the bundled embedder's."""
    pair_encoder: Path | None
    """The folder of the encoder that a pair reader starts from; none is bundled."""
    device: str
    ranks: Ranks
    progress: Progress

    def packed_file(self) -> Path:
        """The packed data. Raises DataError where there are none."""
        if self.packed is None:
            raise DataError("there are no packed data", hint="make them: ragyena train RECIPE --pack-only")
        return self.packed


class Training(ABC):
    """A kind of training."""

    config: ClassVar[type[AnyTrainConfig]]
    data_files: ClassVar[tuple[str, ...]] = ()
    """The settings of ``data`` that name files."""

    @abstractmethod
    def pack(self, config: Any, cache: Path, encoder: Path | None, progress: Progress) -> Packed:
        """The recipe's data as training reads them, made once in ``cache``. Raises UsageError where it needs none."""

    @abstractmethod
    def tasks(self, config: Any, run: RunContext) -> Callable[[Any], Task]:
        """The maker of each stage's task."""

    def check(self, config: Any, folder: Path, pair_encoder: Path | None) -> None:  # noqa: B027 - most need nothing
        """Looks for what the stages need, before any work is done. Raises UsageError, CheckpointError."""


class LanguageTraining(Training):
    """A causal language model on prose."""

    config = LanguageTrainConfig
    data_files = ("prose",)

    def pack(self, config: LanguageTrainConfig, cache: Path, encoder: Path | None, progress: Progress) -> Packed:
        prose = prepare_prose(config.data, Tokenizer.from_folder(recipes.asset("reader")), cache, progress)
        return Packed(
            prose.path,
            f"{prose.train_tokens:,} tokens of {prose.train_documents:,} documents to train on, {prose.dev_tokens:,} "
            f"of {prose.dev_documents:,} held out",
        )

    def tasks(self, config: LanguageTrainConfig, run: RunContext) -> Callable[[Any], Task]:
        stream = Stream.load(run.packed_file(), run.device)
        tokenizer = recipes.asset("reader") / "tokenizer.json"
        return lambda stage: LanguageTask(
            config, stage, stream, runs=run.folder, tokenizer=tokenizer, device=run.device, ranks=run.ranks
        )


class RecallTraining(Training):
    """A tiny language model on synthetic recall tasks."""

    config = RecallTrainConfig

    def pack(self, config: RecallTrainConfig, cache: Path, encoder: Path | None, progress: Progress) -> Packed:
        raise UsageError("this recipe makes its data as it trains", hint="leave --pack-only and --packed out")

    def tasks(self, config: RecallTrainConfig, run: RunContext) -> Callable[[Any], Task]:
        return lambda stage: RecallTask(config, stage, runs=run.folder, device=run.device, ranks=run.ranks)
