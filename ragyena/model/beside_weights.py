"""Files of measurements that stand beside a checkpoint's weights, and hold for these weights alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragyena.errors import StorageError
from ragyena.model.checkpoint import weights_digest

__all__ = ["write_beside_weights"]


def write_beside_weights(path: Path, values: Mapping[str, Any]) -> Path:
    """Write a JSON file with ``values`` and the digest of the weights in its folder; it is whole or not there.

    Raises CheckpointError for a folder that holds no checkpoint, StorageError.
    """
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    text = json.dumps({"weights_sha256": weights_digest(path.parent), **values}, indent=1) + "\n"
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise StorageError(
            f"{path} cannot be written: {error.strerror}", hint="check free space and permissions"
        ) from error
    return path
