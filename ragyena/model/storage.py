"""The storage of tensors in the files of a checkpoint: by name, in a floating type or as int8 with a scale a row.

``encode`` gives the tensors to write and the files' metadata, ``decode`` takes both back to fp32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from ragyena.parsing import parse_json

__all__ = ["SCALE", "Storage", "StoragePolicy", "decode", "encode"]

Storage = Literal["float32", "float16", "bfloat16", "int8"]
StoragePolicy: TypeAlias = Storage | Mapping[str, Storage]
"""One storage for all tensors, or storages by name pattern; the first match counts, float32 without one."""

SCALE = "::scale"
"""Ends the name of the scales of an int8 matrix."""
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_CLIP_RATIOS = (1.0, 0.98, 0.95, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7)


def encode(state: Mapping[str, Tensor], storage: StoragePolicy) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors to store, and metadata that ``decode`` needs: names of int8 matrices, and of tensors that share the
    memory of another and are not stored. Raises ValueError for an unknown storage."""
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
            tensors[name], tensors[name + SCALE] = (t.cpu() for t in _quantise(plain.float().contiguous()))
            quantised.append(name)
        else:
            dtype = _DTYPES.get(kind, torch.float32) if plain.is_floating_point() else plain.dtype
            tensors[name] = plain.cpu().contiguous().to(dtype, copy=True)
    return tensors, {"int8": json.dumps(sorted(quantised)), "same": json.dumps(same)}


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


def decode(stored: dict[str, Tensor], metadata: Sequence[Mapping[str, str]]) -> dict[str, Tensor]:
    """The tensors under the names that they were saved by, floating point ones in fp32; ``metadata`` of every file.
    None of them is of the memory of ``stored``, which may be that of a file.

    Raises KeyError, ValueError, TypeError, AttributeError or RuntimeError where tensors and metadata do not fit.
    """
    state: dict[str, Tensor] = {}
    for each in metadata:
        for name in parse_json(each["int8"]):
            values, scale = stored.pop(name), stored.pop(name + SCALE)
            if values.dtype != torch.int8 or scale.shape != values.shape[:-1]:  # a product of both could be huge
                raise ValueError(f"'{name}' is not an int8 matrix with a scale a row")
            state[name] = values.float().mul_(scale.float()[..., None])
    for name, tensor in stored.items():
        state[name] = tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
    for each in metadata:
        state.update({name: state[original] for name, original in parse_json(each["same"]).items()})
    return state
