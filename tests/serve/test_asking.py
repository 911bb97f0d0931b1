"""Questions and searches over HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from http_server import events

from ragyena.schemas import AnswerJson

pytestmark = pytest.mark.xdist_group("serve")
QUESTION = "When was the iron bridge built?"


def test_an_answer_is_that_of_the_command_line_with_a_citation_that_stands_in_the_file(client: httpx.Client) -> None:
    answer = AnswerJson.model_validate(client.post("/v1/ask", json={"question": QUESTION, "id": 7}).json())
    assert (answer.answer, answer.id) == ("1932", 7)
    citation = answer.citations[0]
    text = Path(citation.document).read_text(encoding="utf-8")
    assert text[citation.start : citation.end] == citation.quote
    assert answer.packing is None
    assert set(answer.timings) == {"retrieve", "pack", "read", "total"}


def test_a_stream_tells_the_stages_and_then_the_same_answer(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True, "explain": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        told = events(response.iter_lines())
    assert [name for name, _ in told] == ["accepted", "stage", "stage", "stage", "answer"]
    assert [data["stage"] for name, data in told if name == "stage"] == ["retrieve", "pack", "read"]
    assert all(data["seconds"] >= 0 for name, data in told if name == "stage")
    answer = AnswerJson.model_validate(told[-1][1])
    assert answer.answer == "1932" and answer.packing is not None


def test_settings_of_a_question_hold_for_it_alone(client: httpx.Client) -> None:
    withheld = client.post("/v1/ask", json={"question": QUESTION, "threshold": 1}).json()
    assert withheld["answer"] is None and withheld["passages"]
    assert client.post("/v1/ask", json={"question": QUESTION, "top_k": 1, "context_tokens": 512}).json()["answer"]


def test_filters_keep_to_some_documents(client: httpx.Client) -> None:
    body = {"question": QUESTION, "filters": {"source": "*tea.txt"}, "threshold": 0}
    assert {Path(each["document"]).name for each in client.post("/v1/ask", json=body).json()["passages"]} == {"tea.txt"}


def test_evidence_is_chosen_as_passages_or_sentences(client: httpx.Client) -> None:
    whole = client.post("/v1/select", json={"question": QUESTION, "passages": 2}).json()
    assert len(whole["evidence"]) == 2 and "1932" in whole["evidence"][0]["text"]
    cut = client.post("/v1/select", json={"question": QUESTION, "tokens": 30}).json()
    assert cut["tokens"] <= 30 and "1932" in cut["evidence"][0]["text"]
    assert client.post("/v1/select", json={"question": QUESTION, "tokens": 30, "passages": 2}).status_code == 400


def test_a_search_gives_passages_best_first(client: httpx.Client) -> None:
    found = client.post("/v1/search", json={"query": "green tea", "k": 2, "mode": "hybrid"}).json()
    assert found["query"] == "green tea" and len(found["passages"]) == 2
    assert found["passages"][0]["document"].endswith("tea.txt")
    assert found["passages"][0]["score"] > found["passages"][1]["score"]


@pytest.mark.parametrize(
    ("body", "status", "kind", "word"),
    [
        ({"question": " ?! "}, 400, "EmptyQuestionError", "empty"),
        ({"question": "why " * 1000}, 400, "QuestionTooLongError", "tokens"),
        ({"question": QUESTION, "index": "other"}, 404, "IndexNotFoundError", "other"),
        ({"question": QUESTION, "context_tokens": 5}, 422, "InvalidRequestError", "context_tokens"),
        ({"question": QUESTION, "tok_k": 5}, 422, "InvalidRequestError", "tok_k"),
        ({}, 422, "InvalidRequestError", "question"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_by_name(
    client: httpx.Client, body: dict[str, object], status: int, kind: str, word: str
) -> None:
    response = client.post("/v1/ask", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (status, kind)
    assert word in error["message"] and error["hint"]


def test_an_error_in_a_stream_is_an_event(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/ask", json={"question": "why " * 1000, "stream": True}) as response:
        told = events(response.iter_lines())
    assert told[-1][0] == "error" and told[-1][1]["error"]["type"] == "QuestionTooLongError"
