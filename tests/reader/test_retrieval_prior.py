"""Priors of passages from the scores of the retriever."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.reader.packing import pack
from ragyena.reader.retrieval_prior import retrieval_prior
from ragyena.types import Context, Passage, ScoredPassage


def context(scores: list[tuple[str, float]], *, retrieved: bool = True) -> Context:
    """A context of passages with these sources and scores, best first."""
    passages = [
        ScoredPassage(
            Passage(
                text=f"Bridge {number}.", start=100 * number, end=100 * number + 9, line_start=1, line_end=1, page=None,
                title="Bridges", heading_path=(), source=source, passage_id=number, document_id=-1,
            ),
            score=score,
            dense_score=score if retrieved else None,
        )
        for number, (source, score) in enumerate(scores)
    ]  # fmt: skip
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    config = PackerConfig(context_tokens=4096, near_duplicate=1.0)
    return pack("Which bridge?", passages, tokenizer, config, max_question_tokens=64)


def test_a_document_weighs_by_all_its_passages() -> None:
    prior = retrieval_prior(context([("a", 0.8), ("b", 0.4), ("b", 0.4)]), 1.0)
    half = math.log(0.5)
    assert prior == pytest.approx([0.0, half, half])  # both documents have 0.8 in all


def test_a_look_alike_of_one_passage_falls_behind_a_document_with_several() -> None:
    prior = retrieval_prior(context([("other", 0.80), ("own", 0.79), ("own", 0.78), ("own", 0.77)]), 3.0)
    assert int(np.argmax(prior)) == 1


def test_documents_of_one_passage_keep_their_order() -> None:
    prior = retrieval_prior(context([("a", 0.9), ("b", 0.6), ("c", 0.3)]), 3.0)
    assert list(prior) == sorted(prior, reverse=True) and prior[0] == 0


@pytest.mark.parametrize(("retrieved", "weight"), [(False, 3.0), (True, 0.0)])
def test_nothing_is_weighed_without_a_search_or_a_weight(retrieved: bool, weight: float) -> None:
    prior = retrieval_prior(context([("a", 0.9), ("b", 0.6), ("b", 0.5)], retrieved=retrieved), weight)
    assert not prior.any()
