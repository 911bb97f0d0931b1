"""A writer of one's own against a real local server: what is sent, what comes back, and every way it fails."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from chat_server import ChatServer, chat_server
from command_line import Ragyena

from ragyena import Pipeline
from ragyena.config import PipelineConfig
from ragyena.errors import ConfigError, WriterError
from ragyena.integrations.writer import CUT_OFF, NOT_FOUND, AnswerWriter, written_sentences
from ragyena.schemas import AnswerJson

QUESTION = "When was the iron bridge built, and by whom?"


@pytest.fixture(scope="module")
def pipeline(small_index: Path, small_config: PipelineConfig) -> Iterator[Pipeline]:
    with Pipeline.open(small_index, settings=small_config) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def writer_of(pipeline: Pipeline, server: ChatServer, **settings: object) -> AnswerWriter:
    writer = {"url": server.url, "model": "small", **settings}
    config = PipelineConfig.model_validate({**pipeline.config.model_dump(), "writer": writer})
    return AnswerWriter(Pipeline(pipeline.index, pipeline.reader, config))


def test_sentences_and_their_marks() -> None:
    text = "- The bridge was built in 1932 [1]. It has arches. [2][3]\n- Nobody knows more [1, 4; 2] .\n\n[5]\nYes!"
    sentences = [(sentence.text, sentence.citations) for sentence in written_sentences(text)]
    assert sentences == [
        ("The bridge was built in 1932.", (1,)),
        ("It has arches.", (2, 3)),
        ("Nobody knows more.", (1, 4, 2, 5)),
        ("Yes!", ()),
    ]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("end", [" The bridge has", " The bridge has two arches [1]."])
def test_a_sentence_that_the_limit_of_tokens_cut_off_is_marked(
    pipeline: Pipeline, server: ChatServer, stream: bool, end: str
) -> None:
    server.stream, server.finish = stream, "length"
    server.text += end
    first, last = writer_of(pipeline, server).ask(QUESTION).sentences
    assert first.supported and not last.supported
    assert (last.problem == CUT_OFF) == (not end.endswith("."))


@pytest.mark.parametrize("stream", [True, False])
def test_each_sentence_is_checked_against_the_evidence(pipeline: Pipeline, server: ChatServer, stream: bool) -> None:
    server.stream = stream
    server.text = (
        "<think>Hm.</think>The iron bridge was built in 1932 by Ada Stone [1]. It was built in 1923 [1]. "
        "Green tea is brewed at seventy degrees [9]. The iron bridge has three arches."
    )
    parts: list[str] = []
    answer = writer_of(pipeline, server).ask(QUESTION + " And how hot is green tea brewed?", on_text=parts.append)
    assert answer.kind == "written" and "".join(parts) == server.text and (len(parts) > 20) == stream
    assert [sentence.supported for sentence in answer.sentences] == [True, False, True, True]
    assert answer.sentences[1].problem == "not in the evidence: 1923"
    assert answer.confidence == 0.75
    bridge, wrong, tea, arches = answer.sentences
    for sentence, source in ((bridge, "bridge.md"), (tea, "tea.txt"), (arches, "bridge.md")):
        (number,) = sentence.citations
        assert answer.citations[number - 1].source.endswith(source), "a mark that leads nowhere is put right"
    assert wrong.citations == (1,)
    for citation in answer.citations:
        document = pipeline.index.document(citation.document_id)
        assert document.text[citation.start : citation.end] == citation.quote


def test_the_evidence_is_sent_and_not_the_context(pipeline: Pipeline, server: ChatServer) -> None:
    sent = []
    writer_of(pipeline, server, tokens=64, api_key="secret").ask(QUESTION, on_evidence=sent.append)
    (request,), (headers,), (evidence,) = server.requests, server.headers, sent
    assert request["path"] == "/v1/chat/completions" and request["model"] == "small" and request["stream"] is True
    assert headers["authorization"] == "Bearer secret"
    system, user = request["messages"]
    assert NOT_FOUND in system["content"] and user["content"].endswith(f"Question: {QUESTION}")
    assert evidence.tokens <= 64
    for number, piece in enumerate(evidence.pieces, 1):
        assert f"[{number}] " in user["content"] and piece.text in user["content"]
    assert str(pipeline.index.folder) not in user["content"], "paths stay here"


def test_a_writer_that_finds_nothing_and_a_question_without_evidence(pipeline: Pipeline, server: ChatServer) -> None:
    server.text = f"{NOT_FOUND}."
    answer = writer_of(pipeline, server).ask(QUESTION)
    assert (answer.kind, answer.text, answer.sentences, answer.confidence) == ("withheld", "", (), 0.0)
    assert answer.passages and len(server.requests) == 1
    assert writer_of(pipeline, server).ask("xylophone?").kind == "withheld"
    assert len(server.requests) == 1, "nothing is sent where there is no evidence"


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ({"status": 401, "body": b'{"error": {"message": "no such key"}}'}, ["401", "no such key", "API_KEY"]),
        ({"status": 404, "body": b"<html>nothing here</html>"}, ["404", "nothing here", "--writer-model"]),
        ({"status": 400, "body": b'{"error": "context is too long"}'}, ["400", "too long", "writer.tokens"]),
        ({"status": 500}, ["500", "log of that server"]),
        ({"status": 307}, ["leads to"]),
        ({"body": b"hello"}, ["no chat completion", "hello", "/v1"]),
        ({"body": b'{"choices": [{"text": "an old protocol"}]}'}, ["no chat completion"]),
        ({"body": b'{"error": {"message": "model is loading"}}'}, ["model is loading"]),
        ({"text": "  "}, ["wrote nothing"]),
        ({"text": "<think>How old is it? It may", "finish": "length"}, ["no answer within", "max_answer_tokens"]),
        ({"text": "<think>How old is it? It may", "finish": "length", "stream": False}, ["no answer within"]),
        ({"events": 6}, ["broke off in the middle"]),
        ({"length": 10**6, "events": 6}, ["broke off in the middle"]),
        ({"length": 10**6, "stream": False}, ["broke off in the middle"]),
        ({"wait": 3.0}, ["did not answer in 0.2 s", "timeout_seconds"]),
        ({"wait": 0.0, "pings": 50, "between": 0.05}, ["did not answer in 0.2 s", "timeout_seconds"]),
    ],
)
def test_failures_are_named(pipeline: Pipeline, replies: dict[str, object], words: list[str]) -> None:
    with chat_server(**replies) as server, pytest.raises(WriterError) as failed:
        writer_of(pipeline, server, timeout_seconds=0.2 if "wait" in replies else 20).ask(QUESTION)
    for word in words:
        assert word in str(failed.value)


def test_nobody_listens(pipeline: Pipeline) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = ChatServer(url=f"http://user:word@127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(WriterError, match="cannot be reached") as failed:
            writer_of(pipeline, server).ask(QUESTION)
    assert "word@" not in str(failed.value)
    for url, model, words in (
        ("ftp://a/v1", "m", "is no address"),
        ("localhost:8080", "m", "is no address"),
        ("http://localhost/v1", "", "no model"),
    ):
        with pytest.raises(ConfigError, match=words):
            writer_of(pipeline, ChatServer(url=url), model=model)


@pytest.mark.slow
def test_on_the_command_line(
    small_index: Path, small_config: PipelineConfig, server: ChatServer, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump(small_config.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
    ragyena = Ragyena(tmp_path)
    server.text = "The iron bridge was built in 1932 [1]. Its engineer was Tom Marsh [1]."
    common = ("--index", small_index, "--pipeline", recipe)
    flags = (*common, "--writer", server.url, "--writer-model", "small")
    environment = {"RAGYENA_WRITER__API_KEY": "secret"}
    shown = ragyena("ask", QUESTION, *flags, environment=environment).succeeds()
    assert shown.err.startswith("writer: ") and f"{server.url}/chat/completions (model small)" in shown.err
    assert "The iron bridge was built in 1932. [1]" in shown.out
    assert "not supported" in shown.out and "1 of 2 sentences supported" in shown.out
    assert server.headers[0]["authorization"] == "Bearer secret"
    printed = AnswerJson.model_validate(ragyena("ask", QUESTION, *flags, "--json").succeeds().json)
    assert printed.kind == "written" and [each.supported for each in printed.sentences] == [True, False]
    settings = {"RAGYENA_WRITER__URL": server.url, "RAGYENA_WRITER__MODEL": "small", **environment}
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": QUESTION}) + "\n", encoding="utf-8")
    (row,) = ragyena("ask", "--questions", questions, *common, environment=settings).succeeds().rows
    assert row["kind"] == "written"
    asked = len(server.requests)
    assert (
        ragyena("ask", QUESTION, *common, "--writer", "off", "--json", environment=settings).json["kind"] != "written"
    )
    assert len(server.requests) == asked == 3
    hidden = ragyena("config", "show", environment=settings).succeeds()
    assert "secret" not in hidden.out and server.url in hidden.out
    server.status, server.body = 401, b"{}"
    ragyena("ask", QUESTION, *flags).fails(10, "refused with 401")
