"""The interface between the training loop and a task: a model, its batches, its loss. Readers and language models are
tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from ragyena.config import TrainingStage
from ragyena.errors import TrainingError
from ragyena.model.checkpoint import Storage, load_config, load_model
from ragyena.readers import reader_folder
from ragyena.train.ranks import Ranks
from ragyena.types import Progress

__all__ = ["Task", "average_with", "load_trained", "trained_folder"]

Model = TypeVar("Model", bound=nn.Module)


class Task(ABC):
    """One stage's model and its training data, on the device and for the share of this rank."""

    held_out_loss: ClassVar[str]
    """The entry of ``held_out`` that is least in the best checkpoint."""
    recordable: bool = False
    """True where ``loss`` and its backward pass may be recorded as a CUDA graph (``ragyena.train.step_graphs``)."""
    model: nn.Module
    """The model in training."""
    tokenizer: Path | None = None
    """A tokenizer.json to put into the checkpoints."""

    def __init__(self, stage: TrainingStage, device: str, ranks: Ranks) -> None:
        self.device, self.ranks = device, ranks
        self.compiled = stage.compile and device.startswith("cuda")
        self.dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32

    @property
    def model_config(self) -> BaseModel:
        """The configuration that the weights are saved with."""
        return cast(BaseModel, self.model.config)

    @property
    @abstractmethod
    def storage(self) -> Mapping[str, Storage]:
        """Storage of the finished model."""

    @abstractmethod
    def batch(self, step: int) -> Any:
        """This rank's share of the batch of a step, the same at every call. Its ``tokens`` count padding."""

    @abstractmethod
    def every_shape(self) -> Sequence[Any]:
        """A batch of each shape that steps can have, to compile for."""

    @abstractmethod
    def loss(self, batch: Any, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss when the fraction ``done`` of the stage is over, and its parts, itself included."""

    @abstractmethod
    def flops(self, batch: Any) -> float:
        """Model FLOPs of the batch, forward and backward (``ragyena.model.flops``)."""

    @abstractmethod
    def held_out(self) -> dict[str, float]:
        """Measures on data never trained on, the same on every rank; empty where there are none."""

    def finish(self, progress: Progress) -> dict[str, float]:
        """Completes the model after the last step; measures of that."""
        return {}

    def save_beside(self, folder: Path) -> None:  # noqa: B027 - most have none
        """Writes what belongs to the finished model beside its weights."""

    def state(self) -> dict[str, Tensor]:
        """Tensors that a resumed run needs besides the model and its optimizer."""
        return {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:  # noqa: B027 - most have none
        """Takes the result of ``state``."""


def trained_folder(name: str, runs: Path) -> Path:
    """The checkpoint of an earlier stage of the run, else of the reader of that name (``shipped`` is the one inside the
    package), else the folder ``name``. Raises CheckpointError, MissingDependencyError."""
    folder = runs / name / "checkpoint"
    return folder if folder.is_dir() else reader_folder(name)


def load_trained(name: str, runs: Path, config_type: type[BaseModel], model_type: type[Model], what: str) -> Model:
    """The model of ``trained_folder``.

    Raises CheckpointError; TrainingError where it is not ``what`` it should be.
    """
    folder = trained_folder(name, runs)
    config = load_config(folder)
    if not isinstance(config, config_type):
        raise TrainingError(f"{folder} is not {what}", hint=f"name an earlier stage that trains {what}, or a folder")
    return load_model(model_type, config, folder)


def average_with(model: nn.Module, others: Iterable[tuple[nn.Module, float]]) -> None:
    """Makes ``model`` the average of its weights and those of ``others``, by their shares; it has the rest. A parameter
    that some of them lack is averaged over those that have it."""
    named = [(dict(other.named_parameters()), share) for other, share in others]
    own_share = 1 - sum(share for _, share in named)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            theirs = [(other[name].to(parameter), share) for other, share in named if name in other]
            total = own_share + sum(share for _, share in theirs)
            parameter.copy_(sum((other * share for other, share in theirs), parameter * own_share) / total)
