"""Processes that train together on one machine: as many as it has GPUs, each computing a share of every step.

``torchrun`` starts them as well, on several machines too; here the run is started and ended as one. Where a process
fails, or is killed, the others are ended, and what it failed of is raised.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch

from ragyena.errors import RagyenaError, TrainingError, UsageError
from ragyena.train.kinds import AnyTrainConfig
from ragyena.train.loop import StageResult
from ragyena.train.ranks import PeerError
from ragyena.train.run import chosen_device, train
from ragyena.types import Progress, Silent

__all__ = ["Run", "process_count", "run_together"]

_MakeProgress: TypeAlias = Callable[[], AbstractContextManager[Progress]]
_GRACE = 3.0  # seconds that the others have, after a process failed, to say of what they failed


@dataclass(frozen=True, slots=True)
class Run:
    """The arguments of ``ragyena.train.run.train``, for a process of its own."""

    config: AnyTrainConfig
    folder: Path
    packed: Path | None
    encoder: Path | None
    pair_encoder: Path | None
    device: str

    def train(self, progress: Progress) -> list[StageResult]:
        """Trains in this process."""
        return train(
            self.config,
            self.folder,
            packed=self.packed,
            encoder=self.encoder,
            pair_encoder=self.pair_encoder,
            device=self.device,
            progress=progress,
        )


def process_count(wanted: int | None, device: str) -> int:
    """The number of processes to start here: those wanted, else one a GPU; one where ``torchrun`` started this
    process. Raises UsageError for more than there are GPUs, MissingDependencyError for a device that is not there."""
    if "WORLD_SIZE" in os.environ:
        return 1
    device = chosen_device(device)
    gpus = torch.cuda.device_count() if device == "cuda" else 0
    if wanted is None:
        return max(gpus, 1)
    if wanted > 1 and device.startswith("cuda") and wanted > gpus:
        raise UsageError(
            f"{wanted} processes on {device}, and each has a GPU of its own",
            hint=f"--processes {max(gpus, 1)} or fewer",
        )
    return wanted


def run_together(
    run: Run, count: int, make_progress: Callable[[], AbstractContextManager[Progress]]
) -> list[StageResult]:
    """Trains in ``count`` processes; the results of the first, which also shows the progress.

    Raises what a process raised; TrainingError where one ended in another way.
    """
    spawning = get_context("spawn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes: list[SpawnProcess] = []
    outcomes: list[Connection] = []
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # warnings about gradients that some steps do not need
    try:
        for rank in range(count):
            outcome, inner = spawning.Pipe(duplex=False)
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
            process = spawning.Process(target=_train_one, args=(run, place, inner, make_progress), daemon=True)
            process.start()
            inner.close()
            processes.append(process)
            outcomes.append(outcome)
        _wait(processes)
        return _settled(processes, outcomes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(_GRACE)
            process.kill()


def _train_one(run: Run, place: dict[str, int], outcome: Connection, make_progress: _MakeProgress) -> None:
    """The whole of a process: trains as one of several, and sends its results, or the error that ended it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, about their own use
    torch.set_num_threads(max(1, torch.get_num_threads() // place["WORLD_SIZE"]))
    try:
        with make_progress() if place["RANK"] == 0 else nullcontext(Silent()) as progress:
            outcome.send(run.train(progress))
    except RagyenaError as error:
        outcome.send((type(error), error.message, error.hint))
        sys.exit(1)
    except Exception as error:
        hint = "this is a bug in ragyena; please report it with the output of the same command and --processes 1"
        outcome.send((TrainingError, f"unexpected {type(error).__name__}: {error}", hint))
        sys.exit(1)


def _wait(processes: Sequence[SpawnProcess]) -> None:
    """Returns when all processes have ended, or soon after one has failed."""
    running = {process.sentinel: process for process in processes}
    failed = False
    while running:
        ended = wait(list(running), _GRACE if failed else None)
        if not ended:
            return  # the others wait for the one that failed
        for sentinel in ended:
            process = running.pop(cast(int, sentinel))
            process.join()
            failed = failed or process.exitcode != 0


def _settled(processes: Sequence[SpawnProcess], outcomes: Sequence[Connection]) -> list[StageResult]:
    """The results of the first process. Raises the error that others' errors come of."""
    sent = [_received(outcome) for outcome in outcomes]
    for rank, process in enumerate(processes):
        if process.exitcode is not None and process.exitcode < 0:
            raise TrainingError(
                f"process {rank + 1} of {len(processes)} was ended by {signal.Signals(-process.exitcode).name}",
                hint="the same command resumes the run from its last checkpoint; SIGKILL can mean that memory was out",
            )
    errors = [each for each in sent if isinstance(each, tuple)]
    for kind, message, hint in sorted(errors, key=lambda error: error[0] is PeerError):
        raise kind(message, hint=hint)
    for rank, (process, each) in enumerate(zip(processes, sent)):
        if each is None:
            raise TrainingError(
                f"process {rank + 1} of {len(processes)} ended early, with exit code {process.exitcode}",
                hint="its own messages are above; the same command resumes the run from its last checkpoint",
            )
    return cast("list[StageResult]", sent[0])


def _received(outcome: Connection) -> Any:
    try:
        return outcome.recv() if outcome.poll() else None
    except EOFError:
        return None
