"""``ragyena mcp`` as the official client sees it: real processes, over stdio and over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
import yaml
from chat_server import chat_server
from command_line import Ragyena
from jsonschema import validate

from ragyena import Index
from ragyena.config import PipelineConfig
from ragyena.schemas import AnswerJson

mcp = pytest.importorskip("mcp")

START_SECONDS = 1.0
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a test", "version": "1"},
    },
}


@pytest.fixture
def ragyena(tmp_path: Path) -> Ragyena:
    return Ragyena(tmp_path)


@pytest.fixture
def recipe(tmp_path: Path, small_config: PipelineConfig) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_config.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
    return path


def over_stdio(ragyena: Ragyena, *arguments: str | Path) -> mcp.Client:
    command, *rest = ragyena.command("mcp", *arguments)
    return mcp.Client(
        mcp.StdioServerParameters(command=command, args=rest, env=ragyena.environment(), cwd=ragyena.home)
    )


@contextmanager
def over_http(ragyena: Ragyena, *arguments: str | Path) -> Iterator[str]:
    """The URL of a server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ragyena.command("mcp", "--http", "--port", str(port), *arguments)
    with subprocess.Popen(command, env=ragyena.environment(), cwd=ragyena.home, stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr is not None
            url = server.stderr.readline().decode().strip()
            assert url == f"http://127.0.0.1:{port}/mcp"
            deadline = time.monotonic() + 60
            while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
                time.sleep(0.05)
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)
    assert server.returncode in (0, 130)


async def test_a_client_asks_searches_and_reads(ragyena: Ragyena, small_index: Path, recipe: Path) -> None:
    async with over_stdio(ragyena, "--index", small_index, "--pipeline", recipe) as client:
        assert client.server_info.name == "ragyena" and client.instructions
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"ask", "select", "search", "read_document", "list_documents"}
        for tool in tools.values():
            assert tool.description and tool.output_schema and tool.annotations and tool.annotations.read_only_hint

        asked = await client.call_tool("ask", {"question": "When was the iron bridge built?"})
        assert not asked.is_error
        validate(asked.structured_content, tools["ask"].output_schema)
        answer = AnswerJson.model_validate(asked.structured_content)
        assert answer.kind != "written", "there is no writer"
        cited = answer.citations[0]
        assert f'"{cited.quote}"' in asked.content[0].text

        read = await client.call_tool(
            "read_document",
            {"document": cited.document, "first_line": cited.line_start, "last_line": cited.line_end},
        )
        validate(read.structured_content, tools["read_document"].output_schema)
        offset = cited.start - read.structured_content["start"]
        assert read.structured_content["text"][offset:].startswith(cited.quote)

        chosen = await client.call_tool("select", {"question": "When was the iron bridge built?", "tokens": 64})
        validate(chosen.structured_content, tools["select"].output_schema)
        assert chosen.structured_content["tokens"] <= 64 and chosen.structured_content["evidence"]
        assert chosen.structured_content["evidence"][0]["text"] in chosen.content[0].text
        found = await client.call_tool("search", {"query": "keeper of the lamp", "limit": 1})
        validate(found.structured_content, tools["search"].output_schema)
        assert found.structured_content["matches"][0]["document"].endswith("lamp.txt")
        listed = await client.call_tool("list_documents", {"containing": "tea"})
        validate(listed.structured_content, tools["list_documents"].output_schema)
        assert listed.structured_content["total"] == 1


async def test_a_writer_answers_where_one_is_set(ragyena: Ragyena, small_index: Path, recipe: Path) -> None:
    with chat_server(text="The iron bridge was built in 1932 [1]. Its engineer was Tom Miller [1].") as writer:
        flags = ("--writer", writer.url, "--writer-model", "small-writer")
        async with over_stdio(ragyena, "--index", small_index, "--pipeline", recipe, *flags) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert tools["ask"].annotations.open_world_hint, "it leaves the machine, and says so"
            assert not tools["search"].annotations.open_world_hint
            asked = await client.call_tool("ask", {"question": "When was the iron bridge built?"})
            assert not asked.is_error, asked.content
            validate(asked.structured_content, tools["ask"].output_schema)
            answer = AnswerJson.model_validate(asked.structured_content)
            assert answer.kind == "written" and [each.supported for each in answer.sentences] == [True, False]
            words = asked.content[0].text
            assert "Tom Miller. [1] (NOT SUPPORTED by the evidence: " in words
            assert "1 of 2 sentences supported" in words and f'"{answer.citations[0].quote}"' in words
            assert writer.requests[0]["model"] == "small-writer"

            writer.wait = 5.0  # other tools go on meanwhile
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "ask", {"question": "When was the iron bridge built?"})
                while len(writer.requests) < 2:
                    await anyio.sleep(0.02)
                began = time.monotonic()
                await client.call_tool("search", {"query": "tea"})
                assert time.monotonic() - began < 4.0
            writer.wait, writer.status = 0.0, 500
            failed = await client.call_tool("ask", {"question": "When was the iron bridge built?"})
            assert failed.is_error and "refused with 500" in failed.content[0].text


async def test_errors_are_those_of_the_tool_and_say_what_to_do(ragyena: Ragyena, tmp_path: Path, recipe: Path) -> None:
    async with over_stdio(ragyena, "--index", tmp_path / "none", "--pipeline", recipe) as client:
        for name, arguments, words in [
            ("ask", {"question": "When?"}, ["no index at", "ragyena index add"]),
            ("ask", {"question": "?"}, ["the question is empty", "Hint: "]),
            ("ask", {}, ["question", "Field required"]),
            ("search", {"query": "tea", "limit": 1000}, ["less than or equal to 50"]),
            ("search", {"query": "tea", "k": 3}, ["no argument 'k'", "query, limit"]),
            ("add_documents", {"paths": ["/etc"]}, ["Unknown tool"]),
        ]:
            failed = await client.call_tool(name, arguments)
            assert failed.is_error, name
            for word in words:
                assert word in failed.content[0].text
            assert "Traceback" not in failed.content[0].text


async def test_files_are_added_with_progress(ragyena: Ragyena, tmp_path: Path, recipe: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(40):
        (notes / f"{number}.txt").write_text(f"Bridge {number} was built in {1900 + number}.", encoding="utf-8")
    reported: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        reported.append((done, total, message))

    index = tmp_path / "index"
    async with over_stdio(ragyena, "--index", index, "--allow-add", notes, "--pipeline", recipe) as client:
        added = await client.call_tool("add_documents", {"paths": [str(notes)]}, progress_callback=progress)
        assert not added.is_error, added.content
        assert added.structured_content["added"] == 40
        refused = await client.call_tool("add_documents", {"paths": [str(tmp_path)]})
        assert refused.is_error and "may not be added" in refused.content[0].text
        found = await client.call_tool("search", {"query": "Bridge 17", "limit": 1})
        assert "1917" in found.content[0].text
    amounts = [done for done, _, _ in reported]
    assert amounts and amounts == sorted(set(amounts)), "progress increases"
    assert all(total is None or done <= total for done, total, _ in reported)
    assert any(message and message.startswith("embedding: ") for _, _, message in reported)


@pytest.mark.slow
async def test_questions_are_answered_while_another_process_builds_the_index_again(
    ragyena: Ragyena, tmp_path: Path, recipe: Path, small_config: PipelineConfig
) -> None:
    folder, notes = tmp_path / "index", tmp_path / "notes"
    notes.mkdir()
    for number in range(60):
        (notes / f"{number}.txt").write_text(f"Bridge {number} was built in {1900 + number}.", encoding="utf-8")
    with Index.create(folder, settings=small_config) as index:
        index.add({"tea": "Green tea is brewed at seventy degrees."})
    async with over_stdio(ragyena, "--index", folder, "--pipeline", recipe) as client:
        asked = {"question": "How hot is green tea brewed?"}
        assert not (await client.call_tool("ask", asked)).is_error
        rebuild = ragyena.command("index", "add", notes, "--rebuild", "--index", folder, "--pipeline", recipe)
        with subprocess.Popen(
            rebuild, env=ragyena.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            answered = 0
            while process.poll() is None:
                meanwhile = await client.call_tool("ask", asked)
                assert not meanwhile.is_error, meanwhile.content
                answered += 1
        assert process.returncode == 0 and answered
        after = await client.call_tool("search", {"query": "Bridge 17", "limit": 1})
        assert "1917" in after.content[0].text, "the new index is the one that answers"


@pytest.mark.slow
async def test_http_serves_this_machine_and_no_foreign_page(ragyena: Ragyena, small_index: Path, recipe: Path) -> None:
    with over_http(ragyena, "--index", small_index, "--pipeline", recipe) as url:
        async with mcp.Client(url) as client:
            asked = await client.call_tool("ask", {"question": "When was the iron bridge built?"})
            assert asked.structured_content["citations"]
        headers = {"Accept": "application/json, text/event-stream"}
        assert httpx.post(url, json=INITIALIZE, headers=headers).status_code == 200
        for foreign, status in (({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)):
            assert httpx.post(url, json=INITIALIZE, headers={**headers, **foreign}).status_code == status
        port = httpx.URL(url).port
        taken = ragyena("mcp", "--http", "--port", str(port), "--index", small_index, "--pipeline", recipe)
        taken.fails(2, f"port {port}")


def test_the_first_reply_comes_in_a_second_and_stdout_carries_the_protocol_alone(
    ragyena: Ragyena, small_index: Path, recipe: Path
) -> None:
    command = ragyena.command("mcp", "--index", small_index, "--pipeline", recipe)
    messages = [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "list_documents", "arguments": {}}},
    ]
    with subprocess.Popen(
        command, env=ragyena.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdin is not None and server.stdout is not None and server.stderr is not None
        server.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        server.stdin.flush()
        replies = [json.loads(server.stdout.readline())]
        spent = seconds_of_processor(server.pid)
        for message in messages:
            server.stdin.write(json.dumps(message).encode() + b"\n")
        server.stdin.flush()
        replies += [json.loads(server.stdout.readline()) for _ in messages[1:]]
        server.stdin.close()
        assert server.wait(timeout=60) == 0, "it ends with its client"
        assert server.stdout.read() == b""
    assert [reply["id"] for reply in replies] == [1, 2, 3]
    assert all(reply["jsonrpc"] == "2.0" and "result" in reply for reply in replies)
    if spent is not None:  # of the processor, which a busy machine does not change much
        assert spent < 2 * START_SECONDS


def seconds_of_processor(process: int) -> float | None:
    if not sys.platform.startswith("linux"):
        return None
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_what_cannot_be_allowed_is_named(ragyena: Ragyena, tmp_path: Path) -> None:
    ragyena("mcp", "--allow-add", tmp_path / "nowhere").fails(3, "--allow-add", "does not exist")


def test_without_the_package_it_says_how_to_get_it(ragyena: Ragyena, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "mcp"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ModuleNotFoundError('no mcp', name='mcp')", encoding="utf-8")
    path = os.pathsep.join([str(missing.parent), os.environ.get("PYTHONPATH", "")])
    failed = ragyena("mcp", environment={"PYTHONPATH": path}).fails(8, "'mcp' is not installed")
    assert "pip install 'ragyena[mcp]'" in failed.err
