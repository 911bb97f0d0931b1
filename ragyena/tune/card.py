"""The model card of a tuned reader."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragyena.tune.measure import Compared
    from ragyena.tune.run import Tuned

__all__ = ["model_card"]


def model_card(tuned: Tuned, questions: Path) -> str:
    """The README.md of the checkpoint: data, base, recipe, scores."""
    config, fitted = tuned.config, tuned.fitted
    base = "the reader that ships with ragyena" if tuned.base in ("shipped", "small") else f"`{tuned.base}`"
    lines = [
        "---",
        "pipeline_tag: question-answering",
        "---",
        f"# A reader tuned on {questions.name}",
        "",
        f"Tuned from {base} by `ragyena train tune` on {time.strftime('%Y-%m-%d')}. Use it with "
        "`--reader FOLDER`, on documents like those it was tuned on. The licence of the reader that it was tuned from "
        "applies to it, beside what the questions' own demands.",
        "",
        "## Data",
        "",
        f"{tuned.questions} questions of `{questions.name}`: {tuned.trained} to train on, {tuned.validation} to choose "
        f"the average by, the rest held out ({'other documents' if tuned.by_document else 'the same documents'}). "
        f"{len(tuned.problems)} lines could not be used. Beside them questions of the shipped sample (CC0).",
        "",
        "## Recipe",
        "",
        f"{config.epochs} epochs, AdamW at {config.rate:g}, the lower {config.frozen_layers:.0%} of the layers, "
        f"embeddings and filters frozen; {config.negatives} negatives from retrieval at most; {fitted.tokens:,} tokens "
        f"in {fitted.seconds:.0f} s. The weights are {fitted.average:.0%} tuned ones and the rest those at the start; "
        f"loss of the validation questions {fitted.loss_before:.3f} before, {fitted.loss_after:.3f} after. Seed "
        f"{config.seed}.",
        "",
        "## Scores",
        "",
    ]
    if tuned.held_out is None or tuned.sample is None:
        return "\n".join([*lines, "Training was interrupted; nothing was measured.", ""])
    lines += [
        "| questions | n | right before | right after | gain (95% interval) | p | withheld before | after |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        _row("your held-out ones", tuned.held_out),
        _row("the shipped sample", tuned.sample),
        "",
        *(f"**Warning**: {warning}." for warning in tuned.warnings),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, one: Compared) -> str:
    gain = one.gain
    return (
        f"| {name} | {one.questions} | {one.right.before:.0%} | {one.right.after:.0%} | {gain.mean:+.1f} "
        f"({gain.low:+.1f} to {gain.high:+.1f}) | {one.p:.3f} | {one.withheld.before:.0%} | {one.withheld.after:.0%} |"
    )
