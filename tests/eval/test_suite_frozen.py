"""Suites whose contexts are frozen in a folder, and read where there is neither data nor index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ragyena
from small_world import save_small_reader, save_towns

from ragyena.config import PipelineConfig
from ragyena.errors import IndexMismatchError, PathNotFoundError, UsageError
from ragyena.eval import run as freezing
from ragyena.eval.contexts import Frozen
from ragyena.eval.recipe import Evaluation, load_evaluation
from ragyena.eval.run import Finished, FrozenPart, Watcher, evaluate, freeze_contexts

ROWS = {"questions": ["questions.jsonl"], "passages": ["passages.jsonl"], "resamples": 100}
RECIPES: dict[str, dict[str, Any]] = {
    "zebra": {**ROWS, "among": [1, 3]},
    "hits": {**ROWS, "task": "retrieval", "modes": ["lexical", "dense"], "recall_at": [1, 3]},
    "ant": {**ROWS, "task": "open", "context_tokens": [300], "timed": 2},
    "all": {"task": "suite", "recipes": ["zebra.yaml", "hits.yaml", "ant.yaml"]},
}


def recipe(world: Path, name: str, **changes: Any) -> None:
    (world / f"{name}.yaml").write_text(json.dumps({**RECIPES[name], **changes}), encoding="utf-8")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Recipes and data."""
    for name in RECIPES:
        recipe(tmp_path, name)
    save_towns(tmp_path)
    return tmp_path


def suite_of(world: Path, **flags: Any) -> Evaluation:
    suite = load_evaluation(str(world / "all.yaml"), flags)
    assert suite.is_suite
    return suite


class Began(Watcher):
    """Records which parts were started, and their results."""

    def __init__(self, begun: list[str]) -> None:
        self.begun, self.results, self.parts = begun, list[Finished](), list[FrozenPart]()

    def began(self, part: str, reader: str) -> None:
        self.begun.append(f"{part} {Path(reader).name}")

    def finished(self, result: Finished) -> None:
        self.results.append(result)

    def frozen(self, part: FrozenPart) -> None:
        self.parts.append(part)


@pytest.fixture
def freeze(world: Path, small_config: PipelineConfig) -> Callable[..., list[str]]:
    """Freezes into ``world/f``; the parts that were made."""

    def call(**flags: Any) -> list[str]:
        watcher = Began([])
        parts = freeze_contexts(
            suite_of(world, **flags),
            world / "f",
            settings=small_config,
            data_root=world,
            index=world / "index",
            watcher=watcher,
        )
        assert parts == watcher.parts
        made = [name.split()[0] for name in watcher.begun]
        for one in parts:
            assert one.path == world / "f" / f"{one.part}.jsonl.xz" and one.path.is_file()
            assert one.kept == (one.part not in made)
        return made

    return call


@pytest.fixture
def run(world: Path, small_config: PipelineConfig) -> Callable[..., list[Finished]]:
    """Runs the suite with two readers; from ``frozen`` where there is neither data nor index."""
    checkpoints = [str(save_small_reader(world / name, seed)) for seed, name in enumerate(("one", "two"))]

    def call(frozen: Path | None, begun: list[str] | None = None, readers: int = 2, **flags: Any) -> list[Finished]:
        nowhere = world / "nowhere"
        watcher = Began(begun if begun is not None else [])
        result = evaluate(
            suite_of(world, **flags),
            checkpoints[:readers],
            settings=small_config,
            data_root=nowhere if frozen else world,
            out=world / ("out" if frozen else "live"),
            index=nowhere if frozen else world / "index",
            frozen=frozen,
            watcher=watcher,
        )
        assert list(result.results) == watcher.results
        return watcher.results

    return call


def figures(results: list[Finished]) -> list[Any]:
    values = [json.loads(one.result.read_text(encoding="utf-8")) for one in results if one.part != "hits"]
    return [[(c["name"], c["whole"]) for c in one["conditions"]] for one in values]


def test_frozen_contexts_give_the_same_figures_and_leave_out_retrieval(freeze: Any, run: Any, world: Path) -> None:
    assert freeze() == ["zebra", "ant"] and not (world / "f" / "hits.jsonl.xz").exists()
    begun: list[str] = []
    results = run(world / "f", begun)
    assert begun == ["zebra one", "zebra two", "ant one", "ant two"]
    assert figures(results) == figures(run(None))
    order = json.loads((world / "out" / "all.suite.json").read_text(encoding="utf-8"))
    assert order["recipes"] == ["zebra", "ant"]
    run(world / "f", again := [])
    assert again == []


def test_frozen_files_are_kept_until_their_inputs_change(freeze: Any, world: Path) -> None:
    assert freeze(limit=3) == ["zebra", "ant"]
    assert freeze(limit=3) == [] and freeze(limit=2) == []  # more than is asked for
    assert freeze(limit=4) == ["zebra", "ant"] and freeze(limit=2, timed=5) == []
    recipe(world, "ant", context_tokens=[280])
    assert freeze(limit=4) == []
    recipe(world, "ant", context_tokens=[400])
    assert freeze(limit=4) == ["ant"]
    (world / "f" / "zebra.jsonl.xz").write_bytes((world / "f" / "zebra.jsonl.xz").read_bytes()[:-40])
    assert freeze(limit=4) == ["zebra"]
    save_towns(world, built=1700)
    assert freeze(limit=4) == ["zebra", "ant"]
    assert freeze() == ["zebra", "ant"] and freeze(limit=100) == []  # all are there


def test_freezing_that_was_stopped_goes_on(freeze: Any, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze_to = freezing.freeze_to

    def stop(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name.startswith("ant"):
            raise KeyboardInterrupt
        return freeze_to(path, *arguments, **named)

    monkeypatch.setattr(freezing, "freeze_to", stop)
    with pytest.raises(KeyboardInterrupt):
        freeze()
    monkeypatch.setattr(freezing, "freeze_to", freeze_to)
    assert freeze() == ["ant"]


def test_results_are_kept_for_equal_contexts_wherever_they_lie(freeze: Any, run: Any, world: Path) -> None:
    freeze(limit=4)
    run(world / "f", limit=3)
    (world / "f").rename(world / "g")
    run(world / "g", begun := [], limit=3)
    assert begun == []
    save_towns(world, built=1700)
    freeze(limit=4)
    run(world / "f", begun, limit=3)
    assert begun == ["zebra one", "zebra two", "ant one", "ant two"]


def test_answers_of_a_run_with_one_reader_are_those_of_a_run_with_two(
    freeze: Any, run: Any, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze()
    first = run(world / "f", readers=1, limit=3)
    journals = {path: path.read_text(encoding="utf-8") for path in (world / "out").glob("answers-*.jsonl")}
    run(world / "f", begun := [], limit=3)
    assert begun == ["zebra two", "ant two"] and len(first) == 2
    run(world / "f", begun := [])  # of more questions the answers that are there are gone on with
    assert len(begun) == 4
    for path, before in journals.items():
        after = path.read_text(encoding="utf-8")
        assert after.startswith(before) and len(set(after.splitlines())) == len(after.splitlines())


def test_missing_frozen_contexts_are_named_before_anything_is_run(
    freeze: Any, run: Any, world: Path, small_config: PipelineConfig
) -> None:
    freeze(limit=4)
    with pytest.raises(UsageError, match="was frozen for 4 questions, not for all"):
        run(world / "f", begun := [])
    with pytest.raises(UsageError, match="was frozen for 4 questions, not for 5"):
        run(world / "f", begun, limit=5)
    (world / "f" / "ant.jsonl.xz").unlink()
    with pytest.raises(PathNotFoundError, match=r"f/ant\.jsonl\.xz") as error:
        run(world / "f", begun, limit=4)
    assert "all.yaml --freeze-only --frozen" in (error.value.hint or "")
    with pytest.raises(PathNotFoundError, match=r"zebra, nor any of ant"):
        run(world / "none", begun)
    with pytest.raises(UsageError, match="is a file"):
        run(world / "f" / "zebra.jsonl.xz", begun)
    assert begun == []


def test_contexts_of_another_tokenizer_are_refused_before_anything_is_run(freeze: Any, run: Any, world: Path) -> None:
    freeze()
    path = world / "f" / "ant.jsonl.xz"
    frozen = Frozen.load(path)
    object.__setattr__(frozen, "facts", {**frozen.facts, "tokenizer": "another"})
    frozen.save(path)
    with pytest.raises(IndexMismatchError, match="another tokenizer"):
        run(world / "f", begun := [])
    assert begun == []


def test_a_suite_that_only_searches_has_nothing_to_freeze(freeze: Any, run: Any, world: Path) -> None:
    recipe(world, "all", recipes=["hits.yaml"])
    for call in (freeze, lambda: run(world / "f")):
        with pytest.raises(UsageError, match="nothing of the suite 'all' reads"):
            call()


def test_by_command_without_faiss(world: Path) -> None:
    """A GPU machine may lack FAISS, as it lacks the data."""
    ragyena, without = Ragyena(world), Ragyena(world, without="faiss")
    reader = str(save_small_reader(world / "one"))
    frozen = ("--frozen", "f", "--reader", reader)
    wrong = without("eval", "all.yaml", *frozen).fails(3, "there is no file f/zebra.jsonl.xz")
    assert "ragyena eval all.yaml --freeze-only --frozen f" in wrong.err
    done = ragyena("eval", "all.yaml", "--frozen", "f", "--freeze-only", "--limit", "4", "--index", "index").succeeds()
    assert "f/zebra.jsonl.xz: 4 questions" in done.out and "hits: left out" in done.out
    for name in ("questions.jsonl", "passages.jsonl"):
        (world / name).unlink()
    done = without("eval", "all.yaml", *frozen, "--limit", "3", "--timed", "1", "-o", "out").succeeds()
    assert "hits: left out" in done.out and "ragyena eval hits --data-root" in done.out
    assert "zebra, one: F1 among-1" in done.out and "2 results to make" in done.out
    assert "hits" not in (world / "out" / "report.md").read_text(encoding="utf-8").split("## Machine")[0].split()
    without("eval", "ant.yaml", *frozen, "--limit", "3", "-o", "alone").succeeds()  # one part, from the same folder
