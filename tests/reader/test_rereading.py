"""A pair reader beside a reader: it reads again what the reader finds likeliest."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ragyena import recipes
from ragyena.config import PairModelConfig, PipelineConfig, PolarModelConfig, ReaderConfig
from ragyena.errors import CheckpointError, UsageError
from ragyena.model.checkpoint import load_config, load_model, save_checkpoint, weights_key
from ragyena.model.confidence import Calibration, calibration_file, save_calibration
from ragyena.model.inputs import ReaderInput, collate
from ragyena.model.pair_reader import PairReader
from ragyena.model.polar_branch import PolarBranch
from ragyena.model.reader_model import ReaderModel, SpanScores
from ragyena.reader import rereading
from ragyena.reader.decoding import WrittenAnswer
from ragyena.reader.distribution import write_distribution
from ragyena.reader.opening import folders_of
from ragyena.reader.rereading import Rereader, Verdict
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


@pytest.fixture
def deciding_folder(pair_folder: Path) -> Path:
    """A pair reader with layers that decide yes or no."""
    model = pair_reader()
    branch = PolarBranch(
        PolarModelConfig(layers=1, width=32, heads=4, ffn_width=48, trunk=weights_key(pair_folder))
    ).eval()
    branch.start_from(model)
    torch.nn.init.normal_(branch.head.weight, std=0.5)
    save_checkpoint(
        pair_folder / "polar", branch.state_dict(), branch.config, tokenizer=None, card=None, storage="float32"
    )
    return pair_folder


def says(folder: Path, yes: float, no: float) -> None:
    """Makes the layers in ``folder`` say yes, no or neither with these log odds, whatever they read."""
    config = load_config(folder / "polar")
    assert isinstance(config, PolarModelConfig)
    branch = load_model(PolarBranch, config, folder / "polar")
    torch.nn.init.zeros_(branch.head.weight)
    branch.head.bias.data = torch.tensor([yes, no, 0.0])
    save_checkpoint(folder / "polar", branch.state_dict(), config, tokenizer=None, card=None, storage="float32")


def test_layers_beside_it_decide_yes_or_no_and_change_no_span(
    deciding_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_calibration(deciding_folder, Calibration(threshold=0.0), [recipes.asset("reader")])
    monkeypatch.setattr(ReaderModel, "write_logit", lambda self, encoded: encoded.question.new_full((1,), 9.0))
    asked = context("Was the Forth Bridge opened in 1890?")
    for yes, no, expected in ((6.0, -6.0, {"yes": "yes", "no": "yes"}), (-9.0, -9.0, {"yes": "yes", "no": "no"})):
        says(deciding_folder, yes, no)
        reader = opened(str(deciding_folder))
        for word in ("yes", "no"):  # whatever the reader writes
            written = WrittenAnswer(word, 0.7, (None,))
            monkeypatch.setattr("ragyena.reader.reader.write_answer", lambda *_, written=written: written)
            reading = reader.read(asked)
            assert (reading.kind, reading.text) == (expected[word], expected[word])
    (deciding_folder / "polar").rename(deciding_folder / "away")
    without = opened(str(deciding_folder)).read(asked)
    assert without.spans[0].score == reading.spans[0].score
    assert without.features["answer"] == pytest.approx(math.log(0.7 / 0.3))


def test_what_passages_say_is_weighed_by_where_the_answer_stands() -> None:
    batch, model = contexts(PASSAGES, QUESTION), pair_reader()
    branch = PolarBranch(PolarModelConfig(layers=1, width=32, heads=4, ffn_width=48)).eval()
    torch.nn.init.normal_(branch.head.weight, std=0.5)
    again = Rereader([model], torch.float32, [branch])
    assert again.parameters == Rereader([model], torch.float32).parameters + sum(p.numel() for p in branch.parameters())
    with torch.no_grad():
        each = branch.scores(model, batch, dtype=torch.float32).softmax(2)[0]
        sure = again.verdict(batch, np.array([-60.0, -60.0, 0.0, -60.0, -60.0]))
        even = again.verdict(batch, np.array([-60.0, -1.0, -1.0, -60.0, -1.0]))
    assert sure == pytest.approx(each[2, :2].tolist(), abs=1e-5)
    assert even == pytest.approx(each[[1, 2, 4], :2].mean(0).tolist(), abs=1e-5)
    assert Rereader([model], torch.float32).verdict(batch, np.zeros(5)) is None
    assert again.verdict(batch, np.full(5, -np.inf)) is None
    assert Verdict(0.8, 0.1).joined(0.5) > 0.8 > Verdict(0.5, 0.5).joined(0.8) > 0.5


def test_layers_of_another_pair_reader_are_refused(deciding_folder: Path, small_reader: Path, tmp_path: Path) -> None:
    packaged = write_distribution(deciding_folder, "base", tmp_path / "base", version="1.0.0", licence="CC0-1.0")
    assert (packaged / "ragyena_reader_base" / "polar" / "model.safetensors").is_file()
    assert opened(str(packaged / "ragyena_reader_base")).again is not None
    other = pair_reader(depth=3)
    save_checkpoint(
        deciding_folder, other.state_dict(), other.config, tokenizer=READER_TOKENIZER, card=None, storage="float32"
    )
    save_calibration(deciding_folder, Calibration(), [small_reader])
    with pytest.raises(CheckpointError, match="another pair reader"):
        opened(f"{deciding_folder}+{small_reader}")
