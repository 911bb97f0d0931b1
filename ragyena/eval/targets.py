"""``--fail-under``: the least value of a measure, for CI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ragyena.errors import UsageError
from ragyena.eval.conditions import condition_names
from ragyena.eval.layout import Report
from ragyena.eval.recipe import Evaluation
from ragyena.eval.retrieval import RetrievalReport

__all__ = ["Target", "check", "parse"]

READING = ("em", "f1", "auroc")
AT_K = ("recall", "answer_recall")
SEARCHING = (*AT_K, "ndcg", "mrr")
_SPELLINGS = {"ndcg@10": "ndcg", "ndcg_10": "ndcg"}


@dataclass(frozen=True, slots=True)
class Target:
    """A measure and its least value."""

    measure: str
    k: int | None
    """The k of a recall among the first k."""
    condition: str | None
    """None: the first."""
    least: float

    @property
    def name(self) -> str:
        return self.measure if self.k is None else f"{self.measure}@{self.k}"

    def below(self, report: Report | RetrievalReport) -> str | None:
        """The problem where a result is below the target, or was not measured."""
        condition: Any = next(c for c in report.conditions if self.means(c.name))
        value: float | None
        if self.measure == "auroc":
            value = condition.abstention.auroc if condition.abstention else None
            why = "it needs unanswerable questions and --among 1"
        elif self.measure in READING:
            value, why = getattr(condition.whole, self.measure).mean, ""
        else:
            if self.k is None:
                estimate = condition.ndcg_10 if self.measure == "ndcg" else condition.mrr
            else:
                recalls = condition.passage_recall if self.measure == "recall" else condition.answer_recall
                estimate = (recalls or {}).get(self.k)
            value = None if estimate is None else estimate.mean / 100
            why = "no question has an answer" if self.measure == "answer_recall" else "which passages answer is unknown"
            if self.measure == "recall" and condition.answer_recall:
                why += f"; answer_recall@{self.k} was measured"
        if value is None:
            return f"{self.name} was not measured ({why})"
        if value >= self.least:
            return None
        return f"{self.name} of {condition.name} is {value:.4g}, the target is {self.least:g}"

    def means(self, name: str) -> bool:
        """True for the name of the condition, or its number alone: ``32`` for ``among-32``."""
        return self.condition is None or name in (self.condition, f"among-{self.condition}")


def parse(text: str) -> Target:
    """``em=70``, ``em@32=60``, ``recall@10=0.8``, ``recall@10@dense=0.8``. Raises UsageError."""
    name, _, value = text.partition("=")
    for spelling, measure in _SPELLINGS.items():
        name = measure + name.removeprefix(spelling) if name.startswith(spelling) else name
    measure, *rest = name.split("@")
    try:
        least = float(value)
        if measure not in (*READING, *SEARCHING) or any(not part for part in rest):
            raise ValueError(name)
        k = int(rest.pop(0)) if measure in AT_K else None
        if len(rest) > 1:
            raise ValueError(name)
    except (ValueError, IndexError):
        raise UsageError(
            f"'--fail-under {text}' sets no target",
            hint="write em=70, em@32=60 or f1@open-8192=50; auroc=0.9; of the task retrieval recall@10=0.8, "
            "answer_recall@20@dense=0.9, ndcg=0.6, mrr=0.6",
        ) from None
    if measure in SEARCHING and not 0 <= least <= 1:
        raise UsageError(
            f"--fail-under {text}: {measure} is between 0 and 1", hint=f"write {name}={least / 100:g} for {least:g}%"
        )
    return Target(measure, k, rest[0] if rest else None, least)


def check(targets: Sequence[Target], evaluation: Evaluation) -> None:
    """Raises UsageError where a target's measure, number of passages or condition is not one of the recipe's."""
    if not targets:
        return
    if evaluation.is_suite:
        raise UsageError(f"--fail-under means nothing to the suite '{evaluation.name}'", hint="run one of its recipes")
    config = evaluation.parts[0].config
    conditions = condition_names(config)
    known = SEARCHING if config.task == "retrieval" else READING
    for target in targets:
        if target.measure not in known:
            raise UsageError(
                f"--fail-under {target.name}: the task '{config.task}' does not measure it",
                hint=f"its measures: {', '.join(known)}",
            )
        if target.k is not None and target.k not in config.recall_at:
            raise UsageError(
                f"--fail-under {target.name}: recall is not measured there",
                hint=f"recall_at of the recipe: {', '.join(map(str, config.recall_at))}",
            )
        if not any(target.means(name) for name in conditions):
            raise UsageError(
                f"--fail-under {target.name}@{target.condition}: there is no such condition",
                hint=f"conditions: {', '.join(conditions)}",
            )
