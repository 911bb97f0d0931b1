"""Models of readers, loaded from their folders onto their device."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from ragyena.config import PairModelConfig, PolarModelConfig, ReaderConfig, ReaderModelConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError, ConfigError, MissingDependencyError
from ragyena.model.checkpoint import load_config, load_model, weights_key
from ragyena.model.input_ranges import RANGES_FILE, InputRanges, load_ranges, prepare_int8
from ragyena.model.pair_reader import PairReader
from ragyena.model.polar_branch import PolarBranch
from ragyena.model.reader_model import ReaderModel
from ragyena.ops.int8_linear import int8_unavailable
from ragyena.ops.linear import has_fast_bf16
from ragyena.readers import BESIDE, POLAR, SMALL, reader_folder, reader_folders

__all__ = ["check_question_limit", "chosen_device", "chosen_dtype", "folders_of", "in_floating_point", "loaded"]
__all__ += ["polar_branch"]

log = logging.getLogger(__name__)

_TAKE_AWAY = (
    f"train them on it (ragyena train reader-yes-no), or take the folder {POLAR} away; then fit the confidence again "
    "(ragyena train calibrate)"
)


def folders_of(checkpoint: str) -> list[Path]:
    """The folders that a reader is loaded from: pair readers first, since the first has the confidence of all. A pair
    reader alone reads with the reader beside it in its folder, else with that in the package. Raises CheckpointError,
    MissingDependencyError.
    """
    folders = list(reader_folders(checkpoint))
    pairs = [folder for folder in folders if isinstance(load_config(folder), PairModelConfig)]
    readers = [folder for folder in folders if folder not in pairs]
    if not readers:
        own = next((folder / BESIDE for folder in pairs if (folder / BESIDE).is_dir()), None)
        readers = [own or reader_folder(SMALL)]
    return [*pairs, *readers]


def loaded(folder: Path, tokenizer: Tokenizer, config: ReaderConfig, device: torch.device) -> ReaderModel | PairReader:
    """The model of a checkpoint's folder, ready to read.

    Raises CheckpointError, ConfigError, MissingDependencyError.
    """
    architecture = load_config(folder)
    dtype = chosen_dtype(config.dtype, device)
    model: ReaderModel | PairReader
    if isinstance(architecture, PairModelConfig):
        model, vocabulary = load_model(PairReader, architecture, folder), architecture.reader_vocab_size
    elif isinstance(architecture, ReaderModelConfig):
        check_question_limit(config, architecture, str(folder))
        model, vocabulary = load_model(ReaderModel, architecture, folder), architecture.vocab_size
    else:
        raise CheckpointError(
            f"{folder} holds a {architecture.kind} model, not a reader", hint="give a reader's checkpoint folder"
        )
    model.eval().requires_grad_(False)
    ranges = _ranges(folder, config.dtype, device) if isinstance(model, ReaderModel) else None
    if isinstance(model, ReaderModel) and ranges is not None:
        prepare_int8(model, ranges)
    model.prepare_inference(dtype)
    model.to(device)
    if device.type == "cpu":
        model.prepare_cpu()
    log.info("reader %s on %s in %s%s", folder, device, dtype, " and int8" if ranges is not None else "")
    if (largest := max(tokenizer.vocabulary().values())) >= vocabulary:
        raise CheckpointError(
            f"{folder}: its tokenizer has a token {largest}, its model has {vocabulary} of them",
            hint="use the tokenizer.json that the weights were saved with",
        )
    return model


def polar_branch(folder: Path, trunk: PairReader, dtype: torch.dtype, device: torch.device) -> PolarBranch | None:
    """The layers that decide yes or no beside the pair reader of a folder, ready to read; None where it has none.

    Raises CheckpointError where they are damaged, or belong to another pair reader.
    """
    own = folder / POLAR
    if not own.is_dir():
        return None
    config = load_config(own)
    if not isinstance(config, PolarModelConfig):
        raise CheckpointError(f"{own} holds a {config.kind} model, not layers that decide yes or no", hint=_TAKE_AWAY)
    branch = load_model(PolarBranch, config, own).eval().requires_grad_(False)
    if config.trunk != weights_key(folder):
        raise CheckpointError(f"{own} was trained on another pair reader than that in {folder}", hint=_TAKE_AWAY)
    if (reason := branch.misfit(trunk)) is not None:
        raise CheckpointError(f"{own} does not fit: {reason}", hint=_TAKE_AWAY)
    branch.prepare_inference(dtype)
    branch.to(device)
    if device.type == "cpu":
        branch.prepare_cpu()
    return branch


def check_question_limit(config: ReaderConfig, architecture: ReaderModelConfig, name: str) -> None:
    if config.max_question_tokens > architecture.max_question_tokens:
        raise ConfigError(
            f"reader.max_question_tokens is over the {architecture.max_question_tokens} that {name} takes",
            hint=f"set it to {architecture.max_question_tokens} or less",
        )


def chosen_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"reader.device is '{name}'", hint="use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise MissingDependencyError(
            f"there is no device {name} here", hint="use --device auto or cpu; `ragyena doctor` says what is there"
        )
    return device


def in_floating_point(config: ReaderConfig) -> ReaderConfig:
    """The settings without int8, whose ranges are measured by a reader without it."""
    return config.model_copy(update={"dtype": "auto"}) if config.dtype == "int8" else config


def _ranges(folder: Path, name: str, device: torch.device) -> InputRanges | None:
    """The ranges of what enters the maps of a reader that is to multiply in int8; None for other arithmetic. Raises
    MissingDependencyError where the device cannot, CheckpointError where the reader has none."""
    if name != "int8":
        return None
    reason = int8_unavailable() if device.type == "cpu" else f"the device is {device}"
    if reason is not None:
        raise MissingDependencyError(
            f"reader.dtype is int8, and {reason}", hint="set reader.dtype to auto, float32 or bfloat16"
        )
    ranges = load_ranges(folder)
    if ranges is None:
        raise CheckpointError(
            f"reader.dtype is int8, and {folder} has no {RANGES_FILE} of its weights",
            hint="measure them: ragyena train calibrate; or set reader.dtype to auto",
        )
    return ranges


def chosen_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type of activations: bfloat16 where the device multiplies matrices faster in it than in float32."""
    if name not in ("auto", "int8"):
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if has_fast_bf16() else torch.float32
