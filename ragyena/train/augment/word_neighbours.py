"""Words near one another in an encoder's word embeddings (river and lake, physician and surgeon).

A question with one in the other's place reads well and asks for something else. Nearer still are inflections and
synonyms, which ask for the same: they are left out.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError
from ragyena.train.augment.perturb import STEM

__all__ = ["word_neighbours"]

_NAME = "embeddings.word_embeddings.weight"
_NEAREST, _FARTHEST = 0.5, 0.33  # cosines between which a word means something else and still fits
_KEPT = 10  # neighbours of a word
_SHORTEST = 4  # letters
_BLOCK = 1024


def word_neighbours(encoder: Path, tokenizer: Tokenizer) -> dict[str, tuple[str, ...]]:
    """The neighbours of each whole word of the vocabulary, the nearest first; words without any are left out.

    ``encoder`` is a BERT-layout model.safetensors over the tokenizer's vocabulary. Raises CheckpointError.
    """
    embeddings_VD = _embeddings(encoder)
    vocabulary = tokenizer.vocabulary()
    words = [w for w in vocabulary if len(w) >= _SHORTEST and w.isascii() and w.isalpha() and w.islower()]
    if embeddings_VD.shape[0] < len(vocabulary):
        raise CheckpointError(
            f"{encoder} has {embeddings_VD.shape[0]} word embeddings for a vocabulary of {len(vocabulary)}",
            hint="name an encoder of the reader's own vocabulary",
        )
    ids = torch.tensor([vocabulary[word] for word in words], dtype=torch.long)
    # Embeddings differ more without the mean that all share.
    unit_WD = F.normalize((embeddings_VD - embeddings_VD.mean(0))[ids], dim=1)
    neighbours: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(words), _BLOCK):
        cosine = unit_WD[start : start + _BLOCK] @ unit_WD.T
        cosine.masked_fill_((cosine > _NEAREST) | (cosine < _FARTHEST), -1.0)
        best = cosine.topk(min(2 * _KEPT, len(words)), dim=1)
        for row, (values, places) in enumerate(zip(best.values.tolist(), best.indices.tolist())):
            word = words[start + row]
            others = [words[i] for value, i in zip(values, places) if value > 0 and words[i][:STEM] != word[:STEM]]
            if others:
                neighbours[word] = tuple(others[:_KEPT])
    return neighbours


def _embeddings(encoder: Path) -> Tensor:
    try:
        with safe_open(encoder, framework="pt") as file:
            names = [name for name in file.keys() if name.endswith(_NAME)]  # noqa: SIM118 - not a dict
            if len(names) != 1:
                raise CheckpointError(
                    f"{encoder} has no {_NAME}", hint="name the model.safetensors of a BERT-layout encoder"
                )
            tensor: Tensor = file.get_tensor(names[0])
            return tensor.float()
    except OSError as error:
        raise CheckpointError(f"{encoder} cannot be read: {error}", hint="name a model.safetensors file") from error
