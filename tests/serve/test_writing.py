"""A server with a writer and a baseline reader: who answers, what is checked, what happens when the writer fails."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chat_server import ChatServer, chat_server
from http_server import Server, events
from openai import OpenAI
from small_world import FACTS, save_small_reader

from ragyena.schemas import AnswerJson

pytestmark = pytest.mark.xdist_group("serve")
QUESTION = "When was the iron bridge built?"
WRITTEN = "The iron bridge was built in 1932 by Ada Stone [1]. Its engineer was Tom Miller [1]."


@pytest.fixture(scope="module")
def writer() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture
def replies(writer: ChatServer) -> ChatServer:
    """The writer, as every test finds it."""
    writer.text, writer.status, writer.body = WRITTEN, 200, None
    writer.wait = writer.between = 0.0
    writer.requests.clear()
    return writer


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained attention baseline."""
    return save_small_reader(tmp_path_factory.mktemp("readers") / "attention-baseline", mixer="attention")


@pytest.fixture(scope="module")
def helped(tmp_path_factory: pytest.TempPathFactory, writer: ChatServer, baseline: Path) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("helped")
    flags = ("--writer", writer.url, "--writer-model", "small-writer", "--baseline", str(baseline))
    with Server.start(home, "--index", "./facts", *flags, RAGYENA_WRITER__REQUESTS=2, timeout_seconds=60) as server:
        assert server.add({**FACTS})["state"] == "done"
        yield server


@pytest.fixture
def client(helped: Server, replies: ChatServer) -> Iterator[httpx.Client]:
    with helped.client() as client:
        yield client


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def figure(client: httpx.Client, name: str) -> float:
    match = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(match[1]) if match else 0.0


def test_the_indexes_say_who_else_answers(client: httpx.Client, replies: ChatServer) -> None:
    told = client.get("/v1/indexes").json()
    assert told["baseline"] == "attention-baseline"
    assert told["writer"] == {"address": f"{replies.url}/chat/completions", "model": "small-writer"}


def test_the_writer_answers_and_its_sentences_are_checked(client: httpx.Client, replies: ChatServer) -> None:
    answer = AnswerJson.model_validate(client.post("/v1/ask", json={"question": QUESTION, "explain": True}).json())
    assert answer.kind == "written" and [each.supported for each in answer.sentences] == [True, False]
    assert "Miller" in (answer.sentences[1].problem or "")
    assert set(answer.timings) == {"retrieve", "pack", "read", "write", "check", "total"} and answer.packing
    (request,) = replies.requests
    assert request["model"] == "small-writer" and "1932" in request["messages"][1]["content"]
    for citation in answer.citations:
        text = Path(citation.document).read_text(encoding="utf-8")
        assert text[citation.start : citation.end] == citation.quote


def test_a_stream_tells_the_text_before_it_is_checked(client: httpx.Client, replies: ChatServer) -> None:
    with client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True}) as response:
        told = events(response.iter_lines())
    names = [name for name, _ in told]
    assert [data["stage"] for name, data in told if name == "stage"] == ["retrieve", "pack", "read", "write"]
    assert "".join(data["text"] for name, data in told if name == "text") == WRITTEN
    assert names[0] == "accepted" and names[-1] == "answer" and names.count("text") > 5
    assert told[-1][1]["kind"] == "written"


def test_a_request_can_do_without_the_writer(client: httpx.Client, replies: ChatServer) -> None:
    answer = client.post("/v1/ask", json={"question": QUESTION, "writer": False}).json()
    assert (answer["kind"], answer["answer"]) == ("extracted", "1932")
    assert replies.requests == [], "nothing is sent"


def test_nothing_is_sent_where_there_is_no_evidence(client: httpx.Client, replies: ChatServer) -> None:
    body = {"question": QUESTION, "filters": {"source": "nothing-of-this-name"}}
    assert client.post("/v1/ask", json=body).json()["kind"] == "withheld"
    assert replies.requests == []


def test_the_baseline_answers_in_its_place(client: httpx.Client, replies: ChatServer) -> None:
    asked = {"question": QUESTION, "threshold": 0.0, "explain": True}
    own = client.post("/v1/ask", json={**asked, "writer": False}).json()
    other = client.post("/v1/ask", json={**asked, "reader": "baseline"}).json()
    assert other["kind"] != "written" and replies.requests == []
    slots = [[(e["passage_id"], e["slot"]) for e in answer["packing"]["entries"]] for answer in (own, other)]
    assert slots[0] == slots[1], "both read the same context"
    assert other["confidence"] != own["confidence"], "another reader read it"
    both = client.post("/v1/ask", json={**asked, "reader": "baseline", "writer": True})
    assert both.status_code == 400


def test_without_a_writer_or_a_baseline_they_are_refused_by_name(served: Server) -> None:
    with served.client() as client:
        told = client.get("/v1/indexes").json()
        assert told["baseline"] is None and told["writer"] is None
        for field, value, hint in (("reader", "baseline", "--baseline"), ("writer", True, "--writer")):
            refused = client.post("/v1/ask", json={"question": QUESTION, field: value})
            assert refused.status_code == 400 and hint in refused.json()["error"]["hint"]


def test_openais_client_gets_the_checked_text(helped: Server, replies: ChatServer) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    with OpenAI(base_url=f"{helped.url}/v1", api_key="none", max_retries=0) as ai:
        message = ai.chat.completions.create(model="ragyena", messages=messages).choices[0].message
        assert message.content is not None and message.annotations is not None
        first, second = message.content.splitlines()[:2]
        assert first == "The iron bridge was built in 1932 by Ada Stone. [1]"
        assert second.startswith("Its engineer was Tom Miller. [1] (not supported by the evidence: ")
        (annotation,) = message.annotations
        cited = message.content[annotation.url_citation.start_index : annotation.url_citation.end_index]
        assert cited.startswith("[1] bridge.md") and "1932" in cited
        chunks = ai.chat.completions.create(model="ragyena", messages=messages, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == message.content, "no text before it is checked"
        response = ai.responses.create(model="ragyena", input=QUESTION)
        assert response.output_text == message.content
        plain = ai.chat.completions.create(
            model="ragyena", messages=messages, extra_body={"ragyena": {"writer": False}}
        )
        assert (plain.choices[0].message.content or "").startswith("1932 [1]")
        replies.status, replies.body = 401, b'{"error": {"message": "no such key"}}'
        with pytest.raises(openai.InternalServerError, match="refused with 401") as failed:
            ai.chat.completions.create(model="ragyena", messages=messages)
        assert failed.value.status_code == 502


def test_a_writer_that_fails_is_named_and_the_reader_goes_on(client: httpx.Client, replies: ChatServer) -> None:
    replies.status = 500
    failed = client.post("/v1/ask", json={"question": QUESTION})
    assert failed.status_code == 502 and failed.json()["error"]["type"] == "WriterError"
    with client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True}) as response:
        told = events(response.iter_lines())
    assert told[-1][0] == "error" and "refused with 500" in told[-1][1]["error"]["message"]
    assert client.post("/v1/ask", json={"question": QUESTION, "writer": False}).json()["answer"] == "1932"


def test_the_reader_answers_others_while_the_writer_is_waited_for(
    helped: Server, client: httpx.Client, replies: ChatServer
) -> None:
    replies.wait = 5.0
    written: list[str] = []

    def ask() -> None:
        with helped.client() as own:
            written.append(own.post("/v1/ask", json={"question": QUESTION}).json()["kind"])

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: len(replies.requests) == 1)
    assert client.post("/v1/ask", json={"question": QUESTION, "writer": False}).json()["answer"] == "1932"
    assert not written, "it was answered meanwhile"
    thread.join()
    assert written == ["written"]


def test_a_client_that_leaves_ends_the_request_to_the_writer(
    helped: Server, client: httpx.Client, replies: ChatServer
) -> None:
    replies.text, replies.between, replies.cut_off = "word " * 2000, 0.02, 0
    given_up = 'ragyena_writer_requests_total{outcome="given up"}'
    before = figure(client, given_up)
    with helped.client() as own, own.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True}) as response:
        assert any(line == "event: text" for line in response.iter_lines())
    wait_for(lambda: figure(client, given_up) == before + 1 and replies.cut_off == 1)


def test_more_than_the_writer_takes_are_refused_with_the_time_to_come_again(
    tmp_path: Path, replies: ChatServer
) -> None:
    """And those that were accepted are answered when the server is told to end."""
    replies.wait = 1.0
    flags = ("--index", "./facts", "--writer", replies.url, "--writer-model", "m")
    got: list[tuple[int, str | None]] = []
    with Server.start(tmp_path, *flags, queue=3) as server:
        server.add({**FACTS})

        def ask() -> None:
            with server.client() as own:
                response = own.post("/v1/ask", json={"question": QUESTION})
                got.append((response.status_code, response.headers.get("retry-after")))

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(got) >= 9 and len(replies.requests) >= 1)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert server.process.wait(60) == 0
    assert sorted(status for status, _ in got) == [200] * 3 + [429] * 9
    assert all(int(wait or 0) >= 1 for status, wait in got if status == 429)


def test_a_writer_without_a_model_and_a_baseline_that_is_none_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no model of the writer is named"):
        Server.start(tmp_path, "--index", "./facts", "--writer", "http://localhost:1/v1")
    with pytest.raises(AssertionError, match="nowhere"):
        Server.start(tmp_path, "--index", "./facts", "--baseline", str(tmp_path / "nowhere"))
