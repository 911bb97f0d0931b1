"""Reports of answers to questions on documents, and two fits of a confidence compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragyena.cli.eval_views import comparison_lines, document_lines
from ragyena.errors import DataError
from ragyena.eval.document_compare import compare_documents, write_document_comparison
from ragyena.eval.document_scores import DocumentAnswer, summarize
from ragyena.eval.results import DOCUMENT_SCHEMA, find_documents
from ragyena.report.markdown import to_markdown
from ragyena.report.write import load_page, report


def answers(name: str, *, says: float, count: int = 240) -> list[DocumentAnswer]:
    """Answers of which 70% are right where there is one, with a confidence that ``says`` so or not."""
    generator = np.random.default_rng(1)
    made = []
    for i in range(count):
        kind = ("span", "list", "yes", "none")[i % 4]
        sure = generator.random() < 0.7
        right = bool(sure and kind != "none")
        confidence = says if right else 0.2 * says
        withheld = confidence < 0.15
        made.append(
            DocumentAnswer(
                id=f"q{i}",
                source=("law", "tables")[i // 120],
                document_id=f"d{i // 10}",
                answer_type=kind,  # type: ignore[typeddict-item]
                question="?",
                answers=[] if kind == "none" else ["a"],
                kind="extracted",
                text="a",
                confidence=confidence + i / 1e5,
                no_answer_probability=0.8 if kind == "none" else 0.1 + i / 1e4,
                withheld=withheld,
                spans=[],
                evidence_packed=None if kind == "none" else True,
                cited=None if kind == "none" else right,
                passages=3,
                right=withheld if kind == "none" else right and not withheld,
                right_unwithheld=right,
                f1=float(withheld if kind == "none" else right and not withheld),
            )
        )
    return made


def result(folder: Path, name: str, *, says: float) -> Path:
    rows = answers(name, says=says)
    values = {
        "schema": DOCUMENT_SCHEMA,
        "recipe": "real",
        "date": "2026-01-01",
        "answers": f"{name}.answers.jsonl",
        "reader": {"name": name, "fingerprint": name * 12, "parameters": 1, "device": "cpu", "dtype": "float32"},
        "threshold": 0.15,
        "machine": {"processor": "P", "cores": 2, "versions": {"torch": "2"}},
        "conditions": {"open-8192": summarize(rows, resamples=200)},
    }
    lines = [json.dumps({"condition": "open-8192", **row}) + "\n" for row in rows]
    (folder / f"{name}.answers.jsonl").write_text("".join(lines))
    path = folder / f"{name}.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("documents")
    return [result(folder, "low", says=0.3), result(folder, "true", says=0.98)]


def test_the_figures_of_every_group_have_intervals_and_a_confidence(two: list[Path]) -> None:
    values = json.loads(two[0].read_text())
    groups = values["conditions"]["open-8192"]["groups"]
    assert list(groups) == [
        *("all", "type span", "type list", "type yes/no", "type none", "source law", "source tables")
    ]
    for figures in groups.values():
        assert figures["right"][1] <= figures["right"][0] <= figures["right"][2]
        assert len(figures["calibration_error"]) == 4
    assert "auroc" not in groups["type none"]  # nothing is right there
    confidence = values["conditions"]["open-8192"]["confidence"]
    assert confidence["n"] == 240 and confidence["calibration_error"]["mean"] > 0.2
    assert values["conditions"]["open-8192"]["no_answer"]["auroc"]["mean"] == 1.0
    lines = "\n".join(document_lines(values))
    assert "type yes/no" in lines and "it is true" in lines and "confidence: " in lines
    assert max(map(len, lines.splitlines())) <= 130


def test_the_page_draws_reliability_and_risk_of_both_readers(two: list[Path], tmp_path: Path) -> None:
    html, markdown = report([two[0].parent], tmp_path)
    page, text = html.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")
    assert page.count("<svg") == 5  # right and withheld, two reliability diagrams, risk
    for said in (
        "exactly true",
        "reliability of the confidence, end to end, 8,192 tokens",
        "risk against coverage",
        "source tables",
    ):
        assert said in page
    assert "Readers compared" in text and "| true |" in text
    one = to_markdown(load_page([two[0]]))
    assert "Readers compared" not in one and "| type span |" in one


def test_two_fits_are_compared_question_by_question(two: list[Path], tmp_path: Path) -> None:
    first, second = find_documents(two)["real"]
    assert (first.label, second.label) == ("low", "true")
    (found,) = compare_documents(first, second)
    by_measure = {test.measure: test for test in found.tests if test.source == "all"}
    assert by_measure["brier"].verdict == "first"  # the first of the test: the second reader less the first
    assert by_measure["brier"].difference.low > 5
    assert by_measure["right"].n == 240
    assert found.calibration_error.high < -10
    assert found.auroc is not None and abs(found.auroc.mean) < 5
    assert {test.source for test in found.tests} >= {"all", "type span", "source law"}
    lines = "\n".join(comparison_lines([found]))
    assert "1 - Brier" in lines and "ECE" in lines
    write_document_comparison([found], tmp_path / "both.json")
    assert json.loads((tmp_path / "both.json").read_text())["comparisons"][0]["second"] == "true"


def test_answers_that_are_not_there_are_named(two: list[Path], tmp_path: Path) -> None:
    alone = tmp_path / "alone.json"
    values: dict[str, Any] = json.loads(two[1].read_text())
    alone.write_text(json.dumps(values))
    first, second = find_documents([two[0], alone])["real"]
    with pytest.raises(DataError, match="not beside it"):
        compare_documents(first, second)
    assert "there are no answers next to" in to_markdown(load_page([two[0], alone]))
