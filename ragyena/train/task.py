"""The interface between the training loop and a task: a model, its batches, its loss. Readers and language models are
tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel
from torch import Tensor, nn

from ragyena.config import OptimizerConfig
from ragyena.model.checkpoint import Storage
from ragyena.types import Progress

__all__ = ["Stage", "Task"]


class Stage(Protocol):
    """The settings of a stage that concern the loop; those of every kind of training have them."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> BaseModel: ...
    @property
    def tokens(self) -> int: ...
    @property
    def tokens_per_step(self) -> int: ...
    @property
    def optimizer(self) -> OptimizerConfig: ...
    @property
    def compile(self) -> bool: ...
    @property
    def checkpoint_seconds(self) -> int: ...
    @property
    def held_out_tokens(self) -> int: ...


class Task(Protocol):
    """One stage's model and its training data, on the device and for the share of this rank."""

    held_out_loss: str
    """The entry of ``held_out`` that is least in the best checkpoint."""

    recordable: bool
    """True where ``loss`` and its backward pass may be recorded as a CUDA graph (``ragyena.train.step_graphs``)."""

    @property
    def model(self) -> nn.Module:
        """The model in training."""

    @property
    def storage(self) -> Mapping[str, Storage]:
        """How the finished model is stored."""

    @property
    def tokenizer(self) -> Path | None:
        """A tokenizer.json to put into the checkpoints."""

    def batch(self, step: int) -> Any:
        """This rank's share of the batch of a step, the same at every call. Its ``tokens`` count padding."""

    def every_shape(self) -> Sequence[Any]:
        """A batch of each shape that steps can have, to compile for."""

    def loss(self, batch: Any, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss when the fraction ``done`` of the stage is over, and its parts, itself included."""

    def flops(self, batch: Any) -> float:
        """Model FLOPs of the batch, forward and backward (``ragyena.model.flops``)."""

    def held_out(self) -> dict[str, float]:
        """Measures on data never trained on, the same on every rank; empty where there are none."""

    def finish(self, progress: Progress) -> dict[str, float]:
        """Completes the model after the last step; measures of that."""

    def state(self) -> dict[str, Tensor]:
        """Tensors that a resumed run needs besides the model and its optimizer."""

    def load_state(self, tensors: dict[str, Tensor]) -> None: ...
