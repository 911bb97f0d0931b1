"""An index that is open while other processes write it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import Ragyena

from ragyena import Document, Index, Pipeline
from ragyena.config import IndexConfig, PipelineConfig
from ragyena.errors import IndexMismatchError, PathNotFoundError, UsageError

WRITER = """
import sys
from pathlib import Path
from ragyena.index.index import Index
folder, how = Path(sys.argv[1]), sys.argv[2]
if how == "add":
    with Index.open(folder) as index:
        index.add({"ferry": "The ferry to Kelso sails at dawn."})
else:
    Index.rebuild(folder, settings={"index.passage_tokens": 32})
"""


def write(folder: Path, how: str) -> None:
    script = folder.parent / "writer.py"
    script.write_text(WRITER)
    Ragyena(folder.parent).script(script, folder, how).succeeds()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Index.create(tmp_path / "index") as index:
        index.add({"iron": "The iron bridge was built in 1932.", "tea": "Brew tea at 70 degrees."})
    return tmp_path / "index"


def found(index: Index, query: str) -> list[str]:
    """Sources by meaning alone: a lexical search reads the store, which is never out of date."""
    return [match.passage.source for match in index.search(query, k=1, settings={"retriever.mode": "dense"})]


def test_refresh_finds_what_another_process_has_added(folder: Path) -> None:
    with Index.open(folder) as index:
        assert not index.refresh()
        write(folder, "add")
        assert index.refresh()
        assert found(index, "When does the ship leave?") == ["ferry"]
        assert not index.refresh()


def test_refresh_opens_an_index_that_was_built_again(folder: Path) -> None:
    with Index.open(folder) as index:
        write(folder, "rebuild")
        assert found(index, "hot drinks") == ["tea"], "what was opened stays whole"
        assert index.refresh()
        assert index.manifest.config.passage_tokens == 32
        assert found(index, "hot drinks") == ["tea"]
        assert index.find("tea").text == "Brew tea at 70 degrees."


def test_an_index_that_has_gone_stays_open(folder: Path) -> None:
    with Index.open(folder) as index:
        shutil.rmtree(folder)
        assert not index.refresh()
        assert found(index, "hot drinks") == ["tea"]


def test_a_pipeline_refuses_an_index_of_another_tokenizer(folder: Path, small_config: PipelineConfig) -> None:
    with Pipeline.open(folder, settings=small_config) as pipeline:
        assert not pipeline.refresh()
        manifest = folder / "manifest.json"
        text = manifest.read_text(encoding="utf-8")
        other = folder / "manifest.json.unfinished"
        other.write_text(text.replace(pipeline.reader.tokenizer.fingerprint, "0" * 64), encoding="utf-8")
        other.replace(manifest)
        with pytest.raises(IndexMismatchError, match="another tokenizer"):
            pipeline.refresh()


def test_a_document_is_found_by_its_names(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "tea.md").write_text("Brew tea at 70 degrees.", encoding="utf-8")
    (notes / "towns.csv").write_text("name,text\nKelso,A town.\nAshby,Another town.\n", encoding="utf-8")
    with Index.create(tmp_path / "index", settings=PipelineConfig(index=IndexConfig(csv_rows="documents"))) as index:
        index.add([notes, Document("lamp", "The lamp burns.")])
        for name in (str(notes / "tea.md"), "tea.md", "notes/tea.md"):
            assert index.find(name).text == "Brew tea at 70 degrees."
        assert index.find("lamp").text == "The lamp burns."
        assert index.find(f"{notes / 'towns.csv'}#2").title == "Ashby"
        with pytest.raises(UsageError, match=r"names 2 documents") as several:
            index.find("towns.csv")
        assert "towns.csv#1" in several.value.hint
        for missing in ("coffee.md", "", "towns.csv#7"):
            with pytest.raises(PathNotFoundError):
                index.find(missing)
