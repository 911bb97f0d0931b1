"""Dumps of the published implementation: in the folder ``RAGYENA_REFERENCE``, else in ``../shared/reference``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


class Dump:
    """One .npz: tensors by name, ``cfg`` parsed, weights under ``sd.*`` and gradients under ``d.*``.

    The test is skipped where it is not there.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        default = Path(__file__).resolve().parents[3] / "shared" / "reference"
        path = (folder or Path(os.environ.get("RAGYENA_REFERENCE", default))) / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"no {path.name}: set RAGYENA_REFERENCE to the folder of the published implementation's dumps")
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {key: file[key] for key in file.files}

    @property
    def config(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(str(self.arrays["cfg"]))
        return values

    def __getitem__(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[key])

    def group(self, prefix: str) -> dict[str, torch.Tensor]:
        return {k.removeprefix(prefix): torch.from_numpy(v) for k, v in self.arrays.items() if k.startswith(prefix)}
