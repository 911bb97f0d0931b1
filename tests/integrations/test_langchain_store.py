"""LangChain's vector store and embeddings: its standard suites, and what they leave out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests, VectorStoreIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from ragyena import Index
from ragyena.errors import ConfigError, UsageError
from ragyena.integrations.langchain import RagyenaRetriever
from ragyena.integrations.langchain_store import RagyenaEmbeddings, RagyenaVectorStore


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RagyenaVectorStore]:
    with RagyenaVectorStore(tmp_path_factory.mktemp("store") / "index") as store:
        yield store


@pytest.fixture
def store(opened: RagyenaVectorStore) -> Iterator[RagyenaVectorStore]:
    """An empty store."""
    yield opened
    opened.delete()


class TestVectorStore(VectorStoreIntegrationTests):
    """LangChain's 25 tests of a vector store, on a real index with the bundled embedder."""

    @pytest.fixture
    def vectorstore(self, store: RagyenaVectorStore) -> VectorStore:
        return store


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return RagyenaEmbeddings


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return RagyenaEmbeddings

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"RAGYENA_INDEX__EMBEDDER": "some-model"}, {}, {"model": "some-model"}


TOWNS = [
    Document("The iron bridge of Oldtown was built in 1932.", id="o", metadata={"town": "Oldtown", "year": 1932}),
    Document("The stone bridge of Kelso was built in 1801.", id="k", metadata={"town": "Kelso", "year": 1801}),
    Document("Green tea is brewed at seventy degrees.", id="t", metadata={"source": "tea.md", "hot": True}),
]


def test_filters_by_metadata(store: RagyenaVectorStore) -> None:
    store.add_documents(TOWNS)
    query = "When was the bridge built?"
    assert [d.id for d in store.similarity_search(query, filter={"town": "Kelso"})] == ["k"]
    assert [d.id for d in store.similarity_search(query, filter={"year": 1932})] == ["o"]
    assert [d.id for d in store.similarity_search(query, filter={"source": "tea.md", "hot": True})] == ["t"]
    assert {d.id for d in store.similarity_search(query, filter={"town": "*"})} == {"o", "k"}
    retriever = store.as_retriever(search_kwargs={"k": 1, "filter": {"town": "Kelso"}})
    assert retriever.invoke(query) == [TOWNS[1]]
    with pytest.raises(UsageError, match="year is compared with"):
        store.similarity_search(query, filter={"year": {"$gt": 1900}})
    with pytest.raises(TypeError):
        store.similarity_search(query, where={"town": "Kelso"})


def test_scores_vectors_and_diversity(store: RagyenaVectorStore) -> None:
    store.add_documents(TOWNS)
    scored = store.similarity_search_with_relevance_scores("How hot is tea brewed?", k=3)
    assert scored[0][0].id == "t" and all(0 <= score <= 1 for _, score in scored)
    assert [score for _, score in scored] == sorted((score for _, score in scored), reverse=True)
    vector = store.embeddings.embed_query("How hot is tea brewed?")
    assert store.similarity_search_by_vector(vector, k=1) == [TOWNS[2]]
    different = store.max_marginal_relevance_search("bridge", k=2, fetch_k=3, lambda_mult=0.0)
    assert len(different) == 2 and TOWNS[2] in different
    assert store.max_marginal_relevance_search_by_vector(vector, k=1, filter={"town": "Kelso"}) == [TOWNS[1]]
    with pytest.raises(UsageError, match="dimension"):
        store.similarity_search_by_vector([1.0, 0.0])


def test_a_long_document_comes_back_whole_and_once(store: RagyenaVectorStore) -> None:
    text = "\n\n".join(
        f"Chapter {number}. The dam of valley {number} was finished in {1900 + number}." * 8 for number in range(30)
    )
    store.add_documents([Document(text, id="long", metadata={"nested": {"a": [1, None]}}), TOWNS[2]])
    assert store.index.status().passages > 10
    found = store.similarity_search("When was the dam of valley 7 finished?", k=2)
    assert [document.id for document in found] == ["long", "t"]
    assert found[0].page_content == text and found[0].metadata == {"nested": {"a": [1, None]}}
    retriever = RagyenaRetriever(index=str(store.index.folder), k=1)
    (passage,) = retriever.invoke("When was the dam of valley 7 finished?")
    retriever.close()
    assert text[passage.metadata["start"] : passage.metadata["end"]] == passage.page_content != text
    assert passage.metadata["nested"] == {"a": [1, None]}


def test_texts_without_ids_are_known_again(store: RagyenaVectorStore) -> None:
    first = store.add_texts(["foo", "bar", "foo"], [{"n": 1}, {}, {"n": 2}])
    assert len(set(first)) == 3 and store.add_texts(["foo"], [{"n": 1}]) == first[:1]
    assert len(store.similarity_search("foo", k=9)) == 3
    for wrong in (lambda: store.add_texts(["a"], [{}, {}]), lambda: store.add_texts(["a"], ids=["1", "2"])):
        with pytest.raises(ValueError, match="texts"):
            wrong()
    for text, metadata in (("a", {"when": object()}), (" ", {})):
        with pytest.raises(UsageError):
            store.add_texts([text], [metadata])


def test_made_from_texts(tmp_path: Path) -> None:
    made = RagyenaVectorStore.from_documents(TOWNS, RagyenaEmbeddings(), index=tmp_path / "index")
    made.close()
    with RagyenaVectorStore(tmp_path / "index") as again:
        assert again.get_by_ids(["t", "none", "o"]) == [TOWNS[2], TOWNS[0]]
    with pytest.raises(ConfigError, match="its own model"):
        RagyenaVectorStore.from_texts(["a"], DeterministicFakeEmbedding(size=6), index=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_index_of_files_can_be_searched_and_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "tea.md").write_text("Green tea is brewed at seventy degrees.", encoding="utf-8")
    with Index.create(tmp_path / "index") as index:
        index.add([tmp_path / "tea.md"])
        store = RagyenaVectorStore(index)
        store.add_documents(TOWNS[:1])
        assert {Path(d.metadata["source"]).name for d in store.similarity_search("tea", k=1)} == {"tea.md"}
        store.delete()
        store.close()
        assert [Path(path).name for path in index.sources()] == ["tea.md"]


@pytest.mark.slow
def test_example(tmp_path: Path) -> None:
    """The chain of docs/langchain.md over a folder."""
    example = Path(__file__).parents[2] / "docs" / "examples" / "langchain_chain.py"
    if not example.is_file():
        pytest.skip("runs in a checkout")
    (tmp_path / "bridges.md").write_text("The iron bridge was built in 1932 by Ada Stone.\n", encoding="utf-8")
    command = [sys.executable, str(example), str(tmp_path), "When was the iron bridge built?"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "1932" in done.stdout and "bridges.md" in done.stdout
