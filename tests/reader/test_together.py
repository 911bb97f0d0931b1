"""Several readers that read together: their log probabilities are averaged."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ragyena.config import PipelineConfig, ReaderConfig
from ragyena.errors import CheckpointError, UsageError
from ragyena.model.checkpoint import load_config, load_state, save_checkpoint
from ragyena.model.confidence import Calibration, calibration_file, save_calibration
from ragyena.reader.distribution import write_distribution
from ragyena.reader.reader import Reader
from ragyena.readers import reader_folders
from ragyena.tune.run import _start
from tests.reader.test_reader import context

QUESTION = "Who opened the Forth Bridge?"


def opened(checkpoint: str) -> Reader:
    return Reader.open(ReaderConfig(checkpoint=checkpoint, device="cpu", dtype="float32", threshold=0.0))


@pytest.fixture
def two(small_reader: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The small reader, and one of other weights."""
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(small_reader, first)
    state = load_state(small_reader)
    generator = torch.Generator().manual_seed(1)
    other = {
        name: tensor + 0.1 * torch.randn(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    tokenizer = small_reader / "tokenizer.json"
    save_checkpoint(second, other, load_config(small_reader), tokenizer=tokenizer, card=None, storage="float32")
    return first, second


def test_the_log_probabilities_of_two_are_averaged(two: tuple[Path, Path]) -> None:
    asked = context(QUESTION)
    together = opened("+".join(map(str, two)))
    singles = [opened(str(folder)) for folder in two]

    def probabilities(reader: Reader) -> np.ndarray:
        start = reader.token_scores([asked])[0].start
        from ragyena.model.inputs import collate

        batch = collate([asked], torch.device("cpu"))
        scores = [model.span_scores(model.encode(batch), batch.text_mask) for model in reader.models]
        assert start.shape == scores[0].start.shape[1:]
        return np.stack([score.log_probabilities()[0][0].detach().numpy() for score in scores])

    own = np.concatenate([probabilities(reader) for reader in singles])
    assert np.allclose(probabilities(together), own, atol=1e-5)
    text = asked.text_mask
    assert np.allclose(together.token_scores([asked])[0].start[text], own.mean(0)[text], atol=1e-4)
    assert not np.allclose(own[0][text], own[1][text], atol=1e-2)
    assert together.parameters == sum(reader.parameters for reader in singles)
    assert len({together.fingerprint, *(reader.fingerprint for reader in singles)}) == 3
    reading = together.read(asked)
    twice = opened("+".join([str(two[0])] * 2)).read(asked)
    assert reading.spans and [span.text for span in twice.spans] == [span.text for span in singles[0].read(asked).spans]


def test_their_confidence_is_fitted_to_both_or_said_not_to_be(
    two: tuple[Path, Path], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    first, second = two
    save_calibration(first, Calibration(threshold=0.11))
    name = f"{first}+{second}"
    with caplog.at_level(logging.WARNING):
        assert opened(name).withholding(ReaderConfig(threshold=None)).threshold == 0.11
    assert "that of" in caplog.text and "alone" in caplog.text
    save_calibration(first, Calibration(threshold=0.22), [second])
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert opened(name).withholding(ReaderConfig(threshold=None)).threshold == 0.22
    assert not caplog.text
    assert opened(str(first)).withholding(ReaderConfig(threshold=None)).threshold == 0.11
    packaged = write_distribution(first, "wide", tmp_path / "wide", version="1.0.0", licence="CC0-1.0")
    assert (packaged / "ragyena_reader_wide" / calibration_file(first, [second]).name).is_file()


def test_readers_of_other_words_do_not_read_together_and_several_are_not_tuned(two: tuple[Path, Path]) -> None:
    first, second = two
    name = f"{first}+{second}"
    assert reader_folders(name) == two and reader_folders("small")[0].name == "reader"
    with pytest.raises(UsageError, match="several readers"):
        _start(PipelineConfig(reader=ReaderConfig(checkpoint=name)))
    with pytest.raises(CheckpointError, match="no reader at"):
        opened(f"{first}+{second}-missing")
    path = second / "tokenizer.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = values["model"]["vocab"]
    one, other = list(vocabulary)[2000:2002]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CheckpointError, match="tokenizers differ"):
        opened(name)


def test_a_folder_whose_path_has_a_plus_is_one(small_reader: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c+c"
    shutil.copytree(small_reader, folder)
    assert reader_folders(str(folder)) == (folder,)
