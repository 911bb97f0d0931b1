"""Reranking of retrieved passages by a cross-encoder, which reads question and passage together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from ragyena.errors import ConfigError
from ragyena.index.embedder import embedding_text, first_line, silence_libraries, weights_of
from ragyena.types import Passage

__all__ = ["Reranker"]

_BATCH = 32  # pairs read together


class Reranker:
    """Any cross-encoder with one score that sentence-transformers loads. Open one with ``Reranker.open``."""

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self._model = model
        self.fingerprint = weights_of(model)
        """sha256 of the weights."""

    @classmethod
    def open(cls, name: str) -> Reranker:
        """The model in a folder, or of this name on the hub. Raises ConfigError where there is none, or it gives more
        than one score."""
        from sentence_transformers import CrossEncoder

        silence_libraries()
        here = Path(name).expanduser()
        offline = here.exists() or bool(constants.HF_HUB_OFFLINE)
        try:
            model = CrossEncoder(str(here) if here.exists() else name, local_files_only=offline)
        except Exception as error:  # the library raises whatever its loaders do
            raise ConfigError(
                f"there is no reranker '{name}': {first_line(error)}",
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
        if not passages:
            return []
        pairs = [(question, embedding_text(passage)) for passage in passages]
        scores = self._model.predict(pairs, batch_size=_BATCH, show_progress_bar=False)
        ranked = sorted(zip(scores.tolist(), passages), key=lambda one: (-one[0], one[1].passage_id))
        return [passage for _, passage in ranked]
