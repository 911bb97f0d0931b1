"""Readers from checkpoint folders: the shipped one answers; invalid folders are refused by name."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ragyena import recipes
from ragyena.config import PackerConfig, ReaderConfig, ReaderModelConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError, ConfigError, MissingDependencyError
from ragyena.model.checkpoint import save_checkpoint
from ragyena.model.inputs import ContextShape, shape_of
from ragyena.model.reader_model import ReaderModel
from ragyena.ops.int8_linear import int8_unavailable
from ragyena.reader.packing import pack
from ragyena.reader.reader import Reader
from ragyena.types import Context, Passage, ScoredPassage

TEXTS = (
    "The Eiffel Tower was completed in 1889 for the World's Fair in Paris. It was designed by the company of "
    "Gustave Eiffel and is 330 metres tall.",
    "The Forth Bridge is a railway bridge in Scotland. It was opened on 4 March 1890 by the Prince of Wales.",
    "Penicillin was discovered in 1928 by Alexander Fleming, a physician at St Mary's Hospital in London.",
)
ANSWERS = {
    "When was the Eiffel Tower completed?": "1889",
    "Who discovered penicillin?": "Alexander Fleming",
    "Who opened the Forth Bridge?": "Prince of Wales",
}
TOKENIZER = recipes.asset("reader") / "tokenizer.json"
REASON = int8_unavailable()
needs_int8 = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def context(question: str, texts: tuple[str, ...] = TEXTS) -> Context:
    candidates = [
        ScoredPassage(
            Passage(
                text=text, start=100, end=100 + len(text), line_start=1, line_end=1, page=None, title="",
                heading_path=(), source=f"doc{i}.txt", passage_id=i, document_id=i,
            ),
            score=1 / (i + 1),
        )
        for i, text in enumerate(texts)
    ]  # fmt: skip
    tokenizer = Tokenizer.from_folder(TOKENIZER.parent)
    return pack(question, candidates, tokenizer, PackerConfig(), max_question_tokens=64)


@pytest.fixture(scope="module")
def shipped() -> Reader:
    return Reader.open(ReaderConfig(device="cpu", dtype="float32", threshold=0.0))


def architecture(**values: object) -> ReaderModelConfig:
    defaults: dict[str, object] = {
        "width": 24, "heads": 4, "ffn_width": 48, "mixers": ["hyena"] * 2, "context_channels": [0, 0],
        "near_taps": 3, "filter_width": 8, "filter_bands": 4, "max_slot_tokens": 300, "max_question_tokens": 128,
        "decoder_layers": 1, "max_answer_tokens": 8,
    }  # fmt: skip
    return ReaderModelConfig.model_validate(defaults | values)


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Makes a checkpoint of an untrained reader; ``mode`` is the bias of its answer mode."""

    def make(*, mode: float = -9.0, declared: ReaderModelConfig | None = None) -> Path:
        torch.manual_seed(0)
        model = ReaderModel(architecture())
        with torch.no_grad():
            model.mode.bias.fill_(mode)
        folder = tmp_path / "reader"
        config = declared or model.config
        save_checkpoint(folder, model.state_dict(), config, tokenizer=TOKENIZER, card=None, storage="float32")
        return folder

    return make


@pytest.mark.parametrize(("question", "answer"), ANSWERS.items())
def test_the_shipped_reader_answers_easy_questions(shipped: Reader, question: str, answer: str) -> None:
    reading = shipped.read(context(question))
    assert reading.kind == "extracted"
    assert answer in reading.text and len(reading.text) < len(answer) + 12
    assert reading.text == reading.spans[0].text
    assert TEXTS[reading.spans[0].slot][reading.spans[0].start - 100 : reading.spans[0].end - 100] == reading.text
    assert reading.slot_scores.argmax() == reading.spans[0].slot
    assert 0 < reading.confidence <= 1 and 0 <= reading.no_answer_probability <= 1


def test_confidence_falls_where_the_passages_hold_no_answer(shipped: Reader) -> None:
    known = shipped.read(context("When was the Eiffel Tower completed?"))
    unknown = shipped.read(context("When was the Eiffel Tower completed?", TEXTS[2:]))
    assert unknown.confidence < known.confidence
    assert unknown.no_answer_probability > known.no_answer_probability


@needs_int8
def test_the_shipped_reader_answers_in_int8(shipped: Reader, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        reader = Reader.open(ReaderConfig(device="cpu", dtype="int8", threshold=0.0))
    assert reader.dtype == "int8" and "int8" in caplog.text
    assert reader.fingerprint != shipped.fingerprint
    contexts = [context(question) for question in ANSWERS]
    for reading, expected in zip(reader.read_batch(contexts), shipped.read_batch(contexts)):
        assert reading.text == expected.text
        assert reading.confidence == pytest.approx(expected.confidence, abs=0.1)


@needs_int8
def test_threads_that_read_in_int8_at_once_read_the_same() -> None:
    reader = Reader.open(ReaderConfig(device="cpu", dtype="int8", threshold=0.0))
    contexts = [context(question) for question in ANSWERS]
    alone = [reader.read(one) for one in contexts]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(reader.read, contexts))
    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.confidence for one in together] == pytest.approx([one.confidence for one in alone], abs=1e-4)


def test_int8_is_refused_by_name_where_it_is_missing(
    tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ReaderConfig(checkpoint=str(tiny()), device="cpu", dtype="int8")
    monkeypatch.setattr("ragyena.reader.opening.int8_unavailable", lambda: None)
    with pytest.raises(CheckpointError, match=r"reader\.dtype is int8, and .* has no ranges\.json"):
        Reader.open(config)
    monkeypatch.setattr("ragyena.reader.opening.int8_unavailable", lambda: "this CPU has none of avx512_vnni")
    with pytest.raises(MissingDependencyError, match=r"reader\.dtype is int8, and this CPU has none of avx512_vnni"):
        Reader.open(config)


def test_reading_together_is_reading_one_by_one(shipped: Reader) -> None:
    contexts = [context(question) for question in ANSWERS]
    contexts += [
        context("When was it built?", TEXTS[:1]),
        context("Anything?", ()),
        context("Which hospital?", TEXTS[2:]),
    ]
    together = shipped.read_batch(contexts)
    assert len(together) == len(contexts)
    for one, batched in zip(map(shipped.read, contexts), together):
        assert (batched.kind, batched.text) == (one.kind, one.text)
        assert batched.confidence == pytest.approx(one.confidence, abs=1e-3)
        assert batched.no_answer_probability == pytest.approx(one.no_answer_probability, abs=1e-3)
        # the last word of a question that is padded to the longest of its batch hears its neighbour faintly
        assert np.allclose(batched.slot_scores, one.slot_scores, atol=2e-3)
    twice = shipped.read_batch([contexts[0], contexts[0]])
    assert all(np.allclose(r.slot_scores, shipped.read(contexts[0]).slot_scores, atol=1e-4) for r in twice)


def test_an_empty_context_has_no_answer(tiny: Callable[..., Path]) -> None:
    reader = Reader.open(ReaderConfig(checkpoint=str(tiny()), device="cpu"))
    reading = reader.read(context("Anything?", ()))
    assert (reading.kind, reading.text, reading.confidence, reading.spans) == ("withheld", "", 0.0, ())
    assert reading.no_answer_probability == 1.0 and reading.slot_scores.shape == (0,)
    assert reader.read_batch([]) == []


def test_under_the_threshold_the_answer_is_withheld_and_its_spans_are_not(tiny: Callable[..., Path]) -> None:
    folder = str(tiny())
    question = context("When was the Eiffel Tower completed?")
    answered = Reader.open(ReaderConfig(checkpoint=folder, device="cpu", dtype="float32", threshold=0.0)).read(question)
    withheld = Reader.open(ReaderConfig(checkpoint=folder, device="cpu", dtype="float32", threshold=1.0)).read(question)
    assert answered.kind == "extracted" and answered.text
    assert (withheld.kind, withheld.text, withheld.withheld) == ("withheld", "", answered.text)
    assert answered.withheld == ""
    assert withheld.spans == answered.spans and withheld.confidence == answered.confidence < 1


def test_a_question_of_writing_mode_gets_a_written_answer(tiny: Callable[..., Path]) -> None:
    folder = str(tiny(mode=9.0))
    reader = Reader.open(
        ReaderConfig(checkpoint=folder, device="cpu", dtype="float32", threshold=0.0, max_answer_tokens=5)
    )
    reading = reader.read(context("Is the Eiffel Tower in Paris?"))
    assert reading.kind == "written" and len(reader.tokenizer.encode(reading.text).ids) >= 1
    assert 0 <= reading.confidence <= 1 and reading.spans


def test_a_reader_describes_itself(tiny: Callable[..., Path]) -> None:
    folder = tiny()
    reader = Reader.open(ReaderConfig(checkpoint=str(folder), device="cpu", dtype="bfloat16"))
    assert (reader.name, reader.device, reader.dtype) == (str(folder), "cpu", "bfloat16")
    assert reader.parameters == sum(p.numel() for p in ReaderModel(architecture()).parameters())
    again = Reader.open(ReaderConfig(checkpoint=str(folder), device="cpu", dtype="bfloat16"))
    assert reader.fingerprint == again.fingerprint
    with torch.no_grad():
        next(again.model.parameters())[0, 0] += 1
    assert reader.fingerprint != again.fingerprint


def test_a_checkpoint_of_another_shape_is_refused(tiny: Callable[..., Path]) -> None:
    folder = tiny(declared=architecture(ffn_width=96))
    with pytest.raises(CheckpointError, match=r"of another shape: layers.0.ffn"):
        Reader.open(ReaderConfig(checkpoint=str(folder), device="cpu"))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_checkpoint_that_lacks_a_file_is_refused(tiny: Callable[..., Path], file: str) -> None:
    folder = tiny()
    (folder / file).unlink()
    with pytest.raises(CheckpointError, match=file):
        Reader.open(ReaderConfig(checkpoint=str(folder), device="cpu"))


def test_weights_cut_short_are_refused(tiny: Callable[..., Path]) -> None:
    weights = tiny() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Reader.open(ReaderConfig(checkpoint=str(weights.parent), device="cpu"))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no reader at .*gone"):
        Reader.open(ReaderConfig(checkpoint=str(tmp_path / "gone"), device="cpu"))


def test_a_model_of_another_kind_is_refused(tiny: Callable[..., Path]) -> None:
    folder = tiny()
    (folder / "config.json").write_text(json.dumps({"format_version": 1, "kind": "causal"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="causal model, not a reader"):
        Reader.open(ReaderConfig(checkpoint=str(folder), device="cpu"))


def test_longer_questions_than_the_model_takes_are_a_wrong_setting(tiny: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="over the 128"):
        Reader.open(ReaderConfig(checkpoint=str(tiny()), device="cpu", max_question_tokens=129))


def test_a_device_that_is_not_here_is_named(tiny: Callable[..., Path]) -> None:
    missing = f"cuda:{torch.cuda.device_count()}" if torch.cuda.is_available() else "cuda"
    with pytest.raises(MissingDependencyError, match=f"no device {missing}"):
        Reader.open(ReaderConfig(checkpoint=str(tiny()), device=missing))


def test_a_moved_checkpoint_still_opens(tiny: Callable[..., Path], tmp_path: Path) -> None:
    moved = shutil.copytree(tiny(), tmp_path / "a folder with spaces é")
    reading = Reader.open(ReaderConfig(checkpoint=str(moved), device="cpu", threshold=0.0)).read(context("When?"))
    assert reading.kind == "extracted"


def test_a_list_is_read_as_its_items_in_their_order(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ReaderModel(architecture(lists=True))
    given = context("Which tools do I bring?", ("Bring a lamp, a rope and a map. The hut opens on Monday.",))
    with torch.no_grad():  # the question asks for a list; untrained, all spans of the passage are about as likely
        assert model.list_mode is not None
        model.list_mode.bias.fill_(9.0)
        model.mode.bias.fill_(-9.0)  # and for none that is written
    folder = tmp_path / "lists"
    save_checkpoint(folder, model.state_dict(), model.config, tokenizer=TOKENIZER, card=None, storage="float32")
    reader = Reader.open(ReaderConfig(checkpoint=str(folder), device="cpu", dtype="float32", threshold=0.0))
    reading = reader.read(given)
    assert reading.kind == "list" and reading.items > 1
    items = reading.spans[: reading.items]
    assert [span.start for span in items] == sorted(span.start for span in items)
    assert reading.text == "; ".join(span.text for span in items)
    assert len({span.text.casefold() for span in items}) == reading.items
    with torch.no_grad():
        reader.model.list_mode.bias.fill_(-9.0)  # type: ignore[union-attr]
    single = reader.read(given)
    assert single.kind in ("extracted", "written") and single.items == 0


@torch.inference_mode()
def test_padding_to_a_rounded_shape_changes_no_answer(shipped: Reader) -> None:
    """As a context is padded for a graph: the question, and passages that are not there."""
    assert shipped.model.config.max_question_tokens == 128
    for question in (*ANSWERS, "Is the Eiffel Tower in Paris?"):
        asked = context(question)
        shape = shape_of([asked])
        padded = ContextShape(32, shape.passages + 2, shape.slot)
        (plain,), (reading,) = (shipped._read_shape([asked], each, None, None) for each in (shape, padded))
        assert (reading.kind, reading.text) == (plain.kind, plain.text)
        assert [span.text for span in reading.spans] == [span.text for span in plain.spans]
        assert reading.confidence == pytest.approx(plain.confidence, abs=1e-4)
        assert reading.slot_scores == pytest.approx(plain.slot_scores, abs=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_graphs_change_no_answer() -> None:
    config = ReaderConfig(device="cuda", dtype="float32", threshold=0.0)
    recorded = Reader.open(config)
    plain = recorded.configured(config.model_copy(update={"cuda_graphs": False}))
    questions = (*ANSWERS, "Is the Eiffel Tower in Paris?", "Which two bridges or towers are named?")
    for _ in range(3):  # as it is, recorded, replayed
        for question in questions:
            asked = context(question)
            reading, expected = recorded.read(asked), plain.read(asked)
            assert (reading.kind, reading.text) == (expected.kind, expected.text)
            assert reading.confidence == pytest.approx(expected.confidence, abs=1e-3)
    assert len(recorded._graphs.score) > 0 and len(recorded._graphs.find) > 0
