"""A checkpoint is a folder: ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``README.md``.

``config.json`` is the model's configuration with ``format_version`` and ``weights_sha256``. Tensors are stored as
``storage`` says, per tensor: ``float32``, ``float16``, ``bfloat16``, or ``int8`` (symmetric, one fp16 scale a row,
under ``<name>::scale``). Tensors that share memory are stored once. The file's own metadata record both, so that
``load_state`` returns fp32 under the names that were saved.

Weights of more than ``LARGEST_FILE`` bytes are in several files, ``model-00001-of-00003.safetensors`` and so on, with
the index ``model.safetensors.index.json`` of the safetensors convention; ``weights_sha256`` then has a digest a file.
Each file is written atomically, ``config.json`` last, and a folder whose files do not belong together is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ragyena.config import CausalModelConfig, PairModelConfig, PolarModelConfig, ReaderModelConfig, parse
from ragyena.errors import CheckpointError, ConfigError, StorageError
from ragyena.model.mixers import check_mixers
from ragyena.model.storage import SCALE, Storage, decode, encode
from ragyena.model.unfilled import fill, unfilled
from ragyena.parsing import MalformedError, read_json

__all__ = [
    "FORMAT_VERSION",
    "LARGEST_FILE",
    "ModelConfig",
    "Storage",
    "checkpoint_files",
    "file_sha256",
    "load_config",
    "load_into",
    "load_model",
    "load_state",
    "save_checkpoint",
    "saved",
    "weights_digest",
    "weights_key",
]

FORMAT_VERSION = 1
LARGEST_CONFIG = 1_000_000
"""Bytes of a config.json."""
LARGEST_FILE = 45 * 2**20
"""Bytes of a file of weights: hosts of repositories take no larger ones, or slowly."""
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, CARD_FILE = "config.json", "model.safetensors", "tokenizer.json", "README.md"
INDEX_FILE = "model.safetensors.index.json"
_LARGEST_INDEX = 16_000_000  # bytes
_PART = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_HEADER = 2**20  # bytes left for a file's names, shapes and metadata

ModelConfig: TypeAlias = ReaderModelConfig | CausalModelConfig | PairModelConfig | PolarModelConfig
Config = TypeVar("Config", bound=BaseModel)
Model = TypeVar("Model", bound=nn.Module)

_KINDS: dict[str, type[ReaderModelConfig | CausalModelConfig | PairModelConfig | PolarModelConfig]] = {
    "reader": ReaderModelConfig,
    "causal": CausalModelConfig,
    "pair": PairModelConfig,
    "polar": PolarModelConfig,
}
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
    tensors, metadata = encode(module_state, storage)
    scratch = folder / f".writing-{os.getpid()}"
    try:
        for abandoned in folder.glob(".writing-*"):  # by a process that was killed
            shutil.rmtree(abandoned, ignore_errors=True)
        scratch.mkdir(parents=True, exist_ok=True)
        digests = _save_weights(tensors, metadata, scratch)
        values = {"format_version": FORMAT_VERSION, **config.model_dump(mode="json"), "weights_sha256": digests}
        if tokenizer is not None:
            shutil.copyfile(tokenizer, scratch / TOKENIZER_FILE)
        if card is not None:
            (scratch / CARD_FILE).write_text(card, encoding="utf-8")
        written = sorted(scratch.iterdir())
        (scratch / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        written.append(scratch / CONFIG_FILE)
        for path in written:
            _sync(path)
        for path in written:
            path.replace(folder / path.name)
        for former in folder.glob("model*"):  # of a checkpoint in more or fewer files
            if former.name not in {path.name for path in written} and _is_of_weights(former.name):
                former.unlink()
        _sync(folder)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"cannot write the checkpoint {folder}: {error}", hint="check free space and permissions, then save again"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _save_weights(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], folder: Path) -> str | dict[str, str]:
    """Writes the tensors in as many files as they need; the digest of the only file, or of each of several."""
    header = {"format": "pt", "format_version": str(FORMAT_VERSION), **metadata}
    split = split_torch_state_dict_into_shards(dict(tensors), max_shard_size=LARGEST_FILE - _HEADER)
    parts = split.filename_to_tensors or {WEIGHTS_FILE: []}
    for number, (file, names) in enumerate(parts.items()):
        # The first file's metadata say all; the others' are there and say nothing.
        own = header if number == 0 else header | {"int8": "[]", "same": "{}"}
        save_file({name: tensors[name] for name in names}, folder / file, metadata=own)
    if not split.is_sharded:
        return file_sha256(folder / WEIGHTS_FILE)
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return {file: file_sha256(folder / file) for file in parts}


def _is_of_weights(name: str) -> bool:
    return name in (WEIGHTS_FILE, INDEX_FILE) or _PART.fullmatch(name) is not None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def saved(folder: Path) -> bool:
    """True where a checkpoint was written to the folder, to its end."""
    return (folder / CONFIG_FILE).is_file()


def checkpoint_files(folder: Path) -> list[Path]:
    """The files of a checkpoint, nothing else that is in its folder. Raises CheckpointError where one is missing."""
    files = list(_WeightFiles.of(folder, _read_config(folder)[0]).paths)
    files += [folder / INDEX_FILE] if len(files) > 1 else []
    others = (folder / name for name in (CONFIG_FILE, TOKENIZER_FILE, CARD_FILE))
    return [*files, *(path for path in others if path.is_file())]


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
        if isinstance(config, ReaderModelConfig | CausalModelConfig):
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


def weights_key(folder: Path) -> str:
    """A short name of the weights of a folder, for what was made with them. Raises CheckpointError."""
    values, _ = _read_config(folder)
    digests = values.get("weights_sha256")
    if digests is None:  # written by hand, or by others
        digests = [file_sha256(path) for path in _WeightFiles.of(folder, values).paths]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:16]


def load_model(model_type: Callable[[Config], Model], config: Config, folder: Path) -> Model:
    """Build the model of ``config``, as ``load_config`` read it from the folder, and load the folder's tensors into it.

    Raises CheckpointError as ``load_state`` and ``load_into`` do. Sizes and shapes are compared before memory is taken
    for the model and before anything large is read.
    """
    _check_size(config, folder)
    with unfilled():  # every tensor is replaced, or an error raised
        module = model_type(config)
    state = module.state_dict()
    own = {name: tensor.shape for name, tensor in state.items()}
    stored = {name: shape for name, shape in _shapes(folder).items() if name not in _RETIRED}
    _check_fit(own, {name: stored.get(name, shape) for name, shape in own.items()}, str(folder))
    if unexpected := [name for name in stored if name.removesuffix(SCALE) not in own]:
        _check_fit(own, {**own, **{name: stored[name] for name in unexpected}}, str(folder))
    fill(module, _checked(state, load_state(folder), str(folder)))
    return module


def load_state(folder: Path) -> dict[str, Tensor]:
    """All tensors on the CPU, floating point ones in fp32, under the names they were saved by.

    Raises CheckpointError where the weights are missing, truncated, altered, or of a format this version cannot read.
    """
    values, _ = _read_config(folder)
    files = _WeightFiles.of(folder, values)
    files.check_digests()
    stored: dict[str, Tensor] = {}
    metadata: list[dict[str, str]] = []
    for path in files.paths:
        with _opened(path) as file:
            metadata.append(file.metadata() or {})
            _check_version(metadata[-1].get("format_version"), path)
            stored |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
    try:
        return decode(stored, metadata)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{files.paths[0]} has metadata that do not fit its tensors: {error}", hint=_DAMAGED
        ) from error


def load_into(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copies ``state`` into ``module``; CheckpointError names what is missing, unexpected or of another shape."""
    module.load_state_dict(_checked(module.state_dict(), state, source))


def _checked(own: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The tensors of ``state`` that belong to a module of the tensors ``own``. Raises CheckpointError."""
    state = {name: tensor for name, tensor in state.items() if name not in _RETIRED}
    _check_fit({n: t.shape for n, t in own.items()}, {n: t.shape for n, t in state.items()}, source)
    for name, tensor in state.items():
        if tensor.is_floating_point() != own[name].is_floating_point() or tensor.is_complex():
            raise CheckpointError(
                f"{source}: the tensor {name} is of the type {tensor.dtype}, not {own[name].dtype}", hint=_DAMAGED
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor.sum()):
            raise CheckpointError(f"{source}: the tensor {name} holds values that are not finite", hint=_DAMAGED)
    return state


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


@dataclass(frozen=True, slots=True)
class _WeightFiles:
    """The files of weights that a folder's ``config.json`` names."""

    paths: tuple[Path, ...]
    digests: Mapping[str, str]
    """By file name; empty where ``config.json`` has none."""

    @classmethod
    def of(cls, folder: Path, values: Mapping[str, Any]) -> _WeightFiles:
        """Raises CheckpointError where a file is missing, or the index and ``config.json`` name other files."""
        digests = values.get("weights_sha256")
        index = folder / INDEX_FILE
        if isinstance(digests, dict) or (digests is None and index.is_file()):
            names = _indexed(index)
            if isinstance(digests, dict) and set(digests) != set(names):
                raise CheckpointError(f"{index} is not the index that was saved with {CONFIG_FILE}", hint=_DAMAGED)
        else:
            names, digests = [WEIGHTS_FILE], {} if digests is None else {WEIGHTS_FILE: digests}
        for name in names:
            if not (folder / name).is_file():
                raise CheckpointError(f"{folder / name} is missing", hint=_DAMAGED)
        return cls(tuple(folder / name for name in names), digests or {})

    def check_digests(self) -> None:
        """Raises CheckpointError for a file that is not the one that was saved."""
        for path in self.paths:
            try:
                actual = file_sha256(path)
            except OSError as error:
                raise CheckpointError(f"{path} cannot be read: {error}", hint=_DAMAGED) from error
            if path.name in self.digests and actual != self.digests[path.name]:
                raise CheckpointError(f"{path} is not the file that was saved with {CONFIG_FILE}", hint=_DAMAGED)


def _indexed(index: Path) -> list[str]:
    """The files that an index names, in their order. Raises CheckpointError."""
    try:
        values = read_json(index, _LARGEST_INDEX)
    except FileNotFoundError as error:
        raise CheckpointError(f"{index} is missing", hint=_DAMAGED) from error
    except (OSError, MalformedError) as error:
        raise CheckpointError(f"{index} cannot be read: {error}", hint=_DAMAGED) from error
    parts = values.get("weight_map") if isinstance(values, dict) else None
    names = list(parts.values()) if isinstance(parts, dict) else []
    # A name leads to no other folder.
    if not names or not all(isinstance(name, str) and _PART.fullmatch(name) for name in names):
        raise CheckpointError(f"{index} names no files of weights", hint=_DAMAGED)
    return sorted(set(names))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file of weights. What reading a damaged one raises becomes CheckpointError."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint=_DAMAGED) from error


def _shapes(folder: Path) -> dict[str, list[int]]:
    """The shapes of the stored tensors, of which none is read."""
    shapes: dict[str, list[int]] = {}
    for path in _WeightFiles.of(folder, _read_config(folder)[0]).paths:
        with _opened(path) as file:
            shapes |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 -- no mapping
    return shapes


def _check_size(config: BaseModel, folder: Path) -> None:
    """Raise CheckpointError for an architecture that needs more numbers than the folder's weights hold, before any
    memory is taken for it."""
    assert isinstance(config, ModelConfig)
    rows = [] if isinstance(config, PolarModelConfig) else [config.vocab_size]
    if isinstance(config, PolarModelConfig):
        layers = config.layers
    elif isinstance(config, ReaderModelConfig):
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
            f"the files of weights hold {held:,}",
            hint="the weights belong to another configuration: use the config.json they were saved with",
        )


def _check_version(version: object, path: Path) -> None:
    if str(version) != str(FORMAT_VERSION):
        problem = f"{path} has format version {version!r}; this ragyena reads {FORMAT_VERSION}"
        raise CheckpointError(problem, hint="use the version of ragyena that wrote it, or convert the checkpoint")
