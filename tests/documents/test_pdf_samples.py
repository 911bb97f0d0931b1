"""Pages of known text and tables: columns, headers, forms, scripts. ``pdf_samples`` says how each is drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pdf_samples import SAMPLES, Sample, similarity, triples, write

from ragyena.config import IndexConfig
from ragyena.documents.formats import pdf
from ragyena.documents.reading import read
from ragyena.types import Document


def text_of(path: Path) -> str:
    (document,) = read(path, IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    return document.text


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.text], ids=lambda sample: sample.name)
def test_text_is_read_in_order(sample: Sample, tmp_path: Path) -> None:
    if sample.name == "hebrew":
        pytest.importorskip("matplotlib")  # its font is drawn with
    found, right = text_of(write(sample, tmp_path)), "\n".join(sample.text)
    assert similarity(found, right) > 0.995, found
    assert not [absent for absent in sample.absent if absent in found]


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.tables], ids=lambda sample: sample.name)
def test_values_stay_in_their_rows_and_under_their_names(sample: Sample, tmp_path: Path) -> None:
    right = sum((triples(rows, sample.header_rows) for rows in sample.tables), Counter())
    found = sum((triples(rows, None) for rows in pdf.tables(write(sample, tmp_path))), Counter())
    assert found == right
