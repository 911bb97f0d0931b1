"""A pair reader beside a reader: it reads again what the reader finds likeliest."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ragyena import recipes
from ragyena.config import PairModelConfig, PipelineConfig, ReaderConfig
from ragyena.errors import CheckpointError, UsageError
from ragyena.model.checkpoint import save_checkpoint
from ragyena.model.confidence import Calibration, calibration_file, save_calibration
from ragyena.model.inputs import ReaderInput, collate
from ragyena.model.pair_reader import PairReader
from ragyena.model.reader_model import SpanScores
from ragyena.reader import rereading
from ragyena.reader.distribution import write_distribution
from ragyena.reader.opening import folders_of
from ragyena.reader.rereading import Rereader
from ragyena.tune.run import _start
from tests.model.test_pair_reader import READER_TOKENIZER, contexts
from tests.reader.test_reader import context
from tests.reader.test_together import opened

PASSAGES = [[2054, 2003, 1996], [3007, 1997, 2605, 2003, 3000], [2009], [2024, 2049], [2057, 2064, 2156]]
QUESTION = [2040, 2003]


def pair_reader(**settings: int) -> PairReader:
    torch.manual_seed(3)
    sizes = {"vocab_size": 30522, "width": 32, "depth": 2, "heads": 4, "ffn_width": 48, "positions": 420, **settings}
    model = PairReader(PairModelConfig.model_validate(sizes)).eval()
    torch.nn.init.normal_(model.span.weight, std=0.5)
    return model


@pytest.fixture
def pair_folder(tmp_path: Path) -> Path:
    model, folder = pair_reader(), tmp_path / "pair"
    tokenizer = READER_TOKENIZER
    save_checkpoint(folder, model.state_dict(), model.config, tokenizer=tokenizer, card=None, storage="float32")
    return folder


def reader_scores(batch: ReaderInput, seed: int) -> SpanScores:
    """Scores as a reader has them."""
    generator = torch.Generator().manual_seed(seed)
    start, end = (torch.randn(batch.token_ids.shape, generator=generator) * 3 for _ in range(2))
    outside = ~batch.text_mask
    return SpanScores(start.masked_fill(outside, -1e4), end.masked_fill(outside, -1e4), torch.zeros(1, 2))


def test_where_all_passages_are_read_again_the_log_probabilities_are_averaged() -> None:
    batch, model = contexts(PASSAGES, QUESTION), pair_reader()
    first = reader_scores(batch, seed=1)
    with torch.no_grad():
        both = Rereader([model], torch.float32).scores(first, batch)
        own = model.span_scores(batch, dtype=torch.float32)
    expected = SpanScores.averaged([first, own])
    text = batch.text_mask
    torch.testing.assert_close(both.start[text], expected.start[text], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(both.end[text], expected.end[text], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(both.null, expected.null, atol=1e-4, rtol=1e-4)
    assert float(both.start[~text].max()) < -1000  # nothing outside the passages' text


def test_only_the_likeliest_passages_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereading, "_PASSAGES", 2)
    batch, model = contexts(PASSAGES, QUESTION), pair_reader()
    first = reader_scores(batch, seed=2)
    start, end, _ = first.log_probabilities()
    likeliest = (start.amax(2) + end.amax(2))[0].argsort(descending=True).tolist()
    with torch.no_grad():
        both = Rereader([model], torch.float32).scores(first, batch)
        some = contexts([PASSAGES[place] for place in likeliest[:2]], QUESTION)
        own = model.span_scores(some, dtype=torch.float32).log_probabilities()[0]
    for rank, place in enumerate(likeliest):
        text = batch.text_mask[0, place]
        mine = (own[0, rank] if rank < 2 else torch.full_like(own[0, 0], -20.0))[text]
        torch.testing.assert_close(both.start[0, place][text], (start[0, place][text] + mine) / 2, atol=1e-4, rtol=1e-4)


def test_padding_that_is_read_again_changes_nothing() -> None:
    batch, model = contexts(PASSAGES, QUESTION), pair_reader()
    again, first = Rereader([model], torch.float32), reader_scores(batch, seed=4)
    wider = replace(
        batch,
        **{name: F.pad(getattr(batch, name), (0, 16)) for name in ("token_ids", "token_mask", "text_mask")},
    )
    more = SpanScores(*(F.pad(scores, (0, 16), value=-1e4) for scores in (first.start, first.end)), first.null)
    with torch.no_grad():
        trimmed, whole = again.scores(first, batch), again.scores(more, wider, trim=False)
    text = batch.text_mask
    torch.testing.assert_close(whole.start[wider.text_mask], trimmed.start[text], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(whole.null, trimmed.null, atol=1e-4, rtol=1e-4)
    shape = batch.shape
    assert again.takes(shape) and not again.takes(shape._replace(slot=model.longest()))


def test_several_pair_readers_are_averaged() -> None:
    batch, model = contexts(PASSAGES, QUESTION), pair_reader()
    first = reader_scores(batch, seed=3)
    one = Rereader([model], torch.float32).scores(first, batch)
    two = Rereader([model, model], torch.float32)
    torch.testing.assert_close(two.scores(first, batch).start, one.start)
    assert two.parameters == 2 * Rereader([model], torch.float32).parameters


def test_a_pair_reader_reads_with_the_reader_in_the_package_or_another(
    pair_folder: Path, small_reader: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = recipes.asset("reader")
    assert folders_of(str(pair_folder)) == [pair_folder, shipped]
    assert folders_of(f"{small_reader}+{pair_folder}") == folders_of(f"{pair_folder}+{small_reader}")
    with caplog.at_level(logging.WARNING):
        reader = opened(f"{small_reader}+{pair_folder}")
    assert "confidence" in caplog.text
    alone = opened(str(small_reader))
    assert reader.parameters == alone.parameters + pair_reader_parameters() and reader.fingerprint != alone.fingerprint
    asked = context("Who opened the Forth Bridge?")
    reading, before = reader.read(asked), alone.read(asked)
    assert reading.spans and reading.spans[0].score != before.spans[0].score
    assert reader.configured(ReaderConfig(threshold=0.5)).read(asked).spans == reading.spans
    _, watch = reader.read_timed(asked)
    assert watch.parts["again"] > 0
    assert alone.read_timed(asked)[1].parts.get("again") is None
    assert reader.token_scores([asked])[0].start.shape == alone.token_scores([asked])[0].start.shape


def pair_reader_parameters() -> int:
    return sum(p.numel() for p in pair_reader().parameters())


def test_a_batch_is_read_as_its_contexts_alone(pair_folder: Path, small_reader: Path) -> None:
    reader = opened(f"{small_reader}+{pair_folder}")
    asked = [context("Who opened the Forth Bridge?"), context("When was the Forth Bridge opened?")]
    together = reader.read_batch(asked)
    batch = collate(asked, "cpu")
    assert batch.token_ids.shape[0] == 2
    for one, each in zip(map(reader.read, asked), together, strict=True):
        assert [span.text for span in one.spans] == [span.text for span in each.spans]
        assert one.spans[0].score == pytest.approx(each.spans[0].score, rel=1e-3)


def test_its_confidence_lies_beside_it_and_names_the_reader_it_was_fitted_with(
    pair_folder: Path, small_reader: Path, tmp_path: Path
) -> None:
    save_calibration(pair_folder, Calibration(threshold=0.33), [small_reader])
    assert opened(f"{small_reader}+{pair_folder}").withholding(ReaderConfig(threshold=None)).threshold == 0.33
    packaged = write_distribution(pair_folder, "base", tmp_path / "base", version="1.0.0", licence="CC0-1.0")
    assert (packaged / "ragyena_reader_base" / calibration_file(pair_folder, [small_reader]).name).is_file()


def test_it_is_packaged_with_the_reader_that_it_reads_with(
    pair_folder: Path, small_reader: Path, tmp_path: Path
) -> None:
    save_calibration(pair_folder, Calibration(threshold=0.33), [small_reader])
    options = {"version": "1.0.0", "licence": "CC0-1.0"}
    packaged = write_distribution(pair_folder, "base", tmp_path / "base", beside=small_reader, **options)
    folder = packaged / "ragyena_reader_base"
    assert folders_of(str(folder)) == [folder, folder / "beside"]
    assert folders_of(f"{folder}+small") == [folder, recipes.asset("reader")]
    alone, both = opened(str(folder)), opened(f"{pair_folder}+{small_reader}")
    assert alone.withholding(ReaderConfig(threshold=None)).threshold == 0.33
    asked = context("Who opened the Forth Bridge?")
    assert alone.read(asked).spans == both.read(asked).spans
    again = write_distribution(folder, "other", tmp_path / "other", **options)
    assert (again / "ragyena_reader_other" / "beside" / "config.json").is_file()
    with pytest.raises(UsageError, match="no pair reader"):
        write_distribution(small_reader, "base", tmp_path / "third", beside=small_reader, **options)
    with pytest.raises(UsageError, match="no reader of whole contexts"):
        write_distribution(pair_folder, "base", tmp_path / "third", beside=pair_folder, **options)


def test_a_pair_reader_is_not_tuned(pair_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no reader"):
        _start(PipelineConfig(reader=ReaderConfig(checkpoint=str(pair_folder))))
    with pytest.raises(UsageError, match="several readers"):
        _start(PipelineConfig(reader=ReaderConfig(checkpoint=f"{pair_folder}+small")))
