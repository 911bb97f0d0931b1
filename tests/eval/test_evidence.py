"""The task evidence: recall of the answer's place in passages and sentences, kept as it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_world import TOWNS, save_towns

from ragyena import recipes
from ragyena.cli.eval_views import evidence_lines
from ragyena.config import EvalConfig, PipelineConfig, parse
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import ConfigError, DataError
from ragyena.eval.evidence import evaluate_evidence, filled, held
from ragyena.eval.recipe import Setup
from ragyena.pipeline import Pipeline
from ragyena.types import Passage

TEXT = "The bridge fell. It was built in 1932, of iron.\n\nNobody was hurt."


def place(text: str) -> tuple[int, int]:
    start = TEXT.index(text)
    return start, start + len(text)


def test_a_span_is_held_whole_and_a_sentence_by_more_than_half() -> None:
    assert held(TEXT, place("1932"), [place("built in 1932")], whole=True)
    assert not held(TEXT, place("1932"), [place("built in 19")], whole=True)
    assert held(TEXT, place("in 1932, of"), [place("built in 1932,"), place("of iron")], whole=True)
    assert held(TEXT, place("It was built in 1932"), [place("It was built")], whole=False)
    assert not held(TEXT, place("It was built in 1932"), [place("It was")], whole=False)
    assert not held(TEXT, place("1932"), [], whole=True)


def test_ranked_passages_fill_tokens_by_sentences() -> None:
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    passages = [
        Passage(TEXT[start:end], start, end, 1, 1, None, "", (), "bridge")
        for start, end in (place("Nobody was hurt."), place("The bridge fell. It was built in 1932, of iron."))
    ]
    texts = [[TEXT[start:end] for _, start, end in filled(passages, tokens, tokenizer)] for tokens in (3, 4, 9, 99)]
    assert texts[0] == [] and texts[1] == ["Nobody was hurt."]
    assert texts[2] == ["Nobody was hurt.", "The bridge fell."]
    assert len(texts[3]) == 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Towns with their bridges as passages, and one document with a question of each kind."""
    folder = tmp_path_factory.mktemp("data")
    save_towns(folder)
    text = "The market of Ashby is on Monday. It sells bread, cheese and tea. Dogs are not allowed on the square."
    document = {"id": "d1", "source": "web", "title": "Market", "text": text, "split": "dev"}
    rows = [
        ("span", "When is the market of Ashby?", ["Monday"], ["Monday"]),
        ("list", "What does the market sell?", ["bread", "cheese", "tea"], ["bread", "cheese", "tea"]),
        ("no", "May dogs come to the square?", ["no"], ["Dogs are not allowed on the square."]),
        ("none", "Who owns the market?", [], []),
    ]
    questions = []
    for number, (kind, question, answers, words) in enumerate(rows):
        places = [[text.index(word), text.index(word) + len(word)] for word in words]
        where = {"spans": [] if kind == "no" else places, "evidence": places}
        row = {"id": f"q{number}", "source": "web", "document_id": "d1", "answer_type": kind, "split": "dev"}
        questions.append({**row, "question": question, "answers": answers, **where})
    (folder / "real-documents.jsonl").write_text(json.dumps(document) + "\n", encoding="utf-8")
    (folder / "real-questions.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions), encoding="utf-8")
    return folder


def setup(data: Path, out: Path, settings: PipelineConfig, **values: object) -> Setup:
    given = {"task": "evidence", "context_tokens": [512], "recall_at": [1, 10], "evidence_tokens": [16, 2000]}
    config = parse(EvalConfig, {**given, "resamples": 200, **values}, source="test")
    return Setup(config, settings, "test", data, out, out / "index")


def test_passages_of_questions(data: Path, tmp_path: Path, small_config: PipelineConfig) -> None:
    files = {"questions": ["questions.jsonl"], "passages": ["passages.jsonl"]}
    report, path = evaluate_evidence(setup(data, tmp_path, small_config, **files))
    assert json.loads(path.read_text(encoding="utf-8")) == report
    assert report["questions"] == report["documents"] == len(TOWNS)
    assert list(report["conditions"]) == ["lexical", "dense", "hybrid", "reader-512"]
    for name, condition in report["conditions"].items():
        figures = condition["groups"]["all"]
        assert figures["n"] == len(TOWNS)
        assert figures["passages@10"][0] == figures["filled@2000"][0] == 100, "all passages hold every answer"
        assert figures["passages@1"][0] <= figures["passages@10"][0]
        assert ("sentences@16" in figures) == (name == "reader-512")
    assert report["conditions"]["lexical"]["groups"]["all"]["passages@1"][0] == 100
    assert {one["first"] for one in report["differences"]} == {"reader-512"}
    lines = [*evidence_lines(report)]
    assert any("sentences@16" in line for line in lines) and "ndcg@10" in lines[-5]
    assert sum(line.split()[0] == "reader-512" for line in lines) == 4


def test_documents_with_questions_of_each_kind(data: Path, tmp_path: Path, small_config: PipelineConfig) -> None:
    files = {"questions": ["real-questions.jsonl"], "documents": ["real-documents.jsonl"]}
    report, _ = evaluate_evidence(setup(data, tmp_path, small_config, **files))
    assert report["questions"] == 3, "one without an answer has no place"
    groups = report["conditions"]["reader-512"]["groups"]
    assert {"all", "type span", "type list", "type no", "source web"} == set(groups)
    assert {name: figures["sentences@2000"][0] for name, figures in groups.items()} == dict.fromkeys(groups, 100)


def test_a_stopped_run_is_continued(
    data: Path, tmp_path: Path, small_config: PipelineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"questions": ["questions.jsonl"], "passages": ["passages.jsonl"]}
    first, _ = evaluate_evidence(setup(data, tmp_path, small_config, limit=3, **files))
    asked: list[str] = []
    pack = Pipeline.pack

    def watched(self: Pipeline, question: str, *arguments: object, **settings: object) -> object:
        asked.append(question)
        return pack(self, question, *arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipeline, "pack", watched)
    again, _ = evaluate_evidence(setup(data, tmp_path, small_config, limit=3, **files))
    assert asked == [] and again["conditions"] == first["conditions"]
    evaluate_evidence(setup(data, tmp_path, small_config, **files))
    assert len(asked) == len(TOWNS) - 3, "the first three are not read again"


def test_what_cannot_be_evaluated(data: Path, tmp_path: Path, small_config: PipelineConfig) -> None:
    files = {"questions": ["questions.jsonl"], "passages": ["passages.jsonl"]}
    with pytest.raises(DataError, match="no question"):
        evaluate_evidence(setup(data, tmp_path, small_config, sources=["elsewhere"], **files))
    with pytest.raises(ConfigError, match="evidence_tokens"):
        parse(EvalConfig, {"task": "among", "evidence_tokens": [64]}, source="test")
