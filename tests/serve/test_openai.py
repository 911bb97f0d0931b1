"""The official OpenAI client against the server."""

from __future__ import annotations

import math
from collections.abc import Iterator

import openai
import pytest
from http_server import Server
from openai import OpenAI

pytestmark = pytest.mark.xdist_group("serve")
QUESTION = "When was the iron bridge built?"


@pytest.fixture
def ai(served: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models_are_the_indexes_and_embedders(ai: OpenAI) -> None:
    assert [model.id for model in ai.models.list()] == ["ragyena", "ragyena/facts", "all-MiniLM-L6-v2"]
    assert ai.models.retrieve("ragyena/facts").object == "model"
    with pytest.raises(openai.NotFoundError):
        ai.models.retrieve("gpt-9")


def test_a_chat_is_answered_with_a_citation_at_its_place(ai: OpenAI) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    done = ai.chat.completions.create(model="ragyena", messages=messages)  # type: ignore[arg-type]
    message = done.choices[0].message
    assert message.content is not None and message.content.startswith("1932 [1]")
    assert message.annotations is not None
    cited = message.annotations[0].url_citation
    line = message.content[cited.start_index : cited.end_index]
    assert line.startswith("[1] bridge.md, line") and "1932" in line
    assert done.usage is not None and done.usage.total_tokens > done.usage.completion_tokens > 0
    assert done.model_extra is not None and done.model_extra["ragyena"]["citations"][0]["quote"] in line


def test_earlier_messages_complete_a_follow_up(ai: OpenAI) -> None:
    first = {"role": "user", "content": "When was the wooden bridge built?"}
    said = {"role": "assistant", "content": 'Not found in the documents.\n\n[1] bridge.md, line 3: "..."'}
    done = ai.chat.completions.create(
        model="ragyena",
        messages=[first, said, {"role": "user", "content": "And the iron bridge?"}],  # type: ignore[list-item]
    )
    assert (done.choices[0].message.content or "").startswith("1932 [1]")
    assert done.model_extra is not None
    assert done.model_extra["ragyena"]["question"] == "When was the iron bridge built?"


def test_a_chat_streams_the_same_text(ai: OpenAI) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    whole = ai.chat.completions.create(model="ragyena", messages=messages)  # type: ignore[call-overload]
    chunks = list(
        ai.chat.completions.create(  # type: ignore[call-overload]
            model="ragyena/facts", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens > 0 and not chunks[-1].choices
    assert chunks[-2].model_extra["ragyena"]["answer"] == "1932"


def test_the_extension_of_a_request_steers_the_reader(ai: OpenAI) -> None:
    done = ai.chat.completions.create(
        model="ragyena",
        messages=[{"role": "user", "content": QUESTION}],
        extra_body={"ragyena": {"threshold": 1.0}},
    )
    assert (done.choices[0].message.content or "").startswith("Not found in the documents.")
    bare = ai.chat.completions.create(
        model="ragyena",
        messages=[{"role": "user", "content": QUESTION}],
        extra_body={"ragyena": {"sources": False}},
    )
    assert bare.choices[0].message.content == "1932 [1]"


def test_a_response_cites_the_file(ai: OpenAI) -> None:
    response = ai.responses.create(model="ragyena", input=QUESTION)
    assert response.status == "completed" and response.output_text.startswith("1932 [1]")
    (message,) = response.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    annotation = part.annotations[0]
    assert annotation.type == "file_citation" and annotation.filename == "bridge.md"
    assert part.text[annotation.index :].startswith("[1]")
    assert response.usage is not None and response.usage.output_tokens > 0


def test_a_response_streams_the_events_that_the_client_puts_together(ai: OpenAI) -> None:
    with ai.responses.stream(model="ragyena", input=[{"role": "user", "content": QUESTION}]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert "response.output_text.annotation.added" in kinds
    assert final.output_text.startswith("1932 [1]")
    plain = [event.type for event in ai.responses.create(model="ragyena", input=QUESTION, stream=True)]
    assert plain == kinds


def test_embeddings_are_unit_vectors_in_either_encoding(ai: OpenAI, served: Server) -> None:
    made = ai.embeddings.create(model="all-MiniLM-L6-v2", input=["a bridge of iron", "green tea"])  # base64
    plain = ai.embeddings.create(model="ragyena", input="a bridge of iron", encoding_format="float")
    assert len(made.data) == 2 and len(made.data[0].embedding) == 384
    assert math.isclose(sum(x * x for x in made.data[0].embedding), 1, abs_tol=1e-4)
    assert made.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-5)
    assert made.usage.prompt_tokens > 4
    with pytest.raises(openai.BadRequestError, match="token ids"):
        ai.embeddings.create(model="ragyena", input=[[1, 2, 3]])


def test_errors_are_those_that_the_client_knows(ai: OpenAI) -> None:
    user = [{"role": "user", "content": QUESTION}]
    with pytest.raises(openai.NotFoundError, match="no model") as missing:
        ai.chat.completions.create(model="gpt-9", messages=user)  # type: ignore[arg-type]
    assert missing.value.type == "not_found_error"
    with pytest.raises(openai.BadRequestError, match="'n'"):
        ai.chat.completions.create(model="ragyena", messages=user, n=2)  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError, match="user"):
        ai.chat.completions.create(model="ragyena", messages=[{"role": "system", "content": "Be brief."}])
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        ai.responses.create(model="ragyena", input=QUESTION, previous_response_id="resp_1")
    with pytest.raises(openai.BadRequestError, match="empty"):
        ai.chat.completions.create(model="ragyena", messages=[{"role": "user", "content": "?"}])
