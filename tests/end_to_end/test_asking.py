"""Asking through the real command: answers, citations, JSON, batches."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from command_line import Ragyena
from warm import warm

from ragyena.schemas import AnswerJson, ErrorJson, EvidenceJson

pytestmark = pytest.mark.xdist_group("end_to_end")
QUESTION = "When was the iron bridge built?"


def test_an_answer_is_cited_from_the_file_itself(ragyena: Ragyena, library: Path, documents: Path) -> None:
    values = ragyena("ask", QUESTION, "--index", library, "--threshold", "0", "--json").succeeds().json
    answer = AnswerJson.model_validate(values)
    assert answer.kind != "withheld"
    assert answer.citations
    for citation in answer.citations:
        text = Path(citation.document.partition("#")[0]).read_text(encoding="utf-8")
        assert citation.quote in text
        if citation.document.endswith(".md"):
            assert text[citation.start : citation.end] == citation.quote
            assert citation.line_start == text.count("\n", 0, citation.start) + 1
        if answer.kind == "extracted":
            assert citation.answer_start is not None and citation.answer_end is not None
            assert (
                citation.quote[citation.answer_start : citation.answer_end].casefold()
                == (answer.answer or "").casefold()
            )
    assert set(answer.timings) == {"retrieve", "pack", "read", "total"}
    assert any(passage.document.endswith("bridge.md") for passage in answer.passages)


def test_the_shipped_reader_knows_when_the_bridge_was_built(ragyena: Ragyena, library: Path) -> None:
    done = ragyena("ask", QUESTION, "--index", library).succeeds()
    assert done.out.splitlines()[0].strip() == "1932"
    assert "bridge.md" in done.out
    assert "**1932**" in done.out
    assert "\x1b" not in done.out


def test_the_question_may_come_from_stdin(ragyena: Ragyena, library: Path) -> None:
    values = ragyena("ask", "--index", library, "--json", stdin=f"{QUESTION}\n").succeeds().json
    assert values["question"] == QUESTION


def test_a_threshold_of_one_withholds_the_answer_and_shows_what_is_closest(ragyena: Ragyena, library: Path) -> None:
    done = ragyena("ask", QUESTION, "--index", library, "--threshold", "1").succeeds()
    assert done.out.startswith("Not certain enough to answer")
    assert "closest: 1932" in done.out and "bridge.md" in done.out
    values = ragyena("ask", QUESTION, "--index", library, "--threshold", "1", "--json").succeeds().json
    assert (values["kind"], values["answer"], values["citations"]) == ("withheld", None, [])
    assert values["closest"]["text"] == "1932" and "1932" in values["closest"]["citation"]["quote"]


def test_explain_accounts_for_the_budget(ragyena: Ragyena, library: Path) -> None:
    done = ragyena("ask", QUESTION, "--index", library, "--explain", "--context-tokens", "1024").succeeds()
    assert "budget 1,024 tokens" in done.out
    assert "packed" in done.out
    values = ragyena("ask", QUESTION, "--index", library, "--explain", "--json", "--top-k", "2").succeeds().json
    assert len(values["packing"]["entries"]) == 2
    assert values["packing"]["used_tokens"] <= values["packing"]["context_tokens"]


def test_a_filter_keeps_to_passages_with_the_metadata(ragyena: Ragyena, library: Path) -> None:
    arguments = ("--index", library, "--json", "--threshold", "0")
    values = ragyena("ask", "How is tea made?", "--filter", "kind=drink", *arguments).succeeds().json
    assert {Path(passage["document"]).name for passage in values["passages"]} == {"notes.jsonl#1"}


def test_a_batch_prints_one_object_a_line_and_names_the_bad_row(
    ragyena: Ragyena, library: Path, tmp_path: Path
) -> None:
    file = tmp_path / "questions.jsonl"
    rows = [
        json.dumps({"id": "a", "question": QUESTION}),
        "{not json",
        "",
        json.dumps({"question": "Who kept the lamp?"}),
    ]
    file.write_text("\n".join(rows), encoding="utf-8")
    done = ragyena("ask", "--questions", file, "--index", library).fails(3, "1 of 3 rows", "line 2")
    first, bad, last = done.rows
    assert AnswerJson.model_validate(first).id == "a"
    assert ErrorJson.model_validate(bad).line == 2
    assert AnswerJson.model_validate(last).id is None
    assert f"{file}:2:" in done.err


def test_a_text_file_has_a_question_a_line(ragyena: Ragyena, library: Path, tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_bytes(f"\ufeff{QUESTION}\r\n\n".encode() + b'{"id": 7, "question": "Who kept the lamp?"}\n')
    first, last = ragyena("ask", "--questions", file, "--index", library).succeeds().rows
    assert first["question"] == QUESTION and first["id"] is None
    assert last["question"] == "Who kept the lamp?" and last["id"] == 7
    file.write_bytes(b"Who kept the l\xe4mp?\n")
    assert "not UTF-8" in ragyena("ask", "--questions", file, "--index", library).fails(3, "line 1").err
    file.write_bytes("Who kept the lamp?\nWho built it?\n".encode("utf-16"))
    assert "not UTF-8" in ragyena("ask", "--questions", file, "--index", library).fails(3, "3 of 3 rows").err
    file.write_bytes(b"Who kept the l\xe4mp?\n")
    file.rename(tmp_path / "questions.jsonl")
    done = ragyena("ask", "--questions", tmp_path / "questions.jsonl", "--index", library).fails(3, "line 1")
    assert "were printed" not in done.err and '{"question": "..."' in done.err


def test_a_closed_pipe_is_quiet(ragyena: Ragyena, library: Path) -> None:
    command = " ".join(ragyena.command("index", "search", "bridge", "--index", library))
    line = f"{command} | head -c 1 >/dev/null"
    done = subprocess.run(["bash", "-c", line], env=ragyena.environment(), cwd=ragyena.home, capture_output=True)
    assert done.stderr == b""


def test_on_a_terminal_the_answer_is_coloured(ragyena: Ragyena, library: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {
        name: value for name, value in ragyena.environment(TERM="xterm-256color").items() if name != "NO_COLOR"
    }
    arguments = ["ask", QUESTION, "--index", str(library), "--threshold", "0", "--quiet"]
    with Path(os.devnull).open("r+b") as nothing:
        process = warm().start(
            arguments, cwd=ragyena.home, environment=environment,
            stdin=nothing.fileno(), stdout=theirs, stderr=nothing.fileno(),
        )  # fmt: skip
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the terminal closes with the process
            break
        if not part:
            break
        seen += part
    assert process.wait(timeout=60) == 0
    assert b"\x1b[1;32m" in seen
    assert b"**" not in seen


def test_in_python(ragyena: Ragyena, library: Path, tmp_path: Path) -> None:
    script = tmp_path / "asks.py"
    script.write_text(f"import ragyena\nprint(ragyena.open({str(library)!r}).ask({QUESTION!r}).kind)\n")
    assert ragyena.script(script).succeeds().out.strip() in {"extracted", "withheld"}


# --- evidence


def test_evidence_as_json_is_the_text_of_the_files(ragyena: Ragyena, library: Path) -> None:
    for budget in (("--passages", "2"), ("--tokens", "64")):
        values = ragyena("select", QUESTION, "--index", library, *budget, "--json").succeeds().json
        evidence = EvidenceJson.model_validate(values)
        best = evidence.evidence[0]
        text = Path(best.document).read_text(encoding="utf-8")
        assert best.document.endswith("bridge.md") and "1932" in best.text
        assert text[best.start : best.end] == best.text
        assert best.line_start == text.count("\n", 0, best.start) + 1
        assert best.title == "The bridges of Oldtown"
        assert evidence.tokens == sum(piece.tokens for piece in evidence.evidence)
    assert evidence.tokens <= 64
    ragyena("select", QUESTION, "--index", library, "--passages", "2", "--tokens", "9").fails(2, "both")


@pytest.mark.parametrize("command", [("ask", "{QUESTION}"), ("select", "{QUESTION}"), ("chat",)])
def test_a_cluster_searches_shards_alone(ragyena: Ragyena, library: Path, command: tuple[str, ...]) -> None:
    """Said before a cluster is looked for."""
    given = [part.format(QUESTION=QUESTION) for part in command]
    ragyena(*given, "--index", library, "--cluster", "local").fails(4, "no shards at", str(library))


def test_evidence_and_a_reranked_search_on_the_screen(ragyena: Ragyena, library: Path) -> None:
    done = ragyena("select", QUESTION, "--index", library, "--tokens", "32").succeeds()
    first, header, *text = done.out.splitlines()[:6]
    assert "bridge.md, line" in first and "tokens" in first
    assert header.strip() == "The bridges of Oldtown" and any("1932" in line for line in text)
    found = ragyena("index", "search", QUESTION, "--index", library, "--rerank", "reader", "-k", "1").succeeds()
    assert "bridge.md" in found.out
    values = ragyena("index", "search", QUESTION, "--index", library, "--rerank", "reader", "--json").succeeds().json
    assert values["rerank"] == "reader" and values["passages"][0]["text"].find("1932") >= 0
