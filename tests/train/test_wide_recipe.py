"""The recipe of wide and small, stage by stage, at toy size: from an encoder's folder to answers."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ragyena.cli.main import app
from ragyena.config import PairStageConfig, ReaderModelConfig, StageConfig, TrainConfig
from ragyena.model.checkpoint import load_config
from ragyena.recipes import asset
from ragyena.train.run import load
from tests.model import test_pair_reader
from tests.model.test_pair_reader import save_encoder

REAL = Path(__file__).parents[2] / "data" / "real"
NARROW = {"width": 32, "heads": 4, "ffn_width": 48, "near_taps": 3, "filter_width": 8, "filter_bands": 4,
          "max_slot_tokens": 240, "max_question_tokens": 128}  # fmt: skip
PAIR = {"vocab_size": 30530, "width": 32, "depth": 2, "heads": 4, "ffn_width": 48, "positions": 400, "norm_eps": 1e-12}
WIDE = NARROW | {"mixers": ["hyena"] * 2, "selected_tokens": [0, 16], "null_width": 8, "lists": True}
SMALL = WIDE | {"width": 24, "decoder_layers": 1}


def test_wide_has_the_shape_of_the_encoder_it_starts_from_and_small_that_of_the_reader_that_ships() -> None:
    config = load("reader-wide", Path(), check_data=False)
    assert isinstance(config, TrainConfig)
    pair, two, wide, small = config.stages
    assert isinstance(pair, PairStageConfig) and isinstance(two, PairStageConfig)
    assert isinstance(wide, StageConfig) and isinstance(small, StageConfig)
    assert [stage.name for stage in config.stages] == ["pair", "pair-two", "wide", "small"]
    assert (wide.model.width, len(wide.model.mixers), wide.model.ffn_width) == (
        pair.model.width, pair.model.depth, pair.model.ffn_width
    )  # fmt: skip
    assert (
        two.average == {"pair": 0.5}
        and wide.start == wide.pair_teacher[0] == "pair-two"
        and wide.pair_hidden_weight
        and wide.storage == "compact"
    )
    assert small.model == load_config(asset("reader")) and small.teacher == "wide" and not small.hidden_weight
    assert len(config.data.document_questions) == 3 and len(config.data.documents) == 2


def toy_documents(folder: Path) -> None:
    """A few of the repository's invented documents with their questions."""
    with lzma.open(REAL / "documents.jsonl.xz", "rt", encoding="utf-8") as file:
        documents = [row for row in map(json.loads, file) if row["split"] == "train"]
    kept = {row["id"]: row for row in sorted(documents, key=lambda row: len(row["text"]))[:8]}
    with lzma.open(REAL / "questions.jsonl.xz", "rt", encoding="utf-8") as file:
        questions = [row for row in map(json.loads, file) if row["document_id"] in kept]
    for name, rows in (("documents", list(kept.values())), ("questions", questions)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"real-{name}.jsonl").write_text(text, encoding="utf-8")


def toy_training(world: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A small encoder and a few documents with questions in ``folder``, and the settings that train on them."""
    monkeypatch.setitem(test_pair_reader.SMALL, "max_position_embeddings", 400)
    monkeypatch.setattr("ragyena.config.training.Calibration.BATCHES", 2)
    monkeypatch.setattr("ragyena.train.kinds.word_neighbours", lambda *_: {})  # of 20,000 words: ten seconds
    save_encoder(folder / "encoder", "mpnet")
    toy_documents(folder)
    return {
        **{f"data.{name}": json.dumps(getattr(world.config, name)) for name in ("questions", "passages", "prose")},
        **{f"data.{name}": "[]" for name in ("unanswerable", "hybrid_questions", "hybrid_documents")},
        "data.document_questions": '["real-questions.jsonl"]',
        "data.documents": '["real-documents.jsonl"]',
        "data.prose_tokens": 2000, "data.synthetic_records": 6, "data.definitions": 4, "data.negatives": 8,
        "data.held_out": 0.2, "data.document_held_out": 0.1,
    }  # fmt: skip


@pytest.mark.slow
def test_the_recipe_runs_from_an_encoder_to_answers(
    world: Any, small_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = toy_training(world, tmp_path, monkeypatch) | {
        "stages.wide.model": json.dumps(WIDE), "stages.small.model": json.dumps(SMALL), "stages.small.start": "scratch",
    }  # fmt: skip
    for stage in ("pair", "pair-two", "wide", "small"):
        settings |= {f"stages.{stage}.tokens": 8000, f"stages.{stage}.tokens_per_step": 4000}
        settings |= {f"stages.{stage}.passages": "[1, 4]", f"stages.{stage}.passage_weights": "[0.5, 0.5]"}
        settings |= (
            {f"stages.{stage}.model": json.dumps(PAIR)}
            if "pair" in stage
            else {f"stages.{stage}.tables": 0.0, f"stages.{stage}.fit_null": 8000}
        )
    overrides = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    places = ["--data-root", str(tmp_path), "--pair-encoder", str(tmp_path / "encoder"), "--device", "cpu"]
    command = ["train", "reader-wide", "--out", str(tmp_path / "run"), *places, *overrides]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["stages"]
    assert [row["name"] for row in results] == ["pair", "pair-two", "wide", "small"]
    assert "averaged held-out span" in results[1]["losses"]
    assert {"span", "teacher", "hidden", "evidence", "list", "write"} <= set(results[2]["losses"])
    assert {"span", "teacher", "modes"} <= set(results[3]["losses"]) and "hidden" not in results[3]["losses"]
    for name, width in (("wide", 32), ("small", 24)):
        checkpoint = tmp_path / "run" / name / "checkpoint"
        config = load_config(checkpoint)
        assert isinstance(config, ReaderModelConfig) and config.width == width
        asked = CliRunner().invoke(
            app,
            ["ask", "Who painted it?", "-i", str(small_index), "--reader", str(checkpoint), "--json"],
        )
        assert asked.exit_code == 0 and 0 <= json.loads(asked.stdout)["confidence"] <= 1, asked.output
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0 and "done before" in again.stderr
