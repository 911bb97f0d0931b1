"""The features of a reading that a search adds."""

from __future__ import annotations

import numpy as np
import pytest

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.model.confidence import Calibration
from ragyena.reader.features import reading_features
from ragyena.reader.packing import pack
from ragyena.types import Passage, ScoredPassage

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))


def features(*similarities: float | None) -> dict[str, float]:
    """A reading of passages with these similarities to the question, otherwise alike."""
    passages = [
        ScoredPassage(
            Passage(f"Bridge {number}.", 0, 9, 1, 1, None, "Bridges", (), f"{number}.txt", passage_id=number),
            1.0 - number / 10,
            similarity=similarity,
        )
        for number, similarity in enumerate(similarities)
    ]
    context = pack("Which bridge?", passages, TOKENIZER, PackerConfig(near_duplicate=1.0), max_question_tokens=16)
    idf = np.ones(TOKENIZER.vocab_size, np.float32)
    return reading_features("span", context, [], answer=-0.5, null=-2.0, score=3.0, idf=idf)


def test_an_answer_is_less_likely_where_no_passage_is_near_the_question() -> None:
    calibration = Calibration(right={"answer": 1.0, "similarity": 5.0}, no_answer={"null": 1.0, "similarity": -5.0})
    near, less, far = features(0.1, 0.5), features(0.1, 0.3), features(0.1, None)
    assert near["similarity"] == 0 and less["similarity"] == pytest.approx(-0.1)
    assert calibration.confidence(near) > calibration.confidence(less) > calibration.confidence(far)
    assert calibration.no_answer_probability(far) > calibration.no_answer_probability(near)


def test_passages_that_no_dense_search_found_are_neither_near_nor_far() -> None:
    assert features(None, None) == features(0.9, 0.1)
    old = Calibration(right={"answer": 1.0})  # a fit from before this feature
    assert old.confidence(features(0.1)) == old.confidence(features(None))
