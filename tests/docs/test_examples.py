"""The examples of the documentation run as they stand."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import Ragyena, write_pdf
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
if not EXAMPLES.is_dir():
    pytest.skip("runs in a checkout", allow_module_level=True)


def run(script: Path, *arguments: str | Path, cwd: Path) -> str:
    return Ragyena(cwd).script(script, *arguments).succeeds().out


def test_a_folder_of_pdfs_becomes_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    write_pdf(folder / "dam.pdf", "This page is about nothing.", "The dam was built in 1932 by Ada Stone.")
    (tmp_path / "questions.txt").write_text("When was the dam built?\n\nWho built the dam?\n")
    for _ in range(2):
        run(EXAMPLES / "folder_of_pdfs.py", folder, "questions.txt", "out.csv", cwd=tmp_path)
        with (tmp_path / "out.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["file"] for row in rows] == ["dam.pdf", "dam.pdf"]
        assert [row["page"] for row in rows] == ["2", "2"]
        assert "1932" in rows[0]["answer"]
        assert "Ada Stone" in rows[1]["answer"]


@pytest.mark.slow
def test_a_folder_is_indexed_and_asked_on_a_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ragyena[cluster]'")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "iron.txt").write_text("The iron bridge was built in 1932 by Ada Stone.", encoding="utf-8")
    (tmp_path / "docs" / "wood.txt").write_text("The wooden bridge burned down in 1911.", encoding="utf-8")
    said = run(EXAMPLES / "cluster.py", "docs", "index", "When was the iron bridge built?", cwd=tmp_path)
    assert "2 passages in 2 shards" in said
    assert "1932" in said
    assert "iron.txt" in said


def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join(cells) + "\nassert '1932' in answer.text\n", encoding="utf-8")
    run(script, cwd=tmp_path)


class ScriptedModel(BaseChatModel):
    """Asks the tool once, then answers with what it said."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> ScriptedModel:  # type: ignore[override]
        assert [tool.name for tool in tools] == ["ask_documents"]
        return self

    def _generate(self, messages: list[BaseMessage], *arguments: Any, **options: Any) -> ChatResult:
        if messages[-1].type == "tool":
            reply = AIMessage(f"It says: {messages[-1].content}")
        else:
            call = {"name": "ask_documents", "args": {"question": "When was the iron bridge built?"}, "id": "1"}
            reply = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=reply)])


def test_the_agent_asks_the_index(small_index: Path) -> None:
    spec = importlib.util.spec_from_file_location("langchain_agent", EXAMPLES / "langchain_agent.py")
    assert spec is not None and spec.loader is not None
    agent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(agent)
    said = agent.run(ScriptedModel(), small_index, "How old is the iron bridge?")
    assert said.startswith("It says: ")
    assert "1932" in said
    assert "bridge.md" in said


def test_the_unit_and_the_container_start_what_there_is() -> None:
    unit = (EXAMPLES / "ragyena.service").read_text()
    container = (EXAMPLES / "Dockerfile").read_text()
    assert "ragyena serve --index" in unit
    assert json.loads(container.partition("\nCMD ")[2])[:2] == ["ragyena", "serve"]


def test_a_model_of_long_convolutions_learns(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("A bridge was built, and then another one was built. " * 40, encoding="utf-8")
    said = run(EXAMPLES / "long_conv_model.py", text, "30", cwd=tmp_path)
    bits = [float(line.split()[2]) for line in said.splitlines()]
    assert len(bits) == 3
    assert bits[0] < 8 and bits[-1] < 0.6 * bits[0]
