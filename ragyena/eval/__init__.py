"""Evaluation of readers and of retrieval: ``evaluate`` is the use case of ``ragyena eval``."""

from __future__ import annotations

from ragyena.eval.recipe import Evaluation, load_evaluation
from ragyena.eval.run import EvaluationResult, Watcher, evaluate, freeze_contexts

__all__ = ["Evaluation", "EvaluationResult", "Watcher", "evaluate", "freeze_contexts", "load_evaluation"]
