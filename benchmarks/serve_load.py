"""Load on `ragyena serve`: requests a second and latencies at several numbers of clients, with a kill in the middle.

    python benchmarks/serve_load.py --out benchmarks/results/DATE-serve.json           # a minute each run
    python benchmarks/serve_load.py --out benchmarks/results/DATE-serve.json --full    # ten minutes each run

It indexes the demo corpus, and starts the server on loopback with the reader that ships. After a warm-up, a quarter of
the time of a run, every client asks the next
question as soon as it has the answer; a refusal (429) is asked again after the seconds of its Retry-After. One run asks
with short contexts, for memory over many questions. In the last run the server is killed (SIGKILL) and started again,
while files are being uploaded: every question must be answered in the end, and every upload that was accepted must be
in the index. Then it is told to end (SIGTERM) while questions wait: each must be answered.

It exits with 1 where a request was lost, an upload is missing, or the server did not end in order.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil

from ragyena import __version__, demo

MIB = 2**20
SECONDS = 60.0
FULL_SECONDS = 600.0
SAMPLE_SECONDS = 0.5
STEADY_TOKENS = 512
"""Context of the questions in the run for memory, which are answered quickly."""
LONGEST_WAIT = 300.0
"""Seconds after which a question that is not answered, asked again as need be, counts as lost."""
MOST_REQUESTS = 200_000
"""Requests of a run, after which its clients stop."""
BLOCKS = 10
"""Means of so many stretches are what a slope is fitted to: single samples are not independent."""
T_95 = 2.306
"""Student's t for a two-sided 95% interval with BLOCKS - 2 degrees of freedom."""
FACTS = ("the capital", "the population", "the climate", "the total area", "the national holiday", "the legal system")


@dataclass
class Run:
    """The record of one run; threads add to it, a list or a counter at a time."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Requests by what came of them."""
    requests: list[float] = field(default_factory=list)
    """Seconds of each request that was answered."""
    questions: list[float] = field(default_factory=list)
    """Seconds of each question, those included in which it was refused and asked again."""
    lost: list[str] = field(default_factory=list)
    memory: list[tuple[float, float, int]] = field(default_factory=list)
    """Seconds, MiB of the server, questions answered."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, outcome: str) -> None:
        with self.lock:
            self.outcomes[outcome] += 1


class Server:
    """`ragyena serve` as a process, on one port across restarts."""

    def __init__(self, home: Path, context_tokens: int) -> None:
        self._home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAGYENA_", "XDG_"))}
        self._environment = kept | {
            "HOME": str(home),
            "RAGYENA_SERVE__REQUESTS_PER_MINUTE": "0",  # of one address, which all clients share here
            "RAGYENA_PACKER__CONTEXT_TOKENS": str(context_tokens),
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._run("index", "add", str(demo.corpus()), "--quiet")
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ragyena", *arguments, "--index", "./load"]

    def _run(self, *arguments: str) -> None:
        subprocess.run(self._command(*arguments), cwd=self._home, env=self._environment, check=True)

    def start(self) -> float:
        """Seconds until it takes requests."""
        began = time.monotonic()
        with (self._home / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                self._command("serve", "--port", str(self.port)),
                cwd=self._home,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if re.search("serving at", line):
                return time.monotonic() - began
        raise SystemExit((self._home / "server.log").read_text()[-2000:])

    def memory(self) -> float | None:
        """MiB of it and of its children, None while it is not there."""
        try:
            process = psutil.Process(self.process.pid)
            return float(sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / MIB)
        except psutil.Error:
            return None

    def processor_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each run")
    parser.add_argument("--full", action="store_true", help=f"{FULL_SECONDS:g} seconds each run")
    parser.add_argument("--clients", default="1,8,64", help="numbers of clients, a run each")
    parser.add_argument("--context-tokens", type=int, default=8192)
    parser.add_argument("--note", default="", help="what else the machine did")
    arguments = parser.parse_args()
    seconds = FULL_SECONDS if arguments.full else arguments.seconds
    load_before = os.getloadavg()
    results: dict[str, Any] = {
        "schema": "ragyena.serve-load/2",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": {"ragyena": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "fastapi", "uvicorn", "httpx")},
        "note": arguments.note,
        "load_average": {"before": [round(load, 2) for load in load_before]},
        "seconds": seconds,
        "context_tokens": arguments.context_tokens,
        "batch_and_queue": "as set by default",
        "method": f"latency: seconds of a request that was answered; question: with the waits after refusals. Memory: "
        f"resident, a sample every {SAMPLE_SECONDS:g} s, the first third of a run left out; its slope by least squares "
        f"on the means of {BLOCKS} stretches, with the 95% interval of Student's t.",
    }
    with (
        tempfile.TemporaryDirectory(prefix="ragyena-load-") as folder,
        Server(Path(folder), arguments.context_tokens) as server,
    ):
        questions = _questions()
        _shown("warm-up", measure(server, questions, 8, seconds / 4))
        runs = results["runs"] = []
        for clients in map(int, arguments.clients.split(",")):
            runs.append(_shown(f"{clients} clients", measure(server, questions, clients, seconds)))
        steady = measure(server, questions, 8, seconds, context_tokens=STEADY_TOKENS)
        results["short_contexts"] = _shown("short contexts", steady)
        killed = measure(server, questions, 8, seconds, kill=True)
        results["killed_and_restarted"] = _shown("killed and restarted", killed)
        results["ended"] = _shown("ended", end(server, questions))
    results["load_average"]["after"] = [round(load, 2) for load in os.getloadavg()]
    arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    every = [*runs, steady, killed, results["ended"]]
    if any(run["lost"] for run in every) or killed["uploads_missing"] or results["ended"]["exit_code"]:
        raise SystemExit(1)


def _shown(name: str, values: dict[str, Any]) -> dict[str, Any]:
    print(f"{name}: {json.dumps(values)}", file=sys.stderr, flush=True)
    return values


def _machine() -> dict[str, Any]:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.machine()
    return {"processor": processor, "cores": os.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30)}


def _questions() -> list[str]:
    """The questions of the demo, and some on every country of its corpus."""
    countries = sorted(path.stem.replace("-", " ").title() for path in (demo.corpus() / "world-factbook").glob("*.md"))
    more = [f"What is {fact} of {country}?" for fact in FACTS for country in countries]
    return [question.question for question in demo.load_questions()] + more


def ask(
    server: Server,
    question: str,
    run: Run,
    client: httpx.Client,
    context_tokens: int | None = None,
    may_break: Callable[[], bool] = lambda: False,
) -> bool:
    """Ask until there is an answer. False where the question was lost: no answer in time, or a failure.

    A connection that breaks is a loss unless ``may_break``, since the server was killed.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        began = time.monotonic()
        try:
            response = client.post(
                f"{server.url}/v1/ask", json={"question": question, "context_tokens": context_tokens}
            )
        except httpx.TransportError as error:
            run.count("cut off")
            if not may_break():
                run.lost.append(f"{type(error).__name__}: {error}")
                return False
            time.sleep(0.5)
            continue
        wait = response.headers.get("retry-after")
        if response.status_code == 429 and wait is not None:
            run.count("429 with Retry-After")
            time.sleep(float(wait))
            continue
        run.count(str(response.status_code))
        if response.status_code != 200 or response.json()["question"] != question:
            run.lost.append(f"{response.status_code}: {response.text[:200]}")
            return False
        run.requests.append(time.monotonic() - began)
        return True
    run.lost.append("no answer in time")
    return False


def measure(
    server: Server,
    questions: Sequence[str],
    clients: int,
    seconds: float,
    *,
    context_tokens: int | None = None,
    kill: bool = False,
) -> dict[str, Any]:
    """Ask with so many clients for so long; with ``kill`` end the server in the middle, while files are uploaded."""
    run = Run()
    began = time.monotonic()
    stop = began + seconds
    was_killed = threading.Event()
    uploads: list[str] = []

    def client_loop(number: int) -> None:
        with _client() as client:
            turn = number
            while time.monotonic() < stop and run.outcomes.total() < MOST_REQUESTS:
                at = time.monotonic()
                ask(server, questions[turn % len(questions)], run, client, context_tokens, was_killed.is_set)
                run.questions.append(time.monotonic() - at)
                turn += clients

    def sample() -> None:
        while time.monotonic() < stop:
            if (size := server.memory()) is not None:
                run.memory.append((time.monotonic() - began, size, len(run.requests)))
            time.sleep(SAMPLE_SECONDS)

    def upload_loop() -> None:
        number = 0
        with _client() as client:
            while time.monotonic() < stop:
                name = f"load-{number}.txt"
                body = f"Note {number} of the load run says that locker {number} holds {number * 7} keys."
                try:
                    response = client.post(f"{server.url}/v1/documents", files={"files": (name, body.encode())})
                    run.count(f"upload {response.status_code}")
                    if response.status_code == 202:
                        uploads.append(name)
                except httpx.TransportError:
                    run.count("upload cut off")
                number += 1
                time.sleep(2)

    threads = [threading.Thread(target=client_loop, args=(number,)) for number in range(clients)]
    threads += [threading.Thread(target=upload_loop)] if kill else [threading.Thread(target=sample)]
    processor = server.processor_seconds()
    for thread in threads:
        thread.start()
    down = 0.0
    if kill:
        time.sleep(seconds / 2)
        was_killed.set()
        server.process.kill()
        server.process.wait()
        down = server.start()
        processor = 0.0
    for thread in threads:
        thread.join()
    spent = time.monotonic() - began
    result: dict[str, Any] = {
        "clients": clients,
        "seconds": round(spent, 1),
        "requests": dict(sorted(run.outcomes.items())),
        "lost": len(run.lost),
        "answers_per_second": round(len(run.requests) / spent, 3),
        "latency_seconds": _percentiles(run.requests),
        "question_seconds": _percentiles(run.questions),
    }
    if context_tokens is not None:
        result["context_tokens"] = context_tokens
    if run.lost:
        result["losses"] = dict(Counter(run.lost).most_common(5))
    if kill:
        result |= {"restart_seconds": round(down, 1), "uploads_accepted": len(uploads)}
        return result | {"uploads_missing": _missing(server, uploads)}
    processor = server.processor_seconds() - processor
    result["processor_seconds_an_answer"] = round(processor / max(len(run.requests), 1), 3)
    return result | {"memory": _memory(run.memory)}


def end(server: Server, questions: Sequence[str]) -> dict[str, Any]:
    """Tell the server to end while questions wait: all that it accepted must be answered."""
    run = Run()

    def once(question: str) -> None:
        with _client() as client:
            ask(server, question, run, client, STEADY_TOKENS)

    threads = [threading.Thread(target=once, args=(question,)) for question in questions[:8]]
    for thread in threads:
        thread.start()
    with _client() as client:
        while client.get(f"{server.url}/health").json()["waiting"] < 2 and not run.requests:
            time.sleep(0.01)
    answered_before = len(run.requests)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    code = server.process.wait(120)
    return {
        "asked": len(threads),
        "answered_before_sigterm": answered_before,
        "answered": len(run.requests),
        "lost": len(run.lost),
        "seconds": round(time.monotonic() - began, 1),
        "exit_code": code,
    }


def _client() -> httpx.Client:
    return httpx.Client(timeout=LONGEST_WAIT, trust_env=False)


def _missing(server: Server, names: list[str]) -> int:
    """Uploads that were accepted and are not in the index once all additions are done."""
    with _client() as client:
        while any(job["state"] in ("queued", "running") for job in client.get(f"{server.url}/v1/jobs").json()["jobs"]):
            time.sleep(0.5)
        response = client.get(f"{server.url}/v1/documents", params={"containing": "load-", "limit": 1000})
    return len(set(names) - {file["name"] for file in response.json()["documents"]})


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    cut = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": round(cut[49], 3), "p99": round(cut[98], 3), "max": round(max(seconds), 3)}


def _memory(samples: list[tuple[float, float, int]]) -> dict[str, Any]:
    """Memory at the beginning and the end of a run, and its slope after the first third."""
    late = samples[len(samples) // 3 :]
    result: dict[str, Any] = {"mib_first": round(samples[0][1], 1), "mib_last": round(samples[-1][1], 1)}
    if len(late) < 2 * BLOCKS:
        return result
    bounds = [round(number * len(late) / BLOCKS) for number in range(BLOCKS + 1)]
    blocks = [late[first:last] for first, last in pairwise(bounds)]
    minutes = [statistics.fmean(time for time, _, _ in block) / 60 for block in blocks]
    sizes = [statistics.fmean(size for _, size, _ in block) for block in blocks]
    slope, intercept = statistics.linear_regression(minutes, sizes)
    squares = sum((size - intercept - slope * minute) ** 2 for minute, size in zip(minutes, sizes))
    middle = statistics.fmean(minutes)
    error = math.sqrt(squares / (BLOCKS - 2) / sum((minute - middle) ** 2 for minute in minutes))
    answered = late[-1][2] - late[0][2]
    return result | {
        "slope_mib_a_minute": round(slope, 3),
        "interval_95": [round(slope - T_95 * error, 3), round(slope + T_95 * error, 3)],
        "answers_meanwhile": answered,
        "mib_of_stretches": [round(size, 1) for size in sizes],
    }


if __name__ == "__main__":
    main()
