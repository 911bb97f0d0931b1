"""Settings of tuning a reader on questions of one's own (``ragyena train tune``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ragyena.config.strict import Count, Fraction, Positive, Strict

__all__ = ["TuneConfig"]


class TuneConfig(Strict):
    """Settings of tuning a reader. The defaults were measured on documents new to the reader (docs/training.md)."""

    seed: int = 0
    epochs: Positive = 3
    """Passes over the questions."""
    rate: Annotated[float, Field(gt=0, le=1e-2)] = 1e-4
    """Peak rate of AdamW."""
    weight_decay: float = 0.01
    warmup: Fraction = 0.1
    """Fraction of the steps over which the rate rises."""
    frozen_layers: Fraction = 0.5
    """Fraction of the layers, the lower ones, that stay as they are: their states are computed once and kept.
    Embeddings and filters stay always."""
    negatives: Count = 3
    """Passages beside the one with the answer in a training context: those that retrieval ranks highest."""
    context_tokens: Positive = 600_000
    """The most tokens of all training contexts (two or four bytes of memory for each of a reader's channels, 768 or
    1,536 in all, as its arithmetic is bfloat16 or float32); with more questions there are fewer negatives."""
    tokens_per_step: Positive = 4_096
    """Tokens of the contexts of a step, padding included."""
    unanswerable: Fraction = 0.15
    """Contexts without the answer's passage, which are to be withheld, for each question."""
    replay: Fraction = 0.25
    """Questions of the shipped sample among those that are trained on."""
    averages: tuple[Fraction, ...] = (0.25, 0.5, 0.75, 1.0)
    """Shares of the tuned weights, the rest being the weights at the start, of which the best by the validation
    questions is kept (Wortsman et al. 2022)."""
    held_out: Fraction = 0.2
    """Fraction of the questions that the reader is measured on, before and after."""
    validation: Fraction = 0.15
    """Fraction of the others by which epoch and average are chosen."""
    sample_tokens: Positive = 1_024
    """Context length of the questions of the shipped sample where the reader is measured on them."""
    withheld_less: Fraction = 0.1
    """Fall of the share of withheld answers from which there is a warning."""
    sample_worse: Fraction = 0.02
    """Fall of the share of right answers on the shipped sample from which there is a warning."""
