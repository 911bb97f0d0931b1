"""The recipe that trains base, a pair reader, and then small, at toy size: from an encoder's folder to answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ragyena.cli.main import app
from ragyena.config import PairModelConfig, PairStageConfig, StageConfig, TrainConfig
from ragyena.model.checkpoint import load_config
from ragyena.recipes import asset
from ragyena.train.run import load
from tests.train.test_wide_recipe import PAIR, SMALL, toy_training

STAGES = ["pair", "pair-two", "pair-three", "pair-four", "base", "first", "second", "small"]


def test_base_is_the_average_of_four_pair_readers_and_teaches_small() -> None:
    config = load("reader-documents", Path(), check_data=False)
    assert isinstance(config, TrainConfig)
    assert [stage.name for stage in config.stages] == STAGES
    *pairs, base, first, second, small = config.stages
    assert all(isinstance(stage, PairStageConfig) for stage in pairs) and isinstance(base, PairStageConfig)
    assert base.start == "pair-four" and base.average == {stage.name: 0.25 for stage in pairs[:3]}
    assert len({stage.seed for stage in pairs}) == 4 and base.storage == small.storage == "compact"
    assert isinstance(first, StageConfig) and isinstance(second, StageConfig) and isinstance(small, StageConfig)
    assert small.model == load_config(asset("reader")) and small.start == "second" and small.average == {"first": 0.5}
    assert first.pair_teacher == second.pair_teacher == ("base",) and first.seed != second.seed
    assert base.tokens == small.tokens == 0, "they are averages, and wait for nothing but these"
    for name in (*config.data.document_questions, *config.data.documents):
        assert not name.startswith("data/") or Path(__file__).parents[2].joinpath(name).is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_recipe_runs_from_an_encoder_to_answers_that_base_reads_again(
    world: Any, small_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = toy_training(world, tmp_path, monkeypatch)
    for stage in STAGES:
        settings |= {f"stages.{stage}.tokens_per_step": 2000}
        if stage not in ("base", "small"):  # which are averages alone
            settings |= {f"stages.{stage}.tokens": 2000}
        settings |= {f"stages.{stage}.passages": "[1, 4]", f"stages.{stage}.passage_weights": "[0.5, 0.5]"}
        if stage in ("first", "second", "small"):
            settings |= {f"stages.{stage}.model": json.dumps(SMALL), f"stages.{stage}.tables": 0.0}
            if stage != "small":
                settings |= {f"stages.{stage}.start": "scratch"}
        else:
            settings |= {f"stages.{stage}.model": json.dumps(PAIR)}
    settings["stages.small.fit_null"] = 8000
    overrides = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    places = ["--data-root", str(tmp_path), "--pair-encoder", str(tmp_path / "encoder"), "--device", "cpu"]
    done = CliRunner().invoke(app, ["train", "reader-documents", "--out", str(tmp_path / "run"), *places, *overrides])
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["stages"]
    assert [row["name"] for row in results] == STAGES
    assert "averaged held-out span" in set(results[4]["losses"])
    base, small = (tmp_path / "run" / name / "checkpoint" for name in ("base", "small"))
    assert isinstance(load_config(base), PairModelConfig)
    for reader in (f"{small}+{base}", str(base)):  # with the reader of this run, and with the one in the package
        asked = CliRunner().invoke(
            app, ["ask", "Who painted it?", "-i", str(small_index), "--reader", reader, "--json"]
        )
        assert asked.exit_code == 0 and 0 <= json.loads(asked.stdout)["confidence"] <= 1, asked.output
