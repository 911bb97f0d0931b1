"""A reader's confidence fitted anew to questions on documents, and to readings that were kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_world import save_small_reader

from ragyena.cli.calibrate import _lines
from ragyena.config import PipelineConfig, ReaderConfig, RetrieverConfig
from ragyena.errors import DataError, UsageError
from ragyena.eval.calibrate import CalibrationData, recalibrate
from ragyena.model.confidence import CALIBRATION_FILE, FEATURES, FEATURES_OF_TEXT, load_calibration
from ragyena.model.input_ranges import load_ranges
from ragyena.reader.reader import Reader
from ragyena.types import Silent

KINDS = ("law", "tables")
KNOWN = (*FEATURES, *FEATURES_OF_TEXT)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CalibrationData:
    """Two kinds with two documents and twelve questions each; every third has no answer."""
    folder = tmp_path_factory.mktemp("data")
    documents, questions = [], []
    for kind in KINDS:
        for number in range(2):
            key = f"{kind}{number}"
            text = f"# Rules {key}\n\n" + "".join(f"Article {i} of {key} is {i * 7}.\n\n" for i in range(6))
            documents.append({"id": key, "source": kind, "title": f"Rules {key}", "text": text, "split": "train"})
            for i in range(6):
                answer = f"{i * 7}."
                start = text.index(f"Article {i} of {key} is ") + len(f"Article {i} of {key} is ")
                missing = i % 3 == 2
                questions.append(
                    {
                        "id": f"{key}-{i}",
                        "source": kind,
                        "document_id": key,
                        "question": f"What is article {i} of {key}?",
                        "answers": [] if missing else [answer],
                        "answer_type": "none" if missing else "span",
                        "spans": [] if missing else [[start, start + len(answer)]],
                        "near": [[start, start + len(answer)]] if missing else [],
                        "split": "train",
                    }
                )
    for name, rows in (("documents", documents), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = [str(folder / "questions.jsonl")], [str(folder / "documents.jsonl")]
    return CalibrationData(*files, limit=0, packed=8, passages=10, absent=6)


@pytest.fixture
def settings(tmp_path: Path) -> PipelineConfig:
    reader = save_small_reader(tmp_path / "reader", context_channels=(0, 0))
    return PipelineConfig(
        reader=ReaderConfig(checkpoint=str(reader), dtype="float32"), retriever=RetrieverConfig(mode="lexical")
    )


def test_a_fit_is_written_beside_the_weights_and_holds_for_the_reader(
    settings: PipelineConfig, data: CalibrationData, tmp_path: Path
) -> None:
    folder, kept = Path(settings.reader.checkpoint), tmp_path / "readings.jsonl"
    weights = (folder / "model.safetensors").read_bytes()
    before = Reader.open(settings.reader)
    done = recalibrate(settings, data, Silent(), readings=kept)
    assert done.path == folder / CALIBRATION_FILE
    assert (folder / "model.safetensors").read_bytes() == weights
    reader = Reader.open(settings.reader)
    assert reader.calibration.right == done.fit.calibration.right
    assert reader.withholding() == (0.0, done.fit.calibration.odds)
    assert reader.withholding(ReaderConfig(threshold=0.9)) == (0.9, 0.0)
    assert reader.fingerprint != before.fingerprint
    ranges = load_ranges(folder)
    assert ranges is not None and "layers.1.ffn.contract" in ranges.inputs
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert len(rows) == 24 + 8 + 10 + 6 == reader.calibration.fitted["questions"]
    assert reader.calibration.fitted["contexts"] == {
        "own document": 24,
        "end to end": 8,
        "own passages": 10,
        "without its document": 6,
    }
    asked = {row["id"].removesuffix(" end to end") for row in rows if row["id"].endswith("end to end")}
    absent = [row for row in rows if row["id"].endswith("without its document")]
    assert {row["id"].removesuffix(" without its document") for row in absent} < asked
    assert all(row["missing"] and not row["right"] for row in absent)
    # on their passages alone half of the questions have no answer, where there are so many
    assert sum(row["missing"] for row in rows if row["id"].endswith("own passages")) == 5
    assert {row["source"] for row in rows} == set(KINDS)
    assert all(row["features"].keys() == set(KNOWN) for row in rows)
    assert not any(row["right"] and row["missing"] for row in rows)
    assert sum(row["missing"] for row in rows if row["id"].endswith("own document")) >= 8
    assert {one.source for one in done.fit.left_out} == set(KINDS) == {one.source for one in done.before}
    # an untrained reader is hardly ever right, and its confidence says so now
    right = sum(row["right"] for row in rows) / len(rows)
    mean = sum(reader.calibration.confidence(row["features"]) for row in rows) / len(rows)
    assert mean == pytest.approx(right, abs=0.1)
    lines = "\n".join(_lines(done))
    assert "mean, kind left out" in lines and str(done.path) in lines


def test_readings_that_were_kept_are_fitted_to_without_reading(
    settings: PipelineConfig, data: CalibrationData, tmp_path: Path
) -> None:
    kept = tmp_path / "readings.jsonl"
    first = recalibrate(settings, data, Silent(), readings=kept, write=False)
    assert first.path is None and not (Path(settings.reader.checkpoint) / CALIBRATION_FILE).exists()
    again = recalibrate(settings, None, Silent(), readings=kept)
    assert again.fit.calibration.right == first.fit.calibration.right
    assert load_calibration(Path(settings.reader.checkpoint)).odds == first.fit.calibration.odds


def test_what_cannot_be_fitted_to_is_named(settings: PipelineConfig, data: CalibrationData, tmp_path: Path) -> None:
    row = {"id": "1", "source": "law", "features": dict.fromkeys(KNOWN, 0.0), "right": True, "missing": False}
    kept = tmp_path / "readings.jsonl"
    kept.write_text((json.dumps(row) + "\n") * 30)
    with pytest.raises(DataError, match="30 questions of 1 kinds, 0 of them without an answer"):
        recalibrate(settings, None, Silent(), readings=kept)
    kept.write_text(json.dumps({**row, "features": {"span": 1.0}}) + "\n")
    with pytest.raises(DataError, match="no readings of this version"):
        recalibrate(settings, None, Silent(), readings=kept)
    for checkpoint in ("small", f"small+{settings.reader.checkpoint}"):  # the file would be beside the first's weights
        shipped = settings.model_copy(update={"reader": ReaderConfig(checkpoint=checkpoint)})
        with pytest.raises(UsageError, match="a part of a package"):
            recalibrate(shipped, data, Silent())
