"""The real server in a process of its own, forked by ``warm``, on a free loopback port."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
from warm import Command, warm

START_SECONDS = 120
STOP_SECONDS = 60


@dataclass(slots=True)
class Server:
    """A running ``ragyena serve``. A context manager."""

    process: Command
    output: IO[str]
    port: int
    log: Path

    @classmethod
    def start(cls, home: Path, *arguments: str, **settings: object) -> Server:
        """Start it in ``home``, with settings of ``serve`` by name."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAGYENA_", "XDG_"))}
        given = {
            (name if name.isupper() else f"RAGYENA_SERVE__{name.upper()}"): str(settings[name]) for name in settings
        }
        environment = {**kept, "HOME": str(home), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **given}
        log = home / "server.log"
        output, theirs = os.pipe()
        with log.open("a") as errors, Path(os.devnull).open() as nothing:
            process = warm().start(
                ["serve", "--port", "0", *arguments], cwd=home, environment=environment,
                stdin=nothing.fileno(), stdout=theirs, stderr=errors.fileno(),
            )  # fmt: skip
        os.close(theirs)
        stdout = os.fdopen(output)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            line = stdout.readline()
            if match := re.search(r"serving at http://.*:(\d+)", line):
                return cls(process, stdout, int(match[1]), log)
            if not line:
                break
        stdout.close()
        process.kill()
        raise AssertionError(f"the server did not start: {log.read_text()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def raw(self, request: bytes) -> bytes:
        """Send bytes, and read until the server closes the connection."""
        with self.connect() as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer

    def add(self, files: dict[str, bytes | str]) -> dict[str, Any]:
        """Upload files and wait for the job; the job."""
        with self.client() as client:
            job = client.post("/v1/documents", files=[("files", item) for item in files.items()]).json()
            while job["state"] not in ("done", "failed"):
                time.sleep(0.02)
                job = client.get(f"/v1/jobs/{job['id']}").json()
            return dict(job)

    def entries(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        """Tell it to end, as a service manager does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        self.output.close()


def events(lines: Any) -> list[tuple[str, Any]]:
    """Names and data of the events of a stream's lines."""
    found, name = [], ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((name, json.loads(line.removeprefix("data: "))))
    return found
