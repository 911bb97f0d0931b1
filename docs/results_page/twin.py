"""The Hyena reader beside its attention twins: every recipe, and what single recipes are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ragyena.train.plot import draw
from results_page.by_recipe import hops, hybrid, lengths, positions
from results_page.cost import cost
from results_page.files import Evaluation, Section, evaluation, newest, training
from results_page.markdown import HELD_OUT, HELD_OUT_IS, image, training_table
from results_page.plots import curves
from results_page.scores import scores_text

__all__ = ["RECIPES", "evaluations_of", "sections"]

RECIPES = (
    "squad-dev",
    "squad-dev-among-32",
    "squad-dev-among",
    "qa-dev",
    "squad-dev-open",
    "squad-dev-lengths",
    "squad-dev-positions",
    "alias",
    "hybrid",
)
"""The recipes of ``configs/eval`` that the page shows, in its order."""
LOGS = ("cloze", "teacher", "student", "twin", "local-twin")
"""The stages whose logs are committed."""


def sections(results: Path) -> Iterator[Section]:
    """Those whose files are in the newest folder ``DATE-reader-twin``."""
    for folder in newest(results, "reader-twin"):
        evaluations = evaluations_of(folder)
        if evaluations:
            yield Section("Reader and attention twin", scores_text([*evaluations.values()], folder.name))
        made = (make(evaluations) for make in (lengths, cost, positions, hops, hybrid))
        yield from (section for section in made if section is not None)
        yield from _training(folder)


def evaluations_of(folder: Path) -> dict[str, Evaluation]:
    """By recipe. Raises DataError where a file is not the result of two or three readers."""
    found = {name: evaluation(folder / f"{name}.json", readers=(2, 3)) for name in RECIPES}
    return {name: value for name, value in found.items() if value is not None}


def _training(folder: Path) -> Iterator[Section]:
    stages = [training(path) for name in LOGS if (path := folder / f"{name}.jsonl").is_file()]
    if not stages:
        return
    text = f"{HELD_OUT_IS}\n" + training_table(stages, {HELD_OUT: ".3f"})
    plots: dict[str, Callable[[Path], None]] = {}
    drawn = curves([stage for stage in stages if stage.name in ("student", "twin", "local-twin")], HELD_OUT)
    if drawn:
        plots["training.svg"] = partial(draw, drawn, HELD_OUT)
        text += "\n" + image("training.svg", "held-out span loss of reader and twin against tokens and FLOPs")
    yield Section("Training of reader and twin", text, plots)
