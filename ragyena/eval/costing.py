"""What the questions of a condition cost: readings timed alone, the making of their contexts, energy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ragyena.config import EvalConfig, PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import UsageError
from ragyena.eval.conditions import Condition
from ragyena.eval.cost import Cost, summarize_cost
from ragyena.eval.datasets import Question, sample
from ragyena.eval.decode_state import decode_state
from ragyena.eval.energy import Energy, energy_counter, measure_energy
from ragyena.eval.freeze import index_facts
from ragyena.eval.journal import Journal
from ragyena.eval.latency import Latency, Timing, summarize_latency, time_readings
from ragyena.eval.preparing import Preparation, time_preparing
from ragyena.eval.tasks import lengths
from ragyena.reader.reader import Reader
from ragyena.types import Context, Progress

if TYPE_CHECKING:  # frozen contexts are read where no index can be opened
    from ragyena.index.index import Index

__all__ = ["CostTimer"]

_MOST_FOR_ENERGY = 8  # questions whose contexts are read again and again


@dataclass(slots=True, eq=False)
class CostTimer:
    """Times what ``timed`` of the recipe asks for."""

    config: EvalConfig
    settings: PipelineConfig
    out: Path
    progress: Progress | None
    prepared: list[Preparation] = field(default_factory=list)

    def at_index(self, tokenizer: Tokenizer) -> Callable[[Index, Sequence[Question]], None] | None:
        """What times retrieval and packing while the index is open; None where nothing is to be timed."""
        budgets = lengths(self.config)
        if not (self.config.timed and budgets):
            return None

        def time_at(index: Index, questions: Sequence[Question]) -> None:
            shaped_by: list[object] = [
                index_facts(index),
                self.settings.retriever.model_dump(mode="json"),
                tokenizer.fingerprint,
            ]
            shaped_by += [self.settings.packer.model_dump(mode="json"), self.config.seed]
            digest = hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:12]
            with Journal(self.out / f"preparing-{digest}.jsonl") as journal:
                self.prepared += time_preparing(
                    index,
                    questions,
                    self.settings,
                    tokenizer,
                    budgets,
                    self.config.timed,
                    journal,
                    self.progress,
                    seed=self.config.seed,
                )

        return time_at

    def measure(self, reader: Reader, condition: Condition, journal: Journal) -> tuple[Latency | None, Cost | None]:
        """Of one condition; what the journal holds is taken from it. None where nothing was timed."""
        count = self.config.timed if condition.worth_timing else 0
        asked = condition.questions
        timed = time_readings(
            reader,
            asked,
            condition,
            count,
            journal,
            self.progress,
            seed=self.config.seed,
            most_seconds=self.config.timed_seconds,
        )
        latency = summarize_latency(timed)
        if latency is None:
            return None, None
        budget = condition.parameters.get("context_tokens")
        cost = summarize_cost(
            timed,
            [one for one in self.prepared if one.context_tokens == budget],
            state=decode_state(reader.model.config, round(latency.tokens), _bytes(reader.model.dtype)),
            energy=self._energy(reader, condition, timed, journal),
        )
        return latency, cost

    def _energy(self, reader: Reader, condition: Condition, timed: Sequence[Timing], journal: Journal) -> Energy | str:
        kept = [row["energy"] for row in journal.rows if row["condition"] == condition.name and "energy" in row]
        if kept:
            return Energy(**kept[-1])
        joules = energy_counter(reader.device)
        if isinstance(joules, str):
            return joules
        read = {timing.question_id for timing in timed}
        chosen = [q for q in sample(list(condition.questions), self.config.timed, self.config.seed) if q.id in read]
        energy = measure_energy(reader, [_contexts(condition, q) for q in chosen[:_MOST_FOR_ENERGY]], joules)
        if isinstance(energy, Energy):
            journal.append([{"condition": condition.name, "energy": asdict(energy)}])
        return energy


def _contexts(condition: Condition, question: Question) -> list[Context]:
    try:
        return [built.context for built in condition.contexts(question)]
    except UsageError:
        return []


def _bytes(dtype: torch.dtype) -> int:
    return torch.empty(0, dtype=dtype).element_size()
