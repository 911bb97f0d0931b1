"""Documents and an index that the real command works on."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Ragyena, write_pdf

FACTS = {
    "bridge.md": """# The bridges of Oldtown

## The iron bridge

The iron bridge was built in 1932 by the engineer Ada Stone. It has three arches and carries two lanes.

## The wooden bridge

The wooden bridge burned down in 1911. Nobody was hurt.
""",
    "lamp.txt": "The lamp of the light house at Cape Farewell flashes every ten seconds.\nIts keeper was Tom Marsh.\n",
    "museum.html": "<html><head><title>Museum</title></head><body><h1>The museum</h1>"
    "<p>The museum of clocks opens at nine o'clock and closes at five.</p></body></html>",
    "people.csv": "name,role,city\nMaria Lind,gardener,Uppsala\nKofi Adu,pilot,Accra\n",
    "notes.jsonl": '{"title": "Tea", "text": "Green tea is brewed at 70 degrees.", "kind": "drink"}\n'
    '{"title": "Bread", "text": "Sour dough rests for twelve hours."}\n',
}


@pytest.fixture(scope="session")
def ragyena(tmp_path_factory: pytest.TempPathFactory) -> Ragyena:
    return Ragyena(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for name, text in FACTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_pdf(folder / "report.pdf", "This page is about nothing.", "The dam holds back nine million tons of water.")
    return folder


@pytest.fixture(scope="session")
def library(ragyena: Ragyena, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of ``documents`` that no test writes to."""
    index = tmp_path_factory.mktemp("indexes") / "library"
    ragyena("index", "add", documents, "--index", index).succeeds()
    return index
