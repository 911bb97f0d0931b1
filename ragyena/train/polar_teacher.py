"""Layers that decide yes or no beside a pair teacher, as a teacher of what a reader writes to yes/no questions.

Legend: B contexts, P passages, S slot tokens, K passages that decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ragyena.errors import TrainingError
from ragyena.model.inputs import ReaderInput
from ragyena.model.pair_reader import PairReader
from ragyena.model.polar_branch import NO, YES, PolarBranch
from ragyena.model.reader_model import SpanScores
from ragyena.reader.opening import polar_branch
from ragyena.reader.rereading import POLAR_PASSAGES, some_passages
from ragyena.train.task import trained_folder

__all__ = ["PolarTeacher"]


class PolarTeacher:
    """The layers of the first of some pair readers that has them."""

    def __init__(self, trunk: PairReader, branch: PolarBranch, dtype: torch.dtype) -> None:
        self._trunk, self._branch, self._dtype = trunk, branch, dtype

    @classmethod
    def beside(
        cls, names: Sequence[str], teachers: Sequence[PairReader], runs: Path, dtype: torch.dtype, device: str
    ) -> PolarTeacher:
        """The layers in the folder of one of the ``teachers``, called ``names``. Raises TrainingError where none has
        any, CheckpointError as ``polar_branch`` does."""
        for name, trunk in zip(names, teachers):
            branch = polar_branch(trained_folder(name, runs), trunk, dtype, torch.device(device))
            if branch is not None:
                return cls(trunk, branch, dtype)
        raise TrainingError(
            f"none of the pair readers {', '.join(names)} has layers that decide yes or no",
            hint="train some (ragyena train reader-yes-no), name a reader that has them, or set polar_weight to 0",
        )

    @torch.no_grad()
    def yes(self, inputs: ReaderInput, scores: SpanScores) -> Tensor:
        """[B] probability of yes, rather than no, by the passages where the answer most likely stands.

        ``scores`` are the pair teachers' of the same contexts.
        """
        start_BPS, end_BPS, _ = scores.log_probabilities()
        best_BK, places_BK = (start_BPS.amax(2) + end_BPS.amax(2)).topk(min(POLAR_PASSAGES, start_BPS.shape[1]), dim=1)
        some = some_passages(inputs, places_BK, trim=False)
        says_BK3 = self._branch.scores(self._trunk, some, dtype=self._dtype).softmax(2)
        yes_B, no_B = ((best_BK.softmax(1) * says_BK3[..., one]).sum(1) for one in (YES, NO))
        return yes_B / (yes_B + no_B).clamp(min=torch.finfo(yes_B.dtype).tiny)
