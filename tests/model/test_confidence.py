"""The calibrated probabilities of a reader and the file they are kept in."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from ragyena.config import ReaderModelConfig
from ragyena.errors import CheckpointError
from ragyena.model.checkpoint import save_checkpoint
from ragyena.model.confidence import (
    CALIBRATION_FILE,
    Calibration,
    Form,
    Withholding,
    features_of,
    load_calibration,
    save_calibration,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint = tmp_path / "reader"
    save_checkpoint(checkpoint, {"a": torch.ones(2)}, ReaderModelConfig(), tokenizer=None, card=None, storage="float32")
    return checkpoint


def scores(form: Form, answer: float, null: float) -> dict[str, float]:
    return features_of(form, answer=answer, null=null, margin=1.0, tokens=2)


def test_without_a_fit_the_probabilities_are_the_readers_own(folder: Path) -> None:
    calibration = load_calibration(folder)
    features = scores("span", math.log(0.3), math.log(0.6))
    assert calibration.confidence(features) == pytest.approx(0.3)
    assert calibration.no_answer_probability(features) == pytest.approx(0.6)


def test_features_are_bounded_and_tell_forms_apart() -> None:
    nothing = scores("span", -math.inf, 0.0)
    assert nothing["answer"] == pytest.approx(-11.51, abs=0.01) and nothing["null"] == pytest.approx(-nothing["answer"])
    assert (nothing["list"], nothing["written"], nothing["written_answer"]) == (0, 0, 0)
    assert scores("list", -1.0, -2.0)["list"] == 1
    written = scores("written", -1.0, -2.0)
    assert written["written"] == 1 and written["written_answer"] == written["answer"] != 0
    assert (written["margin"], written["length"]) == (0, 0)
    span = features_of("span", answer=-1.0, null=-2.0, margin=math.inf, tokens=8)
    assert (span["margin"], span["length"]) == (12, pytest.approx(math.log(8)))


def test_answers_are_withheld_by_a_threshold_or_beside_there_being_no_answer() -> None:
    assert Withholding(0.3).withholds(0.29, 0.0) and not Withholding(0.3).withholds(0.3, 0.9)
    rule = Withholding(0.0, odds=2.0)
    assert rule.withholds(0.5, 0.3) and not rule.withholds(0.5, 0.2) and not rule.withholds(0.1, 0.0)


def test_a_fit_is_kept_beside_the_weights(folder: Path) -> None:
    fitted = Calibration(
        right={"answer": 0.5, "list": -1.0, "intercept": 0.25},
        no_answer={"null": 0.4},
        threshold=0.3,
        odds=1.5,
        fitted={"n": 7},
    )
    assert save_calibration(folder, fitted) == folder / CALIBRATION_FILE
    again = load_calibration(folder)
    assert again == fitted
    features = scores("list", math.log(0.5), math.log(0.5))
    assert again.confidence(features) == pytest.approx(1 / (1 + math.exp(0.75)))
    assert sorted(path.name for path in folder.iterdir()) == [CALIBRATION_FILE, "config.json", "model.safetensors"]


def test_extreme_weights_give_probabilities() -> None:
    sure = Calibration(right={"intercept": 5000.0}, no_answer={"intercept": -5000.0})
    assert sure.confidence({}) == 1.0 and sure.no_answer_probability({}) == 0.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"right": {"answr": 1.0}}, "unknown features: answr"),
        ({"right": {"answer": "x"}}, "right"),
        ({"threshold": 2}, "threshold"),
        ({"odds": -1}, "odds"),
        ({"more": 1}, "more"),
        ({"weights_sha256": "0"}, "other weights"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(folder: Path, change: dict[str, object], said: str) -> None:
    path = save_calibration(folder, Calibration())
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=said) as caught:
        load_calibration(folder)
    assert "ragyena train calibrate" in caught.value.hint


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"right": {"answer": NaN}}'])
def test_a_damaged_file_is_named(folder: Path, text: str) -> None:
    (folder / CALIBRATION_FILE).write_text(text)
    with pytest.raises(CheckpointError, match=CALIBRATION_FILE):
        load_calibration(folder)


def test_a_folder_without_a_checkpoint_takes_no_fit(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json"):
        save_calibration(tmp_path, Calibration())


def test_files_of_the_first_format_are_read_and_those_of_a_later_one_refused(folder: Path) -> None:
    path = save_calibration(folder, Calibration(right={"answer": 0.5, "covered": 1.0}))
    values = json.loads(path.read_text())
    assert values["format"] == 3
    assert load_calibration(folder).confidence({"answer": 0.0, "covered": 2.0}) == pytest.approx(1 / (1 + math.exp(-2)))
    first = {name: value for name, value in values.items() if name != "format"} | {"right": {"answer": 0.5}}
    path.write_text(json.dumps(first))
    assert load_calibration(folder).format == 1
    path.write_text(json.dumps({**values, "format": 4}))
    with pytest.raises(CheckpointError, match="format"):
        load_calibration(folder)
