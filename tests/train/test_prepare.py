"""Preparation: rows kept, rows left out and counted, hard negatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ragyena.config import DataConfig
from ragyena.errors import DataError
from ragyena.train.prepare import prepare


def decoded(world: Any, name: str, row: int) -> str:
    ids, mask = world.data.rows(name, torch.tensor(row), 400)
    text: str = world.tokenizer.decode(ids[mask].tolist())
    return text


def test_every_row_is_kept_or_counted(world: Any) -> None:
    assert world.report.questions == len(world.answers)
    assert world.report.left_out == {
        "unusable row": 1,
        "no context or no answer": 1,
        "question too long": 1,
        "answer crosses a passage border": 1,
        "answer too long": 1,
    }
    assert world.report.prose_tokens > 900
    assert world.report.clozes == len(world.data["cloze_passage"]) > 20


def test_gold_passages_hold_the_answers_at_their_places(world: Any) -> None:
    for row in range(world.report.questions):
        question, gold = decoded(world, "questions", row), int(world.data["gold"][row])
        text = decoded(world, "passages", gold)
        assert text == world.texts[question]
        start, end = world.data["span"][row].tolist()
        if start < 0:
            assert world.answers[question] == "yes" and world.data["polar"][row] == 1
            continue
        ids, _ = world.data.rows("passages", torch.tensor(gold), 400)
        assert world.tokenizer.decode(ids[start:end].tolist()) == world.answers[question]


def test_negatives_never_hold_the_answer(world: Any) -> None:
    negatives = world.data["negatives"]
    assert negatives.shape == (world.report.questions, world.config.negatives)
    for row in range(world.report.questions):
        question = decoded(world, "questions", row)
        assert int(world.data["gold"][row]) not in negatives[row].tolist()
        assert len(set(negatives[row].tolist())) == world.config.negatives
        if world.data["span"][row, 0] >= 0:
            for negative in negatives[row].tolist():
                assert world.answers[question] not in decoded(world, "passages", negative)


def test_the_first_negative_is_similar_to_the_question(world: Any) -> None:
    """Negatives are hard: far more of a question's words occur in the first than in a passage at random."""
    words = [set(decoded(world, "questions", row).split()) for row in range(world.report.questions)]
    texts = [set(decoded(world, "passages", p).split()) for p in range(len(world.data["passages_offsets"]) - 1)]
    first = world.data["negatives"][:, 0].tolist()
    hard = np.mean([len(w & texts[p]) for w, p in zip(words, first)])
    anything = np.mean([len(w & text) for w in words for text in texts])
    assert hard > anything + 0.5


def test_idf_ranks_pieces_by_rarity(world: Any) -> None:
    def weight(word: str) -> float:
        return float(world.data["idf"][world.tokenizer.encode(word).ids[0]])

    assert weight("born") < 0.05 < weight("botanist") < weight("1703") <= 1


def test_a_second_call_uses_the_file_again(world: Any, progress: Any) -> None:
    before = world.report.path.stat().st_mtime_ns
    again = prepare(world.config, world.tokenizer, world.cache, progress, neighbours={})
    assert again == world.report
    assert world.report.path.stat().st_mtime_ns == before
    assert len(list(world.cache.glob("*.npz"))) == 1


def test_data_without_a_usable_question_is_refused(world: Any, tmp_path: Path, progress: Any) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"id": "1", "context": "A text.", "question": "What?", "answers": []}\n', encoding="utf-8")
    with pytest.raises(DataError) as error:
        prepare(DataConfig(questions=(str(file),)), world.tokenizer, tmp_path, progress, neighbours={})
    assert "no context or no answer" in (error.value.hint or "")
    assert not list(tmp_path.glob("*.npz"))
