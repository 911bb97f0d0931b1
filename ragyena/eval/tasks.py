"""The conditions of each task that a recipe may name."""

from __future__ import annotations

from ragyena.config import EvalConfig
from ragyena.eval.alias_task import Alias, Puzzles
from ragyena.eval.conditions import Among, Condition, Open
from ragyena.eval.contexts import Making
from ragyena.eval.frozen import Frozen
from ragyena.eval.hybrid import Independent, Joint
from ragyena.eval.positions import AtPosition

__all__ = ["condition_names", "conditions", "contrasts", "lengths", "sweeps"]


def conditions(config: EvalConfig, frozen: Frozen, making: Making) -> list[Condition]:
    """Those that a recipe asks for, in its order. Raises DataError where no question suits the task."""
    match config.task:
        case "among":
            return [Among(frozen, making, among) for among in config.among]
        case "open":
            return [Open(frozen, making, context_tokens) for context_tokens in config.context_tokens]
        case "positions":
            return [
                AtPosition(frozen, making, context_tokens, position, config.positions[0])
                for context_tokens in config.context_tokens
                for position in config.positions
            ]
        case "alias":
            puzzles = Puzzles(frozen, making, min(config.among))
            return [Alias(puzzles, among, hops) for among in config.among for hops in (1, 2)]
        case "hybrid":
            return [Joint(frozen, making), Independent(frozen, making)]
        case "retrieval":
            raise ValueError("the task 'retrieval' reads nothing")


def condition_names(config: EvalConfig) -> list[str]:
    """The names of the conditions that a recipe asks for, without making them."""
    match config.task:
        case "among":
            return [Among.named(among) for among in config.among]
        case "open":
            return [Open.named(context_tokens) for context_tokens in config.context_tokens]
        case "positions":
            at = config.positions
            return [AtPosition.named(length, position) for length in config.context_tokens for position in at]
        case "alias":
            return [Alias.named(among, hops) for among in config.among for hops in (1, 2)]
        case "hybrid":
            return [Joint.name_of_all, Independent.name_of_all]
        case "retrieval":
            return [*config.modes, *(["reranked"] if config.reranker else [])]


def lengths(config: EvalConfig) -> tuple[int, ...]:
    """The budgets that contexts are packed for; empty for a task that has none."""
    return config.context_tokens if config.task in ("open", "positions") else ()


def contrasts(config: EvalConfig) -> list[tuple[str, str]]:
    """Pairs of conditions on the same questions whose difference the task is about."""
    match config.task:
        case "open":
            least, most = min(config.context_tokens), max(config.context_tokens)
            return [
                (Open.named(length), Open.named(least)) for length in config.context_tokens if length == most > least
            ]
        case "alias":
            return [(Alias.named(among, 2), Alias.named(among, 1)) for among in config.among]
        case "hybrid":
            return [(Joint.name_of_all, Independent.name_of_all)]
        case _:
            return []


def sweeps(config: EvalConfig) -> list[list[str]]:
    """Sets of conditions on the same questions over which the task asks for the spread."""
    if config.task != "positions" or len(config.positions) < 2:
        return []
    return [[AtPosition.named(length, position) for position in config.positions] for length in config.context_tokens]
