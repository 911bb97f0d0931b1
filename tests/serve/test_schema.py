"""The OpenAPI document: what it says is what the server does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from http_server import Server
from small_world import FACTS

pytestmark = pytest.mark.xdist_group("serve")


def test_every_route_is_described(served: Server) -> None:
    with served.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/ask", "/v1/documents", "/v1/chat/completions", "/v1/responses", "/v1/embeddings"} <= set(paths)
    for path, methods in paths.items():
        for method, described in methods.items():
            assert described["summary"] and described["description"], (method, path)
            assert "4XX" in described["responses"], (method, path)


@pytest.mark.slow
def test_requests_made_from_the_document_find_no_fault(tmp_path: Path) -> None:
    with Server.start(tmp_path, "--index", "./facts") as server:
        server.add({**FACTS})
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json"]
        command += ["--max-examples", "12", "--generation-deterministic", "--no-color", "--request-timeout", "60"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1100)
        assert done.returncode == 0, done.stdout
        assert "unexpected error" not in server.log.read_text()
