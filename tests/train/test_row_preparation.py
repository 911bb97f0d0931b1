"""Questions on several rows of a table, packed and drawn: their passage always stands in the context."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ragyena import recipes
from ragyena.config import DataConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.train.packed import PackedData
from ragyena.train.prepare import PreparedReport, prepare
from ragyena.train.sampler import Sampler

CLUBS = ["Aldwick Town", "Brohm United", "Caster Rovers", "Dunmore Town", "Elling United", "Farrow Rovers"]
GOALS = [40, 61, 33, 12, 25, 39]
CONFIG = {"clozes": 0, "negatives": 2, "passage_tokens": 60, "held_out": 0.0, "document_held_out": 0.0}


def written(path: Path, rows: list[dict[str, object]]) -> tuple[str]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return (str(path),)


def packed(folder: Path, progress: Any, count: int) -> tuple[PackedData, PreparedReport]:
    table = "| Club | Goals |\n| --- | --- |\n" + "".join(f"| {c} | {g} |\n" for c, g in zip(CLUBS, GOALS))
    passages: list[dict[str, object]] = [{"id": "t", "title": "Clubs of Ostland", "context": table}]
    passages += [{"id": f"p{n}", "title": "Harbour", "context": f"Harbour {n} has a crane."} for n in range(4)]
    question: dict[str, object] = {"id": "q", "passage_id": "t", "question": "How many for Brohm?", "answers": ["61"]}
    documents: list[dict[str, object]] = [
        {"id": "d", "source": "tables", "title": "Teams", "text": table.replace("Goals", "Points"), "split": "train"}
    ]
    at = table.index(CLUBS[1])
    asked: list[dict[str, object]] = [
        {"id": "dq", "source": "tables", "document_id": "d", "question": "Is it raining?", "answers": []}
        | {"answer_type": "none", "near": [[at, at + len(CLUBS[1])]]}
    ]
    config = DataConfig(
        questions=written(folder / "q.jsonl", [question]),
        passages=written(folder / "p.jsonl", passages),
        documents=written(folder / "d.jsonl", documents),
        document_questions=written(folder / "dq.jsonl", asked),
        row_questions=count,
        **CONFIG,
    )
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    report = prepare(config, tokenizer, folder / "cache", progress, neighbours={})
    return PackedData.load(report.path, "cpu", cls_id=tokenizer.cls_id, sep_id=tokenizer.sep_id), report


def test_row_questions_are_packed_and_keep_their_passage(tmp_path: Path, progress: Any, stage: Any) -> None:
    data, report = packed(tmp_path, progress, 100)
    names = bytes(data["source_names"].numpy().astype(np.uint8)).decode().split("\n")
    made = data["source"] == names.index("rows")
    assert report.questions == int(made.sum()) + 2 and made.sum() > 8
    answered = made & (data["span"][:, 0] >= 0)
    assert torch.equal(data["required"].bool(), answered), "those whose row is not there have no passage to keep"
    assert (data["sentence"][answered] < 0).all() and not (data.lengths("perturbed")[made] > 0).any()
    assert len(set(data["context_of"][data["gold"][answered].long()].tolist())) == 2, "rows of questions, and documents"
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    clubs = {tokenizer.decode(tokenizer.encode(club).ids) for club in CLUBS}
    for row in answered.nonzero()[:, 0].tolist():
        ids, _ = data.rows("passages", data["gold"][row].long(), 60)
        start, end = data["span"][row].tolist()
        assert tokenizer.decode(ids[start:end].tolist()) in clubs
    negatives = torch.zeros(report.questions, 2, dtype=torch.int32)
    no_clozes = {name: torch.zeros(0, 2, dtype=torch.int32) for name in ("cloze_negatives", "cloze_span")}
    data = data.joined({"negatives": negatives, "cloze_gold": torch.zeros(0, dtype=torch.int32), **no_clozes})
    settings = stage(unanswerable=1.0, passages=[1], passage_weights=[1.0], header=0.0)
    sampler = Sampler(data, settings, seed=0, question_tokens=64)
    batch = sampler._ask(answered.nonzero()[:, 0], 1, 128, torch.Generator().manual_seed(0))
    assert (batch.start > 0).all(), "its passage is not left out, whatever the stage says"


@pytest.mark.parametrize("count", [0, 3])
def test_no_more_are_made_than_asked_for(tmp_path: Path, progress: Any, count: int) -> None:
    assert packed(tmp_path, progress, count)[1].questions == count + 2
