"""The retriever's opinion of each passage, as a prior of the spans in it.

Documents look alike: the likeliest span may stand in another contract, of which one passage happens to suit the
question. A passage therefore weighs by its own score and by those of all passages of its document together.

Legend: P passages.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ragyena.types import Context

__all__ = ["retrieval_prior"]

_LEAST_RATIO = 1e-3  # of retrieval scores: a passage is never ruled out by the retriever alone


def retrieval_prior(context: Context, weight: float) -> npt.NDArray[np.float32]:
    """[P] the log prior of the spans in each passage; 0 where some passage has no score of a search.

    It is ``weight`` times the logarithm of the passage's score as a share of the best one, and the logarithm of the sum
    of these shares, to the power of ``weight``, over the passages of its document, as a share of the largest sum.
    """
    retrieved = all(p.dense_score is not None or p.lexical_score is not None for p in context.passages)
    best = max((p.score for p in context.passages), default=0.0)
    if not retrieved or best <= 0 or weight == 0:
        return np.zeros(context.token_ids.shape[0], np.float32)
    own = weight * np.log(np.maximum([p.score / best for p in context.passages], _LEAST_RATIO))
    keys = [(p.passage.document_id, p.passage.source) for p in context.passages]
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    of_passage = np.array([places[key] for key in keys])
    total = np.full(len(places), -np.inf)
    np.logaddexp.at(total, of_passage, own)
    return np.asarray(own + (total - total.max())[of_passage], np.float32)
