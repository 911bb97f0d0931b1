"""The measures of SQuAD 2.0's official script, against cases worked out by hand from its rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena.config import EvalConfig, parse
from ragyena.eval.metrics import score
from ragyena.eval.questions import data_files, load
from ragyena.eval.squad2 import Asked, best_threshold, squad2
from ragyena.model.confidence import Withholding


def asked(text: str, confidence: float, *answers: str, context: str = "c", none: float = 0.5) -> Asked:
    return Asked(context, bool(answers), text, score(text, answers), confidence, none)


# what the script does: lower case, punctuation, articles and spaces go; the best over the golds; golds of which
# nothing is left do not count; words are counted as often as they stand in both
CASES = [
    asked("the Denver Broncos!", 0.9, "Denver Broncos"),  # 1 / 1
    asked("Denver", 0.8, "The Denver Broncos", "Broncos"),  # 0 / 2/3: one of one word, one of two
    asked("in 1912", 0.7, "1912", "the year 1912"),  # 0 / 2/3, the better of 2/3 and 1/2
    asked("Paris", 0.2, "Paris"),  # right, and withheld at 0.5
    asked("a guess", 0.6),  # no answer, and answered
    asked("another", 0.3),  # no answer, withheld
]


def test_scores_at_a_threshold() -> None:
    found = squad2(CASES, Withholding(0.5), resamples=100, seed=0)
    assert found is not None
    assert (found.whole.n, found.has_answer.n, found.no_answer.n) == (6, 4, 2)
    assert found.has_answer.em.mean == pytest.approx(100 * 1 / 4)
    assert found.has_answer.f1.mean == pytest.approx(100 * (1 + 2 / 3 + 2 / 3 + 0) / 4)
    assert found.no_answer.em.mean == found.no_answer.f1.mean == pytest.approx(50)
    assert found.whole.em.mean == pytest.approx(100 * (1 + 1) / 6)
    assert found.whole.f1.mean == pytest.approx(100 * (1 + 2 / 3 + 2 / 3 + 1) / 6)


def test_an_answer_at_the_threshold_is_given() -> None:
    found = squad2(CASES, Withholding(0.2), resamples=100, seed=0)
    assert found is not None
    assert found.has_answer.em.mean == pytest.approx(100 * 2 / 4)
    assert found.no_answer.em.mean == 0


def test_an_answer_is_withheld_that_is_improbable_beside_there_being_none() -> None:
    some = [asked("Paris", 0.3, "Paris", none=0.1), asked("a guess", 0.3, none=0.4), asked("more", 0.9, none=0.2)]
    found = squad2(some, Withholding(0.0, 1.5), resamples=100, seed=0)
    assert found is not None and (found.threshold, found.odds) == (0.0, 1.5)
    assert found.has_answer.em.mean == 100 and found.no_answer.em.mean == 50


def test_the_best_threshold_is_that_of_the_script() -> None:
    # nothing answered: 2. In order of confidence 3, 3 2/3, 4 1/3, then a guess 3 1/3, another 2 1/3, Paris 3 1/3
    best, threshold = best_threshold(CASES, [one.score.f1 for one in CASES])
    assert (best, threshold) == (pytest.approx(100 * (4 + 1 / 3) / 6), 0.7)
    best, threshold = best_threshold(CASES, [one.score.em for one in CASES])
    assert (best, threshold) == (pytest.approx(100 * 3 / 6), 0.9)  # 3 from the first on, never more


def test_where_nothing_is_right_it_is_best_to_answer_nothing() -> None:
    some = [asked("wrong", 0.9, "right"), asked("guess", 0.95), asked("", 0.99)]
    assert best_threshold(some, [one.score.f1 for one in some]) == (pytest.approx(100 * 2 / 3), 1.0)
    # an empty text without an answer stays right where it is "answered"
    assert best_threshold(some[2:], [1.0]) == (100, 1.0)


def test_threshold_may_stand_between_answers_of_one_confidence_as_in_the_script() -> None:
    some = [asked("right", 0.5, "right"), asked("guess", 0.5)]
    assert best_threshold(some, [1.0, 0.0])[0] == 100


def test_both_kinds_of_questions_are_needed() -> None:
    assert squad2(CASES[:4], Withholding(0.5), resamples=100, seed=0) is None
    assert squad2(CASES[4:], Withholding(0.5), resamples=100, seed=0) is None
    assert squad2([], Withholding(0.5), resamples=100, seed=0) is None


def test_only_articles_with_unanswerable_questions_are_asked(tmp_path: Path) -> None:
    passages = [{"id": f"p{i}", "title": title, "context": f"Text {i}."} for i, title in enumerate(("A", "A", "B"))]
    questions = [{"id": f"q{i}", "passage_id": f"p{i}", "question": "?", "answers": ["Text"]} for i in range(3)]
    missing = [{"id": "u0", "passage_id": "p0", "question": "?", "answers": []}]
    for name, rows in (("passages", passages), ("questions", questions), ("missing", missing)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"questions": ["questions.jsonl"], "passages": ["passages.jsonl"], "unanswerable": ["missing.jsonl"]}
    for same, expected in ((True, ["q0", "q1"]), (False, ["q0", "q1", "q2"])):
        config = parse(EvalConfig, {**values, "same_articles": same}, source="test")
        data = load(data_files(config, tmp_path))
        assert [question.id for question in data.answerable] == expected
        assert [question.id for question in data.unanswerable] == ["u0"]
