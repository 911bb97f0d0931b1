"""Small hostile files of every format are read, or refused by name, within seconds and without much memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hostile_files import HOSTILE_FILES

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError

SECONDS = 30
"""The budget here: a reader that needs it all was stopped, not right. A busy machine is slow."""


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_a_hostile_file_ends_by_itself(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(HOSTILE_FILES[name]())
    began = time.perf_counter()
    try:
        documents = sum(1 for _ in load(path, IndexConfig(max_document_seconds=SECONDS)))
    except UnreadableDocumentError as error:
        assert str(path) in error.message and error.hint
        assert "crash" not in error.message and f"within {SECONDS} s" not in error.message, error.message
    else:
        assert documents > 0
    assert time.perf_counter() - began < SECONDS
