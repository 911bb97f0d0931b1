"""Frozen contexts: a round trip through the file."""

from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragyena.data.qa_files import Question
from ragyena.errors import DataError, PathNotFoundError
from ragyena.eval.contexts import Frozen, Hits
from ragyena.types import Passage


def passage(number: int, text: str, **others: object) -> Passage:
    values = {
        "start": 3 * number,
        "line_start": 1 + number,
        "line_end": 2 + number,
        "page": None,
        "title": f"T{number}",
    }
    values |= {"heading_path": ("A", "B"), "source": f"c{number}", "metadata": {"id": f"c{number}"}} | others
    return Passage(text=text, end=3 * number + len(text), passage_id=number, **values)  # type: ignore[arg-type]


FROZEN = Frozen(
    kind="search",
    facts={"tokenizer": "abc", "context_tokens": 512, "retriever": {"mode": "dense"}},
    answerable=(Question("1", "s", "Wie heißt sie?", ("Ada", "A\ud800"), "c0", 0, "dev"),),
    unanswerable=(Question("2", "s", "Who?", (), "c1", -1),),
    passages=(passage(0, "Ada Stone"), passage(1, "two\nlines", page=3), passage(2, "", heading_path=(), title="")),
    own={"c0": (0,), "c1": (1, 2)},
    hits={"1": Hits(np.array([2, 0, 1], np.int32), np.array([0.5, 0.25, 1e-3], np.float32))},
    problems=("a row",),
)


def test_a_file_gives_back_what_was_frozen(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "contexts.jsonl.xz"
    FROZEN.save(path)
    again = Frozen.load(path)
    for name in ("kind", "facts", "answerable", "unanswerable", "passages", "own", "problems"):
        assert getattr(again, name) == getattr(FROZEN, name), name
    assert again.digest() == FROZEN.digest()
    result = again.hits_of(FROZEN.answerable[0])
    assert [(p.passage.text, p.score) for p in result] == [
        ("", 0.5),
        ("Ada Stone", 0.25),
        ("two\nlines", np.float32(1e-3)),
    ]
    assert all(p.dense_score is not None for p in result)  # a search found them: the reader weighs their scores
    assert again.hits_of(FROZEN.unanswerable[0]) == []
    assert [p.text for p in again.own_passages(FROZEN.unanswerable[0])] == ["two\nlines", ""]
    assert list(tmp_path.rglob("*.unfinished")) == []


def test_similarities_are_kept_where_a_search_gave_some(tmp_path: Path) -> None:
    question = FROZEN.answerable[0]
    assert [hit.similarity for hit in FROZEN.hits_of(question)] == [None, None, None]
    hits = Hits.of([2, 0, 1], [0.5, 0.25, 1e-3], [0.75, None, 0.125])
    path = tmp_path / "contexts.jsonl.xz"
    replace(FROZEN, hits={"1": hits}).save(path)
    assert [hit.similarity for hit in Frozen.load(path).hits_of(question)] == [0.75, None, 0.125]
    assert [hit.similarity for hit in Frozen.load(path).hits_of(question, 1)] == [0.75]
    assert Hits.of([2], [0.5], [None]).similarities is None


def test_what_is_no_such_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match="nothing"):
        Frozen.load(tmp_path / "nothing")
    path = tmp_path / "contexts.jsonl.xz"
    FROZEN.save(path)
    whole = path.read_bytes()
    with lzma.open(path) as file:
        lines = file.read()
    damaged = {
        "cut off": whole[: len(whole) // 2],
        "no xz": b"hello",
        "other rows": lzma.compress(b'{"id": 1}\n'),
        "another version": lzma.compress(lines.replace(b'"version":1', b'"version":2', 1)),
        "empty": lzma.compress(b""),
    }
    for content in damaged.values():
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"contexts\.jsonl\.xz"):
            Frozen.load(path)
