"""The queue before the reader: bounded, in order, finished on SIGTERM."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from http_server import Server, events
from small_world import FACTS

pytestmark = pytest.mark.xdist_group("serve")
ASK = {"question": "When was the iron bridge built?"}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that reads one question at a time and lets few wait, with passages that take their time."""
    home = tmp_path_factory.mktemp("narrow")
    with Server.start(home, "--index", "./facts", queue=8, batch=1) as server:
        server.add({name: "\n\n".join(f"{text} ({n})" for n in range(8)) for name, text in FACTS.items()})
        yield server


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is read-only and gives a question no time."""
    home = tmp_path_factory.mktemp("hasty")
    with Server.start(home, "--index", "./facts", "--read-only", timeout_seconds=0.001) as server:
        yield server


def at_once(count: int, work: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def figure(client: httpx.Client, name: str) -> float:
    match = re.search(rf"^{name} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert match, name
    return float(match[1])


def test_a_full_queue_refuses_with_the_time_to_come_again_and_answers_the_rest(narrow: Server) -> None:
    replies: list[tuple[int, str | None]] = []

    def ask() -> None:
        with narrow.client() as client:
            response = client.post("/v1/ask", json=ASK)
            replies.append((response.status_code, response.headers.get("retry-after")))

    for thread in at_once(30, ask):
        thread.join()
    assert {status for status, _ in replies} == {200, 429} and len(replies) == 30
    assert all(int(wait or 0) >= 1 for status, wait in replies if status == 429)
    with narrow.client() as client:
        assert figure(client, "ragyena_queue_questions") == 0
        assert client.post("/v1/ask", json=ASK).status_code == 200


def test_a_question_whose_client_left_is_dropped_unread(narrow: Server) -> None:
    body = b'{"question": "When was the iron bridge built?"}'
    head = b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(body)
    with narrow.client() as client:
        before = figure(client, "ragyena_dropped_total")
        leaving = [narrow.connect() for _ in range(8)]
        for connection in leaving:
            connection.sendall(head + body)
        for connection in leaving:
            connection.close()
        deadline = time.monotonic() + 60
        while figure(client, "ragyena_dropped_total") == before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert figure(client, "ragyena_dropped_total") > before
        assert client.post("/v1/ask", json=ASK).status_code == 200


def test_a_server_that_is_told_to_end_answers_what_it_accepted(narrow: Server) -> None:
    accepted = threading.Semaphore(0)
    last: list[str] = []

    def ask() -> None:
        with narrow.client() as client, client.stream("POST", "/v1/ask", json={**ASK, "stream": True}) as response:
            lines = response.iter_lines()
            assert next(lines) == "event: accepted"
            accepted.release()
            last.append(events(lines)[-1][0])

    threads = at_once(6, ask)
    for _ in threads:
        assert accepted.acquire(timeout=60)
    narrow.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert last == ["answer"] * 6
    assert narrow.process.wait(60) == 0
    with pytest.raises(httpx.ConnectError), narrow.client() as client:
        client.get("/health")


def test_questions_that_wait_are_read_together(served: Server) -> None:
    answers: list[str] = []

    def ask() -> None:
        with served.client() as client:
            answers.append(client.post("/v1/ask", json=ASK).json()["answer"])

    with served.client() as client:
        client.post("/v1/ask", json=ASK)
        names = ("ragyena_batch_questions_sum", "ragyena_batch_questions_count")
        questions, batches = (figure(client, name) for name in names)
        for thread in at_once(16, ask):
            thread.join()
        assert answers == ["1932"] * 16
        assert figure(client, names[0]) == questions + 16
        assert figure(client, names[1]) < batches + 16


def test_a_question_whose_time_is_up_is_given_up(hasty: Server) -> None:
    with hasty.client() as client:
        response = client.post("/v1/ask", json=ASK)
        assert response.status_code == 504 and response.json()["error"]["type"] == "AnswerTimeoutError"
        with client.stream("POST", "/v1/ask", json={**ASK, "stream": True}) as stream:
            assert events(stream.iter_lines())[-1][0] == "error"


def test_a_read_only_server_changes_nothing(hasty: Server) -> None:
    with hasty.client() as client:
        assert client.post("/v1/documents", files={"files": ("a.txt", b"text")}).status_code == 403
        assert client.delete("/v1/documents/1").status_code == 403


def test_a_server_is_ready_while_it_runs(served: Server) -> None:
    with served.client() as client:
        assert client.get("/ready").json()["status"] == "ok"
        index = client.get("/v1/indexes").json()["indexes"][0]
        assert index["name"] == "facts" and index["documents"] == len(FACTS) + 1
