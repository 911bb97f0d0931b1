"""Contributions of the passages that were read, as an answer tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena.config import PipelineConfig
from ragyena.pipeline import Pipeline


def test_the_log_tells_what_each_passage_contributed(small_index: Path, small_config: PipelineConfig) -> None:
    with Pipeline.open(small_index, settings=small_config) as pipeline:
        answer = pipeline.ask("When was the bridge built, and when does the museum open?")
    assert answer.log is not None
    packed = [entry for entry in answer.log.entries if entry.slot is not None]
    assert len(packed) > 1
    shares = {entry.passage_id: entry.share or 0.0 for entry in packed}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) > 0
    in_order = [shares[scored.passage.passage_id] for scored in answer.passages]
    assert in_order == sorted(in_order, reverse=True), "passages are listed by what they contributed"
    for entry in packed:
        (scored,) = (one for one in answer.passages if one.passage.passage_id == entry.passage_id)
        assert (entry.document_id, entry.start, entry.end) == (
            scored.passage.document_id,
            scored.passage.start,
            scored.passage.end,
        )
    assert all(entry.share is None for entry in answer.log.entries if entry.slot is None)
