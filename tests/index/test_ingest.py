"""Adding much at once: the progress counts towards the whole, and pieces of long files keep the lines of these."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena.config import IndexConfig, PipelineConfig
from ragyena.documents import pieces as cutting
from ragyena.documents.pieces import pieces
from ragyena.index import ingest
from ragyena.index.index import Index
from ragyena.types import Document

CONFIG = PipelineConfig(index=IndexConfig(passage_tokens=64))


class Stages:
    """A progress that notes every stage: its name, total, and what was done of it."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None, list[int]]] = []

    def start(self, description: str, total: int | None, unit: str) -> None:
        self.stages.append((description, total, []))

    def advance(self, amount: int, status: str = "") -> None:
        self.stages[-1][2].append(amount)

    def note(self, text: str) -> None: ...


def test_the_progress_of_embedding_counts_towards_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only some passages are read ahead: of the rest, the number is expected from the bytes that are left."""
    monkeypatch.setattr(ingest, "READ_AHEAD", 20)
    rows = tmp_path / "items.jsonl"
    rows.write_text("".join(f'{{"text": "Item {i:03} costs {i:03} crowns."}}\n' for i in range(100)), encoding="utf-8")
    stages = Stages()
    with Index.create(tmp_path / "index", settings=CONFIG) as index:
        index.add(rows, progress=stages)
    embedding = [(total, advances) for name, total, advances in stages.stages if name == "embedding"]
    assert len(embedding) == 5
    before = 0
    for total, advances in embedding:
        assert total is not None and 100 <= total < 200, "a row has less text than bytes"
        assert advances[0] == before, "what was done before counts first, and so not for the rate"
        before = sum(advances)
    assert before == 100


@pytest.mark.usefixtures("hashed_embeddings")
def test_what_is_left_of_a_file_is_told_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of which a tenth is text that is indexed: what is read of the file counts, not how much text came of it."""
    monkeypatch.setattr(ingest, "READ_AHEAD", 100)
    rows = tmp_path / "items.jsonl"
    row = '{{"text": "Item {i:03} costs {i:03} crowns.", "note": {{"kept": "' + "x" * 450 + '"}}}}\n'
    rows.write_text("".join(row.format(i=i) for i in range(400)), encoding="utf-8")
    stages = Stages()
    with Index.create(tmp_path / "index", settings=CONFIG) as index:
        index.add(rows, progress=stages)
    totals = [total for name, total, _ in stages.stages if name == "embedding"]
    assert len(totals) == 4
    assert all(total is not None and 330 <= total <= 480 for total in totals), totals
    left = [total for name, total, _ in stages.stages if name == "reading"]
    assert left == sorted(left, key=lambda total: -(total or 0)), "less and less is left to read"
    assert left[0] == rows.stat().st_size and (left[-1] or 0) < 0.1 * (left[0] or 0)


def test_pieces_keep_their_lines_in_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "PIECE_CHARS", 1000)
    text = "".join(f"The bridge of town{i} was built in {1500 + i}.\n\n" for i in range(100))
    parts = list(pieces(Document("long.txt", text, "long")))
    assert len(parts) > 3
    with Index.create(tmp_path / "index", settings=CONFIG) as index:
        index.add(parts)
        (best, *_) = index.search("When was the bridge of town77 built?", k=3, settings={"retriever.mode": "lexical"})
        lines = text.split("\n")[best.passage.line_start - 1 : best.passage.line_end]
        assert "\n".join(lines) == best.passage.text
        assert "town77 " in best.passage.text
        assert {index.document(best.passage.document_id).first_line} <= {part.first_line for part in parts}
        assert index.verify().sound


def test_equal_pieces_at_other_lines_are_other_documents(tmp_path: Path) -> None:
    """Their passages have other lines, though nothing else tells them apart."""
    with Index.create(tmp_path / "index", settings=CONFIG) as index:
        report = index.add([Document("a#1", "The bridge.", "a"), Document("a#9", "The bridge.", "a", first_line=9)])
        assert (report.documents, len(report.duplicates)) == (2, 0)
