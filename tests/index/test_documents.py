"""Documents and texts given in Python: added, replaced, removed, kept by a rebuild."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena import Document, Index
from ragyena.errors import ConfigError, IndexLockedError, IndexNotFoundError, NothingToIndexError, UsageError
from ragyena.index.inspection import verify
from ragyena.index.storage import writer_lock

TEXTS = {"iron": "The iron bridge was built in 1932.", "tea": "Green tea is brewed at seventy degrees."}
LEXICAL = {"retriever.mode": "lexical"}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    with Index.create(tmp_path / "index") as made:
        report = made.add(TEXTS)
    assert (report.created, report.files, report.added, report.documents) == (True, 2, 2, 2)
    return tmp_path / "index"


def test_texts_documents_and_files_in_one_index(index: Path, tmp_path: Path) -> None:
    (tmp_path / "bread.txt").write_text("Sour dough rests for twelve hours.")
    with Index.open(index) as opened:
        lamp = Document("lamp", "The lamp flashes every ten seconds.", "The lamp", metadata={"lang": "en"})
        report = opened.add([tmp_path / "bread.txt", lamp])
        assert (report.created, report.added, report.total_documents) == (False, 2, 4)
        (match,) = opened.search("the lamp", k=1, filters={"lang": "en"})
        assert (match.passage.source, match.passage.title) == ("lamp", "The lamp")
        assert opened.search("sour dough", k=1)[0].passage.source == str(tmp_path / "bread.txt")
    assert verify(index).sound


def test_adding_again_skips_what_is_unchanged_and_replaces_what_changed(index: Path) -> None:
    with Index.open(index) as opened:
        report = opened.add(TEXTS | {"iron": "The iron bridge was torn down in 1990."})
        assert (report.added, report.replaced, report.unchanged) == (0, 1, 1)
        assert "1990" in opened.search("iron bridge", k=1)[0].passage.text
        report = opened.add(Document("iron", "The iron bridge was torn down in 1990.", "A title"))
        assert report.replaced == 1
        assert opened.search("iron bridge", k=1)[0].passage.title == "A title"
    assert verify(index).sound


def test_an_open_index_drops_what_it_removes(index: Path) -> None:
    with Index.open(index) as opened:
        assert opened.remove("tea") == 1
        assert [match.passage.source for match in opened.search("tea bridge")] == ["iron"]
        assert opened.manifest.documents == 1


def test_a_rebuild_keeps_documents_given_in_python(index: Path, tmp_path: Path) -> None:
    (tmp_path / "bread.txt").write_text("Sour dough rests for twelve hours.")
    report = Index.rebuild(index, tmp_path / "bread.txt", settings={"index.passage_tokens": 32})
    assert report.total_documents == 3
    with Index.open(index, settings=LEXICAL) as opened:
        assert {source.path for source in opened.status().sources} == {"iron", "tea", str(tmp_path / "bread.txt")}
        assert opened.search("bridge")[0].passage.text == TEXTS["iron"]
    assert verify(index).sound


def test_documents_that_cannot_be_added(index: Path) -> None:
    with Index.open(index) as opened:
        with pytest.raises(UsageError, match="'a'"):
            opened.add([Document("a", "One."), Document("a", "Two.")])
        with pytest.raises(UsageError):
            opened.add(Document(" ", "No source."))
        with pytest.raises(NothingToIndexError):
            opened.add([])
        (failure,) = opened.add({"empty": " ... "}).failed
        assert failure.path == "empty"
        assert opened.add(Document("odd", "A half \ud83d pair.")).added == 1
    assert verify(index).sound


def test_a_new_index_that_stays_empty_is_removed(tmp_path: Path) -> None:
    with pytest.raises(NothingToIndexError), Index.open(tmp_path / "new", create=True) as opened:
        opened.add({"empty": "..."})
    assert list(tmp_path.iterdir()) == []
    Index.create(tmp_path / "kept").close()
    with Index.open(tmp_path / "kept") as opened:
        assert opened.search("anything") == []


def test_settings_are_overridden_in_one_way(index: Path) -> None:
    with Index.open(index, settings={"retriever.top_k": 1} | LEXICAL) as opened:
        assert len(opened.search("bridge tea")) == 1
        assert len(opened.search("bridge tea", settings={"retriever.top_k": 2})) == 2
        assert len(opened.search("bridge tea", k=2)) == 2
        with pytest.raises(ConfigError, match=r"retriever\.topk"):
            opened.search("bridge", settings={"retriever.topk": 2})
    with pytest.raises(ConfigError, match="settings"):
        Index.open(index, settings={"retriever.mode": "best"})
    with pytest.raises(IndexNotFoundError):
        Index.open(index / "nowhere", settings={"pipeline": "quick"})


def test_a_second_rebuild_leaves_the_first_one_alone(index: Path) -> None:
    started = index.with_name(f"{index.name}.rebuild")
    Index.create(started, settings={"index.passage_tokens": 32}).close()
    with writer_lock(index), pytest.raises(IndexLockedError):
        Index.rebuild(index, settings={"index.passage_tokens": 64})
    assert Index.open(started).manifest.config.passage_tokens == 32


def test_a_new_index_that_another_process_writes_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    with pytest.raises(IndexLockedError), Index.open(folder, create=True) as opened, writer_lock(folder):
        opened.add(TEXTS)
    assert not folder.exists()  # nobody writes it any more
    opened = Index.open(folder, create=True)
    with writer_lock(folder):
        opened.close()
    with Index.open(folder) as kept:
        assert kept.status().documents == 0


def test_a_closed_index_has_no_log_beside_its_store(index: Path, tmp_path: Path) -> None:
    with Index.open(tmp_path / "new", create=True) as opened:
        opened.add(TEXTS)
    with Index.open(index) as opened:
        opened.remove("tea")
    for folder in (index, tmp_path / "new"):
        assert {path.name for path in folder.glob("store.sqlite*")} == {"store.sqlite"}


def test_a_document_given_in_python_is_kept_though_it_is_named_as_a_file(index: Path, tmp_path: Path) -> None:
    (tmp_path / "bread.txt").write_text("Sour dough rests for twelve hours.")
    lamp = Document("/wiki/lamp", "The lamp flashes every ten seconds.")
    oven = Document(str(tmp_path / "oven"), "The oven is heated with beech wood.")
    with Index.open(index) as opened:
        opened.add([tmp_path, lamp, oven])
        assert opened.add([tmp_path], prune=True).removed == 0
    (tmp_path / "bread.txt").unlink()
    Index.rebuild(index)
    with Index.open(index) as opened:
        assert {source.path for source in opened.status().sources} == {"iron", "tea", lamp.source, oven.source}


def test_a_closed_index_says_so(index: Path) -> None:
    opened = Index.open(index)
    opened.close()
    with pytest.raises(UsageError, match="closed"):
        opened.search("bridge", settings=LEXICAL)
