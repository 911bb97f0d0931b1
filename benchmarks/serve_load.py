"""Load on `ragyena serve`: requests a second and latencies at several numbers of clients, with a kill in the middle.

    python benchmarks/serve_load.py --out benchmarks/results/DATE-serve.json [--seconds 60] [--clients 1,8,64]

It starts the server on loopback with an index of its own, made from the demo corpus. Every client asks the next
question as soon as it has the answer; a refusal (429) is asked again after the seconds of Retry-After. In the last run
the server is killed (SIGKILL) and started again, while files are being uploaded: every question must be answered in the
end, and every upload that was accepted must be in the index.
"""

from __future__ import annotations

import argparse
import json
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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from ragyena import __version__, recipes

SAMPLE_SECONDS = 1.0
WARM_UP_QUESTIONS = 8
LONGEST_WAIT = 300.0
"""Seconds after which a question that is not answered, asked again as need be, counts as lost."""


@dataclass
class Run:
    """The record of one run; threads add to it."""

    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    broken: int = 0
    """Requests that the death of the server cut off, and were sent again."""
    timed_out: int = 0
    lost: int = 0
    wrong: int = 0
    """Answers other than the one that the question had before."""
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds, and MB of the server."""


class Server:
    """`ragyena serve` as a process, on one port across restarts."""

    def __init__(self, home: Path, queue: int, context_tokens: int) -> None:
        self._home, self._queue, self._context_tokens = home, queue, context_tokens
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {**os.environ, "HOME": str(self._home), "RAGYENA_SERVE__QUEUE": str(self._queue)}
        environment |= {"RAGYENA_SERVE__REQUESTS_PER_MINUTE": "0"}
        environment |= {"RAGYENA_PACKER__CONTEXT_TOKENS": str(self._context_tokens)}
        command = [sys.executable, "-m", "ragyena", "serve", "--index", "./load", "--port", str(self.port)]
        with (self._home / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=self._home, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if re.search("serving at", line):
                return
        raise SystemExit((self._home / "server.log").read_text()[-2000:])

    def memory_mb(self) -> float:
        try:
            return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6
        except psutil.Error:
            return 0.0


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--files", type=int, default=1000, help="of the demo corpus, the smallest first")
    parser.add_argument("--context-tokens", type=int, default=8192)
    parser.add_argument("--clients", default="1,8,64")
    parser.add_argument("--note", default="", help="what else the machine did")
    arguments = parser.parse_args()
    corpus = recipes.asset("demo")
    questions = [json.loads(line)["question"] for line in (corpus / "questions.jsonl").read_text().splitlines()]
    with tempfile.TemporaryDirectory(prefix="ragyena-load-") as folder:
        server = Server(Path(folder), queue=128, context_tokens=arguments.context_tokens)
        try:
            files = sorted((path for path in (corpus / "corpus").rglob("*") if path.is_file()), key=_size)
            upload(server, files[: arguments.files])
            known = {question: ask(server, question, Run()) for question in questions}
            runs = []
            for clients in map(int, arguments.clients.split(",")):
                print(f"{clients} clients", file=sys.stderr, flush=True)
                runs.append(measure(server, known, clients, arguments.seconds))
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
            killed = measure(server, known, 8, arguments.seconds, kill=True)
            print(json.dumps(killed), file=sys.stderr, flush=True)
            server.process.send_signal(signal.SIGTERM)
            ended = server.process.wait(120)
        finally:
            server.process.kill()
    results = {
        "schema": "ragyena.serve-load/1",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "note": arguments.note,
        "load_before": os.getloadavg(),
        "seconds": arguments.seconds,
        "files": min(arguments.files, len(files)),
        "context_tokens": arguments.context_tokens,
        "runs": runs,
        "killed_and_restarted": killed,
        "exit_code_on_sigterm": ended,
    }
    arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _size(path: Path) -> int:
    return path.stat().st_size


def upload(server: Server, files: list[Path]) -> None:
    """Upload files and wait until they are in the index."""
    with httpx.Client(base_url=server.url, timeout=600, trust_env=False) as client:
        job = client.post("/v1/documents", files=[("files", (path.name, path.read_bytes())) for path in files]).json()
        while job["state"] not in ("done", "failed"):
            time.sleep(0.5)
            job = client.get(f"/v1/jobs/{job['id']}").json()
    if job["state"] == "failed":
        raise SystemExit(job["error"])


def ask(server: Server, question: str, run: Run, client: httpx.Client | None = None) -> str | None:
    """The answer to a question, sent again where it was refused or cut off; None where it was lost."""
    own = client or httpx.Client(timeout=LONGEST_WAIT, trust_env=False)
    deadline = time.monotonic() + LONGEST_WAIT
    try:
        while time.monotonic() < deadline:
            try:
                response = own.post(f"{server.url}/v1/ask", json={"question": question})
            except httpx.TransportError:
                run.broken += 1
                time.sleep(0.5)
                continue
            if response.status_code == 429:
                run.refused += 1
                time.sleep(float(response.headers["retry-after"]))
                continue
            if response.status_code in (503, 504):
                run.broken += response.status_code == 503
                run.timed_out += response.status_code == 504
                time.sleep(0.5)
                continue
            response.raise_for_status()
            return str(response.json()["answer"])
        return None
    finally:
        if client is None:
            own.close()


def measure(
    server: Server, known: dict[str, str | None], clients: int, seconds: float, *, kill: bool = False
) -> dict[str, Any]:
    """Ask with so many clients for so long; with ``kill`` end the server in the middle, while files are uploaded."""
    run = Run()
    began = time.monotonic()
    stop = began + seconds
    asked = list(known)
    lock = threading.Lock()
    uploads: list[str] = []

    def client_loop(number: int) -> None:
        with httpx.Client(timeout=LONGEST_WAIT, trust_env=False) as client:
            turn = number
            while time.monotonic() < stop:
                question = asked[turn % len(asked)]
                turn += 1
                at = time.monotonic()
                answer = ask(server, question, run, client)
                with lock:
                    run.latencies.append(time.monotonic() - at)
                    run.lost += answer is None
                    run.wrong += answer is not None and answer != known[question]

    def sample() -> None:
        while time.monotonic() < stop:
            run.memory.append((time.monotonic() - began, server.memory_mb()))
            time.sleep(SAMPLE_SECONDS)

    def upload_loop() -> None:
        number = 0
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            while time.monotonic() < stop:
                name = f"load-{number}.txt"
                body = f"Note {number} of the load run says that locker {number} holds {number * 7} keys."
                try:
                    response = client.post("/v1/documents", files={"files": (name, body.encode())})
                    if response.status_code == 202:
                        uploads.append(name)
                except httpx.TransportError:
                    run.broken += 1
                number += 1
                time.sleep(2)

    threads = [threading.Thread(target=client_loop, args=(number,)) for number in range(clients)]
    threads += [threading.Thread(target=sample)]
    threads += [threading.Thread(target=upload_loop)] if kill else []
    for thread in threads:
        thread.start()
    down = 0.0
    if kill:
        time.sleep(seconds / 2)
        at = time.monotonic()
        server.process.kill()
        server.process.wait()
        server.start()
        down = time.monotonic() - at
    for thread in threads:
        thread.join()
    spent = time.monotonic() - began
    result: dict[str, Any] = {
        "clients": clients,
        "seconds": round(spent, 1),
        "answered": len(run.latencies) - run.lost,
        "requests_per_second": round((len(run.latencies) - run.lost) / spent, 2),
        "latency_seconds": _percentiles(run.latencies),
        "refused_429": run.refused,
        "timed_out_504": run.timed_out,
        "cut_off_and_asked_again": run.broken,
        "lost": run.lost,
        "other_answers_than_alone": run.wrong,
    }
    if kill:
        result |= {"restart_seconds": round(down, 1), "uploads_accepted": len(uploads)}
        result["uploads_missing"] = _missing(server, uploads)
    else:
        result |= _memory(run.memory)
    return result


def _missing(server: Server, names: list[str]) -> int:
    """Uploads that were accepted and are not in the index once all additions are done."""
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        while any(job["state"] in ("queued", "running") for job in client.get("/v1/jobs").json()["jobs"]):
            time.sleep(0.5)
        listed = client.get("/v1/documents", params={"containing": "load-", "limit": 1000}).json()["documents"]
    return len(set(names) - {file["name"] for file in listed})


def _percentiles(latencies: list[float]) -> dict[str, float]:
    if len(latencies) < 2:
        return {}
    cut = statistics.quantiles(latencies, n=100, method="inclusive")
    return {"p50": round(cut[49], 3), "p99": round(cut[98], 3), "max": round(max(latencies), 3)}


def _memory(samples: list[tuple[float, float]]) -> dict[str, Any]:
    """Memory at the end, and its slope over the second half of the run, by least squares."""
    late = samples[len(samples) // 2 :]
    slope = statistics.linear_regression(*zip(*late)).slope if len(late) > 2 else 0.0
    return {"memory_mb": round(samples[-1][1], 1), "memory_slope_mb_a_minute": round(slope * 60, 2)}


if __name__ == "__main__":
    main()
