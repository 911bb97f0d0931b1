"""The bundled embedder's own network against sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ragyena.index.embedder import bundled_folder
from ragyena.index.minilm import MiniLM, MiniLMNetwork

TEXTS = ["a", "Where is the bridge?", "Grüße aus Köln \U0001f600 " * 30, "word " * 600, "", "One. Two! Three?\n\n" * 9]


@pytest.mark.slow
def test_it_equals_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(bundled_folder()), device="cpu", local_files_only=True)
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(MiniLM(bundled_folder()).encode(TEXTS), expected, atol=2e-6)


def test_texts_that_go_together_do_not_change_one_another() -> None:
    model = MiniLM(bundled_folder())
    together = model.encode(TEXTS)
    alone = np.concatenate([model.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1.0, atol=1e-6)


def test_the_network_prepared_for_this_cpu_gives_the_same_vectors() -> None:
    model = MiniLM(bundled_folder())
    expected = model.encode(TEXTS)
    np.testing.assert_allclose(model.prepared_for_cpu(torch.float32).encode(TEXTS), expected, atol=5e-6)
    half = model.prepared_for_cpu(torch.bfloat16).encode(TEXTS)
    assert (half * expected).sum(1).min() > 0.999
    np.testing.assert_allclose(model.encode(TEXTS), expected, atol=1e-6)


@pytest.mark.parametrize("words", [70, 103, 104, 119, 120, 127, 200])
def test_texts_of_any_length_have_the_same_vectors_prepared(words: int) -> None:
    """A text a little shorter than a multiple of 16 tokens attends to masked rows after its own, alone and among
    others: those of the next text, one of another length, or none."""
    model = MiniLM(bundled_folder())
    texts = ["tree " * words, "stone " * words, "river " * (words - 3)]
    prepared = model.prepared_for_cpu(torch.float32)
    for some in (texts, texts[:1]):
        np.testing.assert_allclose(prepared.encode(some), model.encode(some), atol=5e-6, err_msg=f"{len(some)}")


@pytest.mark.parametrize("question", ["a", "Where is the bridge?", "Who was it that built the bridge? " * 6])
def test_a_question_multiplied_by_half_floats_has_nearly_the_same_vector(question: str) -> None:
    model = MiniLM(bundled_folder())
    expected, half = (one.encode([question])[0] for one in (model, model.prepared_for_cpu(torch.float32)))
    assert expected @ half > 0.999999
    np.testing.assert_allclose(half, expected, atol=5e-4)


def test_padded_texts_have_the_same_vectors() -> None:
    network = MiniLM(bundled_folder())._network
    lengths = [7, 12]
    ids_BT = torch.randint(1000, 2000, (2, 12), generator=torch.Generator().manual_seed(0))
    mask_BT = torch.arange(12) < torch.tensor(lengths)[:, None]
    expected = network.embed(ids_BT[mask_BT], lengths)
    torch.testing.assert_close(network.embed_padded(ids_BT * mask_BT, mask_BT), expected, atol=2e-6, rtol=0)


def test_many_texts_go_through_in_parts_and_come_back_in_order() -> None:
    model = MiniLM(bundled_folder()).prepared_for_cpu(torch.float32)
    texts = [f"river {number} " * (1 + 37 * number % 61) for number in range(48)]
    vectors = model.encode(texts)
    for number in (0, 17, 47):
        np.testing.assert_allclose(vectors[number], model.encode([texts[number]])[0], atol=5e-4)


def test_a_batch_is_of_few_rows_more_than_it_has_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = rows = 0
    embed = MiniLMNetwork._embed

    def counted(self: MiniLMNetwork, ids_T: Tensor, place_T: Tensor) -> Tensor:
        nonlocal tokens, rows
        tokens, rows = tokens + int((ids_T != 0).sum()), rows + len(ids_T)
        return embed(self, ids_T, place_T)

    monkeypatch.setattr(MiniLMNetwork, "_embed", counted)
    MiniLM(bundled_folder()).prepared_for_cpu(torch.float32).encode(
        [f"{'lake ' * (number % 40)}" for number in range(96)]
    )
    assert tokens <= rows < 1.1 * tokens


def test_no_texts_give_no_vectors() -> None:
    assert MiniLM(bundled_folder()).encode([]).shape == (0, 384)
