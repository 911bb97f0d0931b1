"""A connection to a Ray cluster. The only module that imports ray.

Ray's telemetry is off, and what it and its workers print stays in Ray's own log files.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ragyena import errors
from ragyena.errors import ClusterError, MissingDependencyError, RagyenaError

__all__ = ["Lost", "Remote", "Session", "connect"]

RETRIES = 5
"""Times that work is done again whose process or node died, and that a process that serves a shard is restarted."""
ANSWER_SECONDS = 120.0
"""The longest wait for a shard, a restart of its process on another node included."""
LOOK_SECONDS = 0.5
KNOCK_SECONDS = 10.0
OBJECT_STORE_BYTES = 200_000_000
"""Shared memory of a cluster of this machine alone: only small values travel."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a task without a share of a GPU sees none
    "RAY_DISABLE_IMPORT_WARNING": "1",
}

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""With 0, a cluster is of one machine and its processes listen on loopback, whatever the system."""


@contextmanager
def connect(address: str, *, workers: int | None = None) -> Iterator[Session]:
    """Connect to a cluster: ``local`` starts one on this machine, ``auto`` finds the one that runs here, and
    ``host:port`` or ``ray://host:port`` names one. One that is started here listens on loopback alone. A connection
    that the process has already is used and left open.

    ``workers`` is how many tasks run at a time; by default, as many as there are cores. Raises MissingDependencyError
    without Ray, ClusterError where there is no such cluster.
    """
    ray = _ray()
    begun = not ray.is_initialized()
    with _silent(ray), _loopback(ray) if begun and address == "local" else nullcontext():
        if begun:
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
            if address == "local":
                options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES, "num_cpus": workers}
            try:
                _knock(address)
                ray.init(address=address, **options)
            except Exception as error:  # Ray raises what its parts do
                raise _unreachable(address, error) from error
        try:
            yield Session(ray, workers)
        finally:
            if begun:
                ray.shutdown()


@dataclass(frozen=True, slots=True)
class Lost:
    """A task that was given up: its process died each time."""

    reason: str


class Session:
    """An open connection: runs functions on the nodes, and keeps objects there."""

    def __init__(self, ray: Any, workers: int | None) -> None:
        self._ray = ray
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._kept = 0
        """Objects made by ``keep``."""

    def each(
        self, function: Callable[..., Any], items: Sequence[tuple[Any, ...]], *, gpus: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Call ``function`` with each of ``items``; yields the position of an item and its result, as they are done.

        The work of a process or node that dies is done again; ``Lost`` stands for the result of what has ended its
        process each time. Raises what ``function`` does, and ClusterError.
        """
        if gpus and not self._ray.cluster_resources().get("GPU"):
            raise ClusterError("the cluster has no GPU", hint="leave --gpus out, or add a node that has one")
        task = self._ray.remote(_guarded).options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
        waiting: dict[Any, int] = {}
        position = 0
        try:
            while waiting or position < len(items):
                # One more than run at a time, so that none waits for the next.
                while position < len(items) and len(waiting) <= self.workers:
                    waiting[task.remote(function, *items[position])] = position
                    position += 1
                done, _ = self._ray.wait(list(waiting), timeout=LOOK_SECONDS)
                for reference in done:
                    yield waiting.pop(reference), self._result(reference)
        finally:
            for reference in waiting:
                self._ray.cancel(reference, force=True)

    def on_every_node(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Call ``function`` once on each node; its results by the address of the node. A node that died is left out,
        though Ray lists it for some seconds yet."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task, calls = self._ray.remote(_guarded), {}
        for node in self._ray.nodes():
            if node["Alive"]:
                here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                placed = task.options(num_cpus=0, max_retries=RETRIES, scheduling_strategy=here)
                calls[f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"] = placed.remote(function, *arguments)
        results = {}
        for name, reference in calls.items():
            try:
                results[name] = _opened(self._ray.get(reference))
            except self._ray.exceptions.TaskUnschedulableError:
                continue
            except self._ray.exceptions.RayError as error:
                raise _failed(error) from error
        return results

    def keep(self, kind: type, *arguments: Any, name: str) -> Remote:
        """Make an object on one of the nodes, of the class ``kind``; ``name`` is how errors call it. Where its process
        or node dies, it is made again, on another node if need be.

        The nodes that have processors take turns: Ray's own SPREAD may put every object on one, as these ask for none.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        alive = [node for node in self._ray.nodes() if node["Alive"]]
        nodes = sorted(node["NodeID"] for node in alive if node["Resources"].get("CPU")) or [alive[0]["NodeID"]]
        there = NodeAffinitySchedulingStrategy(nodes[self._kept % len(nodes)], soft=True)
        self._kept += 1
        actor = self._ray.remote(_Kept).options(
            num_cpus=0, max_restarts=RETRIES, max_task_retries=RETRIES, scheduling_strategy=there
        )
        return Remote(self._ray, actor.remote(kind, *arguments), name)

    def _result(self, reference: Any) -> Any:
        exceptions = self._ray.exceptions
        try:
            return _opened(self._ray.get(reference))
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            return Lost(_first_line(error))
        except exceptions.RayError as error:
            raise _failed(error) from error


def _failed(error: Exception) -> ClusterError:
    return ClusterError(
        f"a task of the cluster failed: {_first_line(error)}", hint="what was done is kept: run it again"
    )


class Remote:
    """An object that lives on a node."""

    def __init__(self, ray: Any, actor: Any, name: str) -> None:
        self._ray, self._actor, self.name = ray, actor, name

    def begin(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Call a method, which changes nothing, without waiting; the function that is returned waits for its result.

        That raises what the method does, and ClusterError where the object cannot be had within ``ANSWER_SECONDS``.
        """
        first = self._actor.call.remote(method, *arguments)
        deadline = time.monotonic() + ANSWER_SECONDS

        def wait() -> Any:
            reference = first
            while True:
                try:
                    return _opened(self._ray.get(reference, timeout=max(0.0, deadline - time.monotonic())))
                except self._ray.exceptions.ActorUnavailableError as error:  # its node is gone, as it seems
                    if time.monotonic() > deadline:
                        raise self._silent(error) from error
                    time.sleep(LOOK_SECONDS)
                    reference = self._actor.call.remote(method, *arguments)
                except self._ray.exceptions.RayError as error:
                    raise self._silent(error) from error

        return wait

    def _silent(self, error: Exception) -> ClusterError:
        return ClusterError(
            f"{self.name} does not answer: {_first_line(error)}",
            hint="see that every node can read it and is alive (`ray status`), then ask again",
        )

    def end(self) -> None:
        """End the process of the object."""
        self._ray.kill(self._actor)


class _Kept:
    """An object in a process of its own."""

    def __init__(self, kind: type, *arguments: Any) -> None:
        self._made = _guarded(kind, *arguments)

    def call(self, method: str, *arguments: Any) -> Any:
        if self._made[0] == "error":
            return self._made
        return _guarded(getattr(self._made[1], method), *arguments)


def _guarded(function: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
    """The result of a call, or the error of ours that it raised: as values, since errors do not travel whole."""
    try:
        return "result", function(*arguments)
    except RagyenaError as error:
        return "error", type(error).__name__, error.message, error.hint


def _opened(outcome: tuple[Any, ...]) -> Any:
    if outcome[0] == "result":
        return outcome[1]
    _, name, message, hint = outcome
    raise getattr(errors, name, RagyenaError)(message, hint=hint)


def _ray() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("Ray is not installed", hint='pip install "ragyena[cluster]"') from error
    return ray


def _knock(address: str) -> None:
    """Raises OSError or ValueError where nothing listens at HOST:PORT: Ray would look for it for minutes."""
    if address not in ("local", "auto"):
        place = urlsplit(address if "://" in address else f"//{address}")
        socket.create_connection((place.hostname or "", place.port or 0), KNOCK_SECONDS).close()


@contextmanager
def _loopback(ray: Any) -> Iterator[None]:
    """Have the processes of a cluster that is started meanwhile listen on loopback alone: Ray's own way on systems
    whose firewall asks the user about every other address. Its processes read the variable, this one has read it."""
    constants = ray._private.ray_constants
    before = os.environ.get(LOOPBACK), constants.ENABLE_RAY_CLUSTER
    os.environ[LOOPBACK], constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before[1]
        if before[0] is None:
            del os.environ[LOOPBACK]
        else:
            os.environ[LOOPBACK] = before[0]


@contextmanager
def _silent(ray: Any) -> Iterator[None]:
    """Without the reports of dead nodes and processes that Ray prints whatever it is told: their work is done again,
    and what cannot be is an error of ours."""
    worker = ray._private.worker
    shown = getattr(worker, "print_to_stdstream", None)
    if shown is not None:
        worker.print_to_stdstream = lambda *arguments, **options: None
    try:
        yield
    finally:
        if shown is not None:
            worker.print_to_stdstream = shown


def _unreachable(address: str, error: Exception) -> RagyenaError:
    if isinstance(error, ImportError):
        return MissingDependencyError(f"{address} needs Ray's client", hint='pip install "ray[client]"')
    if address == "local":
        return ClusterError(f"Ray does not start here: {_first_line(error)}", hint="see /tmp/ray/session_latest/logs")
    return ClusterError(
        f"there is no Ray cluster at '{address}': {_first_line(error)}",
        hint="start one with `ray start --head`, and name it as it says; --cluster local starts one for this command",
    )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
