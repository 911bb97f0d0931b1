"""The bundled embedder's own network against sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ragyena.index.embedder import bundled_folder
from ragyena.index.minilm import MiniLM

TEXTS = ["a", "Where is the bridge?", "Grüße aus Köln \U0001f600 " * 30, "word " * 600, "", "One. Two! Three?\n\n" * 9]


@pytest.mark.slow
def test_it_equals_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(bundled_folder()), device="cpu", local_files_only=True)
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(MiniLM(bundled_folder()).encode(TEXTS, batch_size=4), expected, atol=2e-6)


def test_padding_changes_nothing() -> None:
    model = MiniLM(bundled_folder())
    together = model.encode(TEXTS, batch_size=len(TEXTS))
    alone = model.encode(TEXTS, batch_size=1)
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1.0, atol=1e-6)


def test_the_network_prepared_for_this_cpu_gives_the_same_vectors() -> None:
    model = MiniLM(bundled_folder())
    expected = model.encode(TEXTS, batch_size=4)
    np.testing.assert_allclose(model.prepared_for_cpu(torch.float32).encode(TEXTS, batch_size=4), expected, atol=5e-6)
    half = model.prepared_for_cpu(torch.bfloat16).encode(TEXTS, batch_size=4)
    assert (half * expected).sum(1).min() > 0.999
    np.testing.assert_allclose(model.encode(TEXTS, batch_size=4), expected, atol=1e-6)


@pytest.mark.parametrize("words", [70, 103, 104, 119, 120, 127, 200])
def test_texts_of_any_length_have_the_same_vectors_prepared(words: int) -> None:
    """Texts a little shorter than a multiple of 16 tokens are padded to it, alone and among others."""
    model = MiniLM(bundled_folder())
    texts = ["tree " * words, "river " * (words - 3)]
    prepared = model.prepared_for_cpu(torch.float32)
    for some in (texts, texts[:1]):
        np.testing.assert_allclose(
            prepared.encode(some, batch_size=2), model.encode(some, batch_size=2), atol=5e-6, err_msg=f"{len(some)}"
        )


@pytest.mark.parametrize("question", ["a", "Where is the bridge?", "Who was it that built the bridge? " * 6])
def test_a_question_multiplied_by_half_floats_has_nearly_the_same_vector(question: str) -> None:
    model = MiniLM(bundled_folder())
    expected, half = (one.encode([question], batch_size=1)[0] for one in (model, model.prepared_for_cpu(torch.float32)))
    assert expected @ half > 0.999999
    np.testing.assert_allclose(half, expected, atol=5e-4)


def test_no_texts_give_no_vectors() -> None:
    assert MiniLM(bundled_folder()).encode([], batch_size=4).shape == (0, 384)
