"""The use case of ``ragyena train``: a recipe and data in, a run folder of checkpoints out."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from ragyena import recipes
from ragyena.config import CausalModelConfig, ReaderModelConfig, RecallTrainConfig, TrainingStage, parse
from ragyena.data.qa_files import under
from ragyena.errors import ConfigError, DataError, MissingDependencyError
from ragyena.model.mixers import check_mixers
from ragyena.train.arrays import check_made_of
from ragyena.train.kinds import KINDS, AnyTrainConfig, Packed, RunContext
from ragyena.train.loop import StageResult, run
from ragyena.train.ranks import Ranks, joined
from ragyena.types import Progress, Silent

__all__ = ["begin", "chosen_device", "load", "pack_data", "train", "train_stage", "write_summary"]


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
    model = KINDS[kind].config
    hint = f"the settings and their meanings: {model.__name__} in {model.__module__}"
    config: AnyTrainConfig = parse(model, values, source=source, hint=hint)
    for stage in config.stages:
        if isinstance(stage.model, ReaderModelConfig | CausalModelConfig):
            check_mixers(stage.model)
    if not check_data or isinstance(config, RecallTrainConfig):
        return config
    data = config.data.model_dump()
    # A recipe's data settings that are lists of strings name files.
    files = [name for name, field in type(config.data).model_fields.items() if field.annotation == tuple[str, ...]]
    data |= {name: under(data_root, data[name]) for name in files}
    return config.model_copy(update={"data": type(config.data).model_validate(data)})


def pack_data(
    config: AnyTrainConfig,
    cache: Path,
    progress: Progress,
    *,
    encoder: Path | None = None,
    processes: int | None = None,
) -> Packed:
    """The recipe's data as training reads them, made once in ``cache``, in as many processes as there are cores where
    ``processes`` does not say. A stopped preparation goes on where it was. ``encoder`` as in ``train``: its words'
    neighbours perturb a reader's questions.

    Raises UsageError for a recipe that needs no data.
    """
    return KINDS[config.kind].pack(config, cache, encoder, progress, processes=processes or os.cpu_count() or 1)


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
    """Runs the recipe's stages in ``folder``. Stages done before are kept; the results of this run's are returned.

    ``packed`` is a file made by ``pack_data`` of the same settings, else DataError is raised; None to make it, in the
    folder. ``encoder`` and ``pair_encoder`` as in ``RunContext``. Where several processes train
    (``ragyena.train.launch``), each computes a share of each step, and the first alone shows progress and writes.
    """
    device = chosen_device(device)
    kind = KINDS[config.kind]
    _check(config, folder, packed, pair_encoder)
    with joined(device) as (ranks, device):
        progress = progress if ranks.first else Silent()
        if packed is None and not isinstance(config, RecallTrainConfig):
            packed = _packed_by_the_first(config, folder / "data", encoder, progress, ranks)
        if ranks.first:
            _write_recipe(config, folder)
        context = RunContext(folder, packed, encoder, pair_encoder, device, ranks, progress)
        make_task = kind.tasks(config, context)
        results = run(config.stages, make_task, folder, seed=config.seed, device=device, progress=progress, ranks=ranks)
        if ranks.first:
            write_summary(folder, results, device, processes=ranks.count)
        return results if ranks.first else []


def begin(
    config: AnyTrainConfig,
    folder: Path,
    *,
    packed: Path | None,
    encoder: Path | None,
    pair_encoder: Path | None,
    progress: Progress,
) -> Path | None:
    """Prepares a run whose stages ``train_stage`` trains: checks the recipe, packs its data, writes ``recipe.json``.

    Returns the packed data, None for a recipe that needs none. Arguments and errors are those of ``train``.
    """
    _check(config, folder, packed, pair_encoder)
    if packed is None and not isinstance(config, RecallTrainConfig):
        packed = _packed_by_the_first(config, folder / "data", encoder, progress, Ranks())
    _write_recipe(config, folder)
    return packed


def train_stage(
    config: AnyTrainConfig,
    stage: TrainingStage,
    folder: Path,
    *,
    packed: Path | None,
    encoder: Path | None,
    pair_encoder: Path | None,
    device: str,
    progress: Progress,
) -> StageResult:
    """Trains one stage of the recipe that is not done yet, in this process, after ``begin``. Raises as ``train``."""
    context = RunContext(folder, packed, encoder, pair_encoder, device, Ranks(), progress)
    make_task = KINDS[config.kind].tasks(config, context)
    (result,) = run([stage], make_task, folder, seed=config.seed, device=device, progress=progress)
    return result


def _check(config: AnyTrainConfig, folder: Path, packed: Path | None, pair_encoder: Path | None) -> None:
    kind = KINDS[config.kind]
    kind.check(config, folder, pair_encoder)
    if packed is not None and not packed.is_file():
        raise DataError(f"no packed data at {packed}", hint="leave --packed out: `ragyena train` makes it")
    if packed is not None:
        check_made_of(packed, kind.record(config))


def _write_recipe(config: AnyTrainConfig, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")


def chosen_device(device: str) -> str:
    """``auto`` settled. Raises MissingDependencyError for a CUDA device where there is none."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MissingDependencyError("there is no CUDA device here", hint="use --device cpu for a small run")
    return device


def _packed_by_the_first(
    config: AnyTrainConfig, cache: Path, encoder: Path | None, progress: Progress, ranks: Ranks
) -> Path:
    if ranks.first:
        packed = pack_data(config, cache, progress, encoder=encoder)
        progress.note(packed.summary)
    ranks.wait()
    return packed.path if ranks.first else pack_data(config, cache, progress, encoder=encoder).path  # there by now


def write_summary(folder: Path, results: Sequence[StageResult], device: str, *, processes: int) -> None:
    """Writes ``summary.json``: the machine and the results of a run of ``processes`` that share every step."""
    summary = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor(),
        "processes": processes,
        "torch": torch.__version__,
        "stages": [{**asdict(result), "checkpoint": str(result.checkpoint)} for result in results],
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
