"""Hostile requests, and who may ask."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command_line import Ragyena
from http_server import Server

from ragyena.serve.guard import RateLimit, is_loopback

pytestmark = pytest.mark.xdist_group("serve")
ASK = {"question": "When was the iron bridge built?"}
KEY = "k-0123456789"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key, small limits and short times."""
    with Server.start(
        tmp_path_factory.mktemp("strict"),
        *("--index", "./notes", "--api-key", KEY),
        max_body_mb=0.01,
        max_upload_mb=0.05,
        header_seconds=1,
        body_seconds=1,
        requests_per_minute=30,
        cors_origins="https://app.example",
        connections=20,
    ) as server:
        yield server


def keyed(server: Server) -> httpx.Client:
    return server.client(headers={"authorization": f"Bearer {KEY}"})


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:80", "[::1"])
def test_another_host_is_refused(client: httpx.Client, host: str) -> None:
    response = client.get("/health", headers={"host": host})
    assert 400 <= response.status_code < 500


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8080"])
def test_this_machine_is_answered_by_any_of_its_names(client: httpx.Client, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://localhost"},
    ],
)
def test_a_page_of_another_origin_changes_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post("/v1/ask", json=ASK, headers=headers).status_code == 403
    assert client.delete("/v1/documents/1", headers=headers).status_code == 403


def test_the_page_itself_may_ask(served: Server, client: httpx.Client) -> None:
    headers = {"origin": served.url, "sec-fetch-site": "same-origin"}
    assert client.post("/v1/ask", json=ASK, headers=headers).status_code == 200
    assert "access-control-allow-origin" not in client.get("/health", headers={"origin": "https://a.example"}).headers


def test_responses_carry_the_headers_of_a_careful_page(client: httpx.Client) -> None:
    for path in ("/health", "/v1/documents", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"question": "\\ud800"}', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"question=x", "application/x-www-form-urlencoded"),
        (b'{"question": "When?"}', "text/plain"),
        (b"[" * 100_000, "application/json"),
        (b'{"question": "x", "threshold": NaN}', "application/json"),
        (b"", "application/json"),
    ],
)
def test_a_body_that_is_no_question_is_refused_in_the_one_shape(
    client: httpx.Client, content: bytes, kind: str
) -> None:
    response = client.post("/v1/ask", content=content, headers={"content-type": kind})
    assert 400 <= response.status_code < 500
    assert set(response.json()["error"]) == {"type", "message", "hint", "code", "param"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b'"When?"', "application/json"),
        (b'{"query": "\xe9"}', "application/json"),
        (b'{"query": "When?"}', "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_is_no_json_object_is_told_how_to_be_one(client: httpx.Client, content: bytes, kind: str) -> None:
    said = client.post("/v1/search", content=content, headers={"content-type": kind}).json()["error"]
    assert "JSON" in said["message"] and "Content-Type: application/json" in said["hint"]


def test_the_field_that_is_wrong_is_named(client: httpx.Client) -> None:
    said = client.post("/v1/search", json={"query": "a" * 30_000}).json()["error"]
    assert said["message"].startswith("query: ") and said["param"] == "query"


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/documents/../../x",
        "/v1/documents/-1/file",
        "/v1/documents/99999999999999999999/text",
        "/v1/documents/1%00/text",
        "/v1/jobs/..%2f..%2fetc",
    ],
)
def test_no_path_leads_out(served: Server, path: str) -> None:
    answer = served.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert b" 404 " in answer[:20] or b" 422 " in answer[:20]
    assert b"root:" not in answer and b"Traceback" not in answer


def test_what_is_no_http_is_refused_in_the_one_shape(served: Server) -> None:
    answer = served.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400") and b'"hint"' in answer


def test_a_key_is_needed_and_compared(strict: Server) -> None:
    with strict.client() as client:
        assert client.get("/health").status_code == 200
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": f"Basic {KEY}"},
            {"x-api-key": KEY[:-1]},
        ):
            response = client.get("/v1/indexes", headers=headers)
            assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
        assert client.get("/metrics").status_code == 401
        assert client.get("/v1/indexes", headers={"x-api-key": KEY}).status_code == 200


def test_an_allowed_origin_may_use_the_api(strict: Server) -> None:
    with strict.client() as client:
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        assert client.options("/v1/ask", headers=asked).headers["access-control-allow-origin"] == "https://app.example"
        refused = client.options("/v1/ask", headers={**asked, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers


def test_a_body_that_is_too_large_is_refused_whether_its_length_is_told_or_not(strict: Server) -> None:
    large = json.dumps({"question": "x" * 20_000}).encode()

    def parts() -> Iterator[bytes]:
        yield from (large[first : first + 1000] for first in range(0, len(large), 1000))

    for content in (large, parts()):
        with keyed(strict) as client:
            response = client.post("/v1/ask", content=content, headers={"content-type": "application/json"})
            assert response.status_code == 413 and "max_body_mb" in response.json()["error"]["hint"]
    with keyed(strict) as client:
        response = client.post("/v1/documents", files={"files": ("a.txt", b"x" * 60_000)})
        assert response.status_code == 413


def test_slow_clients_are_let_go(strict: Server) -> None:
    began = time.monotonic()
    assert strict.raw(b"GET /health HTTP/1.1\r\nHost: local").startswith(b"HTTP/1.1 408")
    head = f"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 50\r\n"
    assert strict.raw(f"{head}Content-Type: application/json\r\n\r\n{{".encode()).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 20


def test_a_client_that_takes_no_response_is_cut_off(strict: Server) -> None:
    with strict.connect() as connection:
        connection.settimeout(30)
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        taken = 0
        with contextlib.suppress(ConnectionError):
            connection.sendall(asked * 500)
            time.sleep(4)
            while part := connection.recv(1 << 20):
                taken += part.count(b"HTTP/1.1 200")
        assert 0 < taken < 500


def test_connections_are_bounded(strict: Server) -> None:
    held = [strict.connect() for _ in range(25)]
    try:
        time.sleep(0.3)
        refused = 0
        for connection in held[20:]:
            connection.settimeout(5)
            refused += connection.recv(100).startswith(b"HTTP/1.1 503")
        assert refused >= 4
    finally:
        for connection in held:
            connection.close()


def test_too_many_requests_are_told_when_to_come_again(strict: Server) -> None:
    with keyed(strict) as client:
        responses = [client.get("/v1/jobs") for _ in range(40)]
    refused = [response for response in responses if response.status_code == 429]
    assert refused and all(int(response.headers["retry-after"]) >= 1 for response in refused)


def test_a_rate_is_counted_for_each_caller() -> None:
    rate = RateLimit(2)
    assert [rate.take("a"), rate.take("a")] == [None, None]
    assert rate.take("a") == 30 or rate.take("a") == 29
    assert rate.take("b") is None
    assert RateLimit(0).take("a") is None


def test_another_address_needs_a_key(tmp_path: Path) -> None:
    done = Ragyena(tmp_path)("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.code == 2
    assert "API key" in done.err and "Traceback" not in done.err


def test_a_key_does_not_show_among_the_settings(tmp_path: Path) -> None:
    environment = {"RAGYENA_SERVE__API_KEYS": f"{KEY},other"}
    for options in ([], ["--json"]):
        done = Ragyena(tmp_path)("config", "show", *options, environment=environment).succeeds()
        assert "serve.api_keys" in done.out
        assert KEY not in done.out + done.err


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.1.1", "example.com", "::")))


def test_the_log_holds_no_text(served: Server, client: httpx.Client) -> None:
    client.post("/v1/ask", json={"question": "Where is the xylophone kept?"})
    client.get("/v1/documents", params={"containing": "xylophone"})
    entries = served.entries()
    assert {"time", "route", "status", "seconds"} <= set(entries[-1])
    assert "xylophone" not in served.log.read_text()
