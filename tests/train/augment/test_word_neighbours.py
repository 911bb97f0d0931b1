"""Words near one another in an encoder's embeddings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ragyena import recipes
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError
from ragyena.train.augment.perturb import word_neighbours


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(recipes.asset("reader"))


def test_word_neighbours_are_neither_inflections_nor_synonyms_nor_far(tokenizer: Tokenizer, tmp_path: Path) -> None:
    vocabulary = tokenizer.vocabulary()
    # All words far from one another but for a few, whose cosines to "river" are chosen.
    embeddings = torch.zeros(len(vocabulary), 64)
    embeddings[:, 8:] = torch.randn(len(vocabulary), 56, generator=torch.Generator().manual_seed(0))
    for axis, (word, cosine) in enumerate(
        {"river": 1.0, "lake": 0.45, "rivers": 0.45, "stream": 0.9, "tax": 0.1}.items()
    ):
        row = torch.zeros(64)
        row[0], row[axis] = cosine, (1 - cosine**2) ** 0.5 if axis else cosine
        embeddings[vocabulary[word]] = 20 * row
    file = tmp_path / "model.safetensors"
    save_file({"embeddings.word_embeddings.weight": embeddings}, file)
    assert word_neighbours(file, tokenizer)["river"] == ("lake",)


def test_a_file_that_is_no_encoder_is_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, file)
    with pytest.raises(CheckpointError, match=r"other\.safetensors has no embeddings"):
        word_neighbours(file, tokenizer)
    save_file({"embeddings.word_embeddings.weight": torch.zeros(3, 4)}, file)
    with pytest.raises(CheckpointError, match="3 word embeddings"):
        word_neighbours(file, tokenizer)
