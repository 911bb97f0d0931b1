"""An index on disk: search results and their order, concurrent writing, and reported damage."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena import recipes
from ragyena.config import IndexConfig, PipelineConfig
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import (
    EmptyQuestionError,
    IndexCorruptError,
    IndexFormatError,
    IndexLockedError,
    IndexMismatchError,
    IndexNotFoundError,
)
from ragyena.index import writer as writer_module
from ragyena.index.embedder import Embedder, embedding_text
from ragyena.index.encoding import document_hash
from ragyena.index.index import Index
from ragyena.index.store import STORE_NAME
from ragyena.index.writer import Writer
from ragyena.types import Document

TEXTS = {
    "bridge": (
        "The Old Bridge",
        "It was built in 1893. Anna Lindqvist drew the plans, and masons from Gävle built it.",
    ),
    "whale": ("Whales", "The blue whale is the largest animal that ever lived. It can weigh 190 tonnes."),
    "bread": ("Bread", "Knead the dough for ten minutes.\0 Then let it rise – for an hour 🍞 – and bake it."),
    "long": ("Numbers", " ".join(f"The number {n} comes after the number {n - 1}." for n in range(1, 60))),
}
CONFIG = PipelineConfig(index=IndexConfig(passage_tokens=64))


def put(folder: Path, documents: Sequence[Document], *, refresh: bool = True) -> None:
    """Stores documents as files would be; without ``refresh`` the vector file stays as it is."""
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    with Writer(folder) as index:
        _put(index, documents, tokenizer)
        if refresh:
            index.refresh()


def _put(index: Writer, documents: Sequence[Document], tokenizer: Tokenizer) -> None:
    embedder = Embedder.open(index.manifest.embedder)
    with index.store.transaction():
        for document in documents:
            path = document.source.partition("#")[0]
            source_id = index.store.put_source(path, b"hash of " + path.encode(), 1, complete=True)
            passages = split(document, tokenizer, index.manifest.config.passage_tokens)
            vectors = embedder.embed([embedding_text(p) for p in passages])
            digest = document_hash(document, titled=document.source != path)
            index.store.add_document(source_id, document, digest, passages, vectors)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "index"
    documents = [
        Document(f"/files/{name}.txt", text, title, metadata={"kind": name[0], "name": name})
        for name, (title, text) in TEXTS.items()
    ]
    Index.create(folder, settings=CONFIG).close()
    put(folder, documents)
    return folder


@pytest.fixture(scope="module")
def opened(built: Path) -> Iterator[Index]:
    with Index.open(built) as index:
        yield index


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def sources(index: Index, query: str, mode: str = "hybrid", **filters: str) -> list[str]:
    matches = index.search(query, k=10, filters=filters or None, settings={"retriever.mode": mode})
    return [Path(match.passage.source).stem for match in matches]


def test_each_mode_returns_the_relevant_passage(opened: Index) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        assert sources(opened, "How much can the blue whale weigh?", mode)[0] == "whale"
    # The bridge's passage never says what it is about; its title does.
    assert sources(opened, "bridge")[0] == "bridge"


def test_scores_decrease_strictly_and_say_what_they_are_made_of(opened: Index) -> None:
    hits = opened.search("number 17 after number 16", k=10)
    assert len(hits) > 3
    assert all(a.score > b.score for a, b in pairwise(hits))
    assert all(h.dense_score is None or -1.001 <= h.dense_score <= 1.001 for h in hits)
    assert any(h.lexical_score is not None and h.lexical_score > 0 for h in hits)
    assert hits == opened.search("number 17 after number 16", k=10)


def test_a_similarity_is_the_cosine_of_the_bundled_embedder_alone(opened: Index, copy: Path) -> None:
    query = "number 17 after number 16"
    hits = opened.search(query, k=10)
    assert any(hit.similarity is not None for hit in hits)
    assert all(hit.similarity == hit.dense_score for hit in hits)
    with opened.reading():
        assert [hit.similarity for hit in opened.candidates(query, k=10)] == [hit.similarity for hit in hits]
    assert all(hit.similarity is None for hit in opened.search(query, k=10, settings={"retriever.mode": "lexical"}))
    with Index.open(copy, lazy=True) as other:
        other.use_embedder(opened.embedder())
        other.manifest = other.manifest.model_copy(update={"embedder_fingerprint": "another"})
        hits = other.search(query, k=10)
    assert any(hit.dense_score is not None for hit in hits) and all(hit.similarity is None for hit in hits)


def test_top_k_is_the_beginning_of_a_longer_list(opened: Index) -> None:
    longer = opened.search("the number", k=8)
    assert opened.search("the number", k=3) == longer[:3]


def test_passages_are_stretches_of_their_document(opened: Index) -> None:
    ids = opened.store.passage_ids().tolist()
    for passage in opened.passages(ids):
        assert passage.text == opened.document(passage.document_id).text[passage.start : passage.end]
    texts = {opened.document(p.document_id).text for p in opened.passages(ids)}
    assert texts == {text for _, text in TEXTS.values()}


def test_neighbours_are_the_nearest_of_the_same_document(opened: Index) -> None:
    (long,) = opened.search("number 30", k=1)
    ids = [p.passage_id for p in opened.passages(opened.store.passage_ids().tolist()) if p.title == "Numbers"]
    middle = ids[len(ids) // 2]
    assert [p.passage_id for p in opened.neighbours(middle, 2)] == [middle - 1, middle + 1, middle - 2, middle + 2]
    assert [p.passage_id for p in opened.neighbours(ids[0], 1)] == [ids[1]]
    assert long.passage.title == "Numbers"


def test_filters(opened: Index) -> None:
    assert set(sources(opened, "the", kind="b")) == {"bridge", "bread"}
    assert set(sources(opened, "the", name="br*d")) == {"bread"}
    assert set(sources(opened, "the", source="*/w*.txt")) == {"whale"}
    assert set(sources(opened, "the", source="bread.txt")) == {"bread"}
    assert set(sources(opened, "the", title="The Old Bridge")) == {"bridge"}
    assert sources(opened, "the", kind="b", name="whale") == []
    assert sources(opened, "the", colour="red") == []


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=80) | st.lists(st.sampled_from(['"', "*", "AND", "NEAR(", "whale", ":", "-", "^"])).map(" ".join)
)
def test_no_query_is_a_syntax_error(opened: Index, query: str) -> None:
    lexical = {"retriever.mode": "lexical"}
    if not query.strip():
        with pytest.raises(EmptyQuestionError):
            opened.search(query, settings=lexical)
        return
    hits = opened.search(query, k=5, settings=lexical)
    assert all(a.score > b.score for a, b in pairwise(hits))


def test_a_query_of_ten_thousand_words(opened: Index) -> None:
    query = " ".join(f"word{n}" for n in range(10_000)) + " whale"
    assert opened.search(query, k=3)


def test_passages_added_after_the_vector_file_are_searched(copy: Path) -> None:
    put(copy, [Document("/files/moon.txt", "The moon circles the earth in 27 days.", "Moon")], refresh=False)
    with Index.open(copy) as index:
        assert sources(index, "How long does the moon take?", "dense")[0] == "moon"
        assert set(sources(index, "moon", "dense", source="moon.txt")) == {"moon"}
    with Writer(copy) as writer:
        assert writer.refresh()
        assert not writer.refresh()
    assert [p.name for p in copy.glob("vectors-*")] == ["vectors-2.faiss"]
    with Index.open(copy) as index:
        assert sources(index, "How long does the moon take?", "dense")[0] == "moon"


def test_a_few_passages_more_leave_the_vector_file_alone(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adding costs time for what is added: a large file is written again only where enough has changed."""
    monkeypatch.setattr(writer_module, "SMALL", 0)
    monkeypatch.setattr(writer_module, "BEHIND_LEAST", 2)

    def file() -> str:
        return Path(next(copy.glob("vectors-*"))).name

    put(copy, [Document("/files/moon.txt", "The moon circles the earth in 27 days.", "Moon")])
    assert file() == "vectors-1.faiss"
    with Index.open(copy) as index:
        assert sources(index, "How long does the moon take?", "dense")[0] == "moon"
        assert index.status().pending == 1
        index.remove("whale.txt")
        assert "whale" not in sources(index, "blue whale", "dense")
        assert index.verify().sound
    assert file() == "vectors-1.faiss"
    put(copy, [Document("/files/sun.txt", "The sun is a star.", "Sun")])
    assert file() == "vectors-2.faiss"
    with Index.open(copy) as index:
        assert index.status().pending == 0
        assert index.verify().sound


def test_an_open_reader_goes_on_while_the_index_is_written(copy: Path) -> None:
    with Index.open(copy) as reader:
        before = sources(reader, "bridge")
        with Writer(copy) as writer:
            with writer.store.transaction():
                source = writer.store.source("/files/bridge.txt")
                assert source is not None
                writer.store.remove_source(source.source_id)
            writer.refresh()
        after = sources(reader, "bridge")
        assert sources(reader, "whale")[0] == "whale"
    assert "bridge" in before
    assert "bridge" not in after


def test_ids_are_never_used_again(copy: Path) -> None:
    with Writer(copy) as writer:
        last = int(writer.store.passage_ids()[-1])
        with writer.store.transaction():
            for source in writer.store.sources():
                writer.store.remove_source(source.source_id)
        writer.refresh()
    with Index.open(copy) as index:
        assert index.search("whale", k=3) == []
    put(copy, [Document("/files/moon.txt", "The moon circles the earth in 27 days.", "Moon")], refresh=False)
    with Index.open(copy) as index:
        assert index.store.passage_ids().tolist() == [last + 1]


def test_approximate_kinds_say_their_recall(tmp_path: Path) -> None:
    """On real vectors of many near-equal texts, which are harder than random ones."""
    words = ["red", "green", "blue", "old", "new", "big", "small", "warm", "cold"]
    texts = [f"The {a} {b} house in the {c} town." for a in words for b in words[:3] for c in words[:2]]
    folder = tmp_path / "hnsw"
    Index.create(folder, settings={"index.vector_index": "hnsw"}).close()
    put(folder, [Document(f"/t/{n}.txt", text, "") for n, text in enumerate(texts)])
    with Index.open(folder) as index:
        file = index.manifest.vectors
    assert file is not None
    assert (file.kind, file.count) == ("hnsw", len(texts))
    assert 0.9 <= file.recall <= 1.0
    put(folder, [Document("/t/moon.txt", "The moon circles the earth.", "")])
    with Index.open(folder) as index:
        assert index.manifest.vectors_trained_on == len(texts), "extended, not made anew"
        (hit,) = index.search("What circles the earth?", k=1, settings={"retriever.mode": "dense"})
        assert hit.passage.source == "/t/moon.txt"
        vector = index.embedder().embed_question("What circles the earth?")
        stored = index.embedder().embed([hit.passage.text])[0].astype(np.float16).astype(np.float32)
        assert hit.dense_score == pytest.approx(float(stored @ vector), abs=1e-4), "exact, whatever the kind"


# ---------------------------------------------------------------------------------------------------------------
# Damage
# ---------------------------------------------------------------------------------------------------------------


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="no index at") as caught:
        Index.open(tmp_path / "nowhere")
    assert "ragyena index add" in caught.value.hint
    with pytest.raises(IndexNotFoundError):
        Writer(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(IndexFormatError, match=r"thesis\.txt"):
        Index.create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def edit_manifest(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_another_format_version(copy: Path) -> None:
    edit_manifest(copy, format_version=99)
    with pytest.raises(IndexFormatError, match="format 99") as caught:
        Index.open(copy)
    assert "--rebuild" in caught.value.hint


def test_another_embedder(copy: Path) -> None:
    edit_manifest(copy, embedder_fingerprint="0" * 64)
    with Index.open(copy) as index, pytest.raises(IndexMismatchError, match="other weights") as caught:
        index.search("whale", k=1)
    assert "--rebuild" in caught.value.hint


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format_version": 2}', "[" * 100, '{"format_version": 2e9}'])
def test_a_damaged_manifest(copy: Path, content: str) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(IndexCorruptError, match=r"manifest\.json is damaged"):
        Index.open(copy)


@pytest.mark.parametrize("damage", ["truncated", "missing", "same size"])
def test_a_damaged_vector_file(copy: Path, damage: str) -> None:
    (path,) = copy.glob("vectors-*.faiss")
    size = path.stat().st_size
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: size // 2])
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"\0" * size)
    with pytest.raises(IndexCorruptError, match=path.name) as caught:
        Index.open(copy)
    assert "verify --repair" in caught.value.hint
    with Writer(copy) as writer:
        assert writer.refresh()
    with Index.open(copy) as index:
        assert sources(index, "blue whale")[0] == "whale"


def test_a_store_that_is_no_database(copy: Path) -> None:
    (copy / STORE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(IndexCorruptError, match=STORE_NAME):
        Index.open(copy)


def test_a_store_that_is_missing(copy: Path) -> None:
    (copy / STORE_NAME).unlink()
    with pytest.raises(IndexCorruptError, match="is missing"):
        Index.open(copy)


def test_a_corrupt_page_of_the_store(copy: Path) -> None:
    with sqlite3.connect(copy / STORE_NAME) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'passages'").fetchone()
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
    db.close()
    with (copy / STORE_NAME).open("r+b") as file:
        file.seek((page - 1) * page_size)
        file.write(b"\xff" * page_size)
    with Index.open(copy) as index, pytest.raises(IndexCorruptError, match="damaged") as caught:
        index.search("whale", k=3)
    assert "--rebuild" in caught.value.hint


def test_one_writer(copy: Path) -> None:
    import os

    with Writer(copy), Index.open(copy) as reader:
        with pytest.raises(IndexLockedError, match=rf"pid {os.getpid()}"):
            Writer(copy)
        assert sources(reader, "whale")[0] == "whale"
    Writer(copy).close()
