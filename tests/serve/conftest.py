"""One server with a small index for all tests that change nothing in it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from command_line import write_pdf
from http_server import Server
from small_world import FACTS

LIGHT = (
    "The lighthouse of Cape Farewell was lit in 1870.",
    "Its keeper was Tom Marsh, who lived there for twenty years.",
)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose documents, text and a PDF file of two pages, were uploaded to it."""
    home = tmp_path_factory.mktemp("served")
    pdf = write_pdf(home / "light.pdf", *LIGHT)
    with Server.start(home, "--index", "./facts") as server:
        files: dict[str, bytes | str] = {**FACTS}
        job = server.add({**files, "light.pdf": pdf.read_bytes()})
        assert job["state"] == "done" and job["added"] == len(FACTS) + 1, job
        yield server


@pytest.fixture
def client(served: Server) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client
