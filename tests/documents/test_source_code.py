"""Source code and settings: kept as they stand, with definitions and sections as headings."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.types import Document


@pytest.mark.parametrize(
    ("name", "text", "headings"),
    [
        (
            "a.py",
            "import os\nclass Lamp(Base):\n    async def light(self):\n        x = 1\ndef main() -> None:\n    pass\n",
            [(1, "class Lamp(Base)"), (2, "async def light(self)"), (1, "def main() -> None")],
        ),
        ("a.rs", "pub(crate) struct Lamp {\n  on: bool,\n}\n", [(1, "pub(crate) struct Lamp")]),
        ("a.ts", "export default class Lamp {\n}\n", [(1, "export default class Lamp")]),
        ("a.toml", "[tool.lamp]\nseconds = 10\n", [(1, "tool.lamp")]),
        ("a.yaml", "lamp:\n  class: bright\n", []),
        ("lamp.service", "[Unit]\nDescription=Lamp\n[Service]\nExecStart=/bin/lamp\n", [(1, "Unit"), (1, "Service")]),
        ("lamp.timer", "[Timer]\nOnCalendar=daily\n", [(1, "Timer")]),
        ("crontab", "# every night\n5 0 * * * /bin/lamp\n", []),
        ("keeper.crontab", "5 0 * * * /bin/lamp\n", []),
        (".env", "LAMP_SECONDS=10\n", []),
        (".env.local", "LAMP_SECONDS=10\n", []),
        (".gitconfig", "[user]\n\tname = Ann\n", [(1, "user")]),
        (".bashrc", "function lamp {\n  echo on\n}\n", [(1, "function lamp")]),
    ],
)
def test_headings_of_definitions(tmp_path: Path, name: str, text: str, headings: list[tuple[int, str]]) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    assert (document.text, document.title) == (text, name)
    assert [(heading.level, heading.text) for heading in document.headings] == headings
    assert [block.kind for block in document.blocks] == ["code"]
