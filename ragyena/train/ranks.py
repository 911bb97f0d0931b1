"""Training on several processes, as ``ragyena.train.launch`` or ``torchrun`` starts them: each computes a share of a
step, gradients are averaged.

One process is the case of one rank: nothing is communicated and no process group is made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as distributed
from torch import Tensor

from ragyena.errors import MissingDependencyError, TrainingError

__all__ = ["PeerError", "Ranks", "joined"]

_TIMEOUT = timedelta(minutes=30)  # the others wait while one compiles, or writes a checkpoint


_BROKEN = re.compile("gloo|nccl|connection (closed|reset)|broken pipe|socket", re.IGNORECASE)


class PeerError(TrainingError):
    """Another process of the run ended; it says of what."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """True for the process that writes files and shows progress."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum of ``values`` over all ranks, the same on each."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The mean of ``values`` over all ranks, the same on each."""
        return self.sum(values) / self.count

    def wait(self) -> None:
        """Returns when every rank has come here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, str]]:
    """This process's place among the ranks that ``torchrun`` started, and its device: each rank has its own GPU."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(), device
        return
    if device.startswith("cuda"):
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise MissingDependencyError(
                f"process {local} on this machine has no GPU; there are {torch.cuda.device_count()}",
                hint="give torchrun as many --nproc-per-node as there are GPUs",
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_TIMEOUT)
    try:
        yield Ranks(distributed.get_rank(), count), device
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or _BROKEN.search(str(error)):
            raise PeerError(
                "another process of the run has ended, or cannot be reached",
                hint="its own messages say why; the same command resumes the run from its last checkpoint",
            ) from error
        raise
    finally:
        distributed.destroy_process_group()
