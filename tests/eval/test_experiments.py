"""Choice of questions, construction of contexts, and the journal of answers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ragyena import recipes
from ragyena.config import EvalConfig, PackerConfig
from ragyena.data.qa_files import ContextRow
from ragyena.documents.tokenizer import TokenCache, Tokenizer
from ragyena.errors import DataError, QuestionTooLongError
from ragyena.eval.answers import Prediction
from ragyena.eval.conditions import Among, BuiltContext, ContextBuilder
from ragyena.eval.contexts import Frozen
from ragyena.eval.journal import Journal
from ragyena.eval.layout import ConditionReport, summarize, summarize_abstention
from ragyena.eval.metrics import Score, score
from ragyena.eval.questions import EvalData, Question, cut, data_files, load
from ragyena.eval.results import Run
from ragyena.eval.timing import Timing, summarize_latency
from ragyena.model.confidence import Withholding
from ragyena.report.compared import compare_runs
from ragyena.report.cost import cost_table
from ragyena.types import Passage


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(recipes.asset("reader"))


def question(number: int, source: str = "a", answers: tuple[str, ...] = ("x",), split: str = "") -> dict[str, object]:
    context = f"Context {number // 2} of x."
    return {
        "id": f"{source}{number}",
        "source": source,
        "question": f"Question {number}?",
        "answers": list(answers),
        "context": context,
        "split": split,
    }


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path.name


def test_load_chooses_by_split_source_and_limit(tmp_path: Path) -> None:
    rows = [question(i, "a" if i % 2 else "b", split="dev" if i < 8 else "train") for i in range(12)]
    name = write(tmp_path / "q.jsonl", [*rows, question(99, "n", ())])
    without = write(tmp_path / "u.jsonl", [question(i, "u", ()) for i in range(5)])
    config = EvalConfig(questions=(name,), unanswerable=(without,), sources=("a",))
    data = load(data_files(config, tmp_path))
    assert [q.id for q in data.answerable] == ["a1", "a3", "a5", "a7"]
    assert [q.id for q in data.unanswerable] == ["n99", "u0", "u1", "u2", "u3", "u4"]
    limited = load(data_files(config.model_copy(update={"limit": 2}), tmp_path))
    assert len(limited.answerable) == len(limited.unanswerable) == 2
    assert limited.answerable == load(data_files(config.model_copy(update={"limit": 2}), tmp_path)).answerable
    assert set(limited.answerable) < set(data.answerable)
    others = [
        load(data_files(config.model_copy(update={"limit": 2, "seed": seed}), tmp_path)).answerable for seed in range(8)
    ]
    assert len(set(others)) > 1


def test_load_chooses_by_answer_type_and_reads_tables_as_files_are_read(tmp_path: Path, tokenizer: Tokenizer) -> None:
    table = "Lamps\n\n| Lamp | Price |\n| --- | --- |\n| Alba | 5 |\n| Brig | 7 |\n"
    common = {"source": "lamps", "split": "dev", "context": table, "passage_id": "lamps"}
    rows = [
        {"id": "cell", "question": "What is the Brig's price?", "answers": ["7"], "answer_type": "span", **common},
        {"id": "sum", "question": "What do both cost?", "answers": ["12"], "answer_type": "computed", **common},
    ]
    config = data_files(EvalConfig(questions=(write(tmp_path / "q.jsonl", rows),), answer_types=("span",)), tmp_path)
    data = load(config)
    assert [q.id for q in data.answerable] == ["cell"]
    assert len(load(config.model_copy(update={"answer_types": ()})).answerable) == 2
    (passage,) = cut(data, tokenizer, 100)["lamps"]
    assert passage.text == "Lamps\n\n\n\nLamp: Alba; Price: 5\nLamp: Brig; Price: 7"
    assert (passage.kind, passage.table_header) == ("table", ("Lamp", "Price"))
    with pytest.raises(DataError, match="types list"):
        load(config.model_copy(update={"answer_types": ("list",)}))


def test_a_question_without_context_is_named_and_nothing_left_is_an_error(tmp_path: Path) -> None:
    row = question(1)
    del row["context"]
    name = write(tmp_path / "q.jsonl", [question(0), row])
    data = load(data_files(EvalConfig(questions=(name,)), tmp_path))
    assert [q.id for q in data.answerable] == ["a0"] and "a1" in data.problems[0]
    with pytest.raises(DataError, match="sources none"):
        load(data_files(EvalConfig(questions=(name,), sources=("none",)), tmp_path))
    with pytest.raises(DataError, match="no questions"):
        load(data_files(EvalConfig(), tmp_path))


def passages(tokenizer: Tokenizer, *texts: str) -> list[Passage]:
    rows = {str(i): ContextRow(str(i), f"Title {i}", text, "s") for i, text in enumerate(texts)}
    data = EvalData(tuple(Question(f"q{i}", "s", "?", ("x",), i, -1) for i in rows), contexts=rows)
    return [p for passages in cut(data, tokenizer, 64).values() for p in passages]


def test_a_context_holds_all_passages_in_a_drawn_order(tokenizer: Tokenizer) -> None:
    own = passages(tokenizer, "The bridge was built in 1932. " * 20)
    others = passages(tokenizer, *(f"Passage {i} is about tea." for i in range(6)), "Passage 0 is about tea.")
    assert len(own) > 1
    builder = ContextBuilder(TokenCache(tokenizer), PackerConfig(), max_question_tokens=64, seed=3)

    def build(question: Question) -> BuiltContext:
        return builder.arrange(question.question, builder.shuffled(question, own, others))

    places: Counter[int] = Counter()
    for number in range(60):
        asked = Question(f"q{number}", "s", "When was it built?", ("1932",), "0", 0)
        built = build(asked)
        packed = [scored.passage for scored in built.context.passages]
        # near-duplicates too: an experiment fixes what is read
        assert sorted(map(id, packed)) == sorted(map(id, [*own, *others]))
        assert {id(packed[slot]) for slot in built.own_slots} == set(map(id, own))
        assert build(asked).own_slots == built.own_slots
        places.update(built.own_slots)
    expected = 60 * len(own) / (len(own) + len(others))
    assert all(0.4 * expected < places[slot] < 1.8 * expected for slot in range(len(own) + len(others)))
    with pytest.raises(QuestionTooLongError):
        build(Question("q", "s", "why " * 200, ("x",), "0", 0))


def test_a_token_cache_encodes_as_its_tokenizer(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["The bridge.", "Zürich, 1889", "", "The bridge."]
    cache = TokenCache(tokenizer)
    for _ in range(2):
        for found, wanted in zip(cache.encode_batch(texts), tokenizer.encode_batch(texts), strict=True):
            assert found.ids.tolist() == wanted.ids.tolist()
            assert (found.starts.tolist(), found.ends.tolist()) == (wanted.starts.tolist(), wanted.ends.tolist())
    monkeypatch.setattr("ragyena.documents.tokenizer._MOST_CACHED", 3)  # full: it starts afresh
    again = cache.encode_batch(["New.", "Zürich, 1889"])
    assert [e.ids.tolist() for e in again] == [tokenizer.encode(t).ids.tolist() for t in ("New.", "Zürich, 1889")]
    assert (cache.sep_id, cache.fingerprint) == (tokenizer.sep_id, tokenizer.fingerprint)


def test_a_journal_outlasts_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.jsonl"
    with Journal(path) as journal:
        journal.append([{"id": 1}, {"id": 2, "text": "ß\ud800"}])
    with path.open("ab") as file:
        file.write(b'{"id": 3, "te')
    with Journal(path) as journal:
        assert [row["id"] for row in journal.rows] == [1, 2]
        journal.append([{"id": 4}])
    with Journal(path) as journal:
        assert [row["id"] for row in journal.rows] == [1, 2, 4]
    path.write_bytes(b"junk\n" + path.read_bytes())
    with pytest.raises(DataError, match="line 1"):
        Journal(path)


def prediction(
    id: str, text: str, confidence: float, *, own: bool = True, none: float = 0.0, memory: float | None = None
) -> Prediction:
    return Prediction(id, "among-4", "extracted", text, confidence, none, own, True, None, 4, 100, 0.5, memory)


def score_all(questions: list[Question], predictions: dict[str, Prediction]) -> dict[str, Score]:
    return {q.id: score(predictions[q.id].text, q.answers) for q in questions}


def asked(id: str, source: str, *answers: str) -> Question:
    return Question(id, source, "?", answers, id, -1)


def cost_cells(report: ConditionReport) -> dict[str, str]:
    """Times, throughput and memory as a report shows them, by column; empty columns are left out."""
    result = {"recipe": "r", "reader": {"name": "r"}, "config": {}, "conditions": [asdict(report)]}
    table = cost_table(compare_runs([Run(Path("r.json"), result, None)]))
    (row,) = [row for row in table.rows if isinstance(row, list)]
    return {
        name: str(cell)
        for name, cell in zip(table.head, row, strict=True)
        if name not in ("reader", "tokens a context")
    }


def test_a_summary_by_hand(tokenizer: Tokenizer) -> None:
    questions = [asked("1", "a", "red"), asked("2", "a", "blue sky"), asked("3", "b", "tea"), asked("4", "b", "no")]
    predictions = {
        "1": prediction("1", "the red", 0.9, memory=1.5),
        "2": prediction("2", "sky", 0.6, own=False, memory=2.5),
        "3": prediction("3", "tea", 0.4, memory=0.5),
        "4": prediction("4", "yes", 0.3),
    }
    frozen = Frozen("distractors", {}, tuple(questions), (), (), {}, {})
    condition = Among(frozen, ContextBuilder(tokenizer, PackerConfig(), max_question_tokens=64, seed=0), among=4)
    scores = score_all(questions, predictions)
    rest: dict[str, Any] = {
        "unanswerable": (),
        "latency": None,
        "cost": None,
        "abstention": None,
        "resamples": 200,
        "seed": 0,
    }
    report = summarize(condition, questions, predictions, scores, **rest)
    assert (report.name, report.parameters) == ("among-4", {"among": 4})
    assert (report.whole.n, report.whole.em.mean) == (4, 50.0)
    assert report.whole.f1.mean == pytest.approx((100 + 200 / 3 + 100 + 0) / 4)
    assert {s.source: s.em.mean for s in report.sources} == {"a": 50.0, "b": 50.0}
    assert report.own_first is not None and report.own_first.mean == 75.0
    assert (report.tokens, report.seconds, report.tokens_per_second) == (400, 2.0, 200.0)
    assert report.kinds == {"extracted": 4} and report.unasked == 0
    assert report.peak_memory_gib == 2.5
    assert cost_cells(report) == {"tokens/s": "200", "GPU GiB": "2.50"}
    on_a_cpu = {id: replace(prediction, peak_memory_gib=None) for id, prediction in predictions.items()}
    report = summarize(condition, questions, on_a_cpu, scores, **rest)
    assert report.peak_memory_gib is None and cost_cells(report) == {"tokens/s": "200"}
    resident = {id: replace(prediction, peak_resident_gib=0.75) for id, prediction in on_a_cpu.items()}
    latency = summarize_latency([Timing("among-4", str(i), 100, i / 1000) for i in range(1, 21)])
    report = summarize(condition, questions, resident, scores, **(rest | {"latency": latency}))
    assert cost_cells(report) == {
        "p50": "10.5 ms",
        "p95": "19.1 ms",
        "timed": "20",
        "tokens/s": "200",
        "resident GiB": "0.75",
    }


def test_unanswerable_questions_enter_risk_and_coverage_as_wrong(tokenizer: Tokenizer) -> None:
    questions, without = [asked("1", "a", "red"), asked("2", "a", "tea")], [asked("u", "n")]
    predictions = {
        "1": prediction("1", "red", 0.9),
        "2": prediction("2", "tea", 0.4),
        "u": prediction("u", "red", 0.6),
    }
    frozen = Frozen("own", {}, tuple(questions), tuple(without), (), {}, {})
    condition = Among(frozen, ContextBuilder(tokenizer, PackerConfig(), max_question_tokens=64, seed=0), among=1)
    scores = score_all(questions, predictions)
    rest: dict[str, Any] = {"latency": None, "cost": None, "abstention": None, "resamples": 200, "seed": 0}
    curve = summarize(condition, questions, predictions, scores, unanswerable=without, **rest).risk_coverage
    assert curve.n == 3 and [point.threshold for point in curve.points] == [0.9, 0.6, 0.4]
    assert [point.risk for point in curve.points] == pytest.approx([0, 1 / 2, 1 / 3])


def test_abstention_by_hand() -> None:
    answerable = [asked("1", "a", "red"), asked("2", "a", "blue"), asked("3", "a", "tea")]
    unanswerable = [asked("u", "n"), asked("v", "n")]
    predictions = {
        "1": prediction("1", "red", 0.9, none=0.1),
        "2": prediction("2", "green", 0.8, none=0.2),
        "3": prediction("3", "tea", 0.2, none=0.6),
        "u": prediction("u", "x", 0.5, none=0.7),
        "v": prediction("v", "y", 0.1, none=0.5),
    }
    scores = score_all(answerable, predictions)
    found = summarize_abstention(answerable, unanswerable, predictions, scores, Withholding(0.5))
    assert found is not None
    assert found.auroc == pytest.approx(5 / 6)
    assert found.auroc_no_answer == pytest.approx(5 / 6)
    assert found.auroc_right == pytest.approx((3 + 1) / 6)
    assert found.answered == pytest.approx(2 / 3)
    assert found.answered_em == 50.0
    assert found.withheld == 0.5
    assert summarize_abstention(answerable, [], predictions, scores, Withholding(0.5)) is None
    beside = summarize_abstention(answerable, unanswerable, predictions, scores, Withholding(0.0, 0.6))
    assert beside is not None and (beside.answered, beside.withheld) == (pytest.approx(2 / 3), 0.5)
