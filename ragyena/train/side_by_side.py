"""Stages that train at once, each in a process of its own: the variants of an ablation, and its seeds, one a GPU.

A stage waits for the stages of the recipe that it starts or learns from. One that fails takes those with it that wait
for it, and no others.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch

from ragyena.config import TrainingStage
from ragyena.errors import RagyenaError, TrainingError, UsageError
from ragyena.train.kinds import AnyTrainConfig
from ragyena.train.launch import Run
from ragyena.train.loop import StageResult, finished
from ragyena.train.run import begin, chosen_device, train_stage, write_summary
from ragyena.types import Progress

__all__ = ["run_side_by_side", "with_seeds", "worker_count"]

_MakeProgress: TypeAlias = Callable[[], AbstractContextManager[Progress]]
_GRACE = 3.0  # seconds that a process has to end


def with_seeds(run: Run, seeds: int) -> list[Run]:
    """The run, and it again with the next seeds in folders ``seed-1``, ``seed-2``, ... inside its own."""
    config = run.config
    others = [
        replace(run, config=config.model_copy(update={"seed": config.seed + n}), folder=run.folder / f"seed-{n}")
        for n in range(1, seeds)
    ]
    return [run, *others]


def worker_count(wanted: int | None, device: str) -> int:
    """The number of processes: those wanted, else one a GPU. Several may share a GPU.

    Raises UsageError in a process of ``torchrun``, MissingDependencyError for a device that is not there.
    """
    if "WORLD_SIZE" in os.environ:
        raise UsageError("torchrun's processes share every step", hint="leave torchrun or --side-by-side out")
    device = chosen_device(device)
    return wanted or (torch.cuda.device_count() if device == "cuda" else 1)


@dataclass(slots=True)
class _Job:
    """A stage of one seed."""

    run: Run
    stage: TrainingStage
    title: str
    needs: list[_Job] = field(default_factory=list)
    state: str = "waiting"  # running, done, failed
    result: StageResult | None = None
    error: RagyenaError | None = None

    @property
    def ready(self) -> bool:
        return self.state == "waiting" and all(job.state == "done" for job in self.needs)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: _Job | None = None


def run_side_by_side(run: Run, count: int, seeds: int, make_progress: _MakeProgress) -> list[StageResult]:
    """Trains every stage of the recipe that is not done yet, with each of ``seeds`` seeds, in ``count`` processes.

    All stages of the first seed come first. Returns the new results, by seed and stage. Raises what a stage raised when
    all others that do not wait for it are done; TrainingError where several failed, or a process ended.
    """
    with make_progress() as progress:
        runs = [replace(each, packed=run.packed) for each in with_seeds(run, seeds)]
        for number, each in enumerate(runs):
            shared = runs[0].packed if number else run.packed  # all seeds read the same data
            packed = begin(
                each.config, each.folder, packed=shared, encoder=run.encoder, pair_encoder=run.pair_encoder,
                progress=progress,
            )  # fmt: skip
            runs[number] = replace(each, packed=packed)
        jobs = _jobs(runs, run.folder)
        for job in jobs:
            if job.state == "done":
                progress.note(f"{job.title}: done before")
        left = [job for job in jobs if job.state != "done"]
        progress.start(f"{len(left)} stages", max(1, sum(job.stage.tokens for job in left)), "tokens")
        _work(jobs, min(count, max(1, len(left))), run.device, progress)
    for each in runs:
        results = [job.result for job in jobs if job.run.folder == each.folder and job.result]
        if results:
            write_summary(each.folder, results, chosen_device(run.device), processes=1)
    _raise_failures(jobs)
    return [replace(job.result, name=job.title) for job in jobs if job.result]


def _jobs(runs: Sequence[Run], folder: Path) -> list[_Job]:
    jobs: list[_Job] = []
    for run in runs:
        earlier: dict[str, _Job] = {}
        for stage in run.config.stages:
            place = run.folder.relative_to(folder)
            job = _Job(run, stage, str(place / stage.name))
            job.needs = [earlier[name] for name in _named_by(stage) if name in earlier]
            if finished(run.folder, stage.name):
                job.state = "done"
            earlier[stage.name] = job
            jobs.append(job)
    return jobs


def _named_by(stage: TrainingStage) -> Iterator[str]:
    """The names, of stages and others, that a stage starts or learns from."""
    for key in ("start", "teacher", "pair_teacher", "average"):
        value = getattr(stage, key, ())
        yield from [value] if isinstance(value, str) else value


# ---------------------------------------------------------------------------------------------------------------
# The process that hands out stages
# ---------------------------------------------------------------------------------------------------------------


def _work(jobs: Sequence[_Job], count: int, device: str, progress: Progress) -> None:
    workers = [_started(number, count, device) for number in range(count)]
    try:
        while True:
            for worker in workers:
                job = next((job for job in jobs if job.ready), None)
                if worker.job is None and job is not None:
                    job.state, worker.job = "running", job
                    worker.pipe.send((job.run, job.stage.name))
            busy = {worker.pipe: worker for worker in workers if worker.job is not None}
            if not busy:
                return
            for pipe in wait(list(busy)):
                worker = busy[cast(Connection, pipe)]
                if not _hear(worker, progress):
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join(_GRACE)
            worker.process.kill()


def _hear(worker: _Worker, progress: Progress) -> bool:
    """Takes one message of a worker; False where its process has ended."""
    job = worker.job
    assert job is not None
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(_GRACE)
        job.state, job.error = "failed", _ended(job, worker.process.exitcode)
        progress.note(f"{job.title}: failed: {job.error.message}")
        return False
    if kind == "advance":
        progress.advance(value[0], f"{job.title}  {value[1]}")
    elif kind == "note":
        place = job.title.removesuffix(job.stage.name)  # a note begins with the stage's name
        progress.note(f"{place}{value}")
    elif kind == "done":
        job.state, job.result, worker.job = "done", value, None
    else:
        error, message, hint = value
        job.state, job.error, worker.job = "failed", error(message, hint=hint), None
        progress.note(f"{job.title}: failed: {message}")
    return True


def _ended(job: _Job, code: int | None) -> TrainingError:
    how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
    return TrainingError(
        f"the process of stage {job.title} ended {how}",
        hint="the same command resumes the run from its last checkpoints; SIGKILL can mean that memory was out",
    )


def _raise_failures(jobs: Sequence[_Job]) -> None:
    failed = [job for job in jobs if job.state == "failed"]
    undone = [job for job in jobs if job.state == "waiting"]
    if not failed:
        return
    first = failed[0].error
    assert first is not None
    if len(failed) == 1 and not undone:
        raise first
    waiting = f"; not begun: {', '.join(job.title for job in undone)}" if undone else ""
    raise TrainingError(
        f"{len(failed)} of {len(jobs)} stages failed ({', '.join(job.title for job in failed)}){waiting}; the first: "
        f"{first.message}",
        hint=first.hint,
    ) from first


# ---------------------------------------------------------------------------------------------------------------
# A process that trains
# ---------------------------------------------------------------------------------------------------------------


def _started(number: int, count: int, device: str) -> _Worker:
    spawning = get_context("spawn")
    pipe, inner = spawning.Pipe()
    process = spawning.Process(target=_train_stages, args=(inner, number, count, device), daemon=True)
    process.start()
    inner.close()
    return _Worker(process, pipe)


class _SentProgress:
    """The progress of a stage, sent to the process that shows it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._counts = pipe, False

    def start(self, description: str, total: int | None, unit: str) -> None:
        self._counts = unit == "tokens" and description.startswith("stage ")

    def advance(self, amount: int, status: str = "") -> None:
        if self._counts:
            self._pipe.send(("advance", (amount, status)))

    def note(self, text: str) -> None:
        self._pipe.send(("note", text))


def _train_stages(pipe: Connection, number: int, count: int, device: str) -> None:
    """The whole of a process: trains one stage after another, until the process that started it ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, about their own use
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    device = chosen_device(device)
    if device.startswith("cuda"):
        device = f"cuda:{number % torch.cuda.device_count()}" if device == "cuda" else device
        torch.cuda.set_device(device)
    while True:
        run, name = pipe.recv()
        pipe.send(_outcome(run, name, device, _SentProgress(pipe)))
        # What was compiled and recorded for one stage must not count against the limits, and the memory, of the next.
        torch.compiler.reset()
        gc.collect()
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def _outcome(run: Run, name: str, device: str, progress: Progress) -> tuple[str, Any]:
    config: AnyTrainConfig = run.config
    (stage,) = [stage for stage in config.stages if stage.name == name]
    try:
        return "done", train_stage(
            config, stage, run.folder, packed=run.packed, encoder=run.encoder, pair_encoder=run.pair_encoder,
            device=device, progress=progress,
        )  # fmt: skip
    except RagyenaError as error:
        return "failed", (type(error), error.message, error.hint)
    except Exception as error:
        hint = "this is a bug in ragyena; please report it with the output of the same command without --side-by-side"
        return "failed", (TrainingError, f"unexpected {type(error).__name__}: {error}", hint)
