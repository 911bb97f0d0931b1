"""Pipelines on stores that are not ours: LangChain's own in memory, PostgreSQL with pgvector, Qdrant in a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import postgres
import pytest
from command_line import Ragyena
from langchain_core.documents import Document as LangChainDocument

from ragyena import Index, Pipeline
from ragyena.config import LangChainStoreConfig
from ragyena.errors import (
    ConfigError,
    MissingDependencyError,
    PathNotFoundError,
    StoreError,
    UsageError,
)
from ragyena.index.export import export, remove
from ragyena.index.external import ExternalStore
from ragyena.reader.reader import Reader
from ragyena.settings import load_settings, resolve

EMBEDDINGS = {"class": "ragyena.integrations.langchain_store.RagyenaEmbeddings"}
BRIDGES = """# The bridges of Oldtown

## The iron bridge

The iron bridge was built in 1932 by the engineer Ada Stone. It has three arches.

## The wooden bridge

The wooden bridge burned down in 1911.
"""
ROWS = [
    {"text": "The lamp of the light house at Cape Farewell flashes every ten seconds.", "town": "Farewell"},
    {"text": "The lamp of the light house at Dunmore flashes every four seconds.", "town": "Dunmore"},
]

Recipe = dict[str, Any]


def equal_fields(filters: Mapping[str, Any]) -> Callable[[LangChainDocument], bool]:
    """Filters in the form of LangChain's store in memory."""
    return lambda document: all(document.metadata.get(key) == value for key, value in filters.items())


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.open(resolve(None).reader)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents of several kinds."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "bridges.md").write_text(BRIDGES, encoding="utf-8")
    (folder / "lamps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return folder


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "index", settings={"index.passage_tokens": 32}) as index:
        index.add(folder)
        yield index


MEMORY: Recipe = {
    "class": "langchain_core.vectorstores.InMemoryVectorStore",
    "arguments": {"embedding": EMBEDDINGS},
    "search": "similarity_search_with_score",
    "filter": f"{__name__}.equal_fields",
}


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a PostgreSQL server with pgvector."""
    if url := os.environ.get(postgres.URL):
        yield url
        return
    bin = postgres.programs()
    if bin is None:
        assert not os.environ.get("CI"), postgres.MISSING
        pytest.skip(postgres.MISSING)
    with postgres.server(bin) as url:
        yield url


@pytest.fixture(params=["memory", pytest.param("pgvector", marks=pytest.mark.slow), "qdrant"])
def recipe(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The ``retriever.langchain`` of a recipe, for each of the stores."""
    if request.param == "pgvector":
        pytest.importorskip("langchain_postgres")
        monkeypatch.setenv(postgres.URL, request.getfixturevalue("database"))
        return pgvector(tmp_path.name)
    if request.param == "qdrant":
        pytest.importorskip("langchain_qdrant")
        return qdrant(tmp_path / "qdrant")
    monkeypatch.setattr("ragyena.index.external._imported", importing(equal_fields))
    return MEMORY


def pgvector(collection: str) -> Recipe:
    return {
        "class": "langchain_postgres.PGVector",
        "arguments": {"embeddings": EMBEDDINGS, "connection": "${PGVECTOR_URL}", "collection_name": collection},
    }


def qdrant(path: Path) -> Recipe:
    return {
        "class": "langchain_qdrant.QdrantVectorStore.construct_instance",
        "arguments": {"embedding": EMBEDDINGS, "client_options": {"path": str(path)}, "collection_name": "notes"},
        "filter": "ragyena.integrations.qdrant.metadata_filter",
    }


def importing(function: Callable[..., Any]) -> Callable[[str], Any]:
    """The import of what a recipe names, of this file's functions too: pytest gives it a name that is no module's."""
    from ragyena.index.external import _imported

    return lambda path: function if path.endswith(f".{function.__name__}") else _imported(path)


def opened(recipe: Recipe) -> ExternalStore:
    return ExternalStore(LangChainStoreConfig.model_validate(recipe), passage_tokens=200, rrf_k=60)


def pipeline(store: ExternalStore, reader: Reader) -> Pipeline:
    return Pipeline(store, reader, resolve({"packer.context_tokens": 2048}))


def test_answers_cite_the_file_byte_for_byte(recipe: Recipe, index: Index, folder: Path, reader: Reader) -> None:
    with closing(opened(recipe)) as store:
        report = export(index, store)
        assert (report.passages, report.written, report.removed) == (index.status().counts.passages,) * 2 + (0,)
        assert report.reused_vectors
        answer = pipeline(store, reader).ask("When was the iron bridge built?")
        assert answer.text == "1932"
        citation = answer.citations[0]
        text = (folder / "bridges.md").read_text(encoding="utf-8")
        assert citation.source == str(folder / "bridges.md")
        assert text[citation.start : citation.end] == citation.quote
        assert citation.quote == "The iron bridge was built in 1932 by the engineer Ada Stone."
        assert citation.line_start == 5
        with Pipeline(index, reader, resolve({"packer.context_tokens": 2048}, index.settings)) as own:
            ours = own.ask("When was the iron bridge built?").citations[0]
        theirs = (citation.start, citation.end, citation.quote, citation.title, citation.heading_path, citation.page)
        assert theirs == (ours.start, ours.end, ours.quote, ours.title, ours.heading_path, ours.page)
        assert citation.heading_path


def test_filters_keep_to_their_documents(recipe: Recipe, index: Index, reader: Reader) -> None:
    with closing(opened(recipe)) as store:
        export(index, store)
        asking = pipeline(store, reader)
        found = asking.search("How often does the lamp flash?", k=5, filters={"town": "Dunmore"})
        assert [match.passage.metadata["town"] for match in found] == ["Dunmore"]
        answer = asking.ask("How often does the lamp flash?", filters={"town": "Dunmore"})
        assert "four seconds" in answer.text
        evidence = asking.select("How often does the lamp flash?", tokens=40, filters={"town": "Farewell"})
        assert [piece.text for piece in evidence.pieces] == [ROWS[0]["text"]]
        assert asking.search("lamp", filters={"town": "Nowhere"}) == []


def test_exports_follow_changes_and_deletions(recipe: Recipe, index: Index, folder: Path, reader: Reader) -> None:
    def held(store: ExternalStore) -> set[str]:
        return {document.page_content for document, _ in store.documents("bridge", k=100)}

    with closing(opened(recipe)) as store:
        first = export(index, store)
        again = export(index, store)
        assert (again.written, again.removed) == (0, 0)
        assert len(held(store)) == first.passages
        (folder / "bridges.md").write_text(BRIDGES.replace("1932", "1887"), encoding="utf-8")
        index.add(folder)
        changed = export(index, store)
        assert changed.written == changed.removed >= 1
        assert held(store) == {passage.text for passage in index.passages(range(1, 100))}
        assert pipeline(store, reader).ask("When was the iron bridge built?").text == "1887"
        assert remove(store, str(folder / "bridges.md")) == first.passages - len(ROWS)
        assert held(store) == {row["text"] for row in ROWS}
        with pytest.raises(PathNotFoundError, match=r"holds nothing of .*bridges\.md"):
            remove(store, str(folder / "bridges.md"))


def test_texts_of_others_are_cut_and_cited_as_they_are(recipe: Recipe, reader: Reader) -> None:
    long = "\n\n".join(f"Paragraph {n} is about the harbour, its ships and its weather." for n in range(60))
    long += "\n\nThe harbour master of Kelso is Ellen Moor.\n"
    with closing(opened(recipe)) as store:
        ids = ["6a1e1b1c-0000-4000-8000-00000000000a", "6a1e1b1c-0000-4000-8000-00000000000b"]
        store.store.add_texts([long, "Tea is brewed hot."], [{"source": "harbour", "year": 1990}, {}], ids=ids)
        asking = pipeline(store, reader)
        answer = asking.ask("Who is the harbour master of Kelso?")
        assert answer.text == "Ellen Moor"
        citation = answer.citations[0]
        assert long[citation.start : citation.end] == citation.quote == "The harbour master of Kelso is Ellen Moor."
        assert citation.line_start == long[: citation.start].count("\n") + 1
        found = asking.search("harbour", k=100)
        assert all(long[m.passage.start : m.passage.end] == m.passage.text for m in found if m.passage.start)
        assert {match.passage.source for match in found} == {"harbour", ids[1]}
        scores = [match.score for match in found]
        assert scores == sorted(set(scores), reverse=True)


def test_tables_of_others_are_read_as_those_of_files_and_quoted_as_they_are(recipe: Recipe, reader: Reader) -> None:
    table = (
        "Prices.\n\n| Item | Price |\n| --- | --- |\n| Bolt M8 | 12 EUR |\n| Nut M8 | 8 EUR |\n\nClosed on Sundays.\n"
    )
    with closing(opened(recipe)) as store:
        # Others than those of the tests above: to PGVector an id is one row, whatever collection it is in.
        ids = ["7b2e1b1c-0000-4000-8000-00000000000a", "7b2e1b1c-0000-4000-8000-00000000000b"]
        store.store.add_texts([table, "Tea is hot."], [{"source": "shop", "start": 100, "line_start": 11}, {}], ids=ids)
        asking = pipeline(store, reader)
        answer = asking.ask("What is the price of a Nut M8?")
        (citation,) = answer.citations
        assert (answer.text, citation.quote) == ("8 EUR", "| Nut M8 | 8 EUR |")
        assert citation.quote[citation.answer_start : citation.answer_end] == "8 EUR"
        assert table[citation.start - 100 : citation.end - 100] == citation.quote
        assert (citation.line_start, citation.row, citation.column) == (16, "Item: Nut M8", "Price")
        pieces = [piece.passage for piece in asking.select("price of a nut").pieces]
        found = [match.passage for match in asking.search("price of a nut")]
        shown = [scored.passage for scored in answer.passages]
        for passages in (pieces, found, shown):
            (of_shop,) = (passage for passage in passages if passage.source == "shop")
            assert of_shop.text == table[of_shop.start - 100 : of_shop.end - 100]
            assert of_shop.kind == "table" and "| Nut M8 | 8 EUR |" in of_shop.text


@pytest.mark.slow
def test_the_commands_work_on_a_database(index: Index, folder: Path, tmp_path: Path, database: str) -> None:
    pytest.importorskip("langchain_postgres")
    recipe = tmp_path / "database.yaml"
    recipe.write_text(json.dumps({"retriever": {"langchain": pgvector("commands")}}), encoding="utf-8")
    environment = {"PGVECTOR_URL": database}
    held = index.status().counts.passages
    source = str(folder / "bridges.md")
    ragyena = Ragyena(tmp_path)
    written = ragyena("index", "export-to", recipe, "--index", index.folder, environment=environment).succeeds()
    assert f"{held} passages written with the index's vectors, 0 unchanged, 0 deleted" in " ".join(written.out.split())
    answer = ragyena("ask", "When was the iron bridge built?", "-p", recipe, "--json", environment=environment)
    assert answer.succeeds().json["answer"] == "1932"
    deleted = ragyena("index", "export-to", recipe, "--remove", source, environment=environment).succeeds()
    assert f"deleted {held - len(ROWS)} passages" in deleted.out
    for output in (written, answer, deleted):
        assert database.split(":")[2].partition("@")[0] not in output.out + output.err
    nowhere = {"PGVECTOR_URL": "postgresql+psycopg://a:b@127.0.0.1:1/c"}
    ragyena("ask", "When?", "-p", recipe, environment=nowhere).fails(12, "PGVector")


# --- what is refused -----------------------------------------------------------------------------------------------


def test_a_store_that_does_not_run_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_postgres")
    monkeypatch.setenv("PGVECTOR_URL", "postgresql+psycopg://tester:very-secret@127.0.0.1:1/postgres")
    with pytest.raises(StoreError, match=r"langchain_postgres\.PGVector cannot be opened") as failed:
        opened(pgvector("any"))
    assert "very-secret" not in str(failed.value)
    monkeypatch.setenv("PGVECTOR_URL", "postgresql+psycopg://tester:very-secret@127.0.0.1:none/postgres")
    with pytest.raises(StoreError) as failed:
        opened(pgvector("any"))
    assert "very-secret" not in str(failed.value)
    monkeypatch.delenv("PGVECTOR_URL")
    with pytest.raises(ConfigError, match="needs the environment variable PGVECTOR_URL"):
        opened(pgvector("any"))


def test_a_password_in_a_recipe_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    values = pgvector("any")
    values["arguments"]["connection"] = "postgresql+psycopg://tester:very-secret@db/postgres"
    recipe.write_text(json.dumps({"retriever": {"langchain": values}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="a password stands in it") as failed:
        load_settings(pipeline=str(recipe), folder=tmp_path)
    assert "very-secret" not in str(failed.value)


def test_a_class_is_imported_for_a_recipe_that_the_user_names_alone(tmp_path: Path) -> None:
    values = {"retriever": {"langchain": {"class": "os.system", "arguments": {"command": "true"}}}}
    recipe = tmp_path / "evil.yaml"
    recipe.write_text(json.dumps(values), encoding="utf-8")
    named = load_settings(pipeline=str(recipe), folder=tmp_path / "other").config.retriever.langchain
    assert named is not None and named.class_ == "os.system"  # nothing is imported before a store is opened
    project = tmp_path / "ragyena.yaml"
    for content in (json.dumps(values), f"pipeline: {recipe}"):
        project.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match="names a class to import") as failed:
            load_settings(folder=tmp_path)
        assert "--pipeline" in failed.value.hint


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"class": "no_such_package.Store"}, MissingDependencyError, "not installed"),
        ({"class": "ragyena.pipeline.NoSuchClass"}, ConfigError, "has no NoSuchClass"),
        ({"class": "collections.OrderedDict"}, ConfigError, "no vector store of LangChain's"),
        ({"class": "decimal.Decimal", "arguments": {"value": "x"}}, StoreError, "cannot be opened"),
    ],
)
def test_what_is_no_store_is_named(values: Recipe, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        opened(values)


def test_a_pipeline_on_a_store_has_no_index(reader: Reader, tmp_path: Path) -> None:
    settings = {"retriever.langchain": {**MEMORY, "filter": ""}}
    with pytest.raises(UsageError, match="an index was named as well"):
        Pipeline.open(tmp_path, settings=settings)
    with pytest.raises(ConfigError, match=r"packer\.neighbours"):
        Pipeline.open(settings={**settings, "packer.neighbours": 1})
    with Pipeline.open(settings=settings) as empty:
        assert empty.ask("When was it built?").kind == "withheld"
        with pytest.raises(ConfigError, match="there is no index to look into"):
            _ = empty.index
        with pytest.raises(ConfigError, match=r"'retriever\.langchain' cannot change"):
            empty.ask("When was it built?", settings={"retriever.langchain": None})
