"""The check of written sentences: how many it finds of those that their evidence does not support."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena.config import PipelineConfig
from ragyena.documents.passages import split
from ragyena.integrations.support import SupportCheck, words_problem
from ragyena.reader.reader import Reader
from ragyena.types import Document

SENTENCES = Path(__file__).parent / "data" / "support.jsonl"
EVIDENCE = "The iron bridge of Oldtown was built in 1932 by Ada Stone. It has three arches and costs 1,200 a year."


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("The bridge was built in 1932.", None),
        ("The bridge has 3 arches.", None),
        ("Its cost is 1200 a year.", None),
        ("The bridge was built in 1923.", "1923"),
        ("The bridge has four arches.", "4"),
        ("The bridge was built by Ada Marsh.", "Marsh"),
        ("The bridge of Oldtown was not built by Ada Stone.", "denies"),
        ("Engineers worked hard through cold winters.", "few of its words"),
    ],
)
def test_words(sentence: str, problem: str | None) -> None:
    found = words_problem(sentence, EVIDENCE)
    assert found is None if problem is None else found is not None and problem in found


def test_a_month_may_be_a_number() -> None:
    assert words_problem("It ended on 11 November 2026.", "It ended on 11.11.2026.") is None
    assert words_problem("It ended in July 2026.", "It ended in June 2026.") is not None


@pytest.mark.slow
def test_precision_and_recall_are_those_of_the_documentation() -> None:
    config = PipelineConfig()
    reader = Reader.open(config.reader)
    check = SupportCheck(reader, config)
    rows = [json.loads(line) for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    marked, right, altered = 0, 0, {}
    for row in rows:
        passages = split(Document("evidence", row["evidence"]), reader.tokenizer, config.index.passage_tokens)
        found = check.problem(row["sentence"], passages) is not None
        marked += found
        right += found and not row["supported"]
        if not row["supported"]:
            altered.setdefault(row["altered"], []).append(found)
    unsupported = sum(not row["supported"] for row in rows)
    print(f"marked {marked}, precision {right / marked:.2f}, recall {right / unsupported:.2f}")
    print({kind: f"{sum(found)} of {len(found)}" for kind, found in altered.items()})
    assert len(rows) == 2 * unsupported == 120
    assert right / marked >= 0.85 and right / unsupported >= 0.6
