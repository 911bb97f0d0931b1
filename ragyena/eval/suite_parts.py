"""What a suite of evaluations is: its recipes in turn."""

from __future__ import annotations

from dataclasses import dataclass

from ragyena.config import EvalConfig

__all__ = ["Part", "Suite"]


@dataclass(frozen=True, slots=True)
class Part:
    """One recipe of a suite."""

    name: str
    config: EvalConfig

    @property
    def reads(self) -> bool:
        """Whether a reader reads contexts; else an index is searched, and no more."""
        return self.config.task != "retrieval"


@dataclass(frozen=True, slots=True)
class Suite:
    name: str
    recipe: str
    """How it was called: its name or its file."""
    parts: tuple[Part, ...]

    @property
    def reading(self) -> tuple[Part, ...]:
        """The parts whose contexts can be frozen."""
        return tuple(part for part in self.parts if part.reads)

    @property
    def searching(self) -> tuple[Part, ...]:
        """The parts that need an index."""
        return tuple(part for part in self.parts if not part.reads)
