"""The tool that checks and packs drafts of questions."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "data" / "real" / "questions.py"
TEXT = """Item | Price
Item: Bolt; Price: 12.50; Note: zinc; for Dr. Smith. Do not mix
Item: Nut; Price: 8.00
Telephone: 555 1234. Ask for Ann.
The bridge was built in 1932; it was
painted in 1950. It is closed."""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_questions", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("answer", "evidence"),
    [
        ("12.50", "Item: Bolt; Price: 12.50; Note: zinc; for Dr. Smith. Do not mix"),
        ("Do not mix", "Item: Bolt; Price: 12.50; Note: zinc; for Dr. Smith. Do not mix"),
        ("zinc; for Dr. Smith", "Item: Bolt; Price: 12.50; Note: zinc; for Dr. Smith. Do not mix"),
        ("8.00", "Item: Nut; Price: 8.00"),
        ("555 1234", "Telephone: 555 1234."),
        ("1932", "The bridge was built in 1932; it was\npainted in 1950."),
    ],
)
def test_the_deciding_text_is_a_whole_row_or_a_whole_sentence(tool: ModuleType, answer: str, evidence: str) -> None:
    row = tool.row_of({"type": "span", "q": "What is asked for here?", "a": [answer]}, TEXT)
    assert [TEXT[start:end] for start, end in row["evidence"]] == [evidence]
