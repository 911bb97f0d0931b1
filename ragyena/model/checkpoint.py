"""A checkpoint is a folder: ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``README.md``.

``config.json`` is the model's configuration with ``format_version`` and ``weights_sha256``. Tensors are stored as
``storage`` says, per tensor: ``float32``, ``float16``, ``bfloat16``, or ``int8`` (symmetric, one fp16 scale a row,
under ``<name>::scale``). Tensors that share memory are stored once. The file's own metadata record both, so that
``load_state`` returns fp32 under the names that were saved. Each file is written atomically, and a folder whose files
do not belong together is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import torch
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ragyena.config import CausalModelConfig, PairModelConfig, ReaderModelConfig, parse
from ragyena.errors import CheckpointError, ConfigError, StorageError
from ragyena.model.mixers import check_mixers
from ragyena.parsing import MalformedError, parse_json, read_json

__all__ = [
    "FORMAT_VERSION",
    "ModelConfig",
    "Storage",
    "file_sha256",
    "load_config",
    "load_into",
    "load_model",
    "load_state",
    "save_checkpoint",
    "weights_digest",
]

FORMAT_VERSION = 1
LARGEST_CONFIG = 1_000_000
"""Bytes of a config.json."""
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, CARD_FILE = "config.json", "model.safetensors", "tokenizer.json", "README.md"

ModelConfig: TypeAlias = ReaderModelConfig | CausalModelConfig | PairModelConfig
Config = TypeVar("Config", bound=BaseModel)
Model = TypeVar("Model", bound=nn.Module)
Storage = Literal["float32", "float16", "bfloat16", "int8"]

_KINDS: dict[str, type[ReaderModelConfig] | type[CausalModelConfig] | type[PairModelConfig]] = {
    "reader": ReaderModelConfig,
    "causal": CausalModelConfig,
    "pair": PairModelConfig,
}
_SCALE = "::scale"
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_CLIP_RATIOS = (1.0, 0.98, 0.95, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7)
_UNREADABLE = (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError)
"""Errors that reading tensors of a damaged file raises."""
_NAMED_AT_MOST = 5
_DAMAGED = "copy, download or train the checkpoint again"
_RETIRED = ("calibration",)
"""Tensors in files from before, which no model has any more."""


def save_checkpoint(
    folder: Path,
    module_state: Mapping[str, Tensor],
    config: BaseModel,
    *,
    tokenizer: Path | None,
    card: str | None,
    storage: Storage | Mapping[str, Storage],
) -> None:
    """Writes the folder. ``tokenizer`` is a tokenizer.json to copy, ``card`` the text of README.md.

    ``storage`` is one storage for all tensors, or storages by name pattern (``{"*embedding*": "int8", "*":
    "bfloat16"}``; the first match counts, float32 without one). int8 is for matrices: tensors of fewer dimensions stay
    float32 under it. Integer and boolean tensors are stored unchanged.

    Raises StorageError where the disk is full or the folder cannot be written; then the folder is unchanged.
    """
    tensors, metadata = _encode(module_state, storage)
    scratch = folder / f".writing-{os.getpid()}"
    try:
        for abandoned in folder.glob(".writing-*"):  # by a process that was killed
            shutil.rmtree(abandoned, ignore_errors=True)
        scratch.mkdir(parents=True, exist_ok=True)
        save_file(tensors, scratch / WEIGHTS_FILE, metadata=metadata)
        values = {
            "format_version": FORMAT_VERSION,
            **config.model_dump(mode="json"),
            "weights_sha256": file_sha256(scratch / WEIGHTS_FILE),
        }
        (scratch / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        if tokenizer is not None:
            shutil.copyfile(tokenizer, scratch / TOKENIZER_FILE)
        if card is not None:
            (scratch / CARD_FILE).write_text(card, encoding="utf-8")
        written = [scratch / WEIGHTS_FILE, *sorted(p for p in scratch.iterdir() if p.name != WEIGHTS_FILE)]
        for path in written:
            _sync(path)
        for path in written:
            path.replace(folder / path.name)
        _sync(folder)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"cannot write the checkpoint {folder}: {error}", hint="check free space and permissions, then save again"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _encode(
    state: Mapping[str, Tensor], storage: Storage | Mapping[str, Storage]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    policy: Mapping[str, Storage] = {"*": storage} if isinstance(storage, str) else storage
    for pattern, kind in policy.items():
        if kind not in get_args(Storage):
            raise ValueError(f"storage '{kind}' for '{pattern}'; known: {', '.join(get_args(Storage))}")
    tensors: dict[str, Tensor] = {}
    quantised: list[str] = []
    same: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in state.items():
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and place in first:
            same[name] = first[place]
            continue
        first[place] = name
        kind = next((k for pattern, k in policy.items() if fnmatchcase(name, pattern)), "float32")
        plain = tensor.detach()
        if kind == "int8" and plain.is_floating_point() and plain.ndim >= 2:
            # on the tensor's own device: on a CPU it takes seconds of a training
            tensors[name], tensors[name + _SCALE] = (t.cpu() for t in _quantise(plain.float().contiguous()))
            quantised.append(name)
        else:
            dtype = _DTYPES.get(kind, torch.float32) if plain.is_floating_point() else plain.dtype
            tensors[name] = plain.cpu().contiguous().to(dtype, copy=True)
    version = {"format": "pt", "format_version": str(FORMAT_VERSION)}
    return tensors, version | {"int8": json.dumps(sorted(quantised)), "same": json.dumps(same)}


def _quantise(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """int8 values and fp16 scales [rows...]: of a few ways to clip a row, the one with the least squared error."""
    largest = matrix.abs().amax(-1, keepdim=True)
    best_error, best_scale = torch.full_like(largest, float("inf")), torch.zeros_like(largest)
    for ratio in _CLIP_RATIOS:
        scale = (largest * (ratio / 127)).half().float()
        error = (_levels(matrix, scale) * scale - matrix).square().sum(-1, keepdim=True)
        best_scale = torch.where(error < best_error, scale, best_scale)
        best_error = torch.minimum(error, best_error)
    return _levels(matrix, best_scale).to(torch.int8), best_scale[..., 0].half().contiguous()


def _levels(matrix: Tensor, scale: Tensor) -> Tensor:
    return (matrix / scale.clamp_min(torch.finfo(torch.float32).tiny)).round().clamp(-127, 127)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_config(folder: Path) -> ModelConfig:
    """The architecture of the folder's model. Raises CheckpointError where config.json is missing or unusable."""
    values, path = _read_config(folder)
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise CheckpointError(f"{path} describes a model of kind {kind!r}", hint=f"known kinds: {', '.join(_KINDS)}")
    settings = {k: v for k, v in values.items() if k not in ("format_version", "weights_sha256")}
    try:
        config = parse(_KINDS[kind], settings, source=str(path))
        if not isinstance(config, PairModelConfig):
            check_mixers(config)
    except ConfigError as error:
        hint = "the file was changed, or made by another version of ragyena"
        problem = error.message if str(path) in error.message else f"{path}: {error.message}"
        raise CheckpointError(problem, hint=hint) from error
    return config


def weights_digest(folder: Path) -> Any:
    """Identifies the weights of a folder, as its config.json does; None where that says nothing of them. Raises
    CheckpointError."""
    return _read_config(folder)[0].get("weights_sha256")


def load_model(model_type: Callable[[Config], Model], config: Config, folder: Path) -> Model:
    """Build the model of ``config``, as ``load_config`` read it from the folder, and load the folder's tensors into it.

    Raises CheckpointError as ``load_state`` and ``load_into`` do. Sizes and shapes are compared before memory is taken
    for the model and before anything large is read.
    """
    _check_size(config, folder)
    module = model_type(config)
    own = {name: tensor.shape for name, tensor in module.state_dict().items()}
    stored = {name: shape for name, shape in _shapes(folder).items() if name not in _RETIRED}
    _check_fit(own, {name: stored.get(name, shape) for name, shape in own.items()}, str(folder))
    if unexpected := [name for name in stored if name.removesuffix(_SCALE) not in own]:
        _check_fit(own, {**own, **{name: stored[name] for name in unexpected}}, str(folder))
    load_into(module, load_state(folder), str(folder))
    return module


def load_state(folder: Path) -> dict[str, Tensor]:
    """All tensors on the CPU, floating point ones in fp32, under the names they were saved by.

    Raises CheckpointError where the weights are missing, truncated, altered, or of a format this version cannot read.
    """
    values, _ = _read_config(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{path} is missing", hint=_DAMAGED)
    try:
        expected = values.get("weights_sha256")
        if expected is not None and file_sha256(path) != expected:
            raise CheckpointError(f"{path} is not the file that was saved with {CONFIG_FILE}", hint=_DAMAGED)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            stored = {name: file.get_tensor(name) for name in names}
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint=_DAMAGED) from error
    return _decode(stored, metadata, path)


def load_into(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copies ``state`` into ``module``; CheckpointError names what is missing, unexpected or of another shape."""
    own = module.state_dict()
    state = {name: tensor for name, tensor in state.items() if name not in _RETIRED}
    _check_fit({n: t.shape for n, t in own.items()}, {n: t.shape for n, t in state.items()}, source)
    for name, tensor in state.items():
        if tensor.is_floating_point() != own[name].is_floating_point() or tensor.is_complex():
            raise CheckpointError(
                f"{source}: the tensor {name} is of the type {tensor.dtype}, not {own[name].dtype}", hint=_DAMAGED
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor.sum()):
            raise CheckpointError(f"{source}: the tensor {name} holds values that are not finite", hint=_DAMAGED)
    module.load_state_dict(state)


def _check_fit(own: Mapping[str, Sequence[int]], state: Mapping[str, Sequence[int]], source: str) -> None:
    """Compare the shapes of a model's tensors with those of a file. Raises CheckpointError."""
    shapes = {
        name: f"{name} {list(state[name])} instead of {list(shape)}"
        for name, shape in own.items()
        if name in state and list(state[name]) != list(shape)
    }
    problems = []
    for problem, names in (
        ("missing", [name for name in own if name not in state]),
        ("unexpected", [name for name in state if name not in own]),
        ("of another shape", [*shapes.values()]),
    ):
        if names:
            more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
            problems.append(f"{len(names)} {problem}: {', '.join(names[:_NAMED_AT_MOST])}{more}")
    if problems:
        raise CheckpointError(
            f"{source} does not fit the model; tensors {'; '.join(problems)}",
            hint="the weights belong to another configuration: use the config.json they were saved with",
        )


def _read_config(folder: Path) -> tuple[dict[str, Any], Path]:
    path = folder / CONFIG_FILE
    try:
        values = read_json(path, LARGEST_CONFIG)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing", hint=f"a checkpoint is a folder with {CONFIG_FILE}, {WEIGHTS_FILE}, {TOKENIZER_FILE}"
        ) from error
    except (OSError, MalformedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} cannot be read: {reason}", hint=_DAMAGED) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is not a JSON object", hint=_DAMAGED)
    _check_version(values.get("format_version"), path)
    return values, path


def _shapes(folder: Path) -> dict[str, list[int]]:
    """The shapes of the stored tensors, of which none is read."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{path} is missing", hint=_DAMAGED)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 -- no mapping
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint=_DAMAGED) from error


def _check_size(config: BaseModel, folder: Path) -> None:
    """Raise CheckpointError for an architecture that needs more numbers than the folder's weights hold, before any
    memory is taken for it."""
    assert isinstance(config, ModelConfig)
    rows = [config.vocab_size]
    if isinstance(config, ReaderModelConfig):
        layers = len(config.mixers)
        rows += [config.max_slot_tokens, config.max_question_tokens, config.null_width]
    else:
        layers = config.depth
        rows += [config.positions, config.segments] if isinstance(config, PairModelConfig) else []
    least = config.width * (sum(rows) + layers * (2 * config.ffn_width + config.width))
    held = sum(math.prod(shape) for shape in _shapes(folder).values())
    if least > held:
        raise CheckpointError(
            f"{folder} does not fit the model: {CONFIG_FILE} describes at least {least:,} weights, "
            f"{WEIGHTS_FILE} holds {held:,}",
            hint="the weights belong to another configuration: use the config.json they were saved with",
        )


def _check_version(version: object, path: Path) -> None:
    if str(version) != str(FORMAT_VERSION):
        problem = f"{path} has format version {version!r}; this ragyena reads {FORMAT_VERSION}"
        raise CheckpointError(problem, hint="use the version of ragyena that wrote it, or convert the checkpoint")


def _decode(stored: dict[str, Tensor], metadata: Mapping[str, str], path: Path) -> dict[str, Tensor]:
    _check_version(metadata.get("format_version"), path)
    try:
        quantised, same = parse_json(metadata["int8"]), parse_json(metadata["same"])
        for name in quantised:
            values, scale = stored[name], stored.pop(name + _SCALE)
            if values.dtype != torch.int8 or scale.shape != values.shape[:-1]:  # a product of both could be huge
                raise ValueError(f"'{name}' is not an int8 matrix with a scale a row")
            stored[name] = values.float() * scale.float()[..., None]
        state = {name: t.float() if t.is_floating_point() else t for name, t in stored.items()}
        state.update({name: state[original] for name, original in same.items()})
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} has metadata that do not fit its tensors: {error}", hint=_DAMAGED) from error
    return state
