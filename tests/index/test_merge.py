"""Merging indexes: the rows of one, whatever stops it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from ragyena.config import PipelineConfig
from ragyena.errors import IndexMismatchError, IndexNotFoundError, UsageError
from ragyena.index import merge as merging
from ragyena.index.index import Index
from ragyena.index.inspection import verify
from ragyena.index.merge import merge
from ragyena.types import Document, ScoredPassage


@pytest.fixture(scope="module")
def parts(small_config: PipelineConfig, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two indexes that share a document, and both use the smallest ids."""
    folder = tmp_path_factory.mktemp("parts")
    texts = [
        {"iron": "The iron bridge was built in 1932.", "tea": "Brew tea at 70 degrees."},
        {"wood": "The wooden bridge burned down in 1911.", "tee": "Brew tea at 70 degrees.", "开": "开放时间是九点。"},
    ]
    for number, held in enumerate(texts):
        with Index.create(folder / str(number), settings=small_config) as index:
            index.add(held)
    return [folder / "0", folder / "1"]


def test_what_both_hold_is_found_once_with_all_its_places(
    parts: list[Path], small_config: PipelineConfig, tmp_path: Path
) -> None:
    report = merge(parts, tmp_path / "whole")
    assert (report.documents, report.present, report.ids_kept) == (4, 1, False)
    assert verify(tmp_path / "whole").sound
    with Index.open(tmp_path / "whole", settings=small_config) as whole:
        assert {match.passage.source for match in whole.search("bridge")} == {"iron", "wood"}
        assert [match.passage.source for match in whole.search("开放")] == ["开"]
        tea = whole.search("tea", k=1)[0].passage
        assert [origin.source for origin in whole.origins(tea.document_id)] == ["tea", "tee"]
        dense = whole.search("Which bridge burned?", k=1, settings={"retriever.mode": "dense"})
        assert dense[0].passage.source == "wood"


def test_vectors_are_copied_and_not_made_again(parts: list[Path], tmp_path: Path) -> None:
    merge(parts, tmp_path / "whole")
    held = {_vectors(part)[text] for part in parts for text in _vectors(part)}
    assert set(_vectors(tmp_path / "whole").values()) == held


def test_an_interrupted_merge_goes_on(parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "COMMIT_PASSAGES", 1)

    class Interrupt:
        def start(self, description: str, total: int | None, unit: str) -> None: ...

        def note(self, text: str) -> None: ...

        def advance(self, amount: int, status: str = "") -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(parts, tmp_path / "whole", progress=Interrupt())
    assert verify(tmp_path / "whole").sound
    report = merge(parts, tmp_path / "whole")
    assert (report.documents, report.total_documents) == (3, 4)
    assert verify(tmp_path / "whole").sound
    again = merge(parts, tmp_path / "whole")
    assert (again.documents, again.total_passages) == (0, report.total_passages)


def test_indexes_that_do_not_fit_are_refused(parts: list[Path], small_config: PipelineConfig, tmp_path: Path) -> None:
    with Index.create(tmp_path / "short", settings={"index.passage_tokens": 64}) as index:
        index.add({"short": "A short one."})
    with pytest.raises(IndexMismatchError, match="passage_tokens"):
        merge([*parts, tmp_path / "short"], tmp_path / "whole")
    with Index.create(tmp_path / "other", settings=small_config) as index:
        index.add([Document("iron", "The iron bridge was built in 1933.")])
    with pytest.raises(UsageError, match="different contents of iron"):
        merge([parts[0], tmp_path / "other"], tmp_path / "whole")
    with pytest.raises(UsageError, match="itself"):
        merge(parts, parts[0])
    with pytest.raises(IndexNotFoundError):
        merge([tmp_path / "nothing"], tmp_path / "whole")


def test_ids_stay_where_no_two_indexes_share_one(
    parts: list[Path], small_config: PipelineConfig, tmp_path: Path
) -> None:
    merge(parts, tmp_path / "whole")
    for odd in (True, False):
        name = str(tmp_path / f"half-{odd}")
        merge([tmp_path / "whole"], Path(name))
        with Index.open(name, settings=small_config) as index:
            for source in index.sources()[odd::2]:
                index.remove(source)
    report = merge([tmp_path / "half-True", tmp_path / "half-False"], tmp_path / "again")
    assert report.ids_kept

    def found(folder: Path) -> list[tuple[int, float]]:
        with Index.open(folder, settings=small_config) as index:
            return [_key(match) for query in ("bridge", "tea", "开放") for match in index.search(query)]

    assert found(tmp_path / "again") == found(tmp_path / "whole")


def _key(match: ScoredPassage) -> tuple[int, float]:
    return match.passage.passage_id, match.score


def _vectors(folder: Path) -> dict[bytes, bytes]:
    with sqlite3.connect(folder / "store.sqlite") as db:
        rows = db.execute(
            "SELECT text, vector FROM documents JOIN passages USING (document_id) JOIN embeddings USING (passage_id)"
        ).fetchall()
    assert all(len(np.frombuffer(vector, np.float16)) == 384 for _, vector in rows)
    return dict(rows)
