"""Evaluation recipes: one evaluation or a suite of several, with the options of a call laid over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ragyena import recipes
from ragyena.config import EVAL_INDEX, EVAL_OUT, EvalConfig, PipelineConfig, SuiteConfig, parse
from ragyena.errors import ConfigError, UsageError
from ragyena.eval.questions import data_files
from ragyena.types import Progress

__all__ = ["Evaluation", "Part", "Setup", "load_evaluation"]

_OPTIONS = {"questions": "--data", "sources": "--source"} | {
    name: f"--{name.replace('_', '-')}" for name in ("passages", "among", "context_tokens", "limit", "timed")
}
"""The option of a recipe's setting; others are given by ``--set``."""
_FOR_EVERY_PART = ("limit", "timed", "split")
WITHOUT_RECIPE = "questions"
"""The name of an evaluation of ``--data`` alone."""


@dataclass(frozen=True, slots=True)
class Part:
    """One evaluation and its name."""

    name: str
    config: EvalConfig

    @property
    def reads(self) -> bool:
        """False for the task ``retrieval``, which searches an index and runs no reader."""
        return self.config.task != "retrieval"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A recipe: its parts in turn, of which a suite has several."""

    name: str
    recipe: str
    """As it was given: a name or a file."""
    parts: tuple[Part, ...]
    is_suite: bool = False

    @property
    def reading(self) -> tuple[Part, ...]:
        """The parts whose contexts can be frozen."""
        return tuple(part for part in self.parts if part.reads)

    @property
    def searching(self) -> tuple[Part, ...]:
        """The parts that need an index and no reader."""
        return tuple(part for part in self.parts if not part.reads)


@dataclass(frozen=True)
class Setup:
    """One recipe with one reader: the settings, and where data, index and results are."""

    config: EvalConfig
    settings: PipelineConfig
    """They name the reader, and say how passages are cut, headed and retrieved."""
    name: str = WITHOUT_RECIPE
    data_root: Path = Path()
    out: Path = EVAL_OUT
    index: Path = Path(EVAL_INDEX)
    """An index of the passages, used as it is, or a folder in which one is built and reused; unused where nothing is
    retrieved."""
    progress: Progress | None = None

    @cached_property
    def files(self) -> EvalConfig:
        """The recipe with the names of its data files made paths. Raises PathNotFoundError."""
        return data_files(self.config, self.data_root)

    @property
    def drawn(self) -> dict[str, int]:
        """Resamples and seed of intervals and tests."""
        return {"resamples": self.config.resamples, "seed": self.config.seed}


def load_evaluation(
    recipe: str | None, overrides: Mapping[str, Any] | None = None, further: Sequence[str] = ()
) -> Evaluation:
    """The evaluation of a recipe, with ``overrides`` of its settings (None: not given), and ``further`` ones written as
    ``KEY=VALUE``. Without a recipe, questions are asked on their own context; with ``context_tokens`` end to end at
    these lengths.

    Raises PathNotFoundError for an unknown recipe, ConfigError for a wrong key or value, and UsageError for overrides
    of a suite that belong to a single recipe.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    for text in further:
        recipes.override(given, text, "configs/eval")
    if recipe is None:
        if "questions" not in given:
            raise UsageError("there is nothing to evaluate on", hint="ragyena eval RECIPE, or ragyena eval --data FILE")
        values = {"task": "open"} if "context_tokens" in given else {}
        return Evaluation(WITHOUT_RECIPE, "", (_part(WITHOUT_RECIPE, values, given, "eval"),))
    values, path = recipes.load_recipe("configs/eval", recipe)
    if values.get("task") != "suite":
        return Evaluation(path.stem, recipe, (_part(path.stem, values, given, str(path)),))
    suite = parse(SuiteConfig, values, source=str(path))
    if foreign := sorted(given.keys() - set(_FOR_EVERY_PART)):
        raise UsageError(
            f"{', '.join(foreign)} cannot be set for the suite '{path.stem}': its recipes differ in it",
            hint=f"run one of them ({', '.join(suite.recipes)}), or write a suite of your own recipes",
        )
    parts = []
    for one in suite.recipes:
        is_file = Path(one).suffix in {".yaml", ".yml"}
        its_values, its_path = recipes.load_recipe("configs/eval", str(path.parent / one) if is_file else one)
        if its_values.get("task") == "suite":
            raise ConfigError(f"{path} lists {one}, which is a suite itself", hint="list that suite's recipes instead")
        # a search reads nothing, so there is nothing to time
        suiting = {k: v for k, v in given.items() if k != "timed" or its_values.get("task") != "retrieval"}
        parts.append(_part(its_path.stem, its_values, suiting, str(its_path)))
    if len({part.name for part in parts}) < len(parts):
        raise ConfigError(f"{path} lists two recipes of one name", hint="name each file of your own differently")
    return Evaluation(path.stem, recipe, tuple(parts), is_suite=True)


def _part(name: str, values: Mapping[str, Any], given: Mapping[str, Any], source: str) -> Part:
    try:
        return Part(name, parse(EvalConfig, {**values, **given}, source=source))
    except ConfigError as error:
        parse(EvalConfig, dict(values), source=source)  # a fault of the recipe itself is reported as such
        options = ", ".join(_OPTIONS.get(key, f"--set {key}") for key in given)
        raise ConfigError(
            error.message.replace(source, f"{options} over {name}", 1),
            hint=f"the settings and their meanings: EvalConfig in ragyena.config.evaluation; the recipe: {source}",
        ) from error
