"""Suites: recipes in turn, finished ones kept, one page of all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ragyena
from small_world import save_small_reader, save_towns

from ragyena.config import PipelineConfig
from ragyena.errors import CheckpointError, ConfigError, PathNotFoundError, UsageError
from ragyena.eval import run as runs
from ragyena.eval.recipe import Setup, load_evaluation
from ragyena.eval.run import Finished, Watcher, evaluate
from ragyena.report.write import report

ROWS = {"questions": ["questions.jsonl"], "passages": ["passages.jsonl"], "resamples": 100}
RECIPES: dict[str, dict[str, Any]] = {
    "zebra": {**ROWS, "description": "alone", "among": [1]},
    "ant": {**ROWS, "task": "open", "context_tokens": [300], "timed": 2},
    "hits": {**ROWS, "task": "retrieval", "modes": ["lexical", "dense"], "recall_at": [1, 3]},
    "all": {"task": "suite", "recipes": ["zebra.yaml", "hits.yaml", "ant.yaml"]},
}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Recipes and data."""
    for name, values in RECIPES.items():
        (tmp_path / f"{name}.yaml").write_text(json.dumps(values), encoding="utf-8")
    save_towns(tmp_path)
    return tmp_path


class Began(Watcher):
    """Records which parts were started, and their results."""

    def __init__(self, begun: list[str]) -> None:
        self.begun, self.results = begun, list[Finished]()

    def began(self, part: str, reader: str) -> None:
        self.begun.append(f"{part} {Path(reader).name}")

    def finished(self, result: Finished) -> None:
        self.results.append(result)


Run = Callable[..., list[Finished]]


@pytest.fixture
def run(world: Path, small_config: PipelineConfig) -> Run:
    """Runs the suite with two readers; ``began`` collects what was begun."""
    readers = [str(save_small_reader(world / name, seed)) for seed, name in enumerate(("one", "two"))]

    def call(begun: list[str], **flags: Any) -> list[Finished]:
        watcher = Began(begun)
        result = evaluate(
            str(world / "all.yaml"),
            readers,
            settings=small_config,
            overrides=flags,
            data_root=world,
            out=world / "out",
            index=world / "index",
            watcher=watcher,
        )
        assert list(result.results) == watcher.results
        return watcher.results

    return call


def test_every_recipe_is_run_with_every_reader_and_finished_parts_are_kept(
    run: Run, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    results = run(begun)
    assert begun == ["zebra one", "zebra two", "hits one", "ant one", "ant two"]
    assert [one.part for one in results] == ["zebra", "zebra", "hits", "ant", "ant"] and not any(
        o.kept for o in results
    )
    assert {one.result.parent for one in results} == {world / "out"} and all(one.result.is_file() for one in results)
    again: list[str] = []
    assert [one.result for one in run(again)] == [one.result for one in results] and again == []
    # what has changed is run again, and no more
    (world / "ant.yaml").write_text(json.dumps({**RECIPES["ant"], "context_tokens": [400]}), encoding="utf-8")
    save_small_reader(world / "two", seed=7)
    run(again)
    assert again == ["zebra two", "ant one", "ant two"]
    results[0].result.unlink()
    run(again)
    assert again[3:] == ["zebra one"]


def test_a_stopped_suite_goes_on_with_the_part_it_was_in(
    run: Run, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_reader = runs.evaluate_reader

    def stop(setup: Setup, frozen: Path | None = None) -> Any:
        if setup.name == "ant":
            raise KeyboardInterrupt
        return evaluate_reader(setup, frozen)

    monkeypatch.setattr(runs, "evaluate_reader", stop)
    with pytest.raises(KeyboardInterrupt):
        run([])
    monkeypatch.setattr(runs, "evaluate_reader", evaluate_reader)
    begun: list[str] = []
    run(begun)
    assert begun == ["ant one", "ant two"]


def test_one_page_shows_all_of_it_the_verdict_first(run: Run, world: Path) -> None:
    run([])
    text = report([world / "out"], world / "page")[1].read_text(encoding="utf-8")
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings[:2] == ["Verdict", "zebra: Verdict"] and "hits: Retrieval" in headings
    verdict = text.split("## zebra: Verdict")[0]
    assert verdict.index("zebra: alone") < verdict.index("**ant**") and "`two` against `one`" in verdict
    assert "| condition | n | one | two |" in verdict and "lexical (BM25)" in verdict


def test_flags_lie_over_every_part_that_knows_them(world: Path) -> None:
    suite = load_evaluation(str(world / "all.yaml"), {"limit": 3, "timed": 5, "among": None})
    assert suite.is_suite and suite.name == "all"
    assert [(part.name, part.config.limit, part.config.timed) for part in suite.parts] == [
        ("zebra", 3, 5),
        ("hits", 3, 0),
        ("ant", 3, 5),
    ]
    with pytest.raises(UsageError, match="among cannot be set for the suite 'all'"):
        load_evaluation(str(world / "all.yaml"), {"among": [3]})
    assert not load_evaluation(str(world / "ant.yaml")).is_suite
    assert not load_evaluation(None, {"questions": ["questions.jsonl"]}).is_suite


def test_invalid_suites_are_named(world: Path) -> None:
    for recipes, error, words in (
        (["all2.yaml"], ConfigError, "a suite itself"),
        (["nothing"], PathNotFoundError, "no recipe 'nothing'"),
        (["zebra.yaml", "zebra.yaml"], ConfigError, "each recipe once"),
        ([], ConfigError, "recipes"),
    ):
        (world / "all2.yaml").write_text(json.dumps({"task": "suite", "recipes": recipes}), encoding="utf-8")
        with pytest.raises(error, match=words):
            load_evaluation(str(world / "all2.yaml"))


def test_data_that_a_later_part_lacks_is_named_before_the_first_is_run(run: Run, world: Path) -> None:
    (world / "ant.yaml").write_text(json.dumps({**RECIPES["ant"], "prose": ["none.jsonl"]}), encoding="utf-8")
    begun: list[str] = []
    with pytest.raises(PathNotFoundError, match=r"none\.jsonl"):
        run(begun)
    assert begun == []


def test_a_reader_that_cannot_be_opened_is_named_before_the_first_part_is_run(run: Run, world: Path) -> None:
    (world / "two" / "config.json").unlink()
    begun: list[str] = []
    with pytest.raises(CheckpointError, match="two"):
        run(begun)
    assert begun == []


def test_by_command(world: Path) -> None:
    reader = save_small_reader(world / "one")
    command, ragyena = ("eval", "all.yaml", "--reader", reader, "--out", "out", "--quiet"), Ragyena(world)
    done = ragyena(*command, "--limit", "4").succeeds()
    assert "zebra, one: F1 among-1" in done.out and "out/report.html" in done.out
    assert ragyena(*command, "--limit", "4").out.count("(finished before)") == 3
    ragyena(*command, "--fail-under", "em=3").fails(2, "means nothing to the suite")
    ragyena(*command, "--context-tokens", "4096").fails(2, "context_tokens cannot be set")
